"""What history gives back: conversations, turns, hits of a search; nothing here reads or writes.

Times are seconds since 1970, by the clock of the machine that wrote them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.structs import Struct, field
from provider_core.types import Timing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider_core.errors import HistoryError
    from provider_core.types import Json, Message, Usage, Verdict

__all__ = ["Begun", "Hit", "Removed", "SavedConversation", "SavedTurn"]


class Begun(Struct):
    """A turn that waits for its answer."""

    turn: int
    conversation: str


class SavedConversation(Struct):
    """One conversation in a line. ``model`` is ``provider/model`` of its last turn."""

    id: str
    title: str
    begun: float
    updated: float
    """When its last turn was begun."""
    turns: int
    model: str
    verdict: Verdict | None = None
    """What became of its last turn; None while that has no answer."""


class SavedTurn(Struct):
    """What was new in one request, and the answer.

    ``answer`` is None while there is none: nothing came, or whoever asked was killed. ``verdict`` is None in
    the second case, and while the answer is still coming. ``error`` says why an answer is not whole, in the
    words that were shown; ``served`` is the server's own name for the model.
    """

    id: int
    conversation: str
    at: float
    provider: str
    model: str
    params: Mapping[str, Json] = field(default_factory=dict)
    messages: tuple[Message, ...] = ()
    answer: Message | None = None
    verdict: Verdict | None = None
    error: str | None = None
    finish: str | None = None
    raw_finish: str | None = None
    served: str = ""
    usage: Usage | None = None
    timing: Timing = field(default_factory=Timing)
    resend: bool = True
    """Whether a question without an answer goes along with the next one; not if the server refused what it says."""

    @property
    def answered(self) -> bool:
        """Whether an answer came, or a part of one: reasoning or half a tool call alone is not an answer."""
        answer = self.answer
        return answer is not None and bool(answer.content or any(not call.cut for call in answer.tool_calls))


class Hit(Struct):
    """A message that holds all that was looked for, or a conversation whose title does.

    ``role`` is the message's, or "title", and then ``turn`` is None. ``marks`` are where in ``snippet`` the
    words begin and end, in order.
    """

    conversation: str
    title: str
    turn: int | None
    role: str
    at: float
    snippet: str
    marks: tuple[tuple[int, int], ...]


class Removed(Struct):
    """How many conversations are gone.

    ``traces`` is None when nothing of them is left in any file. Else it says what kept their words from being
    overwritten: they can be read by nobody through telex, and the next removal overwrites them.
    """

    conversations: int
    traces: HistoryError | None = None
