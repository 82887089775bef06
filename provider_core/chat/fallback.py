"""Fallback: which failures let another model be asked, in which order, and how long a model that failed rests.

A model that rests is asked after the others. That is stored in a file which all processes share, so that a batch, or a
script that runs telex again and again, does not wait for a server that is down each time.
"""

from __future__ import annotations

import contextlib
import json
import time
import zlib
from typing import TYPE_CHECKING, Final

from provider_core import errors, files
from provider_core.errors import ContextOverflowError, NetworkError, ProviderError
from provider_core.events import Attempt, FellBack
from provider_core.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from provider_core.errors import CoreError
    from provider_core.events import AnswerEnded
    from provider_core.runtime import Runtime
    from provider_core.types import Request, Target

_REST: Final = 60.0
"""Seconds that a model rests if its server does not name a time."""
_REST_WITHOUT_QUOTA: Final = 600.0
_LONGEST_REST: Final = 3600.0
"""A server that asks for more is tried again after an hour: users add credit, and servers are wrong."""


_OF_ONE_MODEL: Final = (
    errors.ApiKeyError, errors.AuthenticationError, errors.ContextOverflowError, errors.LocalModelError,
    errors.ModelError, errors.NetworkError, errors.NotFoundError, errors.PermissionDeniedError,
    errors.ProtocolError, errors.QuotaError, errors.RateLimitError, errors.ServerError,
)  # fmt: skip
"""Errors after which another model may do better."""


class Fallback(Struct):
    """A model that is asked if those before it fail; or with an ``error``, why it cannot be asked."""

    name: str
    """``provider/model``, or as the user named it."""
    target: Target | None = None
    request: Request | None = None
    """The options for this model. Its messages, tools and schema are those of the chat."""
    context: int | None = None
    """The context window in tokens, if it is known."""
    error: CoreError | None = None


def may_fall_back(error: CoreError) -> bool:
    """Whether another model may do better: not if every one would refuse the request."""
    if isinstance(error, ProviderError) and error.status == 413:
        return True  # too large for this server, or for a minute of this account, as Groq says so
    return isinstance(error, _OF_ONE_MODEL)


def rest_after(error: CoreError) -> float:
    """Seconds for which other models are asked first; 0 if nothing was sent, or the request was too long."""
    match error:
        case ContextOverflowError() | ProviderError(status=413):
            return 0.0
        case errors.QuotaError():
            seconds = max(error.retry_after or 0.0, _REST_WITHOUT_QUOTA)
        case ProviderError():
            seconds = error.retry_after or _REST
        case NetworkError() | errors.LocalModelError():
            seconds = _REST
        case _:
            return 0.0
    return min(seconds, _LONGEST_REST)


def context_of(runtime: Runtime, target: Target) -> int | None:
    """The context window of a model in tokens; None if it is unknown."""
    from provider_core.presets import estimate_limits

    found = runtime.catalog.listing(target.provider.name).find(target.model)
    return (found[0].context if found else None) or estimate_limits(target.model)[0]


class Rests:
    """The models that rest, in the file ``path``. A file that cannot be read or written means that none does."""

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._now = now

    def left(self, targets: Iterable[Target]) -> dict[str, float]:
        """The seconds for which each target still rests, by its name; those that do not rest are missing."""
        until, now = self._read(), self._now()
        found = {str(target): until.get(_key(target), now) - now for target in targets}
        return {name: seconds for name, seconds in found.items() if seconds > 0}

    def first(self, targets: Sequence[Target]) -> Target:
        """The target to ask first: the first one that does not rest, else the one whose rest ends first."""
        left = self.left(targets)
        return min(targets, key=lambda target: left.get(str(target), 0.0))

    def set(self, target: Target, seconds: float) -> None:
        """Let the target rest for so many seconds from now; 0 ends its rest."""
        with contextlib.suppress(errors.FileError, OSError):
            files.private_folder(self._path.parent)
            with files.locked(self._path):
                until, key = self._read(), _key(target)
                if seconds > 0:
                    until[key] = self._now() + seconds
                elif until.pop(key, None) is None:
                    return
                files.replace(self._path, json.dumps(until, indent=1).encode())

    def _read(self) -> dict[str, float]:
        """When the rests end, in seconds since 1970; those that have ended are missing."""
        try:
            content = json.loads(files.read_bytes(self._path))
        except (OSError, ValueError, RecursionError):
            return {}
        now = self._now()
        return {
            key: float(until)
            for key, until in (content.items() if isinstance(content, dict) else ())
            if type(until) in (int, float) and now < until <= now + _LONGEST_REST
        }


def _key(target: Target) -> str:
    # A checksum of the address: it may contain things that do not belong into a cache.
    return f"{zlib.crc32(target.provider.base_url.encode()):08x} {target}"


class FallbackChain:
    """The models of one turn, in the order in which they are asked. ``failed`` are those that have failed."""

    def __init__(
        self,
        preferred: Fallback,
        others: Iterable[Fallback],
        unusable: Iterable[Fallback],
        rests: Rests | None,
    ) -> None:
        self.current: Fallback = preferred
        self.failed: list[Attempt] = []
        self._others = list(others)
        self._unusable = tuple(unusable)
        self._rests = rests
        self._resting: dict[str, float] = {}

    @property
    def has_more(self) -> bool:
        """Whether another model can be asked."""
        return any(each.target is not None for each in self._others)

    def begin(self) -> list[FellBack]:
        """Choose the model to ask first; return an event for each preferred one that is not asked now."""
        models = [self.current, *self._others]
        if self._rests is not None:
            self._resting = self._rests.left(each.target for each in models if each.target is not None)
        order = sorted(models, key=lambda each: self._resting.get(each.name, 0.0))
        self.current = next(each for each in order if each.target is not None)
        skipped = (*self._unusable, *models[: models.index(self.current)])
        self._others = [
            each for each in order if each is not self.current and not (each.error and each in skipped)
        ]
        return self._report(
            [(each.name, each.error, self._resting.get(each.name, 0.0), None) for each in skipped]
        )

    def next(self, error: CoreError, ended: AnswerEnded | None) -> list[FellBack]:
        """Choose the model to ask after ``error``; return the events that report why, none if no model is left.

        ``ended`` is the request that failed, if it was sent.
        """
        failed = self.current
        seconds = rest_after(error)
        if self._rests is not None and failed.target is not None and seconds:
            self._rests.set(failed.target, seconds)
        if isinstance(error, ContextOverflowError) and failed.context is not None:
            most = failed.context
            self._others = [each for each in self._others if each.context is None or each.context > most]
        at = next((at for at, each in enumerate(self._others) if each.target is not None), None)
        if at is None:
            return []
        skipped, self.current, self._others = (self._others[:at], self._others[at], self._others[at + 1 :])
        return self._report(
            [(failed.name, error, seconds, ended), *((each.name, each.error, 0.0, None) for each in skipped)]
        )

    def succeeded(self) -> None:
        """End the rest of the current model, which has answered."""
        if self._rests is not None and self.current.name in self._resting and self.current.target is not None:
            self._rests.set(self.current.target, 0.0)

    def _report(
        self, failures: list[tuple[str, CoreError | None, float, AnswerEnded | None]]
    ) -> list[FellBack]:
        events = []
        for name, error, seconds, ended in failures:
            if error is not None:
                self.failed.append(Attempt(name=name, error=error))
            if self.current.target is not None:
                target = self.current.target
                events.append(FellBack(name=name, error=error, target=target, rest=seconds, ended=ended))
        return events
