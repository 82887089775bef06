"""Files as parts of a prompt: text in fenced blocks, images as parts, and warnings if they do not fit the model.

Nothing is ever cut or converted: a file is sent completely, or refused with ``AttachmentError``.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import contextlib
import math
import os
import re
import stat
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from provider_core import files, limits
from provider_core.errors import AttachmentError, InvalidInputError
from provider_core.redaction import printable
from provider_core.structs import Struct
from provider_core.types import ImagePart, TextPart

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from provider_core.types import Message, Model, Part, Target

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


def combine(
    prompt: str, files: Sequence[TextFile] = (), images: Sequence[ImagePart] = ()
) -> str | tuple[Part, ...]:
    """The content of a user message: text files in order, then the prompt, separated by blank lines.

    Images come before the text, as Anthropic and Google advise; without images, the content is plain text.
    """
    text = "\n\n".join([*(file.as_block() for file in files), *([prompt] if prompt else [])])
    if not images:
        return text
    return (*images, *([TextPart(text=text)] if text else []))


# --- text files ----------------------------------------------------------------------------------------------

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class TextFile(Struct):
    """A text and its source: ``name`` is the path as given, ``size`` the bytes of the file."""

    name: str
    text: str
    size: int

    def as_block(self) -> str:
        """The name, and the text between fences that are longer than any run of backticks in it.

        The language of the block is the extension of the name, such as "py", which models and renderers know.
        """
        longest = max((len(run) for run in re.findall("`+", self.text)), default=0)
        fence = "`" * max(3, longest + 1)
        end = "" if self.text.endswith("\n") or not self.text else "\n"
        extension = PurePath(self.name).suffix[1:].lower()
        language = extension if extension.isalnum() and extension != "txt" else ""
        return f"{self.name}:\n{fence}{language}\n{self.text}{end}{fence}"


def text_file(path: str | os.PathLike[str]) -> TextFile:
    """Read a text file or pipe: UTF-8, or UTF-16 or UTF-32 with a byte order mark, which is removed.

    Raises ``AttachmentError`` if it cannot be read, is not text, or is larger than ``limits.TEXT_FILE``.
    """
    return text_of(_read(path, limits.TEXT_FILE, "a text file"), _label(path))


def text_of(data: bytes, name: str) -> TextFile:
    """As ``text_file``, for bytes that were read elsewhere; ``name`` is their name in the prompt and in errors."""
    _check_size(len(data), name, limits.TEXT_FILE, "a text file")
    mark, encoding = next(((m, e) for m, e in _BOMS if data.startswith(m)), (b"", "utf-8"))
    found = _kind(data)
    if found is not None and found.name == "a PDF document":  # which can be all ASCII
        raise AttachmentError(
            f"{name} is not a text file: it looks like {found.name}", name=name, looks_like=found.name
        )
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        why = f"byte {len(mark) + error.start + 1:,} of {len(data):,} is not valid {encoding[:6].upper()}"
    else:
        if "\0" not in text:
            return TextFile(name=name, text=text, size=len(data))
        why = "it contains NUL characters"
    raise AttachmentError(
        f"{name} is not a text file: {f'it looks like {found.name} ({why})' if found is not None else why}",
        name=name,
        looks_like=found.name if found is not None else "",
        image=found is not None and bool(found.media),
    )


# --- images --------------------------------------------------------------------------------------------------


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
        return image_of(_read(source, limits.IMAGE_FILE, "an image"), _label(source))
    _check_address(text, scheme[1].lower())
    return ImagePart(url=text)


def image_of(data: bytes, name: str) -> ImagePart:
    """As ``image``, for bytes that were read elsewhere; ``name`` is their name in errors."""
    _check_size(len(data), name, limits.IMAGE_FILE, "an image")
    found = _kind(data)
    if found is not None and found.media:
        return ImagePart(url=f"data:{found.media};base64,{base64.b64encode(data).decode()}")
    if found is not None:
        looks_like, why = found.name, f"it looks like {found.name}"
    elif not data:
        looks_like, why = "", "it is empty"
    elif _is_text(data):
        looks_like, why = "text", "it is text"
    else:
        looks_like, why = "", "its format is not known"
    # Sources of the formats: platform.openai.com "Images and vision", api-docs.deepseek.com "Vision".
    raise AttachmentError(
        f"{name} is not a PNG, JPEG, GIF or WebP image: {why}",
        name=name,
        looks_like=looks_like,
    )


def sniff(data: bytes) -> str | None:
    """The media type ("image/png") of an image that models read; None for anything else. 512 bytes are enough."""
    found = _kind(data)
    return found.media or None if found is not None else None


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False


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


# --- types of files, by their first bytes --------------------------------------------------------------------


class _Kind(Struct):
    """``name`` with its article, as in "a PNG image"; ``media`` is the type of an image that models read, else ""."""

    name: str
    media: str = ""


_KINDS: Final = tuple(
    (re.compile(pattern, re.DOTALL), _Kind(name=name, media=media))
    for pattern, name, media in (
        (rb"\x89PNG\r\n\x1a\n", "a PNG image", "image/png"),
        (rb"\xff\xd8\xff", "a JPEG image", "image/jpeg"),
        (rb"GIF8[79]a", "a GIF image", "image/gif"),
        (rb"RIFF.{4}WEBP", "a WebP image", "image/webp"),
        (rb".{4}ftyp(?:hei|hev|mif1|msf1)", "an HEIC image", ""),
        (rb".{4}ftypavi[fs]", "an AVIF image", ""),
        (
            rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml.*?)?(?:<!--.*?-->\s*|<!DOCTYPE[^>]*>\s*)*<svg[\s>]",
            "an SVG image",
            "",
        ),
        (rb"%PDF-", "a PDF document", ""),
        (rb"PK(?:\x03\x04|\x05\x06)", "a ZIP archive or an Office document", ""),
        (rb"\x1f\x8b", "a compressed file", ""),
    )
)


def _kind(data: bytes) -> _Kind | None:
    """The type of the content, None if unknown; text is unknown, except for SVG."""
    return next((found for pattern, found in _KINDS if pattern.match(data[:512])), None)


# --- reading -------------------------------------------------------------------------------------------------


def _read(source: str | os.PathLike[str], limit: int, what: str) -> bytes:
    """All bytes of a file, device or pipe (``<(command)``), up to ``limit``; ``what`` is "a text file"."""
    name = _label(source)
    if not name:
        raise AttachmentError(f"the name of {what} is empty")
    try:
        with _path(source).open("rb") as file:
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode):
                _check_size(status.st_size, name, limit, what)
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        if os.path.isdir(source):  # noqa: PTH112 - Path raises for a folder that may not be entered
            raise AttachmentError(f"{name} is a folder, not a file", name=name) from None
        reason = getattr(error, "strerror", None) or error
        raise AttachmentError(f"{name} cannot be read: {reason}", name=name) from None
    _check_size(len(data), name, limit, what)
    return data


def _path(source: str | os.PathLike[str]) -> Path:
    path, text = Path(source), os.fspath(source)
    if os.path.exists(path):  # noqa: PTH110 - Path raises for a name that is too long
        return path
    if text[:7].lower() == "file://":
        return Path(unquote(urlsplit(text).path))
    if _SCHEME.match(text):
        name = re.sub("//[^/@]*@", "//", _label(text))  # removes a password
        raise AttachmentError(f"{name} is an address, which telex does not download", name=name)
    # Shells do not expand it after "--file=".
    return files.expand_user(path) if path.parts[:1] == ("~",) else path


def _label(source: str | os.PathLike[str]) -> str:
    return " ".join(printable(os.fspath(source), 400).split("\n"))


def _check_size(size: int, name: str, limit: int, what: str) -> None:
    if size > limit:
        raise AttachmentError(
            f"{name} is too large: {what} may have at most {limit // 1_000_000} MB", name=name
        )


# --- whether the model can take it ---------------------------------------------------------------------------

_BYTES: Final = 4
"""Bytes of UTF-8 per token. For prose, code and JSON in nine languages, o200k_base of OpenAI and DeepSeek's tokenizer
count three quarters to one and a half times as many tokens (August 2026); older ones count twice as many for non-Latin
text."""
_IMAGE: Final = 1000
"""Tokens of an image of about a megapixel: 765 at OpenAI, 1,032 at Google, 1,400 at Anthropic."""
_MESSAGE: Final = 4
"""Tokens that separate a message from others."""


def check_vision(target: Target, model: Model | None) -> None:
    """Raise ``InvalidInputError`` if the model is known not to read images."""
    if model is not None and model.vision is False:
        raise InvalidInputError(
            f"{target} cannot read images", provider=target.provider.name, code="no_vision"
        )


def check_window(
    target: Target, model: Model | None, messages: Sequence[Message], max_tokens: int | None = None
) -> str | None:
    """A warning if the prompt and ``max_tokens`` of answer are likely to exceed the model's context window."""
    if model is None or not model.context:
        return None
    prompt = estimate_tokens(messages)
    if prompt + (max_tokens or 0) <= model.context:
        return None
    step = 10 ** max(len(str(prompt)) - 2, 0)  # two significant digits
    answer = f", and up to {max_tokens:,} are requested for the answer" if max_tokens else ""
    return (
        f"The prompt is about {round(prompt / step) * step:,} tokens{answer}; {target} takes {model.context:,} in all. "
        "It is sent completely, and may be refused. (The count is an estimate.)"
    )


def estimate_tokens(messages: Iterable[Message]) -> int:
    """The approximate number of tokens: one for 4 bytes of UTF-8, and 1,000 for an image of any size."""
    total = 0.0
    for message in messages:
        total += _MESSAGE
        content = (TextPart(text=message.content),) if isinstance(message.content, str) else message.content
        for part in content:
            total += _tokens(part.text) if isinstance(part, TextPart) else _IMAGE
        total += _tokens(message.reasoning)
        total += sum(_tokens(call.name + call.arguments) for call in message.tool_calls)
    return math.ceil(total)


def _tokens(text: str) -> float:
    return len(text.encode("utf-8", "replace")) / _BYTES
