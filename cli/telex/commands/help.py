"""``telex help``: show a topic, or the help of a command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from telex.app import pass_app
from telex.exit_codes import ExitCode
from telex.help import TOPICS
from telex.main import Command

if TYPE_CHECKING:
    from telex.app import App


class _Word(click.Choice[str]):
    """Any word; completion offers topics and commands."""

    def __init__(self) -> None:
        from telex.main import COMMANDS

        super().__init__(list(dict.fromkeys((*TOPICS, *COMMANDS))))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value)


@click.command(
    cls=Command,
    name="help",
    examples=("telex help environment", "telex help models list", "telex help keys | grep -i openrouter"),
    exits=(ExitCode.OK,),
)
@click.argument("words", metavar="[TOPIC | COMMAND...]", nargs=-1, type=_Word())
@click.pass_context
@pass_app
def command(app: App, ctx: click.Context, *, words: tuple[str, ...]) -> None:
    """Show help for a topic or a command."""
    root = ctx.find_root()
    is_topic = len(words) == 1 and words[0] in TOPICS
    text = _topic(ctx, words[0]) if is_topic else _of_command(root, words)
    app.console.out(f"{text.rstrip()}\n")


def _topic(ctx: click.Context, name: str) -> str:
    from telex.help import write_topic
    from telex.main import COMMANDS

    formatter = ctx.make_formatter()
    formatter.write_text(TOPICS[name])
    if name in COMMANDS:
        formatter.write_text(f"Help for the command: telex {name} --help")
    formatter.write("\n")
    write_topic(formatter, name)
    return formatter.getvalue()


def _of_command(root: click.Context, words: tuple[str, ...]) -> str:
    """The help of the command ``words``; raises ``UsageError`` if there is none."""
    context, command = root, root.command
    for at, word in enumerate(words):
        below = command.get_command(context, word) if isinstance(command, click.Group) else None
        if below is None:
            raise click.UsageError(_unknown(context, command, word, first=at == 0), root)
        context = below.context_class(below, context, info_name=word, **below.context_settings)
        command = below
    return command.get_help(context)


def _unknown(context: click.Context, command: click.Command, word: str, *, first: bool) -> str:
    from provider_core.redaction import close_matches

    if not isinstance(command, click.Group):
        return f"{context.command_path} has no commands. Its help: telex help {_words(context)}"
    names = [*command.list_commands(context), *(TOPICS if first else ())]
    start = f"telex help {_words(context)}".rstrip()
    found = list(close_matches(word, names, most=2, cutoff=0.7))
    if first and not found:
        from telex import suggest

        found = [f"{noun} {verb}" for noun, verb in suggest.subcommands(context, command, {word})]
    meant = " or ".join(f"`{start} {name}`" for name in found)
    what = "not a command or topic" if first else f"not a command of {context.command_path}"
    if not meant and first:
        from telex.help import mentions

        meant = " or ".join(f"`{start} {name}`" for name in mentions(word))
    if meant:
        return f"{word!r} is {what}\nDid you mean {meant}?"
    lines = [f"{word!r} is {what}", f"Commands: {', '.join(command.list_commands(context))}"]
    return "\n".join([*lines, f"Topics: {', '.join(TOPICS)}"] if first else lines)


def _words(context: click.Context) -> str:
    return context.command_path.partition(" ")[2]
