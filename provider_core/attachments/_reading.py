"""Reads what a path names, up to a limit: files, pipes and devices alike; what is in it is not looked at here."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final

from provider_core import files
from provider_core.errors import AttachmentError
from provider_core.redaction import printable

__all__ = ["SCHEME", "check_size", "label", "megabytes", "read"]

SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


def read(source: str | os.PathLike[str], *, limit: int, what: str) -> bytes:
    """All that the path gives, which may be a pipe (``<(command)``); never more than ``limit`` bytes are kept.

    ``what`` is its part in the sentence about the limit: "a text file". Raises ``AttachmentError``.
    """
    name = label(source)
    if not name:
        raise AttachmentError(f"the name of {what} is empty")
    try:
        with _path(source).open("rb") as file:
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode) and status.st_size > limit:
                raise AttachmentError(_too_large(name, _size(status.st_size, limit), limit, what), name=name)
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:  # a NUL in the name
        if os.path.isdir(source):  # noqa: PTH112 - Path raises for a folder that may not be entered
            raise AttachmentError(f"{name} is a folder: name the files in it", name=name) from None
        reason = getattr(error, "strerror", None) or error
        raise AttachmentError(f"{name} cannot be read: {reason}", name=name) from None
    if len(data) > limit:
        raise AttachmentError(_too_large(name, f"more than {megabytes(limit)}", limit, what), name=name)
    return data


def check_size(data: bytes, name: str, *, limit: int, what: str) -> None:
    """Raise ``AttachmentError`` for more than ``limit`` bytes, which came from elsewhere."""
    if len(data) > limit:
        raise AttachmentError(_too_large(name, _size(len(data), limit), limit, what), name=name)


def label(source: str | os.PathLike[str]) -> str:
    """The path as it was given, fit to be shown and to be sent."""
    return " ".join(printable(os.fspath(source), 400).split("\n"))


def megabytes(count: int) -> str:
    """A size as people say it: "20 MB", "12.5 MB", "800 kB"."""
    if count < 1_000_000:
        return f"{count / 1000:.0f} kB" if count >= 1000 else f"{count} bytes"
    return f"{count / 1_000_000:.1f}".removesuffix(".0") + " MB"


def _path(source: str | os.PathLike[str]) -> Path:
    path, text = Path(source), os.fspath(source)
    if os.path.exists(path):  # noqa: PTH110 - Path raises for a name that is too long
        return path
    if text[:7].lower() == "file://":
        from urllib.parse import unquote, urlsplit

        return Path(unquote(urlsplit(text).path))
    if SCHEME.match(text):
        name = re.sub("//[^/@]*@", "//", label(text))  # a password
        raise AttachmentError(f"{name} is an address, which telex does not download", name=name)
    # A shell does not expand it after "--file=".
    return files.expanded(path) if path.parts[:1] == ("~",) else path


def _size(count: int, limit: int) -> str:
    """As people say it; to the byte where that is the limit, too."""
    size = megabytes(count)
    return f"{count:,} bytes" if size == megabytes(limit) else size


def _too_large(name: str, size: str, limit: int, what: str) -> str:
    return f"{name} holds {size}, and {what} may have {megabytes(limit)} at most"
