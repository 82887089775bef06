"""How a command ends: exit codes, the exceptions that end it with one of them, and Ctrl-C and other signals."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NoReturn, Self

from provider_core.errors import CoreError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType


class ExitCode(IntEnum):
    """The exit codes and their meanings; the tables of help and README are generated from them."""

    OK = 0, "success"
    OTHER = 1, "any other error"
    USAGE = 2, "invalid command line"
    SETTINGS = 3, "invalid settings, or unknown provider, model, template or conversation"
    KEY = 4, "the key is missing or refused, or no provider is set up"
    LIMIT = 5, "rate limit, quota or budget exceeded"
    PROVIDER = 6, "provider error; or the answer is incomplete, empty, filtered or does not match its schema"
    NETWORK = 7, "network error or timeout; in a chat, only before any text arrives"
    TOOL = 8, "a tool call was refused, or the request limit (--max-turns) was reached"
    TEST = 9, "a case of telex test did not pass"
    INTERRUPTED = 130, "interrupted with Ctrl-C"
    CLOSED_PIPE = 141, "stdout was closed early, for example by head"

    meaning: str

    def meaning_among(self, codes: Sequence[ExitCode]) -> str:
        """The meaning for a command that can return ``codes``; the part after ";" is for chats only."""
        return self.meaning if ExitCode.TOOL in codes else self.meaning.partition(";")[0]

    def __new__(cls, value: int, meaning: str = "") -> Self:
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


ASKING = (ExitCode.SETTINGS, ExitCode.KEY, ExitCode.LIMIT, ExitCode.PROVIDER, ExitCode.NETWORK)
"""The exit codes of commands that send requests to a provider."""


class Stop(Exception):  # noqa: N818 - not an error by itself
    """End the command with this exit code, one of ``ExitCode`` or that of a program which ran in place of telex.

    What went wrong has been printed.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def internal_error(error: BaseException) -> CoreError:
    """The error to report for an unexpected exception: its type and place, not its message, which may hold a key."""
    import traceback

    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{last.filename.replace(os.sep, '/').rpartition('/')[2]}:{last.lineno}"
    return CoreError(f"internal error in {place} ({type(error).__name__}). Please report it.")


# --- signals -----------------------------------------------------------------------------------------------
# They stop an answer only where the printed and the saved text are the same.

_GRACE = 0.5
"""Seconds that held work may take after a signal: a write to a full pipe may never end."""

_SAME_SIGNAL = 0.25
"""Seconds within which several signals count as one: a wrapper passes on the Ctrl-C that the terminal sent to both, a
closed terminal hangs up twice, and a supervisor sends SIGHUP after SIGTERM."""


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived; ``number`` is which one. The signal is raised again once the answer is saved."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Interrupts:
    """In this context Ctrl-C raises ``KeyboardInterrupt``, and SIGTERM and SIGHUP raise ``Terminated``.

    ``with interrupts.held:`` delays that to the end of the block, or for half a second; a second signal is not delayed.
    Signals that are ignored, as under nohup, stay ignored. Threads other than the main one get no signals. Windows has
    no timers, so only a second signal ends a block that takes long there. A nested context shares the outer one's
    ``held``.
    """

    def __init__(self) -> None:
        self.held = _Held()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        names = ("SIGINT", "SIGTERM", "SIGHUP")
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        for number in numbers:
            handler = signal.getsignal(number)
            if isinstance(outer := getattr(handler, "__self__", None), _Held):
                self.held = outer
                return self
        for number in numbers:
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                self._before[number] = signal.signal(number, self.held.on_signal)
        if self._before and sys.platform != "win32":
            self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self.held.on_alarm)
            self.held.report, sys.unraisablehook = sys.unraisablehook, self.held.on_unraisable
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if sys.unraisablehook == self.held.on_unraisable:
            sys.unraisablehook = self.held.report
        self._before.clear()


class _Held:
    """Work that a signal waits for."""

    def __init__(self) -> None:
        self._depth = 0
        self._pending: int | None = None
        self._raised: int | None = None
        """The signal that was raised already: work that is held from then on is not to take long."""
        self._first_at = 0.0
        """When the first signal arrived, in seconds of the monotonic clock."""
        self.report = sys.unraisablehook

    def __enter__(self) -> None:
        self._depth += 1
        if sys.platform != "win32" and self._raised is not None:
            signal.setitimer(signal.ITIMER_REAL, _GRACE)

    def __exit__(self, *_: object) -> None:
        self._depth = max(0, self._depth - 1)
        if self._depth:
            return
        if self._pending is not None:
            self._raise(self._pending)
        if sys.platform != "win32" and self._raised is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def on_signal(self, number: int, _: FrameType | None) -> None:
        first = self._pending is None and self._raised is None
        if first:
            self._first_at = time.monotonic()
        elif time.monotonic() - self._first_at < _SAME_SIGNAL:
            return
        if not (first and self._depth):
            self._raise(number)
        self._pending = number
        if sys.platform != "win32":
            signal.setitimer(signal.ITIMER_REAL, _GRACE)

    def on_alarm(self, number: int, _: FrameType | None) -> None:
        """Stop held work that takes too long. An alarm that the parent process has set ends the command."""
        ours = self._raised if self._pending is None else self._pending
        if self._depth or ours is None or ours == self._pending:
            self._raise(number if ours is None else ours)

    def on_unraisable(self, found: sys.UnraisableHookArgs) -> None:
        """Raise a signal again that came in a callback, as of a weak reference, where Python ignores exceptions."""
        if sys.platform != "win32" and isinstance(found.exc_value, (KeyboardInterrupt, Terminated)):
            self._pending = self._raised
            signal.setitimer(signal.ITIMER_REAL, 0.001)
        else:
            self.report(found)

    def _raise(self, number: int) -> NoReturn:
        self._depth, self._pending = 0, None
        if sys.platform != "win32":
            self._raised = number
            signal.setitimer(signal.ITIMER_REAL, 0)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise Terminated(number)
