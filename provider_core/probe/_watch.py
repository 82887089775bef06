"""A transport that notes how each call went: its times, and what the client read of it; it sends nothing itself."""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from provider_core.wire_log import LoggedReply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from provider_core.types import Call, Reply, Transport

__all__ = ["Seen", "Watch"]

_KEPT = 1 << 18
"""Bytes of a body that are kept to look at."""


@dataclass(slots=True, kw_only=True)
class Seen:
    """One call. Times are seconds since it began; None is what did not happen."""

    began: float
    head: float | None = None
    end: float | None = None
    status: int | None = None
    content_type: str = ""
    chunks: int = 0
    body: bytearray = field(default_factory=bytearray)
    steps: dict[str, float] = field(default_factory=dict)
    """What connecting took, by "name", "connect" and "TLS"; empty when a connection was there."""

    def received(self, chunk: bytes) -> None:
        """A piece of the body has come."""
        self.chunks += 1
        if len(self.body) < _KEPT:
            self.body += chunk


class Watch:
    """Hands every call on to ``inner``; ``calls`` are those made so far.

    Without ``inner`` it is real HTTP over connections of its own, so that connecting is part of what is seen.
    """

    def __init__(self, inner: Transport | None = None, environ: Mapping[str, str] | None = None) -> None:
        self._lookup = _TimedLookup()
        self._own: Transport | None = None
        if inner is None:
            from provider_core.http import HttpTransport

            inner = self._own = HttpTransport(environ, lookup=self._lookup)
        self._inner = inner
        self.calls: list[Seen] = []

    @contextlib.contextmanager
    def send(self, call: Call) -> Iterator[Reply]:
        seen = Seen(began=time.monotonic())
        self.calls.append(seen)
        try:
            with self._inner.send(replace(call, trace=self._tracer(seen))) as reply:
                seen.head = time.monotonic() - seen.began
                seen.status, seen.content_type = reply.status, reply.headers.get("content-type", "")
                yield LoggedReply(reply, seen.received)
        finally:
            seen.end = time.monotonic() - seen.began

    def close(self) -> None:
        """Close the connections; those of a transport that was handed in stay open."""
        if self._own is not None:
            self._own.close()

    def _tracer(self, seen: Seen) -> Callable[[str], None]:
        began: dict[str, float] = {}

        def trace(event: str) -> None:
            step, _, moment = event.rpartition(".")
            if moment == "started":
                began[step] = time.monotonic()
            elif moment == "complete" and step.endswith("connect_tcp"):
                seen.steps["name"] = self._lookup.seconds
                seen.steps["connect"] = time.monotonic() - began[step] - self._lookup.seconds
            elif moment == "complete" and step.endswith("start_tls"):
                seen.steps["TLS"] = time.monotonic() - began[step]

        return trace


class _TimedLookup:
    """The system's resolver, and what it last took."""

    def __init__(self) -> None:
        self.seconds: float = 0.0

    def __call__(self, host: str, port: int) -> Sequence[tuple[int, int, int, str, Any]]:
        began = time.monotonic()
        try:
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        finally:
            self.seconds = time.monotonic() - began
