"""A repair as a value, and a body with repairs applied; which are needed is read and remembered elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from provider_core import quirks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provider_core.types import Json, Provider, Request

__all__ = ["ROLES", "SWAPS", "SYSTEM", "Repair", "repaired"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """The field of a body is left out, or sent under the name ``swapped_for``.

    ``lasting`` tells whether the field itself is refused, whatever else is sent: only that is remembered.
    """

    field: str
    swapped_for: str | None = None
    lasting: bool = True


SWAPS: Final = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
"""Two names of one thing: where one is refused, the other is tried."""

SYSTEM: Final = Repair(field="system", swapped_for="user")
"""No field: the system prompt stands before the first user message instead."""

ROLES: Final = Repair(field="roles", swapped_for="one")
"""No field: neighbouring messages of one role are merged."""


def repaired(
    provider: Provider, request: Request, repairs: Iterable[Repair]
) -> tuple[dict[str, Json], tuple[Repair, ...]]:
    """The request's body with these repairs, in their order, and those that changed a field of it."""
    repairs = tuple(repairs)
    row = provider.quirks
    if SYSTEM in repairs:
        row = replace(row, system_role="user")
    if ROLES in repairs:
        row = replace(row, alternate_roles=True)
    body = quirks.body(provider if row is provider.quirks else replace(provider, quirks=row), request)
    effective = []
    for repair in repairs:
        if repair in (SYSTEM, ROLES) or repair.field not in body:
            continue
        value = body.pop(repair.field)
        if repair.swapped_for is not None:
            body.setdefault(repair.swapped_for, value)
        effective.append(repair)
    return body, tuple(effective)
