"""The prompt of ``telex chat``: stdin, a blank line, the words of the command line, and what is attached to them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from provider_core.structs import Struct
from telex.console import stdin_text
from telex.humanize import size
from telex.options import require_utf8

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provider_core.attachments import TextFile
    from provider_core.types import ImagePart, Part
    from telex.console import Console

_STDIN = frozenset(("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"))
"""What the system calls it, too: to read it under such a name besides would be half of it, or twice."""

__all__ = ["Prompt", "attached", "read_prompt"]


class Prompt(Struct):
    """The parts of a prompt, separately, because a template may have a variable for each."""

    typed: str = ""
    piped: str | None = None
    files: tuple[TextFile, ...] = ()
    images: tuple[ImagePart, ...] = ()
    sizes: tuple[str, ...] = ()
    """Each attachment's name and size, to show."""

    @property
    def text(self) -> str:
        """Stdin and the typed text, separated by a blank line, without the empty ones."""
        return "\n\n".join(part for part in (self.piped, self.typed) if part)

    def content(self, text: str | None = None) -> str | tuple[Part, ...]:
        """The content of a message, with ``text`` instead of its own."""
        text = self.text if text is None else text
        if not self.files and not self.images:
            return text
        from provider_core.attachments import combine

        return combine(text, self.files, self.images)


def read_prompt(
    console: Console,
    words: Sequence[str],
    *,
    no_stdin: bool = False,
    files: Sequence[str] = (),
    images: Sequence[str] = (),
    enough: bool = False,
    quiet: bool = False,
) -> Prompt:
    """Read the whole prompt; raises ``click.UsageError`` if it is empty, unless ``enough``, because a template has one.

    stdin is read last, because it may take long. ``quiet`` omits the note about that.
    """
    files = ["-" if name in _STDIN else name for name in files]
    images = ["-" if name in _STDIN else name for name in images]
    # Within a sentence a dash is a dash: only at its ends it stands for stdin.
    forced = "-" in (*words[:1], *words[-1:])
    claims = forced + files.count("-") + images.count("-")
    if claims > 1:
        raise click.UsageError('"-" is stdin, which can be read once: it is given more than once')
    if claims and no_stdin:
        raise click.UsageError('"-" reads stdin and --no-stdin does not: take one of them')
    if forced:
        words = words[1:] if words[0] == "-" else words[:-1]
    typed = require_utf8(" ".join(words), "the prompt")
    prompt = Prompt(typed=typed)
    is_attached = "-" in (*files, *images)
    if (files or images) and not is_attached:
        prompt = attached(files, images, to=prompt)
    raw = None
    if not no_stdin:
        skip = "" if claims else "--no-stdin ignores stdin."
        raw = console.read_stdin_bytes(named=bool(claims), quiet=quiet, skip=skip)
    if is_attached:
        prompt = attached(files, images, to=prompt, raw=raw or b"")
    elif raw:
        piped, pictures = _text_or_image(raw)
        if piped and not piped.strip() and typed.strip():
            piped = None  # an empty line from a script's stdin is not text to talk about
        prompt = replace(prompt, piped=piped, images=(*pictures, *prompt.images))
    if not (prompt.text.strip() or prompt.files or prompt.images or enough):
        raise click.UsageError(
            'there is no prompt: give one, as in telex chat "Why is the sky blue?", or pipe one in'
        )
    return prompt


def _text_or_image(raw: bytes) -> tuple[str | None, tuple[ImagePart, ...]]:
    no_utf8 = None
    try:
        text = stdin_text(raw)
        # As with a file: what is valid, and no text all the same.
        if b"\0" not in raw and not raw.startswith(b"%PDF-"):
            return text, ()
    except click.UsageError as error:
        no_utf8 = error
    from provider_core.attachments import image_of, sniff, text_of
    from provider_core.errors import AttachmentError

    if sniff(raw) is not None:
        return None, (image_of(raw, "stdin"),)
    try:
        return text_of(raw, "stdin").text, ()  # UTF-16, as PowerShell pipes it
    except AttachmentError as error:
        if no_utf8 is None or error.looks_like:
            raise
    raise no_utf8


def attached(
    files: Sequence[str], images: Sequence[str], *, to: Prompt | None = None, raw: bytes | None = None
) -> Prompt:
    """The prompt ``to`` with more attachments; "-" is ``raw``, if that is given.

    A file that is already attached is read again and attached once. Raises ``AttachmentError``.
    """
    from provider_core import attachments

    prompt = Prompt() if to is None else to
    texts = [
        attachments.text_file(name) if name != "-" or raw is None else attachments.text_of(raw, "stdin")
        for name in files
    ]
    pictures = [
        attachments.image(name) if name != "-" or raw is None else attachments.image_of(raw, "stdin")
        for name in images
    ]
    both = {text.name: text for text in (*prompt.files, *texts)}
    renewed = tuple(f"{text.name} (" for text in texts)
    sizes = [words for words in prompt.sizes if not words.startswith(renewed)]
    sizes += [f"{text.name} ({size(text.size)})" for text in dict.fromkeys(both[text.name] for text in texts)]
    shown = list(prompt.images)
    for name, picture in zip(images, pictures, strict=True):
        words = f"{_image_name(name)} ({_image_size(picture.url)})"
        if picture not in shown or words not in sizes:
            shown.append(picture)
            sizes.append(words)
    return Prompt(
        typed=prompt.typed,
        piped=prompt.piped,
        files=tuple(both.values()),
        images=tuple(shown),
        sizes=tuple(sizes),
    )


def _image_name(name: str) -> str:
    from provider_core.redaction import printable

    if name == "-":
        return "stdin"
    return "a data: URL" if name[:5].lower() == "data:" else " ".join(printable(name, 400).split("\n"))


def _image_size(url: str) -> str:
    _, base64, data = url.partition(";base64,")
    if not base64:
        return "image, fetched by the provider"
    return f"image, {size(len(data) * 3 // 4 - data.count('=', -2))}"
