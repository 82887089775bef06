"""What can go wrong on the way, in the core's own errors; nothing of httpx's or httpcore's leaves this room."""

from __future__ import annotations

import contextlib
import socket
import ssl
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
from provider_core.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provider_core.errors import CoreError, NetworkError
    from provider_core.http._patience import Patience
    from provider_core.http._proxies import Proxy

__all__ = ["Route", "proxy_refused", "translated"]

_REFUSED = {
    **dict.fromkeys((2, 18, 19, 20, 21), "issuer"),
    **dict.fromkeys((9, 10), "dates"),
    **dict.fromkeys((62, 64), "name"),
}
"""OpenSSL's X509_V_ERR codes: an issuer that is missing, self-signed or not found; not valid now; for another host."""


class Route(Struct):
    """Who is asked and by what way, for sentences: no path, no query, no password."""

    provider: str | None
    scheme: str
    host: str
    address: str
    """Host and port, as a URL has them."""
    proxy: Proxy | None
    proxy_source: str
    """The setting or variable that names the proxy."""
    loopback: bool
    connect_timeout: float

    @property
    def who(self) -> str:
        return self.provider or self.address

    @property
    def where(self) -> str:
        return f"{self.scheme}://{self.address}"

    @property
    def first(self) -> str:
        """Whom the connection is made to."""
        return f"the proxy {self.proxy} on the way to {self.where}" if self.proxy else self.where


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
        told = _translation(error, route, patience)
        # The libraries quote what they could not send or read, and a key may stand in it.
        raise told from None if isinstance(told, InvalidInputError | ProtocolError) else error
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
            return proxy_refused(str(error).rstrip("."), route)
        case socksio.SOCKSError():
            return _unreached(f"{route.first} does not answer as a SOCKS5 proxy does", route)
        case httpcore.RemoteProtocolError() if route.proxy and patience.phase == "connect":
            return _unreached(f"{route.first} does not answer as an HTTP proxy does", route)
        case httpcore.RemoteProtocolError() | httpx.RemoteProtocolError() if not patience.ended:
            text = f"{route.who} answered with something that is not HTTP"
            return ProtocolError(text, provider=route.provider, code="not_http")
        case httpcore.ConnectError() | httpx.ConnectError():
            return _unconnected(_cause(error), route)
        case httpx.DecodingError():
            return ProtocolError(f"{route.who} sent a body that does not decompress", provider=route.provider)
        case (
            httpcore.UnsupportedProtocol()
            | httpcore.LocalProtocolError()
            | httpx.UnsupportedProtocol()
            | httpx.LocalProtocolError()
            | httpx.InvalidURL()
            | httpx.CookieConflict()
        ):
            text = f"the request to {route.who} is not one that HTTP can carry"
            return InvalidInputError(text, provider=route.provider)
        case _:
            return _lost(_cause(error), route, patience)


def _late(error: Exception, route: Route, patience: Patience) -> DeadlineError:
    phase, seconds = "idle", patience.limit
    match error:
        case httpcore.ConnectTimeout() | httpx.ConnectTimeout():
            phase, seconds = "connect", route.connect_timeout
            by = f" through the proxy {route.proxy}" if route.proxy else ""
            text = f"no connection to {route.where}{by} within {seconds:g} s"
        case httpcore.WriteTimeout() | httpx.WriteTimeout():
            seconds = patience.writing()
            text = f"{route.who} did not take the request for {seconds:g} s"
        case _ if patience.phase == "first byte":
            phase = "first byte"
            text = f"{route.who} sent nothing for {seconds:g} s"
        case _:
            text = f"{route.who} fell silent in the middle of its answer for {seconds:g} s"
    return DeadlineError(text, provider=route.provider, url=route.where, phase=phase, seconds=seconds)


def _unreached(text: str, route: Route, *, transient: bool = False, login: bool = False) -> ConnectError:
    return ConnectError(
        text,
        provider=route.provider,
        url=route.where,
        transient=transient,
        proxy=route.proxy_source if route.proxy else "",
        login=login,
    )


def proxy_refused(words: str, route: Route) -> ConnectError:
    """The error for a proxy's refusal: ``words`` are a status with its phrase, or what a SOCKS reply means."""
    status = words[:3]
    if status == "407" or words.startswith(("Invalid username", "Requested ")):
        which = "another" if route.proxy and route.proxy.auth else "a"
        return _unreached(f"{route.first} demands {which} user and password ({words})", route, login=True)
    transient = status in ("502", "503", "504") or not status.isdigit()
    return _unreached(f"{route.first} refused: {words}", route, transient=transient)


def _unconnected(cause: BaseException, route: Route) -> ConnectError:
    match cause:
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            text = f"{route.where} closed the connection while it was being secured"
            return _unreached(text, route, transient=True)
        case ssl.SSLError():
            return _unsecured(cause, route)
        case socket.gaierror():
            name = f"{route.proxy.host} of the proxy" if route.proxy else route.host
            for_now = cause.errno == socket.EAI_AGAIN
            text = f"the name {name} {'cannot be looked up now' if for_now else 'does not resolve'}"
            return _unreached(text, route, transient=for_now)
        case ConnectionRefusedError() if route.proxy:
            return _unreached(f"{route.first} is not running (connection refused)", route)
        case ConnectionRefusedError():
            # On this machine the server is simply not running; elsewhere it may be about to be back.
            text = f"nothing listens at {route.where} (connection refused)"
            return _unreached(text, route, transient=not route.loopback)
        case _:
            text = f"no connection to {route.first}: {_words(cause)}"
            return _unreached(text, route, transient=True)


def _unsecured(error: ssl.SSLError, route: Route) -> TLSError:
    reason, cause = (error.reason or "").lower().replace("_", " "), ""
    if isinstance(error, ssl.SSLCertVerificationError):
        cause = _REFUSED.get(error.verify_code, "")
        text = f"the certificate of {route.where} is not trusted: {error.verify_message.rstrip('.')}"
    elif "certificate required" in reason or "handshake failure" in reason:
        cause = "client"
        text = f"{route.where} requires a client certificate that it trusts ({reason})"
    elif reason in ("wrong version number", "record layer failure", "packet length too long", "http request"):
        cause = "plain"
        text = f"{route.where} does not speak TLS"
    else:
        text = f"the connection to {route.where} could not be secured: {reason or error}"
    told = TLSError(text, provider=route.provider, url=route.where, transient=False)
    told.cause = cause
    return told


def _lost(cause: BaseException, route: Route, patience: Patience) -> NetworkError:
    # With TLS 1.3 a server says only after the handshake that it does not like the client's certificate.
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return _unsecured(cause, route)
    when = "in the middle of its answer" if patience.received else "before it answered"
    text = f"{route.who} closed the connection {when}"
    return ConnectionLostError(text, provider=route.provider, url=route.where, received=patience.received)


def _cause(error: BaseException) -> BaseException:
    """The exception of the socket or of TLS that all others were made from."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def _words(error: BaseException) -> str:
    words = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return words[:1].lower() + words[1:]
