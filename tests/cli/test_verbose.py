"""``-v`` and ``-vv``: the request and the response are logged to stderr; stdout is unchanged."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from inprocess import Inside
from running import COMMAND
from scripted import Answer, Pause, Scripted, answer, delta, sse
from terminal import Pty

if TYPE_CHECKING:
    from pathlib import Path

    from running import Telex

KEY = "sk-canary/0123456789abcdef"


@pytest.fixture
def lab(tmp_path: Path, server: Scripted) -> Inside:
    telex = Inside(tmp_path)
    telex.configure(
        f'[providers.lab]\nbase_url = "{server.url}"\nkey_env = "LAB_KEY"\nmodels = ["m"]\n'
        'headers = {X-Team = "red", X-Token = "env:LAB_TOKEN"}\n'
    )
    telex.env |= {"LAB_KEY": KEY, "LAB_TOKEN": "tok-123456"}
    server.will(answer("The sky", " is blue."))
    return telex


def assert_no_secret(words: str) -> None:
    for secret in (KEY, quote(KEY, safe=""), KEY.replace("/", "\\/"), "tok-123456", "0123456789abc"):
        assert secret not in words


def test_v_logs_the_request_and_the_head_of_the_response(lab: Inside, server: Scripted) -> None:
    ran = lab("chat", "-v", "hi")
    assert (ran.code, ran.out) == (0, b"The sky is blue.\n")
    lines = ran.err.splitlines()
    assert lines[0] == f"> POST {server.url}/chat/completions"
    assert "> authorization: [redacted]" in lines
    assert "> x-token: [redacted]" in lines
    assert "> x-team: red" in lines
    sent = next(line for line in lines if line.startswith("> {"))
    assert json.loads(sent[2:]) == server.asked[0].body
    assert any(re.fullmatch(r"\* connected \(\d\.\d{3} s\)", line) for line in lines)
    assert any(re.fullmatch(r"< HTTP 200 \(\d\.\d{3} s\)", line) for line in lines)
    assert "< content-type: text/event-stream" in lines
    assert not any("data:" in line for line in lines)
    assert all(line[:2] in ("> ", "* ", "< ") for line in lines)
    assert_no_secret(ran.err)


@pytest.mark.parametrize("form", [(), ("--json",), ("--jsonl",)])
def test_vv_logs_the_whole_response_without_a_key_that_the_server_repeats(
    lab: Inside, server: Scripted, form: tuple[str, ...]
) -> None:
    ran = lab("chat", "-vv", *form, "hi")
    received = [line[2:] for line in ran.err.splitlines() if line.startswith("< data: ")]
    assert received[-1] == "data: [DONE]"
    assert json.loads(received[1].removeprefix("data: "))["choices"][0]["delta"]["content"] == " is blue."
    assert form != ("--json",) or json.loads(ran.out)["text"] == "The sky is blue."
    assert_no_secret(ran.err)
    body = json.dumps({"error": {"message": "no", "got": f"Bearer {KEY}"}}).encode()
    headers = {"content-type": "application/json", "x-got": KEY, "www-authenticate": KEY}
    server.will(Answer([body[:30], Pause(0.05), body[30:]], status=401, headers=headers))
    ran = lab("chat", "-vv", *form, "hi")
    assert ran.code == 4
    assert_no_secret(ran.err + ran.text)
    assert "[redacted]" in ran.err


def test_a_retry_is_logged_between_the_attempts(lab: Inside, server: Scripted) -> None:
    busy = Answer([b'{"error":{"message":"busy"}}'], status=503, headers={"retry-after": "0.1"})
    server.will(busy, Answer(answer("x")))
    ran = lab("chat", "-v", "hi")
    assert re.search(r"< HTTP 503.*Retrying in 0\.1 s \(attempt 2\).*> POST.*< HTTP 200", ran.err, re.DOTALL)


def test_on_a_terminal_log_lines_and_the_answer_do_not_mix(telex: Telex, server: Scripted) -> None:
    """A spinner turns, thoughts are shown, and Markdown is live: each makes room."""
    telex.provider("lab", server.url)
    server.will(
        [
            Pause(0.9), *sse(delta(reasoning_content="Is it"), delta(reasoning_content=" blue?")), Pause(0.2),
            *sse(delta("The **sky** is"), delta(" blue"), delta(", mostly.\n\n")), Pause(0.2), *answer("Yes."),
        ]
    )  # fmt: skip
    for arguments in (("-v",), ("-vv",), ("-vv", "--plain"), ("-vv", "--reasoning", "hide")):
        with Pty(
            [str(COMMAND), "chat", "-q", *arguments, "hi"], env=telex.env, columns=200, lines=60
        ) as terminal:
            assert terminal.wait() == 0
        rows = [row for row in terminal.rows if row]
        spinner = re.search("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]", terminal.text)
        assert spinner is None, terminal.text
        assert rows[-1] in ("Yes.", "< data: [DONE]")
        told = [row for row in rows if re.match(r"[<>*] ", row)]
        assert "> POST " + server.url + "/chat/completions" in told
        if arguments == ("-v",):
            assert [row for row in rows if row not in told] == ["The sky is blue, mostly.", "Yes."]
        else:
            assert len([row for row in told if row.startswith("< data: {")]) >= 6
            said = " ".join(row for row in rows if row not in told)
            assert "Yes." in said


def test_control_characters_of_the_response_do_not_reach_the_terminal(telex: Telex, server: Scripted) -> None:
    telex.provider("lab", server.url)
    server.will(Answer([b"data: \x1b[2J\x1b]0;title\x07\n\n", *answer("x")]))
    with Pty([str(COMMAND), "chat", "-vv", "hi"], env=telex.env) as terminal:
        assert terminal.wait() == 0
    assert b"\x1b[2J" not in terminal.raw
    assert b"\x1b]0;" not in terminal.raw
