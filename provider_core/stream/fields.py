"""Reads JSON leniently, and fields whatever server sent them: dialects, text and reasoning, how long to wait."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from provider_core.types import Json

TextPiece: TypeAlias = tuple[bool, str]
"""Whether it is reasoning, and its text."""
# --- lenient JSON --------------------------------------------------------------------------------------------


def _integer(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:  # more digits than the interpreter accepts
        return float(digits)


decode_json: Final[Callable[..., tuple[Json, int]]] = json.JSONDecoder(
    strict=False, parse_int=_integer
).raw_decode
"""Return the JSON value at a position of a text, and where it ends; raises ValueError and RecursionError."""


def dict_in(value: Json, key: str) -> dict[str, Json]:
    """Return the object under ``key`` of an object, {} if there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def list_in(value: Json, key: str) -> list[Json]:
    """Return the list under ``key`` of an object, [] if there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def str_in(value: Json, key: str) -> str:
    """Return the string under ``key`` of an object, "" if there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""


# --- other dialects ------------------------------------------------------------------------------------------


def to_openai(value: dict[str, Json]) -> dict[str, Json]:
    """Return a chunk of Ollama, Gemini, Cloudflare or DashScope as a chat completion; anything else unchanged."""
    if (blocked := _blocked(value)) is not None:
        return {**value, "choices": [{"delta": {}, "finish_reason": blocked}]}
    if "choices" in value and value["choices"] is not None:
        return value
    for key in ("data", "result", "response"):  # gateways that wrap a reply once more
        inner = value.get(key)
        if isinstance(inner, dict) and ("choices" in inner or "response" in inner):
            return to_openai({**inner, "wrapped": True}) if "choices" not in inner else inner
    if isinstance(value.get("candidates"), list):
        choices = [_gemini(each) for each in value["candidates"] if isinstance(each, dict)]
        return {**value, "model": value.get("modelVersion"), "choices": choices}
    output = value.get("output")
    if isinstance(output, dict) and isinstance(output.get("choices"), list):
        return {**value, "search_info": output.get("search_info"), "choices": output["choices"]}
    if isinstance(output, dict) and isinstance(output.get("text"), str):
        choice = {"message": {"content": output["text"]}, "finish_reason": output.get("finish_reason")}
        return {**value, "choices": [choice]}
    if isinstance(value.get("message"), dict) and "done" in value:
        return {**value, "choices": [_ollama(value, value["message"])]}
    if isinstance(value.get("response"), str):
        more = {key: value.get(key) for key in ("thinking", "tool_calls")}
        return {**value, "choices": [_ollama(value, {"content": value["response"], **more})]}
    return value


def _ollama(value: dict[str, Json], body: dict[str, Json]) -> dict[str, Json]:
    """Read ``message`` and ``done`` of Ollama; Cloudflare's ``response`` has neither an end nor a reason."""
    done = bool(value.get("done"))
    key = "message" if done or value.get("wrapped") else "delta"
    return {key: body, "finish_reason": (value.get("done_reason") or "stop") if done else None}


def _blocked(value: dict[str, Json]) -> str | None:
    """Return why Gemini refused the prompt, in which case there are no candidates."""
    feedback = dict_in(value, "promptFeedback") or dict_in(value, "prompt_feedback")
    reason = str_in(feedback, "blockReason") or str_in(feedback, "block_reason")
    if not reason or value.get("choices") or value.get("candidates"):
        return None
    return f"BLOCK_REASON_{reason}" if reason.upper() == "OTHER" else reason


def _gemini(candidate: dict[str, Json]) -> dict[str, Json]:
    parts = [part for part in list_in(candidate.get("content"), "parts") if isinstance(part, dict)]
    calls = [part["functionCall"] for part in parts if isinstance(part.get("functionCall"), dict)]
    return {
        "index": candidate.get("index"),
        "delta": {
            "content": parts,
            "tool_calls": [
                {"id": call.get("id"), "function": {**call, "arguments": call.get("args")}} for call in calls
            ],
        },
        "finish_reason": candidate.get("finishReason"),
        **{key: candidate[key] for key in ("groundingMetadata", "citationMetadata") if key in candidate},
    }


# --- text and reasoning in a delta or a message --------------------------------------------------------------

_REASONING = ("reasoning_content", "reasoning", "thinking", "thought", "reasoning_text", "thoughts")
_REASONING_BLOCKS = ("thinking", "reasoning", "thought", "summary", "reasoning_text", "summary_text")
_REASONING_TEXT = ("text", "thinking", "content", "summary", "reasoning", "reasoning_content")
_DEPTH = 5


def reasoning(body: dict[str, Json]) -> str:
    """Return the reasoning from the first field that has any: several fields repeat it."""
    for key in _REASONING:
        value = body.get(key)
        if value and not isinstance(value, bool) and (text := _nested_text(value)):
            return text
    return _nested_text(list_in(body, "thinking_blocks"))


def reasoning_details(body: dict[str, Json]) -> str:
    return _nested_text(list_in(body, "reasoning_details") or dict_in(body, "reasoning_details"))


def content(body: dict[str, Json]) -> list[TextPiece]:
    """Return the pieces of a ``content`` of any type."""
    pieces = _blocks(body.get("content"))
    if body.get("thought") is True:  # Gemini's own flag, as some gateways pass it on
        return [(True, text) for _, text in pieces]
    return pieces or _blocks(str_in(body.get("audio"), "transcript"))


