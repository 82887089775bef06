"""A repair as a value, and a body with repairs applied; which are needed is read and remembered elsewhere."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from provider_core.request._body import build_body
from provider_core.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from provider_core.types import Json, Provider, Quirks, Request

__all__ = [
    "CALLS",
    "CHOICE",
    "FORMAT",
    "IMAGES",
    "NEEDED",
    "NOT_TOLD",
    "REASONING",
    "ROLES",
    "STREAM",
    "SWAPS",
    "SYSTEM",
    "Workaround",
    "is_known",
    "repaired",
    "weaker_choices",
    "weaker_formats",
]


class Workaround(Struct):
    """The field of a body is left out, or sent under the name ``swapped_for``, or sent with ``value``.

    With ``beside`` that is needed only in a body that holds the field of this name. ``lasting`` tells whether
    the field is refused whatever else is sent: only that is remembered.
    """

    field: str
    swapped_for: str | None = None
    value: Json = None
    beside: str = ""
    lasting: bool = True


SWAPS: Final = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
"""Two names of one thing: where one is refused, the other is tried."""

SYSTEM: Final = Workaround(field="system", swapped_for="user")
"""Not a field: the system prompt stands before the first user message instead."""

ROLES: Final = Workaround(field="roles", swapped_for="one")
"""Not a field: neighbouring messages of one role are joined."""

CALLS: Final = Workaround(field="calls", swapped_for="text")
"""Not a field: tool calls of earlier turns are sent as text where no tools are offered."""

IMAGES: Final = Workaround(field="tool_images", swapped_for="user")
"""Not a field: the images of tool results are sent in a user message after the results."""

REASONING: Final = "reasoning_send_back"
"""Not a field: whether the reasoning of earlier answers goes along. Swapped for "reasoning_content" or "never"."""

NOT_TOLD: Final = frozenset(("system", "roles", "calls", "tool_images", REASONING))
"""Fields that nobody can ask for."""

STREAM: Final = "stream"
"""Swapped for "unstreamed" or "streamed"."""

CHOICE: Final = "tool_choice"
"""Swapped for a word of ``_CHOICES`` before it is left out."""

FORMAT: Final = "response_format"
"""Where it asks for a schema it is not left out but weakened: a repair of it is swapped for one of the words below."""

_STEPS: Final = ("json_schema", "loose_schema", "json_object", "none")
"""The row's own words, each weaker than the one before; "loose_schema" is a schema without ``strict``."""

_UNSTREAMED: Final = "unstreamed"
"""The same format, and the answer as a whole: some servers do not stream what they check. langchain issue 23629."""

_CHOICES: Final[Mapping[str, Mapping[str, Any]]] = {
    "text": {"tool_choice_named": "word"},
    "required": {"tool_choice_named": "word", "tool_choice_required": "required"},
    "any": {"tool_choice_named": "word", "tool_choice_required": "any"},
}
"""What each word changes in the provider's row."""

_FORMS: Final[Mapping[str, tuple[str | None, ...]]] = {
    "system": ("user", "system"),
    "roles": ("one",),
    "calls": ("text",),
    "tool_images": ("user",),
    REASONING: ("reasoning_content", "never"),
    STREAM: ("unstreamed", "streamed"),
    CHOICE: (*_CHOICES, None),
    FORMAT: (*_STEPS, _UNSTREAMED, None),
    **{one: (other, None) for one, other in SWAPS.items()},
}
"""What ``swapped_for`` may be; other fields have no other name."""

NEEDED: Final = frozenset({"model", "messages", "stream", "tools"})
"""Without these it would be another request."""


def is_known(repair: Workaround) -> bool:
    """Whether there is such a repair; a file may hold anything."""
    if repair.field in NEEDED and repair.field != STREAM:
        return False
    return repair.swapped_for in _FORMS.get(repair.field, (None,))


_ACCEPTED: Final = re.compile(
    r"(?:should|must|can(?: only)?|has\s+to)\s+be|\bexpected\b|\b(?:supported|allowed|valid|accepted|possible)"
    r"(?:\s+\w+)?\s+(?:values?|types?)\b|\bonly\s+supports?\b|\bone\s+of\b|\bsupports?\s+only\b",
    re.IGNORECASE,
)
"""What stands behind these words would do."""


