"""A spinner on stderr while nothing has come yet: what is waited for, and gone without a trace."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

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

    ``what`` is asked for at each frame, and gets the seconds since the beginning. ``stop`` erases the line
    and may be called more than once, from any thread.
    """

    def __init__(self, console: Console, what: Callable[[float], str]) -> None:
        self._console = console
        self._what = what
        self._ended = threading.Event()
        self._drawn = False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._console.err_can_move:
            self._thread = threading.Thread(target=self._draw, name="telex-spinner", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it, and leave the line as if it had never been."""
        if self._thread is None or self._ended.is_set():
            return
        self._ended.set()
        self._thread.join()
        if self._drawn:
            self._console.raw_err("\r\x1b[K")

    def _draw(self) -> None:
        begun = time.monotonic()
        if self._ended.wait(_QUIET):
            return
        frame = 0
        while not self._ended.is_set():
            seconds = time.monotonic() - begun
            text = self._what(seconds) if seconds > _PATIENCE else ""
            # Never wider than the line: a wrapped spinner cannot be erased.
            text = text[: max(0, self._console.width() - 4)]
            self._drawn = True
            self._console.raw_err(f"\r\x1b[2m{_FRAMES[frame % len(_FRAMES)]} {text}\x1b[0m\x1b[K")
            frame += 1
            self._ended.wait(_PERIOD)
