"""How long each phase of one call may take, and how far the call has come; no socket is touched here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal, Protocol, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from provider_core.types import Network

__all__ = ["Patience", "Phase"]

Phase: TypeAlias = Literal["connect", "first byte", "idle", "rest"]

_LONGEST = 7 * 86400.0
"""What a socket can be told to wait: an infinite time would not fit into its C type."""


class Closable(Protocol):
    """A connection, as far as a call that fails must know it."""

    def close(self) -> None: ...


class Patience(float):
    """The deadlines of one call.

    It is a float because httpcore hands the timeouts of a request on to the network stream as they are, once
    for a whole body; the stream asks this one what is left at each read. The methods give seconds, and raise
    ``TimeoutError`` when none are left.
    """

    def __new__(cls, network: Network) -> Self:
        return super().__new__(cls, network.first_byte_timeout)

    def __init__(self, network: Network) -> None:
        self._network = network
        self._connect_by: float | None = None
        self._read_by: float | None = None
        self.phase: Phase = "connect"
        self.limit: float = network.first_byte_timeout
        """What a read may take in the phase that the call is in."""
        self.ended: bool = False
        """Whether the other side has closed the connection."""
        self.received: int = 0
        """Bytes of the body so far, as they came."""
        self.idle_limited: bool = False
        """Whether to run out of patience is the end of the body, and no failure."""
        self._opened: Closable | None = None
        self.idle: Callable[[], None] | None = None
        """Called once, when nothing has come for a moment after the request: there is time for something else."""

    def opened(self, connection: Closable) -> None:
        """Note the connection that was made for this call."""
        self._opened = connection

    def abandon(self) -> None:
        """Close what was opened for this call: httpcore forgets a connection that fails behind a SOCKS proxy."""
        if self._opened is not None:
            self._opened.close()

    def connecting(self) -> float:
        """What is left for name, addresses, proxy and handshakes together."""
        if self._connect_by is None:
            self._connect_by = time.monotonic() + min(self._network.connect_timeout, _LONGEST)
        return _left(self._connect_by)

    def writing(self) -> float:
        """How long the other side may refuse to take the next piece of the request."""
        return min(self._network.idle_timeout, _LONGEST)

    def reading(self) -> float:
        """What is left for the next read: until the body begins the whole wait counts, then each pause."""
        if self.idle_limited and self.phase == "idle" and self._read_by is not None:
            return min(self.limit, _left(self._read_by))
        if self.phase == "idle":
            return min(self.limit, _LONGEST)
        if self.phase == "connect":
            self.phase = "first byte"
        if self._read_by is None:
            self._read_by = time.monotonic() + min(self.limit, _LONGEST)
        return _left(self._read_by)

    def take(self, size: int) -> None:
        """Note that ``size`` bytes of the body have come."""
        self.received += size
        if self.phase != "rest" and not self.idle_limited:
            self.phase, self.limit = "idle", self._network.idle_timeout

    def limit_idle(self, pause: float, whole: float) -> None:
        """Wait for what is still to come, if it comes: no pause longer than ``pause``, nor ``whole`` together."""
        self.idle_limited = True
        self.phase, self.limit = "idle", min(pause, self._network.idle_timeout)
        self._read_by = time.monotonic() + whole

    def relax(self) -> None:
        """Undo ``limit_idle``: more of the body has come."""
        self.idle_limited = False
        self.phase, self.limit = "idle", self._network.idle_timeout

    def limit_total(self, seconds: float) -> None:
        """Give all that is still to come ``seconds`` from now."""
        self.phase, self.limit = "rest", seconds
        self._read_by = time.monotonic() + seconds


def _left(until: float) -> float:
    seconds = until - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds
