"""HTTP over real sockets: the one room that knows httpx; what the bytes mean is not decided here.

httpx's own transport has one read timeout for a whole answer. A chat needs two: loading and thinking may
take minutes before the first byte, while silence in the middle of an answer means a dead connection. So the
transport here is httpx's interface over an httpcore pool with a network backend that knows the phase.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit
from urllib.request import getproxies

import httpcore
import httpx

from provider_core.errors import (
    ConnectError,
    ConnectionLostError,
    DeadlineError,
    InvalidInputError,
    NetworkError,
    ProtocolError,
    SettingsError,
    TLSError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from provider_core.types import Call, Network

__all__ = ["HttpTransport", "Proxies"]


class HttpTransport:
    """Sends calls over pooled connections; never follows a redirect, keeps no cookies, reads no netrc.

    One instance may be used by several threads. ``environ`` is where proxies and certificate paths are
    looked up.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._pools: dict[tuple[object, ...], httpcore.ConnectionPool] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def send(self, call: Call) -> Iterator[HttpReply]:
        """Send ``call``; the body is read inside the context, and leaving it closes the connection."""
        limit = _ReadLimit(call.network.first_byte_timeout)
        with _translated(call, limit, lambda: 0):
            request = httpx.Request(
                call.method,
                call.url,
                # Compression would hold tokens back until the encoder flushes.
                headers={"accept-encoding": "identity", **call.headers},
                content=call.body if call.method == "POST" else None,
                extensions={
                    "timeout": {
                        "connect": call.network.connect_timeout,
                        "read": limit,
                        "write": call.network.idle_timeout,
                        "pool": None,
                    }
                },
            )
            response = _PoolTransport(self._pool(call)).handle_request(request)
        response.request = request
        try:
            yield HttpReply(response, call, limit)
        finally:
            response.close()

    def close(self) -> None:
        """Close all connections that are kept for reuse."""
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.close()

    def _pool(self, call: Call) -> httpcore.ConnectionPool:
        network = call.network
        proxy = Proxies(self._environ).choose(call.url, network.proxy)
        https = call.url.startswith("https:") or (proxy or "").startswith("https:")
        key = (proxy, https, network.ca_bundle, network.client_cert)
        with self._lock:
            pool = self._pools.get(key)
            if pool is None:
                pool = self._pools[key] = httpcore.ConnectionPool(
                    ssl_context=_ssl_context(network, self._environ) if https else None,
                    proxy=_proxy(proxy) if proxy else None,
                    network_backend=_Backend(),
                )
        return pool


class HttpReply:
    """An HTTP answer whose body is still to come."""

    def __init__(self, response: httpx.Response, call: Call, limit: _ReadLimit) -> None:
        self._response = response
        self._call = call
        self._limit = limit

    @property
    def status(self) -> int:
        return self._response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    def chunks(self) -> Iterator[bytes]:
        received = 0
        with _translated(self._call, self._limit, lambda: received):
            for chunk in self._response.iter_bytes():
                self._limit.now = self._call.network.idle_timeout
                received += len(chunk)
                yield chunk


