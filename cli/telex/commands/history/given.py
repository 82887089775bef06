"""Open the history, and look up conversations by id or title, for the commands of ``telex history``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telex.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provider_core.history import History, SavedConversation
    from telex.app import App

__all__ = ["EXITS", "NAMED", "conversations", "opened"]

EXITS = (ExitCode.OTHER,)
"""The file is damaged, locked, or of a newer telex."""
NAMED = (*EXITS, ExitCode.SETTINGS)
"""Also if no conversation, or more than one, has the given name."""


def opened(app: App) -> History:
    """Open the history, and first finish a removal that was interrupted, if possible."""
    app.runtime.history.erase_removed()
    return app.runtime.history


def conversations(history: History, names: Iterable[str]) -> tuple[SavedConversation, ...]:
    """The named conversations, without duplicates; raises ``HistoryError`` for an unknown or ambiguous name."""
    found = {each.id: each for each in map(history.find, names)}
    return tuple(found.values())