def _blocks(value: Json) -> list[TextPiece]:
    match value:
        case str():
            return [(False, value)] if value else []
        case list():
            return [piece for item in value if isinstance(item, str | dict) for piece in _blocks(item)]
        case dict():
            return _block(value)
        case bool() | None:
            return []
        case _:
            return [(False, json.dumps(value))]


def _block(block: dict[str, Json]) -> list[TextPiece]:
    kind = block.get("type")
    if kind in _REASONING_BLOCKS or block.get("thought") is True:
        reasoning = _nested_text(block)
        return [(True, reasoning)] if reasoning else []
    if kind == "reference" and isinstance(
        block.get("reference_ids"), list
    ):  # Mistral: the caller's documents
        return [(False, f"[{each}]") for each in block["reference_ids"] if isinstance(each, int | str)]
    if kind in (None, "", "text", "output_text", "text_delta", "refusal"):
        text = block.get("text") or block.get("refusal")
        if isinstance(text, dict):
            text = text.get("value")
        if isinstance(text, str) and text:
            return [(False, text)]
    return []


def _nested_text(value: Json, depth: int = _DEPTH) -> str:
    """Return the text in a value of reasoning; ``data`` and ``signature`` are not text."""
    if isinstance(value, str):
        return value
    if depth and isinstance(value, list):
        return "".join(_nested_text(item, depth - 1) for item in value)
    if depth and isinstance(value, dict):
        texts = (_nested_text(value[key], depth - 1) for key in _REASONING_TEXT if value.get(key))
        return next(filter(None, texts), "")
    return ""


# --- how long to wait ----------------------------------------------------------------------------------------

_WAIT_DEPTH = 6
_PROSE = r"\b(?:try|retry)(?: again)? (?:in|after) (?:about )?(\d[^\n,;)]{0,40})"
_SPAN = r"(\d+(?:\.\d+)?) ?(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hours?|days?)(?![a-z])"
_WAIT_KEYS = {
    "retrydelay": 1,
    "retry_after": 1,
    "retryafter": 1,
    "retry_after_seconds": 1,
    "retry_after_ms": 1000,
}
"""Fields in lower case, and how many of their unit are a second."""
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def retry_after(headers: Mapping[str, str], words: str = "", value: Json = None) -> float | None:
    """Return the seconds that the server asks to wait before another attempt, or None.

    Read in this order: ``retry-after-ms``, ``retry-after`` (seconds or an HTTP date), the JSON ``value`` of the
    body (Google's ``RetryInfo.retryDelay`` and fields called ``retry_after``), the prose of ``words``.
    Header names are in lower case. The result is not negative, and may be very large.
    """
    milliseconds = _seconds(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    header = headers.get("retry-after", "").strip()
    seconds = _seconds(header)
    if seconds is None and header:
        seconds = _until(header, headers.get("date", ""))
    if seconds is None:
        seconds = _wait_in(value, _WAIT_DEPTH)
    if seconds is None and (hit := re.search(_PROSE, words, re.IGNORECASE)):
        seconds = _span(hit[1])
    return seconds


def _seconds(text: str) -> float | None:
    try:
        number = float(text)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _until(date: str, now: str) -> float | None:
    """Return the seconds to an HTTP date, by the server's own clock if it sent its time."""
    from datetime import UTC, datetime
    from email.utils import parsedate_to_datetime

    moments = []
    for text in (date, now):
        try:
            moment = parsedate_to_datetime(text)
        except (TypeError, ValueError, OverflowError):
            if text is date:
                return None
            moment = datetime.now(UTC)
        moments.append(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    return max(0.0, (moments[0] - moments[1]).total_seconds())


def _wait_in(value: Json, depth: int) -> float | None:
    """Return the first wait in a body."""
    waits: Iterator[float | None]
    if depth and isinstance(value, list):
        waits = (_wait_in(item, depth - 1) for item in value[:32])
    elif depth and isinstance(value, dict):
        waits = (_wait_at(key.lower().replace("-", "_"), item, depth - 1) for key, item in value.items())
    else:
        return None
    return next((wait for wait in waits if wait is not None), None)


def _wait_at(key: str, value: Json, depth: int) -> float | None:
    if key in ("error", "details", "metadata", "headers"):
        return _wait_in(value, depth)
    seconds = _duration(value) if key in _WAIT_KEYS else None
    return seconds / _WAIT_KEYS[key] if seconds is not None else None


def _duration(value: Json) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _seconds(str(value)) if abs(value) < 1e9 else None
    if not isinstance(value, str):
        return None
    seconds = _seconds(value)
    return _span(value) if seconds is None else seconds


def _span(text: str) -> float | None:
    """Read "17s", "6m0s", "2m59.56s", "230ms", "20 seconds"; nothing but blanks may separate the parts."""
    total: float | None = None
    end = 0
    for hit in re.finditer(_SPAN, text, re.IGNORECASE):
        if text[end : hit.start()].strip():
            break
        unit = hit[2].lower()
        factor = 0.001 if unit.startswith(("ms", "mil")) else _UNITS[unit[0]]
        total = (total or 0.0) + float(hit[1]) * factor
        end = hit.end()
    return total
