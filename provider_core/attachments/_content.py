"""The content of an attachment from its bytes: text, images, recordings, PDFs, and what a file looks like otherwise.

Text is never cut or converted: it is sent completely, or refused with ``AttachmentError``. A library in a process of
its own, with limits on time and memory, turns PDFs and web pages into text: a small PDF may unfold to gigabytes or
never end, and Python cannot interrupt a library that hangs.

At the end: how many tokens parts and messages have, and whether a model is likely to accept them.
"""

from __future__ import annotations

import base64
import codecs
import contextlib
import fnmatch
import io
import math
import os
import re
import sys
import unicodedata
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from provider_core import limits
from provider_core.errors import AttachmentError, InvalidInputError
from provider_core.structs import Struct
from provider_core.types import AudioPart, FilePart, ImagePart, TextPart

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from provider_core.types import Message, Model, Part, Target


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
    """The part of the source: "lines 10-40", "pages 1-3"; "" for all of it."""
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
    mark, encoding = byte_order_mark(data) or (b"", "utf-8")
    kind = kind_of(data)
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        why = f"byte {len(mark) + error.start + 1:,} of {len(data):,} is not valid {encoding[:6].upper()}"
    else:
        if "\0" not in text and not kind.is_pdf:  # which can be all ASCII
            return TextFile(name=name, text=text, size=len(data))
        why = "it contains NUL characters"
    raise refusal(
        name,
        f"is not a text file: {f'it looks like {kind.name}' if kind.name else why}",
        looks_like=kind.name,
        image=bool(kind.media),
    )


def byte_order_mark(data: bytes) -> tuple[bytes, str] | None:
    """The mark that ``data`` begins with, and its encoding."""
    return next(((mark, encoding) for mark, encoding in _BOMS if data.startswith(mark)), None)


# --- images and recordings -----------------------------------------------------------------------------------


def image_of(data: bytes, name: str) -> ImagePart:
    """As ``image``, for bytes that were read elsewhere; ``name`` is their name in errors."""
    check_size(len(data), name, limits.IMAGE_FILE, "an image")
    kind = kind_of(data)
    if kind.media:
        return ImagePart(url=f"data:{kind.media};base64,{base64.b64encode(data).decode()}")
    looks_like, why = kind.name, f"it looks like {kind.name}"
    if not kind.name:
        with contextlib.suppress(AttachmentError):
            looks_like = "text" if text_of(data, name).text else ""
        why = "it is text" if looks_like else "its format is not known" if data else "it is empty"
    # Sources of the formats: platform.openai.com "Images and vision", api-docs.deepseek.com "Vision".
    raise refusal(name, f"is not a PNG, JPEG, GIF or WebP image: {why}", looks_like=looks_like)


def sniff(data: bytes) -> str | None:
    """The media type ("image/png") of an image that models read; None for anything else. 512 bytes are enough."""
    return kind_of(data).media or None


# --- types of files, by their first bytes --------------------------------------------------------------------


class Kind(Struct):
    """``name`` with its article, as in "a PNG image"; "" if unknown.

    ``media`` is the type of an image that models read, ``audio`` the format of a recording; "" for others.
    """

    name: str = ""
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


def kind_of(data: bytes) -> Kind:
    """The type of the content; that of text is unknown, except for SVG."""
    return next((found for pattern, found in _KINDS if pattern.match(data[:512])), Kind())


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


def refusal(name: str, words: str, **fields: Any) -> AttachmentError:
    """The error of the attachment ``name``, which its message begins with."""
    return AttachmentError(f"{name} {words}", name=name, **fields)


def check_size(size: int, name: str, limit: int, what: str) -> None:
    """Raise ``AttachmentError`` if ``size`` bytes are more than ``limit``; ``what`` is "a text file"."""
    if size > limit:
        raise refusal(name, f"is too large: {what} may have at most {limit // 1_000_000} MB")


# --- PDFs and web pages ----------------------------------------------------------------------------------------

