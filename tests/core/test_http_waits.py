"""Each phase of a call has a deadline of its own; real sockets, small numbers."""

from __future__ import annotations

import signal
import socket
import threading
import time
from typing import Any, Self

import pytest
from calls import at, call, fetch
from scripted import Answer, Pause, Scripted

from provider_core.errors import ConnectError, DeadlineError
from provider_core.http.connections import Deadline, connect, interleaved
from provider_core.http.transport import HttpTransport
from provider_core.types import Network


class Took:
    """How long the block took, in seconds."""

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._began


def test_a_host_that_accepts_no_connection_ends_in_the_connect_timeout(deaf: int) -> None:
    with Took() as took, pytest.raises(DeadlineError) as caught:
        fetch(call(f"http://127.0.0.1:{deaf}/v1", connect_timeout=0.3))
    assert caught.value.message == f"no connection to http://127.0.0.1:{deaf} within 0.3 s"
    assert (caught.value.phase, caught.value.seconds) == ("connect", 0.3)
    assert 0.25 < took.seconds < 30


def test_name_lookup_and_connection_share_one_deadline(deaf: int) -> None:
    def slow(host: str, port: int) -> list[Any]:
        time.sleep(0.3)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", deaf))] * 5

    with Took() as took, HttpTransport({}, lookup=slow) as transport, pytest.raises(DeadlineError) as caught:
        fetch(call("http://api.test/v1", connect_timeout=0.5), transport)
    assert caught.value.message == "no connection to http://api.test within 0.5 s"
    assert 0.45 < took.seconds < 30


HEAD = b"HTTP/1.1 200 OK\r\nx-slow: yes\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "first_byte", "idle", "message", "phase"),
    [
        (Answer([Pause(60), b"late"], head=b""), 0.3, 60, "prov timed out: it sent no data for 0.3 s", "first byte"),
        (Answer([Pause(60), b"late"]), 0.3, 60, "prov timed out: it sent no data for 0.3 s", "first byte"),
        (Answer([p for letter in HEAD for p in (bytes((letter,)), Pause(0.05))], head=b""), 0.3, 60,
         "prov timed out: it sent no data for 0.3 s", "first byte"),
        (Answer([b"hello", Pause(60)]), 60, 0.3,
         "prov timed out: it stopped in the middle of the answer for 0.3 s", "idle"),
    ],
    ids=["no head", "no body after the head", "a head that dribbles", "silence in the answer"],
)  # fmt: skip
def test_a_silent_server_is_given_up_after_the_timeout_of_the_phase(
    server: Scripted, answer: Answer, first_byte: float, idle: float, message: str, phase: str
) -> None:
    server.will(answer)
    with Took() as took, pytest.raises(DeadlineError) as caught:
        fetch(call(server.url, first_byte_timeout=first_byte, idle_timeout=idle))
    assert caught.value.message == message
    assert (caught.value.phase, caught.value.seconds) == (phase, 0.3)
    assert 0.25 < took.seconds < 30
    assert server.asked[0].closed.wait(60)


@pytest.mark.parametrize(
    ("answer", "first_byte", "idle", "size"),
    [
        (Answer([Pause(1.5), b"hello"]), 60, 1.0, 5),
        (Answer([p for _ in range(6) for p in (b": keep-alive\n\n", Pause(0.3))]), 1.5, 1.5, 84),
        (Answer([p for letter in b"dribble" for p in (bytes((letter,)), Pause(0.25))]), 60, 1.5, 7),
        (Answer([b"ok"]), float("inf"), float("inf"), 2),
    ],
    ids=["a late first byte", "comments", "dribbling", "no limit"],
)
def test_an_answer_whose_pauses_are_short_is_read(
    server: Scripted, answer: Answer, first_byte: float, idle: float, size: int
) -> None:
    server.will(answer)
    connect_timeout = max(first_byte, 5)
    wanted = call(
        server.url, connect_timeout=connect_timeout, first_byte_timeout=first_byte, idle_timeout=idle
    )
    status, body = fetch(wanted)
    assert (status, len(body)) == (200, size)


