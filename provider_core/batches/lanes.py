"""Opens the models that share the rows of a batch: the key of each is looked up once, and all use one transport."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

from provider_core.batches.pace import Lane, Throttle
from provider_core.chat.fallback import Fallback
from provider_core.client import OpenProvider
from provider_core.errors import CoreError
from provider_core.structs import replace
from provider_core.types import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from provider_core.runtime import Runtime
    from provider_core.types import Call, Provider, Reply, Request, Transport


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
        find: Callable[[str], Sequence[Fallback]] | None = None,
        most: int | None = None,
        rpm: float | None = None,
        tpm: float | None = None,
    ) -> None:
        self._runtime = runtime
        self._find = find or (lambda name: [model_of(runtime.target(name))])
        self._most = most
        self._own = (Throttle(rpm, tpm),) if rpm or tpm else ()
        self._by_provider: dict[str, Throttle] = {}
        self._opened: dict[str, list[Lane]] = {}
        self._stack = ExitStack()
        if hasattr(transport := runtime.transport, "separate_threads"):
            transport.separate_threads()

    def open(self, models: Sequence[Fallback]) -> list[Lane]:
        """The lanes of models, the preferred first: one for each address of a provider.

        A model that cannot be asked is left out. Raises ``ApiKeyError`` and others if none can.
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
        return self.open(self._find(name))

    def _lane(self, target: Target, request: Request | None, rank: int) -> Lane:
        opened = self._stack.enter_context(self._runtime.open_provider(target))
        observed: list[_Observed] = []

        def observe(transport: Transport) -> Transport:
            observed.append(_Observed(transport))
            return observed[0]

        provider = opened.provider
        # The runner retries: it may take another lane, and a wait that one request is asked for concerns all.
        provider = replace(provider, network=replace(provider.network, retries=0))
        client = opened.client.through(observe)
        lane = Lane(
            target,
            OpenProvider(client=client, provider=provider, key=opened.key),
            most=1 if provider.embedded else self._most,
            throttles=(*self._own, *self._throttle(target.provider)),
            request=request,
            rank=rank,
        )
        observed[0].lane = lane
        return lane

    def _throttle(self, provider: Provider) -> tuple[Throttle, ...]:
        if not (provider.rpm or provider.tpm):
            return ()
        found = self._by_provider.setdefault(provider.name, Throttle(provider.rpm, provider.tpm))
        return (found,)

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

    lane: Lane | None = None

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @contextmanager
    def send(self, call: Call) -> Iterator[Reply]:
        with self._transport.send(call) as reply:
            headers: Mapping[str, str] = reply.headers
            if self.lane is not None and any(name.startswith("x-ratelimit-") for name in headers):
                self.lane.learn(time.monotonic(), headers)
            yield reply

    def close(self) -> None:
        """The connections belong to the transport."""
