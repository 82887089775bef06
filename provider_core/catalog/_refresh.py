"""Asks several servers for their lists at once, and keeps what they say; showing it is not done here."""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from provider_core import limits
from provider_core.catalog import _cache, _fetch
from provider_core.errors import CoreError, DeadlineError, NotFoundError, ServerError
from provider_core.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from provider_core.types import Model, Provider, Transport

__all__ = ["RefreshResult", "refresh"]

_AT_ONCE = 64
_GRACE = 2.0
"""Seconds beyond a server's own deadline before it is given up from outside."""


class RefreshResult(Struct):
    """What became of one provider's list: ``models`` is how many there are now, or ``error`` why there are none.

    ``kept_from`` is when the list that stays was fetched, after an error, in seconds since 1970. ``unsaved`` is the
    new list where it could not be saved.
    """

    provider: Provider
    models: int = 0
    error: CoreError | None = None
    kept_from: float | None = None
    unsaved: _cache.CachedModelList | None = None


def refresh(
    transport: Transport,
    folder: Path,
    wanted: Sequence[tuple[Provider, str | None]],
    *,
    seconds: float = limits.MODEL_LIST_TIME,
    on_done: Callable[[RefreshResult], None] = lambda _: None,
) -> tuple[RefreshResult, ...]:
    """Ask each provider with its key, at most 64 at a time, and keep what they list in ``folder``.

    The outcomes are in the order of ``wanted``; ``on_done`` is told each as it comes, in the caller's thread.
    A list that cannot be had leaves the kept one alone; a server that has none (404) is one with no models. Raises
    nothing of its own.
    """
    answers: SimpleQueue[tuple[int, tuple[Model, ...] | CoreError]] = SimpleQueue()
    turns = threading.Semaphore(_AT_ONCE)

    def ask(number: int, provider: Provider, key: str | None) -> None:
        with turns:
            try:
                answers.put((number, _fetch.fetch(transport, provider, key, seconds=seconds)))
            except CoreError as error:
                answers.put((number, error))
            except Exception as error:  # noqa: BLE001 - a thread's exception would be printed and lost
                words = f"{provider.name}'s list of models could not be read: {type(error).__name__}"
                answers.put((number, CoreError(words, provider=provider.name)))

    for number, (provider, key) in enumerate(wanted):
        # Daemons: Ctrl-C ends the program without waiting for servers.
        threading.Thread(target=ask, args=(number, provider, key), name="telex-models", daemon=True).start()
    rounds = -(-len(wanted) // _AT_ONCE)
    until = time.monotonic() + rounds * seconds + _GRACE
    outcomes: dict[int, RefreshResult] = {}
    while len(outcomes) < len(wanted):
        try:
            number, answer = answers.get(timeout=max(until - time.monotonic(), 0.001))
        except Empty:
            break
        outcomes[number] = _kept(folder, wanted[number][0], answer)
        on_done(outcomes[number])
    for number, (provider, _) in enumerate(wanted):
        if number not in outcomes:
            late = DeadlineError(
                f"{provider.name} did not send its list of models in time",
                provider=provider.name,
                phase="total",
                seconds=seconds,
            )
            outcomes[number] = _kept(folder, provider, late)
            on_done(outcomes[number])
    return tuple(outcomes[number] for number in range(len(wanted)))


def _kept(folder: Path, provider: Provider, answer: tuple[Model, ...] | CoreError) -> RefreshResult:
    before = _cache.read_cached(folder, provider) if isinstance(answer, CoreError) else None
    absent = isinstance(answer, NotFoundError) or (isinstance(answer, ServerError) and answer.status == 501)
    if absent and (before is None or not before.models):
        answer = ()  # a server without a list
    if isinstance(answer, CoreError):
        return RefreshResult(
            provider=provider, error=answer, kept_from=before.fetched_at if before is not None else None
        )
    listed = _cache.CachedModelList.of(answer, time.time())
    saved = _cache.write_cached(folder, provider, listed)
    return RefreshResult(provider=provider, models=len(answer), unsaved=None if saved else listed)
