"""The tool calls of one turn: how tools are offered, and how the calls of an answer are approved, run and answered."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from provider_core.errors import ToolArgumentsError, ToolError, ToolRefusedError
from provider_core.events import Approve, ApproveWith, PlannedCall, Refuse, ToolEnded
from provider_core.redaction import printable
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
    Text,
    ToolCall,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from provider_core.answer import Answer
    from provider_core.errors import CoreError
    from provider_core.events import Approval, Decision, Toolbox, ToolEvent
    from provider_core.types import AnswerEvent, Message, Notice, Request

_AT_ONCE: Final = 8
"""The number of calls that run at the same time."""


class ToolLoop:
    """The tools of ``toolboxes`` during one turn.

    A tool that ``choice`` demands is demanded in the first request only. ``approve`` is called in this thread, for
    each call of an answer before any of them runs; without it, Python functions run and all other tools are refused.
    """

    def __init__(
        self,
        toolboxes: Sequence[Toolbox],
        approve: Approval | None,
        choice: str | None,
        notify: Callable[[Notice], None],
    ) -> None:
        self._toolboxes = toolboxes
        self._approve = approve or _approve_functions
        self._choice = choice
        self._notify = notify
        self._names = ToolNames()
        self._request: Request | None = None
        self._call_ids: set[str] = set()
        self._calls: tuple[ToolCall, ...] = ()  # of the last answer
        self._results: dict[str, Message] = {}
        self._refused: list[str] = []
        self._not_allowed: list[str] = []
        self._choice_dropped = False

    def offer(self, request: Request) -> Request:
        """The request with the tools that there are now. Raises ``UnknownToolError`` for a demanded tool."""
        tools = self._names.offer(self._toolboxes)
        if self._request is None:
            self._call_ids = {call.id for message in request.messages for call in message.tool_calls}
        elif self._choice not in (None, "none"):
            self._choice = "auto"
        self._request = replace(request, tools=tools, tool_choice=self._names.choice(self._choice))
        self._results = {}
        return self._request

    def events(self, events: Iterator[AnswerEvent]) -> Iterator[AnswerEvent]:
        """The events of an answer, with the names and ids that its calls should have.

        Calls come at the end. Those that only repeat the ones that were just answered are left out.
        """
        calls: list[ToolCall] = []
        has_text = False
        for event in events:
            match event:
                case ToolCall():
                    # What is sent back must be a name that was offered.
                    calls += (
                        replace(call, name=self._names.meant(call.name))
                        for call in self._names.unfolded(event)
                    )
                case Finished(error=error, raw_reason=raw_reason):
                    if error is not None:
                        self._name_tool(error)
                    if calls and has_text and raw_reason == "stop" and self._repeat(calls):
                        yield replace(event, reason="stop")
                    else:
                        yield from map(self._with_own_id, calls)
                        yield event
                case _:
                    has_text = has_text or (isinstance(event, Text) and bool(event.text.strip()))
                    yield event

    def check(self, answer: Answer) -> None:
        """Report a demanded tool that was not called, and a call that was written as text."""
        request, choice = self._request, self._choice
        if request is None:
            return
        if (
            choice not in (None, "auto", "none")
            and answer.verdict is Verdict.COMPLETE
            and not self._choice_dropped
        ):
            demanded = request.tool_choice
            if not answer.tool_calls or (
                demanded != "required" and all(call.name != demanded for call in answer.tool_calls)
            ):
                self._notify(FieldIgnored(field="tool_choice", value=choice))
        if request.tools and choice != "none" and not answer.tool_calls:
            tool = leaked_call(answer.text if answer.text.strip() else answer.reasoning, self._names)
            if tool is not None:
                self._notify(CallAsText(tool=tool))

    def run(self, calls: Sequence[ToolCall]) -> Iterator[ToolEvent]:
        """Plan, approve and run the calls of one answer. A call that fails has the error as its result."""
        self._calls = tuple(calls)
        approved: list[PlannedCall] = []
        notes: dict[str, str] = {}
        for call in calls:
            planned = None
            try:
                planned = self._plan(call)
                decision = (
                    Refuse(reason="no tools are to be called")
                    if self._choice == "none"
                    else self._approve(planned)
                )
                planned, notes[call.id] = _approved(planned, decision)
                approved.append(planned)
            except ToolError as error:
                self._count_refusal(error, planned)
                yield self._ended(failed(call, error, planned))
        for event in run_calls(approved, at_once=_AT_ONCE):
            if isinstance(event, ToolEnded):
                text = f"{notes[event.call.id]}{event.result.text}"
                yield self._ended(replace(event, result=replace(event.result, text=text)))
            else:
                yield event

    def results(self) -> tuple[Message, ...]:
        """The results of the last answer's calls so far, in the order of the calls."""
        return tuple(self._results[call.id] for call in self._calls if call.id in self._results)

    def refusal(self) -> ToolRefusedError | None:
        """The error of a turn in which calls were refused, None if there were none."""
        names = tuple(dict.fromkeys(self._not_allowed or self._refused))
        if not names:
            return None
        it, them = ("it", "it") if len(names) == 1 else ("they", "them")
        shown = ", ".join(printable(" ".join(name.split()), 100) for name in names)
        if not self._not_allowed:
            return ToolRefusedError(f"{shown} did not run, because you refused {them}")
        words = f"no terminal to ask whether {shown} may run; {it} did not run"
        return ToolRefusedError(words, names=names, code="not_allowed")

    def notice(self, notice: Notice) -> None:
        """Take note of a dropped ``tool_choice``; let an error name the tool as users know it."""
        if isinstance(notice, FieldDropped):
            self._choice_dropped |= (notice.field, notice.swapped_for) == ("tool_choice", None)
        elif isinstance(notice, Retrying):
            self._name_tool(notice.error)

    def _name_tool(self, error: CoreError) -> None:
        error.message = re.sub(
            "(?<=call of )(.+?)(?=, which| was not run)",
            lambda name: self._names.shown(name[0]) or name[0],
            error.message,
        )

    def _plan(self, call: ToolCall) -> PlannedCall:
        toolbox, offered = self._names.find(call.name)
        arguments = read(call.arguments, offered.tool.schema, server=toolbox.name, tool=offered.tool.name)
        return PlannedCall(toolbox=toolbox, spec=offered, call=call, arguments=arguments)

    def _count_refusal(self, error: ToolError, planned: PlannedCall | None) -> None:
        if isinstance(error, ToolRefusedError) and error.code == "not_allowed":
            self._not_allowed += error.names
        elif isinstance(error, ToolRefusedError) and planned is not None and self._choice != "none":
            self._refused.append(planned.name)

    def _ended(self, event: ToolEnded) -> ToolEnded:
        self._results[event.call.id] = event.message()
        return event

    def _repeat(self, calls: Sequence[ToolCall]) -> bool:
        """Whether these calls were just answered: Cerebras sends them again beside the answer."""
        answered = {_content(call) for call in self._calls}
        return all(_content(call) in answered for call in calls)

    def _with_own_id(self, call: ToolCall) -> ToolCall:
        id_, number = call.id, len(self._call_ids)
        while not id_ or id_ in self._call_ids:
            number += 1
            id_ = f"call_{number}"
        self._call_ids.add(id_)
        return call if id_ == call.id else replace(call, id=id_)


