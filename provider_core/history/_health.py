"""Whether the file of the history is sound, found out without changing it: nothing is made, upgraded or kept locked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import quote

from provider_core.errors import HistoryError
from provider_core.history import _schema
from provider_core.structs import Struct

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

__all__ = ["Health", "health", "read_only"]

_LARGEST = 256 << 20
"""Bytes up to which every page is read: a second or two from a slow disk."""


class Health(Struct):
    """``size`` is in bytes; ``checked`` is False where the file is too large to read all of it."""

    size: int
    conversations: int
    checked: bool = True


def health(path: Path, *, largest: int = _LARGEST) -> Health | None:
    """What can be said of the file; None where there is none. Above ``largest`` bytes its pages are not read.

    Raises ``HistoryError`` for a damaged file, another program's, a newer release's, and one that cannot be read.
    """
    import sqlite3

    try:
        size = path.stat().st_size
        if size == 0:
            return None
        connection = sqlite3.connect(read_only(path), uri=True, timeout=2.0)
        try:
            _check_kind(connection, path)
            if size <= largest:
                _check_pages(connection, path)
            (count,) = connection.execute("SELECT count(*) FROM conversations").fetchone()
        finally:
            connection.close()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise HistoryError(f"the history {path} cannot be read: {error.strerror}", path=path) from error
    except sqlite3.OperationalError as error:
        raise HistoryError(f"the history {path} cannot be read: {error}", path=path) from error
    except sqlite3.DatabaseError as error:
        raise HistoryError(f"the history {path} is damaged: {error}", path=path, code="corrupt") from error
    return Health(size=size, conversations=count, checked=size <= largest)


def read_only(path: Path) -> str:
    """The file's address for reading alone. One with nothing in a log is read as it is: SQLite would make a log."""
    logs = (path.with_name(path.name + ending) for ending in ("-wal", "-journal"))
    is_whole = not any(_size(log) for log in logs)
    return f"file:{quote(os.fsencode(path))}?mode=ro{'&immutable=1' if is_whole else ''}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _check_kind(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != _schema.APPLICATION:
        raise HistoryError(f"{path} is a database, and not telex's history", path=path, code="corrupt")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(_schema.STEPS):
        raise HistoryError(f"{path} was written by a newer telex", path=path, code="newer")


def _check_pages(connection: sqlite3.Connection, path: Path) -> None:
    (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if said != "ok":
        raise HistoryError(f"the history {path} is damaged: {said}", path=path, code="corrupt")
