"""The settings file as it is read: its text, its tables, and the line of each value."""

from __future__ import annotations

import os
import re
import shlex
import stat
from typing import TYPE_CHECKING, Any

from provider_core import files
from provider_core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def read(path: Path) -> dict[str, Any]:
    """The file's tables as plain values; see ``text`` and ``parse``."""
    return parse(text(path), path)


def text(path: Path) -> str:
    """The file's text; an absent file is empty. Tightens a mode that lets others read it."""
    raw = content(path)
    if raw:
        _check_owner(path)
        files.make_private(path)
    return decode(raw, path)


def _check_owner(path: Path) -> None:
    """Raise ``SettingsError`` where somebody else decides what is in the file, and so where keys go and what runs.

    Files of root are accepted: root may change everything anyway, and makes the settings of images and containers.
    """
    if os.name != "posix":
        return
    for place in (path, path.parent):
        found = place.stat()
        if found.st_uid not in (os.geteuid(), 0):
            raise SettingsError(
                f"{place} belongs to another user (uid {found.st_uid}), who could send your keys elsewhere. "
                "Set TELEX_HOME to a folder of your own or, if you trust what is in it: "
                f'{"sudo " if os.geteuid() else ""}chown "$(id -u)" {shlex.quote(str(place))}',
                path=path,
            )
        if found.st_mode & stat.S_IWOTH:
            raise SettingsError(
                f"{place} can be changed by every user, who could send your keys elsewhere. "
                f"Check what is in it, then: chmod o-w {shlex.quote(str(place))}",
                path=path,
            )


def parse(text: str, path: Path) -> dict[str, Any]:
    """The tables in ``text``; raises ``SettingsError`` with the line where it is not valid TOML."""
    if not text:
        return {}
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _unparsable(error, path, text) from None
    except RecursionError:
        raise SettingsError(f"{path}: its values are nested too deeply", path=path) from None


def content(path: Path) -> bytes:
    """The file's bytes; none where there is no file. Raises ``SettingsError``."""
    try:
        return files.read_bytes(path, of_anybody=True)  # ``_check_owner`` has more to say
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}", path=path) from error


def decode(raw: bytes, path: Path) -> str:
    """The text without a byte order mark; raises ``SettingsError`` with the line that is not UTF-8."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{path}, line {line}: it is not UTF-8", path=path, line=line) from None


def _unparsable(error: Exception, path: Path, text: str) -> SettingsError:
    words = str(error)
    found = re.search(r"\bline (\d+)", words)
    line = int(found[1]) if found else text.rstrip().count("\n") + 1
    reason = re.sub(r"\s*\(?at (line \d+( col(umn)? \d+)?,? ?(column \d+)?|end of document)\)?", "", words)
    return SettingsError(f"{path}, line {line}: {reason}", path=path, line=line)


_LONGEST_VALUE = 200
"""Most lines of one value."""


def line_of(text: str, keys: Sequence[str]) -> int | None:
    """The line, from 1, where the value of ``keys`` (a table's name, then those below it) begins, or None.

    A line that contains the word may be a comment or part of a string, so the text up to it is parsed.
    """
    word = re.compile(rf"(?<![\w-]){re.escape(keys[-1])}(?![\w-])")
    lines = text.replace("\r\n", "\n").split("\n")
    for number, line in enumerate(lines, 1):
        if word.search(line) and _has(_tables_up_to(lines, number), keys):
            return number
    return None


def _tables_up_to(lines: list[str], number: int) -> dict[str, Any]:
    """The tables up to this line, and to the end of the value that begins on it."""
    import tomllib

    for end in range(number, min(number + _LONGEST_VALUE, len(lines)) + 1):
        try:
            return tomllib.loads("\n".join(lines[:end]))
        except (tomllib.TOMLDecodeError, RecursionError):
            continue
    return {}


def _has(data: Any, keys: Sequence[str]) -> bool:
    for key in keys:
        if not isinstance(data, dict) or key not in data:
            return False
        data = data[key]
    return True
