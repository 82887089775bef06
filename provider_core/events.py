"""Events of a chat turn, the answers that they add up to, and the tools that take part.

``Event`` is the contract between ``ChatRun`` and everyone who shows, stores or counts what it does.
"""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from provider_core import limits
from provider_core.errors import ContentPolicyError, ContextOverflowError
from provider_core.structs import Struct, field, replace
from provider_core.types import (
    AnswerEvent,
    Finished,
    Image,
    Message,
    Notice,
    Reasoning,
    Sources,
    Text,
    TextPart,
    Timing,
    ToolCall,
    Usage,
    Verdict,
)

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from provider_core.errors import CoreError, SchemaMismatchError, ToolError
    from provider_core.prices import Cost
    from provider_core.types import Choice, Continuation, ImagePart, Json, Part, Request, Source, Target, Tool

    Spill = Callable[[int, str], None]

# --- answers ---------------------------------------------------------------------------------------------------

_OF_ITS_END = ("verdict", "error", "model", "reasoning_details", "extra", "choices", "logprobs")
"""Fields that an answer has from its ``Finished``."""
_PIECE = 1 << 17
"""Characters of a text that stay in memory if the rest goes elsewhere."""


class Attempt(Struct):
    """A model that another one was asked instead of; ``name`` is ``provider/model``, or what the user called it."""

    name: str
    error: CoreError


class AnswerPart(Struct):
    """A part of an answer that was continued: how many characters of its text, how it ended, and how it continues."""

    characters: int
    verdict: Verdict
    finish: str | None = None
    continuation: Continuation | None = None
    """None for the first part."""


class Answer(Struct):
    """The answer to one request, complete or not.

    ``finish`` and ``raw_finish`` are the finish reason in OpenAI's words and in the server's. ``error`` says why the
    answer is not complete, as in ``Finished``; an interrupted answer has none.
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
    """The other answers, if the request asked for several."""
    logprobs: Mapping[str, Json] | None = None
    usage: Usage | None = None
    cost: Cost | None = None
    """The cost of the answer; None if it is unknown."""
    timing: Timing = field(default_factory=Timing)
    finish: str | None = None
    raw_finish: str | None = None
    error: CoreError | None = None
    model: str = ""
    """The server's name for the model that answered, for display only."""
    attempts: tuple[Attempt, ...] = ()
    """The models that failed before this one was asked; only of a whole turn."""
    continuation: Continuation | None = None
    """How it continues the answer to the request before, which was cut; None if it is an answer of its own."""
    parts: tuple[AnswerPart, ...] = ()
    """The parts of an answer that was continued; only of a whole turn."""
    left_out: int = 0
    """The number of characters of text and reasoning beyond the limit of its ``AnswerBuilder``."""
    spilled: int = 0
    """The number of characters at the beginning of the text that are not in ``text``: see ``AnswerBuilder``."""

    @property
    def is_free(self) -> bool:
        """Whether the request failed before anything of an answer arrived, so that it does not count as a cost."""
        nothing = self.usage is None and not (self.text or self.reasoning or self.tool_calls or self.images)
        return nothing and self.verdict is Verdict.FAILED

    @property
    def resend(self) -> bool:
        """Whether a failed prompt is sent along with the next one: not if the server refused its content."""
        return not isinstance(self.error, ContextOverflowError | ContentPolicyError)

    def message(self) -> Message:
        """The assistant message for later requests."""
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
            continues=self.continuation is not None,
        )


