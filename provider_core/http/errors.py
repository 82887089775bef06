"""The errors of httpcore, httpx and sockets, turned into telex's own."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, NoReturn

import httpcore
import socksio

from provider_core import errors
from provider_core.http import is_loopback

if TYPE_CHECKING:
    from provider_core.http import Route
    from provider_core.http.connections import Deadline

_TLS_CAUSES = {
    **dict.fromkeys((2, 18, 19, 20, 21), "issuer"),
    **dict.fromkeys((9, 10), "dates"),
    **dict.fromkeys((62, 64), "name"),
}
"""OpenSSL's X509_V_ERR codes: issuer missing, self-signed or unknown; not valid now; for another host."""


def raise_mapped(error: Exception, route: Route, deadline: Deadline) -> NoReturn:
    """Raise the ``CoreError`` for an exception of httpcore, httpx, socksio or a socket; any other one as it is."""
    if isinstance(error, AssertionError):
        # httpcore asserts that a SOCKS proxy's answer is of the expected kind.
        if route.proxy is None or route.proxy.scheme != "socks5":
            raise error
        raise _mapped(socksio.SOCKSError(), route, deadline) from error
    if not (isinstance(error, OSError) or _is_from(error, "httpcore", "httpx", "socksio")):
        raise error
    mapped = _mapped(error, route, deadline)
    # The libraries quote what they could not send or read, which may contain the key.
    raise mapped from None if isinstance(mapped, errors.InvalidInputError | errors.ProtocolError) else error


def _is_from(error: Exception, *libraries: str) -> bool:
    return any(each.__module__.partition(".")[0] in libraries for each in type(error).__mro__)


def _mapped(error: Exception, route: Route, deadline: Deadline) -> errors.CoreError:
    connecting = deadline.phase == "connect"
    names = [each.__name__ for each in type(error).__mro__]
    same = error
    if _is_from(error, "httpx"):  # its errors have the names of httpcore's
        same = next((getattr(httpcore, name)() for name in names if hasattr(httpcore, name)), error)
    match same:
        case httpcore.TimeoutException() | TimeoutError() as timeout:
            return _timed_out(timeout, route, deadline)
        case httpcore.ProxyError():
            return proxy_error(str(error).rstrip("."), route)
        case socksio.SOCKSError():
            return _connect_error(f"{route.first_hop} is not a SOCKS5 proxy", route)
        case httpcore.RemoteProtocolError() if route.proxy and connecting:
            return _connect_error(f"{route.first_hop} is not an HTTP proxy", route)
        case httpcore.RemoteProtocolError() if not deadline.closed_by_server:
            text = f"{route.name} answered with something that is not HTTP"
            return errors.ProtocolError(text, provider=route.provider, code="not_http")
        case httpcore.ConnectError():
            return _unconnected(_root_cause(error), route)
        case httpcore.NetworkError() if connecting:
            return _unconnected(_root_cause(error), route)
        case _ if "DecodingError" in names:
            return errors.ProtocolError(
                f"{route.name} sent a body that does not decompress", provider=route.provider
            )
        case httpcore.UnsupportedProtocol() | httpcore.LocalProtocolError():
            pass
        case _ if not {"InvalidURL", "CookieConflict"}.intersection(names):
            return _lost(_root_cause(error), route, deadline)
    text = f"the request to {route.name} has a URL or a header that is not valid in HTTP"
    return errors.InvalidInputError(text, provider=route.provider)


def _timed_out(error: Exception, route: Route, deadline: Deadline) -> errors.DeadlineError:
    phase, seconds = "idle", deadline.limit
    if isinstance(error, httpcore.WriteTimeout):
        seconds = deadline.write()
        text = f"{route.name} timed out: it accepted no data for {seconds:g} s"
    elif deadline.phase == "connect" or isinstance(error, httpcore.ConnectTimeout):
        phase, seconds = "connect", deadline.network.connect_timeout
        by = f" through the proxy {route.proxy}" if route.proxy else ""
        text = f"no connection to {route.url}{by} within {seconds:g} s"
    elif deadline.phase == "first byte":
        phase = "first byte"
        text = f"{route.name} timed out: it sent no data for {seconds:g} s"
    else:
        text = f"{route.name} timed out: it stopped in the middle of the answer for {seconds:g} s"
    return errors.DeadlineError(text, provider=route.provider, url=route.url, phase=phase, seconds=seconds)


