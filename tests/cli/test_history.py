"""``telex history``: list, show, search, export and remove conversations, and continue the last one."""

from __future__ import annotations

import itertools
import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from inprocess import Inside
from scripted import Answer as Reply
from scripted import Scripted, delta, sse
from scripted import answer as reply

from provider_core.errors import ConnectionLostError
from provider_core.events import Answer
from provider_core.history import History, LedgerEntry
from provider_core.types import (
    ImagePart,
    Message,
    Provider,
    Target,
    TextPart,
    Timing,
    ToolCall,
    Usage,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LAB = Target(provider=Provider(name="lab"), model="m/1")
DAY = 86_400.0


@pytest.fixture
def telex(tmp_path: Path) -> Inside:
    return Inside(tmp_path / "home")


@pytest.fixture
def history(telex: Inside) -> Iterator[Filled]:
    with Filled(telex) as kept:
        yield kept


class Filled(History):
    """A history to fill; its clock starts at ``now`` and goes on by a second each time."""

    def __init__(self, telex: Inside) -> None:
        self.now = 1_780_000_000.0
        ticks = itertools.count()
        super().__init__(telex.paths.history, clock=lambda: self.now + next(ticks))

    def said(
        self, asked: str | list[Message], text: str = "Yes.", conversation: str | None = None, **more: Any
    ) -> str:
        """One turn; the conversation's id."""
        messages = [Message(role="user", content=asked)] if isinstance(asked, str) else asked
        begun = self.begin(messages, LAB, conversation=conversation)
        self.end(begun.turn, Answer(**{"target": LAB, "verdict": Verdict.COMPLETE, "text": text, **more}))
        return begun.conversation


def lines(telex: Inside, *arguments: str) -> list[str]:
    ran = telex("history", *arguments)
    assert ran.code == 0, ran.err
    return ran.text.splitlines()


def objects(telex: Inside, *arguments: str) -> Any:
    ran = telex("history", *arguments)
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


# --- list ---------------------------------------------------------------------------------------------------


def test_list_has_a_line_or_object_for_each_conversation(telex: Inside, history: Filled) -> None:
    one = history.said("First?")
    two = history.said("Second?")
    history.said("More?", conversation=one)
    assert lines(telex, "list") == [
        f"{one}\t2026-05-28T20:26:42Z\t2\tlab/m/1\tFirst?",
        f"{two}\t2026-05-28T20:26:41Z\t1\tlab/m/1\tSecond?",
    ]
    assert lines(telex, "list", "-n", "1") == lines(telex, "list")[:1]
    assert lines(telex, "list", "-n", str(2**63)) == lines(telex, "list")
    assert objects(telex, "list", "--json")[1] == {
        "id": two, "title": "Second?", "begun": "2026-05-28T20:26:41Z", "updated": "2026-05-28T20:26:41Z",
        "turns": 1, "model": "lab/m/1", "verdict": "complete",
    }  # fmt: skip
    for number in range(25):
        history.said(f"Question {number}")
    assert len(lines(telex, "list")) == len(objects(telex, "list", "--json")) == 27


@pytest.mark.parametrize("command", ["list", "show", "export", "export --all", "search x"])
def test_empty_history_prints_a_note_and_creates_nothing(telex: Inside, command: str) -> None:
    ran = telex("history", *command.split())
    assert (ran.code, ran.text) == (0, "")
    assert ran.err
    if command in ("list", "search x"):
        assert objects(telex, *command.split(), "--json") == []
    assert not telex.paths.history.exists()


# --- show ---------------------------------------------------------------------------------------------------


def test_show_prints_markdown(telex: Inside, history: Filled) -> None:
    id_ = history.said(
        [Message(role="system", content="Be brief."), Message(role="user", content="Why?")], "*So.*\n"
    )
    history.said("And?", "On M", id_, verdict=Verdict.PARTIAL, error=ConnectionLostError("lab broke off"))
    assert telex("history", "show").text == (
        f"# Why?\n\nConversation `{id_}`, started 2026-05-28 20:26 UTC.\n\n"
        "## System\n\nBe brief.\n\n## User\n\nWhy?\n\n## lab/m/1\n\n*So.*\n\n"
        "## User\n\nAnd?\n\n## lab/m/1\n\nOn M\n\n*The answer is partial: lab broke off.*\n"
    )


def test_markdown_has_tool_calls_results_and_images(telex: Inside, history: Filled) -> None:
    content = (
        TextPart(text="What is it?"),
        ImagePart(url="data:image/png;base64," + "A" * 40_000),
        ImagePart(url="https://host.test/a.png"),
    )
    call = ToolCall(id="1", name="look", arguments='{"at": 1}')
    id_ = history.said([Message(role="user", content=content)], "", tool_calls=(call,))
    history.said([Message(role="tool", content="a ```cat```", tool_call_id="1")], "A cat.", id_)
    text = telex("history", "show").text
    assert "What is it?\n\n[image/png, 30 kB]\n\n![image](https://host.test/a.png)\n" in text
    assert 'Calls `look`:\n\n```json\n{"at": 1}\n```\n\n## Tool\n\n````\na ```cat```\n````\n' in text


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        ("Sure:\n```python\nprint(", "Sure:\n```python\nprint(\n```\n\n*"),
        ("~~~~\na\n~~~\nb", "b\n~~~~\n\n*"),
        ("```\na\n```", "```\na\n```\n\n*"),
        ("``` a `b` ```", "``` a `b` ```\n\n*"),
    ],
)
def test_unfinished_code_block_is_closed(telex: Inside, history: Filled, text: str, closed: str) -> None:
    history.said("Code!", text, verdict=Verdict.INTERRUPTED)
    assert closed in telex("history", "show").text


