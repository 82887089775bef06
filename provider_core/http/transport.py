"""One HTTP request over a pool of connections, and its answer as it arrives.

The pools are httpcore's. httpx, which takes as long to import as all that is below it, is left to what is rare: a
client of the caller's own, an unusual URL, and an answer that is compressed.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import ssl
import sys
import threading
import weakref
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import h11
import httpcore
from httpcore._backends.sync import SyncStream

from provider_core import errors
from provider_core.http import Route, check_host, find_proxy
from provider_core.http.connections import Deadline, connect, system_lookup, tls_context, trust_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import ModuleType

    import httpx

    from provider_core.http import Proxy
    from provider_core.http.connections import Lookup, Preconnection
    from provider_core.types import Body, Call, Network

_KEEP_IDLE = 30.0
"""Seconds that an idle connection stays open for reuse."""

_ERROR_BODY = 3.0
"""Seconds for the body of an error: it normally comes with the head, and must not delay the status."""

_TAIL = 0.1
"""Seconds for what follows ``[DONE]``: only a body read to its end leaves a connection that can be reused."""

_TAIL_BYTES = 1 << 16

_IDLE_TOTAL = 2.5
"""How many of the pauses of ``limit_idle`` the rest of the body may last: keep-alive comments do not extend it."""

_USUAL_URL = re.compile(
    r"(https?)://(?=[^/:]{1,253}[/:])"
    r"((?:[a-z0-9_-]{1,63}\.)*[a-z][a-z0-9_-]{0,62}|(?:(?:0|[1-9][0-9]{0,2})\.){3}(?:0|[1-9][0-9]{0,2}))"
    r"(?::([1-9][0-9]{0,3}|[1-5][0-9]{4}))?(/[A-Za-z0-9/._~:+,=-]*(?:\?[A-Za-z0-9/._~:+,=&-]+)?)"
)
"""Scheme, host, port and target of a URL that means what it says; the numbers of an address may be too large."""

_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"[-!#$%&'*+.^_`|~0-9a-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_KEYS = frozenset(("authorization", "api-key", "x-api-key"))
_KEY = re.compile(r"[\x20-\x7e]*")
_OTHER_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
"""Variables of other programs that name certificates to trust."""


def import_httpx() -> ModuleType:
    """httpx, without its own command line: with click, rich and pygments, that takes half of its 100 ms."""
    # None in sys.modules makes the import of the command line fail, which httpx allows for.
    hidden = sys.modules.setdefault("httpx._main", None) is None  # type: ignore[arg-type]
    try:
        import httpx
    finally:
        if hidden:
            del sys.modules["httpx._main"]
    return httpx


@contextlib.contextmanager
def _errors_mapped(route: Route, deadline: Deadline) -> Iterator[None]:
    """Turn exceptions of httpcore, httpx, socksio and sockets into ``CoreError``."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - raised again, in another form
        from provider_core.http.errors import raise_mapped

        raise_mapped(error, route, deadline)


