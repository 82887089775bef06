"""The terminal while an answer comes: what is typed then is not shown in its midst, and not lost."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from telex.console import Console

__all__ = ["Hush"]

_PASTES, _NO_PASTES = "\x1b[?2004h", "\x1b[?2004l"


class Hush:
    """From ``begin`` to ``end`` nothing that is typed is echoed; the next prompt reads it. Both may be called again.

    Lines are still the system's to put together, so that whatever asks for a password meanwhile can. A paste is
    marked as one, so that its lines do not become prompts.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._before: list[Any] | None = None
        self._on_return: Any = None

    def begin(self) -> None:
        if sys.platform == "win32" or self._before is not None:
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
