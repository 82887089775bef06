"""Decides what became of an answer: finish reasons, their meaning, and the one verdict; no bytes are read here."""

from __future__ import annotations

import json
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from provider_core import errors
from provider_core.structs import Struct
from provider_core.types import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider_core.types import Json

__all__ = ["Ending", "Reason", "decide", "meaning", "raw_reason"]

Reason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "error"]

# Exact words that a pattern below would misread, and words without a clue in them.
_WORDS: Final[Mapping[str, Reason]] = MappingProxyType(
    {
        **dict.fromkeys(("end", "end_filter", "load", "unload", "user_stop_sequence"), "stop"),
        "error_limit": "length",  # Cohere: the context window
        **dict.fromkeys(("max", "memory_limit"), "length"),
        "language": "content_filter",  # Gemini: a language that it does not support
    }
)

# The first pattern found in a reason decides. Sources: the API references of OpenAI, Anthropic, Bedrock, Gemini,
# Cohere, Mistral, DeepSeek, Z.ai, xAI, watsonx and LM Studio; the sources of vLLM, SGLang, TGI, TensorRT-LLM,
# llama.cpp and ExLlamaV2; `map_finish_reason` in LiteLLM.
_PATTERNS: Final[tuple[tuple[Reason, re.Pattern[str]], ...]] = (
    (
        "content_filter",
        re.compile(
            "filter|safety|unsafe|moderat|sensitive|recitation|prohibit|block(ed|_?list|_reason)|^block$|spii"
            "|refus|guardrail|toxic|policy|copyright|model_armor|jailbreak|censor|inspection"
        ),
    ),
    (
        "error",
        re.compile(
            "error|fail|abort|cancel|(^|_)timed?(_|$)|time_?out|deadline|interrupt|disconnect|connection|network"
            "|preempt|evict|kill|shutdown|crash|oom$|out_of_memory|insufficient|overload|unavailable|rate_?limit"
            "|quota|credit|max_(tool|turn|step|iter|call)|malformed|invalid|unexpected|paused?(_|$)|incomplete|unfinished|repetition|loop_detect"
            "|user_?stop|stopped_by|unloaded|closed|missing_|too_many|no_image|image_other|broken|exception|partial"
            "|throttl|reject|denied|drop|halt|terminated|killed|watchdog|capacity|cut_?off|lost|stall|reset"
        ),
    ),
    (
        "length",
        re.compile(
            "length|limit|budget|context|max_.*(len|tok|new|gen|output)|tokens?_(max|exceed|reach)|truncat"
        ),
    ),
    ("tool_calls", re.compile("tool|function")),
    ("stop", re.compile("stop|eos|^end_|_end$|end_?of_?|^eot|complete|^done|finish|^normal|success")),
)
_CAMEL_CASE: Final = re.compile("(?<=[a-z0-9])(?=[A-Z])")
_NOT_A_LETTER: Final = re.compile("[^a-z0-9]+")
_PREFIX: Final = re.compile("^(finish|stop)_reason_|^reason_")
_NO_REASON: Final = frozenset(
    ("", "null", "none", "not_finished", "unspecified", "finish_reason_unspecified")
)
_OTHER_LIMIT: Final = re.compile("context|window|budget|model_?len|error_limit", re.IGNORECASE)
"""Finish reasons that name a limit which is not the one of ``max_tokens``."""


class Ending(Struct):
    """Everything the verdict rests on, as known when the body has ended."""

    provider: str | None = None
    failure: errors.CoreError | None = None
    """From an error frame, or from a body that is an error."""
    broken: errors.CoreError | None = None
    """The transport's own error, if the body broke off before ``[DONE]``."""
    finish: str | None = None
    """The finish reason as the server sent it."""
    done: bool = False
    """``[DONE]`` came, or a JSON reply was whole."""
    text: bool = False
    """Anything but blanks and a refusal was said."""
    image: bool = False
    """An image came that can be read."""
    thoughts: bool = False
    last_call: str = ""
    """The name of the last tool call."""
    own_limit: bool = True
    """Whether the caller asked for a token limit."""
    refusal: bool = False
    skipped: str = ""
    """How a piece began that could not be read, to be shown; "" where there was none."""
    received: int = 0


def raw_reason(value: Json) -> str | None:
    """Return a finish reason of any JSON type as text, or None where it says nothing."""
    if isinstance(value, dict):
        value = next((value[key] for key in ("type", "reason", "finish_reason") if value.get(key)), None)
    if value is None or isinstance(value, bool | list | dict):
        return None
    text = value.strip() if isinstance(value, str) else json.dumps(value)
    return None if text.lower() in _NO_REASON else text[:200]


