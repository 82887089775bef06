"""Files as parts of a prompt: text in fenced blocks, images, PDFs and recordings as parts; and estimates of tokens.

``load`` takes what a user may name: a file, a part of one, a folder, a pattern, or an address.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from provider_core import files, limits
from provider_core.attachments._content import (
    TextFile,
    accepts_pdf,
    check_parts,
    check_size,
    check_window,
    estimate_tokens,
    image_of,
    kind_of,
    label,
    load_bytes,
    part_size,
    part_tokens,
    refusal,
    rounded,
    sniff,
    text_of,
    text_tokens,
)
from provider_core.attachments._folders import TextFolder, is_pattern, read_folder, read_pattern
from provider_core.errors import AttachmentError
from provider_core.redaction import printable
from provider_core.types import AudioPart, FilePart, ImagePart, TextPart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from provider_core.http.connections import Lookup
    from provider_core.types import Part

__all__ = [
    "Attachment",
    "TextFile",
    "TextFolder",
    "accepts_pdf",
    "check_parts",
    "check_window",
    "combine",
    "estimate_tokens",
    "image",
    "image_of",
    "label",
    "load",
    "load_bytes",
    "part_size",
    "part_tokens",
    "rounded",
    "sniff",
    "text_file",
    "text_of",
    "text_tokens",
]

Attachment: TypeAlias = TextFile | TextFolder | FilePart | AudioPart

_RANGE: Final = re.compile(r"(.+):([0-9]{1,9})(-([0-9]{1,9})?)?", re.DOTALL)
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_FILE_URL: Final = re.compile(r"file://(?:localhost)?(/[^?#]*)", re.IGNORECASE)
_HEAD: Final = 512
"""Bytes that show the type of a file."""


def combine(
    prompt: str, texts: Sequence[TextFile | TextFolder] = (), parts: Sequence[Part] = ()
) -> str | tuple[Part, ...]:
    """The content of a user message: text files in order, then the prompt, separated by blank lines.

    Other parts come before the text, as Anthropic and Google advise for images; without any, the content is plain text.
    """
    text = "\n\n".join([*(file.as_block() for file in texts), *([prompt] if prompt else [])])
    if not parts:
        return text
    return (*parts, *([TextPart(text=text)] if text else []))


def load(
    source: str | os.PathLike[str],
    *,
    pdf_as_file: bool = False,
    limit: int = limits.ATTACHED,
    environ: Mapping[str, str] | None = None,
    lookup: Lookup | None = None,
) -> Attachment:
    """Load what ``source`` names: a file or a range of it, a folder, a pattern, or an http or https address.

    ``a.py:10-40`` are lines and ``x.pdf:1-3`` pages, unless there is a file with that name. ``pdf_as_file``: the model
    accepts PDFs as they are; else they become text. ``limit`` is the most bytes of a folder or a pattern. An address is
    fetched with the proxies and certificates of ``environ``, and ``lookup`` replaces the name lookup. Raises
    ``AttachmentError``, and ``NetworkError`` for an address.
    """
    text = os.fspath(source)
    if not os.path.lexists(text) and re.match("https?://", text, re.IGNORECASE):
        from provider_core.attachments._pages import fetch_page

        return fetch_page(text, pdf_as_file=pdf_as_file, environ=environ, lookup=lookup)
    path, name, span = _find(source), label(text), None
    exists = os.path.lexists(path)  # Path raises for a name that is too long
    if not exists and (found := _RANGE.fullmatch(text)) and os.path.lexists(_find(found[1])):
        path, name = _find(found[1]), label(found[1])
        first = int(found[2])
        last = int(found[4]) if found[4] else None if found[3] else first
        if first < 1 or (last is not None and last < first):
            raise refusal(label(text), "has an invalid range: use FIRST-LAST, counted from 1, such as 10-40")
        span = first, last
    if os.path.isdir(path):  # noqa: PTH112 - as above
        if span is not None:
            raise refusal(name, "is a folder, which has no lines")
        return read_folder(path, text, limit=limit)
    if not exists and span is None and is_pattern(text):
        return read_pattern(text, limit=limit)
    return load_bytes(_read(path), name, pdf_as_file=pdf_as_file, span=span)


def text_file(path: str | os.PathLike[str]) -> TextFile:
    """Read a text file or pipe: UTF-8, or UTF-16 or UTF-32 with a byte order mark, which is removed.

    Raises ``AttachmentError`` if it cannot be read, is not text, or is larger than ``limits.TEXT_FILE``.
    """
    return text_of(_read(path, "a text file"), label(os.fspath(path)))


def image(source: str | os.PathLike[str]) -> ImagePart:
    """The image at a path, an https address or in a ``data:`` URL.

    A file is sent as a ``data:`` URL, with the type that its content shows. The provider fetches an address itself,
    which some servers such as llama.cpp's do not do. http is allowed only for loopback. Raises ``AttachmentError``.
    """
    text = os.fspath(source)
    if text[:5].lower() == "data:":
        return image_of(_decode_data_url(text), "the data: URL")
    scheme = _SCHEME.match(text)
    if scheme is None or scheme[1].lower() == "file":
        return image_of(_read(source, "an image"), label(text))
    _check_address(text, scheme[1].lower())
    return ImagePart(url=text)


def _decode_data_url(url: str) -> bytes:
    head, comma, payload = url.partition(",")
    if comma and head.lower().endswith(";base64"):
        with contextlib.suppress(binascii.Error, ValueError):
            return base64.b64decode(b"".join(unquote_to_bytes(payload).split()), validate=True)
    raise AttachmentError("the data: URL does not contain valid base64", name="the data: URL")


def _check_address(url: str, scheme: str) -> None:
    from provider_core.http import is_loopback

    shown = printable(url.partition("?")[0], 200)
    if scheme not in ("http", "https"):
        raise AttachmentError(f"an image is a file or an https address, not {scheme}", name=shown)
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        host = ""
    if not host or not url.isascii() or not url.isprintable() or " " in url:
        raise AttachmentError("the image's address is not a valid URL", name="the image")
    if parts.username is not None or parts.password is not None:
        raise AttachmentError(
            f"the address of the image at {host} contains a user name or password, which the provider would get",
            name=host,
        )
    if scheme == "http" and not is_loopback(host):
        raise AttachmentError(
            f"{shown} is not https: providers fetch images only from https addresses",
            name=printable(url, 400),
        )


# --- reading -------------------------------------------------------------------------------------------------


_LIMITS: Final = {
    "a text file": limits.TEXT_FILE,
    "an image": limits.IMAGE_FILE,
    "a recording": limits.AUDIO_FILE,
    "a PDF": limits.PDF_FILE,
}


def _read(source: str | os.PathLike[str], what: str | None = None) -> bytes:
    """All bytes of a file, device or pipe (``<(command)``), up to the limit for ``what``, or for what it looks like."""
    name, path = label(os.fspath(source)), _find(source)
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            if what is None:
                kind = kind_of(head)
                what = "a PDF" if kind.is_pdf else "a recording" if kind.audio else "a text file"
            limit = _LIMITS[what]
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode):
                check_size(status.st_size, name, limit, what)
            data = head + file.read(limit + 1 - len(head))
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        if os.path.isdir(path):  # noqa: PTH112 - Path raises for a folder that may not be entered
            raise refusal(name, "is a folder, not a file") from None
        reason = getattr(error, "strerror", None) or error
        raise refusal(name, f"cannot be read: {reason}") from None
    check_size(len(data), name, limit, what)
    return data


def _find(source: str | os.PathLike[str]) -> Path:
    """The path that ``source`` names: a path, a ``file:`` URL, or one with "~", which shells leave in "--file=~/x"."""
    path, text = Path(source), os.fspath(source)
    if not text:  # which Path takes for the current folder
        raise AttachmentError("the name of a file is empty")
    if os.path.lexists(path):  # Path raises for a name that is too long
        return path
    if text[:7].lower() == "file://":
        if found := _FILE_URL.match(text):
            return Path(unquote(found[1]))
        raise refusal(
            label(text), "is not the address of a file on this machine, such as file:///home/me/notes.txt"
        )
    if scheme := _SCHEME.match(text):
        name = re.sub("//[^/@]*@", "//", label(text))  # removes a password
        raise refusal(
            name, f"cannot be read: telex fetches http and https addresses, not {scheme[1].lower()}"
        )
    return files.expand_user(path) if path.parts[:1] == ("~",) else path
