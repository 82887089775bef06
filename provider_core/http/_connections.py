"""The connections below HTTP: deadlines, certificates, name lookup, sockets, and httpcore's view of them."""

from __future__ import annotations

import errno
import os
import queue
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from itertools import chain, zip_longest
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import httpcore
from httpcore._backends.sync import SyncStream

from provider_core import files
from provider_core.errors import SettingsError
from provider_core.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from provider_core.types import Network

# --- deadlines ---------------------------------------------------------------------------------------------

_MAX_WAIT = 7 * 86400.0
"""Seconds. An infinite timeout would not fit into the C type of a socket's."""


class Deadline(float):
    """The deadlines of one call, and how far the call has come.

    httpcore has one read timeout for a whole answer. A chat needs two: loading a model and reasoning may take
    minutes before the first byte, while silence in the middle of an answer means a dead connection. So this is a
    float: httpcore hands the timeouts of a request on to the network stream as they are, and the stream asks
    this one what is left. The methods return seconds, and raise ``TimeoutError`` when none are left.
    """

    def __new__(cls, network: Network) -> Self:
        return super().__new__(cls, network.first_byte_timeout)

    def __init__(self, network: Network) -> None:
        self._network = network
        self._connect_by: float | None = None
        self._read_by: float | None = None
        self._pause = _MAX_WAIT
        self._connection: httpcore.NetworkStream | None = None
        self.phase: Literal["connect", "first byte", "idle", "rest"] = "connect"
        self.limit: float = network.first_byte_timeout
        """Seconds that the current phase may take, or that a pause may take in the phase "idle"."""
        self.closed_by_server: bool = False
        self.received: int = 0
        """Bytes of the body so far."""
        self.idle_limited: bool = False
        """Whether a timeout is the end of the body and no error."""
        self.on_idle: Callable[[], None] | None = None
        """Called once, if nothing arrives for a moment after the request: there is time for other work."""

    def opened(self, connection: httpcore.NetworkStream) -> None:
        self._connection = connection

    def abandon(self) -> None:
        """Close the connection opened for this call: httpcore forgets one that fails behind a SOCKS proxy."""
        if self._connection is not None:
            self._connection.close()

    def connect(self) -> float:
        """Seconds left for name lookup, connection, proxy and TLS handshakes together."""
        if self._connect_by is None:
            self._connect_by = time.monotonic() + self._network.connect_timeout
        return _left(self._connect_by)

    def write(self) -> float:
        """Seconds that the server may refuse to take the next piece of the request."""
        if self.phase == "connect":
            self.phase = "first byte"
        return min(self._network.idle_timeout, _MAX_WAIT)

    def read(self) -> float:
        """Seconds left for the next read: one deadline until the body begins, then one for each pause."""
        if self._read_by is None:
            self._read_by = time.monotonic() + self.limit
        return min(self._pause, _left(self._read_by))

    def count(self, size: int) -> None:
        """Count ``size`` received bytes of the body."""
        self.received += size
        if self.phase == "first byte":
            self.limit_idle(None)

    def limit_idle(self, pause: float | None, total: float = inf) -> None:
        """Accept a pause of ``pause`` seconds, or ``total`` seconds from now, as the end; None undoes that."""
        self.idle_limited = pause is not None
        self.phase, self.limit = "idle", min(self._network.idle_timeout, inf if pause is None else pause)
        self._pause = min(self.limit, _MAX_WAIT)
        self._read_by = time.monotonic() + total

    def limit_total(self, seconds: float) -> None:
        """Give everything that is still to come ``seconds`` from now."""
        self.phase, self.limit, self._pause = "rest", seconds, _MAX_WAIT
        self._read_by = time.monotonic() + seconds


def _left(until: float) -> float:
    seconds = until - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return min(seconds, _MAX_WAIT)


# --- certificates ------------------------------------------------------------------------------------------


class Trust(Struct):
    """The trusted certificates: those of ``source``, a file or folder; "" is the operating system's store."""

    source: str = ""
    authorities: int | None = None
    """How many there are; None if that is unknown."""


