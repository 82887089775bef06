"""Questions to whoever sits at the terminal: also where stdin is a pipe, and never out of what is piped."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from telex.console import Console

__all__ = ["Questions"]


class Questions:
    """``ask`` writes to stderr and reads a line of the controlling terminal; ``there`` says whether there is one."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._opened: TextIO | None = None
        self._source = self._find()

    @property
    def there(self) -> bool:
        return self._source is not None

    def ask(self, question: str) -> str:
        """What was typed, without the line's end; "" at the end of input, which is no consent."""
        if self._source is None:
            return ""
        self._console.err(question)
        _forget_typed(self._source)
        line = self._source.readline()
        if not line.endswith("\n"):
            self._console.err("\n")
        return line.strip()

    def close(self) -> None:
        if self._opened is not None:
            with contextlib.suppress(OSError):
                self._opened.close()

    def _find(self) -> TextIO | None:
        if not self._console.err_is_terminal:
            return None  # a question that nobody sees is none
        if self._console.stdin_is_terminal():
            return sys.stdin
        try:
            # A background job of the shell would be stopped by reading; it has nobody to ask either.
            handle = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | getattr(os, "O_CLOEXEC", 0))
        except OSError:
            return None
        try:
            if os.tcgetpgrp(handle) != os.getpgrp():
                os.close(handle)
                return None
            self._opened = os.fdopen(handle, "r", encoding="utf-8", errors="replace")
        except OSError:
            os.close(handle)
            return None
        return self._opened


def _forget_typed(source: TextIO) -> None:
    """What was typed before the question was seen is no answer to it."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import termios

        with contextlib.suppress(termios.error):
            termios.tcflush(source.fileno(), termios.TCIFLUSH)
