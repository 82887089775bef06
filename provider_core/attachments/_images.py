"""Images as parts of a prompt: from a file, bytes or an address to what servers take; no image is changed here."""

from __future__ import annotations

import base64
import binascii
import os
from typing import Final
from urllib.parse import unquote_to_bytes, urlsplit

from provider_core import limits
from provider_core.attachments._kinds import ACCEPTED, kind
from provider_core.attachments._reading import SCHEME, check_size, label, read
from provider_core.errors import AttachmentError
from provider_core.redaction import printable
from provider_core.types import ImagePart

__all__ = ["image", "image_of"]

_WHAT: Final = "an image"


def image(source: str | os.PathLike[str]) -> ImagePart:
    """The image that a path, an https address or a ``data:`` URL names.

    A file is sent as a ``data:`` URL, its type told from its content. An address is sent as it is, and fetched by
    the provider, which local servers such as llama.cpp's do not do; http is for loopback alone. Raises
    ``AttachmentError``.
    """
    text = os.fspath(source)
    if text[:5].lower() == "data:":
        return image_of(_decoded(text), "the data: URL")
    scheme = SCHEME.match(text)
    if scheme is None or scheme[1].lower() == "file":
        return image_of(read(source, limit=limits.IMAGE_FILE, what=_WHAT), label(source))
    _check_address(text, scheme[1].lower())
    return ImagePart(url=text)


def image_of(data: bytes, name: str) -> ImagePart:
    """As ``image``, for bytes that were read elsewhere; ``name`` is what they are called in an error."""
    check_size(data, name, limit=limits.IMAGE_FILE, what=_WHAT)
    found = kind(data)
    if found is not None and found.media:
        return ImagePart(url=f"data:{found.media};base64,{base64.b64encode(data).decode()}")
    if not data:
        why = "it is empty"
    elif found is not None:
        why = f"it looks like {found.name}"
    else:
        why = "it is text" if _is_text(data) else "its format is not known"
    raise AttachmentError(
        f"{name} is not an image that models read ({ACCEPTED}): {why}",
        name=name,
        looks_like=found.name if found is not None else "text" if _is_text(data) else "",
    )


def _is_text(data: bytes) -> bool:
    try:
        return bool(data) and "\0" not in data.decode()
    except UnicodeDecodeError:
        return False


def _decoded(url: str) -> bytes:
    head, comma, payload = url.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise AttachmentError("the data: URL does not hold base64", name="the data: URL")
    try:
        return base64.b64decode(b"".join(unquote_to_bytes(payload).split()), validate=True)
    except (binascii.Error, ValueError):
        raise AttachmentError("what the data: URL holds is not base64", name="the data: URL") from None


def _check_address(url: str, scheme: str) -> None:
    shown = printable(url.partition("?")[0], 200)
    if scheme not in ("http", "https"):
        raise AttachmentError(f"an image is a file, or an address with https: not {scheme}", name=shown)
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        host = ""
    if not host or not url.isascii() or not url.isprintable() or " " in url:
        raise AttachmentError("the image's address names no host, or holds what no URL may", name="the image")
    if parts.username is not None or parts.password is not None:
        raise AttachmentError(
            f"the address of the image at {host} holds a user name or a password, which the provider would get",
            name=host,
        )
    if scheme == "http" and not _is_loopback(host):
        raise AttachmentError(
            f"{shown} is not https: providers fetch images from such addresses alone",
            name=printable(url, 400),
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
