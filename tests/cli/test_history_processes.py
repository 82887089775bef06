"""The history in real processes: killed, interrupted, at the same time, on a full disk, in pipes, on terminals."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

try:
    import resource
except ImportError:
    pytest.skip("Windows has no limits on resources", allow_module_level=True)

from inprocess import Inside
from running import COMMAND, Telex, idle, within
from scripted import Scripted, answer, delta, sse
from terminal import Pty

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def inside(tmp_path: Path) -> Inside:
    return Inside(tmp_path / "inside")


@pytest.fixture
def lab(telex: Telex, server: Scripted) -> Telex:
    server.will(answer("Yes."))
    telex.provider("lab", server.url)
    return telex


@pytest.fixture
def path(telex: Telex) -> Path:
    return telex.home / "data" / "history.db"


def turns(telex: Telex) -> list[dict[str, Any]]:
    """Every saved turn, oldest first."""
    ran = telex("history", "export", "--all", "--format", "jsonl")
    assert ran.code == 0, ran.err
    return [json.loads(line) for line in ran.text.splitlines()]


def files(path: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in path.parent.iterdir()}


def begin(*texts: str) -> list[bytes]:
    return sse(*map(delta, texts))


# --- what a process leaves -------------------------------------------------------------------------------------


def test_saved_text_is_the_printed_text(inside: Inside, server: Scripted) -> None:
    inside.configure(f'[providers.lab]\nbase_url = "{server.url}"\nkey = "none"\nmodels = ["m"]\n')
    for text in (
        "a\r\nb\n\n",
        "\x1b[31mred\x07",
        "Grüße 世界 🎉",
        "half \ud83d a pair",
        "```\ncode\n```\n",
        "\n\n",
    ):
        server.will(answer(text))
        printed = inside("chat", "Say it.").out
        assert inside("history", "show", "--answer").out == printed


# --- what costs a warning ----------------------------------------------------------------------------------------


def test_full_disk_is_a_warning_after_the_answer(lab: Telex, server: Scripted) -> None:
    assert lab("chat", "Before?").code == 0
    text = "x" * 300_000
    server.will(answer(text))

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))

    process = lab.start("chat", "Large?", preexec_fn=small_files)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, f"{text}\n".encode())
    assert b"Warning: this chat is not saved" in err
    assert [turn["text"] for turn in turns(lab)] == ["Yes.", ""]


# --- pipes and terminals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["show", "export --all"])
def test_closed_pipe_is_not_an_error(lab: Telex, server: Scripted, command: str) -> None:
    server.will(answer("long answer " * 20_000))
    lab("chat", "Question?")
    read, write = os.pipe()
    process = lab.start("history", *command.split(), stdout=write)
    os.close(write)
    os.read(read, 1)
    os.close(read)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (0, 141)
    assert b"Traceback" not in err
    assert b"telex:" not in err


def on_terminal(telex: Telex, *arguments: str, columns: int = 80) -> Pty:
    return Pty([str(COMMAND), "history", *arguments], env=telex.env, columns=columns)


def test_removal_is_confirmed_on_a_terminal(lab: Telex, path: Path) -> None:
    lab("chat", "Canary one?")
    lab("chat", "Kept two?")
    with on_terminal(lab, "remove", "canary") as pty:
        pty.wait_for(r"Remove the conversation\? \[y/N\]")
        assert "Canary one?" in pty.text
        pty.type("n\n")
        assert pty.wait() == 1
    assert len(turns(lab)) == 2
    with on_terminal(lab, "remove", "--all") as pty:
        pty.wait_for(r"Remove 2 conversations\?")
        assert within(60, lambda: idle(pty.process.pid))  # while readline starts, Python does not see signals
        pty.type("\x03")
        assert pty.wait() == 130
    assert len(turns(lab)) == 2
    with on_terminal(lab, "remove", "canary") as pty:
        pty.wait_for(r"\[y/N\]")
        pty.type("y\n")
        assert pty.wait() == 0
    assert b"Canary" not in b"".join(files(path).values())


def test_terminal_lists_twenty_and_says_how_to_see_more(lab: Telex, path: Path) -> None:
    for _ in range(3):
        lab("chat", "same")
    with contextlib.closing(sqlite3.connect(path)) as base:
        base.execute(
            "INSERT INTO conversations SELECT printf('%08d', value), 'more', 0 FROM "
            "(WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n LIMIT 30) SELECT * FROM n)"
        )
        base.execute(
            "INSERT INTO turns (conversation, at, provider, model) SELECT id, 0, 'lab', 'm' FROM conversations"
        )
        base.commit()
    with on_terminal(lab, "list") as pty:
        assert pty.wait() == 0
        assert len(pty.rows) == 1 + 20 + 1
        assert "telex history list -n 200" in pty.rows[-1]
    with on_terminal(lab, "list", "-n", "2") as pty:
        assert pty.wait() == 0
        assert len(pty.rows) == 3


def test_conversation_on_a_terminal_is_rendered_and_harmless(lab: Telex, server: Scripted) -> None:
    server.will(answer("Some **bold** text\x1b]0;title\x07\n\n- one\n- two\n"))
    lab("chat", "Wh\x1b[2Jy?")
    with on_terminal(lab, "show") as pty:
        assert pty.wait() == 0
        rows = pty.rows
        assert "\x1b[1mbold" in pty.raw.decode() or "\x1b[0;1mbold" in pty.raw.decode()
    assert rows[0] == "Wh [2Jy?"
    assert rows[2].startswith("User ")
    assert rows[3] == "Wh␛[2Jy?"
    assert rows[5].startswith("lab/m ")
    assert rows[6:] == ["Some bold text␛]0;title␇", "", "• one", "• two"]
    with on_terminal(lab, "show", "--answer") as pty:
        assert pty.wait() == 0
        assert pty.rows == ["Some bold text␛]0;title␇", "", "• one", "• two"]


def test_hit_on_a_terminal_has_its_words_in_bold(lab: Telex, server: Scripted) -> None:
    server.will(answer("The \x1b[31msky is blue."))
    lab("chat", "Why?")
    with on_terminal(lab, "search", "sky") as pty:
        assert pty.wait() == 0
        assert b"The \xe2\x90\x9b[31m\x1b[1msky\x1b[m is blue." in pty.raw
        assert pty.rows[0].endswith("assistant  Why?")
    del lab.env["LANG"]
    with Pty([str(COMMAND), "history", "search", "sky"], env={**lab.env, "NO_COLOR": "1"}) as pty:
        assert pty.wait() == 0
        assert b"\x1b" not in pty.raw
