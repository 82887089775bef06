"""What a later request holds of a conversation: which of its messages go along; the wire's shape is not given here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.answer import following

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provider_core.history._records import Turn
    from provider_core.types import Message

__all__ = ["context"]


def context(turns: Iterable[Turn]) -> tuple[Message, ...]:
    """The messages in order, with the latest system message first and no other.

    A question that brought neither text nor a call is left out; an answer that was cut short stays as far as
    it goes. Results of tools stay, because their calls do: those that lack a result are the wire's business.
    """
    kept: list[Message] = []
    for turn in turns:
        answer = turn.answer
        answered = answer is not None and bool(answer.content or answer.tool_calls)
        kept += (message for message in turn.messages if answered or message.role in ("system", "tool"))
        if answer is not None and answered:
            kept.append(answer)
    return following((), kept)
