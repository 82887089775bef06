"""Reads Markdown line by line, as CommonMark prescribes: each line is looked at once and yields what it ended.

What stands within a line is not read here. Beyond CommonMark there are GitHub's tables; a paragraph of more
than ``LONG`` characters comes in parts, and becomes no heading, table or definition after that.
"""

from __future__ import annotations

import copy
import re
from collections import ChainMap
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from telex.render.markdown._events import (
    Blank,
    Code,
    CodeEnd,
    CodeLine,
    Enter,
    Heading,
    Item,
    Leave,
    Listing,
    Quote,
    Rule,
    Table,
    TableEnd,
    TableRow,
)
from telex.render.markdown._html import BLANK, html_end
from telex.render.markdown._paragraph import OpenParagraph
from telex.render.markdown._rows import cells

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from telex.render.markdown._events import Block, Container
    from telex.render.markdown._links import Target

__all__ = ["Reader"]

TAB = 4

DEEPEST = 100
"""Containers within each other at most: beyond, their marks are text."""

_HEADING = re.compile(r"(#{1,6})(?: |$)")
_FENCE = re.compile(r"(`{3,})([^`]*)$|(~{3,})(.*)$")
_UNDERLINE = re.compile(r"(=+|-+) *$")
_RULE = re.compile(r"(?:(?:\*[ ]*){3,}|(?:-[ ]*){3,}|(?:_[ ]*){3,})$")
_MARKER = re.compile(r"(?:([-+*])|([0-9]{1,9})([.)]))(?= |$)( *)")
_CODE_INDENT = 4


@dataclass(slots=True)
class _Fence:
    mark: str
    indent: int


@dataclass(slots=True)
class _Indented:
    blanks: int = 0  # empty lines that belong to it if it goes on


@dataclass(slots=True)
class _Html:
    end: re.Pattern[str]


@dataclass(slots=True)
class _Table:
    columns: int


_Leaf: TypeAlias = OpenParagraph | _Fence | _Indented | _Html | _Table


