"""One call over pooled connections: request, waits, body; whom to trust and which way to go are decided beside.

httpx's own transport has one read timeout for a whole answer. A chat needs two: loading and thinking may
take minutes before the first byte, while silence in the middle of an answer means a dead connection. So
requests and responses are httpx's, and between them stands an httpcore pool whose streams know the phase.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import weakref
from typing import TYPE_CHECKING, Self

import httpcore

from provider_core.errors import InvalidInputError, InvalidKeyError, NetworkError, ProtocolError
from provider_core.http import _tls
from provider_core.http._connect import system_lookup
from provider_core.http._failures import Route, translated
from provider_core.http._library import httpx
from provider_core.http._patience import Patience
from provider_core.http._proxies import Proxies, is_loopback
from provider_core.http._streams import Backend

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping

    from provider_core.http._connect import Lookup
    from provider_core.http._proxies import Proxy
    from provider_core.types import Call

__all__ = ["HttpReply", "HttpTransport"]

_KEPT = 30.0
"""Seconds an idle connection is kept; many servers close theirs sooner, which is noticed."""

_ERROR_BODY = 3.0
"""Seconds the body of an error may take: it comes with its head, and must not hide the status."""

_TAIL = 0.1
"""Seconds for what stands behind ``[DONE]``: a body that was read to its end leaves a connection for the next."""

_TAIL_BYTES = 1 << 16

_ENCODINGS = frozenset(("", "identity", "gzip", "deflate"))
_NAME = re.compile(r"[-!#$%&'*+.^_`|~0-9a-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_KEYS = frozenset(("authorization", "api-key", "x-api-key"))
_KEY = re.compile(r"[\x20-\x7e]*")


class HttpTransport:
    """Sends calls over pooled connections; never follows a redirect, keeps no cookies, reads no netrc.

    One instance may be used by several threads. ``environ`` is where proxies and certificate paths are
    looked up, ``lookup`` how names become addresses; both are the system's by default.
    """

    def __init__(self, environ: Mapping[str, str] | None = None, *, lookup: Lookup | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._lookup = lookup or system_lookup
        self._pools: dict[object, httpcore.ConnectionPool] = {}
        self._lock = threading.Lock()
        # Sockets that are kept for reuse must not be left to the garbage collector, nor to the end of Python.
        self._finish = weakref.finalize(self, _close, self._pools)

    @contextlib.contextmanager
    def send(self, call: Call) -> Iterator[HttpReply]:
        """Send ``call`` and wait for the head of the answer, whatever its status.

        The body is read inside the context. Leaving it by an exception closes the connection; leaving it
        otherwise keeps it for the next call when the body has come to its end. Raises ``NetworkError``;
        ``ProtocolError`` for what is not HTTP; ``InvalidInputError``, ``InvalidKeyError`` and
        ``SettingsError`` before anything is sent.
        """
        patience = Patience(call.network)
        url = _url(call)
        proxy = Proxies(self._environ).choose(str(url), call.network.proxy)
        address = url.netloc.decode("ascii")
        route = Route(
            provider=call.provider,
            scheme=url.scheme,
            host=url.host,
            address=address,
            proxy=proxy,
            loopback=is_loopback(url.host),
            connect_timeout=call.network.connect_timeout,
        )
        request = httpx.Request(
            call.method,
            url,
            headers=_headers(call),
            content=call.body if call.method == "POST" else None,
        )
        pool = self._pool(call, url, proxy)
        try:
            with translated(route, patience):
                answer = pool.handle_request(_in_httpcore(request, patience, call.trace))
        except BaseException:
            patience.abandon()
            raise
        reply = HttpReply(answer, route, patience)
        try:
            yield reply
            reply.finish()
        finally:
            reply.close()

    def close(self) -> None:
        """Close all connections that are kept for reuse; the next call opens its own again."""
        with self._lock:
            _close(self._pools)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _pool(self, call: Call, url: httpx.URL, proxy: Proxy | None) -> httpcore.ConnectionPool:
        """The pool of one origin: truststore's contexts let one handshake at a time pass."""
        network = call.network
        key = (url.scheme, url.netloc, proxy, network.ca_bundle, network.client_cert)
        with self._lock:
            pool = self._pools.get(key)
            if pool is None:
                ours = proxys = None
                if url.scheme == "https":
                    ours = _tls.context(network, self._environ)
                if proxy is not None and proxy.scheme == "https":
                    proxys = _tls.context(network, self._environ, client_cert=False)
                pool = self._pools[key] = httpcore.ConnectionPool(
                    ssl_context=ours,
                    proxy=_by_proxy(proxy, proxys) if proxy else None,
                    max_connections=None,
                    keepalive_expiry=_KEPT,
                    network_backend=Backend(self._lookup, (ours is not None) + (proxys is not None)),
                )
        return pool


