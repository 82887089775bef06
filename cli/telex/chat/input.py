"""The prompt of a chat: typed words, piped stdin, attachments, and the template that they are put into."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from provider_core import limits
from provider_core.structs import Struct, replace
from telex.console import NOTE_AFTER, stdin_text
from telex.options import require_utf8

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from provider_core.attachments import TextFile, TextFolder
    from provider_core.templates import Filled, Template
    from provider_core.types import Part, Target
    from telex.app import App
    from telex.console import Console

_MOST_NAMED = 5
"""Unreadable files that are named; more are only counted."""
_STDIN = frozenset(("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"))
"""Names of stdin. It can be read once only."""


class Prompt(Struct):
    """The parts of a prompt, separately, because a template has a variable for each."""

    typed: str = ""
    piped: str | None = None
    files: tuple[TextFile | TextFolder, ...] = ()
    parts: tuple[tuple[str, Part], ...] = ()
    """Images, PDFs and recordings with the name that users know each by; "" for one that was not attached by name."""

    @property
    def text(self) -> str:
        """Stdin and the typed text, separated by a blank line, without the empty ones."""
        return "\n\n".join(part for part in (self.piped, self.typed) if part)

    @property
    def attachments(self) -> list[str]:
        """A line for each attachment that has a name: its size, and about how many tokens it has."""
        return [
            *map(_describe_text, self.files),
            *(f"{name} ({_describe_part(part)})" for name, part in self.parts if name),
        ]

    def content(self, text: str | None = None) -> str | tuple[Part, ...]:
        """The content of a message, with ``text`` instead of the prompt's own."""
        text = self.text if text is None else text
        if not self.files and not self.parts:
            return text
        from provider_core.attachments import combine

        return combine(text, self.files, [part for _, part in self.parts])


class Attaching(Struct):
    """How files are attached: ``pdf_as_file`` if the models accept PDFs, ``limit`` the bytes of folders together."""

    environ: Mapping[str, str]
    pdf_as_file: bool = False
    limit: int = limits.ATTACHED
    note: Callable[[str], object] | None = None
    """Called with a sentence if reading an attachment takes longer than a moment."""

    @classmethod
    def to(cls, app: App, targets: Iterable[Target], *, limit: int, quiet: bool) -> Attaching:
        """Attach files so that each of the models can read them."""
        from provider_core.attachments import accepts_pdf

        return cls(
            environ=app.runtime.environ,
            pdf_as_file=all(map(accepts_pdf, targets)),
            limit=limit,
            note=None if quiet else app.console.note,
        )


def read_prompt(
    console: Console,
    words: Sequence[str] = (),
    *,
    attaching: Callable[[], Attaching],
    no_stdin: bool = False,
    files: Sequence[str] = (),
    images: Sequence[str] = (),
    pasted: bool = False,
    template: Template | None = None,
    may_be_empty: bool = False,
    quiet: bool = False,
) -> Prompt:
    """Read the whole prompt; raises ``click.UsageError`` if it is empty, unless it ``may_be_empty``.

    A ``template`` with a prompt of its own needs no other. stdin is read last, because it may take long. ``pasted``
    attaches the clipboard. ``quiet`` omits the note about stdin.
    """
    files = ["-" if name in _STDIN else name for name in files]
    images = ["-" if name in _STDIN else name for name in images]
    # Only the first or the last word can be stdin: a dash within a sentence is a dash.
    from_words = "-" in (*words[:1], *words[-1:])
    uses = from_words + files.count("-") + images.count("-")
    if uses > 1:
        raise click.UsageError('stdin ("-") can be used only once')
    if uses and no_stdin:
        raise click.UsageError('"-" and --no-stdin cannot be used together')
    if from_words:
        words = words[1:] if words[0] == "-" else words[:-1]
    prompt = Prompt(typed=require_utf8(" ".join(words), "the prompt"))
    if pasted:
        prompt = _with_clipboard(console, prompt)
    is_attached = "-" in (*files, *images)
    if (files or images) and not is_attached:
        prompt = attach(prompt, files, images, attaching=attaching())
    raw = None
    if not no_stdin:
        skip = "" if uses else "--no-stdin ignores stdin."
        raw = console.read_stdin_bytes(named=bool(uses), quiet=quiet, skip=skip)
    if is_attached:
        prompt = attach(prompt, files, images, attaching=attaching(), stdin=raw or b"")
    elif raw:
        prompt = _with_stdin(prompt, raw, attaching)
    has_text = prompt.typed.strip() or (prompt.piped or "").strip()
    may_be_empty = may_be_empty or (template is not None and bool(template.prompt))
    if not (has_text or prompt.files or prompt.parts or may_be_empty):
        if template is not None:
            raise click.UsageError(
                f"the template {template.name} needs text\nPipe it in, attach a file with -f, or type it."
            )
        raise click.UsageError("no prompt\nType it after the command, or pipe text in.")
    return prompt


