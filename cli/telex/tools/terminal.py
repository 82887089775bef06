"""Questions to whoever sits at the terminal: also where stdin is a pipe, and never out of what is piped."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from telex.console import Console

__all__ = ["Questions"]


class Questions:
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
        self._console.err(question)
        line = _line_of(self.terminal)
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


def _line_of(terminal: int) -> bytes:
    line = b""
    with contextlib.suppress(OSError):  # it hung up
        while not line.endswith(b"\n") and (part := os.read(terminal, 4096)):
            line += part
    return line
