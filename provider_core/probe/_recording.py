"""A transport that records each call: how long it took, and the start of the reply's body."""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from provider_core.structs import replace
from provider_core.wire_log import LoggedReply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from provider_core.types import Call, Reply, Transport

_MOST_BYTES = 1 << 18


@dataclass(slots=True, kw_only=True)
class RecordedCall:
    """One call. ``head`` and ``end`` are when headers and body were complete, in seconds since it ``began``."""

    began: float
    head: float | None = None
    end: float | None = None
    status: int | None = None
    content_type: str = ""
    chunks: int = 0
    body: bytearray = field(default_factory=bytearray)
    """The first 256 KiB."""
    steps: dict[str, float] = field(default_factory=dict)
    """Seconds for "name", "connect" and "TLS"; empty if an open connection was used."""

    @property
    def is_one_piece(self) -> bool:
        """Whether a chat was answered with one JSON object instead of a stream."""
        return "json" in self.content_type and not bytes(self.body[:64]).lstrip().startswith(b"data")

    def received(self, chunk: bytes) -> None:
        self.chunks += 1
        if len(self.body) < _MOST_BYTES:
            self.body += chunk


class RecordingTransport:
    """Passes calls to ``inner`` and records them in ``calls``.

    Without ``inner`` it opens its own HTTP connections, so that the time to connect is recorded too.
    """

    def __init__(self, inner: Transport | None = None, environ: Mapping[str, str] | None = None) -> None:
        self._lookup_time = 0.0
        self._own: Transport | None = None
        if inner is None:
            from provider_core.http import HttpTransport

            inner = self._own = HttpTransport(environ, lookup=self._look_up)
        self._inner = inner
        self.calls: list[RecordedCall] = []

    @contextlib.contextmanager
    def send(self, call: Call) -> Iterator[Reply]:
        recorded = RecordedCall(began=time.monotonic())
        self.calls.append(recorded)
        try:
            with self._inner.send(replace(call, trace=self._tracer(recorded))) as reply:
                recorded.head = time.monotonic() - recorded.began
                recorded.status = reply.status
                recorded.content_type = reply.headers.get("content-type", "")
                yield LoggedReply(reply, recorded.received)
        finally:
            recorded.end = time.monotonic() - recorded.began

    def close(self) -> None:
        """Close its own connections."""
        if self._own is not None:
            self._own.close()

    def _tracer(self, recorded: RecordedCall) -> Callable[[str], None]:
        began: dict[str, float] = {}

        def trace(event: str) -> None:
            step, _, moment = event.rpartition(".")
            if moment == "started":
                began[step] = time.monotonic()
            elif moment == "complete" and step.endswith("connect_tcp"):
                recorded.steps["name"] = self._lookup_time
                recorded.steps["connect"] = time.monotonic() - began[step] - self._lookup_time
            elif moment == "complete" and step.endswith("start_tls"):
                recorded.steps["TLS"] = time.monotonic() - began[step]

        return trace

    def _look_up(self, host: str, port: int) -> Sequence[tuple[int, int, int, str, Any]]:
        began = time.monotonic()
        try:
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        finally:
            self._lookup_time = time.monotonic() - began
