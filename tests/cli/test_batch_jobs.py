"""``telex batch --via provider``, ``batch status`` and ``batch cancel``, against a scripted Batch API."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from batch_api import BatchApi, completion
from inprocess import Inside
from running import within
from scripted import Scripted

if TYPE_CHECKING:
    from running import Telex

JOB = '[{"token": "t", "provider": "lab", "base_url": "http://127.0.0.1:9/v1", "model": "m", "rows": 1}]'
COMMAND = ("batch", "in.jsonl", "Say {{ body }}", "-m", "lab", "-o", "out.jsonl", "--via", "provider")


@pytest.fixture
def api(server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BatchApi:
    made = BatchApi()
    server.will(made)
    monkeypatch.chdir(tmp_path)
    Path("in.jsonl").write_text('{"id": "a", "body": "one"}\n{"id": "b", "body": "two"}\nbad\n')
    return made


@pytest.fixture
def inside(tmp_path: Path, server: Scripted) -> Inside:
    made = Inside(tmp_path / "home")
    made.provider("lab", server.url, retries=0)
    return made


def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]


def test_results_are_those_of_any_other_batch(inside: Inside, api: BatchApi) -> None:
    command = (*COMMAND, "--ordered", "--columns", "body")
    ran = inside(*command)
    assert ran.code == 6
    first, second, bad = rows()
    assert [*first][:4] == ["id", "row", "body", "text"]
    assert (first["text"], second["text"], bad["error"]["type"]) == (
        "Say one",
        "Say two",
        "InvalidInputError",
    )
    for words in ("lab runs 2 rows as batch0.", "2 rows complete", "6 tokens in, 4 out."):
        assert words in ran.err
    Path("in.jsonl").write_text('{"id": "a", "body": "one"}\n{"id": "b", "body": "two"}\n')
    ran = inside(*command)
    assert (ran.code, len(api.batches)) == (0, 1), ran.err
    assert sorted(path.name for path in Path().glob("out*")) == ["out.jsonl", "out.jsonl.state"]
    assert '"requests": 2' in inside("usage", "--json", "--by", "model").text, "the ledger has them"


def test_with_a_schema_and_a_folder(inside: Inside, api: BatchApi) -> None:
    api.run = lambda body: completion('{"n": 1}' if "json_schema" in str(body["response_format"]) else "")
    Path("x.txt").write_text("text")
    ran = inside(
        "batch", "--each-file", "x.txt", "Count.", "-m", "lab", "--schema", "n int", "--output-dir", "d",
        "--via", "provider",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert json.loads(Path("d/x.json").read_text()) == {"n": 1}


def test_a_provider_without_a_batch_api_is_refused_before_anything_is_sent(
    inside: Inside, api: BatchApi, server: Scripted
) -> None:
    inside.configure("")
    inside.provider("mistral", server.url, preset="mistral")
    ran = inside(*COMMAND[:4], "mistral/m", *COMMAND[5:])
    assert (ran.code, api.requests) == (2, []), ran.err
    assert "Mistral AI has no Batch API that telex can use" in ran.err
    assert "Leave out --via provider, or use one of: azure," in ran.err


def test_ctrl_c_leaves_the_job_running_and_the_command_comes_back_to_it(
    telex: Telex, inside: Inside, api: BatchApi, tmp_path: Path
) -> None:
    api.stays = "in_progress"
    process = telex.start(*COMMAND, cwd=tmp_path)
    assert within(60, lambda: api.requests.count("GET /batches/batch0") > 2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    for words in (b"lab has 1 job of this batch: batch0.", b"telex batch cancel out.jsonl"):
        assert words in err
    assert len(rows()) == 1, "the bad row"
    assert not list(tmp_path.glob("telex-batch-*"))
    ran = inside("batch", "status", "out.jsonl")
    assert (ran.code, ran.text) == (0, "batch0  lab/m  in progress  0 of 2 rows done\n")
    (job,) = json.loads(inside("batch", "status", "out.jsonl", "--json").text)
    assert (job["id"], job["status"], job["rows"], job["failed"]) == ("batch0", "in_progress", 2, 0)
    for refused in (COMMAND[:-2], (*COMMAND, "--fresh")):
        ran = inside(*refused)
        assert (ran.code, "telex batch cancel out.jsonl" in ran.err) == (2, True), (
            "it would be paid for nothing"
        )
    api.stays = ""
    ran = inside(*COMMAND)
    assert (ran.code, "Resuming a job of an earlier run." in ran.err, len(api.batches)) == (6, True, 1)
    assert sorted(str(row["id"])[:1] for row in rows()) == ["3", "a", "b"]


def test_cancel_ends_a_job_and_fresh_starts_over(inside: Inside, api: BatchApi) -> None:
    api.stays = "in_progress"
    assert inside(*COMMAND, "--deadline", "3s").code == 7
    ran = inside("batch", "cancel", "out.jsonl")
    assert (ran.code, ran.text) == (0, "batch0  lab/m  cancelling  0 of 2 rows done\n")
    assert "telex batch command to fetch what was done" in ran.err
    assert "cancelled" in inside("batch", "status", "out.jsonl").text
    assert inside("batch", "cancel", "out.jsonl").code == 0
    api.stays = ""
    ran = inside(*COMMAND, "--fresh")
    assert (ran.code, len(api.batches), len(rows())) == (6, 2, 3), ran.err


def test_cancel_says_why_a_job_cannot_be_cancelled(inside: Inside, api: BatchApi, server: Scripted) -> None:
    for name, words in (
        ("in.jsonl", "has no jobs at a provider"),
        ("none.jsonl", "is not an output of telex batch"),
    ):
        ran = inside("batch", "cancel", name)
        assert (ran.code, words in ran.err) == (2, True), ran.err
    api.stays = "in_progress"
    assert inside(*COMMAND, "--deadline", "3s").code == 7
    before = inside.settings.read_text()
    inside.configure(before.replace("/v1", "/v2"))
    ran = inside("batch", "cancel", "out.jsonl")
    assert (ran.code, f"batch0 was created at {server.url}, and the address of lab is now" in ran.err) == (
        2,
        True,
    )
    inside.configure(before)
    api.batches.clear()
    ran = inside("batch", "cancel", "out.jsonl.jobs")
    assert (ran.code, "lab does not have batch0 any more; it is no longer listed." in ran.err) == (0, True)
    assert not Path("out.jsonl.jobs").exists()
    api.stays = ""
    assert inside(*COMMAND).code == 6
    assert len(rows()) == 3


def test_a_job_without_results_belongs_to_the_prompt_that_it_was_made_with(
    inside: Inside, api: BatchApi
) -> None:
    Path("in.jsonl").write_text('{"id": "a", "body": "one"}\n')
    api.stays = "in_progress"
    assert inside(*COMMAND, "--deadline", "3s").code == 7
    assert rows() == []
    api.stays = ""
    ran = inside("batch", "in.jsonl", "Sing {{ body }}", *COMMAND[3:])
    assert (ran.code, "the prompt has changed" in ran.err) == (2, True), rows()
    Path("out.jsonl.state").unlink()  # what was paid for is fetched all the same
    assert inside(*COMMAND).code == 0
    assert rows()[0]["text"] == "Say one"


def test_any_batch_of_a_provider_is_shown_and_cancelled_by_its_id(inside: Inside, api: BatchApi) -> None:
    api.batches["b-1"] = {"id": "b-1", "status": "in_progress", "ends": "completed", "input_file_id": "f"}
    api.stays = "in_progress"
    assert inside("batch", "status", "b-1", "-m", "lab").text == "b-1  lab/m  in progress  0 done\n"
    assert "cancelling" in inside("batch", "cancel", "b-1", "-m", "lab").text
    ran = inside("batch", "status", "nothing", "-m", "lab")
    assert (ran.code, "lab seems to have no batch nothing" in ran.err) == (6, True)
    assert inside("batch", "status", "nothing").code == 2


@pytest.mark.parametrize(
    "jobs", ["1", '[{"token"', "[1]", '[{"token": "t"}]', JOB.replace('"rows": 1', '"rows": []')]
)
def test_a_damaged_file_of_jobs_is_reported_and_unchanged(inside: Inside, api: BatchApi, jobs: str) -> None:
    Path("out.jsonl.jobs").write_text(f'{{"telex_jobs": {jobs}}}')
    ran = inside(*COMMAND)
    assert (ran.code, api.requests) == (1, [])
    assert "out.jsonl.jobs is damaged" in ran.err
    assert Path("out.jsonl.jobs").read_text().startswith("{")


def test_a_file_named_like_a_command_is_still_an_input(inside: Inside, api: BatchApi) -> None:
    Path("status").write_text("one\n")
    assert "1" in inside("batch", "./status", "Hi", "-m", "lab", "--dry-run").text
