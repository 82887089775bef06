"""The history of a chat and its part of the ledger, stored without delaying the answer or failing with it."""

from __future__ import annotations

import contextlib
from types import MappingProxyType
from typing import TYPE_CHECKING

from provider_core.errors import CoreError, NetworkError, ProviderError
from provider_core.events import AnswerEnded, ChatEnded, Connecting, FellBack, RequestStarted
from provider_core.types import FieldDropped, Sent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from provider_core.events import Event
    from provider_core.history import LedgerEntry
    from provider_core.runtime import Runtime
    from provider_core.types import Json, Message, Target


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
        """What sends the requests, for the ledger."""
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
