"""A scripted HTTP server on a loopback port: real sockets, and every byte, pause and cut is the test's choice."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DONE = b"data: [DONE]\n\n"


def sse(*chunks: Any) -> list[bytes]:
    """Frames of an event stream; a chunk is JSON, or bytes that are sent as they are."""
    return [c if isinstance(c, bytes) else b"data: " + json.dumps(c).encode() + b"\n\n" for c in chunks]


def delta(text: str | None = None, *, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """One chunk of a stream with one choice."""
    fields = {"content": text, **more} if text is not None else more
    return {"id": "c", "object": "chat.completion.chunk", "model": "m",
            "choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}  # fmt: skip


def answer(*texts: str, finish: str | None = "stop", usage: Any = None) -> list[bytes]:
    """A whole stream as most servers send it."""
    frames: list[Any] = [delta(text) for text in texts]
    frames.append(delta(finish=finish))
    if usage is not None:
        frames.append({"choices": [], "usage": usage})
    return [*sse(*frames), DONE]


@dataclass(frozen=True)
class Pause:
    """Say nothing for so many seconds, or until the test sets the event."""

    until: float | threading.Event


@dataclass(frozen=True)
class Cut:
    """Break the connection here: with a reset, or as if the process had ended."""

    reset: bool = False


@dataclass
class Answer:
    """``body`` is sent piece by piece: each a write, and a chunk of the chunked coding."""

    body: Iterable[bytes | Pause | Cut] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "text/event-stream"})
    chunked: bool = True
    head: bytes | None = None
    """Sent instead of status and headers, to the letter; the body then goes unframed and the connection ends."""


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    raw: bytes
    closed: threading.Event = field(default_factory=threading.Event)
    """Set when the client closed the connection while the answer was being sent."""
    sent: threading.Event = field(default_factory=threading.Event)
    """Set when the answer was sent, up to its first pause."""

    @property
    def body(self) -> Any:
        return json.loads(self.raw)


class Scripted:
    """Answers requests by its script in order; the last answer is for all that follow.

    With ``tls`` it speaks HTTPS, to whoever gets through the handshake.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self.connections = 0
        self._script: list[Answer | Callable[[Asked], Answer]] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._tls = tls
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}/v1"
        self._ended = threading.Event()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def will(self, *answers: Answer | Callable[[Asked], Answer] | list[bytes]) -> None:
        """What to answer, from the next request on."""
        self._script = [Answer(a) if isinstance(a, list) else a for a in answers]
        self.asked.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        # Closed under a thread that accepts, the descriptor could be the next server's: its clients would come here.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._accepting.join(10)
        self._socket.close()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is None:
                self._answer(connection)
                return
            try:
                secured = self._tls.wrap_socket(connection, server_side=True)
            except OSError:
                return
            with secured:
                self._answer(secured)

    def _answer(self, connection: socket.socket) -> None:
        while (asked := _read_request(connection)) is not None:
            self.asked.append(asked)
            step = self._script.pop(0) if len(self._script) > 1 else self._script[0]
            reply = step(asked) if callable(step) else step
            try:
                if not self._send(connection, asked, reply):
                    return
            except OSError:
                asked.closed.set()
                return

    def _send(self, connection: socket.socket, asked: Asked, reply: Answer) -> bool:
        head = [f"HTTP/1.1 {reply.status} Scripted", *(f"{k}: {v}" for k, v in reply.headers.items())]
        head.append("transfer-encoding: chunked" if reply.chunked else "connection: close")
        connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n" if reply.head is None else reply.head)
        chunked = reply.chunked and reply.head is None
        for piece in reply.body:
            match piece:
                case Pause(until=until):
                    asked.sent.set()
                    self._pause(connection, asked, until)
                case Cut(reset=reset):
                    if reset:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return False
                case bytes() if piece and chunked:
                    connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
                case bytes():
                    connection.sendall(piece)
        if chunked:
            connection.sendall(b"0\r\n\r\n")
        asked.sent.set()
        return chunked

    def _pause(self, connection: socket.socket, asked: Asked, until: float | threading.Event) -> None:
        """Wait, and notice when the client goes away meanwhile."""
        deadline = time.monotonic() + (until if isinstance(until, float | int) else 60)
        connection.settimeout(0.02)
        try:
            while time.monotonic() < deadline and not self._ended.is_set():
                if isinstance(until, threading.Event) and until.is_set():
                    return
                try:
                    if connection.recv(1, socket.MSG_PEEK) == b"":
                        asked.closed.set()
                        raise ConnectionAbortedError
                except TimeoutError:
                    continue
        finally:
            connection.settimeout(None)


def _read_request(connection: socket.socket) -> Asked | None:
    raw = b""
    while b"\r\n\r\n" not in raw:
        try:
            part = connection.recv(65536)
        except OSError:
            return None
        if not part:
            return None
        raw += part
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        part = connection.recv(65536)
        if not part:
            return None
        body += part
    method, path, _ = first.split(" ")
    return Asked(method, path, headers, body)
