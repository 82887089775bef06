"""On which line of the settings file a value stands, for who has to find it; nothing is checked or changed here."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["line_of"]

_LONGEST_VALUE = 200
"""Lines that one value may take and still be found."""


def line_of(text: str, keys: Sequence[str]) -> int | None:
    """The line, from 1, on which ``keys`` (a table's, then those below) begins; None where it is not in ``text``.

    A line that only looks like it, in a comment or a text of several lines, is told by reading what comes up to it.
    """
    word = re.compile(rf"(?<![\w-]){re.escape(keys[-1])}(?![\w-])")
    lines = text.replace("\r\n", "\n").split("\n")
    for number, line in enumerate(lines, 1):
        if word.search(line) and _has(_read(lines, number), keys):
            return number
    return None


def _read(lines: list[str], number: int) -> dict[str, Any]:
    """The tables up to this line, and to the end of the value that begins on it."""
    for end in range(number, min(number + _LONGEST_VALUE, len(lines)) + 1):
        try:
            return tomllib.loads("\n".join(lines[:end]))
        except (tomllib.TOMLDecodeError, RecursionError):
            continue
    return {}


def _has(data: Any, keys: Sequence[str]) -> bool:
    for key in keys:
        if not isinstance(data, dict) or key not in data:
            return False
        data = data[key]
    return True
