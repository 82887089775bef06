"""The keyboard of a conversation in a real pseudo-terminal: lines, pastes, Tabs, signals, and the window's size."""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from conversing import Talk
from running import COMMAND, QUOTED, Telex
from scripted import DONE, Pause, Scripted, answer, delta, sse
from terminal import Pty

PASTE = "\x1b[200~{}\x1b[201~"
ALT_ENTER = "\x1b\r"


Begin: TypeAlias = Callable[..., Talk]


@pytest.fixture
def talk(telex: Telex, server: Scripted) -> Begin:
    telex.provider("lab", server.url, models=["m", "m2"])
    server.will(answer("Blue."))

    def begin(*arguments: str, **options: Any) -> Talk:
        return Talk(telex, "-m", "lab/m", *arguments, **options)

    return begin


def asked(server: Scripted) -> list[str]:
    """What the user said in the last request."""
    messages = server.asked[-1].body["messages"]
    return [message["content"] for message in messages if message["role"] == "user"]


def test_the_prompt_is_there_before_the_line_editor_is_imported(telex: Telex, server: Scripted) -> None:
    """And what is typed until then is read, on one row."""
    telex.provider("lab", server.url)
    server.will(answer("Blue."))
    assert telex("models", "list").code == 0  # a first command checks the settings, with pydantic
    program = """
import sys, time
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "prompt_toolkit":
            sys.meta_path.remove(self)
            assert not {"rich.console", "httpx", "markdown_it", "asyncio"} & set(sys.modules)
            print("...", end="", flush=True)
            sys.stdin.readline()
sys.meta_path.insert(0, Slow())
from telex.main import main
sys.exit(main(["chat", "-m", "lab/m"]))
"""
    with Pty([sys.executable, "-c", program], env=telex.env) as terminal:
        terminal.wait_for(r"^> \.\.\.$")
        terminal.type("\nWhy?\r")
        terminal.wait_for(r"leaves\n\n> Why\?\nBlue\.\n.+\n\n>$")
        terminal.type("\x04")
        assert terminal.wait() == 0


def test_a_paste_of_three_lines_waits_for_enter(talk: Begin, server: Scripted) -> None:
    with talk() as terminal:
        terminal.type(PASTE.format("one\r\ntwo\rthree"))
        terminal.until(lambda: terminal.rows[-3:] == ["> one", "  two", "  three"])
        time.sleep(0.3)
        assert server.asked == []
        terminal.type("\r")
        terminal.prompt()
        assert terminal.rows[2:6] == ["> one", "  two", "  three", "Blue."]
    assert asked(server) == ["one\ntwo\nthree"]


@pytest.mark.parametrize("keys", [ALT_ENTER, "\n", "\\\r"], ids=["Alt-Enter", "Ctrl-J", "backslash"])
def test_a_prompt_may_have_several_lines(talk: Begin, server: Scripted, keys: str) -> None:
    with talk() as terminal:
        terminal.typed("one")
        terminal.type(keys)
        terminal.typed("two")
        terminal.until(lambda: terminal.rows[-2:] == ["> one", "  two"])
        terminal.type("\r")
        terminal.prompt()
    assert asked(server) == ["one\ntwo"]


def test_ctrl_c_clears_the_line(talk: Begin, server: Scripted) -> None:
    with talk() as terminal:
        terminal.typed("not this")
        terminal.type("\x03")
        terminal.prompt()
        terminal.type("\x03\x03")
        terminal.wait_for(r"^To leave: Ctrl-D, or /exit\.$")
        terminal.prompt()
        assert terminal.rows[2:] == ["To leave: Ctrl-D, or /exit.", ">"]
        terminal.type("\x19")  # Ctrl-Y
        terminal.until(lambda: terminal.rows[-1] == "> not this")
        terminal.type("\x03")
        terminal.prompt()
        assert terminal.leave() == 0
    assert server.asked == []


@pytest.mark.parametrize("keys", ["\x04", "/exit\r"], ids=["Ctrl-D", "/exit"])
def test_leaving_restores_the_terminal(talk: Begin, keys: str) -> None:
    with talk() as terminal:
        terminal.type(keys)
        assert terminal.wait() == 0
        assert terminal.modes == terminal.modes_before
    assert terminal.raw.rindex(b"\x1b[?2004l") > terminal.raw.rindex(b"\x1b[?2004h")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_restores_the_terminal(talk: Begin, number: signal.Signals) -> None:
    with talk() as terminal:
        terminal.typed("half a line")
        terminal.process.send_signal(number)
        assert terminal.wait() == -number
        assert terminal.modes == terminal.modes_before


def test_a_terminal_that_is_closed_ends_it(talk: Begin) -> None:
    terminal = talk()
    os.close(terminal._follower)
    os.close(terminal.leader)
    terminal.process.wait(60)


