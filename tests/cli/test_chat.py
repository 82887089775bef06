"""``telex chat`` with a scripted server: what is sent, what is printed, and the exit code. Nearly all in process."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest
from inprocess import Inside
from running import QUOTED, idle, took, unread, within
from scripted import DONE, Answer, Cut, Pause, Scripted, answer, delta, sse

if TYPE_CHECKING:
    from running import Telex

CALL = {"index": 0, "id": "a", "function": {"name": "clock", "arguments": "{}"}}


@pytest.fixture
def lab(telex: Telex, server: Scripted) -> Inside:
    """Runs in this process; its only provider is the scripted server."""
    server.will(answer("Yes."))
    telex.provider("lab", server.url)
    return Inside(telex.home)


@pytest.fixture
def process(telex: Telex, lab: Inside) -> Telex:
    """The installed command with the home of ``lab``."""
    assert lab.settings == telex.settings
    return telex


def pipe() -> tuple[IO[Any], IO[Any]]:
    reading, writing = os.pipe()
    return os.fdopen(reading, "rb", 0), os.fdopen(writing, "wb", 0)


def refusal(message: str, status: int = 400, **more: str) -> Answer:
    headers = {"content-type": "application/json", "retry-after": "0"}
    return Answer(
        [json.dumps({"error": {"message": message, **more}}).encode()], status=status, headers=headers
    )


def content(server: Scripted) -> object:
    """The last message of the last request."""
    return server.asked[-1].body["messages"][-1]["content"]


def shell(process: Telex, words: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run ``telex chat`` in bash, with pipes and redirections."""
    return subprocess.run(
        ["bash", "-c", words.replace("telex", QUOTED, 1)],
        env=process.env, stdin=options.get("stdin", subprocess.DEVNULL), capture_output=True, check=False, timeout=60,
    )  # fmt: skip


# --- what is sent ------------------------------------------------------------------------------------------


