"""Decides what became of an answer: finish reasons, their meaning, and the one verdict; no bytes are read here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from provider_core import errors
from provider_core.types import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider_core.types import Json

__all__ = ["Ending", "Reason", "decide", "meaning", "raw_reason"]

Reason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "error"]

_MEANINGS: Final[Mapping[str, Reason]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("length", "max_tokens", "model_length", "model_context_window_exceeded", "max_output_tokens"), "length"
        ),
        **dict.fromkeys(("tool_calls", "function_call", "tool_use", "tool_call"), "tool_calls"),
        **dict.fromkeys(
            ("content_filter", "content_filtered", "sensitive", "safety", "recitation", "prohibited_content",
             "blocklist", "spii", "refusal", "guardrail_intervened", "error_toxic"),
            "content_filter",
        ),
        **dict.fromkeys(
            ("error", "network_error", "insufficient_system_resource", "abort", "malformed_function_call",
             "malformed_response", "pause_turn"),
            "error",
        ),
    }
)  # fmt: skip
_NO_REASON = frozenset(("", "null", "none"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
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
    calls: bool = False
    calls_whole: bool = False
    text: bool = False
    """Anything but blanks and a refusal was said."""
    thoughts: bool = False
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


def meaning(reason: str) -> Reason:
    """Return a finish reason in OpenAI's words; one that is not known means stop."""
    return _MEANINGS.get(reason.lower().removeprefix("finish_reason_"), "stop")


def decide(end: Ending) -> tuple[Verdict, Reason | None, errors.CoreError | None]:
    """Return the verdict, the reason in OpenAI's words, and why an answer is not complete.

    An answer that has come to its end without a piece that could not be read is PARTIAL.
    """
    verdict, reason, why = _decide(end)
    if end.skipped and verdict in (Verdict.COMPLETE, Verdict.LENGTH, Verdict.EMPTY):
        who = end.provider or "the server"
        message = f"{who} sent a piece that cannot be read ({end.skipped}); the answer may lack some of it"
        return Verdict.PARTIAL, reason, errors.ProtocolError(message, provider=end.provider)
    return verdict, reason, why


def _decide(end: Ending) -> tuple[Verdict, Reason | None, errors.CoreError | None]:
    """Decide in this order.

    An error frame, an error-like finish reason, a broken transport, any finish reason, ``[DONE]``, whole tool
    calls, and the mere end of the body, which says nothing: such an answer counts as cut.

    An answer that ends at the token limit is LENGTH if anything was said, thoughts included, and EMPTY otherwise.
    """
    who = end.provider or "the server"
    reason = None if end.finish is None else meaning(end.finish)
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
        case "length" if end.text or end.thoughts or end.calls or end.refusal:
            return Verdict.LENGTH, reason, None
        case "length":
            message = f"{who} sent an empty answer: it stopped at the token limit before a word was said"
            return (
                Verdict.EMPTY,
                reason,
                errors.ProtocolError(message, provider=end.provider, code=end.finish),
            )
        case None if not end.done and not end.calls_whole:
            message = f"{who} closed the connection before the answer was finished"
            lost = errors.ConnectionLostError(message, provider=end.provider, received=end.received)
            return Verdict.PARTIAL, None, lost
        case _:
            return _finished(end, _of_calls(reason, end), who)


def _finished(
    end: Ending, reason: Reason | None, who: str
) -> tuple[Verdict, Reason | None, errors.CoreError | None]:
    if end.text or end.calls:
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
    if end.calls and reason in (None, "stop"):
        return "tool_calls"
    return "stop" if reason == "tool_calls" and not end.calls else reason


def _filtered(end: Ending, message: str) -> errors.ContentPolicyError:
    return errors.ContentPolicyError(message, provider=end.provider, code=end.finish)
