"""Sentences on stderr about a request, its answer and tool calls, which several renderers print.

Names, titles and arguments of tools are untrusted: they cannot command the terminal, begin a line, or hide.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from provider_core.errors import CoreError, ToolRefusedError, UnknownToolError
from provider_core.events import Continuing, FellBack
from provider_core.redaction import printable
from provider_core.types import CallAsText, FieldDropped, FieldIgnored, Retrying
from telex.console import visible
from telex.humanize import dollars, duration, number, plural, short_number, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from provider_core.events import (
        Answer,
        PlannedCall,
        SchemaRetry,
        ToolAnnotations,
        ToolEnded,
        ToolProgress,
    )
    from provider_core.prices import Cost
    from provider_core.types import Image, Json, Source, Target

_LONGEST_LINE: Final = 500
"""Characters of an address or a title on a line."""


# --- the request ---------------------------------------------------------------------------------------------


def status_line(
    event: Retrying | FellBack | FieldDropped | FieldIgnored | CallAsText | SchemaRetry | Continuing,
    target: Target | None,
) -> str:
    """A sentence about a retry, another model, or what the server did not do as requested."""
    match event:
        case FellBack(error=CoreError() as failure):
            return f"{failure.message.rstrip('.')}. Asking {event.target} instead."
        case FellBack():
            return (
                f"{event.name} failed recently and rests for {duration(event.rest)}; asking {event.target}."
            )
        case Retrying(error=error, seconds=seconds, attempt=attempt):
            return f"{error.message}. Retrying in {seconds:.1f} s (attempt {attempt})."
        case FieldIgnored(value="required"):
            return f"{target} ignored tool_choice: no tool was called, although one was required."
        case FieldIgnored(field=field, value=value):
            return f"{target} ignored {field}: {value} was not called, although it was required."
        case CallAsText(tool=tool):
            what = f"a call of {' '.join(printable(tool, 200).split())}" if tool else "a tool call"
            return f"The model wrote {what} as plain text; it was not run. See: telex help tools"
        case Continuing(error=CoreError() as broken):
            return f"{broken.message.rstrip('.')}. Continuing the answer."
        case Continuing():
            return "The answer was cut off at the token limit. Continuing it."
        case FieldDropped(remembered=remembered, lasting=lasting):
            when = " (the server refused it before)" if remembered else " from now on" if lasting else ""
            return f"{target} {_change(event)}{when}."
        case _:
            return f"{event.error.message}. Retrying."


def continued_line(answer: Answer) -> str:
    """How often an answer was continued, and at which seams something may be doubled or missing."""
    count = sum(part.continuation is not None for part in answer.parts)
    times = {1: "once", 2: "twice"}.get(count, f"{count} times")
    line = f"The answer was cut, and continued {times}."
    place, unverified = 0, []
    for part in answer.parts:
        if part.continuation is not None and part.continuation.seam == "unverified" and part.characters:
            unverified.append(number(place))
        place += part.characters
    if unverified:
        where = " and ".join(
            f"after character {each}" if each != "0" else "at its beginning" for each in unverified
        )
        line += (
            f" Check the text {where}: the model did not repeat the words before, so something may be doubled or "
            "missing there."
        )
    return line


_CHANGES: Final[dict[tuple[str, str | None], str]] = {
    (
        "system",
        "system",
    ): "does not support the developer role; sending the system message with the role system",
    ("system", "*"): "does not support system messages; sending its text before the first user message",
    ("roles", "*"): "requires alternating roles; joining consecutive messages",
    ("calls", "*"): "does not accept earlier tool calls without tools; sending them as text",
    ("tool_images", "*"): (
        "does not accept images in tool results; sending them in a user message after the results"
    ),
    ("reasoning_send_back", "never"): "does not accept the reasoning of earlier answers; not sending it",
    ("reasoning_send_back", "*"): "requires the reasoning of earlier answers; sending it back",
    ("stream", "streamed"): "only supports streaming; streaming the answer",
    ("stream", "*"): "does not support streaming; requesting the whole answer at once",
    ("tool_choice", None): "does not accept this tool_choice; the model decides",
    ("tool_choice", "*"): "does not accept this form of tool_choice; sending it in another form",
    ("response_format", "unstreamed"): (
        "does not stream structured output; requesting the whole answer at once"
    ),
    ("response_format", "json_schema"): "does not support JSON mode; sending the schema",
    ("response_format", "loose_schema"): (
        "does not support strict schemas; sending the schema without strict"
    ),
    ("response_format", "json_object"): (
        "does not support JSON schemas; requesting JSON, with the schema in the prompt"
    ),
    ("response_format", "none"): "does not support response_format; putting the schema into the prompt",
}
"""A missing feature of a server and its replacement, by ``field`` and ``swapped_for``; "*" is any other value."""


def _change(event: FieldDropped) -> str:
    field, other = event.field, event.swapped_for
    if event.value is not None:
        beside = f" with {event.beside}" if event.beside else ""
        value = json.dumps(event.value).strip('"')
        return f"does not accept this {field}{beside}; sending {value} instead"
    words = _CHANGES.get((field, other)) or _CHANGES.get((field, "*"))
    return words or f"does not support {field}; {f'sending {other} instead' if other else 'leaving it out'}"


# --- the answer ----------------------------------------------------------------------------------------------


def usage_line(answer: Answer, *, full: bool, named: bool = True) -> str:
    """``provider/model`` if ``named``, tokens, cost and time; with ``full`` all that is known, in one line."""
    usage, timing = answer.usage, answer.timing
    parts = [str(answer.target)] if named else []
    total = None if timing.total is None else f"{timing.total:.1f} s"
    if not full:
        counts = []
        if usage is not None and usage.input is not None:
            counts.append(f"{short_number(usage.input)} in")
        if usage is not None and usage.output is not None:
            counts.append(f"{short_number(usage.output)} out")
        if answer.cost is not None:
            counts.append(cost_words(answer.cost))
        parts += [", ".join(counts)] if counts else []
        return " · ".join([*parts, *([total] if total else [])])
    if usage is None or (usage.input is None and usage.output is None):
        parts.append("tokens unknown")
    else:
        parts.append(f"{number(usage.input)} in{_of_them(usage.cached, 'cached')}")
        parts.append(f"{number(usage.output)} out{_of_them(usage.reasoning, 'thinking')}")
        parts.append("cost unknown" if answer.cost is None else cost_words(answer.cost))
    if timing.first_text is not None:
        parts.append(f"first {timing.first_text:.2f} s")
    writing = 0.0 if timing.first_text is None or timing.total is None else timing.total - timing.first_text
    if writing > 0.05 and usage is not None and usage.output:  # it did not come in one piece
        parts.append(f"{usage.output / writing:.0f} tok/s")
    elif total:
        parts.append(total)
    return " · ".join(parts)


def cost_words(cost: Cost) -> str:
    """A cost in a line, such as "$0.0021", "about $0.2" or "at least $3.10"."""
    before = "at least " if cost.partial else "about " if cost.estimate else ""
    return before + dollars(cost.amount)


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


# --- tool calls --------------------------------------------------------------------------------------------

_FIRST, _LAST = 8, 3
"""Rows of the beginning and of the end of a long argument that are shown."""

_ARGUMENTS = 12
_LONGEST_NAME = 100
_LONGEST_ERROR = 300
_NARROWEST = 20
"""Rows are not made narrower than this."""

_GUTTER: Final = "  │ "

_UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0e\uffa0\U000e0100-\U000e01ef]"
)
"""Letters and marks that Python calls printable and that show nothing: whole sentences have been hidden in them.

