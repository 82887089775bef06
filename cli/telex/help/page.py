"""What a page of help is made of, whoever shows it: a terminal, or man."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Block", "Lines", "Rows", "Section", "Text"]


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph, to be broken where it must be."""

    text: str


@dataclass(frozen=True, slots=True)
class Rows:
    """Words and what is said of each."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Lines:
    """Command lines, each to be copied as it stands."""

    lines: tuple[str, ...]


Block: TypeAlias = Text | Rows | Lines


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks under a heading; the one that opens a page has none ("")."""

    title: str
    blocks: tuple[Block, ...]
