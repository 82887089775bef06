"""What telex prints: answers, lists and reports. Every renderer of answers shows the events of a chat turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from provider_core.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Callable

    from provider_core.events import Event

Format: TypeAlias = Literal["text", "json", "jsonl", "extract"]

Explain: TypeAlias = "Callable[[Exception], str | None]"
"""Returns the hint for an error: what to do about it, if anything."""


class RenderOptions(Struct):
    """How to show answers."""

    format: Format = "text"
    """"json" is one object at the end, "jsonl" an object for each event, "extract" the first code block."""
    markdown: bool = True
    """Render Markdown on a terminal."""
    markdown_anywhere: bool = False
    """Render Markdown in pipes and files too."""
    reasoning: str = "show"
    """"show", "summary" (one line) or "hide"."""
    usage: str = "none"
    """The line after the answer: "none", "short" or "full"."""
    code_theme: str | None = None
    quiet: bool = False
    """Omit lines about tool calls, sources and images."""
    shows_cost: bool = False
    """Whether what an answer costs is shown, so that it has to be known."""


class StatusLine(Struct):
    """A line for stderr, without its newline."""

    text: str


class Paused(Struct):
    """Something else will be printed or asked now. The answer may continue afterwards."""


class ChatFailed(Struct):
    """No request could be made, because of an error or a signal. It is the only event then."""

    error: BaseException


CommandEvent: TypeAlias = StatusLine | Paused | ChatFailed
"""Events that the command line adds to those of the core."""


class Renderer(Protocol):
    """Shows one chat turn. The last event is ``ChatEnded`` or ``ChatFailed``."""

    def handle(self, event: Event | CommandEvent) -> None: ...


class MultiRenderer(Protocol):
    """Shows the turns of several models; ``index`` is the place of the model on the command line."""

    def handle(self, index: int, event: Event | CommandEvent) -> None: ...

    def tick(self) -> None:
        """Repaint if it is time to; called after each event and ten times a second."""
        return
