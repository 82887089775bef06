"""Past conversations in one SQLite file: saved turn by turn, read, searched, erased; and the ledger of all requests.

Of a request only its messages and parameters are stored, and of a server only its name; keys never get here.

::

    with History(path) as history:
        started = history.begin([Message(role="user", content="Hi")], target)  # when the request is sent
        history.end(started.turn, answer)                                      # complete or not
        history.messages(started.conversation)                                 # for the next request
"""

from __future__ import annotations

from provider_core.history._database import Health, health
from provider_core.history._history import History, Removed
from provider_core.history._ledger import Grouping, Ledger, LedgerEntry, UsageTotal, entry_of
from provider_core.history._records import SavedConversation, SavedTurn, SearchHit, StartedTurn

__all__ = [
    "Grouping",
    "Health",
    "History",
    "Ledger",
    "LedgerEntry",
    "Removed",
    "SavedConversation",
    "SavedTurn",
    "SearchHit",
    "StartedTurn",
    "UsageTotal",
    "entry_of",
    "health",
]
