"""The output file of a batch: what is in it is done, and the same command does the rest.

Each result is appended in one write, so that ``kill -9`` loses only rows in flight; once a second the file is
synchronised with the disk, so that a power failure loses at most the rows of that second. A line that was torn is
removed when the batch is resumed.

A row that failed has a line, too. When it is run again, its new line is appended, and the old one is removed at the end
of the batch, or by the next one: the file then has one line for each row.

Beside the file is another, with ".state" after its name: what the results were made with. It is locked while a batch
writes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import stat
import sys
import tempfile
import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import click

from provider_core import files
from provider_core.errors import FileError
from telex.console import OutputError

if TYPE_CHECKING:
    import io
    from collections.abc import Mapping

    from telex.batch.output import Layout

_VERSION: Final = 1
_SYNC: Final = 1.0
"""Seconds between two synchronisations with the disk."""


class KnownRows:
    """The rows of an output file, and the ids of the input so far: in a temporary file, whatever their number.

    They are known by 8 bytes of a hash. That two of a million rows have the same is as likely as one in 37 million.
    """

    def __init__(self) -> None:
        # A private database on the disk, which SQLite removes; no transaction of it has to survive.
        self._rows = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        weakref.finalize(self, self._rows.close)
        self._rows.execute("PRAGMA journal_mode = OFF")
        self._rows.execute(
            "CREATE TABLE rows (key INTEGER PRIMARY KEY, ok, number, offset, length, lines DEFAULT 1, found DEFAULT 0)"
        )
        self._rows.execute("CREATE TABLE seen (key INTEGER PRIMARY KEY)")
        self._rows.execute("BEGIN")
        self._lock = threading.Lock()
        self.ok = self.failed = 0

    def add(self, key: str, *, ok: bool, number: int, offset: int, length: int) -> None:
        """Note a line of the output file; it replaces an earlier one of the same row."""
        self._execute(
            "INSERT INTO rows (key, ok, number, offset, length) VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE "
            "SET ok = excluded.ok, offset = excluded.offset, length = excluded.length, lines = lines + 1",
            (_hash(key), ok, number, offset, length),
        )

    def count(self) -> None:
        """Set ``ok`` and ``failed``."""
        found = self._rows.execute("SELECT count(*), ifnull(sum(ok), 0) FROM rows").fetchone()
        self.ok, self.failed = found[1], found[0] - found[1]

    def state(self, key: str) -> bool | None:
        """Whether the row is complete; None if it has no line."""
        found, _ = self._execute("SELECT ok FROM rows WHERE key = ?", (_hash(key),))
        return None if found is None else bool(found[0])

    def note(self, key: str) -> None:
        """Note that the input has a row of the output file."""
        self._execute("UPDATE rows SET found = 1 WHERE key = ?", (_hash(key),))

    def strays(self, *, ok: bool) -> int:
        """The number of rows that the input does not have."""
        found, _ = self._execute("SELECT count(*) FROM rows WHERE ok = ? AND NOT found", (ok,))
        return 0 if found is None else int(found[0])

    def forget_strays(self, of: KnownRows) -> None:
        """Remove the rows that failed, and that the input does not have according to ``of``."""
        for (key,) in of._rows.execute("SELECT key FROM rows WHERE NOT ok AND NOT found"):
            self._execute("DELETE FROM rows WHERE key = ?", (key,))

    def is_new(self, key: str) -> bool:
        """Whether the input has this id for the first time."""
        _, changed = self._execute("INSERT OR IGNORE INTO seen VALUES (?)", (_hash(key),))
        return changed == 1

    def _execute(self, statement: str, values: tuple[object, ...]) -> tuple[tuple[Any, ...] | None, int]:
        """The first row that a statement returns, and how many it changed.

        Raises ``OutputError`` if the temporary file cannot be written.
        """
        try:
            with self._lock:
                cursor = self._rows.execute(statement, values)
                return cursor.fetchone(), cursor.rowcount
        except sqlite3.OperationalError as error:
            raise OutputError(f"the folder for temporary files: {error}") from None

    def places(self, *, ordered: bool) -> sqlite3.Cursor:
        """Offset and length of the last line of each row, in the order of the file, or of the input."""
        if ordered:
            return self._rows.execute("SELECT offset, length FROM rows ORDER BY number, offset")
        return self._rows.execute("SELECT offset, length FROM rows ORDER BY offset")

    @property
    def is_compact(self) -> bool:
        """Whether no row has two lines."""
        return self._rows.execute("SELECT 1 FROM rows WHERE lines > 1 LIMIT 1").fetchone() is None

    @property
    def is_sorted(self) -> bool:
        """Whether the lines are in the order of the input."""
        last = 0
        for (number,) in self._rows.execute("SELECT number FROM rows ORDER BY offset"):
            if number < last:
                return False
            last = number
        return True

    def close(self) -> None:
        self._rows.close()


def read_known(path: Path, layout: Layout) -> KnownRows:
    """The rows of an output file, as far as it can be read. Nothing is written."""
    known = KnownRows()
    with contextlib.suppress(OSError, ValueError), path.open("rb") as file:
        for entry in layout.entries(file):
            known.add(entry.key, ok=entry.ok, number=entry.number, offset=entry.offset, length=entry.length)
    known.count()
    return known


def _hash(key: str) -> int:
    data = key.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big", signed=True)


class Journal:
    """An output file that is open for appending. ``known`` are the rows that are in it.

    ``made_with`` maps what the results depend on ("the prompt") to its value; of a batch that ``is_begun``, results may
    be on their way although the file is empty. Raises ``click.UsageError`` if the file was made with something else, by
    another program, or is being written.
    """

    def __init__(
        self,
        path: Path,
        layout: Layout,
        made_with: Mapping[str, Any],
        *,
        fresh: bool,
        ordered: bool = False,
        is_begun: bool = False,
    ) -> None:
        self.path = path
        self.known = KnownRows()
        self._layout = layout
        self._ordered = ordered
        self._replaced = False
        self._synced = time.monotonic()
        self._state_path = path.with_name(f"{path.name}.state")
        self._file = -1
        self._end = 0
        self._state = self._open(self._state_path)
        try:
            if not files.try_lock(self._state):
                raise click.UsageError(f"another telex batch is writing {path}")
            hashes = {name: _digest(value) for name, value in made_with.items()}
            self._file = self._open(path)
            if not stat.S_ISREG(os.fstat(self._file).st_mode):
                raise click.UsageError(f"cannot write {path}: it is not a regular file")
            if os.fstat(self._file).st_size or (is_begun and _read_all(self._state)):
                self._check(hashes, fresh=fresh)
            if fresh:
                os.ftruncate(self._file, 0)
            if os.fstat(self._file).st_size:
                self._read()
            else:
                self._write_state(hashes)
                self._append(layout.header)
        except BaseException:
            self.close()
            raise

    def _open(self, path: Path) -> int:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        try:
            return os.open(path, flags, 0o666)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise click.UsageError(f"cannot write {path}: {reason}") from None

    def _check(self, hashes: Mapping[str, str], *, fresh: bool) -> None:
        """Compare what the results in the file were made with. A ``fresh`` start needs a file of telex batch, too."""
        start = "\nTo discard its results and start over, add --fresh."
        try:
            state = json.loads(_read_all(self._state))
            before = dict(state["made_with"])
            version = state["telex_batch"]
        except (ValueError, TypeError, LookupError):
            if not _read_all(self._state):
                with contextlib.suppress(OSError):
                    os.unlink(self._state_path)  # noqa: PTH108 - made just now
            raise click.UsageError(
                f"{self.path} exists, and is not the output of telex batch ({self._state_path.name} is missing)"
                "\nUse another file, or remove this one."
            ) from None
        if fresh:
            return
        if version != _VERSION:
            raise click.UsageError(f"{self.path} was written by another release of telex{start}")
        changed = [name for name in {**before, **hashes} if before.get(name) != hashes.get(name)]
        if changed:
            names = (
                " and ".join(changed) if len(changed) < 3 else f"{', '.join(changed[:-1])} and {changed[-1]}"
            )
            verb = "has" if len(changed) == 1 and not names.endswith("s") else "have"
            raise click.UsageError(
                f"{self.path} has results of another command: {names} {verb} changed"
                f"\nUse another file, or repeat the earlier command to resume it.{start}"
            )

    def _read(self) -> None:
        """Note what is in the file; remove a torn line at its end, and lines that later ones replace."""
        header = self._layout.header
        with self.path.open("rb") as file:
            if (begun := file.read(len(header))) != header:
                if not header.startswith(begun):
                    raise click.UsageError(
                        f"{self.path} has other columns\nUse another file, or add --fresh."
                    )
                os.ftruncate(self._file, 0)  # torn
                self._append(header)
                return
            file.seek(0)
            self._end = len(header)
            try:
                for entry in self._layout.entries(file):
                    self.known.add(
                        entry.key, ok=entry.ok, number=entry.number, offset=entry.offset, length=entry.length
                    )
                    self._end = entry.offset + entry.length
            except ValueError as error:
                raise click.UsageError(
                    f"{error} of {self.path} is not a result of telex batch"
                    "\nRemove the line, or use another file. To start over, add --fresh."
                ) from None
        if not self.known.is_compact:
            self._rewrite(self.known)
        else:
            os.ftruncate(self._file, self._end)
        self.known.count()

    def append(self, line: bytes, *, replaces: bool) -> None:
        """Append the line of a row, which ``replaces`` one of a row that failed before. Raises ``OutputError``."""
        self._replaced = self._replaced or replaces
        self._append(line)
        if time.monotonic() - self._synced > _SYNC:
            self._sync()

    def _append(self, line: bytes) -> None:
        try:
            os.lseek(self._file, self._end, os.SEEK_SET)
            data = memoryview(line)
            while data:
                data = data[os.write(self._file, data) :]
            self._end += len(line)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._end)
            raise OutputError(f"{self.path}: {error.strerror or error}") from None

    def _sync(self) -> None:
        with contextlib.suppress(OSError):
            os.fsync(self._file)
        self._synced = time.monotonic()

    def finish(self, *, is_whole: bool) -> None:
        """Leave one line for each row, in the order of the input if it is ``ordered``.

        If the input ``is_whole``, failed rows that it does not have any more, such as a line that was corrected, are
        removed.
        """
        self._sync()
        strays = is_whole and self.known.strays(ok=False)
        if not (self._replaced or self._ordered or strays):
            return
        rows = KnownRows()  # those that were known are still used, if the input was not read to its end
        with self.path.open("rb") as file:
            for entry in self._layout.entries(file):
                rows.add(
                    entry.key, ok=entry.ok, number=entry.number, offset=entry.offset, length=entry.length
                )
        if strays:
            rows.forget_strays(self.known)
        if strays or not rows.is_compact or (self._ordered and not rows.is_sorted):
            self._rewrite(rows)
        rows.close()

    def _rewrite(self, rows: KnownRows) -> None:
        """Replace the file by one with the last line of each row only."""
        target = Path(os.path.realpath(self.path))
        try:
            handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:40]}.", suffix=".new")
            try:
                with target.open("rb") as old, os.fdopen(handle, "wb") as new:
                    if sys.platform != "win32":
                        os.fchmod(new.fileno(), stat.S_IMODE(os.fstat(old.fileno()).st_mode))
                    new.write(self._layout.header)
                    for offset, length in rows.places(ordered=self._ordered):
                        old.seek(offset)
                        new.write(old.read(length))
                    new.flush()
                    os.fsync(new.fileno())
                    end = new.tell()
                os.replace(name, target)  # noqa: PTH105
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(name)  # noqa: PTH108
                raise
        except OSError as error:
            raise OutputError(f"{self.path}: {error.strerror or error}") from None
        files.sync_folder(target.parent)
        os.close(self._file)
        self._file = self._open(self.path)
        self._end = end

    def _write_state(self, hashes: Mapping[str, str]) -> None:
        data = (json.dumps({"telex_batch": _VERSION, "made_with": hashes}) + "\n").encode()
        try:
            os.ftruncate(self._state, 0)
            os.lseek(self._state, 0, os.SEEK_SET)
            os.write(self._state, data)
            os.fsync(self._state)
        except OSError as error:
            raise FileError(
                f"{self._state_path} cannot be written", path=self._state_path, reason=error.strerror or ""
            ) from None

    def close(self) -> None:
        """Close the files, which ends the lock."""
        for handle in (self._file, self._state):
            if handle >= 0:
                with contextlib.suppress(OSError):
                    os.close(handle)
        self.known.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _read_all(handle: int) -> bytes:
    os.lseek(handle, 0, os.SEEK_SET)
    return os.read(handle, 1 << 16)


def is_stream(name: str) -> bool:
    """Whether the output cannot be read again: a pipe, a device, or an open descriptor."""
    try:
        mode = os.stat(name).st_mode  # noqa: PTH116
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def open_stream(name: str) -> io.BufferedWriter:
    """A pipe or a device, open for writing."""
    try:
        return os.fdopen(os.open(name, os.O_WRONLY | getattr(os, "O_NOCTTY", 0)), "wb")
    except OSError as error:
        raise click.UsageError(f"cannot write {name}: {error.strerror}") from None
