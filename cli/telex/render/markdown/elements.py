"""Rich's Markdown elements, changed for terminals: left-aligned, without boxes, complete."""

from __future__ import annotations

from functools import lru_cache
from io import StringIO
from itertools import chain
from operator import methodcaller
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from rich import markdown as base
from rich.ansi import AnsiDecoder
from rich.box import Box
from rich.console import Console
from rich.segment import Segment
from rich.table import Table as RichTable
from rich.text import Text
from rich.theme import Theme

from telex.console import visible
from telex.render.highlighting import Highlighter
from telex.render.styles import STYLES, Colour
from telex.wrapping import ScreenRow, cells, chop, wrap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from markdown_it.token import Token
    from rich.console import ConsoleOptions, RenderResult
    from rich.style import Style

    from telex.render.styles import Look
    from telex.wrapping import Piece

DECIDING = 20
"""The first rows of a table decide the widths of its columns; then it is printed row by row."""

_LEAST_ROOM = 8
"""The least cells for the text of a deep list; with less, its marks are omitted."""
_NARROWEST = 10
"""The least cells of a column whose words have to be split."""
_RULE_AT_MOST = 60
_TASKS = {"[ ] ": "☐ ", "[x] ": "☑ ", "[X] ": "☑ "}
_TABLE = Box("    \n  │ \n ─┼ \n  │ \n ─┼ \n ─┼ \n  │ \n    \n")


class Columns(NamedTuple):
    """The layout of a table in parts: its widths (none: one line for each cell), and whether rows are ruled."""

    widths: tuple[int, ...]
    ruled: bool


class Drawing(base.Markdown):
    """Draws the blocks of some tokens. Attributes hold what one part of a block leaves to the next."""

    inlines = frozenset(("em", "strong", "code", "s", "a"))  # type: ignore[assignment]

    def __init__(self, tokens: Sequence[Token], lines: Sequence[str], look: Look, console: Console) -> None:
        self.__dict__.update(_blank().__dict__)
        self.parsed = list(tokens)
        self.lines = lines
        self.look = look
        self.console = console
        self.number: int | None = None
        """The number of the first item, if the first block continues a list."""
        self.columns: Columns | None = None
        """How the table is drawn that the first block continues."""
        self.last_columns: Columns | None = None
        """How the last table was drawn."""

    def rows(self, width: int, *, narrow: bool) -> list[ScreenRow]:
        """Rows of at most ``width`` cells; lines of code are longer unless they have to be ``narrow``, too."""
        options = self.console.options.update(width=width, overflow="fold" if narrow else "ignore")
        rows: list[ScreenRow] = []
        tokens, self.parsed = self.parsed, []
        end = -1
        for token in tokens:
            self.parsed.append(token)
            if token.level or token.nesting > 0:
                continue
            first = self.parsed[0]
            lines = list(_lines(self, options, self.console))
            if first is not token and lines and not lines[0]:
                del lines[0]  # Rich's, before a block with others in it
            start, stop = first.map or (0, 0)
            if rows and lines and not (first.type == "definition" and end == start):
                rows.append(ScreenRow("", 0))
            rows += map(drawn, lines)
            end = stop if first.type == "definition" else -1
            self.parsed, self.columns, self.number = [], None, None
        return rows

    def gap(self, line: int) -> bool:
        """Whether the source has an empty line before this one."""
        return line > 0 and not self.lines[line - 1].strip(" \t>")


@lru_cache(1)
def _blank() -> base.Markdown:
    return base.Markdown("", hyperlinks=False)


@lru_cache(4)
def console(look: Look) -> Console:
    """The Rich console that draws; nothing is written to its file."""
    styles = {name: styled(look.sgr(name)) for name in STYLES}
    return Console(
        file=StringIO(), width=80, force_terminal=True, color_system="truecolor", legacy_windows=False,
        highlight=False, markup=False, emoji=False, theme=Theme(styles, inherit=False),
    )  # fmt: skip


@lru_cache(None)
def styled(sgr: str) -> Style:
    """Rich's style for the parameters of an escape sequence."""
    decoder = AnsiDecoder()
    decoder.decode_line(f"\x1b[{sgr}m|")
    return decoder.style


def drawn(line: Iterable[Segment]) -> ScreenRow:
    """One row out of its segments, without spaces at its end."""
    segments = list(line)
    while segments and not segments[-1].text.rstrip(" "):
        segments.pop()
    plain = text = ""
    for number, (part, style, _) in enumerate(segments, start=1):
        shown = part.rstrip(" ") if number == len(segments) else part
        plain += shown
        text += style.render(shown) if style and not shown.isspace() else shown
    return ScreenRow(text.replace("\x1b[0m", "\x1b[m"), cells(plain))


def _lines(renderable: Any, options: ConsoleOptions, console: Console) -> Iterable[list[Segment]]:
    """The lines of ``renderable``. Rich's own ``render_lines`` would cut off long ones."""
    return Segment.split_lines(console.render(renderable, options))


def broken(text: Text, width: int) -> list[Text]:
    """The rows of ``text``, broken between words."""
    return list(text.divide(chain.from_iterable(wrap(text.plain, width))))[1::2]


