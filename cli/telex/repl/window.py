"""A window that becomes narrower under a line: the line is drawn anew in its place, where the terminal tells that.

Most terminals then break long rows in two, and some cut them; nothing but the cursor's column tells which. Where
it is not told, what was drawn stays above: a line that is there twice is better than one that is lost.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prompt_toolkit.application import Application
    from prompt_toolkit.key_binding import KeyPressEvent

__all__ = ["Window", "breaks", "risen"]

_PATIENCE = 0.2
"""Seconds that a terminal has to tell where its cursor is."""


def breaks(x: int, width: int, column: int) -> bool | None:
    """Whether the terminal has broken a row in two, or cut it; None where the cursor's column does not tell.

    The cursor was in column ``x`` of its row, from 0; it is in ``column`` of a window that is ``width`` wide now.
    """
    broken, cut = x % width, min(x, width - 1)
    if broken == cut or column not in (broken, cut):
        return None
    return column == broken


def risen(rows: Sequence[int], x: int, width: int) -> int:
    """How many rows more the cursor is below the first one, since the rows are broken at ``width``.

    ``rows`` are the widths of those above the cursor's own, in which it was in column ``x``.
    """
    return sum((max(length, 1) - 1) // width for length in rows) + x // width


class Window:
    """Follows the window's size for as long as ``app`` edits a line: ``follow`` is for each time that it begins to."""

    def __init__(self) -> None:
        self._app: Application[Any]
        self._asked = 0
        """How many answers of the terminal are to come."""
        self._timer: Any = None
        self._breaks = False
        """Whether this terminal breaks long rows in two, as far as it was seen."""

    def follow(self, app: Application[Any]) -> None:
        self._app, self._asked = app, 0
        loop = app.loop
        if loop is not None and sys.platform != "win32":
            app.terminal_size_polling_interval = None
            # Once the application has set its own handler, which does not know of rows that are broken in two.
            loop.call_soon(loop.add_signal_handler, signal.SIGWINCH, self._changed)

    def told(self, event: KeyPressEvent) -> None:
        """The terminal's answer: the row and the column of its cursor, from 1."""
        if self._asked == 0:
            return
        self._asked -= 1
        if self._asked == 0:
            self._draw(column=int(event.data[2:-1].rpartition(";")[2]) - 1)

    def _changed(self) -> None:
        rows, x = self._drawn()
        width = self._app.output.get_size().columns
        loop = self._app.loop
        if loop is None or all(length <= width for length in (*rows, x + 1)):
            self._draw(column=x)
            return
        self._asked += 1
        self._app.output.ask_for_cpr()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(_PATIENCE, self._draw)

    def _draw(self, column: int | None = None) -> None:
        self._asked = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        app = self._app
        if not app.is_running or app.is_done:
            return
        rows, x = self._drawn()
        if column is not None:
            width = app.output.get_size().columns
            seen = breaks(x, width, column)
            self._breaks = self._breaks if seen is None else seen
            app.output.cursor_up(risen(rows, x, width) if self._breaks else 0)
        app.renderer.erase(leave_alternate_screen=False)
        app.invalidate()

    def _drawn(self) -> tuple[list[int], int]:
        """The widths of the rows above the cursor's, as they were drawn, and where in its row it is."""
        screen = self._app.renderer.last_rendered_screen
        if screen is None:
            return [], 0
        cursor = screen.get_cursor_position(self._app.layout.current_window)
        widths = []
        for y in range(cursor.y):
            row = screen.data_buffer[y]
            widths.append(max((at + 1 for at, cell in row.items() if cell.char != " "), default=0))
        return widths, cursor.x
