"""``telex doctor`` as a process: on a terminal of any width, in pipes, with closed streams, and without any socket."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from running import COMMAND, Telex
from terminal import Pty

from telex.commands.doctor import CHECKS

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = """
model = "lab/m"
usage = "loud"
[providers.lab]
base_url = "https://llm.example.com/v1"
key_env = "LAB_API_KEY"
models = ["m"]
"""

WATCH = """
import os, sys
def watch(event, arguments):
    if event.startswith("socket.") and event != "socket.__new__":
        os.write(2, f"watched: {event} {arguments}\\n".encode())
sys.addaudithook(watch)
"""

SLOW = """
import time
from keyring.backend import KeyringBackend

class Keyring(KeyringBackend):
    priority = 1
    def get_password(self, service, name):
        time.sleep(60)
    def set_password(self, service, name, key): ...
    def delete_password(self, service, name): ...
"""


@pytest.fixture
def ill(telex: Telex) -> Telex:
    """One mistake in the settings, and a provider behind a proxy."""
    telex.configure(SETTINGS)
    telex.env |= {"LAB_API_KEY": "sk-lab-0123456789", "HTTPS_PROXY": "http://10.0.0.1:3128"}
    return telex


@pytest.fixture
def slow(telex: Telex, tmp_path: Path) -> Telex:
    """A stored key in a keyring that does not answer."""
    (tmp_path / "slow_keyring.py").write_text(SLOW)
    telex.configure('[providers.kept]\nbase_url = "https://a.example/v1"\nkey = "keyring"\n')
    telex.env |= {"PYTHONPATH": str(tmp_path), "PYTHON_KEYRING_BACKEND": "slow_keyring.Keyring"}
    return telex


def screen(telex: Telex, *arguments: str, columns: int = 80, **env: str) -> tuple[Pty, str]:
    with Pty([str(COMMAND), "doctor", *arguments], env=telex.env | env, columns=columns, lines=120) as pty:
        assert pty.wait() == 3
        return pty, pty.text


def test_the_report_has_a_heading_for_each_check_and_remedies_below_the_findings(ill: Telex) -> None:
    pty, text = screen(ill)
    headings = [name.capitalize() for name in CHECKS]
    assert [line for line in text.splitlines() if line in headings] == headings
    assert "  problem  usage: must be 'auto', 'none', 'short' or 'full'" in text
    assert re.search(r"'full'\n           Edit .*settings\.toml, line 3", text, re.DOTALL)
    assert "  ok       lab: through http://10.0.0.1:3128 (HTTPS_PROXY)\n" in text
    assert "telex: 1 problem and " in text
    assert b"\x1b[38;5;210mproblem\x1b[m" in pty.raw
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        pty, text = screen(ill, "settings", **env)
        assert "  problem  usage: " in text
        assert b"\x1b[3" not in pty.raw


@pytest.mark.parametrize("columns", [20, 40])
def test_a_narrow_terminal_breaks_between_words(ill: Telex, columns: int) -> None:
    _, text = screen(ill, "settings", "proxies", columns=columns)
    assert "  problem  usage:" in text
    assert re.search(r"^    \S", text, re.MULTILINE)
    words = set(text.partition("telex: 1 problem")[0].split())
    assert {"must", "be", "'none',", "through"} <= words


def test_it_opens_no_socket(ill: Telex, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WATCH)
    ill.env["PYTHONPATH"] = str(tmp_path)
    ran = ill("doctor")
    assert ran.code == 3
    assert "watched" not in ran.err
    assert "watched: socket.connect" in ill("providers", "discover", "--port", "9").err


def test_a_keyring_that_never_answers_takes_a_few_seconds(slow: Telex) -> None:
    begun = time.monotonic()
    ran = slow("doctor", "keyring")
    assert time.monotonic() - begun < 30
    assert ran.code == 3
    assert "the keyring did not answer within 3 s" in ran.text


def test_ctrl_c_while_the_keyring_does_not_answer_ends_at_once(slow: Telex) -> None:
    process = slow.start("doctor", "folders", "keyring")
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"ok\tfolders")  # each finding is printed at once
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    process.communicate(timeout=60)
    assert time.monotonic() - begun < 30
    assert process.returncode == 130


@pytest.mark.parametrize("redirections", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-", "| head -1"])
def test_closed_streams_are_findings(ill: Telex, redirections: str) -> None:
    ran = subprocess.run(
        ["bash", "-c", f'"$0" doctor {redirections}; exit ${{PIPESTATUS[0]}}', str(COMMAND)],
        env=ill.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == (141 if "head" in redirections else 3)
    assert "Traceback" not in ran.stderr
    if "head" in redirections:
        assert (ran.stdout[:18], ran.stderr) == ("ok\tversions\ttelex\t", "")
    elif ">&-" not in redirections.replace("2>&-", ""):
        assert ("ok\tterminal\tstdin\tclosed" in ran.stdout) is ("<&-" in redirections)
        assert ("ok\tterminal\tstderr\tclosed" in ran.stdout) is ("2>&-" in redirections)
