"""What the transport sends, what it makes of odd answers, and that no other library's error leaves it."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import traceback
import zlib
from itertools import product
from typing import TYPE_CHECKING, Any

import httpcore
import httpx
import pytest
import socksio
from calls import KEY, at, call, fetch
from running import python
from scripted import Answer, Asked, Cut, Pause, Scripted

from provider_core import errors
from provider_core.http.transport import HttpTransport, parse_url
from provider_core.types import Call

if TYPE_CHECKING:
    from collections.abc import Iterator


def all_kinds(*roots: type[BaseException]) -> Iterator[type[BaseException]]:
    for root in roots:
        yield root
        yield from all_kinds(*root.__subclasses__())


LOWER = sorted(
    {
        kind
        for library in (httpx, httpcore)
        for name in library.__all__
        if isinstance(named := getattr(library, name), type) and issubclass(named, Exception)
        for kind in all_kinds(named)
    }
    - {httpcore.ConnectionNotAvailable}  # never leaves httpcore's pool
    | set(all_kinds(socksio.SOCKSError)),
    key=lambda kind: f"{kind.__module__}.{kind.__qualname__}",
)


assert len(LOWER) > 40


class BrokenPool:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        raise self.error


@pytest.mark.parametrize("kind", LOWER, ids=lambda kind: f"{kind.__module__.split('.')[0]}.{kind.__name__}")
def test_every_error_of_the_libraries_below_becomes_a_core_error(kind: type[Exception]) -> None:
    broken: Any = httpx.HTTPTransport()
    broken._pool = BrokenPool(kind.__new__(kind, f"words with {KEY}"))
    with pytest.raises(errors.CoreError) as caught:
        fetch(call("https://api.test/v1"), HttpTransport({}, client=broken))
    assert caught.value.provider == "prov"
    if isinstance(caught.value, errors.InvalidInputError | errors.ProtocolError):
        assert KEY not in "".join(traceback.format_exception(caught.value))
    assert caught.value.message.startswith(
        (
            "prov ",
            "the ",
            "no connection to https://api.test",
            "cannot connect to https://api.test",
            "https://api",
        )
    )


# --- a client of the user's own ----------------------------------------------------------------------------


def test_an_httpx_transport_or_client_of_the_user_sends_the_request_and_stays_open() -> None:
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"ok": True})

    mock = httpx.MockTransport(handle)
    client = httpx.Client(transport=mock, auth=("user", "password"))
    for given in (mock, client):
        with HttpTransport({"https_proxy": "http://p.test:1"}, client=given) as transport:
            assert fetch(call("https://api.test/v1"), transport) == (200, b'{"ok":true}')
    assert {request.headers["authorization"] for request in seen} == {f"Bearer {KEY}"}
    assert not client.is_closed


def test_an_httpx_client_of_the_user_has_the_timeouts_of_the_settings(server: Scripted) -> None:
    for body, phase in (([b"x", Pause(60)], "idle"), ([Pause(60)], "first byte")):
        server.will(Answer(body))
        with httpx.Client() as client, pytest.raises(errors.DeadlineError) as caught:
            fetch(
                call(server.url, first_byte_timeout=1, idle_timeout=0.2),
                HttpTransport(client=client),
            )
        assert caught.value.phase == phase
    with httpx.Client() as client, pytest.raises(errors.ConnectError, match="cannot connect to http"):
        fetch(call("http://127.0.0.1:1/v1"), HttpTransport(client=client))


# --- requests ----------------------------------------------------------------------------------------------


def test_a_request_carries_its_headers_and_body_and_asks_for_no_compression(server: Scripted) -> None:
    server.will([b"ok"])
    assert fetch(call(f"{server.url}/chat", headers={"X-Title": "telex"}, body=b'{"a":1}')) == (200, b"ok")
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.body) == ("POST", "/v1/chat", {"a": 1})
    assert asked.headers["accept-encoding"] == "identity"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.headers["x-title"] == "telex"
    assert asked.headers["host"] == f"127.0.0.1:{server.port}"
    assert "cookie" not in asked.headers


def test_a_get_has_no_body(server: Scripted) -> None:
    server.will([b"ok"])
    get = Call(method="GET", url=f"{server.url}/models", headers={})
    with HttpTransport({}) as transport, transport.send(get) as reply:
        assert reply.status == 200
    assert server.asked[0].method == "GET"
    assert "content-length" not in server.asked[0].headers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(server: Scripted, status: int) -> None:
    with Scripted() as other:
        other.will([b"stolen"])
        server.will(Answer(status=status, headers={"location": f"{other.url}/chat"}))
        assert fetch(call(f"{server.url}/chat"))[0] == status
        assert other.asked == []


def test_cookies_are_not_stored(server: Scripted) -> None:
    server.will(Answer([b"x"], headers={"set-cookie": "a=b"}))
    with HttpTransport({}) as transport:
        fetch(call(server.url), transport)
        fetch(call(server.url), transport)
    assert "cookie" not in server.asked[1].headers


# --- connections -------------------------------------------------------------------------------------------


def test_a_connection_is_reused_if_the_reader_stops_at_done(server: Scripted) -> None:
    server.will([b"data: [DONE]\n\n", b": one more comment\n\n"])
    with HttpTransport({}) as transport:
        for _ in range(3):
            with transport.send(call(server.url)) as reply:
                assert next(reply.chunks()).startswith(b"data: [DONE]")
    assert (len(server.asked), server.connections) == (3, 1)


@pytest.mark.parametrize(("end", "is_broken"), [(b"0\r\n\r\n", False), (b"no chunk\r\n", True)])
def test_pieces_that_arrive_together_come_as_one_and_an_error_after_them_is_not_lost(
    server: Scripted, end: bytes, is_broken: bool
) -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    server.will(Answer(head=head, body=[b"3\r\none\r\n" * 1000 + end], chunked=False))
    chunks = []
    ends = pytest.raises(errors.ProtocolError) if is_broken else contextlib.nullcontext()
    with HttpTransport({}) as transport, transport.send(call(server.url)) as reply, ends:
        chunks.extend(reply.chunks())
    assert b"".join(chunks) == b"one" * 1000
    assert len(chunks) < 20


def test_a_connection_that_the_server_has_closed_is_not_reused(server: Scripted) -> None:
    server.will(Answer([b"x"], headers={"content-length": "1"}, chunked=False))
    with HttpTransport({}) as transport:
        assert fetch(call(server.url), transport) == (200, b"x")
        assert fetch(call(server.url), transport) == (200, b"x")
    assert server.connections == 2


def test_an_exception_of_the_reader_closes_the_connection(server: Scripted) -> None:
    endless = threading.Event()
    server.will(Answer([b"x"] * 3 + [Pause(endless)]))
    stopped = contextlib.suppress(KeyboardInterrupt)
    with HttpTransport({}) as transport, stopped, transport.send(call(server.url)) as reply:
        next(reply.chunks())
        raise KeyboardInterrupt
    assert server.asked[0].closed.wait(60)


def test_more_connections_at_once_than_a_usual_pool_holds(server: Scripted) -> None:
    together = threading.Barrier(24, timeout=60)

    def wait_for_all(asked: Asked) -> Answer:
        together.wait()
        return Answer([b"x"])

    server.will(wait_for_all)
    with HttpTransport({}) as transport:
        threads = [threading.Thread(target=fetch, args=(call(server.url), transport)) for _ in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not together.broken


# --- unusual answers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "when", "received"),
    [
        (Answer([b"hello", Cut(reset=True)]), "", {0, 5}),  # a reset may overtake what was sent
        (Answer([b"hello", Cut()]), "in the middle of its answer", {5}),
        (Answer([b"hello"], headers={"content-length": "10"}, chunked=False), "in the middle of its answer", {5}),
        (Answer(head=b""), "before it answered", {0}),
    ],
    ids=["reset", "no last chunk", "shorter than its length", "no answer"],
)  # fmt: skip
def test_a_broken_answer_is_a_lost_connection_that_counts_what_came(
    server: Scripted, answer: Answer, when: str, received: set[int]
) -> None:
    server.will(answer)
    with pytest.raises(errors.ConnectionLostError, match=f"^prov closed the connection {when}") as caught:
        fetch(call(server.url))
    assert caught.value.received in received
    assert caught.value.url == f"http://127.0.0.1:{server.port}"


@pytest.mark.parametrize(
    "head",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000 + b"\r\n\r\n",
    ],
    ids=["another protocol", "no header", "no chunk", "no length", "headers without end"],
)
def test_an_answer_that_is_not_http_is_a_protocol_error(server: Scripted, head: bytes) -> None:
    server.will(Answer(head=head))
    with pytest.raises(errors.ProtocolError, match=r"^prov answered with something that is not HTTP$"):
        fetch(call(server.url))


def test_a_compressed_stream_comes_through_as_it_is_flushed(server: Scripted) -> None:
    squeeze = zlib.compressobj(wbits=31)
    more = threading.Event()

    def pieces() -> Iterator[Any]:
        yield squeeze.compress(b"one ") + squeeze.flush(zlib.Z_SYNC_FLUSH)
        more.wait(60)
        yield squeeze.compress(b"two") + squeeze.flush()

    server.will(Answer(pieces(), headers={"content-encoding": "gzip"}))
    with HttpTransport({}) as transport, transport.send(call(server.url)) as reply:
        chunks = reply.chunks()
        assert next(chunks) == b"one "
        more.set()
        assert b"".join(chunks) == b"two"


@pytest.mark.parametrize(
    ("encoding", "words"), [("gzip", "does not decompress"), ("br", "not asked for: br$")]
)
def test_a_body_that_cannot_be_decompressed_is_a_protocol_error(
    server: Scripted, encoding: str, words: str
) -> None:
    server.will(Answer([b"plain text"], headers={"content-encoding": encoding}))
    with pytest.raises(errors.ProtocolError, match=words):
        fetch(call(server.url))


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (Answer([gzip.compress(b"hello")], headers={"content-encoding": "gzip"}), 200, b"hello"),
        (Answer([zlib.compress(b"hello")], headers={"content-encoding": "deflate"}), 200, b"hello"),
        (
            Answer(
                head=b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
                b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
            ),
            200,
            b"ok",
        ),
        (Answer([b"hel", b"lo"], head=b"HTTP/1.0 200 OK\r\n\r\n"), 200, b"hello"),
        (Answer(head=b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n"), 204, b""),
    ],
    ids=["gzip unasked", "deflate unasked", "interim answers", "HTTP/1.0 ends by closing", "204 has no body"],
)
def test_unusual_answers_are_read(server: Scripted, answer: Answer, status: int, body: bytes) -> None:
    server.will(answer)
    assert fetch(call(server.url)) == (status, body)


def test_an_answer_before_the_whole_request_was_sent_is_read(server: Scripted) -> None:
    """413 comes while the body is still on its way; the write then fails, and the answer counts."""
    refusal = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbig"
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(refusal)
                connection.shutdown(1)
                while connection.recv(1 << 20):
                    pass

        thread = threading.Thread(target=refuse)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        assert fetch(call(url, body=b"x" * (8 << 20))) == (413, b"big")
        thread.join()


# --- invalid requests --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["authorization", "Authorization", "api-key", "X-Api-Key"])
@pytest.mark.parametrize("odd", ["\u2026", "é", "\n", "\x7f", "\x00", "\ud800"])
def test_a_key_with_invalid_characters_is_refused_and_not_shown(name: str, odd: str) -> None:
    with pytest.raises(errors.InvalidKeyError, match=r"^the key for prov contains") as caught:
        fetch(call("http://127.0.0.1:1/v1", headers={name: f"Bearer {KEY}{odd}tail"}))
    assert KEY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("name", "value"),
    [("x-name", "Zoë ツ"), ("x-name", "a\r\nx-evil: 1"), ("x name", "a"), ("", "a"), ("host", "other.test"),
     ("content-length", "5"), ("transfer-encoding", "chunked")],
)  # fmt: skip
def test_a_header_that_cannot_be_sent_is_named_without_its_value(name: str, value: str) -> None:
    with pytest.raises(errors.InvalidInputError, match=r"^the header ") as caught:
        fetch(call("http://127.0.0.1:1/v1", headers={name: value}))
    assert "evil" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8080", "ftp://a.test/v1", "http://", "http:///v1", "http://a.test:port/v1", "http://[::1/v1",
     "http://a.test:99999999/v1", "http://user:hunter2@/v1", "http://\x00/", "http://xn--\u2026.test/", "http://xn--/v1",
     "http://xn--a/v1", f"http://{'a' * 300}.test/v1", f"http://{'a' * 64}.test/v1", "http://host:99999/v1"],
)  # fmt: skip
@pytest.mark.parametrize("proxy", ["none", "socks5://127.0.0.1:1"])
def test_an_invalid_address_is_refused_before_anything_is_sent(url: str, proxy: str) -> None:
    with pytest.raises(errors.InvalidInputError, match=r"^the address of prov ") as caught:
        fetch(call(url, proxy=proxy))
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_user_and_password_in_an_address_are_never_shown() -> None:
    with pytest.raises(errors.ConnectError) as caught:
        fetch(call("http://user:hunter2@127.0.0.1:1/v1?key=hunter2"))
    assert caught.value.message == "cannot connect to http://127.0.0.1:1: connection refused"
    assert caught.value.url == "http://127.0.0.1:1"


# --- what it costs -----------------------------------------------------------------------------------------


def test_plain_http_needs_neither_httpx_nor_the_certificates_of_the_system(
    server: Scripted,
) -> None:
    server.will([b"ok"])
    code = f"""
