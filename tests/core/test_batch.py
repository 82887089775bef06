"""The library's batches against scripted servers: results as they come, retries, limits, and what ends a batch."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from contextlib import closing
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from running import within
from scripted import Answer, Asked, Cut, Pause, Scripted, answer, delta, sse
from servers import refusal

import provider_core
from provider_core import BatchLimits, BatchRun, Result, Row, batch, errors, provider
from provider_core.batches import lanes, runner
from provider_core.keys import MemoryStore
from provider_core.runtime import Runtime
from provider_core.settings import Settings
from provider_core.types import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from provider_core.types import Provider


class Lab:
    """A library's runtime with a provider "lab" at a server that repeats each prompt."""

    def __init__(self, server: Scripted, home: Path) -> None:
        self.server = server
        server.will(echo)
        settings = Settings(providers={})
        environ = {"TELEX_HOME": str(home)}
        self.runtime = Runtime(environ=environ, settings=settings, key_store=MemoryStore())
        self.runs: list[BatchRun] = []

    def provider(self, name: str = "lab", server: Scripted | None = None, **fields: Any) -> Provider:
        given: dict[str, Any] = {"base_url": (server or self.server).url, "key": "none", "models": ["m"]}
        return provider(name, **{**given, **fields})

    def batch(self, rows: Any, *, to: Provider | None = None, **options: Any) -> Iterator[Result]:
        """The results as they come."""
        how: Any = {"runtime": self.runtime, "on_start": self.runs.append, **options}
        return batch(rows, to or self.provider(), "m", **how)

    def results(self, rows: Any, *providers: Provider, **options: Any) -> list[Result]:
        """The results in the order of the rows."""
        providers = providers or (self.provider(),)
        settings = Settings(providers={each.name: each for each in providers})
        here = self.runtime
        with closing(Runtime(environ=here.environ, settings=settings, key_store=here.key_store)) as runtime:
            found = batch(rows, [each.name for each in providers], runtime=runtime, **options)
            return sorted(found, key=lambda result: result.row.number)


@pytest.fixture
def lab(server: Scripted, tmp_path: Path) -> Iterator[Lab]:
    made = Lab(server, tmp_path)
    yield made
    made.runtime.close()


def echo(asked: Asked) -> Answer:
    text = asked.body["messages"][-1]["content"]
    return Answer(answer(text, usage={"prompt_tokens": 3, "completion_tokens": 2}))


def failing(*steps: Any) -> Callable[[Asked], Answer]:
    """A server that takes these steps for each prompt before it echoes it."""
    seen: Counter[str] = Counter()
    lock = threading.Lock()

    def serve(asked: Asked) -> Answer:
        text = asked.body["messages"][-1]["content"]
        with lock:
            number = seen[text]
            seen[text] += 1
        step = steps[number] if number < len(steps) else echo
        step = step(asked) if callable(step) else step
        return step if isinstance(step, Answer) else Answer(step)

    return serve


def test_each_row_has_a_result_with_its_answer(lab: Lab) -> None:
    rows = [{"id": f"r{n}", "body": str(n)} for n in range(50)]
    found = lab.results(rows, prompt="Say {{ body }}", workers=8)
    assert [result.row.id for result in found] == [f"r{n}" for n in range(50)]
    assert [result.answer and result.answer.text for result in found] == [f"Say {n}" for n in range(50)]
    assert all(result.ok and result.attempts == 1 and len(result.requests) == 1 for result in found)
    assert lab.server.connections <= 8
    assert provider_core.batch is batch


def test_results_come_while_others_are_still_asked(lab: Lab) -> None:
    slow = threading.Event()
    lab.server.will(
        lambda asked: Answer([Pause(slow), *answer("slow")]) if b"slow" in asked.raw else echo(asked)
    )
    results = lab.batch(["slow", *map(str, range(20))], workers=2)
    assert len({next(results).row.text for _ in range(20)} - {"slow"}) == 20
    slow.set()
    assert next(results).row.text == "slow"


