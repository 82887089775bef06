"""Where a long paragraph may be cut: parts are read and printed on their own, so that its cost stays linear."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from telex.render.markdown._inline import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from telex.render.markdown._links import Target

__all__ = ["LONG", "cut", "pieces"]

LONG = 1024
"""Characters from which on a paragraph is printed in parts: it becomes no heading and no table any more."""

_STEP, _MOST = 512, 4096
_WIDE = "\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_PLACES = re.compile(rf"[ \n]|[{_WIDE}](?=[{_WIDE}])")


def cut(text: str, size: int, references: Mapping[str, Target]) -> tuple[int | None, int]:
    """The index at which the first part of ``text`` ends, None while that cannot be known; and the next ``size``.

    ``size`` is ``LONG`` for a new part, then what was returned. The index is found in the first characters
    alone, so that it does not matter in which pieces the rest arrives.
    """
    while len(text) > size:
        end = _place(text, size // 2, size)
        if size >= _MOST:
            return end or size, LONG
        if end is not None and parse(text[:end], references).settled:
            return end, LONG
        size += _STEP
    return None, size


def pieces(text: str, references: Mapping[str, Target]) -> list[str]:
    """All parts of a ``text`` that is whole."""
    found = []
    while (end := cut(text[: _MOST + 1], LONG, references)[0]) is not None:
        found.append(text[:end])
        text = text[end:]
    return [*found, text]


def _place(text: str, low: int, high: int) -> int | None:
    """The index behind the last place to cut between two indices; the end of a line is the best one."""
    # The last line may still turn out to be the head of a table.
    if (line := text.rfind("\n", low, high)) >= 0:
        return line + 1
    last = None
    for place in _PLACES.finditer(text, low, high):
        last = place.end()
    return last
