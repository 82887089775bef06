"""A turn with tools: the servers for its life, its requests one after another, shown and kept as one answer."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Self

from provider_core.answer import Gathering, combined
from provider_core.errors import CoreError, NotAllowedError, UnknownToolServerError
from provider_core.tools import Asking, ToolEnded, ToolStarted, agent
from provider_core.tools.mcp import McpServers
from provider_core.types import Finished, Reasoning, Text, ToolCall, Usage, Verdict
from provider_core.wording import near
from telex.ask import Turn, hint
from telex.console import OutputError, ReaderGone
from telex.exits import ExitCode, Stop
from telex.interrupts import Interrupts, Terminated
from telex.tools.approval import Approver
from telex.tools.terminal import Questions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provider_core.answer import Answer
    from provider_core.settings.mcp import McpServer
    from provider_core.tools import Toolbox
    from provider_core.types import Event, Message, Notice, Request, Target
    from telex.context import App
    from telex.keeping import Keeping
    from telex.render.show import Show

__all__ = ["Toolset", "ask_with_tools"]


class Toolset:
    """The MCP servers of one command, from entering to leaving, and what was said of their use.

    Entering raises ``UnknownToolServerError`` for a name that no server has, and the error of the first server
    where none of them works; those that do not, beside others that do, are told of on stderr.
    """

    def __init__(
        self,
        app: App,
        names: Sequence[str],
        *,
        choice: str | None = None,
        max_turns: int = 10,
        allow: Sequence[str] = (),
    ) -> None:
        self._app = app
        self._names = names
        self.choice = choice
        self.max_turns = max_turns
        self.allow = tuple(allow)
        self.always: set[str] = set()
        """Tools that the person has approved for the rest of the command."""
        self.missed: list[str] = []
        """Tools that were refused because nobody could be asked."""
        self.toolboxes: Sequence[Toolbox] = ()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        from telex.render.waiting import Waiting

        chosen = self._chosen()
        waiting = Waiting(self._app.console, f"starting {', '.join(server.name for server in chosen)}")
        try:
            servers = self._stack.enter_context(
                McpServers(
                    chosen,
                    environ=self._app.environ,
                    store=self._app.key_store,
                    withheld={name for each in self._app.providers.values() for name in each.key_env},
                )
            )
        finally:
            waiting.stop()
        if servers.failures and not servers.toolboxes:
            self._stack.close()
            raise servers.failures[0].error
        for failure in servers.failures:
            self._app.console.note(f"{failure.error.message}: going on without {failure.server.name}.")
        self.toolboxes = servers.toolboxes
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def conclude(self) -> None:
        """Say on stderr which tools nobody could be asked about; raises ``Stop`` (8) where there are any."""
        refusal = self.refusal()
        if refusal is not None:
            self._app.console.error(refusal.message, hint(self._app, refusal))
            raise Stop(ExitCode.TOOL)

    def refusal(self) -> NotAllowedError | None:
        """The error that these refusals are."""
        names = tuple(dict.fromkeys(self.missed))
        if not names:
            return None
        it = "it" if len(names) == 1 else "they"
        return NotAllowedError(
            f"nobody could be asked whether {', '.join(names)} may run, and {it} did not", names=names
        )

    def _chosen(self) -> tuple[McpServer, ...]:
        known = self._app.settings.mcp
        names = list(
            dict.fromkeys(name.strip() for each in self._names for name in each.split(",") if name.strip())
        )
        if "all" in names and "all" not in known:
            every = tuple(server for server in known.values() if server.enabled)
            if not every:
                raise UnknownToolServerError("no MCP server is set up")
            return every
        for name in names:
            if name not in known:
                raise UnknownToolServerError(
                    f"no MCP server called {name} is set up", server=name, candidates=near(name, known)
                )
        return tuple(known[name] for name in names)


def ask_with_tools(
    app: App,
    target: Target,
    request: Request,
    show: Show,
    toolset: Toolset,
    *,
    keeping: Keeping | None = None,
    new: Sequence[Message] = (),
    watch: Callable[[str, str], None] | None = None,
    said: Callable[[Request, Answer], None],
) -> Answer:
    """As ``ask.ask``, for as many requests as the model's calls take; each is a turn of the history.

    ``said`` is told of each answer with its request. Returns the last answer.
    """
    questions = Questions(app.console)
    one = _AsOne(show, target)
    approver = Approver(app, questions, toolset, pause=show.pause)
    turn: Turn | None = None
    answer: Answer | None = None
    error: CoreError | None = None

    def notice(notice: Notice) -> None:
        if turn is not None:
            turn.notice(notice)

    with Interrupts() as interrupts, contextlib.closing(questions):
        try:
            one.connecting(target)
            with app.reach(target) as (provider, key):
                events = agent(
                    app.client,
                    provider,
                    replace(request, tool_choice=toolset.choice),
                    key=key,
                    toolboxes=toolset.toolboxes,
                    approve=approver,
                    max_turns=toolset.max_turns,
                    notify=notice,
                    on_limit=lambda turns: _more(questions, show, target, turns),
                    watch=watch,
                )
                with contextlib.closing(events):
                    for event in events:
                        match event:
                            case Asking(number=number, request=asked):
                                if number > 1:
                                    one.connecting(target)
                                    new = asked.messages[
                                        one.sent + 1 :
                                    ]  # the results of the last answer's calls
                                one.sent = len(asked.messages)
                                turn = Turn(
                                    app,
                                    target,
                                    one,
                                    interrupts=interrupts,
                                    keeping=keeping,
                                    new=new,
                                    ended=partial(said, asked),
                                )
                            case ToolStarted() | ToolEnded():
                                with interrupts.held:
                                    show.tool(event)
                            case Finished() if turn is not None:
                                turn.event(event)
                                answer = turn.over()
                                turn = None
                            case Text() | Reasoning() | ToolCall() | Usage() if turn is not None:
                                turn.event(event)
        except CoreError as raised:
            error = raised
            if turn is not None:
                turn.over(error)
            raise
        except (KeyboardInterrupt, Terminated, ReaderGone, OutputError):
            one.stopped = True
            if turn is not None:
                turn.over()
            raise
        finally:
            error = error or toolset.refusal()
            with interrupts.held:
                one.finish(error, hint(app, error))
    assert answer is not None  # noqa: S101 - a loop that ends without an answer raises
    return answer


def _more(questions: Questions, show: Show, target: Target, turns: int) -> int:
    """How many more requests the person allows; 0 where there is nobody."""
    if not questions.there:
        return 0
    show.pause()
    while True:
        typed = questions.ask(
            f"{target} has had {turns} turns, and calls tools still. How many more (Enter: none): "
        )
        if not typed or typed.isdecimal():
            return int(typed or 0)


class _AsOne:
    """A ``Show`` for which a loop's answers are one; ``finish`` ends it."""

    def __init__(self, inner: Show, target: Target) -> None:
        self._inner = inner
        self._target = target
        self._answers: list[Answer] = []
        self.sent = 0
        """How many messages the last request held."""
        self.stopped = False
        """Whether it was ended from outside."""

    @property
    def unsaid(self) -> int:
        return self._inner.unsaid

    def connecting(self, target: Target) -> None:
        self._inner.connecting(target)

    def notice(self, notice: Notice) -> None:
        self._inner.notice(notice)

    def event(self, event: Event) -> None:
        self._inner.event(event)

    def tool(self, event: ToolStarted | ToolEnded) -> None:
        self._inner.tool(event)

    def aside(self, line: str) -> None:
        self._inner.aside(line)

    def pause(self) -> None:
        self._inner.pause()

    def close(self) -> None:
        self._inner.pause()

    def ended(self, answer: Answer, hint: str | None = None) -> None:
        self._answers.append(answer)

    def failed(self, error: BaseException, hint: str | None = None) -> None:
        self._inner.failed(error, hint)

    def finish(self, error: CoreError | None, hint: str | None) -> None:
        """Show the end of all: the answers as one, and ``error``, which is of the loop itself, in it."""
        self._inner.close()
        answers = self._answers or [Gathering(self._target).answer(error)]
        answer = combined(answers)
        if self.stopped:
            answer = replace(answer, verdict=Verdict.INTERRUPTED, error=None)
        elif error is not None and answer.error is None:
            answer = replace(answer, error=error)
        self._inner.ended(answer, hint)