def _accepted(words: str, known: Iterable[str]) -> list[str]:
    """The values among ``known`` that an error says the server would accept."""
    found = _ACCEPTED.search(words)
    rest = words[found.end() :] if found else ""
    return [value for value in known if re.search(rf"\b{value}\b", rest)]


def weaker_formats(body: Mapping[str, Json], words: str, *, lasting: bool) -> list[Workaround]:
    """What may be tried for a body whose format was refused in these words, the strongest first."""
    format_ = body.get(FORMAT)
    now = format_.get("type") if isinstance(format_, dict) else None
    steps = list(_STEPS[_STEPS.index(now) + 1 :]) if now in _STEPS else []
    schema = format_.get("json_schema") if isinstance(format_, dict) else None
    strict = isinstance(schema, dict) and "strict" in schema
    if "loose_schema" in steps and not (strict and re.search(r"\bstrict\b", words, re.IGNORECASE)):
        steps.remove("loose_schema")
    accepted = _accepted(words, ("json_schema", "json_object", "text"))
    if steps and accepted and now not in accepted:
        steps = [step for step in _STEPS if step != now and (step in accepted or step == "none")]
    if re.search(r"\bstream", words, re.IGNORECASE):
        steps.insert(0, _UNSTREAMED)
    return [Workaround(field=FORMAT, swapped_for=step, lasting=lasting) for step in steps]


def weaker_choices(body: Mapping[str, Json], words: str, *, lasting: bool) -> list[Workaround]:
    """What may be tried for a body whose ``tool_choice`` was refused in these words, the strongest first."""
    choice, steps = body[CHOICE], list[str]()
    accepted = _accepted(words, ("required", "any"))
    if re.search(r"\bthink|\breasoning", words, re.IGNORECASE):
        pass  # no form of a demand is taken then
    elif isinstance(choice, dict):
        steps = ["any"] if accepted == ["any"] else ["text"]
    elif choice in ("required", "any"):
        steps = [word for word in accepted if word != choice]
    repairs = [Workaround(field=CHOICE, swapped_for=step, lasting=lasting) for step in steps]
    return [*repairs, Workaround(field=CHOICE, lasting=lasting)]


def repaired(
    provider: Provider, request: Request, repairs: Iterable[Workaround]
) -> tuple[dict[str, Json], tuple[Workaround, ...]]:
    """The request's body with these repairs, in their order, and those that changed a field of it."""
    repairs = tuple(repairs)
    row = provider.quirks
    for repair in repairs:
        row, request = _row(row, request, repair)
    body = build_body(provider if row is provider.quirks else replace(provider, quirks=row), request)
    effective = []
    for repair in repairs:
        field, other = repair.field, repair.swapped_for
        if field in NOT_TOLD or field == STREAM or (field in (FORMAT, CHOICE) and other is not None):
            continue
        if repair.value is not None:
            if (not repair.beside or repair.beside in body) and body.get(field) != repair.value:
                body[field] = repair.value
                effective.append(repair)
            continue
        if field not in body:
            continue
        value = body.pop(field)
        if other is not None:
            body.setdefault(other, value)
        effective.append(repair)
    return body, tuple(effective)


def _row(row: Quirks, request: Request, repair: Workaround) -> tuple[Quirks, Request]:
    """The provider's row and the request as this repair changes them; most change the body alone."""
    word: Any = repair.swapped_for
    match repair.field:
        case "system":
            row = replace(row, system_role=word)
        case "roles":
            row = replace(row, alternate_roles=True)
        case "calls":
            row = replace(row, earlier_calls="text")
        case "tool_images":
            row = replace(row, tool_images="user")
        case "reasoning_send_back":
            row = replace(row, reasoning_send_back=word)
        case "stream":
            row, request = replace(row, always_stream=False), replace(request, stream=word == "streamed")
        case "tool_choice" if word is not None:
            row = replace(row, **_CHOICES[word])
        case "response_format" if request.schema is None:
            pass
        case "response_format" if word == _UNSTREAMED:
            request = replace(request, stream=False)
        case "response_format" if word != _STEPS[0]:
            weaker: Any = max(row.json_schema, word or "none", key=_STEPS.index)
            row = replace(row, json_schema=weaker)
        case "response_format":
            row = replace(row, json_schema=word)
    return row, request