class HttpTransport:
    """Sends calls over pooled connections; follows no redirects, sends no cookies, reads no netrc.

    Several threads may use one instance. Proxies and certificate paths come from ``environ``, addresses from
    ``lookup``; both are the system's by default. A ``client`` of your own, or an httpx transport, sends the requests
    with the timeouts of the settings, but with its own proxies and certificates; closing it is up to you.
    ``ahead`` is a connection for the first request.
    """

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        *,
        lookup: Lookup | None = None,
        client: httpx.Client | httpx.BaseTransport | None = None,
        ahead: Preconnection | None = None,
    ) -> None:
        self._environ = os.environ if environ is None else environ
        self._lookup = lookup or system_lookup
        self._client = client
        self._ahead = ahead
        self._pools: dict[object, httpcore.ConnectionPool] = {}
        """One for each origin, proxy and set of certificates: a truststore context allows one handshake at a time."""
        self._contexts: dict[object, ssl.SSLContext] = {}
        self._per_thread = False
        self._lock = threading.Lock()
        # Idle sockets must not be left to the garbage collector, nor to the end of Python.
        weakref.finalize(self, _close_all, self._pools)

    @contextlib.contextmanager
    def send(self, call: Call) -> Iterator[HttpReply]:
        """Send ``call`` and wait for the head of the answer, whatever its status.

        The body is read inside the context. An exception inside it closes the connection; otherwise the
        connection is reused if the body was read to its end. Raises ``NetworkError``; ``ProtocolError`` for an
        answer that is not HTTP; and before anything is sent ``InvalidInputError``, ``InvalidKeyError`` or
        ``SettingsError``.
        """
        url = parse_url(call)
        proxy, proxy_source, origin = None, "", f"{url.scheme}://{url.netloc}"
        if self._client is None:
            proxy, proxy_source = find_proxy(origin, self._environ, call.network.proxy)
        route = Route(
            provider=call.provider,
            url=origin,
            host=url.host,
            proxy=proxy,
            proxy_source=proxy_source,
        )
        deadline = Deadline(call.network)
        headers = _headers(call, url)
        body = (call.upload or call.body) if call.method == "POST" else None
        extensions: dict[str, Any] = {}
        if (trace := call.trace) is not None:
            deadline.on_idle = partial(trace, "idle")
            extensions["trace"] = lambda event, _: trace(event)
            if proxy is not None:
                trace(f"proxy {proxy}")
        try:
            with _errors_mapped(route, deadline):
                response: httpx.Response | httpcore.Response
                fields: Mapping[str, str]
                if self._client is not None:
                    response = theirs = self._send_by_client(call, headers, body, extensions, deadline)
                    status, fields, chunks = theirs.status_code, theirs.headers, theirs.iter_bytes()
                else:
                    response = ours = self._send_by_pool(
                        call, url, headers, body, extensions, proxy, deadline
                    )
                    status, fields, chunks = ours.status, _fields(ours), _body(ours)
        except BaseException as error:
            deadline.abandon()
            if isinstance(error, errors.TLSError):
                error.trusted = trust_source(call.network, self._environ)
                found = ((name, self._environ.get(name, "")) for name in _OTHER_BUNDLES)
                error.other_bundle = next((each for each in found if each[1]), ("", ""))
            raise
        reply = HttpReply(status, fields, chunks, route, deadline)
        try:
            if reply.status == 407 and proxy is not None and url.scheme == "http":
                # For plain HTTP the proxy's refusal arrives as an answer; a tunnel fails before this.
                from provider_core.http.errors import proxy_error

                raise proxy_error("407 Proxy Authentication Required", route)
            yield reply
            reply.finish()
        finally:
            response.close()
            deadline.on_idle = None  # the connection keeps its first deadline, which must not keep the caller

    def _send_by_client(
        self,
        call: Call,
        headers: list[tuple[bytes, bytes]],
        body: bytes | Body | None,
        extensions: dict[str, Any],
        deadline: Deadline,
    ) -> httpx.Response:
        library = import_httpx()
        deadline.phase = "first byte"  # httpx's own errors say whether it was connecting
        timeout = library.Timeout(
            connect=call.network.connect_timeout,
            read=max(call.network.first_byte_timeout, call.network.idle_timeout),
            write=call.network.idle_timeout,
            pool=None,
        )
        request = library.Request(
            call.method,
            call.url,
            headers=headers,
            content=body,
            extensions={**extensions, "timeout": timeout.as_dict()},
        )
        client: Any = self._client
        response: httpx.Response
        if isinstance(client, library.Client):
            # httpx.Auth() does nothing; without it, httpx would send a user and password of the URL.
            response = client.send(request, stream=True, auth=library.Auth(), follow_redirects=False)
        else:
            # Not by way of a client: for a redirect that is not followed it would still check the location, and raise.
            response = client.handle_request(request)
        return response

    def _send_by_pool(
        self,
        call: Call,
        url: Url,
        headers: list[tuple[bytes, bytes]],
        body: bytes | Body | None,
        extensions: dict[str, Any],
        proxy: Proxy | None,
        deadline: Deadline,
    ) -> httpcore.Response:
        extensions["timeout"] = {"connect": deadline, "read": deadline, "write": deadline}
        target = httpcore.URL(scheme=url.scheme, host=url.raw_host, port=url.port, target=url.target)
        request = httpcore.Request(call.method, target, headers=headers, content=body, extensions=extensions)
        network = call.network
        place = (url.scheme, url.raw_host, url.port, network.ca_bundle, network.client_cert)
        key = (*place, proxy, threading.get_ident() if self._per_thread else 0)
        with self._lock:
            pool = self._pools.get(key)
            if pool is None:
                pool = self._pools[key] = self._new_pool(url, network, proxy, deadline, place)
        return pool.handle_request(request)

    def _new_pool(
        self, url: Url, network: Network, proxy: Proxy | None, deadline: Deadline, place: object
    ) -> httpcore.ConnectionPool:
        ahead, self._ahead = self._ahead, None
        if ahead is not None and (
            proxy is not None or not ahead.wait(url.scheme, url.raw_host, url.port, network, deadline)
        ):
            ahead.close()
            ahead = None
        handshakes = (url.scheme == "https") + (proxy is not None and proxy.scheme == "https")
        context = ahead.context if ahead is not None else None
        if url.scheme == "https" and context is None:
            # Only threads share one: it takes long to make.
            context = self._contexts.get(place) if self._per_thread else None
            context = self._contexts[place] = context or tls_context(network, self._environ)
        server = None
        if proxy is not None:
            secure = proxy.scheme == "https"
            server = httpcore.Proxy(
                url=httpcore.URL(scheme=proxy.scheme, host=proxy.host, port=proxy.port, target="/"),
                auth=(proxy.auth[0].encode(), proxy.auth[1].encode()) if proxy.auth else None,
                ssl_context=tls_context(network, self._environ, client_cert=False) if secure else None,
            )
        return httpcore.ConnectionPool(
            ssl_context=context,
            proxy=server,
            max_connections=None,
            keepalive_expiry=_KEEP_IDLE,
            network_backend=_Backend(self._lookup, handshakes, ahead),
        )

    def separate_threads(self) -> None:
        """Give each thread connections of its own from now on, for many threads with many requests each.

        A pool that they share looks at all of its connections, locked, at the beginning and the end of each request.
        """
        self._per_thread = True

    def close(self) -> None:
        """Close all idle connections; the next call opens new ones."""
        with self._lock:
            _close_all(self._pools)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _close_all(pools: dict[object, httpcore.ConnectionPool]) -> None:
    for pool in pools.values():
        pool.close()
    pools.clear()


