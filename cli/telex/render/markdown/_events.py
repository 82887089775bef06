"""What reading Markdown yields, block by block; nothing is read or drawn here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "Blank",
    "Block",
    "Code",
    "CodeEnd",
    "CodeLine",
    "Container",
    "Definition",
    "Enter",
    "Heading",
    "Item",
    "Leave",
    "Listing",
    "Paragraph",
    "Quote",
    "Rule",
    "Table",
    "TableEnd",
    "TableRow",
]


@dataclass(frozen=True, slots=True)
class Quote:
    """A block quote."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A list: ``marker`` is its bullet or the delimiter after its numbers, ``start`` None for bullets."""

    marker: str
    start: int | None


@dataclass(frozen=True, slots=True)
class Item:
    """One item; ``indent`` is the number of columns its content is moved to the right."""

    indent: int


Container: TypeAlias = Quote | Listing | Item


@dataclass(frozen=True, slots=True)
class Enter:
    """What follows, up to its ``Leave``, is inside the container."""

    container: Container


@dataclass(frozen=True, slots=True)
class Leave:
    """The innermost container has ended."""


@dataclass(frozen=True, slots=True)
class Blank:
    """An empty line between two blocks, or after the last one so far."""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph, or a part of a long one: then it goes on until the part that is ``last``."""

    text: str
    first: bool = True
    last: bool = True


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of level 1 to 6."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A thematic break."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A link reference definition, as it was written."""

    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """Literal lines begin: a fence's with its ``info``, an indented block's (None), or HTML's own."""

    info: str | None = None
    html: bool = False


@dataclass(frozen=True, slots=True)
class CodeLine:
    """One literal line; final, whatever comes."""

    text: str


@dataclass(frozen=True, slots=True)
class CodeEnd:
    """The literal lines have ended."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table begins; each alignment is "left", "right", "center" or ""."""

    header: tuple[str, ...]
    alignments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row with as many cells as the header."""

    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TableEnd:
    """The table has no more rows."""


Block: TypeAlias = (
    Enter
    | Leave
    | Blank
    | Paragraph
    | Heading
    | Rule
    | Definition
    | Code
    | CodeLine
    | CodeEnd
    | Table
    | TableRow
    | TableEnd
)
