"""Text as it was written, in rows of a width: what ``Layout`` is for Markdown; nothing is parsed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol

from telex.console import visible
from telex.render.wrapping import Row, cells, chop, wrap

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from telex.render.styles import Look

__all__ = ["PlainRows", "Rows", "row"]

_TAB = 8


class Rows(Protocol):
    """Makes rows of a text that comes in pieces; see ``Layout``."""

    @property
    def width(self) -> int: ...
    @width.setter
    def width(self, cells: int) -> None: ...
    def feed(self, text: str) -> None: ...
    def final(self) -> list[Row]: ...
    def draft(self) -> list[Row]: ...
    def end(self) -> list[Row]: ...
    def whole_or_not_at_all(self) -> AbstractContextManager[None]: ...


def row(text: str, look: Look, sgr: str = "") -> Row:
    """One row of one style: the parameters of its escape sequence."""
    return Row(look.paint(text, sgr if look.sgr(1) else "") if text else "", cells(text))


class PlainRows:
    """Rows break where the width ends, or between ``words``; tabs are blanks, and control characters are visible."""

    def __init__(self, look: Look, width: int, *, sgr: str = "", words: bool = False) -> None:
        self.width = width
        self._look = look
        self._sgr = sgr
        self._words = words
        self._text = ""

    def feed(self, text: str) -> None:
        """Take the next piece."""
        self._text += visible(text)

    def final(self) -> list[Row]:
        """The rows that have become final since the last call."""
        *lines, open_line = self._text.split("\n")
        rows = [part for line in lines for part in self._broken(line)]
        *full, self._text = self._broken(open_line)
        return self._styled([*rows, *full])

    def draft(self) -> list[Row]:
        """What is open; to be asked after ``final``."""
        return self._styled(self._broken(self._text)) if self._text else []

    def end(self) -> list[Row]:
        """The rows of all that is left."""
        rows = [*self.final(), *self.draft()]
        self._text = ""
        return rows

    @contextlib.contextmanager
    def whole_or_not_at_all(self) -> Iterator[None]:
        """Be again what it was if anything is raised."""
        text = self._text
        try:
            yield
        except BaseException:
            self._text = text
            raise

    def _broken(self, line: str) -> list[str]:
        """The rows of a line; more text changes the last one alone."""
        line = line.expandtabs(_TAB)
        if not self._words:
            return chop(line, self.width)
        return [line[start:end] for start, end in wrap(line, self.width)]

    def _styled(self, rows: list[str]) -> list[Row]:
        return [row(text, self._look, self._sgr) for text in rows]
