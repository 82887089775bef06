"""Whether the file of the history is sound, found out without changing it: nothing is made, upgraded or kept locked."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from provider_core.errors import CorruptHistoryError, HistoryError, NewerHistoryError
from provider_core.history import _schema

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

__all__ = ["Health", "health"]

_STEPS_BETWEEN_LOOKS = 20_000
"""Instructions of SQLite's machine, some milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """``size`` is in bytes; ``checked`` is False where the file is so large that time ran out."""

    size: int
    conversations: int
    checked: bool = True


def health(path: Path, *, patience: float = 3.0) -> Health | None:
    """What can be said of the file; None where there is none. ``patience`` is the longest check, in seconds.

    Raises ``CorruptHistoryError`` for a damaged file and for another program's, ``NewerHistoryError`` for a
    newer release's, ``HistoryError`` for one that cannot be read.
    """
    import sqlite3

    try:
        size = path.stat().st_size
        if size == 0:
            return None
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=patience)
        try:
            _check_kind(connection, path)
            checked = _check_pages(connection, path, time.monotonic() + patience)
            (count,) = connection.execute("SELECT count(*) FROM conversations").fetchone()
        finally:
            connection.close()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HistoryError(f"the history {path} cannot be read: {error.strerror}", path=path) from error
    except sqlite3.OperationalError as error:
        raise HistoryError(f"the history {path} cannot be read: {error}", path=path) from error
    except sqlite3.DatabaseError as error:
        raise CorruptHistoryError(f"the history {path} is damaged: {error}", path=path) from error
    return Health(size=size, conversations=count, checked=checked)


def _check_kind(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != _schema.APPLICATION:
        raise CorruptHistoryError(f"{path} is a database, and not telex's history", path=path)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(_schema.STEPS):
        raise NewerHistoryError(f"{path} was written by a newer telex", path=path)


def _check_pages(connection: sqlite3.Connection, path: Path, deadline: float) -> bool:
    import sqlite3

    connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)
    try:
        (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:
        if time.monotonic() > deadline:
            return False
        raise
    finally:
        connection.set_progress_handler(None, 0)
    if said != "ok":
        raise CorruptHistoryError(f"the history {path} is damaged: {said}", path=path)
    return True
