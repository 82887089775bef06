"""A batch as jobs of a provider: limits, resuming after each kind of end, lost answers, and what results contain."""

from __future__ import annotations

import json
import os
import stat
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from batch_api import BatchApi, completion, echo, refused, reply
from scripted import Answer, Asked, Cut, Pause, Scripted

from provider_core import errors
from provider_core.attachments import estimate_tokens
from provider_core.batches import BatchLimits, Lane, Result, planner, rows_of
from provider_core.batches.jobs import JobFile, Part, batch_api
from provider_core.batches.provider_runner import ProviderRun
from provider_core.client import Client, OpenProvider
from provider_core.errors import InvalidInputError
from provider_core.presets import BatchApi as BatchApiOf
from provider_core.prices import Prices
from provider_core.structs import replace
from provider_core.types import Message, Network, Provider, Request, Target, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

KEY = "sk-canary-123456"


class Time:
    """A clock that sleeping moves."""

    now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class World:
    """A provider with a Batch API, and runs that share a file of jobs."""

    def __init__(self, server: Scripted, folder: Path) -> None:
        self.api = BatchApi()
        server.will(self.api)
        self.server = server
        self.path = folder / "out.jsonl.jobs"
        self.time = Time()
        self.notes: list[str] = []
        self.provider = Provider(
            name="lab", base_url=server.url, network=Network(retries=2, retry_budget=30.0)
        )

    def run(self, rows: Iterable[Any] = ("a", "b", "c"), **how: Any) -> ProviderRun:
        target = Target(provider=self.provider, model="m")
        opened = replace(self.provider, network=replace(self.provider.network, retries=0))  # as Lanes does
        return ProviderRun(
            rows_of(rows),
            planner(request=Request(model="", messages=())),
            [Lane(target, OpenProvider(client=Client(), provider=opened, key=KEY))],
            jobs=JobFile(self.path),
            lanes_for=lambda _: [],
            note=self.notes.append,
            clock=lambda: self.time.now,
            sleep=self.time.sleep,
            **how,
        )

    def results(self, rows: Iterable[Any] = ("a", "b", "c"), **how: Any) -> list[Result]:
        run = self.run(rows, **how)
        found = [result for result in run if result is not None]
        assert run.error is None, run.error
        return found

    def assert_each_row_is_paid_for_once(self) -> None:
        assert self.texts() == ["a", "b", "c"]
        assert sorted(self.sent) == ["a", "b", "c"]

    def assert_ends(self, error: type[Exception], words: str = "", **how: Any) -> None:
        """A run ends without a result."""
        run = self.run(**how)
        assert [each for each in run if each] == []
        assert isinstance(run.error, error)
        assert words in str(run.error)
        assert KEY not in str(run.error)

    def limit(self, monkeypatch: pytest.MonkeyPatch, **fields: Any) -> None:
        api = BatchApiOf(source="", **fields)
        monkeypatch.setattr("provider_core.batches.jobs.batch_api", lambda _: api)

    def texts(self, rows: Iterable[Any] = ("a", "b", "c"), **how: Any) -> list[str]:
        return sorted(each.answer.text for each in self.results(rows, **how) if each.ok and each.answer)

    @property
    def sent(self) -> list[str]:
        """The prompts of all jobs that were created."""
        return [row["body"]["messages"][-1]["content"] for row in self.api.rows]


@pytest.fixture
def world(server: Scripted, tmp_path: Path) -> World:
    return World(server, tmp_path)


def until(run: ProviderRun, state: str) -> Iterator[Result | None]:
    """Iterate until the file of jobs says ``state``."""
    iterator = iter(run)
    for result in iterator:
        yield result
        if state in run.activity:
            return


# --- one run -----------------------------------------------------------------------------------------------


