"""Search for words in text, and the snippet that shows them.

There is no index: reading 100 MB of text takes a fifth of a second. An index would take half as much space again, would
keep words of removed conversations, and would not find words in Chinese, Japanese or Thai.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_ACCENTS = re.compile("[\u0300-\u036f]+")
_BEFORE, _AFTER = 50, 110
"""Characters of a snippet before the first word, and from it on."""


def fold(text: str) -> str:
    """``text`` without differences of case, accents and Unicode form."""
    if text.isascii():
        return text.lower()
    return _ACCENTS.sub("", unicodedata.normalize("NFKD", text)).casefold()


def matcher(words: Iterable[str]) -> Callable[[str], bool]:
    """A function that says whether a text contains all of the words, which may be phrases or parts of words."""
    wanted = [fold(word) for word in words]

    def holds(text: str) -> bool:
        folded = fold(text)
        return all(word in folded for word in wanted)

    return holds


def snippet(text: str, words: Iterable[str]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """One line of ``text`` around the first of the words, and where words start and end in it."""
    text = " ".join(text.split())
    folded, positions = _with_positions(text)
    wanted = filter(None, {fold(" ".join(word.split())) for word in words})
    # The longest word comes first, because the first that matches is taken.
    pattern = "|".join(map(re.escape, sorted(wanted, key=len, reverse=True)))
    matches = re.finditer(pattern, folded) if pattern else ()
    found = [(positions[match.start()], positions[match.end()]) for match in matches]
    first = found[0][0] if found else 0
    start, stop = first - _BEFORE, first + _AFTER
    if start <= 0:
        start = 0
    elif (blank := text.find(" ", start, first)) >= 0:
        start = blank + 1
    stop = len(text) if stop >= len(text) else max(text.rfind(" ", first + _AFTER // 2, stop), 0) or stop
    before, after = "…" if start > 0 else "", "…" if stop < len(text) else ""
    shift = len(before) - start
    marks = ((begin + shift, min(end, stop) + shift) for begin, end in found if begin < min(end, stop))
    return f"{before}{text[start:stop]}{after}", tuple(marks)


def _with_positions(text: str) -> tuple[str, Sequence[int]]:
    """The folded text, and for each position in it, and its end, the position in ``text``."""
    folded = fold(text)
    if len(folded) == len(text):
        return folded, range(len(text) + 1)
    pieces: list[str] = []
    positions: list[int] = []
    for at, character in enumerate(text):
        piece = fold(character)
        pieces.append(piece)
        positions += [at] * len(piece)
    return "".join(pieces), [*positions, len(text)]
