"""One answer put together from its events; how it is shown, and whether it is kept, is not decided here."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from provider_core.errors import ContentPolicyError, ContextOverflowError
from provider_core.structs import Struct, field
from provider_core.types import (
    Finished,
    Image,
    Message,
    Reasoning,
    Sent,
    Sources,
    Text,
    Timing,
    ToolCall,
    Usage,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from provider_core.errors import CoreError
    from provider_core.types import AnswerEvent, Choice, Json, Notice, Source, Target

__all__ = ["Answer", "AnswerBuilder", "append_messages", "merge_answers"]

_TOGETHER = 1024


class Answer(Struct):
    """What one request brought, whole or not.

    ``finish`` and ``raw_finish`` are the finish reason in OpenAI's words and in the server's. ``error`` says why the
    answer is not whole, as in ``Finished``; there is none for "interrupted".
    """

    target: Target
    verdict: Verdict
    text: str = ""
    reasoning: str = ""
    reasoning_details: tuple[Json, ...] = ()
    extra: Mapping[str, Json] = field(default_factory=dict)
    tool_calls: tuple[ToolCall, ...] = ()
    sources: tuple[Source, ...] = ()
    images: tuple[Image, ...] = ()
    choices: tuple[Choice, ...] = ()
    """The answers besides this one, if several were asked for."""
    logprobs: Mapping[str, Json] | None = None
    usage: Usage | None = None
    timing: Timing = field(default_factory=Timing)
    finish: str | None = None
    raw_finish: str | None = None
    error: CoreError | None = None
    model: str = ""
    """The server's name for what answered, for display only."""
    left_out: int = 0
    """Characters of text and thoughts that were more than whoever gathered it wanted to hold."""

    @property
    def resend(self) -> bool:
        """Whether a question without an answer goes along with the next one: not if the server refused what it says."""
        return not isinstance(self.error, ContextOverflowError | ContentPolicyError)

    def message(self) -> Message:
        """The assistant's turn, as a later request holds it."""
        return Message(
            role="assistant",
            content=self.text,
            tool_calls=self.tool_calls,
            reasoning=self.reasoning,
            reasoning_details=self.reasoning_details,
            extra=self.extra,
            provider=self.target.provider.name,
            sources=self.sources,
            images=self.images,
        )