def test_rows_become_a_file_a_job_and_results(world: World) -> None:
    results = world.results(["a", {"id": 7, "text": "b"}])
    assert sorted(
        (each.row.id, each.answer and each.answer.text) for each in results if each.row.id == 7
    ) == [(7, "b")]
    assert world.api.requests[:3] == ["POST /files", "POST /batches", "GET /batches/batch0"]
    first = world.api.rows[0]
    assert first["body"] == {"model": "m", "messages": [{"role": "user", "content": "a"}]}, "not streamed"
    assert not world.path.exists(), "nothing is left to fetch"
    assert {asked.headers["authorization"] for asked in world.server.asked} == {f"Bearer {KEY}"}
    answer = results[0].answer
    assert answer is not None
    assert answer.usage is not None
    assert (answer.verdict, answer.usage.input, answer.timing.total, results[0].attempts) == (
        Verdict.COMPLETE, 3, None, 1,
    )  # fmt: skip
    assert len(results[0].requests) == 1, "the ledger counts it"


@pytest.mark.parametrize(
    ("body", "verdict", "error"),
    [
        (completion("cut", "length"), Verdict.LENGTH, errors.TokenLimitError),
        (completion("no", "content_filter"), Verdict.FILTERED, errors.ProviderError),
        (completion(""), Verdict.EMPTY, errors.ProviderError),
        ({"status_code": 400, "error": {"message": "bad row"}}, Verdict.FAILED, errors.BadRequestError),
        ({"status_code": 500, "error": {"message": "oops"}}, Verdict.FAILED, errors.ServerError),
        ({"choices": "none"}, Verdict.FAILED, errors.ProviderError),
    ],
)
def test_a_line_is_judged_as_an_answer_is(
    world: World, body: dict[str, Any], verdict: Verdict, error: type
) -> None:
    world.api.run = lambda _: dict(body)
    (result,) = world.results(["a"])
    assert (result.verdict, result.ok) == (verdict, False)
    assert isinstance(result.error, error)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"response": None, "error": None}, "the provider returned no answer for the row"),
        ({"response": None, "error": {"message": "too odd"}}, "too odd"),
        ({"response": {"status_code": 429}, "error": {"message": "too many"}}, "too many"),
        ({"response": {"status_code": 200}}, "the provider returned no answer for the row"),
        ({"response": {"status_code": "x", "body": "odd"}}, "odd"),
    ],
)
def test_a_line_without_an_answer_is_a_failed_row(world: World, line: dict[str, Any], words: str) -> None:
    def odd(_: Asked) -> Answer:
        id_ = json.loads(world.api.files["file0"])["custom_id"]
        others = [
            b"broken",
            b"[]",
            b"{}",
            b'{"custom_id": 5}',
            b'{"custom_id": "\\ud800"}',
            json.dumps({**line, "custom_id": "unknown"}).encode(),
        ]
        return Answer([b"\n".join([*others, json.dumps({**line, "custom_id": id_}).encode()])])

    world.api.faults = [("GET /files/.*", odd)]
    (result,) = world.results(["a"])
    assert result.verdict is Verdict.FAILED
    assert words in str(result.error)


def test_json_that_does_not_match_fails_without_a_second_request(world: World) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    world.api.run = lambda body: completion('{"n": 1}' if "good" in str(body) else '{"n": "x"}')
    run = world.run(["good", "bad"])
    run._planner = planner(request=Request(model="", messages=(), schema=schema), schema_retries=3)
    found = {str(each.row.text): each for each in run if each is not None}
    assert found["good"].ok
    assert isinstance(found["bad"].error, errors.SchemaMismatchError)
    assert len(world.api.batches) == 1


def test_costs_are_those_of_the_batch_api(world: World) -> None:
    price = {"input": "10", "output": "20", "batch_input": "5", "batch_output": "10"}
    run = world.run(["a"], prices=Prices(lambda *_: price))
    (result,) = [each for each in run if each is not None]
    assert result.answer is not None
    assert result.answer.cost is not None
    assert result.answer.cost.amount == run.spent == Decimal("0.000035")


