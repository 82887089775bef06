"""``-m`` more than once: all models are asked at once, and every format names them."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from inprocess import Inside
from running import QUOTED, idle, took, within
from scripted import DONE, Answer, Asked, Cut, Pause, Scripted, answer, delta, sse

if TYPE_CHECKING:
    from pathlib import Path

    from running import Ran, Telex


def by_model(**answers: Any) -> Any:
    """A server whose answer depends on the model that is asked."""

    def serve(asked: Asked) -> Answer:
        found = answers[asked.body["model"]]
        found = found(asked) if callable(found) else found
        return found if isinstance(found, Answer) else Answer(found)

    return serve


def refusal(status: int, message: str) -> Answer:
    return Answer([json.dumps({"error": {"message": message}}).encode()], status=status)


@pytest.fixture
def process(telex: Telex, server: Scripted) -> Telex:
    """Three providers at one server, which answers by the model."""
    for name in ("lab", "moon", "venus"):
        telex.provider(name, server.url)
    return telex


@pytest.fixture
def lab(process: Telex) -> Inside:
    return Inside(process.home)


def models(*names: str) -> list[str]:
    return [word for name in names for word in ("-m", name)]


TWO, THREE = models("lab/a", "moon/b"), models("lab/a", "moon/b", "venus/c")
HALF: list[Any] = [*sse(delta("half")), Cut()]


def saved(telex: Telex | Inside) -> dict[str, tuple[str | None, str | None]]:
    """The text and the verdict of each model in the history, each in its own conversation."""
    with contextlib.closing(sqlite3.connect(telex.home / "data" / "history.db")) as connection:
        rows = connection.execute(
            "SELECT t.provider || '/' || t.model, m.text, t.verdict, t.conversation FROM turns AS t "
            "LEFT JOIN messages AS m ON m.turn = t.id AND m.is_answer"
        ).fetchall()
    assert len({row[3] for row in rows}) == len(rows)
    return {model: (text, verdict) for model, text, verdict, _ in rows}


# --- at once ----------------------------------------------------------------------------------------------------


def test_all_are_asked_the_same_at_once(lab: Inside, server: Scripted) -> None:
    """No request is answered before all have come: one after another would never end."""
    together = threading.Barrier(3, timeout=60)

    def meet(asked: Asked) -> list[bytes]:
        together.wait()
        return answer(f"from {asked.body['model']}")

    server.will(by_model(a=meet, b=meet, c=meet))
    ran = lab("chat", *THREE, "-s", "Be brief.", "-t", "0", "-p", "top_p=1", "why?", stdin=b"text")
    assert ran.code == 0, ran.err
    assert ran.text == "## lab/a\n\nfrom a\n\n## moon/b\n\nfrom b\n\n## venus/c\n\nfrom c\n"
    bodies = [{**asked.body, "model": ""} for asked in server.asked]
    assert bodies[0] == bodies[1] == bodies[2]
    assert [message["content"] for message in bodies[0]["messages"]] == ["Be brief.", "text\n\nwhy?"]


def test_others_arrive_while_the_first_is_shown(process: Telex, server: Scripted) -> None:
    continues, second_asked = threading.Event(), threading.Event()
    first = [*sse(delta("one")), Pause(continues), *answer(" two")]
    server.will(by_model(a=first, b=lambda _: (second_asked.set(), answer("all of b"))[1]))  # type: ignore[func-returns-value]
    with process.start("chat", *TWO, "hi") as running:
        assert running.stdout is not None
        assert running.stdout.read(13) == b"## lab/a\n\none"
        assert second_asked.wait(60)
        continues.set()
        assert running.stdout.read() == b" two\n\n## moon/b\n\nall of b\n"


# --- one failure does not end the others ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "c", "code"),
    [
        (answer("x"), answer("y"), answer("z"), 0),
        (HALF, refusal(429, "slow"), answer("y"), 5),
        (refusal(401, "no"), refusal(429, "slow"), answer(), 4),
        (answer("x"), refusal(404, "The model b does not exist"), refusal(401, "no"), 3),
        (answer("x"), answer("x"), [Pause(60)], 7),
    ],
)
def test_the_exit_code_is_the_worst(lab: Inside, server: Scripted, a: Any, b: Any, c: Any, code: int) -> None:
    server.will(by_model(a=a, b=b, c=c))
    ran = lab("chat", "--retries", "0", "--timeout", "3", *THREE, "hi")
    assert ran.code == code, ran.err
    heads = [line for line in ran.text.splitlines() if line.startswith("##")]
    assert heads == ["## lab/a", "## moon/b", "## venus/c"]


def test_a_failure_is_reported_under_its_name_and_the_others_continue(lab: Inside, server: Scripted) -> None:
    lab.provider("bank", server.url, key=None, key_env="NOT_SET")
    lab.provider("gone", "http://127.0.0.1:1/v1")
    server.will(by_model(a=refusal(500, "it broke"), b=answer("fine"), c=HALF))
    names = ("lab/a", "nowhere/x", "bank/y", "gone/z", "lab/c", "lab/b")
    ran = lab("chat", "--retries", "0", *models(*names), "hi")
    assert ran.code == 3
    assert ran.text == (
        "## lab/a\n\n## nowhere/x\n\n## bank/y\n\n## gone/z\n\n## lab/c\n\nhalf\n\n## lab/b\n\nfine\n"
    )
    errors = [line.split(": ") for line in ran.err.splitlines() if line.startswith("telex: ")]
    assert [error[1] for error in errors] == ["lab/a", "nowhere/x", "bank/y", "gone/z", "lab/c"]
    assert "it broke" in ran.err.splitlines()[0]
    assert "NOT_SET" in ran.err
    assert "Traceback" not in ran.err


def test_an_unsupported_option_fails_one_model_only(lab: Inside, server: Scripted) -> None:
    lab.provider("groq", server.url, preset="groq", models=["groq/compound"])
    server.will(answer("fine"))
    ran = lab("chat", *models("lab/a", "groq/groq/compound"), "--web", "hi")
    assert (ran.code, ran.text) == (2, "## lab/a\n\n## groq/groq/compound\n\nfine\n")
    assert "lab/a has no web search" in ran.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "no prompt"),
        (("-x", "hi"), "--extract works with one model only"),
        (("--schema", "name", "hi"), "--schema works with one model only"),
        (("-c", "hi"), "--continue works with one model only"),
        (("--json", "--jsonl", "hi"), "cannot be used together"),
    ],
)
def test_usage_error_is_reported_once(
    lab: Inside, server: Scripted, arguments: tuple[str, ...], words: str
) -> None:
    ran = lab("chat", *TWO, *arguments)
    assert (ran.code, ran.out, ran.err.count("telex: "), server.asked) == (2, b"", 1, [])
    assert words in ran.err


# --- for programs -----------------------------------------------------------------------------------------------


def test_json_is_an_array_in_the_order_of_the_command_line(lab: Inside, server: Scripted) -> None:
    server.will(by_model(a=[Pause(1), *answer("slow")], b=refusal(401, "no"), c=answer("quick")))
    ran = lab("chat", "--json", *models("lab/a", "moon/b", "nope/x", "venus/c"), "hi")
    assert (ran.code, ran.out.count(b"\n")) == (3, 1)
    found = json.loads(ran.out)
    assert [(each["provider"], each["model"], each["text"], each["verdict"]) for each in found] == [
        ("lab", "a", "slow", "complete"), ("moon", "b", "", "failed"),
        (None, "nope/x", "", "failed"), ("venus", "c", "quick", "complete"),
    ]  # fmt: skip
    assert [each["error"] and each["error"]["exit_code"] for each in found] == [None, 4, 3, None]
    assert len({tuple(each) for each in found}) == 1  # the same keys
    assert found[0]["timing"]["first_text"] >= 1
    assert found[0]["timing"]["total"] > found[3]["timing"]["total"]


def tagged(ran: Ran, count: int) -> list[list[dict[str, Any]]]:
    """The lines of each, by their index: one numbering for all, starts first, nothing after the last end."""
    found = [json.loads(line) for line in ran.text.splitlines()]
    assert [each["n"] for each in found] == list(range(1, len(found) + 1))
    assert [each["type"] for each in found[:count]] == ["start"] * count
    assert all(list(each)[:5] == ["n", "type", "index", "provider", "model"] for each in found)
    lines = [[each for each in found if each["index"] == index] for index in range(count)]
    for own in lines:
        kinds = [each["type"] for each in own]
        assert (kinds.count("start"), kinds.count("end"), kinds[-1]) == (1, 1, "end")
        assert len({(each["provider"], each["model"]) for each in own}) == 1
    return lines


def test_json_lines_are_interleaved_and_name_their_model(lab: Inside, server: Scripted) -> None:
    pieces = [piece for word in ("one ", "two ", "three ") for piece in (*sse(delta(word)), Pause(0.2))]
    late = [Pause(0.1), *pieces, *answer("b")]
    server.will(by_model(a=[*pieces, *answer("a")], b=late, c=refusal(401, "no")))
    ran = lab("chat", "--jsonl", *models("lab/a", "moon/b", "nope/x", "venus/c"), "hi")
    first, second, third, fourth = tagged(ran, 4)
    texts = ["".join(each["text"] for each in own if each["type"] == "text") for own in (first, second)]
    assert texts == ["one two three a", "one two three b"]
    assert (first[0]["provider"], first[0]["model"]) == ("lab", "a")
    assert (third[0]["provider"], third[0]["model"], third[-1]["verdict"]) == (None, "nope/x", "failed")
    assert (fourth[-1]["verdict"], fourth[-1]["error"]["exit_code"]) == ("failed", 4)
    order = [json.loads(line)["index"] for line in ran.text.splitlines() if '"text"' in line]
    assert order != sorted(order)
    assert "text" not in first[-1]


@pytest.mark.parametrize("arguments", [["hi", "--file", "/nowhere"], []])
def test_an_error_before_the_requests_is_the_failure_of_each(lab: Inside, arguments: list[str]) -> None:
    found = json.loads(lab("chat", "--json", *TWO, *arguments).out)
    assert [(each["model"], each["verdict"]) for each in found] == [("lab/a", "failed"), ("moon/b", "failed")]
    for own in tagged(lab("chat", "--jsonl", *TWO, *arguments), 2):
        assert [each["type"] for each in own] == ["start", "end"]
    lab.configure("[providers\n")
    ran = lab("chat", "--json", *TWO, "hi")
    assert [each["error"]["type"] for each in json.loads(ran.out)] == ["SettingsError"] * 2
    assert ran.code == 3


def test_a_dry_run_is_an_array_of_the_requests(lab: Inside, server: Scripted) -> None:
    ran = lab("chat", "--dry-run", *TWO, "hi")
    assert [each["body"]["model"] for each in json.loads(ran.out)] == ["a", "b"]
    assert lab("chat", "--dry-run", *models("lab/a", "nope/x"), "hi").code == 3
    assert server.connections == 0


def test_verbose_lines_and_notes_name_their_model(lab: Inside, server: Scripted) -> None:
    server.will(by_model(a=answer("x"), b=answer("y")))
    ran = lab("chat", "-vv", *TWO, "hi")
    assert all(line[2:].startswith(("lab/a: ", "moon/b: ")) for line in ran.err.splitlines())
    assert "< moon/b: data: [DONE]" in ran.err
    cited = [*sse(delta("Hi", annotations=[{"url": "https://a.example/"}]), delta(finish="stop")), DONE]
    server.will(cited)
    notes = lab("chat", *TWO, "hi").err.splitlines()
    assert notes == [
        "lab/a: Sources:", "[1] https://a.example/", "moon/b: Sources:", "[1] https://a.example/",
    ]  # fmt: skip


# --- files, signals, readers -----------------------------------------------------------------------------------


def test_a_file_is_written_if_all_answers_are_complete(lab: Inside, server: Scripted, tmp_path: Path) -> None:
    out = tmp_path / "answers.md"
    server.will(by_model(a=answer("x"), b=answer("y"), c=HALF))
    assert lab("chat", "-o", str(out), *TWO, "hi").code == 0
    whole = "## lab/a\n\nx\n\n## moon/b\n\ny\n"
    assert out.read_text() == whole
    ran = lab("chat", "-o", str(out), *models("lab/a", "moon/c"), "hi")
    assert (ran.code, out.read_text()) == (6, whole)
    assert out.with_name("answers.md.partial").read_text() == "## lab/a\n\nx\n\n## moon/c\n\nhalf\n"


@pytest.mark.parametrize(
    ("form", "number"), [("text", signal.SIGINT), ("--json", signal.SIGTERM), ("--jsonl", signal.SIGINT)]
)
def test_a_signal_saves_what_has_come(
    process: Telex, server: Scripted, form: str, number: signal.Signals
) -> None:
    half = {name: [*sse(delta(f"half of {name}")), Pause(60), DONE] for name in "ad"}
    server.will(by_model(**half, b=answer("all of b"), c=[Pause(60), DONE]))
    arguments = [] if form == "text" else [form]
    running = process.start("chat", *arguments, *models("lab/a", "lab/b", "moon/c", "venus/d"), "hi")
    assert within(60, lambda: took(running, server, 4))
    begun = time.monotonic()
    running.send_signal(number)
    out, err = running.communicate(timeout=60)
    assert time.monotonic() - begun < 30  # the pauses would last far longer
    assert running.returncode == (130 if number is signal.SIGINT else -number)
    assert b"telex: " not in err
    texts = ["half of a", "all of b", "", "half of d"]
    verdicts = ["interrupted", "complete", "interrupted", "interrupted"]
    if form == "--json":
        found = json.loads(out)
        assert [(each["text"], each["verdict"]) for each in found] == list(zip(texts, verdicts, strict=True))
    elif form == "--jsonl":
        own = [json.loads(line) for line in out.splitlines()]
        ends = sorted((each["index"], each["verdict"]) for each in own if each["type"] == "end")
        assert ends == list(enumerate(verdicts))
    else:
        assert out.decode() == (
            "## lab/a\n\nhalf of a\n\n## lab/b\n\nall of b\n\n## moon/c\n\n## venus/d\n\nhalf of d\n"
        )
    assert saved(process) == {
        "lab/a": ("half of a", "interrupted"), "lab/b": ("all of b", "complete"),
        "moon/c": (None, "interrupted"), "venus/d": ("half of d", "interrupted"),
    }  # fmt: skip


def test_ctrl_c_before_the_requests_interrupts_each(process: Telex, server: Scripted) -> None:
    running = process.start("chat", "--json", *TWO, "-", stdin=subprocess.PIPE)
    assert running.stderr is not None
    assert running.stderr.readline() == b"Waiting for the end of stdin.\n"
    running.send_signal(signal.SIGINT)
    running.wait(60)
    out, _ = running.communicate()
    assert (running.returncode, [each["verdict"] for each in json.loads(out)]) == (130, ["interrupted"] * 2)
    assert server.asked == []


@pytest.mark.parametrize("form", ["", "--jsonl"])
def test_a_closed_pipe_ends_all(process: Telex, server: Scripted, form: str) -> None:
    more = [*sse(*[delta("x" * 100_000)] * 3), Pause(0.2), *answer("y" * 200_000)]
    server.will(by_model(a=more, b=more))
    script = f"{QUOTED} chat {form} -m lab/a -m moon/b hi | head -c 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], env=process.env, stdin=subprocess.DEVNULL,
                          capture_output=True, check=False, timeout=60)  # fmt: skip
    assert (done.stdout[1:], done.stderr) == (b"141\n", b"")


def test_a_reader_that_has_stopped_reading_is_not_waited_for(process: Telex, server: Scripted) -> None:
    server.will(by_model(a=[*sse(delta("x" * 400_000)), Pause(60), DONE], b=answer("all of b")))
    running = process.start("chat", *TWO, "hi")
    assert within(60, lambda: len(server.asked) == 2 and idle(running.pid))
    running.send_signal(signal.SIGINT)
    assert running.wait(60) == 130
    out, _ = running.communicate()
    text, verdict = saved(process)["lab/a"]
    assert (verdict, out.decode()) == ("interrupted", f"## lab/a\n\n{text}")
    assert saved(process)["moon/b"] == ("all of b", "complete")


# --- history, keys ---------------------------------------------------------------------------------------------


def test_each_answer_is_a_conversation_that_can_be_continued(lab: Inside, server: Scripted) -> None:
    server.will(by_model(a=answer("from a"), b=answer("from b"), c=refusal(401, "no")))
    lab("chat", "--no-save", *TWO, "hi")
    assert saved(lab) == {}
    lab("chat", *THREE, "Which?")
    assert saved(lab) == {
        "lab/a": ("from a", "complete"), "moon/b": ("from b", "complete"), "venus/c": (None, "failed"),
    }  # fmt: skip
    listed = json.loads(lab("history", "list", "--json").out)
    wanted = next(each["id"] for each in listed if each["model"] == "lab/a")
    assert lab("chat", "--conversation", wanted, "And?").code == 0
    sent = [message["content"] for message in server.asked[-1].body["messages"]]
    assert sent == ["Which?", "from a", "And?"]


def test_keys_are_fetched_one_by_one(telex: Telex, server: Scripted, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    for name in ("lab", "moon"):
        command = f"echo begin {name} >> {asked}; sleep 0.3; echo end {name} >> {asked}; echo sk-{name}"
        telex.provider(name, server.url, key=None, key_command=command)
    server.will(answer("x"))
    ran = telex("chat", *models("lab/a", "moon/b", "lab/c"), "hi")
    assert ran.code == 0, ran.err
    assert asked.read_text().split("\n") == ["begin lab", "end lab", "begin moon", "end moon", ""]
    keys = {each.body["model"]: each.headers["authorization"] for each in server.asked}
    assert keys == {"a": "Bearer sk-lab", "b": "Bearer sk-moon", "c": "Bearer sk-lab"}
