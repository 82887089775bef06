"""The first fenced block of an answer, as CommonMark reads it; where it is written is not decided here."""

from __future__ import annotations

import re
from typing import Final

from telex.render.markdown._events import Code, CodeEnd, CodeLine
from telex.render.markdown._reader import TAB, Reader

__all__ = ["first_block"]

_MARKS: Final = ("```", "~~~")

_DOCUMENTS: Final = ("markdown", "md", "mdx", "rst", "readme")
"""Languages that have fences of their own."""

_FENCE: Final = re.compile(r"^[ >]*(?:`{3,}|~{3,})(.*)$", re.MULTILINE)


def first_block(text: str) -> tuple[str | None, bool]:
    """The content of the first fenced block, each line with its end, and whether it is certain where it ends.

    None where there is no block. Fences are of backticks or tildes, and as long as they like; what they are
    indented by, alone or inside a list or a quote, is removed, and tabs stay tabs. Inside of a block, a fence with an
    info string opens an inner block, as in a README with examples. A block that is never closed ends with the text.
    """
    if not any(mark in text for mark in _MARKS):
        return None, True
    block, info, rest = _read(text, nested=True)
    if block is None:
        return None, True
    if rest is None:
        plain, _, end = _read(text, nested=False)
        # With an end that only the plain reading finds, the inner fences do not come in pairs.
        return (block, True) if end is None else (plain, False)
    # Inner blocks without an info string look like the end of the outer one.
    after = _FENCE.search(rest)
    return block, info.lower() not in _DOCUMENTS or after is None or bool(after[1].strip())


def _read(text: str, *, nested: bool) -> tuple[str | None, str, str | None]:
    """The first block as one way of reading finds it, its language, and the text after its end, if that was found."""
    reader = Reader(nested=nested)
    inside, language = False, ""
    found: list[str] = []
    read = 0
    for line in _lines(text):
        read += len(line)
        bare = line.rstrip("\r\n")
        for block in reader.line(bare):
            match block:
                case Code(info=str(info), html=False):
                    inside, language = True, info.partition(" ")[0]
                case CodeLine(text=code) if inside:
                    taken = len(bare.expandtabs(TAB)) - len(code)
                    found.append(_without_columns(bare, taken) + (line[len(bare) :] or "\n"))
                case CodeEnd() if inside:
                    return "".join(found), language, text[read:]
                case _:
                    pass
    return ("".join(found) if inside else None), language, None


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
