"""The answers of several models side by side on a terminal, while they arrive.

A row is printed, and never changed again, when every answer has it or has ended. Until then it is live; a column
with too many rows for the screen shows its last ones.
"""

from __future__ import annotations

import threading
import time
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from provider_core.events import ChatEnded, Continuing, FellBack, SchemaRetry
from provider_core.types import (
    CallAsText,
    FieldDropped,
    FieldIgnored,
    Reasoning,
    Retrying,
    Sent,
    Text,
    Verdict,
)
from telex.console import visible
from telex.render import ChatFailed, MultiRenderer, StatusLine
from telex.render.highlighting import prepare
from telex.render.live import Screen, SuspendHandler
from telex.render.markdown import Layout
from telex.render.messages import attachment_lines, status_line, usage_line
from telex.render.text import SPINNER_FRAMES, SPINNER_PERIOD, estimated_tokens, reasoning_summary
from telex.wrapping import ScreenRow, cells, chop, wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provider_core.events import Answer, Event
    from provider_core.types import Target
    from telex.console import Console
    from telex.render import CommandEvent, RenderOptions
    from telex.render.styles import Look

_NARROWEST: Final = 38
"""The least cells of a column: a terminal of 80 has two."""
_GAP: Final = 3
_BOLD: Final = "1"
_PAUSE: Final = 1 / 15
"""Seconds between two repaints."""
_TAB: Final = 8


def fits(count: int, width: int) -> bool:
    """Whether a terminal of so many cells has room for so many columns."""
    return width >= count * (_NARROWEST + _GAP) - _GAP


