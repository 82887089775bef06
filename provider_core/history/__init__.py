"""Conversations that were had, kept in one SQLite file: written as they happen, read, searched, truly removed.

What is sent of them, and whether any of it is kept at all, is decided by the caller. Keys never come here:
of a request only its messages and parameters are stored, and of a server only its name.

::

    with History(path) as history:
        begun = history.begin([Message(role="user", content="Hi")], target)   # the request has been sent
        history.end(begun.turn, answer)                                      # whole or not
        history.messages(begun.conversation)                                 # what the next request holds
"""

from __future__ import annotations

from provider_core.history._database import has_locks
from provider_core.history._health import Health, health
from provider_core.history._history import History
from provider_core.history._records import Begun, Hit, Removed, SavedConversation, SavedTurn

__all__ = [
    "Begun",
    "Health",
    "History",
    "Hit",
    "Removed",
    "SavedConversation",
    "SavedTurn",
    "has_locks",
    "health",
]