def tls_context(network: Network, environ: Mapping[str, str], *, client_cert: bool = True) -> ssl.SSLContext:
    """A context that trusts ``ca_bundle``, else SSL_CERT_FILE and SSL_CERT_DIR, else the operating system's store.

    Raises ``SettingsError`` for files that cannot be used.
    """
    file, folders = _places(network.ca_bundle, environ)
    context: ssl.SSLContext
    if file is None and folders is None:
        import truststore

        context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    else:
        try:
            # OpenSSL ignores a missing folder, and every server would seem untrusted.
            if (
                file is None
                and folders
                and not any(Path(each).is_dir() for each in folders.split(os.pathsep))
            ):
                raise NotADirectoryError(errno.ENOTDIR, "there is no such folder")
            # Not ssl.create_default_context: since Python 3.13 it refuses the authorities of many companies
            # (VERIFY_X509_STRICT), and it fails if SSLKEYLOGFILE names a file that cannot be written.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(cafile=file, capath=folders)
        except OSError as error:
            source = _source(network.ca_bundle, environ)
            text = f"the trusted certificates in {source} cannot be used: {_file_problem(error)}"
            raise SettingsError(text) from error
    if client_cert and network.client_cert is not None:
        _load_client_cert(context, files.expand_user(network.client_cert))
    return context


def trust(network: Network, environ: Mapping[str, str]) -> Trust:
    """What ``tls_context`` would trust, without waiting for a named pipe; raises ``SettingsError``."""
    file, _ = _places(network.ca_bundle, environ)
    for path in (files.expand_user(each) for each in (file, network.client_cert) if each):
        if path.exists() and not path.is_file() and not path.is_dir():
            raise SettingsError(f"the certificates in {path} cannot be used: it is not a regular file")
    context = tls_context(network, environ)
    source = _source(network.ca_bundle, environ)
    if not source:
        # truststore does not load the system's certificates into its context.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_default_certs()
    # OpenSSL reads a folder only when it needs a certificate, so that its count is 0.
    return Trust(source=source, authorities=context.cert_store_stats()["x509_ca"] or None)


def trust_source(network: Network, environ: Mapping[str, str]) -> str:
    """The setting or variable that names the trusted certificates; "" for the operating system's."""
    if network.ca_bundle is not None:
        return "ca_bundle"
    return next((name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if environ.get(name)), "")


def _places(bundle: Path | None, environ: Mapping[str, str]) -> tuple[str | None, str | None]:
    """A file of certificates, and a folder or, as OpenSSL accepts them, several."""
    if bundle is not None:
        bundle = files.expand_user(bundle)
        return (None, str(bundle)) if bundle.is_dir() else (str(bundle), None)
    return environ.get("SSL_CERT_FILE") or None, environ.get("SSL_CERT_DIR") or None


def _source(bundle: Path | None, environ: Mapping[str, str]) -> str:
    return " or ".join(filter(None, _places(bundle, environ)))


def _load_client_cert(context: ssl.SSLContext, path: Path) -> None:
    def no_password() -> str:
        # Without this, OpenSSL would prompt on the terminal.
        raise SettingsError(f"the key in the client certificate {path} is encrypted, which is not supported")

    try:
        context.load_cert_chain(path, password=no_password)
    except OSError as error:
        text = f"the client certificate {path} cannot be used (it must contain certificate and key)"
        raise SettingsError(f"{text}: {_file_problem(error)}") from error


