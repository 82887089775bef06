"""Batches, from options to exit code; and what ``telex batch`` and ``telex test`` do while one runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from provider_core.errors import CoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from provider_core.batches import Result, Run
    from provider_core.history import LedgerEntry
    from telex.app import App

_SECONDS: Final = 1.0
_REQUESTS: Final = 500


class Accounts:
    """Adds the requests of a batch to the ledger, many in one transaction, and ends it when the budget is spent.

    ``command`` is the name that the ledger has for them. A ledger that cannot be written is reported once.
    """

    def __init__(self, app: App, command: str, note: Callable[[str], None]) -> None:
        self._app = app
        self._command = command
        self._note = note
        self._counts = app.runtime.settings.ledger
        self._entries: list[LedgerEntry] = []
        self._added_at = time.monotonic()
        if app.runtime.budget is not None:
            app.runtime.budget.interval = _SECONDS

    def check(self, run: Run) -> None:
        """End the batch if the budget of the settings is spent."""
        if self._app.runtime.budget is not None:
            try:
                self._app.runtime.budget.check()
            except CoreError as error:
                run.stop("error", error)

    def add(self, result: Result, template: str | None) -> None:
        """Note the requests of a result."""
        if self._counts:
            from provider_core.history import entry_of

            made = [entry_of(each, time.time(), self._command, template=template) for each in result.requests]
            self._entries += [entry for entry in made if entry is not None]

    def flush(self, *, late: bool) -> None:
        """Add the entries to the ledger: now if it is ``late``, else if there are many, or after a second."""
        due = len(self._entries) >= _REQUESTS or time.monotonic() - self._added_at >= _SECONDS
        if not self._entries or not (late or due):
            return
        entries, self._entries, self._added_at = self._entries, [], time.monotonic()
        try:
            self._app.runtime.history.ledger.add(entries)
        except CoreError as error:
            self._counts = False
            self._note(f"Warning: the tokens of this {self._command} are not counted: {error.message}")
