"""Text of PDFs and web pages, by a library in a process of its own, with limits on its time and memory.

A small PDF may unfold to gigabytes or never end, and Python cannot interrupt a library that hangs.
"""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from provider_core import limits
from provider_core.attachments._content import TextFile, audio_of, check_size, kind_of, text_of
from provider_core.errors import AttachmentError
from provider_core.types import FilePart

if TYPE_CHECKING:
    from provider_core.types import AudioPart

_ENVIRONMENT: Final = ("PATH", "HOME", "SYSTEMROOT", "TEMP", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONHOME")
"""What Python may need to find its modules. The rest, such as keys, is no concern of a library that reads files."""


class Span:
    """Lines or pages of the file ``name``: ``first`` to ``last``, counted from 1; None: up to the end."""

    def __init__(self, name: str, first: int, last: int | None) -> None:
        if first < 1 or (last is not None and last < first):
            raise AttachmentError(
                f"{name} ends in a range that is not valid: it begins at 1 or later, and ends after its beginning",
                name=name,
            )
        self.first: int = first
        self.last: int | None = last


def load_bytes(
    data: bytes, name: str, *, pdf_as_file: bool = False, span: Span | None = None
) -> TextFile | FilePart | AudioPart:
    """The text, PDF or recording in ``data``; ``name`` is its name in the prompt and in errors."""
    kind = kind_of(data)
    if kind is not None and kind.is_pdf:
        return _pdf_of(data, name, as_file=pdf_as_file, span=span)
    if kind is not None and kind.audio and span is None:
        return audio_of(data, name)
    file = text_of(data, name)
    return file if span is None else file.lines(span.first, span.last)


def _pdf_of(data: bytes, name: str, *, as_file: bool, span: Span | None) -> TextFile | FilePart:
    """A PDF, or some pages of it, as it is or as its text.

    Raises ``AttachmentError``: code "no_pypdf" if pypdf is needed and not installed, "no_text" if it has only images.
    """
    check_size(len(data), name, limits.PDF_FILE, "a PDF")
    first, last = (1, None) if span is None else (span.first, span.last)
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
        raise AttachmentError(
            f"{name} has no text{f' in {part}' if part else ''}: its pages are images, such as those of a scanner",
            name=name,
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
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as result:
        source.write(data)
        source.seek(0)
        bounds = (limits.EXTRACT_MEMORY, int(limits.EXTRACT_TIME) + 5, limits.EXTRACTED)
        script = str(Path(__file__).with_name("_child.py"))
        words = [sys.executable, "-P", script, task, *map(str, (*arguments, *bounds))]
        try:
            ran = subprocess.run(
                words,
                stdin=source,
                stdout=result,
                stderr=subprocess.DEVNULL,
                env=environ,
                timeout=limits.EXTRACT_TIME,
                check=False,
            )
        except subprocess.TimeoutExpired:
            why = f"reading it takes more than {limits.EXTRACT_TIME:.0f} seconds"
            raise AttachmentError(f"{name} cannot be used: {why}", name=name) from None
        except OSError as error:
            raise AttachmentError(f"{name} cannot be read: {error.strerror}", name=name) from None
        result.seek(0)
        found = result.read(limits.EXTRACTED + 1)
    match ran.returncode:
        case 0 if len(found) <= limits.EXTRACTED:
            return found
        case 0:
            why = f"its text has more than {limits.EXTRACTED // 1_000_000} MB"
        case 3:
            package, extra = {"html": ("html-to-markdown", "no_web")}.get(task, ("pypdf", "no_pypdf"))
            raise AttachmentError(
                f"{name} cannot be read, because the package {package} is not installed",
                name=name,
                code=extra,
            )
        case 4:
            why = found.decode("utf-8", "replace")[:400]
        case _:
            why = f"reading it takes more than {limits.EXTRACT_MEMORY >> 20} MB of memory"
    raise AttachmentError(f"{name} cannot be used: {why}", name=name)
