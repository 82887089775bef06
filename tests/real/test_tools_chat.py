"""Tools at a real terminal: each call is shown and asked about, and nothing but an answer to the question approves."""

from __future__ import annotations

import json
import shlex
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from conversing import Talk
from running import COMMAND, Telex, within
from scripted import Answer, Asked, Pause, Scripted, answer
from terminal import Pty
from toolboxes import call, calling
from toolchat import editor, lab, odd, results, roles, running

if TYPE_CHECKING:
    from pathlib import Path

QUESTION = r"Run it\? \[y\]es, \[n\]o, \[a\]lways for this tool, \[e\]dit, \[v\]iew all:"
ECHO = calling(call("lab__echo", {"n": 1}), text="Let me see.")
DONE_NOW = answer("It is done.")


@pytest.fixture
def desk(telex: Telex, server: Scripted) -> Telex:
    server.will(ECHO, DONE_NOW)
    telex.provider("p", server.url)
    lab(telex)
    return telex


@pytest.fixture(autouse=True)
def _nothing_is_left_running(tmp_path: Path) -> Any:
    yield
    assert within(60, lambda: running(tmp_path / "home") == [])


def chat(telex: Telex, *arguments: str, columns: int = 80, **env: str) -> Pty:
    command = [str(COMMAND), "chat", "--tools", "lab", *arguments, "hi"]
    return Pty(command, env={**telex.env, **env}, columns=columns)


def in_shell(telex: Telex, script: str, **env: str) -> Pty:
    """A script of a shell with job control, in which "telex" is ours."""
    begun = f'set -m\ntelex() {{ {shlex.quote(str(COMMAND))} "$@"; }}\n{script}'
    return Pty(["bash", "--norc", "-c", begun], env={**telex.env, **env})


def offered(asked: Asked) -> list[str]:
    return [tool["function"]["name"] for tool in asked.body["tools"]]


# --- the question ------------------------------------------------------------------------------------------


def test_a_call_is_shown_and_runs_when_it_is_approved(desk: Telex, server: Scripted) -> None:
    with chat(desk) as pty:
        pty.wait_for(QUESTION)
        assert pty.rows == [
            "Let me see.",
            "The model wants to run lab/echo",
            "  The server claims (not verified): Echo; reads only",
            "  n: 1",
            "Run it? [y]es, [n]o, [a]lways for this tool, [e]dit, [v]iew all:",
        ]
        assert len(server.asked) == 1
        pty.type("y\n")
        assert pty.wait() == 0
        assert pty.rows[4].endswith(": y")
        assert pty.rows[5].startswith("lab/echo (1): 8 bytes in ")
        assert pty.rows[6] == "It is done."
    assert results(server.asked[1]) == ['{"n": 1}']


def test_what_was_typed_before_the_question_does_not_answer_it(desk: Telex, server: Scripted) -> None:
    typed = threading.Event()
    server.will(Answer([Pause(typed), *ECHO]), DONE_NOW)
    with chat(desk) as pty:
        assert within(60, lambda: len(server.asked) == 1)
        pty.type("y\n")
        typed.set()
        pty.wait_for(QUESTION)
        pty.type("n no\n")
        assert pty.wait() == 8
    assert results(server.asked[1]) == ["the user refused: no"]


def test_the_question_is_asked_again_after_ctrl_z(desk: Telex, server: Scripted) -> None:
    with in_shell(desk, 'telex chat --tools lab hi; echo "stopped"; fg') as pty:
        pty.wait_for(QUESTION)
        pty.type("\x1a")
        pty.wait_for(f"stopped(.|\n)*{QUESTION}")
        pty.type("y\n")
        assert pty.wait() == 0
    assert results(server.asked[1]) == ['{"n": 1}']


LONG = "\n".join(f"line {number}" for number in range(30))
WHY = "Reason to give the model"
REFUSED = "the user refused this call"


@pytest.mark.parametrize(
    ("replies", "arguments", "steps", "code", "told"),
    [
        ((ECHO,), (), [(QUESTION, "n\n"), (WHY, "\n")], 8, [REFUSED]),
        ((ECHO,), (), [(QUESTION, "no\n"), (WHY, "not today\n")], 8, ["the user refused: not today"]),
        ((ECHO,), (), [(QUESTION, "n: rather n=2\n")], 8, ["the user refused: rather n=2"]),
        ((ECHO,), (), [(QUESTION, "\x04")], 8, [REFUSED]),
        ((ECHO,), ("-q",), [(QUESTION, "y\n")], 0, ['{"n": 1}']),
        ((calling(call("lab__echo", {"text": LONG})),), (), [
            (QUESTION, "v\n"), ("… 229 bytes in all, 30 lines; v shows all …(.*\n)+  │ line 15", "n no\n"),
        ], 8, ["the user refused: no"]),
        ((calling(call("lab__echo", {"n": 1})),
          calling(call("lab__echo", {"n": 2}, id="b"), call("lab__fails", id="c", index=1))), (), [
            (QUESTION, "a\n"), (r"run lab/fails(.*\n)+Run it.*:$", "y\n"),
        ], 0, ['{"n": 1}', '{"n": 2}', "Error: no such file"]),
        ((ECHO,), (), [
            (QUESTION, "e\n"), (rf"exited with code 1(.*\n)+{QUESTION}$", "n no\n"),
        ], 8, ["the user refused: no"]),
    ],
    ids=["n", "no, and why", "n with why", "end of input", "quiet", "view", "always", "failed editor"],
)  # fmt: skip
def test_each_answer_to_the_question(
    desk: Telex, server: Scripted, replies: Any, arguments: Any, steps: Any, code: int, told: list[str]
) -> None:
    server.will(*replies, DONE_NOW)
    with chat(desk, *arguments, EDITOR="false") as pty:
        for pattern, keys in steps:
            pty.wait_for(pattern)
            assert len(server.asked) < len(replies) + 1
            pty.type(keys)
        assert pty.wait() == code
        assert (" bytes in " in pty.text.replace(" bytes in all", "")) == (code == 0 and not arguments)
        if code:
            assert pty.rows[-1] == "telex: lab/echo did not run, because you refused it"
    assert results(server.asked[-1]) == told