# --- answers -----------------------------------------------------------------------------------------------


class HttpReply:
    """An HTTP answer whose body is still to come."""

    def __init__(
        self, status: int, headers: Mapping[str, str], body: Iterator[bytes], route: Route, deadline: Deadline
    ) -> None:
        self.status = status
        self.headers = headers
        """Names in lower case."""
        self._body = body
        self._route = route
        self._deadline = deadline
        self._complete = False
        if status >= 300:
            deadline.limit_total(_ERROR_BODY)

    def chunks(self) -> Iterator[bytes]:
        """The body as it arrives, decompressed; continues where an earlier iteration stopped."""
        encoding = self.headers.get("content-encoding", "").strip().lower()
        if encoding not in ("", "identity", "gzip", "deflate"):
            text = (
                f"{self._route.name} compressed its answer in a way that was not asked for: {encoding[:40]}"
            )
            raise errors.ProtocolError(text, provider=self._route.provider)
        # Not "yield from": leaving this generator early must not end the one that holds the connection.
        while (chunk := self._next()) is not None:
            yield chunk

    def limit_idle(self, seconds: float | None) -> None:
        """From now on, accept a pause of ``seconds`` as the end of the body; None restores the idle timeout."""
        self._deadline.limit_idle(seconds, inf if seconds is None else _IDLE_TOTAL * seconds)

    def limit_total(self, seconds: float) -> None:
        """From now on, raise ``DeadlineError`` if the body has not ended in so many seconds."""
        self._deadline.limit_total(seconds)

    def finish(self) -> None:
        """Read the little that may be left of the body, so that the connection can be reused."""
        if self._complete or not self._deadline.received:
            return
        self._deadline.limit_total(_TAIL)
        end = self._deadline.received + _TAIL_BYTES
        with contextlib.suppress(errors.NetworkError, errors.ProtocolError):
            while self._deadline.received < end and self._next() is not None:
                pass

    def _next(self) -> bytes | None:
        try:
            with _errors_mapped(self._route, self._deadline):
                chunk = next(self._body, None)
            self._deadline.count(len(chunk or b""))
        except errors.DeadlineError:
            if not self._deadline.idle_limited:
                raise
            chunk = None
        self._complete = chunk is None
        return chunk


