"""The paragraph that is still open: it may turn out to be a heading, the head of a table, or definitions of links."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from telex.render.markdown._cut import LONG, cut
from telex.render.markdown._events import Definition, Heading, Paragraph
from telex.render.markdown._links import definition
from telex.render.markdown._rows import alignments, cells

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from telex.render.markdown._events import Block
    from telex.render.markdown._links import Target

__all__ = ["OpenParagraph"]


@dataclass(slots=True)
class OpenParagraph:
    """``text`` has not been given out yet. ``size`` counts all characters so far, also those that have been."""

    text: str = ""
    size: int = 0
    first: bool = True
    next_cut: int = LONG

    def add_line(self, text: str, references: MutableMapping[str, Target]) -> list[Block]:
        """Add a line, and give out what has become too long to wait for its end."""
        # Without text it is new, or what it had were definitions.
        return self.add(text if self.first and not self.text else f"\n{text}", references)

    def add(self, text: str, references: MutableMapping[str, Target]) -> list[Block]:
        """Add characters, and give out what has become too long to wait for its end."""
        before = self.size
        self.text += text
        self.size += len(text)
        if self.size <= LONG:
            return []
        blocks: list[Block] = []
        if before <= LONG:
            # Whatever comes, only these characters decide: later they may come in other pieces.
            rest, self.text = self.text[LONG:], self.text[:LONG]
            blocks += self._define(references)
            self.text += rest
        while True:
            end, self.next_cut = cut(self.text, self.next_cut, references)
            if end is None:
                return blocks
            blocks.append(Paragraph(self.text[:end], first=self.first, last=False))
            self.text, self.first = self.text[end:], False

    def end(self, references: MutableMapping[str, Target]) -> list[Block]:
        """All that is left."""
        blocks: list[Block] = [*self._define(references)] if self.size <= LONG else []
        text = self.text.rstrip()
        if text or not self.first:
            blocks.append(Paragraph(text, first=self.first))
        return blocks

    def underlined(self, level: int, references: MutableMapping[str, Target]) -> tuple[list[Block], bool]:
        """What an underline makes of it, and whether that ends it: definitions and long paragraphs go on."""
        if self.size > LONG:
            return [], False
        blocks: list[Block] = [*self._define(references)]
        self.text = self.text.strip()
        if self.text:
            blocks.append(Heading(level, self.text))
        return blocks, bool(self.text)

    def head_above(self, line: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """The header and the alignments if ``line`` makes a table of its last line, which then is taken off."""
        if len(line) > LONG or (columns := alignments(line)) is None:
            return None
        above, _, head = self.text.rpartition("\n")
        # Of a paragraph whose beginning has gone, the first line that is left may not be whole.
        if "|" not in head or len(head) > LONG or not (self.first or above):
            return None
        header = cells(head, None)
        if len(header) != len(columns):
            return None
        self.text = above
        return header, columns

    def _define(self, references: MutableMapping[str, Target]) -> list[Definition]:
        """Take definitions off the beginning; of those with the same name the first one counts."""
        found = []
        while self.first and self.text.startswith("[") and (read := definition(self.text)):
            label, (target, end) = read
            references.setdefault(label, target)
            found.append(Definition(self.text[:end].rstrip()))
            self.text = self.text[end:]
        return found