class Proxies:
    """Which proxy an address goes through, by the environment's variables and a provider's own setting."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def choose(self, url: str, configured: str | None = None) -> str | None:
        """The proxy's URL for ``url``, or None. Loopback never goes through one.

        ``http_proxy``, ``https_proxy`` and ``all_proxy`` count in either case, lower case first, as curl
        reads them; ``socks://`` is taken as SOCKS5, a bare ``host:port`` as an HTTP proxy.
        """
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        if is_loopback(host):
            return None
        if configured:
            return _proxy_url(configured)
        if self._bypassed(host, parts.port):
            return None
        for name in (f"{parts.scheme}_proxy", "all_proxy"):
            value = self._get(name)
            if value is not None:
                return _proxy_url(value) if value.strip() else None
        if self._environ is os.environ and not any(n.lower().endswith("_proxy") for n in self._environ):
            # macOS and Windows keep proxies in the system's settings.
            system = getproxies()
            value = system.get(parts.scheme)
            return _proxy_url(value) if value else None
        return None

    def _get(self, name: str) -> str | None:
        # A CGI server puts a client's "Proxy:" header into HTTP_PROXY (httpoxy): lower case only there.
        if name == "http_proxy" and "REQUEST_METHOD" in self._environ:
            return self._environ.get(name)
        return self._environ.get(name, self._environ.get(name.upper()))

    def _bypassed(self, host: str, port: int | None) -> bool:
        for entry in (self._get("no_proxy") or "").split(","):
            pattern = entry.strip().lower()
            if not pattern:
                continue
            if pattern == "*":
                return True
            if "/" in pattern and _in_network(host, pattern):
                return True
            name, colon, number = pattern.rpartition(":")
            if colon and number.isdigit() and not name.count(":"):
                if port is not None and int(number) != port:
                    continue
                pattern = name
            pattern = pattern.strip("[]").lstrip("*").lstrip(".")
            if host == pattern or host.endswith("." + pattern):
                return True
        return False


def is_loopback(host: str) -> bool:
    """Whether ``host`` (a name or an address) is this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _in_network(host: str, pattern: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        return False


def _proxy_url(value: str) -> str:
    url = value.strip()
    if "://" not in url:
        url = f"http://{url}"
    scheme, _, rest = url.partition("://")
    scheme = {"socks": "socks5", "socks5h": "socks5"}.get(scheme.lower(), scheme.lower())
    if scheme not in ("http", "https", "socks5"):
        raise SettingsError(
            f"the proxy {scheme}://… is of a kind that is not supported (http, https and socks5 are)"
        )
    if not urlsplit(f"{scheme}://{rest}").hostname:
        raise SettingsError("the proxy setting names no host")
    return f"{scheme}://{rest}"


def _proxy(url: str) -> httpcore.Proxy:
    parsed = httpx.Proxy(url)  # takes user and password out of the URL
    auth = None
    if parsed.auth is not None:
        auth = (parsed.auth[0].encode(), parsed.auth[1].encode())
    return httpcore.Proxy(url=str(parsed.url), auth=auth)


def _ssl_context(network: Network, environ: Mapping[str, str]) -> ssl.SSLContext:
    bundle = network.ca_bundle
    try:
        if bundle is not None:
            context = ssl.create_default_context(
                cafile=None if bundle.is_dir() else bundle, capath=bundle if bundle.is_dir() else None
            )
        elif environ.get("SSL_CERT_FILE") or environ.get("SSL_CERT_DIR"):
            context = ssl.create_default_context(
                cafile=environ.get("SSL_CERT_FILE") or None, capath=environ.get("SSL_CERT_DIR") or None
            )
        else:
            import truststore

            context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if network.client_cert is not None:
            context.load_cert_chain(network.client_cert)
    except (OSError, ssl.SSLError) as error:
        where = _culprit(network.client_cert, bundle, environ)
        raise SettingsError(f"the certificates in {where} cannot be used: {error}") from error
    return context


def _culprit(client_cert: Path | None, bundle: Path | None, environ: Mapping[str, str]) -> str:
    named = bundle or environ.get("SSL_CERT_FILE") or environ.get("SSL_CERT_DIR")
    return " or ".join(str(path) for path in (named, client_cert) if path)


class _ReadLimit(float):
    """A read timeout that can change while an answer arrives: ``now`` is the one in force.

    httpcore reads the timeout once per body and hands it on to the network stream as it is.
    """

    now: float

    def __new__(cls, seconds: float) -> Self:
        self = super().__new__(cls, seconds)
        self.now = seconds
        return self


class _Stream(httpcore.NetworkStream):
    """A connection whose reads wait as long as the phase of the answer allows."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, timeout.now if isinstance(timeout, _ReadLimit) else timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.connect_tcp(host, port, timeout, local_address, socket_options))


class _PoolTransport(httpx.BaseTransport):
    """httpx's transport interface over a given httpcore pool."""

    def __init__(self, pool: httpcore.ConnectionPool) -> None:
        self._pool = pool

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer),
            extensions=answer.extensions,
        )


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._answer.iter_stream())

    def close(self) -> None:
        self._answer.close()


