"""Bytes of a pipe cut into lines, of which none may be longer than a limit; what stands in a line is not read here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from provider_core.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Lines", "TooLong", "answered"]

_EDGE = 256
"""Bytes that are kept of both ends of a line that is too long: the id of an answer stands at one of them."""

_VERSION = rb'"jsonrpc"\s*:\s*"2\.0"\s*'
_ID = rb'"id"\s*:\s*(\d{1,15})\s*'
# Both are certain: nothing of the message's own level can be mistaken at its very edges.
_AT_START = re.compile(rb"\s*\{\s*(?:" + _VERSION + rb",\s*)?" + _ID + rb"[,}]")
_AT_END = re.compile(rb",\s*(?:" + _VERSION + rb",\s*)?" + _ID + rb"(?:,\s*" + _VERSION + rb")?\}\s*\Z")


class TooLong(Struct):
    """A line that was thrown away: ``size`` bytes, of which the first and the last few are here."""

    size: int
    start: bytes
    end: bytes


class Lines:
    """Takes bytes as they come and gives whole lines, without their ends; holds ``limit`` bytes at most."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._start = b""
        self._end = b""

    def feed(self, data: bytes) -> Iterator[bytes | TooLong]:
        """The lines that ``data`` completes."""
        at = 0
        while (end := data.find(b"\n", at)) >= 0:
            self._take(data[at:end])
            at = end + 1
            yield self._line()
        self._take(data[at:])

    def _take(self, part: bytes) -> None:
        if not part:
            return
        self._size += len(part)
        if len(self._start) < _EDGE:
            self._start = (self._start + part[:_EDGE])[:_EDGE]
        self._end = (self._end + part[-_EDGE:])[-_EDGE:]
        if self._size <= self._limit:
            self._parts.append(part)
        else:
            self._parts.clear()

    def _line(self) -> bytes | TooLong:
        found: bytes | TooLong
        if self._size > self._limit:
            found = TooLong(size=self._size, start=self._start, end=self._end)
        else:
            found = b"".join(self._parts)
        self._parts, self._size, self._start, self._end = [], 0, b"", b""
        return found


def answered(line: bytes | TooLong) -> int | None:
    """The id of the request that a message answers, as far as it stands at one of the message's ends."""
    start, end = (line.start, line.end) if isinstance(line, TooLong) else (line[:_EDGE], line[-_EDGE:])
    found = _AT_START.match(start) or _AT_END.search(end)
    return int(found[1]) if found is not None else None
