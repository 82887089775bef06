"""A conversation with one model, and tools for it to call: what was said is kept here, and nowhere else."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, TypedDict, cast

from provider_core import limits
from provider_core.answer import AnswerBuilder, append_messages
from provider_core.errors import CoreError, InvalidInputError, SchemaMismatchError
from provider_core.structs import Struct, field
from provider_core.types import Image, ImagePart, Message, Request, Source, TextPart, ToolCall, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
    from typing import TypeAlias, Unpack

    from provider_core.answer import Answer
    from provider_core.client import Client
    from provider_core.tools import AgentEvent, Approval, Decision, PlannedCall, Toolbox
    from provider_core.types import AnswerEvent, Json, Notice, Part, Provider, Target

    Prompt: TypeAlias = str | Message | Sequence[Part | Message]
    """What is said next: the user's text, or parts of it, or any messages; parts and messages are not mixed."""

    Offer: TypeAlias = Toolbox | Callable[..., Any]

__all__ = ["Conversation", "OpenModel", "Options"]


class Options(TypedDict, total=False):
    """How a turn is asked for. What is not said here is as in ``Request``."""

    system: str
    """A system prompt, in the place of one that there was."""
    max_tokens: int | None
    max_characters: int | None
    """Characters of text after which the answer is broken off with an error: 100 million."""
    temperature: float | None
    reasoning_effort: str | None
    schema: Mapping[str, Json] | None
    params: Mapping[str, Json]
    tools: Iterable[Offer]
    """Python functions, or toolboxes with many tools, for the model to call."""
    tool_choice: str | None
    approve: Approval
    """Every call is put to it. Without it functions are called, and all other tools refused."""
    max_turns: int
    """How many requests tools may make of one turn: 10."""


_OF_THE_REQUEST = frozenset(field.name for field in fields(Request)) - {"tools"}


class OpenModel(Struct):
    """A model that can be asked now: ``provider`` is where it is, and ``notify`` is told of retries."""

    target: Target
    client: Client
    provider: Provider
    key: str | None = field(default=None, repr=False)
    notify: Callable[[Notice], None] | None = None
    reads_images: bool = False
    """Whether the model is known to read images."""


class Conversation:
    """Turns that follow each other: every answer is asked for with all ``messages`` that went before.

    ``messages`` may be read and set between turns, to go back, or to go on elsewhere. One turn at a time: for
    several threads there are several conversations.
    """

    def __init__(self, reached: OpenModel, messages: Iterable[Message | Mapping[str, Json]] = ()) -> None:
        self._reached = reached
        self.messages: tuple[Message, ...] = tuple(
            each if isinstance(each, Message) else _restored(each) for each in messages
        )

    def stored(self) -> list[dict[str, Json]]:
        """``messages`` as ``json.dumps`` takes them; ``Connection.conversation`` goes on from what it was given."""
        return [_stored(message) for message in self.messages]

    def ask(self, prompt: Prompt, **options: Unpack[Options]) -> Answer:
        """The whole answer. What is no whole answer is an exception, and the turn is then forgotten.

        With ``tools`` it is the answer to the last request, in which the model called none any more.

        Raises what ``Client.chat`` raises; the answer's own ``error`` where it is cut, filtered or empty; and
        ``LoopLimitError`` where the model does not come to an end with its tools.
        """
        turn = _Turn(self._reached.target)
        for _ in self._events(turn, prompt, options):
            pass
        answer = turn.answer()
        if answer.error is not None:
            raise answer.error
        self.messages = (*turn.messages, answer.message())
        return answer

    def stream(self, prompt: Prompt, **options: Unpack[Options]) -> Generator[AgentEvent, None, None]:
        """The events as they come, ``Finished`` last: its ``verdict`` says whether that was all.

        With ``tools`` there are the loop's events among them, and a ``Finished`` for each of its requests. What
        came is kept in ``messages``, also when the iterator is closed early. Raises as ``Client.chat`` does.
        """
        turn = _Turn(self._reached.target)
        try:
            yield from self._events(turn, prompt, options)
        finally:
            answer = turn.answer()
            if answer.text or answer.verdict is Verdict.COMPLETE:
                self.messages = (*turn.messages, answer.message())

    def ask_json(
        self, prompt: Prompt, schema: Mapping[str, Json], /, *, retries: int = 1, **options: Unpack[Options]
    ) -> Json:
        """The answer as a JSON value that fits ``schema``; asked again with what was wrong where it does not.

        Raises ``SchemaError`` before anything is asked, ``SchemaMismatchError`` after the last of ``retries``, and
        all that ``ask`` raises.
        """
        from provider_core.structured import check, retry_message, schema_from

        schema = schema_from(schema)
        while True:
            options["schema"] = schema
            answer = self.ask(prompt, **options)
            try:
                return check(answer.text, schema).value
            except SchemaMismatchError as error:
                # What the token limit has cut would be cut again.
                if not retries or answer.verdict is Verdict.LENGTH:
                    error.provider = self._reached.target.provider.name
                    raise
                retries -= 1
                prompt = retry_message(error, schema)

    def _events(self, turn: _Turn, prompt: Prompt, options: Options) -> Iterator[AgentEvent]:
        reached = self._reached
        request = self._request(prompt, options)
        turn.next(request.messages)

        def notify(notice: Notice) -> None:
            turn.notice(notice)
            if reached.notify is not None:
                reached.notify(notice)

        offers = tuple(options.get("tools", ()))
        try:
            if not offers:
                with closing(
                    reached.client.chat(reached.provider, request, key=reached.key, notify=notify)
                ) as answer:
                    for event in answer:
                        turn.event(event)
                        yield event
                return
            from provider_core import tools as room

            loop = room.agent(
                reached.client,
                reached.provider,
                request,
                key=reached.key,
                toolboxes=_toolboxes(offers),
                approve=options.get("approve", _functions_alone),
                max_turns=options.get("max_turns", 10),
                notify=notify,
            )
            with closing(loop):
                for step in loop:
                    match step:
                        case room.RequestStarted(request=request):
                            turn.next(request.messages)
                        case room.ToolStarted() | room.ToolProgress() | room.ToolEnded():
                            pass
                        case _:
                            turn.event(step)
                    yield step
        except CoreError as error:
            turn.error = error
            raise

    def _request(self, prompt: Prompt, options: Options) -> Request:
        if unknown := options.keys() - Options.__annotations__:
            raise TypeError(f"there is no option {min(unknown)!r} for asking")
        new = _messages(prompt)
        if system := options.get("system"):
            new = (Message(role="system", content=system), *new)
        asked: Any = {name: value for name, value in options.items() if name in _OF_THE_REQUEST}
        asked.setdefault("reads_images", self._reached.reads_images)
        asked.setdefault("max_characters", limits.WHOLE_ANSWER)
        return Request(
            model=self._reached.target.model, messages=append_messages(self.messages, new), **asked
        )


