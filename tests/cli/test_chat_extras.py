"""What a chat is given besides a prompt: files, images, templates, a schema; and how it goes on with an earlier one."""

from __future__ import annotations

import base64
import json
import shlex
import subprocess
import time
from pathlib import Path

import pytest
from inprocess import Inside
from running import Telex
from scripted import Answer, Scripted, answer, delta, sse

PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)


@pytest.fixture
def lab(telex: Telex, server: Scripted) -> Telex:
    server.will(answer("Yes."))
    telex.provider("lab", server.url)
    return telex


def last(server: Scripted) -> object:
    """The last message of the last request."""
    return server.asked[-1].body["messages"][-1]["content"]


# --- attachments -------------------------------------------------------------------------------------------


def test_a_text_file_stands_in_a_fence_before_the_prompt(
    lab: Telex, server: Scripted, tmp_path: Path
) -> None:
    (tmp_path / "a.py").write_text("x = '```'\n")
    ran = lab("chat", "-f", str(tmp_path / "a.py"), "Why?")
    assert ran.code == 0
    assert last(server) == f"{tmp_path}/a.py:\n````python\nx = '```'\n````\n\nWhy?"
    assert "a.py (10 bytes)" in ran.err


def test_a_binary_file_is_refused_with_its_reason_and_nothing_is_sent(
    lab: Telex, server: Scripted, tmp_path: Path
) -> None:
    (tmp_path / "a.bin").write_bytes(PNG)
    ran = lab("chat", "-f", str(tmp_path / "a.bin"), "Why?")
    assert ran.code == 2
    assert "PNG" in ran.err
    assert "--image" in ran.err
    assert server.asked == []


@pytest.mark.parametrize("way", ["path", "-", "piped"])
def test_an_image_is_sent_as_a_data_url_of_its_own_type(
    lab: Telex, server: Scripted, tmp_path: Path, way: str
) -> None:
    (tmp_path / "picture.txt").write_bytes(PNG)  # the content tells, not the name
    given = {"path": ["-i", str(tmp_path / "picture.txt")], "-": ["-i", "-"], "piped": []}[way]
    ran = lab("chat", *given, "What is it?", stdin=b"" if way == "path" else PNG)
    assert ran.code == 0, ran.err
    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert last(server) == [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": "What is it?"},
    ]


def test_a_model_that_is_known_to_read_no_images_is_not_asked(
    telex: Telex, server: Scripted, tmp_path: Path
) -> None:
    telex.provider("lab", server.url, models=[{"id": "m", "vision": False}])
    (tmp_path / "a.png").write_bytes(PNG)
    ran = telex("chat", "-i", str(tmp_path / "a.png"), "What is it?")
    assert ran.code == 2
    assert "lab/m cannot read images" in ran.err
    assert server.asked == []


def test_a_model_that_reads_no_images_is_not_asked_to_go_on_where_there_are_some(
    lab: Telex, server: Scripted, tmp_path: Path
) -> None:
    lab.provider("blind", server.url, models=[{"id": "n", "vision": False}])
    (tmp_path / "a.png").write_bytes(PNG)
    assert lab("chat", "-m", "lab", "-i", str(tmp_path / "a.png"), "What is it?").code == 0
    ran = lab("chat", "-c", "-m", "blind", "And now?")
    assert (ran.code, ran.out) == (2, b"")
    assert "blind/n cannot read images (the conversation has some)" in ran.err
    assert len(server.asked) == 1


def test_what_may_not_fit_is_said_with_numbers_and_sent_whole(telex: Telex, server: Scripted) -> None:
    server.will(answer("Yes."))
    telex.provider("lab", server.url, models=[{"id": "m", "context": 100}])
    text = "word " * 200
    ran = telex("chat", stdin=text.encode())
    assert ran.code == 0
    assert "lab/m takes 100" in ran.err
    assert last(server) == text
    assert "takes" not in telex("chat", "short").err