@pytest.mark.parametrize("text", ["line\n\n", "\n  a\r\n\x1b[31mb\x00", "```\ncode\n```", "世界 🎉"])
def test_show_answer_prints_the_last_answer_unchanged(telex: Inside, history: Filled, text: str) -> None:
    id_ = history.said("First?", "not this")
    history.said("Second?", text, id_)
    begun = history.begin([Message(role="user", content="never answered")], LAB, conversation=id_)
    assert telex("history", "show", "--answer").out == f"{text}\n".encode()
    history.drop_turn(begun.turn)


def test_conversation_without_an_answer_is_marked(telex: Inside, history: Filled) -> None:
    history.begin([Message(role="user", content="Hello?")], LAB)
    assert telex("history", "show").text.endswith("## lab/m/1\n\n*No answer was saved.*\n")
    ran = telex("history", "show", "--answer")
    assert (ran.code, ran.text, ran.err) == (0, "", "The conversation has no answer.\n")
    (line,) = lines(telex, "export", "--format", "jsonl")
    found = json.loads(line)
    assert list(found) == KEYS
    assert [found[key] for key in ("text", "verdict", "usage", "error")] == ["", None, None, None]


@pytest.mark.parametrize("command", ["show", "export", "remove --yes"])
def test_ambiguous_or_unknown_name_lists_candidates(telex: Inside, history: Filled, command: str) -> None:
    ids = [history.said(f"Mend the build {number}") for number in range(7)]
    ran = telex("history", *command.split(), "mend")
    assert (ran.code, ran.text) == (3, "")
    assert f"  {ids[-1]}  Mend the build 6\n" in ran.err
    assert "and 2 more: telex history list\n" in ran.err
    ran = telex("history", *command.split(), "nothing like it")
    assert ran.code == 3
    assert "telex history list" in ran.err
    assert len(history.conversations()) == 7


# --- search -------------------------------------------------------------------------------------------------


def test_search_has_a_line_or_object_for_each_hit(telex: Inside, history: Filled) -> None:
    id_ = history.said("Why is the sky blue?", "Rayleigh\n\tscattering.")
    assert lines(telex, "search", "RAYLEIGH") == [
        f"{id_}\t2026-05-28T20:26:40Z\tassistant\tRayleigh scattering."
    ]
    assert lines(telex, "search", "is the sky")
    assert lines(telex, "search", "--", "-n") == []
    (hit,) = objects(telex, "search", "blue", "sky", "--json")
    assert hit == {
        "conversation": id_, "title": "Why is the sky blue?", "turn": 1, "role": "user",
        "at": "2026-05-28T20:26:40Z", "snippet": "Why is the sky blue?",
        "marks": [[11, 14], [15, 19]],
    }  # fmt: skip
    ran = telex("history", "search", "nothing like it")
    assert (ran.code, ran.text) == (0, "")
    assert "No saved conversation contains" in ran.err
    for words in ([], [""], [" "]):
        assert telex("history", "search", *words).code == 2


