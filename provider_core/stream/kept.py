"""Keeps what an answer carries for the server's own eyes, to be sent back as it came; none of it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provider_core.types import Json

__all__ = ["Kept"]

_KEYS = frozenset(
    (
        "reasoning_details",  # openrouter.ai "Reasoning Tokens"
        "extra_content",  # ai.google.dev "Thought signatures"
        "thinking_blocks",  # docs.litellm.ai "Reasoning Content": Claude's, with their signatures
    )
)
_WORDS = ("text", "summary", "thinking")
"""The keys of a part whose values come in pieces; every other value comes whole."""
_SEALS = ("signature", "data")
_PATIENCE = 8
_DEPTH = 16


class Kept:
    """The arrays and keys of one answer's message that a later request gives back."""

    def __init__(self) -> None:
        self._details = _Parts()
        self._blocks = _Parts()
        self._extra: dict[str, Json] = {}

    def delta(self, delta: dict[str, Json]) -> None:
        """Take what a delta adds."""
        if not _KEYS.isdisjoint(delta):
            self._details.feed(delta.get("reasoning_details"))
            self._blocks.feed(delta.get("thinking_blocks"))
            _merge(self._extra, {"extra_content": delta.get("extra_content")}, _DEPTH)

    def message(self, message: dict[str, Json]) -> None:
        """Take what a whole message has; behind deltas it repeats theirs, and behind another message it has more."""
        if _KEYS.isdisjoint(message):
            return
        self._details.replace(message.get("reasoning_details"))
        self._blocks.replace(message.get("thinking_blocks"))
        _merge(self._extra, {"extra_content": message.get("extra_content")}, _DEPTH)

    def details(self) -> tuple[Json, ...]:
        """Return ``reasoning_details`` with its parts joined, in the order they began."""
        return tuple(self._details.whole())

    def extra(self) -> dict[str, Json]:
        """Return the other keys of the message."""
        blocks = list(self._blocks.whole())
        return {**self._extra, "thinking_blocks": blocks} if blocks else dict(self._extra)


class _Parts:
    """An array whose items come in pieces: one item is what has one type, one index and one id."""

    def __init__(self) -> None:
        self._parts: list[_Part] = []
        self._by_deltas = False

    def feed(self, items: Json) -> None:
        for item in _dicts(items):
            self._by_deltas = True
            self._add(item)

    def replace(self, items: Json) -> None:
        if not self._by_deltas and (whole := list(_dicts(items))):
            self._parts.clear()
            for item in whole:
                self._parts.append(_Part(item))

    def whole(self) -> Iterator[dict[str, Json]]:
        return (part.whole() for part in self._parts)

    def _add(self, item: dict[str, Json]) -> None:
        if item.get("data") and any(part.holds(item["data"]) for part in self._parts):
            return
        for part in reversed(self._parts):
            if part.goes_on_with(item):
                part.add(item)
                return
            if item.get("index") is None:  # nothing but the order tells what it belongs to
                break
        self._parts.append(_Part(item))


class _Part:
    def __init__(self, item: dict[str, Json]) -> None:
        self._fields: dict[str, Json] = {}
        self._words: dict[str, _Words] = {}
        self.add(item)

    def holds(self, data: Json) -> bool:
        return bool(self._fields.get("data") == data)

    def goes_on_with(self, item: dict[str, Json]) -> bool:
        for key in ("type", "index", "id"):
            here, there = self._fields.get(key), item.get(key)
            if here != there and None not in (here, there):
                return False
        sealed = any(self._fields.get(key) for key in _SEALS)
        # Nothing is added to what was signed: it is the next one, under an index that stays 0.
        return not (sealed and any(item.get(key) for key in (*_WORDS, "data")))

    def add(self, item: dict[str, Json]) -> None:
        for key, value in item.items():
            if key in _WORDS and isinstance(value, str):
                self._fields.setdefault(key, "")
                self._words.setdefault(key, _Words()).add(value)
            elif value not in (None, "") or key not in self._fields:
                self._fields[key] = value

    def whole(self) -> dict[str, Json]:
        return {**self._fields, **{key: words.whole() for key, words in self._words.items()}}


class _Words:
    """Text in pieces that add up, or each of which repeats all the earlier ones, as MiniMax's do."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._repeating: bool | None = None  # None while it may be either

    def add(self, piece: str) -> None:
        if not piece:
            return
        if self._repeating is not False and self._pieces:
            earlier = self._pieces[-1]
            again = self._repeating or len(self._pieces) > 1  # the last one may be sent twice
            grows = piece.startswith(earlier) and (len(piece) > len(earlier) or again)
            if self._repeating and grows:
                self._pieces = [piece]
                return
            if not grows:
                self._repeating = False
            elif len(self._pieces) >= _PATIENCE:
                self._pieces, self._repeating = [piece], True
                return
        self._pieces.append(piece)

    def whole(self) -> str:
        if self._repeating is None and len(self._pieces) > 1 and self._pieces[-2].strip():
            return self._pieces[-1]
        return "".join(self._pieces)


def _dicts(items: Json) -> Iterator[dict[str, Json]]:
    for item in items if isinstance(items, list) else (items,):
        if isinstance(item, dict) and item:
            yield item


def _merge(into: dict[str, Json], more: dict[str, Json], depth: int) -> None:
    """Add values, object by object; of two of one name the later counts."""
    for key, value in more.items():
        earlier = into.get(key)
        if isinstance(earlier, dict) and isinstance(value, dict) and depth:
            _merge(earlier, value, depth - 1)
        elif value is not None:
            into[key] = dict(value) if isinstance(value, dict) else value
