"""Runs approved calls side by side, each within its time and its size; who approves, and why, is not known here."""

from __future__ import annotations

import contextvars
import queue
import threading
import time
from collections import deque
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from provider_core.errors import ToolError, ToolRefusedError
from provider_core.events import ToolEnded, ToolLimits, ToolProgress, ToolResult, ToolStarted
from provider_core.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from provider_core.events import PlannedCall, ToolEvent
    from provider_core.types import ToolCall

__all__ = ["failed", "run_calls"]

_GRACE: Final = 0.8
"""Seconds for which calls that were told to stop are waited for."""


_End: TypeAlias = "tuple[int, ToolResult | ToolError, float]"
"""Which call ended, with what, and after how many seconds."""


class _Running(Struct):
    planned: PlannedCall
    began: float
    seconds: float
    """Its time limit."""
    thread: threading.Thread
    stop: threading.Event


def run_calls(calls: Sequence[PlannedCall], *, at_once: int) -> Iterator[ToolEvent]:
    """Run all of these, ``at_once`` at a time; the events come as things happen, two for each call and its progress.

    Whoever stops listening, or is interrupted, stops the calls that run: they are told so and given a moment, and
    what does not end is left behind in a thread that keeps no process alive.
    """
    news: queue.SimpleQueue[_End | ToolProgress] = queue.SimpleQueue()
    waiting = deque(enumerate(calls))
    running: dict[int, _Running] = {}
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                number, planned = waiting.popleft()
                yield ToolStarted(planned=planned)
                running[number] = call = _prepared(number, planned, news)
                call.thread.start()
            for each in _next(running, news):
                if isinstance(each, ToolProgress):
                    yield each
                else:
                    number, outcome, seconds = each
                    yield _ended(running.pop(number).planned, outcome, seconds)
    finally:
        _stop(running.values())


def failed(call: ToolCall, error: ToolError, planned: PlannedCall | None = None) -> ToolEnded:
    """The end of a call that never ran."""
    return ToolEnded(call=call, planned=planned, result=_of_error(error, ToolLimits().size), error=error)


def _prepared(number: int, planned: PlannedCall, news: queue.SimpleQueue[_End | ToolProgress]) -> _Running:
    limits, stop, began = planned.toolbox.limits, threading.Event(), time.monotonic()
    run: Callable[..., ToolResult] = planned.toolbox.run
    if getattr(planned.toolbox, "reports_progress", False):

        def report(progress: float, total: float | None, message: str) -> None:
            news.put(ToolProgress(planned=planned, progress=progress, total=total, message=message))

        run = partial(run, report=report)

    def work() -> None:
        outcome: ToolResult | ToolError
        try:
            outcome = run(planned.spec.tool.name, planned.arguments, stop=stop)
        except ToolError as error:
            outcome = error
        except BaseException as error:  # noqa: BLE001 - in a thread it would be lost, and the call wait for ever
            words = f"{planned.name} failed: {type(error).__name__}: {error}"
            outcome = ToolError(words, server=planned.toolbox.name, tool=planned.spec.tool.name)
        news.put((number, outcome, time.monotonic() - began))

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(work,), name=f"tool {planned.name}", daemon=True)
    return _Running(planned=planned, began=began, seconds=limits.seconds, thread=thread, stop=stop)


def _next(
    running: dict[int, _Running], news: queue.SimpleQueue[_End | ToolProgress]
) -> Sequence[_End | ToolProgress]:
    """Wait until a call has ended, or reports progress, or its time is over; what has ended by then is not late."""
    first_deadline = min(call.began + call.seconds for call in running.values())
    try:
        found = news.get(timeout=max(0.0, first_deadline - time.monotonic()))
    except queue.Empty:
        now = time.monotonic()
        return [_late(number, call) for number, call in running.items() if call.began + call.seconds <= now]
    if isinstance(found, ToolProgress):
        return [found] if any(call.planned is found.planned for call in running.values()) else []
    return [found] if found[0] in running else []  # else it was late, and is answered


def _late(number: int, call: _Running) -> _End:
    call.stop.set()
    server, tool = call.planned.toolbox.name, call.planned.spec.tool.name
    message = f"{call.planned.name} did not end within {call.seconds:g} s and was stopped"
    return (
        number,
        ToolError(message, server=server, tool=tool, seconds=call.seconds, code="timeout"),
        call.seconds,
    )


def _stop(calls: Iterable[_Running]) -> None:
    running = list(calls)
    for call in running:
        call.stop.set()
    deadline = time.monotonic() + _GRACE
    for call in running:
        if call.thread.is_alive():  # it may not have been started
            call.thread.join(max(0.0, deadline - time.monotonic()))


# --- what the model reads ----------------------------------------------------------------------------------


def _ended(planned: PlannedCall, outcome: ToolResult | ToolError, seconds: float) -> ToolEnded:
    size = planned.toolbox.limits.size
    if isinstance(outcome, ToolError):
        error, result = outcome, _of_error(outcome, size)
    else:
        error, result = None, replace(outcome, text=_readable(outcome, size))
    return ToolEnded(call=planned.call, planned=planned, result=result, seconds=seconds, error=error)


def _of_error(error: ToolError, size: int) -> ToolResult:
    text = _shortened(error.message, size)
    if not isinstance(error, ToolRefusedError):  # somebody's decision, and nothing that went wrong
        text = f"Error: {text}"
    return ToolResult(text=text, is_error=True)


def _readable(result: ToolResult, size: int) -> str:
    """The text of a tool's message: never empty, which some refuse, and of bounded length."""
    text = result.text
    if not text.strip() and result.structured is not None:
        import json

        text = json.dumps(result.structured, ensure_ascii=False)
    text = _shortened(text, size)
    if not text.strip():
        if result.images:
            return "Error" if result.is_error else ""  # the message has a note of them
        text = "[The tool returned nothing.]"
    return f"Error: {text}" if result.is_error and text[:5].casefold() != "error" else text


def _shortened(text: str, size: int) -> str:
    """The beginning and the end of a text of more than ``size`` bytes, and between them how much is missing."""
    whole = text.encode("utf-8", "replace")  # half a surrogate pair could not be sent
    if len(whole) <= size:
        return whole.decode()
    head, tail = whole[: size * 3 // 4], whole[len(whole) - size // 4 :]
    left_out = len(whole) - len(head) - len(tail)
    note = f"[{left_out:,} of {len(whole):,} bytes omitted: the result is too long]"
    return f"{head.decode('utf-8', 'ignore')}\n{note}\n{tail.decode('utf-8', 'ignore')}"
