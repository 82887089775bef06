"""The commands of a conversation in a real pseudo-terminal: what they do to requests and files, and what they say."""

from __future__ import annotations

import base64
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conversing import Talk
from running import COMMAND, Telex
from scripted import Answer, Pause, Scripted, answer, delta, sse
from terminal import Pty

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def talk(telex: Telex, server: Scripted) -> Callable[..., Talk]:
    telex.provider("lab", server.url, models=["m", "m2"])
    server.will(answer("Blue.", usage={"prompt_tokens": 10, "completion_tokens": 3}))

    def begin(*arguments: str, **options: Any) -> Talk:
        return Talk(telex, "-m", "lab/m", *arguments, **options)

    return begin


def messages(server: Scripted) -> list[dict[str, Any]]:
    return list(server.asked[-1].body["messages"])


def test_help_lists_every_command_and_the_keys(talk: Callable[..., Talk]) -> None:
    with talk(lines=40) as terminal:
        rows = terminal.say("/help")
    firsts = [row.split()[0] for row in rows]
    wanted = "/model /models /system /file /image /retry /edit /undo /save /usage /tools /new /help /exit"
    assert firsts[:14] == wanted.split()
    assert firsts[14:] == ["Enter", "Alt-Enter,", "Ctrl-G", "Ctrl-C", "Ctrl-D"]


def test_a_command_that_is_none_names_those_that_are_near(
    talk: Callable[..., Talk], server: Scripted
) -> None:
    with talk() as terminal:
        assert terminal.say("/modle m2") == [
            "telex: there is no command /modle",
            "  Did you mean /model or /models?",
            "  To send it to the model, begin with two slashes: //modle",
        ]
        assert terminal.say("help")[0].startswith("/model [ID]")
        assert terminal.say("/models")[:2] == ["* lab/m", "  lab/m2"]
        assert terminal.say("/models lab 2") == ["  lab/m2"]
        assert terminal.say("/models x")[0] == "telex: no known model matches x"
        assert terminal.say("/tools")[0].startswith("This conversation has no tools.")
        assert terminal.say("/clear") == ["A new conversation."]
        assert terminal.say("/retry now")[0] == "telex: /retry takes no argument"
    assert server.asked == []


@pytest.mark.parametrize(
    ("typed", "sent"),
    [("//model is a command", "/model is a command"), ("/etc/hosts is a file", "/etc/hosts is a file")],
)
def test_a_prompt_may_begin_with_a_slash(
    talk: Callable[..., Talk], server: Scripted, typed: str, sent: str
) -> None:
    with talk() as terminal:
        terminal.say(typed)
    assert messages(server)[0]["content"] == sent


def test_model_says_who_answers_and_near_misses_of_who_could(
    talk: Callable[..., Talk], server: Scripted
) -> None:
    with talk() as terminal:
        assert terminal.say("/model") == ["lab/m answers. To change that: /model ID"]
        rows = terminal.say("/model nobody")
        assert rows[0] == "telex: no provider that is set up has a model called nobody"
        assert terminal.say("/model lab/m3") == [
            "lab/m3 answers from now on.",
            "Warning: m3 is not in the known list of lab's models.",
            "Did you mean lab/m or lab/m2?",
        ]
        assert terminal.say("/model lab/m2") == ["lab/m2 answers from now on."]
        terminal.say("who?")
    assert [asked.body["model"] for asked in server.asked] == ["m2"]


def test_the_system_message_can_be_set_shown_and_taken_away(
    telex: Telex, talk: Callable[..., Talk], server: Scripted
) -> None:
    with talk("-s", "Be brief.") as terminal:
        terminal.say("one?")
        assert messages(server)[0] == {"role": "system", "content": "Be brief."}
        assert terminal.say("/system") == ["Be brief."]
        terminal.say("/system Be kind.")
        terminal.say("two?")
        assert [m["content"] for m in messages(server) if m["role"] == "system"] == ["Be kind."]
        assert terminal.say("/system -") == ["There is no system message any more."]
        terminal.say("three?")
        assert "system" not in [m["role"] for m in messages(server)]
        terminal.leave()
    with Talk(telex, "-c") as second:
        assert second.say("/system") == ["There is no system message. To set one: /system TEXT"]
        second.say("four?")
    assert "system" not in [m["role"] for m in messages(server)]


