"""``telex batch`` in the test's process: inputs, outputs, what is resumed, what is refused, and exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from inprocess import Inside
from running import within
from scripted import Answer, Asked, Scripted, answer
from servers import refusal

from telex.commands.batch import Duration

if TYPE_CHECKING:
    from running import Ran


def echo(asked: Asked) -> Answer:
    text = asked.body["messages"][-1]["content"]
    return Answer(answer(text, usage={"prompt_tokens": 3, "completion_tokens": 2, "cost": 0.01}))


class Lab(Inside):
    """telex with a provider "lab", whose server repeats each prompt."""

    def __init__(self, home: Path, server: Scripted) -> None:
        super().__init__(home)
        self.server = server
        self.provider("lab", server.url, retries=0)
        server.will(echo)

    def batch(self, *arguments: str, **how: Any) -> Ran:
        return self("batch", *arguments, "-m", "lab", **how)

    def prompts(self) -> list[str]:
        return sorted(asked.body["messages"][-1]["content"] for asked in self.server.asked)


@pytest.fixture
def lab(tmp_path: Path, server: Scripted, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.chdir(tmp_path)
    return Lab(tmp_path / "home", server)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


ROWS = b'{"id": "a", "body": "one", "x": 1}\n{"id": "b", "body": "two", "x": [2]}\n'


# --- input and output --------------------------------------------------------------------------------------


def test_a_result_has_the_answer_and_all_about_it(lab: Lab) -> None:
    ran = lab.batch("-", "Say {{ body }}", "--ordered", "--columns", "x, body", stdin=ROWS)
    assert ran.code == 0, ran.err
    first, second = lines(ran.text)
    assert list(first) == [
        "id", "row", "x", "body", "text", "verdict", "finish", "model", "usage", "cost", "timing", "attempts",
        "row_hash", "error",
    ]  # fmt: skip
    assert (first["id"], first["row"], first["x"], first["text"]) == ("a", 1, 1, "Say one")
    assert (second["verdict"], second["finish"], second["model"]) == ("complete", "stop", "lab/m")
    usage = second["usage"]["input"]
    assert (usage, second["cost"], second["attempts"], second["error"]) == (3, 0.01, 1, None)
    assert second["timing"]["total"] > 0
    assert "2 rows complete" in ran.err
    assert "6 tokens in, 4 out, $0.02." in ran.err


@pytest.mark.parametrize(
    ("name", "content", "arguments", "expected"),
    [
        ("in.jsonl", ROWS, "in.jsonl {{body}}", ["one", "two"]),
        ("in.csv", b"id,body\n1,one\n2,two\n", "in.csv {{body}}", ["one", "two"]),
        ("in.tsv", b"id\tbody\n1\tone\n", "in.tsv {{body}}!", ["one!"]),
        ("in.txt", b"one\ntwo\n", "in.txt Translate.", ["one\n\nTranslate.", "two\n\nTranslate."]),
        ("in.data", b"one\n", "in.data --input-format lines", ["one"]),
        ("", b'"one"\n', "Translate.", ["one\n\nTranslate."]),
        ("", b"one\n", "", ["one"]),
        ("", b"a,b\n1,2\n", "--input-format csv - {{a}}{{b}}", ["12"]),
        ("in.jsonl", ROWS, "in.jsonl {{body}}{{y}} --var y=z", ["onez", "twoz"]),
    ],
)
def test_inputs_by_name_and_format(
    lab: Lab, name: str, content: bytes, arguments: str, expected: Any
) -> None:
    if name:
        Path(name).write_bytes(content)
    ran = lab.batch(*arguments.split(), stdin=b"" if name else content)
    assert ran.code == 0, ran.err
    assert lab.prompts() == expected


def test_options_of_chat_set_the_requests(lab: Lab) -> None:
    folder = lab.paths.templates
    folder.mkdir(parents=True)
    (folder / "sort.md").write_text(
        "+++\ntemperature = 0.5\nsystem = 'For {{ who }}'\n+++\nSort: {{ stdin }}"
    )
    ran = lab.batch(
        "--template", "sort", "--var", "who=us", "--max-tokens", "9", "-p", "top_p=0.5", "--no-stream",
        stdin=b"x\n",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    body = lab.server.asked[0].body
    assert [each["content"] for each in body["messages"]] == ["For us", "Sort: x"]
    assert (body["temperature"], body["max_tokens"], body["top_p"], body["stream"]) == (0.5, 9, 0.5, False)


def test_a_template_names_the_model_unless_the_command_line_does(lab: Lab) -> None:
    folder = lab.paths.templates
    folder.mkdir(parents=True)
    (folder / "ask.md").write_text("+++\nmodel = 'lab/t'\nschema = 'n int'\n+++\nCount: {{ stdin }}")
    lab.server.will(lambda asked: Answer(answer('{"n": 5}')))
    for more, model in (((), "t"), (("-m", "lab/m"), "m")):
        ran = lab("batch", "--template", "ask", *more, stdin=b"x\n")
        assert ran.code == 0, ran.err
        assert (lines(ran.text)[0]["json"], lab.server.asked[-1].body["model"]) == ({"n": 5}, model)


def test_requests_and_tokens_a_minute_are_limited(lab: Lab) -> None:
    for option, value in (("--rpm", "600"), ("--tpm", "3000")):  # an answer takes 5 tokens
        begun = time.monotonic()
        assert lab.batch(option, value, "-j", "1", stdin=b"1\n2\n3\n4\n5\n6\n").code == 0
        assert time.monotonic() - begun >= 0.49


def test_the_first_code_block_is_extracted(lab: Lab) -> None:
    lab.server.will(answer("Here:\n```py\nx = 1\n```\nDone."), answer("no code"))
    ran = lab.batch("-x", "-j", "1", stdin=b"a\nb\n")
    assert [each["text"] for each in lines(ran.text)] == ["x = 1\n", "no code"]
    Path("a.py").write_text("y = 1")
    lab.server.will(answer("```py\nx = 1\n```"))
    lab.batch("--each-file", "-x", "a.py", "Rename y to x.", "--output-dir", "new")
    assert Path("new/a.py").read_text() == "x = 1\n"


def test_json_that_matches_a_schema_is_parsed(lab: Lab) -> None:
    lab.server.will(
        lambda asked: Answer(answer('{"label": "bug"}' if b"good" in asked.raw else '{"label": 1}'))
    )
    schema = ("--schema", "label bug|wish", "--schema-retries", "0")
    ran = lab.batch(*schema, "--ordered", stdin=b"good\nbad\n")
    good, bad = lines(ran.text)
    assert ran.code == 6
    assert (good["json"], "text" in good) == ({"label": "bug"}, False)
    assert (bad["json"], bad["text"], bad["error"]["type"]) == (None, '{"label": 1}', "SchemaMismatchError")
    assert bad["error"]["exit_code"] == 6
    ran = lab.batch(*schema, "--ordered", "--format", "csv", stdin=b"good\nbad\n")
    assert [row["label"] for row in csv.DictReader(io.StringIO(ran.text))] == ["bug", ""]


def test_json_without_fields_has_one_column(lab: Lab) -> None:
    schema = ("--schema", '{"type": "array"}', "--schema-retries", "0")
    ran = lab.batch(
        *schema, "--ordered", "--input-format", "lines", "--format", "csv", stdin=b"[1, 2]\nbad\n"
    )
    assert [row["json"] for row in csv.DictReader(io.StringIO(ran.text))] == ["[1, 2]", ""]


def test_a_table_next_to_files_has_no_answers(lab: Lab) -> None:
    Path("a.md").write_text("one")
    ran = lab.batch("--each-file", "a.md", "Translate.", "--output-dir", "new", "-o", "out.csv")
    assert (ran.code, Path("new/a.md").read_text()) == (0, "one\n\nTranslate.\n")
    (row,) = csv.DictReader(io.StringIO(Path("out.csv").read_text()))
    assert (list(row)[:3], row["id"]) == (["id", "row", "verdict"], "a.md")


def test_csv_is_flat_and_quoted(lab: Lab) -> None:
    rows = b'id,title,body,usage\n1,"a, b","x\ny",own\n2,,z,\n'
    ran = lab.batch("--input-format", "csv", "-", "{{ body }}", "--format", "csv", "--columns", "title,usage",
                "--ordered", stdin=rows)  # fmt: skip
    first, second = csv.DictReader(io.StringIO(ran.text, newline=""))
    assert (first["id"], first["title"], first["text"], first["verdict"]) == ("1", "a, b", "x\ny", "complete")
    assert first["usage"] == "own", "a field only of JSONL"
    assert (second["output_tokens"], second["cost"], second["error"]) == ("2", "0.01", "")


@pytest.mark.parametrize("name", ["out.csv", "out.tsv"])
def test_a_carriage_return_in_a_cell_does_not_end_its_line(lab: Lab, name: str) -> None:
    rows = b'{"id": "a\\rb", "prompt": "x\\ry"}\n{"id": 2, "prompt": "z"}\n'
    for before in ("2 rows complete", "2 were done before"):
        ran = lab.batch("-o", name, "--ordered", stdin=rows)
        assert (ran.code, before in ran.err) == (0, True), ran.err
    with Path(name).open(newline="") as file:
        found = list(csv.DictReader(file, delimiter="," if name == "out.csv" else "\t", strict=True))
    assert [(row["id"], row["text"]) for row in found] == [("a\rb", "x\ry"), ("2", "z")]


def test_cells_and_columns_that_are_formulas_are_counted_or_made_safe(lab: Lab) -> None:
    rows = b'{"id": "=x", "=a": "@x", "prompt": "-5"}\n{"prompt": "+1"}\n'
    columns = ("--columns", "=a", "--ordered")
    assert "Warning: 5 cells with" in lab.batch(*columns, "-o", "out.csv", stdin=rows).err
    lab.server.will(echo)
    for before in ("2 rows complete", "2 were done before"):
        ran = lab.batch(*columns, "-o", "safe.csv", "--csv-safe", stdin=rows)
        assert (before in ran.err, "Warning" in ran.err) == (True, False)
    assert len(lab.server.asked) == 2, "its ids are found again"
    with Path("safe.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["id"], first["'=a"], first["text"], second["text"]) == ("'=x", "'@x", "'-5", "'+1")
    ran = lab.batch(*columns, stdin=rows)
    assert (lines(ran.text)[0]["text"], "Warning" in ran.err) == ("-5", False)


def test_results_come_in_the_order_of_the_input_if_wanted(lab: Lab) -> None:
    first_waits = threading.Event()

    def serve(asked: Asked) -> Answer:
        if b"row 0" in asked.raw:
            first_waits.wait(60)
        elif b"row 9" in asked.raw:
            first_waits.set()
        return echo(asked)

    rows = "".join(f"row {n}\n" for n in range(30)).encode()
    for arguments in ((), ("-o", "out.jsonl")):
        first_waits.clear()
        lab.server.will(serve)
        ran = lab.batch("--ordered", "-j", "4", *arguments, stdin=rows)
        text = Path("out.jsonl").read_text() if arguments else ran.text
        assert [each["row"] for each in lines(text)] == list(range(1, 31))


def test_an_ordered_stream_does_not_run_far_ahead_of_a_slow_row(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telex.batch.run._WINDOW", 5)
    ahead = 0

    def serve(asked: Asked) -> Answer:
        nonlocal ahead
        if b"row 0" in asked.raw:
            assert within(30, lambda: len(lab.server.asked) >= 5)
            within(0.5, lambda: len(lab.server.asked) > 20)
            ahead = len(lab.server.asked)
        return echo(asked)

    lab.server.will(serve)
    ran = lab.batch("--ordered", "-j", "4", stdin="".join(f"row {n}\n" for n in range(60)).encode())
    assert [each["row"] for each in lines(ran.text)] == list(range(1, 61))
    assert 5 <= ahead <= 10


def test_bad_rows_and_repeated_ids_are_reported_and_the_others_done(lab: Lab) -> None:
    rows = b'{"id": 1, "b": "x"}\nbroken\n{"id": 1, "b": "y"}\n{"id": 2}\n{"id": 3, "b": "z"}\n'
    ran = lab.batch("-", "{{ b }}", "--ordered", stdin=rows)
    assert ran.code == 6
    found = lines(ran.text)
    codes = [each["error"] and each["error"]["code"] for each in found]
    assert codes == [None, "bad_row", "bad_row", "no_column", None]
    assert "line 2 of stdin cannot be used" in found[1]["error"]["message"]
    assert found[2]["error"]["message"] == "line 3 has the id '1' of an earlier row"
    assert len({each["id"] for each in found}) == 5
    assert "3 rows are not complete" in ran.err
    assert lab.prompts() == ["x", "z"]


# --- files -------------------------------------------------------------------------------------------------


def test_each_file_is_answered_in_a_file_of_its_name(lab: Lab) -> None:
    Path("sub/deep").mkdir(parents=True)
    for name in ("a.md", "sub/deep/b.md"):
        Path(name).write_text(f"text of {name}")
    ran = lab.batch("--each-file", "Translate.", "--output-dir", "new/en", stdin=b"a.md\nsub/deep/b.md\n")
    assert ran.code == 0, ran.err
    assert Path("new/en/a.md").read_text() == "text of a.md\n\nTranslate.\n"
    assert Path("new/en/sub/deep/b.md").read_text() == "text of sub/deep/b.md\n\nTranslate.\n"
    for names, stdin in ((("a.md", "sub/deep/b.md"), b""), ((), b"a.md\0sub/deep/b.md\0")):
        Path("new/en/a.md").unlink()
        lab.server.asked.clear()
        ran = lab.batch("--each-file", *names, "Translate.", "--output-dir", "new/en", stdin=stdin)
        assert ran.code == 0, ran.err
        assert Path("new/en/a.md").exists(), "a result whose file is gone is not done"
        assert len(lab.server.asked) == 1
    assert "Warning" not in lab.batch("--each-file", "a.md", "Translate.", "--output-dir", "new/en").err


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["x/a.md", "../x/a.md", "a.md"], "would both be written to"),
        (["a.md", "A.md"], "would both be written to"),
        (["a.md", "a.md"], "is named twice"),
        (["{tmp}/out/a.md"], "is an input, and would be overwritten"),
        ([".."], "'..' is not the name of a file"),
        ([".telex-batch.jsonl"], "uses names that begin with .telex-batch itself"),
    ],
)
def test_two_inputs_never_share_an_output(lab: Lab, names: list[str], words: str) -> None:
    for name in ("x/a.md", "a.md", "A.md", "out/a.md"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("x")
    stdin = "\n".join(names).replace("{tmp}", str(Path.cwd())).encode()
    ran = lab.batch("--each-file", "Translate.", "--output-dir", "out", stdin=stdin)
    assert (ran.code, lab.server.asked) == (2, [])
    assert words in ran.err


def test_the_results_are_not_written_to_the_file_of_an_answer(lab: Lab) -> None:
    Path("a.md").write_text("x")
    Path("out").mkdir()
    ran = lab.batch("--each-file", "a.md", "Go.", "--output-dir", "out", "-o", "./out/a.md")
    assert (ran.code, lab.server.asked) == (2, [])
    assert "./out/a.md would have the answer to a.md, too" in ran.err


def test_no_answer_leaves_the_output_folder(lab: Lab, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    for each in (outside, Path("in/deep"), Path("out")):
        each.mkdir(parents=True)
    Path("out/in").symlink_to(outside)
    Path("out/top.md").symlink_to(outside / "victim.md")
    (outside / "victim.md").write_text("mine")
    for name in ("in/link.md", "top.md", "up.md", "abs.md"):
        Path(name).write_text("x")
    ran = lab.batch("--each-file", "in/link.md", "--output-dir", "out", "Go.")
    assert ran.code != 0
    assert "because a folder is a link" in ran.err
    assert [each.name for each in outside.iterdir()] == ["victim.md"]
    os.chdir("in/deep")
    names = (str(tmp_path / "abs.md"), "../../up.md", "../../top.md")
    ran = lab.batch("--each-file", *names, "--output-dir", str(tmp_path / "out"), "Go.")
    assert ran.code == 0, ran.err
    assert {"abs.md", "up.md", "top.md"} <= {each.name for each in (tmp_path / "out").iterdir()}
    assert (outside / "victim.md").read_text() == "mine"


# --- resuming ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.tsv"])
def test_the_same_command_does_what_is_missing_or_failed_and_nothing_twice(lab: Lab, name: str) -> None:
    def serve(asked: Asked) -> Answer:
        return refusal(400) if b"two" in asked.raw else echo(asked)

    lab.server.will(serve)
    rows = ROWS + b'{"id": "c", "body": "three\\n\\"3\\""}\n'
    command = ("-", "{{ body }}", "-o", name)
    ran = lab.batch(*command, "--limit", "2", stdin=rows)
    assert ran.code == 6
    shown = {
        "out.jsonl": "jq -c 'select(.error)' out.jsonl",
        "out.csv": "mlr --csv filter 'is_not_empty($error)' out.csv",
        "out.tsv": "mlr --tsv filter 'is_not_empty($error)' out.tsv",
    }
    assert f"To show them: {shown[name]}\n" in ran.err
    lab.server.will(echo)
    ran = lab.batch(*command, "--ordered", stdin=rows)
    assert ran.code == 0, ran.err
    assert lab.prompts() == ['three\n"3"', "two"]
    assert "1 was done before" in ran.err
    lab.server.will(echo)
    assert lab.batch(*command, stdin=rows).code == 0
    assert not lab.server.asked
    text = Path(name).read_text()
    delimiter = "," if name.endswith("csv") else "\t"
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    found = lines(text) if name.endswith("jsonl") else list(table)
    assert [each["id"] for each in found] == ["a", "b", "c"]
    assert {each["verdict"] for each in found} == {"complete"}


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv"])
def test_a_torn_line_is_removed_and_its_row_done_again(lab: Lab, name: str) -> None:
    rows = b'{"id": 1, "prompt": "a\\nb"}\n{"id": 2, "prompt": "c\\nd"}\n'
    assert lab.batch("-o", name, "--ordered", stdin=rows).code == 0
    whole = Path(name).read_bytes()
    last = whole.rindex(b"\n2," if name.endswith("csv") else b'\n{"id": 2') + 1
    in_cell = whole.rindex(b'd"')  # in CSV, the first line of a cell with two is whole
    for length in {0, 5, *range(last - 1, len(whole), 7), in_cell, len(whole) - 1}:
        Path(name).write_bytes(whole[:length])
        lab.server.will(echo)
        ran = lab.batch("-o", name, "--ordered", stdin=rows)
        assert ran.code == 0, (length, ran.err)
        assert len(Path(name).read_bytes().splitlines()) == len(whole.splitlines()), length
        assert len(lab.server.asked) == (1 if length >= last else 2), length


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (("-", "Tell {{ body }}"), "the prompt has changed"),
        (("-", "Say {{ body }}", "--schema", "a"), "the schema has changed"),
        (("-", "Say {{ body }}", "-t", "0"), "the parameters have changed"),
        (("-", "Say {{ body }}", "-m", "lab/n"), "the model has changed"),
        (("-", "Say {{ body }}", "--system", "x"), "the prompt has changed"),
        (("-", "Say {{ body }}", "--format", "csv"), "the format has changed"),
    ],
)
def test_a_changed_command_is_refused_and_fresh_starts_over(
    lab: Lab, changed: tuple[str, ...], words: str
) -> None:
    assert lab.batch("-", "Say {{ body }}", "-o", "out.jsonl", stdin=ROWS).code == 0
    before = Path("out.jsonl").read_bytes()
    lab.server.will(echo)
    ran = lab.batch(*changed, "-o", "out.jsonl", stdin=ROWS)
    assert ran.code == 2
    assert words in ran.err
    assert "--fresh" in ran.err
    assert Path("out.jsonl").read_bytes() == before
    assert not lab.server.asked
    lab.batch(*changed, "-o", "out.jsonl", "--fresh", stdin=ROWS)
    assert lab.server.asked


def test_a_file_of_somebody_else_is_never_touched(lab: Lab) -> None:
    Path("mine.jsonl").write_text('{"a": 1}\n')
    for more in ((), ("--fresh",)):
        ran = lab.batch("-o", "mine.jsonl", *more, stdin=b"x\n")
        assert (ran.code, Path("mine.jsonl").read_text()) == (2, '{"a": 1}\n')
        assert "is not the output of telex batch" in ran.err
        assert not Path("mine.jsonl.state").exists()
    Path("rows.txt").write_text("one\n")
    for name in ("rows.txt", "./rows.txt"):
        assert "is the input, too" in lab.batch("rows.txt", "-o", name, "--fresh").err
    assert Path("rows.txt").read_text() == "one\n"


@pytest.mark.parametrize(
    "state", ["", "x", "[]", '{"telex_batch": [[1, 2]]}', '{"telex_batch": 1}', "[" * 5000]
)
def test_an_output_whose_state_is_damaged_is_unchanged(lab: Lab, state: str) -> None:
    assert lab.batch("-o", "out.jsonl", stdin=b"x\n").code == 0
    before = Path("out.jsonl").read_bytes()
    Path("out.jsonl.state").write_text(state)
    for more in ((), ("--fresh",)):
        ran = lab.batch("-o", "out.jsonl", *more, stdin=b"x\n")
        assert (ran.code, Path("out.jsonl").read_bytes()) == (2, before)
        assert "(out.jsonl.state is missing or damaged)" in ran.err


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv"])
def test_a_line_that_telex_did_not_write_is_reported_and_unchanged(lab: Lab, name: str) -> None:
    assert lab.batch("-o", name, stdin=b"x\n").code == 0
    written = Path(name).read_text()
    (good,) = lines(written) if name == "out.jsonl" else csv.DictReader(written.splitlines())
    forged = ["a note of mine"]
    for row in (10**30, -(10**30), "x", float("inf")):
        bad = {**good, "row": row}
        cells = io.StringIO()
        csv.writer(cells).writerow(bad.values())
        forged.append(json.dumps(bad) if name == "out.jsonl" else cells.getvalue().strip())
    if name == "out.csv":
        forged += [f"{written.splitlines()[1]},more", '2,"x"y,\n']
        Path(name).write_text(f"no{written}")
        assert f"{name} has other columns" in lab.batch("-o", name, stdin=b"x\n").err
    for line in forged:
        Path(name).write_text(f"{written}{line}\n")
        ran = lab.batch("-o", name, stdin=b"x\n")
        assert ran.code == 2
        assert f"of {name} is not a result of telex batch" in ran.err
        assert Path(name).read_text() == f"{written}{line}\n"
    assert len(lab.server.asked) == 1


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv"])
def test_a_row_that_was_edited_is_run_again(lab: Lab, name: str) -> None:
    command = ("-", "Say {{ body }}", "-o", name)
    assert lab.batch(*command, stdin=ROWS).code == 0
    edited = b'{"id": "a", "body": "ONE", "x": 1}\n{"id": "b", "x": "new", "body": "two"}\n'
    for more, sent in ((("--retry-failed",), []), ((), ["Say ONE"]), ((), [])):
        lab.server.will(echo)
        assert lab.batch(*command, *more, stdin=edited).code == 0
        assert lab.prompts() == sent
    text = Path(name).read_text()
    found = lines(text) if name == "out.jsonl" else list(csv.DictReader(io.StringIO(text)))
    assert sorted((each["id"], each["text"]) for each in found) == [("a", "Say ONE"), ("b", "Say two")]
    lab.server.will(refusal(400))
    assert lab.batch(*command, stdin=ROWS).code == 6
    assert "Say ONE" not in Path(name).read_text(), "the answer to another question"


def test_a_file_that_was_edited_is_answered_again(lab: Lab) -> None:
    command = ("--each-file", "a.md", "b.md", "Translate.", "--output-dir", "new")
    Path("a.md").write_text("one")
    Path("b.md").write_text("two")
    assert lab.batch(*command).code == 0
    Path("a.md").write_text("ONE")
    lab.server.will(echo)
    assert lab.batch(*command).code == 0
    assert lab.prompts() == ["ONE\n\nTranslate."]
    assert Path("new/a.md").read_text() == "ONE\n\nTranslate.\n"


def test_retry_failed_limit_and_sample_choose_rows(lab: Lab) -> None:
    rows = "".join(f"{n}\n" for n in range(100)).encode()
    samples = []
    for _ in range(2):
        lab.server.will(echo)
        assert lab.batch("--sample", "5", stdin=rows).code == 0
        samples.append(lab.prompts())
    assert samples[0] == samples[1]
    assert len(samples[0]) == 5
    assert samples[0] != ["0", "1", "2", "3", "4"]
    lab.server.will(
        lambda asked: refusal(400) if asked.body["messages"][-1]["content"] == "3" else echo(asked)
    )
    assert lab.batch("-o", "out.jsonl", "--limit", "5", stdin=rows).code == 6
    lab.server.will(echo)
    ran = lab.batch("-o", "out.jsonl", "--retry-failed", stdin=rows)
    assert (ran.code, lab.prompts()) == (0, ["3"])
    assert "because of --limit, --sample or --retry-failed" in ran.err
    lab.server.will(echo)
    lab.batch("-o", "out.jsonl", "--limit", "2", stdin=rows)
    assert lab.prompts() == ["5", "6"]
    for more, sent in ((5, 5), (5, 0), (8, 3)):  # a larger sample includes a smaller one
        lab.server.will(echo)
        assert lab.batch("-o", "sample.jsonl", "--sample", str(more), stdin=rows).code == 0
        assert len(lab.prompts()) == sent


def test_results_without_a_row_in_the_input_are_reported(lab: Lab) -> None:
    lab.server.will(echo)
    assert "without a row" not in lab.batch("-o", "out.jsonl", stdin=b"one\ntwo\n").err
    ran = lab.batch("-o", "out.jsonl", stdin=b"one\nthree\n")
    assert "Warning: out.jsonl has 1 result without a row" in ran.err
    assert "without a row" not in lab.batch("-o", "out.jsonl", "--limit", "1", stdin=b"one\nfour\nfive\n").err


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv"])
def test_the_failed_result_of_a_line_that_was_corrected_is_removed(lab: Lab, name: str) -> None:
    command = ("-o", name, "--input-format", "jsonl", "-", "{{ a }}")
    assert lab.batch(*command, stdin=b'{"a": "1"}\n{"a": }\n').code == 6
    assert lab.batch(*command, "--limit", "1", stdin=b'{"a": "1"}\n{"a": "2"}\n{"a": "3"}\n').code == 0
    assert "not valid JSON" in Path(name).read_text()
    ran = lab.batch(*command, stdin=b'{"a": "1"}\n{"a": "2"}\n')
    assert (ran.code, "without a row" in ran.err) == (0, False)
    assert len(Path(name).read_text().splitlines()) == 2 + name.endswith("csv")


# --- before and after --------------------------------------------------------------------------------------


def test_dry_run_counts_and_sends_nothing(lab: Lab) -> None:
    command = ("-", "Say {{ body }}", "-o", "out.jsonl")
    ran = lab.batch(*command[:2], "--dry-run", "--max-tokens", "7", stdin=ROWS + b"broken\n")
    found = json.loads(ran.text)
    assert (found["rows"], found["bad_rows"], found["output_tokens_at_most"]) == (3, 1, 14)
    assert found["input_tokens_estimate"] > 4
    assert found["first_request"]["body"]["messages"][0]["content"] == "Say one"
    assert not lab.server.asked
    assert lab.batch(*command, "--limit", "1", stdin=ROWS).code == 0
    for more, counts in (((), (1, 1)), (("--fresh",), (2, 0))):
        found = json.loads(lab.batch(*command, "--dry-run", *more, stdin=ROWS).text)
        assert (found["rows"], found["rows_done_before"]) == counts
    assert len(lab.server.asked) == 1
    Path("a.md").write_text("x")
    assert lab.batch("--each-file", "a.md", "Go.", "--output-dir", "en", "--dry-run").code == 0
    assert not Path("en").exists()


def test_dry_run_estimates_the_cost_and_says_what_it_lacks(lab: Lab) -> None:
    models = [{"id": "m", "price_in": 1000000, "price_out": 1000000}]
    lab.provider("priced", lab.server.url, models=models)
    lacks = "The estimate does not include the answers"
    for more, model, output in (((), "priced", 0), (("--max-tokens", "7"), "priced", 14), ((), "lab", None)):
        ran = lab("batch", "-", "{{ body }}", "-m", model, "--dry-run", *more, stdin=ROWS)
        found = json.loads(ran.text)
        cost = None if output is None else found["input_tokens_estimate"] + output
        assert (found["cost_estimate"], lacks in ran.err) == (cost, output == 0)
        assert found["models"] == [f"{model}/m"]
    rows = b"1\n2\n" + b"\xff\n" * 7
    assert lab.batch("--dry-run", stdin=rows).err.count("it is not UTF-8") == 5, "the others are only counted"


def test_a_limit_on_unknown_costs_is_reported(lab: Lab) -> None:
    words = "The price of lab/m is unknown: --max-cost counts only what the server reports."
    assert words in lab.batch("--max-cost", "1", stdin=b"x\n").err
    assert words not in lab.batch("--max-cost", "1", "-q", stdin=b"x\n").err


MISTAKES = [
    ("- {{nothing}}", ROWS, "line 1: the row has no column nothing\n  Its columns: id, body, x"),
    ("- {{a}}", b"a,b\n1,2\n", "For CSV, add --input-format csv"),
    ("-", b'{"custom_id": "x", "body": {}}\n', "OpenAI's Batch API: jq -c '{id: .custom_id"),
    ("- Hi", ROWS, "the prompt uses none of its columns"),
    ("- {{a}} --input-format csv", b"a b\n1\n", "In the prompt, {{ a_b }} is the column a b."),
    ("- {{body", ROWS, "missing }} after {{"),
    ("- {{body}} --columns y", ROWS, "--columns y: the input has no such column"),
    ("- {{body}} --id-column y", ROWS, "--id-column y: the input has no such column"),
    ("- {{body}} --columns text", ROWS, "--columns text: the output has a field of this name"),
    ("no.jsonl {{body}}", ROWS, "no.jsonl cannot be read: No such file"),
    ("no.jsonl", ROWS, "name the input first: telex batch - 'no.jsonl'"),
    ("- one two", ROWS, "too many arguments"),
    ("--output-dir x", b"", "--output-dir requires --each-file"),
    ("--retry-failed", b"", "--retry-failed requires --output"),
    ("--csv-safe", b"x\n", "--csv-safe requires --format csv"),
    ("--limit 1 --sample 1", b"x\n", "--limit and --sample cannot be used together"),
    ("-p stream=1", b"x\n", "-p stream: telex sets this field"),
    ("- {{body}} --var z=1", ROWS, "the prompt has no variable 'z'"),
    ("--deadline soon", b"x\n", "is not a duration"),
    ("--each-file no.md Go", b"", "no.md is not a file"),
    ("--input-format csv", b"a,a\n1,2\n", "two columns called a"),
    ("-o no/such/out.jsonl", b"x\n", "cannot write no/such/out.jsonl"),
    ("-o .", b"x\n", "cannot write .: Is a directory"),
    ("--fresh", b"x\n", "--fresh requires --output"),
    ("--var a=b", b"x\n", "--var requires --template or a prompt"),
    ("-o x --fresh --retry-failed", b"x\n", "--fresh and --retry-failed cannot be used together"),
    ("--each-file Hi --input-format csv", b"x\n", "--input-format and --each-file cannot be used together"),
    ("--via dask --scheduler tcp://x:1 --tpm 2", b"x\n", "--via dask and --tpm cannot be used together"),
    ("-x --schema a", b"x\n", "--extract and a schema cannot be used together"),
    ("- {{b}} --input-format csv", b"a;b\n1;2\n", "mlr --icsv --ifs ';' --ocsv cat"),
    ("--via dask", b"x\n", "--via dask requires --scheduler"),
    ("--scheduler tcp://x:1", b"x\n", "--scheduler requires --via dask"),
    ("--via dask --scheduler tcp://x:1 --rpm 2", b"x\n", "--via dask and --rpm cannot be used together"),
    ("--via provider", b"x\n", "--via provider requires --output"),
    ("--via provider -o -", b"x\n", "--via provider requires --output"),
    ("--via provider -o x -m other", b"x\n", "--via provider and several models cannot be used together"),
    ("-o /dev/full", b"x\n", "it is not a regular file"),
    ("--via provider -o x -j 2", b"x\n", "--via provider and --jobs cannot be used together"),
]


def test_durations_have_units() -> None:
    values = {text: Duration().convert(text, None, None) for text in ("5", "90s", "1.5m", "8h", "2d")}
    assert values == {"5": 5, "90s": 90, "1.5m": 90, "8h": 28_800, "2d": 172_800}


@pytest.mark.parametrize(("arguments", "stdin", "words"), MISTAKES)
def test_a_mistake_is_reported_before_anything_is_sent(
    lab: Lab, arguments: str, stdin: bytes, words: str
) -> None:
    lab.provider("other", lab.server.url)
    ran = lab.batch(*arguments.split(), stdin=stdin)
    assert (ran.code, lab.server.asked) == (2, []), ran.err
    assert words in ran.err


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv"])
def test_a_command_with_a_mistake_can_be_repeated_without_it(lab: Lab, name: str) -> None:
    assert lab.batch("-", "{{ nothing }}", "-o", name, stdin=ROWS).code == 2
    ran = lab.batch("-", "{{ body }}", "-o", name, stdin=ROWS)
    assert ran.code == 0, ran.err
    assert len(Path(name).read_text().splitlines()) == 2 + name.endswith("csv")


@pytest.mark.parametrize(
    ("reply", "arguments", "code", "words"),
    [
        (refusal(401), (), 4, "requires an API key"),
        (refusal(402), (), 5, ""),
        (refusal(400), (), 6, "12 rows are not complete"),
        (refusal(400), ("--max-errors", "2"), 6, "(--max-errors)"),
        (answer("half", finish="length"), (), 6, "12 rows are not complete"),
        (answer("half", finish="length"), ("--max-tokens", "1"), 0, "12 rows complete"),
        (answer("x", usage={"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.05}),
         ("--max-cost", "0.1", "-j", "1"), 5, "(--max-cost)"),
    ],
)  # fmt: skip
def test_failed_rows_set_the_exit_code(
    lab: Lab, reply: Any, arguments: tuple[str, ...], code: int, words: str
) -> None:
    lab.server.will(reply)
    ran = lab.batch("-o", "out.jsonl", *arguments, stdin="".join(f"{n}\n" for n in range(12)).encode())
    assert ran.code == code, ran.err
    assert words in ran.err
    if code in (4, 5) or "--max-errors" in arguments:
        assert "Repeat the command to do the rest." in ran.err


def test_quiet_reports_only_what_failed(lab: Lab) -> None:
    lab.server.will(lambda asked: refusal(400) if b"bad" in asked.raw else echo(asked))
    assert lab.batch("-q", stdin=b"good\n").err == ""
    assert "1 row is not complete:" in lab.batch("-q", stdin=b"good\nbad\n").err


def test_a_server_that_is_not_there_is_exit_7(lab: Lab) -> None:
    lab.provider("gone", "http://127.0.0.1:9/v1", retries=0)
    ran = lab("batch", "-m", "gone", "-o", "out.jsonl", stdin=b"x\ny\n")
    assert (ran.code, "Repeat the command" in ran.err, "no rows" in ran.err) == (7, True, False)
    ran = lab.batch("-o", "out.csv", stdin=b"")
    assert (ran.code, ran.err) == (0, "The input has no rows.\n")
    assert Path("out.csv").read_text().startswith("id,row,text,")


def test_requests_are_counted_in_the_ledger_and_the_budget_applies(lab: Lab) -> None:
    lab.server.will(
        lambda asked: Answer(answer("x", usage={"prompt_tokens": 3, "completion_tokens": 2, "cost": 1}))
    )
    before = lab.settings.read_text()
    assert lab.batch("-j", "1", stdin=b"1\n2\n3\n").code == 0
    from provider_core.history import History

    history = History(lab.paths.history)
    (total,) = history.ledger.totals("command")
    history.close()
    assert (total.key, total.requests, total.input) == ("batch", 3, 9)
    lab.configure(f"[budget]\nday = 2\n{before}")
    ran = lab.batch("-o", "out.jsonl", stdin=b"1\n2\n3\n")
    assert ran.code == 5
    assert "the budget for today is spent" in ran.err


def test_a_key_is_in_no_result_and_no_message(lab: Lab) -> None:
    key = "sk-canary-0123456789abcdef"
    lab.provider("keyed", lab.server.url, key=None, key_env="LAB_KEY", retries=0)
    lab.server.will(lambda asked: refusal(400, f"no: {asked.headers['authorization']} {asked.raw!r}"))
    ran = lab("batch", "-m", "keyed/m", "-o", "out.jsonl", stdin=b"one\n", env={"LAB_KEY": key})
    assert ran.code == 6
    assert lab.server.asked[0].headers["authorization"] == f"Bearer {key}"
    texts = [path.read_bytes() for path in Path.cwd().rglob("*") if path.is_file()]
    assert any(b"[redacted]" in text for text in texts)
    assert not any(key.encode() in text for text in (ran.out, ran.err.encode(), *texts))


def test_no_column_and_no_answer_reaches_the_terminal_or_a_command(lab: Lab) -> None:
    evil = "$(touch evil) `touch evil` ; touch evil \x1b]0;x\x07 {{ id }}"
    lab.server.will(lambda asked: Answer(answer(asked.body["messages"][-1]["content"])))
    rows = json.dumps({"id": evil, "prompt": evil}).encode()
    ran = lab.batch("-o", "out.jsonl", stdin=rows)
    assert ran.code == 0
    assert "\x1b" not in ran.err
    assert not Path("evil").exists()
    (found,) = lines(Path("out.jsonl").read_text())
    assert (found["id"], found["text"]) == (evil, evil)


# --- progress ----------------------------------------------------------------------------------------------


def test_without_a_terminal_a_line_every_ten_seconds_shows_the_progress(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from provider_core.batches import Result, Row, Run
    from provider_core.errors import RateLimitError
    from telex.batch.progress import BatchProgress
    from telex.console import Console

    now = 0.0
    run = Run([])
    run.in_flight = 4
    progress = BatchProgress(
        Console(environ={}), before=lambda: 5, fraction=lambda: now / 100, quiet=False, clock=lambda: now
    )
    shown = []
    for second in range(31):
        now = float(second)
        failed = RateLimitError("slow down", provider="lab", status=429)
        result = Result(row=Row(number=second, id=second), error=failed if second % 10 == 9 else None)
        run._count(result)
        progress.add(result)
        progress.show(run)
        if err := capsys.readouterr().err:
            shown.append((second, err))
    assert [second for second, _ in shown] == [10, 20, 30]
    assert shown[0][1] == "16 done (8%) · 11 failed · 1.1 rows/s · 3 minutes left · 4 in flight\n"
    run.in_flight, run.resting, now = 0, 42.0, 40.0
    progress.show(run)
    assert "waiting 42 s: rate limited or overloaded" in capsys.readouterr().err
    unknown = BatchProgress(Console(environ={}), quiet=False, clock=lambda: now)
    run.done, run.in_flight, now = 40, 4, 55.0
    unknown.show(run)
    assert capsys.readouterr().err == "40 done · 31 failed · 2.7 rows/s · 4 in flight\n"
    run.stop()
    unknown.show(run)
    unknown.show(run)
    assert capsys.readouterr().err == "Stopping: 4 requests in flight. Ctrl-C again: stop now.\n"
    progress.summary(run, skipped=0, show_failed="jq")
    assert "       3  RateLimitError (429), such as: slow down\n" in capsys.readouterr().err


# --- aliases -----------------------------------------------------------------------------------------------


def test_an_alias_has_options_and_models_to_fall_back_to(lab: Lab) -> None:
    lab.provider("gone", "http://127.0.0.1:9/v1", retries=0)
    lab.configure(
        "[aliases.fleet]\ntargets = ['gone/m', 'lab/n']\nsystem = 'Braces: {{ x }}'\ntemperature = 0.25\n"
        + lab.settings.read_text()
    )
    ran = lab("batch", "-m", "fleet", "-o", "out.jsonl", "-t", "0.5", stdin=b"1\n2\n3\n")
    assert ran.code == 0, ran.err
    assert {line["model"] for line in lines(Path("out.jsonl").read_text())} == {"lab/n"}
    assert "gone/m at http://127.0.0.1:9/v1 is not used any more" in ran.err
    body = lab.server.asked[0].body
    assert (body["model"], body["temperature"]) == ("n", 0.5)
    assert body["messages"][0] == {"role": "system", "content": "Braces: {{ x }}"}
    lab.server.will(echo)
    rows = b'{"prompt": "a", "model": "fleet"}\n{"prompt": "b", "model": "lab/o"}\n'
    ran = lab("batch", "-m", "lab", "--input-format", "jsonl", stdin=rows)
    assert ran.code == 0, ran.err
    assert sorted((asked.body["model"], asked.body.get("temperature")) for asked in lab.server.asked) == [
        ("n", 0.25), ("o", None),
    ]  # fmt: skip


def test_a_fallback_is_asked_while_the_preferred_model_is_limited(lab: Lab) -> None:
    lab.configure("[aliases.fleet]\ntargets = ['lab/a', 'lab/b']\n" + lab.settings.read_text())

    def serve(asked: Asked) -> Answer:
        if asked.body["model"] == "a":
            return Answer([b"{}"], status=429, headers={"retry-after": "20"})
        return echo(asked)

    lab.server.will(serve)
    ran = lab("batch", "-m", "fleet", "-j", "2", stdin="".join(f"{n}\n" for n in range(20)).encode())
    assert ran.code == 0, ran.err
    asked = [each.body["model"] for each in lab.server.asked]
    assert asked.count("b") == 20
    assert asked.count("a") <= 2
