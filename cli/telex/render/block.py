"""The first code block of an answer on stdout, once it is whole: for scripts that want the code and no words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.types import Reasoning, Text

if TYPE_CHECKING:
    from provider_core.types import Event
    from telex.console import Console
    from telex.render.thoughts import Thoughts

__all__ = ["Block"]


class Block:
    """Takes the place of ``Plain``; an answer without a block is printed whole, and said so."""

    unsaid = 0

    def __init__(self, console: Console, thoughts: Thoughts) -> None:
        self._console = console
        self._thoughts = thoughts
        self._text: list[str] = []

    def event(self, event: Event) -> None:
        match event:
            case Text(text=text):
                self._thoughts.end()
                self._text.append(text)
            case Reasoning(text=text):
                self._thoughts.add(text)
            case _:
                pass

    def make_room(self) -> None:
        pass

    def pause(self) -> bool:
        """Go on with the text on a line of its own; whether it is done with."""
        if self._text:
            self._text.append("\n")
        return False

    def close(self) -> None:
        """Print the block, with one newline at its end."""
        from telex.render.extract import first_block

        self._thoughts.end()
        text = "".join(self._text)
        self._text.clear()
        if not text:
            return
        block = first_block(text)
        if block is None:
            self._console.note("The answer has no code block: this is all of it.")
            block = text
        self._console.out(block if block.endswith("\n") else block + "\n")
