"""Puts tool calls together from the parts servers send; neither the tools nor their arguments' sense are known here."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from provider_core.types import ToolCall

if TYPE_CHECKING:
    from provider_core.types import Json

__all__ = ["ToolCalls"]

_OWN = frozenset(("index", "id", "type", "function", "name", "arguments"))


@dataclass(slots=True, kw_only=True)
class _Open:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    extra: dict[str, Json] = field(default_factory=dict)

    def text(self) -> str:
        return _arguments("".join(self.arguments))

    def whole(self) -> bool:
        """Tell whether nothing can be missing: a JSON object is done when its last brace has come."""
        last = next((part for part in reversed(self.arguments) if not part.isspace()), "")
        return bool(self.name) and last.rstrip().endswith("}") and isinstance(_value(self.text()), dict)


class ToolCalls:
    """The calls of one answer. Parts find their call by id, by index, then by position."""

    def __init__(self) -> None:
        self._calls: list[_Open] = []
        self._by_id: dict[str, _Open] = {}
        self._by_index: dict[int, _Open] = {}

    def __bool__(self) -> bool:
        return any(call.name for call in self._calls)

    def all_whole(self) -> bool:
        """Tell whether there are calls and none can have parts to come."""
        return bool(self._calls) and all(call.whole() for call in self._calls)

    def feed(self, parts: Json, *, complete: bool = False) -> None:
        """Take the ``tool_calls`` of one delta, or of a ``complete`` message, where each entry is a call."""
        if isinstance(parts, dict):
            parts = [parts]
        if not isinstance(parts, list):
            return
        for position, part in enumerate(parts):
            if isinstance(part, dict):
                self._part(part, position, len(parts), complete)

    def feed_legacy(self, call: Json) -> None:
        """Take a ``function_call``, of which an answer has at most one."""
        if isinstance(call, dict) and (call.get("name") or call.get("arguments")):
            self._part({"index": -1, "function": call}, 0, 1, complete=False)

    def finish(self, *, cut: bool) -> list[ToolCall]:
        """Return the calls in the order they began; of a ``cut`` answer only those that are whole."""
        return [
            ToolCall(id=call.id, name=call.name, arguments=call.text(), extra=call.extra)
            for call in self._calls
            if call.name and (call.whole() or not cut)
        ]

    def _part(self, part: dict[str, Json], position: int, count: int, complete: bool) -> None:
        function = part.get("function")
        if not isinstance(function, dict):
            function = part
        id_, name = _word(part.get("id")), _word(function.get("name"))
        arguments = function.get("arguments")
        if arguments is None:
            arguments = function.get("parameters") if "parameters" in function else ""
        index = _index(part.get("index"))
        call = (
            None if complete else self._find(index, id_, name, arguments not in ("", None), position, count)
        )
        if call is None:
            call = _Open()
            self._calls.append(call)
        if index is not None:
            self._by_index[index] = call
        call.id = call.id or id_
        call.name = call.name or name
        if id_:
            self._by_id.setdefault(id_, call)
        if isinstance(arguments, str):
            if arguments and (call.arguments or not arguments.isspace()):
                call.arguments.append(arguments)
        elif arguments is not None:
            call.arguments[:] = [_dumps(arguments)]
        call.extra.update(
            (key, value) for key, value in part.items() if key not in _OWN and value is not None
        )

    def _find(
        self, index: int | None, id_: str, name: str, has_arguments: bool, position: int, count: int
    ) -> _Open | None:
        """Return the call that a part goes on with, or None when it begins one."""
        if id_ and id_ in self._by_id:
            return self._by_id[id_]
        if index is not None:
            found = self._by_index.get(index)
        elif not self._calls:
            found = None
        elif id_ and not has_arguments:
            return None
        elif count > 1:
            at = len(self._calls) - count + position
            found = self._calls[at] if 0 <= at < len(self._calls) and not name else None
        else:
            found = self._calls[-1]
        if found is None:
            return None
        if id_ and found.id and (name or not has_arguments):
            return None  # another call under the same index; some servers make a new id for every part
        if name and found.name and (index is None or has_arguments) and not id_ and _closed(found, name):
            return None
        return found


def _closed(call: _Open, name: str) -> bool:
    """Tell whether a part that names ``name`` again cannot go on with this call."""
    return (call.name != name and bool(call.arguments)) or call.whole()


def _word(value: Json) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ""


def _index(value: Json) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _dumps(value: Json) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return "{}"


def _value(text: str) -> Json:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _arguments(text: str) -> str:
    """Return the arguments as JSON text: "{}" for none, and without a placeholder or repetition in front."""
    text = text.strip()
    if not text or text == "null":
        return "{}"
    if _value(text) is not None or text[0] != "{":
        return text
    try:
        first, end = json.JSONDecoder(strict=False).raw_decode(text)
    except (ValueError, RecursionError):
        return text
    rest = text[end:].strip()
    if first == {}:
        return rest
    return text[:end] if _value(rest) == first else text
