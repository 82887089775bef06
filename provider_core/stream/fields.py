"""What the fields of a chunk mean, whatever server sent it: dialects, text, reasoning, finish reasons, token counts."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from provider_core.stream.framing import dict_in, list_in, str_in
from provider_core.types import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider_core.types import Json

TextPiece: TypeAlias = tuple[bool, str]
"""Whether it is reasoning, and its text."""
FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "error"]

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


# --- finish reasons ------------------------------------------------------------------------------------------

# The usual words, so that no pattern is compiled, and those that a pattern would misread or that none matches.
_REASONS: Final[Mapping[str, FinishReason]] = {
    "stop": "stop", "length": "length", "tool_calls": "tool_calls", "content_filter": "content_filter",
    **dict.fromkeys(("end", "end_filter", "load", "unload", "user_stop_sequence"), "stop"),
    **dict.fromkeys(
        ("max", "memory_limit", "error_limit"), "length"
    ),  # error_limit is Cohere's context window
    "language": "content_filter",  # Gemini: a language that it does not support
}  # fmt: skip

# The first pattern found in a reason decides. Sources: the API references of OpenAI, Anthropic, Bedrock, Gemini,
# Cohere, Mistral, DeepSeek, Z.ai, xAI, watsonx and LM Studio; the sources of vLLM, SGLang, TGI, TensorRT-LLM,
# llama.cpp and ExLlamaV2; `map_finish_reason` in LiteLLM.
_REASON_PATTERNS: Final[tuple[tuple[FinishReason, str], ...]] = (
    ("content_filter", (
    "filter|safety|unsafe|moderat|sensitive|recitation|prohibit|block(ed|_?list|_reason)|^block$|spii"
        "|refus|guardrail|toxic|policy|copyright|model_armor|jailbreak|censor|inspection"
)),
    ("error", (
    "error|fail|abort|cancel|(^|_)timed?(_|$)|time_?out|deadline|interrupt|disconnect|connection|network"
        "|preempt|evict|kill|shutdown|crash|oom$|out_of_memory|insufficient|overload|unavailable|rate_?limit"
        "|quota|credit|max_(tool|turn|step|iter|call)|malformed|invalid|unexpected|paused?(_|$)|incomplete|unfinished"
        "|repetition|loop_detect"
        "|user_?stop|stopped_by|unloaded|closed|missing_|too_many|no_image|image_other|broken|exception|partial"
        "|throttl|reject|denied|drop|halt|terminated|killed|watchdog|capacity|cut_?off|lost|stall|reset"
)),
    ("length", "length|limit|budget|context|max_.*(len|tok|new|gen|output)|tokens?_(max|exceed|reach)|truncat"),
    ("tool_calls", "tool|function"),
    ("stop", "stop|eos|^end_|_end$|end_?of_?|^eot|complete|^done|finish|^normal|success"),
)  # fmt: skip
_NO_REASON: Final = frozenset(
    ("", "null", "none", "not_finished", "unspecified", "finish_reason_unspecified")
)


def finish_reason(choice: dict[str, Json]) -> str | None:
    """Return the finish reason, or OpenRouter's ``native_finish_reason`` if that says more."""
    reason, native = _raw_reason(choice.get("finish_reason")), _raw_reason(choice.get("native_finish_reason"))
    if native is None or (reason is not None and standard_reason(reason) not in (None, "stop")):
        return reason
    return native if reason is None or standard_reason(native) not in (None, "stop", "tool_calls") else reason


def _raw_reason(value: Json) -> str | None:
    """Return a finish reason of any JSON type as text, or None if it says nothing."""
    if isinstance(value, dict):
        value = next((value[key] for key in ("type", "reason", "finish_reason") if value.get(key)), None)
    if value is None or isinstance(value, bool | list | dict):
        return None
    text = value.strip() if isinstance(value, str) else json.dumps(value)
    return None if text.lower() in _NO_REASON else text[:200]


def standard_reason(reason: str) -> FinishReason | None:
    """Return what a finish reason means, in OpenAI's words; None if it is unknown."""
    if reason in _REASONS:
        return _REASONS[reason]
    word = re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", reason).lower()
    word = re.sub("[^a-z0-9]+", "_", word).strip("_")
    word = re.sub("^(finish|stop)_reason_|^reason_", "", word)
    if word in _REASONS:
        return _REASONS[word]
    if word.replace("_", "").isdigit():
        return "stop"  # the id of the token that ended the answer
    return next((found for found, pattern in _REASON_PATTERNS if re.search(pattern, word)), None)


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
