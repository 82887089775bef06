"""Ctrl-Z while something live is on the screen: the shell writes below it, and nothing may be painted over that."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Stops"]

_PATIENCE = 0.05
"""Seconds that another thread's painting is waited for; this one's own would last for ever."""


class Stops:
    """Between ``catch`` and ``release`` what is live is taken off the screen before the process stops.

    ``suspend`` and ``resume`` do that and undo it; whoever paints holds ``lock``, and calls ``due`` when it is
    free again. Where the shell has no job control, or in another thread than the main one, it does nothing.
    """

    def __init__(
        self, lock: threading.Lock, suspend: Callable[[], object], resume: Callable[[], object]
    ) -> None:
        self._lock = lock
        self._suspend = suspend
        self._resume = resume
        self._wanted = False
        self._before: Any = None

    def catch(self) -> None:
        """Begin."""
        if not hasattr(signal, "SIGTSTP") or threading.current_thread() is not threading.main_thread():
            return
        before = signal.getsignal(signal.SIGTSTP)
        if before is signal.SIG_DFL:  # a shell without job control ignores it, and so it stays
            self._before = before
            signal.signal(signal.SIGTSTP, lambda *_: self._stop())

    def release(self) -> None:
        """End; it may be called again."""
        if self._before is not None:
            signal.signal(signal.SIGTSTP, self._before)
            self._before = None

    def due(self) -> None:
        """Stop now, if it was wanted in the middle of painting."""
        if self._wanted:
            self._stop()

    def _stop(self) -> None:
        # A handler runs between two instructions of this very thread, perhaps in the middle of painting.
        if not self._lock.acquire(timeout=_PATIENCE):
            self._wanted = True
            return
        self._wanted = False
        try:
            self._suspend()
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTSTP)
            # Here it goes on after fg.
            signal.signal(signal.SIGTSTP, lambda *_: self._stop())
            self._resume()
        finally:
            self._lock.release()
