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
_PIECE = 64
"""Bytes of memory that a piece takes beside its characters."""
_MOST_CANDIDATES = 64
"""How many parts are looked at for one piece: many parts must not cost their square."""


class Kept:
    """The arrays and keys of one answer's message that a later request gives back."""

    def __init__(self) -> None:
        self.size: int = 0
        """About how many bytes it takes."""
        self._details = _Parts()
        self._blocks = _Parts()
        self._extra: dict[str, Json] = {}

    def delta(self, delta: dict[str, Json]) -> None:
        """Take what a delta adds."""
        if not _KEYS.isdisjoint(delta):
            self.size += self._details.feed(delta.get("reasoning_details"))
            self.size += self._blocks.feed(delta.get("thinking_blocks"))
            extra = delta.get("extra_content")
            self.size += len(repr(extra)) if extra else 0
            _merge(self._extra, {"extra_content": extra}, _DEPTH)

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
        self._data: set[str] = set()
        self._by_deltas = False

    def feed(self, items: Json) -> int:
        """Take the items of a delta; return about how many bytes more that takes."""
        size = 0
        for item in _dicts(items):
            self._by_deltas = True
            size += self._add(item)
        return size

    def replace(self, items: Json) -> None:
        if not self._by_deltas and (whole := list(_dicts(items))):
            self._parts.clear()
            for item in whole:
                self._parts.append(_Part())
                self._parts[-1].add(item)

    def whole(self) -> Iterator[dict[str, Json]]:
        return (part.whole() for part in self._parts)

    def _add(self, item: dict[str, Json]) -> int:
        data = item.get("data")
        if isinstance(data, str) and data:
            if data in self._data:
                return 0
            self._data.add(data)
        for part in self._parts[: -_MOST_CANDIDATES - 1 : -1]:
            if part.goes_on_with(item):
                return part.add(item)
            if item.get("index") is None:  # nothing but the order tells what it belongs to
                break
        self._parts.append(_Part())
        return self._parts[-1].add(item)


class _Part:
    def __init__(self) -> None:
        self._fields: dict[str, Json] = {}
        self._words: dict[str, _Words] = {}

    def goes_on_with(self, item: dict[str, Json]) -> bool:
        for key in ("type", "index", "id"):
            here, there = self._fields.get(key), item.get(key)
            if here != there and None not in (here, there):
                return False
        sealed = any(self._fields.get(key) for key in _SEALS)
        # Nothing is added to what was signed: it is the next one, under an index that stays 0.
        return not (sealed and any(item.get(key) for key in (*_WORDS, "data")))

    def add(self, item: dict[str, Json]) -> int:
        """Take what the item adds; return about how many bytes more that takes."""
        size = _PIECE
        for key, value in item.items():
            if key in _WORDS and isinstance(value, str):
                self._fields.setdefault(key, "")
                size += self._words.setdefault(key, _Words()).add(value)
            elif value not in (None, "") or key not in self._fields:
                self._fields[key] = value
                size += len(value) if isinstance(value, str) else 0
        return size

    def whole(self) -> dict[str, Json]:
        return {**self._fields, **{key: words.whole() for key, words in self._words.items()}}


class _Words:
    """Text in pieces that add up, or each of which repeats all the earlier ones, as MiniMax's do."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._repeating: bool | None = None  # None while it may be either

    def add(self, piece: str) -> int:
        """Add a piece; return how many characters more are held."""
        if not piece:
            return 0
        if self._repeating is not False and self._pieces:
            earlier = self._pieces[-1]
            again = self._repeating or len(self._pieces) > 1  # the last one may be sent twice
            grows = piece.startswith(earlier) and (len(piece) > len(earlier) or again)
            if self._repeating and grows:
                self._pieces = [piece]
                return len(piece) - len(earlier)
            if not grows:
                self._repeating = False
            elif len(self._pieces) >= _PATIENCE:
                held = sum(map(len, self._pieces))
                self._pieces, self._repeating = [piece], True
                return len(piece) - held
        self._pieces.append(piece)
        return len(piece)

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