def test_files_go_with_the_next_prompt_and_no_other(
    telex: Telex, talk: Callable[..., Talk], server: Scripted, tmp_path: Path
) -> None:
    (tmp_path / "one.txt").write_text("first")
    (tmp_path / "it's two.txt").write_text("second")
    with talk(columns=200) as terminal:
        rows = terminal.say(f"/file {tmp_path}/one.txt")
        assert rows == [f"Attached to the next prompt: {tmp_path}/one.txt (5 bytes)"]
        assert terminal.say(f"/file {tmp_path}/one.txt") == rows
        terminal.say(f"/file {tmp_path}/it's two.txt")
        terminal.say("which?")
        content = messages(server)[0]["content"]
        assert content.count("first") == 1
        assert content.index("first") < content.index("second") < content.index("which?")
        terminal.say("and now?")
        assert messages(server)[-1]["content"] == "and now?"
        terminal.leave()
    assert telex("history", "list").text.rstrip("\n").endswith("\twhich?")


def test_what_is_attached_can_be_listed_dropped_and_named_by_a_pattern(
    talk: Callable[..., Talk], server: Scripted, tmp_path: Path
) -> None:
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(name)
    with talk(columns=200) as terminal:
        assert terminal.say("/file") == ["Nothing is attached."]
        (row,) = terminal.say(f"/file {tmp_path}/*.txt")
        assert row.endswith(f"{tmp_path}/a.txt (1 byte), {tmp_path}/b.txt (1 byte)")
        assert terminal.say("/file -") == ["Nothing is attached."]
        terminal.say("which?")
    assert messages(server)[0]["content"] == "which?"


def test_an_image_is_sent_as_one(talk: Callable[..., Talk], server: Scripted, tmp_path: Path) -> None:
    (tmp_path / "dot.png").write_bytes(PIXEL)
    with talk(columns=200) as terminal:
        terminal.say(f"/image {tmp_path}/dot.png")
        terminal.say("what is it?")
    image, text = messages(server)[0]["content"]
    assert image["image_url"]["url"] == f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}"
    assert text["text"] == "what is it?"


def test_what_cannot_be_attached_is_refused_with_what_would_work(
    talk: Callable[..., Talk], server: Scripted, tmp_path: Path
) -> None:
    (tmp_path / "dot.png").write_bytes(PIXEL)
    with talk(columns=300) as terminal:
        rows = terminal.say(f"/file {tmp_path}/dot.png")
        assert rows[0].startswith(f"telex: {tmp_path}/dot.png is not a text file: it looks like a PNG image")
        assert rows[1] == f"  Attach it as an image: /image {tmp_path}/dot.png"
        (tmp_path / "a.py").write_text("print()")
        rows = terminal.say(f"/image {tmp_path}/a.py")
        assert rows[0].endswith("a.py is not an image that models read (PNG, JPEG, GIF or WebP): it is text")
        assert rows[1] == f"  Attach it as text: /file {tmp_path}/a.py"
        assert terminal.say("/file nowhere")[0] == "telex: nowhere cannot be read: No such file or directory"
        terminal.say("hello?")
    assert messages(server)[0]["content"] == "hello?"


def test_a_prompt_that_failed_is_sent_along_with_the_next_and_its_files(
    talk: Callable[..., Talk], server: Scripted, tmp_path: Path
) -> None:
    (tmp_path / "one.txt").write_text("first")
    server.will(Answer([b"{}"], status=500), answer("Blue."))
    with talk("--retries", "0") as terminal:
        terminal.say(f"/file {tmp_path}/one.txt")
        terminal.say("which?")
        terminal.say("really, which?")
    failed, following = messages(server)
    assert "first" in failed["content"]
    assert following["content"] == "really, which?"


def test_files_of_the_command_line_go_with_the_first_prompt(
    talk: Callable[..., Talk], server: Scripted, tmp_path: Path
) -> None:
    (tmp_path / "one.txt").write_text("first")
    with talk("-f", str(tmp_path / "one.txt"), columns=200) as terminal:
        assert terminal.rows[1] == f"Attached to the first prompt: {tmp_path}/one.txt (5 bytes)"
        terminal.say("which?")
    assert "first" in messages(server)[0]["content"]


def test_save_writes_the_conversation_and_overwrites_nothing_else(
    talk: Callable[..., Talk], server: Scripted, tmp_path: Path
) -> None:
    server.will(answer("Blue."), [*sse(delta("Half of")), Pause(30)])
    there = tmp_path / "there.md"
    there.write_text("mine")
    with talk("--no-save", "-s", "Be brief.", columns=200) as terminal:
        assert terminal.say("/save x.md") == ["telex: there is nothing to save yet"]
        terminal.say("by day?")
        terminal.send("at night?")
        terminal.wait_for("Half of")
        terminal.type("\x03")
        terminal.prompt()
        assert terminal.say(f"/save {there}")[0] == f"telex: {there} already exists"
        assert terminal.say("/save")[0] == "telex: /save takes the name of a file"
        assert terminal.say("/save sub dir.md") == [
            "telex: /save takes one file name",
            "  If the name has spaces: /save 'sub dir.md'",
        ]
        for _ in range(2):
            saved = terminal.say(f"/save {tmp_path}/talk.md")
            assert saved == [f"The conversation is in {tmp_path}/talk.md."]
    assert there.read_text() == "mine"
    lines = [line for line in (tmp_path / "talk.md").read_text().splitlines() if line]
    assert lines[0] == "# by day?"
    assert lines[2:] == [
        *("## System", "Be brief."),
        *("## User", "by day?", "## lab/m", "Blue."),
        *("## User", "at night?", "## lab/m", "Half of", "*The answer is interrupted.*"),
    ]
    assert stat.S_IMODE((tmp_path / "talk.md").stat().st_mode) == 0o600


