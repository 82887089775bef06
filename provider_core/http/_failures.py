"""What can go wrong on the way, in the core's own errors; nothing of httpx's or httpcore's leaves this room."""

from __future__ import annotations

import contextlib
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpcore
import socksio

from provider_core.errors import (
    ConnectError,
    ConnectionLostError,
    DeadlineError,
    InvalidInputError,
    ProtocolError,
    TLSError,
)
from provider_core.http._library import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provider_core.errors import CoreError, NetworkError
    from provider_core.http._patience import Patience
    from provider_core.http._proxies import Proxy

__all__ = ["Route", "translated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Who is asked and by what way, for sentences: no path, no query, no password."""

    provider: str | None
    scheme: str
    host: str
    address: str
    """Host and port, as a URL has them."""
    proxy: Proxy | None
    loopback: bool
    connect_timeout: float

    @property
    def who(self) -> str:
        return self.provider or self.address

    @property
    def where(self) -> str:
        return f"{self.scheme}://{self.address}"

    @property
    def by(self) -> str:
        return f" through the proxy {self.proxy}" if self.proxy else ""


@contextlib.contextmanager
def translated(route: Route, patience: Patience) -> Iterator[None]:
    """Turn every exception of httpx, httpcore, socksio and the sockets into one of the core's."""
    try:
        yield
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.ProxyError,
        httpcore.UnsupportedProtocol,
        httpcore.ConnectionNotAvailable,
        httpx.HTTPError,
        httpx.StreamError,
        httpx.InvalidURL,
        httpx.CookieConflict,
        socksio.SOCKSError,
        OSError,
    ) as error:
        raise _translation(error, route, patience) from error
    except AssertionError as error:
        # httpcore asserts that a SOCKS proxy answers with what was asked for.
        if route.proxy is None or route.proxy.scheme != "socks5":
            raise
        raise _translation(socksio.SOCKSError(), route, patience) from error


def _translation(error: Exception, route: Route, patience: Patience) -> CoreError:
    match error:
        case httpcore.TimeoutException() | httpx.TimeoutException() | TimeoutError():
            return _late(error, route, patience)
        case httpcore.ProxyError() | httpx.ProxyError():
            return _proxy(str(error), route)
        case socksio.SOCKSError():
            text = (
                f"the proxy {route.proxy} on the way to {route.where} does not answer as a SOCKS5 proxy does"
            )
            return _of(ConnectError, text, route, transient=False)
        case (
            httpcore.UnsupportedProtocol()
            | httpcore.LocalProtocolError()
            | httpx.UnsupportedProtocol()
            | httpx.LocalProtocolError()
            | httpx.InvalidURL()
            | httpx.CookieConflict()
        ):
            # Their texts may quote a header, and with it the key.
            return InvalidInputError(
                f"the request to {route.who} is not one that HTTP can carry", provider=route.provider
            )
        case httpx.DecodingError():
            return ProtocolError(f"{route.who} sent a body that does not decompress", provider=route.provider)
        case httpcore.ConnectError() | httpx.ConnectError():
            return _unconnected(_cause(error), route)
        case httpcore.RemoteProtocolError() | httpx.RemoteProtocolError() if not patience.ended:
            text = f"{route.who} answered with something that is not HTTP"
            return ProtocolError(text, provider=route.provider)
        case _:
            return _lost(_cause(error), route, patience)


def _of(kind: type[ConnectError | TLSError], text: str, route: Route, *, transient: bool) -> ConnectError:
    return kind(text, provider=route.provider, url=route.where, transient=transient)


