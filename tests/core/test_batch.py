"""The library's batches against scripted servers: results as they come, retries, limits, and what ends a batch."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from scripted import Answer, Asked, Cut, Pause, Scripted, answer, delta, sse
from servers import refusal

import provider_core
from provider_core import BatchLimits, BatchRun, Result, Row, batch, errors, provider
from provider_core.batches import lanes
from provider_core.keys import MemoryStore
from provider_core.runtime import Runtime
from provider_core.settings import Settings
from provider_core.types import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from provider_core.types import Provider


@pytest.fixture
def runtime(tmp_path: Any) -> Iterator[Runtime]:
    made = Runtime(
        environ={"TELEX_HOME": str(tmp_path)}, settings=Settings(providers={}), key_store=MemoryStore()
    )
    yield made
    made.close()


def lab(server: Scripted, name: str = "lab", **fields: Any) -> Provider:
    return provider(name, base_url=server.url, key="none", models=["m"], **fields)


def run(runtime: Runtime, rows: Any, *providers: Provider, **options: Any) -> list[Result]:
    """The results in the order of the rows."""
    settings = Settings(providers={each.name: each for each in providers})
    runtime = Runtime(environ=runtime.environ, settings=settings, key_store=runtime.key_store)
    try:
        return sorted(
            batch(rows, [each.name for each in providers], runtime=runtime, **options),
            key=lambda result: result.row.number,
        )
    finally:
        runtime.close()


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


def test_each_row_has_a_result_with_its_answer(runtime: Runtime, server: Scripted) -> None:
    server.will(echo)
    rows = [{"id": f"r{n}", "body": str(n)} for n in range(50)]
    found = run(runtime, rows, lab(server), prompt="Say {{ body }}", workers=8)
    assert [result.row.id for result in found] == [f"r{n}" for n in range(50)]
    assert [result.answer and result.answer.text for result in found] == [f"Say {n}" for n in range(50)]
    assert all(result.ok and result.attempts == 1 and len(result.requests) == 1 for result in found)
    assert server.connections <= 8
    assert provider_core.batch is batch


def test_results_come_while_others_are_still_asked(runtime: Runtime, server: Scripted) -> None:
    slow = threading.Event()
    server.will(lambda asked: Answer([Pause(slow), *answer("slow")]) if b"slow" in asked.raw else echo(asked))
    results = batch(["slow", *map(str, range(20))], lab(server), "m", workers=2, runtime=runtime)
    assert len({next(results).row.text for _ in range(20)} - {"slow"}) == 20
    slow.set()
    assert next(results).row.text == "slow"


HALF = [*sse(delta("half")), Cut()]


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
def test_a_row_that_failed_for_a_moment_is_asked_again(
    runtime: Runtime, server: Scripted, steps: list[Any], attempts: int
) -> None:
    server.will(failing(*steps))
    (result,) = run(runtime, ["x"], lab(server), workers=4)
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
    runtime: Runtime, server: Scripted, step: Any, verdict: Verdict, error: type[Exception]
) -> None:
    reply = step if isinstance(step, Answer) else Answer(step)
    server.will(lambda asked: reply if b"bad" in asked.raw else echo(asked))
    good, bad, last = run(runtime, ["one", "bad", "two"], lab(server, retries=1), workers=2)
    assert good.ok
    assert last.ok
    assert (bad.ok, bad.verdict) == (False, verdict)
    assert isinstance(bad.error, error)


def test_a_token_limit_of_the_callers_own_is_complete(runtime: Runtime, server: Scripted) -> None:
    server.will(answer("short", finish="length"))
    (result,) = run(runtime, ["x"], lab(server), max_tokens=1)
    assert result.ok


def test_a_schema_is_checked_and_its_retry_counted(runtime: Runtime, server: Scripted) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    server.will(answer('{"n": "x"}'), answer('{"n": 5}'))
    (result,) = run(runtime, ["x"], lab(server), schema=schema)
    assert result.ok
    assert result.answer is not None
    assert json.loads(result.answer.text) == {"n": 5}
    assert (result.attempts, len(result.requests)) == (1, 2)


def test_a_stalled_row_is_asked_again(runtime: Runtime, server: Scripted) -> None:
    server.will(failing([Pause(30)]))
    (result,) = run(runtime, ["x"], lab(server, first_byte_timeout=0.2))
    assert (result.ok, result.attempts) == (True, 2)


def test_retry_after_holds_all_rows_back(runtime: Runtime, server: Scripted) -> None:
    times: list[float] = []

    def serve(asked: Asked) -> Answer:
        times.append(time.monotonic())
        if len(times) == 1:
            return Answer([b"{}"], status=429, headers={"retry-after": "0.7"})
        return echo(asked)

    server.will(serve)
    found = run(runtime, map(str, range(5)), lab(server), workers=1)
    assert all(result.ok for result in found)
    assert times[1] - times[0] >= 0.69


@pytest.mark.parametrize(
    ("step", "error"),
    [(refusal(401), errors.AuthenticationError), (refusal(402), errors.QuotaError),
     (refusal(404, "The model `m` does not exist", code="model_not_found"), errors.ModelNotFoundError),
     (Answer([b"{}"], status=429, headers={"retry-after": "7200"}), errors.RateLimitError)],
)  # fmt: skip
def test_what_would_fail_for_every_row_ends_the_batch(
    runtime: Runtime, server: Scripted, step: Answer, error: type[Exception]
) -> None:
    server.will(step)
    seen: list[Result] = []
    with pytest.raises(error):
        seen.extend(batch(map(str, range(1000)), lab(server), "m", runtime=runtime))
    assert seen == []
    assert len(server.asked) <= 4


def test_refusals_alone_end_the_batch_at_last(
    runtime: Runtime, server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "_LONGEST_REFUSAL", 0.2)
    server.will(refusal(503))
    with pytest.raises(errors.OverloadedError):
        list(batch(map(str, range(1000)), lab(server), "m", runtime=runtime))


def test_a_missing_key_is_reported_before_any_row(runtime: Runtime, server: Scripted) -> None:
    keyed = provider("lab", base_url=server.url, key_env="NOT_SET")
    with pytest.raises(errors.MissingKeyError):
        next(batch(["x"], keyed, "m", runtime=runtime))


def test_a_server_that_is_not_there_ends_the_batch(runtime: Runtime) -> None:
    gone = provider("gone", base_url="http://127.0.0.1:9/v1", key="none", retries=1)
    begun = time.monotonic()
    with pytest.raises(errors.ConnectError):
        list(batch(map(str, range(1000)), gone, "m", runtime=runtime, workers=16))
    assert time.monotonic() - begun < 10


def test_several_models_share_the_rows_and_a_dead_one_rests(runtime: Runtime, server: Scripted) -> None:
    server.will(echo)
    with Scripted() as other:
        other.will(lambda asked: Answer([Pause(0.05), *answer("other")]))
        gone = provider("gone", base_url="http://127.0.0.1:9/v1", key="none", models=["m"], retries=0)
        found = run(runtime, map(str, range(60)), lab(server), lab(other, "two"), gone, workers=2)
        assert all(result.ok for result in found)
        used = Counter(str(result.answer.target) for result in found if result.answer)
        assert used["lab/m"] > used["two/m"] > 0
        assert not used["gone/m"]


def test_the_addresses_of_a_provider_share_the_rows(runtime: Runtime, server: Scripted) -> None:
    with Scripted() as other:
        for each in (server, other):
            each.will(lambda asked: Answer([Pause(0.02), *answer("x")]))
        fleet = provider("fleet", base_url=server.url, base_urls=[other.url], key="none", models=["m"])
        found = run(runtime, map(str, range(40)), fleet, workers=2)
        assert all(result.ok for result in found)
        assert len(server.asked) > 5
        assert len(other.asked) > 5


def test_a_row_may_name_its_model(runtime: Runtime, server: Scripted) -> None:
    server.will(echo)
    rows = [{"prompt": "a", "model": "lab/n"}, {"prompt": "b"}, {"prompt": "c", "model": "nobody/x"}]
    named, usual, wrong = run(runtime, rows, lab(server))
    assert named.ok
    assert usual.ok
    assert {asked.body["model"] for asked in server.asked} == {"m", "n"}
    assert isinstance(wrong.error, errors.ModelError)


def test_limits_end_a_batch_early(runtime: Runtime, server: Scripted) -> None:
    runs: list[BatchRun] = []

    def ended(limits: BatchLimits, **options: Any) -> tuple[int, str]:
        found = list(
            batch(map(str, range(400)), lab(server), "m", runtime=runtime, workers=2, limits=limits,
                  on_start=runs.append, **options)
        )  # fmt: skip
        return len(found), runs[-1].ended_by

    server.will(refusal(400))
    assert ended(BatchLimits(max_errors=3)) in ((3, "errors"), (4, "errors"))  # 2 are in flight
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.01}
    server.will(answer("x", usage=usage))
    count, why = ended(BatchLimits(max_cost=Decimal("0.10")))
    assert why == "cost"
    assert 6 <= count <= 12
    server.will(lambda _: Answer([Pause(0.02), *answer("x")]))
    count, why = ended(BatchLimits(deadline=0.5))
    assert why == "deadline"
    assert 5 < count < 100


def test_max_cost_holds_although_the_caller_is_slow(runtime: Runtime, server: Scripted) -> None:
    server.will(answer("x", usage={"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.01}))
    limits = BatchLimits(max_cost=Decimal("0.10"))
    for result in batch(map(str, range(400)), lab(server), "m", runtime=runtime, workers=2, limits=limits):
        time.sleep(0.05)
        assert result.ok
    assert 9 <= len(server.asked) <= 10


def test_a_row_that_shows_a_mistake_in_telex_does_not_end_the_others(
    runtime: Runtime, server: Scripted
) -> None:
    server.will(echo)
    odd: Any = {"a set"}  # no reader returns one
    good, bad = run(runtime, [{"prompt": "a"}, Row(number=2, id=2, columns={"prompt": odd})], lab(server))
    assert good.ok
    assert bad.error is not None
    assert "internal error in json.encoder" in bad.error.message


def test_stop_ends_after_the_requests_in_flight(runtime: Runtime, server: Scripted) -> None:
    server.will(lambda asked: Answer([Pause(0.1), *answer("x")]))
    runs: list[BatchRun] = []
    found = []
    for result in batch(
        map(str, range(400)), lab(server), "m", runtime=runtime, workers=4, on_start=runs.append
    ):
        found.append(result)
        runs[0].stop()
    assert all(result.ok for result in found)
    assert len(found) == len(server.asked) <= 8


def test_rpm_spaces_requests(runtime: Runtime, server: Scripted) -> None:
    server.will(echo)
    begun = time.monotonic()
    found = run(runtime, map(str, range(6)), lab(server), rpm=600, workers=6)
    assert all(result.ok for result in found)
    assert time.monotonic() - begun >= 0.5
    server.will(echo)
    begun = time.monotonic()
    run(runtime, map(str, range(6)), lab(server, rpm=600), workers=6)
    assert time.monotonic() - begun >= 0.5


def test_requests_in_flight_grow_while_answers_come(runtime: Runtime, server: Scripted) -> None:
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

    server.will(lambda asked: Answer(pieces()))
    found = run(runtime, map(str, range(300)), lab(server))
    assert all(result.ok for result in found)
    assert most > 12


def test_rows_are_not_read_long_before_they_are_asked(runtime: Runtime, server: Scripted) -> None:
    taken = 0

    def rows() -> Iterator[str]:
        nonlocal taken
        for number in range(100_000):
            taken += 1
            yield str(number)

    server.will(echo)
    results = batch(rows(), lab(server), "m", workers=4, runtime=runtime)
    for _ in range(10):
        next(results)
    time.sleep(0.5)  # the caller takes nothing more
    assert taken < 400
    results.close()
