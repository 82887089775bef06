"""Images of answers in files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provider_core.types import Image

_ENDINGS = {"image/jpeg": ".jpg", "image/svg+xml": ".svg"}
_KNOWN = ("png", "gif", "webp", "avif", "bmp")


def folder(name: str) -> Path:
    """Return the folder of ``--save-images``, made if it is not there; raise ``click.UsageError``."""
    import click

    found = Path(name)
    try:
        found.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(found, os.W_OK | os.X_OK):
            raise PermissionError(None, "it is write-protected")
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise click.UsageError(f"--save-images {name}: the folder cannot be used: {words}") from None
    return found


def save(image: Image, into: Path) -> str:
    """Write an image to a new file in ``into``, as it came, and return its path; raise OSError."""
    kind = image.type.removeprefix("image/")
    ending = _ENDINGS.get(image.type) or (f".{kind}" if kind in _KNOWN else ".bin")
    data = image.data()
    number = 0
    while True:
        number += 1
        path = into / f"image-{number}{ending}"
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        except FileExistsError:
            continue
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        return str(path)
