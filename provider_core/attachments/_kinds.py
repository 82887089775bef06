"""What bytes look like, from their first few; a file's name says nothing about it here."""

from __future__ import annotations

import re
from typing import Final

from provider_core.structs import Struct

__all__ = ["ACCEPTED", "Kind", "kind", "sniff"]

ACCEPTED: Final = "PNG, JPEG, GIF or WebP"
"""What vision models take: platform.openai.com "Images and vision", api-docs.deepseek.com "Vision"."""

_NEEDED: Final = 512
"""How many bytes at the front are enough to tell."""


class Kind(Struct):
    """``name`` with its article, "a PNG image"; ``media`` is the type of an image that models take, else ""."""

    name: str
    media: str = ""


_IMAGES: Final = (
    (rb"\x89PNG\r\n\x1a\n", Kind(name="a PNG image", media="image/png")),
    (rb"\xff\xd8\xff", Kind(name="a JPEG image", media="image/jpeg")),
    (rb"GIF8[79]a", Kind(name="a GIF image", media="image/gif")),
    (rb"RIFF.{4}WEBP", Kind(name="a WebP image", media="image/webp")),
)

_OTHERS: Final = tuple(
    (pattern, Kind(name=name))
    for pattern, name in (
        (rb".{4}ftyp(?:hei|hev|mif1|msf1)", "an HEIC image"),
        (rb".{4}ftypavi[fs]", "an AVIF image"),
        (rb".{4}ftyp", "an MP4 video"),
        (rb"BM.{4}\0\0\0\0", "a BMP image"),
        (rb"II\*\0|MM\0\*", "a TIFF image"),
        (rb"\0\0\x01\0", "an ICO image"),
        (rb"\xff\x0a|\0\0\0\x0cJXL ", "a JPEG XL image"),
        (rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml.*?)?(?:<!--.*?-->\s*|<!DOCTYPE[^>]*>\s*)*<svg[\s>]", "an SVG image"),
        (rb"%PDF-", "a PDF document"),
        (rb"PK(?:\x03\x04|\x05\x06)", "a ZIP archive or an Office document"),
        (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document"),
        (rb"\x1f\x8b", "a gzip archive"),
        (rb"BZh[1-9]1AY&SY", "a bzip2 archive"),
        (rb"\xfd7zXZ\0", "an xz archive"),
        (rb"\x28\xb5\x2f\xfd", "a Zstandard archive"),
        (rb"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (rb"\x7fELF|MZ.{58}|\xcf\xfa\xed\xfe|\xca\xfe\xba\xbe", "a program"),
        (rb"SQLite format 3\0", "an SQLite database"),
        (rb"GGUF", "a GGUF model"),
        (rb"PAR1", "a Parquet file"),
        (rb"RIFF.{4}WAVE|ID3|OggS|fLaC|\xff[\xfb\xf3\xf2]", "a sound"),
    )
)  # fmt: skip


def kind(data: bytes) -> Kind | None:
    """What the bytes look like, None where they look like nothing known; text is among that, but for SVG."""
    return _first(data, (*_IMAGES, *_OTHERS))


def sniff(data: bytes) -> str | None:
    """The media type ("image/png") of an image that can be attached; None for all else. The front is enough."""
    found = _first(data, _IMAGES)
    return found.media if found is not None else None


def _first(data: bytes, kinds: tuple[tuple[bytes, Kind], ...]) -> Kind | None:
    head = data[:_NEEDED]
    return next((found for pattern, found in kinds if re.match(pattern, head, re.DOTALL)), None)
