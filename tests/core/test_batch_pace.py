"""When the requests of a batch may start: concurrency, rests, limits per minute, and headers."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from provider_core.batches.lanes import FIRST, MOST, Lane, Lanes, Throttle, model_of, replicas, seconds
from provider_core.chat.fallback import Fallback
from provider_core.client import Client, OpenProvider
from provider_core.errors import ConnectError, MissingKeyError, ModelError, RateLimitError
from provider_core.types import Provider, Target

if TYPE_CHECKING:
    from collections.abc import Iterator

OPENED: Any = None
TARGET = Target(provider=Provider(name="lab"), model="m")


def lane(**options: Any) -> Lane:
    return Lane(TARGET, OPENED, **options)


def answered(made: Lane, rounds: int, *, slots: float = float("inf"), now: float = 0.0) -> float:
    """Rounds of answers from a server that works on ``slots`` requests at a time, one second each."""
    for _ in range(rounds):
        for number in range(1, made.limit + 2):
            made.succeeded(now + number / min(made.limit, slots))
        now += made.limit / min(made.limit, slots) + 1
    return now


def test_requests_in_flight_double_while_that_brings_more_answers() -> None:
    fast, slow = lane(), lane()
    answered(fast, 10)
    assert fast.limit == MOST
    answered(slow, 20, slots=8)
    assert FIRST < slow.limit <= 24, "more than the server works on only makes a queue"


def test_a_rate_limit_halves_once_for_the_requests_of_its_moment_and_recovers() -> None:
    made = lane(most=32)
    for _ in range(5):
        made.refused(10.0, 9.0, None)
    assert made.limit == 16
    made.refused(11.0, 10.0, None)
    assert made.limit == 8
    answered(made, 2, now=13.0)
    assert 8 < made.limit <= 14
    answered(made, 60, now=100.0)
    assert made.limit == 32
    for moment in range(200, 260, 2):
        made.refused(float(moment), moment - 1.0, None)
    assert made.limit == 1


def test_after_a_rate_limit_more_requests_are_tried_once_a_second() -> None:
    made = lane(most=64)
    made.refused(10.0, 9.0, None)
    made.refused(12.0, 11.0, None)
    assert made.limit == 16
    limits = []
    for moment in (13.0, 13.5, 13.9, 14.0, 14.9, 15.0):
        for _ in range(3 * made.limit):  # more than a round
            made.succeeded(moment)
        limits.append(made.limit)
    assert limits == [25, 25, 25, 26, 26, 27], "first up to three quarters of 32"


def test_a_time_that_the_server_names_is_a_rest_for_all() -> None:
    made = lane(most=4)
    assert made.free_at <= 5.0
    made.refused(5.0, 4.0, 7.5)
    assert made.free_at == 12.5
    made.refused(6.0, 4.0, 1.0)
    assert made.free_at == 12.5


def test_refusals_without_a_time_make_rests_that_grow_until_an_answer() -> None:
    made = lane(most=4)
    rests = []
    for moment in range(0, 30, 2):
        made.refused(float(moment), moment - 0.5, None)
        rests.append(round(made.rests_until - moment, 1))
    assert rests[0] <= 0
    assert rests[1:7] == [0.5, 1, 2, 4, 8, 16]
    assert max(rests) == 30
    made.succeeded(100.0)
    made.refused(102.0, 101.0, None)
    assert made.rests_until <= 102


def test_a_server_that_only_refuses_is_given_up_after_a_quarter_of_an_hour() -> None:
    made = lane(most=4)
    assert not made.refused(0.0, 0.0, None)
    assert not made.refused(899.0, 898.0, None)
    made.succeeded(900.0)
    assert not made.refused(1000.0, 999.0, None)
    assert not made.refused(1900.0, 1899.0, None)
    assert made.refused(1901.0, 1900.0, None)


def test_an_unreachable_server_rests_and_is_given_up() -> None:
    error = ConnectError("refused", provider="lab")
    never, before = lane(), lane()
    before.succeeded(0.0)
    for made, tries in ((never, 3), (before, 9)):
        now = 1.0
        for left in range(tries, 0, -1):
            assert made.dead is None, left
            made.unreachable(now, error, retries=2)
            made.unreachable(now + 0.1, error, retries=2)  # by another request: counts as the same
            now = made.rests_until
        assert made.dead is error


def test_requests_and_tokens_are_spaced_over_the_minute() -> None:
    made = lane(most=100, throttles=[Throttle(rpm=60), Throttle(tpm=6000)])
    made.start(0.0, tokens=50)
    assert made.free_at == 1.0
    made.start(1.0, tokens=300)
    assert made.free_at == 4.0
    made.throttles[1].correct(-100)
    assert made.free_at == 3.0
    made.throttles[1].correct(-100)
    assert made.free_at == 2.0


@pytest.mark.parametrize(
    ("kind", "left", "reset", "rest"),
    [("-requests", "0", "1m6s", 60.0), ("-requests", "0", "7.66s", 7.66), ("-tokens", "0", "120ms", 0.12),
     ("", "0", "2", 2.0), ("-requests", "5", "9s", 0.0), ("-requests", "0", "soon", 0.0), ("-x", "0", "2", 0.0)],
)  # fmt: skip
def test_headers_say_when_nothing_is_left(kind: str, left: str, reset: str, rest: float) -> None:
    made = lane()
    made.learn(100.0, {f"x-ratelimit-remaining{kind}": left, f"x-ratelimit-reset{kind}": reset})
    assert max(0.0, made.free_at - 100) == pytest.approx(rest)


def test_no_more_requests_start_than_the_server_says_are_left() -> None:
    made = lane(most=10)
    made.learn(100.0, {"x-ratelimit-remaining-requests": "2", "x-ratelimit-reset-requests": "5s"})
    for _ in range(2):
        assert made.free_at <= 100
        made.start(100.0, 0)
    made.learn(101.0, {"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "4s"})
    assert made.free_at == 105
    assert made.free_at <= 106
    made.learn(106.0, {"x-ratelimit-remaining-requests": "9", "x-ratelimit-reset-requests": "5s"})
    assert made.free_at <= 106


@pytest.mark.parametrize(
    ("text", "value"),
    [("2m59.56s", 179.56), ("6m0s", 360), ("12ms", 0.012), ("1h2m", 3720), ("1d", 86400), ("3", 3), ("", None),
     ("-1", None), ("nan", None), ("x", None), ("1000000000", None)],
)  # fmt: skip
def test_durations_of_headers(text: str, value: float | None) -> None:
    assert seconds(text) == (None if value is None else pytest.approx(value))


class Providers:
    """What ``Lanes`` needs of a runtime: providers that open, except those without a ``base_url``."""

    transport = None

    @contextmanager
    def open_provider(self, target: Target) -> Iterator[OpenProvider]:
        if not target.provider.base_url:
            raise MissingKeyError(f"{target.provider.name} has no key", provider=target.provider.name)
        yield OpenProvider(client=Client(), provider=target.provider, key="")


def provider(name: str, url: str = "http://127.0.0.1:9", **fields: Any) -> Provider:
    return Provider(name=name, base_url=url, **fields)


def opened(*providers: Provider, **how: Any) -> list[Lane]:
    runtime: Any = Providers()
    unknown = Fallback(name="x", target=None, error=ModelError("x is not a model", model="x", code="unknown"))
    with Lanes(runtime, find=lambda _: [], **how) as made:
        return made.open([unknown, *(model_of(Target(provider=each, model="m")) for each in providers)])


def test_a_model_that_cannot_be_asked_is_omitted_unless_it_is_the_only_one() -> None:
    lanes = opened(provider("none", ""), provider("a"), provider("b"))
    assert [(str(each.target), each.rank) for each in lanes] == [("a/m", 2), ("b/m", 3)]
    with pytest.raises(ModelError, match="x is not a model"):
        opened()
    for providers in ((provider("none", ""),), (provider("x", ""), provider("none", ""))):
        with pytest.raises(MissingKeyError, match="none has no key"):
            opened(*providers)


def test_each_address_has_a_lane_and_all_share_the_limits_of_their_provider() -> None:
    fleet = provider("fleet", base_urls=("http://127.0.0.2:9", "http://127.0.0.3:9"), rpm=60)
    lanes = opened(fleet, provider("free"), most=5, tpm=6000)
    assert [each.target.provider.base_url[7:16] for each in lanes] == [
        "127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.1",
    ]  # fmt: skip
    lanes[0].start(0.0, 200)
    assert [each.free_at for each in lanes] == [2.0] * 4, "the tokens of the batch"
    lanes[1].start(0.0, 0)
    lanes[1].start(0.0, 0)
    assert [each.free_at for each in lanes] == [3.0] * 3 + [2.0], "the requests of the provider"
    assert {each.limit for each in lanes} == {5}


def test_the_embedded_model_has_one_request_at_a_time() -> None:
    (only,) = opened(provider("local", embedded=True), most=8)
    assert (only.limit, only.most) == (1, 1)


def test_a_server_that_never_answered_is_given_up_after_some_rows() -> None:
    made, other = lane(), lane()
    assert [made.failed() for _ in range(21)] == [False] * 20 + [True]
    other.succeeded(0.0)
    assert not any(other.failed() for _ in range(100))
    assert not isinstance(made.dead, RateLimitError)


def test_the_variables_of_a_preset_are_for_its_own_hosts() -> None:
    urls = ("https://a.example/v2", "https://b.example/v1")
    for fields, expected in (
        ({"preset": "x"}, [None, None, "https://a.example"]),
        ({}, [None, None, None]),
        ({"preset": "x", "key_env_for": "https://c.example"}, ["https://c.example"] * 3),
    ):
        given: Any = fields
        made = provider("a", "https://a.example/v1", base_urls=urls, **given)
        found = replicas(Target(provider=made, model="m"))
        assert [each.provider.key_env_for or None for each in found] == expected
