"""The loop: ask, have the calls approved, run them, answer them, ask again, until the model is done.

How calls run is in ``_running``, what their arguments have to be in ``_arguments``; nothing is shown or stored here.
"""

from __future__ import annotations

import json
import re
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias

from provider_core import limits
from provider_core.answer import AnswerBuilder
from provider_core.errors import (
    InvalidInputError,
    LoopLimitError,
    ToolArgumentsError,
    ToolError,
    ToolRefusedError,
)
from provider_core.events import Approve, ApproveWith, PlannedCall, Refuse, RequestStarted, ToolEnded
from provider_core.structs import Struct
from provider_core.tools._leaked import leaked_call
from provider_core.tools._running import failed, run_calls
from provider_core.tools.arguments import mismatch, read
from provider_core.tools.names import ToolNames
from provider_core.types import (
    CallAsText,
    FieldDropped,
    FieldIgnored,
    Finished,
    Retrying,
    Target,
    Text,
    ToolCall,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from provider_core.answer import Answer
    from provider_core.client import Client
    from provider_core.errors import CoreError
    from provider_core.events import AgentEvent, Approval, Decision, Toolbox
    from provider_core.types import AnswerEvent, Message, Notice, Provider, Request

__all__ = ["agent"]

_AT_ONCE: Final = 8


def agent(
    client: Client,
    provider: Provider,
    request: Request,
    *,
    key: str | None = None,
    toolboxes: Sequence[Toolbox],
    approve: Approval,
    max_turns: int = 10,
    notify: Callable[[Notice], None] | None = None,
    on_limit: Callable[[int], int] | None = None,
    at_once: int = _AT_ONCE,
    watch: Callable[[str, str], None] | None = None,
) -> Generator[AgentEvent, None, None]:
    """Ask ``provider``, and go on for as long as it calls tools; the last event is the last answer's ``Finished``.

    The tools of ``toolboxes`` take the place of ``request.tools``. A tool that ``request.tool_choice`` demands is
    demanded once: from the second request on the model decides. Each call is put to ``approve``, here, before any
    of the answer's calls runs; then they run in threads, ``at_once`` at a time. What goes wrong with one is told
    to the model as its result. An answer that was not received whole ends the loop: none of its calls runs.

    ``max_turns`` is how many requests there may be. If the last one's answer still calls tools, ``on_limit`` is
    asked, with their number, how many more there may be; without it, or at 0, ``LoopLimitError`` is raised.

    Raises ``UnknownToolError`` for a ``tool_choice`` that no tool has, and all that ``Client.chat`` raises.
    Closing the iterator, or an interrupt, ends the request and stops the calls that run, within a second.
    """
    if max_turns < 1:
        raise InvalidInputError(f"a loop of {max_turns} turns cannot ask anything")
    if at_once < 1:
        raise InvalidInputError(f"with {at_once} calls at once none can run")
    names = ToolNames()
    told = _Told(notify, names)
    taken = {call.id for turn in request.messages for call in turn.tool_calls}
    choice, earlier, number = request.tool_choice, frozenset[_Said](), 0
    while True:
        number += 1
        tools = names.offer(toolboxes)
        request = replace(request, tools=tools, tool_choice=names.choice(choice))
        yield RequestStarted(number=number, request=request)
        limit = request.max_characters or limits.ANSWER
        gathering = AnswerBuilder(Target(provider=provider, model=request.model), limit=limit)
        with closing(
            _Events(
                client.chat(provider, request, key=key, notify=told.notice, watch=watch),
                names,
                taken,
                earlier,
            )
        ) as events:
            for event in events:
                if isinstance(event, Finished) and event.error is not None:
                    _name_tool(event.error, names)
                gathering.event(event)
                if isinstance(event, Finished) and event.verdict is Verdict.COMPLETE:
                    told.check_choice(choice, request.tool_choice, gathering.answer().tool_calls)
                if isinstance(event, Finished) and tools and choice != "none":
                    told.check_text(gathering.answer(), names)
                yield event
        answer = gathering.answer()
        if not answer.tool_calls or answer.verdict is not Verdict.COMPLETE:
            return
        if number >= max_turns:
            more = on_limit(number) if on_limit is not None else 0
            if more <= 0:
                raise _limit(provider, request, number)
            max_turns = number + more
        refusal = "no tools are to be called" if choice == "none" else None
        results = yield from _answered(answer.tool_calls, names, approve, refusal, at_once)
        left = request.max_characters and max(1, request.max_characters - len(answer.text))
        messages = (*request.messages, answer.message(), *results)
        request = replace(request, messages=messages, max_characters=left)
        earlier = frozenset(map(_said, answer.tool_calls))
        choice = choice if choice in (None, "none") else "auto"


def _name_tool(error: CoreError, names: ToolNames) -> None:
    """Let the error name the tool of the call that was not run as the user knows it."""
    error.message = re.sub(
        "(?<=call of )(.+?)(?=, which| was not run)",
        lambda name: names.shown(name[0]) or name[0],
        error.message,
    )


def _answered(
    calls: Sequence[ToolCall], names: ToolNames, approve: Approval, refusal: str | None, at_once: int
) -> Generator[AgentEvent, None, list[Message]]:
    """Plan, approve and run the calls of one answer; return their results in the order of the calls."""
    results: dict[str, Message] = {}
    approved: list[_Approved] = []
    for call in calls:
        planned = None
        try:
            planned = _plan(call, names)
            approved.append(_approved(planned, Refuse(reason=refusal) if refusal else approve(planned)))
        except ToolError as error:
            ended = failed(call, error, planned)
            results[call.id] = ended.message()
            yield ended
    notes = {each.planned.call.id: each.note for each in approved}
    for event in run_calls([each.planned for each in approved], at_once=at_once):
        if isinstance(event, ToolEnded):
            result = replace(event.result, text=f"{notes[event.call.id]}{event.result.text}")
            ended = replace(event, result=result)
            results[event.call.id] = ended.message()
            yield ended
        else:
            yield event
    return [results[call.id] for call in calls]


class _Approved(Struct):
    planned: PlannedCall
    note: str = ""


def _plan(call: ToolCall, names: ToolNames) -> PlannedCall:
    toolbox, offered = names.find(call.name)
    arguments = read(call.arguments, offered.tool.schema, server=toolbox.name, tool=offered.tool.name)
    return PlannedCall(toolbox=toolbox, spec=offered, call=call, arguments=arguments)


def _approved(planned: PlannedCall, decision: Decision) -> _Approved:
    server, tool = planned.toolbox.name, planned.spec.tool.name
    match decision:
        case Approve():
            return _Approved(planned=planned)
        case ApproveWith(arguments=arguments):
            if why := mismatch(arguments, planned.spec.tool.schema):
                message = f"the arguments that the user put in for {planned.name} do not fit, and it did not run: {why}"
                raise ToolArgumentsError(message, server=server, tool=tool)
            changed = json.dumps(dict(arguments), ensure_ascii=False)
            note = f"[The user changed the arguments of this call to {changed}]\n"
            return _Approved(planned=replace(planned, arguments=dict(arguments)), note=note)
        case Refuse(reason=reason):
            message = f"the user refused: {reason}" if reason else "the user refused this call"
            raise ToolRefusedError(message, server=server, tool=tool, reason=reason)


# --- what comes from the client ----------------------------------------------------------------------------

_Said: TypeAlias = tuple[str, str]


class _Events:
    """An answer's events, with calls by their tools' names and with ids that tell them apart.

    Calls that only repeat the last ones are left out.
    """

    def __init__(
        self, events: Iterator[AnswerEvent], names: ToolNames, taken: set[str], earlier: frozenset[_Said]
    ) -> None:
        self._events = events
        self._names = names
        self._taken = taken
        self._earlier = earlier

    def close(self) -> None:
        close = getattr(self._events, "close", None)
        if close is not None:
            close()

    def __iter__(self) -> Iterator[AnswerEvent]:
        calls: list[ToolCall] = []
        spoken = False
        for event in self._events:
            match event:
                case ToolCall():
                    # They come at the end, and are judged together. What goes back must be a name that was offered.
                    calls += (
                        replace(each, name=self._names.meant(each.name))
                        for each in self._names.unfolded(event)
                    )
                case Finished() if calls and spoken and self._repeats(calls, event):
                    yield replace(event, reason="stop")
                case Finished():
                    yield from map(self._told_apart, calls)
                    yield event
                case _:
                    spoken = spoken or (isinstance(event, Text) and bool(event.text.strip()))
                    yield event

    def _repeats(self, calls: Sequence[ToolCall], finished: Finished) -> bool:
        """Whether these are the calls that were just answered, sent again beside the answer, as Cerebras does."""
        return finished.raw_reason == "stop" and all(_said(call) in self._earlier for call in calls)

    def _told_apart(self, call: ToolCall) -> ToolCall:
        id_, number = call.id, len(self._taken)
        while not id_ or id_ in self._taken:
            number += 1
            id_ = f"call_{number}"
        self._taken.add(id_)
        return call if id_ == call.id else replace(call, id=id_)


def _said(call: ToolCall) -> _Said:
    """A call's name and arguments, however the latter were spaced."""
    try:
        return call.name, json.dumps(json.loads(call.arguments, strict=False), sort_keys=True)
    except (ValueError, RecursionError):
        return call.name, call.arguments


class _Told:
    """Passes notices on; that a field is changed is said of the first request only, as each one is changed alike."""

    def __init__(self, notify: Callable[[Notice], None] | None, names: ToolNames) -> None:
        self._notify = notify
        self._names = names
        self._changed: set[tuple[str, str | None]] = set()

    def notice(self, notice: Notice) -> None:
        if isinstance(notice, FieldDropped):
            if (notice.field, notice.swapped_for) in self._changed:
                return
            self._changed.add((notice.field, notice.swapped_for))
        if isinstance(notice, Retrying):
            _name_tool(notice.error, self._names)
        if self._notify is not None:
            self._notify(notice)

    def check_choice(self, choice: str | None, name: str | None, calls: Sequence[ToolCall]) -> None:
        """Report that a tool was demanded and not called; ``name`` is the choice as it was sent."""
        if choice in (None, "auto", "none") or ("tool_choice", None) in self._changed:
            return
        if not calls or (name != "required" and all(call.name != name for call in calls)):
            self.notice(FieldIgnored(field="tool_choice", value=choice))

    def check_text(self, answer: Answer, names: ToolNames) -> None:
        """Report a call that was written as text, or in thoughts that no text follows."""
        if answer.tool_calls:
            return
        tool = leaked_call(answer.text if answer.text.strip() else answer.reasoning, names)
        if tool is not None:
            self.notice(CallAsText(tool=tool))


def _limit(provider: Provider, request: Request, turns: int) -> LoopLimitError:
    who = f"{provider.name}/{request.model}"
    times = "1 turn" if turns == 1 else f"{turns} turns"
    return LoopLimitError(
        f"{who} still calls tools after {times}, the limit", provider=provider.name, turns=turns
    )
