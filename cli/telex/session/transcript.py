"""A conversation as Markdown, as it stands at this moment; where it goes is the caller's business."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.types import ImagePart, TextPart

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from provider_core.types import Message

__all__ = ["markdown"]


def markdown(messages: Sequence[Message]) -> str:
    """A heading for each message, and its text as it was said; images are named, and not held."""
    return "\n".join(line for message in messages for line in _lines(message))


def _lines(message: Message) -> Iterator[str]:
    match message.role:
        case "assistant":
            yield f"## {message.provider or 'Assistant'}"
        case role:
            yield f"## {role.capitalize()}"
    yield ""
    content = (TextPart(text=message.content),) if isinstance(message.content, str) else message.content
    for part in content:
        match part:
            case TextPart(text=text) if text:
                yield f"{text.rstrip()}\n"
            case ImagePart(url=url):
                yield f"![an image]({url})\n" if url.startswith("http") else "*(an image)*\n"
    for call in message.tool_calls:
        yield f"`{call.name}` was called with `{call.arguments}`\n"