@pytest.mark.parametrize("between", [[], [b": ping\n\n"] * 40], ids=["silence", "signs of life"])
def test_a_body_with_an_idle_limit_ends_with_its_first_long_pause(
    server: Scripted, between: list[bytes]
) -> None:
    pieces = [piece for each in between for piece in (each, Pause(0.1))]
    server.will(Answer([b"hello", *pieces, Pause(60)]))
    with HttpTransport({}) as transport, transport.send(call(server.url)) as reply:
        chunks = reply.chunks()
        assert next(chunks).startswith(b"hello")
        reply.limit_idle(0.4)
        with Took() as took:
            rest = b"".join(chunks)
    assert rest == b": ping\n\n" * rest.count(b"ping")
    assert 0.35 < took.seconds < 30
    assert server.asked[0].closed.wait(60)


def test_a_body_with_an_idle_limit_that_continues_is_read_and_its_connection_reused(server: Scripted) -> None:
    server.will(Answer([b"hello", Pause(0.1), b" you"]))
    with HttpTransport({}) as transport:
        for _ in range(2):
            with transport.send(call(server.url)) as reply:
                chunks = reply.chunks()
                next(chunks)
                reply.limit_idle(60)
                assert b"".join(chunks) == b" you"
    assert server.connections == 1


def test_the_first_byte_timeout_starts_after_the_request(
    server: Scripted,
) -> None:
    def slow(host: str, port: int) -> list[Any]:
        time.sleep(1.5)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))]

    server.will(Answer([Pause(0.2), b"ok"]))
    with HttpTransport({}, lookup=slow) as transport:
        assert fetch(call("http://api.test/v1", first_byte_timeout=1.5), transport) == (200, b"ok")


def test_a_server_that_stops_reading_the_request_ends_in_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        with pytest.raises(DeadlineError) as caught:
            fetch(call(url, body=b"x" * (16 << 20), idle_timeout=0.3))
    assert caught.value.message == "prov timed out: it accepted no data for 0.3 s"


def test_the_body_of_an_error_is_waited_for_only_briefly(server: Scripted) -> None:
    server.will(Answer([b"no", Pause(60)], status=401))
    wanted = call(server.url, first_byte_timeout=600, idle_timeout=600)
    with HttpTransport({}) as transport, transport.send(wanted) as reply:
        assert reply.status == 401
        with Took() as took, pytest.raises(DeadlineError):
            b"".join(reply.chunks())
    assert took.seconds < 30


def test_a_stream_that_does_not_end_after_done_is_closed(server: Scripted) -> None:
    server.will(Answer([b"data: [DONE]\n\n", Pause(60)]))
    with HttpTransport({}) as transport, Took() as took, transport.send(call(server.url)) as reply:
        next(reply.chunks())
    assert took.seconds < 30
    assert server.asked[0].closed.wait(60)


# --- names and addresses -----------------------------------------------------------------------------------


def test_localhost_that_is_ipv6_first_reaches_a_server_on_ipv4(server: Scripted) -> None:
    server.will([b"ok"])
    with HttpTransport({}, lookup=at("::1", "127.0.0.1")) as transport:
        assert fetch(call(f"http://localhost:{server.port}/v1"), transport) == (200, b"ok")


def test_an_address_that_drops_connections_costs_a_quarter_of_a_second(server: Scripted) -> None:
    """As with IPv6 that leads nowhere: the next address is tried beside the first, not after it."""
    with socket.socket() as full:
        full.bind(("127.0.0.2", server.port))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.2", server.port))
        time.sleep(0.05)
        server.will([b"ok"])
        with HttpTransport({}, lookup=at("127.0.0.2", "127.0.0.1")) as transport, Took() as took:
            assert fetch(call(f"http://api.test:{server.port}/v1"), transport) == (200, b"ok")
        for each in waiting:
            each.close()
    assert 0.2 < took.seconds < 30


