"""The terminal while an answer comes: what is typed then is not shown in its midst, and not lost."""

from __future__ import annotations

import contextlib
import sys
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

    def begin(self) -> None:
        if sys.platform == "win32" or self._before is not None:
            return
        import termios

        with contextlib.suppress(termios.error, OSError, ValueError):
            descriptor = sys.stdin.fileno()
            before = termios.tcgetattr(descriptor)
            silent = termios.tcgetattr(descriptor)
            silent[3] &= ~termios.ECHO
            termios.tcsetattr(descriptor, termios.TCSANOW, silent)
            self._before = before
            self._console.raw_out(_PASTES)

    def end(self) -> None:
        if sys.platform == "win32" or self._before is None:
            return
        import termios

        before, self._before = self._before, None
        self._console.raw_out(_NO_PASTES)
        with contextlib.suppress(termios.error, OSError, ValueError):
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, before)
