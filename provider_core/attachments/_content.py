"""The content of an attachment from its bytes: text, images, recordings, and what a file looks like otherwise.

Text is never cut or converted: it is sent completely, or refused with ``AttachmentError``.
"""

from __future__ import annotations

import base64
import codecs
import io
import re
import unicodedata
from pathlib import PurePath
from typing import Final

from provider_core import limits
from provider_core.errors import AttachmentError
from provider_core.structs import Struct
from provider_core.types import AudioPart, ImagePart

_LONGEST_NAME: Final = 400
"""Characters of a name that are shown."""

# --- text files ----------------------------------------------------------------------------------------------

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class TextFile(Struct):
    """A text and its source: ``name`` is the path or address as given, ``size`` the bytes of its source."""

    name: str
    text: str
    size: int
    part: str = ""
    """What it is of the source: "lines 10-40", "pages 1-3"; "" for all of it."""
    language: str | None = None
    """The language of the block; None: the extension of the name."""

    def as_block(self) -> str:
        """The name, and the text between fences that are longer than any run of backticks in it.

        The language of the block is one such as "py", which models and renderers know.
        """
        longest = max((len(run) for run in re.findall("`+", self.text)), default=0)
        fence = "`" * max(3, longest + 1)
        end = "" if self.text.endswith("\n") or not self.text else "\n"
        language = self.language
        if language is None:
            extension = PurePath(self.name).suffix[1:].lower()
            language = extension if extension.isalnum() and extension != "txt" else ""
        return f"{self.title}:\n{fence}{language}\n{self.text}{end}{fence}"

    @property
    def title(self) -> str:
        """The name, with the part if it is one."""
        return f"{self.name}, {self.part}" if self.part else self.name

    def lines(self, first: int, last: int | None) -> TextFile:
        """Only these lines, counted from 1, up to the end if there are fewer; raises ``AttachmentError`` for none."""
        lines = list(io.StringIO(self.text, newline="\n"))  # splitlines would end lines at a form feed, too
        if first > len(lines):
            raise AttachmentError(
                f"{self.name} has {len(lines):,} lines, so there is no line {first:,}", name=self.name
            )
        last = min(last or len(lines), len(lines))
        text = "".join(lines[first - 1 : last])
        part = f"lines {first}-{last}" if last > first else f"line {first}"
        return TextFile(name=self.name, text=text, size=len(text.encode("utf-8", "replace")), part=part)


def text_of(data: bytes, name: str) -> TextFile:
    """As ``text_file``, for bytes that were read elsewhere; ``name`` is their name in the prompt and in errors."""
    check_size(len(data), name, limits.TEXT_FILE, "a text file")
    mark, encoding = next(((m, e) for m, e in _BOMS if data.startswith(m)), (b"", "utf-8"))
    found = kind_of(data)
    if found is not None and found.is_pdf:  # which can be all ASCII
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


# --- images and recordings -----------------------------------------------------------------------------------


def image_of(data: bytes, name: str) -> ImagePart:
    """As ``image``, for bytes that were read elsewhere; ``name`` is their name in errors."""
    check_size(len(data), name, limits.IMAGE_FILE, "an image")
    found = kind_of(data)
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


def audio_of(data: bytes, name: str) -> AudioPart:
    """The recording in ``data``, whose content shows its format; ``name`` is its name in errors."""
    check_size(len(data), name, limits.AUDIO_FILE, "a recording")
    found = kind_of(data)
    if found is None or not found.audio:
        raise AttachmentError(f"{name} is not a recording in a known format", name=name)
    return AudioPart(data=base64.b64encode(data).decode(), format=found.audio)


def sniff(data: bytes) -> str | None:
    """The media type ("image/png") of an image that models read; None for anything else. 512 bytes are enough."""
    found = kind_of(data)
    return found.media or None if found is not None else None


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False


# --- types of files, by their first bytes --------------------------------------------------------------------


class Kind(Struct):
    """``name`` with its article, as in "a PNG image".

    ``media`` is the type of an image that models read, ``audio`` the format of a recording; "" for others.
    """

    name: str
    media: str = ""
    audio: str = ""

    @property
    def is_pdf(self) -> bool:
        return self.name == "a PDF document"


_KINDS: Final = tuple(
    (re.compile(pattern, re.DOTALL), Kind(name=name, media=media, audio=audio))
    for pattern, name, media, audio in (
        (rb"\x89PNG\r\n\x1a\n", "a PNG image", "image/png", ""),
        (rb"\xff\xd8\xff", "a JPEG image", "image/jpeg", ""),
        (rb"GIF8[79]a", "a GIF image", "image/gif", ""),
        (rb"RIFF.{4}WEBP", "a WebP image", "image/webp", ""),
        (rb".{4}ftyp(?:hei|hev|mif1|msf1)", "an HEIC image", "", ""),
        (rb".{4}ftypavi[fs]", "an AVIF image", "", ""),
        (
            rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml.*?)?(?:<!--.*?-->\s*|<!DOCTYPE[^>]*>\s*)*<svg[\s>]",
            "an SVG image",
            "",
            "",
        ),
        (rb"%PDF-", "a PDF document", "", ""),
        (rb"PK(?:\x03\x04|\x05\x06)", "a ZIP archive or an Office document", "", ""),
        (rb"\x1f\x8b", "a compressed file", "", ""),
        (rb"RIFF.{4}WAVE", "a WAV recording", "", "wav"),
        # A frame of MPEG audio, layer III, or the tags before the first one.
        (rb"ID3[\x02-\x04]\x00|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]", "an MP3 recording", "", "mp3"),
        (rb"fLaC\x00", "a FLAC recording", "", "flac"),
        (rb"OggS\x00", "an Ogg recording", "", "ogg"),
        (rb".{4}ftypM4A", "an M4A recording", "", "m4a"),
        (rb"FORM.{4}AIF[FC]", "an AIFF recording", "", "aiff"),
        (rb"\xff[\xf0\xf1\xf8\xf9]", "an AAC recording", "", "aac"),
    )
)
"""The formats of recordings are those of openrouter.ai "Audio Inputs"; OpenAI accepts only WAV and MP3."""


def kind_of(data: bytes) -> Kind | None:
    """The type of the content, None if unknown; text is unknown, except for SVG."""
    return next((found for pattern, found in _KINDS if pattern.match(data[:512])), None)


# --- names and sizes -----------------------------------------------------------------------------------------


def label(name: str) -> str:
    """A name for one line of a message or a prompt: control and reordering characters are escaped."""
    if not name.isprintable():
        name = "".join(map(_visible, name))
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _visible(char: str) -> str:
    if char.isprintable() or unicodedata.category(char) == "Zs":  # macOS puts a narrow space into names
        return char
    if "\udc80" <= char <= "\udcff":  # a byte of a name that is not UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()


def check_size(size: int, name: str, limit: int, what: str) -> None:
    """Raise ``AttachmentError`` if ``size`` bytes are more than ``limit``; ``what`` is "a text file"."""
    if size > limit:
        raise AttachmentError(
            f"{name} is too large: {what} may have at most {limit // 1_000_000} MB", name=name
        )
