"""One turn's way into the history: written while the server is waited for, and never in the way of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.errors import CoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from provider_core.answer import Answer
    from provider_core.types import Json, Message, Target
    from telex.app import App

__all__ = ["HistoryRecorder"]


class HistoryRecorder:
    """Keeps the turns of one conversation; what goes wrong is a line on stderr, once, which ``tell`` writes.

    ``conversation`` is the id of the one that is gone on with; None until a new one has been written. ``kept``
    are the ids of the turns that this one has kept, in order. ``title`` is what a new one is called, else it is
    its first words; ``params`` are what was asked for besides messages and model.
    """

    def __init__(self, app: App, *, conversation: str | None = None) -> None:
        self._app = app
        self.tell: Callable[[str], None] = app.console.note
        self.conversation = conversation
        self.kept: list[int] = []
        self.title = ""
        self.params: Mapping[str, Json] = {}
        self._turn: int | None = None
        self._works = True

    def sent(self, new: Sequence[Message], target: Target) -> None:
        """The request is with the server; ``new`` are those of its messages that no earlier turn had."""
        if not self._works or self._turn is not None:
            return
        try:
            begun = self._app.runtime.history.begin(
                new, target, conversation=self.conversation, title=self.title, params=self.params
            )
        except CoreError as error:
            self._failed(error)
            return
        self._turn, self.conversation = begun.turn, begun.conversation

    def ended(self, answer: Answer) -> None:
        """Nothing more comes. A question that failed stays in the history, with why."""
        turn, self._turn = self._turn, None
        if turn is None:
            return
        try:
            self.kept.append(turn)
            if cut := self._app.runtime.history.end(turn, answer):
                self.tell(f"Only the beginning of the answer is saved: {cut}.")
        except CoreError as error:
            self._failed(error)

    def _failed(self, error: CoreError) -> None:
        self._works = False
        self.tell(f"The answer is not saved: {error.message}.")
