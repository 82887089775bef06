"""Files as parts of a prompt: text in fenced blocks, images, PDFs and recordings as parts; and estimates of tokens.

``load`` takes what a user may name: a file, a part of one, a folder, a pattern, or an address.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, TypeAlias

from provider_core import limits
from provider_core.attachments._content import (
    TextFile,
    image_of,
    kind_of,
    label,
    sniff,
    text_of,
)
from provider_core.attachments._estimate import (
    accepts_pdf,
    check_parts,
    check_window,
    estimate_tokens,
    part_size,
    part_tokens,
    rounded,
    text_tokens,
)
from provider_core.attachments._extract import Span, load_bytes
from provider_core.attachments._files import SCHEME, find, image, read, text_file
from provider_core.attachments._folders import TextFolder, is_pattern, read_folder, read_pattern
from provider_core.errors import AttachmentError
from provider_core.types import AudioPart, FilePart, TextPart

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

_RANGE = re.compile(r"(.+):([0-9]{1,9})(-([0-9]{1,9})?)?", re.DOTALL)


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
    if (
        not os.path.lexists(text)
        and (scheme := SCHEME.match(text))
        and scheme[1].lower() in ("http", "https")
    ):
        from provider_core.attachments._pages import fetch_page

        return fetch_page(text, pdf_as_file=pdf_as_file, environ=environ, lookup=lookup)
    path, name, span = find(source), label(text), None
    exists = os.path.lexists(path)  # Path raises for a name that is too long
    if not exists and (found := _RANGE.fullmatch(text)) and os.path.lexists(find(found[1])):
        path, name = find(found[1]), label(found[1])
        first = int(found[2])
        span = Span(label(text), first, int(found[4]) if found[4] else None if found[3] else first)
    if os.path.isdir(path):  # noqa: PTH112 - as above
        if span is not None:
            raise AttachmentError(f"{name} is a folder, which has no lines", name=name)
        return read_folder(path, text, limit=limit)
    if not exists and span is None and is_pattern(text):
        return read_pattern(text, limit=limit)
    return load_bytes(read(path, _limit_for), name, pdf_as_file=pdf_as_file, span=span)


def _limit_for(head: bytes) -> tuple[int, str]:
    kind = kind_of(head)
    if kind is not None and kind.is_pdf:
        return limits.PDF_FILE, "a PDF"
    if kind is not None and kind.audio:
        return limits.AUDIO_FILE, "a recording"
    return limits.TEXT_FILE, "a text file"