class AnswerBuilder:
    """Takes the events and notices of one answer as they come; ``answer`` may be asked for at any moment.

    ``limit`` is how many characters of the text, and of the thoughts, are held; the rest is only counted.
    """

    def __init__(
        self, target: Target, *, limit: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._target = target
        self._clock = clock
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._room = [limit, limit]  # for the one and the other
        self._left_out = [0, 0]
        self._packed = [0, 0]  # pieces that are each many joined
        self._calls: list[ToolCall] = []
        self._sources: tuple[Source, ...] = ()
        self._images: list[Image] = []
        self._usage: Usage | None = None
        self._finished: Finished | None = None
        self._sent = clock()
        self._first_byte: float | None = None
        self._first_text: float | None = None
        self._ended: float | None = None

    def notice(self, notice: Notice) -> None:
        """Time runs from the last attempt's sending."""
        if isinstance(notice, Sent):
            self._sent = self._clock()

    def event(self, event: AnswerEvent) -> None:
        """Take one event."""
        if self._first_byte is None:
            self._first_byte = self._clock()
        match event:
            case Text(text=text):
                if self._first_text is None:
                    self._first_text = self._clock()
                self._add(text, 0)
            case Reasoning(text=text):
                self._add(text, 1)
            case ToolCall():
                self._calls.append(event)
            case Sources(sources=sources):
                self._sources = sources
            case Image():
                self._images.append(event)
            case Usage():
                self._usage = event
            case Finished():
                self._finished = event
                self._ended = self._clock()

    def take_back(self, characters: int) -> None:
        """Forget the last characters of the text: they never got to whoever asked."""
        uncounted = min(characters, self._left_out[0])
        self._left_out[0] -= uncounted
        characters -= uncounted
        while characters > 0 and self._text:
            last = self._text.pop()
            if len(last) > characters:
                self._text.append(last[:-characters])
            characters -= len(last)

    def answer(self, error: CoreError | None = None) -> Answer:
        """What there is so far. Without a ``Finished`` it was given up: by ``error``, else by whoever asked."""
        finished = self._finished
        if finished is None:
            verdict = Verdict.INTERRUPTED if error is None else Verdict.FAILED
            finished = Finished(verdict=verdict, error=error)
        ended = self._ended if self._ended is not None else self._clock()
        return Answer(
            target=self._target,
            verdict=finished.verdict,
            text=_joined(self._text),
            reasoning=_joined(self._reasoning),
            reasoning_details=finished.reasoning_details,
            extra=finished.extra,
            tool_calls=tuple(self._calls),
            sources=self._sources,
            images=tuple(self._images),
            choices=finished.choices,
            logprobs=finished.logprobs,
            usage=self._usage,
            timing=Timing(
                first_byte=self._since(self._first_byte),
                first_text=self._since(self._first_text),
                total=ended - self._sent,
            ),
            finish=finished.reason,
            raw_finish=finished.raw_reason,
            error=finished.error,
            model=finished.model,
            left_out=sum(self._left_out),
        )

    def _add(self, text: str, which: int) -> None:
        """Add as much of the piece as there is room for. Many pieces become one: tokens take ten times their length."""
        pieces = (self._text, self._reasoning)[which]
        pieces.append(text if self._room[which] is None else self._fitting(text, which))
        if len(pieces) - self._packed[which] == _TOGETHER:
            pieces[self._packed[which] :] = ["".join(pieces[self._packed[which] :])]
            self._packed[which] += 1

    def _fitting(self, text: str, which: int) -> str:
        """As much of the piece as there is room for."""
        room = self._room[which] or 0
        held = text[:room]
        self._room[which] = room - len(held)
        self._left_out[which] += len(text) - len(held)
        return held

    def _since(self, moment: float | None) -> float | None:
        return None if moment is None else moment - self._sent


def _joined(pieces: list[str]) -> str:
    """The pieces as one, which takes their place: a long answer is not held twice."""
    pieces[:] = ["".join(pieces)]
    return pieces[0]


def append_messages(earlier: Iterable[Message], new: Iterable[Message]) -> tuple[Message, ...]:
    """All messages in their order, with the last system message first and no other one; an empty one is none.

    A question that follows itself, asked again after it failed, is there once.
    """
    every: list[Message] = []
    for message in (*earlier, *new):
        if not (every and message.role == "user" and message == every[-1]):
            every.append(message)
    system = [message for message in every if message.role == "system"][-1:]
    return (
        *(message for message in system if message.content),
        *(message for message in every if message.role != "system"),
    )


def merge_answers(answers: Sequence[Answer]) -> Answer:
    """The answers of a tool loop as one: what was said and called in all of them, and the end of the last.

    Texts have a newline between them, and those without a word are left out. Counts are sums of what the server
    said; times are those of the requests, without what the tools took.
    """
    if len(answers) == 1:
        return answers[0]
    total, first_text = 0.0, None
    for answer in answers:
        if first_text is None and answer.timing.first_text is not None:
            first_text = total + answer.timing.first_text
        total += answer.timing.total or 0.0
    return replace(
        answers[-1],
        text="\n".join(answer.text for answer in answers if answer.text.strip()),
        reasoning="\n".join(answer.reasoning for answer in answers if answer.reasoning),
        tool_calls=tuple(call for answer in answers for call in answer.tool_calls),
        sources=_each_once(source for answer in answers for source in answer.sources),
        images=tuple(image for answer in answers for image in answer.images),
        usage=_sum([answer.usage for answer in answers if answer.usage is not None]),
        timing=Timing(first_byte=answers[0].timing.first_byte, first_text=first_text, total=total),
    )


def _each_once(sources: Iterable[Source]) -> tuple[Source, ...]:
    found: dict[str, Source] = {}
    for source in sources:
        found.setdefault(source.url, source)
    return tuple(found.values())


def _sum(usages: Sequence[Usage]) -> Usage | None:
    if not usages:
        return None

    def of(counts: Iterable[float | None]) -> Any:
        known = [count for count in counts if count is not None]
        return sum(known) if known else None

    return Usage(
        input=of(usage.input for usage in usages),
        output=of(usage.output for usage in usages),
        cached=of(usage.cached for usage in usages),
        reasoning=of(usage.reasoning for usage in usages),
        cost=of(usage.cost for usage in usages),
    )