def _late(error: Exception, route: Route, patience: Patience) -> DeadlineError:
    seconds, phase = patience.limit, patience.phase
    match error:
        case httpcore.ConnectTimeout() | httpx.ConnectTimeout():
            seconds = route.connect_timeout
            text = f"no connection to {route.where}{route.by} within {seconds:g} s"
            return DeadlineError(
                text, provider=route.provider, url=route.where, phase="connect", seconds=seconds
            )
        case httpcore.WriteTimeout() | httpx.WriteTimeout():
            seconds = patience.writing()
            text = f"{route.who} did not take the request for {seconds:g} s"
            return DeadlineError(
                text, provider=route.provider, url=route.where, phase="idle", seconds=seconds
            )
    if phase == "first byte":
        text = f"{route.who} sent nothing for {seconds:g} s"
        return DeadlineError(text, provider=route.provider, url=route.where, phase=phase, seconds=seconds)
    text = f"{route.who} fell silent in the middle of its answer for {seconds:g} s"
    return DeadlineError(text, provider=route.provider, url=route.where, phase="idle", seconds=seconds)


def _proxy(words: str, route: Route) -> ConnectError:
    """``words`` are httpcore's: a status with its phrase, or what a SOCKS reply means."""
    by, status = f"the proxy {route.proxy} on the way to {route.where}", words[:3]
    if status == "407" or words.startswith(("Invalid username", "Requested ")):
        return _of(
            ConnectError,
            f"{by} demands another user and password ({words.rstrip('.')})",
            route,
            transient=False,
        )
    transient = status in ("502", "503", "504") or not status.isdigit()
    return _of(ConnectError, f"{by} refused: {words.rstrip('.')}", route, transient=transient)


def _unconnected(cause: BaseException, route: Route) -> ConnectError:
    first = f"the proxy {route.proxy} on the way to {route.where}" if route.proxy else route.where
    match cause:
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            text = f"{route.where} closed the connection while it was being secured"
            return _of(ConnectError, text, route, transient=True)
        case ssl.SSLError():
            return _unsecured(cause, route)
        case socket.gaierror():
            host = route.proxy.host if route.proxy else route.host
            of = " of the proxy" if route.proxy else ""
            for_now = cause.errno == socket.EAI_AGAIN
            text = f"the name {host}{of} {'cannot be looked up now' if for_now else 'does not resolve'}"
            return _of(ConnectError, text, route, transient=for_now)
        case ConnectionRefusedError() if route.proxy:
            return _of(ConnectError, f"{first} is not running (connection refused)", route, transient=False)
        case ConnectionRefusedError():
            # On this machine the server is simply not running; elsewhere it may be about to be back.
            text = f"nothing listens at {first} (connection refused)"
            return _of(ConnectError, text, route, transient=not route.loopback)
        case _:
            return _of(ConnectError, f"no connection to {first}: {_words(cause)}", route, transient=True)


def _unsecured(error: ssl.SSLError, route: Route) -> TLSError:
    reason = (error.reason or "").lower().replace("_", " ")
    if isinstance(error, ssl.SSLCertVerificationError):
        text = f"the certificate of {route.where} is not trusted: {error.verify_message.rstrip('.')}"
    elif "certificate required" in reason or "handshake failure" in reason:
        text = f"{route.where} did not accept the connection without a fitting client certificate ({reason})"
    elif reason in ("wrong version number", "record layer failure", "packet length too long", "http request"):
        text = f"{route.where} does not speak TLS: is it http:// there?"
    else:
        text = f"the connection to {route.where} could not be secured: {reason or error}"
    return TLSError(text, provider=route.provider, url=route.where, transient=False)


def _lost(cause: BaseException, route: Route, patience: Patience) -> NetworkError:
    # With TLS 1.3 a server says only after the handshake that it does not like the client's certificate.
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return _unsecured(cause, route)
    when = "in the middle of its answer" if patience.received else "before it answered"
    return ConnectionLostError(
        f"{route.who} closed the connection {when}",
        provider=route.provider,
        url=route.where,
        received=patience.received,
    )


def _cause(error: BaseException) -> BaseException:
    """The exception of the socket or of TLS that all others were made from."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def _words(error: BaseException) -> str:
    words = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return words[:1].lower() + words[1:]
