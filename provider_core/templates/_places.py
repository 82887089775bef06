r"""The places in a template's text where something is put in: ``{{ name }}`` and ``{{ name | default }}``.

``\{{`` is none, and stands for two braces. What is put in is text: it is not looked at again, and nothing is run.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["places", "put_in", "wrong_place"]

_MARK: Final = re.compile(r"\\\{\{|\{\{((?:(?!\}\}).)*)\}\}|\{\{")
_INSIDE: Final = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_-]*)\s*(?:\|(.*))?")


def wrong_place(text: str) -> tuple[str, str] | None:
    """The first place that cannot be read, as it is written, and what is wrong with it."""
    for mark in _MARK.finditer(text):
        if mark[0] == "\\{{":
            continue
        if mark[1] is None:
            return mark[0], r"{{ is not closed by }} on its line; where it is meant as it stands, write \{{"
        if not _INSIDE.fullmatch(mark[1]):
            shown = mark[0] if len(mark[0]) <= 60 else f"{mark[0][:59]}…"
            return mark[0], rf"{shown} is not a variable; to write it literally, use \{{{{"
    return None


def places(text: str) -> dict[str, str | None]:
    """The variables by name, in the order in which they come first, each with its default."""
    found: dict[str, str | None] = {}
    for mark in _MARK.finditer(text):
        if mark[1] is not None and (inside := _INSIDE.fullmatch(mark[1])):
            default = inside[2].strip() if inside[2] is not None else None
            if found.get(inside[1]) is None:
                found[inside[1]] = default
    return found


def put_in(text: str, values: Mapping[str, str], defaults: Mapping[str, str | None]) -> str:
    """The text with its places filled: with the value, else the place's own default, else the one in ``defaults``."""

    def filled(mark: re.Match[str]) -> str:
        inside = _INSIDE.fullmatch(mark[1]) if mark[1] is not None else None
        if inside is None:
            return "{{"
        name, default = inside[1], inside[2]
        if name in values:
            return values[name]
        return default.strip() if default is not None else defaults.get(name) or ""

    return _MARK.sub(filled, text)
