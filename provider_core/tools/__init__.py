"""Tools that a model may call: how they are offered, and how the calls of an answer are approved, run and answered."""

from __future__ import annotations

import contextvars
import json
import queue
import re
import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final

from provider_core.errors import ToolArgumentsError, ToolError, ToolRefusedError
from provider_core.events import (
    Approve,
    ApproveWith,
    PlannedCall,
    Refuse,
    ToolEnded,
    ToolLimits,
    ToolProgress,
    ToolResult,
    ToolStarted,
)
from provider_core.redaction import printable
from provider_core.structs import replace
from provider_core.tools.names import ToolNames, call_in_text
from provider_core.tools.schemas import mismatch, read_arguments
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
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from provider_core.errors import CoreError
    from provider_core.events import Answer, Approval, Decision, Toolbox, ToolEvent
    from provider_core.types import AnswerEvent, Message, Notice, Request

_AT_ONCE: Final = 8
"""The number of calls that run at the same time."""

_GRACE: Final = 0.8
"""Seconds to wait for cancelled calls to end."""


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

        Calls come at the end. Those that only repeat the ones that were just answered are omitted.
        """
        calls: list[ToolCall] = []
        has_text = False
        for event in events:
            match event:
                case ToolCall():
                    # What is sent back must be a name that was offered.
                    calls.append(replace(event, name=self._names.resolve(event.name)))
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
        demanded = request.tool_choice
        called = any(demanded in ("required", call.name) for call in answer.tool_calls)
        must_call = choice not in (None, "auto", "none") and not self._choice_dropped
        if must_call and not called and answer.verdict is Verdict.COMPLETE:
            self._notify(FieldIgnored(field="tool_choice", value=choice or ""))
        if request.tools and choice != "none" and not answer.tool_calls:
            tool = call_in_text(answer.text if answer.text.strip() else answer.reasoning, self._names)
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
                planned, notes[call.id] = self._approved(planned)
                approved.append(planned)
            except ToolError as error:
                result = _error_result(error, ToolLimits().size)
                yield self._ended(ToolEnded(call=call, planned=planned, result=result, error=error))
        for event in run_calls(approved):
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
        words = f"no terminal to ask for approval of {shown}; {it} did not run"
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
            lambda name: self._names.display_name(name[0]) or name[0],
            error.message,
        )

    def _plan(self, call: ToolCall) -> PlannedCall:
        toolbox, spec = self._names.find(call.name)
        arguments = read_arguments(call.arguments, spec.tool.schema, server=toolbox.name, tool=spec.tool.name)
        return PlannedCall(toolbox=toolbox, spec=spec, call=call, arguments=arguments)

    def _approved(self, planned: PlannedCall) -> tuple[PlannedCall, str]:
        """The call as it is to run, and what the model reads about it. Raises ``ToolError`` if it must not run."""
        server, tool = planned.toolbox.name, planned.spec.tool.name
        if self._choice == "none":
            raise ToolRefusedError("this chat allows no tool calls", server=server, tool=tool)
        match self._approve(planned):
            case Approve():
                return planned, ""
            case ApproveWith(arguments=arguments):
                if why := mismatch(arguments, planned.spec.tool.schema):
                    message = (
                        f"{planned.name} did not run: the user's arguments do not match its schema: {why}"
                    )
                    raise ToolArgumentsError(message, server=server, tool=tool)
                changed = json.dumps(dict(arguments), ensure_ascii=False)
                note = f"[The user changed the arguments of this call to {changed}]\n"
                return replace(planned, arguments=dict(arguments)), note
            case Refuse(reason=reason):
                self._refused.append(planned.name)
                message = f"the user refused: {reason}" if reason else "the user refused this call"
                raise ToolRefusedError(message, server=server, tool=tool, reason=reason)

    def _ended(self, event: ToolEnded) -> ToolEnded:
        if isinstance(event.error, ToolRefusedError) and event.error.code == "not_allowed":
            self._not_allowed += event.error.names
        self._results[event.call.id] = event.message()
        return event

    def _repeat(self, calls: Sequence[ToolCall]) -> bool:
        """Whether these calls were just answered: Cerebras sends them again with the answer."""
        answered = {_name_and_arguments(call) for call in self._calls}
        return all(_name_and_arguments(call) in answered for call in calls)

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


def _name_and_arguments(call: ToolCall) -> tuple[str, str]:
    """Independent of how the arguments are spaced."""
    try:
        return call.name, json.dumps(json.loads(call.arguments, strict=False), sort_keys=True)
    except (ValueError, RecursionError):
        return call.name, call.arguments


# --- running -----------------------------------------------------------------------------------------------


class _RunningCall:
    """An approved call in a thread of its own, which puts its progress and its end into ``events``."""

    def __init__(self, planned: PlannedCall, events: queue.SimpleQueue[ToolProgress | ToolEnded]) -> None:
        self.planned = planned
        self.stop: threading.Event = threading.Event()
        self._events = events
        self._began = time.monotonic()
        self.deadline: float = self._began + planned.toolbox.limits.seconds
        context = contextvars.copy_context()
        self.thread: threading.Thread = threading.Thread(
            target=context.run, args=(self._run,), name=f"tool {planned.name}", daemon=True
        )
        self.thread.start()

    def _run(self) -> None:
        planned, toolbox = self.planned, self.planned.toolbox
        run: Callable[..., ToolResult] = toolbox.run
        if getattr(toolbox, "reports_progress", False):
            run = partial(run, report=self._report)
        error: ToolError | None = None
        try:
            returned = run(planned.spec.tool.name, planned.arguments, stop=self.stop)
            result = replace(returned, text=_readable(returned, toolbox.limits.size))
        except ToolError as raised:
            error = raised
        except BaseException as raised:  # noqa: BLE001 - in a thread it would be lost, and the call wait for ever
            words = f"{planned.name} failed: {type(raised).__name__}: {raised}"
            error = ToolError(words, server=toolbox.name, tool=planned.spec.tool.name)
        self._events.put(self._end(error) if error is not None else self._end(None, result))

    def timed_out(self) -> ToolEnded:
        """Tell the call to stop; its end, whether it heeds that or not."""
        self.stop.set()
        planned, seconds = self.planned, self.planned.toolbox.limits.seconds
        message = f"{planned.name} did not end within {seconds:g} s and was stopped"
        server, tool = planned.toolbox.name, planned.spec.tool.name
        return self._end(ToolError(message, server=server, tool=tool, seconds=seconds, code="timeout"))

    def _end(self, error: ToolError | None, result: ToolResult | None = None) -> ToolEnded:
        planned = self.planned
        if error is not None:
            result = _error_result(error, planned.toolbox.limits.size)
        return ToolEnded(
            call=planned.call,
            planned=planned,
            result=result or ToolResult(),
            seconds=time.monotonic() - self._began,
            error=error,
        )

    def _report(self, progress: float, total: float | None, message: str) -> None:
        self._events.put(ToolProgress(planned=self.planned, progress=progress, total=total, message=message))


def run_calls(calls: Iterable[PlannedCall]) -> Iterator[ToolEvent]:
    """Run the calls in threads, 8 at a time, each within the limits of its toolbox.

    Closing the iterator, or an interrupt, tells the calls that run to stop and waits a moment for them. A call that
    does not stop is left in its thread, which keeps no process alive.
    """
    events: queue.SimpleQueue[ToolProgress | ToolEnded] = queue.SimpleQueue()
    waiting = deque(calls)
    running: dict[str, _RunningCall] = {}  # by the id of the call
    try:
        while waiting or running:
            while waiting and len(running) < _AT_ONCE:
                planned = waiting.popleft()
                yield ToolStarted(planned=planned)
                running[planned.call.id] = _RunningCall(planned, events)
            yield from _next_events(running, events)
    finally:
        for call in running.values():
            call.stop.set()
        deadline = time.monotonic() + _GRACE
        for call in running.values():
            call.thread.join(max(0.0, deadline - time.monotonic()))


def _next_events(
    running: dict[str, _RunningCall], events: queue.SimpleQueue[ToolProgress | ToolEnded]
) -> list[ToolEvent]:
    """Wait for the next event; or for the next deadline, and end the calls that are late then."""
    deadline = min(call.deadline for call in running.values())
    try:
        event = events.get(timeout=max(0.0, deadline - time.monotonic()))
    except queue.Empty:
        now = time.monotonic()
        late = [id_ for id_, call in running.items() if call.deadline <= now]
        return [running.pop(id_).timed_out() for id_ in late]
    id_ = event.planned.call.id if event.planned is not None else ""
    if id_ not in running:  # it was late
        return []
    if isinstance(event, ToolEnded):
        del running[id_]
    return [event]


# --- what the model reads ----------------------------------------------------------------------------------


def _error_result(error: ToolError, size: int) -> ToolResult:
    text = _shortened(error.message, size)
    if not isinstance(error, ToolRefusedError):  # a refusal is a decision, not a failure
        text = f"Error: {text}"
    return ToolResult(text=text, is_error=True)


def _readable(result: ToolResult, size: int) -> str:
    """The text of a result: at most ``size`` bytes, and never empty, which some servers refuse."""
    text = result.text
    if not text.strip() and result.structured is not None:
        text = json.dumps(result.structured, ensure_ascii=False)
    text = _shortened(text, size)
    if not text.strip():
        if result.images:
            return "Error" if result.is_error else ""  # the request adds a note of the images
        text = "[The tool returned nothing.]"
    return f"Error: {text}" if result.is_error and text[:5].casefold() != "error" else text


def _shortened(text: str, size: int) -> str:
    """The beginning and the end of a text of more than ``size`` bytes, with a note of how much is missing."""
    whole = text.encode("utf-8", "replace")  # half a surrogate pair could not be sent
    if len(whole) <= size:
        return whole.decode()
    head, tail = whole[: size * 3 // 4], whole[len(whole) - size // 4 :]
    omitted = len(whole) - len(head) - len(tail)
    note = f"[{omitted:,} of {len(whole):,} bytes omitted: the result is too long]"
    return f"{head.decode('utf-8', 'ignore')}\n{note}\n{tail.decode('utf-8', 'ignore')}"