@pytest.mark.parametrize("name", ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"])
def test_stdin_by_another_name_is_stdin(lab: Telex, server: Scripted, tmp_path: Path, name: str) -> None:
    (tmp_path / "typed").write_text("text\n")
    attached = "stdin:\n```\ntext\n```\n\nWhy?"
    assert lab("chat", "-f", name, "Why?", stdin=b"text\n").code == 0
    assert last(server) == attached
    with (tmp_path / "typed").open("rb") as redirected:
        lab.start("chat", "-f", name, "Why?", stdin=redirected).communicate(timeout=30)
    assert (len(server.asked), last(server)) == (2, attached)


@pytest.mark.parametrize(
    ("piped", "why"),
    [
        (b"ustar\0\0\0", "stdin is not a text file: byte 6 of 8 is 0x00"),
        ("text".encode("utf-16-le"), "stdin is not a text file: byte 2 of 8 is 0x00"),
        (b"%PDF-1.4 all of it ASCII", "stdin is not a text file: it looks like a PDF document"),
    ],
)
def test_what_is_piped_and_no_text_is_refused_as_a_file_is(
    lab: Telex, server: Scripted, piped: bytes, why: str
) -> None:
    ran = lab("chat", "Why?", stdin=piped)
    assert (ran.code, ran.out) == (2, b"")
    assert why in ran.err
    assert server.asked == []


def test_a_byte_order_mark_is_no_part_of_what_is_piped(lab: Telex, server: Scripted) -> None:
    assert lab("chat", "Why?", stdin=b"\xef\xbb\xbftext").code == 0
    assert last(server) == "text\n\nWhy?"


def test_an_image_is_said_by_a_name_that_commands_nothing_and_by_its_own_size(
    lab: Telex, tmp_path: Path
) -> None:
    name = tmp_path / "a\x1b[31m\ntelex: all is well.png"
    name.write_bytes(PNG)
    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    ran = lab("chat", "-i", str(name), "-i", url, "Which?")
    size = f"(image, {len(PNG)} bytes)"
    assert ran.err == f"Attached: {tmp_path}/a telex: all is well.png {size}, a data: URL {size}\n"


def test_stdin_can_be_one_thing_only(lab: Telex, server: Scripted) -> None:
    ran = lab("chat", "-f", "-", "-", stdin=b"text")
    assert ran.code == 2
    assert "more than once" in ran.err
    assert server.asked == []


# --- schema ------------------------------------------------------------------------------------------------


def test_json_that_fits_is_printed_and_asked_for_strictly(lab: Telex, server: Scripted) -> None:
    server.will(answer("Here:\n```json\n", '{"name": "Ann", ', '"age": 3}', "\n```\n"))
    ran = lab("chat", "--schema", "name, age int", "Who?")
    assert (ran.code, ran.out) == (0, b'{"name": "Ann", "age": 3}\n')
    format_ = server.asked[0].body["response_format"]
    assert format_["json_schema"]["strict"] is True
    assert set(format_["json_schema"]["schema"]["required"]) == {"name", "age"}


def test_what_does_not_fit_is_asked_for_again_with_the_place_of_the_mistake(
    lab: Telex, server: Scripted
) -> None:
    server.will(answer('{"age": "three"}'), answer('{"age": 3}'))
    ran = lab("chat", "--schema", "age int", "How old?")
    assert (ran.code, ran.out) == (0, b'{"age": 3}\n')
    again = server.asked[1].body["messages"]
    assert [turn["role"] for turn in again] == ["user", "assistant", "user"]
    assert "$.age" in again[-1]["content"]
    assert "$.age" in ran.err


def test_what_never_fits_is_exit_6_with_the_place_and_the_answer_is_printed(
    lab: Telex, server: Scripted
) -> None:
    server.will(answer('{"age": "three"}'))
    ran = lab("chat", "--json", "--schema", "age int", "--retries-schema", "2", "How old?")
    assert ran.code == 6
    assert len(server.asked) == 3
    found = json.loads(ran.out)
    assert found["text"] == '{"age": "three"}'
    assert found["error"]["type"] == "SchemaMismatchError"
    assert "$.age" in found["error"]["message"]


def test_a_schema_that_shows_its_mistake_with_an_answer_is_a_failure_in_the_object_too(
    lab: Telex, server: Scripted
) -> None:
    server.will(answer('{"age": 3}'))
    ran = lab("chat", "--json", "--schema", '{"properties": {"age": {"$dynamicRef": "#a"}}}', "How old?")
    found = json.loads(ran.out)
    assert (ran.code, found["verdict"], found["text"]) == (2, "failed", '{"age": 3}')
    assert (found["error"]["type"], found["error"]["exit_code"]) == ("SchemaError", 2)
    assert len(server.asked) == 1


def test_a_cut_answer_to_a_schema_is_no_mismatch_and_not_asked_for_again(
    lab: Telex, server: Scripted
) -> None:
    server.will(sse(delta('{"age": ')))
    ran = lab("chat", "--schema", "age int", "How old?", timeout=30)
    assert ran.code == 6
    assert ran.out == b'{"age": \n'
    assert len(server.asked) == 1


def test_a_server_without_schemas_is_asked_for_a_json_object_with_the_schema_in_the_prompt(
    lab: Telex, server: Scripted
) -> None:
    refusal = {
        "error": {"message": "response_format type json_schema is not supported", "param": "response_format"}
    }
    server.will(
        Answer([json.dumps(refusal).encode()], status=400, headers={"content-type": "application/json"}),
        Answer(answer('{"age": 3}')),
    )
    ran = lab("chat", "--schema", "age int", "How old?")
    assert (ran.code, ran.out) == (0, b'{"age": 3}\n')
    body = server.asked[1].body
    assert body["response_format"] == {"type": "json_object"}
    assert "age" in json.dumps(body["messages"])


# --- templates ---------------------------------------------------------------------------------------------


@pytest.fixture
def review(lab: Telex) -> Telex:
    folder = lab.home / "config" / "templates"
    folder.mkdir(parents=True)
    (folder / "review.md").write_text(
        '+++\nsystem = "You review {{ language | Python }}."\ntemperature = 0.5\n+++\n{{ stdin }}\nMind {{ focus }}.\n'
    )
    return lab


def test_a_template_takes_stdin_variables_and_defaults(review: Telex, server: Scripted) -> None:
    ran = review("chat", "--template", "review", "--var", "focus={{ stdin }}", stdin=b"x = 1")
    assert ran.code == 0, ran.err
    body = server.asked[0].body
    assert body["messages"] == [
        {"role": "system", "content": "You review Python."},
        {"role": "user", "content": "x = 1\nMind {{ stdin }}."},  # what is put in is not looked at again
    ]
    assert body["temperature"] == 0.5


def test_the_command_line_wins_over_the_template(review: Telex, server: Scripted) -> None:
    arguments = ["--template", "review", "--var", "focus=speed", "-t", "0", "-s", "Be kind."]
    assert review("chat", *arguments, stdin=b"x = 1").code == 0
    body = server.asked[0].body
    assert body["messages"][0]["content"] == "Be kind."
    assert body["temperature"] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--template", "review"], "focus"),
        (["--template", "reviw"], "review"),
        (["--template", "review", "--var", "focus=a", "--var", "nope=b"], "nope"),
        (["--var", "a=b", "hi"], "--template"),
    ],
)
def test_a_template_that_cannot_be_filled_asks_nobody(
    review: Telex, server: Scripted, arguments: list[str], words: str
) -> None:
    ran = review("chat", *arguments, stdin=b"x = 1")
    assert ran.code in (2, 3)
    assert words in ran.err
    assert server.asked == []


