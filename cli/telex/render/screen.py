"""The live rows at the bottom of a terminal: updates with as few characters as possible, and Ctrl-Z.

What is final scrolls away above them and is never touched again. Only rows that are known to be live are
moved over, so that a resize in between can double some of them but not lose what is above.
"""

from __future__ import annotations

import os
import re
import signal
import threading
from typing import TYPE_CHECKING, Any

from rich.cells import get_character_cell_size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from telex.render.wrapping import Row

_ERASE_LINE, _ERASE_BELOW = "\x1b[K", "\x1b[J"
_LOCK_TIMEOUT = 0.05
"""Seconds to wait for another thread that paints; this thread itself would never finish."""
# Characters that join the one before them, and may change how that is drawn.
_JOINING = re.compile("[\u200d\ufe0e\ufe0f\U0001f1e6-\U0001f1ff\U0001f3fb-\U0001f3ff]")


class Screen:
    """``paint`` shows rows, the last of which are live; between calls the cursor is behind the last one.

    With ``live`` False only what is final is written, for files and pipes.
    """

    def __init__(self, write: Callable[[str], object], height: Callable[[], int], *, live: bool) -> None:
        self._write = write
        self._height = height
        self._live = live
        self._shown: list[Row] = []
        self._width = 0

    def paint(self, final: Sequence[Row], live: Sequence[Row], width: int) -> None:
        """Print ``final`` for good, and below it ``live``: its last rows, if the screen has not room for all."""
        if not self._live:
            live = []
        live = live[-max(1, self._height() - 1) :]
        old, new = self._shown, [*final, *live]
        if width != self._width and old:
            # A terminal may have broken these rows into more, or cut them: there are at least as many as there
            # were. To go up that far and not further doubles some, but loses nothing of what is above.
            out = _up(len(old) - 1) + _ERASE_BELOW + self._difference([], new, width)
        else:
            out = self._difference(old, new, width)
        if not live and (final or old):
            out += "" if old and not new else "\n"
        if out:
            self._write(out)
        # Not before it is written: what is painted twice after an interruption is better than not at all.
        self._shown, self._width = list(live), width

    def _difference(self, old: list[Row], new: list[Row], width: int) -> str:
        same = 0
        for before, after in zip(old, new, strict=False):
            if before != after:
                break
            same += 1
        if same == len(new) < len(old) and same:
            same -= 1  # the cursor has to end up behind the last row that stays
        if same == len(old):
            more = "\n".join(row.text for row in new[same:])
            return f"\n{more}" if old and len(new) > same else more
        if same == len(old) - 1 and same < len(new) and (tail := _continuation(old[same], new[same])):
            return "\n".join([tail, *(row.text for row in new[same + 1 :])])
        out = _up(len(old) - 1 - same)
        changed = [*old[same:], *new[same:]]
        if len(new) < len(old) or any(row.cells >= width or not row.text.isascii() for row in changed):
            return out + _ERASE_BELOW + "\n".join(row.text for row in new[same:])
        lines = [
            "" if old_row == row else row.text + (_ERASE_LINE if old_row.cells > row.cells else "")
            for old_row, row in zip(old[same:], new[same:], strict=False)
        ]
        lines += (row.text for row in new[len(old) :])
        # The cursor has to end up behind the last row, even if that is what it was.
        lines[-1] = lines[-1] or new[-1].text
        return out + "\n".join(lines)


def _up(rows: int) -> str:
    return (f"\x1b[{rows}A" if rows else "") + "\r"


def _continuation(before: Row, after: Row) -> str:
    """What has to be written behind ``before`` to make it ``after``; "" if that will not do."""
    if not before.text or not after.text.startswith(before.text):
        return ""
    tail = after.text[len(before.text) :]
    joins = _JOINING.match(tail) or (tail[0] > "~" and get_character_cell_size(tail[0]) == 0)
    return "" if joins or before.text[-1] == "\u200d" else tail


class SuspendHandler:
    """Between ``catch`` and ``release``, Ctrl-Z first takes live rows off the screen: the shell writes below them.

    ``suspend`` does that and ``resume`` undoes it. Painting holds ``lock``, and calls ``due`` after releasing it.
    Without job control in the shell, or in another thread than the main one, it does nothing.
    """

    def __init__(
        self, lock: threading.Lock, suspend: Callable[[], object], resume: Callable[[], object]
    ) -> None:
        self._lock = lock
        self._suspend = suspend
        self._resume = resume
        self._due = False
        self._before: Any = None

    def catch(self) -> None:
        if not hasattr(signal, "SIGTSTP") or threading.current_thread() is not threading.main_thread():
            return
        before = signal.getsignal(signal.SIGTSTP)
        if before is signal.SIG_DFL:  # a shell without job control ignores it
            self._before = before
            signal.signal(signal.SIGTSTP, lambda *_: self._stop())

    def release(self) -> None:
        """Handle Ctrl-Z no longer; it may be called again."""
        if self._before is not None:
            signal.signal(signal.SIGTSTP, self._before)
            self._before = None

    def due(self) -> None:
        """Stop now, if Ctrl-Z came in the middle of painting."""
        if self._due:
            self._stop()

    def _stop(self) -> None:
        # A handler runs between two instructions of this very thread, perhaps in the middle of painting.
        if not self._lock.acquire(timeout=_LOCK_TIMEOUT):
            self._due = True
            return
        self._due = False
        try:
            self._suspend()
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTSTP)
            # The process continues here after fg.
            signal.signal(signal.SIGTSTP, lambda *_: self._stop())
            self._resume()
        finally:
            self._lock.release()
