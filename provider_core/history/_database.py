"""The SQLite file: private, opened on first use, changed in transactions, and overwritten where rows are removed.

Every error of SQLite's becomes a ``HistoryError`` that says what is wrong.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from provider_core.errors import FileError, HistoryError
from provider_core.files import is_of_another_user, make_private, private_folder

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from pathlib import Path

_Result = TypeVar("_Result")

APPLICATION = 0x746C7831
"""SQLite's application_id, which marks the file as telex's history: "tlx1" in ASCII."""

VERSION = 3
"""The file's user_version; 1 and 2 were before the first release."""

# The SQL must work with SQLite 3.26, the oldest of the supported Pythons.
_SCHEMA = (
    """
    CREATE TABLE conversations (
        id TEXT NOT NULL PRIMARY KEY,
        title TEXT NOT NULL,
        begun REAL NOT NULL
    ) WITHOUT ROWID
    """,
    # AUTOINCREMENT never reuses an id: an answer that comes after its turn was removed must not get into another.
    """
    CREATE TABLE turns (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
        at REAL NOT NULL,
        provider TEXT NOT NULL,
        model TEXT NOT NULL,
        params TEXT, verdict TEXT, error TEXT, finish TEXT, raw_finish TEXT, served TEXT, usage TEXT, timing TEXT,
        resend INTEGER NOT NULL DEFAULT 1
    )
    """,
    "CREATE INDEX turns_of_conversation ON turns (conversation, id)",
    # text comes before more, which can hold megabytes of images: a search does not have to read past them.
    """
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY,
        turn INTEGER NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
        is_answer INTEGER NOT NULL,
        role TEXT NOT NULL,
        text TEXT NOT NULL,
        more TEXT
    )
    """,
    "CREATE INDEX messages_of_turn ON messages (turn, id)",
    # The beginning of an answer whose text was too long to be gathered in memory; its message has the rest.
    """
    CREATE TABLE pieces (
        turn INTEGER NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
        at INTEGER NOT NULL,
        text TEXT NOT NULL,
        UNIQUE (turn, at)
    )
    """,
    # cost is in 1e-12 US dollars: whole numbers add up exactly. NULL is an unknown cost, not a cost of 0.
    """
    CREATE TABLE requests (
        id INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        provider TEXT NOT NULL,
        preset TEXT,
        model TEXT NOT NULL,
        command TEXT NOT NULL,
        template TEXT, conversation TEXT,
        verdict TEXT NOT NULL,
        input INTEGER, cached INTEGER, cache_write INTEGER, output INTEGER, reasoning INTEGER,
        cost INTEGER,
        cost_source TEXT
    )
    """,
    "CREATE INDEX requests_at ON requests (at)",
    "CREATE INDEX requests_of_conversation ON requests (conversation) WHERE conversation IS NOT NULL",
    "CREATE INDEX requests_without_cost ON requests (provider, model) WHERE cost IS NULL",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {VERSION}",
)


