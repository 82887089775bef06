"""Reads token counts from whatever shape a server gives them; prices are not known here."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from provider_core.types import Usage

if TYPE_CHECKING:
    from provider_core.types import Json

__all__ = ["merge", "read"]

_INPUT = (
    "prompt_tokens",
    "input_tokens",
    "promptTokenCount",
    "prompt_eval_count",
    "inputTokens",
    "promptTokens",
)
_OUTPUT = ("completion_tokens", "output_tokens", "eval_count", "outputTokens", "completionTokens")
_TOTAL = ("total_tokens", "totalTokenCount", "totalTokens")
_CACHED = (
    "cached_tokens", "prompt_cache_hit_tokens", "num_cached_tokens", "cache_read_input_tokens",
    "cachedContentTokenCount",
)  # fmt: skip
_REASONING = ("reasoning_tokens", "thoughtsTokenCount")
_INPUT_DETAILS = ("prompt_tokens_details", "prompt_token_details", "input_tokens_details")
_OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details", "completion_token_details")
_TICKS_PER_DOLLAR = 1e10
"""https://docs.x.ai/developers/cost-tracking"""


def read(chunk: dict[str, Json], choice: Json = None) -> Usage | None:
    """Return what a chunk or a reply says of its tokens, or None when it says nothing."""
    groq = chunk.get("x_groq")
    for place in (
        chunk.get("usage"),
        choice.get("usage") if isinstance(choice, dict) else None,
        groq.get("usage") if isinstance(groq, dict) else None,
        chunk.get("usageMetadata"),
        chunk if "eval_count" in chunk or "prompt_eval_count" in chunk else None,
    ):
        if isinstance(place, dict) and (found := _read(place)) is not None:
            return found
    return None


def merge(old: Usage | None, new: Usage | None) -> Usage | None:
    """Return the later word on each count: counts replace, never add, and a zero does not unsay a number."""
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


def _read(usage: dict[str, Json]) -> Usage | None:
    prompt, output, total = _first(usage, _INPUT), _first(usage, _OUTPUT), _first(usage, _TOTAL)
    inside, outside = _details(usage, _INPUT_DETAILS), _details(usage, _OUTPUT_DETAILS)
    cached = _either(_first(inside, _CACHED), _first(usage, _CACHED))
    reasoning = _either(_first(outside, _REASONING), _first(usage, _REASONING))
    if "candidatesTokenCount" in usage:  # Gemini's own names: thoughts are counted apart
        output = (_count(usage["candidatesTokenCount"]) or 0) + (reasoning or 0)
    if "cache_read_input_tokens" in usage and "prompt_tokens" not in usage and prompt is not None:
        # Anthropic's own names: what the cache held or took in is counted apart
        prompt += (cached or 0) + (_count(usage.get("cache_creation_input_tokens")) or 0)
    if total is not None and prompt is not None and output is not None:
        # xAI and Gemini leave thoughts out of the completion, and Mistral sound out of the prompt, not of the total.
        output = max(output, total - prompt - (_count(inside.get("audio_tokens")) or 0))
    if cached is not None and prompt is not None:
        cached = min(cached, prompt)
    if reasoning is not None and output is not None:
        reasoning = min(reasoning, output)
    found = Usage(input=prompt, output=output, cached=cached, reasoning=reasoning, cost=_cost(usage))
    return None if found == Usage() else found


def _details(usage: dict[str, Json], keys: tuple[str, ...]) -> dict[str, Json]:
    return next((value for key in keys if isinstance(value := usage.get(key), dict)), {})


def _either(one: int | None, other: int | None) -> int | None:
    return one or (other if one is None or other else one)


def _first(usage: dict[str, Json], keys: tuple[str, ...]) -> int | None:
    """Return the first count that is more than zero, else a zero, else None: gateways fill two sets of names."""
    found: int | None = None
    for key in keys:
        count = _count(usage.get(key))
        if count:
            return count
        found = count if found is None else found
    return found


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
