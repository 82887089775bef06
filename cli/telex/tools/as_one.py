"""The answers of a loop shown as one: texts one behind the other, sums at the end; what is asked is not known here."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from provider_core.answer import AnswerBuilder, merge_answers
from provider_core.events import ChatEnded, Connecting, RequestStarted
from provider_core.types import Text, Verdict

if TYPE_CHECKING:
    from provider_core.answer import Answer
    from provider_core.errors import CoreError
    from provider_core.events import Event
    from provider_core.types import Target
    from telex.render.renderer import CommandEvent, Renderer

__all__ = ["AsOne"]


class AsOne:
    """Wraps a renderer; each answer is a part, and ``finish`` ends the turn."""

    def __init__(self, inner: Renderer, target: Target) -> None:
        self._inner = inner
        self._target = target
        self._answers: list[Answer] = []
        self._blanks: str | None = ""
        """What an answer has begun with, as long as there is nothing to see: many calls have an empty line before."""

    def handle(self, event: Event | CommandEvent) -> None:
        match event:
            case Text(text=text) if self._blanks is not None:
                self._blanks += text
                if self._blanks.strip():
                    event, self._blanks = Text(text=self._blanks), None
                    self._inner.handle(event)
            case ChatEnded(answer=answer):
                self._answers.append(answer)
            case _:
                if isinstance(event, Connecting | RequestStarted):
                    self._blanks = ""
                self._inner.handle(event)

    def finish(self, error: CoreError | None, *, stopped: bool = False) -> None:
        """Show the end of all. ``error`` is the loop's own; ``stopped`` says that it was ended from outside."""
        answer = merge_answers(self._answers or [AnswerBuilder(self._target).answer(error)])
        if stopped:
            answer = replace(answer, verdict=Verdict.INTERRUPTED, error=None)
        elif answer.error is None:
            answer = replace(answer, error=error)
        self._inner.handle(ChatEnded(answer=answer))
