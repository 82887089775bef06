"""Messages and what is known of an answer, as columns and back; no statement of SQL is here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, TypeVar, cast

from provider_core.types import Image, ImagePart, Message, Source, TextPart, ToolCall

if TYPE_CHECKING:
    from provider_core.types import Json, Part, Timing, Usage

__all__ = ["as_json", "as_text", "columns", "message", "moment", "numbers", "numbers_as_json", "of_json"]

_Numbers = TypeVar("_Numbers", "Usage", "Timing")

_YEAR_10000 = 253402300800

_BETWEEN = "\n\n"
"""Between the texts of a message with several."""


def columns(message: Message) -> tuple[str, str, str | None]:
    """Role, all its text, and the rest of it as JSON, None where there is no more."""
    more: dict[str, Json] = {}
    if isinstance(message.content, str):
        text = message.content
    else:
        text = _BETWEEN.join(part.text for part in message.content if isinstance(part, TextPart))
        # A text is told by its length, so that it stands in the file once.
        more["parts"] = [
            len(part.text) if isinstance(part, TextPart) else {"image": part.url} for part in message.content
        ]
    if message.tool_calls:
        more["tool_calls"] = [asdict(call) for call in message.tool_calls]
    for name in ("tool_call_id", "reasoning", "reasoning_details", "extra", "provider"):
        value = getattr(message, name)
        if value:
            more[name] = value
    for name in ("sources", "images"):
        if values := getattr(message, name):
            more[name] = [asdict(value) for value in values]
    return message.role, as_text(text), as_json(more)


def message(role: str, text: str, more: str | None) -> Message:
    """The message of which ``columns`` were stored."""
    rest = of_json(more)
    content: str | tuple[Part, ...] = text
    if "parts" in rest:
        content = tuple(_parts(text, rest.pop("parts")))
    return Message(
        role=cast("Any", role),
        content=content,
        tool_calls=tuple(ToolCall(**call) for call in rest.pop("tool_calls", ())),
        reasoning_details=tuple(rest.pop("reasoning_details", ())),
        sources=tuple(Source(**source) for source in rest.pop("sources", ())),
        images=tuple(Image(**image) for image in rest.pop("images", ())),
        **rest,
    )


def _parts(text: str, stored: list[Json]) -> list[Part]:
    parts: list[Part] = []
    at = 0
    for part in stored:
        if isinstance(part, int):
            parts.append(TextPart(text=text[at : at + part]))
            at += part + len(_BETWEEN)
        else:
            parts.append(ImagePart(url=part["image"]))
    return parts


def as_text(text: str) -> str:
    """``text`` with a question mark for what UTF-8 cannot hold, which is how it was printed too."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def as_json(value: Mapping[str, Json] | None) -> str | None:
    """JSON in a line; None for what is empty."""
    if not value:
        return None
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), default=_plain)
    return text


def _plain(value: object) -> object:
    """Mappings that are no dicts, and paths and the like among parameters."""
    return dict(value) if isinstance(value, Mapping) else str(value)


def of_json(text: str | None) -> dict[str, Json]:
    """The object that ``as_json`` was given."""
    return json.loads(text) if text else {}


def moment(value: object) -> float:
    """Seconds since 1970 as a calendar can show them: 0 where a file holds anything else, such as the year 30000."""
    return float(value) if isinstance(value, float | int) and 0 <= value < _YEAR_10000 else 0.0


def numbers_as_json(values: Usage | Timing | None) -> str | None:
    """What is known of a dataclass of numbers; None where nothing is."""
    if values is None:
        return None
    return as_json({name: value for name, value in asdict(values).items() if value is not None})


def numbers(kind: type[_Numbers], text: str | None) -> _Numbers:
    """A dataclass of numbers; what another release has stored beside them is left out."""
    stored = of_json(text)
    return kind(**{field.name: stored[field.name] for field in fields(kind) if field.name in stored})
