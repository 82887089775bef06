"""Interactive conversations in this process: what each line sends, what is shown, what the history has."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conversing import Dialogue
from inprocess import Inside
from scripted import Answer, Cut, Scripted, answer, delta, sse

from provider_core.history import History

if TYPE_CHECKING:
    from running import Telex

PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)
TWO = ("By day?", "At sunset?")


@pytest.fixture
def talk(telex: Telex, server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dialogue:
    telex.provider("lab", server.url, models=["m", "m2"])
    telex.configure(f'model = "lab/m"\n{telex.settings.read_text()}')
    server.will(answer("Blue.", usage={"prompt_tokens": 10, "completion_tokens": 3}))
    monkeypatch.chdir(tmp_path)
    return Dialogue(telex)


def sent(server: Scripted) -> list[str]:
    """The messages of the last request, in a line each."""
    return [f"{message['role']}: {message['content']}" for message in server.asked[-1].body["messages"]]


def saved(talk: Dialogue) -> list[tuple[object, object]]:
    """The prompts and answers of the latest conversation in the history."""
    with History(talk.paths.history) as history:
        latest = history.latest()
        turns = history.turns(latest.id) if latest is not None else ()
        return [(turn.messages[-1].content, turn.answer and turn.answer.content) for turn in turns]


def refusal(status: int, message: str = "not like this", **more: str) -> Answer:
    body = json.dumps({"error": {"message": message, **more}}).encode()
    return Answer([body], status=status, headers={"content-type": "application/json", "retry-after": "900"})


# --- turns -------------------------------------------------------------------------------------------------


def test_every_turn_is_sent_with_those_before_it(talk: Dialogue, server: Scripted) -> None:
    server.will(answer("Blue."), answer("Red."), answer("Black."))
    rows = talk(lines=[*TWO, "At night?"])
    assert rows[0] == "lab/m · /help lists the commands · Ctrl-D leaves"
    assert [row for row in rows[1:-1] if " · " not in row] == [
        "> By day?", "Blue.", "> At sunset?", "Red.", "> At night?", "Black.", "> ",
    ]  # fmt: skip
    assert sent(server) == [
        "user: By day?", "assistant: Blue.", "user: At sunset?", "assistant: Red.", "user: At night?",
    ]  # fmt: skip
    assert rows[-1].startswith("To continue: telex chat --conversation ")


@pytest.mark.parametrize(
    ("replies", "lines", "messages", "history", "row"),
    [
        (
            ["Blue.", "Azure.", "Yes."],
            ["By day?", "/retry", "Sure?"],
            ["By day?", "Azure.", "Sure?"],
            [("By day?", "Azure."), ("Sure?", "Yes.")],
            "",
        ),
        (
            ["Blue.", refusal(500), "Yes."],
            ["By day?", "/retry", "Sure?"],
            ["By day?", "Blue.", "Sure?"],
            [("By day?", "Blue."), ("Sure?", "Yes.")],
            "The previous answer is unchanged.",
        ),
        (
            ["Blue.", "Red.", "Yes."],
            [*TWO, "/undo", "Sure?"],
            ["By day?", "Blue.", "Sure?"],
            [("By day?", "Blue."), ("Sure?", "Yes.")],
            "Removed: At sunset?",
        ),
        (
            ["Blue.", refusal(500), "Red.", "Yes."],
            [*TWO, "Please answer.", "Sure?"],
            ["By day?", "Blue.", "At sunset?", "Please answer.", "Red.", "Sure?"],
            [("By day?", "Blue."), ("At sunset?", None), ("Please answer.", "Red."), ("Sure?", "Yes.")],
            "To retry: /retry",
        ),
        (
            [refusal(400, "This model's maximum context length is 9 tokens.", code="context_length_exceeded"), "Red."],
            ["A long one", "Short."],
            ["Short."],
            [("A long one", None), ("Short.", "Red.")],
            "To retry: /retry",
        ),
        (
            [Answer([*sse(delta("Half of")), Cut()]), "Yes."],
            ["Tell me.", "Go on?"],
            ["Tell me.", "Half of", "Go on?"],
            [("Tell me.", "Half of"), ("Go on?", "Yes.")],
            "Half of",
        ),
    ],
    ids=["retry", "failed retry", "undo", "no answer", "too long", "cut"],
)  # fmt: skip
def test_what_a_turn_leaves_to_the_next_request_and_to_the_history(
    talk: Dialogue,
    server: Scripted,
    replies: list[Any],
    lines: list[str],
    messages: list[str],
    history: list[tuple[str, str | None]],
    row: str,
) -> None:
    server.will(*(Answer(answer(each)) if isinstance(each, str) else each for each in replies))
    rows = talk("--retries", "0", lines=lines)
    assert [line.partition(": ")[2] for line in sent(server)] == messages
    assert saved(talk) == history
    assert row in [*rows, ""]


@pytest.mark.parametrize(
    ("failure", "row"),
    [
        (refusal(401), "telex: lab requires an API key (401): not like this"),
        (refusal(429), "telex: lab"),
        (Answer([Cut()], head=b""), "telex: lab"),
    ],
    ids=["key", "limit", "network"],
)
def test_the_same_line_retries(talk: Dialogue, server: Scripted, failure: Answer, row: str) -> None:
    server.will(Answer(answer("Blue.")), failure, Answer(answer("Red.")))
    rows = talk("--retries", "0", lines=[*TWO, "At sunset?"])
    assert any(each.startswith(row) for each in rows)
    assert sent(server) == ["user: By day?", "assistant: Blue.", "user: At sunset?"]


def test_turns_of_an_earlier_conversation_can_be_retried_and_undone(talk: Dialogue, server: Scripted) -> None:
    server.will(answer("Blue."), answer("Red."), answer("Crimson."))
    talk(lines=TWO)
    talk("-c", lines=["/retry", "/undo"])
    assert sent(server) == ["user: By day?", "assistant: Blue.", "user: At sunset?"]
    assert saved(talk) == [("By day?", "Blue.")]


def test_attachments_of_an_earlier_prompt_are_sent_again(talk: Dialogue, server: Scripted) -> None:
    Path("dot.png").write_bytes(PNG)
    talk(lines=["/image dot.png", "which?"])
    talk("-c", lines=["/retry"])
    assert server.asked[1].body["messages"] == server.asked[0].body["messages"]


def test_a_continued_conversation_begins_with_its_last_exchanges(talk: Dialogue, server: Scripted) -> None:
    server.will(*(answer(f"Line one of {n}.\n\nTwo.\n\nThree.\n\nFour.") for n in "abc"))
    goodbye = talk(lines=[f"Question {number}?" for number in range(3)])[-1]
    id_ = goodbye.rpartition(" ")[2]
    assert talk("--conversation", id_[:5], lines=[])[1:-2] == [
        f"Continuing “Question 0?” ({id_}): 3 prompts, the last one a moment ago.",
        *("  > Question 1?", "  Line one of b.", "  Two.", "  Three.", "  …"),
        *("  > Question 2?", "  Line one of c.", "  Two.", "  Three.", "  …"),
    ]


def test_a_refused_key_is_looked_up_again(telex: Telex, server: Scripted, tmp_path: Path) -> None:
    log = tmp_path / "asked"
    telex.provider("lab", server.url, key=None, key_command=f"sh -c 'echo x >> {log}; echo sk-one'")
    server.will(answer("a"), answer("b"), refusal(401), answer("c"))
    looked_up: list[str] = []
    talk = Dialogue(telex)

    def note(line: str) -> Any:
        return lambda: looked_up.append(log.read_text()) or line  # type: ignore[func-returns-value]

    talk(lines=["one", "two", note("three"), note("/retry"), note("/usage")])
    assert [each.count("x") for each in looked_up] == [1, 1, 2]
    assert {asked.headers["authorization"] for asked in server.asked} == {"Bearer sk-one"}


def test_a_template_without_a_prompt_starts_a_conversation(talk: Dialogue, server: Scripted) -> None:
    talk.paths.templates.mkdir(parents=True)
    (talk.paths.templates / "tutor.toml").write_text('system = "You teach {{ subject }}."\ntemperature = 0\n')
    talk("--template", "tutor", "--var", "subject=Latin", lines=["Begin.", "Go on."])
    assert sent(server)[:2] == ["system: You teach Latin.", "user: Begin."]
    assert server.asked[-1].body["temperature"] == 0


# --- commands ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("/modle m2", ["telex: unknown command: /modle", "  Did you mean /model or /models?",
                       "  To send it to the model, begin with two slashes: //modle"]),
        ("/models lab", ["  1 * lab/m", "  2   lab/m2", "To switch: /model NUMBER"]),
        ("/models x", ["telex: no known model matches x", "  Ask the servers: telex models list --refresh"]),
        ("/tools", ["No MCP server is set up. To add one: telex mcp add"]),
        ("/retry now", ["telex: /retry takes no argument", "  To send it to the model: //retry now"]),
        ("/model", ["Model: lab/m. To switch: /model ID"]),
        ("/model lab/m2", ["Model: lab/m2"]),
        ("/model lab/m3", ["Model: lab/m3", "Warning: m3 is not in the known list of lab's models.",
                           "Did you mean lab/m or lab/m2?"]),
        ("/system", ["There is no system message. To set one: /system TEXT"]),
        ("/file nowhere", ["telex: nowhere cannot be read: No such file or directory"]),
        ("/file dot.png", ["telex: dot.png is not a text file: it looks like a PNG image",
                           "  Attach it as an image: /image dot.png"]),
        ("/image a.py", ["telex: a.py is not a PNG, JPEG, GIF or WebP image: it is text",
                         "  Attach it as text: /file a.py"]),
        ("/save x.md", ["telex: there is nothing to save yet"]),
        ("/save", ["telex: /save takes the name of a file", "  For example: /save notes.md"]),
    ],
)  # fmt: skip
def test_result_of_a_command(talk: Dialogue, server: Scripted, line: str, shown: list[str]) -> None:
    Path("dot.png").write_bytes(PNG)
    Path("a.py").write_text("print()")
    _, typed, *rows, _ = talk(lines=[line])
    assert typed == f"> {line}"
    assert " ".join(" ".join(rows).split()) == " ".join(" ".join(shown).split())
    assert server.asked == []


def test_help_lists_every_command_and_the_keys(talk: Dialogue) -> None:
    rows = talk(lines=["help"])[2:-1]
    wanted = (
        "/model /models /system /template /file /image /retry /continue /edit /undo /copy /save /load /fork "
        "/compact /usage /tools /set /new /help /exit"
    )
    assert [row.split()[0] for row in rows] == [
        *wanted.split(), "Enter", "Alt-Enter,", "Ctrl-G", "Ctrl-C", "Ctrl-D", "Tab", "Escape",
    ]  # fmt: skip


def test_a_prompt_may_begin_with_a_slash(talk: Dialogue, server: Scripted) -> None:
    talk(lines=["//model is a command", "/etc/hosts is a file"])
    assert sent(server)[::2] == ["user: /model is a command", "user: /etc/hosts is a file"]


def test_another_model_answers_from_its_command_on(talk: Dialogue, server: Scripted) -> None:
    talk(lines=["By day?", "/model m2", "At sunset?"])
    assert [asked.body["model"] for asked in server.asked] == ["m", "m2"]
    assert talk("-c", lines=[])[0].startswith("lab/m2 ")
    talk(lines=["/models", "/model 2", "At night?"])
    assert server.asked[-1].body["model"] == "m2"


def test_the_system_message_can_be_set_shown_and_removed(talk: Dialogue, server: Scripted) -> None:
    rows = talk(
        "-s", "Be brief.", lines=["one?", "/system", "/system Be kind.", "two?", "/system -", "three?"]
    )
    assert rows[rows.index("> /system") + 1] == "Be brief."
    systems = [
        [message["content"] for message in asked.body["messages"] if message["role"] == "system"]
        for asked in server.asked
    ]
    assert systems == [["Be brief."], ["Be kind."], []]
    talk("-c", lines=["four?"])
    assert "system" not in [message["role"] for message in server.asked[-1].body["messages"]]


def test_files_are_sent_with_the_next_prompt_only(talk: Dialogue, server: Scripted) -> None:
    for name in ("one.txt", "it's two.txt", "c1.txt", "c2.txt"):
        Path(name).write_text(f"the text of {name}")
    Path("dot.png").write_bytes(PNG)
    rows = talk(
        "-f", "one.txt", lines=["/file one.txt", "/file it's two.txt", "/image dot.png", "which?", "and now?",
                                "/file c*.txt", "/file -", "gone?"],
    )  # fmt: skip
    assert rows[1] == "Attached to the first prompt: one.txt (19 bytes, ~5 tokens)"
    assert "Attached to the next prompt: c*.txt (2 files, 36 bytes, ~18 tokens)" in rows
    contents = [asked.body["messages"][-1]["content"] for asked in server.asked]
    image, text = contents[0]
    assert image["type"] == "image_url"
    assert text["text"].count("the text of one.txt") == 1
    assert (
        text["text"].index("of one.txt")
        < text["text"].index("of it's two.txt")
        < text["text"].index("which?")
    )
    assert contents[1:] == ["and now?", "gone?"]


def test_files_of_a_failed_prompt_are_sent_with_the_next(talk: Dialogue, server: Scripted) -> None:
    Path("one.txt").write_text("first")
    server.will(refusal(500), Answer(answer("Blue.")))
    talk("--retries", "0", lines=["/file one.txt", "which?", "really, which?"])
    failed, following = (message["content"] for message in server.asked[-1].body["messages"])
    assert "first" in failed
    assert following == "really, which?"


def test_save_writes_the_conversation_as_the_history_exports_it(talk: Dialogue, telex: Telex) -> None:
    Path("there.md").write_text("mine")
    rows = talk(
        "-s", "Be brief.",
        lines=["by day?", "/model m2", "at night?", "/save there.md", "/save sub dir.md", "/save talk.md",
               "/save talk.md"],
    )  # fmt: skip
    assert "telex: there.md already exists" in rows
    assert "  If the name has spaces: /save 'sub dir.md'" in rows
    assert rows.count("The conversation is in talk.md.") == 2
    assert Path("there.md").read_text() == "mine"
    assert stat.S_IMODE(Path("talk.md").stat().st_mode) == 0o600
    text = Path("talk.md").read_text()
    exported = Inside(telex.home)("history", "export").text
    assert text.split("\n\n", 2)[2] == exported.split("\n\n", 2)[2]
    assert [line for line in text.splitlines() if line][2:] == [
        *("## System", "Be brief."),
        *("## User", "by day?", "## lab/m", "Blue."),
        *("## User", "at night?", "## lab/m2", "Blue."),
    ]


def test_usage_counts_each_turn_and_what_was_taken_back(talk: Dialogue) -> None:
    rows = talk(lines=["one?", "two?", "/retry", "/usage"])
    assert [row.split() for row in rows[rows.index("> /usage") + 1 : -2]] == [
        ["turn", "in", "out", "model"],
        ["1", "10", "3", "lab/m"],
        ["2", "10", "3", "lab/m"],
        ["taken", "back", "10", "3", "lab/m"],
        ["together", "30", "9", "lab/m"],
    ]
    assert talk("-c", lines=["/usage"])[-3].split() == ["together", "20", "6", "lab/m"]


def test_new_keeps_the_system_message(talk: Dialogue, server: Scripted, telex: Telex) -> None:
    rows = talk("-s", "Be brief.", lines=["one?", "/new", "two?"])
    assert "New conversation started. The system message is unchanged." in rows
    assert sent(server) == ["system: Be brief.", "user: two?"]
    listed = json.loads(Inside(telex.home)("history", "list", "--json").out)
    assert [each["title"] for each in listed] == ["two?", "one?"]
