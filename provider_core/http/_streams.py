"""Sockets as httpcore wants them, with waits that follow the phase of the call; HTTP itself is not known here."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import httpcore

from provider_core.http._connect import connect
from provider_core.http._patience import Patience

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from provider_core.http._connect import Lookup

__all__ = ["Backend"]

_T = TypeVar("_T")

_MOMENT = 0.003
"""Seconds in which a server that answers at once has done so: what else there is to do would only delay it."""


class Backend(httpcore.NetworkBackend):
    """Opens the connections of one pool.

    ``handshakes`` is how many times TLS begins on each: until the last one, whatever is read is part of
    connecting, such as a proxy's answer to CONNECT. With ``witness`` nothing comes after that last one: the
    server's certificate is handed over in DER, and the connection ends.
    """

    def __init__(
        self, lookup: Lookup, handshakes: int, witness: Callable[[bytes], None] | None = None
    ) -> None:
        self._lookup = lookup
        self._handshakes = handshakes
        self._witness = witness

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        if not isinstance(timeout, Patience):
            raise TypeError("calls come with a Patience as their timeouts")
        with _told(httpcore.ConnectTimeout, httpcore.ConnectError):
            # In a URL the zone of an IPv6 address comes after %25 (RFC 6874).
            zoned = host.replace("%25", "%", 1) if ":" in host else host
            connected = connect(zoned, port, timeout, self._lookup)
        return _Stream(connected, timeout, self._handshakes, self._witness)


class _Stream(httpcore.NetworkStream):
    def __init__(
        self,
        connected: socket.socket | _Nested,
        patience: Patience,
        handshakes: int,
        witness: Callable[[bytes], None] | None,
    ) -> None:
        self._socket = connected
        self._opener = patience
        self._handshakes = handshakes
        self._witness = witness
        patience.opened(self)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        # SOCKS hands on no timeout: it belongs to connecting too.
        if self._handshakes or not isinstance(timeout, Patience):
            with _told(httpcore.ConnectTimeout, httpcore.ConnectError):
                self._socket.settimeout(self._opener.connecting())
                if not (data := self._socket.recv(max_bytes)):
                    raise ConnectionAbortedError("it closed the connection")
                return data
        with _told(httpcore.ReadTimeout, httpcore.ReadError):
            if timeout.idle is not None:
                self._use_the_wait(timeout)
            self._socket.settimeout(timeout.reading())
            data = self._socket.recv(max_bytes)
            timeout.ended = not data
            return data

    def _use_the_wait(self, patience: Patience) -> None:
        """Let whoever called do something else, unless the answer is there at once."""
        idle = patience.idle
        if patience.received or idle is None:
            patience.idle = None
            return
        # The head may be there at once, and the body be thought about.
        pending = self._socket.pending() if isinstance(self._socket, ssl.SSLSocket) else 0
        if not pending and not self._is_readable(_MOMENT):
            patience.idle = None
            patience.reading()  # the time of the wait runs from here
            idle()

    def _is_readable(self, seconds: float) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            return bool(selector.select(seconds))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        patience = timeout if isinstance(timeout, Patience) else self._opener
        rest = memoryview(buffer)
        with _told(httpcore.WriteTimeout, httpcore.WriteError):
            while rest:
                self._socket.settimeout(patience.writing())
                rest = rest[self._socket.send(rest) :]

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        secured: ssl.SSLSocket | _Nested
        with _told(httpcore.ConnectTimeout, httpcore.ConnectError):
            try:
                self._socket.settimeout(self._opener.connecting())
                if isinstance(self._socket, socket.socket) and not isinstance(self._socket, ssl.SSLSocket):
                    secured = ssl_context.wrap_socket(self._socket, server_hostname=server_hostname)
                else:
                    secured = _Nested(self._socket, ssl_context, server_hostname)
            except BaseException:
                self._socket.close()
                raise
        if self._witness is not None and self._handshakes == 1:
            self._witness(secured.getpeercert(binary_form=True) or b"")
            secured.close()
            raise httpcore.ConnectError("the certificate was all that was wanted")
        return _Stream(secured, self._opener, self._handshakes - 1, self._witness)

    def close(self) -> None:
        self._socket.close()

    def get_extra_info(self, info: str) -> Any:
        match info:
            case "ssl_object":
                return self._socket if isinstance(self._socket, ssl.SSLSocket | _Nested) else None
            case "is_readable":  # an idle connection that is readable has been closed by the server
                return self._is_readable(0)
            case _:
                return None


class _Nested:
    """TLS inside TLS, which ``wrap_socket`` cannot do: a secure server behind a secure proxy."""

    def __init__(self, outer: socket.socket | _Nested, context: ssl.SSLContext, hostname: str | None) -> None:
        self._outer = outer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)
        self._carry(self._tls.do_handshake)

    def recv(self, size: int) -> bytes:
        try:
            return self._carry(lambda: self._tls.read(size))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def send(self, data: memoryview) -> int:
        return self._carry(lambda: self._tls.write(data[: 1 << 16]))

    def settimeout(self, seconds: float) -> None:
        self._outer.settimeout(seconds)

    def selected_alpn_protocol(self) -> str | None:
        return self._tls.selected_alpn_protocol()

    def getpeercert(self, *, binary_form: Literal[True]) -> bytes | None:
        return self._tls.getpeercert(binary_form)

    def fileno(self) -> int:
        return self._outer.fileno()

    def close(self) -> None:
        self._outer.close()

    def _carry(self, step: Callable[[], _T]) -> _T:
        """Do ``step`` of the inner TLS, and take its records through the outer one as often as it asks."""
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                self._flush()
                records = self._outer.recv(1 << 16)
                if records:
                    self._incoming.write(records)
                else:
                    self._incoming.write_eof()
            else:
                self._flush()
                return done

    def _flush(self) -> None:
        waiting = memoryview(self._outgoing.read())
        while waiting:
            waiting = waiting[self._outer.send(waiting) :]


@contextlib.contextmanager
def _told(late: type[Exception], broken: type[Exception]) -> Iterator[None]:
    """Errors of sockets and TLS in httpcore's words, which its own handling depends on."""
    try:
        yield
    except TimeoutError as error:
        raise late(str(error)) from error
    except (OSError, ValueError) as error:  # ValueError: a host that no certificate can name
        raise broken(str(error)) from error
