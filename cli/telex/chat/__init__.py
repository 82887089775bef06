"""A chat from the options of the command line to its exit code: what all parts of it share.

``plan`` makes a ``Plan`` of the ``Options``, and ``run`` runs it.
"""

from __future__ import annotations

import contextlib
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING

from provider_core.errors import CoreError, HistoryError, NetworkError, ProviderError
from provider_core.events import AnswerEnded, ChatEnded, Connecting, FellBack, RequestStarted
from provider_core.structs import Struct
from provider_core.types import FieldDropped, Sent, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from decimal import Decimal
    from pathlib import Path

    from provider_core.chat import ChatPlan
    from provider_core.events import Event
    from provider_core.history import LedgerEntry, SavedConversation
    from provider_core.options import Candidate
    from provider_core.runtime import Runtime
    from provider_core.templates import Template
    from provider_core.types import Json, Message, Target
    from telex.app import App
    from telex.chat.input import Prompt
    from telex.render import Format, RenderOptions


class Options(SimpleNamespace):
    """The command line of ``telex chat``, an attribute for each option, with the values of a template filled in."""

    prompt: tuple[str, ...]
    template: str | None
    variables: tuple[str, ...]
    files: tuple[str, ...]
    images: tuple[str, ...]
    attach_limit: int
    paste: bool
    copy: bool
    models: tuple[str, ...]
    system: str | None
    go_on: bool
    conversation: str | None
    no_save: bool
    stream: bool | None
    max_tokens: int | None
    temperature: float | None
    params: Sequence[tuple[str, Json]]
    reasoning_effort: str | None
    reasoning: str | None
    markdown: bool | None
    as_json: bool
    as_jsonl: bool
    extract: bool
    web: bool | None
    schema: str | None
    schema_retries: int
    tools: tuple[str, ...]
    allow: tuple[str, ...]
    allow_of_alias: bool = False
    """Whether ``allow`` is not from the command line."""
    tool_choice: str | None
    max_turns: int
    max_cost: Decimal | None
    whole: bool
    output: str | None
    save_images: str | None
    dry_run: bool
    verbose: int
    usage: bool
    quiet: bool
    no_stdin: bool
    connect_timeout: float | None
    timeout: float | None
    retries: int | None

    @property
    def format(self) -> Format:
        if self.as_json or self.as_jsonl:
            return "json" if self.as_json else "jsonl"
        return "extract" if self.extract else "text"


class ModelPlan(Struct):
    """The request to one model, or the error that prevents it. ``name`` is what the user called it."""

    name: str
    chat: ChatPlan | None = None
    recorder: HistoryRecorder | None = None
    """None: the chat is neither saved nor counted."""
    error: CoreError | None = None
    candidates: tuple[Candidate, ...] = ()
    """All models that the name leads to. Their options have sources if some are not from the command line."""


class Plan(Struct):
    """A chat with one model, or the same prompt for several."""

    models: tuple[ModelPlan, ...]
    prompt: Prompt
    """In an interactive conversation, the attachments of the first prompt."""
    system: str | None
    """A system message for the next turn; None: that of the conversation."""
    earlier: SavedConversation | None
    """The conversation that is continued."""
    render: RenderOptions
    options: Options
    """The command line, with the options that a template and an alias have for the whole chat."""
    template: Template | None
    limits_costs: bool
    """Whether there is a budget, or a limit for this chat."""
    save_images: Path | None


# --- the limits on what requests may cost: --max-cost, and the budget of the settings -------------------------


def report_limits(
    app: App, targets: Iterable[Target], max_cost: Decimal | None, report: Callable[[str], None]
) -> None:
    """Report what is to be known before the first request: see ``report_budget``; and prices that are unknown."""
    report_budget(app, report)
    named = {str(target): target for target in targets} if max_cost is not None else {}
    for name, target in named.items():
        if name not in app.unpriced and app.runtime.prices(target, Usage(input=1, output=1)) is None:
            app.unpriced.add(name)  # a conversation reports it once
            report(f"The price of {target} is unknown: --max-cost counts only what the server reports.")


def report_budget(app: App, report: Callable[[str], None]) -> None:
    """Report, once, that a budget is nearly spent, and that it does not include unknown costs."""
    budget = app.runtime.budget
    if budget is not None:
        with contextlib.suppress(HistoryError):  # the check before the request raises it again
            for sentence in budget.warnings():
                report(sentence)


# --- the history, stored without delaying the answer or failing with it ---------------------------------------