def test_a_refusal_is_reported_rather_than_an_address_family_that_does_not_work() -> None:
    def lookup(host: str, port: int) -> list[Any]:
        appletalk = (socket.AF_APPLETALK, socket.SOCK_STREAM, 6, "", (host, port))
        return [appletalk, *at("127.0.0.1", "::1")(host, port)]

    with HttpTransport({}, lookup=lookup) as transport, pytest.raises(ConnectError) as caught:
        fetch(call("http://api.test:1/v1"), transport)
    assert caught.value.message == "cannot connect to http://api.test:1: connection refused"


def test_address_families_alternate() -> None:
    found = at("::1", "::2", "::3", "127.0.0.1", "127.0.0.2")("", 1)
    order = [address[4][0] for address in interleaved(found)]
    assert order == ["::1", "127.0.0.1", "::2", "127.0.0.2", "::3"]


def test_a_connection_sends_at_once_and_is_kept_alive_in_long_silences(server: Scripted) -> None:
    with connect("127.0.0.1", server.port, Deadline(Network())) as connected:
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 30


@pytest.mark.parametrize(("host", "transient"), [("127.0.0.1", False), ("api.test", True)])
def test_a_refused_connection_is_retried_except_on_this_machine(host: str, transient: bool) -> None:
    with HttpTransport({}, lookup=at("127.0.0.1")) as transport, pytest.raises(ConnectError) as caught:
        fetch(call(f"http://{host}:1/v1"), transport)
    assert caught.value.transient is transient


@pytest.mark.parametrize(
    ("number", "words", "transient"),
    [
        (socket.EAI_NONAME, "unknown host: api.test", False),
        (socket.EAI_AGAIN, "the host api.test cannot be looked up now", True),
    ],
)
def test_a_name_that_does_not_resolve_is_reported(number: int, words: str, transient: bool) -> None:
    def unknown(host: str, port: int) -> list[Any]:
        raise socket.gaierror(number, "some system's words")

    with HttpTransport({}, lookup=unknown) as transport, pytest.raises(ConnectError) as caught:
        fetch(call("https://api.test/v1"), transport)
    assert caught.value.message == words
    assert caught.value.transient is transient


def test_a_resolver_that_hangs_is_abandoned() -> None:
    woken = threading.Event()

    def stuck(host: str, port: int) -> list[Any]:
        woken.wait(60)
        return []

    with HttpTransport({}, lookup=stuck) as transport, Took() as took, pytest.raises(DeadlineError):
        fetch(call("http://api.test/v1", connect_timeout=0.2), transport)
    woken.set()
    assert took.seconds < 30


@pytest.mark.parametrize("phase", ["name", "connect", "first byte", "idle"])
def test_ctrl_c_ends_every_wait_at_once(phase: str, server: Scripted, deaf: int) -> None:
    endless = threading.Event()
    server.will(Answer([*([b"x"] if phase == "idle" else []), Pause(endless)]))
    port = deaf if phase == "connect" else server.port

    def lookup(host: str, port: int) -> list[Any]:
        timer.start()
        if phase == "name":
            endless.wait(60)
        return at("127.0.0.1")(host, port)

    signalled: list[float] = []

    def interrupt() -> None:
        signalled.append(time.monotonic())
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    timer = threading.Timer(0.3, interrupt)
    waits = {"connect_timeout": 60.0, "first_byte_timeout": 60.0, "idle_timeout": 60.0}
    with HttpTransport({}, lookup=lookup) as transport, pytest.raises(KeyboardInterrupt):
        fetch(call(f"http://api.test:{port}/v1", **waits), transport)
    assert time.monotonic() - signalled[0] < 30
    endless.set()
    timer.join()
