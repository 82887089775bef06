"""The file of past conversations: how large, and whether it is sound; modes are looked at with the folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.errors import HistoryError
from telex.doctor.finding import note, ok, problem
from telex.humanize import plural, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telex.doctor.case import Case
    from telex.doctor.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    import sqlite3

    from provider_core.history import has_locks, health
    from telex.error_hints import code_and_hint

    path = case.paths.history
    if case.setting("history") is False:
        yield ok("keeping", "switched off")
    if path.parent.is_dir() and not has_locks(path):
        yield problem(
            "file",
            f"the history {path} cannot be used: its file system has no file locks",
            "Set TELEX_HOME to a folder on a local disk",
        )
        return
    try:
        found = health(path)
    except HistoryError as error:
        hint = code_and_hint(error)[1] or f"Move {path} away: telex makes a new one"
        yield problem("file", error.message, hint)
        return
    if found is None:
        yield ok("file", f"{path} (none yet)")
    else:
        words = f"{plural(found.conversations, 'conversation')}, {size(found.size)}"
        yield (
            ok("file", f"{words}, sound")
            if found.checked
            else note("file", f"{words}, too large to check here")
        )
    yield ok("SQLite", sqlite3.sqlite_version)
