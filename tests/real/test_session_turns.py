"""A conversation's turns in a real pseudo-terminal: asked, stopped, asked again, taken back, gone on with, kept."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conversing import Talk
from running import Telex
from scripted import DONE, Answer, Cut, Pause, Scripted, answer, delta, sse

from provider_core.history import History, SavedTurn


@pytest.fixture
def talk(telex: Telex, server: Scripted) -> Callable[..., Talk]:
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


def test_three_turns_with_a_real_model_are_gone_on_with_in_another_process(
    telex: Telex, model_path: Path
) -> None:
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


def test_every_turn_is_sent_with_those_before_it(talk: Callable[..., Talk], server: Scripted) -> None:
    server.will(answer("Blue."), answer("Red."), answer("Black."))
    with talk() as terminal:
        assert terminal.rows[0] == "lab/m · /help lists the commands · Ctrl-D leaves"
        assert terminal.say("By day?")[0] == "Blue."
        assert terminal.say("At sunset?")[0] == "Red."
        assert terminal.say("At night?")[0] == "Black."
        assert terminal.leave() == 0
        assert terminal.modes == terminal.modes_before
    assert said(server) == [
        "user: By day?",
        "assistant: Blue.",
        "user: At sunset?",
        "assistant: Red.",
        "user: At night?",
    ]


def test_what_is_on_the_screen_after_two_turns_is_no_more_than_what_was_said(
    talk: Callable[..., Talk], server: Scripted
) -> None:
    server.will([Pause(0.6), *answer("Blue.")], answer("Red."))
    with talk() as terminal:
        terminal.say("By day?")
        terminal.say("At sunset?")
        rows = [row.partition(" · 0.")[0].partition(" · 1.")[0] for row in terminal.rows]
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


def test_ctrl_c_stops_an_answer_keeps_it_and_goes_on(
    telex: Telex, talk: Callable[..., Talk], server: Scripted
) -> None:
    server.will([*sse(delta("Half of ")), Pause(30), DONE], answer("Yes."))
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


def test_ctrl_c_before_any_text_leaves_the_prompt_to_be_asked_again(
    talk: Callable[..., Talk], server: Scripted
) -> None:
    server.will([Pause(30), DONE], answer("Blue."))
    with talk() as terminal:
        terminal.send("By day?")
        terminal.until(lambda: server.asked)
        time.sleep(0.5)
        terminal.type("\x03")
        terminal.prompt()
        assert terminal.rows[-4:-1] == ["Interrupted.", "To ask it again: /retry", ""]
        assert terminal.say("/retry")[0] == "Blue."
    assert said(server) == ["user: By day?"]


def test_retry_puts_the_new_answer_in_the_place_of_the_old_one(
    telex: Telex, talk: Callable[..., Talk], server: Scripted
) -> None:
    server.will(answer("Blue."), answer("Azure."), answer("Yes."))
    with talk() as terminal:
        terminal.say("By day?")
        assert terminal.say("/retry")[0] == "Azure."
        terminal.say("Sure?")
    assert said(server) == ["user: By day?", "assistant: Azure.", "user: Sure?"]
    assert [turn.answer and turn.answer.content for turn in stored(telex)] == ["Azure.", "Yes."]


def test_a_retry_that_fails_leaves_the_answer_before_it(
    telex: Telex, talk: Callable[..., Talk], server: Scripted
) -> None:
    server.will(answer("Blue."), refusal(500), answer("Yes."))
    with talk("--retries", "0") as terminal:
        terminal.say("By day?")
        assert "The answer before it stays." in terminal.say("/retry")
        terminal.say("Sure?")
    assert said(server) == ["user: By day?", "assistant: Blue.", "user: Sure?"]
    assert [turn.answer and turn.answer.content for turn in stored(telex)] == ["Blue.", "Yes."]


def test_undo_takes_a_prompt_and_its_answer_out_of_the_conversation_and_the_history(
    telex: Telex, talk: Callable[..., Talk], server: Scripted
) -> None:
    server.will(answer("Blue."), answer("Red."), answer("Yes."))
    with talk() as terminal:
        terminal.say("By day?")
        terminal.say("At sunset?")
        assert terminal.say("/undo") == ["Taken back: At sunset?"]
        assert [turn.messages[0].content for turn in stored(telex)] == ["By day?"]
        terminal.say("Sure?")
        terminal.say("/undo")
        assert terminal.say("/undo") == ["Taken back: By day?"]
        assert terminal.say("/undo") == ["telex: there is nothing to take back"]
    assert said(server) == ["user: By day?", "assistant: Blue.", "user: Sure?"]
    assert stored(telex) == []


def test_turns_of_an_earlier_process_can_be_taken_back_and_asked_again(
    telex: Telex, talk: Callable[..., Talk], server: Scripted
) -> None:
    server.will(answer("Blue."), answer("Red."), answer("Crimson."))
    with talk() as first:
        first.say("By day?")
        first.say("At sunset?")
        first.leave()
    with Talk(telex, "-c") as second:
        assert second.say("/retry")[0] == "Crimson."
        second.say("/undo")
        second.leave()
    assert said(server) == ["user: By day?", "assistant: Blue.", "user: At sunset?"]
    assert [turn.answer and turn.answer.content for turn in stored(telex)] == ["Blue."]


def test_going_on_shows_what_was_said_last_and_which_conversation_it_is(
    telex: Telex, talk: Callable[..., Talk], server: Scripted
) -> None:
    server.will(*(answer(f"Line one of {n}.\n\nTwo.\n\nThree.\n\nFour.") for n in "abc"))
    with talk() as first:
        for number in range(3):
            first.say(f"Question {number}?")
        assert first.leave() == 0
        goodbye = first.rows[-1]
    (id_,) = {turn.conversation for turn in stored(telex)}
    assert goodbye == f"To continue: telex chat --conversation {id_}"
    with Talk(telex, "--conversation", id_[:5]) as second:
        assert second.rows[1:-2] == [
            f"Continuing “Question 0?” ({id_}): 3 prompts, the last one a moment ago.",
            "  > Question 1?",
            "  Line one of b.",
            "  Two.",
            "  Three.",
            "  …",
            "  > Question 2?",
            "  Line one of c.",
            "  Two.",
            "  Three.",
            "  …",
        ]


def test_a_conversation_goes_on_with_another_model_in_the_middle(
    telex: Telex, talk: Callable[..., Talk], server: Scripted
) -> None:
    server.will(answer("Blue."), answer("Red."))
    with talk() as terminal:
        terminal.say("By day?")
        assert terminal.say("/model m2") == ["lab/m2 answers from now on."]
        terminal.say("At sunset?")
        terminal.leave()
    assert [asked.body["model"] for asked in server.asked] == ["m", "m2"]
    assert [turn.model for turn in stored(telex)] == ["m", "m2"]
    with Talk(telex, "-c") as second:
        assert second.rows[0].startswith("lab/m2 ")


def refusal(status: int, **headers: str) -> Answer:
    body = json.dumps({"error": {"message": "not like this"}}).encode()
    return Answer([body], status=status, headers={"content-type": "application/json", **headers})


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (refusal(401), ["telex: lab refused the key (401): not like this"]),
        (refusal(429, **{"retry-after": "900"}), ["telex: lab "]),
        (Answer([Cut()], head=b""), ["telex: lab "]),
    ],
    ids=["key", "limit", "network"],
)
def test_an_error_is_told_as_for_one_prompt_and_the_conversation_goes_on(
    talk: Callable[..., Talk], server: Scripted, failure: Answer, expected: list[str]
) -> None:
    server.will(answer("Blue."), failure, answer("Red."))
    with talk("--retries", "0") as terminal:
        terminal.say("By day?")
        rows = terminal.say("At sunset?")
        assert rows[0].startswith(expected[0])
        assert rows[-1] == "To ask it again: /retry"
        terminal.type("\x1b[A")
        terminal.until(lambda: terminal.rows[-1] == "> At sunset?")
        terminal.type("\r")
        terminal.prompt()
        assert "Red." in terminal.rows
    assert said(server) == ["user: By day?", "assistant: Blue.", "user: At sunset?"]


@pytest.mark.parametrize("failure", [refusal(500), Answer(answer(""))], ids=["failed", "empty"])
def test_a_prompt_without_an_answer_goes_along_with_the_next(
    telex: Telex, talk: Callable[..., Talk], server: Scripted, failure: Answer
) -> None:
    server.will(answer("Blue."), failure, answer("Red."), answer("Yes."))
    with talk("--retries", "0") as terminal:
        terminal.say("By day?")
        terminal.say("At sunset?")
        assert terminal.say("Please answer.")[0] == "Red."
        terminal.say("Sure?")
        terminal.say("/undo")
        assert terminal.say("/undo") == ["Taken back: Please answer."]
        terminal.leave()
    assert said(server) == [
        "user: By day?",
        "assistant: Blue.",
        "user: At sunset?",
        "user: Please answer.",
        "assistant: Red.",
        "user: Sure?",
    ]
    assert [turn.messages[0].content for turn in stored(telex)] == ["By day?", "At sunset?"]


def test_a_prompt_that_was_too_long_does_not_go_along(talk: Callable[..., Talk], server: Scripted) -> None:
    long = {
        "error": {
            "message": "This model's maximum context length is 9 tokens.",
            "code": "context_length_exceeded",
        }
    }
    server.will(Answer([json.dumps(long).encode()], status=400), answer("Red."))
    with talk() as terminal:
        terminal.say("A long one")
        assert terminal.say("Short.")[0] == "Red."
    assert said(server) == ["user: Short."]


def test_an_answer_that_breaks_off_stays_with_the_reason_below(
    talk: Callable[..., Talk], server: Scripted
) -> None:
    server.will([*sse(delta("Half of")), Cut()], answer("Yes."))
    with talk() as terminal:
        rows = terminal.say("Tell me.")
        assert rows[0] == "Half of"
        assert rows[1].startswith("telex: lab ")
        terminal.say("Go on?")
    assert said(server) == ["user: Tell me.", "assistant: Half of", "user: Go on?"]


def test_killed_in_the_middle_of_an_answer_the_turns_before_are_there(
    telex: Telex, talk: Callable[..., Talk], server: Scripted
) -> None:
    server.will(answer("Blue."), [*sse(delta("Half of")), Pause(30), DONE], answer("Yes."))
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


def test_without_keeping_nothing_is_written_at_all(
    telex: Telex, talk: Callable[..., Talk], server: Scripted
) -> None:
    server.will(answer("Blue."), answer("Red."))
    with talk("--no-save") as terminal:
        terminal.say("By day?")
        terminal.say("/undo")
        terminal.say("At sunset?")
        terminal.leave()
        assert terminal.rows[-1].startswith("lab/m · ")  # nothing that could be gone on with
    assert not (telex.home / "data").exists()


def test_a_key_is_asked_for_once_and_again_after_it_was_refused(
    telex: Telex, server: Scripted, tmp_path: Path
) -> None:
    log = tmp_path / "asked"
    command = f"sh -c 'echo x >> {log}; echo sk-{{}}'"
    telex.provider("lab", server.url, key=None, key_command=command.format("one"))
    server.will(answer("a"), answer("b"), refusal(401), answer("c"))
    with Talk(telex, "-m", "lab/m") as terminal:
        terminal.say("one")
        terminal.say("two")
        assert log.read_text() == "x\n"
        terminal.say("three")
        terminal.say("/retry")
        assert log.read_text() == "x\nx\n"
    assert {asked.headers["authorization"] for asked in server.asked} == {"Bearer sk-one"}


def test_a_template_that_only_says_who_answers_begins_a_conversation(
    talk: Callable[..., Talk], telex: Telex, server: Scripted
) -> None:
    folder = telex.home / "config" / "templates"
    folder.mkdir(parents=True)
    (folder / "tutor.toml").write_text('system = "You teach {{ subject }}."\ntemperature = 0\n')
    server.will(answer("Gladly."))
    with talk("--template", "tutor", "--var", "subject=Latin") as conversation:
        conversation.say("Begin.")
        conversation.say("Go on.")
        assert conversation.leave() == 0
    assert said(server)[:2] == ["system: You teach Latin.", "user: Begin."]
    assert server.asked[-1].body["temperature"] == 0
