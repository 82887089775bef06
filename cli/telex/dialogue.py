"""A conversation while it goes on: what has been said, with whom, and how the next turn is asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from provider_core.types import Message, Verdict
from telex.ask import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from provider_core.answer import Answer
    from provider_core.types import Part, Request, Target
    from telex.context import App
    from telex.keeping import Keeping
    from telex.render.show import Show

__all__ = ["Dialogue", "following"]


class Dialogue:
    """``target`` and ``request`` may be set anew between turns; the request's messages are not looked at.

    ``messages`` are all turns so far, as the next request holds them.
    """

    def __init__(
        self,
        app: App,
        target: Target,
        request: Request,
        *,
        keeping: Keeping | None = None,
        messages: Iterable[Message] = (),
    ) -> None:
        self._app = app
        self.target = target
        self.request = request
        self.keeping = keeping
        self.messages = tuple(messages)

    def next(self, content: str | tuple[Part, ...], *, system: str | None = None) -> Request:
        """The request for one more turn, which is not asked for yet."""
        return replace(
            self.request,
            model=self.target.model,
            messages=following(self.messages, _new(content, system)),
        )

    def ask(
        self,
        content: str | tuple[Part, ...],
        show: Show,
        *,
        system: str | None = None,
        watch: Callable[[str, str], None] | None = None,
    ) -> Answer:
        """One more turn. What was said counts from then on, unless no answer came; raises as ``ask.ask`` does."""
        request = self.next(content, system=system)
        answer = ask(
            self._app,
            self.target,
            request,
            show,
            keeping=self.keeping,
            new=_new(content, system),
            watch=watch,
        )
        if answer.text or answer.verdict is Verdict.COMPLETE:
            self.messages = (*request.messages, answer.message())
        return answer


def following(earlier: Iterable[Message], new: Iterable[Message]) -> tuple[Message, ...]:
    """All messages in their order, with the last system message first and no other one."""
    every = (*earlier, *new)
    system = [message for message in every if message.role == "system"][-1:]
    return (*system, *(message for message in every if message.role != "system"))


def _new(content: str | tuple[Part, ...], system: str | None) -> tuple[Message, ...]:
    first = (Message(role="system", content=system),) if system else ()
    return (*first, Message(role="user", content=content))
