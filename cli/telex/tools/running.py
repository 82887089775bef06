"""A turn with tools: its requests one after another, each a turn of the history, and their calls in between."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from provider_core.answer import AnswerBuilder
from provider_core.chat._agent import agent
from provider_core.errors import CoreError, ToolRefusedError
from provider_core.events import Connecting, RequestStarted, ToolEnded, ToolProgress, ToolStarted
from provider_core.types import Finished, Image, Reasoning, Sources, Text, ToolCall, Usage
from telex.ask import Turn
from telex.chat.approval import Approver
from telex.console import OutputClosed, OutputError
from telex.exit_codes import internal_error
from telex.humanize import plural
from telex.render import calls
from telex.render.renderer import Paused
from telex.signals import Interrupts, Terminated
from telex.tools.as_one import AsOne
from telex.tools.terminal import TerminalPrompt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provider_core.answer import Answer
    from provider_core.events import Event, ToolEvent
    from provider_core.types import Message, Notice, Request, Target
    from telex.app import App
    from telex.chat.history_recorder import HistoryRecorder
    from telex.chat.mcp_servers import ToolServers
    from telex.render.renderer import Renderer

__all__ = ["ask_with_tools"]


def ask_with_tools(
    app: App,
    target: Target,
    request: Request,
    show: Renderer,
    toolset: ToolServers,
    *,
    recorder: HistoryRecorder | None = None,
    new: Sequence[Message] = (),
    watch: Callable[[str, str], None] | None = None,
    said: Callable[[Request, Answer], None],
) -> Answer:
    """As ``ask.ask``, for as many requests as the model's calls take; each is a turn of the history.

    ``said`` is told of each answer with its request. Returns the last answer; its error is
    ``ToolRefusedError`` if it is complete and calls were refused.
    """
    with Interrupts() as interrupts, contextlib.closing(TerminalPrompt(app.console)) as questions:
        approve = Approver(app, questions, toolset.standing, pause=lambda: show.handle(Paused()))
        loop = _Loop(
            app,
            target,
            show,
            interrupts=interrupts,
            recorder=recorder,
            new=new,
            request=request,
            said=said,
            refused=approve.refused,
        )
        try:
            loop.one.handle(Connecting(target=target))
            with app.open_provider(target) as opened:
                events = agent(
                    opened.client,
                    opened.provider,
                    replace(request, tool_choice=toolset.choice),
                    key=opened.key,
                    toolboxes=toolset.toolboxes,
                    approve=approve,
                    max_turns=toolset.max_turns,
                    notify=loop.notice,
                    on_limit=lambda turns: _more(questions, show, target, turns),
                    watch=watch,
                )
                with contextlib.closing(events):
                    for event in events:
                        loop.event(event)
        except CoreError as error:
            loop.over(error)
            raise
        except (KeyboardInterrupt, Terminated, OutputClosed, OutputError):
            loop.over(stopped=True)
            raise
        except Exception as error:
            loop.over(internal_error(error))
            raise
        return loop.over()


class _Loop:
    """What has come of the requests so far; ``one`` is what they are shown by."""

    def __init__(
        self,
        app: App,
        target: Target,
        show: Renderer,
        *,
        interrupts: Interrupts,
        recorder: HistoryRecorder | None,
        new: Sequence[Message],
        request: Request,
        said: Callable[[Request, Answer], None],
        refused: Sequence[str],
    ) -> None:
        self.one = AsOne(show, target)
        self._app = app
        self._target = target
        self._interrupts = interrupts
        self._keeping = recorder
        self._new = new
        self._request = request
        self._said = said
        self._turn: Turn | None = None
        self._answer: Answer | None = None
        self._results: dict[str, Message] = {}
        """What the last answer's calls have brought so far."""
        self._not_allowed: list[str] = []
        self._refused = refused

    def notice(self, notice: Notice) -> None:
        if self._turn is not None:
            self._turn.notice(notice)

    def event(self, event: Event) -> None:
        match event:
            case RequestStarted(number=number, request=request):
                if number > 1:
                    self.one.handle(event)
                self._asking(number, request)
            case ToolStarted() | ToolProgress():
                self._show_tool(event)
            case ToolEnded(call=call, error=error):
                self._results[call.id] = event.message()
                if isinstance(error, ToolRefusedError):
                    self._not_allowed += error.names
                self._show_tool(event)
            case Finished() if self._turn is not None:
                turn, self._turn = self._turn, None
                turn.event(event)
                self._answer = turn.over()
                self._results.clear()
            case Text() | Reasoning() | ToolCall() | Sources() | Image() | Usage() if self._turn is not None:
                self._turn.event(event)

    def over(self, error: CoreError | None = None, *, stopped: bool = False) -> Answer:
        """End it all, whatever of it was still going on; the last answer."""
        if self._turn is not None:
            turn, self._turn = self._turn, None
            self._answer = turn.over(error)
        elif self._results and self._answer is not None:
            self._never_answered(self._answer, error)
        error = error or self._refusal()
        with self._interrupts.held:
            self.one.finish(error, stopped=stopped)
        answer = self._answer or AnswerBuilder(self._target).answer(error)
        return replace(answer, error=answer.error or error)

    def _asking(self, number: int, request: Request) -> None:
        if number > 1:
            # What the last request held, and its answer, are known.
            self._new = request.messages[len(self._request.messages) + 1 :]
        self._request = request
        self._turn = Turn(
            self._app,
            self._target,
            request,
            self.one,
            interrupts=self._interrupts,
            recorder=self._keeping,
            new=self._new,
            ended=partial(self._said, request),
        )

    def _show_tool(self, event: ToolEvent) -> None:
        with self._interrupts.held:
            self.one.handle(event)

    def _never_answered(self, last: Answer, error: CoreError | None) -> None:
        """Keep what calls of the ``last`` answer have brought: what they did is done, and is not done again."""
        results = tuple(self._results[call.id] for call in last.tool_calls if call.id in self._results)
        answer = AnswerBuilder(self._target).answer(error)
        earlier = (*self._request.messages, last.message())
        self._said(replace(self._request, messages=(*earlier, *results)), answer)
        if self._keeping is not None:
            with self._interrupts.held:
                self._keeping.sent(results, self._target)
                self._keeping.ended(answer)

    def _refusal(self) -> ToolRefusedError | None:
        """The error of a loop that is whole, and of which calls were refused."""
        names = tuple(dict.fromkeys(self._not_allowed or self._refused))
        if not names:
            return None
        it = "it" if len(names) == 1 else "they"
        named = ", ".join(map(calls.named, names))
        if not self._not_allowed:
            return ToolRefusedError(f"{named} did not run, because you refused {it.replace('they', 'them')}")
        words = f"no terminal to ask whether {named} may run; {it} did not run"
        return ToolRefusedError(words, names=names, code="not_allowed")


def _more(questions: TerminalPrompt, show: Renderer, target: Target, turns: int) -> int:
    """How many more requests the person allows; 0 where there is nobody."""
    if not questions.there:
        return 0
    show.handle(Paused())
    while True:
        typed = questions.ask(
            f"{target} still calls tools after {plural(turns, 'turn')}. How many more (Enter for none)? "
        )
        if not typed:
            return 0
        if typed.isascii() and typed.isdecimal():
            return int(typed[:9])