def test_progress_of_a_call_is_shown_while_it_runs(desk: Telex, server: Scripted) -> None:
    server.will(calling(call("lab__progress", {"n": 3, "pause": 1})), DONE_NOW)
    with chat(desk, "--allow", "lab/progress") as pty:
        pty.wait_for(r"running lab/progress: step 1 false: line \(1/3\), \d s")
        assert pty.wait() == 0
        assert "step" not in "".join(pty.rows), "nothing of it stays"


def test_only_whole_words_answer_the_question(desk: Telex, server: Scripted) -> None:
    with chat(desk) as pty:
        for number, typed in enumerate(("", "and why?", "yes please", "yn", "Always and ever", "q"), 1):
            pty.wait_for(rf"{QUESTION}$")
            pty.type(f"{typed}\n")
            pty.wait_for(rf"(?s)(v  show the arguments in full.*){{{number}}}Run it")
        pty.wait_for(rf"{QUESTION}$")
        assert len(server.asked) == 1
        pty.type("YES\n")
        assert pty.wait() == 0


def test_a_changed_tool_needs_a_new_approval(desk: Telex, server: Scripted) -> None:
    odd(desk, "do", flaws=("changes",))
    server.will(calling(call("odd__do")), calling(call("odd__do", id="b")), DONE_NOW)
    with chat(desk, "--tools", "odd") as pty:
        pty.wait_for(QUESTION)
        pty.type("a\n")
        pty.wait_for("odd/do has changed since you chose to always allow it.")
        pty.wait_for(rf"{QUESTION}$")
        pty.type("n no more\n")
        assert pty.wait() == 8
    assert results(server.asked[2]) == ["\x1b[2Jran", "the user refused: no more"]


def test_a_hostile_name_and_hostile_arguments_stay_in_their_rows(desk: Telex, server: Scripted) -> None:
    odd(desk, "do\x1b[2J\nRun it? [y]es: y\u202e", "x" * 10, flaws=("long",))
    evil = "\x1b[2J\x1b]0;mine\x07\u202e\r\nRun it? y\n" + " " * 200 + "Run it? y"

    def step(asked: Asked) -> Answer:
        if len(server.asked) > 1:
            return Answer(DONE_NOW)
        names = enumerate(offered(asked))
        return Answer(calling(*(call(name, {evil: evil}, id=name, index=at) for at, name in names)))

    server.will(step)
    with Pty([str(COMMAND), "chat", "--tools", "odd", "hi"], env=desk.env, columns=40) as pty:
        for number in (1, 2):
            while sum(row.startswith("Run it?") for row in pty.rows) < number or not pty.rows[-1].endswith(
                ":"
            ):
                assert pty.read(20)
            assert not any(pty.read(0.1) for _ in range(3))
            assert sum(row.startswith("Run it?") for row in pty.rows) == number, pty.text
            pty.type("n no\n")
        assert pty.wait() == 8
        assert b"\x1b[2J" not in pty.raw
        assert b"\x1b]0;" not in pty.raw
        first = next(at for at, row in enumerate(pty.rows) if row.startswith("The model wants"))
        last = next(at for at, row in enumerate(pty.rows) if row.startswith("Run it?"))
        assert all(row.startswith("  ") for row in pty.rows[first + 1 : last]), pty.text
        assert "…[10,004characters]" in "".join(pty.text.split())


# --- changing the arguments --------------------------------------------------------------------------------


def test_arguments_can_be_edited_and_the_model_gets_the_edited_ones(
    desk: Telex, server: Scripted, tmp_path: Path
) -> None:
    edit = editor(tmp_path / "edit", '{"n": 1', '{"n": "x"}', "[]", '{"n": 42}')
    with chat(desk, EDITOR=edit) as pty:
        for wrong in (
            "that is not valid JSON",
            "that does not match the tool's schema: n: 'x' is not",
            "are a JSON object",
        ):
            pty.wait_for(rf"{QUESTION}$")
            pty.type("e\n")
            pty.wait_for(wrong)
        pty.wait_for(rf"{QUESTION}$")
        pty.type("e\n")
        pty.wait_for(r"  n: 42\n")
        assert len(server.asked) == 1, "whoever has changed it has not said yes"
        pty.wait_for(rf"{QUESTION}$")
        pty.type("y\n")
        assert pty.wait() == 0
    assert results(server.asked[1]) == [
        '[The user changed the arguments of this call to {"n": 42}]\n{"n": 42}'
    ]
    assert json.loads((tmp_path / "edit.read0").read_text()) == {"n": 1}
    assert (tmp_path / "edit.read1").read_text() == '{"n": 1\n', "what was written is not lost"


