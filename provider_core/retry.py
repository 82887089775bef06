"""Whether a request that failed before any text is sent again, and when; neither sent nor waited is here."""

from __future__ import annotations

import copy
import math
import time
from typing import TYPE_CHECKING

from provider_core.errors import (
    ConnectError,
    ConnectionLostError,
    DeadlineError,
    OverloadedError,
    ProtocolError,
    ProviderError,
    QuotaError,
    RateLimitError,
    ServerError,
)
from provider_core.types import Retrying

if TYPE_CHECKING:
    from collections.abc import Callable

    from provider_core.errors import CoreError
    from provider_core.types import Network

__all__ = ["Retries", "backoff", "worth"]

_FIRST = 0.5
_LONGEST = 8.0
_JITTER = 0.25
_LOADING = 16


def worth(error: CoreError, retries: int) -> int:
    """How many of ``retries`` this error is worth; 0 for what would only fail the same way again.

    The class decides, and the server where it sends ``x-should-retry``; but no wait cures a used-up quota.
    """
    match error:
        case QuotaError():
            return 0
        case ProviderError(should_retry=bool(said)):
            return retries if said else 0
        case OverloadedError(type="unavailable_error") if retries:
            # llama.cpp while it reads its model: it answers as soon as it has, and the budget bounds the waits.
            return max(retries, _LOADING)
        case RateLimitError() | OverloadedError() | ProviderError(status=408 | 409):
            return retries
        case ServerError(status=501 | 505):
            return 0
        case ServerError(status=500 | None):
            # Some servers call a request they cannot render an internal error: it fails every time.
            return min(retries, 2)
        case ServerError():
            return retries
        case ConnectionLostError() | ProtocolError(code="empty_stream" | "empty_body"):
            # An idle connection that the server closed just as it was used again is the usual case.
            return min(retries, 1)
        case DeadlineError(phase="connect"):
            return min(retries, 1)
        case ConnectError(transient=True):
            return retries
        case _:
            return 0


def backoff(made: int, random: Callable[[], float]) -> float:
    """Seconds to wait before a retry when ``made`` came before it; ``random`` gives 0 to 1."""
    longest = min(_LONGEST, _FIRST * 2.0 ** min(made, 16))
    return longest * (1 - _JITTER * random())


class Retries:
    """The retries of one request: so many, and none that begins later than the budget allows."""

    def __init__(
        self,
        network: Network,
        *,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] | None = None,
    ) -> None:
        self._most = network.retries
        self._budget = network.retry_budget
        self._clock = clock
        self._random = random
        self._began = clock()
        self._made = 0

    def decide(self, error: CoreError) -> Retrying | CoreError:
        """The retry that follows ``error``, to be made; or the error to raise.

        A server's own time is waited out to the second, or, where the budget does not hold it, not begun: the
        error then says it. A time of 0 says nothing.
        """
        if self._made >= worth(error, self._most):
            return error
        asked = error.retry_after if isinstance(error, ProviderError) else None
        seconds = asked or backoff(self._made, self._random or _random)
        if seconds > self._began + self._budget - self._clock():
            return _too_long(error, asked) if asked and isinstance(error, ProviderError) else error
        self._made += 1
        return Retrying(error=error, seconds=seconds, attempt=self._made + 1)


def _random() -> float:
    from random import random  # it brings hashlib and more along, for the rare case

    return random()  # noqa: S311 - to keep clients apart, not to keep a secret


def _too_long(error: ProviderError, asked: float) -> ProviderError:
    told = copy.copy(error)
    told.message = f"{error.message} (it asks for a wait of {_span(asked)})"
    told.args = (told.message,)
    return told


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{math.ceil(seconds)} s"
    return f"{math.ceil(seconds / 60)} min" if seconds < 7200 else f"{math.ceil(seconds / 3600)} h"
