"""Reads JSON leniently, and the fields of a chunk whatever server sent it: dialects, text, reasoning, token counts."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Final, TypeAlias

from provider_core.types import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

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


# --- token counts --------------------------------------------------------------------------------------------

_INPUT = (
    "prompt_tokens", "input_tokens", "promptTokenCount", "prompt_eval_count", "inputTokens", "promptTokens",
)  # fmt: skip
_OUTPUT = ("completion_tokens", "output_tokens", "eval_count", "outputTokens", "completionTokens")
_TOTAL = ("total_tokens", "totalTokenCount", "totalTokens")
_CACHED = (
    "cached_tokens", "prompt_cache_hit_tokens", "num_cached_tokens", "cache_read_input_tokens",
    "cachedContentTokenCount",
)  # fmt: skip
_REASONING_COUNTS = ("reasoning_tokens", "thoughtsTokenCount")
_INPUT_DETAILS = ("prompt_tokens_details", "prompt_token_details", "input_tokens_details")
_OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details", "completion_token_details")
_TICKS_PER_DOLLAR = 1e10
"""https://docs.x.ai/developers/cost-tracking"""


def read_usage(chunk: dict[str, Json], choice: Json = None) -> Usage | None:
    """Return the token counts of a chunk or a reply, or None if it has none."""
    groq = chunk.get("x_groq")
    own = chunk if "eval_count" in chunk or "prompt_eval_count" in chunk else {}
    places = (
        *(dict_in(each, "usage") for each in (chunk, choice, groq)),
        dict_in(chunk, "usageMetadata"),
        own,
    )
    return next(filter(None, map(_read_counts, places)), None)


def merge_usage(old: Usage | None, new: Usage | None) -> Usage | None:
    """Return the later value of each count: counts replace earlier ones, but a zero does not."""
    if old is None or new is None:
        return new or old
    return Usage(
        input=_later(old.input, new.input),
        output=_later(old.output, new.output),
        cached=_later(old.cached, new.cached),
        reasoning=_later(old.reasoning, new.reasoning),
        cost=old.cost if new.cost is None else new.cost,
    )


def _later(old: int | None, new: int | None) -> int | None:
    return new if new or old is None else old


def _read_counts(usage: dict[str, Json]) -> Usage | None:
    prompt, output, total = _first(_INPUT, usage), _first(_OUTPUT, usage), _first(_TOTAL, usage)
    inside, outside = (
        next(filter(None, (dict_in(usage, key) for key in keys)), {})
        for keys in (_INPUT_DETAILS, _OUTPUT_DETAILS)
    )
    cached = _first(_CACHED, inside, usage)
    reasoning = _first(_REASONING_COUNTS, outside, usage)
    if "candidatesTokenCount" in usage:  # Gemini's own names: reasoning is counted apart
        output = (_count(usage["candidatesTokenCount"]) or 0) + (reasoning or 0)
    if "cache_read_input_tokens" in usage and "prompt_tokens" not in usage and prompt is not None:
        # Anthropic's own names: tokens read from or written to the cache are counted apart.
        prompt += (cached or 0) + (_count(usage.get("cache_creation_input_tokens")) or 0)
    if total is not None and prompt is not None and output is not None:
        # xAI and Gemini leave reasoning out of the completion, and Mistral audio out of the prompt, but not out of the
        # total.
        output = max(output, total - prompt - (_count(inside.get("audio_tokens")) or 0))
    if cached is not None and prompt is not None:
        cached = min(cached, prompt)
    if reasoning is not None and output is not None:
        reasoning = min(reasoning, output)
    found = Usage(input=prompt, output=output, cached=cached, reasoning=reasoning, cost=_cost(usage))
    return None if found == Usage() else found


def _first(keys: tuple[str, ...], *places: dict[str, Json]) -> int | None:
    """Return the first count above zero, else a zero, else None: gateways send two sets of names."""
    counts = [count for place in places for key in keys if (count := _count(place.get(key))) is not None]
    return next(filter(None, counts), counts[0] if counts else None)


def _count(value: Json) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _number(value: Json) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and 0 <= number < 1e15 else None


def _cost(usage: dict[str, Json]) -> float | None:
    cost = usage.get("cost")
    if isinstance(cost, dict):
        cost = cost.get("total_cost")
    for value in (cost, usage.get("total_cost"), usage.get("estimated_cost")):
        if (number := _number(value)) is not None:
            return number
    ticks = _number(usage.get("cost_in_usd_ticks"))
    return None if ticks is None else ticks / _TICKS_PER_DOLLAR