_ENVIRONMENT: Final = ("PATH", "HOME", "SYSTEMROOT", "TEMP", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONHOME")
"""Variables that Python may need to find its modules. A library that reads files gets no others, such as keys."""


Span: TypeAlias = tuple[int, int | None]
"""The first and the last line or page, counted from 1; None: up to the end."""


def load_bytes(
    data: bytes, name: str, *, pdf_as_file: bool = False, span: Span | None = None
) -> TextFile | FilePart | AudioPart:
    """The text, PDF or recording in ``data``; ``name`` is its name in the prompt and in errors."""
    kind = kind_of(data)
    if kind.is_pdf:
        return _pdf_of(data, name, as_file=pdf_as_file, span=span)
    if kind.audio and span is None:
        check_size(len(data), name, limits.AUDIO_FILE, "a recording")
        return AudioPart(data=base64.b64encode(data).decode(), format=kind.audio)
    file = text_of(data, name)
    return file if span is None else file.lines(*span)


def _pdf_of(data: bytes, name: str, *, as_file: bool, span: Span | None) -> TextFile | FilePart:
    """A PDF, or some pages of it, as it is or as its text.

    Raises ``AttachmentError``: code "no_pypdf" if pypdf is needed and not installed, "no_text" if it has only images.
    """
    check_size(len(data), name, limits.PDF_FILE, "a PDF")
    first, last = span or (1, None)
    part = ""
    if span is not None:
        part = f"pages {first}-{last or ''}" if last != first else f"page {first}"
    if as_file:
        if span is not None:
            data = _run("cut", name, data, first, last)
        url = f"data:application/pdf;base64,{base64.b64encode(data).decode()}"
        return FilePart(name=f"{name}, {part}" if part else name, url=url)
    text = _run("pdf", name, data, first, last).decode("utf-8", "replace")
    if not text.strip():
        raise refusal(
            name,
            f"has no text{f' in {part}' if part else ''}: its pages are images, such as those of a scanner",
            code="no_text",
        )
    return TextFile(name=name, text=text, size=len(data), part=part, language="")


def markdown_of(html: str, name: str, url: str) -> str:
    """A web page as Markdown; ``url`` is what its links are relative to.

    Raises ``AttachmentError``, with code "no_web" if html-to-markdown is not installed.
    """
    return _run("html", name, html.encode("utf-8", "replace"), url).decode("utf-8", "replace")


def _run(task: str, name: str, data: bytes, *arguments: object) -> bytes:
    """The result of a task of the child process; raises ``AttachmentError`` for what it reports, and if it fails."""
    import subprocess
    import tempfile

    environ = {key: os.environ[key] for key in _ENVIRONMENT if key in os.environ}
    # A single file of telex and its libraries unpacks them where only this process looks for them.
    environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    bounds = (limits.EXTRACT_MEMORY, int(limits.EXTRACT_TIME) + 5, limits.EXTRACTED)
    script = str(Path(__file__).with_name("_child.py"))
    words = [sys.executable, "-P", script, task, *map(str, (*arguments, *bounds))]
    try:
        with tempfile.TemporaryFile() as result:
            code = subprocess.run(
                words, input=data, stdout=result, stderr=subprocess.DEVNULL, env=environ,
                timeout=limits.EXTRACT_TIME, check=False,
            ).returncode  # fmt: skip
            result.seek(0)
            found = result.read(limits.EXTRACTED + 1)
    except subprocess.TimeoutExpired:
        why = f"reading it takes more than {limits.EXTRACT_TIME:.0f} seconds"
        raise refusal(name, f"cannot be used: {why}") from None
    except OSError as error:
        raise refusal(name, f"cannot be read: {error.strerror}") from None
    if code == 3:
        package, extra = ("html-to-markdown", "no_web") if task == "html" else ("pypdf", "no_pypdf")
        why = f"cannot be read, because the package {package} is not installed"
        raise refusal(name, why, code=extra)
    if code == 0 and len(found) <= limits.EXTRACTED:
        return found
    why = f"reading it takes more than {limits.EXTRACT_MEMORY >> 20} MB of memory"
    if code == 0:
        why = f"its text has more than {limits.EXTRACTED // 1_000_000} MB"
    elif code in (1, 120):  # Python's own, mostly for a result that cannot be written
        why = f"the process that reads it failed; check that the disk of {tempfile.gettempdir()} is not full"
    elif code == 4:
        why = found.decode("utf-8", "replace")[:400]
    raise refusal(name, f"cannot be used: {why}")


# --- whether the model can take it ---------------------------------------------------------------------------

_BYTES: Final = 4
"""Bytes of UTF-8 per token. For prose, code and JSON in nine languages, o200k_base of OpenAI and DeepSeek's tokenizer
count three quarters to one and a half times as many tokens (August 2026); older ones count twice as many for non-Latin
text."""
_IMAGE: Final = 1000
"""Tokens of an image of about a megapixel: 765 at OpenAI, 1,032 at Google, 1,400 at Anthropic."""
_AUDIO_RATE: Final = 16_000
"""Bytes of a compressed recording for one second, at 128 kbit/s."""
_AUDIO_SECOND: Final = 32
"""Tokens of a second: 32 at Google, 10 at OpenAI."""
_PAGE: Final = 1500
"""Tokens of a page of a PDF, which some models read as text and as an image."""
_PAGE_BYTES: Final = 50_000
"""Bytes of a page, if the pages cannot be counted because their list is compressed."""
_MESSAGE: Final = 4
"""Tokens that separate a message from others."""


def accepts_pdf(target: Target) -> bool:
    """Whether the model is known to accept PDFs as they are."""
    name = target.model.rpartition("/")[2].lower()
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in target.provider.quirks.pdf)


