"""Blocks that hold lines and no other blocks: code, HTML, tables and headings; paragraphs have a room of their own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from telex.render.markdown._events import Blank, Code, CodeEnd, CodeLine, Heading, TableEnd, TableRow
from telex.render.markdown._html import BLANK, FORMULA_ENDS, formula_end, html_end
from telex.render.markdown._rows import cells

if TYPE_CHECKING:
    from telex.render.markdown._events import Block

__all__ = ["INDENT", "Fence", "Html", "Indented", "Rows", "Taken", "heading"]

INDENT = 4
"""Spaces from which on a line is code, where no paragraph is open."""

_HEADING = re.compile(r"(#{1,6})(?: |$)")
_FENCE = re.compile(r"(`{3,})([^`]*)$|(~{3,})(.*)$")


class Taken(NamedTuple):
    """What a line added to a leaf, and whether the leaf ends with it."""

    blocks: list[Block]
    ended: bool = False


def heading(rest: str) -> Heading | None:
    """The heading that ``rest`` of a line is, between its marks."""
    found = _HEADING.match(rest)
    if found is None:
        return None
    text = rest[found.end() :].strip(" ")
    bare = text.rstrip("#")
    if not bare or bare.endswith(" "):
        text = bare.rstrip(" ")
    return Heading(len(found[1]), text)


@dataclass(slots=True)
class Fence:
    """Code between fences; ``take`` is given a line, where its content begins and where its first letter is.

    If it is ``nested``, a fence with an info string opens an ``inner`` block, unlike in CommonMark.
    """

    mark: str
    indent: int
    nested: bool = False
    inner: tuple[str, ...] = ()

    @classmethod
    def begun_by(cls, rest: str, indent: int, *, nested: bool) -> tuple[Fence, Code] | None:
        found = _FENCE.match(rest)
        if found is None:
            return None
        return cls(found[1] or found[3], indent, nested), Code((found[2] or found[4] or "").strip())

    def take(self, text: str, position: int, start: int) -> Taken:
        rest = text[start:].rstrip(" ")
        if start - position < INDENT and rest.startswith(self.mark):
            innermost = self.inner[-1] if self.inner else self.mark
            if rest != self.mark[0] * len(rest):
                if self.nested and (found := _FENCE.match(rest)):
                    self.inner = (*self.inner, found[1] or found[3])
            elif not self.inner:
                return Taken([], ended=True)
            elif rest.startswith(innermost):
                self.inner = self.inner[:-1]
        return Taken([CodeLine(text[min(start, position + self.indent) :])])

    def end(self) -> list[Block]:
        return [CodeEnd()]


@dataclass(slots=True)
class Html:
    """Lines of HTML or of a formula, up to the one that ``last`` is found in."""

    last: re.Pattern[str]

    @classmethod
    def begun_by(cls, rest: str, indent: int, *, interrupts: bool) -> tuple[Html, Taken] | None:
        formula = formula_end(rest)
        last = formula or html_end(rest, interrupts=interrupts)
        if last is None:
            return None
        begun: list[Block] = [Code(html=True), CodeLine(" " * indent + rest)]
        return cls(last), Taken(begun, ended=formula is None and last.search(rest) is not None)

    def take(self, text: str, position: int, start: int) -> Taken | None:
        if start == len(text) and (self.last is BLANK or self.last in FORMULA_ENDS.values()):
            return None
        return Taken([CodeLine(text[position:])], ended=self.last.search(text, position) is not None)

    def end(self) -> list[Block]:
        return [CodeEnd()]


@dataclass(slots=True)
class Indented:
    """Code by its indentation; ``blanks`` are the empty lines that belong to it if it goes on."""

    blanks: int = 0

    def take(self, text: str, position: int, start: int) -> Taken | None:
        if start == len(text):
            self.blanks += 1
            return Taken([])
        if start - position < INDENT:
            return None
        skipped, self.blanks = self.blanks, 0
        return Taken([*[CodeLine("")] * skipped, CodeLine(text[position + INDENT :])])

    def end(self) -> list[Block]:
        return [CodeEnd(), Blank()] if self.blanks else [CodeEnd()]


@dataclass(slots=True)
class Rows:
    """The rows of a table of so many columns."""

    columns: int

    def row(self, text: str) -> TableRow:
        return TableRow(cells(text, self.columns))

    def end(self) -> list[Block]:
        return [TableEnd()]
