"""Conversations as data: objects whose keys are a contract, and Markdown; nothing is written anywhere."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from provider_core.types import ImagePart
from telex.render.json import call_object, image_object, rounded, source_objects
from telex.render.messages import image_lines, source_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from provider_core.history import SavedConversation, SavedTurn, SearchHit
    from provider_core.types import Message, ToolCall

__all__ = [
    "conversation_object",
    "ending",
    "hit_object",
    "image_words",
    "markdown",
    "turn_object",
    "utc",
    "whole_object",
]


def utc(moment: float) -> str:
    """ISO 8601 in UTC, whole seconds: it sorts as text, and means the same everywhere."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


# --- objects -------------------------------------------------------------------------------------------------


def conversation_object(conversation: SavedConversation) -> dict[str, Any]:
    """``turns`` is how many there are; ``model`` is ``provider/model`` of the last, ``verdict`` what became of it."""
    return {
        "id": conversation.id,
        "title": conversation.title,
        "begun": utc(conversation.begun),
        "updated": utc(conversation.updated),
        "turns": conversation.turns,
        "model": conversation.model,
        "verdict": conversation.verdict.value if conversation.verdict is not None else None,
    }


def whole_object(conversation: SavedConversation, turns: Sequence[SavedTurn]) -> dict[str, Any]:
    """A conversation's object with its turns as ``transcript``."""
    said = [turn_object(turn, title=conversation.title) for turn in turns]
    return {**conversation_object(conversation), "transcript": said}


def turn_object(turn: SavedTurn, *, title: str) -> dict[str, Any]:
    """One turn. ``messages`` are what was new in the request, in OpenAI's form; the rest is as in ``chat --json``.

    ``verdict`` is null while there is no answer and no error: it is still coming, or its process was killed.
    """
    answer, usage, timing = turn.answer, turn.usage, turn.timing
    return {
        "conversation": turn.conversation,
        "title": title,
        "turn": turn.id,
        "at": utc(turn.at),
        "provider": turn.provider,
        "model": turn.model,
        "params": dict(turn.params),
        "messages": [_message_object(message) for message in turn.messages],
        "text": _text(answer) if answer else "",
        "reasoning": answer.reasoning if answer else "",
        "tool_calls": [call_object(call) for call in answer.tool_calls] if answer else [],
        "sources": source_objects(answer.sources) if answer else [],
        "images": [image_object(image) for image in answer.images] if answer else [],
        "finish": turn.finish,
        "raw_finish": turn.raw_finish,
        "verdict": turn.verdict and turn.verdict.value,
        "usage": usage
        and {name: getattr(usage, name) for name in ("input", "output", "cached", "reasoning", "cost")},
        "timing": {name: rounded(getattr(timing, name)) for name in ("first_byte", "first_text", "total")},
        "error": turn.error and {"message": turn.error},
    }


def hit_object(hit: SearchHit) -> dict[str, Any]:
    """``marks`` are the begin and end of each word in ``snippet``; ``turn`` is null for a title."""
    return {
        "conversation": hit.conversation,
        "title": hit.title,
        "turn": hit.turn,
        "role": hit.role,
        "at": utc(hit.at),
        "snippet": hit.snippet,
        "marks": [list(mark) for mark in hit.marks],
    }


def _message_object(message: Message) -> dict[str, Any]:
    content: Any = message.content
    if not isinstance(content, str):
        content = [
            {"type": "image_url", "image_url": {"url": part.url}}
            if isinstance(part, ImagePart)
            else {"type": "text", "text": part.text}
            for part in content
        ]
    fields = {"role": message.role, "content": content}
    if message.tool_calls:
        fields["tool_calls"] = [call_object(call) for call in message.tool_calls]
    return {**fields, "tool_call_id": message.tool_call_id} if message.tool_call_id else fields


# --- Markdown ------------------------------------------------------------------------------------------------


def markdown(conversation: SavedConversation, turns: Sequence[SavedTurn]) -> str:
    """The conversation to be read: what was written stands in it as it was, headings tell who wrote it."""
    begun = time.strftime("%Y-%m-%d %H:%M", time.gmtime(conversation.begun))
    parts = [f"# {conversation.title}", f"Conversation `{conversation.id}`, begun {begun} UTC."]
    for turn in turns:
        parts += (part for message in turn.messages for part in _asked(message))
        parts += _answered(turn)
    return "\n\n".join(parts) + "\n"


def _asked(message: Message) -> Iterator[str]:
    yield f"## {message.role.capitalize()}"
    text = _text(message)
    yield _fenced(text) if message.role == "tool" else _closed(text.strip("\n"))
    yield from map(_call, message.tool_calls)


def _answered(turn: SavedTurn) -> Iterator[str]:
    yield f"## {turn.provider}/{turn.model}"
    if turn.answer is not None:
        text = _text(turn.answer).strip("\n")
        if text:
            yield _closed(text)
        yield from map(_call, turn.answer.tool_calls)
        if more := [*image_lines(turn.answer.images), *source_lines(turn.answer.sources)]:
            yield "  \n".join(more)
    words = ending(turn)
    if words:
        yield f"*{words}*"


def ending(turn: SavedTurn) -> str:
    """A sentence about an answer that is not whole, or not there; "" for one that is."""
    if turn.verdict is None:
        return "No answer was saved."
    if turn.verdict.value == "complete":
        return ""
    if turn.verdict.value == "length":
        return "The answer ends at the token limit."
    what = f"The answer is {turn.verdict.value}" if turn.answered else f"No answer ({turn.verdict.value})"
    return f"{what}: {turn.error}." if turn.error else f"{what}."


def image_words(image: ImagePart) -> str:
    """What stands for an image in text: its kind and size, or its address."""
    kind, _, data = image.url.removeprefix("data:").partition(";base64,")
    if not image.url.startswith("data:"):
        return f"![image]({image.url})"
    return f"[{kind or 'image'}, {max(1, len(data) * 3 // 4 // 1000)} kB]"


def _text(message: Message) -> str:
    if isinstance(message.content, str):
        return message.content
    return "\n\n".join(
        image_words(part) if isinstance(part, ImagePart) else part.text for part in message.content
    )


def _call(call: ToolCall) -> str:
    return f"Calls `{call.name}`:\n\n{_fenced(call.arguments, 'json')}"


def _fenced(text: str, info: str = "") -> str:
    longest = max((len(run) for run in re.findall("`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{info}\n{text.rstrip(chr(10))}\n{fence}"


def _closed(text: str) -> str:
    """``text`` with a fence that it leaves open closed, or all that follows would be code."""
    fence = ""
    for line in text.splitlines():
        found = re.match(r" {0,3}(`{3,}|~{3,})(.*)", line)
        if found is None:
            continue
        if not fence and not (found[1][0] == "`" and "`" in found[2]):
            fence = found[1]
        elif fence and found[1].startswith(fence) and not found[2].strip():
            fence = ""
    return f"{text}\n{fence}" if fence else text