class AnswerBuilder:
    """Gathers the events of one answer; ``answer`` may be called at any time.

    Of the text, and of the reasoning, the first ``limit`` characters are stored; the others are counted. With
    ``spill``, no more than a piece of a long text stays in memory: ``spill`` is called with the place of each earlier
    piece in the text, in characters, and the piece, and the answer's ``text`` is the rest. The last event always stays.
    """

    def __init__(
        self,
        target: Target,
        *,
        limit: int | None = None,
        spill: Spill | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._target = target
        self._clock = clock
        self._spill = spill
        self._spilled = 0
        self._text, self._reasoning = _LimitedText(), _LimitedText()
        self._text.free = self._reasoning.free = limit
        self._calls: list[ToolCall] = []
        self._sources: tuple[Source, ...] = ()
        self._images: list[Image] = []
        self._usage: Usage | None = None
        self._finished: Finished | None = None
        self._sent = clock()
        self._first_byte: float | None = None
        self._first_text: float | None = None
        self._ended: float | None = None

    def sent(self) -> None:
        """Measure times from now."""
        self._sent = self._clock()

    def add(self, event: AnswerEvent) -> None:
        """Add one event."""
        if self._first_byte is None:
            self._first_byte = self._clock()
        match event:
            case Text():
                if self._first_text is None:
                    self._first_text = self._clock()
                if self._spill is not None and self._text.tell() >= _PIECE:
                    self._spill_text(self._spill)
                self._text.add(event.text)
            case Reasoning():
                self._reasoning.add(event.text)
            case ToolCall():
                self._calls.append(event)
            case Sources():
                self._sources = event.sources
            case Image():
                self._images.append(event)
            case Usage():
                self._usage = event
            case Finished():
                self._finished = event
                self._ended = self._clock()

    def take_back(self, characters: int) -> None:
        """Remove the last ``characters`` of the text, which the user did not get."""
        self._text.remove(characters)

    def _spill_text(self, spill: Spill) -> None:
        full, rest = self._text, _LimitedText()
        rest.free, rest.left_out = full.free, full.left_out
        spill(self._spilled, full.getvalue())  # if a signal stops that, the piece is still part of the text
        self._spilled, self._text = self._spilled + full.tell(), rest

    def answer(self, error: CoreError | None = None) -> Answer:
        """The answer so far. If it has not finished, it failed with ``error``, or was interrupted."""
        finished = self._finished
        if finished is None:
            verdict = Verdict.INTERRUPTED if error is None else Verdict.FAILED
            finished = Finished(verdict=verdict, error=error)
        return Answer(
            **{name: getattr(finished, name) for name in _OF_ITS_END},
            target=self._target,
            text=self._text.getvalue(),
            reasoning=self._reasoning.getvalue(),
            tool_calls=tuple(self._calls),
            sources=self._sources,
            images=tuple(self._images),
            usage=self._usage,
            timing=Timing(
                first_byte=self._since_sent(self._first_byte),
                first_text=self._since_sent(self._first_text),
                total=self._since_sent(self._clock() if self._ended is None else self._ended),
            ),
            finish=finished.reason,
            raw_finish=finished.raw_reason,
            left_out=self._text.left_out + self._reasoning.left_out,
            spilled=self._spilled,
        )

    def _since_sent(self, moment: float | None) -> float | None:
        return None if moment is None else moment - self._sent


class _LimitedText(io.StringIO):
    """A growing text that keeps its first ``free`` characters, and counts the others."""

    free: int | None = None
    left_out: int = 0

    def add(self, text: str) -> None:
        if self.free is not None:
            length = len(text)
            if length > self.free:
                self.left_out += length - self.free
                text, length = text[: self.free], self.free
            self.free -= length
        self.write(text)

    def remove(self, characters: int) -> None:
        uncounted = min(characters, self.left_out)
        self.left_out -= uncounted
        if characters := characters - uncounted:
            rest = self.getvalue()[:-characters]
            self.seek(0)
            self.truncate()
            self.write(rest)


def append_messages(earlier: Iterable[Message], new: Iterable[Message]) -> tuple[Message, ...]:
    """All messages in order, but only the last system message, at the beginning; an empty one removes it.

    A prompt that is repeated after it failed is there once. Parts of an answer become one message.
    """
    messages: list[Message] = []
    for message in (*earlier, *new):
        if message.continues and messages and messages[-1].role == "assistant":
            messages[-1] = join_parts(messages[-1], message)
        elif not (messages and message.role == "user" and message == messages[-1]):
            messages.append(message)
    system = [message for message in messages if message.role == "system"][-1:]
    return (
        *(message for message in system if message.content),
        *(message for message in messages if message.role != "system"),
    )


def join_parts(part: Message, rest: Message) -> Message:
    """An assistant message and the one that continues it as one."""
    if not isinstance(part.content, str) or not isinstance(rest.content, str):
        return rest
    return replace(
        rest,
        content=part.content + rest.content,
        reasoning="\n".join(filter(None, (part.reasoning, rest.reasoning))),
        sources=(*part.sources, *rest.sources),
        images=(*part.images, *rest.images),
        continues=part.continues,
    )


def merge_answers(answers: Sequence[Answer]) -> Answer:
    """The answers to the requests of one turn as one: everything that was received, and the end of the last.

    Texts are joined by newlines, and parts of an answer directly; blank ones are omitted. Token counts are added up; so
    are the costs, and the times, which do not include the time of tools. If only some of the costs are known, their
    sum is partial.
    """
    if len(answers) == 1 and answers[0].continuation is None:
        return answers[0]
    from provider_core.prices import add_costs

    total, first_text = 0.0, None
    for answer in answers:
        if first_text is None and answer.timing.first_text is not None:
            first_text = total + answer.timing.first_text
        total += answer.timing.total or 0.0
    sources = {source.url: source for answer in reversed(answers) for source in reversed(answer.sources)}
    return replace(
        answers[-1],
        text=_joined_texts(answers),
        reasoning="\n".join(answer.reasoning for answer in answers if answer.reasoning),
        tool_calls=tuple(call for answer in answers for call in answer.tool_calls),
        sources=tuple(reversed(sources.values())),
        images=tuple(image for answer in answers for image in answer.images),
        usage=_sum([answer.usage for answer in answers if answer.usage is not None]),
        cost=add_costs(answer.cost for answer in answers if not answer.is_free),
        timing=Timing(first_byte=answers[0].timing.first_byte, first_text=first_text, total=total),
        parts=_parts(answers),
    )


def _joined_texts(answers: Sequence[Answer]) -> str:
    text = ""
    for answer in answers:
        if answer.continuation is not None:
            text += answer.text
        elif answer.text.strip():
            text += f"\n{answer.text}" if text else answer.text
    return text


def last_parts(answers: Sequence[Answer]) -> Sequence[Answer]:
    """The last answer, after those that it continues."""
    first = len(answers) - 1
    while first > 0 and answers[first].continuation is not None:
        first -= 1
    return answers[first:]


def _parts(answers: Sequence[Answer]) -> tuple[AnswerPart, ...]:
    if answers[-1].continuation is None:
        return ()
    return tuple(
        AnswerPart(
            characters=len(answer.text),
            verdict=answer.verdict,
            finish=answer.finish,
            continuation=answer.continuation,
        )
        for answer in last_parts(answers)
    )


def _sum(usages: Sequence[Usage]) -> Usage | None:
    if not usages:
        return None

    def total(name: str) -> Any:
        known = [count for usage in usages if (count := getattr(usage, name)) is not None]
        return sum(known) if known else None

    return Usage(**{name: total(name) for name in Usage._fields})


# --- tools -------------------------------------------------------------------------------------------------


class ToolAnnotations(Struct):
    """The claims of a tool about itself, unverified; None where it makes none."""

    read_only: bool | None = None
    destructive: bool | None = None
    idempotent: bool | None = None
    open_world: bool | None = None
    """Whether it reaches beyond what the user can see: the network, other people."""


class ToolSpec(Struct):
    """A tool of a toolbox. ``tool.name`` is the toolbox's own name for it, which may contain any characters."""

    tool: Tool
    title: str = ""
    annotations: ToolAnnotations = field(default_factory=ToolAnnotations)


class ToolLimits(Struct):
    """The limits of one call."""

    seconds: float = 60.0
    size: int = limits.TOOL_RESULT
    """Bytes of the result, as UTF-8, that the model gets; the middle of a longer one is omitted."""


class ToolResult(Struct):
    """The result of a call.

    The model gets ``text``, and ``images`` if ``Request.reads_images``; else a note says that there were images.
    """

    text: str = ""
    is_error: bool = False
    """Whether the tool reports that it failed, for the reason in ``text``."""
    structured: Json = None
    """The result as JSON, if the tool returns that too; for the caller, not for the model."""
    images: tuple[ImagePart, ...] = ()


class Toolbox(Protocol):
    """A group of tools: those of a server, or a program's own functions."""

    @property
    def name(self) -> str:
        """The name that users know; "" for tools without a prefix. A tool is shown as ``name/tool``."""

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        """The current tools; read once before each request."""

    @property
    def limits(self) -> ToolLimits:
        """The limits of each call."""

    def run(self, name: str, arguments: Mapping[str, Json], *, stop: threading.Event) -> ToolResult:
        """Run the tool with this name and return its result. Raises ``ToolError`` if there is none.

        This is called in threads, for several calls at a time. ``stop`` is set when the time is over or the user has
        interrupted the turn; a later result is ignored.

        A toolbox with a true attribute ``reports_progress`` also gets the argument ``report``: a ``ReportProgress``
        that any thread may call.
        """


ReportProgress: TypeAlias = "Callable[[float, float | None, str], None]"
"""Takes the progress of a call, its total if that is known, and a message or "". The toolbox limits all three."""


# --- approval ----------------------------------------------------------------------------------------------


class PlannedCall(Struct):
    """A call that can run: the tool exists, and ``arguments`` match its schema."""

    toolbox: Toolbox
    spec: ToolSpec
    call: ToolCall
    """The model's call, with the tool's name as the model knows it."""
    arguments: Mapping[str, Json]

    @property
    def name(self) -> str:
        """``toolbox/tool``, as users know the tool."""
        return "/".join(filter(None, (self.toolbox.name, self.spec.tool.name)))


class Approve(Struct):
    """Run the call as it is."""


class ApproveWith(Struct):
    """Run the call with other arguments, and tell the model so."""

    arguments: Mapping[str, Json]


class Refuse(Struct):
    """Do not run the call, and tell the model so, with the reason if there is one."""

    reason: str = ""


Decision: TypeAlias = Approve | ApproveWith | Refuse

Approval: TypeAlias = "Callable[[PlannedCall], Decision]"
"""Called in the caller's thread, for each call in the model's order, before any call of the answer runs."""


# --- events ------------------------------------------------------------------------------------------------


class Connecting(Struct):
    """The provider of ``target`` is being opened: its key is looked up, or its model is loaded."""

    target: Target


class RequestStarted(Struct):
    """A request is about to be sent. The events of its answer follow, then ``AnswerEnded``.

    ``number`` counts the requests of the turn from 1. ``request.messages`` is the whole conversation so far;
    ``new_messages`` are those of it that no earlier request had.
    """

    number: int
    request: Request
    new_messages: tuple[Message, ...] = ()


class AnswerEnded(Struct):
    """The answer to ``request`` has ended, complete or not. ``new_messages`` are those of its ``RequestStarted``."""

    request: Request
    answer: Answer
    new_messages: tuple[Message, ...] = ()
    cause: Literal["", "tool loop", "schema retry", "continuation"] = ""
    """Why the request was sent after another one of the same turn; "" for the first."""
    goes_on: bool = False
    """Whether the answer was cut, and the next request continues it."""


class FellBack(Struct):
    """Another model, ``target``, is asked instead of one that cannot answer; nothing of an answer has arrived.

    ``name`` is ``provider/model``, or what the user called it. ``error`` is why it cannot answer; None if it rests
    after an earlier failure. ``rest`` is for how many seconds other models are asked first from now on. ``ended`` is
    its request, if one was sent: no ``AnswerEnded`` follows for that.
    """

    name: str
    target: Target
    error: CoreError | None = None
    rest: float = 0.0
    ended: AnswerEnded | None = None


class ToolStarted(Struct):
    """An approved call has started."""

    planned: PlannedCall


class ToolProgress(Struct):
    """A running call reports its progress, of ``total`` if that is known, and a line of text or ""."""

    planned: PlannedCall
    progress: float
    total: float | None = None
    message: str = ""


class ToolEnded(Struct):
    """A call has ended; calls of one answer end in any order. A call without a ``ToolStarted`` did not run.

    ``planned`` is None if the tool does not exist or the arguments do not match. ``result`` is what the model gets;
    ``error`` is why it is not the tool's own.
    """

    call: ToolCall
    planned: PlannedCall | None
    result: ToolResult
    seconds: float = 0.0
    error: ToolError | None = None

    def message(self) -> Message:
        """The tool message for the next request."""
        text, images = self.result.text, self.result.images
        parts: tuple[Part, ...] = (*([TextPart(text=text)] if text else []), *images)
        return Message(role="tool", content=parts if images else text, tool_call_id=self.call.id)


class SchemaRetry(Struct):
    """The answer does not match the schema; the next request tells the model why."""

    error: SchemaMismatchError


class Continuing(Struct):
    """The answer was cut, because of ``error`` or else by a token limit, and the next request asks for its rest.

    ``number`` counts the continuations of the answer from 1. ``how`` is as in ``Continuation``.
    """

    number: int
    how: Literal["prefix", "request"]
    error: CoreError | None = None


class ChatEnded(Struct):
    """The last event of a turn. ``answer`` merges the answers to all of its requests."""

    answer: Answer


ToolEvent: TypeAlias = ToolStarted | ToolProgress | ToolEnded

Event: TypeAlias = (
    AnswerEvent
    | Notice
    | ToolEvent
    | Connecting
    | RequestStarted
    | AnswerEnded
    | FellBack
    | SchemaRetry
    | Continuing
    | ChatEnded
)
"""Everything that happens during a turn, in order: ``Connecting`` first, ``ChatEnded`` last."""
