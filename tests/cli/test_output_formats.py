"""``--json``, ``--jsonl``, ``-x`` and ``--dry-run``: the same keys, however an answer ends."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, get_args

import pytest
from inprocess import Inside
from running import QUOTED, took, within
from scripted import DONE, Answer, Cut, Pause, Scripted, answer, delta, sse

from provider_core.errors import ToolError
from provider_core.events import Answer as WholeAnswer
from provider_core.events import ChatEnded, Connecting, ToolEnded, ToolResult
from provider_core.types import ImagePart, Provider, Source, Target, Text, ToolCall, Verdict
from telex.help import rows, topic
from telex.render.json import JsonLinesRenderer, JsonRenderer, Kind, source_objects

if TYPE_CHECKING:
    from pathlib import Path

    from running import Telex

KEYS = [
    "provider", "model", "text", "reasoning", "tool_calls", "sources", "images", "choices", "logprobs",
    "finish", "raw_finish", "verdict", "parts", "usage", "timing", "attempts", "error",
]  # fmt: skip
USAGE_KEYS = [
    "input", "output", "cached", "cache_write", "reasoning", "cost", "cost_source", "cost_is_partial",
]  # fmt: skip
TIMING_KEYS = ["first_byte", "first_text", "total"]
ERROR_KEYS = ["type", "message", "hint", "status", "code", "exit_code"]
IN_EARLIER_LINES = {"text", "reasoning", "tool_calls", "sources", "images"}
END_KEYS = ["n", "type", *(key for key in KEYS if key not in IN_EARLIER_LINES)]
CALL = {"index": 0, "id": "call_1", "function": {"name": "get_time", "arguments": '{"zone": "UTC"}'}}


@pytest.fixture
def process(telex: Telex, server: Scripted) -> Telex:
    telex.provider("lab", server.url)
    return telex


@pytest.fixture
def lab(process: Telex) -> Inside:
    return Inside(process.home)


def refusal(status: int, message: str, **headers: str) -> Answer:
    body = json.dumps({"error": {"message": message, "code": "c1"}}).encode()
    return Answer([body], status=status, headers={"content-type": "application/json", **headers})


def whole(out: bytes) -> dict[str, Any]:
    """The one object of ``--json``, with its keys and no others."""
    assert out.count(b"\n") == 1
    found = json.loads(out)
    assert list(found) == KEYS
    assert list(found["timing"]) == TIMING_KEYS
    assert found["usage"] is None or list(found["usage"]) == USAGE_KEYS
    assert found["error"] is None or list(found["error"]) == ERROR_KEYS
    assert all(list(call) == ["id", "name", "arguments"] for call in found["tool_calls"])
    return found


def lines(out: bytes) -> list[dict[str, Any]]:
    """The objects of ``--jsonl``: numbered from 1, "start" first, "end" last and only there."""
    found = [json.loads(line) for line in out.decode().splitlines()]
    assert [each["n"] for each in found] == list(range(1, len(found) + 1))
    assert list(found[0]) == ["n", "type", "provider", "model"]
    assert [each["type"] == "start" for each in found] == [True] + [False] * (len(found) - 1)
    assert [each["type"] == "end" for each in found] == [False] * (len(found) - 1) + [True]
    assert list(found[-1]) == END_KEYS
    return found


def text_of(found: list[dict[str, Any]], kind: str = "text") -> str:
    return "".join(each["text"] for each in found if each["type"] == kind)


# --- every way in which an answer may end -------------------------------------------------------------------

ODD = "👩\u200d🚀\u2028\x85\x1b[2J\n\x00\x0b\x0c\r"
HALF = b'data: {"choices":[{"delta":{"content":"a\\ud800"}}]}\n\n'


@pytest.mark.parametrize(
    ("body", "verdict", "code", "text"),
    [
        (answer("The sky", " is blue."), "complete", 0, "The sky is blue."),
        (answer("up to", finish="length"), "length", 6, "up to"),
        ([*sse(delta("half")), Cut()], "partial", 6, "half"),
        (sse(delta("half")), "partial", 6, "half"),
        (answer("so far", finish="content_filter"), "filtered", 6, "so far"),
        (answer(), "empty", 6, ""),
        (sse(delta("so"), {"error": {"message": "it broke"}}), "failed", 6, "so"),
        ([*sse(delta(reasoning_content="hm")), *answer(finish="length")], "length", 6, ""),
        ([*sse(delta("I look", tool_calls=[CALL]), delta(finish="tool_calls")), DONE], "complete", 0, "I look"),
        (answer("größe ✓", ODD), "complete", 0, "größe ✓" + ODD),
        ([HALF, *answer("b")], "complete", 0, "a\ufffdb"),
    ],
)  # fmt: skip
def test_the_end_of_a_stream_is_in_the_object_and_in_the_lines(
    lab: Inside, server: Scripted, body: list[Any], verdict: str, code: int, text: str
) -> None:
    server.will(body)
    ran = lab("chat", "--json", "--retries", "0", "hi")
    one = whole(ran.out)
    assert (ran.code, one["verdict"], one["text"]) == (code, verdict, text), ran.err
    assert (one["provider"], one["model"]) == ("lab", "m")
    assert (one["error"] is None) == (code == 0)
    if one["error"]:
        assert one["error"]["exit_code"] == code
        assert one["error"]["message"] in ran.err
    else:
        assert "I look" in text or ran.err == ""  # reasoning is in the object alone
    ran = lab("chat", "--jsonl", "--retries", "0", "hi")
    found = lines(ran.out)
    calls = [{key: each[key] for key in CALL if key in each} for each in found if each["type"] == "tool_call"]
    assert (ran.code, found[-1]["verdict"], found[0]["model"]) == (code, verdict, "m")
    assert (text_of(found), text_of(found, "reasoning")) == (text, one["reasoning"])
    assert [call["id"] for call in calls] == [call["id"] for call in one["tool_calls"]]
    assert len(ran.text.splitlines()) == ran.text.count("\n")  # no other kind of line's end


def test_the_object_has_calls_usage_and_times(lab: Inside, server: Scripted) -> None:
    usage = {
        "prompt_tokens": 50, "completion_tokens": 20, "cost": 0.25,
        "prompt_tokens_details": {"cached_tokens": 40}, "completion_tokens_details": {"reasoning_tokens": 7},
    }  # fmt: skip
    called = sse(delta(reasoning_content="Hm."), delta("x", tool_calls=[CALL]))
    server.will([*called, *answer(finish="tool_calls", usage=usage)])
    found = whole(lab("chat", "--json", "hi").out)
    assert found["tool_calls"] == [{"id": "call_1", "name": "get_time", "arguments": '{"zone": "UTC"}'}]
    assert (found["text"], found["reasoning"], found["finish"]) == ("x", "Hm.", "tool_calls")
    assert found["usage"] == {
        "input": 50, "output": 20, "cached": 40, "cache_write": None, "reasoning": 7,
        "cost": 0.25, "cost_source": "server", "cost_is_partial": False,
    }  # fmt: skip
    assert 0 < found["timing"]["first_byte"] <= found["timing"]["first_text"] <= found["timing"]["total"]


# --- nothing came, or nothing was asked -----------------------------------------------------------------------

HTML = Answer([b"<html><title>Hello</title>"], headers={"content-type": "text/html"})
NOBODY = '[providers.lab]\nbase_url = "http://127.0.0.1:1/v1"\nkey = "none"\n'
NO_KEY = '[providers.lab]\nbase_url = "http://127.0.0.1:1/v1"\nkey_env = "LAB_KEY"\n'


@pytest.mark.parametrize(
    ("given", "arguments", "code", "kind", "status"),
    [
        (refusal(401, "bad key"), ["hi"], 4, "AuthenticationError", 401),
        (refusal(429, "slow down", **{"retry-after": "900"}), ["hi"], 5, "RateLimitError", 429),
        (refusal(402, "no credit"), ["hi"], 5, "QuotaError", 402),
        (HTML, ["hi"], 6, "ProtocolError", 200),
        (refusal(404, "The model x does not exist"), ["hi"], 3, "ModelNotFoundError", 404),
        ([Pause(60)], ["--timeout", "0.2", "hi"], 7, "DeadlineError", None),
        (None, ["-m", "lob/", "hi"], 3, None, None),
        (None, [], 2, "UsageError", None),
        (None, ["-s", "\udcff", "hi"], 2, "UsageError", None),
        (None, ["-f", "/nowhere/at/all", "hi"], 2, "AttachmentError", None),
        (None, ["-c", "hi"], 2, "UsageError", None),
        (None, ["--jsn", "hi"], 2, "UsageError", None),
        (None, ["--max-tokens", "many", "hi"], 2, "UsageError", None),
        (None, ["-c", "--conversation", "x", "hi"], 2, "UsageError", None),
        (None, ["-o", "/nowhere/at/all", "hi"], 2, "UsageError", None),
        ("[providers\n", ["hi"], 3, "SettingsError", None),
        (NO_KEY, ["hi"], 4, "MissingKeyError", None),
        (NOBODY, ["hi"], 7, "ConnectError", None),
    ],
)
def test_a_failure_is_an_object_and_has_a_first_and_a_last_line(
    lab: Inside, server: Scripted, given: Any, arguments: list[str], code: int, kind: str | None, status: int | None
) -> None:  # fmt: skip
    if isinstance(given, str):
        lab.configure(given)
    server.will(given if given and not isinstance(given, str) else answer("x"))
    ran = lab("chat", "--json", "--retries", "0", *arguments)
    found = whole(ran.out)
    assert (ran.code, found["verdict"], found["text"]) == (code, "failed", ""), ran.err
    error = found["error"]
    assert (error["exit_code"], error["status"]) == (code, status)
    assert kind is None or error["type"] == kind
    assert error["message"] in ran.err
    assert error["hint"] is None or error["hint"].split("\n")[0] in ran.err
    ran = lab("chat", "--jsonl", "--retries", "0", *arguments)
    last = lines(ran.out)[-1]
    assert (ran.code, last["verdict"], last["error"]["status"]) == (code, "failed", status)


def test_a_retry_and_a_dropped_field_are_lines(lab: Inside, server: Scripted) -> None:
    server.will(
        refusal(503, "busy", **{"retry-after": "0.2"}),
        refusal(400, "Unknown field: stream_options"),
        Answer(answer("at last")),
    )
    ran = lab("chat", "--jsonl", "hi")
    found = lines(ran.out)
    assert [each["type"] for each in found] == ["start", "retry", "field_dropped", "text", "end"]
    retry, dropped = found[1:3]
    assert (retry["attempt"], retry["seconds"], retry["error"]["status"]) == (2, 0.2, 503)
    assert (dropped["field"], dropped["swapped_for"]) == ("stream_options", None)
    assert "busy" in ran.err


# --- signals, and readers that go away ------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no such signals")
@pytest.mark.parametrize(
    ("form", "name", "body", "text"),
    [
        ("--json", "SIGINT", [*sse(delta("half an ans")), Pause(60)], "half an ans"),
        ("--jsonl", "SIGINT", [*sse(delta("half an ans")), Pause(60)], "half an ans"),
        ("--json", "SIGTERM", [Pause(60)], ""),
        ("--jsonl", "SIGHUP", [Pause(60)], ""),
        ("--json", "SIGINT", refusal(503, "busy", **{"retry-after": "20"}), ""),
    ],
    ids=["object", "lines", "no text", "hangup", "retry"],
)
def test_a_signal_leaves_what_has_come_and_the_verdict_interrupted(
    process: Telex, server: Scripted, form: str, name: str, body: Any, text: str
) -> None:
    number = getattr(signal, name)
    server.will(body)
    running = process.start("chat", form, "hi")
    assert within(60, lambda: took(running, server))
    running.send_signal(number)
    out, err = running.communicate(timeout=60)
    assert running.returncode == (130 if number is signal.SIGINT else -number)
    found = whole(out) if form == "--json" else lines(out)[-1]
    assert (found["text"] if form == "--json" else text_of(lines(out))) == text
    assert (found["verdict"], found["error"]) == ("interrupted", None)
    assert b"Traceback" not in err


@pytest.mark.parametrize(("form", "number"), [("--json", signal.SIGINT), ("--jsonl", signal.SIGTERM)])
def test_a_signal_before_the_request_is_reported_too(
    process: Telex, server: Scripted, form: str, number: signal.Signals
) -> None:
    running = process.start("chat", form, "-", stdin=subprocess.PIPE)
    assert running.stderr is not None
    assert running.stderr.readline() == b"Waiting for the end of stdin.\n"
    running.send_signal(number)
    running.wait(60)
    out, _ = running.communicate()
    assert running.returncode == (130 if number is signal.SIGINT else -number)
    found = whole(out) if form == "--json" else lines(out)[-1]
    assert (found["verdict"], found["error"], server.asked) == ("interrupted", None, [])


def test_each_line_is_written_when_it_happens(process: Telex, server: Scripted) -> None:
    continues = threading.Event()
    server.will([*sse(delta("first")), Pause(continues), *answer(" second")])
    running = process.start("chat", "--jsonl", "hi")
    assert running.stdout is not None
    assert json.loads(running.stdout.readline())["type"] == "start"
    assert json.loads(running.stdout.readline())["text"] == "first"
    continues.set()
    rest = [json.loads(line) for line in running.communicate(timeout=60)[0].splitlines()]
    assert [each["type"] for each in rest] == ["text", "end"]


@pytest.mark.parametrize("form", ["--plain", "--markdown", "--json", "--jsonl", "-x", "--dry-run"])
def test_a_closed_pipe_exits_141_and_a_full_disk_1(process: Telex, server: Scripted, form: str) -> None:
    server.will([*sse(*[delta("x" * 100_000)] * 3), Pause(0.2), *answer("y" * 200_000)])
    done = subprocess.run(
        ["bash", "-c", f"{QUOTED} chat {form} hi{'x' * 70_000} | head -c 1; echo ${{PIPESTATUS[0]}}"],
        env=process.env, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stdout[1:] == b"141\n"
    assert done.stderr.replace(b"No code block found; printing the whole answer.\n", b"") == b""
    server.will(answer("x"))
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        ran = process("chat", form, "hi", stdout=full)
    assert (ran.code, ran.err.count("No space left")) == (1, 1)


class Interrupted:
    """A console that takes ``characters`` of a line and is interrupted then."""

    def __init__(self, line: int, characters: int) -> None:
        self.written = self.rest = ""
        self.notes: list[str] = []
        self._left = line
        self._characters = characters

    def note(self, text: str) -> None:
        self.notes.append(text)

    def out(self, text: str) -> None:
        self._left -= 1
        taken = self._characters if self._left == 0 else len(text)
        self.written += text[:taken]
        self.rest = text[taken:]
        if self._left == 0:
            raise KeyboardInterrupt


def test_objects_of_sources_and_tool_results_have_what_is_known() -> None:
    sources = (Source(number=1, url="http://a"), Source(number=5, url="http://b", title="B"))
    assert source_objects(sources) == [
        {"url": "http://a", "title": None}, {"url": "http://b", "title": "B", "number": 5}
    ]  # fmt: skip
    console, call = Interrupted(0, 0), ToolCall(id="1", name="f", arguments="{}")
    lines_, object_ = JsonLinesRenderer(console, str), JsonRenderer(console, str)  # type: ignore[arg-type]
    for result, error in (
        (ToolResult(text="t", images=(ImagePart(url="data:x"),)), None),
        (ToolResult(text="no", is_error=True), None),
        (ToolResult(text="no"), ToolError("no")),
    ):
        event = ToolEnded(call=call, planned=None, result=result, seconds=0.12345, error=error)
        lines_.handle(event)
        object_.handle(event)
    first, second, third = map(json.loads, console.written.splitlines())
    assert (first["tool"], first["ok"], first["images"], first["seconds"]) == ("f", True, ["data:x"], 0.1235)
    assert (second["ok"], "images" in second, third["ok"], third["error"]["message"]) == (
        False,
        False,
        False,
        "no",
    )
    assert len(console.notes) == 2, "the object has only the calls"


@pytest.mark.parametrize("line", [1, 2, 3])
@pytest.mark.parametrize("characters", [0, 1, 20])
def test_a_line_that_was_cut_is_completed_before_the_next_one(line: int, characters: int) -> None:
    console = Interrupted(line, characters)
    target = Target(provider=Provider(name="lab"), model="m")
    renderer = JsonLinesRenderer(console, lambda _: None)  # type: ignore[arg-type]
    with contextlib.suppress(KeyboardInterrupt):
        for event in (Connecting(target=target), Text(text="a"), Text(text="b")):
            renderer.handle(event)
    renderer.handle(ChatEnded(answer=WholeAnswer(target=target, verdict=Verdict.INTERRUPTED)))
    found = lines(console.written.encode())
    assert len(found) == line + 1
    assert text_of(found) == "ab"[: line - 1]


def test_two_formats_are_a_usage_error(lab: Inside, server: Scripted) -> None:
    for given in (("--json", "--jsonl"), ("--json", "-x"), ("--jsonl", "-x")):
        ran = lab("chat", *given, "hi")
        assert (ran.code, ran.out, server.asked, "cannot be used together" in ran.err) == (2, b"", [], True)


# --- -x ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code", "out", "note"),
    [
        (answer("Here:\n\n```python\nprint(1)\n```\n\n```\nno\n```\n"), 0, b"print(1)\n", ""),
        (answer("no block `here`"), 0, b"no block `here`\n", "No code block"),
        ([*sse(delta(reasoning_content="Hm.")), *answer("```\n```\n")], 0, b"\n", "Hm.\n"),
        ([*sse(delta("```\nrm -rf /tm")), Cut()], 6, b"rm -rf /tm\n", "connection"),
    ],
    ids=["block", "none", "reasoning", "cut"],
)
def test_extract_prints_the_first_block(
    lab: Inside, server: Scripted, body: list[Any], code: int, out: bytes, note: str
) -> None:
    server.will(body)
    ran = lab("chat", "-x", "hi")
    assert (ran.code, ran.out) == (code, out)
    assert (note in ran.err) if note else ran.err == ""
    if code == 0:  # the whole answer is saved
        lab("chat", "-c", "and?")
        saved = server.asked[-1].body["messages"][1]["content"]
        assert out.decode().strip() in saved.removeprefix("Here:")


# --- --dry-run -------------------------------------------------------------------------------------------------


def test_a_dry_run_prints_the_request_that_would_be_sent(lab: Inside, server: Scripted) -> None:
    headers = {"X-Team": "red", "X-Token": "env:LAB_TOKEN", "X-Trace": "for env:LAB_TOKEN"}
    lab.provider("bank", server.url, key=None, key_env="LAB_KEY", headers=headers)
    server.will(answer("x"))
    env = {"LAB_KEY": "sk-canary-77", "LAB_TOKEN": "sk-t0ken"}
    arguments = ("-m", "bank", "-s", "Be brief.", "-t", "0", "-p", "top_p=0.5", "hi")
    dry = lab("chat", "--dry-run", *arguments, env=env)
    assert (dry.code, dry.err, server.connections) == (0, "", 0)
    assert "sk-" not in dry.text
    shown = json.loads(dry.out)
    assert list(shown) == ["method", "url", "headers", "body", "estimate", "sources"]
    assert shown["headers"]["authorization"] == "Bearer [the key]"
    assert shown["headers"]["x-token"] == shown["headers"]["x-trace"] == "[redacted]"
    lab("chat", *arguments, env=env)
    sent = server.asked[0]
    assert (shown["method"], shown["url"]) == (sent.method, f"http://127.0.0.1:{server.port}{sent.path}")
    assert shown["body"] == sent.body
    other = {"host", "content-length", "accept-encoding", "connection", "authorization", "x-token", "x-trace"}
    same = sent.headers.keys() - other
    assert {name: shown["headers"][name] for name in same} == {name: sent.headers[name] for name in same}


def test_a_dry_run_sends_and_saves_nothing(lab: Inside, server: Scripted, tmp_path: Path) -> None:
    trace = tmp_path / "asked-for-a-key"
    lab.provider("command", server.url, key=None, key_command=f"touch {trace}; echo sk-x")
    lab.provider("unset", server.url, key=None, key_env="NOT_SET")
    lab.provider("unlisted", server.url, models=None)
    for name, key in (("command", "Bearer [the key]"), ("unset", "Bearer [the key]"), ("lab", None)):
        ran = lab("chat", "--dry-run", "-m", name, "hi")
        assert json.loads(ran.out)["headers"].get("authorization") == key, ran.err
    assert lab("chat", "--dry-run", "-m", "unlisted", "hi").code == 3
    assert json.loads(lab("chat", "--dry-run", "-m", "unlisted/any", "hi").out)["body"]["model"] == "any"
    assert (server.connections, trace.exists(), lab("chat", "-c", "hi").code) == (0, False, 2)


# --- telex help formatting ------------------------------------------------------------------------------------


def test_the_topic_lists_all_keys_and_all_types_of_lines() -> None:
    page = topic("formatting")
    found = rows(page["Fields of the JSON object"])
    assert list(found) == KEYS
    named = set(re.findall(r"\w+", " ".join(found.values())))
    assert {*USAGE_KEYS, *TIMING_KEYS, *ERROR_KEYS, "id", "name", "arguments"} <= named
    assert {verdict.value for verdict in Verdict} <= named
    assert set(rows(page["Events of --jsonl"])) == set(get_args(Kind))
