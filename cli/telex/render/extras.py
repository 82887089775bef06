"""What came with an answer besides its text: lines for people, and objects for programs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telex.console import visible
from telex.humanize import plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from provider_core.answer import Answer
    from provider_core.types import Image, Source

__all__ = ["folder", "image_object", "lines", "save", "shown_images", "shown_sources", "source_objects"]

_SHOWN = 500
"""Characters of an address or a title on a line."""
_ENDINGS = {"image/jpeg": ".jpg", "image/svg+xml": ".svg"}
_KNOWN = ("png", "gif", "webp", "avif", "bmp")


def lines(answer: Answer, title: str = "") -> Iterator[str]:
    """Yield the lines on stderr after an answer; ``title`` names it where there are several."""
    before = f"{title}: " if title else ""
    for shown in (shown_images(answer.images), shown_sources(answer.sources)):
        for heading in shown:
            yield f"{before}{heading}"
            yield from shown
    if more := len(answer.choices):
        yield f"{before}{plural(more, 'more answer')} came for this prompt; --json prints them."
    if answer.logprobs:
        yield f"{before}Log probabilities came; --json prints them."


def shown_sources(sources: Sequence[Source]) -> Iterator[str]:
    """Yield a heading and a line for each source, with the number that the text uses."""
    if sources:
        yield "Sources:"
    for source in sources:
        title = f"{_line(source.title)}: " if source.title else ""
        yield f"[{source.number}] {title}{_line(source.url)}"


def shown_images(images: Sequence[Image]) -> Iterator[str]:
    """Yield how many images there are, then a line for each."""
    if images:
        yield f"{plural(len(images), 'image')}:"
    for image in images:
        kind = _line(image.type.removeprefix("image/").partition("+")[0]).upper() or "unknown type"
        size = "" if image.size is None else f", {image.size:,} bytes"
        if image.broken:
            yield f"- {kind}{size}, cannot be read: {image.broken}"
        elif image.size is None:
            yield f"- not downloaded: {_line(image.url)}"
        elif image.file:
            yield f"- {kind}{size}, saved to {_line(image.file)}"
        else:
            yield f"- {kind}{size} (--save-images DIR saves it)"


def source_objects(sources: Sequence[Source]) -> list[dict[str, Any]]:
    """``number`` is there only where it is not the place in the list."""
    return [
        {"url": source.url, "title": source.title or None}
        | ({} if source.number == at else {"number": source.number})
        for at, source in enumerate(sources, 1)
    ]


def image_object(image: Image) -> dict[str, Any]:
    """``url`` is an address or a ``data:`` URL with the image itself; ``file`` is where it was saved."""
    return {
        "media_type": image.type or None,
        "bytes": image.size,
        "url": image.url or None,
        "file": image.file or None,
        "error": image.broken or None,
    }


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


def _line(text: str) -> str:
    shown = visible(" ".join(text[: 2 * _SHOWN].split()))
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
