"""``telex batch`` as a process: killed, interrupted, resumed, with a full disk, and without a reader."""

from __future__ import annotations

import json
import random
import resource
import signal
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from row_server import RowServer
from running import Ran, took, within
from scripted import Answer, Pause, Scripted, answer

from provider_core import files

if TYPE_CHECKING:
    from running import Telex


def write_rows(path: Path, count: int) -> None:
    path.write_text("".join(json.dumps({"id": f"r{n}", "body": f"text {n}"}) + "\n" for n in range(count)))


def written(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def lab(telex: Telex, server: Scripted, tmp_path: Path) -> Telex:
    """A server that takes 0.3 s for each row, and 200 rows."""
    telex.provider("lab", server.url)
    server.will(lambda asked: Answer([Pause(0.3), *answer("x")]))
    write_rows(tmp_path / "rows.jsonl", 200)
    return telex


def command(tmp_path: Path, *more: str) -> list[str]:
    return ["batch", str(tmp_path / "rows.jsonl"), "-m", "lab", "Say: {{ body }}", "-j", "8", *more]


def test_killed_at_any_moment_every_row_is_there_once_in_the_end(telex: Telex, tmp_path: Path) -> None:
    count, out = 250, tmp_path / "out.jsonl"
    write_rows(tmp_path / "rows.jsonl", count)
    dice = random.Random(1)
    with RowServer(faults=0.3, stall=20, echo=1, delay=0.02) as server:
        telex.provider("lab", server.url)
        run = command(tmp_path, "-o", str(out), "--timeout", "2", "--ordered", "-q")
        before = 0
        for _ in range(4):
            process = telex.start(*run)
            lines = before + dice.randrange(5, 40)
            within(60, lambda: out.exists() and out.read_bytes().count(b"\n") >= lines)  # noqa: B023
            process.kill()
            process.communicate()
            after = out.read_bytes().count(b"\n")
            assert after >= before, "nothing that was written is lost"
            before = after
        ran = telex(*run, timeout=120)
        for _ in range(5):
            if ran.code == 6:
                ran = telex(*run, timeout=120)
        assert ran.code == 0, ran.err
        counts = server.counts
    found = written(out)
    assert [each["id"] for each in found] == [f"r{n}" for n in range(count)]
    assert [each["text"] for each in found] == [f"Say: text {n}" for n in range(count)]
    faults = sum(counts.values()) - counts["requests"]
    assert faults > 60
    assert counts["requests"] - faults <= count + 80, "only rows in flight are asked twice"


def stopped(process: subprocess.Popen[bytes], server: Scripted, *signals: int) -> tuple[Ran, float]:
    assert within(60, lambda: took(process, server, 13))
    begun = time.monotonic()
    assert process.stderr is not None
    first = b""
    for at, number in enumerate(signals):
        if at:
            while b"Stopping:" not in first:
                first += process.stderr.readline()
            time.sleep(0.35)  # two within a moment are one
        process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return Ran(process.returncode, out, (first + err).decode()), time.monotonic() - begun


def test_ctrl_c_lets_requests_in_flight_end_and_the_next_run_resumes(
    lab: Telex, server: Scripted, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    process = lab.start(*command(tmp_path, "-o", str(out)))
    ran, _ = stopped(process, server, signal.SIGINT)
    assert ran.code == 130
    assert "Interrupted. Repeat the command to do the rest." in ran.err
    done = len(written(out))
    assert done == len(server.asked) < 100
    server.will(answer("x"))
    ran = lab(*command(tmp_path, "-o", str(out)))
    assert (ran.code, len(server.asked), len(written(out))) == (0, 200 - done, 200)


@pytest.mark.parametrize(
    ("signals", "code"),
    [((signal.SIGINT, signal.SIGINT), 130), ((signal.SIGTERM,), -signal.SIGTERM)],
)
def test_a_second_ctrl_c_or_sigterm_stops_at_once_and_keeps_what_is_done(
    lab: Telex, server: Scripted, tmp_path: Path, signals: tuple[int, ...], code: int
) -> None:
    server.will(*([Answer(answer("x"))] * 10), Answer([Pause(60)]))
    out = tmp_path / "out.jsonl"
    process = lab.start(*command(tmp_path, "-o", str(out)))
    assert within(60, lambda: out.exists() and out.read_bytes().count(b"\n") == 10)
    ran, seconds = stopped(process, server, *signals)
    assert (ran.code, seconds < 30, "Traceback" in ran.err) == (code, True, False)
    assert len(written(out)) == 10


def test_ctrl_c_does_not_stop_a_batch_in_the_background(lab: Telex, server: Scripted, tmp_path: Path) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for "telex batch ... &"

    process = lab.start(*command(tmp_path, "--limit", "40"), preexec_fn=ignore)
    ran, _ = stopped(process, server, signal.SIGINT)
    assert (ran.code, len(ran.out.splitlines())) == (0, 40)


def test_two_batches_do_not_write_one_file(lab: Telex, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with Path(f"{out}.state").open("wb") as state:
        assert files.try_lock(state.fileno())
        ran = lab(*command(tmp_path, "-o", str(out)))
    assert (ran.code, f"another telex batch is writing {out}" in ran.err) == (2, True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_ends_the_batch_and_the_next_run_resumes(
    lab: Telex, server: Scripted, tmp_path: Path
) -> None:
    server.will(answer("x"))
    out = tmp_path / "out.jsonl"
    with Path("/dev/full").open("wb") as full:
        ran = lab(*command(tmp_path), stdout=full)
    assert (ran.code, "the output cannot be written: No space left" in ran.err) == (1, True)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    ran = lab(*command(tmp_path, "-o", str(out)), preexec_fn=limit)
    assert (ran.code, "the output cannot be written" in ran.err) == (1, True)
    assert 5 < len(written(out)) < 200
    assert lab(*command(tmp_path, "-o", str(out))).code == 0
    assert len(written(out)) == 200


def test_a_reader_that_goes_away_ends_the_batch(lab: Telex, server: Scripted, tmp_path: Path) -> None:
    goes_on = threading.Event()
    server.will(answer("x"), Answer([Pause(goes_on), *answer("x")]))
    process = lab.start(*command(tmp_path))
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdout.close()
    goes_on.set()
    assert process.wait(60) == 141
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()


def test_an_ordered_stream_writes_the_rows_after_one_that_was_abandoned(
    lab: Telex, server: Scripted, tmp_path: Path
) -> None:
    server.will(Answer([Pause(60)]), *([Answer(answer("x"))] * 12), Answer([Pause(60)]))
    process = lab.start(*command(tmp_path, "--ordered"))
    ran, _ = stopped(process, server, signal.SIGINT, signal.SIGINT)
    assert ran.code == 130
    rows = [json.loads(line)["row"] for line in ran.out.splitlines()]
    assert len(rows) == 12
    assert rows == sorted(rows)


def test_rows_from_a_pipe_are_asked_before_it_ends(lab: Telex, server: Scripted) -> None:
    server.will(answer("x"))
    process = lab.start("batch", "-m", "lab", "--input-format", "lines", stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"one\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["row"] == 1
    process.send_signal(signal.SIGINT)  # a thread still waits for the pipe
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Fatal" not in err
    assert Counter(len(asked.body["messages"]) for asked in server.asked) == {1: 1}
