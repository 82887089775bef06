"""Joins what arrives in pieces: tool calls, and fields of a message that a later request sends back."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

from provider_core.stream.extras import decode_json
from provider_core.types import ToolCall, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provider_core.types import Json

_PIECE = 64
"""Bytes of memory that a piece takes besides its characters."""
_CANDIDATES = 64
"""How many calls or items are compared with one piece: otherwise, a hostile stream would cost their square."""

# --- tool calls ----------------------------------------------------------------------------------------------

_OWN = frozenset(("index", "id", "type", "function", "name", "arguments"))


class _OpenCall:
    def __init__(self, index: int | None) -> None:
        self.id: str = ""
        self.name: str = ""
        self.index: int | None = index
        self.ids: set[str] = set()
        self.indexes: set[int | None] = {index}
        self.arguments: list[str] = []
        self.extra: dict[str, Json] = {}

    def text(self) -> str:
        return _arguments("".join(self.arguments))

    def is_complete(self) -> bool:
        """Tell whether the arguments end with the last brace of a JSON object."""
        last = next((part for part in reversed(self.arguments) if not part.isspace()), "")
        return bool(self.name) and last.rstrip().endswith("}") and isinstance(_parsed(self.text()), dict)


class ToolCallBuilder:
    """The tool calls of one answer.

    A part continues the call that has the same id, index and name, if both have them; without id and index,
    its place in the list or the order of the parts decides. A different name always begins another call.
    """

    def __init__(self) -> None:
        self.size: int = 0
        """About how many bytes they take."""
        self.blanks: int = 0
        """Blank characters at the end of the arguments that came last."""
        self._calls: list[_OpenCall] = []
        self._recent: dict[_OpenCall, None] = {}  # the one with the latest part last

    def __bool__(self) -> bool:
        return any(call.name for call in self._calls)

    def __len__(self) -> int:
        return len(self._calls)

    def last_name(self) -> str:
        """Return the name of the last call, "" if there is none."""
        return next((call.name for call in reversed(self._calls) if call.name), "")

    def feed(self, parts: Json, *, complete: bool = False) -> None:
        """Take the ``tool_calls`` of a delta, or of a ``complete`` message, in which each entry is a call."""
        if isinstance(parts, dict):
            parts = [parts]
        if not isinstance(parts, list):
            return
        before = len(self._calls)
        for position, part in enumerate(parts):
            if isinstance(part, dict):
                place = before - len(parts) + position if len(parts) > 1 else None
                self._add(part, place, complete)

    def feed_legacy(self, call: Json) -> None:
        """Take a ``function_call``, of which an answer has at most one."""
        if isinstance(call, dict) and (call.get("name") or call.get("arguments")):
            self._add({"index": -1, "function": call}, None, complete=False)

    def finish(self, verdict: Verdict) -> list[ToolCall]:
        """Return the calls in the order they began. In an incomplete answer, those with cut arguments are marked."""
        whole = verdict is Verdict.COMPLETE
        return [
            ToolCall(
                id=call.id,
                name=call.name,
                arguments=call.text(),
                extra=call.extra,
                cut=not whole and not call.is_complete(),
            )
            for call in self._calls
            if call.name
        ]

    def _add(self, part: dict[str, Json], place: int | None, complete: bool) -> None:
        """Take one part; ``place`` is the number of its call if nothing but its place in a list tells."""
        function = part.get("function")
        if not isinstance(function, dict):
            function = part
        id_, name, index = _word(part.get("id")), _word(function.get("name")), _index(part.get("index"))
        arguments = function.get("arguments")
        if arguments is None:
            arguments = function.get("parameters", "")
        call = None if complete else self._find(index, id_, name, arguments, place)
        if call is None:
            call = _OpenCall(index)
            self._calls.append(call)
        call.id = call.id or id_
        call.name = call.name or name
        call.ids.add(id_)
        call.indexes.add(index)
        self._recent.pop(call, None)
        self._recent[call] = None
        if isinstance(arguments, str):
            blank = not arguments.strip()
            self.blanks = self.blanks + len(arguments) if blank else 0
            if arguments and (call.arguments or not blank):
                call.arguments.append(arguments)
        elif arguments is not None:
            arguments = _dumped(arguments)
            call.arguments[:] = [arguments]
        self.size += len(arguments or "") + len(id_) + len(name) + _PIECE
        more = {key: value for key, value in part.items() if key not in _OWN and value is not None}
        call.extra.update(more)

    def _find(
        self, index: int | None, id_: str, name: str, arguments: Json, place: int | None
    ) -> _OpenCall | None:
        """Return the call that a part continues, or None if it begins one."""
        has_arguments = arguments not in ("", None)
        recent = list(itertools.islice(reversed(self._recent), _CANDIDATES))
        at_place = self._calls[place : place + 1] if place is not None and place >= 0 else []
        known = [each for each in recent if id_ and id_ in each.ids]
        if known:
            # Some servers give all calls the same id: then index or place tells them apart.
            here = [each for each in known if index in each.indexes]
            candidates = at_place if place is not None and len(known) > 1 else known
            if index is not None:
                candidates = here or [each for each in known if not name or each.index is None]
        elif index is not None:
            candidates = [each for each in recent if index in each.indexes]
        elif id_ and not has_arguments:
            return None
        else:
            candidates = recent if place is None else at_place
        found = next((each for each in candidates if not (name and each.name) or name == each.name), None)
        if found is None:
            return None
        named_again = bool(name and found.name)
        if known:  # some servers repeat id and name in every part
            return None if named_again and _has_other_arguments(found, arguments) else found
        if id_ and found.id:  # some servers make a new id for every part
            return None if name or not has_arguments else found
        return None if named_again and (index is None or has_arguments) and found.is_complete() else found


def _has_other_arguments(call: _OpenCall, arguments: Json) -> bool:
    """Tell whether a part with the name of a complete call has other complete arguments; "{}" may be a placeholder."""
    if not call.is_complete():
        return False
    new = _parsed(arguments) if isinstance(arguments, str) else arguments
    return bool(new) and isinstance(new, dict) and _parsed(call.text()) not in ({}, new)


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


def _dumped(value: Json) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return "{}"


def _parsed(text: str) -> Json:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _arguments(text: str) -> str:
    """Return the arguments as JSON text: "{}" for none, and without a leading placeholder or repetition."""
    text = text.strip()
    if not text or text == "null":
        return "{}"
    if _parsed(text) is not None or text[0] != "{":
        return text
    try:
        first, end = decode_json(text)
    except (ValueError, RecursionError):
        return text
    rest = text[end:].strip()
    if first == {}:
        return rest
    return text[:end] if _parsed(rest) == first else text


# --- fields to send back -------------------------------------------------------------------------------------

SENT_BACK = frozenset(
    (
        "reasoning_details",  # openrouter.ai "Reasoning Tokens"
        "extra_content",  # ai.google.dev "Thought signatures"
        "thinking_blocks",  # docs.litellm.ai "Reasoning Content": Claude's, with their signatures
    )
)
_TEXTS = ("text", "summary", "thinking")
"""The keys of an item whose values come in pieces; all others come in one."""
_MERGED_DEPTH = 16


class PassthroughFields:
    """The fields of one answer's message that a later request sends back unchanged."""

    def __init__(self) -> None:
        self._details, self._blocks = _PiecedArray(), _PiecedArray()
        self._extra: dict[str, Json] = {}
        self._extra_size = 0

    @property
    def size(self) -> int:
        """About how many bytes they take."""
        return self._details.size + self._blocks.size + self._extra_size

    def add_delta(self, delta: dict[str, Json]) -> str:
        """Take what a delta adds; return the reasoning that is new in its ``reasoning_details``."""
        if SENT_BACK.isdisjoint(delta):
            return ""
        self._blocks.add(delta.get("thinking_blocks"))
        if extra := delta.get("extra_content"):
            self._extra_size += len(repr(extra))
            _merge(self._extra, {"extra_content": extra}, _MERGED_DEPTH)
        return self._details.add(delta.get("reasoning_details"))

    def add_message(self, message: dict[str, Json]) -> None:
        """Take what a message has: after deltas it repeats theirs, and after another message it may have more."""
        if not SENT_BACK.isdisjoint(message):
            self._details.replace(message.get("reasoning_details"))
            self._blocks.replace(message.get("thinking_blocks"))
            _merge(self._extra, {"extra_content": message.get("extra_content")}, _MERGED_DEPTH)

    def details(self) -> tuple[Json, ...]:
        """Return ``reasoning_details`` with joined pieces, in the order they began."""
        return tuple(item.joined() for item in self._details.items)

    def extra(self) -> dict[str, Json]:
        """Return the other fields."""
        blocks = [item.joined() for item in self._blocks.items]
        return {**self._extra, "thinking_blocks": blocks} if blocks else dict(self._extra)


