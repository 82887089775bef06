"""What a later request holds of a conversation: which of its messages go along; the wire's shape is not given here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.answer import append_messages

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provider_core.history._records import SavedTurn
    from provider_core.types import Message

__all__ = ["context"]


def context(turns: Iterable[SavedTurn]) -> tuple[Message, ...]:
    """The messages in order, with the latest system message first and no other.

    An answer that was cut short stays as far as it goes. A question without an answer stays, unless the server
    refused what it says. Results of tools stay, because their calls do: those that lack a result are for ``quirks``.
    """
    kept: list[Message] = []
    for turn in turns:
        stays = turn.answered or turn.resend
        kept += (message for message in turn.messages if stays or message.role in ("system", "tool"))
        if turn.answer is not None and turn.answered:
            kept.append(turn.answer)
    return append_messages((), kept)
