"""The text of an answer as rows, while it arrives: what is final, and what the open rest looks like so far."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from telex.console import visible
from telex.render.markdown._cut import LONG
from telex.render.markdown._printer import Printer
from telex.render.markdown._reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telex.render.styles import Look
    from telex.render.wrapping import Row

__all__ = ["Layout"]

_LONGEST_DRAFT = 4096
"""Characters of an unfinished line from which on only its end is shown until it is whole."""

# The beginning of a line that may still become anything: shown when it has been decided.
_UNDECIDED = re.compile(r"[ >]*(?:[-+*=_#~`:| ]*|[-+*] \[[ xX]?\]? ?|[0-9]{1,9}[.)]? *|\|.*)", re.DOTALL)
_UNDECIDED_IN_CODE = re.compile(r"[ >]*(?:`+|~+)?")


class Layout:
    """Feed it text in any pieces; ``final`` then gives each row once, in order.

    Rows have at most ``width`` cells, which may be changed at any time for the rows to come. A line of code is one
    row however long it is, unless it has to be ``narrow`` too.
    """

    def __init__(self, look: Look, width: int, *, narrow: bool = False) -> None:
        self._reader = Reader()
        self._printer = Printer(self._reader.references, look, width, narrow=narrow)
        self._chunks: list[str] = []
        self._line = ""  # what has come of the line that is not whole
        self._return = ""
        self._inside_line = False  # the beginning of that line has been read already

    @property
    def width(self) -> int:
        return self._printer.width

    @width.setter
    def width(self, cells: int) -> None:
        self._printer.width = max(1, cells)

    def feed(self, text: str) -> None:
        """Take the next piece; it is read when the rows are asked for."""
        if text:
            self._chunks.append(text)

    def final(self) -> list[Row]:
        """The rows that have become final since the last call."""
        self._read()
        return self._printer.take()

    def end(self) -> list[Row]:
        """The rows of all that is still open: nothing more comes."""
        self._read()
        if self._line:
            self._take_line(self._line)
            self._line = ""
        self._printer.print(self._reader.end())
        return self._printer.take()

    def draft(self) -> list[Row]:
        """What the open block would look like if the text ended here; to be asked after ``final``."""
        reader = self._reader.clone()
        printer = self._printer.clone(reader.references, draft=True)
        line = self._line
        undecided = (_UNDECIDED_IN_CODE if reader.in_code else _UNDECIDED).fullmatch(line)
        if line and not undecided:
            if len(line) > _LONGEST_DRAFT:
                line = line[-4 * printer.width :]
            printer.print(reader.line(line))
        elif reader.paragraph is not None and reader.paragraph.rpartition("\n")[2].startswith("|"):
            reader.drop_last_line()  # very likely the head of a table
        printer.print(reader.end())
        return printer.take()

    @contextlib.contextmanager
    def whole_or_not_at_all(self) -> Iterator[None]:
        """Be again what it was if anything is raised: the text has then been neither read nor printed."""
        reader = self._reader.clone()
        printer = self._printer.clone(reader.references)
        chunks, line, held, inside_line = self._chunks, self._line, self._return, self._inside_line
        self._chunks = chunks.copy()
        try:
            yield
        except BaseException:
            self._reader, self._printer = reader, printer
            self._chunks, self._line, self._return, self._inside_line = chunks, line, held, inside_line
            raise

    def _read(self) -> None:
        """Give the lines that are whole to the reader, and of the last one what is long enough."""
        if not self._chunks:
            return
        raw = self._return + "".join(self._chunks)
        self._chunks.clear()
        # Half of a line's end may still be on its way.
        self._return = "\r" if raw.endswith("\r") else ""
        raw = raw.removesuffix("\r")
        # What a joiner or a selector of variants belongs to may have come before it.
        raw = self._line[-1:] + raw.replace("\r\n", "\n").replace("\r", "\n")
        text = self._line[:-1] + visible(raw)
        *lines, self._line = text.split("\n")
        for line in lines:
            self._take_line(line)
        if self._inside_line:
            self._printer.print(self._reader.more(self._line))
            self._line = ""
        elif len(self._line) > LONG:
            self._begin_line()

    def _take_line(self, line: str) -> None:
        if self._inside_line:
            self._printer.print(self._reader.more(line))
            self._inside_line = False
        else:
            self._printer.print(self._reader.line(line))

    def _begin_line(self) -> None:
        """Read the line that is not whole, if it can only be a paragraph's: that one is printed in parts."""
        trial = self._reader.clone()
        trial.line(self._line)
        if trial.paragraph is not None:
            self._printer.print(self._reader.line(self._line))
            self._line, self._inside_line = "", True
