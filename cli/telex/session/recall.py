"""Lines that were typed, from one session to the next: a private file that several may write to. No editor is here.

Each line of the file is one entry as a JSON string. What begins with a blank is not kept, as in shells.
"""

from __future__ import annotations

import json
import os
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
            files.make_private(self._path)
            content = self._path.read_bytes()
            if len(content) > _FULL:
                content = self._cut_down()
        except FileNotFoundError:
            return []
        except (OSError, FileError) as error:
            self._failed(error)
            return []
        return list(_read(content))[-_MOST:]

    def add(self, text: str) -> None:
        """Keep one more entry, unless it begins with a blank."""
        if self._path is None or not text.strip() or text[0].isspace() or len(text) > _LARGEST:
            return
        try:
            files.private_folder(self._path.parent)
            with files.locked(self._path):
                _append(self._path, json.dumps(text).encode() + b"\n")
        except (OSError, FileError) as error:
            self._failed(error)

    def _cut_down(self) -> bytes:
        """Half of the file, and no more entries than are offered; what it holds then."""
        if self._path is None:
            return b""
        with files.locked(self._path):
            kept: list[bytes] = []
            for text in reversed(list(_read(self._path.read_bytes()))[-_MOST:]):
                kept.append(json.dumps(text).encode() + b"\n")
                if sum(map(len, kept)) > _FULL // 2:
                    break
            content = b"".join(reversed(kept))
            files.replace(self._path, content)
        return content

    def _failed(self, error: OSError | FileError) -> None:
        reason = error.reason if isinstance(error, FileError) else error.strerror or str(error)
        self._told(f"What you type is not kept in {self._path}: {reason}.")
        self._path = None


def _read(content: bytes) -> Iterable[str]:
    for line in content.split(b"\n"):
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, str):
            yield found


def _append(path: Path, line: bytes) -> None:
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, files.PRIVATE)
    try:
        if os.name == "posix":
            os.fchmod(handle, files.PRIVATE)  # whatever the umask took away, and whoever gave more
        size = os.fstat(handle).st_size
        if size:
            os.lseek(handle, -1, os.SEEK_END)
            if os.read(handle, 1) != b"\n":
                line = b"\n" + line  # a full disk has cut the last one short
        while line:
            line = line[os.write(handle, line) :]
    finally:
        os.close(handle)
