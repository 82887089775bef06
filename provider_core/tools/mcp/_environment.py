"""What a server's process finds in its environment: little, and nothing of ours; its own values are added by others."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["minimal"]

# By their full names: ssh passes LC_* through, and so people carry secrets in LC_ names of their own.
_LOCALE = (
    "LC_ADDRESS", "LC_ALL", "LC_COLLATE", "LC_CTYPE", "LC_IDENTIFICATION", "LC_MEASUREMENT", "LC_MESSAGES",
    "LC_MONETARY", "LC_NAME", "LC_NUMERIC", "LC_PAPER", "LC_TELEPHONE", "LC_TIME",
)  # fmt: skip
_POSIX = frozenset(
    (
        "HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER", *_LOCALE,
        "__CF_USER_TEXT_ENCODING",  # macOS: without it, Core Foundation opens the user's record for it
    )
)  # fmt: skip
_WINDOWS = frozenset(
    (
        "APPDATA", "COMSPEC", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATH", "PATHEXT", "PROGRAMDATA", "PROGRAMFILES",
        "SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "TMP", "USERNAME", "USERPROFILE", "WINDIR",
    )
)  # fmt: skip


def minimal(environ: Mapping[str, str], *, withheld: Collection[str] = ()) -> dict[str, str]:
    """What of ``environ`` every program needs; never a variable of ``withheld``, whatever it is called."""
    known = _WINDOWS if os.name == "nt" else _POSIX
    kept = {
        name: value
        for name, value in environ.items()
        if name.upper() in known
        and (os.name == "nt" or name in known)
        and name not in withheld
        and not value.startswith("()")  # a function that bash has exported
    }
    kept.setdefault("PATH", os.defpath)
    return kept