class _PiecedArray:
    """An array whose items come in pieces: pieces of one item have the same type, index and id."""

    def __init__(self) -> None:
        self.items: list[_PiecedItem] = []
        self.size: int = 0
        self._data: set[str] = set()
        self._from_deltas = False

    def add(self, pieces: Json) -> str:
        """Take the pieces of a delta; return their new text."""
        new = []
        for piece in _dicts(pieces):
            self._from_deltas = True
            self.size += _PIECE
            data = piece.get("data")
            if isinstance(data, str) and data:
                if data in self._data:
                    continue
                self._data.add(data)
            text, size = self._item_for(piece).add(piece)
            self.size += size
            new.append(text)
        return "".join(new)

    def replace(self, items: Json) -> None:
        if not self._from_deltas and (pieces := list(_dicts(items))):
            self.items = [_PiecedItem() for _ in pieces]
            for item, piece in zip(self.items, pieces, strict=True):
                item.add(piece)

    def _item_for(self, piece: dict[str, Json]) -> _PiecedItem:
        for item in self.items[: -_CANDIDATES - 1 : -1]:
            if item.continues_with(piece):
                return item
            if piece.get("index") is None:  # nothing but the order tells what it belongs to
                break
        self.items.append(_PiecedItem())
        return self.items[-1]


