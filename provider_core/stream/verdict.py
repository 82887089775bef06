"""The meaning of finish reasons, and whether an answer is complete."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from provider_core import errors
from provider_core.structs import Struct, pattern
from provider_core.types import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider_core.types import Json

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "error"]

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


# --- the verdict ---------------------------------------------------------------------------------------------

_OTHER_LIMIT: Final = pattern("context|window|budget|model_?len|error_limit", re.IGNORECASE)
"""Finish reasons that name a limit other than ``max_tokens``."""


class StreamEnd(Struct):
    """Everything that the verdict depends on, as known at the end of the body.

    ``failure`` is an error that the server reported, ``broken`` the transport's if the body broke off before its end,
    ``finish`` the finish reason as sent, and ``done`` whether ``[DONE]`` or a complete JSON reply came. ``text`` is
    other than blanks and a refusal, ``image`` one that can be read. ``last_call`` is the name of the last tool call,
    ``skipped`` the beginning of a piece that could not be read; both are "" without one.
    """

    provider: str | None
    failure: errors.CoreError | None
    broken: errors.CoreError | None
    finish: str | None
    done: bool
    text: bool
    image: bool
    reasoning: bool
    last_call: str
    own_limit: bool
    refusal: bool
    skipped: str
    received: int


def classify(end: StreamEnd) -> tuple[Verdict, FinishReason | None, errors.CoreError | None]:
    """Return the verdict, the reason in OpenAI's words, and why an answer is not complete.

    An answer that has come to its end is PARTIAL nevertheless if a piece of it could not be read.
    """
    verdict, reason, why = _classify(end)
    if end.skipped and verdict in (Verdict.COMPLETE, Verdict.LENGTH, Verdict.EMPTY):
        what = f"sent data that is not valid ({end.skipped}); the answer is incomplete"
        return Verdict.PARTIAL, reason, _error(end, errors.ProtocolError, what)
    if why is not None and end.last_call and verdict is not Verdict.LENGTH:
        why.explain(f"a call of {end.last_call} was not run")
    return verdict, reason, why


def _classify(end: StreamEnd) -> tuple[Verdict, FinishReason | None, errors.CoreError | None]:
    """Decide by the first of: an error frame, an error-like finish reason, a broken transport, a known finish reason,
    ``[DONE]``. The mere end of the body says nothing: such an answer counts as cut, even with an unknown finish reason.

    An answer that ends at the token limit is LENGTH if there was anything in it, reasoning included, and EMPTY
    otherwise. LENGTH has no error only if there was text, no call, and the limit is the caller's.
    """
    finish = end.finish
    known = None if finish is None else standard_reason(finish)
    reason = known or (None if finish is None else "stop")
    of_calls = reason
    if end.last_call and reason in (None, "stop"):  # servers mix up the two
        of_calls = "tool_calls"
    elif reason == "tool_calls" and not end.last_call:
        of_calls = "stop"
    said = end.text or end.image or end.last_call
    if end.failure is not None:
        return Verdict.FAILED, "error", end.failure
    if reason == "error":
        what = f"broke the answer off (finish reason {finish})"
        return Verdict.FAILED, reason, _error(end, errors.ServerError, what, code=finish)
    if end.broken is not None:
        return Verdict.PARTIAL, of_calls, end.broken
    if reason == "content_filter":
        verb = "stopped" if said else "blocked"
        what = f"{verb} the answer because of its content (finish reason {finish})"
        return Verdict.FILTERED, reason, _error(end, errors.ContentPolicyError, what, code=finish)
    if reason == "length":
        if said or end.reasoning or end.refusal:
            return Verdict.LENGTH, reason, _token_limit(end)
        what = "sent an empty answer: the token limit was reached before any text"
        return Verdict.EMPTY, reason, _error(end, errors.ProtocolError, what, code=finish)
    if known is None and not end.done:
        what = "closed the connection; the answer is incomplete"
        if finish is not None:
            what += f" (unknown finish reason {finish})"
        lost = _error(end, errors.ConnectionLostError, what, received=end.received)
        return Verdict.PARTIAL, of_calls, lost
    if said:
        return Verdict.COMPLETE, of_calls, None
    if end.refusal:
        refused = _error(
            end, errors.ContentPolicyError, "passed on the model's refusal to answer", code=finish
        )
        return Verdict.FILTERED, "content_filter", refused
    what = "sent only reasoning, no answer" if end.reasoning else "sent an empty answer"
    return Verdict.EMPTY, of_calls, _error(end, errors.ProtocolError, what, code="empty_answer")


def _token_limit(end: StreamEnd) -> errors.CoreError | None:
    """Return why an answer that ends at a token limit is incomplete; None if the caller asked for that length."""
    if end.last_call:
        what = f"cut the answer off at the token limit, in a call of {end.last_call}, which was not run"
    elif not (end.text or end.image):
        what = "sent only reasoning, no answer: the reasoning used up the token limit"
    elif not end.own_limit or (end.finish and _OTHER_LIMIT.search(end.finish)):
        what = f"cut the answer off at its token limit (finish reason {end.finish})"
    else:
        return None
    return _error(end, errors.TokenLimitError, what, code=end.finish)


def _error(end: StreamEnd, kind: type[errors.CoreError], what: str, **fields: Any) -> errors.CoreError:
    return kind(f"{end.provider or 'the server'} {what}", provider=end.provider, **fields)
