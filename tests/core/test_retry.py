"""When a failed request is sent again: the policy alone, without sockets, clocks or chance."""

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


def retries(
    most: int = 2, budget: float = 120.0, *, chance: float = 0.0, clock: Clock | None = None
) -> Retries:
    network = Network(retries=most, retry_budget=budget)
    return Retries(network, clock=clock or Clock(), random=lambda: chance)


def limited(**fields: Any) -> RateLimitError:
    return RateLimitError("p limits the rate of requests (429)", provider="p", status=429, **fields)


@pytest.mark.parametrize(
    ("error", "of_five"),
    [
        (RateLimitError("", status=429), 5),
        (RateLimitError("", status=None), 5),
        (OverloadedError("", status=503), 5),
        (OverloadedError("", status=529), 5),
        (OverloadedError("", status=429), 5),
        (OverloadedError("", status=None), 5),
        (ServerError("", status=408), 5),
        (BadRequestError("", status=409), 5),
        (ServerError("", status=502), 5),
        (ServerError("", status=504), 5),
        (ServerError("", status=524), 5),
        (ServerError("", status=500), 2),
        (ServerError("", status=None), 2),
        (ServerError("", status=501), 0),
        (ServerError("", status=505), 0),
        (QuotaError("", status=429), 0),
        (QuotaError("", status=402), 0),
        (QuotaError("", status=429, should_retry=True), 0),
        (AuthenticationError("", status=401), 0),
        (BadRequestError("", status=400), 0),
        (BadRequestError("", status=422), 0),
        (ContentPolicyError("", status=400), 0),
        (NotFoundError("", status=404), 0),
        (ProtocolError("", status=200), 0),
        (BadRequestError("", status=400, should_retry=True), 5),
        (OverloadedError("", status=503, should_retry=False), 0),
        (RateLimitError("", status=429, should_retry=False), 0),
        (ConnectError(""), 5),
        (ConnectError("", transient=False), 0),
        (TLSError("", transient=False), 0),
        (DeadlineError("", phase="connect", seconds=1), 1),
        (DeadlineError("", phase="first byte", seconds=1), 0),
        (DeadlineError("", phase="idle", seconds=1), 0),
        (ConnectionLostError("", received=0), 1),
        (ConnectionLostError("", received=500), 1),
        (errors.InvalidInputError(""), 0),
        (errors.MissingKeyError(""), 0),
    ],
    ids=lambda value: f"{type(value).__name__} {getattr(value, 'status', '')}" if isinstance(value, CoreError) else "",
)  # fmt: skip
def test_an_error_is_worth_as_many_retries_as_may_cure_it(error: CoreError, of_five: int) -> None:
    assert max_retries_for(error, 5) == of_five
    assert max_retries_for(error, 0) == 0


def test_the_wait_doubles_up_to_eight_seconds() -> None:
    assert [backoff(made, lambda: 0.0) for made in range(7)] == [0.5, 1, 2, 4, 8, 8, 8]


def test_chance_shortens_the_wait_by_a_quarter_at_most() -> None:
    assert [backoff(made, lambda: 1.0) for made in range(5)] == [0.375, 0.75, 1.5, 3, 6]


def test_a_thousandth_retry_has_a_wait_too() -> None:
    assert backoff(100_000, lambda: 0.0) == 8


def test_two_retries_and_then_the_error_itself() -> None:
    plan, error = retries(), OverloadedError("busy", status=503)
    assert plan.decide(error) == Retrying(error=error, seconds=0.5, attempt=2)
    assert plan.decide(error) == Retrying(error=error, seconds=1.0, attempt=3)
    assert plan.decide(error) is error


def test_by_default_there_are_two() -> None:
    plan = Retries(Network())
    decisions = [plan.decide(OverloadedError("busy", status=503)) for _ in range(3)]
    assert [isinstance(decision, Retrying) for decision in decisions] == [True, True, False]


def test_each_error_counts_what_was_tried_for_all() -> None:
    plan = retries(5)
    assert isinstance(plan.decide(OverloadedError("", status=503)), Retrying)
    lost = ConnectionLostError("lost")
    assert plan.decide(lost) is lost


@pytest.mark.parametrize("asked", [0.03, 1.0, 20.0, 119.5])
def test_the_server_s_own_time_is_waited_out(asked: float) -> None:
    decision = retries(chance=0.7).decide(limited(retry_after=asked))
    assert isinstance(decision, Retrying)
    assert decision.seconds == asked


def test_a_time_of_zero_says_nothing() -> None:
    decision = retries().decide(limited(retry_after=0.0))
    assert isinstance(decision, Retrying)
    assert decision.seconds == 0.5


@pytest.mark.parametrize(
    ("asked", "said"),
    [(120.5, "3 min"), (300.0, "5 min"), (7100, "119 min"), (86400.0, "24 h"), (90.2, "91 s"), (61, "61 s")],
)
def test_a_time_that_the_budget_does_not_hold_is_said_and_not_begun(asked: float, said: str) -> None:
    error = limited(retry_after=asked, code="slow_down", words="slow down", type="t")
    decision = retries(budget=60).decide(error)
    assert isinstance(decision, RateLimitError)
    assert decision.message == f"p limits the rate of requests (429) (it asks for a wait of {said})"
    assert str(decision) == decision.message
    assert (decision.provider, decision.status, decision.code) == ("p", 429, "slow_down")
    assert (decision.type, decision.words, decision.retry_after) == ("t", "slow down", asked)
    assert error.message == "p limits the rate of requests (429)"


def test_the_budget_is_one_for_all_attempts_and_counts_from_the_first() -> None:
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


def test_an_attempt_that_took_longer_than_the_budget_is_not_repeated() -> None:
    clock = Clock()
    plan, error = retries(clock=clock), ServerError("gateway", status=504)
    clock.now += 120
    assert plan.decide(error) is error


def test_a_budget_of_nothing_means_no_retry() -> None:
    error = OverloadedError("busy", status=503)
    assert retries(budget=0).decide(error) is error


def test_chance_is_drawn_where_none_is_given() -> None:
    waits = set()
    for _ in range(20):
        decision = Retries(Network()).decide(OverloadedError("busy", status=503))
        assert isinstance(decision, Retrying)
        assert 0.375 <= decision.seconds <= 0.5
        waits.add(decision.seconds)
    assert len(waits) > 1


def test_a_server_that_loads_its_model_is_waited_for() -> None:  # quirk 165
    loading = OverloadedError("loading", status=503, type="unavailable_error")
    assert max_retries_for(loading, 2) > 10
    assert max_retries_for(loading, 0) == 0
    assert max_retries_for(OverloadedError("busy", status=503), 2) == 2