def test_files_obey_the_limits_of_the_provider(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.limit(monkeypatch, requests=3)
    texts = [f"{n}" for n in range(8)]
    assert world.texts(texts) == texts
    sizes = [file.count(b"\n") for name, file in world.api.files.items() if name.startswith("file")]
    assert sizes == [3, 3, 2]


def test_a_row_that_no_file_can_hold_fails_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.limit(monkeypatch, megabytes=1)
    long, short = sorted(world.results(["x" * 1_000_000, "b"]), key=lambda each: each.row.number)
    assert "longer than 1 MB" in str(long.error)
    assert short.ok


def test_an_answer_of_the_api_may_come_in_pieces_and_has_a_limit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def serve(asked: Asked) -> Answer:
        whole = world.api(asked)
        (body,) = whole.body
        return Answer([body[:9], Pause(0.02), body[9:]], whole.status, whole.headers)  # type: ignore[index]

    world.server.will(serve)
    assert world.texts() == ["a", "b", "c"]
    monkeypatch.setattr("provider_core.batches.jobs._ANSWER", 5)
    world.assert_ends(errors.ProtocolError, "lab did not answer /files with a JSON object")


def test_a_row_that_is_not_valid_unicode_fails_alone(world: World) -> None:
    odd, good = sorted(world.results(["\ud800", "b"]), key=lambda each: each.row.number)
    assert "text that is not valid Unicode" in str(odd.error)
    assert good.ok


@pytest.mark.parametrize(
    ("name", "has"), [("openai", True), ("groq", True), ("mistral", False), ("ollama", False), (None, True)]
)
def test_presets_say_who_has_a_batch_api(name: str | None, has: bool) -> None:
    provider = Provider(name="x", preset=name)
    if has:
        assert batch_api(provider).requests == 50_000
        return
    with pytest.raises(InvalidInputError, match="no Batch API that telex can use"):
        batch_api(provider)
    with pytest.raises(InvalidInputError, match="the embedded model has no Batch API"):
        batch_api(Provider(name="x", embedded=True))


# --- other ends of a job -----------------------------------------------------------------------------------


def test_rows_of_an_expired_job_fail_and_the_next_run_sends_only_these(world: World) -> None:
    world.api.ends = "expired"
    world.api.run = lambda body: echo(body) if "a" in str(body["messages"]) else None
    found = world.results()
    assert {str(each.row.text): each.ok for each in found} == {"a": True, "b": False, "c": False}
    assert {(each.error.code, each.error.message) for each in found if each.error} == {
        ("batch_expired", "the job of lab expired before it was done")
    }
    world.api.ends, world.api.run = "completed", echo
    assert world.texts(["b", "c"]) == ["b", "c"]
    assert sorted(world.sent) == ["a", "b", "b", "c", "c"]


def test_a_cancelled_job_keeps_what_was_done(world: World) -> None:
    list(until(world.run(), "in progress"))
    world.api.batches["batch0"] |= {"status": "cancelling", "ends": "cancelled"}
    world.api.run = lambda body: (
        echo(body) if len(world.api.batches) > 1 or "a" in str(body["messages"][0]["content"]) else None
    )
    assert world.texts() == ["a", "b", "c"]
    assert sorted(world.sent) == ["a", "b", "b", "c", "c"], "only what was cancelled is sent again"


def test_a_refused_job_ends_the_batch_with_the_providers_words(world: World) -> None:
    world.api.ends = "failed"
    world.api.errors = [{"code": "model_not_found", "message": "There is no m.", "line": 2}]
    words = "lab refused the job batch0: There is no m. (line 2 of the file)"
    world.assert_ends(errors.ProviderError, words)
    assert not world.path.exists()


def test_a_full_queue_is_waited_for_if_jobs_of_this_run_fill_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.limit(monkeypatch, requests=2)
    create = world.api._create

    def limited(body: dict[str, Any]) -> Answer:
        ended = {"completed", "failed"}
        is_busy = any(each["status"] not in ended for each in world.api.batches.values())
        world.api.ends = "failed" if is_busy else "completed"
        world.api.errors = [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}]
        return create(body)

    world.api._create = limited  # type: ignore[method-assign]
    assert world.texts() == ["a", "b", "c"]
    assert [each["status"] for each in world.api.batches.values()].count("completed") == 2


# --- interruptions -----------------------------------------------------------------------------------------


