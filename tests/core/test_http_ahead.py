"""A connection that is opened while the program still imports: taken over by the first request, or thrown away."""

from __future__ import annotations

import gc
import socket
import ssl
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from calls import at, call, fetch
from running import within
from scripted import Scripted

from provider_core.errors import ConnectError, DeadlineError, SettingsError, TLSError
from provider_core.http.connections import Preconnection, preconnect
from provider_core.http.transport import HttpTransport
from provider_core.types import Network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from provider_core.types import Call

WAITS: dict[str, Any] = {"connect_timeout": 5.0}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """The file of an authority, and the context of a server that it has signed."""
    authority, path = trustme.CA(), tmp_path_factory.mktemp("trust") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "api.test").configure_cert(context)
    return path, context


@pytest.fixture(params=["http", "https"])
def lab(request: pytest.FixtureRequest, bundle: tuple[Path, ssl.SSLContext]) -> Iterator[Scripted]:
    with Scripted(tls=bundle[1] if request.param == "https" else None) as server:
        server.will([b"hello"])
        yield server


def ahead_of(wanted: Call, environ: dict[str, str] | None = None) -> Preconnection:
    made = preconnect(wanted.url, wanted.network, environ or {})
    assert made is not None
    return made


def thread_ended() -> None:
    while any(thread.name.startswith("connection to") for thread in threading.enumerate()):
        time.sleep(0.005)


def test_the_first_request_takes_over_the_connection(
    lab: Scripted, bundle: tuple[Path, ssl.SSLContext]
) -> None:
    wanted = call(lab.url, ca_bundle=bundle[0])
    ahead = ahead_of(wanted)
    with HttpTransport({}, ahead=ahead) as transport:
        for _ in range(3):
            assert fetch(wanted, transport) == (200, b"hello")
        assert not any(thread.name.startswith(("connection", "lookup")) for thread in threading.enumerate())
    assert (lab.connections, len(lab.asked)) == (1, 3)


def test_another_connection_of_the_same_pool_is_opened_as_usual(
    lab: Scripted, bundle: tuple[Path, ssl.SSLContext]
) -> None:
    wanted = call(lab.url, ca_bundle=bundle[0])
    with HttpTransport({}, ahead=ahead_of(wanted)) as transport, transport.send(wanted):
        assert fetch(wanted, transport) == (200, b"hello")
    assert lab.connections == 2


def test_the_environment_names_the_trusted_certificates(bundle: tuple[Path, ssl.SSLContext]) -> None:
    environ = {"SSL_CERT_FILE": str(bundle[0])}
    with Scripted(tls=bundle[1]) as server:
        server.will([b"hello"])
        wanted = call(server.url)
        with HttpTransport(environ, ahead=ahead_of(wanted, environ)) as transport:
            assert fetch(wanted, transport) == (200, b"hello")
        assert server.connections == 1


@pytest.mark.parametrize("difference", ["origin", "certificates", "proxy"])
def test_a_request_that_goes_elsewhere_connects_as_usual(
    difference: str, bundle: tuple[Path, ssl.SSLContext], tmp_path: Path
) -> None:
    with Scripted() as first, Scripted() as second:
        for server in (first, second):
            server.will([b"hello"])
        ahead = ahead_of(call(first.url))
        environ = {}
        wanted = call(second.url if difference == "origin" else first.url)
        if difference == "certificates":
            wanted = call(first.url, ca_bundle=bundle[0])
        elif difference == "proxy":  # a plain HTTP proxy gets the whole request
            wanted, environ = call("http://api.test/v1"), {"http_proxy": second.url}
        thread_ended()
        with HttpTransport(environ, ahead=ahead) as transport:
            assert fetch(wanted, transport) == (200, b"hello")
        assert within(60, lambda: first.connections + second.connections == 2)
        assert ahead.take() is None


@pytest.mark.parametrize("fresh", [0.0, 3.0])
def test_an_old_or_a_closed_connection_is_thrown_away(fresh: float) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        origin = ("http", "127.0.0.1", listener.getsockname()[1])
        wanted = call(f"http://127.0.0.1:{origin[2]}/v1")
        ahead = Preconnection(origin, wanted.network, {}, fresh=fresh)
        accepted, _ = listener.accept()
        thread_ended()
        with accepted, HttpTransport({}, ahead=ahead) as transport:
            if fresh:
                accepted.shutdown(socket.SHUT_RDWR)
            answering = threading.Thread(target=answer_once, args=(listener,))
            answering.start()
            assert fetch(wanted, transport) == (200, b"ok")
            answering.join()
            assert fresh or accepted.recv(1) == b""


def test_the_certificates_are_loaded_once_even_for_an_old_connection(
    bundle: tuple[Path, ssl.SSLContext], tmp_path: Path
) -> None:
    copy = tmp_path / "copy.pem"
    copy.write_bytes(bundle[0].read_bytes())
    with Scripted(tls=bundle[1]) as server:
        server.will([b"hello"])
        wanted = call(server.url, ca_bundle=copy)
        ahead = Preconnection(("https", "127.0.0.1", server.port), wanted.network, {}, fresh=0.0)
        thread_ended()
        copy.unlink()
        with HttpTransport({}, ahead=ahead) as transport:
            assert fetch(wanted, transport) == (200, b"hello")
        assert server.connections == 2


