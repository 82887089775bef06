"""A chat in a real pseudo-terminal: what shows, in what order, and what is left when it ends in any way."""

from __future__ import annotations

import os
import re
import select
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

try:
    import termios
    import tty
except ImportError:
    pytest.skip("Windows has no pseudo-terminals", allow_module_level=True)

from running import COMMAND, QUOTED, Telex, took, within
from scripted import DONE, Answer, Pause, Scripted, answer, delta, sse
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


def test_spinner_says_what_it_waits_for(chat: Callable[..., Pty], server: Scripted) -> None:
    goes_on = threading.Event()
    server.will([Pause(goes_on), *answer("Blue.")])
    with chat("hi", "-q") as terminal:
        terminal.wait_for(SPINNER + r" waiting for lab, \d+ s")
        goes_on.set()
        assert terminal.wait() == 0
    assert terminal.rows == ["Blue."]


def test_a_wait_for_a_retry_counts_down(chat: Callable[..., Pty], server: Scripted) -> None:
    server.will(Answer([b"{}"], status=503, headers={"retry-after": "2"}), Answer(answer("Blue.")))
    with chat("hi", "-q") as terminal:
        assert terminal.wait() == 0
        assert re.search(SPINNER + " retry in [12] s", terminal.raw.decode())
    assert terminal.rows[-1] == "Blue."
    assert "attempt 2" in terminal.text
    assert re.search(SPINNER, terminal.text) is None


def test_ctrl_c_restores_the_terminal(chat: Callable[..., Pty], server: Scripted) -> None:
    server.will(
        [*sse(*[delta(line + "\n\n") for line in LINES[:30]], delta("and **half a")), Pause(60), DONE]
    )
    with chat("hi") as terminal:
        terminal.wait_for("and half a|half a")
        started = time.monotonic()
        terminal.type("\x03")
        assert terminal.wait() == 130
        assert time.monotonic() - started < 30  # the pause would last far longer
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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_chat_and_restores_the_terminal(
    chat: Callable[..., Pty], server: Scripted, number: signal.Signals
) -> None:
    server.will([*sse(delta("Some **bold"), delta(" text")), Pause(60), DONE])
    with chat("hi") as terminal:
        terminal.wait_for("bold")
        terminal.process.send_signal(number)
        assert terminal.wait() == -number
        assert terminal.modes == terminal.modes_before
    assert not terminal.screen.cursor.attrs.bold


def test_suspended_and_resumed_it_loses_nothing(telex: Telex, server: Scripted) -> None:
    telex.provider("lab", server.url)
    goes_on = threading.Event()
    begun = sse(*[delta(line + "\n\n") for line in LINES[:5]], delta("An open "))
    pieces: list[Any] = [*begun, Pause(goes_on)]
    server.will([*pieces, *answer("line.\n\n", LINES[7], "\n\n", LINES[8])])
    with Pty(["bash", "--norc", "-i"], env={**telex.env, "PS1": "$ "}) as terminal:
        terminal.wait_for(r"\$")
        terminal.type(f"{QUOTED} chat -q hi\n")
        terminal.wait_for("An open")
        terminal.type("\x1a")
        terminal.wait_for("Stopped")
        terminal.type("echo in between\n")
        terminal.wait_for("^in between")
        goes_on.set()
        terminal.type("fg\n")
        terminal.wait_for(re.escape(LINES[8]) + r"\s*\n\$")
    rows = terminal.rows
    for expected in (*LINES[:5], "in between", "An open line.", LINES[7], LINES[8]):
        assert expected in rows, terminal.text


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
def test_colours_fit_reported_background(
    chat: Callable[..., Pty], server: Scripted, reply: bytes, grey: int
) -> None:
    goes_on = threading.Event()
    server.will([Pause(goes_on), *sse(delta(reasoning_content="Hm.")), *answer("Blue.")])
    with chat("hi", "--reasoning", "show", COLORFGBG="") as terminal:
        while b"\x1b]11;?" not in terminal.raw:
            assert terminal.process.poll() is None
            terminal.read(0.05)
        os.write(terminal.leader, reply)
        assert within(60, lambda: took(terminal.process, server))
        goes_on.set()
        assert terminal.wait() == 0
        assert terminal.modes == terminal.modes_before
        assert left_in_the_input(terminal) == b""
    assert f"\x1b[38;5;{grey}mHm.".encode() in terminal.raw
    assert terminal.rows[:4] == ["Thinking:", "Hm.", "", "Blue."]


@pytest.mark.parametrize(
    "env", [{"NO_COLOR": "1"}, {"SSH_TTY": "x"}, {"COLORFGBG": "15;0"}, {"TERM": "xterm"}]
)
def test_background_is_not_always_asked_for(
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
