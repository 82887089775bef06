"""Several answers side by side on a terminal, while they arrive: a row is printed once, for good, when all have it."""

from __future__ import annotations

import threading
import time
from itertools import zip_longest
from typing import TYPE_CHECKING

from telex.render.column import Column
from telex.render.highlighting import prepare
from telex.render.rows import row
from telex.render.screen import Screen
from telex.render.stops import Stops
from telex.render.styles import FAINT
from telex.render.together import GAP
from telex.render.wrapping import Row, chop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provider_core.types import Target
    from telex.console import Console
    from telex.render.show import Show, View
    from telex.render.styles import Look

__all__ = ["Columns"]

_BOLD = "1"
_PAUSE = 1 / 15
"""Seconds between two repaints."""


class Columns:
    """Rows above a live region scroll away; in it a column that has too many rows shows its last ones.

    A row is printed as soon as every answer has it, or has ended: what comes faster than the slowest answer
    waits in the live region. So it is all there in the end, whatever was to be seen meanwhile.
    """

    def __init__(
        self,
        console: Console,
        view: View,
        names: Sequence[str],
        tell: Callable[[int], None],
        *,
        look: Look,
    ) -> None:
        self._console = console
        self._view = view
        self._names = names
        self._tell = tell
        self._look = look
        self._columns: list[Column] = []
        self._screen = Screen(console.raw_out, console.height, live=True)
        self._width = console.width()
        self._lock = threading.Lock()
        self._stops = Stops(self._lock, self._suspend, self._paint)
        self._next = 0.0
        self._prepared = False

    def begin(self, targets: Sequence[Target | None]) -> Sequence[Show]:
        for name, target in zip(self._names, targets, strict=True):
            column = Column(
                str(target or name),
                target,
                view=self._view,
                look=self._look,
                width=self._cells(),
                aside=self._aside,
            )
            self._columns.append(column)
        heads = self._lines([each.title for each in self._columns], _BOLD)
        rule = self._lines(["─" * self._cells()] * len(self._columns), self._look.sgr(FAINT))
        self._stops.catch()
        with self._lock:
            self._screen.paint([*heads, *rule], [], self._width)
        return self._columns

    def tick(self) -> None:
        if time.monotonic() < self._next:
            return
        with self._lock:
            self._paint()
        self._stops.due()
        self._next = time.monotonic() + _PAUSE
        if not self._prepared:
            self._prepared = True
            prepare(self._look)  # the requests are on their way, and nothing else is to be done

    def failed(self, error: BaseException, hint: str | None = None) -> None:
        pass  # whoever ends the command says it on stderr

    def end(self) -> None:
        self._stops.release()
        with self._lock:
            self._paint(last=True)
        for index in range(len(self._columns)):
            self._tell(index)

    def _aside(self, line: str) -> None:
        """Let a line of stderr stand above what is live."""
        with self._lock:
            self._suspend()
        self._console.note(line)

    def _suspend(self) -> None:
        self._screen.paint([], [], self._width)

    # --- rows ------------------------------------------------------------------------------------------------

    def _paint(self, *, last: bool = False) -> None:
        drafts = [each.read() for each in self._columns]
        final: list[Row] = []
        width = self._console.width()
        if width != self._width:
            # What was laid out for another width is printed as it is, and all go on below it.
            final = self._rows([list(each.rows) for each in self._columns])
            self._width = width
            for each in self._columns:
                each.rows.clear()
                each.resize(self._cells())
            drafts = [each.read() for each in self._columns]
        # A row is ready when every column has it, or will never have it.
        ready = min(
            (len(each.rows) for each in self._columns if each.open),
            default=max(len(each.rows) for each in self._columns),
        )
        final += self._rows([each.rows[:ready] for each in self._columns])
        live: list[Row] = []
        states = [each.status() for each in self._columns]
        if last:
            final += self._lines(states, self._look.sgr(FAINT)) if any(states) else []
        else:
            room = max(1, self._console.height() - 3)
            live = self._rows(
                [
                    [*each.rows[ready:], *draft][-room:]
                    for each, draft in zip(self._columns, drafts, strict=True)
                ]
            )
            live += self._lines([chop(state, self._cells())[0] for state in states], self._look.sgr(FAINT))
        self._screen.paint(final, live, width)
        for each in self._columns:
            del each.rows[:ready]

    def _cells(self) -> int:
        """How wide a column is."""
        count = len(self._names)
        return max(1, (self._width - GAP * (count - 1)) // count)

    def _lines(self, texts: Sequence[str], sgr: str) -> list[Row]:
        """The rows of a line below, or above, each column."""
        width = self._cells()
        return self._rows([[row(part, self._look, sgr) for part in chop(text, width)] for text in texts])

    def _rows(self, columns: Sequence[Sequence[Row]]) -> list[Row]:
        return [self._joined(cells) for cells in zip_longest(*columns, fillvalue=Row("", 0))]

    def _joined(self, cells: Sequence[Row]) -> Row:
        """The rows of all columns as one."""
        bar = row("│", self._look, self._look.sgr(FAINT)).text
        text, used = cells[0]
        for number, (part, size) in enumerate(cells[1:], start=1):
            start = number * (self._cells() + GAP)
            text += " " * (start - GAP + 1 - used)
            if not text.isascii():
                # Terminals disagree about the widths of what stands before: here they are told.
                text += f"\x1b[{start - GAP + 2}G"
            text += f"{bar} {part}"
            used = start + size
        return Row(text, used)
