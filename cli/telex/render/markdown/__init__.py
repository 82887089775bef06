"""The text of an answer as rows while it arrives: final rows, and a draft of the open rest.

Blocks are final when another one follows. Of lists, tables and code, the parts that cannot change are final too, so
each is parsed and drawn once; only the open rest is parsed again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.segment import Segment

from telex.console import visible
from telex.render.highlighting import Highlighter
from telex.render.markdown.elements import DECIDING, Drawing, code_line, code_rule, console, drawn
from telex.render.markdown.parser import blocks, closed, parse_inline
from telex.wrapping import ScreenRow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from markdown_it.token import Token

    from telex.render.markdown.elements import Columns
    from telex.render.markdown.parser import References
    from telex.render.styles import Look
    from telex.wrapping import Piece

_OPEN = 4096
"""A longer open rest is parsed again only when it has grown by a sixteenth."""
_LARGEST_OPEN = 1 << 18
"""A single block of so many characters is printed, and the text after it is parsed separately."""

# The beginning of a line that may still become anything is not shown yet.
_UNDECIDED = re.compile(r"[ >]*(?:[-+*=_#~`:| ]*|[-+*] \[[ xX]?\]? ?|[0-9]{1,9}[.)]? *|\|.*)", re.DOTALL)
_UNDECIDED_IN_CODE = re.compile(r" {0,3}(?:`+|~+)?")


class _Fence(NamedTuple):
    """A fenced block whose lines are printed while they arrive."""

    closing: re.Pattern[str]
    indent: int
    highlighter: Highlighter
    info: str
    begun: bool = False
    """Whether lines of it have been printed."""


class _Block(NamedTuple):
    """A top-level block: its tokens, and its first and last line (the last one not included)."""

    tokens: list[Token]
    start: int
    end: int

    @property
    def kind(self) -> str:
        return self.tokens[0].type


class Layout:
    """Feed it text in any pieces; ``final`` then gives each row once, in order.

    Rows have at most ``width`` cells, which may be changed at any time for the rows to come. A line of code is one
    row however long it is, unless it has to be ``narrow`` too.
    """

    def __init__(self, look: Look, width: int, *, narrow: bool = False) -> None:
        self.width = max(1, width)
        self._look = look
        self._narrow = narrow
        self._new = ""
        self._rest = ""
        """The text from the first line on that is not final."""
        self._parse_from = 0
        """The rest is parsed again when it has this length."""
        self._draft: tuple[int, int, list[ScreenRow]] = (0, 0, [])
        self._references: References = {}
        self._begun = False
        self._console = console(look)
        # For the next part of a block that is printed in parts:
        self._number: int | None = None
        self._gap = False
        self._joined = ""
        """The kind of block that continues without an empty row, if the source has none."""
        self._columns: Columns | None = None
        self._fence: _Fence | None = None

    @property
    def in_code(self) -> bool:
        """Whether a fenced block is open."""
        return self._fence is not None

    def feed(self, text: str) -> None:
        """Take the next piece; it is parsed by ``final``."""
        self._new += text

    def final(self) -> list[ScreenRow]:
        """The rows that have become final since the last call."""
        self._read()
        return self._advance()

    def end(self) -> list[ScreenRow]:
        """The rows of the open rest, at the end of the text."""
        self._read(end=True)
        return self._advance(end=True)

    def draft(self) -> list[ScreenRow]:
        """The rows of the open block if the text ended here; call it after ``final``."""
        if self._fence is not None:
            return self._draft_of_code(self._fence)
        length, width, rows = self._draft
        if len(self._rest) > _OPEN and width == self.width and 0 <= len(self._rest) - length < length >> 4:
            return rows
        *whole, line = self._rest.split("\n")
        if line and _UNDECIDED.fullmatch(line):
            line = ""
        tokens, references = blocks("\n".join([*whole, line]), self._references)
        while (
            not line
            and whole
            and whole[-1].lstrip(" >").startswith("|")
            and tokens[-1:]
            and _ends_in_paragraph(tokens)
        ):
            whole.pop()  # very likely the head of a table
            tokens, references = blocks("\n".join([*whole, line]), self._references)
        if tokens and tokens[-1].type not in {"fence", "code_block", "html_block", "definition", "hr"}:
            for token in reversed(tokens):
                if token.type == "inline":
                    token.content = closed(token.content)
                    break
        drawing = self._drawing(tokens, [*whole, line], references)
        rows = [*self._space(tokens), *drawing.rows(self.width, narrow=True)] if tokens else []
        self._draft = (len(self._rest), self.width, rows)
        return rows

    def snapshot(self) -> dict[str, Any]:
        """The state, to be restored after an interruption. Then code may lose colours, but no text is lost."""
        before = self.__dict__.copy()
        if self._fence is not None:
            before["_fence"] = self._fence._replace(highlighter=self._fence.highlighter.restarted())
        return before

    def _read(self, *, end: bool = False) -> None:
        # Half of a line's end may still be on its way.
        new, held = (self._new, "") if end or not self._new.endswith("\r") else (self._new[:-1], "\r")
        self._rest += new.replace("\r\n", "\n").replace("\r", "\n")
        self._new = held

    def _advance(self, *, end: bool = False) -> list[ScreenRow]:
        rows: list[ScreenRow] = []
        while True:
            before = self._rest, self._fence
            if self._fence is not None:
                rows += self._code(self._fence, end=end)
            elif self._rest and (end or len(self._rest) >= self._parse_from):
                rows += self._blocks(end=end)
            if (self._rest, self._fence) == before:
                break
            self._parse_from = 0
        if len(self._rest) > _OPEN and not self._parse_from:
            self._parse_from = len(self._rest) + (len(self._rest) >> 4)
        return rows

    # --- code, line by line ------------------------------------------------------------------------------------

    def _code(self, fence: _Fence, *, end: bool) -> list[ScreenRow]:
        *lines, rest = self._rest.split("\n")
        if end and rest:
            lines, rest = [*lines, rest], ""
        closed = next((at for at, line in enumerate(lines) if fence.closing.fullmatch(line)), None)
        done = [
            part for line in lines[:closed] for part in fence.highlighter.add(_code_line(line, fence.indent))
        ]
        if closed is not None or end:
            done += fence.highlighter.end()
        rows = self._code_rows(fence, done, self.width if self._narrow else None)
        if rows:
            fence = self._fence = fence._replace(begun=True)
            self._begun = True
        if closed is not None or end:
            if fence.begun:
                rows += map(drawn, Segment.split_lines(code_rule(fence.highlighter, self.width)))
            self._gap, self._fence = False, None
        self._rest = rest if closed is None else "\n".join([*lines[closed + 1 :], rest])
        return rows

    def _code_rows(self, fence: _Fence, lines: Iterable[list[Piece]], width: int | None) -> list[ScreenRow]:
        rows = [drawn(row) for line in lines for row in Segment.split_lines(code_line(line, width))]
        if not rows or fence.begun:
            return rows
        space = [ScreenRow("", 0)] if self._begun else []
        return [
            *space,
            *map(drawn, Segment.split_lines(code_rule(fence.highlighter, self.width, fence.info))),
            *rows,
        ]

    def _draft_of_code(self, fence: _Fence) -> list[ScreenRow]:
        highlighter = fence.highlighter.clone()
        lines: list[list[Piece]] = []
        if not _UNDECIDED_IN_CODE.fullmatch(self._rest):
            lines = highlighter.add(_code_line(self._rest, fence.indent))
        return self._code_rows(fence, [*lines, *highlighter.end()], self.width)

    # --- everything else ---------------------------------------------------------------------------------------

    def _blocks(self, *, end: bool) -> list[ScreenRow]:
        """Print what is final of the rest, up to the first block that is printed in parts."""
        text = self._rest
        size = text.rfind("\n") + 1
        if end or (not size and len(text) > _LARGEST_OPEN):
            size = len(text)
        whole, rest = text[:size], text[size:]
        if not whole:
            return []
        tokens, references = blocks(whole, self._references)
        lines = whole.split("\n")
        found = _top(tokens)
        if not found:
            self._gap = self._gap or "\n" in whole
            self._rest = rest
            return []
        *before, last = found
        final, cut = before, last.start  # the blocks to print, and the first line of the rest
        columns_stay, number, joined = False, None, ""
        fence: _Fence | None = None
        match last.kind:
            case _ if end:
                final, cut = found, len(lines)
            case "fence" if not _is_closed(last, lines):
                cut, fence = last.start + 1, self._begin_fence(last.tokens[0], lines[last.start])
            case "fence" | "hr" | "heading_open":
                final, cut = found, last.end
            case "bullet_list_open" | "ordered_list_open":
                level = last.tokens[0].level + 1
                items = [
                    at
                    for at, each in enumerate(last.tokens)
                    if each.type == "list_item_open" and each.level == level
                ]
                if len(items) > 1:  # all but the last one
                    cut, _ = last.tokens[items[-1]].map or (0, 0)
                    final = [*before, last._replace(tokens=[*last.tokens[: items[-1]], last.tokens[-1]])]
                    joined = last.kind
                    if last.kind == "ordered_list_open":
                        start = (
                            int(last.tokens[0].attrs.get("start", 1))
                            if before or self._number is None
                            else self._number
                        )
                        number = start + len(items) - 1
            case "table_open":
                body = sum(token.type == "tr_open" for token in last.tokens) - 1
                if body >= (1 if self._columns is not None and not before else DECIDING):
                    final, cut, columns_stay = found, last.end, True
            case "code_block":
                pass
            case _ if last.end < len(lines) - 1:  # an empty line has ended it
                final, cut = found, last.end
        if final is before and fence is None and last.kind != "table_open" and len(text) > _LARGEST_OPEN:
            final, cut = found, len(lines)
        if cut == last.start and not before:
            return []
        rows = self._print(final, lines, cut, references)
        self._rest = "\n".join(lines[cut:]) + rest
        self._number, self._joined, self._fence = number, joined or self._joined, fence
        if columns_stay:  # the next rows need the head of the table
            self._rest = "\n".join([*lines[last.start : last.start + 2], self._rest])
        else:
            self._columns = None
        return rows

    def _begin_fence(self, opening: Token, line: str) -> _Fence:
        mark = opening.markup
        return _Fence(
            re.compile(rf" {{0,3}}{re.escape(mark[0])}{{{len(mark)},}}[ \t]*"),
            len(line) - len(line.lstrip(" ")),
            Highlighter(visible(opening.info), self._look),
            opening.info,
        )

    def _print(
        self, found: list[_Block], lines: list[str], cut: int, references: References
    ) -> list[ScreenRow]:
        """The rows of blocks that are final, up to line ``cut``."""
        rows: list[ScreenRow] = []
        tokens = [token for block in found for token in block.tokens]
        if tokens:
            drawing = self._drawing(tokens, lines, references)
            space = self._space(tokens)
            drawn_rows = drawing.rows(self.width, narrow=self._narrow)
            rows = [*space, *drawn_rows] if drawn_rows else []
            self._begun = self._begun or bool(rows)
            self._columns = drawing.last_columns
            self._joined = found[-1].kind if found[-1].kind == "definition" else ""
            self._gap = cut > found[-1].end or (cut > 0 and not lines[cut - 1].strip(" \t>"))
        self._references |= {
            label: {**target, "map": (0, 0)}
            for label, target in references.items()
            if label not in self._references and target["map"][1] <= cut
        }
        return rows

    def _drawing(self, tokens: list[Token], lines: list[str], references: References) -> Drawing:
        for token in tokens:
            if token.type == "inline":
                parse_inline(token, references)
        drawing = Drawing(tokens, lines, self._look, self._console)
        drawing.number, drawing.columns = self._number, self._columns
        return drawing

    def _space(self, tokens: list[Token]) -> list[ScreenRow]:
        """An empty row, if one belongs between what has been printed and these tokens."""
        first = tokens[0].type
        continued = self._columns is not None and first == "table_open"
        gap = self._gap or (tokens[0].map or (0, 0))[0] > 0
        if not self._begun or continued or (first == self._joined and not gap):
            return []
        return [ScreenRow("", 0)]


def _top(tokens: list[Token]) -> list[_Block]:
    found: list[_Block] = []
    for token in tokens:
        if token.level == 0 and token.nesting >= 0:
            start, end = token.map or (0, 0)
            found.append(_Block([], start, end))
        found[-1].tokens.append(token)
    return found


def _is_closed(block: _Block, lines: list[str]) -> bool:
    mark = block.tokens[0].markup
    last = lines[block.end - 1].strip(" \t")
    return block.end - block.start > 1 and len(last) >= len(mark) and not last.strip(mark[0])


def _ends_in_paragraph(tokens: list[Token]) -> bool:
    return (
        next((token.type for token in reversed(tokens) if token.level == 0 or token.nesting < 0), "")
        == "paragraph_close"
    )


def _code_line(line: str, indent: int) -> str:
    spaces = len(line) - len(line.lstrip(" "))
    return visible(line[min(indent, spaces) :]).expandtabs(4)