def test_what_is_saved_is_what_the_history_exports(
    telex: Telex, talk: Callable[..., Talk], tmp_path: Path
) -> None:
    with talk("-s", "Be brief.", columns=200) as terminal:
        terminal.say("by day?")
        terminal.say("/model m2")
        terminal.say("at night?")
        terminal.say(f"/save {tmp_path}/talk.md")
        terminal.leave()
    exported = telex("history", "export")
    assert exported.code == 0, exported.err
    saved = (tmp_path / "talk.md").read_text()
    assert saved.split("\n\n", 2)[2] == exported.text.split("\n\n", 2)[2]
    assert saved.splitlines()[0] == exported.text.splitlines()[0]


def test_usage_counts_by_turn_and_all_together_taken_back_or_not(
    telex: Telex, talk: Callable[..., Talk]
) -> None:
    with talk() as terminal:
        assert terminal.say("/usage") == ["Nothing was asked yet."]
        terminal.say("one?")
        terminal.say("two?")
        terminal.say("/retry")
        assert [row.split() for row in terminal.say("/usage")] == [
            ["turn", "in", "out", "model"],
            ["1", "10", "3", "lab/m"],
            ["2", "10", "3", "lab/m"],
            ["taken", "back", "10", "3", "lab/m"],
            ["together", "30", "9", "lab/m"],
        ]
        terminal.leave()
    with Talk(telex, "-c") as second:
        assert [row.split() for row in second.say("/usage")][-1] == ["together", "20", "6", "lab/m"]


def test_new_begins_another_conversation_and_keeps_the_one_before(
    telex: Telex, talk: Callable[..., Talk], server: Scripted
) -> None:
    with talk("-s", "Be brief.") as terminal:
        terminal.say("one?")
        assert terminal.say("/new") == ["A new conversation. The system message stays."]
        terminal.say("two?")
        terminal.leave()
    assert [m["content"] for m in messages(server)] == ["Be brief.", "two?"]
    listed = telex("history", "list", "--json")
    assert [each.split('"title": ')[1][:6] for each in listed.text.split("{")[1:]] == ['"two?"', '"one?"']


def test_tools_stay_for_the_whole_conversation(
    telex: Telex, talk: Callable[..., Talk], server: Scripted
) -> None:
    pytest.importorskip("mcp")
    with talk():
        pass
    settings = telex.settings.read_text()
    own = Path(__file__).parents[1] / "mcp_server.py"
    slow = f"sleep 2; exec {sys.executable} {own}"
    telex.configure(f'{settings}\n[mcp.own]\ncommand = ["sh", "-c", "{slow}"]\n')
    function = {"name": "own__echo", "arguments": '{"text": "twelve"}'}
    call = delta(tool_calls=[{"index": 0, "id": "c1", "function": function}])
    server.will([*sse(call, delta(finish="tool_calls"))], answer("Noon."), answer("Yes."))
    chat = [str(COMMAND), "chat", "-m", "lab/m", "--tools", "own"]
    with Talk.__new__(Talk) as terminal:
        Pty.__init__(terminal, chat, env=telex.env)
        terminal.wait_for("^[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]")
        terminal.type("\x1b[5~what time?")
        terminal.until(lambda: terminal.rows[-1:] == ["> what time?"])
        assert terminal.text.count("what time?") == 1
        assert "^[" not in terminal.text
        terminal.type("\r")
        terminal.wait_for(r"Run it\?")
        terminal.type("y\r")
        terminal.prompt()
        assert "Noon." in terminal.rows
        terminal.say("sure?")
        assert [m["role"] for m in messages(server)] == ["user", "assistant", "tool", "assistant", "user"]
        terminal.say("/undo")
        terminal.say("/undo")
        assert terminal.say("/undo") == ["telex: there is nothing to take back"]
        terminal.say("hello?")
        assert [m["role"] for m in messages(server)] == ["user"]
