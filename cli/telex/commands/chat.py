"""The options of ``telex chat``; ``chat.plan`` reads them, and ``chat.run`` runs the plan."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import click

from provider_core import limits
from telex.app import App, pass_app
from telex.exit_codes import ASKING, ExitCode
from telex.main import Command
from telex.options import (
    Name,
    Size,
    effort_option,
    max_cost_option,
    max_tokens_option,
    network_options,
    params_option,
    schema_option,
    schema_retries_option,
    system_option,
    temperature_option,
    template_option,
    variables_option,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telex.render import Format


class _Chat(Command):
    """Reports usage errors in the output of ``--json`` and ``--jsonl`` too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = args[: args.index("--")] if "--" in args else list(args)
        try:
            rest = super().parse_args(ctx, args)
            if not ctx.resilient_parsing:
                _check_words(words, ctx.params["prompt"])
            return rest
        except click.UsageError as error:
            app = ctx.find_object(App)
            if app is not None and ("--json" in words) != ("--jsonl" in words):
                from telex.render.json import render_failure

                format_: Format = "json" if "--json" in words else "jsonl"
                render_failure(app.console, format_, error)
            raise


def _check_words(words: Sequence[str], prompt: Sequence[str]) -> None:
    """Raise ``click.UsageError`` if a shell pattern such as ``-f *.py`` left files in the prompt."""
    option = ""
    for word in words:
        # It may follow short options without a value, as in -qf.
        if found := re.match(r"-[cxvuq]*([fi])|--(f)ile(?=$|=)|--(i)mage(?=$|=)", word):
            option = f"-{found[1] or found[2] or found[3]}"
        elif option and word in prompt and os.path.isfile(word):  # noqa: PTH113 - Path raises for a long one
            raise click.UsageError(
                f"{word} is a file, and {option} takes one file\n"
                "Repeat the option for each file, or quote the pattern.\n"
                'If the word belongs to the prompt, put "--" before the prompt.'
            )


@click.command(
    cls=_Chat,
    examples=(
        'telex chat "Why is the sky blue?"',
        'git diff | telex chat -m groq "Write a commit message for this."',
        'telex chat -c "And at sunset?"',
    ),
    exits=(*ASKING, ExitCode.TOOL),
    otherwise='If it belongs to the prompt, put "--" before the prompt: telex chat -- {word}',
)
@click.argument("prompt", nargs=-1)
@click.option("-m", "--model", "models", type=Name("model"), multiple=True, metavar="ID",
              help="Model to use: an alias, PROVIDER/MODEL, a provider, or a model name that only one "
                   "provider has. Repeat to ask several models; each answer gets a heading.")  # fmt: skip
@system_option
@template_option
@variables_option
@click.option("-f", "--file", "files", multiple=True, type=click.Path(), metavar="PATH|URL",
              help="Put a file, a folder, the files that match a quoted pattern, lines of a file "
                   "(a.py:10-40), a PDF, or a web page before the prompt; - is stdin. Repeatable.")  # fmt: skip
@click.option("-i", "--image", "images", multiple=True, type=click.Path(), metavar="FILE",
              help="Attach an image: a file, an https address, or - for stdin. Repeatable.")  # fmt: skip
@click.option("--paste", is_flag=True, help="Attach the text or the image in the clipboard.")
@click.option("--attach-limit", type=Size(), default=limits.ATTACHED, metavar="SIZE",
              help="Maximum size of all folders and patterns of -f together, such as 500kB or 10MB. "
                   "[default: 2MB]")  # fmt: skip
@click.option("-c", "--continue", "go_on", is_flag=True, help="Continue the most recently used conversation.")
@click.option("--conversation", metavar="ID",
              help="Continue this conversation: an id, the first four or more characters of an id, or "
                   "all or part of a title.")  # fmt: skip
@click.option("--no-save", is_flag=True, help="Do not save this chat in the history; telex usage counts it.")
@click.option(
    "--stream/--no-stream", default=None, help="Print the answer as it arrives (default), or all at once."
)
@max_tokens_option
@click.option("--whole", is_flag=True,
              help="Continue an answer that a token limit or a broken connection cuts, until it is "
                   "complete.")  # fmt: skip
@temperature_option
@params_option
@effort_option
@click.option("--reasoning", type=click.Choice(["show", "hide", "summary"]),
              help="How much of the model's reasoning to show: show, hide or summary (one line). "
                   "[default: show]")  # fmt: skip
@click.option(
    "--markdown/--plain", default=None, help="Render Markdown (default on a terminal), or print it unchanged."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
@click.option("--jsonl", "as_jsonl", is_flag=True,
              help="Print one JSON object for each event, one per line, as it happens.")  # fmt: skip
@click.option("--web", is_flag=True, default=None,
              help="Let the provider search the web; its sources follow the answer.")  # fmt: skip
@click.option("-x", "--extract", is_flag=True,
              help="Print only the first code block; if there is none, print the whole answer, with a "
                   "note on stderr.")  # fmt: skip
@schema_option
@schema_retries_option
@click.option("--tools", type=Name("server"), multiple=True, metavar="NAME,…",
              help="Let the model call the tools of these MCP servers; all means every enabled one "
                   "(see telex mcp).")  # fmt: skip
@click.option("--allow", multiple=True, metavar="PATTERN",
              help="Run tools matching PATTERN without asking for approval, such as server/read_*. "
                   "Repeatable.")  # fmt: skip
@click.option(
    "--tool-choice", metavar="HOW", help="Control tool use: auto, required, none, or the name of one tool."
)
@click.option("--max-turns", type=click.IntRange(min=1), default=10, show_default=True, metavar="N",
              help="Maximum number of requests in a tool-calling loop.")  # fmt: skip
@max_cost_option("Stop before a request that would bring the cost of this chat above this.")
@click.option("-o", "--output", metavar="FILE",
              help="Write the answer to FILE. If telex does not exit with 0, FILE is unchanged and the"
                   " output goes to FILE.partial.")  # fmt: skip
@click.option("--copy", is_flag=True, help="Copy the answer to the clipboard, if it is complete.")
@click.option("--save-images", metavar="DIR", help="Write the images of the answer to new files in DIR.")
@click.option("--dry-run", is_flag=True, help="Print the request, with the key redacted, and exit.")
@click.option("-v", "--verbose", count=True,
              help="Log the request and the response headers to stderr; -vv also logs the response "
                   "body.")  # fmt: skip
@click.option("-u", "--usage", is_flag=True, help="Print tokens, cost and times in full, after the answer.")
@click.option("-q", "--quiet", is_flag=True,
              help="Print only the answer and errors. Reasoning is hidden unless you give --reasoning.")  # fmt: skip
@click.option("--no-stdin", is_flag=True, help="Do not read stdin.")
@network_options
@click.option("--profile", type=Name("profile"), metavar="NAME",
              help="Use a profile, as telex --profile NAME does.")  # fmt: skip
@pass_app
def command(app: App, /, *, profile: str | None, **given: Any) -> None:
    """Send PROMPT and stream the answer to stdout.

    Text piped to stdin is placed before the prompt, separated by a blank line. telex reads it to its end
    before it sends anything. A PROMPT of "-" reads stdin even from a terminal. With no prompt on a terminal, starts an
    interactive conversation.
    """
    from telex.chat import Options
    from telex.chat.run import run

    if profile is not None:
        app.runtime.profile = profile
    conversation = run(app, Options(**given))
    if conversation is not None:
        from telex.repl import run_conversation

        run_conversation(app, conversation)
