"""Prints how long one prompt takes over a network with delays, beside other clients; asserts nothing.

Run as ``python tests/bench/network.py [ROUNDS]``. A server on loopback is behind a relay that delays each direction by
0, 20 or 75 ms, with TLS from a private authority and a trust store of 140 certificates, as on a usual system. Each row
is a whole process. Its figures are medians, and the ratio is the median of the ratios to the shortest httpx script in
the same round. BENCH_PEERS may name the Python of an environment with ``llm`` and ``openai``.
"""

from __future__ import annotations

import contextlib
import queue
import random
import socket
import ssl
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

sys.path.insert(0, str(Path(__file__).parent))

import startup
import trustme
from scripted import Scripted, answer

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 11
DELAYS = (0.0, 0.020, 0.075)
"""Seconds for each direction: round trips of 0, 40 and 150 ms."""
AUTHORITIES = 140


class Relay:
    """Passes connections on to ``port``; each direction takes ``delay`` seconds longer."""

    def __init__(self, port: int, delay: float) -> None:
        self._to, self._delay = port, delay
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._socket.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                for one, other in ((near, far), (far, near)):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    pieces: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
                    threading.Thread(target=self._take, args=(one, pieces), daemon=True).start()
                    threading.Thread(target=self._give, args=(other, pieces), daemon=True).start()

    def _take(self, source: socket.socket, pieces: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        data = b"-"
        while data:
            try:
                data = source.recv(1 << 16)
            except OSError:
                data = b""
            pieces.put((time.perf_counter() + self._delay, data))

    def _give(self, target: socket.socket, pieces: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        with contextlib.suppress(OSError):
            while True:
                moment, data = pieces.get()
                time.sleep(max(0.0, moment - time.perf_counter()))
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)


@dataclass
class Figures:
    sent: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)


def measure(url: str, bundle: str, server: startup.Server, rounds: int) -> dict[str, Figures]:
    """The figures of each client, in seconds from the start of its process."""
    with tempfile.TemporaryDirectory() as folder:
        env = startup.home(Path(folder), url) | {"SSL_CERT_FILE": bundle, "CURL_CA_BUNDLE": bundle}
        runs = startup.askers(env, url)
        found = {name: Figures() for name in runs}
        names = list(runs)
        for round_ in range(rounds + 1):
            random.shuffle(names)
            for name in names:
                run = runs[name]
                run.total = run.sent = run.shown = float("inf")
                startup.once(run, server)
                if round_:  # the first fills the system's caches, and telex's own
                    found[name].sent.append(run.sent)
                    found[name].whole.append(run.total)
        return found


def ratios(values: list[float], base: list[float]) -> str:
    return f"{statistics.median(a / b for a, b in zip(values, base, strict=True)):.2f}"


def trust_store(folder: Path) -> tuple[str, ssl.SSLContext]:
    """A file with many authorities, and the context of a server that the last of them signed."""
    path = folder / "authorities.pem"
    for _ in range(AUTHORITIES - 1):
        trustme.CA().cert_pem.write_to_path(str(path), append=True)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(path), append=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return str(path), context


def kinds(folder: Path) -> Iterator[tuple[str, float, ssl.SSLContext | None, str]]:
    bundle, context = trust_store(folder)
    yield "http", 0.0, None, bundle
    for delay in DELAYS:
        yield f"TLS, round trips of {delay * 2e3:.0f} ms", delay, context, bundle


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        for title, delay, context, bundle in kinds(Path(folder)):
            with Scripted(tls=context) as scripted, Relay(scripted.port, delay) as relay:
                url = scripted.url.replace(f":{scripted.port}/", f":{relay.port}/")
                server = startup.Server(scripted, answer("Hello", ", ", "world"))
                found = measure(url, bundle, server, rounds)
            base = found["shortest httpx script"]
            table = startup.Table(title, ("start to request, ms", "x httpx", "whole, ms", "x httpx"))
            for name, each in found.items():
                table.rows.append(
                    (
                        name,
                        startup.ms(statistics.median(each.sent)),
                        ratios(each.sent, base.sent),
                        startup.ms(statistics.median(each.whole)),
                        ratios(each.whole, base.whole),
                    )
                )
            table.show()


if __name__ == "__main__":
    main()
