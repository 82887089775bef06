"""The file: private, opened when it is first needed, written in whole transactions, erased for good.

Every error of SQLite's is translated here; what stands in the tables is not known.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from provider_core.errors import FileError, HistoryError
from provider_core.files import make_private, private_folder
from provider_core.history import _schema

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["Database", "has_locks"]

_Result = TypeVar("_Result")

_ROOM = 64 << 10
"""Bytes that a disk must have left to be of use: the index of SQLite's log takes half of it."""

_IN_MEMORY = 256 << 20
"""Bytes up to which a file is rewritten in memory; a larger one goes through SQLite's temporary folder."""


class Database:
    """One file of SQLite's, for threads that take turns. ``patience``: seconds that another writer is waited for."""

    def __init__(self, path: Path, *, patience: float = 5.0) -> None:
        self.path = path
        self._patience = patience
        self._turn = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction that nobody else writes in; all of it is kept, or nothing when the block raises."""
        with self._turn, self._translated():
            connection = self._connected()
            try:
                self._patiently(lambda: connection.execute("BEGIN IMMEDIATE"))
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                _roll_back(connection)
                raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """The file as it is at one moment, or None where there is none: reading makes no file.

        Where nothing can be written, as on a full disk, it is read all the same.
        """
        with self._turn, self._translated():
            if not self.is_there():
                yield None
                return
            import sqlite3

            try:
                connection = self._connected()
            except (sqlite3.OperationalError, FileError) as error:
                with self._frozen(error) as connection:
                    yield connection
                return
            try:
                connection.execute("BEGIN")
                # The first statement is the one that may have to wait.
                self._patiently(lambda: connection.execute("SELECT count(*) FROM sqlite_master").fetchone())
                yield connection
            except (
                ValueError,
                TypeError,
                LookupError,
            ) as error:  # what stands there was not written by telex
                raise HistoryError(
                    f"the history {self.path} is damaged: it holds a value that does not belong there",
                    path=self.path,
                    code="corrupt",
                ) from error
            finally:
                _roll_back(connection)

    def erase(self) -> None:
        """Overwrite what was deleted, everywhere: in the file, and in the log beside it.

        SQLite's secure_delete is not enough: when pages are rebalanced it leaves copies of rows behind, which
        stay when the rows are deleted later. So the whole file is written anew.
        """
        with self._turn, self._translated():
            connection = self._connected()
            small = self.path.stat().st_size < _IN_MEMORY
            connection.execute(f"PRAGMA temp_store = {'MEMORY' if small else 'DEFAULT'}")
            self._patiently(lambda: connection.execute("VACUUM"))
            deadline = time.monotonic() + self._patience
            while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                if time.monotonic() > deadline:
                    raise HistoryError(f"another program is reading {self.path}", path=self.path, code="busy")

    def close(self) -> None:
        """Let go of the file."""
        with self._turn:
            connection, self._connection = self._connection, None
            if connection is not None:
                import sqlite3

                with contextlib.suppress(sqlite3.Error):
                    connection.close()

    def is_there(self) -> bool:
        """Whether anything was ever written."""
        with self._translated(), contextlib.suppress(FileNotFoundError):
            return self.path.stat().st_size > 0
        return False

    # --- opening -------------------------------------------------------------------------------------------

    def _connected(self) -> sqlite3.Connection:
        if self._connection is not None and self._opened != _identity(self.path):
            self.close()  # the file was removed or replaced: what is written into the old one is lost
        if self._connection is None:
            self._connection = self._open()
            self._opened = _identity(self.path)
        return self._connection

    def _open(self, *, log: bool = True) -> sqlite3.Connection:
        import sqlite3

        private_folder(self.path.parent)
        self._make_file()
        # A short timeout of SQLite's own, repeated: Ctrl-C is not heard while SQLite waits.
        connection = sqlite3.connect(self.path, timeout=0.1, isolation_level=None, check_same_thread=False)
        try:
            (version,) = self._patiently(lambda: connection.execute("PRAGMA user_version").fetchone())
            self._check(connection, version)
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA foreign_keys = ON")
            if version < len(_schema.STEPS):
                self._upgrade(connection, log=log)
            (journal,) = connection.execute("PRAGMA journal_mode").fetchone()
            connection.execute(f"PRAGMA synchronous = {'NORMAL' if journal == 'wal' else 'FULL'}")
        except BaseException as error:
            connection.close()
            if log and isinstance(error, sqlite3.OperationalError) and _lacks_shared_memory(error):
                self._leave_log()
                return self._open(log=False)
            raise
        return connection

    def _leave_log(self) -> None:
        """Turn a write-ahead log into a journal that needs no shared memory, which some file systems do not have.

        One connection that keeps others out can read the log all the same: sqlite.org/wal.html, "Use of WAL
        Without Shared-Memory". It has to be a new one.
        """
        import sqlite3

        with contextlib.closing(sqlite3.connect(self.path, timeout=0.1, isolation_level=None)) as connection:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._patiently(lambda: connection.execute("PRAGMA journal_mode = DELETE").fetchone())

    def _make_file(self) -> None:
        """The file, for its owner alone before anything stands in it; SQLite gives its log the same mode."""
        try:
            # Only a file that is not there is opened here: closing any descriptor of a file drops all the
            # locks that the process has on it (sqlite.org/howtocorrupt.html, 2.2). A link that the user made
            # may lead to one that is not there.
            handle = os.open(os.path.realpath(self.path), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            for ending in ("", "-wal", "-shm"):
                make_private(self.path.with_name(self.path.name + ending))
            return
        try:
            if os.name == "posix":
                os.fchmod(handle, 0o600)  # whatever the umask took away
        finally:
            os.close(handle)

    def _check(self, connection: sqlite3.Connection, version: int) -> None:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application != _schema.APPLICATION and (application or version or tables):
            raise HistoryError(
                f"{self.path} is a database, and not telex's history", path=self.path, code="corrupt"
            )
        if version > len(_schema.STEPS):
            raise HistoryError(f"{self.path} was written by a newer telex", path=self.path, code="newer")

    def _upgrade(self, connection: sqlite3.Connection, *, log: bool) -> None:
        if log:
            self._patiently(lambda: connection.execute("PRAGMA journal_mode = WAL").fetchone())
        try:
            self._patiently(lambda: connection.execute("BEGIN IMMEDIATE"))
            _schema.upgrade(connection)
            connection.execute("COMMIT")
        except BaseException:
            _roll_back(connection)
            raise

    @contextlib.contextmanager
    def _frozen(self, error: Exception) -> Iterator[sqlite3.Connection]:
        """The file opened for reading alone, which takes no log beside it; else ``error`` is raised."""
        import sqlite3

        from provider_core.history._health import read_only

        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        unwritable = (
            sqlite3.SQLITE_IOERR,
            sqlite3.SQLITE_CANTOPEN,
            sqlite3.SQLITE_READONLY,
            sqlite3.SQLITE_FULL,
        )
        address = read_only(self.path)
        if "immutable" not in address or (code not in unwritable and not isinstance(error, FileError)):
            raise error
        with contextlib.closing(sqlite3.connect(address, uri=True, isolation_level=None)) as connection:
            try:
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                self._check(connection, version)
            except sqlite3.OperationalError:  # it cannot even be read
                raise error from None
            if version < len(_schema.STEPS):
                raise error
            yield connection

    # --- waiting, and what goes wrong ----------------------------------------------------------------------

    def _patiently(self, call: Callable[[], _Result]) -> _Result:
        import sqlite3

        deadline: float | None = None
        while True:
            try:
                return call()
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or (deadline is not None and time.monotonic() > deadline):
                    raise
                if deadline is None:
                    deadline = time.monotonic() + self._patience
                    if not has_locks(self.path):
                        raise _no_locks(self.path) from error
                time.sleep(0.005)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            import sqlite3
        except ImportError as error:
            raise HistoryError(f"this Python has no SQLite: {error}", path=self.path) from None
        try:
            yield
        except sqlite3.Error as error:
            raise self._translation(error) from error
        except OSError as error:
            raise HistoryError(
                f"the history {self.path} cannot be used: {error.strerror}", path=self.path
            ) from error
        except FileError as error:
            raise HistoryError(error.message, path=self.path) from error

    def _translation(self, error: sqlite3.Error) -> HistoryError:
        import sqlite3

        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        path = self.path
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return HistoryError(f"the history {path} is locked by another program", path=path, code="busy")
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return HistoryError(f"the history {path} is damaged: {error}", path=path, code="corrupt")
        # SQLite says what failed, and rarely why.
        if code == sqlite3.SQLITE_IOERR and not has_locks(path):
            return _no_locks(path)
        if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _is_full(path.parent)):
            return HistoryError(f"the history {path} cannot be written: the disk is full", path=path)
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY) and (closed := _closed(path)):
            return HistoryError(f"the history {path} cannot be used: {closed}", path=path)
        return HistoryError(f"the history {path} cannot be used: {error}", path=path)


def has_locks(path: Path) -> bool:
    """Whether files beside ``path`` can be locked; some network and FUSE file systems cannot do that."""
    try:
        import fcntl
    except ImportError:  # Windows: every file system can
        return True
    probe = path.with_name(
        f".locks.{path.name}"
    )  # never the file itself: closing it would drop SQLite's locks
    try:
        handle = os.open(probe, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return True
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)
    finally:
        os.close(handle)
        with contextlib.suppress(OSError):
            probe.unlink()
    return True


def _no_locks(path: Path) -> HistoryError:
    return HistoryError(f"the history {path} cannot be used: its file system has no file locks", path=path)


def _lacks_shared_memory(error: sqlite3.OperationalError) -> bool:
    import sqlite3

    return getattr(error, "sqlite_errorcode", 0) in (
        sqlite3.SQLITE_IOERR_SHMOPEN,
        sqlite3.SQLITE_IOERR_SHMSIZE,
        sqlite3.SQLITE_IOERR_SHMLOCK,
        sqlite3.SQLITE_IOERR_SHMMAP,
    )


def _closed(path: Path) -> str:
    """Which right is missing; "" where it is none of ours to see."""
    with contextlib.suppress(OSError):
        found = path.stat()
        if not os.access(path, os.R_OK | os.W_OK):
            if os.name == "posix" and found.st_uid != os.geteuid():
                return "it belongs to another user"
            return "it may not be written to" if os.access(path, os.R_OK) else "it may not be read"
        if not os.access(path.parent, os.W_OK):
            return "its folder may not be written to"
    return ""


def _is_full(folder: Path) -> bool:
    import shutil

    with contextlib.suppress(OSError):
        return shutil.disk_usage(folder).free < _ROOM
    return False


def _is_busy(error: sqlite3.OperationalError) -> bool:
    import sqlite3

    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


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
