"""Sentences that several formats print on stderr about fields of a request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from provider_core.redaction import printable
from provider_core.types import CallAsText, FieldDropped, FieldIgnored

if TYPE_CHECKING:
    from provider_core.types import Notice, Retrying, Target

__all__ = ["changed"]


def changed(target: Target, notice: Notice) -> str:
    """What the server did otherwise than asked: with a field of the request, or a call that it sent as text."""
    match notice:
        case FieldIgnored(value="required"):
            return f"{target} ignored tool_choice: no tool was called, although one was required."
        case FieldIgnored(field=field, value=value):
            return f"{target} ignored {field}: {value} was not called, although it was required."
        case CallAsText(tool=tool):
            what = f"a call of {' '.join(printable(tool, 200).split())}" if tool else "a tool call"
            return f"This looks like {what} that the server did not recognize. It is shown as text, and did not run."
        case FieldDropped():
            change = _change(notice)
        case _:
            return ""
    if notice.remembered:
        when = " (the server refused it before)"
    elif notice.lasting:
        when = " from now on"
    else:
        when = ""
    return f"{target} {change}{when}."


def retrying(notice: Retrying) -> str:
    """A line about a request that failed and will be sent again."""
    return f"{notice.error.message}. Retrying in {notice.seconds:.1f} s (attempt {notice.attempt})."


def _change(notice: FieldDropped) -> str:
    field, other = notice.field, notice.swapped_for
    if notice.value is not None:
        beside = f" with {notice.beside}" if notice.beside else ""
        return (
            f"does not accept this {field}{beside}; sending {json.dumps(notice.value).strip(chr(34))} instead"
        )
    match field, other:
        case "system", "system":
            return "does not support the developer role; sending the system prompt as system"
        case "system", _:
            return "does not support system messages; sending the system prompt before the first prompt"
        case "roles", _:
            return "requires alternating roles; joining neighbouring messages"
        case "calls", _:
            return "does not accept earlier tool calls without tools; sending them as text"
        case "tool_images", _:
            return "does not accept images in tool results; sending them in a user message after the results"
        case "reasoning_send_back", "never":
            return "does not accept the reasoning of earlier answers; not sending it"
        case "reasoning_send_back", _:
            return "requires the reasoning of earlier answers; sending it back"
        case "stream", "streamed":
            return "only supports streaming; streaming the answer"
        case "stream", _:
            return "does not support streaming; asking for the whole answer at once"
        case "tool_choice", str():
            return "does not accept this form of tool_choice; sending it in another form"
        case "response_format", "unstreamed":
            return "does not stream structured output; asking for the whole answer at once"
        case "response_format", "json_schema":
            return "does not support JSON mode; sending the schema"
        case "response_format", "loose_schema":
            return "does not support strict schemas; sending the schema without strict"
        case "response_format", "json_object":
            return "does not support JSON schemas; asking for JSON, with the schema in the prompt"
        case "response_format", "none":
            return "does not support response_format; putting the schema into the prompt"
        case "tool_choice", None:
            return "does not accept this tool_choice; the model decides"
        case _, None:
            return f"does not support {field}; leaving it out"
        case _:
            return f"does not support {field}; sending {other} instead"