def attach(
    prompt: Prompt,
    files: Sequence[str] = (),
    images: Sequence[str] = (),
    *,
    attaching: Attaching,
    stdin: bytes | None = None,
) -> Prompt:
    """The prompt with more attachments; "-" is ``stdin``, if that is given.

    A file that is attached already is read again and attached once. Raises ``AttachmentError``, and for an
    address ``NetworkError``.
    """
    from provider_core import attachments
    from provider_core.types import AudioPart, FilePart

    found = {_key(file): file for file in prompt.files}
    parts = list(prompt.parts)
    left = attaching.limit
    for name in files:
        if name == "-" and stdin is not None:
            file: attachments.Attachment = attachments.load_bytes(
                stdin, "stdin", pdf_as_file=attaching.pdf_as_file
            )
        else:
            with _noted(attaching.note, name):
                file = attachments.load(
                    name, pdf_as_file=attaching.pdf_as_file, limit=left, environ=attaching.environ
                )
        match file:
            case FilePart() | AudioPart():
                shown = file.name if isinstance(file, FilePart) else _part_name(name)
                if (part := (shown, file)) not in parts:
                    parts.append(part)
                continue
            case attachments.TextFolder():
                left -= file.size
        found[_key(file)] = file
    for name in images:
        from_stdin = name == "-" and stdin is not None
        image = attachments.image_of(stdin or b"", "stdin") if from_stdin else attachments.image(name)
        if (picture := (_part_name(name), image)) not in parts:
            parts.append(picture)
    return replace(prompt, files=tuple(found.values()), parts=tuple(parts))


@contextlib.contextmanager
def _noted(note: Callable[[str], object] | None, name: str) -> Iterator[None]:
    """After a moment, note that ``name`` is being read: a page or a large PDF may take a minute."""
    if note is None:
        yield
        return
    import threading

    timer = threading.Timer(NOTE_AFTER, note, (f"Reading {_part_name(name)}.",))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def report_attachments(console: Console, prompt: Prompt) -> None:
    """Print a line for each attachment, and one for each file of a folder that cannot be read."""
    for line in prompt.attachments:
        console.note(f"Attached: {line}")
    report_unreadable(console, prompt)


def report_unreadable(console: Console, prompt: Prompt) -> None:
    """Print a line for each file of a folder that cannot be read."""
    unreadable = [each for file in prompt.files for each in getattr(file, "unreadable", ())]
    for each in unreadable[:_MOST_NAMED]:
        console.note(f"Not attached: {each}")
    if (more := len(unreadable) - _MOST_NAMED) > 0:
        console.note(f"Not attached: {more:,} more that cannot be read")


def template_values(variables: Sequence[str]) -> dict[str, str]:
    """The values of ``--var NAME=VALUE``."""
    values = {}
    for each in variables:
        name, equals, value = require_utf8(each, "--var").partition("=")
        if not equals:
            raise click.UsageError(f"--var {each}: use NAME=VALUE")
        values[name.strip()] = value
    return values