class HttpReply:
    """An HTTP answer whose body is still to come."""

    def __init__(self, answer: httpcore.Response, route: Route, patience: Patience) -> None:
        self._route = route
        self._patience = patience
        self._response = httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer, patience))
        self._rest = self._response.iter_bytes()
        self._whole = False
        if answer.status >= 300:
            patience.hurry(_ERROR_BODY)

    @property
    def status(self) -> int:
        return self._response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case; a lookup takes either."""
        return self._response.headers

    def chunks(self) -> Iterator[bytes]:
        """The body as it arrives, decompressed; goes on where an earlier reading was left."""
        encoding = self.headers.get("content-encoding", "").strip().lower()
        if encoding not in _ENCODINGS:
            # Only one who was not asked to compress gets here, and then with something rarer than gzip.
            text = f"{self._route.who} compressed its answer in a way that was not asked for: {encoding[:40]}"
            raise ProtocolError(text, provider=self._route.provider)
        # Not "yield from": to leave this generator early must not end the one that holds the connection.
        while (chunk := self._next()) is not None:
            yield chunk

    def finish(self) -> None:
        """Read what little may be left of the body, so that the connection can serve again."""
        if self._whole or not self._patience.received:
            return
        self._patience.hurry(_TAIL)
        end = self._patience.received + _TAIL_BYTES
        with contextlib.suppress(NetworkError, ProtocolError):
            while self._patience.received < end and self._next() is not None:
                pass

    def close(self) -> None:
        """Give the connection back, or close it where the body is not at its end."""
        self._response.close()

    def _next(self) -> bytes | None:
        with translated(self._route, self._patience):
            chunk = next(self._rest, None)
        self._whole = chunk is None
        return chunk


class _Body(httpx.SyncByteStream):
    """httpcore's body as httpx wants it; the phase of the call follows the bytes before they are decompressed."""

    def __init__(self, answer: httpcore.Response, patience: Patience) -> None:
        self._answer = answer
        self._patience = patience

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._answer.iter_stream():
            self._patience.take(len(piece))
            yield piece

    def close(self) -> None:
        self._answer.close()


def _close(pools: dict[object, httpcore.ConnectionPool]) -> None:
    for pool in list(pools.values()):
        pool.close()
    pools.clear()


def _url(call: Call) -> httpx.URL:
    whose = call.provider or "the server"
    try:
        url = httpx.URL(call.url)
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise InvalidInputError(
            f"the address of {whose} cannot be used: {error}", provider=call.provider
        ) from None
    if url.scheme not in ("http", "https") or not url.host or (url.port or 0) > 65535:
        raise InvalidInputError(
            f"the address of {whose} must be http:// or https://, a host, and a port at most",
            provider=call.provider,
        )
    return url


def _headers(call: Call) -> list[tuple[bytes, bytes]]:
    """The headers in bytes. No error made here, nor its context, holds a value: it may be the key."""
    # Compression would hold tokens back until the encoder flushes.
    fields = {"accept-encoding": "identity"}
    for name, value in call.headers.items():
        fields[name.strip().lower()] = value.strip()
    for name, value in fields.items():
        if name in _KEYS and not _KEY.fullmatch(value):
            raise InvalidKeyError(
                f"the key for {call.provider or 'the server'} holds characters that no header can carry",
                provider=call.provider,
            )
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise InvalidInputError(
                f"the header {name[:80]!r} holds characters that HTTP cannot carry", provider=call.provider
            )
        if name in ("content-length", "transfer-encoding", "host"):
            raise InvalidInputError(f"the header {name!r} cannot be set by hand", provider=call.provider)
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in fields.items()]


def _in_httpcore(
    request: httpx.Request, patience: Patience, trace: Callable[[str], None] | None
) -> httpcore.Request:
    extensions: dict[str, object] = {"timeout": {"connect": patience, "read": patience, "write": patience}}
    if trace is not None:
        extensions["trace"] = lambda event, _: trace(event)
    return httpcore.Request(
        method=request.method,
        url=httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        ),
        headers=request.headers.raw,
        content=request.stream,
        extensions=extensions,
    )


def _by_proxy(proxy: Proxy, context: ssl.SSLContext | None) -> httpcore.Proxy:
    return httpcore.Proxy(
        url=httpcore.URL(scheme=proxy.scheme, host=proxy.host, port=proxy.port, target="/"),
        auth=(proxy.auth[0].encode(), proxy.auth[1].encode()) if proxy.auth else None,
        ssl_context=context,
    )
