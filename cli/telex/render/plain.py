"""The answer as plain text on stdout, each piece as it comes; nothing is parsed or laid out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.types import Reasoning, Text

if TYPE_CHECKING:
    from provider_core.types import AnswerEvent
    from telex.console import Console
    from telex.render.thoughts import Thoughts

__all__ = ["Plain"]


class Plain:
    """In a pipe: the answer byte for byte, and one newline behind it. On a terminal, control characters show."""

    def __init__(self, console: Console, thoughts: Thoughts) -> None:
        self._console = console
        self._thoughts = thoughts
        self._last: str | None = None
        self._line_open = False

    @property
    def unsaid(self) -> int:
        """How many characters of the last text were not written."""
        return 0 if self._last is None else self._console.unwritten(self._last)

    def event(self, event: AnswerEvent) -> None:
        """Show one event."""
        match event:
            case Text(text=text):
                self._last = text
                self._thoughts.end()
                self._line_open = True
                self._console.out(text)
                self._last = None
            case Reasoning(text=text):
                if not self._thoughts.active:
                    self.make_room()
                self._thoughts.add(text)
            case _:
                pass

    def make_room(self) -> None:
        """Let what comes next begin a line: on a terminal both streams share the screen."""
        if self._line_open and self._console.out_is_terminal:
            self._line_open = False
            self._console.out("\n")

    def pause(self) -> bool:
        """End the line, as something else follows; whether it is done with."""
        self.close()
        return True

    def close(self) -> None:
        """End the last line; an answer that was cut short ends here too."""
        self._thoughts.end()
        if self._line_open:
            self._line_open = False
            self._console.out("\n")
