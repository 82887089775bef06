"""``telex chat`` through the installed program, against a scripted server: what goes out, what comes back."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest
from running import COMMAND, within
from scripted import DONE, Answer, Cut, Pause, Scripted, answer, delta, sse

if TYPE_CHECKING:
    from running import Telex


def pipe() -> tuple[IO[Any], IO[Any]]:
    reading, writing = os.pipe()
    return os.fdopen(reading, "rb", 0), os.fdopen(writing, "wb", 0)


def in_json(value: object) -> list[bytes]:
    return [json.dumps(value).encode()]


CALL = {"index": 0, "id": "a", "function": {"name": "clock", "arguments": "{}"}}


@pytest.fixture
def lab(telex: Telex, server: Scripted) -> Telex:
    """A telex whose only provider is the scripted server."""
    telex.provider("lab", server.url)
    return telex


def test_the_answer_is_all_that_stdout_holds(lab: Telex, server: Scripted) -> None:
    server.will(answer("The sky", " is blue.", usage={"prompt_tokens": 3, "completion_tokens": 4}))
    ran = lab("chat", "What colour is the sky?")
    assert (ran.code, ran.out, ran.err) == (0, b"The sky is blue.\n", "")


def test_the_body_holds_what_was_asked_and_nothing_else(lab: Telex, server: Scripted) -> None:
    server.will(answer("x"))
    lab("chat", "two", "words")
    assert server.asked[0].path == "/v1/chat/completions"
    assert server.asked[0].body == {
        "model": "m",
        "messages": [{"role": "user", "content": "two words"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert "authorization" not in server.asked[0].headers


def test_options_are_fields_of_the_body_and_an_explicit_zero_is_sent(lab: Telex, server: Scripted) -> None:
    server.will(answer("x"))
    lab("chat", "-s", "Be brief.", "-t", "0", "--max-tokens", "5", "-p", "top_p=0.5", "-p", "stop=[\"a\"]",
        "-p", "user=me", "hi")  # fmt: skip
    body = server.asked[0].body
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (body["temperature"], body["max_tokens"], body["top_p"]) == (0, 5, 0.5)
    assert (body["stop"], body["user"]) == (["a"], "me")


@pytest.mark.parametrize(
    ("stdin", "words", "content"),
    [
        (b"The sky is blue.", ["What colour?"], "The sky is blue.\n\nWhat colour?"),
        (b"a\tb\r\n  c \n", ["why"], "a\tb\r\n  c \n\n\nwhy"),
        (b"only stdin\n", [], "only stdin\n"),
        (b"", ["only words"], "only words"),
        (b"\n", ["only words"], "only words"),
        ("größe ✓".encode(), ["-", "ok"], "größe ✓\n\nok"),
        ("größe ✓".encode(), ["ok", "-"], "größe ✓\n\nok"),
        (b"x", ["--no-stdin", "ok"], "ok"),
    ],
)
def test_stdin_and_prompt_make_one_message_with_every_byte_kept(
    lab: Telex, server: Scripted, stdin: bytes, words: list[str], content: str
) -> None:
    server.will(answer("x"))
    ran = lab("chat", *words, stdin=stdin)
    assert ran.code == 0, ran.err
    assert server.asked[0].body["messages"] == [{"role": "user", "content": content}]


@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        ([], b"", "no prompt"),
        (["  "], b" \n", "no prompt"),
        (["--no-stdin"], b"text", "no prompt"),
        (["--no-stdin", "-"], b"text", "--no-stdin"),
        (["hi"], b"\xff\xfe\x00", "not UTF-8"),
        (["-5 degrees?"], b"", 'put "--" before'),
        (["--explain this"], b"", 'put "--" before'),
        (["-p", "top_p", "hi"], b"", "KEY=JSON"),
        (["-p", "stop=[1", "hi"], b"", "not valid JSON"),
        (["-t", "warm", "hi"], b"", "is not a number"),
    ],
)
def test_bad_input_is_a_usage_error_and_sends_nothing(
    lab: Telex, server: Scripted, arguments: list[str], stdin: bytes, words: str
) -> None:
    ran = lab("chat", *arguments, stdin=stdin)
    assert ran.code == 2
    assert words in ran.err
    assert ran.err.startswith("telex: ")
    assert ran.out == b""
    assert server.asked == []


def test_a_prompt_that_begins_with_a_dash_is_taken_behind_two(lab: Telex, server: Scripted) -> None:
    server.will(answer("x"))
    assert lab("chat", "--", "-5 degrees?").code == 0
    assert server.asked[0].body["messages"][0]["content"] == "-5 degrees?"


@pytest.mark.parametrize("locale", ["C", "POSIX", "en_US.ISO-8859-1"])
def test_arguments_files_and_stdin_are_utf8_in_every_locale(
    lab: Telex, server: Scripted, tmp_path: Path, locale: str
) -> None:
    server.will(answer("Grüße"))
    (tmp_path / "süß.txt").write_text("ß")
    env = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TELEX_MODEL": "lab/ö"}
    ran = lab(
        "chat", "-f", "süß.txt", "-o", "größe.txt", "-u", "Wörter", stdin="é".encode(), env=env, cwd=tmp_path
    )
    assert ran.code == 0, ran.err
    assert (tmp_path / "größe.txt").read_text() == "Grüße\n"
    assert "Attached: süß.txt (2 bytes)" in ran.err
    assert server.asked[0].body["model"] == "ö"
    assert server.asked[0].body["messages"][0]["content"] == "süß.txt:\n```\nß\n```\n\né\n\nWörter"


def test_words_that_are_no_text_are_a_usage_error(lab: Telex, server: Scripted) -> None:
    ran = lab("chat", os.fsdecode(b"caf\xe9"))
    assert ran.code == 2
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("arguments", "note"),
    [
        (["hi"], "Waiting for the end of stdin. --no-stdin ignores stdin.\n"),
        (["-", "hi"], "Waiting for the end of stdin.\n"),
        (["-q", "hi"], ""),
    ],
)
def test_stdin_is_read_to_its_end_however_late(
    lab: Telex, server: Scripted, arguments: list[str], note: str
) -> None:
    server.will(answer("x"))
    reading, writing = socket.socketpair() if "-" in arguments else pipe()
    with reading, writing:
        process = lab.start("chat", *arguments, stdin=reading.fileno())
        assert not within(1.6, lambda: bool(server.asked))
        os.write(writing.fileno(), b"late ")
        time.sleep(0.3)
        os.write(writing.fileno(), b"data")
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err.decode()) == (0, b"x\n", note)
    assert server.asked[0].body["messages"][0]["content"] == "late data\n\nhi"


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_ctrl_c_while_waiting_for_stdin_sends_nothing(
    lab: Telex, server: Scripted, form: tuple[str, ...]
) -> None:
    reading, writing = pipe()
    with reading, writing:
        process = lab.start("chat", *form, "hi", stdin=reading.fileno())
        assert process.stderr is not None
        assert b"--no-stdin" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err.strip()) == (130, b"Interrupted.")
    assert bool(out) == bool(form)
    assert server.asked == []


@pytest.mark.parametrize(("arguments", "code"), [(("-m", "nowhere/m"), 3), (("-f", "missing"), 2)])
def test_other_mistakes_are_reported_before_stdin_is_read(
    lab: Telex, arguments: tuple[str, ...], code: int
) -> None:
    reading, writing = pipe()
    with reading, writing:
        process = lab.start("chat", *arguments, "hi", stdin=reading.fileno())
        process.communicate(timeout=20)
    assert process.returncode == code


@pytest.mark.parametrize("redirection", ["<&-", "< /dev/null", "0> /dev/null"])
def test_a_prompt_alone_is_sent_when_stdin_has_nothing_to_read(
    lab: Telex, server: Scripted, redirection: str
) -> None:
    server.will(answer("x"))
    done = subprocess.run(
        ["bash", "-c", f"{COMMAND} chat hi {redirection}"], env=lab.env, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"x\n", b"")


def test_each_piece_is_out_before_the_next_has_come(lab: Telex, server: Scripted) -> None:
    goes_on = threading.Event()
    server.will([*sse(delta("first")), Pause(goes_on), *answer(" second")])
    process = lab.start("chat", "hi")
    assert process.stdout is not None
    assert process.stdout.read(5) == b"first"
    goes_on.set()
    assert process.communicate(timeout=20)[0] == b" second\n"


def test_reasoning_goes_to_stderr(lab: Telex, server: Scripted) -> None:
    server.will([*sse(delta(reasoning_content="Hm, "), delta(reasoning_content="blue.")), *answer("Blue.")])
    ran = lab("chat", "hi")
    assert (ran.code, ran.out, ran.err) == (0, b"Blue.\n", "Hm, blue.\n")


def test_a_cut_answer_is_kept_and_is_no_success(lab: Telex, server: Scripted) -> None:
    server.will([*sse(delta("half an ans")), Cut()])
    ran = lab("chat", "hi")
    assert (ran.code, ran.out) == (6, b"half an ans\n")
    assert "lab" in ran.err


def test_an_empty_answer_is_a_failure(lab: Telex, server: Scripted) -> None:
    server.will(answer())
    ran = lab("chat", "hi")
    assert (ran.code, ran.out) == (6, b"")
    assert "empty" in ran.err


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (401, {"message": "bad key"}, 4),
        (403, {"message": "not for you"}, 4),
        (429, {"message": "slow down"}, 5),
        (402, {"message": "no credit"}, 5),
        (400, {"message": "wrong field"}, 6),
        (404, {"message": "The model x does not exist", "code": "model_not_found"}, 3),
        (500, {"message": "broken"}, 6),
    ],
)
def test_the_status_decides_the_exit_code(
    lab: Telex, server: Scripted, status: int, error: dict[str, str], code: int
) -> None:
    server.will(
        Answer(
            in_json({"error": error}),
            status=status,
            headers={"content-type": "application/json", "retry-after": "0"},
        )
    )
    ran = lab("chat", "hi")
    assert ran.code == code
    assert error["message"] in ran.err
    assert "lab" in ran.err
    assert "Traceback" not in ran.err


def test_nothing_that_listens_is_a_network_error(telex: Telex) -> None:
    import socket

    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        telex.provider("lab", f"http://127.0.0.1:{unused.getsockname()[1]}/v1")
        ran = telex("chat", "hi")
    assert ran.code == 7
    assert "refused" in ran.err


def test_ctrl_c_keeps_what_has_come_and_closes_the_connection(lab: Telex, server: Scripted) -> None:
    server.will([*sse(delta("half an ans")), Pause(30), DONE])
    process = lab.start("chat", "hi")
    assert process.stdout is not None
    assert process.stdout.read(11) == b"half an ans"
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert time.monotonic() - started < 5  # the pause would last far longer
    assert process.returncode == 130
    assert out == b"\n"
    assert b"Traceback" not in err
    assert server.asked[0].closed.wait(2)


def test_ctrl_c_before_the_first_byte_ends_it_too(lab: Telex, server: Scripted) -> None:
    server.will([Pause(30), DONE])
    process = lab.start("chat", "hi")
    while not server.asked:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (130, b"")
    assert b"Traceback" not in err


@pytest.mark.parametrize("layout", ["--plain", "--markdown"])
def test_a_reader_that_goes_away_is_no_noise(lab: Telex, server: Scripted, layout: str) -> None:
    server.will([*sse(*[delta("x y " * 20_000 + "\n\n")] * 3), Pause(0.2), *answer("y\n\nz")])
    done = subprocess.run(
        ["bash", "-c", f"{COMMAND} chat {layout} hi | head -c 1; echo ${{PIPESTATUS[0]}}"],
        env=lab.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert done.stdout == b"x141\n"
    assert done.stderr == b""


def test_a_full_disk_is_said(lab: Telex, server: Scripted) -> None:
    server.will(answer("x"))
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        ran = lab("chat", "hi", stdout=full)
    assert ran.code == 1
    assert "No space left" in ran.err
    assert "Traceback" not in ran.err


def test_a_closed_stdout_or_stderr_does_no_harm(lab: Telex, server: Scripted) -> None:
    server.will([*sse(delta(reasoning_content="hm")), *answer("x")])
    for redirection, out in ((">&-", b""), ("2>&-", b"x\n")):
        done = subprocess.run(
            ["bash", "-c", f"{COMMAND} chat hi {redirection}"], env=lab.env, stdin=subprocess.DEVNULL,
            capture_output=True, check=False, timeout=30,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (0, out), redirection
        assert b"Traceback" not in done.stderr


def test_no_stream_asks_for_a_whole_answer(lab: Telex, server: Scripted) -> None:
    whole = {
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "all"}}]
    }
    server.will(Answer(in_json(whole), headers={"content-type": "application/json"}))
    ran = lab("chat", "--no-stream", "hi")
    assert (ran.code, ran.out) == (0, b"all\n")
    assert server.asked[0].body["stream"] is False
    assert "stream_options" not in server.asked[0].body


def test_the_key_travels_in_its_header_and_nowhere_else(telex: Telex, server: Scripted) -> None:
    telex.provider("lab", server.url, key=None, key_env="LAB_KEY")
    server.will(Answer(in_json({"error": {"message": "key sk-canary-7 refused"}}), status=401))
    ran = telex("chat", "hi", env={"LAB_KEY": "sk-canary-7"})
    assert server.asked[0].headers["authorization"] == "Bearer sk-canary-7"
    assert ran.code == 4
    assert "sk-canary-7" not in ran.err


def test_a_provider_without_its_key_says_where_one_is_looked_for(telex: Telex, server: Scripted) -> None:
    telex.provider("lab", server.url, key=None, key_env="LAB_KEY")
    ran = telex("chat", "hi")
    assert ran.code == 4
    assert "LAB_KEY" in ran.err
    assert server.asked == []


def test_a_broken_settings_file_is_said_with_its_line(telex: Telex) -> None:
    telex.configure("[providers\n")
    ran = telex("chat", "hi")
    assert ran.code == 3
    assert "settings.toml, line 1" in ran.err


def test_a_retry_is_said_and_its_wait_is_the_servers(lab: Telex, server: Scripted) -> None:
    busy = Answer(in_json({"error": {"message": "busy"}}), status=503, headers={"retry-after": "0.2"})
    server.will(busy, Answer(answer("at last")))
    ran = lab("chat", "hi")
    assert (ran.code, ran.out) == (0, b"at last\n")
    assert "busy" in ran.err
    assert "attempt 2" in ran.err
    assert len(server.asked) == 2


def test_no_retry_is_made_when_none_is_allowed(lab: Telex, server: Scripted) -> None:
    server.will(Answer(in_json({"error": {"message": "busy"}}), status=503))
    assert lab("chat", "--retries", "0", "hi").code == 6
    assert len(server.asked) == 1


def test_a_server_that_says_nothing_is_given_up_when_told_so(lab: Telex, server: Scripted) -> None:
    server.will([Pause(20)])
    ran = lab("chat", "--timeout", "0.3", "--retries", "0", "hi")
    assert ran.code == 7
    assert "--timeout" in ran.err


def test_silence_in_the_middle_of_an_answer_is_a_cut_answer(lab: Telex, server: Scripted) -> None:
    server.will([*sse(delta("half")), Pause(20)])
    ran = lab("chat", "--timeout", "0.5", "hi")
    assert (ran.code, ran.out) == (6, b"half\n")


def test_ctrl_c_while_waiting_for_a_retry_ends_at_once(lab: Telex, server: Scripted) -> None:
    server.will(Answer(in_json({"error": {"message": "busy"}}), status=429, headers={"retry-after": "20"}))
    process = lab.start("chat", "hi")
    while not server.asked:
        time.sleep(0.02)
    time.sleep(0.3)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 130
    assert time.monotonic() - started < 5  # the pause would last far longer


@pytest.mark.parametrize(
    ("body", "code", "out", "words"),
    [
        (answer("all"), 0, b"all\n", ""),
        (answer("up to", finish="length"), 6, b"up to\n", "token limit"),
        (
            [*sse(delta(reasoning_content="hm")), *answer(finish="length")],
            6,
            b"",
            "took all of the token limit",
        ),
        (answer("so far", finish="timeout"), 6, b"so far\n", "finish reason timeout"),
        (answer("all", finish="xyzzy"), 0, b"all\n", "does not know: xyzzy"),
        (sse(delta("so far"), b"data: upstream died\n\n", DONE), 6, b"so far\n", "upstream died"),
        (sse(delta("half"), delta(tool_calls=[CALL])), 6, b"half\n", "before the answer was finished"),
        ([*sse(delta("I", tool_calls=[CALL])), *answer(finish="length")], 6, b"I\n", "in a call of clock"),
        ([*sse(delta("half"))], 6, b"half\n", "before the answer was finished"),
        (answer("so far", finish="content_filter"), 6, b"so far\n", "withheld"),
        (answer(), 6, b"", "empty"),
        (sse(delta("so far"), {"error": {"message": "it broke"}}), 6, b"so far\n", "it broke"),
        (sse(delta("so far"), delta(finish="error"), DONE), 6, b"so far\n", "broke the answer off"),
        (sse({"error": {"message": "The key is wrong", "code": 401}}), 4, b"", "The key is wrong"),
        ([b"<html><title>Just a moment...</title><p>x"], 6, b"", "Just a moment..."),
        (
            [b'{"error":"Unexpected endpoint or method. (POST /chat/completions)"}'],
            6,
            b"",
            "Unexpected endpoint",
        ),
        ([], 6, b"", "--no-stream"),
        ([b": ping\n\n", DONE], 6, b"", "--no-stream"),
    ],
)
def test_each_verdict_has_its_exit_code_and_its_line(
    lab: Telex, server: Scripted, body: list[bytes], code: int, out: bytes, words: str
) -> None:
    server.will(body)
    ran = lab("chat", "--retries", "0", "hi")
    assert (ran.code, ran.out) == (code, out), ran.err
    assert words in ran.err
    assert "\n\n" not in ran.err


@pytest.mark.parametrize(
    "limit",
    [("--max-tokens", "20"), ("-p", "max_completion_tokens=20"), ("-p", 'options={"num_predict": 20}')],
    ids=str,
)
def test_a_cut_at_the_user_s_own_limit_is_whole_if_there_is_text(
    lab: Telex, server: Scripted, limit: tuple[str, str]
) -> None:
    reply = {"choices": [{"message": {"content": "up to"}, "finish_reason": "length"}]}
    for body, more in ((answer("up to", finish="length"), ()), (None, ("--no-stream",))):
        server.will(body or Answer(in_json(reply)))
        ran = lab("chat", *limit, *more, "hi")
        assert (ran.code, ran.out) == (0, b"up to\n"), ran.err
        assert "token limit" in ran.err
        assert lab("chat", *more, "hi").code == 6
    server.will([*sse(delta(reasoning_content="hm")), *answer(finish="length")])
    assert lab("chat", *limit, "hi").code == 6


def test_an_empty_body_is_retried_as_a_lost_connection_is(lab: Telex, server: Scripted) -> None:
    server.will(Answer([]), Answer(answer("all")))
    ran = lab("chat", "hi")
    assert (ran.code, ran.out, len(server.asked)) == (0, b"all\n", 2)
    for retries, times in (("0", 1), ("1", 2)):
        server.will(Answer([]))
        ran = lab("chat", "--retries", retries, "hi")
        assert (ran.code, len(server.asked)) == (6, times)


def test_a_base_url_without_its_version_gets_the_right_advice(telex: Telex, server: Scripted) -> None:
    telex.provider("lab", server.url.removesuffix("/v1"))
    server.will(Answer([b"404 page not found\n"], status=404, headers={"content-type": "text/plain"}))
    ran = telex("chat", "hi")
    assert ran.code == 6
    assert f"--base-url {server.url}" in ran.err


def test_a_key_of_the_other_region_gets_the_right_advice(telex: Telex, server: Scripted) -> None:
    telex.provider("qwen", server.url, preset="qwen", key=None, key_env="Q")
    server.will(Answer(in_json({"error": {"message": "Incorrect API key"}}), status=401))
    ran = telex("chat", "hi", env={"Q": "k"})
    assert ran.code == 4
    assert "qwen-cn" in ran.err


def test_a_refused_field_is_left_out_told_once_and_remembered(lab: Telex, server: Scripted) -> None:
    refusal = Answer(in_json({"error": {"message": "Unknown field: stream_options"}}), status=400)
    server.will(refusal, Answer(answer("x")))
    first = lab("chat", "hi")
    assert (first.code, first.out) == (0, b"x\n")
    assert "stream_options" in first.err
    assert ["stream_options" in asked.body for asked in server.asked] == [True, False]
    server.will(answer("y"))
    second = lab("chat", "hi")
    assert (second.code, second.out, second.err) == (0, b"y\n", "")
    assert "stream_options" not in server.asked[0].body


def test_a_field_the_user_asked_for_is_told_of_each_time_it_is_left_out(lab: Telex, server: Scripted) -> None:
    refusal = Answer(
        in_json({"error": {"message": "Unsupported parameter: 'temperature'", "param": "temperature"}}),
        status=400,
    )
    server.will(refusal, Answer(answer("x")))
    assert "temperature" in lab("chat", "-t", "0.5", "hi").err
    server.will(answer("y"))
    assert "temperature" in lab("chat", "-t", "0.5", "hi").err
    assert "temperature" not in server.asked[0].body


def test_an_effort_that_the_vendor_does_not_know_is_a_usage_error(telex: Telex, server: Scripted) -> None:
    telex.provider("deepseek", server.url, preset="deepseek", models=["deepseek-v4-pro"])
    ran = telex("chat", "--reasoning-effort", "gigantic", "hi")
    assert ran.code == 2
    assert "gigantic" in ran.err
    assert server.asked == []


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_pipe_that_does_not_block_gets_every_byte(lab: Telex, server: Scripted, unbuffered: str) -> None:
    whole = "x" * 300_001
    server.will(answer(whole))
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    process = lab.start("chat", "hi", stdout=writing, env={"PYTHONUNBUFFERED": unbuffered})
    os.close(writing)
    time.sleep(1.5)  # the pipe is full meanwhile
    with open(reading, "rb") as pipe:  # noqa: PTH123
        out = pipe.read()
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, b"")
    assert out == whole.encode() + b"\n"


@pytest.mark.parametrize("words", [["hi"], ["-", "hi"], []])
def test_a_stdin_that_does_not_block_is_read_to_its_end(
    lab: Telex, server: Scripted, words: list[str]
) -> None:
    server.will(answer("x"))
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    process = lab.start("chat", *words, stdin=reading)
    os.close(reading)
    os.write(writing, b"first ")
    time.sleep(1)
    os.write(writing, b"second")
    os.close(writing)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert server.asked[0].body["messages"][0]["content"] == "\n\n".join(["first second", *words[-1:]])


def test_a_dash_within_a_sentence_is_a_dash(lab: Telex, server: Scripted) -> None:
    server.will(answer("x"))
    assert lab("chat", "what", "is", "5", "-", "3").code == 0
    assert server.asked[0].body["messages"][0]["content"] == "what is 5 - 3"


def test_an_answer_of_tool_calls_alone_is_said_to_be_one(lab: Telex, server: Scripted) -> None:
    call = {"index": 0, "id": "a", "function": {"name": "get_time", "arguments": "{}"}}
    server.will([*sse(delta(tool_calls=[call]), delta(finish="tool_calls")), DONE])
    ran = lab("chat", "hi")
    assert (ran.code, ran.out) == (0, b"")
    assert "get_time" in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["-t", "nan"], ["-t", "inf"], ["-t", "1e400"], ["--timeout", "nan"], ["--connect-timeout", "inf"],
        ["-p", "a=NaN"], ["-p", "a=1e999"], ["-p", 'a={"b":Infinity}'], ["-p", "a=" + "[" * 100_000],
        ["-p", "a=" + "9" * 5_000], ["-s", os.fsdecode(b"\xff")],
    ],
)  # fmt: skip
def test_what_json_cannot_carry_is_a_usage_error(lab: Telex, server: Scripted, arguments: list[str]) -> None:
    ran = lab("chat", *arguments, "hi")
    assert ran.code == 2, ran.err
    assert len(ran.err) < 400
    assert server.asked == []


def test_ctrl_c_while_it_still_imports_is_quiet(lab: Telex) -> None:
    code = """
import sys
class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
from telex.__main__ import run
run()
"""
    done = subprocess.run([sys.executable, "-c", code], env=lab.env, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")
