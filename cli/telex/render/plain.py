"""The answer as plain text on stdout, reasoning dim on stderr; nothing is parsed or laid out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.types import Finished, Reasoning, Text

if TYPE_CHECKING:
    from provider_core.types import Event
    from telex.console import Console

__all__ = ["Plain"]


class Plain:
    """Writes each piece as it comes: byte for byte, and one newline after the answer."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._in_reasoning = False
        self.has_text = False
        """Whether any of the answer itself was shown."""
        self._ended = False
        self._line_open = False

    def event(self, event: Event) -> None:
        """Show one event."""
        match event:
            case Text(text=text):
                self._leave_reasoning()
                self.has_text = True
                self._line_open = not text.endswith("\n")
                self._console.out(text)
            case Reasoning(text=text):
                if not self._in_reasoning:
                    # On a terminal both streams share the screen: reasoning starts on a line of its own.
                    if self._line_open and self._console.out_is_terminal:
                        self._console.out("\n")
                        self._line_open = False
                    self._in_reasoning = True
                self._console.err(text, dim=True)
            case Finished():
                self.close()
            case _:
                pass

    def close(self) -> None:
        """End the answer's last line; whatever was cut short ends here too."""
        self._leave_reasoning()
        if self.has_text and not self._ended:
            self._ended = True
            self._console.out("\n")

    def _leave_reasoning(self) -> None:
        if self._in_reasoning:
            self._in_reasoning = False
            self._console.err("\n\n" if self._console.err_is_terminal else "\n")