def test_a_stopped_run_leaves_the_job_running_and_the_next_one_fetches_it(world: World) -> None:
    run = world.run()
    for _ in until(run, "in progress"):
        pass
    run.stop()
    file = json.loads(world.path.read_text())
    assert [job["id"] for job in file["telex_jobs"]] == ["batch0"]
    assert KEY not in world.path.read_text()
    if os.name == "posix":
        assert stat.S_IMODE(world.path.stat().st_mode) == 0o600
    world.assert_each_row_is_paid_for_once()
    assert world.notes[-1] == "Resuming a job of an earlier run."


def test_new_and_changed_rows_are_sent_after_a_resumed_job(world: World) -> None:
    list(until(world.run([{"id": 1, "text": "a"}, {"id": 2, "text": "b"}]), "in progress"))
    rows = [{"id": 1, "text": "a"}, {"id": 2, "text": "B"}, {"id": 3, "text": "c"}]
    assert world.texts(rows) == ["B", "a", "c"]
    assert world.sent == ["a", "b", "B", "c"]


def test_answers_to_rows_that_a_run_skips_are_saved_for_the_next_one(world: World) -> None:
    list(until(world.run(), "in progress"))
    assert world.texts(["a"], is_whole=lambda: False) == ["a"]
    assert world.path.exists()
    assert world.texts() == ["a", "b", "c"]
    assert len(world.api.batches) == 1


class KilledError(BaseException):
    """A kill: nothing handles it, and what is on the disk then is all that the next run has."""


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize("step", ["POST /files", "POST /batches", "GET /batches/batch0", "GET /files/.*"])
def test_killed_at_any_step_no_row_is_paid_for_twice(world: World, step: str, answered: bool) -> None:
    def kill(asked: Asked) -> Answer:
        if answered:
            world.api.handle(asked, asked.path.partition("/v1")[2])
        return refused(500, "the program is killed while it waits")

    run = world.run()
    world.api.faults = [(step, kill)]
    sleep = world.time.sleep

    def killed(seconds: float) -> None:
        if world.api.faults:
            sleep(seconds)
        else:
            raise KilledError

    run._sleep = killed
    with pytest.raises(KilledError):
        list(run)
    world.assert_each_row_is_paid_for_once()


def test_a_run_that_is_stopped_creates_no_job(world: World) -> None:
    world.api.faults = [("POST /batches", refused(500, "not now"))]
    run = world.run()
    run._sleep = lambda _: run.stop()
    assert list(filter(None, run)) == []
    assert world.path.exists(), "the file is uploaded, and its job could be created"
    run = world.run()
    run.stop("error", errors.BudgetError("the budget is spent", code="budget_day"))
    assert list(run) == []
    assert world.api.batches == {}
    world.assert_each_row_is_paid_for_once()


def test_rows_of_a_file_that_was_deleted_before_its_job_was_created_are_sent_again(world: World) -> None:
    world.api.faults = [("POST /batches", refused(500, "not now"))]
    run = world.run()
    run._sleep = lambda _: run.stop()
    assert list(filter(None, run)) == []
    world.api.faults = [("POST /batches", refused(400, "no such file"))]
    world.assert_each_row_is_paid_for_once()


def test_a_job_at_another_address_is_not_given_up(world: World) -> None:
    list(until(world.run(), "in progress"))
    at, world.provider = world.provider.base_url, replace(world.provider, base_url="http://127.0.0.1:9/v1")
    world.assert_ends(InvalidInputError, f"has a job at lab ({at}), which this batch does not use")
    world.provider = replace(world.provider, base_url=at)
    world.assert_each_row_is_paid_for_once()


def test_an_id_that_cannot_be_sent_ends_the_batch(world: World) -> None:
    world.api.faults = [("POST /batches", reply({"id": "\ud800", "status": "in_progress"}))]
    world.assert_ends(errors.NotFoundError, "lab seems to have no batch ?")


def test_without_a_list_of_batches_a_job_that_may_exist_is_not_created_again(world: World) -> None:
    world.api.has_list = False

    def lost(asked: Asked) -> Answer:
        world.api.handle(asked, "/batches")
        return Answer([Cut()])

    world.api.faults = [("POST /batches", lost)]
    for _ in range(2):
        world.assert_ends(errors.NotFoundError, "cannot tell whether it has a job for 3 rows already")
    assert len(world.api.batches) == 1


