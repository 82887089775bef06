"""A conversation while it goes on: what has been said, with whom, and how the next turn is asked for."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from provider_core.answer import append_messages
from provider_core.types import Message, Verdict
from telex.ask import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from provider_core.answer import Answer
    from provider_core.types import Part, Request, Target
    from telex.app import App
    from telex.chat.history_recorder import HistoryRecorder
    from telex.render.renderer import Renderer
    from telex.tools import ToolServers

__all__ = ["Dialogue"]


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
        recorder: HistoryRecorder | None = None,
        messages: Iterable[Message] = (),
        toolset: ToolServers | None = None,
    ) -> None:
        self._app = app
        self.target = target
        self.request = request
        self.recorder = recorder
        self.messages = tuple(messages)
        self.toolset = toolset

    def next(self, content: str | tuple[Part, ...], *, system: str | None = None) -> Request:
        """The request for one more turn, which is not asked for yet."""
        # Only results of tools are sent according to it: a plain chat needs no list of models for that.
        tools = self.toolset is not None or any(message.role == "tool" for message in self.messages)
        return replace(
            self.request,
            model=self.target.model,
            messages=append_messages(self.messages, _new(content, system)),
            reads_images=tools and self._app.runtime.catalog.reads_images(self.target),
        )

    def ask(
        self,
        content: str | tuple[Part, ...],
        show: Renderer,
        *,
        system: str | None = None,
        watch: Callable[[str, str], None] | None = None,
    ) -> Answer:
        """One more turn; raises as ``ask.ask`` does.

        What was said counts from then on, an answer that was broken off too, unless no answer came.
        """
        request = self.next(content, system=system)

        def said(asked: Request, answer: Answer) -> None:
            if answer.text or answer.verdict is Verdict.COMPLETE:
                self.messages = (*asked.messages, answer.message())
            elif asked.messages[-1].role == "tool":  # what calls have brought is there all the same
                self.messages = asked.messages

        if self.toolset is not None:
            from telex.tools import ask_with_tools

            return ask_with_tools(
                self._app,
                self.target,
                request,
                show,
                self.toolset,
                recorder=self.recorder,
                new=_new(content, system),
                watch=watch,
                said=said,
            )
        return ask(
            self._app,
            self.target,
            request,
            show,
            recorder=self.recorder,
            new=_new(content, system),
            watch=watch,
            ended=partial(said, request),
        )


def _new(content: str | tuple[Part, ...], system: str | None) -> tuple[Message, ...]:
    first = (Message(role="system", content=system),) if system is not None else ()
    return (*first, Message(role="user", content=content))
