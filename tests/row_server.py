"""A server for many rows, in a process of its own: canned answers, as fast as asyncio can, or with faults.

Run as ``python tests/row_server.py [--delay SECONDS] [--faults PART] [--stall SECONDS] [--echo 1]``; the first line
that it prints is its URL. A GET of /counts returns how often it was asked, and how often it failed in each way. It ends
with its stdin.

A fault hits a part of the requests, by a hash of the prompt and of how often it was sent before: 429 with Retry-After,
500, 503, a stall, a cut, an answer without an end, broken JSON, and a page of HTML. The fourth attempt always succeeds.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from typing import Any, ClassVar, Self

from scripted import DONE, answer, delta, sse

FAULTS = ("429", "500", "503", "stall", "cut", "no end", "bad json", "html")


def _head(length: int, kind: str, status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{more}content-length: {length}\r\n\r\n".encode()


def _error(status: str, more: str = "") -> bytes:
    body = b'{"error": {"message": "not now"}}'
    return _head(len(body), "application/json", status, more) + body


class Connection(asyncio.Protocol):
    counts: ClassVar[Counter[str]] = Counter()
    attempts: ClassVar[Counter[bytes]] = Counter()

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (at := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:at].lower()
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            end = at + 4 + int(length or 0)
            if len(self._received) < end:
                return
            body, self._received = self._received[at + 4 : end], self._received[end:]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"get"):
            counts = json.dumps(self.counts).encode()
            self._transport.write(_head(len(counts), "application/json") + counts)
            return
        self.counts["requests"] += 1
        delay, reply, closes = self._reply(body)
        if not delay:
            self._send(reply, closes)
        else:
            asyncio.get_running_loop().call_later(delay, self._send, reply, closes)

    def _send(self, reply: bytes, closes: bool) -> None:
        if not self._transport.is_closing():
            self._transport.write(reply)
            if closes:
                self._transport.close()

    def _reply(self, body: bytes) -> tuple[float, bytes, bool]:
        """Seconds to wait, the whole reply, and whether the connection ends with it."""
        options = self._options
        good = self._good(body)
        if not options.faults:
            return options.delay, good, False
        prompt = hashlib.blake2b(body, digest_size=8).digest()
        tries = self.attempts[prompt]
        self.attempts[prompt] += 1
        dice = int.from_bytes(hashlib.blake2b(prompt + bytes([tries % 256]), digest_size=4).digest(), "big")
        if tries >= 3 or dice / 2**32 >= options.faults:
            return options.delay, good, False
        fault = FAULTS[dice % len(FAULTS)]
        self.counts[fault] += 1
        head, _, rest = good.partition(b"\r\n\r\n")
        match fault:
            case "429":
                return 0.0, _error("429 Too Many Requests", "retry-after: 0.05\r\n"), False
            case "500" | "503":
                return 0.0, _error(f"{fault} Error"), False
            case "stall":
                return options.stall, b"", True
            case "cut":
                return options.delay, head + b"\r\n\r\n" + rest[: len(rest) // 2], True
            case "no end":
                body = b"".join(sse(delta("half an")))
            case "bad json":
                body = b'data: {"choices": [{"delta": {"content": "x"\n\n' + DONE
            case _:
                body = b"<html><title>Bad gateway</title></html>"
                return options.delay, _head(len(body), "text/html", "502 Bad Gateway") + body, False
        return options.delay, _head(len(body), "text/event-stream") + body, False

    def _good(self, body: bytes) -> bytes:
        if not self._options.echo:
            return STREAM
        reply = b"".join(answer(json.loads(body)["messages"][-1]["content"]))
        return _head(len(reply), "text/event-stream") + reply


_WORDS = b"".join(answer(*["word "] * 20, usage={"prompt_tokens": 9, "completion_tokens": 20}))
STREAM = _head(len(_WORDS), "text/event-stream") + _WORDS


async def _serve(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(options), "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    ended = asyncio.Event()
    threading.Thread(
        target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(ended.set)), daemon=True
    ).start()
    await ended.wait()


class RowServer:
    """The server while the context lasts."""

    def __init__(self, **options: float) -> None:
        self._arguments = [f"--{name}={value}" for name, value in options.items()]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, __file__, *self._arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().decode().strip()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()

    @property
    def counts(self) -> dict[str, int]:
        with urllib.request.urlopen(f"{self.url}/counts") as reply:
            found: dict[str, int] = json.load(reply)
        return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("delay", "faults", "stall", "echo"):
        parser.add_argument(f"--{name}", type=float, default=0.0)
    asyncio.run(_serve(parser.parse_args()))