class _Created(base.MarkdownElement):
    """An element that knows its drawing and its first line."""

    drawing: Drawing
    first: int

    @classmethod
    def create(cls, markdown: base.Markdown, token: Token) -> Self:
        element = cls()
        element.drawing = markdown  # type: ignore[assignment]
        element.first = token.map[0] if token.map else 0
        element.take(token)
        return element

    def take(self, token: Token) -> None:
        """Read the opening token."""


class _Element(_Created, base.TextElement):
    pass


class Paragraph(_Element):
    """A paragraph."""

    style_name = "markdown.paragraph"

    def on_enter(self, context: base.MarkdownContext) -> None:
        self.style = context.enter_style(self.style_name)
        self.text = Text(end="")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rows = broken(self.text, options.max_width)
        return chain.from_iterable(map(methodcaller("render", console, end="\n"), rows))


class Heading(Paragraph):
    """A heading. Levels 3 to 6 show their marks; without styles all levels do."""

    def take(self, token: Token) -> None:
        self.style_name = f"markdown.{token.tag}"
        self.mark = f"{'#' * int(token.tag[1:])} "

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        look = self.drawing.look
        if len(self.mark) > 3 or look.colour is Colour.NONE:
            self.text = Text.assemble((self.mark, styled(look.sgr("faint"))), self.text, end="")
        return super().__rich_console__(console, options)


class Code(_Element):
    """Fenced or indented code, without decoration, so that it can be copied."""

    def take(self, token: Token) -> None:
        self.info = token.info

    def on_enter(self, context: base.MarkdownContext) -> None:
        self.style = context.enter_style("none")

    def on_text(self, context: base.MarkdownContext, text: object) -> None:
        self.code = visible(str(text)).expandtabs(4)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self.code:
            return
        highlighter = Highlighter(self.info, self.drawing.look)
        lines = [part for line in self.code.removesuffix("\n").split("\n") for part in highlighter.add(line)]
        width = options.max_width if options.overflow == "fold" else None
        yield from code_rule(highlighter, options.max_width, self.info)
        for line in [*lines, *highlighter.end()]:
            yield from code_line(line, width)
        yield from code_rule(highlighter, options.max_width)


def code_rule(highlighter: Highlighter, width: int, info: str = "") -> Iterator[Segment]:
    """The rule before and after code without colours, which separates it from prose."""
    if not highlighter.colours:
        rule = f"─── {visible(info.split(maxsplit=1)[0])}" if info.strip() else "───"
        yield Segment(chop(rule, width)[0], styled(highlighter.look.sgr("faint")))
        yield Segment.line()


def code_line(line: Iterable[Piece], width: int | None) -> Iterator[Segment]:
    """A line of code with its end, broken where ``width`` ends, if there is one."""
    used = 0
    for text, sgr in line:
        style = styled(sgr) if sgr else None
        whole = width is None or used + cells(text) <= width
        for part in [text] if whole else text:
            if width is not None and used and used + cells(part) > width:
                yield Segment.line()
                used = 0
            yield Segment(part, style)
            used += cells(part)
    yield Segment.line()


class Html(Code):
    """HTML, shown as text."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in broken(Text(self.code.removesuffix("\n")), options.max_width):
            yield from line.render(console, end="\n")


class Definition(Code):
    """Reference definitions, unchanged."""

    def take(self, token: Token) -> None:
        self.token = token

    def on_text(self, context: base.MarkdownContext, text: object) -> None:
        start, end = self.token.map or (0, 0)
        self.code = visible("\n".join(line.strip(" \t>") for line in self.drawing.lines[start:end]))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self.code.split("\n"):
            for row in broken(Text(line), options.max_width):
                yield Segment(row.plain, console.get_style("faint"))
                yield Segment.line()


class Rule(_Element):
    """A thematic break."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Segment("─" * min(options.max_width, _RULE_AT_MOST), console.get_style("faint"))
        yield Segment.line()


class _Container(_Element):
    """Blocks that are drawn below each other with a mark before them."""

    gaps = True
    """Whether there is an empty line between any two of them, or only where the source has one."""

    def on_enter(self, context: base.MarkdownContext) -> None:
        self.style = context.enter_style(self.style_name)
        self.children: list[_Element] = []

    def on_child_close(self, context: base.MarkdownContext, child: base.MarkdownElement) -> bool:
        self.children.append(child)  # type: ignore[arg-type]
        return False

    def lines(self, options: ConsoleOptions) -> Iterator[list[Segment]]:
        for number, child in enumerate(self.children):
            if number and (self.gaps or self.drawing.gap(child.first)):
                yield []
            yield from _lines(child, options, self.drawing.console)

    def marked(self, options: ConsoleOptions, first: Segment, rest: Segment) -> Iterator[Segment]:
        room = options.max_width - cells(first.text)
        if room < min(_LEAST_ROOM, options.max_width):
            first = rest = Segment("")
            room = options.max_width
        number = -1
        for number, line in enumerate(self.lines(options.update(width=room))):
            yield rest if number else first
            yield from line
            yield Segment.line()
        if number < 0:
            yield first
            yield Segment.line()


