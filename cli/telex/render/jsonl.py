"""An answer as JSON Lines: one object for each event as it comes, numbered; the last one is always sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from provider_core.types import (
    CallAsText,
    FieldDropped,
    FieldIgnored,
    Finished,
    Image,
    Reasoning,
    Retrying,
    Sources,
    Text,
    ToolCall,
    Usage,
)
from telex.console import as_json
from telex.render.asides import Asides
from telex.render.json import answer_object, call_object, error_object, failure_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider_core.answer import Answer
    from provider_core.events import ToolEvent
    from provider_core.types import AnswerEvent, Notice, Target
    from telex.console import Console

__all__ = ["JsonLines", "Kind", "Numbered"]

Kind: TypeAlias = Literal[
    "start",
    "request",
    "retry",
    "field_dropped",
    "field_ignored",
    "call_as_text",
    "text",
    "reasoning",
    "tool_call",
    "sources",
    "image",
    "tool_start",
    "tool_progress",
    "tool_result",
    "end",
]
"""The types of lines; a "request" is one more in the same answer."""

_TOLD = frozenset(("text", "reasoning", "tool_calls", "sources", "images"))
"""What earlier lines held, piece by piece."""


class Numbered:
    """The lines on stdout. Each object has ``n``, which rises by one, and ``type``.

    Of a line that was broken off the rest is written before the next one.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._number = 0
        self._open: str | None = None

    def say(self, kind: Kind, fields: Mapping[str, Any]) -> None:
        """Write one line, and let it go."""
        if self._open is not None:
            rest = self._console.unwritten(self._open)
            self._write(self._open[len(self._open) - rest :])
        self._number += 1
        self._write(as_json({"n": self._number, "type": kind, **fields}))

    def _write(self, line: str) -> None:
        self._open = line
        self._console.out(line)
        self._open = None


class JsonLines(Asides):
    """A ``Show``. Where several share the ``lines``, ``tags`` are fields of each that tell them apart."""

    def __init__(
        self, console: Console, *, lines: Numbered | None = None, tags: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(console)
        self._lines = lines or Numbered(console)
        self._tags = tags or {}
        self._begun = False

    def connecting(self, target: Target) -> None:
        super().connecting(target)
        self.begin(target.provider.name, target.model)

    def notice(self, notice: Notice) -> None:
        super().notice(notice)
        match notice:
            case Retrying(error=error, seconds=seconds, attempt=attempt):
                self._say("retry", attempt=attempt, seconds=round(seconds, 3), error=error_object(error))
            case FieldDropped(field=field, swapped_for=other, value=value):
                self._say("field_dropped", field=field, swapped_for=other, value=value)
            case FieldIgnored(field=field, value=value):
                self._say("field_ignored", field=field, value=value)
            case CallAsText(tool=tool):
                self._say("call_as_text", tool=tool)

    def event(self, event: AnswerEvent) -> None:
        match event:
            case Text(text=text):
                self._say("text", text=text)
            case Reasoning(text=text):
                self._say("reasoning", text=text)
            case ToolCall():
                self._say("tool_call", **call_object(event))
            case Sources(sources=sources):
                from telex.render import extras

                self._say("sources", sources=extras.source_objects(sources))
            case Image():
                from telex.render import extras

                self._say("image", **extras.image_object(event))
            case Usage() | Finished():
                pass  # the last object has them

    def tool(self, event: ToolEvent) -> None:
        from provider_core.events import ToolProgress, ToolStarted

        if isinstance(event, ToolProgress):
            who = {"id": event.planned.call.id, "tool": event.planned.name}
            found = {"progress": event.progress, "total": event.total, "message": event.message}
            self._say("tool_progress", **who, **found)
            return
        if isinstance(event, ToolStarted):
            planned = event.planned
            self._say("tool_start", id=planned.call.id, tool=planned.name, arguments=dict(planned.arguments))
            return
        fields = {"id": event.call.id, "tool": event.planned.name if event.planned else event.call.name}
        self._say(
            "tool_result",
            **fields,
            ok=event.error is None and not event.result.is_error,
            text=event.result.text,
            **({"images": [image.url for image in event.result.images]} if event.result.images else {}),
            seconds=round(event.seconds, 4),
            error=event.error and {"type": type(event.error).__name__, "message": event.error.message},
        )

    def ended(self, answer: Answer, hint: str | None = None) -> None:
        if not self._begun:
            self.connecting(answer.target)
        self._end(answer_object(answer, hint))

    def failed(self, error: BaseException, hint: str | None = None) -> None:
        found = failure_object(error, hint)
        if not self._begun:
            self.begin(found["provider"], found["model"])
        self._end(found)

    def begin(self, provider: str | None, model: str | None) -> None:
        """The first line; later ones of its kind are requests that follow."""
        kind: Kind = "request" if self._begun else "start"
        self._begun = True
        self._say(kind, provider=provider, model=model)

    def _end(self, found: dict[str, Any]) -> None:
        self._say("end", **{key: value for key, value in found.items() if key not in _TOLD})

    def _say(self, kind: Kind, **fields: Any) -> None:
        self._lines.say(kind, {**self._tags, **fields, **self._tags})
