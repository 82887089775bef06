"""Sentences on stderr about a request and its answer, which several renderers print."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from provider_core.redaction import printable
from provider_core.types import CallAsText, FieldDropped, FieldIgnored, Retrying
from telex.console import visible
from telex.humanize import dollars, number, plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from provider_core.answer import Answer
    from provider_core.events import SchemaRetry
    from provider_core.types import Image, Source, Target

_LONGEST_LINE: Final = 500
"""Characters of an address or a title on a line."""


# --- the request ---------------------------------------------------------------------------------------------


def status_line(
    event: Retrying | FieldDropped | FieldIgnored | CallAsText | SchemaRetry, target: Target | None
) -> str:
    """What happened instead of what was asked for."""
    match event:
        case Retrying(error=error, seconds=seconds, attempt=attempt):
            return f"{error.message}. Retrying in {seconds:.1f} s (attempt {attempt})."
        case FieldIgnored(value="required"):
            return f"{target} ignored tool_choice: no tool was called, although one was required."
        case FieldIgnored(field=field, value=value):
            return f"{target} ignored {field}: {value} was not called, although it was required."
        case CallAsText(tool=tool):
            what = f"a call of {' '.join(printable(tool, 200).split())}" if tool else "a tool call"
            return f"This looks like {what} that the server did not recognize. It is shown as text, and did not run."
        case FieldDropped(remembered=remembered, lasting=lasting):
            when = " (the server refused it before)" if remembered else " from now on" if lasting else ""
            return f"{target} {_change(event)}{when}."
        case _:
            return f"{event.error.message}. Retrying."


_CHANGES: Final[dict[tuple[str, str | None], str]] = {
    ("system", "system"): "does not support the developer role; sending the system prompt as system",
    ("system", "*"): "does not support system messages; sending the system prompt before the first prompt",
    ("roles", "*"): "requires alternating roles; joining neighbouring messages",
    ("calls", "*"): "does not accept earlier tool calls without tools; sending them as text",
    ("tool_images", "*"): (
        "does not accept images in tool results; sending them in a user message after the results"
    ),
    ("reasoning_send_back", "never"): "does not accept the reasoning of earlier answers; not sending it",
    ("reasoning_send_back", "*"): "requires the reasoning of earlier answers; sending it back",
    ("stream", "streamed"): "only supports streaming; streaming the answer",
    ("stream", "*"): "does not support streaming; asking for the whole answer at once",
    ("tool_choice", None): "does not accept this tool_choice; the model decides",
    ("tool_choice", "*"): "does not accept this form of tool_choice; sending it in another form",
    ("response_format", "unstreamed"): (
        "does not stream structured output; asking for the whole answer at once"
    ),
    ("response_format", "json_schema"): "does not support JSON mode; sending the schema",
    ("response_format", "loose_schema"): (
        "does not support strict schemas; sending the schema without strict"
    ),
    ("response_format", "json_object"): (
        "does not support JSON schemas; asking for JSON, with the schema in the prompt"
    ),
    ("response_format", "none"): "does not support response_format; putting the schema into the prompt",
}
"""What a server refused and telex does instead, by ``field`` and ``swapped_for``; "*" is any other value."""


def _change(event: FieldDropped) -> str:
    field, other = event.field, event.swapped_for
    if event.value is not None:
        beside = f" with {event.beside}" if event.beside else ""
        value = json.dumps(event.value).strip('"')
        return f"does not accept this {field}{beside}; sending {value} instead"
    words = _CHANGES.get((field, other)) or _CHANGES.get((field, "*"))
    return words or f"does not support {field}; {f'sending {other} instead' if other else 'leaving it out'}"


# --- the answer ----------------------------------------------------------------------------------------------


def usage_line(answer: Answer, *, full: bool) -> str:
    """``provider/model``, tokens and time; with ``full`` all that is known, in one line."""
    usage, timing = answer.usage, answer.timing
    parts = [str(answer.target)]
    total = None if timing.total is None else f"{timing.total:.1f} s"
    if not full:
        if usage is not None and usage.output is not None:
            parts.append(f"{number(usage.output)} out")
        return " · ".join([*parts, *([total] if total else [])])
    if usage is None or (usage.input is None and usage.output is None):
        parts.append("tokens unknown")
    else:
        parts.append(f"{number(usage.input)} in{_of_them(usage.cached, 'cached')}")
        parts.append(f"{number(usage.output)} out{_of_them(usage.reasoning, 'thinking')}")
    if usage is not None and usage.cost is not None:
        parts.append(dollars(usage.cost))
    if timing.first_text is not None:
        parts.append(f"first {timing.first_text:.2f} s")
    if (rate := _rate(answer)) is not None:
        parts.append(f"{rate:.0f} tok/s")
    elif total:
        parts.append(total)
    return " · ".join(parts)


def _rate(answer: Answer) -> float | None:
    """Tokens of output per second; None if the answer came in one piece."""
    usage, timing = answer.usage, answer.timing
    if usage is None or not usage.output or timing.first_text is None or timing.total is None:
        return None
    seconds = timing.total - timing.first_text
    return usage.output / seconds if seconds > 0.05 else None


def _of_them(count: int | None, word: str) -> str:
    return f" ({number(count)} {word})" if count else ""


def attachment_lines(answer: Answer, title: str = "") -> Iterator[str]:
    """Yield a line for each image and source of an answer; ``title`` names it where there are several."""
    before = f"{title}: " if title else ""
    for lines in (image_lines(answer.images), source_lines(answer.sources)):
        for heading in lines:
            yield f"{before}{heading}"
            yield from lines
    if more := len(answer.choices):
        yield f"{before}{plural(more, 'more answer')} came for this prompt; --json prints them."
    if answer.logprobs:
        yield f"{before}Log probabilities came; --json prints them."


def source_lines(sources: Sequence[Source]) -> Iterator[str]:
    """Yield a heading and a line for each source, with the number that the text uses."""
    if sources:
        yield "Sources:"
    for source in sources:
        title = f"{_one_line(source.title)}: " if source.title else ""
        yield f"[{source.number}] {title}{_one_line(source.url)}"


def image_lines(images: Sequence[Image]) -> Iterator[str]:
    """Yield how many images there are, then a line for each."""
    if images:
        yield f"{plural(len(images), 'image')}:"
    for image in images:
        kind = _one_line(image.type.removeprefix("image/").partition("+")[0]).upper() or "unknown type"
        size = "" if image.size is None else f", {image.size:,} bytes"
        if image.broken:
            yield f"- {kind}{size}, cannot be read: {image.broken}"
        elif image.size is None:
            yield f"- not downloaded: {_one_line(image.url)}"
        elif image.file:
            yield f"- {kind}{size}, saved to {_one_line(image.file)}"
        else:
            yield f"- {kind}{size} (--save-images DIR saves it)"


def _one_line(text: str) -> str:
    shown = visible(" ".join(text[: 2 * _LONGEST_LINE].split()))
    return shown if len(shown) <= _LONGEST_LINE else f"{shown[:_LONGEST_LINE]}…"