def _connect_error(
    text: str, route: Route, *, transient: bool = False, login: bool = False
) -> errors.ConnectError:
    return errors.ConnectError(
        text,
        provider=route.provider,
        url=route.url,
        transient=transient,
        proxy=route.proxy_source if route.proxy else "",
        login=login,
    )


def proxy_error(words: str, route: Route) -> errors.ConnectError:
    """The error for a proxy's refusal; ``words`` are a status with its phrase, or the meaning of a SOCKS reply."""
    status = words[:3]
    if status == "407" or words.startswith(("Invalid username", "Requested ")):
        which = "another" if route.proxy and route.proxy.auth else "a"
        return _connect_error(
            f"{route.first_hop} requires {which} user name and password ({words})", route, login=True
        )
    transient = status in ("502", "503", "504") or not status.isdigit()
    return _connect_error(f"{route.first_hop} refused: {words}", route, transient=transient)


def _unconnected(cause: BaseException, route: Route) -> errors.ConnectError:
    match cause:
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            text = f"{route.url} closed the connection during the TLS handshake"
            return _connect_error(text, route, transient=True)
        case ssl.SSLError():
            return _tls_error(cause, route)
        case socket.gaierror():
            name = f"{route.proxy.host} of the proxy" if route.proxy else route.host
            for_now = cause.errno == socket.EAI_AGAIN
            text = f"the host {name} cannot be looked up now" if for_now else f"unknown host: {name}"
            return _connect_error(text, route, transient=for_now)
        case ConnectionRefusedError() if route.proxy:
            return _connect_error(f"cannot connect to {route.first_hop}: connection refused", route)
        case ConnectionRefusedError():
            # A server on this machine is not running; one elsewhere may be about to restart.
            text = f"cannot connect to {route.url}: connection refused"
            return _connect_error(text, route, transient=not is_loopback(route.host))
        case _:
            words = (
                (cause.strerror if isinstance(cause, OSError) else None) or str(cause) or type(cause).__name__
            )
            text = f"cannot connect to {route.first_hop}: {words[:1].lower()}{words[1:]}"
            return _connect_error(text, route, transient=True)


def _tls_error(error: ssl.SSLError, route: Route) -> errors.TLSError:
    reason, cause = (error.reason or "").lower().replace("_", " "), ""
    if isinstance(error, ssl.SSLCertVerificationError):
        cause = _TLS_CAUSES.get(error.verify_code, "")
        text = f"the certificate of {route.url} is not trusted: {error.verify_message.rstrip('.')}"
    elif "certificate required" in reason or "handshake failure" in reason:
        cause = "client"
        text = f"{route.url} requires a client certificate that it trusts ({reason})"
    elif reason in ("wrong version number", "record layer failure", "packet length too long", "http request"):
        cause = "plain"
        text = f"{route.url} does not use https"
    else:
        text = f"the TLS handshake with {route.url} failed: {reason or error}"
    mapped = errors.TLSError(text, provider=route.provider, url=route.url, transient=False)
    mapped.cause = cause
    return mapped


def _lost(cause: BaseException, route: Route, deadline: Deadline) -> errors.NetworkError:
    # With TLS 1.3 a server refuses the client's certificate only after the handshake.
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return _tls_error(cause, route)
    when = "in the middle of its answer" if deadline.received else "before it answered"
    text = f"{route.name} closed the connection {when}"
    return errors.ConnectionLostError(
        text, provider=route.provider, url=route.url, received=deadline.received
    )


def _root_cause(error: BaseException) -> BaseException:
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error