def test_stdout_is_the_answer_and_the_body_has_only_what_was_asked(process: Telex, server: Scripted) -> None:
    server.will(answer("The sky", " is blue.", usage={"prompt_tokens": 3, "completion_tokens": 4}))
    ran = process("chat", "two", "words")
    assert (ran.code, ran.out, ran.err) == (0, b"The sky is blue.\n", "")
    assert server.asked[0].path == "/v1/chat/completions"
    assert "authorization" not in server.asked[0].headers
    assert server.asked[0].body == {
        "model": "m",
        "messages": [{"role": "user", "content": "two words"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_options_are_fields_of_the_body(lab: Inside, server: Scripted) -> None:
    lab("chat", "-s", "Be brief.", "-t", "0", "--max-tokens", "5", "-p", "top_p=0.5", "-p", 'stop=["a"]',
        "-p", "user=me", "hi")  # fmt: skip
    body = server.asked[0].body
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (body["temperature"], body["max_tokens"], body["top_p"]) == (0, 5, 0.5)
    assert (body["stop"], body["user"]) == (["a"], "me")


@pytest.mark.parametrize(
    ("stdin", "words", "sent"),
    [
        (b"The sky is blue.", ["What colour?"], "The sky is blue.\n\nWhat colour?"),
        (b"only stdin\n", [], "only stdin\n"),
        (b"", ["only words"], "only words"),
        ("größe ✓".encode(), ["-", "ok"], "größe ✓\n\nok"),
        (b"x", ["--no-stdin", "ok"], "ok"),
        (b"", ["--", "-5 degrees?"], "-5 degrees?"),
        (b"", ["what", "is", "5", "-", "3"], "what is 5 - 3"),
        (b"\xef\xbb\xbftext", ["Why?"], "text\n\nWhy?"),
        ("Größe".encode("utf-16"), [], "Größe"),  # as PowerShell pipes it
    ],
)
def test_stdin_is_part_of_prompt(
    lab: Inside, server: Scripted, stdin: bytes, words: list[str], sent: str
) -> None:
    ran = lab("chat", *words, stdin=stdin)
    assert ran.code == 0, ran.err
    assert server.asked[0].body["messages"] == [{"role": "user", "content": sent}]


@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        ([], b"", "no prompt"),
        (["  "], b" \n", "no prompt"),
        (["--no-stdin"], b"text", "no prompt"),
        (["--no-stdin", "-"], b"text", "--no-stdin"),
        (["-f", "-", "-"], b"text", "only once"),
        (["hi"], b"\xff\xfe\x00", "not UTF-8"),
        (["hi"], b"ustar\0\0\0", "stdin is not a text file: it contains NUL characters"),
        (["hi"], b"%PDF-1.4 all of it ASCII", "stdin cannot be used: it is damaged"),
        ([os.fsdecode(b"caf\xe9")], b"", "not UTF-8"),
        (["-5 degrees?"], b"", 'put "--" before'),
        (["-c", "hi"], b"", "no conversation"),
        (["--conversation", "", "hi"], b"", "--conversation is empty"),
        (["--schema", " ", "hi"], b"", "--schema is empty"),
        (["-m", "", "hi"], b"", "Invalid value for '-m' / '--model': it is empty"),
        (["--schema", "[1]", "hi"], b"", "the schema is a JSON array, not a JSON object"),
        (["-p", "messages=1", "hi"], b"", "-p messages: telex sets this field; use the argument PROMPT"),
        (["--var", "a=b", "hi"], b"", "--var requires --template"),
        (["--allow", "a", "hi"], b"", "--allow requires --tools"),
        (["-p", "top_p", "hi"], b"", "KEY=VALUE"),
        (["-t", "warm", "hi"], b"", "is not a number"),
        (["-p", "a=NaN", "hi"], b"", "not valid JSON"),
        (["-p", "a=" + "[" * 100_000, "hi"], b"", "not valid JSON"),
        (["-m", "lab/m", "--max-tokens", "9", "-p", "max_tokens=5", "hi"], b"", "set the same limit"),
        (["--max-tokens", "9", "-p", 'options={"num_predict": 5}', "hi"], b"", "set the same limit"),
    ],
)
def test_bad_input_exits_2(
    lab: Inside, server: Scripted, arguments: list[str], stdin: bytes, words: str
) -> None:
    ran = lab("chat", *arguments, stdin=stdin)
    assert (ran.code, ran.out, server.asked) == (2, b"", [])
    assert words in ran.err
    assert ran.err.startswith("telex: ")
    assert len(ran.err) < 400


@pytest.mark.parametrize(
    ("typed", "option"),
    [
        ("-f a.py b.py 'c d.py' Review", "-f"),
        ("Review -f a.py b.py", "-f"),
        ("-qf a.py -t 0 Review b.py", "-f"),
        ("--image=a.py b.py Review", "-i"),
        ("a.py -f b.py Review", ""),
        ("-f b.py -- a.py", ""),
        ("-f b.py 'see a.py'", ""),
    ],
)
def test_files_left_by_a_pattern_exit_2(
    lab: Inside, server: Scripted, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, typed: str, option: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.py", "b.py", "c d.py"):
        Path(name).write_text("x")
    ran = lab("chat", *shlex.split(typed))
    assert (ran.code, len(server.asked)) == ((2, 0) if option else (0, 1)), ran.err
    assert f"is a file, and {option} takes one file" in ran.err or not option


@pytest.mark.parametrize("locale", ["C", "en_US.ISO-8859-1"])
def test_utf8_in_every_locale(process: Telex, server: Scripted, tmp_path: Path, locale: str) -> None:
    server.will(answer("Grüße"))
    (tmp_path / "süß.txt").write_text("ß")
    env = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TELEX_MODEL": "lab/ö"}
    ran = process(
        "chat", "-f", "süß.txt", "-o", "größe.txt", "-u", "Wörter", stdin="é".encode(), env=env, cwd=tmp_path
    )
    assert ran.code == 0, ran.err
    assert (tmp_path / "größe.txt").read_text() == "Grüße\n"
    assert "Attached: süß.txt (2 bytes, ~1 token)" in ran.err
    assert server.asked[0].body["model"] == "ö"
    assert content(server) == "süß.txt:\n```\nß\n```\n\né\n\nWörter"


# --- stdin -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "note"),
    [
        (["hi"], "Waiting for the end of stdin. --no-stdin ignores stdin.\n"),
        (["-", "hi"], "Waiting for the end of stdin.\n"),
        (["-q", "hi"], ""),
    ],
)
def test_late_stdin_is_read_to_its_end(
    process: Telex, server: Scripted, arguments: list[str], note: str
) -> None:
    reading, writing = socket.socketpair() if "-" in arguments else pipe()
    with reading, writing:
        running = process.start("chat", *arguments, stdin=reading.fileno())
        assert running.stderr is not None
        assert not note or running.stderr.readline().decode() == note
        assert not within(1.0, lambda: bool(server.asked))
        os.write(writing.fileno(), b"late ")
        assert within(60, lambda: idle(running.pid))
        os.write(writing.fileno(), b"data")
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err) == (0, b"Yes.\n", b"")
    assert content(server) == "late data\n\nhi"