class ColumnsRenderer(MultiRenderer):
    """Shows each model in a column."""

    def __init__(
        self,
        console: Console,
        options: RenderOptions,
        targets: Sequence[Target | str],
        look: Look,
    ) -> None:
        self._console = console
        self._look = look
        self._screen = Screen(console.raw_out, console.height, live=True)
        self._width = console.width()
        self._count = len(targets)
        self._columns = [
            _Column(target, options, look=look, width=self._cells(), note=self._note) for target in targets
        ]
        self._lock = threading.Lock()
        self._suspend_handler = SuspendHandler(self._lock, self._suspend, self._paint)
        self._next = 0.0
        self._started = False

    def handle(self, index: int, event: Event | CommandEvent) -> None:
        self._start()
        self._columns[index].handle(event)
        if isinstance(event, ChatEnded | ChatFailed) and not any(column.open for column in self._columns):
            self._suspend_handler.release()
            with self._lock:
                self._paint(last=True)

    def tick(self) -> None:
        if time.monotonic() < self._next or not any(column.open for column in self._columns):
            return
        self._start()
        with self._lock:
            self._paint()
        if self._suspend_handler.is_due:
            self._suspend_handler.stop()
        if not self._next:
            prepare(self._look)  # the requests are on their way, and there is nothing else to do
        self._next = time.monotonic() + _PAUSE

    def _start(self) -> None:
        """Print the heads."""
        if self._started:
            return
        self._started = True
        self._suspend_handler.catch()
        heads = self._lines([column.title for column in self._columns], _BOLD)
        rule = self._lines(["─" * self._cells()] * self._count, self._look.sgr("faint"))
        with self._lock:
            self._screen.paint([*heads, *rule], [], self._width)

    def _note(self, line: str) -> None:
        """Print a line on stderr above the live rows."""
        with self._lock:
            self._suspend()
        self._console.note(line)

    def _suspend(self) -> None:
        self._screen.paint([], [], self._width)

    def _paint(self, *, last: bool = False) -> None:
        columns = self._columns
        drafts = [column.read() for column in columns]
        final: list[ScreenRow] = []
        width = self._console.width()
        if width != self._width:
            # Rows of the old width are printed as they are, and all columns continue below them.
            final = self._rows([list(column.rows) for column in columns])
            self._width = width
            for column in columns:
                column.rows.clear()
                column.resize(self._cells())
            drafts = [column.read() for column in columns]
        # A row is ready when every column has it, or will never have it.
        counts = [len(column.rows) for column in columns if column.open]
        ready = min(counts) if counts else max(len(column.rows) for column in columns)
        final += self._rows([column.rows[:ready] for column in columns])
        live: list[ScreenRow] = []
        faint, states = self._look.sgr("faint"), [column.status() for column in columns]
        if last:
            final += self._lines(states, faint) if any(states) else []
        else:
            room = max(1, self._console.height() - 3)
            rest = [
                [*column.rows[ready:], *draft][-room:] for column, draft in zip(columns, drafts, strict=True)
            ]
            live = self._rows(rest)
            live += self._lines([chop(state, self._cells())[0] for state in states], faint)
        self._screen.paint(final, live, width)
        for column in columns:
            del column.rows[:ready]

    def _cells(self) -> int:
        """The width of a column."""
        return max(1, (self._width - _GAP * (self._count - 1)) // self._count)

    def _lines(self, texts: Sequence[str], sgr: str) -> list[ScreenRow]:
        """The rows of one text for each column."""
        rows = [[text[start:end] for start, end in wrap(text, self._cells())] for text in texts]
        return self._rows([_styled(each, self._look, sgr) for each in rows])

    def _rows(self, columns: Sequence[Sequence[ScreenRow]]) -> list[ScreenRow]:
        return [self._joined(parts) for parts in zip_longest(*columns, fillvalue=ScreenRow("", 0))]

    def _joined(self, parts: Sequence[ScreenRow]) -> ScreenRow:
        """The rows of all columns as one."""
        bar = self._look.paint("│", self._look.sgr("faint"))
        text, used = parts[0]
        for number, (part, size) in enumerate(parts[1:], start=1):
            start = number * (self._cells() + _GAP)
            text += " " * (start - _GAP + 1 - used)
            if not text.isascii():
                # Terminals disagree about the width of the text so far: move to the column.
                text += f"\x1b[{start - _GAP + 2}G"
            text += f"{bar} {part}"
            used = start + size
        return ScreenRow(text, used)


class _Column:
    """The rows of one model: ``rows`` are final and not yet printed; ``open`` says whether more may follow."""

    def __init__(
        self,
        target: Target | str,
        options: RenderOptions,
        *,
        look: Look,
        width: int,
        note: Callable[[str], None],
    ) -> None:
        self.title = visible(str(target))
        self.open = True
        self.rows: list[ScreenRow] = []
        self._target = None if isinstance(target, str) else target
        self._options = options
        self._look = look
        self._note = note
        self._reasoning = PlainRows(look, width, sgr=look.sgr("faint"), words=True)
        self._text: Layout | PlainRows = (
            Layout(look, width, narrow=True) if options.markdown else PlainRows(look, width)
        )
        self._has_text = False
        self._reasoned = 0
        self._reasoning_since = 0.0
        self._label = "connecting"
        self._since = time.monotonic()
        self._until: float | None = None
        self._status = ""

    def handle(self, event: Event | CommandEvent) -> None:
        match event:
            case Text(text=text):
                if not self._has_text:
                    self._has_text = True
                    self.rows += self._end_of_reasoning()
                self._label = ""
                self._text.feed(text)
            case Reasoning(text=text):
                self._reasoning_since = self._reasoning_since or time.monotonic()
                self._label = "thinking"
                self._reasoned += len(text)
                if self._options.reasoning == "show" and not self._has_text:
                    self._reasoning.feed(text)
            case Sent():
                self._label, self._since, self._until = "waiting", time.monotonic(), None
            case Retrying(seconds=seconds):
                self._label, self._until = "retry", time.monotonic() + seconds
                self._note(f"{self.title}: {status_line(event, self._target)}")
            case FellBack(target=target):
                self._note(f"{self.title}: {status_line(event, self._target)}")
                self._target, self.title = target, visible(str(target))
            case FieldDropped() | FieldIgnored() | CallAsText() | SchemaRetry() | Continuing():
                self._note(status_line(event, self._target))
            case StatusLine(text=text):
                self._note(text)
            case ChatEnded(answer=answer):
                self._end(answer)
            case ChatFailed():
                self._finish()
                self._status = f"{self.title} · failed"

    def resize(self, width: int) -> None:
        """Make the rows to come this wide."""
        self._reasoning.width = self._text.width = width

    def read(self) -> list[ScreenRow]:
        """Add what has become final to ``rows``; return what the open rest looks like."""
        if not self.open:
            return []
        for part in (self._reasoning, self._text):
            self.rows += part.final()
        return self._text.draft() if self._has_text else self._reasoning.draft()

    def status(self) -> str:
        """The line below the rows, about progress or the end."""
        if not self.open:
            return self._status
        now = time.monotonic()
        frame = SPINNER_FRAMES[int((now - self._since) / SPINNER_PERIOD) % len(SPINNER_FRAMES)]
        label = self._label
        if self._until is not None and self._until > now:
            label = f"{label} in {self._until - now:.0f} s"
        elif label == "thinking":
            label = f"thinking, about {estimated_tokens(self._reasoned)} tokens"
        elif label and now - self._since > 1:
            label = f"{label}, {now - self._since:.0f} s"
        return f"{frame} {self.title}" + (f" · {label}" if label else "")

    def _end(self, answer: Answer) -> None:
        self._finish()
        for line in attachment_lines(answer):
            self.rows += _styled(chop(line, self._text.width), self._look, self._look.sgr("faint"))
        if answer.verdict not in (Verdict.COMPLETE, Verdict.LENGTH):
            self._status = f"{answer.target} · {answer.verdict.value}"
        elif self._options.usage != "none":
            self._status = usage_line(answer, full=self._options.usage == "full", named=False)

    def _finish(self) -> None:
        if not self._has_text:
            self.rows += self._end_of_reasoning()
        self.rows += self._text.end()
        self.open = False

    def _end_of_reasoning(self) -> list[ScreenRow]:
        if not self._reasoned or self._options.reasoning == "hide":
            return []
        rows = self._reasoning.end()
        if self._options.reasoning == "summary":
            words = reasoning_summary(time.monotonic() - self._reasoning_since, self._reasoned)
            rows = _styled(chop(words, self._text.width), self._look, self._look.sgr("faint"))
        return [*rows, ScreenRow("", 0)]


class PlainRows:
    """Unchanged text in rows that break at ``width``, or between ``words``; control characters become visible."""

    def __init__(self, look: Look, width: int, *, sgr: str = "", words: bool = False) -> None:
        self.width = width
        self._look = look
        self._sgr = sgr
        self._words = words
        self._text = ""

    def feed(self, text: str) -> None:
        self._text += visible(text)

    def final(self) -> list[ScreenRow]:
        """The rows that have become final since the last call."""
        *lines, open_line = self._text.split("\n")
        rows = [part for line in lines for part in self._broken(line)]
        *full, self._text = self._broken(open_line)
        return _styled([*rows, *full], self._look, self._sgr)

    def draft(self) -> list[ScreenRow]:
        """The open rest; call it after ``final``."""
        return _styled(self._broken(self._text), self._look, self._sgr) if self._text else []

    def end(self) -> list[ScreenRow]:
        rows = [*self.final(), *self.draft()]
        self._text = ""
        return rows

    def _broken(self, line: str) -> list[str]:
        """The rows of a line; more text changes only the last one."""
        line = line.expandtabs(_TAB)
        if not self._words:
            return chop(line, self.width)
        return [line[start:end] for start, end in wrap(line, self.width)]


def _styled(texts: Sequence[str], look: Look, sgr: str) -> list[ScreenRow]:
    """A row for each text, in one style."""
    sgr = sgr if look.sgr("markdown.strong") else ""
    return [ScreenRow(look.paint(text, sgr) if text else "", cells(text)) for text in texts]
