"""One question from end to end: asked of a provider, shown as it comes, ended with the exit code it deserves."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provider_core.types import (
    FieldDropped,
    Finished,
    Reasoning,
    Retrying,
    Sent,
    Text,
    Timing,
    ToolCall,
    Usage,
    Verdict,
)
from telex.exits import ExitCode, Stop, code_and_hint
from telex.render.plain import Plain
from telex.render.thoughts import Thoughts
from telex.render.waiting import Waiting

if TYPE_CHECKING:
    from provider_core.types import Event, Notice, Request, Target
    from telex.context import App
    from telex.render.terminal import Terminal

__all__ = ["View", "ask"]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How an answer is shown."""

    markdown: bool = True
    """On a terminal; what is piped is left as it is, unless it is wanted ``markdown_anywhere``."""
    markdown_anywhere: bool = False
    reasoning: str = "show"
    usage: str = "none"
    """The line after the answer: "none", "short" or "full"."""
    code_theme: str | None = None


def ask(app: App, target: Target, request: Request, view: View) -> None:
    """Ask, and show the answer. Raises ``Stop`` unless it is complete, and what the core raises."""
    asking = _Asking(app, target, view)
    try:
        with app.reach(target) as (provider, key):
            asking.doing(f"connecting to {provider.name}")
            events: Any = app.client.chat(provider, request, key=key, notify=asking.notice)
            with contextlib.closing(events):
                for event in events:
                    asking.event(event)
    finally:
        asking.close()
    asking.conclude()


class _Asking:
    """What is known of the answer so far, and where it is shown."""

    def __init__(self, app: App, target: Target, view: View) -> None:
        self._app = app
        self._console = app.console
        self._target = target
        self._view = view
        self._thoughts = Thoughts(app.console, view.reasoning)
        self._renderer: Plain | Terminal | None = None
        self._usage: Usage | None = None
        self._calls: list[ToolCall] = []
        self._finished: Finished | None = None
        self._sent = time.monotonic()
        self._first_text: float | None = None
        self._ended: float | None = None
        self._waiting: Waiting | None = None

    def doing(self, what: str) -> None:
        """Say, if it takes long, what is waited for."""
        if self._waiting is None:
            self._waiting = Waiting(self._console, what)
        self._waiting.doing, self._waiting.until = what, None

    def notice(self, notice: Notice) -> None:
        """Take what the core says while it works."""
        match notice:
            case Sent():
                self._sent = time.monotonic()
                self.doing(f"waiting for {self._target.provider.name}")
                # The server is at work now: what showing its answer takes is imported meanwhile.
                self._show()
            case Retrying(error=error, seconds=seconds, attempt=attempt):
                self._aside(f"{error.message}; attempt {attempt} in {seconds:.1f} s")
                if self._waiting is not None:
                    self._waiting.doing, self._waiting.until = "retry", time.monotonic() + seconds
            case FieldDropped():
                self._aside(_dropped(self._target, notice))

    def event(self, event: Event) -> None:
        """Take one event of the answer."""
        match event:
            case Text():
                if self._first_text is None:
                    self._first_text = time.monotonic()
                self._stop_waiting()
            case Reasoning():
                if self._view.reasoning == "show":
                    self._stop_waiting()
                else:
                    self.doing("thinking")
            case Usage():
                self._usage = event
            case ToolCall():
                self._calls.append(event)
            case Finished():
                self._finished = event
                self._ended = time.monotonic()
                self._stop_waiting()
        self._show().event(event)

    def close(self) -> None:
        """Leave the terminal in order, whatever has happened."""
        self._stop_waiting()
        if self._renderer is not None:
            self._renderer.close()

    def conclude(self) -> None:
        """Say on stderr what is to be said of the answer's end, and stop with its exit code."""
        finished = self._finished
        if finished is None:
            return
        if self._view.usage != "none":
            from telex.render import summary

            line = summary.full if self._view.usage == "full" else summary.short
            self._console.note(line(self._target, self._usage, self._timing()))
        match finished.verdict:
            case Verdict.COMPLETE:
                if self._calls:
                    names = ", ".join(dict.fromkeys(call.name or "?" for call in self._calls))
                    self._console.note(
                        f"The model asked for a tool ({names}), and this chat has none to run."
                    )
                return
            case Verdict.LENGTH:
                answered = self._renderer is not None and self._renderer.has_text
                what = "The answer ends at" if answered else "No answer came: thinking took all of"
                self._console.note(f"{what} the token limit (--max-tokens raises it).")
                return
            case _:
                pass
        code, hint = ExitCode.PROVIDER, None
        message = f"the answer is {finished.verdict.value}"
        if finished.error is not None:
            message = finished.error.message
            code, hint = code_and_hint(finished.error, self._app.known(finished.error.provider))
        if finished.verdict in (Verdict.PARTIAL, Verdict.FILTERED, Verdict.EMPTY):
            code = ExitCode.PROVIDER
        self._console.error(message, hint)
        raise Stop(code)

    def _timing(self) -> Timing:
        first, ended = self._first_text, self._ended
        return Timing(
            first_text=first - self._sent if first is not None else None,
            total=ended - self._sent if ended is not None else None,
        )

    def _show(self) -> Plain | Terminal:
        """The renderer, made when it is first needed."""
        if self._renderer is None:
            self._renderer = self._markdown() or Plain(self._console, self._thoughts)
        return self._renderer

    def _markdown(self) -> Terminal | None:
        view, console = self._view, self._console
        if not view.markdown or not (console.out_is_terminal or view.markdown_anywhere):
            return None
        from telex.render.markdown import Colour, surface
        from telex.render.terminal import Terminal

        colour = surface(self._app.environ, is_terminal=console.out_is_terminal)
        if colour is None and console.out_is_terminal:
            return None  # a terminal that knows no sequences
        return Terminal(console, self._thoughts, colour=colour or Colour.NONE, code_theme=view.code_theme)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.stop()

    def _aside(self, line: str) -> None:
        if self._waiting is None:
            self._console.note(line)
            return
        with self._waiting.aside():
            self._console.note(line)


def _dropped(target: Target, notice: FieldDropped) -> str:
    match notice.field, notice.swapped_for:
        case "system", "user":
            change = "takes no system message: it stands before the prompt"
        case "roles", _:
            change = "wants roles to take turns: neighbouring messages are joined"
        case field, None:
            change = f"does not take {field}: it is left out"
        case field, other:
            change = f"does not take {field}: it is sent as {other}"
    when = ", as it was before" if notice.remembered else ", now and from now on" if notice.lasting else ""
    return f"{target} {change}{when}."
