"""``--json``, ``--jsonl``, ``-x`` and ``--dry-run`` through the installed program: one shape, whatever happens."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
from running import COMMAND
from scripted import DONE, Answer, Cut, Pause, Scripted, answer, delta, sse

from provider_core.answer import Answer as WholeAnswer
from provider_core.events import ChatEnded, Connecting
from provider_core.types import Provider, Target, Text, Verdict
from telex.help.pages import Definitions, topic
from telex.render.json import JsonLinesRenderer, Kind

if TYPE_CHECKING:
    from running import Telex


KEYS = [
    "provider", "model", "text", "reasoning", "tool_calls", "sources", "images", "choices", "logprobs",
    "finish", "raw_finish", "verdict", "usage", "timing", "error",
]  # fmt: skip
USAGE_KEYS = ["input", "output", "cached", "reasoning", "cost"]
TIMING_KEYS = ["first_byte", "first_text", "total"]
ERROR_KEYS = ["type", "message", "hint", "status", "code", "exit_code"]
END_KEYS = [
    "n",
    "type",
    *(key for key in KEYS if key not in ("text", "reasoning", "tool_calls", "sources", "images")),
]

CALL = {"index": 0, "id": "call_1", "function": {"name": "get_time", "arguments": '{"zone": "UTC"}'}}


@pytest.fixture
def lab(telex: Telex, server: Scripted) -> Telex:
    telex.provider("lab", server.url)
    return telex


def refusal(status: int, message: str, **headers: str) -> Answer:
    body = json.dumps({"error": {"message": message, "code": "c1"}}).encode()
    return Answer([body], status=status, headers={"content-type": "application/json", **headers})


def whole(out: bytes) -> dict[str, Any]:
    """The one object of ``--json``, with its keys and no others."""
    assert out.count(b"\n") == 1
    assert out.endswith(b"\n")
    found = json.loads(out)
    assert list(found) == KEYS
    assert list(found["timing"]) == TIMING_KEYS
    assert found["usage"] is None or list(found["usage"]) == USAGE_KEYS
    assert found["error"] is None or list(found["error"]) == ERROR_KEYS
    for call in found["tool_calls"]:
        assert list(call) == ["id", "name", "arguments"]
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


# --- every way in which an answer may end -------------------------------------------------------------------

ODD = "👩\u200d🚀\u2028\x85\x1b[2J\n\x00"
HALF = b'data: {"choices":[{"delta":{"content":"a\\ud800"}}]}\n\n'

STREAMS: dict[str, tuple[list[Any], str, int, str]] = {
    "whole": (answer("The sky", " is blue."), "complete", 0, "The sky is blue."),
    "limited": (answer("up to", finish="length"), "length", 6, "up to"),
    "cut": ([*sse(delta("half")), Cut()], "partial", 6, "half"),
    "unfinished": (sse(delta("half")), "partial", 6, "half"),
    "filtered": (answer("so far", finish="content_filter"), "filtered", 6, "so far"),
    "empty": (answer(), "empty", 6, ""),
    "failed midway": (sse(delta("so"), {"error": {"message": "it broke"}}), "failed", 6, "so"),
    "only thoughts": ([*sse(delta(reasoning_content="hm")), *answer(finish="length")], "length", 6, ""),
    "tool calls": ([*sse(delta(tool_calls=[CALL]), delta(finish="tool_calls")), DONE], "complete", 0, ""),
    "odd letters": (answer("größe ✓", ODD), "complete", 0, "größe ✓" + ODD),
    "half a pair": ([HALF, *answer("b")], "complete", 0, "a\ufffdb"),
}  # fmt: skip


@pytest.mark.parametrize("case", STREAMS)
def test_however_a_stream_ends_there_is_one_object_that_says_so(
    lab: Telex, server: Scripted, case: str
) -> None:
    body, verdict, code, text = STREAMS[case]
    server.will(body)
    ran = lab("chat", "--json", "--retries", "0", "hi")
    found = whole(ran.out)
    assert (ran.code, found["verdict"], found["text"]) == (code, verdict, text), ran.err
    assert (found["provider"], found["model"]) == ("lab", "m")
    assert found["timing"]["total"] >= 0
    assert (found["error"] is None) == (code == 0)
    if found["error"]:
        assert found["error"]["exit_code"] == code
        assert found["error"]["message"] in ran.err


@pytest.mark.parametrize("case", STREAMS)
def test_the_lines_hold_what_the_object_holds(lab: Telex, server: Scripted, case: str) -> None:
    body, verdict, code, text = STREAMS[case]
    server.will(body)
    ran = lab("chat", "--jsonl", "--retries", "0", "hi")
    found = lines(ran.out)
    assert ran.code == code
    assert (found[0]["provider"], found[0]["model"]) == ("lab", "m")
    assert "".join(each["text"] for each in found if each["type"] == "text") == text
    assert found[-1]["verdict"] == verdict
    assert (found[-1]["error"] is None) == (code == 0)
    one = whole(lab("chat", "--json", "--retries", "0", "hi").out)
    thoughts = [each["text"] for each in found if each["type"] == "reasoning"]
    calls = [
        {key: each[key] for key in ("id", "name", "arguments")}
        for each in found
        if each["type"] == "tool_call"
    ]
    assert ("".join(thoughts), calls) == (one["reasoning"], one["tool_calls"])


def test_a_tool_call_has_id_name_and_the_arguments_as_the_model_wrote_them(
    lab: Telex, server: Scripted
) -> None:
    server.will([*sse(delta("Let me see."), delta(tool_calls=[CALL]), delta(finish="tool_calls")), DONE])
    found = whole(lab("chat", "--json", "hi").out)
    assert found["tool_calls"] == [{"id": "call_1", "name": "get_time", "arguments": '{"zone": "UTC"}'}]
    assert (found["text"], found["finish"]) == ("Let me see.", "tool_calls")


def test_usage_is_what_the_server_counted(lab: Telex, server: Scripted) -> None:
    usage = {
        "prompt_tokens": 50, "completion_tokens": 20, "cost": 0.25,
        "prompt_tokens_details": {"cached_tokens": 40}, "completion_tokens_details": {"reasoning_tokens": 7},
    }  # fmt: skip
    server.will([*sse(delta(reasoning_content="Hm.")), *answer("x", usage=usage)])
    found = whole(lab("chat", "--json", "hi").out)
    assert found["usage"] == {"input": 50, "output": 20, "cached": 40, "reasoning": 7, "cost": 0.25}
    assert found["reasoning"] == "Hm."
    assert 0 < found["timing"]["first_byte"] <= found["timing"]["first_text"] <= found["timing"]["total"]


# --- nothing came, or nothing was asked -----------------------------------------------------------------------


def failing(telex: Telex, server: Scripted, case: str) -> list[str]:
    """Make the setting of one failure; the arguments that lead to it."""
    server.will(answer("x"))
    match case:
        case "wrong key":
            server.will(refusal(401, "bad key"))
        case "rate limit":
            server.will(refusal(429, "slow down", **{"retry-after": "900"}))
        case "quota":
            server.will(refusal(402, "no credit"))
        case "no completion":
            server.will(Answer([b"<html><title>Hello</title>"], headers={"content-type": "text/html"}))
        case "unknown model":
            server.will(refusal(404, "The model x does not exist"))
        case "no such model anywhere":
            telex.provider("other", server.url)
            return ["-m", "nowhere", "hi"]
        case "unknown provider":
            return ["-m", "lob/", "hi"]
        case "no prompt":
            return []
        case "no text":
            return ["-s", "\udcff", "hi"]
        case "no file":
            return ["-f", "/nowhere/at/all", "hi"]
        case "no conversation":
            return ["-c", "hi"]
        case "no such option":
            return ["--jsn", "hi"]
        case "no number":
            return ["--max-tokens", "many", "hi"]
        case "options at odds":
            return ["-c", "--conversation", "x", "hi"]
        case "no file to write":
            return ["-o", "/nowhere/at/all", "hi"]
        case "broken settings":
            telex.configure("[providers\n")
        case "no key":
            telex.configure("")
            telex.provider("lab", server.url, key=None, key_env="LAB_KEY")
        case "nothing listens":
            telex.configure("")
            with socket.socket() as unused:
                unused.bind(("127.0.0.1", 0))
                telex.provider("lab", f"http://127.0.0.1:{unused.getsockname()[1]}/v1")
        case "silence":
            server.will([Pause(20)])
            return ["--timeout", "0.2", "hi"]
    return ["hi"]


FAILURES = {
    "wrong key": (4, "AuthenticationError", 401),
    "rate limit": (5, "RateLimitError", 429),
    "quota": (5, "QuotaError", 402),
    "no completion": (6, "ProtocolError", 200),
    "unknown model": (3, "ModelNotFoundError", 404),
    "no such model anywhere": (3, "ModelError", None),
    "unknown provider": (3, None, None),
    "no prompt": (2, "UsageError", None),
    "no text": (2, "UsageError", None),
    "no file": (2, "AttachmentError", None),
    "no conversation": (2, "UsageError", None),
    "no such option": (2, "UsageError", None),
    "no number": (2, "UsageError", None),
    "options at odds": (2, "UsageError", None),
    "no file to write": (2, "UsageError", None),
    "broken settings": (3, "SettingsError", None),
    "no key": (4, "MissingKeyError", None),
    "nothing listens": (7, "ConnectError", None),
    "silence": (7, "DeadlineError", None),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_is_an_object_too(lab: Telex, server: Scripted, case: str) -> None:
    code, kind, status = FAILURES[case]
    ran = lab("chat", "--json", "--retries", "0", *failing(lab, server, case))
    found = whole(ran.out)
    assert (ran.code, found["verdict"], found["text"]) == (code, "failed", ""), ran.err
    error = found["error"]
    assert (error["exit_code"], error["status"]) == (code, status)
    assert kind is None or error["type"] == kind
    assert error["message"] in ran.err
    assert error["hint"] is None or error["hint"].split("\n")[0] in ran.err


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_has_its_first_line_and_its_last(lab: Telex, server: Scripted, case: str) -> None:
    code, _, status = FAILURES[case]
    ran = lab("chat", "--jsonl", "--retries", "0", *failing(lab, server, case))
    found = lines(ran.out)
    assert ran.code == code
    assert (found[-1]["verdict"], found[-1]["error"]["status"]) == ("failed", status)


def test_a_retry_and_a_dropped_field_are_lines_of_their_own(lab: Telex, server: Scripted) -> None:
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


@pytest.mark.parametrize("form", ["--json", "--jsonl"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("text", ["half an ans", ""])
def test_a_signal_leaves_what_has_come_and_says_interrupted(
    lab: Telex, server: Scripted, form: str, number: signal.Signals, text: str
) -> None:
    server.will([*(sse(delta(text)) if text else []), Pause(30), DONE])
    process = lab.start("chat", form, "hi")
    _wait_until(lambda: bool(server.asked))
    time.sleep(0.3)
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert process.returncode == (130 if number is signal.SIGINT else -number)
    if form == "--json":
        found = whole(out)
        assert found["text"] == text
    else:
        found = lines(out)[-1]
        assert "".join(each["text"] for each in lines(out) if each["type"] == "text") == text
    assert (found["verdict"], found["error"]) == ("interrupted", None)
    assert b"Traceback" not in err


@pytest.mark.parametrize("form", ["--json", "--jsonl"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_anything_is_asked_is_said_as_well(
    lab: Telex, server: Scripted, form: str, number: signal.Signals
) -> None:
    process = lab.start("chat", form, "-", stdin=subprocess.PIPE)
    time.sleep(0.8)
    process.send_signal(number)
    try:
        process.wait(10)
    finally:
        out, _ = process.communicate()
    assert process.returncode == (130 if number is signal.SIGINT else -number)
    found = whole(out) if form == "--json" else lines(out)[-1]
    assert (found["verdict"], found["error"]) == ("interrupted", None)
    assert server.asked == []


def test_ctrl_c_while_a_retry_is_waited_for_ends_with_an_object(lab: Telex, server: Scripted) -> None:
    server.will(refusal(503, "busy", **{"retry-after": "20"}))
    process = lab.start("chat", "--json", "hi")
    _wait_until(lambda: bool(server.asked))
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=10)
    assert (process.returncode, whole(out)["verdict"]) == (130, "interrupted")


def test_each_line_is_out_before_the_next_has_come(lab: Telex, server: Scripted) -> None:
    goes_on = threading.Event()
    server.will([*sse(delta("first")), Pause(goes_on), *answer(" second")])
    process = lab.start("chat", "--jsonl", "hi")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["type"] == "start"
    assert json.loads(process.stdout.readline())["text"] == "first"
    goes_on.set()
    rest = [json.loads(line) for line in process.communicate(timeout=20)[0].splitlines()]
    assert [each["type"] for each in rest] == ["text", "end"]


@pytest.mark.parametrize("form", ["--json", "--jsonl", "-x", "--dry-run"])
def test_a_reader_that_goes_away_is_no_noise(lab: Telex, server: Scripted, form: str) -> None:
    server.will([*sse(*[delta("x" * 100_000)] * 3), Pause(0.2), *answer("y" * 200_000)])
    done = subprocess.run(
        ["bash", "-c", f"{COMMAND} chat {form} hi{'x' * 70_000} | head -c 1; echo ${{PIPESTATUS[0]}}"],
        env=lab.env, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.stdout[1:] == b"141\n"
    assert done.stderr.replace(b"No code block found; printing the whole answer.\n", b"") == b""


@pytest.mark.parametrize("form", ["--json", "--jsonl", "-x", "--dry-run"])
def test_a_full_disk_is_said_once(lab: Telex, server: Scripted, form: str) -> None:
    server.will(answer("x"))
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        ran = lab("chat", form, "hi", stdout=full)
    assert ran.code == 1
    assert ran.err.count("No space left") == 1


# --- the choice among formats ---------------------------------------------------------------------------------


def test_two_formats_at_once_are_a_usage_error(lab: Telex, server: Scripted) -> None:
    for given in (("--json", "--jsonl"), ("--json", "-x"), ("--jsonl", "-x")):
        ran = lab("chat", *given, "hi")
        assert (ran.code, ran.out) == (2, b"")
        assert "take one of them" in ran.err
    assert server.asked == []


def test_a_line_of_json_holds_no_end_of_a_line_of_any_kind(lab: Telex, server: Scripted) -> None:
    server.will(answer("a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\rh\ni"))
    for form in ("--json", "--jsonl"):
        text = lab("chat", form, "hi").out.decode()
        assert len(text.splitlines()) == text.count("\n")
        assert "".join(json.loads(line).get("text", "") for line in text.splitlines()) == (
            "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\rh\ni"
        )


def test_reasoning_stays_out_of_stderr_where_it_is_in_the_object(lab: Telex, server: Scripted) -> None:
    server.will([*sse(delta(reasoning_content="Hm.")), *answer("x")])
    ran = lab("chat", "--json", "hi")
    assert (whole(ran.out)["reasoning"], ran.err) == ("Hm.", "")


def test_without_streaming_the_object_is_the_same(lab: Telex, server: Scripted) -> None:
    message = {"role": "assistant", "content": "all", "reasoning_content": "hm"}
    reply = {"choices": [{"index": 0, "finish_reason": "stop", "message": message}]}
    server.will(Answer([json.dumps(reply).encode()], headers={"content-type": "application/json"}))
    found = whole(lab("chat", "--json", "--no-stream", "hi").out)
    assert (found["text"], found["reasoning"], found["finish"]) == ("all", "hm", "stop")


# --- -x: the first block ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "out", "said"),
    [
        ("Here:\n\n```python\nprint(1)\n```\n\nand\n\n```\nno\n```\n", b"print(1)\n", ""),
        ("```\n  a\tb  \n\n```", b"  a\tb  \n\n", ""),
        ("~~~~sh\nls ```\n~~~~\n", b"ls ```\n", ""),
        ("no block `here`", b"no block `here`\n", "No code block"),
        ("```md\n```sh\nls\n```\nb\n```\n", b"```sh\nls\n```\nb\n", ""),
        ("```md\n# a\n```\nls\n```\nb\n```\n", b"# a\n", "fences of the answer's code blocks are ambiguous"),
        ("```\n```\n", b"\n", ""),
    ],
)
def test_extract_prints_the_first_block_and_nothing_else(
    lab: Telex, server: Scripted, text: str, out: bytes, said: str
) -> None:
    server.will(answer(*text))
    ran = lab("chat", "-x", "hi")
    assert (ran.code, ran.out) == (0, out)
    assert (said in ran.err) if said else (ran.err == "")


def test_extract_keeps_the_thoughts_on_stderr_and_the_whole_answer_in_the_history(
    lab: Telex, server: Scripted
) -> None:
    server.will([*sse(delta(reasoning_content="Hm.")), *answer("Words\n```\ncode\n```\n")])
    ran = lab("chat", "-x", "hi")
    assert (ran.out, ran.err) == (b"code\n", "Hm.\n")
    server.will(answer("x"))
    lab("chat", "-c", "and?")
    assert server.asked[0].body["messages"][1]["content"] == "Words\n```\ncode\n```\n"


def test_extract_of_a_cut_answer_is_what_there_is_and_no_success(lab: Telex, server: Scripted) -> None:
    server.will([*sse(delta("```\nrm -rf /tm")), Cut()])
    ran = lab("chat", "-x", "hi")
    assert (ran.code, ran.out) == (6, b"rm -rf /tm\n")


# --- --dry-run -------------------------------------------------------------------------------------------------


def test_a_dry_run_shows_the_request_that_would_be_sent(telex: Telex, server: Scripted) -> None:
    telex.provider(
        "lab",
        server.url,
        key=None,
        key_env="LAB_KEY",
        headers={"X-Team": "red", "X-Token": "env:LAB_TOKEN", "X-Trace": "for env:LAB_TOKEN"},
    )
    server.will(answer("x"))
    env = {"LAB_KEY": "sk-canary-77", "LAB_TOKEN": "sk-t0ken"}
    arguments = ("-m", "lab", "-s", "Be brief.", "-t", "0", "-p", "top_p=0.5", "hi")
    dry = telex("chat", "--dry-run", *arguments, env=env)
    assert (dry.code, dry.err) == (0, "")
    assert server.asked == []
    assert server.connections == 0
    for secret in ("sk-canary-77", "sk-t0ken"):
        assert secret not in dry.text
    shown = json.loads(dry.out)
    assert list(shown) == ["method", "url", "headers", "body"]
    assert shown["headers"]["authorization"] == "Bearer [the key]"
    assert shown["headers"]["x-token"] == "[redacted]"
    assert shown["headers"]["x-trace"] == "[redacted]"
    telex("chat", *arguments, env=env)
    sent = server.asked[0]
    assert (shown["method"], shown["url"]) == (sent.method, f"http://127.0.0.1:{server.port}{sent.path}")
    assert shown["body"] == sent.body
    on_the_wire = {"host", "content-length", "accept-encoding", "connection"}
    on_the_wire |= {"authorization", "x-token", "x-trace"}
    assert {name: shown["headers"][name] for name in sent.headers.keys() - on_the_wire} == {
        name: value for name, value in sent.headers.items() if name not in on_the_wire
    }


def test_a_dry_run_looks_for_no_key(telex: Telex, server: Scripted, tmp_path: Path) -> None:
    trace = tmp_path / "asked-for-a-key"
    telex.provider("lab", server.url, key=None, key_command=f"touch {trace}; echo sk-x")
    telex.provider("bank", server.url, key=None, key_env="NOT_SET")
    for name in ("lab", "bank"):
        ran = telex("chat", "--dry-run", "-m", name, "hi")
        assert ran.code == 0, ran.err
        assert json.loads(ran.out)["headers"]["authorization"] == "Bearer [the key]"
    assert not trace.exists()


def test_a_dry_run_asks_no_server_for_its_models(telex: Telex, server: Scripted) -> None:
    telex.provider("lab", server.url, models=None)
    ran = telex("chat", "--dry-run", "-m", "lab", "hi")
    assert ran.code == 3
    assert server.connections == 0
    ran = telex("chat", "--dry-run", "-m", "lab/any", "hi")
    assert json.loads(ran.out)["body"]["model"] == "any"


def test_a_dry_run_keeps_nothing(lab: Telex) -> None:
    assert lab("chat", "--dry-run", "hi").code == 0
    assert lab("chat", "-c", "hi").code == 2


def test_a_dry_run_of_a_provider_without_a_key_has_no_such_header(lab: Telex) -> None:
    assert "authorization" not in json.loads(lab("chat", "--dry-run", "hi").out)["headers"]


# --- telex help formatting ------------------------------------------------------------------------------------


def rows(title: str) -> dict[str, str]:
    (section,) = [each for each in topic("formatting") if each.title == title]
    return dict(row for block in section.blocks if isinstance(block, Definitions) for row in block.rows)


def test_the_topic_lists_these_keys_and_no_others() -> None:
    found = rows("Keys of the JSON object")
    assert list(found) == KEYS
    named = set(re.findall(r"\w+", " ".join(found.values())))
    assert {*USAGE_KEYS, *TIMING_KEYS, *ERROR_KEYS, "id", "name", "arguments"} <= named
    assert {verdict.value for verdict in Verdict} <= named


def test_the_topic_lists_each_type_of_line() -> None:
    assert set(rows("Events of --jsonl")) == set(get_args(Kind))


def _wait_until(true: Any) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Breaking:
    """A console whose reader takes only so many characters of one line, until it is asked again."""

    def __init__(self, line: int, characters: int) -> None:
        self.written = ""
        self._left = line
        self._characters = characters
        self.rest = ""

    def out(self, text: str) -> None:
        self._left -= 1
        taken = self._characters if self._left == 0 else len(text)
        self.written += text[:taken]
        self.rest = text[taken:]
        if self._left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("line", [1, 2, 3])
@pytest.mark.parametrize("characters", [0, 1, 20])
def test_a_line_that_was_broken_off_is_whole_before_the_next_one(line: int, characters: int) -> None:
    console = Breaking(line, characters)
    target = Target(provider=Provider(name="lab"), model="m")
    renderer = JsonLinesRenderer(console, lambda _: None)  # type: ignore[arg-type]
    with contextlib.suppress(KeyboardInterrupt):
        for event in (Connecting(target=target), Text(text="a"), Text(text="b")):
            renderer.handle(event)
    renderer.handle(ChatEnded(answer=WholeAnswer(target=target, verdict=Verdict.INTERRUPTED)))
    found = lines(console.written.encode())
    assert len(found) == line + 1
    assert "".join(each.get("text", "") for each in found) == "ab"[: line - 1]
