"""Lanes: the models that share the rows of a batch, and how fast requests to each may start.

Concurrency adapts to the server, delays that it asks for are observed, and limits per minute are spread. The module
neither waits nor starts threads: the runner asks when a request may start, and reports how it ended. Times are seconds
of the monotonic clock.
"""

from __future__ import annotations

import re
import time
from contextlib import ExitStack, contextmanager
from math import inf
from typing import TYPE_CHECKING, Final, Self

from provider_core.chat.fallback import Fallback
from provider_core.errors import CoreError, OverloadedError, ProviderError, RateLimitError
from provider_core.settings import REQUEST_OPTIONS
from provider_core.structs import replace
from provider_core.types import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from provider_core.client import OpenProvider
    from provider_core.options import Candidate
    from provider_core.runtime import Runtime
    from provider_core.types import Call, Reply, Request, Transport

FIRST: Final = 4
"""Requests in flight at the beginning, unless their number is given."""
MOST: Final = 64
"""The largest number of requests in flight that adapting leads to."""
_GAIN: Final = 1.05
"""How many times as many answers a second are an improvement that is worth more requests in flight."""
_FORGET: Final = 0.97
"""By which the best rate shrinks in each round, so that growing is tried again after some rounds."""
_LONGEST_REST: Final = 30.0
_FIRST_REST: Final = 0.5
_EPOCH: Final = 1.0
"""Seconds within which several refusals count as one."""
_FEW: Final = 0.1
"""The part of the requests that may be refused for other reasons than their number."""
_PATIENCE: Final = 8
"""How often a server that has answered before may be unreachable in a row, with rests that add up to two minutes."""
_ROWS_FAILED: Final = 20
"""How many rows may fail at a server that has never answered one."""
_LONGEST_REFUSAL: Final = 900.0
"""Seconds after which a server that has answered nothing but refusals is given up."""
_LEARNT_REST: Final = 60.0
"""The longest rest that follows from headers of a successful answer, which do not ask for one."""


class Throttle:
    """Spaces requests evenly, so that no minute has more than ``rpm`` requests or ``tpm`` tokens."""

    def __init__(self, rpm: float | None = None, tpm: float | None = None) -> None:
        self._rpm = rpm
        self.tpm: float | None = tpm
        self._next_request = self._next_tokens = -inf

    @property
    def free_at(self) -> float:
        """When the next request may start."""
        return max(self._next_request, self._next_tokens)

    def take(self, now: float, tokens: float) -> None:
        """Count a request that starts now; ``tokens`` are estimated."""
        if self._rpm:
            self._next_request = max(self._next_request, now) + 60.0 / self._rpm
        if self.tpm:
            self._next_tokens = max(self._next_tokens, now) + 60.0 * tokens / self.tpm

    def correct(self, tokens: float) -> None:
        """Count ``tokens`` more than were estimated, or fewer if negative."""
        if self.tpm:
            self._next_tokens += 60.0 * tokens / self.tpm


