"""What a chat is given besides a prompt: files, images, a schema, a template, an earlier conversation."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from inprocess import Inside
from scripted import Answer, Scripted, answer, delta, sse
from servers import in_json, refusal

from provider_core.history import History

if TYPE_CHECKING:
    from running import Telex

PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)
URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


@pytest.fixture
def lab(telex: Telex, server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    """Runs in this process, in a folder of its own; its only provider is the scripted server."""
    server.will(answer("Yes."))
    telex.provider("lab", server.url)
    monkeypatch.chdir(tmp_path)
    return Inside(telex.home)


def content(server: Scripted) -> object:
    """The last message of the last request."""
    return server.asked[-1].body["messages"][-1]["content"]


# --- attachments -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "name", "words"),
    [
        ("-f", "a.png", ["PNG", "--image"]),
        ("-f", "ftp://example.com/a.txt?b=c", ["curl -sSfL 'ftp://example.com/a.txt?b=c' | telex chat PROMPT"]),
    ],
)  # fmt: skip
def test_invalid_attachment_exits_2(
    lab: Inside, server: Scripted, option: str, name: str, words: list[str]
) -> None:
    Path("a.png").write_bytes(PNG)
    ran = lab("chat", option, name, "Why?")
    assert (ran.code, server.asked) == (2, [])
    assert all(word in ran.err for word in words)


@pytest.mark.parametrize(("options", "stdin"), [(["-i", "a.txt"], b""), (["-i", "-"], PNG), ([], PNG)])
def test_image_is_sent_as_data_url(lab: Inside, server: Scripted, options: list[str], stdin: bytes) -> None:
    Path("a.txt").write_bytes(PNG)  # its bytes tell the type, not its name
    assert lab("chat", *options, "What is it?", stdin=stdin).code == 0
    assert content(server) == [
        {"type": "image_url", "image_url": {"url": URL}},
        {"type": "text", "text": "What is it?"},
    ]


def test_an_attachment_is_named_without_control_characters(lab: Inside) -> None:
    name = "a\x1b[31m\ntelex: all is well.png"
    Path(name).write_bytes(PNG)
    ran = lab("chat", "-i", name, "-i", URL, "Which?")
    size = f"(image, {len(PNG)} bytes, ~1,000 tokens)"
    assert ran.err == (
        f"Attached: a\\x1b[31m\\ntelex: all is well.png {size}\nAttached: a data: URL {size}\n"
    )


def test_images_are_not_sent_to_a_model_that_cannot_read_them(lab: Inside, server: Scripted) -> None:
    lab.provider("blind", server.url, models=[{"id": "n", "vision": False}])
    Path("a.png").write_bytes(PNG)
    ran = lab("chat", "-m", "blind", "-i", "a.png", "What is it?")
    assert (ran.code, server.asked) == (2, [])
    assert "blind/n cannot read images" in ran.err
    assert lab("chat", "-m", "lab", "-i", "a.png", "What is it?").code == 0
    ran = lab("chat", "-c", "-m", "blind", "And now?")
    assert (ran.code, len(server.asked)) == (2, 1)
    assert "blind/n cannot read images (the conversation has some)" in ran.err


def test_a_prompt_that_may_be_too_long_is_sent_with_a_warning(telex: Telex, server: Scripted) -> None:
    server.will(answer("Yes."))
    telex.provider("lab", server.url, models=[{"id": "m", "context": 100}])
    text = "word " * 200
    lab = Inside(telex.home)
    ran = lab("chat", stdin=text.encode())
    assert (ran.code, content(server)) == (0, text)
    assert "lab/m takes 100" in ran.err
    assert "takes" not in lab("chat", "short").err


# --- schema ------------------------------------------------------------------------------------------------


def test_json_is_requested_strictly_and_printed_alone(lab: Inside, server: Scripted) -> None:
    server.will(answer("Here:\n```json\n", '{"name": "Ann", ', '"age": 3}', "\n```\n"))
    ran = lab("chat", "--schema", "name, age int", "Who?")
    assert (ran.code, ran.out) == (0, b'{"name": "Ann", "age": 3}\n')
    format_ = server.asked[0].body["response_format"]
    assert format_["json_schema"]["strict"] is True
    assert set(format_["json_schema"]["schema"]["required"]) == {"name", "age"}


@pytest.mark.parametrize(
    ("schema", "reply", "requests", "code", "verdict", "error"),
    [
        ("age int", answer('{"age": "three"}'), 3, 6, "failed", "SchemaMismatchError"),
        ('{"properties": {"age": {"$dynamicRef": "#a"}}}', answer('{"age": 3}'), 1, 2, "failed", "SchemaError"),
        ("age int", sse(delta('{"age": ')), 1, 6, "partial", "ConnectionLostError"),
    ],
    ids=["never matches", "the schema is wrong", "the answer is cut"],
)  # fmt: skip
def test_unmet_schema_prints_answer_and_reason(
    lab: Inside, server: Scripted, schema: str, reply: Any, requests: int, code: int, verdict: str, error: str
) -> None:
    server.will(reply)
    ran = lab("chat", "--json", "--schema", schema, "--schema-retries", "2", "How old?")
    found = json.loads(ran.out)
    assert (ran.code, len(server.asked)) == (code, requests)
    assert (found["verdict"], found["error"]["type"], found["error"]["exit_code"]) == (verdict, error, code)
    assert found["text"].startswith('{"age": ')


def test_a_whole_answer_is_checked_and_retried_as_a_stream_is(lab: Inside, server: Scripted) -> None:
    def whole(text: str) -> Answer:
        return in_json({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})

    server.will(whole('{"age": "three"}'), whole('```json\n{"age": 3}\n```'))
    ran = lab("chat", "--no-stream", "--schema", "age int", "How old?")
    assert (ran.code, ran.out) == (0, b'{"age": 3}\n')
    assert [asked.body["stream"] for asked in server.asked] == [False, False]
    assert all("json_schema" in asked.body["response_format"] for asked in server.asked)


def test_a_format_that_cannot_be_streamed_is_asked_for_at_once(lab: Inside, server: Scripted) -> None:
    refused = refusal(400, "`response_format` does not support streaming")
    reply = {"choices": [{"message": {"content": '{"age": 3}'}, "finish_reason": "stop"}]}
    server.will(refused, in_json(reply))
    for _ in range(2):
        assert lab("chat", "--schema", "age int", "How old?").out == b'{"age": 3}\n'
    assert [asked.body["stream"] for asked in server.asked] == [True, False, False]
    assert server.asked[2].body["response_format"] == server.asked[0].body["response_format"]


def test_a_server_without_schemas_is_sent_the_schema_in_the_prompt(lab: Inside, server: Scripted) -> None:
    error = {"message": "response_format type json_schema is not supported", "param": "response_format"}
    headers = {"content-type": "application/json"}
    server.will(
        Answer([json.dumps({"error": error}).encode()], status=400, headers=headers),
        Answer(answer('{"age": 3}')),
    )
    assert lab("chat", "--schema", "age int", "How old?").out == b'{"age": 3}\n'
    body = server.asked[1].body
    assert body["response_format"] == {"type": "json_object"}
    assert "age" in json.dumps(body["messages"])


# --- templates ---------------------------------------------------------------------------------------------


@pytest.fixture
def review(lab: Inside) -> Inside:
    lab.paths.templates.mkdir(parents=True)
    (lab.paths.templates / "review.md").write_text(
        '+++\nsystem = "You review {{ language | Python }}."\ntemperature = 0.5\n+++\n{{ stdin }}\nMind {{ focus }}.\n'
    )
    return lab


@pytest.mark.parametrize(
    ("options", "system", "temperature"),
    [([], "You review Python.", 0.5), (["-t", "0", "-s", "Be kind."], "Be kind.", 0)],
)
def test_options_override_a_template(
    review: Inside, server: Scripted, options: list[str], system: str, temperature: float
) -> None:
    ran = review("chat", "--template", "review", "--var", "focus={{ stdin }}", *options, stdin=b"x = 1")
    assert ran.code == 0, ran.err
    assert server.asked[0].body["messages"] == [
        {"role": "system", "content": system},
        {"role": "user", "content": "x = 1\nMind {{ stdin }}."},  # values are not filled in again
    ]
    assert server.asked[0].body["temperature"] == temperature


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["review"], "focus"),
        (["reviw"], "review"),
        (["review", "--var", "focus=a", "--var", "nope=b"], "nope"),
        (["dog", "-x"], "the template dog asks for a schema"),
    ],
)
def test_invalid_template_sends_nothing(
    review: Inside, server: Scripted, arguments: list[str], words: str
) -> None:
    (review.paths.templates / "dog.toml").write_text("schema = 'age int'\n")
    ran = review("chat", "--template", *arguments, stdin=b"x = 1")
    assert ran.code in (2, 3)
    assert words in ran.err
    assert (ran.out, server.asked) == (b"", [])


# --- conversations -----------------------------------------------------------------------------------------


def test_a_conversation_continues_with_another_provider(lab: Inside, server: Scripted) -> None:
    lab.provider("other", server.url, models=["n"])
    assert lab("chat", "-m", "lab", "-s", "Be brief.", "One?").code == 0
    assert lab("chat", "-c", "Two?").code == 0
    assert lab("chat", "-c", "-m", "other", "Three?").code == 0
    body = server.asked[-1].body
    assert body["model"] == "n"
    assert [turn["content"] for turn in body["messages"]] == [
        "Be brief.", "One?", "Yes.", "Two?", "Yes.", "Three?",
    ]  # fmt: skip


def test_conversation_is_found_by_id_and_title(lab: Inside, server: Scripted) -> None:
    lab("chat", "The first one")
    lab("chat", "The second one")
    id_ = json.loads(lab("history", "list", "--json").out)[1]["id"]
    for name in (id_, id_[:6], "The first one", "first"):
        assert lab("chat", "--conversation", name, "Go on").code == 0, name
        assert server.asked[-1].body["messages"][0]["content"] == "The first one"


def test_a_conversation_whose_provider_was_removed_needs_another_model(lab: Inside, server: Scripted) -> None:
    assert lab("chat", "One?").code == 0
    lab.configure("")
    lab.provider("other", server.url, models=["n"])
    ran = lab("chat", "-c", "Two?")
    assert (ran.code, ran.out) == (3, b"")
    assert "unknown provider: lab (the conversation's last model; use -m to choose another)" in ran.err
    assert lab("chat", "-c", "-m", "other", "Two?").code == 0
    assert len(server.asked[-1].body["messages"]) == 3


def test_the_history_and_the_ledger_can_be_turned_off(lab: Inside) -> None:
    off = {"TELEX_LEDGER": "false"}
    for arguments, env in (("--no-save",), off), ((), off | {"TELEX_HISTORY": "false"}):
        assert lab("chat", *arguments, "canary", env=env).code == 0
    assert not lab.paths.data.exists()
    for arguments, env in (("--no-save",), {}), ((), {"TELEX_HISTORY": "false"}):
        assert lab("chat", *arguments, "canary", env=env).code == 0
    with History(lab.paths.history) as history:
        assert history.ledger.total().requests == 2
        assert history.conversations() == ()
    assert b"canary" not in lab.paths.history.read_bytes()


@pytest.mark.parametrize("state", ["locked", "corrupt", "no file", "newer"])
def test_a_history_that_cannot_be_written_costs_a_warning_and_not_the_answer(lab: Inside, state: str) -> None:
    path = lab.paths.history
    lab("chat", "hi")
    with contextlib.ExitStack() as stack:
        match state:
            case "locked":
                holder = stack.enter_context(contextlib.closing(sqlite3.connect(path, isolation_level=None)))
                holder.execute("BEGIN IMMEDIATE")
            case "corrupt":
                path.write_bytes(b"no database at all" * 500)
            case "newer":
                with contextlib.closing(sqlite3.connect(path)) as base, base:
                    base.execute("PRAGMA user_version = 9999")
            case _:
                path.unlink()
                path.mkdir()
        ran = lab("chat", "hi")
    assert (ran.code, ran.out) == (0, b"Yes.\n")
    assert re.fullmatch(r"(?s)Warning: this chat is not saved: .*\n.+\n", ran.err), ran.err


def test_title_and_parameters_are_saved(lab: Inside) -> None:
    lab("chat", "-t", "0", "-p", "top_p=0.5", "Summarise this.", stdin=b"diff --git a b\n")
    assert json.loads(lab("history", "list", "--json").out)[0]["title"] == "Summarise this."
    (turn,) = lab("history", "export", "--all", "--format", "jsonl").out.splitlines()
    assert json.loads(turn)["params"] == {"temperature": 0, "top_p": 0.5}