class Reader:
    """The blocks of one text. ``references`` holds the link definitions that have been read."""

    def __init__(self) -> None:
        self.references: MutableMapping[str, Target] = {}
        self._stack: list[Container] = []
        self._leaf: _Leaf | None = None
        self._bare_item = False  # the innermost item has a marker and nothing else yet
        self._column = 0
        self._blocks: list[Block] = []

    @property
    def in_code(self) -> bool:
        """Whether the next line is literal, unless it ends the block."""
        return isinstance(self._leaf, _Fence | _Html)

    @property
    def paragraph(self) -> str | None:
        """The open paragraph's text as far as it has come and has not been given out."""
        return self._leaf.text if isinstance(self._leaf, OpenParagraph) else None

    def clone(self) -> Reader:
        """A reader in the same place, to try what would come of a line, or to come back to."""
        other = Reader()
        other.references = ChainMap({}, self.references)
        other._stack = self._stack.copy()
        other._leaf = copy.copy(self._leaf)
        other._bare_item, other._column = self._bare_item, self._column
        return other

    def line(self, text: str) -> list[Block]:
        """Read one whole line, without its end; what it completed, in order."""
        if "\t" in text:
            text = text.expandtabs(TAB)
        self._column = len(text)
        self._line(text)
        return self._take()

    def more(self, text: str) -> list[Block]:
        """Read on in a line whose beginning was read, and had turned out to be part of a paragraph."""
        if "\t" in text:
            filled = self._column % TAB
            text = (" " * filled + text).expandtabs(TAB)[filled:]
        self._column += len(text)
        if isinstance(self._leaf, OpenParagraph):
            self._blocks += self._leaf.add(text, self.references)
        return self._take()

    def drop_last_line(self) -> None:
        """Forget the last line of the open paragraph."""
        if isinstance(self._leaf, OpenParagraph):
            self._leaf.text = self._leaf.text.rpartition("\n")[0]

    def end(self) -> list[Block]:
        """The text has ended; all that was still open."""
        self._leave(0)
        return self._take()

    def _take(self) -> list[Block]:
        blocks, self._blocks = self._blocks, []
        return blocks

    def _line(self, text: str) -> None:
        position, matched = self._match_containers(text)
        inside = matched == len(self._stack)
        start = _indent(text, position)
        if inside and self._leaf is not None and self._continue(text, position, start):
            return
        opened = False
        while start < len(text):
            continues = inside and not opened and isinstance(self._leaf, OpenParagraph)
            if start - position >= _CODE_INDENT:
                if isinstance(self._leaf, OpenParagraph) or (inside and isinstance(self._leaf, _Table)):
                    break
                self._open(matched)
                self._leaf = _Indented()
                self._blocks += (Code(), CodeLine(text[position + _CODE_INDENT :]))
                return
            if len(self._stack) >= DEEPEST and (text[start] == ">" or _MARKER.match(text, start)):
                break
            if text[start] == ">":
                self._open(matched)
                self._enter(Quote())
                position = start + (2 if text.startswith(" ", start + 1) else 1)
            elif self._start_leaf(text[start:], start - position, matched, continues=continues):
                return
            elif (after := self._start_item(text, position, start, matched, continues=continues)) is not None:
                position = after
            else:
                break
            opened = True
            matched = len(self._stack)
            start = _indent(text, position)
        if start >= len(text):
            self._blank(matched, opened=opened)
        elif isinstance(self._leaf, OpenParagraph) and not opened:
            self._blocks += self._leaf.add_line(text[start:], self.references)
        elif isinstance(self._leaf, _Table) and inside and not opened:
            self._blocks.append(TableRow(cells(text[start:], self._leaf.columns)))
        else:
            self._open(matched)
            self._leaf = OpenParagraph()
            self._blocks += self._leaf.add_line(text[start:], self.references)

    def _match_containers(self, text: str) -> tuple[int, int]:
        """The index behind what continues the open containers, and how many of them go on."""
        position = 0
        for number, container in enumerate(self._stack):
            start = _indent(text, position)
            match container:
                case Quote():
                    if start - position >= _CODE_INDENT or not text.startswith(">", start):
                        return position, number
                    position = start + (2 if text.startswith(" ", start + 1) else 1)
                case Item(indent=indent):
                    if start == len(text):
                        if self._bare_item and number == len(self._stack) - 1:
                            return position, number
                        position = start
                    elif start - position >= indent:
                        position += indent
                    else:
                        return position, number
                case _:
                    pass
        return position, len(self._stack)

    def _continue(self, text: str, position: int, start: int) -> bool:
        """Give the line to the open leaf, if that takes lines whatever they look like."""
        match self._leaf:
            case _Fence(mark=mark, indent=indent):
                rest = text[start:].rstrip(" ")
                if start - position < _CODE_INDENT and rest.startswith(mark) and rest == mark[0] * len(rest):
                    self._close_leaf()
                else:
                    self._blocks.append(CodeLine(text[min(start, position + indent) :]))
                return True
            case _Html(end=end):
                if start == len(text) and end is BLANK:
                    return False
                self._blocks.append(CodeLine(text[position:]))
                if end.search(text, position):
                    self._close_leaf()
                return True
            case _Indented() as leaf:
                if start == len(text):
                    leaf.blanks += 1
                    return True
                if start - position >= _CODE_INDENT:
                    self._blocks += [CodeLine("")] * leaf.blanks
                    self._blocks.append(CodeLine(text[position + _CODE_INDENT :]))
                    leaf.blanks = 0
                    return True
        return False

    def _start_leaf(self, rest: str, indent: int, matched: int, *, continues: bool) -> bool:
        """Open or print the leaf block that ``rest`` of the line begins; False if that is none."""
        match rest[0]:
            case "#" if heading := _HEADING.match(rest):
                self._open(matched)
                text = rest[heading.end() :].strip(" ")
                bare = text.rstrip("#")
                if not bare or bare.endswith(" "):
                    text = bare.rstrip(" ")
                self._blocks.append(Heading(len(heading[1]), text))
                return True
            case "`" | "~" if fence := _FENCE.match(rest):
                self._open(matched)
                self._leaf = _Fence(fence[1] or fence[3], indent)
                self._blocks.append(Code((fence[2] or fence[4] or "").strip()))
                return True
            case "<" if end := html_end(rest, interrupts=isinstance(self._leaf, OpenParagraph)):
                self._open(matched)
                self._leaf = _Html(end)
                self._blocks += (Code(html=True), CodeLine(" " * indent + rest))
                if end.search(rest):
                    self._close_leaf()
                return True
            case "=" | "-" | "|" | ":" if continues and self._start_from_paragraph(rest):
                return True
        if rest[0] in "*-_" and _RULE.match(rest):
            self._open(matched)
            self._blocks.append(Rule())
            return True
        return False

    def _start_from_paragraph(self, rest: str) -> bool:
        """Make a heading or a table of the open paragraph, if ``rest`` is what stands below the one or the other."""
        leaf = self._leaf
        if not isinstance(leaf, OpenParagraph):
            return False
        if _UNDERLINE.match(rest):
            blocks, done = leaf.underlined(1 if rest[0] == "=" else 2, self.references)
            self._blocks += blocks
            if done:
                self._leaf = None
            return done
        if (found := leaf.head_above(rest)) is None:
            return False
        self._close_leaf()
        header, columns = found
        self._leaf = _Table(len(columns))
        self._blocks.append(Table(header, columns))
        return True

    def _start_item(
        self, text: str, position: int, start: int, matched: int, *, continues: bool
    ) -> int | None:
        """Open the list item whose marker is at ``start``; the index of its content, None if it is no marker."""
        marker = _MARKER.match(text, start)
        if marker is None:
            return None
        empty = marker.end() == len(text)
        number = int(marker[2]) if marker[2] else None
        if continues and (empty or number not in {None, 1}):
            return None
        self._leave(matched)
        kind = marker[1] or marker[3]
        width = marker.start(4) - marker.start()
        spaces = len(marker[4])
        if empty or spaces > _CODE_INDENT:
            spaces = 1
        parent = self._stack[-1] if self._stack else None
        if not isinstance(parent, Listing) or parent.marker != kind:
            self._open(matched)
            self._enter(Listing(kind, number))
        self._enter(Item(start - position + width + spaces))
        self._bare_item = empty
        return min(marker.start(4) + spaces, len(text))

    def _blank(self, matched: int, *, opened: bool) -> None:
        self._leave(matched)
        if not opened:
            self._blocks.append(Blank())

    def _open(self, matched: int) -> None:
        """Make room for a new block: end the leaf, what does not go on, and a list, which holds only items."""
        self._leave(matched)
        if self._stack and isinstance(self._stack[-1], Listing):
            self._leave(len(self._stack) - 1)
        self._bare_item = False

    def _enter(self, container: Container) -> None:
        self._stack.append(container)
        self._blocks.append(Enter(container))

    def _leave(self, depth: int) -> None:
        self._close_leaf()
        while len(self._stack) > depth:
            self._stack.pop()
            self._blocks.append(Leave())
            self._bare_item = False

    def _close_leaf(self) -> None:
        leaf, self._leaf = self._leaf, None
        match leaf:
            case OpenParagraph():
                self._blocks += leaf.end(self.references)
            case _Fence() | _Html() | _Indented():
                self._blocks.append(CodeEnd())
                if isinstance(leaf, _Indented) and leaf.blanks:
                    self._blocks.append(Blank())
            case _Table():
                self._blocks.append(TableEnd())
            case None:
                pass


def _indent(text: str, position: int) -> int:
    """The index of the first character that is no space."""
    end = len(text)
    while position < end and text[position] == " ":
        position += 1
    return position
