"""Lines that were typed, from one session to the next: a private file that several may write to. No editor is here.

Each line of the file is one entry as a JSON string. What begins with a blank is not kept, as in shells.
"""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING

from provider_core import files
from provider_core.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

__all__ = ["Recall"]

_MOST = 1000
"""Entries that are offered."""
_LARGEST = 20_000
"""Characters of an entry that is kept: a pasted log is nothing to come back to."""
_FULL = 2_000_000
"""Bytes at which the file is cut down to its last entries."""


class Recall:
    """The entries of ``path``; None keeps nothing. ``told`` hears once of what keeps them from being kept."""

    def __init__(self, path: Path | None, *, told: Callable[[str], None]) -> None:
        self._path = path
        self._told = told

    def entries(self) -> list[str]:
        """The last entries, the oldest first. What is no entry, as after a full disk, is passed over."""
        if self._path is None:
            return []
        try:
            if not self._path.is_file():  # none yet, or a device: who links it to /dev/null wants none
                return []
            files.make_private(self._path)
            content = self._path.read_bytes()
            found = list(_read(content))
            if len(content) > _FULL:
                self._cut_down(self._path)
        except (OSError, FileError) as error:
            self._failed(error)
            return []
        return found[-_MOST:]

    def add(self, text: str) -> None:
        """Keep one more entry, unless it begins with a blank."""
        if self._path is None or not text.strip() or text[0].isspace() or len(text) > _LARGEST:
            return
        try:
            files.private_folder(self._path.parent)
            with files.locked(self._path):
                _append(self._path, _line(text))
        except (OSError, FileError) as error:
            self._failed(error)

    def _cut_down(self, path: Path) -> None:
        """Leave the last entries that are offered, and at most half of what is too much."""
        with files.locked(path):
            lines = [_line(text) for text in _read(path.read_bytes())][-_MOST:]
            while sum(map(len, lines)) > _FULL // 2:
                del lines[: len(lines) // 2]
            files.replace(path, b"".join(lines))

    def _failed(self, error: OSError | FileError) -> None:
        reason = error.reason if isinstance(error, FileError) else error.strerror or str(error)
        self._told(f"What you type is not saved in {self._path}: {reason}.")
        self._path = None


def _read(content: bytes) -> Iterable[str]:
    for line in content.split(b"\n"):
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, str):
            yield found


def _line(text: str) -> bytes:
    return json.dumps(text).encode() + b"\n"


def _append(path: Path, line: bytes) -> None:
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, files.PRIVATE)
    try:
        status = os.fstat(handle)
        if os.name == "posix" and stat.S_ISREG(status.st_mode):
            os.fchmod(handle, files.PRIVATE)  # whatever the umask took away, and whoever gave more
        if status.st_size:
            os.lseek(handle, -1, os.SEEK_END)
            if os.read(handle, 1) != b"\n":
                line = b"\n" + line  # a full disk has cut the last one short
        while line:
            line = line[os.write(handle, line) :]
    finally:
        os.close(handle)
