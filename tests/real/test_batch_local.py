"""``telex batch`` with llama.cpp's own server and four slots, and its progress on a terminal."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from inprocess import Inside
from running import COMMAND, Telex
from scripted import Answer, Pause, Scripted, answer
from terminal import Pty

from provider_core import local

SERVER = """
import os, sys
told = os.dup(1)
os.dup2(2, 1)
import xllamacpp
params = xllamacpp.CommonParams()
params.verbosity = 0
params.model.path = sys.argv[1]
params.model_alias = {"smollm2"}
params.hostnames, params.port = ["127.0.0.1"], 0
params.n_parallel, params.n_ctx = 4, 4096
params.cpuparams.n_threads = 1
params.use_jinja, params.warmup = True, False
server = xllamacpp.Server(params)
os.write(told, server.listening_address.encode() + b"\\n")
sys.stdin.read()
os._exit(0)
"""


@pytest.fixture
def four_slots(model_path: Path) -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(model_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, "the server did not start"
        yield f"{url}/v1"
        process.kill()


@pytest.mark.skipif(not local.installed(), reason="needs xllamacpp (the extra local)")
def test_four_slots_answer_fifty_rows_with_a_schema(telex: Telex, four_slots: str, tmp_path: Path) -> None:
    telex.provider("lab", four_slots, models=["smollm2"])
    rows, out = tmp_path / "tickets.csv", tmp_path / "labels.jsonl"
    texts = ["It crashes when I press save.", "Please add a dark mode.", "How do I export a file?"]
    lines = [f'{number},"{texts[number % 3]}"' for number in range(50)]
    rows.write_text("\n".join(["id,body", *lines]) + "\n")
    ran = telex(
        "batch", str(rows), "-m", "lab", "Classify this ticket: {{ body }}", "--schema", "label bug|wish|question",
        "-t", "0", "--max-tokens", "40", "-o", str(out), "--ordered", "--columns", "body", timeout=300,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert [each["id"] for each in found] == [str(number) for number in range(50)]
    assert {each["json"]["label"] for each in found} <= {"bug", "wish", "question"}
    assert all(each["verdict"] == "complete" and each["usage"]["output"] for each in found)
    assert found[1]["body"] == texts[1]


def test_the_embedded_model_answers_rows_one_after_the_other(telex: Telex, model_path: Path) -> None:
    telex.provider("small", "", base_url=None, key=None, models=None, gguf=str(model_path))
    ran = telex(
        "batch", "-m", "small", "--max-tokens", "5", "Translate.", stdin=b"one\ntwo\nthree\n", timeout=120
    )
    assert ran.code == 0, ran.err
    assert len(ran.text.splitlines()) == 3


LEFT_OUT = "The other rows are not asked because of --limit, --sample or --retry-failed."


@pytest.mark.parametrize(
    ("more", "part", "notes"),
    [((), r" \(\d+%\)", []), (("--limit", "150"), "", []), (("--sample", "150"), "", [LEFT_OUT])],
)
def test_a_terminal_shows_one_line_that_the_summary_replaces(
    telex: Telex, server: Scripted, tmp_path: Path, more: tuple[str, ...], part: str, notes: list[str]
) -> None:
    telex.provider("lab", server.url)
    hold = threading.Event()
    usage = {"prompt_tokens": 9, "completion_tokens": 9, "cost": 0.01}
    many = [Answer(answer("x", usage=usage))] * 30
    server.will(*many, Answer([Pause(hold), *answer("x", usage=usage)]))
    rows = tmp_path / "rows.txt"
    rows.write_text("".join(f"{number}\n" for number in range(200)))
    command = [str(COMMAND), "batch", str(rows), "-m", "lab", "-j", "4", "-o", str(tmp_path / "out.jsonl")]
    with Pty([*command, *more], env=telex.env, columns=100) as terminal:
        terminal.wait_for(rf"^30 done{part} · .* \$0\.3 · .*4 in flight$")
        assert len(terminal.rows) == 1
        terminal.type("\x03")
        terminal.wait_for(r"stopping: waiting for 4, Ctrl-C again: stop now$")
        hold.set()
        assert terminal.wait() == 130
        assert terminal.rows == [
            "34 rows complete in " + terminal.rows[0].removeprefix("34 rows complete in "),
            "306 tokens in, 306 out, $0.34.",
            *notes,
            "Interrupted. Repeat the command to do the rest.",
        ]
    inside = Inside(telex.home)
    assert inside.paths.history.exists(), "the ledger"
