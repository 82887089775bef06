"""Puts tool calls together from the parts servers send; neither the tools nor their arguments' sense are known here."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from provider_core.types import ToolCall, Verdict

if TYPE_CHECKING:
    from provider_core.types import Json

__all__ = ["ToolCalls"]

_OWN = frozenset(("index", "id", "type", "function", "name", "arguments"))


@dataclass(slots=True, kw_only=True, eq=False)
class _Open:
    id: str = ""
    name: str = ""
    index: int | None = None
    arguments: list[str] = field(default_factory=list)
    extra: dict[str, Json] = field(default_factory=dict)

    def text(self) -> str:
        return _arguments("".join(self.arguments))

    def whole(self) -> bool:
        """Tell whether nothing can be missing: a JSON object is done when its last brace has come."""
        last = next((part for part in reversed(self.arguments) if not part.isspace()), "")
        return bool(self.name) and last.rstrip().endswith("}") and isinstance(_value(self.text()), dict)


_Calls: TypeAlias = "dict[_Open, None]"
"""Calls, the one that had the last part at the end."""

_PART = 64
"""Bytes of memory that a part takes beside its characters."""

_MOST_CANDIDATES = 64
"""How many calls are looked at for one part: a stream of calls under one id must not cost their square."""


class ToolCalls:
    """The calls of one answer.

    A part continues a call that it agrees with in id, index and name, as far as it has them; without id and index
    its place in the list or the order of the parts decides. Another name always begins another call.
    """

    def __init__(self) -> None:
        self.size: int = 0
        """About how many bytes they take."""
        self.blanks: int = 0
        """Characters of the arguments that came last and were blank."""
        self._calls: list[_Open] = []
        self._recent: _Calls = {}
        self._by_id: dict[str, _Calls] = {}
        self._by_index: dict[int, _Calls] = {}

    def __bool__(self) -> bool:
        return any(call.name for call in self._calls)

    def __len__(self) -> int:
        return len(self._calls)

    def last(self) -> str:
        """Return the name of the last call, "" if there is none."""
        return next((call.name for call in reversed(self._calls) if call.name), "")

    def feed(self, parts: Json, *, complete: bool = False) -> None:
        """Take the ``tool_calls`` of one delta, or of a ``complete`` message, where each entry is a call."""
        if isinstance(parts, dict):
            parts = [parts]
        if not isinstance(parts, list):
            return
        before = len(self._calls)
        for position, part in enumerate(parts):
            if isinstance(part, dict):
                place = before - len(parts) + position if len(parts) > 1 else None
                self._part(part, place, complete)

    def feed_legacy(self, call: Json) -> None:
        """Take a ``function_call``, of which an answer has at most one."""
        if isinstance(call, dict) and (call.get("name") or call.get("arguments")):
            self._part({"index": -1, "function": call}, None, complete=False)

    def finish(self, verdict: Verdict) -> list[ToolCall]:
        """Return the calls in the order they began.

        In an answer that is not whole, calls whose arguments were cut are marked as such.
        """
        whole = verdict is Verdict.COMPLETE
        return [
            ToolCall(
                id=call.id,
                name=call.name,
                arguments=call.text(),
                extra=call.extra,
                cut=not whole and not call.whole(),
            )
            for call in self._calls
            if call.name
        ]

    def _part(self, part: dict[str, Json], place: int | None, complete: bool) -> None:
        """Take one part. ``place`` is the number of the call that it belongs to if only its place in a list tells."""
        function = part.get("function")
        if not isinstance(function, dict):
            function = part
        id_, name = _word(part.get("id")), _word(function.get("name"))
        arguments = function.get("arguments")
        if arguments is None:
            arguments = function.get("parameters") if "parameters" in function else ""
        index = _index(part.get("index"))
        call = None if complete else self._find(index, id_, name, arguments, place)
        if call is None:
            call = _Open(index=index)
            self._calls.append(call)
        call.id = call.id or id_
        call.name = call.name or name
        _touch(self._recent, call)
        if index is not None:
            _touch(self._by_index.setdefault(index, {}), call)
        if id_:
            _touch(self._by_id.setdefault(id_, {}), call)
        if isinstance(arguments, str):
            blank = not arguments.strip()
            self.blanks = self.blanks + len(arguments) if blank else 0
            if arguments and (call.arguments or not blank):
                call.arguments.append(arguments)
        elif arguments is not None:
            arguments = _dumps(arguments)
            call.arguments[:] = [arguments]
        self.size += len(arguments or "") + len(id_) + len(name) + _PART
        call.extra.update(
            (key, value) for key, value in part.items() if key not in _OWN and value is not None
        )

    def _find(
        self, index: int | None, id_: str, name: str, arguments: Json, place: int | None
    ) -> _Open | None:
        """Return the call that a part continues, or None when it begins one."""
        has_arguments = arguments not in ("", None)
        known = bool(id_) and id_ in self._by_id
        if known:
            candidates = self._with_id(id_, index, name, place)
        elif index is not None:
            candidates = _latest(self._by_index.get(index, {}))
        elif id_ and not has_arguments:
            return None
        elif place is not None:
            candidates = self._at(place)
        else:
            candidates = _latest(self._recent)
        found = next((each for each in candidates if not (name and each.name) or name == each.name), None)
        if found is None:
            return None
        named_again = bool(name and found.name)
        if known:  # some servers repeat id and name in every part
            return None if named_again and _repeats_otherwise(found, arguments) else found
        if id_ and found.id:  # some servers make a new id for every part
            return None if name or not has_arguments else found
        return None if named_again and (index is None or has_arguments) and found.whole() else found

    def _with_id(self, id_: str, index: int | None, name: str, place: int | None) -> list[_Open]:
        """The calls of this id. Some servers give every call the same: then index or place tells them apart."""
        calls = _latest(self._by_id[id_])
        if index is not None:
            here = [each for each in calls if each in self._by_index.get(index, {})]
            return here or [each for each in calls if not name or each.index is None]
        return self._at(place) if place is not None and len(calls) > 1 else calls

    def _at(self, place: int) -> list[_Open]:
        return [self._calls[place]] if 0 <= place < len(self._calls) else []


def _latest(calls: _Calls) -> list[_Open]:
    return list(itertools.islice(reversed(calls), _MOST_CANDIDATES))


def _touch(calls: _Calls, call: _Open) -> None:
    calls.pop(call, None)
    calls[call] = None


def _repeats_otherwise(call: _Open, arguments: Json) -> bool:
    """Whether a part that names a whole call again has other whole arguments; "{}" may be a placeholder."""
    if not call.whole():
        return False
    new = _value(arguments) if isinstance(arguments, str) else arguments
    old = _value(call.text())
    return bool(new) and isinstance(new, dict) and old not in ({}, new)


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
