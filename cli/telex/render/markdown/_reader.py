"""Reads Markdown line by line, as CommonMark prescribes: each line is looked at once and yields what it ended.

What stands within a line is not read here. Beyond CommonMark there are GitHub's tables; a paragraph of more
than ``LONG`` characters comes in parts, and becomes no heading, table or definition after that.
"""

from __future__ import annotations

import copy
import re
from collections import ChainMap
from typing import TYPE_CHECKING, TypeAlias

from telex.render.markdown._events import (
    Blank,
    Code,
    CodeLine,
    Enter,
    Item,
    Leave,
    Listing,
    Quote,
    Rule,
    Table,
)
from telex.render.markdown._leaves import INDENT, Fence, Html, Indented, Rows, heading
from telex.render.markdown._paragraph import OpenParagraph

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from telex.render.markdown._events import Block, Container
    from telex.render.markdown._links import Target

__all__ = ["Reader"]

TAB = 4

DEEPEST = 100
"""Containers within each other at most: beyond, their marks are text."""

_UNDERLINE = re.compile(r"(=+|-+) *$")
_RULE = re.compile(r"(?:(?:\*[ ]*){3,}|(?:-[ ]*){3,}|(?:_[ ]*){3,})$")
_MARKER = re.compile(r"(?:([-+*])|([0-9]{1,9})([.)]))(?= |$)( *)")

_Leaf: TypeAlias = OpenParagraph | Fence | Indented | Html | Rows


class Reader:
    """The blocks of one text. ``references`` holds the link definitions that have been read."""

    def __init__(self, *, nested: bool = False) -> None:
        self.references: MutableMapping[str, Target] = {}
        self._nested = nested
        self._stack: list[Container] = []
        self._leaf: _Leaf | None = None
        self._bare_item = False  # the innermost item has a marker and nothing else yet
        self._column = 0
        self._blocks: list[Block] = []

    @property
    def in_code(self) -> bool:
        """Whether the next line is literal, unless it ends the block."""
        return isinstance(self._leaf, Fence | Html)

    @property
    def paragraph(self) -> str | None:
        """The open paragraph's text as far as it has come and has not been given out."""
        return self._leaf.text if isinstance(self._leaf, OpenParagraph) else None

    def clone(self) -> Reader:
        """A reader in the same place, to try what would come of a line, or to come back to."""
        other = Reader(nested=self._nested)
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
            if start - position >= INDENT:
                if isinstance(self._leaf, OpenParagraph) or (inside and isinstance(self._leaf, Rows)):
                    break
                self._open(matched)
                self._leaf = Indented()
                self._blocks += (Code(), CodeLine(text[position + INDENT :]))
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
        elif isinstance(self._leaf, Rows) and inside and not opened:
            self._blocks.append(self._leaf.row(text[start:]))
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
                    if start - position >= INDENT or not text.startswith(">", start):
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
        if not isinstance(self._leaf, Fence | Html | Indented):
            return False
        taken = self._leaf.take(text, position, start)
        if taken is None:
            return False
        self._blocks += taken.blocks
        if taken.ended:
            self._close_leaf()
        return True

    def _start_leaf(self, rest: str, indent: int, matched: int, *, continues: bool) -> bool:
        """Open or print the leaf block that ``rest`` of the line begins; False if that is none."""
        match rest[0]:
            case "#" if found := heading(rest):
                self._open(matched)
                self._blocks.append(found)
                return True
            case "`" | "~" if fence := Fence.begun_by(rest, indent, nested=self._nested):
                self._open(matched)
                self._leaf, code = fence
                self._blocks.append(code)
                return True
            case "<" | "$" | "\\" if html := Html.begun_by(
                rest, indent, interrupts=isinstance(self._leaf, OpenParagraph)
            ):
                self._open(matched)
                self._leaf, taken = html
                self._blocks += taken.blocks
                if taken.ended:
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
        self._leaf = Rows(len(columns))
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
        if empty or spaces > INDENT:
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
        if isinstance(leaf, OpenParagraph):
            self._blocks += leaf.end(self.references)
        elif leaf is not None:
            self._blocks += leaf.end()


def _indent(text: str, position: int) -> int:
    """The index of the first character that is no space."""
    end = len(text)
    while position < end and text[position] == " ":
        position += 1
    return position