def _fields(response: httpcore.Response) -> dict[str, str]:
    """The headers; repeated ones are joined by commas."""
    fields: dict[str, str] = {}
    for key, data in response.headers:
        name = key.decode("latin-1").lower()
        try:
            value = data.decode()
        except UnicodeDecodeError:
            value = data.decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


def _body(response: httpcore.Response) -> Iterator[bytes]:
    """The body, decompressed. Pieces that were received together are one, so that all later work is done once."""
    body = response.iter_stream()
    if any(name.lower() == b"content-encoding" and value != b"identity" for name, value in response.headers):
        decoding: httpx.Response = import_httpx().Response(200, headers=response.headers, content=body)
        yield from decoding.iter_bytes()
        return
    parser: Any = response.stream
    for name in ("_stream", "_connection", "_h11_state"):
        parser = getattr(parser, name, None)
    if not isinstance(parser, h11.Connection):
        yield from body
        return
    for piece in body:
        pieces = [piece]
        try:
            while isinstance(event := parser.next_event(), h11.Data):
                pieces.append(event.data)
        except h11.RemoteProtocolError as error:
            yield b"".join(pieces)
            raise httpcore.RemoteProtocolError(str(error)) from None
        yield b"".join(pieces)
        if isinstance(event, h11.EndOfMessage):
            return


# --- requests ----------------------------------------------------------------------------------------------


class Url(NamedTuple):
    """The parts of a URL that a request needs; the default port of the scheme is omitted."""

    scheme: str
    host: str
    raw_host: str
    port: int | None
    netloc: str
    """Host and port."""
    target: str


def parse_url(call: Call) -> Url:
    """The parts of the URL of ``call``. The usual ones are found here, all others by httpx.

    Raises ``InvalidInputError``.
    """
    if (usual := _USUAL_URL.fullmatch(call.url)) is not None:
        scheme, host, digits, target = usual.groups()
        odd = "xn--" in host or "/." in target or any(int(n) > 255 for n in host.split(".") if n.isdigit())
        if not odd:
            port = int(digits) if digits and int(digits) != _PORTS[scheme] else None
            netloc = f"{host}:{port}" if port else host
            return Url(scheme, host, host, port, netloc, target)
    httpx = import_httpx()
    name = call.provider or "the server"
    try:
        url = httpx.URL(call.url)
        check_host(url.raw_host.decode("ascii"))
        url.host  # noqa: B018 - decodes an internationalised name, which may fail
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        text = f"the address of {name} cannot be used: {error}"
        raise errors.InvalidInputError(text, provider=call.provider) from None
    if url.scheme not in ("http", "https") or not url.host or (url.port or 0) > 65535:
        text = f"the address of {name} must be http:// or https://, a host, and at most a port"
        raise errors.InvalidInputError(text, provider=call.provider)
    raw_host, netloc, target = (each.decode("ascii") for each in (url.raw_host, url.netloc, url.raw_path))
    return Url(url.scheme, url.host, raw_host, url.port, netloc, target)


