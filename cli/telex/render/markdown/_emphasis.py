"""Runs of ``*``, ``_`` and ``~``: which of them open or close emphasis, and which pairs belong together."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache

__all__ = ["Run", "pair"]


@dataclass(slots=True, eq=False)
class Run:
    """A run of ``length`` equal delimiters; ``left`` of them stand for themselves after pairing.

    ``closed`` and ``opened`` name the tags that end before and begin after what is left, in the order in
    which they were paired: the innermost first.
    """

    char: str
    length: int
    opens: bool
    closes: bool
    left: int = 0
    closed: list[str] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)

    @classmethod
    def between(cls, before: str, run: str, after: str) -> Run:
        """The run, judged by the characters beside it; "" stands for the edge of the text."""
        space_before, space_after = before.isspace() or not before, after.isspace() or not after
        mark_before, mark_after = _is_mark(before), _is_mark(after)
        wide_before, wide_after = _is_wide(before), _is_wide(after)
        # CommonMark wants a space or a mark beyond a mark. Chinese and Japanese write no spaces: there their
        # marks are as good as letters on the inside, and their letters as good as spaces on the outside.
        left = not space_after and (
            not mark_after or wide_after or space_before or mark_before or wide_before
        )
        right = not space_before and (
            not mark_before or wide_before or space_after or mark_after or wide_after
        )
        char = run[0]
        if char == "_":
            opens, closes = left and (not right or mark_before), right and (not left or mark_after)
        else:
            opens, closes = left, right
        if char == "~" and len(run) != 2:
            # One tilde is far more often "about" than a strike.
            opens = closes = False
        return cls(char, len(run), opens, closes, len(run))


def pair(runs: list[Run], bottom: int) -> None:
    """Pair what belongs together in ``runs[bottom:]``; runs that can neither open nor close any more go."""
    floor: dict[tuple[str, bool, int], int] = {}
    at = bottom
    while at < len(runs):
        closer = runs[at]
        if not closer.closes:
            at += 1
            continue
        kind = (closer.char, closer.opens, closer.length % 3)
        lowest = floor.get(kind, bottom)
        found = at - 1
        while found >= lowest and not _fit(runs[found], closer):
            found -= 1
        if found < lowest:
            floor[kind] = at
            if closer.opens:
                at += 1
            else:
                del runs[at]
            continue
        opener = runs[found]
        both = min(opener.left, closer.left, 2)
        tag = "s" if closer.char == "~" else ("", "em", "strong")[both]
        opener.opened.append(tag)
        closer.closed.append(tag)
        opener.left -= both
        closer.left -= both
        keep = found + 1 if opener.left else found
        del runs[keep:at]
        at = keep
        if not closer.left:
            del runs[at]
        for key, value in floor.items():
            floor[key] = min(value, keep)


def _fit(opener: Run, closer: Run) -> bool:
    if opener.char != closer.char or not opener.opens:
        return False
    if (opener.closes or closer.opens) and (opener.length + closer.length) % 3 == 0:
        return opener.length % 3 == 0 and closer.length % 3 == 0
    return True


@lru_cache(1024)
def _is_mark(char: str) -> bool:
    """Whether Unicode calls ``char`` punctuation or a symbol."""
    return bool(char) and unicodedata.category(char)[0] in "PS"


@lru_cache(1024)
def _is_wide(char: str) -> bool:
    return bool(char) and unicodedata.east_asian_width(char) in "WF"
