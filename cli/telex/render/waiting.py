"""A spinner on stderr while nothing has come yet: what is waited for, and gone without a trace."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telex.console import Console

__all__ = ["Waiting"]

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_PERIOD = 0.1
_QUIET = 0.3
"""Seconds without a spinner: most answers begin before it would have been seen."""
_PATIENCE = 3.0
"""Seconds until it says what is waited for."""


class Waiting:
    """Draws on a terminal's stderr from a thread of its own; anywhere else it does nothing.

    ``doing`` is what is waited for, and may change. ``stop`` erases the line, and may be called again.
    """

    def __init__(self, console: Console, doing: str) -> None:
        self.doing = doing
        self.since = time.monotonic()
        """The moment at which it began."""
        self.patience = _PATIENCE
        self.until: float | None = None
        """The moment, by the monotonic clock, at which a wait of known length ends."""
        self._console = console
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._drawn = False
        self._thread: threading.Thread | None = None
        if console.err_can_move:
            self._thread = threading.Thread(target=self._draw, name="telex-spinner", daemon=True)
            self._thread.start()

    def wait(self, doing: str, seconds: float) -> None:
        """From now on it is a wait of known length."""
        self.doing, self.until = doing, time.monotonic() + seconds

    def stop(self) -> None:
        """End it, and leave the line as if it had never been."""
        if self._thread is not None and not self._ended.is_set():
            self._ended.set()
            self._thread.join()
            self._erase()

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Let a line be printed where the spinner is, which goes on below it."""
        with self._lock:
            self._erase()
            yield

    def _erase(self) -> None:
        if self._drawn:
            self._drawn = False
            self._console.raw_err("\r\x1b[K")

    def _draw(self) -> None:
        frame = 0
        wait = _QUIET
        while not self._ended.wait(wait):
            wait = _PERIOD
            with self._lock:
                line = f"{_FRAMES[frame % len(_FRAMES)]} {self._text()}"
                # Never as wide as the terminal: a line that wraps cannot be erased.
                line = line[: max(1, self._console.width() - 2)].rstrip()
                if self._console.err_has_colour:
                    line = self._console.painted(line, "grey")
                self._console.raw_err(f"\r{line}\x1b[K")
                self._drawn = True
            frame += 1

    def _text(self) -> str:
        now = time.monotonic()
        if self.until is not None and self.until > now:
            return f"{self.doing} in {self.until - now:.0f} s"
        taken = now - self.since
        return f"{self.doing}, {taken:.0f} s" if taken > self.patience else ""