def test_a_lost_answer_to_the_creation_finds_the_job_among_many(world: World) -> None:
    for number in range(5):
        world.api.batches[f"other{number}"] = {"id": f"other{number}", "metadata": None}

    def lost(asked: Any) -> Answer:
        world.api.handle(asked, "/batches")
        for number in range(5, 9):
            world.api.batches[f"other{number}"] = {"id": f"other{number}", "metadata": {}}
        return Answer([Cut()])

    world.api.faults = [("POST /batches", lost)]
    assert world.texts() == ["a", "b", "c"]
    assert world.api.requests.count("POST /batches") == 1
    assert sum(each.startswith("GET /batches?limit=100") for each in world.api.requests) == 3, (
        "of two batches each"
    )


# --- a network that fails ----------------------------------------------------------------------------------


def test_lost_polls_rate_limits_and_server_errors_are_waited_out(world: World) -> None:
    world.api.faults = [
        ("POST /files", refused(503, "busy")),
        ("GET /batches/.*", refused(429, "slow down", **{"retry-after": "7"})),
        ("GET /batches/.*", Answer([Cut(reset=True)])),
        ("GET /batches/.*", refused(500, "oops")),
        ("GET /batches/.*", Answer([b"<html>"], 200)),
        ("GET /files/.*", refused(502, "bad gateway")),
    ]
    assert world.texts() == ["a", "b", "c"]
    assert world.time.now > 7
    assert world.api.faults == []


@pytest.mark.parametrize(
    ("faults", "error"),
    [
        ([("POST /files", refused(401, "bad key"))], errors.AuthenticationError),
        ([("POST /files", refused(404, "no such path"))], errors.NotFoundError),
        ([("POST /files", reply({"object": "file"}))] * 50, errors.ProtocolError),
        ([("POST /batches", refused(402, "no credit"))], errors.QuotaError),
        ([("POST /batches", refused(400, "no batches for you"))], errors.BadRequestError),
        ([("GET /batches/.*", refused(503, "down"))] * 50, errors.OverloadedError),
    ],
)
def test_what_does_not_pass_ends_the_batch_and_the_next_run_does_it(
    world: World, faults: list[Any], error: type
) -> None:
    world.api.faults = list(faults)
    world.assert_ends(error)
    world.api.faults = []
    world.assert_each_row_is_paid_for_once()


def test_a_deadline_ends_the_wait_and_not_the_job(world: World) -> None:
    world.api.stays = "in_progress"
    run = world.run(limits=BatchLimits(deadline=3600))
    assert [each for each in run if each] == []
    assert (run.ended_by, [job.id for job in JobFile(world.path).running]) == ("deadline", ["batch0"])
    assert len(world.api.requests) < 90, "polls become rare"
    world.api.stays = ""
    assert world.texts() == ["a", "b", "c"]


def test_a_limit_on_costs_sends_only_what_it_allows(world: World) -> None:
    price = {"input": "1", "output": "1", "batch_input": "1000000", "batch_output": "0"}
    tokens = estimate_tokens((Message(role="user", content="a"),))
    limits = BatchLimits(max_cost=Decimal(2 * tokens))
    run = world.run(limits=limits, prices=Prices(lambda *_: price))
    found = [each for each in run if each]
    assert run.ended_by == "cost"
    assert len(found) == len(world.sent) == 2


def test_results_that_were_deleted_at_the_provider_are_made_again(world: World) -> None:
    list(until(world.run(), "in progress"))
    world.api.faults = [("GET /files/.*", refused(404, "No such file"))]
    assert world.texts() == ["a", "b", "c"]
    assert "its rows are sent again" in world.notes[2]


def test_a_full_disk_ends_the_batch_before_anything_is_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Part, line: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Part, "add", full)
    world.assert_ends(errors.FileError, "temporary files cannot be written: No space left on device")
    assert world.api.requests == []
