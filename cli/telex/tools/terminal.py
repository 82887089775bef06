"""Questions to whoever sits at the terminal: also where stdin is a pipe, and never out of what is piped."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from telex.console import Console

__all__ = ["TerminalPrompt"]

_TURN = 0.2
"""Seconds between two looks at whether this job has the terminal."""


class TerminalPrompt:
    """``ask`` writes to stderr and reads a line of the terminal; ``there`` says whether somebody can be asked now."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._opened: int | None = None
        self.terminal = self._find()
        """The descriptor of the terminal that is asked at; None where there is none."""

    @property
    def there(self) -> bool:
        """A job in the background has nobody to ask: reading would stop it."""
        return self.terminal is not None and _in_foreground(self.terminal)

    def ask(self, question: str) -> str | None:
        """What was typed, without blanks around; None where nobody is there, and at the end of input."""
        if self.terminal is None or not self.there:
            return None
        # What was typed before the question was seen is no answer to it.
        _forget_typed(self.terminal)
        line = b""
        try:
            line = _Line(self.terminal, lambda: self._console.err(question)).read()
        finally:
            if not line.endswith(b"\n"):
                self._console.err("\n")
        return line.decode("utf-8", "replace").strip() if line else None

    def close(self) -> None:
        if self._opened is not None:
            with contextlib.suppress(OSError):
                os.close(self._opened)
            self._opened = self.terminal = None

    def _find(self) -> int | None:
        if not self._console.err_is_terminal:
            return None  # a question that nobody sees is none
        if self._console.stdin_is_terminal():
            return sys.stdin.fileno()
        with contextlib.suppress(OSError):
            flags = os.O_RDWR | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_CLOEXEC", 0)
            self._opened = os.open("/dev/tty", flags)
        return self._opened


class _Line:
    """One line of the terminal. Whenever the job gets the terminal back, ``say`` says again what is asked."""

    def __init__(self, terminal: int, say: Callable[[], None]) -> None:
        self._terminal = terminal
        self._say = say
        self._said = False

    def read(self) -> bytes:
        """The line with its end, which is missing at the end of input."""
        line = b""
        with self._told_of_stops(), contextlib.suppress(OSError):  # it hung up
            while not line.endswith(b"\n") and (part := self._typed()):
                line += part
        return line

    def _typed(self) -> bytes:
        if not self._said:
            self._say()
            self._said = True
        while os.name == "posix":
            # Waiting in turns: a signal that another thread was given does not wake this one.
            typed = select.select([self._terminal], [], [], _TURN)[0]
            if not _in_foreground(self._terminal):
                self._said = False
                time.sleep(_TURN)
            elif not self._said:
                self._say()
                self._said = True
            elif typed:
                break
        return os.read(self._terminal, 4096)

    @contextlib.contextmanager
    def _told_of_stops(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGCONT"):
            yield
            return
        before = signal.signal(signal.SIGCONT, self._on_return)
        try:
            yield
        finally:
            signal.signal(signal.SIGCONT, before)

    def _on_return(self, *_: object) -> None:
        self._said = False


def _in_foreground(terminal: int) -> bool:
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except (OSError, AttributeError):
        return True  # it is not the terminal that governs this job, which is never stopped for reading it


def _forget_typed(terminal: int) -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import termios

        with contextlib.suppress(termios.error):
            termios.tcflush(terminal, termios.TCIFLUSH)
