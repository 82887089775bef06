"""Commands of a conversation about its prompts and answers: /continue, /copy, /template, /load, /fork."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

import pytest
from conversing import Dialogue
from scripted import Answer, Cut, Scripted, answer, delta, sse
from toolboxes import call, calling

from provider_core.history import History
from telex.repl.commands import complete

if TYPE_CHECKING:
    from pathlib import Path

    from running import Telex

FIRST = "The sea is wide and grey, and the wind comes from the north, as it"
REST = " always does in winter."


@pytest.fixture
def talk(telex: Telex, server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dialogue:
    telex.provider("lab", server.url, models=["m", "m2"], retries=0)
    telex.configure(f'model = "lab/m"\n{telex.settings.read_text()}')
    monkeypatch.chdir(tmp_path)
    return Dialogue(telex)


def sent(server: Scripted) -> list[str]:
    """The messages of the last request, in a line each."""
    return [f"{message['role']}: {message['content']}" for message in server.asked[-1].body["messages"]]


def conversations(talk: Dialogue) -> dict[str, list[str]]:
    """The prompts of each saved conversation."""
    with History(talk.paths.history) as history:
        return {
            each.id: [str(turn.messages[-1].content) for turn in history.turns(each.id) if turn.messages]
            for each in history.conversations()
        }


# --- /continue ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cut_off", [answer(FIRST, finish="length"), Answer([*sse(delta(FIRST)), Cut()])], ids=["limit", "broken"]
)
def test_cut_answer_is_continued(talk: Dialogue, server: Scripted, cut_off: Answer) -> None:
    server.will(cut_off, answer(FIRST[-30:], REST), answer("Yes."))
    rows = talk(lines=["Go on", "/continue", "Really?", "/undo", "/undo", "/continue"])
    assert REST.strip() in [row.strip() for row in rows]
    assert sent(server) == ["user: Go on", f"assistant: {FIRST}{REST}", "user: Really?"]
    assert rows[-3] == "telex: there is no answer to continue"
    assert conversations(talk) == {}


def test_answer_of_an_earlier_conversation_is_continued(talk: Dialogue, server: Scripted) -> None:
    server.will(answer(FIRST, finish="length"), answer(FIRST[-30:], REST), answer("Yes."))
    talk(lines=["Go on"])
    talk("-c", lines=["/continue"])
    talk("-c", lines=["Really?"])
    assert sent(server) == ["user: Go on", f"assistant: {FIRST}{REST}", "user: Really?"]


def test_failed_continuation_changes_nothing(talk: Dialogue, server: Scripted) -> None:
    refused = Answer(
        [b'{"error": {"message": "busy"}}'], status=503, headers={"content-type": "application/json"}
    )
    server.will(answer(FIRST, finish="length"), refused, answer(FIRST[-30:], REST), answer("Yes."))
    talk(lines=["Go on", "/continue", "/continue", "Really?"])
    assert sent(server) == ["user: Go on", f"assistant: {FIRST}{REST}", "user: Really?"]


@pytest.mark.parametrize(
    ("reply", "hint"),
    [
        (answer(FIRST, finish="length"), "  Raise the limit with /set max_tokens, or use /set reasoning_effort low."),
        (calling(call("look")), "but this chat has no tools. Offer tools with /tools on NAME."),
    ],
)  # fmt: skip
def test_hints_name_commands(talk: Dialogue, server: Scripted, reply: Any, hint: str) -> None:
    server.will(reply)
    assert hint in " ".join(talk(lines=["Go on"]))


# --- /copy -------------------------------------------------------------------------------------------------


def test_answers_and_code_are_copied(telex: Telex, talk: Dialogue, server: Scripted, tmp_path: Path) -> None:
    (tmp_path / "xclip").write_text(f"#!/bin/sh\ncat >> {tmp_path}/clip\n")
    (tmp_path / "xclip").chmod(0o755)
    telex.env |= {"DISPLAY": ":9", "PATH": f"{tmp_path}:{telex.env['PATH']}"}
    server.will(answer("Blue."), answer("So:\n\n```sh\nls -l\n```\n"))
    lines = [
        "/copy",
        "Which?",
        "/copy code",
        "How?",
        "/copy 3",
        "/copy 1 2",
        "/copy code",
        "/copy 1",
        "/copy",
    ]
    rows = Dialogue(telex)(lines=lines)
    assert (tmp_path / "clip").read_text() == "ls -l\nBlue.So:\n\n```sh\nls -l\n```\n"
    assert rows.count("Copied to the clipboard (xclip).") == 3
    assert "telex: there is no answer to copy yet" in rows
    assert "telex: the last answer has no code block" in rows
    assert "telex: there is no prompt 3" in rows
    assert "telex: /copy takes the number of a prompt, or code" in rows


# --- /template ---------------------------------------------------------------------------------------------


def test_template_is_sent_with_its_variables(talk: Dialogue, server: Scripted) -> None:
    talk.paths.templates.mkdir(parents=True)
    (talk.paths.templates / "poem.toml").write_text(
        'system = "You rhyme."\nprompt = "A poem about {{ topic }} in {{ style | short }} lines."\n'
    )
    server.will(answer("Blue."))
    rows = talk(lines=['/template poem topic="the sea"', "/template", "/template poem", "/template none"])
    assert sent(server) == ["system: You rhyme.", "user: A poem about the sea in short lines."]
    assert any(row.startswith("Templates: ") and "poem" in row for row in rows)
    assert any("topic" in row and row.startswith("telex: ") for row in rows)
    assert len(server.asked) == 1


def test_text_after_a_template_may_have_quotes(talk: Dialogue, server: Scripted) -> None:
    server.will(answer("Blau."))
    talk(lines=["""/template translate to='Old  German' It's "late",  isn't it?"""])
    system, user = sent(server)
    assert "Old  German" in system
    assert user == """user: It's "late",  isn't it?"""


def test_template_without_a_prompt_sets_the_system_message(talk: Dialogue, server: Scripted) -> None:
    server.will(answer("Blau."))
    talk(lines=["/template translate to=German", "Blue."])
    system, user = sent(server)
    assert system.startswith("system: ")
    assert "German" in system
    assert user == "user: Blue."


# --- /load and /fork ---------------------------------------------------------------------------------------


def test_another_conversation_is_loaded(talk: Dialogue, server: Scripted) -> None:
    server.will(answer("Blue."), answer("Red."), answer("Green."))
    talk(lines=["First?"])
    (first,) = conversations(talk)
    rows = talk(lines=["Second?", f"/load {first}", "Third?", "/load nothing"])
    assert f"Continuing “First?” ({first}): 1 prompt. The model is lab/m." in rows
    assert "Last prompt: First?" in rows
    assert sent(server) == ["user: First?", "assistant: Blue.", "user: Third?"]
    assert sorted(conversations(talk).values()) == [["First?", "Third?"], ["Second?"]]
    assert "telex: unknown conversation: 'nothing'" in rows


def test_file_is_attached(talk: Dialogue, server: Scripted, tmp_path: Path) -> None:
    (tmp_path / "a b.txt").write_text("inside")
    server.will(answer("Blue."))
    talk(lines=["/load a b.txt", "What is it?"])
    assert "inside" in sent(server)[0]


def test_fork_leaves_the_original_unchanged(talk: Dialogue, server: Scripted) -> None:
    server.will(answer("Blue."), answer("Blue."), answer("Red."), answer("Green."))
    lines = ["/fork", "First?", "/undo", "/fork", "First?", "/fork", "Second?", "/undo", "Third?"]
    rows = talk(lines=lines)
    assert rows.count("telex: this conversation is not saved, so there is nothing to copy") == 2
    assert sent(server) == ["user: First?", "assistant: Blue.", "user: Third?"]
    assert sorted(conversations(talk).values()) == [["First?"], ["First?", "Third?"]]
    assert any(row.startswith("Continuing in a copy. The original is unchanged: /load ") for row in rows)


def test_tab_completes_templates_and_conversations(talk: Dialogue, server: Scripted, telex: Telex) -> None:
    from telex.app import App

    server.will(answer("Blue."))
    talk(lines=["First?"])
    (first,) = conversations(talk)
    with contextlib.closing(App(environ=telex.env)) as app:
        assert first in [each.text for each in complete(app, "/load ")]
        assert "commit " in [each.text for each in complete(app, "/template com")]


# --- /compact ----------------------------------------------------------------------------------------------

LONG = "The sea is wide, and much can be said about it. " * 20


def test_older_prompts_are_replaced_by_a_summary(talk: Dialogue, server: Scripted) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 3, "cost": 0.25}
    summary_ = answer("We spoke of the sea.", usage=usage)
    server.will(answer(LONG), answer(LONG), answer("Red."), summary_, answer("Green."))
    lines = ["One?", "Two?", "Three?", "/compact", "Four?", "/undo", "/undo", "/undo", "/usage"]
    rows = talk("-s", "Be brief.", lines=lines)
    summary = next(row for row in rows if row.startswith("Replaced "))
    assert summary.startswith("Replaced 2 prompts and the answers: about ")
    before, after = (int(each.replace(",", "")) for each in re.findall(r"[\d,]+(?= tokens| now)", summary))
    assert before > 400
    assert after < 150
    asked = [message["role"] for message in server.asked[3].body["messages"]]
    assert asked == ["system", "user", "assistant", "user", "assistant", "user"]
    system, replaced, understood, *rest = sent(server)
    assert system == "system: Be brief."
    assert "We spoke of the sea." in replaced
    assert understood.startswith("assistant: ")
    assert rest == ["user: Three?", "assistant: Red.", "user: Four?"]
    assert "telex: the last prompt is part of a summary, and cannot be removed" in rows
    used = [row.split() for row in rows]
    assert ["/compact", "10", "3", "$0.25", "lab/m"] in used
    assert ["together", "10+", "3+", "$0.25+", "lab/m"] in used
    assert list(conversations(talk).values()) == [["One?", "Two?"]]


@pytest.mark.parametrize(
    ("summary", "said"),
    [
        (answer("The sea", finish="length"), "Nothing was replaced."),
        (Answer([*sse(delta("The sea")), Cut()]), "Nothing was replaced."),
        (answer(LONG * 3), "The summary is not shorter, so nothing was replaced: about "),
    ],
)
def test_useless_summary_replaces_nothing(
    talk: Dialogue, server: Scripted, summary: Answer, said: str
) -> None:
    server.will(answer(LONG), answer("Red."), summary, answer("Green."))
    rows = talk(lines=["/compact", "One?", "/compact", "Two?", "/compact", "Three?"])
    assert rows.count("telex: there is nothing to summarise yet") == 2
    assert any(row.startswith(said) for row in rows)
    assert sent(server)[1:] == [f"assistant: {LONG}", "user: Two?", "assistant: Red.", "user: Three?"]


def test_full_text_stays_in_the_history(talk: Dialogue, server: Scripted) -> None:
    server.will(answer(LONG), answer("Red."), answer("Sea."), answer("Green."))
    talk(lines=["One?", "Two?", "/compact"])
    assert list(conversations(talk).values()) == [["One?", "Two?"]]
    talk("-c", lines=["Three?"])
    assert sent(server)[1:] == [f"assistant: {LONG}", "user: Two?", "assistant: Red.", "user: Three?"]
