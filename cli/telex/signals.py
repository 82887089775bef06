"""Signals that end an answer: when they may, so that what was shown and what is kept are the same text."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Any, NoReturn, Self

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["Interrupts", "Terminated"]

_PATIENCE = 0.25
"""Seconds that a write may take after Ctrl-C: a reader that has stopped reading is not waited for."""

_LONGEST = 1.0
"""Seconds that anything may take then: laying out the last piece has its time on a busy machine."""


_TOGETHER = 0.25
"""Seconds within which signals are one: a wrapper passes on what the terminal has sent to both, a terminal that is
closed hangs up twice, and a supervisor sends SIGHUP behind SIGTERM."""


class Terminated(BaseException):
    """SIGTERM or SIGHUP came; ``number`` is which. What has arrived is kept, then the signal does its work."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Interrupts:
    """While it is entered, Ctrl-C, SIGTERM and SIGHUP raise; within ``with interrupts.held:`` at its end.

    What is held when a signal comes, and what is held after one, has a moment to end; then it is broken off, as
    it is by a second signal that is not part of the first. A signal that is ignored, as under nohup, stays so. In
    another thread than the main one it does nothing, and nothing on systems without timers is held. Within
    another one it is that one.
    """

    def __init__(self) -> None:
        self.held = _Held()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self.held = _outer() or self.held
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                self._take(signal.SIGINT)
            for name in ("SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                    self._take(number)
            if hasattr(signal, "SIGALRM") and self._before:
                self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self.held.alarm)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _take(self, number: int) -> None:
        self._before[number] = signal.signal(number, self.held.come)


class _Held:
    """The piece of work that a signal waits for."""

    def __init__(self) -> None:
        self._busy = False
        self._pending: int | None = None
        self._last: int | None = None
        """The signal that has been raised already: what is held from then on is to end soon."""
        self._waited = 0.0
        self._at = 0.0
        """When the first signal came, by the clock that only rises."""

    def __enter__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Hold what follows, up to the end of the next ``with``."""
        self._busy = True
        if self._last is not None:
            self._soon()

    def __exit__(self, *_: object) -> None:
        self._busy = False
        if self._pending is not None:
            self._raise(self._pending)
        if self._last is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def come(self, number: int, _: FrameType | None) -> None:
        """Take the signal now, or note it."""
        first = self._pending is None and self._last is None
        if not first and time.monotonic() - self._at < _TOGETHER:
            return
        if first:
            self._at = time.monotonic()
        if self._busy and first and hasattr(signal, "setitimer"):
            self._pending = number
            self._soon()
            return
        self._raise(number)

    def alarm(self, number: int, frame: FrameType | None) -> None:
        """Raise where the work does not end. An alarm that a parent has set ends the command."""
        ours = self._last if self._pending is None else self._pending
        if ours is None:
            self._raise(number)
        elif self._busy:
            self._waited += _PATIENCE
            if _is_writing(frame) or self._waited >= _LONGEST:
                self._raise(ours)
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE)

    def _soon(self) -> None:
        """Look after a moment whether the work has ended."""
        self._waited = 0.0
        signal.setitimer(signal.ITIMER_REAL, _PATIENCE)

    def _raise(self, number: int) -> NoReturn:
        self._busy, self._pending = False, None
        if hasattr(signal, "setitimer"):
            self._last = number
            signal.setitimer(signal.ITIMER_REAL, 0)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise Terminated(number)


def _outer() -> _Held | None:
    """What holds already, where one is entered within another."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        handler = signal.getsignal(getattr(signal, name, signal.SIGINT))
        if isinstance(held := getattr(handler, "__self__", None), _Held):
            return held
    return None


def _is_writing(frame: FrameType | None) -> bool:
    """Whether the program is at a write: the system's call has no frame of its own."""
    if frame is None or frame.f_globals.get("__name__") != "telex.console":
        return False
    return frame.f_code.co_name in ("_write", "_wait")