@contextlib.contextmanager
def _translated(call: Call, limit: _ReadLimit, received: Callable[[], int]) -> Iterator[None]:
    """Turn every exception of httpx, httpcore and the socket layer into one of the core's."""
    try:
        yield
    except (httpcore.TimeoutException, httpx.TimeoutException) as error:
        raise _deadline(error, call, limit, received() > 0) from error
    except (httpcore.ProxyError, httpcore.ConnectError, httpcore.UnsupportedProtocol) as error:
        raise _connect(error, call) from error
    except (
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpx.TransportError,
        httpx.StreamError,
        OSError,
    ) as error:
        raise _lost(error, call, received()) from error
    except httpx.DecodingError as error:
        raise ProtocolError(
            f"{_who(call)} sent a body that does not decompress", provider=call.provider
        ) from error
    except (httpx.InvalidURL, UnicodeError) as error:
        raise InvalidInputError(
            f"{_where(call)} is no usable address: {error}", provider=call.provider
        ) from error


def _deadline(error: Exception, call: Call, limit: _ReadLimit, begun: bool) -> NetworkError:
    if isinstance(error, httpcore.ConnectTimeout):
        seconds = call.network.connect_timeout
        text = f"no connection to {_where(call)} within {seconds:g} s"
        phase = "connect"
    elif begun:
        seconds, phase = limit.now, "idle"
        text = f"{_who(call)} fell silent in the middle of its answer for {seconds:g} s"
    else:
        seconds, phase = limit.now, "first byte"
        text = f"{_who(call)} sent nothing for {seconds:g} s"
    return DeadlineError(text, provider=call.provider, url=_where(call), phase=phase, seconds=seconds)


def _connect(error: Exception, call: Call) -> NetworkError:
    cause = _root(error)
    where = _where(call)
    if isinstance(cause, ssl.SSLError):
        reason = getattr(cause, "verify_message", "") or cause.reason or str(cause)
        return TLSError(
            f"the secure connection to {where} was not accepted: {reason}", provider=call.provider, url=where
        )
    if isinstance(cause, socket.gaierror):
        host = urlsplit(call.url).hostname
        return ConnectError(f"the name {host} does not resolve", provider=call.provider, url=where)
    if isinstance(cause, ConnectionRefusedError):
        return ConnectError(
            f"nothing listens at {where} (connection refused)", provider=call.provider, url=where
        )
    if isinstance(error, httpcore.ProxyError):
        return ConnectError(
            f"the proxy on the way to {where} refused: {cause}", provider=call.provider, url=where
        )
    return ConnectError(f"no connection to {where}: {_words(cause)}", provider=call.provider, url=where)


def _lost(error: Exception, call: Call, received: int) -> NetworkError:
    cause = _root(error)
    if isinstance(cause, httpcore.LocalProtocolError):
        return NetworkError(f"the request cannot be sent: {cause}", provider=call.provider, url=_where(call))
    when = "in the middle of its answer" if received else "before it answered"
    return ConnectionLostError(
        f"{_who(call)} closed the connection {when}",
        provider=call.provider,
        url=_where(call),
        received=received,
    )


def _root(error: BaseException) -> BaseException:
    while True:
        cause = error.__cause__ or error.__context__
        if cause is None:
            return error
        error = cause


def _words(error: BaseException) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _who(call: Call) -> str:
    return call.provider or urlsplit(call.url).netloc.rpartition("@")[2]


def _where(call: Call) -> str:
    parts = urlsplit(call.url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
