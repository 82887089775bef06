"""Conversations in a real pseudo-terminal: a real model, tools, Ctrl-C and SIGKILL."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from conversing import Talk
from running import COMMAND, Telex
from scripted import DONE, Pause, Scripted, answer, delta, sse
from terminal import Pty

from provider_core.history import History, SavedTurn

Begin: TypeAlias = Callable[..., Talk]


@pytest.fixture
def talk(telex: Telex, server: Scripted) -> Begin:
    telex.provider("lab", server.url, models=["m", "m2"])

    def begin(*arguments: str, **options: Any) -> Talk:
        return Talk(telex, "-m", "lab/m", *arguments, **options)

    return begin


def stored(telex: Telex) -> list[SavedTurn]:
    """The turns of the conversation that was gone on with last."""
    with History(telex.home / "data" / "history.db") as history:
        latest = history.latest()
        return list(history.turns(latest.id)) if latest is not None else []


def said(server: Scripted) -> list[str]:
    """The messages of the last request, in a line each."""
    return [f"{message['role']}: {message['content']}" for message in server.asked[-1].body["messages"]]


def test_conversation_continues_in_another_process(telex: Telex, model_path: Path) -> None:
    telex.configure(f'[providers.small]\ngguf = "{model_path}"\n')
    small = ("-m", "small", "-t", "0", "--max-tokens", "12")
    with Talk(telex, *small) as first:
        shown = [first.say(f"Say a word about {what}.") for what in ("bread", "rain", "stones")]
        assert first.leave() == 0
    turns = stored(telex)
    assert [turn.messages[0].content for turn in turns] == [
        "Say a word about bread.",
        "Say a word about rain.",
        "Say a word about stones.",
    ]
    for turn, rows in zip(turns, shown, strict=True):
        assert turn.answer is not None
        words = str(turn.answer.content).split()
        assert words == " ".join(rows).split()[: len(words)]
    with Talk(telex, "-c", "--max-tokens", "12") as second:
        assert second.rows[0].startswith(f"small/{model_path.stem}")
        assert "Say a word about bread." in second.rows[1]
        assert "3 prompts" in second.text
        second.say("And about wood.")
        assert second.leave() == 0
    assert len(stored(telex)) == 4


def test_screen_has_only_prompts_and_answers(talk: Begin, server: Scripted) -> None:
    server.will([Pause(0.6), *answer("Blue.")], answer("Red."))
    with talk() as terminal:
        terminal.say("By day?")
        terminal.say("At sunset?")
        rows = [re.sub(r" · \d.*", "", row) for row in terminal.rows]
    assert rows == [
        "lab/m · /help lists the commands · Ctrl-D leaves",
        "",
        "> By day?",
        "Blue.",
        "lab/m",
        "",
        "> At sunset?",
        "Red.",
        "lab/m",
        "",
        ">",
    ]


def test_ctrl_c_saves_the_answer(telex: Telex, talk: Begin, server: Scripted) -> None:
    server.will([*sse(delta("Half of ")), Pause(60), DONE], answer("Yes."))
    with talk() as terminal:
        terminal.send("Tell me.")
        terminal.wait_for("Half of")
        terminal.type("\x03")
        terminal.prompt()
        assert terminal.rows[-5:-1] == ["> Tell me.", "Half of", "Interrupted.", ""]
        assert terminal.say("Go on?")[0] == "Yes."
        assert terminal.leave() == 0
    assert said(server) == ["user: Tell me.", "assistant: Half of ", "user: Go on?"]
    half, _ = stored(telex)
    assert half.answer is not None
    assert (half.answer.content, half.verdict and half.verdict.value) == ("Half of ", "interrupted")


def test_kill_9_loses_no_earlier_turn(telex: Telex, talk: Begin, server: Scripted) -> None:
    server.will(answer("Blue."), [*sse(delta("Half of")), Pause(60), DONE], answer("Yes."))
    with talk() as terminal:
        terminal.say("By day?")
        terminal.send("At sunset?")
        terminal.wait_for("Half of")
        terminal.until(lambda: len(stored(telex)) == 2)
        terminal.process.send_signal(signal.SIGKILL)
        terminal.wait()
    with Talk(telex, "-c") as second:
        assert "2 prompts," in second.rows[1]
        second.say("Sure?")
    assert said(server) == ["user: By day?", "assistant: Blue.", "user: At sunset?", "user: Sure?"]


def test_typed_while_tool_servers_start(telex: Telex, talk: Begin, server: Scripted) -> None:
    pytest.importorskip("mcp")
    own = Path(__file__).parents[1] / "mcp_server.py"
    slow = f"sleep 2; exec {sys.executable} {own}"
    telex.configure(f'{telex.settings.read_text()}\n[mcp.own]\ncommand = ["sh", "-c", "{slow}"]\n')
    server.will(answer("Noon."))
    with Pty([str(COMMAND), "chat", "-m", "lab/m", "--tools", "own"], env=telex.env) as terminal:
        terminal.wait_for("^[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]")
        terminal.type("\x1b[5~what time?")
        terminal.wait_for(r"^> what time\?$")
        assert terminal.text.count("what time?") == 1
        assert "^[" not in terminal.text
        terminal.type("\r")
        terminal.wait_for(r"^Noon\.$")
        assert server.asked[-1].body["tools"]
