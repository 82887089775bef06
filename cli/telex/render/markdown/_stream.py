"""Markdown on a terminal while it arrives: what is finished is printed once, only the open block is live."""

from __future__ import annotations

import contextlib
import re
import time
from typing import TYPE_CHECKING

from telex.console import visible
from telex.render.markdown._cut import LONG
from telex.render.markdown._look import Look
from telex.render.markdown._printer import Printer
from telex.render.markdown._reader import Reader
from telex.render.markdown._screen import Screen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from telex.render.markdown._wrap import Row

__all__ = ["MarkdownStream", "render"]

FRAMES = 30.0

_LONGEST_DRAFT = 4096
"""Characters of an unfinished line from which on only its end is shown until it is whole."""

# The beginning of a line that may still become anything: shown when it has been decided.
_UNDECIDED = re.compile(r"[ >]*(?:[-+*=_#~`:| ]*|[-+*] \[[ xX]?\]? ?|[0-9]{1,9}[.)]? *|\|.*)", re.DOTALL)
_UNDECIDED_IN_CODE = re.compile(r"[ >]*(?:`+|~+)?")


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
        self._reader = Reader()
        self._printer = Printer(self._reader.references, look or Look(), max(1, width()))
        self._screen = Screen(write, height, live=live)
        self._chunks: list[str] = []
        self._line = ""  # what has come of the line that is not whole
        self._return = ""
        self._inside_line = False  # the beginning of that line has been read already
        self._suspended = False

    def feed(self, text: str) -> None:
        """Take the next piece, and repaint if it is time to."""
        if text:
            self._chunks.append(text)
            self.tick()

    def tick(self) -> None:
        """Repaint if it is time to, and something has come since the last time."""
        if self._chunks and not self._suspended and self._clock() >= self._next:
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
        with self._whole_or_not_at_all():
            self._printer.width = max(1, self._width())
            self._read()
            if self._line:
                self._take_line(self._line)
                self._line = ""
            self._printer.print(self._reader.end())
            self._screen.paint(self._printer.take(), [], self._printer.width)

    def _paint(self, *, live: bool) -> None:
        with self._whole_or_not_at_all():
            self._printer.width = max(1, self._width())
            self._read()
            rows = self._draft() if live and self._live else []
            self._screen.paint(self._printer.take(), rows, self._printer.width)

    @contextlib.contextmanager
    def _whole_or_not_at_all(self) -> Iterator[None]:
        """Be again what it was if anything is raised: the text has then been neither read nor printed."""
        reader = self._reader.clone()
        printer = self._printer.clone(reader.references)
        chunks, line, held, inside_line = self._chunks, self._line, self._return, self._inside_line
        self._chunks = chunks.copy()
        try:
            yield
        except BaseException:
            self._reader, self._printer = reader, printer
            self._chunks, self._line, self._return, self._inside_line = chunks, line, held, inside_line
            raise

    def _read(self) -> None:
        """Give the lines that are whole to the reader, and of the last one what is long enough."""
        if not self._chunks:
            return
        raw = self._return + "".join(self._chunks)
        self._chunks.clear()
        # Half of a line's end may still be on its way.
        self._return = "\r" if raw.endswith("\r") else ""
        raw = raw.removesuffix("\r")
        text = self._line + visible(raw.replace("\r\n", "\n").replace("\r", "\n"))
        *lines, self._line = text.split("\n")
        for line in lines:
            self._take_line(line)
        if self._inside_line:
            self._printer.print(self._reader.more(self._line))
            self._line = ""
        elif len(self._line) > LONG:
            self._begin_line()

    def _take_line(self, line: str) -> None:
        if self._inside_line:
            self._printer.print(self._reader.more(line))
            self._inside_line = False
        else:
            self._printer.print(self._reader.line(line))

    def _begin_line(self) -> None:
        """Read the line that is not whole, if it can only be a paragraph's: that one is printed in parts."""
        trial = self._reader.clone()
        trial.line(self._line)
        if trial.paragraph is not None:
            self._printer.print(self._reader.line(self._line))
            self._line, self._inside_line = "", True

    def _draft(self) -> list[Row]:
        """What the open block would look like if the text ended here."""
        reader = self._reader.clone()
        printer = self._printer.clone(reader.references, draft=True)
        line = self._line
        undecided = (_UNDECIDED_IN_CODE if reader.in_code else _UNDECIDED).fullmatch(line)
        if line and not undecided:
            if len(line) > _LONGEST_DRAFT:
                line = line[-4 * printer.width :]
            printer.print(reader.line(line))
        elif reader.paragraph is not None and reader.paragraph.rpartition("\n")[2].startswith("|"):
            reader.drop_last_line()  # very likely the head of a table
        printer.print(reader.end())
        return printer.take()


def render(text: str, width: int, *, look: Look | None = None) -> str:
    """The whole of ``text`` as the stream leaves it on a terminal of ``width`` cells, each row with its newline.

    Only code is wider: the terminal breaks its lines.
    """
    rows: list[str] = []
    stream = MarkdownStream(rows.append, width=lambda: width, height=lambda: 24, look=look, live=False)
    stream.feed(text)
    stream.close()
    return "".join(rows)
