"""The settings file as it is read, the line of each value, and snapshots of checked settings.

A snapshot saves the next start from checking the settings, which takes longer than a short answer. It is found by a
digest of the file's text and of the variables. It contains no variable's value and no secret: settings with one in
them are checked at each start.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import stat
import sys
from typing import TYPE_CHECKING, Any

from provider_core import __version__, files
from provider_core.errors import FileError, SettingsError

try:
    from _blake2 import blake2b  # hashlib loads all of OpenSSL
except ImportError:  # pragma: no cover - another implementation of Python
    from hashlib import blake2b

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
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
    """Raise ``SettingsError`` if another user can change the file, and so where keys are sent and what runs.

    Files of root are accepted: root can change everything, and writes the settings of images and containers.
    Windows has no such owners and modes.
    """
    if sys.platform == "win32":
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


def digest(content: bytes) -> str:
    """A digest that identifies the content, because no other content with the same digest can be made."""
    return blake2b(content, digest_size=32).hexdigest()


def parse(text: str, path: Path) -> dict[str, Any]:
    """The tables in ``text``; raises ``SettingsError`` with the line where it is not valid TOML."""
    if not text:
        return {}
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _unparsable(error, path, text) from None
    except ValueError:  # Python converts no integer of more than 4,300 digits
        raise SettingsError(f"{path}: a number in it has too many digits", path=path) from None
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
    return SettingsError(f"{path}, line {line}: this is not valid TOML ({reason})", path=path, line=line)


_LONGEST_VALUE = 200
"""Most lines of one value."""


def line_of(text: str, keys: Sequence[str]) -> int | None:
    """The line, from 1, where the value of ``keys`` (a table's name, then those below it) begins, or None.

    A line that contains the word may be a comment or part of a string, so the text up to the end of the value that
    begins on it is parsed.
    """
    import tomllib

    word = re.compile(rf"(?<![\w-]){re.escape(keys[-1])}(?![\w-])")
    lines = text.replace("\r\n", "\n").split("\n")
    for number, line in enumerate(lines, 1):
        if not word.search(line):
            continue
        for end in range(number, min(number + _LONGEST_VALUE, len(lines)) + 1):
            with contextlib.suppress(tomllib.TOMLDecodeError, RecursionError):
                found: Any = tomllib.loads("\n".join(lines[:end]))
                for key in keys:
                    found = found.get(key) if isinstance(found, dict) else None
                if found is not None:
                    return number
                break
    return None


# --- snapshots ---------------------------------------------------------------------------------------------

_FOLDER = "settings"
_SNAPSHOTS = 8
"""The number of snapshots: a script sets the same few variables to the same values again and again."""


def load_snapshot(cache: Path, text: str, variables: Mapping[str, str]) -> dict[str, Any] | None:
    """The values that were saved for this text and these variables, or None."""
    try:
        mark, _, content = files.read_bytes(_snapshot_path(cache, text, variables)).partition(b"\n")
        if mark != digest(content).encode():  # somebody changed it
            return None
        saved = json.loads(content)
        if saved["made_from"] != _digest(text, variables):
            return None
        checked: dict[str, Any] = saved["checked"]
        if not saved["from_variables"]:
            return checked
        given = _upper(variables)
        return checked | {name: given[f"TELEX_{name.upper()}"] for name in saved["from_variables"]}
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return None


def save_snapshot(cache: Path, text: str, variables: Mapping[str, str], checked: Mapping[str, Any]) -> None:
    """Save the checked values for their owner; a cache that cannot be written is ignored."""
    given = _upper(variables)
    is_part = any("__" in name or value.lstrip().startswith(("{", "[")) for name, value in given.items())
    if is_part or any(_contain_secrets(checked)):
        return
    apart = [name for name, value in checked.items() if given.get(f"TELEX_{name.upper()}") == value]
    content = json.dumps(
        {
            "made_from": _digest(text, variables),
            "from_variables": apart,
            "checked": {name: value for name, value in checked.items() if name not in apart},
        },
        ensure_ascii=False,
    )
    with contextlib.suppress(FileError, OSError, UnicodeEncodeError):
        files.private_folder(cache / _FOLDER)
        whole = content.encode()
        files.replace(_snapshot_path(cache, text, variables), digest(whole).encode() + b"\n" + whole)
        found = list((cache / _FOLDER).glob("*.json"))
        for old in sorted(found, key=lambda path: path.stat().st_mtime_ns)[:-_SNAPSHOTS]:
            old.unlink()


def _contain_secrets(checked: Mapping[str, Any]) -> Iterator[bool]:
    """Whether each value that may hold a secret does."""
    from provider_core.settings.validators import find_secret, is_harmless, without_credentials

    for provider in checked.get("providers", {}).values():
        proxy = provider.get("proxy", "")
        yield without_credentials(proxy) != proxy
        yield find_secret(["", *provider.get("key_command", "").split()]) is not None
    for server in checked.get("mcp", {}).values():
        yield from (not is_harmless(name, value) for name, value in server.get("env", {}).items())
        yield find_secret(server.get("command", [])) is not None


def _upper(variables: Mapping[str, str]) -> dict[str, str]:
    return {name.upper(): value for name, value in variables.items()}


def _snapshot_path(cache: Path, text: str, variables: Mapping[str, str]) -> Path:
    # Only for the name of the file: its content has the whole digest. After a null byte come the profile and the
    # project, which have a snapshot each.
    return cache / _FOLDER / f"{_digest(text.partition(chr(0))[2], variables)[:8]}.json"


def _digest(text: str, variables: Mapping[str, str]) -> str:
    # The version, because another one may check differently.
    made_from = json.dumps([__version__, text, sorted(variables.items())])
    return blake2b(made_from.encode(), digest_size=32).hexdigest()