HALF = [*sse(delta("half")), Cut()]
PRICED = Answer(answer("x", usage={"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.01}))


@pytest.mark.parametrize(
    ("steps", "attempts"),
    [
        ([refusal(429)], 2),
        ([refusal(503), refusal(529)], 3),
        ([refusal(500)], 2),
        ([HALF], 2),
        ([Answer([Cut(reset=True)], head=b"")], 2),
        ([[b'data: {"choices": [{"delta": {"content": "x"\n\n']], 2),
        ([Answer([b"<html>502</html>"], status=502)], 2),
        ([HALF, refusal(500)], 3),
        ([refusal(429)] * 3, 4),
    ],
)
def test_a_row_that_failed_for_a_moment_is_asked_again(lab: Lab, steps: list[Any], attempts: int) -> None:
    lab.server.will(failing(*steps))
    (result,) = lab.results(["x"], workers=4)
    assert result.ok, result.error
    assert result.answer is not None
    assert (result.answer.text, result.attempts) == ("x", attempts)
    assert len(result.requests) == attempts, "each of them is counted"


@pytest.mark.parametrize(
    ("step", "verdict", "error"),
    [
        (refusal(400), Verdict.FAILED, errors.BadRequestError),
        (HALF, Verdict.PARTIAL, errors.ConnectionLostError),
        (answer("cut", finish="length"), Verdict.LENGTH, errors.TokenLimitError),
        (answer(finish="content_filter"), Verdict.FILTERED, errors.ContentPolicyError),
        (refusal(500), Verdict.FAILED, errors.ServerError),
    ],
)
def test_a_row_that_keeps_failing_has_an_error_and_the_others_go_on(
    lab: Lab, step: Any, verdict: Verdict, error: type[Exception]
) -> None:
    reply = step if isinstance(step, Answer) else Answer(step)
    lab.server.will(lambda asked: reply if b"bad" in asked.raw else echo(asked))
    good, bad, last = lab.results(["one", "bad", "two"], lab.provider(retries=1), workers=2)
    assert good.ok
    assert last.ok
    assert (bad.ok, bad.verdict) == (False, verdict)
    assert isinstance(bad.error, error)


def test_a_schema_is_checked_and_its_retry_counted(lab: Lab) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    lab.server.will(answer('{"n": "x"}'), answer('{"n": 5}'))
    (result,) = lab.results(["x"], schema=schema)
    assert result.ok
    assert result.answer is not None
    assert json.loads(result.answer.text) == {"n": 5}
    assert (result.attempts, len(result.requests)) == (1, 2)


def test_a_stalled_row_is_asked_again(lab: Lab) -> None:
    lab.server.will(failing([Pause(60)]))
    (result,) = lab.results(["x"], lab.provider(first_byte_timeout=2))
    assert (result.ok, result.attempts) == (True, 2)


def test_retry_after_holds_all_rows_back(lab: Lab) -> None:
    times: list[float] = []

    def serve(asked: Asked) -> Answer:
        times.append(time.monotonic())
        if len(times) == 1:
            return Answer([b"{}"], status=429, headers={"retry-after": "0.7"})
        return echo(asked)

    lab.server.will(serve)
    found = lab.results(map(str, range(5)), workers=1)
    assert all(result.ok for result in found)
    assert times[1] - times[0] >= 0.69


def test_a_limit_that_the_server_reports_holds_all_rows_back(lab: Lab) -> None:
    times: list[float] = []

    def serve(asked: Asked) -> Answer:
        times.append(time.monotonic())
        headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "700ms"}
        return Answer(answer("x"), headers=headers if len(times) == 1 else {})

    lab.server.will(serve)
    assert all(result.ok for result in lab.results(["a", "b"], workers=1))
    assert times[1] - times[0] >= 0.65


def test_tokens_that_were_not_estimated_count_for_the_rows_after(lab: Lab) -> None:
    lab.server.will(answer("x", usage={"prompt_tokens": 30, "completion_tokens": 10}))
    begun = time.monotonic()
    assert all(result.ok for result in lab.results(map(str, range(3)), workers=1, tpm=4000))
    assert time.monotonic() - begun >= 1.15


def test_requests_in_flight_at_the_deadline_have_some_time_more(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_GRACE", 0.3)
    lab.server.will(lambda asked: Answer([Pause(120)]) if b"slow" in asked.raw else echo(asked))
    results = lab.batch(["a", "slow"], workers=2, limits=BatchLimits(deadline=3600))
    assert next(results).row.text == "a"
    assert within(30, lambda: len(lab.server.asked) == 2)
    lab.runs[0]._deadline = begun = time.monotonic()
    assert (list(results), lab.runs[0].ended_by) == ([], "deadline")
    assert 0.3 <= time.monotonic() - begun < 60


@pytest.mark.parametrize(
    ("step", "error"),
    [(refusal(401), errors.AuthenticationError), (refusal(402), errors.QuotaError),
     (refusal(404, "The model `m` does not exist", code="model_not_found"), errors.ModelNotFoundError),
     (Answer([b"{}"], status=429, headers={"retry-after": "7200"}), errors.RateLimitError)],
)  # fmt: skip
def test_what_would_fail_for_every_row_ends_the_batch(lab: Lab, step: Answer, error: type[Exception]) -> None:
    lab.server.will(step)
    seen: list[Result] = []
    with pytest.raises(error):
        seen.extend(lab.batch(map(str, range(1000))))
    assert seen == []
    assert len(lab.server.asked) <= 4


def test_refusals_alone_end_the_batch_at_last(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "_LONGEST_REFUSAL", 0.2)
    lab.server.will(refusal(503))
    with pytest.raises(errors.OverloadedError):
        list(lab.batch(map(str, range(1000))))


def test_a_row_that_is_refused_too_often_fails_alone(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_RATE_RETRIES", 2)
    lab.server.will(lambda asked: refusal(429) if b"bad" in asked.raw else echo(asked))
    good, bad = lab.results(["good", "bad"], workers=2)
    assert (good.ok, bad.ok, bad.attempts) == (True, False, 3)
    assert isinstance(bad.error, errors.RateLimitError)


def test_a_missing_key_is_reported_before_any_row(lab: Lab) -> None:
    keyed = provider("lab", base_url=lab.server.url, key_env="NOT_SET")
    with pytest.raises(errors.MissingKeyError):
        next(lab.batch(["x"], to=keyed))


def test_a_server_that_is_not_there_ends_the_batch(lab: Lab) -> None:
    gone = lab.provider("gone", base_url="http://127.0.0.1:9/v1", retries=1)
    begun = time.monotonic()
    with pytest.raises(errors.ConnectError):
        list(lab.batch(map(str, range(1000)), to=gone, workers=16))
    assert time.monotonic() - begun < 30


def test_several_models_share_the_rows_and_a_dead_one_rests(lab: Lab) -> None:
    with Scripted() as other:
        other.will(lambda asked: Answer([Pause(0.2), *answer("other")]))
        gone = lab.provider("gone", base_url="http://127.0.0.1:9/v1", retries=0)
        providers = (lab.provider(), lab.provider("two", other), gone)
        found = lab.results(map(str, range(60)), *providers, workers=2)
    assert all(result.ok for result in found)
    used = Counter(str(result.answer.target) for result in found if result.answer)
    assert used["lab/m"] > used["two/m"] > used["gone/m"] == 0


def test_the_addresses_of_a_provider_share_the_rows(lab: Lab) -> None:
    with Scripted() as other:
        for each in (lab.server, other):
            each.will(lambda asked: Answer([Pause(0.02), *answer("x")]))
        fleet = lab.provider("fleet", base_urls=[other.url])
        assert all(result.ok for result in lab.results(map(str, range(40)), fleet, workers=2))
        assert min(len(lab.server.asked), len(other.asked)) > 5


def test_a_row_may_name_its_model(lab: Lab) -> None:
    rows = [{"prompt": "a", "model": "lab/n"}, {"prompt": "b"}, {"prompt": "c", "model": "nobody/x"}]
    named, usual, wrong = lab.results(rows)
    assert named.ok
    assert usual.ok
    assert {asked.body["model"] for asked in lab.server.asked} == {"m", "n"}
    assert isinstance(wrong.error, errors.ModelError)


@pytest.mark.parametrize(
    ("reply", "limits", "why", "counts"),
    [
        (refusal(400), {"max_errors": 3}, "errors", range(3, 5)),  # 2 are in flight
        (PRICED, {"max_cost": Decimal("0.10")}, "cost", range(6, 13)),
        (Answer([Pause(0.02), *answer("x")]), {"deadline": 0.5}, "deadline", range(200)),
    ],
)
def test_limits_end_a_batch_early(lab: Lab, reply: Answer, limits: Any, why: str, counts: range) -> None:
    lab.server.will(reply)
    found = list(lab.batch(map(str, range(400)), workers=2, limits=BatchLimits(**limits)))
    assert (lab.runs[0].ended_by, len(found) in counts) == (why, True), len(found)


def test_a_limit_that_is_reached_after_the_last_row_has_begun_ends_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_TICK", 30.0)
    is_read = threading.Event()

    def rows() -> Iterator[str]:
        yield from "ab"
        is_read.set()

    lab.server.will(lambda asked: Answer([Pause(is_read), *PRICED.body]))  # type: ignore[list-item]
    limits = BatchLimits(max_cost=Decimal("0.02"))
    assert len(list(lab.batch(rows(), workers=3, limits=limits))) == 2
    assert lab.runs[0].ended_by == ""


def test_max_cost_holds_although_the_caller_is_slow(lab: Lab) -> None:
    lab.server.will(PRICED)
    limits = BatchLimits(max_cost=Decimal("0.10"))
    for result in lab.batch(map(str, range(400)), workers=2, limits=limits):
        time.sleep(0.05)
        assert result.ok
    assert 9 <= len(lab.server.asked) <= 10


def test_a_row_that_shows_a_mistake_in_telex_does_not_end_the_others(lab: Lab) -> None:
    odd: Any = {"a set"}  # no reader returns one
    good, bad = lab.results([{"prompt": "a"}, Row(number=2, id=2, columns={"prompt": odd})])
    assert good.ok
    assert bad.error is not None
    assert "internal error in json.encoder" in bad.error.message


def test_stop_ends_after_the_requests_in_flight(lab: Lab) -> None:
    lab.server.will(lambda asked: Answer([Pause(0.1), *answer("x")]))
    found = []
    for result in lab.batch(map(str, range(400)), workers=4):
        found.append(result)
        lab.runs[0].stop()
    assert all(result.ok for result in found)
    assert len(found) == len(lab.server.asked) <= 8


def test_rpm_spaces_requests(lab: Lab) -> None:
    for fields, options in (({}, {"rpm": 600}), ({"rpm": 600}, {})):
        begun = time.monotonic()
        found = lab.results(map(str, range(6)), lab.provider(**fields), workers=6, **options)
        assert all(result.ok for result in found)
        assert time.monotonic() - begun >= 0.5


def test_requests_in_flight_grow_while_answers_come(lab: Lab) -> None:
    now = most = 0
    lock = threading.Lock()

    def pieces() -> Iterator[Any]:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        yield Pause(0.03)
        with lock:
            now -= 1
        yield from answer("x")

    lab.server.will(lambda asked: Answer(pieces()))
    found = lab.results(map(str, range(300)))
    assert all(result.ok for result in found)
    assert most > 12


def test_rows_are_not_read_long_before_they_are_asked(lab: Lab) -> None:
    taken = 0

    def rows() -> Iterator[str]:
        nonlocal taken
        for number in range(100_000):
            taken += 1
            yield str(number)

    results = lab.batch(rows(), workers=4)
    for _ in range(10):
        next(results)
    time.sleep(0.5)  # the caller takes nothing more
    assert taken < 400
    results.close()
