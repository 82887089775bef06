"""The key of ``telex shell --widget`` in real shells on a pseudo-terminal: it changes the line, and runs nothing."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from running import COMMAND, Telex
from scripted import Answer, Asked, Pause, Scripted, answer
from shells import FISH, Kind, Shell

if TYPE_CHECKING:
    from collections.abc import Iterator

_BASH = Kind(
    "bash", "bash", "PS1='$ '\nbind 'set bell-style none'\neval \"$($TELEX_COMMAND shell --widget bash)\"\n"
)
_ZSH = Kind("zsh", "zsh", "PROMPT='$ '\nbindkey -e\neval \"$($TELEX_COMMAND shell --widget zsh)\"\n")
_FISH = Kind(
    "fish", "fish", f"{FISH.rc}functions --erase telex\n$TELEX_COMMAND shell --widget fish | source\n"
)
KEY = "\x1bi"


class Lines(Shell):
    """A shell with the widget, whose model proposes what ``replies`` has for a request."""

    def __init__(self, kind: Kind, telex: Telex, work: Path) -> None:
        self.release = threading.Event()
        self.server = Scripted()
        self.server.will(self._reply)
        telex.provider("fake", self.server.url)
        self.work = work
        env = {**telex.env, "TELEX_COMMAND": str(COMMAND), "PATH": f"{COMMAND.parent}:{telex.env['PATH']}"}
        super().__init__(kind, home=telex.home, env=env, cwd=work)

    def __exit__(self, *exc: object) -> None:
        self.release.set()
        super().__exit__(*exc)
        self.server.__exit__()

    def _reply(self, asked: Asked) -> Answer:
        request = asked.body["messages"][-1]["content"]
        if request == "refuse":
            return Answer(
                [b'{"error": {"message": "no such thing"}}'], 400, {"content-type": "application/json"}
            )
        proposed = {
            "make it": "touch made",
            "two lines": "touch one\ntouch two",
            "hidden": "touch \u202emade",
            'it\'s "$(touch pwned)" `touch pwned`': "echo 'it is' \"$HOME\" \\ $(touch pwned) `touch pwned` *",
            "wait": "touch waited",
        }[request]
        body = answer(json.dumps({"command": proposed, "explanation": "It is done."}))
        return Answer([Pause(self.release), *body] if request == "wait" else body)

    def press(self, line: str, shown: str) -> str:
        """Type a line, press the widget's key, and wait until ``shown`` is on the screen."""
        self.fresh()
        self.type(line)
        self.wait_until(lambda text: line in text, "echo of the line")
        self.type(KEY)
        return self.wait_until(lambda text: shown in text, f"{shown!r} after {line!r}", seconds=30)

    @property
    def made(self) -> list[str]:
        return sorted(path.name for path in self.work.iterdir())


@pytest.fixture(params=[_BASH, _ZSH, _FISH], ids=lambda kind: kind.name)
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lines]:
    if request.param.missing:
        pytest.skip(request.param.missing)
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    with Lines(request.param, Telex(tmp_path / "home"), tmp_path / "work") as lines:
        yield lines


def test_key_turns_the_line_into_a_command_that_runs_only_with_enter(shell: Lines) -> None:
    shell.press("make it", "$ touch made")
    shell.settle(0.5)
    assert shell.made == []

    shell.type("\r")
    shell.wait_until(lambda _: shell.made == ["made"], "file")


def test_line_and_command_are_only_text_for_the_shell(shell: Lines) -> None:
    line = 'it\'s "$(touch pwned)" `touch pwned`'
    shell.press(line, "$ echo 'it is' \"$HOME\" \\ $(touch pwned) `touch pwned` *")
    shell.settle(0.3)
    assert shell.made == []
    assert shell.server.asked[-1].body["messages"][-1]["content"] == line
    assert not shell.server.asked[-1].body["messages"][0]["content"].count(str(shell.work))


@pytest.mark.parametrize(("line", "why"), [("refuse", "no such thing"), ("hidden", "hidden characters")])
def test_an_error_leaves_the_line_unchanged(shell: Lines, line: str, why: str) -> None:
    shell.press(line, why)
    text = shell.wait_until(lambda text: text.rstrip().endswith(f"$ {line}"), "the line again")
    assert "touch" not in text.rpartition("$ ")[2]
    shell.type("x")
    shell.wait_until(lambda text: text.rstrip().endswith(f"$ {line}x"), "the line, which can be edited")
    assert shell.made == []


def test_ctrl_c_leaves_the_line_unchanged(shell: Lines) -> None:
    shell.fresh()
    shell.type("wait")
    shell.wait_until(lambda text: "wait" in text, "echo of the line")
    shell.type(KEY)
    shell.wait_until(lambda _: bool(shell.server.asked), "request", seconds=30)
    shell.type("\x03")
    shell.wait_until(lambda text: text.rstrip().endswith("$ wait"), "the line again")
    shell.settle(0.5)
    shell.type("x")
    shell.wait_until(lambda text: text.rstrip().endswith("$ waitx"), "the line, which can be edited")
    assert shell.made == []


def test_variable_chooses_another_key(shell: Lines) -> None:
    key = {"bash": "'\\C-g'", "zsh": "'^G'", "fish": "\\cg"}[shell.kind.name]
    assign = f"set -g TELEX_WIDGET_KEY {key}" if shell.kind.name == "fish" else f"TELEX_WIDGET_KEY={key}"
    load = (
        "$TELEX_COMMAND shell --widget fish | source"
        if shell.kind.name == "fish"
        else f'eval "$($TELEX_COMMAND shell --widget {shell.kind.name})"'
    )
    shell.run(f"{assign}; {load}")
    shell.fresh()
    shell.type("make it")
    shell.wait_until(lambda text: "make it" in text, "echo of the line")
    shell.type("\x07")
    shell.wait_until(lambda text: "$ touch made" in text, "command", seconds=30)