def test_ctrl_c_while_waiting_for_stdin_sends_nothing(process: Telex, server: Scripted) -> None:
    reading, writing = pipe()
    with reading, writing:
        running = process.start("chat", "hi", stdin=reading.fileno())
        assert running.stderr is not None
        assert b"--no-stdin" in running.stderr.readline()
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err.strip()) == (130, b"", b"Interrupted.")
    assert server.asked == []


@pytest.mark.parametrize(("arguments", "code"), [(("-m", "nowhere/m"), 3), (("-f", "missing"), 2)])
def test_mistakes_are_reported_before_stdin_ends(
    process: Telex, arguments: tuple[str, ...], code: int
) -> None:
    reading, writing = pipe()
    with reading, writing:
        running = process.start("chat", *arguments, "hi", stdin=reading.fileno())
        running.communicate(timeout=60)
    assert running.returncode == code


@pytest.mark.parametrize("redirection", ["<&-", "< /dev/null", "0> /dev/null"])
def test_a_prompt_alone_is_sent_when_stdin_has_nothing_to_read(process: Telex, redirection: str) -> None:
    done = shell(process, f"telex chat hi {redirection}", stdin=None)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"Yes.\n", b"")


def test_a_stdin_that_does_not_block_is_read_to_its_end(process: Telex, server: Scripted) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    running = process.start("chat", "-", "hi", stdin=reading)
    os.close(reading)
    os.write(writing, b"first ")
    assert within(60, lambda: unread(writing) == 0 and idle(running.pid))
    os.write(writing, b"second")
    os.close(writing)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert content(server) == "first second\n\nhi"


def test_a_stdin_without_an_end_is_refused(process: Telex, server: Scripted) -> None:
    with Path("/dev/zero").open("rb") as endless:
        running = process.start("chat", "-", stdin=endless)
        _, err = running.communicate(timeout=60)
    assert (running.returncode, server.asked) == (2, [])
    assert b"larger than 100 MB" in err


# --- what is printed ---------------------------------------------------------------------------------------


def test_each_piece_is_printed_before_the_next_has_come(process: Telex, server: Scripted) -> None:
    goes_on = threading.Event()
    server.will([*sse(delta("first")), Pause(goes_on), *answer(" second")])
    running = process.start("chat", "hi")
    assert running.stdout is not None
    assert running.stdout.read(5) == b"first"
    goes_on.set()
    assert running.communicate(timeout=60)[0] == b" second\n"


