"""Several answers one below the other, each under its model's name; while one is shown, the others come."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from provider_core.types import Text
from telex.render.live import Live

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provider_core.answer import Answer
    from provider_core.events import ToolEvent
    from provider_core.types import AnswerEvent, Notice, Target
    from telex.app import App
    from telex.render.show import Show, View

__all__ = ["Sections"]


class Sections:
    """In a pipe it is Markdown: a heading and an answer, with a blank line between all."""

    def __init__(self, app: App, view: View, names: Sequence[str], tell: Callable[[int], None]) -> None:
        self._app = app
        self._view = view
        self._names = names
        self._tell = tell
        self._sections: list[_Section] = []
        self._shown = -1
        self._then: float | None = None

    def begin(self, targets: Sequence[Target | None]) -> Sequence[Show]:
        for name, target in zip(self._names, targets, strict=True):
            self._sections.append(_Section(self, str(target or name), target))
        self._next()
        return self._sections

    def tick(self) -> None:
        pass

    def failed(self, error: BaseException, hint: str | None = None) -> None:
        pass  # whoever ends the command says it on stderr

    def end(self) -> None:
        pass

    def head(self, title: str) -> Live:
        """Begin with the line that holds the model's name; what shows the answer below it."""
        console = self._app.console
        before = "\n" if self._shown else ""
        if console.out_is_terminal:
            bold, off = ("\x1b[1m", "\x1b[m") if console.out_has_colour else ("", "")
            console.raw_out(f"{before}{bold}")
            console.out(title)
            console.raw_out(f"{off}\n\n")
        else:
            console.out(f"{before}## {title}\n")
            if self._view.reasoning == "show" and console.err_is_terminal:
                console.note(f"{title}:")
        return Live(self._app, self._view, title=title, clock=self._clock)

    def blank(self) -> None:
        """Part the heading from the text."""
        if not self._app.console.out_is_terminal:
            self._app.console.out("\n")

    def catch_up(self, told: Sequence[tuple[float, Callable[[], None]]]) -> None:
        """Show what came earlier as if it came now; thoughts have lasted as long as they did."""
        try:
            for self._then, tell in told:
                tell()
        finally:
            self._then = None

    def over(self) -> None:
        """The answer that is shown has ended: it is the next one's turn."""
        self._tell(self._shown)
        self._next()

    def _next(self) -> None:
        self._shown += 1
        if self._shown < len(self._sections):
            self._sections[self._shown].show()

    def _clock(self) -> float:
        return time.monotonic() if self._then is None else self._then


class _Section:
    """A ``Show`` that holds back what it is told until it is its turn."""

    def __init__(self, together: Sections, title: str, target: Target | None) -> None:
        self._together = together
        self._title = title
        self._target = target
        self._told: list[tuple[float, Callable[[], None]]] = []
        self._live: Live | None = None
        self._has_text = False
        self._coming = 0

    @property
    def unsaid(self) -> int:
        """Nothing while it waits: what comes meanwhile is shown in its turn."""
        return self._coming or (self._live.unsaid if self._live is not None else 0)

    def show(self) -> None:
        """It is its turn: catch up, and go on as it comes."""
        self._live = self._together.head(self._title)
        if self._target is not None:
            self._live.connecting(self._target)
        told, self._told = self._told, []
        self._together.catch_up(told)

    def connecting(self, target: Target) -> None:
        pass  # it is said when it is its turn

    def notice(self, notice: Notice) -> None:
        if self._live is None:
            self._later(partial(self.notice, notice))
        else:
            self._live.notice(notice)

    def event(self, event: AnswerEvent) -> None:
        if self._live is None:
            self._later(partial(self.event, event))
            return
        if isinstance(event, Text) and not self._has_text:
            self._has_text = True
            self._coming = len(event.text)
            self._together.blank()
            self._coming = 0
        self._live.event(event)

    def aside(self, line: str) -> None:
        if self._live is None:
            self._later(partial(self.aside, line))
        else:
            self._live.aside(line)

    def tool(self, event: ToolEvent) -> None:
        if self._live is None:
            self._later(partial(self.tool, event))
        else:
            self._live.tool(event)

    def pause(self) -> None:
        if self._live is None:
            self._later(self.pause)
        else:
            self._live.pause()

    def close(self) -> None:
        if self._live is None:
            self._later(self.close)
        else:
            self._live.close()

    def ended(self, answer: Answer, hint: str | None = None) -> None:
        if self._live is None:
            self._later(partial(self.ended, answer, hint))
        else:
            self._live.ended(answer, hint)
            self._together.over()

    def failed(self, error: BaseException, hint: str | None = None) -> None:
        if self._live is None:
            self._later(partial(self.failed, error, hint))
        else:
            self._live.failed(error, hint)
            self._together.over()

    def _later(self, tell: Callable[[], None]) -> None:
        self._told.append((time.monotonic(), tell))
