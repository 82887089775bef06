"""Builds bodies of answers and decodes them, for the tests of the stream."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provider_core.stream import Decoder
from provider_core.types import AnswerEvent, Finished, Reasoning, Text, ToolCall, Usage, Verdict

if TYPE_CHECKING:
    from provider_core.errors import CoreError

DONE = b"data: [DONE]\n\n"


def delta(content: Any = None, /, *, finish: Any = None, **fields: Any) -> dict[str, Any]:
    """A chunk whose one choice has this delta."""
    if content is not None:
        fields["content"] = content
    choice = {"index": 0, "delta": fields, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def message(content: Any = None, /, *, finish: Any = "stop", **fields: Any) -> dict[str, Any]:
    """A reply in one piece."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content, **fields},
        "finish_reason": finish,
    }
    return {"id": "c1", "object": "chat.completion", "model": "m", "choices": [choice]}


def body(*values: Any, done: bool = True) -> bytes:
    """An event stream of JSON values; bytes are inserted unchanged."""
    frames = [value if isinstance(value, bytes) else b"data: %s\n\n" % dumps(value) for value in values]
    return b"".join(frames) + (DONE if done else b"")


def dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


@dataclass(frozen=True)
class Read:
    """The events of a body, with adjacent text and reasoning joined."""

    events: tuple[AnswerEvent, ...]

    @property
    def said(self) -> list[tuple[str, str]]:
        kinds = {Text: "text", Reasoning: "reasoning"}
        return [
            (kinds[type(event)], event.text) for event in self.events if isinstance(event, Text | Reasoning)
        ]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Text))

    @property
    def reasoning(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Reasoning))

    @property
    def calls(self) -> list[ToolCall]:
        return [event for event in self.events if isinstance(event, ToolCall)]

    @property
    def usage(self) -> Usage | None:
        return next((event for event in self.events if isinstance(event, Usage)), None)

    @property
    def finished(self) -> Finished:
        (last,) = [event for event in self.events if isinstance(event, Finished)]
        assert self.events[-1] is last
        return last

    @property
    def verdict(self) -> Verdict:
        return self.finished.verdict

    @property
    def error(self) -> CoreError:
        assert self.finished.error is not None
        return self.finished.error


def joined(events: list[AnswerEvent]) -> tuple[AnswerEvent, ...]:
    """Join adjacent text and reasoning."""
    out: list[AnswerEvent] = []
    for event in events:
        last = out[-1] if out else None
        if isinstance(event, Text) and isinstance(last, Text):
            out[-1] = Text(text=last.text + event.text)
        elif isinstance(event, Reasoning) and isinstance(last, Reasoning):
            out[-1] = Reasoning(text=last.text + event.text)
        else:
            out.append(event)
    return tuple(out)


def read(data: bytes, *, size: int = 0, error: CoreError | None = None, **about: Any) -> Read:
    """Decode a body in pieces of ``size`` bytes, or at once."""
    decoder = Decoder(**{"provider": "acme", **about})
    events: list[AnswerEvent] = []
    size = size or max(len(data), 1)
    for at in range(0, len(data), size):
        events += decoder.feed(data[at : at + size])
    events += decoder.close(error)
    assert decoder.feed(b"more") == []
    assert decoder.close() == []
    return Read(joined(events))


def chunks(*values: Any, done: bool = True, **about: Any) -> Read:
    """Decode a stream of these values."""
    return read(body(*values, done=done), **about)