Unicode's Default_Ignorable_Code_Point, but for the last selector of variants, which is part of many emoji.
"""


def planned_call(call: PlannedCall, *, width: int, whole: bool = False) -> str:
    """The call with its arguments, each row's end included; ``whole`` shows all of them.

    No row is wider than ``width`` cells, and none but the first begins in the first column: what a model or a
    server writes cannot pass for a line of telex's own.
    """
    tool = call.spec
    rows = _chopped(f"The model wants to run {_line(call.name)}", width, rest="  ")
    said = _said(tool.title if tool.title != tool.tool.name else "", tool.annotations)
    if said:
        rows += _chopped(f"The server claims (not verified): {said}", width, first="  ", rest="  ")
    named = list(call.arguments.items())
    shown = named if whole else named[:_ARGUMENTS]
    for name, value in shown:
        rows += _argument(_line(name), value, width=width, whole=whole)
    if len(named) > len(shown):
        rows.append(f"  … and {len(named) - len(shown)} more arguments")
    if not named:
        rows.append("  (no arguments)")
    return "".join(f"{row}\n" for row in rows)


def running_tools(names: Iterable[str]) -> str:
    """The tools that run, for a spinner."""
    counts: dict[str, int] = {}
    for name in names:
        counts[_line(name)] = counts.get(_line(name), 0) + 1
    words = (f"{name} ({count} times)" if count > 1 else name for name, count in counts.items())
    return f"running {', '.join(words)}"


def tool_progress(event: ToolProgress) -> str:
    """How far a call is, for a spinner: "step 3 (3/8)"."""
    number = f"{event.progress:g}/{event.total:g}" if event.total else f"{event.progress:g}"
    message = _line(event.message)
    return f"{message} ({number})" if message else number


def ended_call(event: ToolEnded) -> str:
    """The result of the call in one line."""
    planned, error, text = event.planned, event.error, event.result.text
    if planned is not None:
        name = planned.name
    else:
        name = "/".join(filter(None, (error.server, error.tool))) if error is not None else ""
    who = _line(name or event.call.name, _LONGEST_NAME // 2) or "a call without a name"
    brief = _brief(planned.arguments) if planned is not None else ""
    if brief:
        who += f" {brief}"
    if isinstance(error, ToolRefusedError):
        return f"{who}: refused"
    if isinstance(error, UnknownToolError):
        return f"{who}: unknown tool"
    if error is not None:
        return f"{who}: {_line(error.message.removeprefix(f'{name} '), _LONGEST_ERROR)}"
    if event.result.is_error:
        why = _line(text.removeprefix("Error: "), _LONGEST_NAME)
        return f"{who}: failed in {event.seconds:.1f} s: {why}"
    there = len(text.encode("utf-8", "replace"))
    cut = "cut to " if planned is not None and there > planned.toolbox.limits.size else ""
    count = len(event.result.images)
    images = plural(count, "image") if count else ""
    found = " and ".join(filter(None, (f"{cut}{size(there)}" if text or not images else "", images)))
    return f"{who}: {found} in {event.seconds:.1f} s"


def changed_tool(call: PlannedCall) -> str:
    """A note that a tool has changed since it was approved."""
    return f"{_line(call.name)} has changed since you chose to always allow it.\n"


def escaped(text: str) -> str:
    """``text`` with Python's escapes for invisible characters: controls, bidi marks, zero widths."""
    if text.isprintable() and not _UNSEEN.search(text):
        return text
    return "".join(
        letter
        if letter.isprintable() and not _UNSEEN.match(letter)
        else letter.encode("unicode_escape").decode()
        for letter in text
    )


