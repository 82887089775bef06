"""``telex mcp`` in terminals, pipes and under signals: what is seen, what is asked, and that no server stays behind."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest
from running import COMMAND, Telex, alive, idle, secrets_in, within
from terminal import Pty

SERVER = Path(__file__).parents[1] / "mcp_server.py"
LAB = [sys.executable, "-I", "-S", str(SERVER)]
SECRET = "hunter22-hunter22"


class Hanging:
    """A server that never answers, starts a process of its own, and may have no ears for being told to end."""

    def __init__(self, telex: Telex, *, deaf: bool = False) -> None:
        self._told = telex.home / "pids"
        trap = "trap '' TERM; " if deaf else ""
        script = f"{trap}sleep 600 & echo $$ $! > {self._told}; while :; do sleep 600; done"
        assert telex("mcp", "add", "lab", "--", "sh", "-c", script).code == 0

    @property
    def started(self) -> bool:
        return self._told.exists() and len(self._told.read_text().split()) == 2

    @property
    def pids(self) -> list[int]:
        return [int(word) for word in self._told.read_text().split()]

    @property
    def gone(self) -> bool:
        return not any(map(alive, self.pids))


@pytest.mark.parametrize("deaf", [False, True], ids=["polite", "deaf"])
def test_ctrl_c_ends_a_start_and_everything_started(telex: Telex, deaf: bool) -> None:
    server = Hanging(telex, deaf=deaf)
    with Pty([str(COMMAND), "mcp", "test"], env=telex.env) as terminal:
        terminal.wait_for("^lab +[…✓]")
        assert within(60, lambda: server.started)
        began = time.monotonic()
        terminal.type("\x03")
        assert terminal.wait() == 130
        assert time.monotonic() - began < 30
        assert "Interrupted." in terminal.text
        assert "Traceback" not in terminal.text
        assert not terminal.screen.cursor.hidden
    assert server.gone


def test_a_second_ctrl_c_leaves_no_server_behind_either(telex: Telex) -> None:
    server = Hanging(telex, deaf=True)
    with Pty([str(COMMAND), "mcp", "test"], env=telex.env) as terminal:
        terminal.wait_for("^lab +[…✓]")
        assert within(60, lambda: server.started)
        terminal.type("\x03")
        time.sleep(0.3)
        terminal.type("\x03")
        assert terminal.wait() == 130
        assert "Traceback" not in terminal.text
    assert within(60, lambda: server.gone)


def test_a_killed_telex_leaves_no_server_behind(telex: Telex) -> None:
    server = Hanging(telex, deaf=True)
    process = telex.start("mcp", "test")
    assert within(60, lambda: server.started and idle(process.pid))
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert within(60, lambda: server.gone)


def test_the_test_is_a_table_on_a_terminal(telex: Telex) -> None:
    telex("mcp", "add", "good", "--", *LAB)
    telex("mcp", "add", "bad", "--", *LAB, "dies")
    with Pty([str(COMMAND), "mcp", "test"], env=telex.env) as terminal:
        assert terminal.wait() == 6
        rows = [row.split() for row in terminal.rows if row.strip()]
    assert rows[0] == ["SERVER", "START", "HANDSHAKE", "TOOLS", "COUNT", "CALLS", "ITSELF"]
    assert rows[1][0] == "good"
    assert rows[1].count("✓") == 3
    assert rows[1][-3:] == ["20", "tests", "1"]
    assert (rows[2][0], rows[2].count("✓"), rows[2][-1]) == ("bad", 1, "✗")


@pytest.mark.parametrize("columns", [80, 20])
def test_tools_fit_the_terminal(telex: Telex, columns: int) -> None:
    telex("mcp", "add", "lab", "--allow", "echo", "--", *LAB)
    with Pty([str(COMMAND), "mcp", "tools", "lab"], env=telex.env, columns=columns, lines=60) as terminal:
        assert terminal.wait() == 0
        rows = [row for row in terminal.rows if row.strip()]
    assert len(rows) == 21 or columns == 20, "no row is wrapped"
    (echo,) = (row.split() for row in rows if row.startswith("echo"))
    assert echo[:3] == ["echo", "reads", "no"]
    assert any("What it was given" in row for row in rows) is (columns == 80)


def test_text_of_a_server_cannot_control_the_terminal(telex: Telex, tmp_path: Path) -> None:
    evil = tmp_path / "evil.py"
    evil.write_text(
        SERVER.read_text().replace(
            "What it was given.", "\\x1b[2J\\x1b]0;owned\\x07[bold]red[/bold]\\n\\u202eback"
        )
    )
    telex("mcp", "add", "lab", "--", sys.executable, "-I", "-S", str(evil))
    for arguments in (["tools", "lab"], ["test"]):
        with Pty([str(COMMAND), "mcp", *arguments], env=telex.env, columns=120, lines=40) as terminal:
            assert terminal.wait() == 0
            assert b"owned\x07" not in terminal.raw
            assert b"\x1b[2J" not in terminal.raw
            assert "\u202e".encode() not in terminal.raw
            if arguments[0] == "tools":
                assert "[bold]red[/bold]" in terminal.text


@pytest.fixture
def keyring(telex: Telex, tmp_path: Path) -> Path:
    path = tmp_path / "keyring.json"
    telex.env |= {"PYTHON_KEYRING_BACKEND": "keyring_in_a_file.Keyring", "TEST_KEYRING": str(path)}
    return path


def test_the_prompt_for_a_secret_does_not_show_it(telex: Telex, keyring: Path) -> None:
    with Pty([str(COMMAND), "mcp", "set-secret", "github"], env=telex.env) as terminal:
        terminal.wait_for("Secret for github:")
        terminal.type(f"{SECRET}\n")
        assert terminal.wait() == 0
        assert SECRET not in terminal.text
        assert "github is in the keyring." in terminal.text
    assert secrets_in(keyring) == {"secret:github": SECRET}


@pytest.mark.parametrize(("answer", "taken"), [("y", True), ("n", False)])
def test_import_offers_to_store_plain_secrets_in_the_keyring(
    telex: Telex, keyring: Path, tmp_path: Path, answer: str, taken: bool
) -> None:
    path = tmp_path / "mcp.json"
    path.write_text(json.dumps({"mcpServers": {"lab": {"command": "x", "env": {"API_KEY": SECRET}}}}))
    with Pty([str(COMMAND), "mcp", "import", str(path)], env=telex.env) as terminal:
        terminal.wait_for(r"Store them in the keyring\? \[Y/n\]")
        assert "lab: API_KEY" in terminal.text
        terminal.type(f"{answer}\n")
        assert terminal.wait() == (0 if taken else 3)
        assert SECRET not in terminal.text
    assert secrets_in(keyring) == ({"secret:lab.API_KEY": SECRET} if taken else {})
    assert telex.settings.exists() is taken
