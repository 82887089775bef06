"""One call over pooled connections, up to the head of its answer; trust, way, waits and body are rooms beside.

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
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Self

import httpcore

from provider_core.errors import (
    CoreError,
    InvalidInputError,
    InvalidKeyError,
    TLSError,
)
from provider_core.http import _tls
from provider_core.http._connect import system_lookup
from provider_core.http._failures import Route, proxy_refused, translated
from provider_core.http._issuer import issuer
from provider_core.http._library import httpx
from provider_core.http._patience import Patience
from provider_core.http._proxies import Proxies, check_host, is_loopback
from provider_core.http._reply import HttpReply
from provider_core.http._streams import Backend

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping

    from provider_core.http._connect import Lookup
    from provider_core.http._proxies import Proxy
    from provider_core.types import Call, Network

__all__ = ["HttpTransport"]

_KEPT = 30.0
"""Seconds an idle connection is kept; many servers close theirs sooner, which is noticed."""

_LOOK = 2.0
"""Seconds for looking at a certificate that was refused."""

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
        if call.trace is not None:
            patience.idle = partial(call.trace, "idle")
        url = _url(call)
        proxy, proxy_source = Proxies(self._environ).explain(str(url), call.network.proxy)
        if proxy is not None and call.trace is not None:
            call.trace(f"proxy {proxy}")
        address = url.netloc.decode("ascii")
        route = Route(
            provider=call.provider,
            scheme=url.scheme,
            host=url.host,
            address=address,
            proxy=proxy,
            proxy_source=proxy_source,
            loopback=is_loopback(url.host),
            connect_timeout=call.network.connect_timeout,
        )
        request = httpx.Request(
            call.method,
            url,
            headers=_headers(call),
            content=call.body if call.method == "POST" else None,
        )
        if "%" in address:  # the zone of an IPv6 address means nothing to the server
            request.headers["host"] = re.sub(r"%[^\]]*", "", address)
        pool = self._pool(call, url, proxy)
        try:
            with translated(route, patience):
                answer = pool.handle_request(_in_httpcore(request, patience, call.trace))
        except TLSError as error:
            patience.abandon()
            raise self._named(error, call, url, route) from error.__cause__
        except BaseException:
            patience.abandon()
            raise
        reply = HttpReply(answer, route, patience)
        try:
            if reply.status == 407 and proxy is not None and url.scheme == "http":
                # Over plain HTTP the proxy answers in the server's place; a tunnel fails before this.
                raise proxy_refused("407 Proxy Authentication Required", route)
            yield reply
            reply.finish()
        finally:
            reply.close()
            patience.idle = None  # a connection keeps its opener's patience, which must not keep the caller

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
                context = _tls.tls_context(network, self._environ) if url.scheme == "https" else None
                pool = self._pools[key] = self._new_pool(network, proxy, context)
        return pool

    def _new_pool(
        self,
        network: Network,
        proxy: Proxy | None,
        context: ssl.SSLContext | None,
        witness: Callable[[bytes], None] | None = None,
    ) -> httpcore.ConnectionPool:
        by, handshakes = None, int(context is not None)
        if proxy is not None:
            secure = proxy.scheme == "https"
            handshakes += secure
            by = httpcore.Proxy(
                url=httpcore.URL(scheme=proxy.scheme, host=proxy.host, port=proxy.port, target="/"),
                auth=(proxy.auth[0].encode(), proxy.auth[1].encode()) if proxy.auth else None,
                ssl_context=_tls.tls_context(network, self._environ, client_cert=False) if secure else None,
            )
        return httpcore.ConnectionPool(
            ssl_context=context,
            proxy=by,
            max_connections=None,
            keepalive_expiry=_KEPT,
            network_backend=Backend(self._lookup, handshakes, witness),
        )

    def _named(self, error: TLSError, call: Call, url: httpx.URL, route: Route) -> TLSError:
        """``error`` with the name of an issuer who is not trusted: in a company it tells which certificate to add.

        OpenSSL does not hand out what it refused, so a second handshake looks at it; nothing else is sent.
        """
        error.trusted = _tls.trusted_by(call.network, self._environ)
        error.other_bundle = next(
            ((name, path) for name in _OTHER_BUNDLES if (path := self._environ.get(name))), ("", "")
        )
        if error.cause != "issuer":
            return error
        seen: list[bytes] = []
        waits = replace(call.network, connect_timeout=min(call.network.connect_timeout, _LOOK))
        patience = Patience(waits)
        with self._new_pool(waits, route.proxy, _tls.blind(), seen.append) as pool:
            with contextlib.suppress(CoreError), translated(route, patience):
                pool.handle_request(_in_httpcore(httpx.Request("GET", url), patience, None))
            patience.abandon()
        name = issuer(seen[0]) if seen else ""
        if name:
            error.explain(f"issued by {name}")
        return error


_OTHER_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")


def _close(pools: dict[object, httpcore.ConnectionPool]) -> None:
    for pool in list(pools.values()):
        pool.close()
    pools.clear()


def _url(call: Call) -> httpx.URL:
    whose = call.provider or "the server"
    try:
        url = httpx.URL(call.url)
        check_host(url.raw_host.decode("ascii"))
        url.host  # noqa: B018 - decodes an internationalised name, which may not be one
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