def test_limited_search_names_the_option_for_more(telex: Inside, history: Filled) -> None:
    for _ in range(25):
        history.said("same")
    ran = telex("history", "search", "same")
    assert len(ran.text.splitlines()) == 20
    assert "-n 200" in ran.err
    assert len(lines(telex, "search", "same", "-n", "200")) == 25
    assert len(lines(telex, "search", "same", "-n", str(2**63))) == 25


# --- export -------------------------------------------------------------------------------------------------

KEYS = [
    "conversation", "title", "turn", "at", "provider", "model", "params", "messages", "continues", "text",
    "reasoning", "tool_calls", "sources", "images", "finish", "raw_finish", "verdict", "usage", "timing", "error",
]  # fmt: skip


def test_export_as_json_lines_has_everything_of_each_turn(telex: Inside, history: Filled) -> None:
    content = (TextPart(text="See"), ImagePart(url="data:image/png;base64,AAAA"))
    asked = [
        Message(role="system", content="Be brief."),
        Message(role="user", content=content),
        Message(role="tool", content="noon", tool_call_id="7"),
    ]
    begun = history.begin(asked, LAB, params={"temperature": 0})
    call = ToolCall(id="8", name="now", arguments="{}", extra={"signature": "x"})
    history.end(
        begun.turn,
        Answer(
            target=LAB,
            verdict=Verdict.PARTIAL,
            text="Hal\u2028f",
            reasoning="hm",
            tool_calls=(call,),
            usage=Usage(input=3, output=0),
            timing=Timing(total=1.234567),
            finish="tool_calls",
            error=ConnectionLostError("lab broke off"),
        ),
    )
    history.said("Second", conversation=begun.conversation)
    first, second = lines(telex, "export", "--format", "jsonl")
    shown = objects(telex, "show", begun.conversation, "--json")
    assert {**shown, "transcript": None} == {**objects(telex, "list", "--json")[0], "transcript": None}
    assert shown["transcript"] == [json.loads(first), json.loads(second)]
    found = json.loads(first)
    assert list(found) == KEYS == list(json.loads(second))
    assert found == {
        "conversation": begun.conversation, "title": "See", "turn": begun.turn, "at": "2026-05-28T20:26:40Z",
        "provider": "lab", "model": "m/1", "params": {"temperature": 0},
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "See"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                ],
            },
            {"role": "tool", "content": "noon", "tool_call_id": "7"},
        ],
        "continues": False, "text": "Hal\u2028f", "reasoning": "hm",
        "tool_calls": [{"id": "8", "name": "now", "arguments": "{}"}], "sources": [], "images": [],
        "finish": "tool_calls", "raw_finish": None, "verdict": "partial",
        "usage": dict.fromkeys(
                ("cached", "cache_write", "reasoning", "cost", "cost_source")
            ) | {"input": 3, "output": 0, "cost_is_partial": False},
        "timing": {"first_byte": None, "first_text": None, "total": 1.2346},
        "error": {"message": "lab broke off"},
    }  # fmt: skip


def test_export_all_is_oldest_first(telex: Inside, history: Filled) -> None:
    for title in ("One", "Two", "Three"):
        history.said(title)
    text = telex("history", "export", "--all").text
    assert re.findall(r"^# (.*)$", text, re.MULTILINE) == ["One", "Two", "Three"]
    assert telex("history", "export", "two", "one").text.startswith("# Two\n")


@pytest.mark.parametrize(
    ("name", "starts"), [("a.md", "# Why?"), ("a.jsonl", '{"conversation"'), ("a", "# Why?")]
)
def test_exported_file_is_private_and_its_name_selects_the_format(
    telex: Inside, history: Filled, tmp_path: Path, name: str, starts: str
) -> None:
    history.said("Why?")
    target = tmp_path / name
    target.write_text("what was there before")
    ran = telex("history", "export", "-o", str(target))
    assert (ran.code, ran.text) == (0, "")
    assert target.read_text().startswith(starts)
    assert target.stat().st_mode & 0o777 == 0o600
    assert "1 conversation written" in ran.err


