"""Markdown on a terminal while it arrives: finished rows are printed once, and only the open block is live.

Final rows scroll away and are never touched again. Only rows that are known to be live are moved over, so a resize
in between can double some of them, but loses nothing that is above.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NoReturn

from rich.cells import get_character_cell_size

from telex.render.highlighting import prepare
from telex.render.markdown import Layout
from telex.render.styles import Colour, Look

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from telex.console import Console
    from telex.wrapping import ScreenRow

_FRAMES = 30.0
"""Repaints in a second, at most. A thread paints what came too fast to be painted at once."""
_text = itemgetter(0)
_ERASE_LINE, _ERASE_BELOW = "\x1b[K", "\x1b[J"
_LOCK_TIMEOUT = 0.05
"""Seconds to wait for another thread that paints; this thread itself would never finish."""
# Characters that join the previous one and may change its shape.
_JOINING = re.compile("[\u200d\ufe0e\ufe0f\U0001f1e6-\U0001f1ff\U0001f3fb-\U0001f3ff]")


class LiveMarkdown:
    """Renders Markdown block by block; Ctrl-Z loses nothing."""

    def __init__(self, console: Console, *, look: Look) -> None:
        self._console = console
        if look.colour is not Colour.NONE:
            prepare(look)  # the request is on its way, and there is nothing else to do
        self._markdown = MarkdownStream(
            console.raw_out,
            width=console.width,
            height=console.height,
            look=look,
            live=console.out_is_terminal,
        )
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._pulse: threading.Thread | None = None
        self._broken: Exception | None = None
        self._suspend_handler = SuspendHandler(self._lock, self._markdown.suspend, self._markdown.resume)
        self._suspend_handler.catch()

    def write(self, text: str) -> None:
        if self._broken is not None:
            self._raise_broken()
        with self._lock:
            self._markdown.feed(text)
        if self._suspend_handler.is_due:
            self._suspend_handler.stop()
        if self._pulse is None and self._console.out_is_terminal:
            self._pulse = threading.Thread(target=self._beat, name="telex-paint", daemon=True)
            self._pulse.start()

    def make_room(self) -> None:
        """Take the live rows off the screen; more text brings them back."""
        if self._console.out_is_terminal and self._console.err_is_terminal:
            with self._lock:
                self._markdown.suspend()
            if self._suspend_handler.is_due:
                self._suspend_handler.stop()

    def pause(self) -> bool:
        self.close()
        return True

    def close(self) -> None:
        self._ended.set()
        if self._pulse is not None:
            self._pulse.join()
        if self._broken is not None:
            self._raise_broken()
        with self._lock:
            self._markdown.close()
        self._suspend_handler.release()

    def _raise_broken(self) -> NoReturn:
        broken, self._broken = self._broken, None
        raise broken or RuntimeError

    def _beat(self) -> None:
        while not self._ended.wait(1 / _FRAMES):
            try:
                with self._lock:
                    self._markdown.tick()
            except Exception as error:  # noqa: BLE001 - raised again in the thread that can end the command
                self._broken = error
                return


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
        frames: float = _FRAMES,
    ) -> None:
        self._width = width
        self._live = live
        self._clock = clock
        self._pause = 1 / frames
        self._next = float("-inf")
        self._layout = Layout(look or Look(), max(1, width()))
        self._screen = Screen(write, height, live=live)
        self._suspended = False
        self._ready: list[ScreenRow] = []
        """Final rows that have not been painted yet."""
        self._unpainted = False

    def feed(self, text: str) -> None:
        """Take the next piece, and repaint if it is time to."""
        if not text:
            return
        self._layout.feed(text)
        self._unpainted = True
        if self._suspended or self._clock() >= self._next:
            self.resume()
        elif "\n" in text and self._layout.in_code:
            # Code is highlighted here, as ``tick`` may be called in another thread: see highlighting.py.
            self._read(paint=False)

    def tick(self) -> None:
        """Repaint if it is time to, and something has come since the last time."""
        if self._unpainted and not self._suspended and self._clock() >= self._next:
            self.resume()

    def suspend(self) -> None:
        """Take the live rows off the screen, for others to print: the cursor is at the start of an empty row.

        What others print has to end with a newline. Until ``resume`` nothing is painted.
        """
        if not self._suspended:
            self._read(live=False)
            self._suspended = True

    def resume(self) -> None:
        """Repaint; after ``suspend``, below whatever has been printed."""
        self._suspended = False
        self._read()
        self._next = self._clock() + self._pause

    def close(self) -> None:
        """Print the open rest as final rows; the cursor is at the start of the row below.

        After an interruption, such as Ctrl-C in the middle of a repaint, nothing that was fed is missing.
        """
        self._suspended = False
        self._read(end=True)

    def _read(self, *, paint: bool = True, live: bool = True, end: bool = False) -> None:
        """Parse the new text and paint it. After an interruption the next call does it again."""
        layout = self._layout
        before = layout.snapshot()
        try:
            layout.width = self._width()
            ready = self._ready + (layout.end() if end else layout.final())
            if paint:
                draft = layout.draft() if live and self._live and not end else []
                self._screen.paint(ready, draft, layout.width)
                ready, self._unpainted = [], False
            self._ready = ready
        except BaseException:
            layout.__dict__.update(before)
            raise


def render(text: str, width: int, *, look: Look | None = None) -> str:
    """The whole of ``text`` as the stream leaves it on a terminal of ``width`` cells, each row with its newline.

    Only code is wider: the terminal breaks its lines.
    """
    rows: list[str] = []
    stream = MarkdownStream(rows.append, width=lambda: width, height=lambda: 24, look=look, live=False)
    stream.feed(text)
    stream.close()
    return "".join(rows)


class Screen:
    """``paint`` shows rows, the last of which are live; between calls the cursor is behind the last one.

    With ``live`` False only what is final is written, for files and pipes.
    """

    def __init__(self, write: Callable[[str], object], height: Callable[[], int], *, live: bool) -> None:
        self._write = write
        self._height = height
        self._live = live
        self._shown: list[ScreenRow] = []
        self._width = 0

    def paint(self, final: Sequence[ScreenRow], live: Sequence[ScreenRow], width: int) -> None:
        """Print ``final`` as rows that never change, and below them as many of the last ``live`` rows as fit."""
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
        # Only after the write: rows that an interrupted write painted are painted again.
        self._shown, self._width = list(live), width

    def _difference(self, old: list[ScreenRow], new: list[ScreenRow], width: int) -> str:
        same = 0
        for before, after in zip(old, new, strict=False):
            if before != after:
                break
            same += 1
        if same == len(new) < len(old) and same:
            same -= 1  # the cursor has to end up behind the last row that stays
        if same == len(old):
            more = "\n".join(map(_text, new[same:]))
            return f"\n{more}" if old and len(new) > same else more
        if same == len(old) - 1 and same < len(new) and (tail := _continuation(old[same], new[same])):
            return "\n".join([tail, *map(_text, new[same + 1 :])])
        out = _up(len(old) - 1 - same)
        changed = [*old[same:], *new[same:]]
        if len(new) < len(old) or any(row.cells >= width or not row.text.isascii() for row in changed):
            return out + _ERASE_BELOW + "\n".join(map(_text, new[same:]))
        lines = [
            "" if old_row == row else row.text + (_ERASE_LINE if old_row.cells > row.cells else "")
            for old_row, row in zip(old[same:], new[same:], strict=False)
        ]
        lines += map(_text, new[len(old) :])
        # The cursor has to end up behind the last row, even if that is what it was.
        lines[-1] = lines[-1] or new[-1].text
        return out + "\n".join(lines)


def _up(rows: int) -> str:
    return (f"\x1b[{rows}A" if rows else "") + "\r"


def _continuation(before: ScreenRow, after: ScreenRow) -> str:
    """The text to append to ``before`` to make it ``after``; "" if it has to be painted again."""
    if not before.text or not after.text.startswith(before.text):
        return ""
    tail = after.text[len(before.text) :]
    joins = _JOINING.match(tail) or (tail[0] > "~" and get_character_cell_size(tail[0]) == 0)
    return "" if joins or before.text[-1] == "\u200d" else tail


class SuspendHandler:
    """Between ``catch`` and ``release``, Ctrl-Z first takes live rows off the screen: the shell writes below them.

    ``suspend`` does that and ``resume`` undoes it. Painting holds ``lock``; if ``is_due`` afterwards, call ``stop``.
    Without job control in the shell, or in another thread than the main one, it does nothing.
    """

    def __init__(
        self, lock: threading.Lock, suspend: Callable[[], object], resume: Callable[[], object]
    ) -> None:
        self._lock = lock
        self._suspend = suspend
        self._resume = resume
        self.is_due = False
        self._before: Any = None

    def catch(self) -> None:
        if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
            return
        before = signal.getsignal(signal.SIGTSTP)
        if before is signal.SIG_DFL:  # a shell without job control ignores it
            self._before = before
            signal.signal(signal.SIGTSTP, lambda *_: self.stop())

    def release(self) -> None:
        """Handle Ctrl-Z no longer; it may be called again."""
        if sys.platform != "win32" and self._before is not None:
            signal.signal(signal.SIGTSTP, self._before)
            self._before = None

    def stop(self) -> None:
        """Stop the process; if Ctrl-Z came in the middle of painting, only note that it is due."""
        if sys.platform == "win32":
            return
        # The handler runs between two instructions of this thread, perhaps in the middle of painting.
        if not self._lock.acquire(timeout=_LOCK_TIMEOUT):
            self.is_due = True
            return
        self.is_due = False
        try:
            self._suspend()
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTSTP)
            # After fg the process continues here.
            signal.signal(signal.SIGTSTP, lambda *_: self.stop())
            self._resume()
        finally:
            self._lock.release()
