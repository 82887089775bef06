"""The menu of models, the keys of vi, and tools that are switched, in a real terminal of 80 by 24."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conversing import Talk
from scripted import answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from running import Telex
    from scripted import Scripted


@pytest.fixture
def talk(telex: Telex, server: Scripted) -> Callable[[], Talk]:
    telex.provider("lab", server.url, models=[f"model-{number:03d}" for number in range(500)])
    server.will(answer("Blue."))
    return lambda: Talk(telex, "-m", "lab/model-007")


def test_a_model_is_chosen_from_500(talk: Callable[[], Talk], server: Scripted) -> None:
    with talk() as terminal:
        terminal.send("/models")
        terminal.until(lambda: "1 of 501" in terminal.text)
        assert "lab/model-007" in terminal.text
        assert len(terminal.rows) <= 24
        terminal.type("49")
        terminal.until(lambda: "1 of 15" in terminal.text)
        terminal.type("\x1b[B\x1b[B")
        terminal.until(lambda: "Model: lab/model-149" in terminal.text)
        terminal.type("\r")
        terminal.prompt()
        assert "Model: lab/model-149" in terminal.rows
        assert "of 15" not in terminal.text
        terminal.say("Which?")
    assert server.asked[-1].body["model"] == "model-149"


@pytest.mark.parametrize("key", ["\x1b", "\x03", "\x04"], ids=["Escape", "Ctrl-C", "Ctrl-D"])
def test_nothing_changes_without_a_choice(talk: Callable[[], Talk], server: Scripted, key: str) -> None:
    with talk() as terminal:
        terminal.send("/models 12")
        terminal.until(lambda: "type to filter" in terminal.text)
        terminal.type(key)
        terminal.prompt()
        terminal.say("Which?")
    assert server.asked[-1].body["model"] == "model-007"


def test_prompts_can_be_edited_with_the_keys_of_vi(
    telex: Telex, server: Scripted, talk: Callable[[], Talk]
) -> None:
    telex.configure(f'editing = "vi"\n{telex.settings.read_text()}')
    with talk() as terminal:
        terminal.typed("two words")
        terminal.type("\x1b")
        terminal.until(lambda: "type" not in terminal.text)
        terminal.type("0dwiThe \r")
        terminal.prompt()
        assert "> The words" in terminal.rows
    assert server.asked[-1].body["messages"][-1]["content"] == "The words"


def test_tools_are_turned_on_and_off(telex: Telex, server: Scripted, talk: Callable[[], Talk]) -> None:
    program = Path(__file__).parent.parent / "mcp_weather_server.py"
    command = f'[mcp.clock]\ncommand = ["{sys.executable}", "{program}"]\nallow = ["weather"]\n'
    telex.configure(f"{telex.settings.read_text()}{command}")
    with talk() as terminal:
        assert terminal.say("/tools") == ["off  clock", "To turn one on: /tools on NAME"]
        on = ["on   clock: weather*", "* runs without asking for approval"]
        assert terminal.say("/tools on clock") == on
        terminal.say("With?")
        assert terminal.say("/tools off clock")[0] == "off  clock"
        terminal.say("Without?")
        assert terminal.say("/tools on clock") == on
        terminal.say("With them again?")
    assert ["tools" in asked.body for asked in server.asked] == [True, False, True]
