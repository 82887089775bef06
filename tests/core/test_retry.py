"""When a failed request is sent again: the policy alone, without sockets or real time."""

from __future__ import annotations

from typing import Any

import pytest

from provider_core import errors
from provider_core.client import Retries, backoff, max_retries_for
from provider_core.errors import (
    AuthenticationError,
    BadRequestError,
    ConnectError,
    ConnectionLostError,
    ContentPolicyError,
    CoreError,
    DeadlineError,
    NotFoundError,
    OverloadedError,
    ProtocolError,
    QuotaError,
    RateLimitError,
    ServerError,
    TLSError,
)
from provider_core.types import Network, Retrying


class Clock:
    """Time that passes only when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def retries(most: int = 2, budget: float = 120.0, *, clock: Clock | None = None) -> Retries:
    network = Network(retries=most, retry_budget=budget)
    return Retries(network, clock=clock or Clock(), random=lambda: 0.0)


def limited(**fields: Any) -> RateLimitError:
    return RateLimitError("p limits the rate of requests (429)", provider="p", status=429, **fields)


@pytest.mark.parametrize(
    ("error", "of_five"),
    [
        (RateLimitError("", status=429), 5), (RateLimitError("", status=None), 5),
        (OverloadedError("", status=503), 5), (OverloadedError("", status=529), 5),
        (OverloadedError("", status=429), 5), (OverloadedError("", status=None), 5), (ServerError("", status=408), 5),
        (BadRequestError("", status=409), 5), (ServerError("", status=502), 5), (ServerError("", status=504), 5),
        (ServerError("", status=524), 5), (ServerError("", status=500), 2), (ServerError("", status=None), 2),
        (ServerError("", status=501), 0), (ServerError("", status=505), 0), (QuotaError("", status=429), 0),
        (QuotaError("", status=402), 0), (QuotaError("", status=429, should_retry=True), 0),
        (AuthenticationError("", status=401), 0), (BadRequestError("", status=400), 0),
        (BadRequestError("", status=422), 0), (ContentPolicyError("", status=400), 0),
        (NotFoundError("", status=404), 0), (ProtocolError("", status=200), 0),
        (BadRequestError("", status=400, should_retry=True), 5),
        (OverloadedError("", status=503, should_retry=False), 0),
        (RateLimitError("", status=429, should_retry=False), 0),
        (ConnectError(""), 5), (ConnectError("", transient=False), 0), (TLSError("", transient=False), 0),
        (DeadlineError("", phase="connect", seconds=1), 1),
        (DeadlineError("", phase="first byte", seconds=1), 0),
        (DeadlineError("", phase="idle", seconds=1), 0), (ConnectionLostError("", received=0), 1),
        (ConnectionLostError("", received=500), 1), (errors.InvalidInputError(""), 0),
        (errors.MissingKeyError(""), 0),
    ],
    ids=lambda value: f"{type(value).__name__} {getattr(value, 'status', '')}" if isinstance(value, CoreError) else "",
)  # fmt: skip
def test_an_error_is_worth_as_many_retries_as_may_cure_it(error: CoreError, of_five: int) -> None:
    assert max_retries_for(error, 5) == of_five
    assert max_retries_for(error, 0) == 0


@pytest.mark.parametrize(
    ("random", "waits"), [(0.0, [0.5, 1, 2, 4, 8, 8, 8]), (1.0, [0.375, 0.75, 1.5, 3, 6, 6, 6])]
)
def test_the_wait_doubles_up_to_8_seconds_less_a_quarter_at_most(random: float, waits: list[float]) -> None:
    assert [backoff(made, lambda: random) for made in range(7)] == waits
    assert backoff(100_000, lambda: random) == waits[-1]


def test_without_a_random_function_waits_differ() -> None:
    busy = OverloadedError("busy", status=503)
    decisions = [Retries(Network()).decide(busy) for _ in range(20)]
    waits = {decision.seconds for decision in decisions if isinstance(decision, Retrying)}
    assert len(waits) > 1
    assert all(0.375 <= wait <= 0.5 for wait in waits)


def test_retries_of_all_errors_are_counted_together() -> None:
    plan, busy, lost = retries(5), OverloadedError("busy", status=503), ConnectionLostError("lost")
    assert plan.decide(busy) == Retrying(error=busy, seconds=0.5, attempt=2)
    assert plan.decide(busy) == Retrying(error=busy, seconds=1.0, attempt=3)
    assert plan.decide(lost) is lost


@pytest.mark.parametrize(
    ("asked", "seconds"), [(0.0, 0.5), (0.03, 0.03), (1.0, 1.0), (20.0, 20.0), (119.5, 119.5)]
)
def test_a_time_that_the_server_names_is_exact_and_zero_is_ignored(asked: float, seconds: float) -> None:
    decision = retries().decide(limited(retry_after=asked))
    assert isinstance(decision, Retrying)
    assert decision.seconds == seconds


@pytest.mark.parametrize(
    ("asked", "said"),
    [(120.5, "3 min"), (300.0, "5 min"), (7100, "119 min"), (86400.0, "24 h"), (90.2, "91 s"), (61, "61 s")],
)
def test_a_time_beyond_the_budget_is_named_in_the_error(asked: float, said: str) -> None:
    error = limited(retry_after=asked, code="slow_down", words="slow down", type="t")
    decision = retries(budget=60).decide(error)
    assert isinstance(decision, RateLimitError)
    assert decision.message == f"p limits the rate of requests (429) (it asks for a wait of {said})"
    assert str(decision) == decision.message
    assert (decision.provider, decision.status, decision.code) == ("p", 429, "slow_down")
    assert (decision.type, decision.words, decision.retry_after) == ("t", "slow down", asked)


def test_the_budget_starts_with_the_first_attempt_and_covers_all() -> None:
    clock = Clock()
    plan = retries(9, 60, clock=clock)
    assert isinstance(plan.decide(limited(retry_after=40)), Retrying)
    clock.now += 45
    assert isinstance(plan.decide(limited(retry_after=10)), Retrying)
    clock.now += 12
    assert isinstance(plan.decide(limited(retry_after=4)), RateLimitError)
    busy = OverloadedError("busy", status=503)
    clock.now += 2
    assert plan.decide(busy) is busy
    assert retries(budget=0).decide(busy) is busy


def test_a_server_that_loads_its_model_is_waited_for() -> None:
    loading = OverloadedError("loading", status=503, type="unavailable_error")
    assert max_retries_for(loading, 2) > 10
    assert max_retries_for(loading, 0) == 0
    assert max_retries_for(OverloadedError("busy", status=503), 2) == 2
