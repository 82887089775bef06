"""The connections below HTTP: deadlines, certificates, name lookup, sockets, and a connection made ahead."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from functools import partial
from itertools import chain, zip_longest
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from provider_core import files
from provider_core.errors import SettingsError
from provider_core.http import find_proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from httpcore import NetworkStream

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
        self.network = network
        self.connect_by: float | None = None
        """When ``connect`` has no time left, on the clock of ``time.monotonic``; None: it was not called yet."""
        self._read_by: float | None = None
        self._pause = _MAX_WAIT
        self._connection: NetworkStream | None = None
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

    def opened(self, connection: NetworkStream) -> None:
        self._connection = connection

    def abandon(self) -> None:
        """Close the connection opened for this call: httpcore forgets one that fails behind a SOCKS proxy."""
        if self._connection is not None:
            self._connection.close()

    def connect(self) -> float:
        """Seconds left for name lookup, connection, proxy and TLS handshakes together."""
        if self.connect_by is None:
            self.connect_by = time.monotonic() + self.network.connect_timeout
        return _left(self.connect_by)

    def write(self) -> float:
        """Seconds that the server may refuse to take the next piece of the request."""
        if self.phase == "connect":
            self.phase = "first byte"
        return min(self.network.idle_timeout, _MAX_WAIT)

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
        self.phase, self.limit = "idle", min(self.network.idle_timeout, inf if pause is None else pause)
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


def tls_context(network: Network, environ: Mapping[str, str], *, client_cert: bool = True) -> ssl.SSLContext:
    """A context that trusts ``ca_bundle``, else SSL_CERT_FILE and SSL_CERT_DIR, else the operating system's store.

    Raises ``SettingsError`` for files that cannot be used.
    """
    context, load = _unloaded_context(network, environ, client_cert=client_cert)
    if load is not None:
        load()
    return context


def _unloaded_context(
    network: Network, environ: Mapping[str, str], *, client_cert: bool = True
) -> tuple[ssl.SSLContext, Callable[[], None] | None]:
    """A context that trusts no certificate until the function is called; None if the operating system decides."""
    context: ssl.SSLContext
    load = None
    if any(_places(network.ca_bundle, environ)):
        # Not ssl.create_default_context: since Python 3.13 it refuses the authorities of many companies
        # (VERIFY_X509_STRICT), and it fails if SSLKEYLOGFILE names a file that cannot be written.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        load = partial(_load_trusted, context, network.ca_bundle, environ)
    else:
        import truststore

        context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if client_cert and network.client_cert is not None:
        _load_client_cert(context, files.expand_user(network.client_cert))
    return context, load


def _load_trusted(context: ssl.SSLContext, bundle: Path | None, environ: Mapping[str, str]) -> None:
    file, folders = _places(bundle, environ)
    try:
        # OpenSSL ignores a missing folder, and every server would seem untrusted.
        if file is None and folders and not any(Path(each).is_dir() for each in folders.split(os.pathsep)):
            raise NotADirectoryError(errno.ENOTDIR, "there is no such folder")
        context.load_verify_locations(cafile=file, capath=folders)
    except OSError as error:
        text = (
            f"the trusted certificates in {_source(bundle, environ)} cannot be used: {_file_problem(error)}"
        )
        raise SettingsError(text) from error


def trust(network: Network, environ: Mapping[str, str]) -> tuple[str, int]:
    """Where the certificates that ``tls_context`` trusts come from, and how many authorities there are.

    "" stands for the operating system's store, and 0 for an unknown number. Raises ``SettingsError``, also for a named
    pipe, which it does not wait for.
    """
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
    return source, context.cert_store_stats()["x509_ca"]


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
    import queue  # not on the path of a connection made ahead

    # In a thread that can be abandoned: the system's resolver knows neither deadlines nor Ctrl-C.
    outcome: queue.SimpleQueue[Sequence[Address] | OSError] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.put(_addresses(host, port, lookup))
        except OSError as error:
            outcome.put(error)

    threading.Thread(target=run, name=f"lookup of {host}", daemon=True).start()
    try:
        found = outcome.get(timeout=deadline.connect())
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(found, OSError):
        raise found
    return _open(found, deadline)


def _open(addresses: Sequence[Address], deadline: Deadline) -> socket.socket:
    connected = _race(interleaved(addresses), deadline)
    connected.setblocking(True)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEP_ALIVE.items():
        if hasattr(socket, option):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return connected


def _addresses(host: str, port: int, lookup: Lookup) -> Sequence[Address]:
    try:
        found = lookup(host, port)
    except UnicodeError:  # a label of more than 63 letters
        found = ()
    if not found:
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


# --- a connection made ahead -------------------------------------------------------------------------------

_URL = re.compile(r"(https?)://([a-z0-9._-]+)(?::([0-9]{1,5}))?(?:[/?]|$)", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}
_CORK: int | None = getattr(socket, "TCP_CORK", None)  # only Linux has it


class Preconnection:
    """The connection for the first request, opened by a thread while the program imports modules and looks up the key.

    The thread does name lookup, TCP and TLS as the request would, with the same addresses, certificates and
    ``connect_timeout``, but with the standard library alone: importing httpcore takes longer than connecting to many
    servers. The trusted certificates are loaded while the server's answer to the ClientHello is on its way.

    The first request to the same origin with the same certificates waits for the thread, and then takes over the
    connection, or the error. If either is more than ``fresh`` seconds old (servers close connections that stay silent),
    or if anything else went wrong, the request connects as usual, and reports what happens then. It uses the loaded
    certificates in any case.
    """

    def __init__(
        self,
        origin: tuple[str, str, int],
        network: Network,
        environ: Mapping[str, str],
        lookup: Lookup = system_lookup,
        *,
        fresh: float = 3.0,
    ) -> None:
        self.context: ssl.SSLContext | None = None
        """The context for further TLS connections, once its certificates are loaded."""
        self._origin = origin
        self._environ = environ
        self._lookup = lookup
        self._fresh = fresh
        self._deadline = Deadline(network)
        self._deadline.connect_by = time.monotonic() + network.connect_timeout
        self._lock = threading.Lock()
        self._under_way = threading.Event()  # the ClientHello is sent
        self._ended = threading.Event()
        self._ended_at = inf
        self._connected: socket.socket | None = None
        self._error: OSError | None = None
        self._closed = False
        # A daemon: neither the end of the command nor Ctrl-C waits for a silent server.
        threading.Thread(target=self._run, name=f"connection to {origin[1]}", daemon=True).start()
        # While both compute, Python switches between them every 5 ms only. So the thread comes first until it waits.
        self._under_way.wait(0.005)

    def wait(self, scheme: str, host: str, port: int | None, network: Network, deadline: Deadline) -> bool:
        """Whether a request goes to the same place, so that it may ``take`` the connection, which has ended connecting.

        If there is one, or an error, ``deadline`` counts from when the thread began to connect.
        """
        origin = (scheme, host, port or _PORTS[scheme])
        own = self._deadline.network
        other = (own.ca_bundle, own.client_cert) != (network.ca_bundle, network.client_cert)
        if self._closed or origin != self._origin or other:
            return False
        try:
            left = self._deadline.connect()
        except TimeoutError:
            left = 0.0
        ended = self._ended.wait(left)
        if time.monotonic() - self._ended_at > self._fresh or not (ended or left):
            self.close()
        else:
            deadline.connect_by = self._deadline.connect_by
            if not ended:
                self._error = TimeoutError()
        return True

    def take(self) -> socket.socket | None:
        """The connection; None if it cannot be used, or was taken before. Raises the ``OSError`` of a failed one.

        A thread that is still at work will close its own.
        """
        with self._lock:
            connected, error = self._connected, self._error
            self._connected = self._error = None
            self._closed = True
        if error is None and (connected is None or _is_silent(connected)):
            return connected
        if connected is not None:
            connected.close()
        if error is not None:
            raise error
        return None

    def close(self) -> None:
        """Close the connection if it was not taken."""
        with contextlib.suppress(OSError):
            if (connected := self.take()) is not None:
                connected.close()

    def _run(self) -> None:
        connected, error = None, None
        try:
            connected = self._connect()
        except OSError as failure:
            error = failure
        except Exception:  # noqa: BLE001, S110 - such as invalid files of certificates: the request will report them
            pass
        with self._lock:
            self._ended_at = time.monotonic()
            if not self._closed:
                self._connected, self._error, connected = connected, error, None
        if connected is not None:
            connected.close()
        self._ended.set()
        self._under_way.set()

    def _connect(self) -> socket.socket:
        scheme, host, port = self._origin
        if scheme == "http":
            return _open(_addresses(host, port, self._lookup), self._deadline)
        with self._step():
            context, load = _unloaded_context(self._deadline.network, self._environ)
            context.set_alpn_protocols(["http/1.1"])
            if load is not None and _CORK is None:
                load()
        connected = _open(_addresses(host, port, self._lookup), self._deadline)
        with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
            stack.callback(connected.close)
            connected.setblocking(False)
            with self._step():
                secured = context.wrap_socket(connected, server_hostname=host, do_handshake_on_connect=False)
                stack.callback(secured.close)
                if load is not None and _CORK is not None:
                    # The kernel holds the ClientHello back, so that no certificate arrives before those to trust.
                    secured.setsockopt(socket.IPPROTO_TCP, _CORK, 1)
                    with contextlib.suppress(ssl.SSLWantReadError):
                        secured.do_handshake()
                    secured.setsockopt(socket.IPPROTO_TCP, _CORK, 0)
                    self._under_way.set()
                    load()
            self.context = context
            selector.register(secured, selectors.EVENT_READ)
            while True:
                with contextlib.suppress(ssl.SSLWantReadError), self._step():
                    secured.do_handshake()
                    break
                self._under_way.set()
                selector.select(self._deadline.connect())
            secured.setblocking(True)
            stack.pop_all()
        return secured

    @contextlib.contextmanager
    def _step(self) -> Iterator[None]:
        """A step inside OpenSSL. ``close`` waits for its end: a process that exits takes OpenSSL down with it."""
        with self._lock:
            if self._closed:
                raise ConnectionAbortedError
            yield


def preconnect(url: str, network: Network, environ: Mapping[str, str]) -> Preconnection | None:
    """Begin to connect to the server of ``url``; None if a proxy is in between, or the address is an unusual one."""
    found = _URL.match(url)
    if found is None:
        return None
    scheme, host = found[1].lower(), found[2].lower()
    port = int(found[3] or _PORTS[scheme])
    try:
        proxy, _ = find_proxy(url, environ, network.proxy)
    except (SettingsError, ValueError):  # the request will report it
        return None
    return Preconnection((scheme, host, port), network, environ) if proxy is None else None


def _is_silent(connected: socket.socket) -> bool:
    """Whether the server has neither closed the connection nor sent anything but TLS session tickets."""
    connected.setblocking(False)
    try:
        connected.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        connected.setblocking(True)
        return True
    except OSError:
        pass
    return False
