"""Checked settings, saved for the next start: checking them takes longer than a short answer.

A snapshot is found by a digest of the file's text and of the variables. It contains no variable's value and no secret:
settings with one in them are checked at each start.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from provider_core import files
from provider_core._version import __version__
from provider_core.errors import FileError

try:
    from _blake2 import blake2b  # hashlib loads all of OpenSSL
except ImportError:  # pragma: no cover - another implementation of Python
    from hashlib import blake2b

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_FOLDER = "settings"
_MOST = 8
"""Snapshots that are kept: a script sets the same few variables to the same values again and again."""


def load(cache: Path, text: str, variables: Mapping[str, str]) -> dict[str, Any] | None:
    """The values that were saved for this text and these variables, or None."""
    try:
        mark, _, content = files.read_bytes(_place(cache, variables)).partition(b"\n")
        if mark != _mark(content):  # somebody changed it
            return None
        saved = json.loads(content)
        if saved["made_from"] != _digest(text, variables):
            return None
        checked: dict[str, Any] = saved["checked"]
        return checked | {
            name: _upper(variables)[f"TELEX_{name.upper()}"] for name in saved["from_variables"]
        }
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return None


def save(cache: Path, text: str, variables: Mapping[str, str], checked: Mapping[str, Any]) -> None:
    """Save the checked values for their owner; a cache that cannot be written is no error."""
    given = _upper(variables)
    if any(value.lstrip().startswith(("{", "[")) for value in given.values()) or any(_secrets(checked)):
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
    with contextlib.suppress(FileError, UnicodeEncodeError):
        files.private_folder(cache / _FOLDER)
        place = _place(cache, variables)
        whole = content.encode()
        files.replace(place, _mark(whole) + b"\n" + whole)
        _forget_old(place.parent)


def _secrets(checked: Mapping[str, Any]) -> Iterator[bool]:
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


def _place(cache: Path, variables: Mapping[str, str]) -> Path:
    # Only for the name of the file: its content has the whole digest.
    return cache / _FOLDER / f"{_digest('', variables)[:8]}.json"


def _forget_old(folder: Path) -> None:
    with contextlib.suppress(OSError):
        newest_first = sorted(folder.glob("*.json"), key=lambda found: found.stat().st_mtime_ns, reverse=True)
        for old in newest_first[_MOST:]:
            old.unlink()


def _mark(content: bytes) -> bytes:
    """The first line of a snapshot with this content, which shows whether somebody changed it."""
    return blake2b(content, digest_size=32).hexdigest().encode()


def _digest(text: str, variables: Mapping[str, str]) -> str:
    # The version, because another one may check differently.
    made_from = json.dumps([__version__, text, sorted(variables.items())])
    return blake2b(made_from.encode(), digest_size=32).hexdigest()
