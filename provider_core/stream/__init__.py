"""From the bytes of an answer to events and a verdict, and from error responses to errors; without I/O."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from provider_core import errors, limits
from provider_core.redaction import clean, one_line
from provider_core.stream.chunks import AnswerState, ChunkTemplate
from provider_core.stream.failures import ErrorReader
from provider_core.stream.fields import standard_reason
from provider_core.stream.framing import Framer, TooLongError, decode_json
from provider_core.structs import Struct
from provider_core.types import Finished, Reasoning, Sources, Text, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from provider_core.stream.fields import FinishReason
    from provider_core.stream.framing import Frame
    from provider_core.types import AnswerEvent, Json

__all__ = ["Decoder", "ErrorReader", "standard_reason"]

_CHECK_EVERY = 1 << 16
"""Bytes between two checks of the limits."""
_ERROR_STARTS = ('{"error"', '{"detail"', '{"object":"error"', '{"object": "error"')
_KEEPALIVES = ("ping", "pong", "heartbeat", "keepalive", "keep-alive", "keep_alive")
"""Names of events whose data is ignored."""
_BROKEN_ERROR = re.compile(r'^\{"(?:error|detail)": ?"|"?\}\s*$')
"""What surrounds the words of an error that was quoted without escaping its own quotes."""
_BEFORE_VALUE = re.compile(r"\s*(?:data:\s*)?")
"""Blanks, and the field's name once more if a proxy framed a frame."""


