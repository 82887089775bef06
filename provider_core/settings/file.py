"""The settings file on disk: read whole, changed under a lock, replaced in one step; no meaning is given to it.

Comments and order of the person who edits it by hand survive every change.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import shlex
import stat
from typing import TYPE_CHECKING, Any, TypeAlias

from provider_core import files
from provider_core.errors import FileError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

__all__ = ["Change", "Proposals", "change", "parse", "read", "text"]


Change: TypeAlias = "Callable[[dict[str, Any]], None]"
"""Changes the file's values in place, or raises."""

Proposals: TypeAlias = "Callable[[str], Iterator[str]]"
"""From the file's text, texts that may hold the changed values, the best first."""


def read(path: Path) -> dict[str, Any]:
    """The file's tables as plain values; see ``text`` and ``parse``."""
    return parse(text(path), path)


def text(path: Path) -> str:
    """The file's text; an absent file is empty. Tightens a mode that lets others read it."""
    raw = _bytes(path)
    if raw:
        _check_owner(path)
        files.make_private(path)
    return _text(raw, path)


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
    """The tables in ``text``; raises ``SettingsError`` with the line where it is no TOML."""
    if not text:
        return {}
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _unparsable(error, path, text) from None
    except RecursionError:
        raise SettingsError(f"{path}: its values are nested too deeply", path=path) from None


def change(
    path: Path, edit: Change, proposals: Proposals, around: AbstractContextManager[None] | None = None
) -> None:
    """Let ``edit`` change the file's values, under a lock, and put a text that holds them in its place.

    The first of the ``proposals`` for the text is taken that reads back as just those values. ``around`` is
    entered once all is ready to be written, and left when it has been. A file that does not parse raises
    ``SettingsError`` and stays as it is, byte for byte; so does the file when ``edit`` or ``around`` raises.
    Where an editor saved the file meanwhile, the change is made once more to what it holds now.
    """
    with _of_the_settings():
        files.private_folder(path.parent)
        with files.locked(path):
            before = _bytes(path)
            changed = _changed(before, path, edit, proposals)
            if changed != before:
                files.clear_leftovers(path)
            with around or contextlib.nullcontext():
                while (now := _bytes(path)) != before:  # editors know nothing of the lock
                    before, changed = now, _changed(now, path, edit, proposals)
                if changed != before:
                    files.replace(path, changed)


def _changed(raw: bytes, path: Path, edit: Change, proposals: Proposals) -> bytes:
    """The file after the change; its byte order mark stays, and all its lines end as most of them did."""
    whole = _text(raw, path)
    text = whole.replace("\r\n", "\n")
    data = parse(text, path)
    edit(data)
    changed = _first_that_means(data, proposals(text), path)
    if changed == text:
        return raw
    if whole.count("\r\n") * 2 > text.count("\n"):
        changed = changed.replace("\n", "\r\n")
    return (codecs.BOM_UTF8 if raw.startswith(codecs.BOM_UTF8) else b"") + changed.encode()


@contextlib.contextmanager
def _of_the_settings() -> Iterator[None]:
    """A settings file that cannot be written is told from any other file by its class."""
    try:
        yield
    except FileError as error:
        raise SettingsError(error.message, path=error.path) from error


def _first_that_means(data: dict[str, Any], texts: Iterator[str], path: Path) -> str:
    """No way of writing a file by hand may turn a change into damage."""
    import tomllib

    from tomlkit.exceptions import TOMLKitError

    wanted = _without_empty(data)
    with contextlib.suppress(TOMLKitError):
        for text in texts:
            with contextlib.suppress(tomllib.TOMLDecodeError):
                if _without_empty(tomllib.loads(text)) == wanted:
                    return text
    raise SettingsError(
        f"{path} is written in a way that cannot be changed safely: edit it by hand", path=path
    )


def _without_empty(table: dict[str, Any]) -> dict[str, Any]:
    """An empty table is as good as none, and some of them cannot be written."""
    inner = {key: _without_empty(value) if isinstance(value, dict) else value for key, value in table.items()}
    return {key: value for key, value in inner.items() if value != {}}


def _bytes(path: Path) -> bytes:
    try:
        return files.content(path, of_anybody=True)  # ``_check_owner`` has more to say
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}", path=path) from error


def _text(raw: bytes, path: Path) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{path}, line {line}: it is not UTF-8", path=path, line=line) from None


def _unparsable(error: Exception, path: Path, text: str) -> SettingsError:
    import re

    words = str(error)
    found = re.search(r"\bline (\d+)", words)
    line = int(found[1]) if found else text.rstrip().count("\n") + 1
    reason = re.sub(r"\s*\(?at (line \d+( col(umn)? \d+)?,? ?(column \d+)?|end of document)\)?", "", words)
    return SettingsError(f"{path}, line {line}: {reason}", path=path, line=line)
