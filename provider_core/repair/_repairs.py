"""A repair as a value, and a body with repairs applied; which are needed is read and remembered elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from provider_core import quirks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from provider_core.types import Json, Provider, Request

__all__ = ["CALLS", "FORMAT", "ROLES", "SWAPS", "SYSTEM", "Repair", "repaired", "weaker_formats"]


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

CALLS: Final = Repair(field="calls", swapped_for="text")
"""No field: tool calls of earlier turns are told in words, where no tools are offered."""

FORMAT: Final = "response_format"
"""Where it asks for a schema it is not left out but weakened: a repair of it is swapped for one of the words below."""

_STEPS: Final = ("json_schema", "json_object", "none")
"""The row's own words, each weaker than the one before."""

_UNSTREAMED: Final = "unstreamed"
"""The same format, and the answer as a whole: some servers do not stream what they check. langchain issue 23629."""


def weaker_formats(body: Mapping[str, Json], *, streaming: bool, lasting: bool) -> list[Repair]:
    """What may be tried for a body whose format was refused, the strongest first.

    ``streaming`` tells that the server minds the stream.
    """
    format_ = body.get(FORMAT)
    now = format_.get("type") if isinstance(format_, dict) else None
    steps = list(_STEPS[_STEPS.index(now) + 1 :]) if now in _STEPS else []
    if streaming:
        steps.insert(0, _UNSTREAMED)
    return [Repair(field=FORMAT, swapped_for=step, lasting=lasting) for step in steps]


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
    if CALLS in repairs:
        row = replace(row, earlier_calls="text")
    for repair in repairs:
        if repair.field == FORMAT and request.schema is not None:
            if repair.swapped_for == _UNSTREAMED:
                request = replace(request, stream=False)
            else:
                row = replace(row, json_schema=_weaker(row.json_schema, repair.swapped_for))
    body = quirks.body(provider if row is provider.quirks else replace(provider, quirks=row), request)
    effective = []
    for repair in repairs:
        if repair in (SYSTEM, ROLES, CALLS) or repair.field not in body:
            continue
        if repair.field == FORMAT and repair.swapped_for is not None:
            continue
        value = body.pop(repair.field)
        if repair.swapped_for is not None:
            body.setdefault(repair.swapped_for, value)
        effective.append(repair)
    return body, tuple(effective)


def _weaker(
    one: Literal["json_schema", "json_object", "none"], other: str | None
) -> Literal["json_schema", "json_object", "none"]:
    if other == "json_object" and one != "none":
        return "json_object"
    return "none"
