"""A chat in a real pseudo-terminal: what shows, in what order, and what is left when it ends in any way."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import termios
import time
import tty
from typing import TYPE_CHECKING, Any

import pytest
from running import COMMAND, Telex
from scripted import DONE, Answer, Cut, Pause, Scripted, answer, delta, sse
from terminal import Pty

if TYPE_CHECKING:
    from collections.abc import Callable

SPINNER = "[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]"
LINES = [f"Line {number} of the answer stands here." for number in range(1, 61)]


@pytest.fixture
def chat(telex: Telex, server: Scripted) -> Callable[..., Pty]:
    telex.provider("lab", server.url)

    def start(*arguments: str, columns: int = 80, lines: int = 24, **env: str) -> Pty:
        return Pty([str(COMMAND), "chat", *arguments], env={**telex.env, **env}, columns=columns, lines=lines)

    return start


def paragraphs(lines: list[str]) -> list[str]:
    return ["\n\n".join(lines)]


def test_thoughts_stand_dim_under_a_heading_before_the_answer(
    chat: Callable[..., Pty], server: Scripted
) -> None:
    server.will(
        [*sse(delta(reasoning_content="Is it "), delta(reasoning_content="blue?")), *answer("**Blue.**")]
    )
    with chat("hi") as terminal:
        assert terminal.wait() == 0
    assert terminal.rows[:4] == ["Thinking:", "Is it blue?", "", "Blue."]
    assert b"\x1b[38;5;248mIs it" in terminal.raw
    assert b"\x1b[1mBlue." in terminal.raw


def test_thoughts_between_two_parts_of_an_answer_stand_where_they_were_thought(
    chat: Callable[..., Pty], server: Scripted
) -> None:
    server.will([*sse(delta("One.\n\n"), delta(reasoning_content="Hm.")), *answer("Two.")])
    with chat("hi", "-q", "--reasoning", "show") as terminal:
        assert terminal.wait() == 0
    assert [row for row in terminal.rows if row] == ["One.", "Thinking:", "Hm.", "Two."]


LONG = (
    "Considering the extraordinarily responsible establishmentarianism of incomprehensibilities, one would "
    "have to distinguish circumstances.\n  - an indented item that is longer than a row of the terminal\n"
    "漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字 and https://example.org/a/b/c"
)


@pytest.mark.parametrize("columns", [40, 80])
def test_reasoning_notes_and_errors_are_broken_between_words(
    chat: Callable[..., Pty], server: Scripted, columns: int
) -> None:
    pieces = [LONG[at : at + 5] for at in range(0, len(LONG), 5)]
    message = "the extraordinarily responsible establishmentarianism is out of incomprehensibilities"
    answers: list[Any] = [
        [*sse(*(delta(reasoning_content=piece) for piece in pieces)), *answer("ok", finish="length")],
        Answer([json.dumps({"error": {"message": message}}).encode()], status=400),
    ]
    words = {word for word in re.split(r"\s+", f"{LONG} {message}") if word.isascii()}
    seen = ""
    for each in answers:
        server.will(each)
        with chat("hi", "--reasoning", "show", columns=columns) as terminal:
            terminal.wait()
        assert all(len(row) <= columns for row in terminal.rows)
        seen += " ".join(terminal.rows) + " "
    assert [word for word in words if word not in seen] == [], seen
    assert "  - an indented item" in seen


def test_a_command_in_a_hint_is_never_broken(chat: Callable[..., Pty], server: Scripted) -> None:
    message = "The model m does not exist"
    server.will(Answer([json.dumps({"error": {"message": message}}).encode()], status=404))
    with chat("hi", columns=40) as terminal:
        terminal.wait()
    assert b"\n  See what it serves:\r\n    telex models list --provider lab --refresh\r\n" in terminal.raw


def test_a_summary_of_thoughts_is_one_line(chat: Callable[..., Pty], server: Scripted) -> None:
    server.will([*sse(delta(reasoning_content="Hm. " * 30)), Pause(0.3), *answer("Blue.")])
    with chat("hi", "--reasoning", "summary") as terminal:
        assert terminal.wait() == 0
    assert re.fullmatch(r"Thought for 0\.\d s, about 30 tokens\.", terminal.rows[0])
    assert "Hm." not in terminal.text


def test_hidden_thoughts_leave_nothing(chat: Callable[..., Pty], server: Scripted) -> None:
    server.will([*sse(delta(reasoning_content="Hm. " * 30)), *answer("Blue.")])
    with chat("hi", "--reasoning", "hide") as terminal:
        assert terminal.wait() == 0
    assert terminal.rows[0] == "Blue."
    assert b"Hm." not in terminal.raw


def test_a_spinner_turns_while_nothing_comes_and_leaves_no_trace(
    chat: Callable[..., Pty], server: Scripted
) -> None:
    server.will([Pause(1.2), *answer("Blue.")])
    with chat("hi", "-q") as terminal:
        terminal.wait_for(SPINNER)
        assert terminal.wait() == 0
    assert terminal.rows == ["Blue."]


def test_after_some_seconds_it_says_what_is_waited_for(chat: Callable[..., Pty], server: Scripted) -> None:
    server.will([Pause(5), *answer("Blue.")])
    with chat("hi", "-q") as terminal:
        terminal.wait_for(SPINNER + " waiting for lab, [3-5] s")
        assert terminal.wait() == 0
    assert terminal.rows == ["Blue."]


def test_a_wait_for_a_retry_counts_down(chat: Callable[..., Pty], server: Scripted) -> None:
    server.will(Answer([b"{}"], status=503, headers={"retry-after": "2"}), Answer(answer("Blue.")))
    with chat("hi", "-q") as terminal:
        terminal.wait_for(SPINNER + " retry in [12] s")
        assert terminal.wait() == 0
    assert terminal.rows[-1] == "Blue."
    assert "attempt 2" in terminal.text
    assert re.search(SPINNER, terminal.text) is None


def test_the_short_line_after_an_answer_names_the_model(chat: Callable[..., Pty], server: Scripted) -> None:
    server.will(answer("Blue.", usage={"prompt_tokens": 5, "completion_tokens": 1234}))
    with chat("hi") as terminal:
        assert terminal.wait() == 0
    assert re.fullmatch(r"lab/m · 1.234 out · \d\.\d s", terminal.rows[-1])


def test_the_full_line_has_every_count(chat: Callable[..., Pty], server: Scripted) -> None:
    usage = {
        "prompt_tokens": 50, "completion_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 40}, "completion_tokens_details": {"reasoning_tokens": 7},
    }  # fmt: skip
    server.will([*sse(delta("Bl")), Pause(0.3), *answer("ue.", usage=usage)])
    with chat("hi", "--usage") as terminal:
        assert terminal.wait() == 0
    counts = re.escape("lab/m · 50 in (40 cached) · 20 out (7 thinking)")
    assert re.fullmatch(rf"{counts} · first \d+\.\d\d s · \d+ tok/s", terminal.rows[-1])


def test_a_long_answer_stands_in_the_scrollback_once(chat: Callable[..., Pty], server: Scripted) -> None:
    server.will(answer(*(line + "\n\n" for line in LINES)))
    with chat("hi", "-q") as terminal:
        assert terminal.wait() == 0
    assert [row for row in terminal.rows if row] == LINES


def test_ctrl_c_keeps_the_answer_so_far_and_the_terminal_as_it_was(
    chat: Callable[..., Pty], server: Scripted
) -> None:
    server.will(
        [*sse(*[delta(line + "\n\n") for line in LINES[:30]], delta("and **half a")), Pause(30), DONE]
    )
    with chat("hi") as terminal:
        terminal.wait_for("and half a|half a")
        started = time.monotonic()
        terminal.type("\x03")
        assert terminal.wait() == 130
        assert time.monotonic() - started < 5  # the pause would last far longer
        assert terminal.modes == terminal.modes_before
    shown = [row for row in terminal.rows if row]
    assert shown[:30] == LINES[:30]
    assert "half a" in shown[30]
    assert shown[-1] == "Interrupted."
    assert b"\x1b[?25l" not in terminal.raw or terminal.raw.rindex(b"\x1b[?25h") > terminal.raw.rindex(
        b"\x1b[?25l"
    )
    assert not terminal.screen.cursor.attrs.bold
    assert terminal.screen.cursor.attrs.fg == "default"


def test_a_cut_answer_stays_on_the_screen_with_the_reason_below(
    chat: Callable[..., Pty], server: Scripted
) -> None:
    server.will([*sse(delta("Half of")), Cut()])
    with chat("hi", "-q") as terminal:
        assert terminal.wait() == 6
    assert terminal.rows[0] == "Half of"
    assert terminal.rows[1].startswith("telex: lab ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_the_colours(
    chat: Callable[..., Pty], server: Scripted, number: signal.Signals
) -> None:
    server.will([*sse(delta("Some **bold"), delta(" text")), Pause(30), DONE])
    with chat("hi") as terminal:
        terminal.wait_for("bold")
        terminal.process.send_signal(number)
        assert terminal.wait() == -number
        assert terminal.modes == terminal.modes_before
    assert not terminal.screen.cursor.attrs.bold


def test_suspended_and_resumed_it_loses_nothing(telex: Telex, server: Scripted) -> None:
    telex.provider("lab", server.url)
    pieces: list[Any] = [*sse(*[delta(line + "\n\n") for line in LINES[:5]], delta("An open ")), Pause(2.5)]
    server.will([*pieces, *answer("line.\n\n", LINES[7], "\n\n", LINES[8])])
    with Pty(["bash", "--norc", "-i"], env={**telex.env, "PS1": "$ "}) as terminal:
        terminal.wait_for(r"\$")
        terminal.type(f"{COMMAND} chat -q hi\n")
        terminal.wait_for("An open")
        terminal.type("\x1a")
        terminal.wait_for("Stopped")
        terminal.type("echo in between\n")
        terminal.wait_for("^in between")
        terminal.type("fg\n")
        terminal.wait_for(re.escape(LINES[8]) + r"\s*\n\$")
    rows = terminal.rows
    for expected in (*LINES[:5], "in between", "An open line.", LINES[7], LINES[8]):
        assert expected in rows, terminal.text


def test_what_a_model_writes_cannot_command_the_terminal(chat: Callable[..., Pty], server: Scripted) -> None:
    evil = "a\x1b[2Jb\x1b]0;title\x07c\x9b31md\u202e\u200b\U000e0041\u2028e [/foo] list[int] <b>x</b>"
    server.will([*sse(delta(reasoning_content=evil)), *answer(evil)])
    with chat("hi", "-q", "--reasoning", "show") as terminal:
        assert terminal.wait() == 0
    assert b"\x1b[2J" not in terminal.raw
    assert b"\x1b]0;" not in terminal.raw
    for hidden in "\u202e\u200b\U000e0041\u2028":
        assert hidden.encode() not in terminal.raw
    assert terminal.text.count("d\ufffd\ufffd\ufffd\ufffde [/foo]") == 2
    assert "[/foo] list[int] <b>x</b>" in terminal.text


def test_a_terminal_without_a_prompt_is_told_so_at_once_where_it_is_no_conversation(
    chat: Callable[..., Pty],
) -> None:
    with chat("--json") as terminal:
        assert terminal.wait() == 2
    assert "no prompt" in terminal.text


def test_plain_is_what_the_model_wrote(chat: Callable[..., Pty], server: Scripted) -> None:
    server.will(answer("**not** bold\n- dash"))
    with chat("hi", "-q", "--plain") as terminal:
        assert terminal.wait() == 0
    assert terminal.rows == ["**not** bold", "- dash"]


def test_a_dumb_terminal_gets_no_sequence(chat: Callable[..., Pty], server: Scripted) -> None:
    server.will([Pause(0.6), *sse(delta(reasoning_content="hm")), *answer("**as it is**")])
    with chat("hi", TERM="dumb") as terminal:
        assert terminal.wait() == 0
    assert b"\x1b" not in terminal.raw
    assert "**as it is**" in terminal.text


def test_no_color_leaves_bold_and_takes_colour(chat: Callable[..., Pty], server: Scripted) -> None:
    server.will(answer("**bold** `code`"))
    with chat("hi", "-q", NO_COLOR="1") as terminal:
        assert terminal.wait() == 0
    assert b"\x1b[1m" in terminal.raw
    assert re.search(rb"\x1b\[[0-9;]*3[0-7]m", terminal.raw) is None


@pytest.mark.parametrize("columns", [20, 200])
def test_narrow_and_wide_terminals_wrap_at_words(
    chat: Callable[..., Pty], server: Scripted, columns: int
) -> None:
    server.will(answer("word " * 60))
    with chat("hi", "-q", columns=columns) as terminal:
        assert terminal.wait() == 0
    assert all(set(row.split()) <= {"word"} for row in terminal.rows)
    assert max(map(len, terminal.rows)) <= columns
    assert " ".join(terminal.rows).split() == ["word"] * 60


def test_markdown_in_a_pipe_only_if_asked_for(telex: Telex, server: Scripted) -> None:
    telex.provider("lab", server.url)
    server.will(answer("**bold** and `code`"))
    assert telex("chat", "hi").out == b"**bold** and `code`\n"
    assert telex("chat", "hi", env={"FORCE_COLOR": "1"}).out == b"**bold** and `code`\n"
    assert telex("chat", "--markdown", "hi").out == b"bold and code\n"


def left_in_the_input(terminal: Pty) -> bytes:
    """What the shell would read next."""
    follower = terminal._follower
    tty.setcbreak(follower, termios.TCSANOW)
    return os.read(follower, 100) if select.select([follower], [], [], 0.1)[0] else b""


@pytest.mark.parametrize(
    ("reply", "grey"),
    [
        (b"\x1b]11;rgb:ffff/ffff/ffff\x1b\\\x1b[?62;22c", 241),
        (b"\x1b]11;rgb:00/2b/36\x07\x1b[?1;2c", 248),
        (b"\x1b[?1;2c", 244),
        (b"", 244),
    ],
)
def test_a_terminal_that_says_how_light_it_is_gets_colours_for_that(
    chat: Callable[..., Pty], server: Scripted, reply: bytes, grey: int
) -> None:
    server.will([Pause(0.6), *sse(delta(reasoning_content="Hm.")), *answer("Blue.")])
    with chat("hi", "--reasoning", "show", COLORFGBG="") as terminal:
        while b"\x1b]11;?" not in terminal.raw:
            assert terminal.process.poll() is None
            terminal.read(0.05)
        os.write(terminal.leader, reply)
        assert terminal.wait() == 0
        assert terminal.modes == terminal.modes_before
        assert left_in_the_input(terminal) == b""
    assert f"\x1b[38;5;{grey}mHm.".encode() in terminal.raw
    assert terminal.rows[:4] == ["Thinking:", "Hm.", "", "Blue."]


@pytest.mark.parametrize(
    "env", [{"NO_COLOR": "1"}, {"SSH_TTY": "x"}, {"COLORFGBG": "15;0"}, {"TERM": "xterm"}]
)
def test_a_terminal_is_not_asked_where_the_answer_is_of_no_use_or_may_come_too_late(
    chat: Callable[..., Pty], server: Scripted, env: dict[str, str]
) -> None:
    server.will(answer("Blue."))
    with chat("hi", **{"COLORFGBG": "", **env}) as terminal:
        assert terminal.wait() == 0
    assert b"\x1b]11" not in terminal.raw


def test_what_is_typed_ahead_is_left_to_the_shell(chat: Callable[..., Pty], server: Scripted) -> None:
    server.will([Pause(0.5), *answer("Blue.")])
    with chat("hi", COLORFGBG="") as terminal:
        terminal.type("ls")
        assert terminal.wait() == 0
        assert b"\x1b]11" not in terminal.raw
        assert left_in_the_input(terminal) == b"ls"


def test_an_unknown_code_theme_is_reported_and_the_default_used(
    chat: Callable[..., Pty], server: Scripted
) -> None:
    server.will(answer("```python\nimport os\n```"))
    with chat("hi", "-q", TELEX_CODE_THEME="nosuch") as terminal:
        assert terminal.wait() == 0
    assert terminal.text.count("nosuch") == 1
    assert b"\x1b[38;5;75mimport" in terminal.raw