def _headers(call: Call, url: Url) -> list[tuple[bytes, bytes]]:
    """The headers in bytes. No error made here, nor its context, contains a value: it may be the key."""
    # Compression would hold tokens back until the encoder flushes.
    fields = {"accept-encoding": "identity"}
    for name, value in call.headers.items():
        fields[name.strip().lower()] = value.strip()
    for name, value in fields.items():
        if name in _KEYS and not _KEY.fullmatch(value):
            text = (
                f"the key for {call.provider or 'the server'} contains characters that a header cannot carry"
            )
            raise errors.InvalidKeyError(text, provider=call.provider)
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            text = f"the header {name[:80]!r} contains characters that HTTP cannot carry"
            raise errors.InvalidInputError(text, provider=call.provider)
        if name in ("content-length", "transfer-encoding", "host"):
            raise errors.InvalidInputError(f"the header {name!r} cannot be set", provider=call.provider)
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in fields.items()]
    if call.method == "POST":
        headers.append((b"Content-Length", b"%d" % len(call.upload or call.body)))
    # The zone of an IPv6 address means nothing to the server.
    return [(b"Host", re.sub(r"%[^\]]*", "", url.netloc).encode("ascii")), *headers]


# --- httpcore's view of a connection ------------------------------------------------------------------------

_MOMENT = 0.003
"""Seconds within which a fast server answers: other work would only delay its answer."""


class _Backend(httpcore.NetworkBackend):
    """Opens the connections of one pool; ``handshakes`` is how often TLS begins on each of them.

    The first connection is ``ahead`` if that can be used. Until the last handshake, everything that is read is part of
    connecting, such as a proxy's answer to CONNECT.
    """

    def __init__(self, lookup: Lookup, handshakes: int, ahead: Preconnection | None = None) -> None:
        self._lookup = lookup
        self._ahead = ahead
        self._handshakes = handshakes

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        if not isinstance(timeout, Deadline):
            raise TypeError("calls have a Deadline as their timeout")
        # In a URL the zone of an IPv6 address comes after %25 (RFC 6874).
        zoned = host.replace("%25", "%", 1) if ":" in host else host
        ahead, self._ahead = self._ahead, None
        try:
            if ahead is not None and (connected := ahead.take()) is not None:
                return _Stream(SyncStream(connected), timeout, handshakes=0)
            connected = connect(zoned, port, timeout, self._lookup)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        return _Stream(SyncStream(connected), timeout, self._handshakes)


class _Stream(httpcore.NetworkStream):
    """httpcore's own stream over a socket, with the timeouts of a ``Deadline``."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline, handshakes: int) -> None:
        self._inner = inner
        self._opener = deadline
        self._handshakes = handshakes
        deadline.opened(self)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        # httpcore passes no timeout while it talks to a SOCKS proxy, which belongs to connecting too.
        if self._handshakes or not isinstance(timeout, Deadline):
            if not (data := self._inner.read(max_bytes, self._opener.connect())):
                raise httpcore.ConnectError("it closed the connection")
            return data
        if timeout.on_idle is not None:
            self._call_on_idle(timeout)
        data = self._inner.read(max_bytes, timeout.read())
        timeout.closed_by_server = not data
        return data

    def _call_on_idle(self, deadline: Deadline) -> None:
        connection = self._inner.get_extra_info("socket")
        pending = isinstance(connection, ssl.SSLSocket) and connection.pending()
        on_idle = deadline.on_idle
        # The head may arrive at once, and the wait come before the body.
        if not deadline.received:
            # One system call, where epoll needs four.
            with getattr(selectors, "PollSelector", selectors.DefaultSelector)() as selector:
                selector.register(connection, selectors.EVENT_READ)
                if pending or selector.select(_MOMENT):
                    return
        deadline.on_idle = None
        if not deadline.received and on_idle is not None:
            deadline.read()  # starts the clock
            on_idle()

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if isinstance(timeout, Deadline) and not self._handshakes:
            self._inner.write(buffer, timeout.write())
        else:
            self._inner.write(buffer, self._opener.connect())

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        if not self._handshakes:  # done ahead
            return self
        try:
            secured = self._inner.start_tls(ssl_context, server_hostname, self._opener.connect())
        except ValueError as error:  # a host that no certificate can name
            raise httpcore.ConnectError(str(error)) from error
        return _Stream(secured, self._opener, self._handshakes - 1)

    def close(self) -> None:
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