class Quote(_Container):
    """A block quote, with a bar before it."""

    style_name = "markdown.block_quote"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        bar = Segment("│ ", console.get_style("faint"))
        yield from self.marked(options.update(overflow="fold"), bar, bar)


class Item(_Container):
    """An item of a list, with its mark and its checkbox."""

    gaps = False

    def draw(self, console: Console, options: ConsoleOptions, mark: str) -> RenderResult:
        style = console.get_style("markdown.item.bullet")
        if self.children and isinstance(paragraph := self.children[0], Paragraph):
            box = _TASKS.get(paragraph.text.plain[:4])
            if box:
                paragraph.text = paragraph.text[4:]
                mark = box if mark == "• " else mark + box
        yield from self.marked(options, Segment(mark, style), Segment(" " * cells(mark)))


class Listing(_Container):
    """A list; a part of one continues the numbers."""

    gaps = False
    nested = False

    def take(self, token: Token) -> None:
        self.start = int(token.attrs.get("start", 1)) if token.type == "ordered_list_open" else None
        self.delimiter = token.markup
        self.nested = token.level > 0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        start, drawing = self.start, self.drawing
        if start is not None and not self.nested and drawing.number is not None:
            start, drawing.number = drawing.number, None
        for number, item in enumerate(self.children):
            if number and drawing.gap(item.first):
                yield Segment.line()
            mark = "• " if start is None else f"{start + number}{self.delimiter} "
            yield from item.draw(console, options, mark)  # type: ignore[attr-defined]


class Table(_Created, base.TableElement):
    """A table, or one line for each cell where the columns do not fit."""

    def take(self, token: Token) -> None:
        self.nested = token.level > 0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        heads = [cell.content for cell in self.header.row.cells] if self.header and self.header.row else []
        rows = [[cell.content for cell in row.cells] for row in self.body.rows] if self.body else []
        drawing = self.drawing
        continued = None if self.nested else drawing.columns
        columns = continued or _columns([heads, *rows[:DECIDING]], options.max_width)
        if not self.nested:
            drawing.last_columns = columns
        if not columns.widths:
            yield from self._stacked(console, options, heads, rows, between=continued is not None)
            return
        table = RichTable(
            box=_TABLE, show_edge=False, pad_edge=False, show_header=continued is None, show_lines=columns.ruled,
            style="faint", header_style="markdown.table.header",
        )  # fmt: skip
        for head, width in zip(heads, columns.widths, strict=True):
            table.add_column(head, width=width, overflow="fold", justify=head.justify or "default")
        for row in rows:
            table.add_row(*row)
        lines = list(_lines(table, options, drawing.console))
        if continued is not None and columns.ruled and rows:
            yield Segment("─┼─".join("─" * width for width in columns.widths), console.get_style("faint"))
            yield Segment.line()
        for line in lines if rows or continued is None else []:
            yield from line
            yield Segment.line()

    def _stacked(
        self,
        console: Console,
        options: ConsoleOptions,
        heads: list[Text],
        rows: list[list[Text]],
        *,
        between: bool,
    ) -> RenderResult:
        """A line for each cell, with the column's name."""
        for number, row in enumerate(rows or ([] if between else [heads])):
            if number or between:
                yield Segment("─" * min(options.max_width, 8), console.get_style("faint"))
                yield Segment.line()
            for head, cell in zip(heads, row, strict=True):
                text = (
                    Text.assemble((head.plain, "markdown.table.header"), ": ", cell)
                    if rows and head.plain
                    else cell
                )
                for line in broken(text, options.max_width):
                    yield from line.render(console, end="\n")


def _columns(rows: list[list[Text]], room: int) -> Columns:
    """Give each column the cells it needs; if that is too much, narrow the widest ones, and split words last."""
    texts = ["\n".join(cell.plain for cell in column) for column in zip(*rows, strict=True)]
    needs = [max(1, *map(cells, text.split("\n"))) for text in texts]
    widths = [max(map(cells, text.split()), default=1) for text in texts]
    available = room - 3 * (len(needs) - 1)
    if sum(widths) > available:
        # Words are split only in the column with the longest one, if it keeps a useful width.
        longest = widths.index(max(widths))
        widths[longest] += available - sum(widths)
        if widths[longest] < _NARROWEST:
            return Columns((), ruled=True)
    for _ in range(available - sum(widths)):
        growing = [at for at, need in enumerate(needs) if widths[at] < need]
        if growing:  # the narrowest first
            widths[min(growing, key=widths.__getitem__)] += 1
    broken_cells = any("\n" in cell.plain for row in rows for cell in row)
    return Columns(tuple(widths), ruled=broken_cells or widths != needs)


Drawing.elements = {
    **base.Markdown.elements,
    "paragraph_open": Paragraph,
    "heading_open": Heading,
    "fence": Code,
    "code_block": Code,
    "html_block": Html,
    "definition": Definition,
    "hr": Rule,
    "blockquote_open": Quote,
    "bullet_list_open": Listing,
    "ordered_list_open": Listing,
    "list_item_open": Item,
    "table_open": Table,
}