def _file_problem(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        # OpenSSL gives no reason for a file that is not PEM.
        return (error.reason or "no PEM certificate in it").lower().replace("_", " ")
    return error.strerror or str(error)


# --- sockets -----------------------------------------------------------------------------------------------

Address: TypeAlias = tuple[int, int, int, str, Any]
"""One entry of ``socket.getaddrinfo``."""

Lookup: TypeAlias = "Callable[[str, int], Sequence[Address]]"
"""Returns the addresses of a host, the preferred first; raises ``OSError`` if there are none."""

_HEAD_START = 0.25
"""Seconds that an address has to itself before the next one is tried in parallel (RFC 8305, section 5)."""

_KEEP_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPALIVE": 60, "TCP_KEEPINTVL": 30, "TCP_KEEPCNT": 4}
"""Have the kernel probe during long silences: routers forget idle connections while a model is reasoning."""


def system_lookup(host: str, port: int) -> Sequence[Address]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def connect(host: str, port: int, deadline: Deadline, lookup: Lookup = system_lookup) -> socket.socket:
    """A connected, blocking socket; raises ``OSError``, of which ``TimeoutError`` is one."""
    connected = _race(interleaved(_resolve(host, port, deadline, lookup)), deadline)
    connected.setblocking(True)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEP_ALIVE.items():
        if hasattr(socket, option):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return connected


def _resolve(host: str, port: int, deadline: Deadline, lookup: Lookup) -> Sequence[Address]:
    # In a thread that can be abandoned: the system's resolver knows neither deadlines nor Ctrl-C.
    outcome: queue.SimpleQueue[Sequence[Address] | Exception] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.put(lookup(host, port))
        except (OSError, UnicodeError) as error:  # UnicodeError: a label of more than 63 letters
            outcome.put(error)

    threading.Thread(target=run, name=f"lookup of {host}", daemon=True).start()
    try:
        found = outcome.get(timeout=deadline.connect())
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(found, OSError):
        raise found
    if isinstance(found, Exception) or not found:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")
    return found


def interleaved(addresses: Sequence[Address]) -> deque[Address]:
    """The address families in turn: a host whose IPv6 leads nowhere may have many such addresses."""
    first = [a for a in addresses if a[0] == addresses[0][0]]
    other = [a for a in addresses if a[0] != addresses[0][0]]
    return deque(a for a in chain.from_iterable(zip_longest(first, other)) if a is not None)


def _race(addresses: deque[Address], deadline: Deadline) -> socket.socket:
    """The first connection to succeed (Happy Eyeballs): no address can use up the time alone."""
    failures: list[OSError] = []
    with selectors.DefaultSelector() as running:
        try:
            next_start = 0.0
            while addresses or running.get_map():
                left = deadline.connect()
                now = time.monotonic()
                if addresses and (now >= next_start or not running.get_map()):
                    if (attempt := _start(addresses.popleft(), failures)) is not None:
                        running.register(attempt, selectors.EVENT_WRITE, attempt)
                        next_start = now + _HEAD_START
                    continue
                for key, _ in running.select(min(left, next_start - now) if addresses else left):
                    tried: socket.socket = key.data
                    running.unregister(tried)
                    code = tried.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if code == 0:
                        return tried
                    tried.close()
                    failures.append(OSError(code, os.strerror(code)))
                    next_start = 0.0
        finally:
            for key in list(running.get_map().values()):
                key.data.close()
    # "Refused" says more than the "unreachable" of a family that this machine does not have.
    raise max(failures, key=lambda error: isinstance(error, ConnectionRefusedError))


def _start(address: Address, failures: list[OSError]) -> socket.socket | None:
    family, kind, protocol, _, where = address
    try:
        attempt = socket.socket(family, kind, protocol)
    except OSError as error:  # a family that the kernel does not have
        failures.append(error)
        return None
    attempt.setblocking(False)
    code = attempt.connect_ex(where)
    if code in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):  # the latter on Windows
        return attempt
    attempt.close()
    failures.append(OSError(code, os.strerror(code)))
    return None


# --- httpcore's view ---------------------------------------------------------------------------------------

_MOMENT = 0.003
"""Seconds within which a fast server answers: other work would only delay its answer."""


class Backend(httpcore.NetworkBackend):
    """Opens the connections of one pool; ``handshakes`` is how often TLS begins on each of them.

    Until the last handshake, everything that is read is part of connecting, such as a proxy's answer to CONNECT.
    """

    def __init__(self, lookup: Lookup, handshakes: int) -> None:
        self._lookup = lookup
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
        try:
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
        if not deadline.received and (pending or _is_readable(connection, _MOMENT)):
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
        try:
            secured = self._inner.start_tls(ssl_context, server_hostname, self._opener.connect())
        except ValueError as error:  # a host that no certificate can name
            raise httpcore.ConnectError(str(error)) from error
        return _Stream(secured, self._opener, self._handshakes - 1)

    def close(self) -> None:
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _is_readable(connection: socket.socket, seconds: float) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        return bool(selector.select(seconds))
