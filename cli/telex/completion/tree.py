"""What the scripts need of the Click tree: commands, options, and what a value may be; no shell's syntax is here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import click

from telex.lazy import LazyGroup
from telex.options import Name

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Argument", "Command", "Files", "Folders", "ModelsOf", "Names", "Option", "Value", "Words", "read"]


@dataclass(frozen=True, slots=True)
class Files:
    """A path."""


@dataclass(frozen=True, slots=True)
class Folders:
    """A path to a folder."""


@dataclass(frozen=True, slots=True)
class Words:
    """One of a few words."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Names:
    """A name from a list of the snapshot; "models" stands for all that ``-m`` takes."""

    list: str


@dataclass(frozen=True, slots=True)
class ModelsOf:
    """A model's id, of the provider that the argument at this place (from 0) names."""

    place: int


Value: TypeAlias = Files | Folders | Words | Names | ModelsOf | None
"""What a value may be; None where only its author knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option in all its spellings, ``--no-`` forms among them."""

    names: tuple[str, ...]
    help: str
    takes_value: bool
    value: Value
    label: str
    repeatable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """A word in a place of its own; a repeatable one takes all that follow."""

    label: str
    value: Value
    repeatable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command with all below it; ``words`` are how it is called, from ``telex`` on."""

    words: tuple[str, ...]
    help: str
    options: tuple[Option, ...]
    arguments: tuple[Argument, ...]
    commands: tuple[Command, ...]

    def walk(self) -> Iterator[Command]:
        """The command itself, and each below it."""
        yield self
        for command in self.commands:
            yield from command.walk()


def read(root: click.Command, name: str = "telex") -> Command:
    """The tree below ``root``, without what is hidden; raises ``ValueError`` for what no script can say."""
    return _command(root, (name,), root.get_short_help_str(_LONGEST), None)


def _command(
    command: click.Command, words: tuple[str, ...], help_line: str, parent: click.Context | None
) -> Command:
    context = click.Context(command, parent, words[-1], **command.context_settings)
    params = [param for param in command.get_params(context) if not getattr(param, "hidden", False)]
    arguments = [param for param in params if isinstance(param, click.Argument)]
    below: list[Command] = []
    if isinstance(command, click.Group):
        rows = command.rows if isinstance(command, LazyGroup) else {}
        for name in command.list_commands(context):
            each = command.get_command(context, name)
            if each is not None and not each.hidden:
                line = rows[name][1] if name in rows else each.get_short_help_str(_LONGEST)
                below.append(_command(each, (*words, name), line, context))
    return Command(
        words=words,
        help=help_line,
        options=tuple(_option(param, arguments) for param in params if isinstance(param, click.Option)),
        arguments=tuple(
            Argument(
                label=_label(argument),
                value=_value(argument, arguments),
                repeatable=argument.nargs == -1,
            )
            for argument in arguments
        ),
        commands=tuple(below),
    )


_LONGEST = 200
"""Characters of a line of help; no line is that long, and a cut one would say less."""


def _option(option: click.Option, arguments: list[click.Argument]) -> Option:
    # Short ones first: before 8.5, click named its help option from a set, each time in another order.
    names = (*sorted(option.opts, key=len), *option.secondary_opts)
    takes_value = not (option.is_flag or option.count)
    if takes_value and option.nargs != 1:
        raise ValueError(f"{names[0]} takes {option.nargs} values, and the scripts know of one")
    return Option(
        names=names,
        help=" ".join((option.help or "").split()),
        takes_value=takes_value,
        value=_value(option, arguments) if takes_value else None,
        label=_label(option) if takes_value else "",
        repeatable=option.multiple or option.count,
    )


def _label(param: click.Parameter) -> str:
    return (param.metavar or param.name or "").strip("[].").lower()


def _value(param: click.Parameter, arguments: list[click.Argument]) -> Value:
    match param.type:
        case Name(of=str(other)):
            return ModelsOf([argument.name for argument in arguments].index(other))
        case Name(completes=kind):
            return Names("aliases" if kind == "alias" else f"{kind}s")
        case click.Choice(choices=choices):
            return Words(tuple(_word(choice) for choice in choices))
        case click.Path(file_okay=False):
            return Folders()
        case click.Path() | click.File():
            return Files()
        case _:
            return None


def _word(choice: object) -> str:
    word = str(getattr(choice, "name", choice))  # click offers the names of an enum's members
    if not re.fullmatch(r"[\w.+:@/=-]+", word):
        raise ValueError(f"the choice {word!r} would need quotes in the scripts")
    return word