class _Turn:
    """What one prompt has brought so far, over all the requests that its tools made."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._gathering = AnswerBuilder(target)
        self.messages: tuple[Message, ...] = ()
        self.error: CoreError | None = None

    def notice(self, notice: Notice) -> None:
        self._gathering.notice(notice)

    def next(self, messages: tuple[Message, ...]) -> None:
        """A request with these messages goes out, the first or one with the results of tools."""
        self.messages = messages
        self._gathering = AnswerBuilder(self._target)

    def event(self, event: AnswerEvent) -> None:
        self._gathering.event(event)

    def answer(self) -> Answer:
        return self._gathering.answer(self.error)


def _messages(prompt: Prompt) -> tuple[Message, ...]:
    match prompt:
        case Message():
            return (prompt,)
        case str():
            return (Message(role="user", content=prompt),)
        case _ if all(isinstance(each, Message) for each in prompt):
            return cast("tuple[Message, ...]", tuple(prompt))
        case _ if all(isinstance(each, TextPart | ImagePart) for each in prompt):
            return (Message(role="user", content=cast("tuple[Part, ...]", tuple(prompt))),)
        case _:
            raise TypeError(f"a prompt is text, parts or messages, and no {type(prompt).__name__}")


def _stored(message: Message) -> dict[str, Json]:
    """What is empty is left out; a part is told by its only key."""
    return {name: value for name, value in asdict(message).items() if value or name in ("role", "content")}


def _restored(stored: Mapping[str, Json]) -> Message:
    try:
        given = dict(stored)
        if not isinstance(given["content"], str):
            given["content"] = tuple(
                ImagePart(**part) if "url" in part else TextPart(**part) for part in given["content"]
            )
        given["tool_calls"] = tuple(ToolCall(**call) for call in given.get("tool_calls", ()))
        given["reasoning_details"] = tuple(given.get("reasoning_details", ()))
        given["sources"] = tuple(Source(**source) for source in given.get("sources", ()))
        given["images"] = tuple(Image(**image) for image in given.get("images", ()))
        return Message(**given)
    except (TypeError, LookupError, ValueError) as error:
        raise InvalidInputError(f"a message to go on from is none that was stored: {error}") from None


def _toolboxes(offers: Iterable[Offer]) -> list[Toolbox]:
    """The toolboxes among ``offers``, and one more that holds the functions."""
    from provider_core.tools import FunctionTools

    functions: list[Callable[..., Any]] = []
    boxes: list[Toolbox] = []
    for offer in offers:
        if callable(offer):
            functions.append(offer)
        else:
            boxes.append(offer)
    return [*boxes, *([FunctionTools(functions)] if functions else [])]


def _functions_alone(call: PlannedCall) -> Decision:
    """Functions were handed in by the program that runs; all else is somebody else's code."""
    from provider_core.tools import Approve, FunctionTools, Refuse

    if isinstance(call.toolbox, FunctionTools):
        return Approve()
    return Refuse(reason="there is no one to approve it")
