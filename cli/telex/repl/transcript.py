"""A conversation as it stands at this moment, in the history's own terms; nothing is written here."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from provider_core.errors import CoreError
from provider_core.history import SavedConversation, SavedTurn
from provider_core.types import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provider_core.types import Message
    from telex.repl.session import Session

__all__ = ["as_conversation", "as_turns"]


def as_conversation(session: Session) -> SavedConversation:
    """What the history has of it; where it has nothing, the id is "not saved"."""
    from telex.repl.commands import brief

    recorder = session.dialogue.recorder
    if recorder is not None and recorder.conversation is not None:
        with contextlib.suppress(CoreError):
            return session.app.runtime.history.find(recorder.conversation)
    return SavedConversation(
        id="not saved",
        title=brief(session.said[0].prompt.text if session.said else ""),
        begun=session.begun,
        updated=session.begun,
        turns=len(session.said),
        model=str(session.dialogue.target),
    )


def as_turns(session: Session) -> tuple[SavedTurn, ...]:
    """A turn for each answer; those between which tools were called belong to one prompt."""
    return tuple(_turns(session))


def _turns(session: Session) -> Iterator[SavedTurn]:
    new: list[Message] = []
    prompt = -1
    waiting: SavedTurn | None = None
    for message in session.dialogue.messages:
        if message.role == "user":
            if waiting is not None:
                yield _ended(session, waiting, prompt)
                waiting = None
            prompt += 1
        elif message.role == "assistant":
            if waiting is not None:
                yield waiting
            waiting = _turn(session, new, message, prompt)
            new = []
            continue
        new.append(message)
    if waiting is not None:
        yield _ended(session, waiting, prompt)


def _turn(session: Session, new: list[Message], answer: Message, prompt: int) -> SavedTurn:
    spent = session.said[prompt].spent if 0 <= prompt < len(session.said) else ()
    provider, _, model = (spent[-1].model if spent else answer.provider).partition("/")
    return SavedTurn(
        id=0,
        conversation="",
        at=session.begun,
        provider=provider,
        model=model,
        messages=tuple(new),
        answer=answer,
        verdict=Verdict.COMPLETE,
    )


def _ended(session: Session, last: SavedTurn, prompt: int) -> SavedTurn:
    """The last answer to a prompt, which may be one that was broken off."""
    if not 0 <= prompt < len(session.said) or not session.said[prompt].spent:
        return last
    spent = session.said[prompt].spent[-1]
    return replace(last, verdict=spent.verdict, error=spent.error)