def test_a_template_with_a_schema_has_no_block_to_extract(review: Telex, server: Scripted) -> None:
    (review.home / "config" / "templates" / "dog.toml").write_text("schema = 'age int'\nextract = true\n")
    server.will(answer('{"age": 3}'))
    ran = review("chat", "--template", "dog", "How old?")
    assert (ran.code, ran.out, ran.err) == (0, b'{"age": 3}\n', "")
    ran = review("chat", "--template", "dog", "-x", "How old?")
    assert (ran.code, ran.out) == (2, b"")
    assert "the template dog asks for a schema" in ran.err
    assert len(server.asked) == 1


# --- conversations -----------------------------------------------------------------------------------------


def test_a_conversation_goes_on_in_another_process_and_with_another_provider(
    lab: Telex, server: Scripted
) -> None:
    lab.provider("other", server.url, models=["n"])
    assert lab("chat", "-m", "lab", "-s", "Be brief.", "One?").code == 0
    assert lab("chat", "-c", "Two?").code == 0
    assert lab("chat", "-c", "-m", "other", "Three?").code == 0
    body = server.asked[-1].body
    assert body["model"] == "n"
    assert [turn["content"] for turn in body["messages"]] == [
        "Be brief.", "One?", "Yes.", "Two?", "Yes.", "Three?",
    ]  # fmt: skip


