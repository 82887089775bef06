"""An answer as JSON Lines: one object for each event as it comes, numbered; the last one is always sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from provider_core.types import FieldDropped, Finished, Reasoning, Retrying, Text, ToolCall, Usage
from telex.console import as_json
from telex.render.asides import Asides
from telex.render.json import answer_object, call_object, error_object, failure_object

if TYPE_CHECKING:
    from provider_core.answer import Answer
    from provider_core.tools import ToolEnded, ToolStarted
    from provider_core.types import Event, Notice, Target
    from telex.console import Console

__all__ = ["JsonLines"]

_TOLD = frozenset(("text", "reasoning", "tool_calls"))
"""What earlier lines held, piece by piece."""


class JsonLines(Asides):
    """A ``Show``. Each object has ``n``, which rises by one, and ``type``."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._number = 0
        self._open: str | None = None
        """The line that is being written: what breaks it off comes later in the rest of it, and then in its own."""

    def connecting(self, target: Target) -> None:
        first = self.target is None
        super().connecting(target)
        self._say("start" if first else "request", provider=target.provider.name, model=target.model)

    def notice(self, notice: Notice) -> None:
        super().notice(notice)
        match notice:
            case Retrying(error=error, seconds=seconds, attempt=attempt):
                self._say("retry", attempt=attempt, seconds=round(seconds, 3), error=error_object(error))
            case FieldDropped(field=field, swapped_for=other):
                self._say("field_dropped", field=field, swapped_for=other)

    def event(self, event: Event) -> None:
        match event:
            case Text(text=text):
                self._say("text", text=text)
            case Reasoning(text=text):
                self._say("reasoning", text=text)
            case ToolCall():
                self._say("tool_call", **call_object(event))
            case Usage() | Finished():
                pass  # the last object has them

    def tool(self, event: ToolStarted | ToolEnded) -> None:
        from provider_core.tools import ToolStarted

        if isinstance(event, ToolStarted):
            self._say("tool_start", id=event.planned.call.id, tool=event.planned.name)
            return
        fields = {"id": event.call.id, "tool": event.planned.name if event.planned else event.call.name}
        self._say(
            "tool_result",
            **fields,
            ok=event.error is None and not event.result.is_error,
            text=event.result.text,
            seconds=round(event.seconds, 4),
            error=event.error and error_object(event.error),
        )

    def ended(self, answer: Answer, hint: str | None = None) -> None:
        if self.target is None:
            self.connecting(answer.target)
        self._end(answer_object(answer, hint))

    def failed(self, error: BaseException, hint: str | None = None) -> None:
        found = failure_object(error, hint)
        self._say("start", provider=found["provider"], model=found["model"])
        self._end(found)

    def _end(self, found: dict[str, Any]) -> None:
        self._say("end", **{key: value for key, value in found.items() if key not in _TOLD})

    def _say(self, kind: str, **fields: Any) -> None:
        if self._open is not None:
            rest = self.console.unwritten(self._open)
            self._write(self._open[len(self._open) - rest :])
        self._number += 1
        self._write(as_json({"n": self._number, "type": kind, **fields}))

    def _write(self, line: str) -> None:
        self._open = line
        self.console.out(line)
        self._open = None
