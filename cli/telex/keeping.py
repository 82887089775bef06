"""One turn's way into the history: written while the server is waited for, and never in the way of an answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from provider_core.errors import CoreError
from provider_core.types import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from provider_core.answer import Answer
    from provider_core.types import Json, Message, Target
    from telex.context import App

__all__ = ["Keeping"]


class Keeping:
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
        self._results = False
        """Whether the turn holds what tools have brought: that is not asked for again."""
        self._works = True

    def sent(self, new: Sequence[Message], target: Target) -> None:
        """The request is with the server; ``new`` are those of its messages that no earlier turn had."""
        if not self._works or self._turn is not None:
            return
        try:
            begun = self._app.history.begin(
                new, target, conversation=self.conversation, title=self.title, params=self.params
            )
        except CoreError as error:
            self._failed(error)
            return
        self._turn, self.conversation = begun.turn, begun.conversation
        self._results = any(message.role == "tool" for message in new)

    def ended(self, answer: Answer) -> None:
        """Nothing more comes. A request that was refused leaves nothing behind."""
        turn, self._turn = self._turn, None
        if turn is None:
            return
        nothing = not (answer.text or answer.reasoning or answer.tool_calls)
        try:
            if nothing and answer.verdict is Verdict.FAILED and not self._results:
                self._app.history.drop_turn(turn)
            else:
                if answer.left_out:
                    long = CoreError(
                        f"it is longer than {len(answer.text):,} characters: the rest is not kept"
                    )
                    self.tell(f"Of the answer the beginning is kept: {long.message}.")
                    answer = replace(answer, error=answer.error or long)
                self.kept.append(turn)
                self._app.history.end(turn, answer)
        except CoreError as error:
            self._failed(error)

    def _failed(self, error: CoreError) -> None:
        self._works = False
        self.tell(f"The answer is not kept: {error.message}.")
