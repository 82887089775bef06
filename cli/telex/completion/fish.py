"""The table of commands in fish's words, with what each is for; what is done with it stands in ``body.fish``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telex.completion.bash import argument, option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telex.completion.tree import Command

__all__ = ["table"]


def table(root: Command) -> Iterator[str]:
    """The lines of a ``switch``: what each command takes."""
    for command in root.walk():
        yield f"        case {_quoted(' '.join(command.words))}"
        for name, rows in (
            ("commands", [f"{each.words[-1]}\t{each.help}" for each in command.commands]),
            ("options", [f"{option(each)}\t{each.help}" for each in command.options]),
            ("arguments", [argument(each) for each in command.arguments]),
        ):
            if rows:
                yield f"            set {name} " + " ".join(_quoted(row) for row in rows)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
