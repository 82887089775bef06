"""Lays out tables: columns as wide as the terminal allows, or one line for each cell where it is too narrow.

The width of the columns is found from the first rows, so that a long table can be printed as it comes.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from telex.render.markdown._spans import draw, spans_of_long
from telex.render.styles import BOLD, FAINT
from telex.render.wrapping import cells, drawn, trim, wrap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from telex.render.markdown._events import Table
    from telex.render.markdown._links import Target
    from telex.render.styles import Look
    from telex.render.wrapping import Piece, Row

__all__ = ["DECIDING", "Grid"]

DECIDING = 20
"""Rows from which the width of the columns is found; a table stays live until then."""

_NARROWEST = 10
_BETWEEN = " │ "


class _Cell:
    __slots__ = ("broken", "longest", "pieces", "size", "slack", "text")

    def __init__(self, pieces: list[Piece]) -> None:
        self.pieces = pieces
        self.text = "".join(text for text, _ in self.pieces).rstrip()
        lines = self.text.split("\n")
        self.broken = len(lines) > 1
        self.size = max(map(cells, lines))
        self.slack = max(cells(line) - drawn(line) for line in lines)
        self.longest = max(map(cells, self.text.split()), default=0)


class Grid:
    """A table on its way: rows go in, lines come out."""

    def __init__(self, table: Table, references: Mapping[str, Target], look: Look) -> None:
        self._look = look
        self._references = references
        self._alignments = table.alignments
        self._header = [self._cell(text, BOLD) for text in table.header]
        self._first: list[list[_Cell]] = []
        self._widths: list[int] | None = None
        self._room = 0
        self._ruled = False
        self._printed = False

    def clone(self) -> Grid:
        """The same table so far, to try out rows with."""
        other = copy.copy(self)
        other._first = self._first.copy()
        return other

    def add(self, row: tuple[str, ...], room: int) -> list[Row]:
        """Take a row; the lines that became final, at most ``room`` cells wide."""
        found = [self._cell(text, 0) for text in row]
        if not self._printed:
            self._first.append(found)
            return self.end(room) if len(self._first) >= DECIDING else []
        if room != self._room:
            self._decide(room)
        return self._rows([found], between=bool(self._first))

    def end(self, room: int) -> list[Row]:
        """The lines that are still waiting."""
        if self._printed:
            return []
        self._printed = True
        self._decide(room)
        if self._widths is None:
            if not self._first:
                return [row for cell in self._header for row in self._wrapped(cell)]
            return self._rows(self._first, between=False)
        return [*self._row(self._header), self._line(), *self._rows(self._first, between=False)]

    def _cell(self, text: str, base: int) -> _Cell:
        return _Cell(spans_of_long(text, self._references, self._look, base=base))

    def _decide(self, room: int) -> None:
        """Give each column what it needs; where that is too much, take from the widest ones."""
        self._room = room
        rows = [self._header, *self._first]
        columns = list(zip(*rows, strict=True))
        needs = [max(1, *(cell.size for cell in column)) for column in columns]
        words = [
            min(need, max(cell.longest for cell in column))
            for need, column in zip(needs, columns, strict=True)
        ]
        slack = max(sum(cell.slack for cell in row) for row in rows)
        available = room - len(_BETWEEN) * (len(needs) - 1) - slack
        self._widths = needs if sum(needs) <= available else None
        if self._widths is None and sum(words) <= available:
            self._widths = _share(needs, [max(1, word) for word in words], available)
        if self._widths is None:
            # Only in the column with the longest word words are split, if it keeps a useful width.
            longest = words.index(max(words))
            words[longest] = available - (sum(words) - words[longest])
            if words[longest] >= _NARROWEST:
                self._widths = _share(needs, [max(1, word) for word in words], available)
        # A line between rows where it would not be seen otherwise which one a line belongs to.
        self._ruled = self._widths is None or any(
            cell.size > width or cell.broken
            for row in rows
            for cell, width in zip(row, self._widths, strict=True)
        )

    def _rows(self, rows: list[list[_Cell]], *, between: bool) -> list[Row]:
        lines: list[Row] = []
        for number, row in enumerate(rows):
            if self._ruled and (number or between):
                lines.append(self._line())
            lines += self._row(row)
        return lines

    def _row(self, row: list[_Cell]) -> list[Row]:
        if self._widths is None:
            return self._stacked(row)
        wrapped = [_broken(cell, width) for cell, width in zip(row, self._widths, strict=True)]
        faint = self._look.sgr(FAINT)
        lines = []
        for number in range(max(map(len, wrapped))):
            line: list[Piece] = []
            for column, rows in enumerate(wrapped):
                pieces = rows[number] if number < len(rows) else []
                left, right = self._padding(pieces, column)
                line += [(" " * left, ""), *pieces, (" " * right, "")]
                if column < len(wrapped) - 1:
                    line.append((_BETWEEN, faint))
            lines.append(draw(line, self._look, sum(cells(text) for text, _ in line)))
        return lines

    def _stacked(self, row: list[_Cell]) -> list[Row]:
        """A row as one line for each cell, with the column's name."""
        lines: list[Row] = []
        for head, cell in zip(self._header, row, strict=True):
            named = _Cell([*head.pieces, (": ", ""), *cell.pieces]) if head.text else cell
            lines += self._wrapped(named)
        return lines

    def _wrapped(self, cell: _Cell) -> list[Row]:
        return [
            draw(pieces, self._look, sum(cells(text) for text, _ in pieces))
            for pieces in _broken(cell, self._room)
        ]

    def _line(self) -> Row:
        widths = self._widths or [min(self._room, 8)]
        line = "─┼─".join("─" * width for width in widths)
        return draw([(line, self._look.sgr(FAINT))], self._look, len(line))

    def _padding(self, pieces: list[Piece], column: int) -> tuple[int, int]:
        width = self._widths[column] if self._widths else 0
        free = max(0, width - sum(drawn(text) for text, _ in pieces))
        match self._alignments[column]:
            case "right":
                return free, 0
            case "center":
                return free // 2, free - free // 2
            case _:
                return 0, free


def _broken(cell: _Cell, width: int) -> list[list[Piece]]:
    rows = wrap(cell.text, width)
    return [_bare(trim(cell.pieces, start, end)) for start, end in rows]


def _bare(pieces: list[Piece]) -> list[Piece]:
    """Pieces without spaces at their end."""
    while pieces and not (bare := pieces[-1][0].rstrip(" ")):
        pieces = pieces[:-1]
    return [*pieces[:-1], (bare, pieces[-1][1])] if pieces else []


def _share(needs: list[int], least: list[int], available: int) -> list[int]:
    """Widths between ``least`` and ``needs`` that fill ``available``: all columns up to one common limit."""
    low, high = 0, max(needs)
    while low < high:
        limit = (low + high + 1) // 2
        if _sum(needs, least, limit) <= available:
            low = limit
        else:
            high = limit - 1
    widths = [max(floor, min(need, low)) for need, floor in zip(needs, least, strict=True)]
    spare = available - sum(widths)
    for column, need in enumerate(needs):
        if spare > 0 and widths[column] < need:
            widths[column] += 1
            spare -= 1
    return widths


def _sum(needs: list[int], least: list[int], limit: int) -> int:
    return sum(max(floor, min(need, limit)) for need, floor in zip(needs, least, strict=True))
