"""``telex test``: prompts and templates with expectations for their answers, run with one or several models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from telex.app import pass_app
from telex.exit_codes import ASKING, ExitCode
from telex.main import Command
from telex.options import Name, jobs_option, max_cost_option, network_options

if TYPE_CHECKING:
    from telex.app import App


@click.command(
    cls=Command,
    name="test",
    examples=(
        "telex test prompts/",
        "telex test prompts/ -m groq -m openai --junit report.xml",
        "telex test prompts/classify.toml --json | jq -r '.[] | select(.status != \"passed\").name'",
    ),
    exits=(*ASKING, ExitCode.TEST),
    meanings={
        ExitCode.LIMIT: "rate limit, quota, budget or --max-cost ended the run",
        ExitCode.PROVIDER: "the provider failed for all cases",
    },
)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(exists=True))
@click.option(
    "-m",
    "--model",
    "models",
    type=Name("model"),
    multiple=True,
    metavar="ID",
    help="Model to test, as for telex chat, instead of those that the files name. Repeat to test several.",
)
@click.option(
    "--judge",
    type=Name("model"),
    metavar="ID",
    help="Model that judges answers, for cases with expect.judge.",
)
@click.option(
    "--only", multiple=True, metavar="TEXT", help="Run only the cases whose name contains TEXT. Repeatable."
)
@click.option("--fresh", is_flag=True, help="Send every request, also those whose answer is saved.")
@click.option(
    "--junit",
    type=click.Path(dir_okay=False, writable=True),
    metavar="FILE",
    help="Write the results as JUnit XML, for CI systems.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects.")
@jobs_option
@max_cost_option("Stop before the run costs more. Unknown costs do not count.")
@click.option("-q", "--quiet", is_flag=True, help="Print only the cases that do not pass, and errors.")
@network_options
@pass_app
def command(app: App, /, **given: Any) -> None:
    """Check the answers to prompts and templates.

    PATH is a file of cases, or a folder: its .jsonl files, and its .toml files with [[cases]]. A case has a prompt or a
    template, variables, and what is expected of the answer: a text, a regular expression, a JSON schema, values in
    JSON, a cost, a time, or statements that a model judges (see telex help tests).

    A case passes if the answer is complete and all expectations hold; if any case does not pass, the exit code is 9.
    Answers are saved in the cache folder and used again for the same request until you give --fresh.

    In a pipe, each line has STATUS (passed, failed, error or not run), FILE, NAME, MODEL, SECONDS, COST and REASONS,
    separated by tabs.
    """
    from telex.commands.test.run import TestOptions, run

    run(app, TestOptions(**given))