def test_reasoning_goes_to_stderr(lab: Inside, server: Scripted) -> None:
    server.will([*sse(delta(reasoning_content="Hm, "), delta(reasoning_content="blue.")), *answer("Blue.")])
    ran = lab("chat", "hi")
    assert (ran.code, ran.out, ran.err) == (0, b"Blue.\n", "Hm, blue.\n")


@pytest.mark.parametrize(
    ("body", "code", "out", "words"),
    [
        (answer("all"), 0, b"all\n", ""),
        (answer("up to", finish="length"), 6, b"up to\n", "token limit"),
        ([*sse(delta(reasoning_content="hm")), *answer(finish="length")], 6, b"", "used up the token limit"),
        (answer("all", finish="xyzzy"), 0, b"all\n", "Unknown finish reason: xyzzy; treated as complete."),
        (sse(delta("so far"), b"data: upstream died\n\n", DONE), 6, b"so far\n", "upstream died"),
        ([*sse(delta(tool_calls=[CALL]), delta(finish="tool_calls")), DONE], 0, b"", "called a tool (clock)"),
        ([*sse(delta("half"))], 6, b"half\n", "the answer is incomplete"),
        ([*sse(delta("half")), Cut()], 6, b"half\n", "lab"),
        (answer("so far", finish="content_filter"), 6, b"so far\n", "stopped the answer"),
        (answer(), 6, b"", "empty"),
        (answer(finish="length"), 6, b"", "Raise the limit with --max-tokens"),
        (sse(delta("so far"), {"error": {"message": "it broke"}}), 6, b"so far\n", "it broke"),
        (sse({"error": {"message": "The key is wrong", "code": 401}}), 4, b"", "The key is wrong"),
        ([b"<html><title>Just a moment...</title><p>x"], 6, b"", "Just a moment..."),
        ([], 6, b"", "--no-stream"),
        (refusal("bad key", 401), 4, b"", "bad key"),
        (refusal("slow down", 429), 5, b"", "slow down"),
        (refusal("The model x does not exist", 404, code="model_not_found"), 3, b"", "The model x does not"),
        (refusal("broken", 500), 6, b"", "broken"),
    ],
)  # fmt: skip
def test_the_end_of_an_answer_sets_the_exit_code(
    lab: Inside, server: Scripted, body: Any, code: int, out: bytes, words: str
) -> None:
    server.will(body)
    ran = lab("chat", "--retries", "0", "hi")
    assert (ran.code, ran.out) == (code, out), ran.err
    assert words in ran.err
    assert "\n\n" not in ran.err


@pytest.mark.parametrize("limit", [("--max-tokens", "20"), ("-p", 'options={"num_predict": 20}')], ids=str)
def test_own_token_limit_exits_0_with_text(lab: Inside, server: Scripted, limit: tuple[str, str]) -> None:
    reply = {"choices": [{"message": {"content": "up to"}, "finish_reason": "length"}]}
    for body, more in ((answer("up to", finish="length"), ()), (None, ("--no-stream",))):
        server.will(body or Answer([json.dumps(reply).encode()]))
        ran = lab("chat", *limit, *more, "hi")
        assert (ran.code, ran.out) == (0, b"up to\n"), ran.err
        assert "token limit" in ran.err
        assert lab("chat", *more, "hi").code == 6
    server.will([*sse(delta(reasoning_content="hm")), *answer(finish="length")])
    assert lab("chat", *limit, "hi").code == 6


def test_a_closed_stdout_or_stderr_does_no_harm(process: Telex, server: Scripted) -> None:
    server.will([*sse(delta(reasoning_content="hm")), *answer("x")])
    for redirection, out in ((">&-", b""), ("2>&-", b"x\n")):
        done = shell(process, f"telex chat hi {redirection}")
        assert (done.returncode, done.stdout) == (0, out), redirection
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_nonblocking_pipe_gets_every_byte(process: Telex, server: Scripted, unbuffered: str) -> None:
    whole = "x" * 300_001
    server.will(answer(whole))
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    running = process.start("chat", "hi", stdout=writing, env={"PYTHONUNBUFFERED": unbuffered})
    os.close(writing)
    assert within(60, lambda: unread(reading) > 0 and idle(running.pid))  # the pipe is full
    with open(reading, "rb") as full:  # noqa: PTH123
        out = full.read()
    _, err = running.communicate(timeout=60)
    assert (running.returncode, err, out) == (0, b"", whole.encode() + b"\n")


