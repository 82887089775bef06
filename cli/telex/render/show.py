"""What an answer is shown by: the one shape of every output format, and the choice among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from provider_core.structs import Struct

if TYPE_CHECKING:
    from provider_core.answer import Answer
    from provider_core.events import ToolEvent
    from provider_core.types import AnswerEvent, Notice, Target
    from telex.app import App

__all__ = ["Format", "Show", "View", "show_for"]

Format: TypeAlias = Literal["text", "json", "jsonl", "extract"]


class View(Struct):
    """How an answer is shown."""

    format: Format = "text"
    """"text" as it comes; "json" as one object at the end, "jsonl" as one a piece; "extract" is its first block."""
    markdown: bool = True
    """On a terminal; what is piped is left as it is, unless it is wanted ``markdown_anywhere``."""
    markdown_anywhere: bool = False
    reasoning: str = "show"
    usage: str = "none"
    """The line after the answer: "none", "short" or "full"."""
    code_theme: str | None = None
    tools: bool = True
    """Whether there is a line about each call of a tool."""


class Show(Protocol):
    """Is told of everything in the order in which it happens; ``ended`` or ``failed`` is the last, and called once."""

    @property
    def unsaid(self) -> int:
        """How many characters of the last text could not be written: whoever read them went away."""

    def connecting(self, target: Target) -> None:
        """A request is about to be made."""

    def notice(self, notice: Notice) -> None:
        """Something happens that is no part of the answer."""

    def event(self, event: AnswerEvent) -> None:
        """A piece of the answer."""

    def aside(self, line: str) -> None:
        """A line on stderr about what happens, beside whatever is shown there."""

    def tool(self, event: ToolEvent) -> None:
        """A tool's call runs, reports its progress, or has ended."""

    def pause(self) -> None:
        """What follows is no part of the answer's text, which may go on afterwards."""

    def close(self) -> None:
        """Leave the terminal in order. It may be called again."""

    def ended(self, answer: Answer, hint: str | None = None) -> None:
        """The answer is all there is; ``hint`` says what to do about its error."""

    def failed(self, error: BaseException, hint: str | None = None) -> None:
        """Nothing could be asked, because of an error or a signal; it takes the place of everything else."""


def show_for(app: App, view: View) -> Show:
    """The show for ``view``; what it takes is imported here, and nothing else."""
    match view.format:
        case "json":
            from telex.render.json import Json

            return Json(app.console)
        case "jsonl":
            from telex.render.jsonl import JsonLines

            return JsonLines(app.console)
        case _:
            from telex.render.live import Live

            return Live(app, view)
