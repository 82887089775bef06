"""The terminal while an answer comes: what is typed then is not shown in its midst, and not lost."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, Self

from telex.repl.plain import is_plain

if TYPE_CHECKING:
    from telex.app import App

__all__ = ["EchoSuppressor"]

_PASTES, _NO_PASTES = "\x1b[?2004h", "\x1b[?2004l"


class EchoSuppressor:
    """From ``begin`` to ``end`` nothing that is typed is echoed; the next prompt reads it. Both may be called again.

    The terminal stays in line mode, so that a program which prompts for a password meanwhile works. A paste is
    marked as one, so that its lines do not become prompts. Where lines are not edited, nothing is hidden.
    """

    def __init__(self, app: App) -> None:
        self._console = app.console
        self._plain = is_plain(app.runtime.environ)
        self._before: list[Any] | None = None
        self._on_return: Any = None

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(self) -> None:
        if sys.platform == "win32" or self._before is not None or self._plain:
            return
        import termios

        with contextlib.suppress(termios.error, OSError, ValueError):
            self._before = termios.tcgetattr(sys.stdin.fileno())
            self._silence()
            self._console.raw_out(_PASTES)
            if threading.current_thread() is threading.main_thread():
                # Not every shell gives a job its terminal back as it was.
                self._on_return = signal.signal(signal.SIGCONT, lambda *_: self._silence())

    def end(self) -> None:
        if sys.platform == "win32" or self._before is None:
            return
        import termios

        before, self._before = self._before, None
        if self._on_return is not None:
            signal.signal(signal.SIGCONT, self._on_return)
            self._on_return = None
        self._console.raw_out(_NO_PASTES)
        with contextlib.suppress(termios.error, OSError, ValueError):
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, before)

    def _silence(self) -> None:
        if sys.platform == "win32":
            return
        import termios

        with contextlib.suppress(termios.error, OSError, ValueError):
            descriptor = sys.stdin.fileno()
            # In the background it is not ours to change, and trying would stop us.
            if os.tcgetpgrp(descriptor) == os.getpgrp():
                modes = termios.tcgetattr(descriptor)
                modes[3] &= ~termios.ECHO
                termios.tcsetattr(descriptor, termios.TCSANOW, modes)