def check_parts(target: Target, model: Model | None, parts: Iterable[Part]) -> None:
    """Raise ``InvalidInputError`` if the model is known not to accept one of the parts."""
    for part in parts:
        if isinstance(part, ImagePart) and model is not None and model.vision is False:
            what, code = "images", "no_vision"
        elif isinstance(part, AudioPart) and model is not None and model.audio is False:
            what, code = "recordings", "no_audio"
        elif isinstance(part, FilePart) and not accepts_pdf(target):
            what, code = "PDFs as they are", "no_pdf"
        else:
            continue
        raise InvalidInputError(f"{target} cannot read {what}", provider=target.provider.name, code=code)


def check_window(
    target: Target, model: Model | None, messages: Sequence[Message], max_tokens: int | None = None
) -> str | None:
    """A warning if the prompt and ``max_tokens`` of answer are likely to exceed the model's context window."""
    if model is None or not model.context:
        return None
    prompt = estimate_tokens(messages)
    if prompt + (max_tokens or 0) <= model.context:
        return None
    answer = f", and up to {max_tokens:,} are requested for the answer" if max_tokens else ""
    return (
        f"The prompt is about {rounded(prompt):,} tokens{answer}; {target} takes {model.context:,} in all. "
        "It is sent completely, and may be refused. (The count is an estimate.)"
    )


def estimate_tokens(messages: Iterable[Message]) -> int:
    """The approximate number of tokens: one for 4 bytes of UTF-8, and those of ``part_tokens``."""
    total = 0.0
    for message in messages:
        total += _MESSAGE
        content = (TextPart(text=message.content),) if isinstance(message.content, str) else message.content
        total += sum(
            _tokens(part.text) if isinstance(part, TextPart) else part_tokens(part) for part in content
        )
        total += _tokens(message.reasoning)
        total += sum(_tokens(call.name + call.arguments) for call in message.tool_calls)
    return math.ceil(total)


def rounded(count: int) -> int:
    """An estimate with two significant digits."""
    step: int = 10 ** max(len(str(count)) - 2, 0)
    return round(count / step) * step


def text_tokens(text: str) -> int:
    """The approximate number of tokens of a text."""
    return math.ceil(_tokens(text))


def part_tokens(part: Part) -> int:
    """The approximate number of tokens: 1,000 for an image of any size, and about 1,500 for a page of a PDF."""
    match part:
        case TextPart(text=text):
            return text_tokens(text)
        case AudioPart(data=data, format=format_):
            rate = _AUDIO_RATE
            if format_ == "wav":  # its header has the bytes of a second
                rate = int.from_bytes(base64.b64decode(data[:48])[28:32], "little") or rate
            return math.ceil(part_size(part) / rate * _AUDIO_SECOND)
        case FilePart(url=url):
            pages = len(re.findall(rb"/Type\s*/Page\b", base64.b64decode(url.partition(",")[2])))
            return (pages or math.ceil(part_size(part) / _PAGE_BYTES)) * _PAGE
        case _:
            return _IMAGE


def part_size(part: Part) -> int:
    """The bytes of a part before they were encoded; 0 for an image that the provider fetches."""
    match part:
        case TextPart(text=text):
            return len(text.encode("utf-8", "replace"))
        case AudioPart(data=data):
            pass
        case _:
            data = part.url.partition(";base64,")[2]
    return len(data) * 3 // 4 - data.count("=", -2)


def _tokens(text: str) -> float:
    return len(text.encode("utf-8", "replace")) / _BYTES