# --- remove, prune, rename ----------------------------------------------------------------------------------


def everything(telex: Inside) -> bytes:
    return b"".join(each.read_bytes() for each in telex.paths.data.iterdir())


def test_removed_conversations_are_in_no_file(telex: Inside, history: Filled) -> None:
    one = history.said("canary one", "canary " * 500)
    history.said("canary two")
    history.said("kept")
    ran = telex("history", "remove", one, stdin=b"y\n")
    assert (ran.code, len(history.conversations())) == (2, 3)
    assert "--yes" in ran.err
    ran = telex("history", "remove", one, "canary two", "--yes")
    assert ran.code == 0, ran.err
    assert "2 conversations removed." in ran.err
    assert b"canary" not in everything(telex)
    assert [each.title for each in history.conversations()] == ["kept"]
    assert telex("history", "remove", "--all", "--yes").code == 0
    assert history.conversations() == ()
    assert telex("history", "remove", "--all", "--yes").code == 0


def test_removal_says_what_of_the_ledger_stays(telex: Inside, history: Filled) -> None:
    def removed(*arguments: str) -> list[str]:
        ran = telex("history", *arguments)
        assert ran.code == 0, ran.err
        return ran.err.splitlines()

    usual = {"provider": "lab", "model": "m", "command": "chat", "verdict": "complete"}
    first, second = history.said("one"), history.said("two")
    with History(telex.paths.history) as opened:
        opened.ledger.add(
            LedgerEntry(at=time.time(), conversation=each, **usual) for each in (first, first, second, None)
        )
        assert removed("remove", first, "--yes") == [
            "1 conversation removed.",
            "telex usage still counts 2 requests, without text. To remove that too, use --with-usage.",
        ]
        assert opened.ledger.total().requests == 4
        assert removed("remove", second, "--yes", "--with-usage") == [
            "1 conversation removed, and 1 request from the ledger."
        ]
        assert removed("prune", "--older-than", "1d", "--with-usage") == [
            "0 conversations removed, and 0 requests from the ledger."
        ]
        assert removed("remove", "--all", "--yes", "--with-usage") == [
            "0 conversations removed, and 3 requests from the ledger."
        ]
        assert opened.ledger.total().requests == 0


@pytest.mark.parametrize(
    "words",
    [
        *("remove", "remove --all kept --yes", "export --all kept", "show kept --json --answer", "prune"),
        *(f"prune --older-than={age}" for age in ("30", "30m", "d", "-1d", "1e3d", "", "٣d", "99999999d")),
    ],
)
def test_invalid_arguments_are_usage_errors(telex: Inside, history: Filled, words: str) -> None:
    history.said("kept")
    ran = telex("history", *words.split(" "))
    assert (ran.code, ran.text) == (2, "")
    assert history.conversations()


@pytest.mark.parametrize(
    ("age", "kept"),
    [("29d", 1), ("31d", 2), ("4w", 1), ("5w", 2), ("719h", 1), ("721h", 2), ("1y", 2), ("0d", 0)],
)
def test_prune_removes_older_conversations(telex: Inside, history: Filled, age: str, kept: int) -> None:
    history.now = time.time() - 30 * DAY
    old = history.said("canary")
    history.now = time.time() - 60
    new = history.said("fresh")
    ran = telex("history", "prune", "--older-than", age, "--dry-run")
    assert [line.split("\t")[0] for line in ran.text.splitlines()] == [new, old][kept:]
    count = f"{2 - kept} conversation{'' if kept == 1 else 's'}"
    assert f"{count} would be removed." in ran.err
    assert len(history.conversations()) == 2
    ran = telex("history", "prune", "--older-than", age)
    assert ran.code == 0, ran.err
    assert f"{count} removed." in ran.err
    assert len(history.conversations()) == kept
    assert (b"canary" in everything(telex)) == (kept == 2)


