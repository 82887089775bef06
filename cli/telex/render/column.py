"""One of several answers that stand side by side: its rows, and the line below them; nothing is printed here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

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
from telex.render import summary
from telex.render.markdown import Layout
from telex.render.rows import PlainRows, row
from telex.render.styles import FAINT
from telex.render.words import changed, retrying
from telex.render.wrapping import Row, chop

if TYPE_CHECKING:
    from collections.abc import Callable

    from provider_core.answer import Answer
    from provider_core.events import ToolEvent
    from provider_core.types import AnswerEvent, Notice, Target
    from telex.render.rows import Rows
    from telex.render.show import View
    from telex.render.styles import Look

__all__ = ["Column"]

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_PERIOD = 0.1
_CHARACTERS_PER_TOKEN = 4


class Column:
    """A ``Show``. ``rows`` are final and wait to be printed; ``open`` says whether any may follow."""

    unsaid = 0
    """Nothing: what was taken is painted in the end."""

    def __init__(
        self,
        title: str,
        target: Target | None,
        *,
        view: View,
        look: Look,
        width: int,
        aside: Callable[[str], None],
    ) -> None:
        self.title = visible(title)
        self.open = True
        self.rows: list[Row] = []
        self.aside = aside
        self._target = target
        self._view = view
        self._look = look
        self._thoughts = PlainRows(look, width, sgr=look.sgr(FAINT), words=True)
        self._text: Rows = Layout(look, width, narrow=True) if view.markdown else PlainRows(look, width)
        self._has_text = False
        self._thought = 0
        self._thinks_since = 0.0
        self._doing = "connecting"
        self._since = time.monotonic()
        self._until: float | None = None
        self._below = ""

    # --- what it is told ---------------------------------------------------------------------------------------

    def connecting(self, target: Target) -> None:
        pass

    def notice(self, notice: Notice) -> None:
        match notice:
            case Sent():
                self._doing, self._since, self._until = "waiting", time.monotonic(), None
            case Retrying(seconds=seconds):
                self._doing, self._until = "retry", time.monotonic() + seconds
                self.aside(f"{self.title}: {retrying(notice)}")
            case FieldDropped() | FieldIgnored() | CallAsText() if self._target is not None:
                self.aside(changed(self._target, notice))

    def event(self, event: AnswerEvent) -> None:
        match event:
            case Text(text=text):
                if not self._has_text:
                    self._has_text = True
                    self.rows += self._end_of_thoughts()
                self._doing = ""
                self._text.feed(text)
            case Reasoning(text=text):
                if not self._thought:
                    self._thinks_since = time.monotonic()
                self._doing = "thinking"
                self._thought += len(text)
                if self._view.reasoning == "show" and not self._has_text:
                    self._thoughts.feed(text)

    def tool(self, event: ToolEvent) -> None:
        pass

    def pause(self) -> None:
        pass

    def close(self) -> None:
        pass

    def ended(self, answer: Answer, hint: str | None = None) -> None:
        self._finish()
        if answer.sources or answer.images or answer.choices or answer.logprobs:
            from telex.render import extras

            for words in extras.lines(answer):
                self.rows += [
                    row(part, self._look, self._look.sgr(FAINT)) for part in chop(words, self._text.width)
                ]
        fine = answer.verdict in (Verdict.COMPLETE, Verdict.LENGTH)
        if fine and self._view.usage != "none":
            line = summary.full if self._view.usage == "full" else summary.short
            self._below = line(answer.target, answer.usage, answer.timing)
        elif not fine:
            self._below = f"{answer.target} · {answer.verdict.value}"

    def failed(self, error: BaseException, hint: str | None = None) -> None:
        self._finish()
        self._below = f"{self.title} · failed"

    # --- what it looks like --------------------------------------------------------------------------------------

    def resize(self, width: int) -> None:
        """Let the rows to come be this wide."""
        self._thoughts.width = self._text.width = width

    def read(self) -> list[Row]:
        """Add to ``rows`` what has become final; what is open looks like the rows that are returned."""
        if not self.open:
            return []
        for part in (self._thoughts, self._text):
            with part.whole_or_not_at_all():
                self.rows += part.final()
        return self._text.draft() if self._has_text else self._thoughts.draft()

    def status(self) -> str:
        """The line below the rows: what is done, or what has become of it."""
        if not self.open:
            return self._below
        now = time.monotonic()
        frame = _FRAMES[int((now - self._since) / _PERIOD) % len(_FRAMES)]
        doing = self._doing
        if self._until is not None and self._until > now:
            doing = f"{doing} in {self._until - now:.0f} s"
        elif doing == "thinking":
            doing = self._thinking()
        elif doing and now - self._since > 1:
            doing = f"{doing}, {now - self._since:.0f} s"
        return f"{frame} {self.title}" + (f" · {doing}" if doing else "")

    def _finish(self) -> None:
        """All is final."""
        if not self._has_text:
            self.rows += self._end_of_thoughts()
        with self._text.whole_or_not_at_all():
            self.rows += self._text.end()
        self.open = False

    def _end_of_thoughts(self) -> list[Row]:
        if not self._thought or self._view.reasoning == "hide":
            return []
        rows = self._thoughts.end()
        if self._view.reasoning == "summary":
            took = time.monotonic() - self._thinks_since
            text = f"Thought for {took:.1f} s, about {self._tokens()} tokens."
            rows = [row(part, self._look, self._look.sgr(FAINT)) for part in chop(text, self._text.width)]
        return [*rows, Row("", 0)]

    def _thinking(self) -> str:
        return f"thinking, about {self._tokens()} tokens"

    def _tokens(self) -> int:
        return max(1, round(self._thought / _CHARACTERS_PER_TOKEN))