def meaning(reason: str) -> Reason | None:
    """Return what a finish reason means, in OpenAI's words; None if it is unknown."""
    word = _NOT_A_LETTER.sub("_", _CAMEL_CASE.sub("_", reason).lower()).strip("_")
    word = _PREFIX.sub("", word)
    if word in _WORDS:
        return _WORDS[word]
    if word.replace("_", "").isdigit():
        return "stop"  # the id of the token that ended the answer
    return next((found for found, pattern in _PATTERNS if pattern.search(word)), None)


def decide(end: Ending) -> tuple[Verdict, Reason | None, errors.CoreError | None]:
    """Return the verdict, the reason in OpenAI's words, and why an answer is not complete.

    An answer that has come to its end without a piece that could not be read is PARTIAL.
    """
    verdict, reason, why = _decide(end)
    if end.skipped and verdict in (Verdict.COMPLETE, Verdict.LENGTH, Verdict.EMPTY):
        who = end.provider or "the server"
        message = f"{who} sent a piece that cannot be read ({end.skipped}); the answer may lack some of it"
        return Verdict.PARTIAL, reason, errors.ProtocolError(message, provider=end.provider)
    if why is not None and end.last_call and verdict is not Verdict.LENGTH:
        why.explain(f"a call of {end.last_call} was not run")
    return verdict, reason, why


def _decide(end: Ending) -> tuple[Verdict, Reason | None, errors.CoreError | None]:
    """Decide in this order.

    An error frame, an error-like finish reason, a broken transport, a known finish reason, ``[DONE]``, and the
    mere end of the body, which says nothing: such an answer counts as cut, even with an unknown finish reason.

    An answer that ends at the token limit is LENGTH if anything was said, thoughts included, and EMPTY otherwise.
    LENGTH has no error only where text came, no call, and the limit is the one that the caller asked for.
    """
    who = end.provider or "the server"
    reason = None if end.finish is None else meaning(end.finish)
    unsaid = reason is None and not end.done
    if end.finish is not None and reason is None:
        reason = "stop"
    if end.failure is not None:
        return Verdict.FAILED, "error", end.failure
    match reason:
        case "error":
            message = f"{who} broke the answer off (finish reason {end.finish})"
            return Verdict.FAILED, reason, errors.ServerError(message, provider=end.provider, code=end.finish)
        case _ if end.broken is not None:
            return Verdict.PARTIAL, _of_calls(reason, end), end.broken
        case "content_filter":
            return (
                Verdict.FILTERED,
                reason,
                _filtered(end, f"{who} withheld the answer (finish reason {end.finish})"),
            )
        case "length" if end.text or end.image or end.thoughts or end.last_call or end.refusal:
            return Verdict.LENGTH, reason, _limited(end, who)
        case "length":
            message = f"{who} sent an empty answer: it stopped at the token limit before any text"
            return (
                Verdict.EMPTY,
                reason,
                errors.ProtocolError(message, provider=end.provider, code=end.finish),
            )
        case _ if unsaid:
            message = f"{who} closed the connection before the answer was finished"
            if end.finish is not None:
                message += f" (unknown finish reason {end.finish})"
            lost = errors.ConnectionLostError(message, provider=end.provider, received=end.received)
            return Verdict.PARTIAL, _of_calls(reason, end), lost
        case _:
            return _finished(end, _of_calls(reason, end), who)


def _limited(end: Ending, who: str) -> errors.TokenLimitError | None:
    """Return why an answer that ends at a token limit is not whole; None if the caller wanted it that short."""
    if end.last_call:
        message = (
            f"{who} cut the answer off at the token limit, in a call of {end.last_call}, which was not run"
        )
    elif not (end.text or end.image):
        message = f"{who} sent reasoning and no answer: it took all of the token limit"
    elif not end.own_limit or (end.finish and _OTHER_LIMIT.search(end.finish)):
        message = f"{who} cut the answer off at its token limit (finish reason {end.finish})"
    else:
        return None
    return errors.TokenLimitError(message, provider=end.provider, code=end.finish)


def _finished(
    end: Ending, reason: Reason | None, who: str
) -> tuple[Verdict, Reason | None, errors.CoreError | None]:
    if end.text or end.image or end.last_call:
        return Verdict.COMPLETE, reason, None
    if end.refusal:
        return (
            Verdict.FILTERED,
            "content_filter",
            _filtered(end, f"{who} passed on the model's refusal to answer"),
        )
    message = f"{who} sent thoughts and no answer" if end.thoughts else f"{who} sent an empty answer"
    return Verdict.EMPTY, reason, errors.ProtocolError(message, provider=end.provider)


def _of_calls(reason: Reason | None, end: Ending) -> Reason | None:
    """Return the reason, corrected by the calls that did or did not come: servers mix up the two."""
    if end.last_call and reason in (None, "stop"):
        return "tool_calls"
    return "stop" if reason == "tool_calls" and not end.last_call else reason


def _filtered(end: Ending, message: str) -> errors.ContentPolicyError:
    return errors.ContentPolicyError(message, provider=end.provider, code=end.finish)
