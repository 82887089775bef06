"""The answers of a loop shown as one: texts one behind the other, sums at the end; what is asked is not known here."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from provider_core.answer import AnswerBuilder, merge_answers
from provider_core.types import Text, Verdict

if TYPE_CHECKING:
    from provider_core.answer import Answer
    from provider_core.errors import CoreError
    from provider_core.events import ToolEvent
    from provider_core.types import AnswerEvent, Notice, Target
    from telex.render.show import Show

__all__ = ["AsOne"]


class AsOne:
    """A ``Show`` for which each answer is a part; ``finish`` ends the inner one."""

    def __init__(self, inner: Show, target: Target) -> None:
        self._inner = inner
        self._target = target
        self._answers: list[Answer] = []
        self._hint: str | None = None
        self._blanks: str | None = ""
        """What an answer has begun with, as long as there is nothing to see: many calls have an empty line before."""

    @property
    def unsaid(self) -> int:
        return self._inner.unsaid

    def connecting(self, target: Target) -> None:
        self._blanks = ""
        self._inner.connecting(target)

    def notice(self, notice: Notice) -> None:
        self._inner.notice(notice)

    def event(self, event: AnswerEvent) -> None:
        if isinstance(event, Text) and self._blanks is not None:
            self._blanks += event.text
            if not self._blanks.strip():
                return
            event, self._blanks = Text(text=self._blanks), None
        self._inner.event(event)

    def tool(self, event: ToolEvent) -> None:
        self._inner.tool(event)

    def aside(self, line: str) -> None:
        self._inner.aside(line)

    def pause(self) -> None:
        self._inner.pause()

    def close(self) -> None:
        self._inner.pause()

    def ended(self, answer: Answer, hint: str | None = None) -> None:
        self._answers.append(answer)
        self._hint = hint

    def failed(self, error: BaseException, hint: str | None = None) -> None:
        self._inner.failed(error, hint)

    def finish(self, error: CoreError | None, hint: str | None, *, stopped: bool = False) -> None:
        """Show the end of all. ``error`` is the loop's own; ``stopped`` says that it was ended from outside."""
        self._inner.close()
        answer = merge_answers(self._answers or [AnswerBuilder(self._target).answer(error)])
        if stopped:
            answer, hint = replace(answer, verdict=Verdict.INTERRUPTED, error=None), None
        elif answer.error is None:
            answer = replace(answer, error=error)
        elif self._answers:
            hint = self._hint
        self._inner.ended(answer, hint)
