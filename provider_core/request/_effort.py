"""A reasoning effort as the fields of the body that ask for it; which those are is written in the rows."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from provider_core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider_core.types import Json, Provider, Quirks, Request

__all__ = ["effort", "thinks"]


def effort(provider: Provider, model: str, level: str) -> Mapping[str, Json]:
    """The fields for this level; raises ``InvalidInputError`` with the levels there are."""
    levels = _levels(provider.quirks, model)
    if levels is None:
        return {"reasoning_effort": level}
    if level in levels:
        return levels[level]
    who = f"{provider.name}/{model}"
    if not levels:
        what = f"{who} takes no reasoning effort, so that {level!r} cannot be asked for"
    else:
        what = f"{who} has no reasoning effort {level!r}; it takes {', '.join(levels)}"
    raise InvalidInputError(what, provider=provider.name)


def thinks(provider: Provider, request: Request, fields: Mapping[str, Json]) -> bool:
    """Whether the model may think; false where ``fields`` or raw parameters turn it off, in whatever way."""
    levels = _levels(provider.quirks, request.model)
    off = {"reasoning_effort": "none"} if levels is None else levels.get("none")
    sent = {**fields, **request.params}
    return not off or any(sent.get(name) != value for name, value in off.items())


def _levels(quirks: Quirks, model: str) -> Mapping[str, Mapping[str, Json]] | None:
    name = model.rsplit("/", 1)[-1].lower()
    for family in quirks.effort:
        if not family.models or any(fnmatchcase(name, pattern) for pattern in family.models):
            return family.levels
    return None