# --- Ctrl-C ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "out"),
    [
        ([*sse(delta("half an ans")), Pause(60), DONE], b"half an ans\n"),
        ([Pause(60), DONE], b""),
        (Answer([b"{}"], status=429, headers={"retry-after": "20"}), b""),
    ],
    ids=["in an answer", "before the first byte", "while waiting for a retry"],
)
def test_ctrl_c_ends_at_once_with_what_came(process: Telex, server: Scripted, body: Any, out: bytes) -> None:
    server.will(body)
    running = process.start("chat", "hi")
    assert within(60, lambda: took(running, server))
    started = time.monotonic()
    running.send_signal(signal.SIGINT)
    assert running.communicate(timeout=60)[0] == out
    assert running.returncode == 130
    assert time.monotonic() - started < 30  # the pause would last far longer
    assert isinstance(body, Answer) or server.asked[0].closed.wait(60)


def test_ctrl_c_during_imports_is_quiet(process: Telex) -> None:
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
    done = subprocess.run([sys.executable, "-c", code], env=process.env, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


# --- keys, settings, retries, refused fields ---------------------------------------------------------------


def test_the_key_is_sent_in_its_header_and_redacted_in_errors(telex: Telex, server: Scripted) -> None:
    telex.provider("lab", server.url, key=None, key_env="LAB_KEY")
    lab = Inside(telex.home)
    ran = lab("chat", "hi")
    assert (ran.code, server.asked) == (4, [])
    assert "LAB_KEY" in ran.err
    server.will(refusal("key sk-canary-7 refused", 401))
    ran = lab("chat", "hi", env={"LAB_KEY": "sk-canary-7"})
    assert server.asked[0].headers["authorization"] == "Bearer sk-canary-7"
    assert ran.code == 4
    assert "sk-canary-7" not in ran.err


def test_retries_are_reported_and_limited(lab: Inside, server: Scripted) -> None:
    busy = Answer([b'{"error": {"message": "busy"}}'], status=503, headers={"retry-after": "0.2"})
    server.will(busy, Answer(answer("at last")))
    ran = lab("chat", "hi")
    assert (ran.code, ran.out, len(server.asked)) == (0, b"at last\n", 2)
    assert "busy" in ran.err
    assert "attempt 2" in ran.err
    server.will(busy)
    assert (lab("chat", "--retries", "0", "hi").code, len(server.asked)) == (6, 1)


def test_a_silent_server_is_given_up_after_the_timeout(lab: Inside, server: Scripted) -> None:
    server.will([Pause(60)])
    ran = lab("chat", "--timeout", "0.3", "--retries", "0", "hi")
    assert ran.code == 7
    assert "--timeout" in ran.err
    server.will([*sse(delta("half")), Pause(60)])
    ran = lab("chat", "--timeout", "0.5", "hi")
    assert (ran.code, ran.out) == (6, b"half\n")


def test_a_refused_field_is_dropped_reported_once_and_remembered(lab: Inside, server: Scripted) -> None:
    server.will(refusal("Unknown field: stream_options"), Answer(answer("x")))
    first = lab("chat", "hi")
    assert (first.code, first.out) == (0, b"x\n")
    assert "stream_options" in first.err
    assert ["stream_options" in asked.body for asked in server.asked] == [True, False]
    second = lab("chat", "hi")
    assert (second.code, second.err) == (0, "")
    assert "stream_options" not in server.asked[-1].body
