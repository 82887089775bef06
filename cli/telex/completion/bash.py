"""The table of commands in bash's words; all that is done with it stands in ``body.bash``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telex.completion.tree import Files, Folders, ModelsOf, Names, Words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telex.completion.tree import Argument, Command, Option, Value

__all__ = ["argument", "kind", "option", "table"]


def table(root: Command) -> Iterator[str]:
    """The lines of a ``case``: what each command takes."""
    for command in root.walk():
        yield f"    '{' '.join(command.words)}')"
        for name, words in (
            ("commands", [each.words[-1] for each in command.commands]),
            ("options", [f"'{option(each)}'" for each in command.options]),
            ("arguments", [f"'{argument(each)}'" for each in command.arguments]),
        ):
            if words:
                yield f"        {name}=({' '.join(words)})"
        yield "        ;;"


def option(option: Option) -> str:
    """An option in one line: "-m,--model name model", "*-v,--verbose"."""
    star = "*" if option.repeatable else ""
    value = f" {kind(option.value)}" if option.takes_value else ""
    return f"{star}{','.join(option.names)}{value}"


def argument(argument: Argument) -> str:
    """An argument in one word: "any", "*name provider"."""
    return f"{'*' if argument.repeatable else ''}{kind(argument.value)}"


def kind(value: Value) -> str:
    """What a value may be, as the scripts name it."""
    match value:
        case Files():
            return "files"
        case Folders():
            return "folders"
        case Words(words=words):
            return f"one {' '.join(words)}"
        case Names(list=name):
            return f"name {name}"
        case ModelsOf(place=place):
            return f"models-of {place}"
        case None:
            return "any"
