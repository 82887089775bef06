"""``telex batch status`` and ``telex batch cancel``: the jobs that a provider's Batch API runs for a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from telex.app import pass_app
from telex.exit_codes import ExitCode
from telex.main import Command
from telex.options import Name

if TYPE_CHECKING:
    from telex.app import App

_EXITS = (ExitCode.SETTINGS, ExitCode.KEY, ExitCode.LIMIT, ExitCode.PROVIDER, ExitCode.NETWORK)

_output = click.argument("output", type=click.Path(), metavar="OUTPUT|ID")
_model = click.option(
    "-m",
    "--model",
    type=Name("model"),
    metavar="ID",
    help="With the id of a batch, its provider, or a model of it.",
)


@click.command(
    cls=Command,
    examples=(
        "telex batch status out.jsonl",
        "telex batch status batch_abc123 -m openai",
        "telex batch status out.jsonl --json | jq -r '.[].status'",
    ),
    exits=_EXITS,
)
@_output
@_model
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects.")
@pass_app
def status(app: App, /, *, output: str, model: str | None, as_json: bool) -> None:
    """Show the jobs that a provider runs for a batch.

    OUTPUT is the file of --output, or the folder of --output-dir, of a batch that was started with --via provider. For
    any other batch, give its ID and -m.
    """
    from telex.batch import jobs

    jobs.status(app, output, model, as_json=as_json)


@click.command(
    cls=Command,
    examples=(
        "telex batch cancel out.jsonl",
        "telex batch cancel batch_abc123 -m openai",
        "ls *.jsonl.jobs | xargs -n 1 telex batch cancel",
    ),
    exits=_EXITS,
)
@_output
@_model
@pass_app
def cancel(app: App, /, *, output: str, model: str | None) -> None:
    """Cancel the jobs that a provider runs for a batch.

    Requests that are done are paid for: repeat the telex batch command to fetch their answers. It sends the rest again.
    """
    from telex.batch import jobs

    jobs.cancel(app, output, model)