def test_line_survives_suspend_and_resume(telex: Telex, talk: Begin, server: Scripted) -> None:
    with Pty(["bash", "--norc", "-i"], env={**telex.env, "PS1": "$ "}) as terminal:
        terminal.wait_for(r"^\$")
        terminal.type(f"{QUOTED} chat -m lab/m\r")
        terminal.wait_for(r"^>$")
        terminal.type("half a")
        terminal.wait_for("^> half a$")
        terminal.type("\x1a")
        terminal.wait_for("Stopped")
        terminal.type("echo in $((1+1)) between\r")
        terminal.wait_for("^in 2 between")
        terminal.type("fg\r")
        terminal.wait_for(r"^> half a$")
        terminal.type(" line\r")
        terminal.wait_for(r"^Blue\.")
        terminal.wait_for(r"^>$")
    assert asked(server) == ["half a line"]


def test_answer_continues_after_suspend(telex: Telex, talk: Begin, server: Scripted) -> None:
    go = threading.Event()
    server.will([*sse(delta("One.\n\n")), Pause(go), *answer("Two.")], answer("Three."))
    with Pty(["bash", "--norc", "-i"], env={**telex.env, "PS1": "$ "}) as terminal:
        terminal.wait_for(r"^\$")
        terminal.type(f"{QUOTED} chat -m lab/m\r")
        terminal.wait_for(r"^>$")
        terminal.type("first\r")
        terminal.wait_for("^One")
        terminal.type("\x1a")
        terminal.wait_for("Stopped")
        terminal.type("fg\r")
        terminal.wait_for(r"chat -m lab/m\n(?s:.*)chat -m lab/m$")
        time.sleep(0.3)
        terminal.type("second\r")
        time.sleep(0.3)
        assert "second" not in terminal.text
        go.set()
        terminal.wait_for("^Three")
        terminal.wait_for(r"^>$")
        rows = [row for row in terminal.rows if row]
    assert rows[rows.index("Two.") + 2] == "> second"


def test_input_that_is_not_utf_8_is_refused(talk: Begin, server: Scripted) -> None:
    with talk() as terminal:
        os.write(terminal.leader, b"caf\xe9\r")
        terminal.wait_for("^telex: the prompt is not UTF-8 text")
        terminal.prompt()
        terminal.say("by day?")
    assert asked(server) == ["by day?"]


def test_input_during_an_answer_is_read_after_it(talk: Begin, server: Scripted) -> None:
    go = threading.Event()
    server.will([*sse(delta("One ")), Pause(go), *answer("two.")], answer("Three."))
    with talk() as terminal:
        terminal.send("first")
        terminal.wait_for("One")
        terminal.type("\x1b[5~\x1b[A\x10")  # Page Up, Up and Ctrl-P would bring an old prompt back
        terminal.type("sec\x1b[Dond\r")
        terminal.type(PASTE.format("a\nb\nc"))
        go.set()
        terminal.wait_for(r"^Three\.")
        terminal.until(lambda: terminal.rows[-3:] == ["> a", "  b", "  c"])
        assert "One two." in terminal.rows
        assert len(server.asked) == 2
    assert asked(server) == ["first", "second"]


def test_input_while_the_terminal_reports_its_colour_is_read(telex: Telex, server: Scripted) -> None:
    telex.provider("lab", server.url, models=["m"])
    server.will(answer("Blue."))
    command = [str(COMMAND), "chat", "-m", "lab/m"]
    with Pty(command, env={**telex.env, "COLORFGBG": ""}) as terminal:
        while b"\x1b]11;?" not in terminal.raw:
            assert terminal.read(20)
        terminal.type("What colour\x1b]11;rgb:1111/1111/1111\x1b\\ is é?\r\x1b[?62;22cSecond")
        terminal.wait_for(r"Blue\.(\n.*)+\n> Second$")
        assert asked(server) == ["What colour is é?"]


# --- Tab -------------------------------------------------------------------------------------------------------


def test_tab_completes(telex: Telex, talk: Begin, server: Scripted) -> None:
    telex.provider("far", server.url, models=[f"m{number}" for number in range(20)])
    with talk() as terminal:
        terminal.typed("/model la")
        terminal.type("\t")
        terminal.until(lambda: terminal.rows[-1] == "> /model lab/")
        terminal.type("m2\t\r")
        terminal.wait_for("^Model: lab/m2")
        terminal.prompt()
        terminal.typed("/model far/")
        terminal.type("\t")
        terminal.wait_for(r"far/m0 +1 of 20")


# --- the editor --------------------------------------------------------------------------------------------------


@pytest.fixture
def editor(tmp_path: Path) -> str:
    """An editor that makes the text upper case, and notes that it had a terminal."""
    script = tmp_path / "shout"
    script.write_text(
        f"#!{sys.executable}\nimport sys, pathlib\n"
        "assert sys.stdin.isatty() and sys.stdout.isatty()\n"
        "path = pathlib.Path(sys.argv[1])\npath.write_text(path.read_text().upper())\n"
    )
    script.chmod(0o700)
    return str(script)


