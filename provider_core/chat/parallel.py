"""Several chat turns at once, each in a thread of its own; their events come together in the caller's thread."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from provider_core.errors import CoreError
from provider_core.events import AnswerEnded, ChatEnded
from provider_core.structs import replace
from provider_core.types import Text, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from provider_core.chat import ChatRun
    from provider_core.events import Event

_TICK: Final = 0.1
"""Seconds without an event after which None is yielded."""

_GRACE: Final = 0.1
"""Seconds in which a stopped run may hand over the event that it has just made."""

_Item: TypeAlias = "Event | CoreError | Callable[[], object] | None"
"""An event; the error of a run that has ended, None without one; or a line of its wire log to pass on."""


class ParallelRuns:
    """Iterate for the events of all ``runs``, with their index, and None after 0.1 s without one.

    The ``notify`` of the runs is replaced: what would go there is yielded too. Their ``log`` is called in the caller's
    thread. A run that raises an error ends with it, and the others continue; ``as_error`` turns exceptions that are
    not a ``CoreError`` into one. Runs of embedded models wait for each other: each needs memory and all cores.

    After an exception, or to stop early, call ``stop``.
    """

    def __init__(self, runs: Sequence[ChatRun], *, as_error: Callable[[BaseException], CoreError]) -> None:
        self._runs = runs
        self._as_error = as_error
        self._queue: queue.SimpleQueue[tuple[int, _Item]] = queue.SimpleQueue()
        self._unfinished = set(range(len(runs)))
        self._pending: deque[tuple[int, Event]] = deque()
        self._current: int | None = None  # the run whose event the caller is handling
        self._threads: list[threading.Thread] = []
        self._stopped = threading.Event()
        self._embedded = threading.Lock()

    def __iter__(self) -> Iterator[tuple[int, Event] | None]:
        for index, run in enumerate(self._runs):
            run.notify = partial(self._put, index)
            if run.log is not None:
                run.log = partial(self._put_log, index, run.log)
            # A daemon: Ctrl-C must not wait for a silent server.
            thread = threading.Thread(target=self._work, args=(index,), name=f"chat-{index}", daemon=True)
            self._threads.append(thread)
            thread.start()
        while self._unfinished or self._pending:
            if self._pending:
                self._current, event = self._pending.popleft()
                yield self._current, event
                self._current = None
                continue
            try:
                index, item = self._queue.get(timeout=_TICK)
            except queue.Empty:
                yield None
                continue
            self._pending += [(index, event) for event in self._events(index, item)]

    def stop(self, error: CoreError | None = None, *, unwritten: int = 0) -> Iterator[tuple[int, Event]]:
        """Stop all runs; yield the events that are left, up to the ``ChatEnded`` of each run.

        The last event that was yielded counts as not shown: of its answer, the ``unwritten`` characters at the end and
        everything that came later are omitted. ``error`` is why the runs stop, None if the user stopped them.
        """
        self._stopped.set()
        deadline = time.monotonic() + _GRACE
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        broken, cut = self._current, unwritten
        left: list[tuple[int, _Item]] = [*self._pending]
        self._pending.clear()
        while not self._queue.empty():
            left.append(self._queue.get())
        cut += sum(len(item.text) for index, item in left if index == broken and isinstance(item, Text))
        for index, item in left:
            if index != broken:
                for event in self._events(index, item):
                    yield index, event
            elif isinstance(item, AnswerEnded | ChatEnded):
                yield index, _shortened(item, cut, error)
        for index in sorted(self._unfinished, key=lambda index: index != broken):
            for event in self._runs[index].end(error, unwritten=cut if index == broken else 0):
                yield index, event
        self._unfinished.clear()

    def _events(self, index: int, item: _Item) -> Sequence[Event]:
        """The events that an item of the queue stands for."""
        match item:
            case None | CoreError():
                self._unfinished.discard(index)
                return self._runs[index].end(item)
            case _ if callable(item):
                item()
                return ()
            case _:
                return (item,)

    def _work(self, index: int) -> None:
        run = self._runs[index]
        error: CoreError | None = None
        try:
            with self._embedded if run.plan.target.provider.embedded else nullcontext():
                for event in run:
                    self._put(index, event)
                    if self._stopped.is_set():
                        break
        except CoreError as raised:
            error = raised
        except BaseException as raised:  # noqa: BLE001 - it is handled in the caller's thread
            error = self._as_error(raised)
        self._put(index, error)

    def _put(self, index: int, item: _Item) -> None:
        self._queue.put((index, item))

    def _put_log(self, index: int, log: Callable[[str, str], None], mark: str, words: str) -> None:
        self._put(index, partial(log, mark, words))


def _shortened(event: AnswerEnded | ChatEnded, characters: int, error: CoreError | None) -> Event:
    """The end of an answer of which the last ``characters`` were not shown."""
    if not characters:
        return event
    answer = event.answer
    text = answer.text[: max(0, len(answer.text) - characters)]
    verdict = Verdict.INTERRUPTED if error is None else Verdict.FAILED
    return replace(event, answer=replace(answer, text=text, verdict=verdict, error=error))