class _PiecedItem:
    """An item of such an array. The texts of MiniMax's each repeat all earlier ones; signed ones never do."""

    def __init__(self) -> None:
        self._fields: dict[str, Json] = {}
        self._texts: dict[str, list[str]] = {}
        self._repeats: bool | None = None  # None while its texts may repeat the earlier ones, or not

    def continues_with(self, piece: dict[str, Json]) -> bool:
        for key in ("type", "index", "id"):
            here, there = self._fields.get(key), piece.get(key)
            if here != there and None not in (here, there):
                return False
        # Nothing is added to what was signed: a piece with text is the next item, under an index that stays 0.
        sealed = any(self._fields.get(key) for key in ("signature", "data"))
        return not (sealed and any(piece.get(key) for key in (*_TEXTS, "data")))

    def add(self, piece: dict[str, Json]) -> tuple[str, int]:
        """Take a piece; return its new text, and about how many bytes it takes."""
        size, new = 0, ""
        own_format = str(piece.get("format") or "")
        if own_format not in ("", "unknown") and not own_format.startswith("MiniMax"):
            self._repeats = False
        for key, value in piece.items():
            if key in _TEXTS and isinstance(value, str):
                self._fields.setdefault(key, "")
                new += self._new_text(self._texts.setdefault(key, []), value)
            elif value not in (None, "") or key not in self._fields:
                self._fields[key] = value
                size += len(value) if isinstance(value, str) else 0
        return new, size + len(new)

    def _new_text(self, texts: list[str], piece: str) -> str:
        """Add a text, and return it without what it repeats."""
        if piece and self._repeats is not False and texts and texts[0].strip():
            earlier = texts[-1]
            if piece.startswith(earlier) and (self._repeats or len(piece) > len(earlier)):
                texts[:], self._repeats = [piece], True
                return piece[len(earlier) :]
            self._repeats = False
        if piece:
            texts.append(piece)
        return piece

    def joined(self) -> dict[str, Json]:
        return {**self._fields, **{key: "".join(texts) for key, texts in self._texts.items()}}


def _dicts(items: Json) -> Iterator[dict[str, Json]]:
    for item in items if isinstance(items, list) else (items,):
        if isinstance(item, dict) and item:
            yield item


def _merge(into: dict[str, Json], more: dict[str, Json], depth: int) -> None:
    """Add values, object by object; later values replace earlier ones of the same name."""
    for key, value in more.items():
        earlier = into.get(key)
        if isinstance(earlier, dict) and isinstance(value, dict) and depth:
            _merge(earlier, value, depth - 1)
        elif value is not None:
            into[key] = dict(value) if isinstance(value, dict) else value
