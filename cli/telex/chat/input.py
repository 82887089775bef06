"""The prompt of a chat: typed words, piped stdin, attached files and images, and the template they are put into."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from provider_core.structs import Struct, replace
from telex.console import stdin_text
from telex.humanize import size
from telex.options import require_utf8

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provider_core.attachments import TextFile
    from provider_core.templates import Filled, Template
    from provider_core.types import ImagePart, Part
    from telex.console import Console

_STDIN = frozenset(("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"))
"""Names of stdin. It can be read once only."""


class Prompt(Struct):
    """The parts of a prompt, separately, because a template has a variable for each."""

    typed: str = ""
    piped: str | None = None
    files: tuple[TextFile, ...] = ()
    images: tuple[tuple[str, ImagePart], ...] = ()
    """With the name that users know each by; "" for one that was not attached by name."""

    @property
    def text(self) -> str:
        """Stdin and the typed text, separated by a blank line, without the empty ones."""
        return "\n\n".join(part for part in (self.piped, self.typed) if part)

    @property
    def attachments(self) -> list[str]:
        """Each attachment's name and size, to show."""
        files = [f"{file.name} ({size(file.size)})" for file in self.files]
        return files + [f"{name} ({_image_size(image.url)})" for name, image in self.images if name]

    def content(self, text: str | None = None) -> str | tuple[Part, ...]:
        """The content of a message, with ``text`` instead of the prompt's own."""
        text = self.text if text is None else text
        if not self.files and not self.images:
            return text
        from provider_core.attachments import combine

        return combine(text, self.files, [image for _, image in self.images])


def read_prompt(
    console: Console,
    words: Sequence[str] = (),
    *,
    no_stdin: bool = False,
    files: Sequence[str] = (),
    images: Sequence[str] = (),
    may_be_empty: bool = False,
    quiet: bool = False,
) -> Prompt:
    """Read the whole prompt; raises ``click.UsageError`` if it is empty, unless it ``may_be_empty``.

    stdin is read last, because it may take long. ``quiet`` omits the note about that.
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
    is_attached = "-" in (*files, *images)
    if (files or images) and not is_attached:
        prompt = attach(prompt, files, images)
    raw = None
    if not no_stdin:
        skip = "" if uses else "--no-stdin ignores stdin."
        raw = console.read_stdin_bytes(named=bool(uses), quiet=quiet, skip=skip)
    if is_attached:
        prompt = attach(prompt, files, images, stdin=raw or b"")
    elif raw:
        prompt = _with_stdin(prompt, raw)
    has_text = prompt.typed.strip() or (prompt.piped or "").strip()
    if not (has_text or prompt.files or prompt.images or may_be_empty):
        raise click.UsageError('no prompt\nUse telex chat "Why is the sky blue?", or pipe text in.')
    return prompt


def attach(
    prompt: Prompt, files: Sequence[str] = (), images: Sequence[str] = (), *, stdin: bytes | None = None
) -> Prompt:
    """The prompt with more attachments; "-" is ``stdin``, if that is given.

    A file that is attached already is read again and attached once. Raises ``AttachmentError``.
    """
    from provider_core import attachments

    found = {file.name: file for file in prompt.files}
    for name in files:
        from_stdin = name == "-" and stdin is not None
        file = attachments.text_of(stdin or b"", "stdin") if from_stdin else attachments.text_file(name)
        found[file.name] = file
    pictures = list(prompt.images)
    for name in images:
        from_stdin = name == "-" and stdin is not None
        image = attachments.image_of(stdin or b"", "stdin") if from_stdin else attachments.image(name)
        if (picture := (_image_name(name), image)) not in pictures:
            pictures.append(picture)
    return replace(prompt, files=tuple(found.values()), images=tuple(pictures))


def template_values(variables: Sequence[str]) -> dict[str, str]:
    """The values of ``--var NAME=VALUE``."""
    values = {}
    for each in variables:
        name, equals, value = require_utf8(each, "--var").partition("=")
        if not equals:
            raise click.UsageError(f"--var {each}: use NAME=VALUE")
        values[name.strip()] = value
    return values


def fill_template(template: Template, variables: Sequence[str], prompt: Prompt) -> Filled:
    """The template's prompt and system message; raises ``click.UsageError`` if there is no text to send."""
    from provider_core import templates

    values = template_values(variables)
    filled = templates.fill(template, stdin=prompt.piped, typed=prompt.typed, values=values)
    if not (filled.prompt.strip() or prompt.files or prompt.images):
        raise click.UsageError(
            f"the template {template.name} has no prompt\n"
            f'Use telex chat --template {template.name} "Why is the sky blue?"'
        )
    return filled


def _with_stdin(prompt: Prompt, raw: bytes) -> Prompt:
    """The prompt with piped text or a piped image."""
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
        return replace(prompt, images=(("", image_of(raw, "stdin")), *prompt.images))
    try:
        return replace(prompt, piped=text_of(raw, "stdin").text)  # UTF-16, as PowerShell pipes it
    except AttachmentError as error:
        if not_utf8 is None or error.looks_like:
            raise
    raise not_utf8


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
