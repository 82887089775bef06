"""Where the results of a batch go: stdout, a file that can be resumed, and a folder with a file for each answer.

In the file, each result is appended in one write, so that ``kill -9`` loses only rows in flight; once a second it is
synchronised with the disk, so that a power failure loses at most the rows of that second. A line that was torn is
removed when the batch is resumed. A row that failed has a line, too. When it is run again, its new line is appended,
and the old one is removed at the end of the batch: the file then has one line for each row.

Next to the file is another, with ".state" after its name. It has the options that the results were made with, and is
locked while a batch writes.
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
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final

import click

from provider_core import files
from provider_core.errors import FileError
from telex.batch.output import Entry
from telex.console import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from provider_core.batches import Result
    from telex.batch.output import ResultLayout

JOURNAL: Final = ".telex-batch.jsonl"
"""The file of ``--output-dir`` that has the results without their answers."""
JOBS: Final = ".jobs"
"""The suffix of the file of jobs, which has the name of the output before it."""
_SYNC: Final = 1.0
"""Seconds between two synchronisations with the disk."""


class KnownRows:
    """The rows of the output and of the input so far: in a temporary file, whatever their number.

    Each row is known by a hash of 8 bytes; the probability that two of a million rows share one is 1 in 37 million.
    Methods raise ``OutputError`` if the temporary file cannot be written.
    """

    def __init__(self) -> None:
        # A private database on the disk, which SQLite removes; no transaction of it has to survive.
        self._rows = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        weakref.finalize(self, self._rows.close)
        self._lock = threading.Lock()
        self._rows.execute("PRAGMA journal_mode = OFF")
        self._rows.execute(
            "CREATE TABLE rows (key INTEGER PRIMARY KEY, row_hash, ok, number, offset, length, found DEFAULT 0)"
        )
        self._rows.execute("BEGIN")

    def add(self, entry: Entry) -> None:
        """Note a line of the output; it replaces an earlier one of the same row."""
        self._execute(
            "INSERT INTO rows (key, row_hash, ok, number, offset, length) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (key) DO UPDATE SET row_hash = excluded.row_hash, ok = excluded.ok, "
            "number = excluded.number, offset = excluded.offset, length = excluded.length",
            _hash(entry.key), _hash(entry.row_hash), entry.ok, entry.number, entry.offset, entry.length,
        )  # fmt: skip

    def find(self, key: str, row_hash: str) -> tuple[bool, bool | None]:
        """Note that the input has a row. Returns whether that is new, and whether the row is complete.

        None means that the output has no line of it, or that it was edited after it was complete.
        """
        number = _hash(key)
        known = self._execute(
            "SELECT found, CASE WHEN ok AND row_hash <> ? THEN NULL ELSE ok END FROM rows WHERE key = ?",
            _hash(row_hash),
            number,
        )
        self._execute(
            "INSERT INTO rows (key, found) VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET found = 1", number
        )
        if known is None:
            return True, None
        return not known[0], None if known[1] is None else bool(known[1])

    def strays(self) -> int:
        """The number of complete rows that the input does not have."""
        found = self._execute("SELECT count(*) FROM rows WHERE ok AND NOT found")
        return 0 if found is None else int(found[0])

    def places(self, *, ordered: bool, is_whole: bool) -> Iterator[tuple[int, int]]:
        """Offset and length of the last line of each row, in the order of the file, or of the input.

        If the input ``is_whole``, failed rows that it does not contain are omitted.
        """
        where = "offset IS NOT NULL AND (ok OR found)" if is_whole else "offset IS NOT NULL"
        order = "number, offset" if ordered else "offset"
        with _full_disk_reported():  # sorting needs a temporary file, too
            yield from self._rows.execute(f"SELECT offset, length FROM rows WHERE {where} ORDER BY {order}")  # noqa: S608

    def _execute(self, statement: str, *values: object) -> tuple[Any, ...] | None:
        """The first row that a statement returns."""
        with _full_disk_reported(), self._lock:
            found: tuple[Any, ...] | None = self._rows.execute(statement, values).fetchone()
            return found


@contextlib.contextmanager
def _full_disk_reported() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise OutputError(f"the folder for temporary files: {error}") from None


def _hash(key: str) -> int:
    data = key.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big", signed=True)


def read_known(name: str | None, layout: ResultLayout) -> KnownRows:
    """The rows of an output file, up to the first line that cannot be read. Nothing is written."""
    known = KnownRows()
    if name is not None:
        with contextlib.suppress(OSError, ValueError), Path(name).open("rb") as file:
            for entry in layout.entries(file):
                known.add(entry)
    return known


class Stream:
    """stdout as the output, which cannot be read again."""

    name: str = ""

    def __init__(self, layout: ResultLayout, write: Callable[[str], object]) -> None:
        self.known = KnownRows()
        self._write = write
        self._layout = layout
        self._header = layout.header

    def add(self, result: Result) -> None:
        """Write a result, whole or not at all. Raises ``OutputError`` and ``OutputClosed``."""
        self._write((self._header + self._layout.line(result)).decode())
        self._header = b""

    def finish(self, *, is_whole: bool) -> None:
        """Nothing is left to do."""

    def close(self) -> None:
        """The stream is left to the process."""


class Journal:
    """An output file that is open for appending. ``known`` are the rows that are in it.

    ``made_with`` maps what the results depend on ("the prompt") to its value; of a batch that ``is_begun``, results may
    be on their way although the file is empty. Raises ``click.UsageError`` if the file was made with something else, by
    another program, or is being written.
    """

    def __init__(
        self,
        name: str,
        layout: ResultLayout,
        made_with: Mapping[str, Any],
        *,
        fresh: bool,
        ordered: bool = False,
        is_begun: bool = False,
    ) -> None:
        self.name = name
        self.path = Path(name)
        self.known = KnownRows()
        self._layout = layout
        self._ordered = ordered
        self._synced = time.monotonic()
        self._state = -1
        self._end = 0
        self._file = self._open(self.path)
        self._state_path = self.path.with_name(f"{self.path.name}.state")
        try:
            if not stat.S_ISREG(os.fstat(self._file).st_mode):
                raise click.UsageError(
                    f"cannot write {name}: it is not a regular file\nOmit --output, and redirect stdout there."
                )
            self._state = self._open(self._state_path)
            if not files.try_lock(self._state):
                raise click.UsageError(f"another telex batch is writing {name}")
            hashes = {each: _digest(value) for each, value in made_with.items()}
            if os.fstat(self._file).st_size or (is_begun and self._read_state()):
                self._check(hashes, fresh=fresh)
            if fresh:
                os.ftruncate(self._file, 0)
            if os.fstat(self._file).st_size:
                self._read()
            else:
                self._write_state(hashes)
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
        state = self._read_state()
        try:
            before = {**json.loads(state)["telex_batch"]}
        except (ValueError, TypeError, LookupError, RecursionError):
            if not state:
                with contextlib.suppress(OSError):
                    os.unlink(self._state_path)  # noqa: PTH108 - made just now
            why = f"{self._state_path.name} is missing or damaged"
            raise click.UsageError(
                f"{self.path} exists, and is not the output of telex batch ({why})"
                "\nUse another file, or remove this one."
            ) from None
        changed = [name for name in {**before, **hashes} if before.get(name) != hashes.get(name)]
        if changed and not fresh:
            verb = "has" if len(changed) == 1 and not changed[0].endswith("s") else "have"
            raise click.UsageError(
                f"{self.path} has results of another command: {', '.join(changed)} {verb} changed"
                "\nUse another file, or repeat the earlier command to resume it."
                "\nTo discard its results and start over, add --fresh."
            )

    def _read(self) -> None:
        """Note what is in the file; remove a torn line at its end."""
        header = self._layout.header
        with self.path.open("rb") as file:
            if (begun := file.read(len(header))) != header:
                if not header.startswith(begun):
                    raise click.UsageError(
                        f"{self.path} has other columns\nUse another file, or add --fresh."
                    )
                os.ftruncate(self._file, 0)  # torn
                return
            file.seek(0)
            self._end = len(header)
            try:
                for entry in self._layout.entries(file):
                    self.known.add(entry)
                    self._end = entry.offset + entry.length
            except ValueError as error:
                raise click.UsageError(
                    f"{error} of {self.path} is not a result of telex batch"
                    "\nRemove the line, or use another file. To start over, add --fresh."
                ) from None
        os.ftruncate(self._file, self._end)

    def add(self, result: Result) -> None:
        """Append the line of a row. Raises ``OutputError``."""
        line, row = self._layout.line(result), result.row
        self._append(line)
        self.known.add(
            Entry(
                key=row.key, row_hash="", number=row.number, ok=result.ok,  # no later row of this run has the key
                offset=self._end - len(line), length=len(line),
            )
        )  # fmt: skip
        if time.monotonic() - self._synced > _SYNC:
            self._sync()

    def _append(self, line: bytes) -> None:
        if not self._end:  # not before: a mistake in the prompt shows in the first row
            line = self._layout.header + line
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
        """Leave one line for each row, in the order of the input if that is wanted.

        If the input ``is_whole``, failed rows that it does not have any more, such as a line that was corrected, are
        removed.
        """
        if not self._end:
            self._append(b"")
        self._sync()
        end = len(self._layout.header)
        for offset, length in self.known.places(ordered=self._ordered, is_whole=is_whole):
            if offset != end:
                break
            end += length
        if end != self._end:
            self._rewrite(is_whole=is_whole)

    def _rewrite(self, *, is_whole: bool) -> None:
        """Replace the file by one with the last line of each row only."""
        target = Path(os.path.realpath(self.path))
        try:
            handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:40]}.", suffix=".new")
            try:
                with target.open("rb") as old, os.fdopen(handle, "wb") as new:
                    if sys.platform != "win32":
                        os.fchmod(new.fileno(), stat.S_IMODE(os.fstat(old.fileno()).st_mode))
                    new.write(self._layout.header)
                    for offset, length in self.known.places(ordered=self._ordered, is_whole=is_whole):
                        old.seek(offset)
                        new.write(old.read(length))
                    new.flush()
                    os.fsync(new.fileno())
                os.replace(name, target)  # noqa: PTH105
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(name)  # noqa: PTH108
                raise
        except OSError as error:
            raise OutputError(f"{self.path}: {error.strerror or error}") from None
        files.sync_folder(target.parent)

    def _read_state(self) -> bytes:
        os.lseek(self._state, 0, os.SEEK_SET)
        return os.read(self._state, 1 << 16)

    def _write_state(self, hashes: Mapping[str, str]) -> None:
        data = (json.dumps({"telex_batch": hashes}) + "\n").encode()
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


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class OutputFolder:
    """A folder with one file for each input file, which has the name of that file.

    A relative name keeps its folders below this one; of any other, only the last part is used: no name leads out of the
    folder, whatever the input is called. ``suffix`` replaces that of the input, "" keeps it. ``names`` are all inputs:
    raises ``click.UsageError`` if two would have the same output, or if an output is one of the inputs or ``results``.
    """

    def __init__(
        self, folder: str, names: Iterable[str], *, suffix: str = "", results: str | None = None
    ) -> None:
        self.path = Path(folder)
        self._suffix = suffix
        self._real = os.path.realpath(self.path)
        taken: dict[str, str] = {}
        inputs = {os.path.realpath(name) for name in names}
        for name in names:
            target = str(self.target(name))
            folded = target.casefold()  # one file where case is ignored
            if folded in taken:
                both = f"{taken[folded]} and {name}"
                raise click.UsageError(f"{both} would both be written to {target}\nUse one folder for each.")
            taken[folded] = name
            if os.path.realpath(target) in inputs:
                raise click.UsageError(
                    f"{target} is an input, and would be overwritten\nUse another --output-dir."
                )
            if results and os.path.realpath(target) == os.path.realpath(results):
                raise click.UsageError(
                    f"{results} would have the answer to {name}, too\nUse another --output."
                )

    def create(self) -> None:
        """Make the folder. Raises ``click.UsageError``."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise click.UsageError(f"cannot write to {self.path}: {error.strerror}") from None

    def target(self, name: str) -> Path:
        """Where the answer about the input file ``name`` is written."""
        path = PurePath(name)
        parts = [part for part in path.parts if part != "."]
        if path.is_absolute() or ".." in parts or path.drive:
            parts = [path.name]
        if not parts or parts[-1] in ("", ".", ".."):
            raise click.UsageError(f"{name!r} is not the name of a file")
        last = f"{PurePath(parts[-1]).stem}{self._suffix}" if self._suffix else parts[-1]
        if last.startswith(".telex-batch."):
            raise click.UsageError(
                f"{name}: the output folder uses names that begin with .telex-batch itself"
            )
        return self.path.joinpath(*parts[:-1], last)

    def write(self, name: str, text: str) -> None:
        """Replace the file for the input ``name``. Raises ``OutputError``, also if a link leads out of the folder."""
        target = self.target(name)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            # A link in the folder may have been made since.
            parent = os.path.realpath(target.parent)
            if parent != self._real and not parent.startswith(self._real.rstrip(os.sep) + os.sep):
                raise OutputError(f"{target} is outside {self.path}, because a folder is a link")
            if target.is_symlink():
                target.unlink()  # it is replaced, and not followed
            os.umask(mask := os.umask(0o077))
            data = text if text.endswith("\n") else f"{text}\n"
            files.replace(Path(parent, target.name), data.encode("utf-8", "replace"), mode=0o666 & ~mask)
        except (OSError, FileError) as error:
            reason = error.reason if isinstance(error, FileError) else error.strerror
            raise OutputError(f"{target}: {reason or error}") from None