# --- arguments ---------------------------------------------------------------------------------------------


def _argument(name: str, value: Json, *, width: int, whole: bool) -> list[str]:
    """One row if it fits, or else the name and the indented value below it."""
    # Lines are easier to read as lines; all else is exact.
    lines = isinstance(value, str) and "\n" in value
    text = str(value) if lines else json.dumps(value, ensure_ascii=False)
    if not lines and len(text) <= width:
        row = _chopped(f"{name}: {escaped(text)}", width, first="  ", rest=_GUTTER)
        if len(row) == 1:
            return row
    if isinstance(value, dict | list):
        text = json.dumps(value, ensure_ascii=False, indent=2)
    return [
        *_chopped(f"{name}:", width, first="  ", rest=_GUTTER),
        *_below(text, width=width, whole=whole),
    ]


def _below(text: str, *, width: int, whole: bool) -> list[str]:
    """The rows of a value: all, or the first and the last with the size of the whole between them."""
    most = _FIRST + _LAST + 1
    # Text far beyond the rows that are shown need not be measured.
    room = most * max(width, _NARROWEST)
    long = not whole and len(text) > 2 * room
    head = _rows((text[:room] if long else text).split("\n"), width)
    if whole or (not long and len(head) <= most):
        return head
    tail = _rows(text[-room:].split("\n"), width) if long else head
    there = f"{size(len(text.encode('utf-8', 'replace')))} in all"
    lines = text.count("\n") + 1
    left_out = f"  … {there}{f', {lines} lines' if lines > 1 else ''}; v shows all …"
    return [*head[:_FIRST], *_chopped(left_out, width, rest="  "), *tail[-_LAST:]]


def _rows(lines: Sequence[str], width: int) -> list[str]:
    return [
        row
        for line in lines
        for row in _chopped(escaped(line.expandtabs(4)), width, first=_GUTTER, rest=_GUTTER)
    ]


def _chopped(text: str, width: int, *, first: str = "", rest: str) -> list[str]:
    """``text`` in rows of at most ``width`` cells, the terminal's last column left free."""
    from telex.wrapping import chop

    room = max(width, _NARROWEST) - 1
    head, *more = chop(text, room - len(first))
    # The other rows have another width.
    return [
        f"{first}{head}",
        *(f"{rest}{row}" for row in (chop("".join(more), room - len(rest)) if more else ())),
    ]


# --- short forms -------------------------------------------------------------------------------------------


def _line(text: str, longest: int = _LONGEST_NAME) -> str:
    """``text`` as one line of bounded length; a longer one ends with its length."""
    shown = escaped(" ".join(text[: 4 * longest].split()))
    if len(shown) <= longest and len(text) <= 4 * longest:
        return shown
    return f"{shown[:longest]}… [{len(text):,} characters]"


def _brief(arguments: Mapping[str, Json]) -> str:
    """The first arguments in a few words, for a line that has others to say too."""
    words = (str(value)[:200] for value in arguments.values() if isinstance(value, str | int | float))
    text = escaped(" ".join(", ".join(words).split()))
    return f"({text if len(text) <= 40 else text[:39] + '…'})" if text else ""


def _said(title: str, hints: ToolAnnotations) -> str:
    said = {
        "reads only": hints.read_only is True,
        "destructive": hints.destructive is True,
        "reaches the outside": hints.open_world is True,
    }
    words = [words for words, true in said.items() if true]
    return "; ".join(filter(None, (_line(title), ", ".join(words))))
