"""Looking for words in what was said: whether a text holds them, and the piece of it that shows them.

There is no index. To read all of 100 MB of text takes a fifth of a second; an index would be half as large
again, keep the words of what was removed, and know no words in Chinese, Japanese or Thai.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["fold", "matcher", "snippet"]

_ACCENTS = re.compile("[\u0300-\u036f]+")
_BEFORE, _AFTER = 50, 110
"""Characters that are shown before the first word, and from it on."""


def fold(text: str) -> str:
    """``text`` without case, accents and differences of form, which nobody means when looking for something."""
    if text.isascii():
        return text.lower()
    return _ACCENTS.sub("", unicodedata.normalize("NFKD", text)).casefold()


def matcher(words: Iterable[str]) -> Callable[[str], bool]:
    """Tells whether a text holds every one of the words, which may be phrases or parts of words."""
    wanted = [fold(word) for word in words]

    def holds(text: str) -> bool:
        folded = fold(text)
        return all(word in folded for word in wanted)

    return holds


def snippet(text: str, words: Iterable[str]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """A line of ``text`` around the first of the words, and where in it words begin and end."""
    folded, places = _placed(text)
    found = [(places[begin], places[end]) for begin, end in _spans(folded, {fold(word) for word in words})]
    first = found[0][0] if found else 0
    start, stop = first - _BEFORE, first + _AFTER
    start = 0 if start <= 0 else _first_blank(text, start, first)
    stop = len(text) if stop >= len(text) else max(text.rfind(" ", first + _AFTER // 2, stop), 0) or stop
    return _line(text, start, stop, [span for span in found if span[0] < stop])


def _first_blank(text: str, start: int, first: int) -> int:
    at = text.find(" ", start, first)
    return start if at < 0 else at + 1


def _placed(text: str) -> tuple[str, Sequence[int]]:
    """The folded text, and for each place in it the place in ``text``, the end included."""
    folded = fold(text)
    if len(folded) == len(text):
        return folded, range(len(text) + 1)
    pieces: list[str] = []
    places: list[int] = []
    for at, character in enumerate(text):
        piece = fold(character)
        pieces.append(piece)
        places += [at] * len(piece)
    return "".join(pieces), [*places, len(text)]


def _spans(folded: str, words: Iterable[str]) -> list[tuple[int, int]]:
    """Where the words are, in order and apart from each other."""
    # The longest first: of words that begin at one place it is the one to mark.
    pattern = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True) if word)
    return [match.span() for match in re.finditer(pattern, folded)] if pattern else []


def _line(
    text: str, start: int, stop: int, spans: Iterable[tuple[int, int]]
) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The piece with its blanks and line ends as single blanks, an ellipsis where it was cut, and the spans in it."""
    line = "…" if start > 0 else ""
    marks: list[tuple[int, int]] = []
    at = start
    for begin, end in spans:
        line = _joined(line, text[at:begin])
        at = min(end, stop)
        word = _joined(line, text[begin:at])
        marks.append((len(line), len(word)))
        line = word
    line = _joined(line, text[at:stop]).rstrip()
    kept = tuple((begin, min(end, len(line))) for begin, end in marks if begin < min(end, len(line)))
    return (f"{line}…" if stop < len(text) else line), kept


def _joined(line: str, more: str) -> str:
    flat = re.sub(r"\s+", " ", more)
    return line + (flat.lstrip() if not line or line.endswith((" ", "…")) else flat)
