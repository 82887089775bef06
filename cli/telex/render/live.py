"""An answer for people, as it comes: a spinner, thoughts, text and the line after it, each on its stream."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from provider_core.types import (
    CallAsText,
    FieldDropped,
    FieldIgnored,
    Idle,
    Reasoning,
    Retrying,
    Sent,
    Text,
    Verdict,
)
from telex.render.thoughts import Thoughts
from telex.render.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from provider_core.answer import Answer
    from provider_core.events import ToolEvent
    from provider_core.types import AnswerEvent, Notice, Target
    from telex.app import App
    from telex.render.block import Block
    from telex.render.plain import Plain
    from telex.render.show import View
    from telex.render.terminal import Terminal

__all__ = ["Live"]


class Live:
    """A ``Show``: text on stdout, everything else on stderr. ``clock`` times the thoughts."""

    def __init__(
        self, app: App, view: View, *, title: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``title`` is the answer's name in notes, where there are several answers."""
        self._title = title
        self._app = app
        self._console = app.console
        self._view = view
        self._thoughts = Thoughts(app.console, view.reasoning, clock=clock)
        self._text: Plain | Terminal | Block | None = None
        self._waiting: Waiting | None = None
        self._target: Target | None = None
        self._running: list[str] = []
        """The tools that run, the first of them since ``_began``."""
        self._began = 0.0

    @property
    def unsaid(self) -> int:
        return self._text.unsaid if self._text is not None else 0

    def connecting(self, target: Target) -> None:
        self._target = target
        self.doing(f"connecting to {target.provider.name}")

    def doing(self, what: str) -> None:
        """Say, if it takes long, what is waited for."""
        if self._waiting is None:
            self._waiting = Waiting(self._console, what)
        self._waiting.doing, self._waiting.until = what, None

    def notice(self, notice: Notice) -> None:
        match notice:
            case Sent():
                self.doing(f"waiting for {self._target.provider.name if self._target else 'the answer'}")
            case Idle():
                # The server is at work now: what showing its answer takes is imported meanwhile.
                self._shown(ask=True)
            case Retrying(seconds=seconds):
                from telex.render.words import retrying

                self.aside(retrying(notice))
                if self._waiting is not None:
                    self._waiting.wait("retry", seconds)
            case FieldDropped() | FieldIgnored() | CallAsText() if self._target is not None:
                from telex.render.words import changed

                if not isinstance(notice, FieldDropped):
                    self.pause()  # it is about the answer, which has ended
                self.aside(changed(self._target, notice))

    def event(self, event: AnswerEvent) -> None:
        match event:
            case Text():
                self._stop_waiting()
            case Reasoning():
                if self._view.reasoning == "show":
                    self._stop_waiting()
                else:
                    self.doing("thinking")
        self._shown().event(event)

    def tool(self, event: ToolEvent) -> None:
        from provider_core.events import ToolEnded, ToolProgress
        from telex.render import calls

        if isinstance(event, ToolProgress):
            if self._waiting is not None and self._running:
                self._waiting.doing = f"{calls.running(self._running)}: {calls.progress(event)}"
            return
        self.pause()
        if not isinstance(event, ToolEnded):
            self._began = self._began if self._running else time.monotonic()
            self._running.append(event.planned.name)
        else:
            if event.planned is not None and event.planned.name in self._running:
                self._running.remove(event.planned.name)
            if self._view.tools:
                self.aside(calls.ended(event))
        if self._running:
            self.doing(calls.running(self._running))
            if self._waiting is not None:
                # It is not the model that is waited for: who it is, is said at once.
                self._waiting.since, self._waiting.patience = self._began, 0.0
        else:
            self.doing("asking for the tools that there are now")

    def pause(self) -> None:
        self._stop_waiting()
        self._waiting = None  # one that was stopped stays so
        if self._text is not None and self._text.pause():
            self._text = None

    def close(self) -> None:
        self._stop_waiting()
        if self._text is not None:
            self._text.close()

    def ended(self, answer: Answer, hint: str | None = None) -> None:
        if not self._app.quiet and (answer.sources or answer.images or answer.choices or answer.logprobs):
            from telex.render import extras

            for words in extras.lines(answer, self._title):
                self._console.note(words)
        if self._view.usage == "none" or answer.verdict is Verdict.INTERRUPTED:
            return
        if answer.finish or answer.verdict is Verdict.COMPLETE:
            from telex.render import summary

            line = summary.full if self._view.usage == "full" else summary.short
            self._console.note(line(answer.target, answer.usage, answer.timing))

    def failed(self, error: BaseException, hint: str | None = None) -> None:
        pass  # whoever ends the command says it on stderr

    def aside(self, line: str) -> None:
        """A line on stderr, beside whatever is shown there."""
        if self._thoughts.active and self._thoughts.mode == "show":
            self._thoughts.end()
        if self._text is not None:
            self._text.make_room()
        if self._waiting is None:
            self._console.note(line)
            return
        with self._waiting.aside():
            self._console.note(line)

    def _shown(self, *, ask: bool = False) -> Plain | Terminal | Block:
        """Where the text goes, made when it is first needed; while the server works there is time to ``ask``."""
        if self._text is None:
            self._text = self._made(ask=ask)
        return self._text

    def _made(self, *, ask: bool) -> Plain | Terminal | Block:
        view, console = self._view, self._console
        if view.format == "extract":
            from telex.render.block import Block

            return Block(console, self._thoughts)
        if view.markdown and (console.out_is_terminal or view.markdown_anywhere):
            from telex.render.styles import Colour, Look, look_for
            from telex.render.terminal import Terminal

            look = look_for(console, self._app.runtime.environ, view.code_theme, ask=ask)
            if look is None and not console.out_is_terminal:
                look = Look(colour=Colour.NONE)
            if look is not None:
                return Terminal(console, self._thoughts, look=look)
        from telex.render.plain import Plain

        return Plain(console, self._thoughts)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.stop()