class Lane:
    """The requests to one model of one server. Several lanes share the rows of a batch.

    ``most`` is the number of requests in flight, which a rate limit or an overloaded server halves. It grows again by
    half with each round of answers, up to what it was if few requests were refused, else up to three quarters; and then
    by one each second.

    Without ``most``, there are 4 at first. Their number doubles with each round until that brings no more answers a
    second, and then grows by one whenever a round was faster than those before.
    """

    def __init__(
        self,
        target: Target,
        opened: OpenProvider,
        *,
        most: int | None = None,
        throttles: Sequence[Throttle] = (),
        request: Request | None = None,
        rank: int = 0,
    ) -> None:
        self.target: Target = target
        self.opened: OpenProvider = opened
        self.throttles: Sequence[Throttle] = throttles
        self.request: Request | None = request
        """The options for this model, if they differ from those of the batch."""
        self.rank: int = rank
        """0 for a model that is preferred, more for those that are asked only while it fails."""
        self.most: int = most or MOST
        self.limit: int = most or FIRST
        """Requests that may be in flight now."""
        self.in_flight: int = 0
        self.answers: int = 0
        """Requests that succeeded."""
        self.dead: CoreError | None = None
        """Why no further request goes here."""
        self.rests_until: float = -inf
        self._probes = most is None
        self._doubles = most is None
        self._recovers_to = 0
        self._best_rate = 0.0
        self._round = 0  # answers in this round
        self._round_started = 0.0
        self._halved_at = self._grown_at = -inf
        self._started = self._refused = 0  # requests since it was halved
        self._refusals = 0  # rate limits and overloads since the last answer
        self._refused_since = inf  # the first of them
        self._failures = 0  # failed connections since the last answer
        self._rows_failed = 0
        self._window_until, self._window_left = -inf, inf  # of the limit that the server reports

    @property
    def load(self) -> float:
        """How busy it is, to choose among lanes."""
        return self.in_flight / self.limit

    @property
    def free_at(self) -> float:
        """When the next request may start, which may have passed; infinity until one in flight has ended."""
        if self.in_flight >= self.limit:
            return inf
        window = self._window_until if self._window_left <= 0 else -inf
        return max(self.rests_until, window, *(each.free_at for each in self.throttles), -inf)

    def start(self, now: float, tokens: float) -> None:
        """A request starts."""
        self.in_flight += 1
        self._started += 1
        self._window_left -= 1
        for throttle in self.throttles:
            throttle.take(now, tokens)

    def succeeded(self, now: float) -> None:
        """A request brought an answer."""
        self.answers += 1
        self._refusals = self._failures = 0
        self._refused_since = inf
        if self.limit >= self.most:
            return
        if not self._round:
            self._round_started = now
        self._round += 1  # the first begins the round
        if self._round <= self.limit:
            return
        rate = (self._round - 1) / max(now - self._round_started, 1e-6)
        self._round = 0
        if self.limit < self._recovers_to:
            self.limit = min(self._recovers_to, self.limit + (self.limit + 1) // 2)
        elif self._halved_at > -inf and now - self._grown_at < _EPOCH:
            pass  # the limit of a fast server would be exceeded again at once
        elif not self._probes or rate > self._best_rate * _GAIN:
            self._grown_at = now
            self.limit = min(self.most, self.limit * 2 if self._doubles else self.limit + 1)
        else:
            self._doubles = False
        self._best_rate = max(rate, self._best_rate * _FORGET)

    def refused(self, now: float, started: float, retry_after: float | None) -> bool:
        """The server answered that it is asked too often, or overloaded, to a request that ``started`` then.

        Returns whether the lane is to be given up: for 15 minutes there was no answer.
        """
        if started >= self._halved_at and now - self._halved_at >= _EPOCH:  # the others say nothing new
            self._halved_at = now
            self._doubles = False
            self._round, self._best_rate = 0, 0.0
            few = self._refused <= _FEW * self._started
            self._recovers_to = self.limit if few else self.limit * 3 // 4
            self.limit = max(1, self.limit // 2)
            self._refusals += 1
            self._refused = self._started = 0
        self._refused += 1
        # One that asks for no pause may concern one request; if none succeeds, it concerns all.
        usual = _FIRST_REST * 2.0 ** (self._refusals - 2) if self._refusals > 1 else 0.0
        self.rests_until = max(self.rests_until, now + (retry_after or min(_LONGEST_REST, usual)))
        self._refused_since = min(self._refused_since, now)
        return now - self._refused_since > _LONGEST_REFUSAL

    def failed(self) -> bool:
        """A row failed although it was retried. Returns whether the lane is to be given up: it has answered no row."""
        self._rows_failed += 1
        return not self.answers and self._rows_failed > _ROWS_FAILED

    def unreachable(self, now: float, error: CoreError, retries: int) -> None:
        """No connection could be made: rest, or give up after ``retries`` if there never was an answer."""
        if now < self.rests_until:  # reported by several requests
            return
        self._failures += 1
        if self._failures > (max(retries, _PATIENCE) if self.answers else retries):
            self.dead = self.dead or error
        self.rests_until = now + min(_LONGEST_REST, _FIRST_REST * 2.0 ** (self._failures - 1))

    def learn(self, now: float, headers: Mapping[str, str]) -> None:
        """Start no more requests than the headers of an answer say are left before the limit is reset.

        If no token is left, rest until then.
        """
        for kind in ("-requests", "-tokens", ""):
            try:
                left = float(headers.get(f"x-ratelimit-remaining{kind}", ""))
            except ValueError:
                continue
            wait = seconds(headers.get(f"x-ratelimit-reset{kind}", ""))
            if wait is None or not 0 <= left < inf:
                continue
            until = now + min(wait, _LEARNT_REST)
            if kind == "-tokens":
                if left < 1:
                    self.rests_until = max(self.rests_until, until)
            elif now >= self._window_until:
                self._window_until, self._window_left = until, left
            else:  # answers overtake each other
                self._window_left = min(self._window_left, left)


def rate_error(error: CoreError | None) -> bool:
    """Whether the server refused a request because there were too many."""
    return isinstance(error, RateLimitError | OverloadedError) and error.should_retry is not False


def retry_after(error: CoreError | None) -> float | None:
    """The seconds that the server asks to wait."""
    return error.retry_after if isinstance(error, ProviderError) else None


_DURATION: Final = re.compile(
    r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?"
)
_SINCE_1970: Final = 1e9


def seconds(text: str) -> float | None:
    """The duration in a header: "6m0s", "12ms", "7.66", or seconds or milliseconds since 1970; None for others."""
    text = text.strip()
    try:
        number = float(text)
    except ValueError:
        found = _DURATION.fullmatch(text)
        if not text or found is None:
            return None
        units = (86400.0, 3600.0, 60.0, 1.0, 0.001)
        return sum(float(part) * unit for part, unit in zip(found.groups(), units, strict=True) if part)
    if number >= _SINCE_1970:
        number = number / (1000.0 if number >= _SINCE_1970 * 1000 else 1.0) - time.time()
    return number if 0 <= number < inf else None


# --- opening them ------------------------------------------------------------------------------------------


class Lanes:
    """The lanes of a batch, opened when they are needed and closed together.

    ``most`` is the number of requests that each model may have in flight; ``rpm`` and ``tpm`` limit the whole batch,
    besides the limits in the settings of each provider. ``find`` returns what a row means that names a model: the model
    and those to ask if it fails.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        find: Callable[[str], Sequence[Fallback]],
        most: int | None = None,
        rpm: float | None = None,
        tpm: float | None = None,
    ) -> None:
        self.runtime: Runtime = runtime
        self._find = find
        self._most = most
        self._own = [Throttle(rpm, tpm)] if rpm or tpm else []
        self._by_provider: dict[str, Throttle] = {}
        self._opened: dict[str, list[Lane]] = {}
        self._named: dict[str, list[Lane]] = {}
        self._stack = ExitStack()
        if hasattr(transport := runtime.transport, "separate_threads"):
            transport.separate_threads()

    def open(self, models: Sequence[Fallback]) -> list[Lane]:
        """The lanes of models, the preferred first: one for each address of a provider.

        A model that cannot be asked is omitted. Raises ``ApiKeyError`` and others if none can.
        """
        found: list[Lane] = []
        failed: CoreError | None = None
        for rank, model in enumerate(models):
            if model.target is None:
                failed = model.error
                continue
            key = f"{rank} {model.target} {model.request!r}"
            try:
                if key not in self._opened:
                    self._opened[key] = [
                        self._lane(each, model.request, rank) for each in replicas(model.target)
                    ]
            except CoreError as error:
                if len(models) == 1:
                    raise
                failed = error
            else:
                found += self._opened[key]
        if not found and failed is not None:
            raise failed
        return found

    def lanes_for(self, name: str) -> list[Lane]:
        """The lanes of a model that a row names."""
        if name not in self._named:
            self._named[name] = self.open(self._find(name))
        return self._named[name]

    def _lane(self, target: Target, request: Request | None, rank: int) -> Lane:
        opened = self._stack.enter_context(self.runtime.open_provider(target))
        provider = opened.provider
        throttles = [*self._own]
        if provider.rpm or provider.tpm:
            throttles.append(
                self._by_provider.setdefault(provider.name, Throttle(provider.rpm, provider.tpm))
            )
        most = 1 if provider.embedded else self._most
        lane = Lane(target, opened, most=most, throttles=throttles, request=request, rank=rank)
        lane.opened = replace(
            opened,
            client=opened.client.through(lambda transport: _Observed(transport, lane)),
            # The runner retries: it may take another lane, and a wait that one request is asked for concerns all.
            provider=replace(provider, network=replace(provider.network, retries=0)),
        )
        return lane

    def close(self) -> None:
        """Stop embedded models."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def model_of(target: Target, request: Request | None = None) -> Fallback:
    """A model without others to ask if it fails."""
    return Fallback(name=str(target), target=target, request=request)


def with_options(found: Candidate, request: Request) -> Fallback:
    """A model with its options; ``request`` has what is the same for all models."""
    own = {name: found.options.values[name] for name in REQUEST_OPTIONS if name in found.options.values}
    name = str(found.target or found.name)
    return Fallback(name=name, target=found.target, request=replace(request, **own), error=found.error)


def replicas(target: Target) -> list[Target]:
    """The target at each address of its provider."""
    from provider_core.settings.validators import origin

    provider = target.provider
    found = [target]
    for url in provider.base_urls:
        # The variables of a preset are for its own hosts.
        foreign = provider.preset and not provider.key_env_for and origin(url) != origin(provider.base_url)
        key_env_for = origin(provider.base_url) if foreign else provider.key_env_for
        replica = replace(provider, base_url=url, base_urls=(), key_env_for=key_env_for)
        found.append(Target(provider=replica, model=target.model))
    return found


class _Observed:
    """A transport that shows the headers of answers to a lane."""

    def __init__(self, transport: Transport, lane: Lane) -> None:
        self._transport = transport
        self._lane = lane

    @contextmanager
    def send(self, call: Call) -> Iterator[Reply]:
        with self._transport.send(call) as reply:
            if any(name.startswith("x-ratelimit-") for name in reply.headers):
                self._lane.learn(time.monotonic(), reply.headers)
            yield reply

    def close(self) -> None:
        """The connections belong to the transport."""
