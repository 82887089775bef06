"""The first code block of an answer on stdout, once it is whole: for scripts that want the code and no words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.types import Reasoning, Text

if TYPE_CHECKING:
    from provider_core.types import AnswerEvent
    from telex.console import Console
    from telex.render.thoughts import Thoughts

__all__ = ["Block"]


class Block:
    """Takes the place of ``Plain``; an answer without a block is printed whole, and said so."""

    unsaid = 0

    def __init__(self, console: Console, thoughts: Thoughts) -> None:
        self._console = console
        self._thoughts = thoughts
        self._texts: list[list[str]] = [[]]
        """What was said, in parts between which tools were called."""

    def event(self, event: AnswerEvent) -> None:
        match event:
            case Text(text=text):
                self._thoughts.end()
                self._texts[-1].append(text)
            case Reasoning(text=text):
                self._thoughts.add(text)
            case _:
                pass

    def make_room(self) -> None:
        pass

    def pause(self) -> bool:
        """Go on with another part of the text; whether it is done with."""
        if self._texts[-1]:
            self._texts.append([])
        return False

    def close(self) -> None:
        """Print the block, with one newline at its end."""
        from telex.render.extract import first_block

        self._thoughts.end()
        parts = ["".join(part) for part in self._texts if part]
        self._texts = [[]]
        if not parts:
            return
        text = "\n".join(parts)
        # The last words are the answer; what was said before calls is how it came about.
        found = (first_block(part) for part in reversed(parts))
        block, certain = next(
            ((block, certain) for block, certain in found if block is not None), (None, True)
        )
        if block is None:
            self._console.note("No code block found; printing the whole answer.")
            block = text
        elif not certain:
            self._console.note(
                "The fences of the answer's code blocks are ambiguous: the first block may be longer than this."
            )
        self._console.out(block if block.endswith("\n") else block + "\n")
