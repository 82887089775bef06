"""What the commands of ``telex history`` are given: the history itself, and conversations by any of their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telex.exits import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provider_core.history import Conversation, History
    from telex.context import App

__all__ = ["EXITS", "NAMED", "conversations", "opened"]

EXITS = (ExitCode.OTHER,)
"""The file is damaged, locked, or of a newer telex."""
NAMED = (*EXITS, ExitCode.SETTINGS)
"""Or no conversation, or more than one, is called so."""


def opened(app: App) -> History:
    """The history; what a removal that was killed has left undone is done first, if it can be."""
    app.history.finish()
    return app.history


def conversations(history: History, names: Iterable[str]) -> tuple[Conversation, ...]:
    """Those that the names mean, each once; raises ``HistoryError`` for a name that means none, or several."""
    found = {each.id: each for each in map(history.find, names)}
    return tuple(found.values())
