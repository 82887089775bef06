"""The lines of ``telex chat -v``: the request and the response, redacted and shortened."""

from __future__ import annotations

import codecs
import contextlib
import re
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from provider_core.redaction import redact
from provider_core.request import is_secret_name
from provider_core.structs import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from provider_core.types import Call, Reply, Transport

_MAX_LINE = 4000
"""Characters of a line that are logged, followed by the number of the others."""

_MARGIN = 1000
"""Characters after these that are searched for secrets too: a secret may cross the cut."""

_DATA_URL = re.compile(r"(data:[\w.+-]+/[\w.+-]+;base64,)([A-Za-z0-9+/=]{40,})")

_STEPS = {
    "connection.connect_tcp.started": "connecting to {host}",
    "connection.connect_tcp.complete": "connected",
    "connection.start_tls.started": "TLS handshake",
    "connection.start_tls.complete": "TLS is up",
    ".send_request_body.complete": "the request is sent",
}


class WireLog:
    """Calls ``write`` with a mark and a line for everything that one request sends and receives."""

    def __init__(self, write: Callable[[str, str], None], secrets: tuple[str, ...]) -> None:
        self._write = write
        self._secrets = secrets
        self._started = 0.0

    @contextlib.contextmanager
    def send(self, transport: Transport, call: Call) -> Iterator[Reply]:
        """Send the call over ``transport`` and log it, and its reply as it is read."""
        self._started = time.monotonic()
        self._log(">", f"{call.method} {call.url}")
        self._log_headers(">", call.headers)
        if call.body:
            self._log(">", call.body.decode("utf-8", "replace"))
        with transport.send(self._traced(call)) as reply:
            self._log("<", f"HTTP {reply.status} ({self._seconds()})")
            self._log_headers("<", reply.headers)
            # Whole lines: a key may be spread over two pieces.
            decoder, rest = codecs.getincrementaldecoder("utf-8")("replace"), ""

            def received(chunk: bytes, *, final: bool = False) -> None:
                nonlocal rest
                *lines, rest = re.split(r"\r\n?|\n", rest + decoder.decode(chunk, final))
                for line in filter(None, [*lines, rest] if final else lines):
                    self._log("<<", line)

            try:
                yield LoggedReply(reply, received)
            finally:
                received(b"", final=True)

    def _traced(self, call: Call) -> Call:
        """The call with the steps of its connection logged."""
        trace_before, host = call.trace, urlsplit(call.url).netloc.rpartition("@")[2]

        def trace(step: str) -> None:
            nonlocal host
            if step.startswith("proxy "):
                host = f"the {step}"
            for name, words in _STEPS.items():
                if step == name or (name.startswith(".") and step.endswith(name)):
                    self._log("*", f"{words.format(host=host)} ({self._seconds()})")
            if trace_before is not None:
                trace_before(step)

        return replace(call, trace=trace)

    def _seconds(self) -> str:
        return f"{time.monotonic() - self._started:.3f} s"

    def _log_headers(self, mark: str, headers: Mapping[str, str]) -> None:
        for name, value in headers.items():
            # The names of rate limits contain "token".
            secret = is_secret_name(name) and "ratelimit" not in name.lower()
            self._log(mark, f"{name}: {'[redacted]' if secret else value}")

    def _log(self, mark: str, words: str) -> None:
        words = _DATA_URL.sub(lambda found: f"{found[1]}[{len(found[2])} characters]", words)
        rest = len(words) - _MAX_LINE
        if rest > 0:
            # Redacting the megabytes of a prompt would take long.
            shown = redact(words[: _MAX_LINE + _MARGIN], self._secrets)[:_MAX_LINE]
            self._write(mark, f"{shown} … [{rest} more characters]")
        else:
            self._write(mark, redact(words, self._secrets))


class LoggedReply:
    """A reply that calls ``received`` with each piece of its body."""

    def __init__(self, reply: Reply, received: Callable[[bytes], None]) -> None:
        self._reply = reply
        self._received = received

    @property
    def status(self) -> int:
        return self._reply.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._reply.headers

    def chunks(self) -> Iterator[bytes]:
        for chunk in self._reply.chunks():
            self._received(chunk)
            yield chunk

    def limit_idle(self, seconds: float | None) -> None:
        self._reply.limit_idle(seconds)