class Decoder:
    """Reads one answer, streamed or not; the content type is ignored.

    Feed the body as it arrives, then close once. Each call returns adjacent text in one event; once those of all calls
    are joined, too, the events are the same however the bytes were cut. ``secrets`` are redacted in everything that the
    server says about a failure. ``own_limit`` tells whether the caller set a token limit, ``streamed`` whether it asked
    for a stream. An answer with more than ``max_characters`` of text is broken off.

    What follows a complete JSON reply is ignored. A frame that begins as JSON and is not valid is skipped, and the
    answer, which may lack some of it, is PARTIAL. An object that has only words is a failure unless text or a finish
    reason follows; plain words are one unless a finish reason does. A refusal is text; the verdict is FILTERED without
    other text, or if the finish reason says so.
    """

    def __init__(
        self,
        *,
        status: int = 200,
        content_type: str = "",
        provider: str | None = None,
        secrets: tuple[str, ...] = (),
        own_limit: bool = True,
        streamed: bool = False,
        max_characters: int | None = None,
    ) -> None:
        self.done: bool = False
        """Whether nothing of interest can follow: after ``[DONE]``, an error, or a complete reply."""
        self._status, self._content_type = status, content_type
        self._errors = ErrorReader(provider, secrets)
        self._own_limit, self._streamed = own_limit, streamed
        self._limits = {Text: max_characters, Reasoning: limits.WHOLE_ANSWER}
        self._lengths = {Text: 0, Reasoning: 0}
        self._fruitless = self._grown = self._check_at = 0
        self._framer = Framer()
        self._answer = AnswerState(self._errors)
        self._template = ChunkTemplate()
        self._received = 0
        self._closed = False
        self._end_mark = False
        self._skipped = ""  # the beginning of the first frame that could not be read
        self._error_body = bytearray() if status >= 400 else None

    @property
    def received_text(self) -> bool:
        """Whether any text or reasoning was returned: a retry would repeat it."""
        return self._answer.text.received

    @property
    def settled(self) -> bool:
        """Whether a finish reason has come in a chunk of its own: only usage and the end mark may follow."""
        return self._answer.settled

    @property
    def finished(self) -> bool:
        """Whether a finish reason has come."""
        return self._answer.finish is not None

    def feed(self, data: bytes) -> list[AnswerEvent]:
        """Return the events that ``data`` completes; none once ``done``."""
        if self.done or self._closed:
            return []
        self._received += len(data)
        if self._error_body is not None:
            if len(self._error_body) < limits.ERROR_BODY:
                self._error_body += data
            return []
        self._read(self._framer.feed, data)
        events = self._within_limits(self._answer.text.take())
        self._fruitless = 0 if events else self._fruitless + len(data)
        if self._answer.text.blanks > limits.BLANKS or self._received >= self._check_at:
            self._check()
        return events

    def close(self, error: errors.CoreError | None = None) -> list[AnswerEvent]:
        """Return the last events, ``Finished`` at their end; ``error`` is why the transport broke off, if it did."""
        if self._closed:
            return []
        self._closed = True
        answer = self._answer
        broken = None if self.done else error
        if not self.done and self._error_body is None:
            self._read(self._framer.close)
        answer.finish_choosing()
        if unexplained := answer.suspect or answer.words:
            answer.fail(unexplained)
        failure = self._failure(broken)
        done = self._end_mark or (self._framer.began_as_json and (answer.whole or not answer.in_pieces))
        finish = clean(answer.finish, self._errors.secrets, 200) if answer.finish is not None else None
        cut = failure is not None or broken is not None or not (done or finish is not None)
        events = self._within_limits(answer.text.close(cut=cut))
        end = StreamEnd(
            provider=self._errors.provider,
            failure=failure or answer.failure,
            broken=broken,
            finish=finish,
            done=done,
            last_call=one_line(clean(answer.calls.last_name(), self._errors.secrets, 200)),
            own_limit=self._own_limit,
            text=answer.text.has_text,
            image=any(not image.broken for image in answer.extras.images),
            reasoning=answer.text.has_reasoning,
            refusal=answer.refusal,
            skipped=one_line(clean(self._skipped, self._errors.secrets, 100)),
            received=self._received,
        )
        verdict, reason, why = classify(end)
        events += answer.calls.finish(verdict)
        if sources := answer.extras.sources():
            events.append(Sources(sources=sources))
        events += answer.extras.images
        if answer.usage is not None:
            events.append(answer.usage)
        finished = Finished(
            verdict=verdict,
            reason=reason,
            raw_reason=finish,
            error=why,
            model=clean(answer.model, self._errors.secrets, 200),
            reasoning_details=answer.passthrough.details(),
            extra=answer.passthrough.extra(),
            choices=tuple(answer.choices()),
            logprobs=answer.extras.logprobs or None,
        )
        return [*events, finished]

    def _within_limits(self, events: list[AnswerEvent]) -> list[AnswerEvent]:
        """Return the events up to the limits of text and reasoning; break off the answer beyond them."""
        for position, event in enumerate(events):
            if not isinstance(event, Text | Reasoning):
                continue
            kind = type(event)
            self._lengths[kind] += len(event.text)
            limit = self._limits[kind]
            if limit is not None and self._lengths[kind] > limit:
                what = "text" if kind is Text else "reasoning"
                self._stop(f"sent more than {limit:,} characters of {what}", code=f"too_much_{what}")
                fitting = event.text[: limit - self._lengths[kind]]
                return [*events[:position], *([kind(text=fitting)] if fitting else [])]
        return events

    def _check(self) -> None:
        """Break off an answer that does not end, or that exceeds what a useful one holds."""
        answer = self._answer
        self._check_at = self._received + _CHECK_EVERY
        grown, self._grown = self._grown, answer.grown + answer.size_besides_text
        if grown != self._grown:
            self._fruitless = 0
        if max(answer.text.blanks, answer.calls.blanks) > limits.BLANKS:
            self._stop(f"sent more than {limits.BLANKS:,} blank characters in a row")
        elif len(answer.calls) > limits.CALLS:
            self._stop(f"sent more than {limits.CALLS:,} tool calls in one answer")
        elif answer.size_besides_text > limits.BESIDES_TEXT:
            size = limits.BESIDES_TEXT >> 20
            self._stop(f"sent more than {size} MiB of tool calls and other data besides the text")
        elif self._fruitless - self._framer.held > limits.KEEPALIVES:
            self._stop(f"sent {limits.KEEPALIVES >> 20} MiB that contain nothing of an answer")

    def _read(self, frame: Callable[..., list[Frame]], *data: bytes) -> None:
        answer, template = self._answer, self._template
        try:
            frames = frame(*data)
        except TooLongError:
            self._stop(f"sent a line of more than {limits.FRAME >> 20} MiB, which is refused")
            return
        for event, payload in frames:
            text = template.text_of(payload)
            if not text or event == "error":
                self._frame(event, payload)
                if self.done:
                    return
                continue
            answer.growing, answer.suspect = True, None
            if template.is_reasoning:
                answer.text.add_reasoning(text)
            else:
                answer.text.add_text(text)

    def _frame(self, event: str, data: str) -> None:
        """Read a frame of one JSON value, or of several without a separator."""
        answer, at = self._answer, 0
        if not data.startswith("{"):
            at = _next_value(data, 0)
            if event == "error" and at == len(data):
                answer.fail("")
        while at < len(data) and not self.done:
            try:
                value, end = decode_json(data, at)
            except (ValueError, RecursionError):
                self._not_json(event, data[at:])
                break
            if answer.whole and self._framer.began_as_json and _is_chunk(value):
                self.done = True
                return
            if end < len(data) or event == "error" or (plain := answer.add_plain(value)) is None:
                with suppress(RecursionError):  # nested too deeply to be a chunk
                    answer.add(value, event)
                at = _next_value(data, end)
            else:
                self._template.learn(data, plain[1], is_reasoning=plain[0])
                at = end
            self.done = answer.failure is not None or (answer.replied and self._framer.began_as_json)
        self.done = self.done or answer.failure is not None

    def _not_json(self, event: str, data: str) -> None:
        """Take the end mark, an error with broken quotes, or plain words; skip anything else."""
        if data.startswith("[DONE]"):
            self.done = self._end_mark = True
        elif event == "error" or data.startswith(_ERROR_STARTS):
            self._answer.fail(_BROKEN_ERROR.sub("", data))
        elif not data.startswith("{"):
            if event.lower() not in _KEEPALIVES:
                self._answer.add_words(data)
        elif not self._skipped and self._answer.finish is None:  # after a finish reason, no text can be lost
            self._skipped = data[:400]

    def _stop(self, what: str, *, code: str = "too_much") -> None:
        error = errors.ProtocolError(
            f"{self._errors.server} {what}", provider=self._errors.provider, code=code
        )
        self._answer.failure = self._answer.failure or error
        self.done = True

    def _failure(self, broken: errors.CoreError | None) -> errors.CoreError | None:
        """Return the reported failure, or why the body is not an answer at all."""
        answer = self._answer
        if self._error_body is not None:
            return self._errors.from_response(self._status, bytes(self._error_body))
        if answer.failure is not None or answer.chunks or broken is not None:
            return answer.failure
        if answer.unknown:
            return self._errors.from_json(None, answer.unknown)
        head = bytes(self._framer.head)
        return self._errors.no_completion(self._status, self._content_type, head, streamed=self._streamed)