def fill_template(
    template: Template, variables: Sequence[str], prompt: Prompt, *, may_be_empty: bool = False
) -> Filled:
    """The template's prompt and system message; raises ``click.UsageError`` for no text, unless it ``may_be_empty``."""
    from provider_core import templates

    values = template_values(variables)
    filled = templates.fill(template, stdin=prompt.piped, typed=prompt.typed, values=values)
    if not (filled.prompt.strip() or prompt.files or prompt.parts or may_be_empty):
        raise click.UsageError(
            f"the template {template.name} has no prompt\n"
            f'Use telex chat --template {template.name} "Why is the sky blue?"'
        )
    return filled


def _with_stdin(prompt: Prompt, raw: bytes, attaching: Callable[[], Attaching]) -> Prompt:
    """The prompt with piped text, or a piped image or PDF."""
    not_utf8 = None
    try:
        text = stdin_text(raw)
        # Both are valid UTF-8 at times, and not text.
        if b"\0" not in raw and not raw.startswith(b"%PDF-"):
            # An empty line from a script's stdin is not text to talk about.
            return prompt if not text.strip() and prompt.typed.strip() else replace(prompt, piped=text)
    except click.UsageError as error:
        not_utf8 = error
    from provider_core.attachments import image_of, sniff, text_of
    from provider_core.errors import AttachmentError

    if sniff(raw) is not None:
        return replace(prompt, parts=(("", image_of(raw, "stdin")), *prompt.parts))
    if raw.startswith(b"%PDF-"):
        return attach(prompt, ("-",), attaching=attaching(), stdin=raw)
    try:
        return replace(prompt, piped=text_of(raw, "stdin").text)  # UTF-16, as PowerShell pipes it
    except AttachmentError as error:
        if not_utf8 is None or error.looks_like:
            raise
    raise not_utf8


def _with_clipboard(console: Console, prompt: Prompt) -> Prompt:
    """The prompt with the text or the image of the clipboard as an attachment."""
    from provider_core.attachments import image_of, sniff, text_of
    from telex.clipboard import paste

    data = paste(console)
    if sniff(data) is not None:
        return replace(prompt, parts=(("clipboard", image_of(data, "the clipboard")),))
    file = text_of(data, "clipboard")
    if not file.text.strip():
        raise click.UsageError("the clipboard has no text")
    return replace(prompt, files=(file,))


# --- descriptions of attachments -----------------------------------------------------------------------------


def _describe_text(file: TextFile | TextFolder) -> str:
    from provider_core.attachments import TextFile, text_tokens
    from telex.humanize import plural, size

    if isinstance(file, TextFile):
        return f"{file.title} ({size(file.size)}, {_tokens(text_tokens(file.text))})"
    more = ", ".join(f"{count:,} {what}" for what, count in file.skipped.items())
    tokens = _tokens(text_tokens(file.as_block()))
    counts = f"{plural(len(file.files), 'file')}, {size(file.size)}, {tokens}"
    return f"{file.name} ({counts}{more and f'; skipped: {more}'})"


def _describe_part(part: Part) -> str:
    from provider_core.attachments import part_size, part_tokens
    from provider_core.types import AudioPart, FilePart
    from telex.humanize import size

    kind = "PDF" if isinstance(part, FilePart) else "recording" if isinstance(part, AudioPart) else "image"
    bytes_ = part_size(part)
    return f"{kind}, {size(bytes_) if bytes_ else 'fetched by the provider'}, {_tokens(part_tokens(part))}"


def _tokens(count: int) -> str:
    from provider_core.attachments import rounded
    from telex.humanize import plural

    return f"~{plural(rounded(count), 'token')}"


def _key(file: TextFile | TextFolder) -> tuple[str, str]:
    return file.name, getattr(file, "part", "")


def _part_name(name: str) -> str:
    from provider_core.attachments import label

    if name == "-":
        return "stdin"
    return "a data: URL" if name[:5].lower() == "data:" else label(name)