import sys; sys.path.insert(0, 'tests')
def imported(*names): return [name for name in names if name in sys.modules]
import provider_core.client; print(imported('httpx', 'httpcore', 'ssl'))
from calls import call, fetch; print(fetch(call({server.url!r})))
print(imported('click', 'rich', 'pygments', 'truststore', 'trio', 'httpx'))
fetch(call({server.url!r} + '?a=é'))
print(imported('click', 'rich', 'pygments', 'httpx', 'httpx._main'), callable(sys.modules['httpx'].Client))
"""
    assert python(code).splitlines() == ["[]", "(200, b'ok')", "[]", "['httpx'] True"]


def test_usual_urls_are_read_as_httpx_reads_them() -> None:
    usual = ("api.test", "10.1.2.3", "a_b.c", "localhost", "host.")
    odd = ("A.test", "256.1.1.1", "01.2.3.4", "1.2.3", "xn--a-8ga.de", "a..b", "[::1]")
    ports = ("", ":80", ":443", ":8080", ":065", ":99999")
    targets = ("/v1", "", "/a/../b", "/v1?x=1", "/v1?", "/a%20b", "/a b", "/v1#f")
    for scheme, host, port, target in product(("http", "https"), usual + odd, ports, targets):
        text = f"{scheme}://{host}{port}{target}"
        try:
            url = httpx.URL(text)
            expected = (url.scheme, url.host, url.port, url.netloc.decode(), url.raw_path.decode())
        except httpx.InvalidURL:
            expected = None
        if expected is None or host == "256.1.1.1" or port == ":99999":
            with pytest.raises(errors.InvalidInputError):
                parse_url(call(text))
            continue
        found = parse_url(call(text))
        assert (found.scheme, found.host, found.port, found.netloc, found.target) == expected, text


def test_a_transport_closes_its_connections_when_it_is_collected(server: Scripted) -> None:
    server.will([b"ok"])
    transport = HttpTransport({})
    fetch(call(server.url), transport)
    del transport  # a warning about an open socket would fail the test
    assert fetch(call(server.url)) == (200, b"ok")


@pytest.mark.parametrize("zone", ["%25eth0", "%eth0"])
def test_the_zone_of_an_ipv6_address_is_not_sent(zone: str, server: Scripted) -> None:
    server.will([b"hello"])
    hosts: list[str] = []

    def lookup(host: str, port: int) -> Any:
        hosts.append(host)
        return at("127.0.0.1")(host, port)

    with HttpTransport({}, lookup=lookup) as transport:
        assert fetch(call(f"http://[fe80::1{zone}]:{server.port}/v1"), transport) == (200, b"hello")
    assert hosts == ["fe80::1%eth0"]
    assert server.asked[0].headers["host"] == f"[fe80::1]:{server.port}"