def test_a_conversation_is_found_by_the_beginning_of_its_id_and_by_its_title(
    lab: Telex, server: Scripted
) -> None:
    lab("chat", "The first one")
    lab("chat", "The second one")
    id_ = json.loads(lab("history", "list", "--json").out)[1]["id"]
    for name in (id_, id_[:6], "The first one", "first"):
        assert lab("chat", "--conversation", name, "Go on").code == 0, name
        assert server.asked[-1].body["messages"][0]["content"] == "The first one"


def test_a_conversation_whose_provider_is_gone_goes_on_with_another(lab: Telex, server: Scripted) -> None:
    assert lab("chat", "One?").code == 0
    lab.configure("")
    lab.provider("other", server.url, models=["n"])
    ran = lab("chat", "-c", "Two?")
    assert (ran.code, ran.out) == (3, b"")
    assert "lab/m (it was the conversation's last; -m names another)" in ran.err
    assert lab("chat", "-c", "-m", "other", "Two?").code == 0
    assert len(server.asked[-1].body["messages"]) == 3


def test_without_a_conversation_there_is_nothing_to_go_on_with(lab: Telex, server: Scripted) -> None:
    ran = lab("chat", "-c", "hi")
    assert ran.code == 2
    assert "no conversation" in ran.err
    assert server.asked == []


def test_nothing_is_kept_where_that_was_said(lab: Telex) -> None:
    lab("chat", "--no-save", "hi")
    lab.configure(lab.settings.read_text().replace("[providers", "history = false\n[providers", 1))
    lab("chat", "hi")
    assert not list(lab.home.rglob("history.db*"))


@pytest.mark.parametrize("state", ["locked", "corrupt", "read-only", "newer"])
def test_a_history_that_does_not_work_is_a_warning_and_never_the_answer(lab: Telex, state: str) -> None:
    import sqlite3

    path = lab.home / "data" / "history.db"
    lab("chat", "hi")
    holder = None
    match state:
        case "locked":
            holder = sqlite3.connect(path, isolation_level=None)
            holder.execute("BEGIN IMMEDIATE")
        case "corrupt":
            path.write_bytes(b"no database at all" * 500)
        case "newer":
            with sqlite3.connect(path) as base:
                base.execute("PRAGMA user_version = 9999")
            base.close()
        case "read-only":
            path.unlink()
            path.mkdir()
    ran = lab("chat", "hi", timeout=30)
    assert (ran.code, ran.out) == (0, b"Yes.\n")
    assert "not saved" in ran.err
    if holder is not None:
        holder.close()


def test_a_conversation_is_called_by_what_was_typed_and_knows_its_parameters(lab: Telex) -> None:
    lab("chat", "-t", "0", "-p", "top_p=0.5", "Summarise this.", stdin=b"diff --git a b\n")
    assert json.loads(lab("history", "list", "--json").out)[0]["title"] == "Summarise this."
    (turn,) = lab("history", "export", "--all", "--format", "jsonl").out.splitlines()
    assert json.loads(turn)["params"] == {"temperature": 0, "top_p": 0.5}


# --- what comes on stdin -----------------------------------------------------------------------------------


