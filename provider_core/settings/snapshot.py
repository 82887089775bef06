"""Settings that were checked before, kept with what they were made from; nothing is checked or merged here.

Importing what checks them costs as much as everything else a short answer needs. The key is the content
itself: the file's text and the variables, not their age.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from provider_core import files
from provider_core._version import __version__
from provider_core.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["keep", "recall"]

_FOLDER = "settings"
_MOST = 8
"""Snapshots that are kept: a script sets the same few variables again and again, each time to the same values."""


def recall(cache: Path, text: str, variables: Mapping[str, str]) -> dict[str, Any] | None:
    """The checked values that were kept for just this text and these variables, or None."""
    try:
        kept = json.loads(files.content(_place(cache, variables)))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(kept, dict) or kept.get("made_from") != _source(text, variables):
        return None
    checked = kept.get("checked")
    return checked if isinstance(checked, dict) else None


def keep(cache: Path, text: str, variables: Mapping[str, str], checked: Mapping[str, Any]) -> None:
    """Keep the checked values, readable by their owner alone. A cache that cannot be written costs time only."""
    content = json.dumps({"made_from": _source(text, variables), "checked": checked}, ensure_ascii=False)
    with contextlib.suppress(FileError, UnicodeEncodeError):
        files.private_folder(cache / _FOLDER)
        place = _place(cache, variables)
        files.replace(place, content.encode())
        _forget_old(place.parent)


def _place(cache: Path, variables: Mapping[str, str]) -> Path:
    # The sum only parts the files; what is in one is compared in full.
    from zlib import crc32

    return cache / _FOLDER / f"{crc32(repr(sorted(variables.items())).encode('utf-8', 'replace')):08x}.json"


def _forget_old(folder: Path) -> None:
    with contextlib.suppress(OSError):
        newest_first = sorted(folder.glob("*.json"), key=lambda found: found.stat().st_mtime_ns, reverse=True)
        for old in newest_first[_MOST:]:
            old.unlink()


def _source(text: str, variables: Mapping[str, str]) -> list[Any]:
    # The version, because another one may check differently.
    return [__version__, text, dict(variables)]
