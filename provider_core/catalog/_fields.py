"""Finds a value in a listed model by the path that a preset's row gives for it; what it means is not known here."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from provider_core.types import Json

__all__ = ["find", "tokens"]

FEWEST, MOST = 256, 20_000_000
"""Token counts outside of these are placeholders: 0, -1, 1e9."""

_STEP = re.compile(r"([^.\[\]]+)((?:\[[^\]]*\])?)(?:\.|$)")


def tokens(entry: Json, paths: Iterable[str]) -> int | None:
    """The token count under the first of ``paths`` that holds one; of a list's elements, the largest."""
    for path in paths:
        found = [number for value in find(entry, path) if (number := _count(value)) is not None]
        if found:
            return max(found)
    return None


def find(entry: Json, path: str) -> list[Json]:
    """Every value under ``path``: dots go down, ``[]`` is each element of a list, ``[key=value]`` the one with it."""
    values = [entry]
    for name, choice in _steps(path):
        values = [value[name] for value in values if isinstance(value, dict) and name in value]
        if choice:
            values = [item for value in values if isinstance(value, list) for item in _chosen(value, choice)]
    return values


@cache
def _steps(path: str) -> tuple[tuple[str, str], ...]:
    return tuple((found[1], found[2]) for found in _STEP.finditer(path))


def _chosen(items: list[Json], choice: str) -> Iterator[Json]:
    key, equals, wanted = choice[1:-1].partition("=")
    for item in items:
        if not equals or (isinstance(item, dict) and item.get(key) == wanted):
            yield item


def _count(value: Json) -> int | None:
    """Servers send counts as numbers, as floats and as text; everything else is none."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 16:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not FEWEST <= value <= MOST:
        return None
    return int(value)
