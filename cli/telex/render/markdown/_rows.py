"""The rows of GitHub's tables as they are written: cells between pipes, and the line below the header."""

from __future__ import annotations

import re

__all__ = ["alignments", "cells"]

_DELIMITER = re.compile(r"\s*(:?)-+(:?)\s*")
_CELL = re.compile(r"((?:[^|\\]|\\.|\\$)*)(\||$)")
_ALIGNMENTS = {("", ""): "", (":", ""): "left", ("", ":"): "right", (":", ":"): "center"}


def alignments(line: str) -> tuple[str, ...] | None:
    """How each column is aligned ("" where nothing is said), or None if this is no line below a header."""
    if not ("|" in line or ":" in line):
        return None
    found = []
    for part in line.strip().removeprefix("|").removesuffix("|").split("|"):
        match = _DELIMITER.fullmatch(part)
        if match is None:
            return None
        found.append(_ALIGNMENTS[match[1], match[2]])
    return tuple(found)


def cells(line: str, columns: int | None) -> tuple[str, ...]:
    """The cells of a row; with ``columns`` exactly so many, and nothing dropped: the last one takes the rest."""
    line = line.strip().removeprefix("|")
    found: list[str] = []
    position = 0
    while position < len(line):
        cell = _CELL.match(line, position)
        if cell is None:
            break
        found.append(cell[1].strip().replace("\\|", "|"))
        position = cell.end()
    if columns is None:
        return tuple(found)
    if len(found) > columns:
        found[columns - 1 :] = [" | ".join(found[columns - 1 :])]
    return (*found, *[""] * (columns - len(found)))