class HistoryRecorder:
    """Saves the turns of one conversation, and adds its requests to the ledger, also if it ``saves`` no conversation.

    After an error it stores nothing more; ``report`` is called with it once. ``title`` and ``params`` (fields of the
    request) are for a conversation that does not exist yet; ``template`` is the name of the chat's template.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        conversation: str | None = None,
        saves: bool = True,
        title: str = "",
        params: Mapping[str, Json] = MappingProxyType({}),
        template: str | None = None,
    ) -> None:
        self.saves = saves
        self.command = "chat"
        """The command that sends the requests, for the ledger."""
        self.conversation = conversation
        """The id of the conversation; None until a new one was saved."""
        self.turns: list[int] = []
        """The ids of the turns that were saved."""
        self.title = title
        self._params = params
        self.report: Callable[[str], None] = lambda _: None
        self._runtime = runtime
        self._template = template
        self._target: Target | None = None
        self._new_messages: Sequence[Message] | None = None
        """The messages of a request that are not saved yet."""
        self._turn: int | None = None
        self._sent = False
        self._works = True
        self._warning = ""
        """What ``report`` is called with after the answer has been shown."""

    def handle(self, event: Event) -> None:
        """Save the prompt when something happens after the request was sent, and the answer when it has ended."""
        match event:
            case Connecting(target=target):
                self._target = target
            case RequestStarted(new_messages=new):
                self._new_messages = new if self._turn is None else None
            case FellBack():
                self._change_target(event)
            case AnswerEnded():
                self._end(event)
            case ChatEnded():
                if self._warning:
                    self.report(self._warning)
                self._warning = ""
            case Sent():
                self._sent = True
                _ = self._runtime.history  # imported while the server works
            case FieldDropped():
                pass  # the server answers sooner if nothing is written between request and answer
            case _ if self._new_messages is not None:
                self._begin()

    def save_piece(self, at: int, text: str) -> None:
        """Save a piece of an answer that is too long to be gathered in memory; ``at`` is its place in the text."""
        with self._storing():
            if self._turn is not None and self._works:
                self._runtime.history.add_text(self._turn, at, text)

    @contextlib.contextmanager
    def _storing(self) -> Iterator[None]:
        """Store nothing more after an error, and report it after the answer."""
        try:
            yield
        except CoreError as error:
            from telex.error_hints import code_and_hint

            self._works = False
            what = "this chat is not saved" if self.saves else "the tokens of this chat are not counted"
            self._warning = f"Warning: {what}: {error.message}"
            if hint := code_and_hint(error)[1]:
                self._warning += f"\n{hint}"

    def _change_target(self, event: FellBack) -> None:
        """Count the request that failed; a turn that was begun with its model gets the next one."""
        entry = self._entry(event.ended) if event.ended is not None else None
        if not self._works or (entry is None and self._turn is None):
            return
        history = self._runtime.history
        with self._storing(), history.transaction():
            if entry is not None:
                history.ledger.add([entry])
            if self._turn is not None:
                history.change_target(self._turn, event.target)

    def _begin(self) -> None:
        new, self._new_messages = self._new_messages, None
        if not self.saves or not self._works or self._target is None or new is None:
            return
        with self._storing():
            begun = self._runtime.history.begin(
                new, self._target, conversation=self.conversation, title=self.title, params=self._params
            )
            self._turn, self.conversation = begun.turn, begun.conversation

    def _end(self, event: AnswerEnded) -> None:
        answer = event.answer
        if self._turn is None:
            # A prompt that was not sent is not saved, except with the results of tools.
            self._new_messages, self._target = event.new_messages, answer.target
            failed = answer.error is not None and not isinstance(answer.error, ProviderError | NetworkError)
            is_new = answer.timing.first_byte is None
            if not (failed and is_new and all(message.role != "tool" for message in event.new_messages)):
                self._begin()
        turn, self._turn = self._turn, None
        if not self._works:
            return
        entry = self._entry(event)
        if turn is not None:
            self.turns.append(turn)
        elif entry is None:
            return
        history = self._runtime.history
        with self._storing(), history.transaction():
            if entry is not None:
                history.ledger.add([entry])
            if turn is not None and (shortened := history.end(turn, answer)):
                self._warning = f"Only the beginning of the answer is saved: {shortened}."

    def _entry(self, event: AnswerEnded) -> LedgerEntry | None:
        """The ledger's entry for a request, if it was sent and is to be counted."""
        sent = self._sent or event.answer.timing.first_byte is not None
        self._sent = False
        if not sent or not self._runtime.settings.ledger:
            return None
        import time

        from provider_core.history import entry_of

        return entry_of(
            event, time.time(), self.command, template=self._template, conversation=self.conversation
        )
