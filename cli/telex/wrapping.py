"""Measures text in terminal cells and breaks it into rows; greedy, so that more text changes only the last row.

Terminals disagree about joined emoji. Rows are measured as the widest of them draws, so that none ever
overflows; padding is measured as most draw it.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from rich.cells import get_character_cell_size

from provider_core.structs import pattern

Piece: TypeAlias = tuple[str, str]
"""Text, and the parameters of the escape sequence that styles it ("" for none)."""

_NARROW = pattern(
    r"[\x20-\x7e\xa0-\xac\xae-\u02ff\u0370-\u0482\u048a-\u052f\u1e00-\u1fff\u2010-\u2027\u2030-\u205e"
    r"\u2190-\u2199\u2200-\u22ff\u2400-\u2426\u2500-\u259f]*"
)
_EMOJI = "\ufe0f"
# Letters that a row may be broken between: Korean, which has spaces between its words, is not among them.
_WIDE = (
    r"\u2e80-\u303e\u3041-\u3130\u3190-\ua4cf\uf900-\ufaff\uff01-\uff60\uffe0-\uffe6"
    r"\U00020000-\U0003fffd"
)
# No row begins with what closes, and none ends with what opens.
_CLOSING = (
    r"\u3001\u3002\uff0c\uff0e\uff1a\uff1b\uff1f\uff01\u300d\u300f\u3011\u3015\u3009\u300b\uff09\uff3d\uff5d"
    r"\u201d\u2019\u30fc\u3063\u30c3\u3005"
)
_OPENING = r"\u300c\u300e\u3010\u3014\u3008\u300a\uff08\uff3b\uff5b"
# Letters of flags, tones of skin, and what a newer Unicode has put among the emoji: one cell, two or none.
_DOUBTFUL = pattern("[\U00017000-\U0001b2ff\U0001f000-\U0001faff]")
# Marks piled on one letter until it is a page long count as letters from the ninth on.
_PILE = pattern(
    "(?<=[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u064b-\u065f\u1ab0-\u1aff\u1dc0-\u1dff\u200b-\u200f"
    "\u2060-\u2064\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f]{8})."
)
_MARKS = r"\u0300-\u036f\u3099\u309a\ufe0f"
_UNIT = pattern(
    rf" +|[{_OPENING}]+[^ {_WIDE}]+[{_CLOSING}]*"
    rf"|[{_OPENING}]*[{_WIDE}][{_MARKS}]*[{_CLOSING}.,:;?!)\]}}%]*|[^ {_WIDE}]+[{_CLOSING}]*"
)
# Around a command and the sentence that it is in: after a colon, and before what is in brackets or another choice.
_COMMAND = pattern(r"(?<=:) (?=telex )|(?<=[.!?]) (?=[^.!?]*: telex )|(?<=\S) (?=\(telex )|(?<=,) (?=or )")


class ScreenRow(NamedTuple):
    """One row as it is written to the terminal, and the cells it takes at most."""

    text: str
    cells: int


def is_plain(text: str) -> bool:
    """Whether every character takes one cell on any terminal."""
    return text.isascii() or _NARROW.fullmatch(text) is not None


def cells(text: str) -> int:
    """The cells ``text`` takes at most: joined emoji count one by one."""
    if text.isascii() or _NARROW.fullmatch(text):
        return len(text)
    return sum(_sizes(text))


def wrap(text: str, width: int) -> list[tuple[int, int]]:
    """Where the rows of ``text`` begin and end. The last one is all that more text could change.

    Rows break at spaces, which are dropped, between wide letters, and within a word only when it is alone.
    """
    rows: list[tuple[int, int]] = []
    start = 0
    while True:
        end = text.find("\n", start)
        line = text[start:] if end < 0 else text[start:end]
        if line.isascii() or _NARROW.fullmatch(line):
            _wrap_plain(line, width, start, rows)
        else:
            _wrap_units(line, width, start, rows)
        if end < 0:
            return rows
        start = end + 1


def paragraph(text: str, width: int, indent: str = "") -> str:
    """``text`` broken between words; each row has ``indent`` and the blanks that its line begins with.

    A command, as in ``Try: telex doctor``, is not broken: if need be it gets a row of its own.
    """
    rows: list[str] = []
    for line in text.expandtabs(8).split("\n"):
        bare = line.lstrip(" ")
        own = indent + " " * min(len(line) - len(bare), width // 2)
        room = max(1, width - len(own))
        for number, part in enumerate([bare] if cells(bare) <= room else _COMMAND.split(bare)):
            if not number or not part.startswith("telex "):
                rows += (own + part[start:end] for start, end in wrap(part, room))
            elif cells(rows[-1]) + 1 + cells(part) <= width:
                rows[-1] += f" {part}"
            else:  # the terminal may break it: then it is still copied as one line
                rows.append(f"{own}  {part}")
    return "\n".join(rows)


class Flow:
    """Breaks text between words while it arrives. The last word is held back: it may continue."""

    def __init__(self) -> None:
        self._word = ""
        self._used = 0
        """The cells of the row that have been written."""

    def add(self, text: str, width: int) -> str:
        """Take a piece of the text; what can be written now."""
        out = ""
        *lines, last = (self._word + text.replace("\t", "    ")).split("\n")
        for line in lines:
            out += "".join(self._placed(unit, width) for unit in _UNIT.findall(line)) + "\n"
            self._used = 0
        *units, self._word = _UNIT.findall(last) or [""]
        return out + "".join(self._placed(unit, width) for unit in units)

    def end(self, width: int) -> str:
        """Return the word that was held back."""
        word, self._word = self._word, ""
        rest = self._placed(word, width)
        self._used = 0
        return rest

    def _placed(self, unit: str, width: int) -> str:
        size = cells(unit)
        if not self._used or self._used + size <= width:
            self._used += size
            return unit
        if unit.isspace():
            self._used = width
            return ""
        self._used = size
        return f"\n{unit}"


def chop(text: str, width: int) -> list[str]:
    """``text`` in rows as a terminal breaks it: at its edge."""
    if is_plain(text):
        return [text[at : at + width] for at in range(0, len(text), width)] or [""]
    rows, row, used = [], "", 0
    for char, size in zip(text, _sizes(text), strict=True):
        if used + size > width and row:
            rows.append(row)
            row, used = "", 0
        row += char
        used += size
    return [*rows, row]


def _sizes(text: str) -> list[int]:
    """The cells of each character at most; a mark that makes an emoji of a letter widens it."""
    sizes = [2 if _DOUBTFUL.match(char) else get_character_cell_size(char) for char in text]
    if _EMOJI in text:
        for at in range(1, len(text)):
            if text[at] == _EMOJI and sizes[at - 1] == 1:
                sizes[at] = 1
    for piled in _PILE.finditer(text):
        sizes[piled.start()] = max(sizes[piled.start()], 1)
    return sizes


def _wrap_plain(line: str, width: int, offset: int, rows: list[tuple[int, int]]) -> None:
    size = len(line)
    start = size - len(line.lstrip(" "))
    while size - start > width:
        cut = line.rfind(" ", start, start + width + 1)
        if cut < 0:
            end = following = start + width
        else:
            end = start + len(line[start:cut].rstrip(" "))
            following = cut + 1
            while following < size and line[following] == " ":
                following += 1
        rows.append((offset + start, offset + end))
        start = following
    rows.append((offset + start, offset + size))


def _wrap_units(line: str, width: int, offset: int, rows: list[tuple[int, int]]) -> None:
    start = end = at = len(line) - len(line.lstrip(" "))
    used = 0
    for found in _UNIT.findall(line, start):
        unit = found
        if unit[0] == " ":
            used += len(unit)
            at += len(unit)
            continue
        size = cells(unit)
        if used + size > width and end > start:
            rows.append((offset + start, offset + end))
            start, used = at, 0
        if size > width:
            *full, unit = chop(unit, width)
            for part in full:
                rows.append((offset + at, offset + at + len(part)))
                start = at = at + len(part)
            size = cells(unit)
        at += len(unit)
        used += size
        end = at
    rows.append((offset + start, offset + len(line)))
