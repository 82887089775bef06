"""The answer as plain text on stdout, each piece as it comes; nothing is parsed or laid out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.types import Reasoning, Text

if TYPE_CHECKING:
    from provider_core.types import Event
    from telex.console import Console
    from telex.render.thoughts import Thoughts

__all__ = ["Plain"]


class Plain:
    """In a pipe: the answer byte for byte, and one newline behind it. On a terminal, control characters show."""

    def __init__(self, console: Console, thoughts: Thoughts) -> None:
        self._console = console
        self._thoughts = thoughts
        self.has_text = False
        """Whether any of the answer itself was shown."""
        self.unsaid = 0
        """How many characters of the last text were not written."""
        self._line_open = False

    def event(self, event: Event) -> None:
        """Show one event."""
        match event:
            case Text(text=text):
                self.unsaid = len(text)
                self._thoughts.end()
                self.has_text = True
                self._line_open = True
                try:
                    self._console.out(text)
                except BaseException:
                    self.unsaid = self._console.unwritten(text)
                    raise
                self.unsaid = 0
            case Reasoning(text=text):
                # On a terminal both streams share the screen: thoughts begin on a line of their own.
                if self._line_open and self._console.out_is_terminal and not self._thoughts.active:
                    self._console.out("\n")
                    self._line_open = False
                self._thoughts.add(text)
            case _:
                pass

    def close(self) -> None:
        """End the last line; an answer that was cut short ends here too."""
        self._thoughts.end()
        if self._line_open:
            self._line_open = False
            self._console.out("\n")
