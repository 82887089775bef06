"""Settings that were checked before, kept with what they were made from; nothing is checked or merged here.

Importing what checks them costs as much as everything else a short answer needs. The key is the content
itself: the file's text and the variables, not their age.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from provider_core._version import __version__
from provider_core.errors import SettingsError
from provider_core.settings import file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["keep", "recall"]

_FILE = "settings.json"


def recall(cache: Path, text: str, variables: Mapping[str, str]) -> dict[str, Any] | None:
    """The checked values that were kept for just this text and these variables, or None."""
    try:
        kept = json.loads((cache / _FILE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(kept, dict) or kept.get("made_from") != _source(text, variables):
        return None
    checked = kept.get("checked")
    return checked if isinstance(checked, dict) else None


def keep(cache: Path, text: str, variables: Mapping[str, str], checked: Mapping[str, Any]) -> None:
    """Keep the checked values, readable by their owner alone. A cache that cannot be written costs time only."""
    content = json.dumps({"made_from": _source(text, variables), "checked": checked}, ensure_ascii=False)
    with contextlib.suppress(SettingsError, UnicodeEncodeError):
        file.private_folder(cache)
        file.replace(cache / _FILE, content.encode())


def _source(text: str, variables: Mapping[str, str]) -> list[Any]:
    # The version, because another one may check differently.
    return [__version__, text, dict(variables)]
