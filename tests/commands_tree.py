"""All commands, and a check whether telex would understand a command line."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import click

from telex.main import CommandWithVerbs, Group, root

if TYPE_CHECKING:
    from collections.abc import Iterator

Below = tuple[tuple[str, ...], click.Command]


def commands() -> Iterator[Below]:
    """Every command that help shows, with the words that call it: ("telex", "models", "list")."""
    yield from _walk(("telex",), root)


def _walk(words: tuple[str, ...], command: click.Command) -> Iterator[Below]:
    yield words, command
    if isinstance(command, Group):
        for name, below, _ in command.below(click.Context(command)):
            yield from _walk((*words, name), below)


def calls(line: str) -> list[list[str]]:
    """The arguments of each ``telex`` in a command line of a shell, also in pipes, after xargs and in $(…)."""
    inner = re.findall(r"\$\(([^()]*)\)", line)
    found = [call for each in inner for call in calls(each)]
    lexer = shlex.shlex(re.sub(r"\$\([^()]*\)", "WORD", line), posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    words: list[str] | None = None
    skip = False
    for word in lexer:
        if set(word) <= set("|&;"):
            words = None
        elif set(word) <= set("<>"):
            skip = True
        elif skip:
            skip = False
        elif words is not None:
            words.append(word)
        elif word == "telex":
            words = []
            found.append(words)
    return found


def check(words: list[str], *, more: bool = False) -> click.Context:
    """Raise ``click.UsageError`` if telex would not understand ``words``; with ``more``, xargs adds arguments.

    Files need not be there, and no command is run.
    """
    command: click.Command = root
    context = click.Context(root, info_name="telex", **root.context_settings)
    while isinstance(command, click.Group):
        if isinstance(command, CommandWithVerbs) and words[:1] not in [[name] for name in command.rows]:
            break
        if words[:1] in ([], ["--help"]) or (words[0] in ("-V", "--version") and command is root):
            return context
        _, below, words = command.resolve_command(context, words)
        assert below is not None
        context = click.Context(below, context, info_name=below.name, **below.context_settings)
        command = below
    values, rest, _ = command.make_parser(context).parse_args(list(words))
    if rest:
        raise click.UsageError(f"too many words: {rest}", context)
    if values.get("help"):
        return context
    for param in command.get_params(context):
        value = values.get(param.name)
        if not isinstance(value, str | list | tuple):
            if isinstance(param, click.Argument) and param.required and not more:
                raise click.UsageError(f"{param.name} is missing", context)
        elif not isinstance(param.type, click.Path | click.File):
            param.type_cast_value(context, value)
    return context
