"""``telex chat``: its options; what becomes of them is in ``asking``, and the prompt is put together in ``prompt``."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import click

from telex.command import Command
from telex.context import App, pass_app
from telex.exits import ASKING, ExitCode
from telex.options import BodyField, Name, Number, network_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["command"]

_MOST_FILES = 5
"""Files that an error names."""


class _Chat(Command):
    """What is wrong on the command line is in the output too, where programs read it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = args[: args.index("--")] if "--" in args else list(args)
        try:
            rest = super().parse_args(ctx, args)
            if not ctx.resilient_parsing:
                _check_words(words, ctx.params)
            return rest
        except click.UsageError as error:
            app = ctx.find_object(App)
            if app is not None and ("--json" in words) != ("--jsonl" in words):
                from telex.render.show import View, show_for

                show = show_for(app, View(format="json" if "--json" in words else "jsonl"))
                show.failed(click.UsageError(error.format_message()))
            raise


def _check_words(words: Sequence[str], given: Mapping[str, Any]) -> None:
    """Raise ``click.UsageError`` for files that a shell's pattern left in the prompt, as in ``-f *.py``."""
    option, left = "", []
    for word in words:
        # Short options without a value may stand before it, as in -qf.
        if found := re.match(r"-[cxvuq]*([fi])|--(f)ile(?=$|=)|--(i)mage(?=$|=)", word):
            option = f"-{found[1] or found[2] or found[3]}"
        elif option and word in given["prompt"] and os.path.isfile(word):  # noqa: PTH113 - Path raises for a long one
            left.append((option, word))
    if left:
        import shlex

        attached = [
            *(("-f", name) for name in given["files"]),
            *(("-i", name) for name in given["images"]),
            *left,
        ]
        shown = [f"{each} {shlex.quote(name)}" for each, name in attached[:_MOST_FILES]]
        more = " …" if len(attached) > _MOST_FILES else ""
        raise click.UsageError(
            f"{left[0][1]} is a file, and {left[0][0]} takes one file\nRepeat the option: {' '.join(shown)}{more}\n"
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
@click.option(
    "-m",
    "--model",
    "models",
    type=Name("model"),
    multiple=True,
    metavar="ID",
    help="provider/model, a provider, or a model that only one has. Given again: one more to ask.",
)
@click.option("-s", "--system", metavar="TEXT", help="The system message.")
@click.option(
    "--template",
    type=Name("template"),
    metavar="NAME",
    help="A prompt that is kept: see telex templates. What is given here wins over what it says.",
)
@click.option(
    "--var",
    "variables",
    multiple=True,
    metavar="NAME=VALUE",
    help="What a variable of the template stands for.",
)
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    type=click.Path(),
    metavar="FILE",
    help="A text file that stands before the prompt; - is stdin.",
)
@click.option(
    "-i",
    "--image",
    "images",
    multiple=True,
    type=click.Path(),
    metavar="FILE",
    help="An image: a file, an https address, or - for stdin.",
)
@click.option("-c", "--continue", "go_on", is_flag=True, help="Go on with the latest conversation.")
@click.option(
    "--conversation", metavar="ID", help="Go on with this one: its id, the id's beginning, or its title."
)
@click.option("--no-save", is_flag=True, help="Keep nothing of this in the history.")
@click.option(
    "--stream/--no-stream", default=True, help="Show the answer as it comes (default) or when it is whole."
)
@click.option("--max-tokens", type=click.IntRange(min=1), metavar="N", help="The longest answer, in tokens.")
@click.option("-t", "--temperature", type=Number(min=0), metavar="T", help="Randomness; sent only if given.")
@click.option(
    "-p",
    "--param",
    "params",
    type=BodyField(),
    multiple=True,
    help="Any further field of the request's body.",
)
@click.option("--reasoning-effort", metavar="LEVEL", help="How hard to think: none, low, medium, high, …")
@click.option(
    "--reasoning", type=click.Choice(["show", "hide", "summary"]), help="What of the thinking is shown."
)
@click.option("--markdown/--plain", default=None, help="Lay the answer out, or show it as it was written.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object when the answer has ended.")
@click.option("--jsonl", "as_jsonl", is_flag=True, help="One JSON object a line for each event as it comes.")
@click.option("-x", "--extract", is_flag=True, help="Only the first code block of the answer.")
@click.option(
    "--schema",
    metavar="FILE|JSON|FIELDS",
    help='JSON that fits: a schema\'s file, a schema, or fields as in "name, age int, tags list".',
)
@click.option(
    "--retries-schema",
    type=click.IntRange(0, 10),
    default=1,
    show_default=True,
    metavar="N",
    help="How often to ask again where the answer does not fit the schema.",
)
@click.option(
    "--tools",
    type=Name("server"),
    multiple=True,
    metavar="NAME,…",
    help="MCP servers whose tools the model may call, or all: see telex mcp.",
)
@click.option(
    "--allow",
    multiple=True,
    metavar="PATTERN",
    help="Tools that run without being asked about: server/read_*",
)
@click.option("--tool-choice", metavar="HOW", help="auto, required, none, or the tool that has to be called.")
@click.option(
    "--max-turns",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    metavar="N",
    help="How many requests the calls of tools may lead to.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Write the answer to FILE; leave FILE unchanged if the answer is incomplete.",
)
@click.option("--dry-run", is_flag=True, help="Print the request, without its key, and send nothing.")
@click.option(
    "-v", "--verbose", count=True, help="Say on stderr what goes over the wire; -vv: all that comes too."
)
@click.option("-u", "--usage", is_flag=True, help="Say in full how many tokens it took, and how long.")
@click.option("-q", "--quiet", is_flag=True, help="Only the answer, and errors.")
@click.option("--no-stdin", is_flag=True, help="Do not read stdin.")
@network_options
@pass_app
def command(app: App, /, **given: Any) -> None:
    """Send PROMPT and stream the answer to stdout.

    Text piped to stdin is placed before the prompt, separated by a blank line: telex waits for its end,
    however long that takes. A PROMPT of "-" reads stdin from a terminal, too. With no prompt on a terminal,
    starts an interactive conversation.
    """
    from telex.commands.chat.asking import Options, run

    run(app, Options(**given))
