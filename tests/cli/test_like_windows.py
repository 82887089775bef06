"""telex with the facts of Windows (``like_windows.py``): what it needs of POSIX is missing, and nothing fails."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from running import Telex, within
from scripted import DONE, Answer, Pause, answer, delta, sse
from terminal import Pty
from toolboxes import call, calling
from toolchat import lab, running

if TYPE_CHECKING:
    from scripted import Scripted

LAUNCHER = Path(__file__).parents[1] / "like_windows.py"


@pytest.fixture
def windows(tmp_path: Path, server: Scripted) -> Telex:
    command = tmp_path / "telex"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P "{LAUNCHER}" "$@"\n')
    command.chmod(0o700)
    telex = Telex(tmp_path / "home", command)
    telex.provider("lab", server.url)
    return telex


def test_a_chat_is_answered_saved_and_continued(windows: Telex, server: Scripted, tmp_path: Path) -> None:
    server.will(lambda _: Answer(answer("Hello")))
    ran = windows("chat", "-m", "lab", "Hello?", stdin=b"From a pipe")
    assert (ran.code, ran.text, ran.err) == (0, "Hello\n", "")
    assert windows("chat", "-c", "-o", str(tmp_path / "out.md"), "And?").code == 0
    assert (tmp_path / "out.md").read_text() == "Hello\n"
    assert [each["turns"] for each in json.loads(windows("history", "list", "--json").text)] == [2]


def test_settings_are_changed_under_a_lock(windows: Telex) -> None:
    ran = windows("providers", "edit", "lab", "--idle-timeout", "30")
    assert (ran.code, "idle_timeout = 30" in windows.settings.read_text()) == (0, True), ran.err
    doctor = windows("doctor", "--json", "versions", "folders", "settings", "history", "terminal")
    assert [each for each in json.loads(doctor.text)["findings"] if each["level"] == "problem"] == []


def test_a_key_command_and_an_editor_are_run(windows: Telex, server: Scripted, tmp_path: Path) -> None:
    program = tmp_path / "a b" / "prints"
    program.parent.mkdir()
    script = """#!/bin/sh
echo "sk-from-the-command-$1"; [ -z "$2" ] || echo 'prompt = "edited"' > "$2"
"""
    program.write_text(script)
    program.chmod(0o700)
    server.will(lambda _: Answer(answer("Hello")))
    windows.configure("")
    windows.provider("lab", server.url, key=None, key_command=f'"{program}" 1234')
    assert windows("chat", "-m", "lab", "Hello?").code == 0
    assert server.asked[-1].headers["authorization"] == "Bearer sk-from-the-command-1234"
    ran = windows("templates", "edit", "new", env={"EDITOR": f'"{program}" -w'})
    assert (ran.code, "edited" in windows("templates", "show", "new").text) == (0, True), ran.err


def test_ctrl_c_saves_what_was_shown(windows: Telex, server: Scripted) -> None:
    server.will([*sse(delta("Hel")), Pause(60), DONE])
    with windows.start("chat", "-m", "lab", "Hello?") as process:
        assert process.stdout is not None
        shown = os.read(process.stdout.fileno(), 3)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert shown == b"Hel"
    (turn,) = json.loads(windows("history", "show", "--json").text)["transcript"]
    assert (turn["verdict"], turn["text"]) == ("interrupted", "Hel")


def test_a_tool_is_called_and_its_server_ends(windows: Telex, server: Scripted) -> None:
    lab(windows, "tools")
    server.will(calling(call("tools__echo", {"n": 1})), [*sse(delta("Done")), DONE])
    ran = windows("chat", "-m", "lab", "--tools", "tools", "--allow", "tools/echo", "What is one?")
    assert (ran.code, ran.text) == (0, "Done\n"), ran.err
    assert within(60, lambda: running(windows.home) == [])


def test_a_model_that_cannot_be_fetched_is_an_error(windows: Telex) -> None:
    ran = windows("chat", "-m", "local", "Hello?")
    assert (ran.code, "could not be downloaded" in ran.err) == (7, True), ran.err


def test_markdown_is_rendered_on_a_terminal(windows: Telex, server: Scripted) -> None:
    server.will(Answer(answer("# Title\n\n```python\nx = 1\n```\n")))
    with Pty([str(windows.command), "chat", "-m", "lab", "Hello?"], env=windows.env) as terminal:
        terminal.wait_for("x = 1")
        assert terminal.wait() == 0
