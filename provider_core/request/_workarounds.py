"""Workarounds for fields that a server refuses, and a request's body with workarounds applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from provider_core.request._body import build_body
from provider_core.structs import Struct, replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from provider_core.types import Json, Provider, Quirks, Request


class Workaround(Struct):
    """A field of the body that is omitted, or sent under the name ``swapped_for``, or sent with ``value``.

    With ``beside``, only in a body that has the field of this name too. ``lasting`` is whether the server refuses the
    field in any request; only those workarounds are remembered.
    """

    field: str
    swapped_for: str | None = None
    value: Json = None
    beside: str = ""
    lasting: bool = True


SWAPS: Final = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
"""Two names for the same thing: if one is refused, the other is tried."""

# The first five are not fields of the body, but change how messages are sent.

SYSTEM: Final = Workaround(field="system", swapped_for="user")
"""Put the system prompt before the first user message."""

ROLES: Final = Workaround(field="roles", swapped_for="one")
"""Join neighbouring messages of one role."""

CALLS: Final = Workaround(field="calls", swapped_for="text")
"""Send tool calls of earlier turns as text in a request without tools."""

IMAGES: Final = Workaround(field="tool_images", swapped_for="user")
"""Send the images of tool results in a user message after the results."""

REASONING: Final = "reasoning_send_back"
"""Whether the reasoning of earlier answers is sent: swapped for "reasoning_content" or "never"."""

MESSAGE_FIELDS: Final = frozenset(("system", "roles", "calls", "tool_images", REASONING))
"""Fields that a user cannot set."""

STREAM: Final = "stream"
"""Swapped for "unstreamed" or "streamed"."""

CHOICE: Final = "tool_choice"
"""Swapped for a key of ``_CHOICES`` before it is omitted."""

FORMAT: Final = "response_format"
"""With a schema, swapped for one of ``FORMATS`` or ``UNSTREAMED``, and never omitted."""

FORMATS: Final = ("json_schema", "loose_schema", "json_object", "none")
"""Values of ``Quirks.json_schema``, strongest first; "loose_schema" is a schema without ``strict``."""

UNSTREAMED: Final = "unstreamed"
"""The same format without streaming, which some servers require: https://github.com/langchain-ai/langchain/issues/23629"""

_CHOICES: Final[Mapping[str, Mapping[str, Any]]] = {
    "text": {"tool_choice_named": "word"},
    "required": {"tool_choice_named": "word", "tool_choice_required": "required"},
    "any": {"tool_choice_named": "word", "tool_choice_required": "any"},
}
"""The quirks that each word stands for."""

_SWAPPED_FOR: Final[Mapping[str, tuple[str | None, ...]]] = {
    "system": ("user", "system"),
    "roles": ("one",),
    "calls": ("text",),
    "tool_images": ("user",),
    REASONING: ("reasoning_content", "never"),
    STREAM: ("unstreamed", "streamed"),
    CHOICE: (*_CHOICES, None),
    FORMAT: (*FORMATS, UNSTREAMED, None),
    **{one: (other, None) for one, other in SWAPS.items()},
}
"""The valid ``swapped_for`` of these fields; others have no other name."""

REQUIRED: Final = frozenset({"model", "messages", "stream", "tools"})
"""Without these it would be another request."""


def is_valid(workaround: Workaround) -> bool:
    """Whether there is such a workaround: a cache file may contain anything."""
    if workaround.field in REQUIRED and workaround.field != STREAM:
        return False
    return workaround.swapped_for in _SWAPPED_FOR.get(workaround.field, (None,))


def build_adapted_body(
    provider: Provider, request: Request, workarounds: Iterable[Workaround]
) -> tuple[dict[str, Json], tuple[Workaround, ...]]:
    """The request's body with these workarounds, in their order, and those that changed a field of it."""
    workarounds = tuple(workarounds)
    quirks = provider.quirks
    for each in workarounds:
        quirks, request = _adapted(quirks, request, each)
    body = build_body(provider if quirks is provider.quirks else replace(provider, quirks=quirks), request)
    effective = []
    for each in workarounds:
        field, other = each.field, each.swapped_for
        if field in MESSAGE_FIELDS or field == STREAM or (field in (FORMAT, CHOICE) and other is not None):
            continue
        if each.value is not None:
            if (each.beside and each.beside not in body) or body.get(field) == each.value:
                continue
            body[field] = each.value
        elif field in body:
            value = body.pop(field)
            if other is not None:
                body.setdefault(other, value)
        else:
            continue
        effective.append(each)
    return body, tuple(effective)


def _adapted(quirks: Quirks, request: Request, workaround: Workaround) -> tuple[Quirks, Request]:
    """The quirks and the request changed by a workaround of more than a field."""
    word: Any = workaround.swapped_for
    match workaround.field:
        case "system":
            quirks = replace(quirks, system_role=word)
        case "roles":
            quirks = replace(quirks, alternate_roles=True)
        case "calls":
            quirks = replace(quirks, earlier_calls="text")
        case "tool_images":
            quirks = replace(quirks, tool_images="user")
        case "reasoning_send_back":
            quirks = replace(quirks, reasoning_send_back=word)
        case "stream":
            quirks, request = (
                replace(quirks, always_stream=False),
                replace(request, stream=word == "streamed"),
            )
        case "tool_choice" if word is not None:
            quirks = replace(quirks, **_CHOICES[word])
        case "response_format" if request.schema is None:
            pass
        case "response_format" if word == UNSTREAMED:
            request = replace(request, stream=False)
        case "response_format" if word == FORMATS[0]:
            quirks = replace(quirks, json_schema=word)
        case "response_format":
            weaker: Any = max(quirks.json_schema, word or "none", key=FORMATS.index)
            quirks = replace(quirks, json_schema=weaker)
    return quirks, request
