"""Prints blocks as rows: indents, bullets, quotes' bars, the empty lines between; never what is already printed.

How a block looks depends on what came before it and on nothing after it: numbers of items are not aligned, and
items stand apart only where the text sets them apart.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from telex.render.highlighting import Highlighter
from telex.render.markdown._events import (
    Blank,
    Code,
    CodeEnd,
    CodeLine,
    Definition,
    Enter,
    Heading,
    Item,
    Leave,
    Listing,
    Paragraph,
    Quote,
    Rule,
    Table,
    TableEnd,
    TableRow,
)
from telex.render.markdown._spans import draw, spans, spans_of_long
from telex.render.markdown._table import Grid
from telex.render.styles import FAINT, HEADING, MARKER, Colour
from telex.render.wrapping import Row, cells, chop, trim, wrap

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from telex.render.markdown._events import Block, Container
    from telex.render.markdown._links import Target
    from telex.render.styles import Look
    from telex.render.wrapping import Piece

__all__ = ["Printer"]

_LEAST_ROOM = 8
_RULE_AT_MOST = 80
_TASKS = {"[ ] ": "☐", "[x] ": "☑", "[X] ": "☑"}


@dataclass(slots=True)
class _Frame:
    """An open container: what its first row begins with, and what every other one does."""

    container: Container
    number: int
    first: str
    rest: str
    items: int = 0
    used: bool = False


class Printer:
    """Takes blocks, collects rows of at most ``width`` cells.

    Only code lines are left longer, for the terminal to break, unless they have to be ``narrow`` too.
    """

    def __init__(
        self, references: Mapping[str, Target], look: Look, width: int, *, narrow: bool = False
    ) -> None:
        self.width = width
        self._narrow = narrow
        self._references = references
        self._look = look
        self._numbers = count()
        self._frames: list[_Frame] = []
        self._last: tuple[int, ...] | None = None  # where the last block stood
        self._blank = False
        self._rows: list[Row] = []
        self._tail: list[Piece] = []  # the last row of a paragraph that goes on
        self._code: Highlighter | None = None
        self._code_begins = False
        self._rule = self._language = ""
        self._grid: Grid | None = None
        self._draft = False

    def clone(self, references: Mapping[str, Target], *, draft: bool = False) -> Printer:
        """A printer in the same place, with no rows to give yet.

        A ``draft`` shows open markup as if it were closed, and leaves no line to the terminal to break.
        """
        other = copy.copy(self)
        other._references = references
        other._frames = [copy.copy(frame) for frame in self._frames]
        other._rows = []
        other._code = self._code and self._code.clone()
        other._grid = self._grid and self._grid.clone()
        other._draft = draft
        return other

    def print(self, blocks: Iterable[Block]) -> None:
        """Take blocks in the order in which they were read."""
        for block in blocks:
            self._print(block)

    def take(self) -> list[Row]:
        """The rows since the last call."""
        rows, self._rows = self._rows, []
        return rows

    def _print(self, block: Block) -> None:
        match block:
            case CodeLine(text) if self._code is not None:
                self._lines(self._code.add(text))
            case Paragraph():
                self._paragraph(block)
            case Blank():
                self._blank = True
            case Enter(container):
                self._enter(container)
            case Leave():
                self._leave()
            case Heading(level, text):
                self._heading(level, text)
            case Code(info, html):
                self._code, self._code_begins = Highlighter(info, self._look), True
                # Without colours a rule tells code from prose.
                self._rule = "" if html or self._code.colours else "───"
                self._language = f" {info.split()[0]}" if info and info.strip() else ""
            case CodeEnd() if self._code is not None:
                self._lines(self._code.end())
                if self._rule and not self._code_begins:
                    self._put([self._styled(self._rule, FAINT)])
                self._code = None
            case Table():
                self._space()
                self._grid = Grid(block, self._references, self._look)
            case TableRow(cells=row) if self._grid is not None:
                self._put(self._grid.add(row, self._room()))
            case TableEnd() if self._grid is not None:
                self._put(self._grid.end(self._room()))
                self._grid = None
            case Rule():
                self._space()
                size = min(self._room(), _RULE_AT_MOST)
                self._put([self._styled("─" * size, FAINT)])
            case Definition(text):
                self._space()
                for line in text.split("\n"):
                    self._put([self._styled(row, FAINT) for row in chop(line, self._room())])

    def _enter(self, container: Container) -> None:
        first = rest = ""
        match container:
            case Quote():
                first = rest = "│ "
            case Item():
                listing = self._frames[-1]
                match listing.container:
                    case Listing(marker=marker, start=int(start)):
                        first = f"{start + listing.items}{marker} "
                    case _:
                        first = "• "
                listing.items += 1
                rest = " " * len(first)
        self._frames.append(_Frame(container, next(self._numbers), first, rest))

    def _leave(self) -> None:
        if not self._frames[-1].used and not isinstance(self._frames[-1].container, Listing):
            self._space()
            self._put([Row("", 0)])  # an item or a quote with nothing in it
        # An empty line behind a quote's mark was inside of it.
        if isinstance(self._frames.pop().container, Quote):
            self._blank = False

    def _space(self) -> None:
        """An empty line, if one belongs between the last block and the one to come."""
        here = tuple(frame.number for frame in self._frames)
        if self._last is not None:
            depth = 0
            while depth < min(len(here), len(self._last)) and here[depth] == self._last[depth]:
                depth += 1
            common = self._frames[depth - 1].container if depth else None
            if self._blank or not isinstance(common, Item | Listing):
                bars = "".join(frame.rest for frame in self._frames[:depth])
                self._rows.append(self._styled(bars.rstrip(" "), FAINT))
        self._last, self._blank = here, False

    def _room(self) -> int:
        return max(self.width - len(self._prefix()), 1)

    def _prefix(self) -> str:
        """What the next row begins with: what is innermost, where the terminal is too narrow for all of it."""
        prefix = "".join(frame.rest if frame.used else frame.first for frame in self._frames)
        room = max(self.width - _LEAST_ROOM, 0)
        return prefix if len(prefix) <= room else prefix[len(prefix) - room :]

    def _put(self, rows: Iterable[Row]) -> None:
        prefix = self._prefix()
        for text, size in rows:
            bare = prefix if text else prefix.rstrip(" ")
            self._rows.append(Row(self._marked(bare) + text, len(bare) + size) if bare else Row(text, size))
            if prefix.strip(" "):
                for frame in self._frames:
                    frame.used = True
                prefix = self._prefix()

    def _marked(self, prefix: str) -> str:
        if prefix.isspace() or not prefix:
            return prefix
        sgr = self._look.sgr(FAINT if set(prefix) <= {"│", " "} else MARKER)
        inner = prefix.strip(" ")
        return prefix.replace(inner, self._look.paint(inner, sgr))

    def _styled(self, text: str, style: int) -> Row:
        return Row(self._look.paint(text, self._look.sgr(style)) if text else "", cells(text))

    def _heading(self, level: int, text: str) -> None:
        """The first two levels differ in style, the others have their marks; without styles all have."""
        if pieces := spans_of_long(text, self._references, self._look, base=HEADING * level):
            self._space()
            if level > 2 or self._look.colour is Colour.NONE:
                pieces = [("#" * level + " ", self._look.sgr(FAINT)), *pieces]
            self._wrapped(pieces)

    def _paragraph(self, block: Paragraph) -> None:
        text = block.text
        if block.first:
            self._space()
            self._tail = []
            text = self._task(text)
        pieces = [*self._tail, *spans(text, self._references, self._look, draft=self._draft and block.last)]
        self._tail = []
        if pieces:
            self._wrapped(pieces, goes_on=not block.last)

    def _task(self, text: str) -> str:
        frame = self._frames[-1] if self._frames else None
        if frame and isinstance(frame.container, Item) and not frame.used and text[:4] in _TASKS:
            box = _TASKS[text[:4]]
            frame.first = f"{box} " if frame.first == "• " else f"{frame.first}{box} "
            frame.rest = " " * len(frame.first)
            return text[4:]
        return text

    def _wrapped(self, pieces: list[Piece], *, goes_on: bool = False) -> None:
        plain = "".join(text for text, _ in pieces)
        breaks = wrap(plain, self._room())
        if goes_on:
            start, end = breaks.pop()
            self._tail = trim(pieces, start, end)
        rows, at, skipped = [], 0, 0
        for start, end in breaks:
            # Pieces before this row are not looked at again, or a long paragraph would cost its square.
            while at < len(pieces) and skipped + len(pieces[at][0]) <= start:
                skipped += len(pieces[at][0])
                at += 1
            last, behind = at, skipped
            while last < len(pieces) and behind < end:
                behind += len(pieces[last][0])
                last += 1
            row = trim(pieces[at:last], start - skipped, end - skipped)
            rows.append(draw(row, self._look, cells(plain[start:end])))
        self._put(rows)

    def _lines(self, lines: Iterable[list[Piece]]) -> None:
        for line in lines:
            if self._code_begins:
                self._space()
                self._code_begins = False
                if self._rule:
                    self._put([self._styled(chop(self._rule + self._language, self._room())[0], FAINT)])
            plain = "".join(text for text, _ in line)
            size = cells(plain)
            prefix = self._prefix()
            # The terminal breaks a long line itself: copied from there it is one line again.
            if size + len(prefix) <= self.width or not (self._narrow or self._draft or prefix.strip(" ")):
                self._put([draw(line, self._look, size)])
                continue
            at = 0
            for part in chop(plain, self._room()):
                self._put([draw(trim(line, at, at + len(part)), self._look, cells(part))])
                at += len(part)