# --- pipes, jobs, and who is there -------------------------------------------------------------------------


def test_the_terminal_is_asked_if_stdin_and_stdout_are_pipes(
    desk: Telex, server: Scripted, tmp_path: Path
) -> None:
    edit = editor(tmp_path / "edit", '{"n": 2}')
    server.will(ECHO, DONE_NOW)
    out = tmp_path / "out"
    script = f"echo y | telex chat --tools lab hi | cat > {out}"
    with in_shell(desk, script, EDITOR=edit) as pty:
        pty.wait_for(QUESTION)
        pty.type("e\n")
        pty.wait_for(r"  n: 2\n")
        pty.wait_for(rf"{QUESTION}$")
        pty.type("y\n")
        assert pty.wait() == 0
    assert out.read_text() == "Let me see.\nIt is done.\n"
    assert server.asked[0].body["messages"][0]["content"] == "y\n\n\nhi"
    assert results(server.asked[1])[0].endswith('{"n": 2}')


def test_a_background_job_is_not_asked(desk: Telex) -> None:
    with in_shell(desk, "telex chat --tools lab hi &\nwait $!; echo code $?") as pty:
        assert pty.wait() == 0
        assert "code 8" in pty.text
        assert "--allow lab/echo" in pty.text
        assert "Run it?" not in pty.text


# --- limits, interrupts ------------------------------------------------------------------------------------


def test_at_the_limit_of_turns_the_user_is_asked_for_more(desk: Telex, server: Scripted) -> None:
    server.will(*(calling(call("lab__echo", id=f"c{at}"), text=f"Turn {at}.") for at in range(9)))
    with chat(desk, "--allow", "lab/*", "--max-turns", "1") as pty:
        pty.wait_for(r"p/m still calls tools after 1 request. How many more \(Enter for none\)\?")
        pty.type("some\n")
        pty.wait_for(r"(?s)How many more.*some.*How many more \(Enter for none\)\?$")
        pty.type("2\n")
        pty.wait_for("p/m still calls tools after 3 requests")
        pty.type("\n")
        assert pty.wait() == 8
    assert len(server.asked) == 3


@pytest.mark.parametrize("where", ["question", "tool"])
def test_ctrl_c_at_the_question_saves_what_came(desk: Telex, server: Scripted, where: str) -> None:
    server.will(calling(call("lab__wait", {"n": 30}), text="Let me see."))
    with chat(desk) as pty:
        pty.wait_for(QUESTION)
        if where == "tool":
            pty.type("y\n")
            pty.wait_for("running lab/wait, 1 s")
        began = time.monotonic()
        pty.type("\x03")
        assert pty.wait() == 130
        assert time.monotonic() - began < 30
        assert pty.rows[-1] == "Interrupted."
        assert pty.modes == pty.modes_before
    server.will(answer("Fine."))
    assert desk("chat", "-c", "Go on.").text == "Fine.\n"
    assert roles(server.asked[0]) == ["user", "assistant", "tool", "assistant", "user"]


# --- a conversation ----------------------------------------------------------------------------------------


def test_a_conversation_keeps_its_servers_and_approvals(desk: Telex, server: Scripted) -> None:
    server.will(calling(call("lab__wait", {"n": 0})), answer("One."), calling(call("lab__wait", {"n": 30})))
    with Talk(desk, "--tools", "lab") as talk:
        talk.send("first")
        talk.wait_for(rf"{QUESTION}$")
        (pid,) = running(desk.home)
        talk.type("a\n")
        talk.prompt()
        assert "One." in talk.rows
        talk.send("second")
        talk.wait_for("running lab/wait")
        talk.type("\x03")
        talk.prompt()
        assert talk.text.count("The model wants") == 1
        assert running(desk.home) == [pid], "it is the same server still"
        server.will(calling(call("lab__echo", {"n": 1})), answer("Three."))
        talk.send("fourth")
        talk.wait_for(rf"{QUESTION}$")
        talk.type("n\n")
        talk.wait_for("Reason to give the model")
        talk.type("\n")
        talk.prompt()
        assert "because you refused it" not in talk.text, "the user knows"
        server.will(answer("Two."))
        assert "Two." in talk.say("third")
        before = roles(server.asked[0])
        assert before[-4:] == ["assistant", "tool", "assistant", "user"]
        talk.say("/undo")
        talk.say("/undo")  # of the prompt with a call
        talk.say("fifth")
        assert roles(server.asked[-1]) == before[:-4]
        assert talk.leave() == 0
    assert within(60, lambda: running(desk.home) == [])
