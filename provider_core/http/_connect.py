"""From a host's name to a connected socket, within a deadline and open to Ctrl-C; no byte is sent here."""

from __future__ import annotations

import errno
import os
import queue
import selectors
import socket
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provider_core.http._patience import Patience

__all__ = ["Address", "Lookup", "connect", "resolve", "system_lookup"]

Address: TypeAlias = tuple[int, int, int, str, Any]
"""What ``socket.getaddrinfo`` gives for one address."""

Lookup: TypeAlias = "Callable[[str, int], Sequence[Address]]"
"""Gives a host's addresses, the preferred first; raises ``OSError`` when there are none."""

_HEAD_START = 0.25
"""Seconds an address has to itself before the next is tried beside it (RFC 8305, section 5)."""


def system_lookup(host: str, port: int) -> Sequence[Address]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def connect(host: str, port: int, patience: Patience, lookup: Lookup = system_lookup) -> socket.socket:
    """A connected, blocking socket; raises ``OSError``, of which ``TimeoutError`` is one."""
    connected = _race(_interleaved(resolve(host, port, patience, lookup)), patience)
    connected.setblocking(True)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    _keep_alive(connected)
    return connected


def resolve(host: str, port: int, patience: Patience, lookup: Lookup) -> Sequence[Address]:
    """The addresses of ``host``.

    The system's resolver knows neither deadlines nor Ctrl-C, so it works in a thread that can be left behind.
    """
    outcome: queue.SimpleQueue[Sequence[Address] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            outcome.put(lookup(host, port))
        except (OSError, UnicodeError) as error:  # UnicodeError: a label of more than 63 letters
            outcome.put(error)

    threading.Thread(target=ask, name=f"lookup of {host}", daemon=True).start()
    try:
        found = outcome.get(timeout=patience.connecting())
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(found, OSError):
        raise found
    if isinstance(found, Exception) or not found:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")
    return found


def _interleaved(addresses: Sequence[Address]) -> deque[Address]:
    """The families in turn: a host whose IPv6 leads nowhere may have many such addresses."""
    first = [a for a in addresses if a[0] == addresses[0][0]]
    other = [a for a in addresses if a[0] != addresses[0][0]]
    order: deque[Address] = deque()
    while first or other:
        for family in (first, other):
            if family:
                order.append(family.pop(0))
    return order


def _race(addresses: deque[Address], patience: Patience) -> socket.socket:
    """The first connection that stands; each address gets a head start, and none can use up the time alone."""
    failures: list[OSError] = []
    with selectors.DefaultSelector() as running:
        try:
            turn = 0.0
            while addresses or running.get_map():
                left = patience.connecting()
                now = time.monotonic()
                if addresses and (now >= turn or not running.get_map()):
                    begun = _begin(addresses.popleft(), failures)
                    if begun is not None:
                        running.register(begun, selectors.EVENT_WRITE)
                        turn = now + _HEAD_START
                    continue
                for key, _ in running.select(min(left, turn - now) if addresses else left):
                    tried = key.fileobj
                    running.unregister(tried)
                    if not isinstance(tried, socket.socket):
                        continue
                    code = tried.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if code == 0:
                        return tried
                    tried.close()
                    failures.append(OSError(code, os.strerror(code)))
                    turn = 0.0
        finally:
            for key in list(running.get_map().values()):
                if isinstance(key.fileobj, socket.socket):
                    key.fileobj.close()
    # "Refused" tells more than the "unreachable" of a family that this machine does not have.
    raise max(failures, key=lambda error: isinstance(error, ConnectionRefusedError))


def _begin(address: Address, failures: list[OSError]) -> socket.socket | None:
    family, kind, protocol, _, where = address
    try:
        begun = socket.socket(family, kind, protocol)
    except OSError as error:  # a family that the kernel does not have
        failures.append(error)
        return None
    begun.setblocking(False)
    code = begun.connect_ex(where)
    if code in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):  # the latter on Windows
        return begun
    begun.close()
    failures.append(OSError(code, os.strerror(code)))
    return None


def _keep_alive(connected: socket.socket) -> None:
    """Have the kernel probe during long silences: routers forget idle connections while a model thinks."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", 60),
        ("TCP_KEEPALIVE", 60),
        ("TCP_KEEPINTVL", 30),
        ("TCP_KEEPCNT", 4),
    ):
        if hasattr(socket, option):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