def test_rename_changes_the_title(telex: Inside, history: Filled) -> None:
    id_ = history.said("Why?")
    assert telex("history", "rename", id_, "Why  so\n?").code == 0
    assert objects(telex, "list", "--json")[0]["title"] == "Why so ?"
    assert telex("history", "rename", id_, "  ").code == 2


# --- a damaged file -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", ["list", "show", "search x", "export --all", "remove --all --yes", "prune --older-than 1d"]
)
def test_damaged_history_is_reported_and_unchanged(telex: Inside, command: str) -> None:
    path = telex.paths.history
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no database at all" * 500)
    ran = telex("history", *command.split())
    assert (ran.code, ran.text) == (1, "")
    assert str(path) in ran.err
    assert f"mv {path} {path}.old" in ran.err
    assert path.read_bytes() == b"no database at all" * 500


# --- chat --continue ----------------------------------------------------------------------------------------

FAILS = Reply([b'{"error": {"message": "boom", "type": "server_error"}}'], status=500)


@pytest.fixture
def lab(telex: Inside, server: Scripted) -> Inside:
    telex.configure(f'model = "lab/m"\n[providers.lab]\nbase_url = "{server.url}"\nkey = "none"\n')
    return telex


@pytest.mark.parametrize(
    ("first", "verdict"),
    [
        (FAILS, "failed"),
        (Reply([b'{"error": {"message": "bad key"}}'], status=401), "failed"),
        (reply(""), "empty"),
        (sse(delta(reasoning_content="Hm."), delta(finish="stop")), "empty"),
        (Reply([], head=b"nonsense\r\n\r\n"), "failed"),
    ],
)
@pytest.mark.parametrize("format", [(), ("--jsonl",)])
def test_unanswered_prompt_is_sent_with_the_next(
    lab: Inside, server: Scripted, first: Any, verdict: str, format: tuple[str, ...]
) -> None:
    server.will(reply("Yes."))
    assert lab("chat", "about my salary").code == 0
    server.will(first)
    assert lab("chat", *format, "--retries", "0", "plan a trip").code != 0
    server.will(reply("Rome."))
    ran = lab("chat", "-c", "please answer")
    assert [(m["role"], m["content"]) for m in server.asked[-1].body["messages"]] == [
        ("user", "plan a trip"),
        ("user", "please answer"),
    ]
    assert ran.err.startswith("Continuing “plan a trip” (")
    assert ran.err.endswith("Its last prompt got no answer and is sent again.\n")
    shown = json.loads(lab("history", "show", "--json").text)
    assert [turn["verdict"] for turn in shown["transcript"]] == [verdict, "complete"]
    server.will(reply("More."))
    assert lab("chat", "-c", "-q", "and then").err == ""


def test_continuing_is_noted_if_it_is_not_obvious(lab: Inside, server: Scripted) -> None:
    server.will(reply("Yes."))
    assert lab("chat", "--no-save", "one").code == 0
    ran = lab("chat", "-c", "two")
    assert (ran.code, ran.err.splitlines()[0]) == (2, "telex: no conversation to continue")
    assert lab("chat", "one").code == 0
    assert lab("chat", "-c", "two").err == ""
    assert lab("chat", "-m", "lab/a", "-m", "lab/b", "both").code == 0
    note = lab("chat", "-c", "then").err
    assert re.fullmatch(r"Continuing “both” \(\w+\) with lab/[ab]\.\n", note)


@pytest.mark.parametrize("format", [(), ("-x",)])
def test_only_the_start_of_an_endless_answer_is_saved(
    lab: Inside, server: Scripted, format: tuple[str, ...]
) -> None:
    server.will(reply(*(["x" * 100_000] * 41)))
    ran = lab("chat", *format, "hi")
    broken_off = "telex: lab sent more than 4,000,000 characters of text"
    assert (broken_off if format == ("-x",) else "Only the beginning of the answer is saved") in ran.err
    with History(lab.paths.history) as history:
        latest = history.latest()
        assert latest is not None
        (turn,) = history.turns(latest.id)
    assert turn.answer is not None
    assert len(turn.answer.content) == 4_000_000
