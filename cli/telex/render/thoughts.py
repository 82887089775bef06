"""What a model thinks, on stderr: as it comes, as one line, or not at all; the answer is not shown here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from telex.console import visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from telex.console import Console
    from telex.render.wrapping import Flow

__all__ = ["Thoughts"]

_CHARACTERS_PER_TOKEN = 4
"""Only for saying "about": the server counts them, and says so after the answer, if at all."""


class Thoughts:
    """``mode`` is "show", "hide" or "summary"; segments may come before, between and after the answer's text."""

    def __init__(
        self, console: Console, mode: str = "show", *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console
        self.mode = mode
        self._clock = clock
        self._begun = 0.0
        self._characters = 0
        self._line_open = False
        self._flow: Flow | None = None
        self.active = False
        """Whether a segment is open: thoughts have come, and nothing else since."""

    def add(self, text: str) -> None:
        """Take a piece of a thought."""
        if not self.active:
            self.active = True
            self._begun = self._clock()
            self._characters = 0
            if self.mode == "show" and self._console.err_is_terminal:
                self._console.note("Thinking:")
        self._characters += len(text)
        if self.mode == "show":
            self._line_open = not text.endswith("\n")
            if self._console.err_is_terminal:
                from telex.render.wrapping import Flow

                self._flow = self._flow or Flow()
                text = self._flow.add(visible(text), self._console.width())
            self._console.err(text, dim=True)

    def end(self) -> None:
        """Something else follows: end the line, and say in one what was not shown."""
        if not self.active:
            return
        self.active = False
        if self._flow is not None:
            self._console.err(self._flow.end(), dim=True)
        if self.mode == "show":
            # On a terminal an empty line parts thoughts and answer, whatever the model ended on.
            self._console.err(
                ("\n" if self._line_open else "") + ("\n" if self._console.err_is_terminal else "")
            )
        elif self.mode == "summary":
            self._console.note(f"{self.describe()}.")

    def describe(self) -> str:
        """How long the open segment has lasted, and how much it is."""
        tokens = max(1, round(self._characters / _CHARACTERS_PER_TOKEN))
        return f"Thought for {self._clock() - self._begun:.1f} s, about {tokens} tokens"