def _is_chunk(value: Json) -> bool:
    choices = value.get("choices") if isinstance(value, dict) else None
    return isinstance(choices, list) and any(isinstance(each, dict) and "delta" in each for each in choices)


def _next_value(data: str, at: int) -> int:
    hit = _BEFORE_VALUE.match(data, at)
    return hit.end() if hit else at


# --- the verdict ---------------------------------------------------------------------------------------------

_OTHER_LIMIT: Final = re.compile("context|window|budget|model_?len|error_limit", re.IGNORECASE)
"""Finish reasons that name a limit other than ``max_tokens``."""


class StreamEnd(Struct):
    """Everything that the verdict depends on, as known at the end of the body."""

    provider: str | None = None
    failure: errors.CoreError | None = None
    """From an error frame, or from a body that is an error."""
    broken: errors.CoreError | None = None
    """The transport's error, if the body broke off before ``[DONE]``."""
    finish: str | None = None
    """The finish reason as the server sent it."""
    done: bool = False
    """Whether ``[DONE]`` came, or a complete JSON reply."""
    text: bool = False
    """Whether there was text other than blanks and a refusal."""
    image: bool = False
    """Whether there was an image that can be read."""
    reasoning: bool = False
    last_call: str = ""
    """The name of the last tool call."""
    own_limit: bool = True
    refusal: bool = False
    skipped: str = ""
    """The beginning of a piece that could not be read, "" if there was none."""
    received: int = 0


def classify(end: StreamEnd) -> tuple[Verdict, FinishReason | None, errors.CoreError | None]:
    """Return the verdict, the reason in OpenAI's words, and why an answer is not complete.

    An answer that has come to its end is PARTIAL nevertheless if a piece of it could not be read.
    """
    verdict, reason, why = _classify(end)
    if end.skipped and verdict in (Verdict.COMPLETE, Verdict.LENGTH, Verdict.EMPTY):
        what = f"sent a piece that cannot be read ({end.skipped}); the answer may lack some of it"
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
        what = f"withheld the answer (finish reason {finish})"
        return Verdict.FILTERED, reason, _error(end, errors.ContentPolicyError, what, code=finish)
    if reason == "length":
        if said or end.reasoning or end.refusal:
            return Verdict.LENGTH, reason, _token_limit(end)
        what = "sent an empty answer: it stopped at the token limit before any text"
        return Verdict.EMPTY, reason, _error(end, errors.ProtocolError, what, code=finish)
    if known is None and not end.done:
        what = "closed the connection before the answer was finished"
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
    what = "sent reasoning and no answer" if end.reasoning else "sent an empty answer"
    return Verdict.EMPTY, of_calls, _error(end, errors.ProtocolError, what)


def _token_limit(end: StreamEnd) -> errors.CoreError | None:
    """Return why an answer that ends at a token limit is incomplete; None if the caller asked for that length."""
    if end.last_call:
        what = f"cut the answer off at the token limit, in a call of {end.last_call}, which was not run"
    elif not (end.text or end.image):
        what = "sent reasoning and no answer: it took all of the token limit"
    elif not end.own_limit or (end.finish and _OTHER_LIMIT.search(end.finish)):
        what = f"cut the answer off at its token limit (finish reason {end.finish})"
    else:
        return None
    return _error(end, errors.TokenLimitError, what, code=end.finish)


def _error(end: StreamEnd, kind: type[errors.CoreError], what: str, **fields: Any) -> errors.CoreError:
    return kind(f"{end.provider or 'the server'} {what}", provider=end.provider, **fields)