def test_ctrl_g_opens_the_editor(talk: Begin, server: Scripted, editor: str) -> None:
    with talk(EDITOR=editor) as terminal:
        terminal.typed("by day")
        terminal.type("\x07")
        terminal.until(lambda: terminal.rows[-1] == "> BY DAY")
        terminal.type("?\r")
        terminal.prompt()
    assert asked(server) == ["BY DAY?"]


def test_edit_sends_the_edited_prompt(talk: Begin, server: Scripted, editor: str) -> None:
    server.will(answer("Blue."), answer("BLUE!"))
    with talk(EDITOR="false", VISUAL=editor) as terminal:
        terminal.say("by day?")
        terminal.send("/edit")
        terminal.wait_for("^BLUE!")
        assert "> BY DAY?" in terminal.rows
        terminal.prompt()
        assert terminal.say("/edit") == ["The prompt is unchanged, and was not sent."]
    assert asked(server) == ["BY DAY?"]


def test_an_editor_that_fails_changes_nothing(talk: Begin, server: Scripted) -> None:
    with talk(EDITOR="false") as terminal:
        terminal.say("by day?")
        rows = terminal.say("/edit")
        assert rows == ["telex: the editor false exited with code 1: the edited text is not used"]
        terminal.typed("half")
        terminal.type("\x07")
        terminal.wait_for(r"the edited text is not used\n(?s:.*)the edited text is not used\n> half$")
    assert len(server.asked) == 1


# --- what was typed before -------------------------------------------------------------------------------------


def test_prompts_are_recalled_later(telex: Telex, talk: Begin) -> None:
    before = os.umask(0)
    try:
        with talk() as first:
            first.say("by day?")
            first.typed(" a secret")
            first.type("\r")
            first.wait_for(r"> +a secret\n(?s:.*)^>$")
            first.leave()
    finally:
        os.umask(before)
    kept = telex.home / "data" / "input-history"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "secret" not in kept.read_text()
    kept.chmod(0o644)
    with talk() as second:
        second.type("\x1b[A")
        second.until(lambda: second.rows[-1] == "> by day?")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


# --- the window --------------------------------------------------------------------------------------------------


def test_twenty_columns_are_enough(talk: Begin, server: Scripted) -> None:
    with talk(columns=20, lines=12) as terminal:
        assert terminal.rows[0] == "lab/m · /help"
        terminal.type("a line that is longer than that")
        terminal.until(lambda: terminal.rows[-2:] == ["> a line that is lon", "  ger than that"])
        terminal.type("\r")
        terminal.prompt()
        assert [row for row in terminal.rows if row == ">"] == [">"]
        terminal.send("/help")
        terminal.prompt()
        assert max(map(len, terminal.rows)) <= 20
    assert asked(server) == ["a line that is longer than that"]


def test_a_resize_in_the_middle_of_a_line_keeps_the_line(talk: Begin, server: Scripted) -> None:
    with talk() as terminal:
        terminal.say("first?")
        terminal.typed("a line of more than forty characters, in all")
        terminal.resize(30, 24)
        terminal.until(lambda: terminal.rows[-1] == "  aracters, in all")
        terminal.resize(100, 24)
        terminal.until(lambda: terminal.rows[-1] == "> a line of more than forty characters, in all")
        assert "Blue." in terminal.rows
        terminal.type("!\r")
        terminal.prompt()
    assert asked(server)[-1] == "a line of more than forty characters, in all!"


def test_a_dumb_terminal_reads_plain_lines(talk: Begin, server: Scripted) -> None:
    server.will(answer("Blue."), answer("Two."), [*sse(delta("Half of")), Pause(60), DONE], answer("Yes."))
    with talk(TERM="dumb") as terminal:
        terminal.say("by day?")
        terminal.type("one\\\r")
        terminal.type("two\r")
        terminal.wait_for("^ *Two")
        terminal.prompt()
        assert asked(server)[-1] == "one\ntwo"
        terminal.type("half?\r")
        terminal.wait_for("^ *Half of")
        terminal.type("\x03")
        terminal.wait_for(r"^Interrupted\.$")
        terminal.prompt()
        terminal.say("/model m2")
        terminal.say("go on?")
        assert terminal.leave() == 0
    assert asked(server) == ["by day?", "one\ntwo", "half?", "go on?"]
    assert b"\x1b" not in terminal.raw


def test_one_prompt_does_not_import_the_conversation(talk: Begin, telex: Telex) -> None:
    command = [sys.executable, "-X", "importtime", str(COMMAND), "chat", "-m", "lab/m", "by day?"]
    with Pty(command, env=telex.env, columns=200) as terminal:
        assert terminal.wait() == 0
    assert b"telex.render.text" in terminal.raw
    assert b"prompt_toolkit" not in terminal.raw
    assert b"telex.repl" not in terminal.raw
