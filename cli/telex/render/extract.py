"""The first fenced block of an answer, as CommonMark reads it; where it is written is not decided here."""

from __future__ import annotations

from typing import Final

from telex.render.markdown._events import Code, CodeEnd, CodeLine
from telex.render.markdown._reader import TAB, Reader

__all__ = ["first_block"]

_MARKS: Final = ("```", "~~~")


def first_block(text: str) -> str | None:
    """What stands in the first fenced block, each line with its end; None where there is no such block.

    Fences are of backticks or tildes, and as long as they like; what they are indented by, alone or inside a
    list or a quote, is taken off, and tabs stay tabs. A block that is never closed goes to the end.
    """
    if not any(mark in text for mark in _MARKS):
        return None
    reader = Reader()
    inside = False
    found: list[str] = []
    for line in _lines(text):
        bare = line.rstrip("\r\n")
        for block in reader.line(bare):
            match block:
                case Code(info=str(), html=False):
                    inside = True
                case CodeLine(text=code) if inside:
                    taken = len(bare.expandtabs(TAB)) - len(code)
                    found.append(_without_columns(bare, taken) + (line[len(bare) :] or "\n"))
                case CodeEnd() if inside:
                    return "".join(found)
                case _:
                    pass
    return "".join(found) if inside else None


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _without_columns(line: str, columns: int) -> str:
    """The line without its first columns, blanks and marks of containers; of a tab that is cut, blanks stay."""
    at = column = 0
    while column < columns and at < len(line):
        column += TAB - column % TAB if line[at] == "\t" else 1
        at += 1
    return " " * (column - columns) + line[at:]