def test_utf_16_as_powershell_pipes_it_is_text(lab: Telex, server: Scripted) -> None:
    assert lab("chat", stdin="Größe".encode("utf-16")).code == 0
    assert last(server) == "Größe"


def test_stdin_without_an_end_is_refused_and_not_read_for_ever(lab: Telex, server: Scripted) -> None:
    with Path("/dev/zero").open("rb") as endless:
        process = lab.start("chat", "-", stdin=endless)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert b"larger than 100 MB" in err
    assert server.asked == []


def test_a_template_with_a_place_for_stdin_waits_for_a_slow_one(review: Telex, server: Scripted) -> None:
    process = review.start("chat", "--template", "review", "--var", "focus=x", stdin=subprocess.PIPE)
    time.sleep(1.5)
    process.communicate(b"x = 1", timeout=30)
    assert process.returncode == 0
    assert last(server) == "x = 1\nMind x."


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("-f a.py b.py 'c d.py' Review", "-f a.py -f b.py -f 'c d.py'"),
        ("Review -f a.py b.py", "-f a.py -f b.py"),
        ("-qf a.py -t 0 Review b.py --json", "-f a.py -f b.py"),
        ("--file=a.py b.py Review", "-f a.py -f b.py"),
        ("-i a.py b.py Review", "-i a.py -i b.py"),
        ("-f a.py a.py b.py 'c d.py' a.py b.py b.py", "-f 'c d.py' …"),
    ],
)
def test_files_that_a_pattern_left_in_the_prompt_are_an_error(
    lab: Telex, server: Scripted, tmp_path: Path, typed: str, shown: str
) -> None:
    for name in ("a.py", "b.py", "c d.py"):
        (tmp_path / name).write_text("x")
    ran = lab("chat", *shlex.split(typed), cwd=tmp_path)
    assert ran.code == 2
    assert shown in ran.err
    assert bool(ran.out) == ("--json" in typed)
    assert server.asked == []


@pytest.mark.parametrize(
    "typed", ["a.py", "Review a.py", "a.py -f b.py Review", "-f b.py -- a.py", "-f b.py 'see a.py'"]
)
def test_names_of_files_may_be_words_of_a_prompt(
    lab: Telex, server: Scripted, tmp_path: Path, typed: str
) -> None:
    server.will(answer("x"))
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("x")
    ran = lab("chat", *shlex.split(typed), cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert "a.py" in server.asked[0].body["messages"][0]["content"]


@pytest.mark.parametrize("option", ["-f", "-i"])
def test_addresses_are_not_downloaded(lab: Telex, server: Scripted, option: str) -> None:
    ran = lab("chat", option, "http://example.com/a.txt?b=c", "hi")
    assert (ran.code, server.asked) == (2, [])
    assert "curl -sSfL 'http://example.com/a.txt?b=c' | telex chat PROMPT" in ran.err
    assert "secret" not in lab("chat", "-f", "https://me:secret@example.com/a", "hi").err


def test_a_file_address_is_its_file(lab: Telex, server: Scripted, tmp_path: Path) -> None:
    server.will(answer("x"))
    (tmp_path / "a b.txt").write_text("inside")
    assert lab("chat", "-f", f"file://{tmp_path}/a%20b.txt", "hi").code == 0
    assert "inside" in server.asked[0].body["messages"][0]["content"]


@pytest.mark.parametrize(
    "options",
    [
        ("--max-tokens", "9", "-p", "max_completion_tokens=5"),
        ("--max-tokens", "9", "-p", "max_tokens=5"),
        ("-p", "max_tokens=5", "-p", "max_completion_tokens=5"),
        ("--max-tokens", "9", "-p", 'options={"num_predict": 5}'),
    ],
)
def test_two_limits_are_a_mistake(tmp_path: Path, options: tuple[str, ...]) -> None:
    ran = Inside(tmp_path / "home")("chat", "-m", "lab/m", *options, "hi")
    assert ran.code == 2
    assert "set the same limit: use one of them" in ran.err