def _approve_functions(call: PlannedCall) -> Decision:
    """Functions come from the running program itself; all other tools are somebody else's code."""
    from provider_core.tools.functions import FunctionTools

    if isinstance(call.toolbox, FunctionTools):
        return Approve()
    return Refuse(reason="there is no one to approve it")


def _approved(planned: PlannedCall, decision: Decision) -> tuple[PlannedCall, str]:
    """The call as it is to run, and what the model is told about it; raises ``ToolError`` if it must not run."""
    server, tool = planned.toolbox.name, planned.spec.tool.name
    match decision:
        case Approve():
            return planned, ""
        case ApproveWith(arguments=arguments):
            if why := mismatch(arguments, planned.spec.tool.schema):
                message = f"the arguments that the user put in for {planned.name} do not fit, and it did not run: {why}"
                raise ToolArgumentsError(message, server=server, tool=tool)
            changed = json.dumps(dict(arguments), ensure_ascii=False)
            note = f"[The user changed the arguments of this call to {changed}]\n"
            return replace(planned, arguments=dict(arguments)), note
        case Refuse(reason=reason):
            message = f"the user refused: {reason}" if reason else "the user refused this call"
            raise ToolRefusedError(message, server=server, tool=tool, reason=reason)


def _content(call: ToolCall) -> tuple[str, str]:
    """A call's name and arguments, without differences in spacing."""
    try:
        return call.name, json.dumps(json.loads(call.arguments, strict=False), sort_keys=True)
    except (ValueError, RecursionError):
        return call.name, call.arguments