class Database:
    """One SQLite file, which threads may share. ``lock_timeout``: seconds to wait for another program's lock."""

    def __init__(self, path: Path, *, lock_timeout: float = 5.0) -> None:
        self.path = path
        self._lock_timeout = lock_timeout
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._writing: sqlite3.Connection | None = None
        """The connection in a transaction for writing; only the thread that has the lock may use it."""
        self._opened: tuple[int, int] | None = None

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction for writing; if the block raises, nothing of it is stored. Within another one, a part of it."""
        with self._lock, self._map_errors():
            if self._writing is not None:
                yield self._writing
                return
            connection = self._connected()
            try:
                self._retry_while_busy(lambda: connection.execute("BEGIN IMMEDIATE"))
                self._writing = connection
                yield connection
                self._writing = None
                # Readers have to finish first.
                self._retry_while_busy(lambda: connection.execute("COMMIT"))
            except BaseException:
                self._writing = None
                _roll_back(connection)
                raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """A transaction for reading, also where the file cannot be written; None if there is no file.

        Within one for writing, a part of that.
        """
        with self._lock, self._map_errors():
            if self._writing is not None:
                yield self._writing
                return
            if not self.exists():
                yield None
                return
            import sqlite3

            try:
                connection = self._connected()
            except (sqlite3.OperationalError, FileError) as error:
                with self._read_only(error) as connection, self._damaged_values():
                    yield connection
                return
            try:
                connection.execute("BEGIN")
                # The first statement takes the lock.
                self._retry_while_busy(
                    lambda: connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
                )
                with self._damaged_values():
                    yield connection
            finally:
                _roll_back(connection)

    def erase_deleted(self) -> None:
        """Overwrite deleted rows.

        SQLite's secure_delete is not enough: rebalancing leaves copies of rows in pages, and these stay when the rows
        are deleted later. So the whole file is rewritten.
        """
        with self._lock, self._map_errors():
            connection = self._connected()
            self._retry_while_busy(lambda: connection.execute("VACUUM"))

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                import sqlite3

                with contextlib.suppress(sqlite3.Error):
                    connection.close()

    def exists(self) -> bool:
        """Whether anything was ever written."""
        with self._map_errors(), contextlib.suppress(FileNotFoundError):
            return self.path.stat().st_size > 0
        return False

    # --- opening -------------------------------------------------------------------------------------------

    def _connected(self) -> sqlite3.Connection:
        if self._connection is not None and self._opened != _identity(self.path):
            self.close()  # the file was removed or replaced, and writes to the old one would be lost
        if self._connection is None:
            self._connection = self._open()
            self._opened = _identity(self.path)
        return self._connection

    def _open(self) -> sqlite3.Connection:
        import sqlite3

        private_folder(self.path.parent)
        self._create_file()
        # SQLite's timeout is short because Ctrl-C does not interrupt it; _retry_while_busy repeats it.
        connection = sqlite3.connect(self.path, timeout=0.1, isolation_level=None, check_same_thread=False)
        try:
            is_empty = self._retry_while_busy(lambda: _is_empty(connection, self.path))
            self._retry_while_busy(lambda: connection.execute("PRAGMA secure_delete = ON").fetchone())
            connection.execute("PRAGMA foreign_keys = ON")
            if is_empty:
                self._retry_while_busy(lambda: connection.execute("BEGIN IMMEDIATE"))
                if _is_empty(connection, self.path):  # another process may have been faster
                    for statement in _SCHEMA:
                        connection.execute(statement)
                self._retry_while_busy(lambda: connection.execute("COMMIT"))
        except BaseException:
            _roll_back(connection)
            connection.close()
            raise
        return connection

    def _create_file(self) -> None:
        """Create the file as private, or make it so; SQLite gives its journal the same mode."""
        try:
            # An existing file is not opened here: closing any descriptor of it would drop all locks that this process
            # has on it (sqlite.org/howtocorrupt.html, 2.2). The path may be a link to a file that does not exist yet.
            handle = os.open(os.path.realpath(self.path), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            if is_of_another_user(self.path):  # in a folder that others use, too
                raise OSError(errno.EPERM, "it belongs to another user") from None
            make_private(self.path)
            return
        try:
            if sys.platform != "win32":
                os.fchmod(handle, 0o600)  # the umask may have removed more
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def _read_only(self, error: Exception) -> Iterator[sqlite3.Connection]:
        """The file opened for reading; raises ``error``, which opening it for writing raised, if that cannot help."""
        import sqlite3

        with contextlib.closing(_connect_read_only(self.path)) as connection:
            try:
                if _is_empty(connection, self.path):
                    raise error
            except sqlite3.OperationalError:
                raise error from None
            yield connection

    # --- waiting and errors --------------------------------------------------------------------------------

    def _retry_while_busy(self, call: Callable[[], _Result]) -> _Result:
        import sqlite3

        deadline: float | None = None
        while True:
            try:
                return call()
            except sqlite3.OperationalError as error:
                is_busy = _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
                if not is_busy or (deadline is not None and time.monotonic() > deadline):
                    raise
                if deadline is None:
                    deadline = time.monotonic() + self._lock_timeout
                time.sleep(0.005)

    @contextlib.contextmanager
    def _damaged_values(self) -> Iterator[None]:
        try:
            yield
        # In rows that telex did not write.
        except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError) as error:
            why = f"a value that telex cannot read: {type(error).__name__}"
            raise HistoryError(
                f"the history {self.path} is damaged ({why})", path=self.path, code="corrupt"
            ) from error

    @contextlib.contextmanager
    def _map_errors(self) -> Iterator[None]:
        try:
            import sqlite3
        except ImportError as error:
            raise HistoryError(f"this Python has no SQLite: {error}", path=self.path) from None
        try:
            yield
        except sqlite3.Error as error:
            raise self._mapped(error) from error
        except OSError as error:
            raise HistoryError(
                f"the history {self.path} cannot be used: {error.strerror}", path=self.path
            ) from error
        except FileError as error:
            raise HistoryError(error.message, path=self.path) from error

    def _mapped(self, error: sqlite3.Error) -> HistoryError:
        import sqlite3

        code, path = _code(error), self.path
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return HistoryError(f"the history {path} is locked by another program", path=path, code="busy")
        # These have no code of their own.
        is_forged = str(error).startswith(("no such table", "no such column", "Could not decode"))
        if is_forged or code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return HistoryError(f"the history {path} is damaged ({error})", path=path, code="corrupt")
        if path.is_dir():
            return HistoryError(f"the history {path} is a folder", path=path, code="corrupt")
        why = "the disk is full" if code == sqlite3.SQLITE_FULL else str(error)
        return HistoryError(f"the history {path} cannot be used: {why}", path=path)


def health(path: Path) -> tuple[int, int] | None:
    """Read and check every page of the file without changing it; None if there is none.

    Returns its size in bytes and the number of conversations. Raises ``HistoryError`` if the file is damaged, another
    program's or a newer release's, or cannot be read.
    """
    database = Database(path)
    with database._map_errors():
        if not database.exists():
            return None
        with contextlib.closing(_connect_read_only(path)) as connection:
            if _is_empty(connection, path):
                raise _foreign(path)
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise HistoryError(f"the history {path} is damaged ({found})", path=path, code="corrupt")
            (count,) = connection.execute("SELECT count(*) FROM conversations").fetchone()
        return path.stat().st_size, count


def _is_empty(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether there are no tables yet. Raises ``HistoryError`` if it is the file of another program or release."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION and (application or version or tables):
        raise _foreign(path)
    if version > VERSION:
        raise HistoryError(f"{path} was written by a newer telex", path=path, code="newer")
    return not version


def _foreign(path: Path) -> HistoryError:
    return HistoryError(f"{path} is a database, and not telex's history", path=path, code="corrupt")


def _connect_read_only(path: Path) -> sqlite3.Connection:
    import sqlite3

    uri = f"file:{quote(os.fsencode(path))}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=2.0, isolation_level=None)


def _code(error: Exception) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _roll_back(connection: sqlite3.Connection) -> None:
    import sqlite3

    with contextlib.suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
