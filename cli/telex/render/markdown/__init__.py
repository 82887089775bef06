"""Markdown on a terminal while it arrives: what is finished is printed once, only the open block is live.

``_parser`` is markdown-it-py as answers need it, ``_elements`` draws its blocks with Rich's Markdown elements, and
``_layout`` decides what is final. Importing it costs some 80 ms: commands do so while they wait for the first byte.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from telex.render.markdown._layout import Layout
from telex.render.screen import Screen
from telex.render.styles import Look

if TYPE_CHECKING:
    from collections.abc import Callable

    from telex.render.wrapping import Row

__all__ = ["Layout", "MarkdownStream", "render"]

FRAMES = 30.0


class MarkdownStream:
    """Feed it text in any pieces; the screen then shows what ``render`` gives for the whole.

    ``write`` takes text for the terminal. ``width`` and ``height`` are asked for at each repaint, in cells and
    rows. Repaints happen at most ``frames`` times a second, from ``feed`` or ``tick``; with ``live`` False
    there are none, and only finished rows are written. No method leaves colours on or the cursor hidden. It is for
    one thread at a time.
    """

    def __init__(
        self,
        write: Callable[[str], object],
        *,
        width: Callable[[], int],
        height: Callable[[], int],
        look: Look | None = None,
        live: bool = True,
        clock: Callable[[], float] = time.monotonic,
        frames: float = FRAMES,
    ) -> None:
        self._width = width
        self._live = live
        self._clock = clock
        self._pause = 1 / frames
        self._next = float("-inf")
        self._layout = Layout(look or Look(), max(1, width()))
        self._screen = Screen(write, height, live=live)
        self._suspended = False
        self._ready: list[Row] = []
        """Final rows that have not been painted yet."""
        self._unpainted = False

    def feed(self, text: str) -> None:
        """Take the next piece, and repaint if it is time to."""
        if text:
            self._layout.feed(text)
            self._unpainted = True
            if "\n" in text and self._layout.in_code:
                # Code is highlighted here and not in ``tick``, which another thread may call: see highlighting.py.
                self._read()
            self.tick()

    def tick(self) -> None:
        """Repaint if it is time to, and something has come since the last time."""
        if self._unpainted and not self._suspended and self._clock() >= self._next:
            self._paint(live=True)
            self._next = self._clock() + self._pause

    def suspend(self) -> None:
        """Take the live rows off the screen, for others to print: the cursor is at the start of an empty row.

        What others print has to end with a newline. Until ``resume`` nothing is painted.
        """
        if not self._suspended:
            self._paint(live=False)
            self._suspended = True

    def resume(self) -> None:
        """Show the live rows again, below whatever has been printed."""
        if self._suspended:
            self._suspended = False
            self._paint(live=True)

    def close(self) -> None:
        """Print what is still open, for good; the cursor is at the start of the row below.

        After an interruption, such as Ctrl-C in the middle of a repaint, nothing that was fed is missing.
        """
        self._suspended = False
        with self._layout.whole_or_not_at_all():
            self._layout.width = self._width()
            self._screen.paint([*self._ready, *self._layout.end()], [], self._layout.width)
        self._ready = []

    def _read(self) -> None:
        with self._layout.whole_or_not_at_all():
            self._layout.width = self._width()
            self._ready += self._layout.final()

    def _paint(self, *, live: bool) -> None:
        with self._layout.whole_or_not_at_all():
            self._layout.width = self._width()
            final = [*self._ready, *self._layout.final()]
            draft = self._layout.draft() if live and self._live else []
            self._screen.paint(final, draft, self._layout.width)
            self._ready, self._unpainted = [], False


def render(text: str, width: int, *, look: Look | None = None) -> str:
    """The whole of ``text`` as the stream leaves it on a terminal of ``width`` cells, each row with its newline.

    Only code is wider: the terminal breaks its lines.
    """
    rows: list[str] = []
    stream = MarkdownStream(rows.append, width=lambda: width, height=lambda: 24, look=look, live=False)
    stream.feed(text)
    stream.close()
    return "".join(rows)
