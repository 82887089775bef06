"""The bytes of an answer to events and one verdict, without I/O; what stands in a chunk is read in the rooms beside."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from provider_core import errors, limits
from provider_core.redaction import clean
from provider_core.stream.answer import Answer
from provider_core.stream.failures import failure, from_value, not_a_completion, who
from provider_core.stream.framing import Framer, TooLongError
from provider_core.stream.lenient import scan
from provider_core.stream.pattern import Pattern
from provider_core.stream.verdict import Ending, decide
from provider_core.types import Finished, Reasoning, Sources, Text

if TYPE_CHECKING:
    from provider_core.stream.framing import Frame
    from provider_core.types import AnswerEvent, Json

__all__ = ["Decoder"]

_CHECKED = 1 << 16
"""Bytes after which it is looked how much of an answer is held: not at each of its pieces."""

_ERROR_STARTS = ('{"error"', '{"detail"', '{"object":"error"', '{"object": "error"')
_SIGNS_OF_LIFE = ("ping", "pong", "heartbeat", "keepalive", "keep-alive", "keep_alive")
"""Names of events whose data says nothing."""
_BROKEN_ERROR = re.compile(r'^\{"(?:error|detail)": ?"|"?\}\s*$')
"""What surrounds the words of an error that was put between quotes without escaping its own."""
_BEFORE_VALUE = re.compile(r"\s*(?:data:\s*)?")
"""Blanks, and the field's name again where a proxy framed a frame."""