def answer_once(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


def counting(*addresses: str) -> tuple[list[str], Callable[[str, int], Any]]:
    looked_up: list[str] = []

    def lookup(host: str, port: int) -> Any:
        looked_up.append(host)
        return at(*addresses)(host, port)

    return looked_up, lookup


def test_a_refused_connection_is_reported_without_another_attempt(free_port: int) -> None:
    looked_up, lookup = counting("127.0.0.1")
    wanted = call(f"http://api.test:{free_port}/v1")
    ahead = Preconnection(("http", "api.test", free_port), wanted.network, {}, lookup)
    with HttpTransport({}, lookup=lookup, ahead=ahead) as transport:
        for attempt in (1, 2):
            with pytest.raises(ConnectError) as caught:
                fetch(wanted, transport)
            assert caught.value.message == f"cannot connect to {wanted.url[:-3]}: connection refused"
            assert len(looked_up) == attempt


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def test_the_time_to_connect_counts_from_when_the_connection_began() -> None:
    released = threading.Event()

    def lookup(host: str, port: int) -> Any:
        released.wait(60)
        return []

    wanted = call("http://api.test/v1", connect_timeout=60)
    ahead = Preconnection(("http", "api.test", 80), replace(wanted.network, connect_timeout=1.5), {}, lookup)
    began = time.monotonic()
    with HttpTransport({}, ahead=ahead) as transport, pytest.raises(DeadlineError) as caught:
        fetch(wanted, transport)
    assert time.monotonic() - began < 30
    assert caught.value.message == "no connection to http://api.test within 60 s"
    released.set()
    thread_ended()


def test_a_lookup_that_still_hangs_after_its_time_is_left_alone(server: Scripted) -> None:
    server.will([b"hello"])
    released = threading.Event()

    def hanging(host: str, port: int) -> Any:
        released.wait(60)
        return at("127.0.0.1")(host, port)

    wanted = call(f"http://api.test:{server.port}/v1")
    network = replace(wanted.network, connect_timeout=0.2)
    ahead = Preconnection(("http", "api.test", server.port), network, {}, hanging)
    time.sleep(0.3)
    with HttpTransport({}, lookup=at("127.0.0.1"), ahead=ahead) as transport:
        assert fetch(wanted, transport) == (200, b"hello")
    released.set()
    thread_ended()


def test_a_certificate_that_is_not_trusted_is_refused_before_anything_is_sent(
    bundle: tuple[Path, ssl.SSLContext], tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    with Scripted(tls=bundle[1]) as server:
        server.will([b"hello"])
        for url, words in (
            (server.url, "unable to get local issuer certificate"),
            (f"https://other.test:{server.port}/v1", "valid for 'other.test'"),
        ):
            wanted = call(url, ca_bundle=other if url == server.url else bundle[0])
            origin = ("https", url.split("/")[2].split(":")[0], server.port)
            ahead = Preconnection(origin, wanted.network, {}, at("127.0.0.1"))
            with HttpTransport({}, lookup=at("127.0.0.1"), ahead=ahead) as transport:
                with pytest.raises(TLSError, match=words) as caught:
                    fetch(wanted, transport)
                assert caught.value.trusted == "ca_bundle"
        assert server.asked == []


def test_files_of_certificates_that_cannot_be_used_are_reported_as_usual(
    bundle: tuple[Path, ssl.SSLContext], tmp_path: Path
) -> None:
    missing = tmp_path / "missing.pem"
    with Scripted(tls=bundle[1]) as server:
        for network in ({"ca_bundle": missing}, {"client_cert": missing}):
            wanted = call(server.url, **network)
            with (
                HttpTransport({}, ahead=ahead_of(wanted)) as transport,
                pytest.raises(SettingsError, match="cannot be used"),
            ):
                fetch(wanted, transport)


@pytest.mark.parametrize("when", ["open", "connecting"])
def test_an_unused_connection_is_closed(when: str, server: Scripted) -> None:
    released = threading.Event()

    def lookup(host: str, port: int) -> Any:
        released.wait(5 if when == "connecting" else 0)
        return at("127.0.0.1")(host, port)

    ahead = Preconnection(("http", "api.test", server.port), Network(**WAITS), {}, lookup)
    if when == "open":
        thread_ended()
    ahead.close()
    released.set()
    thread_ended()
    gc.collect()  # an open socket would be a warning, which is an error


@pytest.mark.parametrize(
    ("url", "environ", "own"),
    [
        ("https://api.test/v1", {"https_proxy": "http://proxy.test:3128"}, None),
        ("https://api.test/v1", {}, "socks5://proxy.test"),
        ("https://api.test/v1", {"https_proxy": "gopher://proxy.test"}, None),
        ("https://user:word@api.test/v1", {}, None), ("https://[::1]/v1", {}, None),
        ("https://bücher.test/v1", {}, None), ("https://api.test:99999/v1", {}, None),
        ("ftp://api.test/v1", {}, None), ("", {}, None),
    ],
)  # fmt: skip
def test_nothing_is_opened_ahead_through_proxies_and_to_unusual_addresses(
    url: str, environ: dict[str, str], own: str | None
) -> None:
    assert preconnect(url, Network(proxy=own), environ) is None
