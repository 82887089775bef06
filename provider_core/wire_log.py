"""What goes over the wire, in lines for a person: redacted, and shortened where it is long. Nothing is sent here."""

from __future__ import annotations

import codecs
import contextlib
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from provider_core.redaction import redact
from provider_core.request import is_secret_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from provider_core.types import Call, Reply, Transport

__all__ = ["LoggedReply", "WireLog"]

_LONGEST = 4000
"""Characters of a line that are shown of it; of what is left out the number is said."""

_MARGIN = 1000
"""Characters behind these that are looked through for secrets too: one may stand across the cut."""

_DATA_URL = re.compile(r"(data:[\w.+-]+/[\w.+-]+;base64,)([A-Za-z0-9+/=]{40,})")

_STEPS = {
    "connection.connect_tcp.started": "connecting to {host}",
    "connection.connect_tcp.complete": "connected",
    "connection.start_tls.started": "TLS handshake",
    "connection.start_tls.complete": "TLS is up",
    ".send_request_body.complete": "the request is sent",
}


class WireLog:
    """Tells ``tell`` of one request's attempts; ``secrets`` never get there."""

    def __init__(self, tell: Callable[[str, str], None], secrets: tuple[str, ...]) -> None:
        self._tell = tell
        self._secrets = secrets
        self._begun = 0.0

    def watched(self, call: Call) -> Call:
        """The call with its connection's steps told."""
        before, host = call.trace, urlsplit(call.url).netloc.rpartition("@")[2]

        def trace(step: str) -> None:
            nonlocal host
            if step.startswith("proxy "):
                host = f"the {step}"
            for known, words in _STEPS.items():
                if step == known or (known.startswith(".") and step.endswith(known)):
                    self._say("*", f"{words.format(host=host)} ({time.monotonic() - self._begun:.3f} s)")
            if before is not None:
                before(step)

        return replace(call, trace=trace)

    @contextlib.contextmanager
    def send(self, transport: Transport, call: Call) -> Iterator[Reply]:
        """As ``transport.send``, with everything told that goes out and comes in."""
        self._begun = time.monotonic()
        self._say(">", f"{call.method} {call.url}")
        self._headers(">", call.headers)
        if call.body:
            self._say(">", call.body.decode("utf-8", "replace"))
        with transport.send(call) as reply:
            self._say("<", f"HTTP {reply.status} ({time.monotonic() - self._begun:.3f} s)")
            self._headers("<", reply.headers)
            lines = _Lines(lambda line: self._say("<<", line))
            try:
                yield LoggedReply(reply, lines.add)
            finally:
                lines.end()

    def _headers(self, mark: str, headers: Mapping[str, str]) -> None:
        for name, value in headers.items():
            # Tokens are counted in the names of limits.
            secret = is_secret_name(name) and "ratelimit" not in name.lower()
            self._say(mark, f"{name}: {'[redacted]' if secret else value}")

    def _say(self, mark: str, words: str) -> None:
        words = _DATA_URL.sub(lambda found: f"{found[1]}[{len(found[2])} characters]", words)
        cut = len(words) - _LONGEST
        if cut > 0:
            # Not all of it is looked through: that takes its time for the megabytes of a prompt.
            words = (
                f"{redact(words[: _LONGEST + _MARGIN], self._secrets)[:_LONGEST]} … [{cut} more characters]"
            )
        else:
            words = redact(words, self._secrets)
        self._tell(mark, words)


class _Lines:
    """Puts lines together from what comes in pieces: no key in them may hide behind a piece's end."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._line = ""

    def add(self, chunk: bytes, *, final: bool = False) -> None:
        *lines, self._line = re.split(r"\r\n?|\n", self._line + self._decoder.decode(chunk, final))
        for line in filter(None, lines):
            self._tell(line)

    def end(self) -> None:
        """What has come of the last line is all of it."""
        self.add(b"", final=True)
        if self._line:
            self._tell(self._line)


class LoggedReply:
    """A reply whose body is told as it comes."""

    def __init__(self, reply: Reply, received: Callable[[bytes], None]) -> None:
        self._reply = reply
        self._received = received
        limit_idle = getattr(reply, "limit_idle", None)
        if limit_idle is not None:
            self.limit_idle: Callable[[float | None], None] = limit_idle

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