class Decoder:
    """Reads one answer, streamed or not, whatever its content type claims.

    Feed the body as it arrives, then close once. The events are the same however the bytes were split, once
    touching Text and Reasoning are joined. ``secrets`` are masked in everything a server says about a failure.
    ``own_limit`` says whether the caller asked for a token limit, ``streamed`` whether it asked for a stream.
    After ``max_characters`` of text the answer is broken off.

    A reply that comes whole as JSON is all: what follows it is not read. A frame that begins as JSON and is none is
    skipped, and the answer, which may lack some of it, is PARTIAL. An object that has only words is a failure
    unless text or a finish reason follows; plain words are one unless a finish reason does.

    A refusal is shown as text; the verdict is FILTERED only if nothing else was said, or the finish reason says so.
    A closing think tag without an opening one that begins or ends a line is dropped from text that was shown
    already; in a reply that came whole, what stands before it is Reasoning. Within a line it is text.
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
        """Nothing of interest can follow: ``[DONE]`` or an error frame has come."""
        self._status, self._content_type = status, content_type
        self._provider, self._secrets = provider, secrets
        self._own_limit, self._streamed = own_limit, streamed
        self._most = {Text: max_characters, Reasoning: limits.WHOLE_ANSWER}
        self._said = {Text: 0, Reasoning: 0}
        self._fruitless = self._grown = self._check_at = 0
        self._framer = Framer()
        self._answer = Answer(provider=provider, secrets=secrets)
        self._pattern = Pattern()
        self._received = 0
        self._finished = False
        self._ended = False  # by [DONE]
        self._skipped = ""  # the beginning of the first frame that could not be read
        self._error_body = bytearray() if status >= 400 else None

    @property
    def received_text(self) -> bool:
        """Whether any text or thought was handed out: from then on a retry would repeat it."""
        return self._answer.speech.received

    @property
    def settled(self) -> bool:
        """Whether a finish reason has come, alone: what may follow is usage and the mark of the end."""
        return self._answer.settled

    @property
    def finished(self) -> bool:
        """Whether a finish reason has come."""
        return self._answer.finish is not None

    def feed(self, data: bytes) -> list[AnswerEvent]:
        """Return the events that ``data`` completes; none once ``done``."""
        if self.done or self._finished:
            return []
        self._received += len(data)
        if self._error_body is not None:
            if len(self._error_body) < limits.ERROR_BODY:
                self._error_body += data
            return []
        try:
            self._read(self._framer.feed(data))
        except TooLongError:
            self._too_long()
        events = self._within(self._answer.speech.take())
        self._fruitless = 0 if events else self._fruitless + len(data)
        if self._answer.speech.blanks > limits.BLANKS or self._received >= self._check_at:
            self._check()
        return events

    def close(self, error: errors.CoreError | None = None) -> list[AnswerEvent]:
        """Return the last events, ``Finished`` at their end; ``error`` when the transport broke off."""
        if self._finished:
            return []
        self._finished = True
        answer = self._answer
        broken = None if self.done else error
        if not self.done and self._error_body is None:
            try:
                self._read(self._framer.close())
            except TooLongError:
                self._too_long()
        answer.settle()
        if answer.complaint or answer.words:
            answer.fail(answer.complaint or answer.words)
        failed = self._failure(broken)
        done = self._ended or (self._framer.began_as_json and (answer.whole or not answer.piecemeal))
        said_so = done or answer.finish is not None
        finish = clean(answer.finish, self._secrets, 200) if answer.finish is not None else None
        cut = failed is not None or broken is not None or not said_so
        events = self._within(answer.speech.close(cut=cut))
        failed = failed or answer.failure
        verdict, reason, why = decide(
            Ending(
                provider=self._provider,
                failure=failed,
                broken=broken,
                finish=finish,
                done=done,
                last_call=_line(clean(answer.calls.last(), self._secrets, 200)),
                own_limit=self._own_limit,
                text=answer.speech.spoken,
                image=any(not image.broken for image in answer.extras.images),
                thoughts=answer.speech.reasoned,
                refusal=answer.refusal,
                skipped=_line(clean(self._skipped, self._secrets, 100)),
                received=self._received,
            )
        )
        events += answer.calls.finish(verdict)
        if sources := answer.extras.sources():
            events.append(Sources(sources=sources))
        events += answer.extras.images
        if answer.usage is not None:
            events.append(answer.usage)
        events.append(
            Finished(
                verdict=verdict,
                reason=reason,
                raw_reason=finish,
                error=why,
                model=clean(answer.model, self._secrets, 200),
                reasoning_details=answer.kept.details(),
                extra=answer.kept.extra(),
                choices=tuple(answer.choices()),
                logprobs=answer.extras.logprobs or None,
            )
        )
        return events

    def _within(self, events: list[AnswerEvent]) -> list[AnswerEvent]:
        """Return the events up to the most characters of text or of reasoning; beyond, the answer is broken off."""
        for event in events:
            match event:
                case Text(text=text) | Reasoning(text=text):
                    kind = type(event)
                case _:
                    continue
            self._said[kind] += len(text)
            most = self._most[kind]
            if most is not None and self._said[kind] > most:
                what = "text" if kind is Text else "reasoning"
                self._stop(f"sent more than {most:,} characters of {what}", code=f"too_much_{what}")
                fitting = text[: most - self._said[kind]]
                return [*events[: events.index(event)], *([kind(text=fitting)] if fitting else [])]
        return events

    def _check(self) -> None:
        """Break off an answer that does not end, or holds more than a useful one."""
        answer = self._answer
        self._check_at = self._received + _CHECKED
        grown, self._grown = self._grown, answer.grown + answer.beside
        if grown != self._grown:
            self._fruitless = 0
        if max(answer.speech.blanks, answer.calls.blanks) > limits.BLANKS:
            self._stop(f"sent more than {limits.BLANKS:,} blank characters in a row")
        elif len(answer.calls) > limits.CALLS:
            self._stop(f"sent more than {limits.CALLS:,} tool calls in one answer")
        elif answer.beside > limits.BESIDE_TEXT:
            self._stop(
                f"sent more than {limits.BESIDE_TEXT >> 20} MiB of tool calls and other data beside the text"
            )
        elif self._fruitless - self._framer.held > limits.SIGNS_OF_LIFE:
            self._stop(f"sent {limits.SIGNS_OF_LIFE >> 20} MiB in which there was nothing of an answer")

    def _read(self, frames: list[Frame]) -> None:
        answer, pattern = self._answer, self._pattern
        speech = answer.speech
        for event, data in frames:
            text = pattern.text(data)
            if not text or event == "error":
                self._frame(event, data)
                if self.done:
                    return
                continue
            answer.fresh, answer.complaint = True, None  # as grow() does, without the call
            if pattern.thought:
                speech.think(text)
            else:
                speech.say(text)

    def _frame(self, event: str, data: str) -> None:
        """Read a frame of one JSON value, or of several that a server did not part."""
        answer, at = self._answer, 0
        if not data.startswith("{"):
            at = _skip(data, 0)
            if event == "error" and at == len(data):
                answer.fail("")
        while at < len(data) and not self.done:
            try:
                value, end = scan(data, at)
            except (ValueError, RecursionError):
                self._no_json(event, data[at:])
                break
            if answer.whole and self._framer.began_as_json and _is_piece(value):
                self.done = True
                return
            if end < len(data) or event == "error" or (plain := answer.plain(value)) is None:
                with suppress(RecursionError):  # a value that could hardly be parsed is no chunk
                    answer.value(value, event)
                at = _skip(data, end)
            else:
                self._pattern.learn(data, plain[1], thought=plain[0])
                at = end
            self.done = answer.failure is not None or (answer.replied and self._framer.began_as_json)
        self.done = self.done or answer.failure is not None

    def _no_json(self, event: str, data: str) -> None:
        """Take the end mark; skip anything else but an error whose words broke the quoting.

        What is lost behind a finish reason is not text.
        """
        if data.startswith("[DONE]"):
            self.done = self._ended = True
        elif event == "error" or data.startswith(_ERROR_STARTS):
            self._answer.fail(_BROKEN_ERROR.sub("", data))
        elif not data.startswith("{"):
            if event.lower() not in _SIGNS_OF_LIFE:
                self._answer.note_words(data)
        elif not self._skipped and self._answer.finish is None:
            self._skipped = data[:400]

    def _too_long(self) -> None:
        self._stop(f"sent a line of more than {limits.FRAME >> 20} MiB, which is refused")

    def _stop(self, what: str, *, code: str = "too_much") -> None:
        error = errors.ProtocolError(f"{who(self._provider)} {what}", provider=self._provider, code=code)
        self._answer.failure = self._answer.failure or error
        self.done = True

    def _failure(self, broken: errors.CoreError | None) -> errors.CoreError | None:
        """Return the announced failure, or why the body is no answer at all."""
        answer = self._answer
        if self._error_body is not None:
            body = bytes(self._error_body)
            return failure(self._status, body, provider=self._provider, secrets=self._secrets)
        if answer.failure is not None or answer.chunks or broken is not None:
            return answer.failure
        if answer.stray:
            return from_value(None, answer.stray, provider=self._provider, secrets=self._secrets)
        head = bytes(self._framer.head)
        return not_a_completion(
            self._status,
            self._content_type,
            head,
            provider=self._provider,
            secrets=self._secrets,
            streamed=self._streamed,
        )


def _is_piece(value: Json) -> bool:
    choices = value.get("choices") if isinstance(value, dict) else None
    return isinstance(choices, list) and any(isinstance(each, dict) and "delta" in each for each in choices)


def _line(text: str) -> str:
    return " ".join(text.split())


def _skip(data: str, at: int) -> int:
    hit = _BEFORE_VALUE.match(data, at)
    return hit.end() if hit else at
