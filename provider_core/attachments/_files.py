"""Reading one file, device or pipe, or an image at an address, and how files are named in messages."""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from provider_core import files, limits
from provider_core.attachments._content import check_size, image_of, label, text_of
from provider_core.errors import AttachmentError
from provider_core.redaction import printable
from provider_core.types import ImagePart

if TYPE_CHECKING:
    from collections.abc import Callable

    from provider_core.attachments._content import TextFile

SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_HEAD: Final = 512
"""Bytes that show the type of a file."""


def text_file(path: str | os.PathLike[str]) -> TextFile:
    """Read a text file or pipe: UTF-8, or UTF-16 or UTF-32 with a byte order mark, which is removed.

    Raises ``AttachmentError`` if it cannot be read, is not text, or is larger than ``limits.TEXT_FILE``.
    """
    return text_of(read(path, lambda _: (limits.TEXT_FILE, "a text file")), label(os.fspath(path)))


def image(source: str | os.PathLike[str]) -> ImagePart:
    """The image at a path, an https address or in a ``data:`` URL.

    A file is sent as a ``data:`` URL, with the type that its content shows. The provider fetches an address itself,
    which some servers such as llama.cpp's do not do. http is allowed only for loopback. Raises ``AttachmentError``.
    """
    text = os.fspath(source)
    if text[:5].lower() == "data:":
        return image_of(_decode_data_url(text), "the data: URL")
    scheme = SCHEME.match(text)
    if scheme is None or scheme[1].lower() == "file":
        return image_of(read(source, lambda _: (limits.IMAGE_FILE, "an image")), label(text))
    _check_address(text, scheme[1].lower())
    return ImagePart(url=text)


def _decode_data_url(url: str) -> bytes:
    head, comma, payload = url.partition(",")
    if comma and head.lower().endswith(";base64"):
        with contextlib.suppress(binascii.Error, ValueError):
            return base64.b64decode(b"".join(unquote_to_bytes(payload).split()), validate=True)
    raise AttachmentError("the data: URL does not contain valid base64", name="the data: URL")


def _check_address(url: str, scheme: str) -> None:
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
    if scheme == "http" and not _is_loopback(host):
        raise AttachmentError(
            f"{shown} is not https: providers fetch images only from https addresses",
            name=printable(url, 400),
        )


def _is_loopback(host: str) -> bool:
    import ipaddress

    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# --- reading -------------------------------------------------------------------------------------------------


def read(source: str | os.PathLike[str], limit_for: Callable[[bytes], tuple[int, str]]) -> bytes:
    """All bytes of a file, device or pipe (``<(command)``).

    ``limit_for`` returns the limit for a file that begins with these bytes, and what it is, such as "a text file".
    """
    name = label(os.fspath(source))
    if not name:
        raise AttachmentError(f"the name of {limit_for(b'')[1]} is empty")
    path = find(source)
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            limit, what = limit_for(head)
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode):
                check_size(status.st_size, name, limit, what)
            data = head + file.read(limit + 1 - len(head))
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        if os.path.isdir(path):  # noqa: PTH112 - Path raises for a folder that may not be entered
            raise AttachmentError(f"{name} is a folder, not a file", name=name) from None
        reason = getattr(error, "strerror", None) or error
        raise AttachmentError(f"{name} cannot be read: {reason}", name=name) from None
    check_size(len(data), name, limit, what)
    return data


def find(source: str | os.PathLike[str]) -> Path:
    """The path that ``source`` names: a path, a ``file:`` URL, or one with "~", which shells leave in "--file=~/x"."""
    path, text = Path(source), os.fspath(source)
    if os.path.lexists(path):  # Path raises for a name that is too long
        return path
    if text[:7].lower() == "file://":
        return Path(unquote(urlsplit(text).path))
    if scheme := SCHEME.match(text):
        name = re.sub("//[^/@]*@", "//", label(text))  # removes a password
        raise AttachmentError(
            f"{name} cannot be read: telex fetches http and https addresses, not {scheme[1].lower()}",
            name=name,
        )
    return files.expand_user(path) if path.parts[:1] == ("~",) else path
