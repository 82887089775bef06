"""The rows of a batch: what each input format yields, which rows are bad, and the plan that a row becomes."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from provider_core import limits
from provider_core.batches import Row, RowReader, file_rows, planner, rows_of
from provider_core.errors import InvalidInputError, VariableError
from provider_core.templates import Template, inline
from provider_core.types import ImagePart, Provider, Request, Target, TextPart

if TYPE_CHECKING:
    from pathlib import Path

    from provider_core.batches import InputFormat
    from provider_core.chat import ChatPlan


def read(data: bytes, format_: InputFormat | None = None, **options: Any) -> list[Row]:
    return list(RowReader(io.BufferedReader(io.BytesIO(data)), format_, **options))  # type: ignore[arg-type]


def test_the_fraction_of_a_small_file_counts_the_rows_that_were_taken(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes('a,b\n"x","\u00fc"\n"y","z"\n'.encode())
    with path.open("rb") as file:
        reader = RowReader(file, "csv")
        found = [reader.fraction for _ in reader]
    assert found == [pytest.approx(13 / 21), 1.0]
    assert RowReader(io.BufferedReader(io.BytesIO(b"a"))).fraction is None


# --- reading -----------------------------------------------------------------------------------------------

BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("format_", "data", "expected"),
    [
        ("jsonl", b'{"a": 1}\n\n"text"\n', [({"a": 1}, None), ({}, "text")]),
        ("jsonl", BOM + b'{"a": 1}\r\n{"a": 2}', [({"a": 1}, None), ({"a": 2}, None)]),
        (None, b'{"a": 1}', [({"a": 1}, None)]),
        (None, b"one\r\n\n  two ", [({}, "one"), ({}, "two")]),
        ("lines", b'"quoted"\n', [({}, '"quoted"')]),
        ("csv", BOM + b"a,b\r\n1,2\r\n\r\n3,4", [({"a": "1", "b": "2"}, None), ({"a": "3", "b": "4"}, None)]),
        ("csv", b'a,b\n"x\ny","say ""hi"""\n', [({"a": "x\ny", "b": 'say "hi"'}, None)]),
        ("csv", "a\n\u00fc\u2028\n".encode(), [({"a": "\u00fc\u2028"}, None)]),
        ("tsv", b"a\tb\n1,5\t2\n", [({"a": "1,5", "b": "2"}, None)]),
        ("csv", b",a,\n0,1,\n", [({"a": "1"}, None)]),
        ("csv", b"", []),
        ("jsonl", BOM, []),
    ],
)
def test_each_format_yields_columns_or_a_text(format_: Any, data: bytes, expected: Any) -> None:
    rows = read(data, format_)
    assert [(row.columns, row.text) for row in rows] == expected
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    assert all(row.error is None for row in rows)


@pytest.mark.parametrize("value", ["null", "true", '""', "NaN", "1e999", '{"a": 1}', "[1]"])
def test_only_texts_and_finite_numbers_are_ids(value: str) -> None:
    (row,) = read(f'{{"id": {value}}}\n'.encode(), "jsonl")
    assert (row.error, str(row.id).startswith("1-")) == (None, True)


def test_nan_is_read_as_null_and_half_a_surrogate_pair_is_refused() -> None:
    nan, half, whole = read(b'{"a": NaN}\n{"a": "\\ud83d"}\n{"a": "\\uD83D\\uDE00"}\n', "jsonl")
    assert (nan.columns, whole.columns) == ({"a": None}, {"a": "\U0001f600"})
    assert half.error is not None
    assert half.error.message == "line 2 of stdin cannot be used: it is not valid Unicode"


@pytest.mark.parametrize(
    ("format_", "data", "line", "words"),
    [
        ("jsonl", b'{"a": 1}\n\n{"a": \n{"a": 2}\n', 3, "it is not valid JSON"),
        ("jsonl", b'{"a": 1}\n[1]\n{"a": 2}\n', 2, "it is neither a JSON object nor a string"),
        ("jsonl", b'{"a": 1}\n{"a": "\xff"}\n{"a": 2}\n', 2, "it is not UTF-8"),
        ("jsonl", b'{"a": 1}\n' + b"[" * 100_000 + b'\n{"a": 2}\n', 2, "it is not valid JSON"),
        (
            "jsonl",
            b'{"a": 1}\n{"a": ' + b"[" * 200 + b"]" * 200 + b'}\n{"a": 2}\n',
            2,
            "it is nested too deeply",
        ),
        ("csv", b"a,b\n1,2\n3\n4,5\n", 3, "it has 1 cells, and the header has 2"),
        ("csv", b'a,b\n1,2\n"x"y,3\n4,5\n', 3, "its cells cannot be read"),
        ("csv", b"a,b\n1,2\n3,4\r5,6\n7,8\n", 3, "its cells cannot be read: it has a carriage return"),
        ("csv", b"a\n1\n\xff\n2\n", 3, "it is not UTF-8"),
        ("csv", b"a\n1\n\x80\n2\n", 3, "it is not UTF-8"),
        ("lines", b"one\n\xff\ntwo\n", 2, "it is not UTF-8"),
    ],
)
def test_a_bad_row_has_an_error_with_its_line_and_the_others_are_read(
    format_: Any, data: bytes, line: int, words: str
) -> None:
    first, bad, last = read(data, format_, name="rows")
    assert first.error is last.error is None
    assert [row.number for row in (first, bad, last)] == [1, 2, 3]
    assert bad.error is not None
    assert bad.error.message.startswith(f"line {line} of rows cannot be used: {words}")
    assert (bad.error.code, bad.line) == ("bad_row", line)


def test_a_row_that_is_too_long_is_skipped_without_being_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BATCH_ROW", 1000)
    long = json.dumps("x" * 5_000_000).encode()
    first, bad, last = read(b'"one"\n' + long + b'\n"two"\n', "jsonl")
    assert (first.text, last.text) == ("one", "two")
    assert bad.error is not None
    assert "it is longer than" in bad.error.message


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"a,b,a\n", "two columns called a"),
        (b"\xff,b\n", "is not UTF-8"),
        (b'"a\n', "cannot be read: a cell begins with a quotation mark that is not closed"),
        (b"a" * 10_000_001, "cannot be read: a cell is longer than 10 MB"),
    ],
)
def test_a_header_that_cannot_be_used_ends_the_input(data: bytes, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        read(data, "csv")


@pytest.mark.parametrize("format_", ["csv", "jsonl", None])
def test_compressed_and_wide_input_is_refused(format_: Any) -> None:
    zipped = gzip.compress(b'{"a": 1}')
    with pytest.raises(InvalidInputError, match="is compressed"):
        read(zipped, format_)
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"):
        wide = encoding[:6]
        with pytest.raises(InvalidInputError, match=f"is {wide.upper()}. Pipe it through iconv -f {wide} "):
            read("a,b\n".encode(encoding), format_)


def test_a_value_may_be_nested_as_deeply_as_it_can_be_written_again() -> None:
    values = [b'{"a": ' + b"[" * depth + b"]" * depth + b"}" for depth in (199, 200)]
    wide = b'{"a": [' + b"[], " * 500 + b'{"b": {}}]}'
    first, second, third = read(b"\n".join([*values, wide]), "jsonl")
    assert (first.error, second.error is None, third.error) == (None, False, None)


def test_an_array_in_place_of_lines_is_reported_with_its_cure() -> None:
    for data in (b'[{"a": 1}]', b'[\n{"a": 1}\n]'):
        error = read(data)[0].error
        assert error is not None
        assert error.message.endswith("; to convert an array: jq -c '.[]'")


def test_rows_are_known_by_their_id_else_by_number_and_content() -> None:
    rows = read(b'{"id": 7}\n{"id": "x"}\n{"id": ""}\n{"id": null}\n"a"\n"a"\n')
    assert [row.key for row in rows[:2]] == ["7", "x"]
    assert len({row.key for row in rows}) == 6
    again = read(b'{"id": 7}\n{"id": "x"}\n{"id": ""}\n{"id": null}\n"a"\n"b"')
    same = [one.key == other.key for one, other in zip(rows, again, strict=True)]
    assert same == [True, True, True, True, True, False]
    assert read(b"key,id\nk,1\n", "csv", id_column="key")[0].id == "k"


def test_memory_does_not_grow_with_the_rows() -> None:
    class Endless(io.RawIOBase):
        left = 20_000

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            line = b'{"id": 1, "body": "some text"}\n'
            self.left -= 1
            buffer[: len(line)] = line
            return len(line) if self.left else 0

    reader = iter(RowReader(io.BufferedReader(Endless()), "jsonl"))
    next(reader)
    tracemalloc.start()
    count = sum(1 for _ in reader)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 19_998
    assert peak < 3_000_000, "all rows take 10 MB"


def test_each_file_is_a_row_and_one_that_cannot_be_read_is_a_bad_row(tmp_path: Path) -> None:
    good = tmp_path / "a.md"
    good.write_text("hello")
    rows = list(file_rows([str(good), str(tmp_path / "none")]))
    assert rows[0].columns == {"file": str(good), "text": "hello"}
    assert rows[1].error is not None
    assert [(row.number, row.key) for row in rows] == [(1, str(good)), (2, str(tmp_path / "none"))]
    assert [row.number for row in rows_of(["a", {"text": "b"}])] == [1, 2]
    number: Any = 5
    with pytest.raises(TypeError, match="a row is a text or a mapping, not int"):
        list(rows_of([number]))


# --- planning ----------------------------------------------------------------------------------------------

TARGET = Target(provider=Provider(name="lab", base_url="http://127.0.0.1:9/v1"), model="m")
REQUEST = Request(model="", messages=(), temperature=0.5)


def plan(value: Any, prompt: str = "", **fields: Any) -> ChatPlan:
    (row,) = rows_of([value])
    made = planner(prompt=inline(prompt, "the prompt") if prompt else None, request=REQUEST, **fields)
    return made.plan(row, TARGET)


def said(value: Any, prompt: str = "", **fields: Any) -> list[tuple[str, Any]]:
    return [(message.role, message.content) for message in plan(value, prompt, **fields).request.messages]


def template(prompt: str = "", system: str = "") -> Template:
    from pathlib import Path

    return Template(name="t", path=Path("t.toml"), prompt=prompt, system=system)


@pytest.mark.parametrize(
    ("value", "prompt", "expected"),
    [
        ({"body": "x"}, "Say: {{ body }}", "Say: x"),
        ({"body": "{{ other }}", "other": "no"}, "Say: {{ body }}", "Say: {{ other }}"),
        ({"n": 5, "yes": True, "list": [1, "é"]}, "{{ n }} {{ yes }} {{ list }}", '5 true [1, "é"]'),
        ({"body": None}, "Say: {{ body | nothing }}", "Say: nothing"),
        ({"body": ""}, "Say: {{ body }}.", "Say: ."),
        ({"First Name": "Ada", "x.y": ""}, "{{ First_Name }}: {{ x_y }}.", "Ada: ."),
        ({"other": 1, "a": "b"}, "{{ body | nothing }} {{ a }}", "nothing b"),
        ("a line", "Translate.", "a line\n\nTranslate."),
        ("a line", "Say {{ text }} twice.", "Say a line twice."),
        ("a line", "", "a line"),
        ({"prompt": "Why?"}, "", "Why?"),
        ({"prompt": "Why?"}, "Be brief.", "Why?\n\nBe brief."),
        ({"text": "Why?", "x": 1}, "Be brief.", "Why?\n\nBe brief."),
        ({"model": "T1000", "prompt": "x"}, "A car: {{ model }}", "A car: T1000"),
        ({"body": "x"}, r"\{{ body }} {{ body }}", "{{ body }} x"),
    ],
)
def test_columns_and_texts_become_the_prompt(value: Any, prompt: str, expected: str) -> None:
    assert said(value, prompt) == [("user", expected)]


def test_a_template_has_the_row_and_what_was_typed() -> None:
    made = template("{{ stdin }} / {{ prompt }} / {{ tone | dry }}", "For {{ who }}.")
    assert said({"text": "row", "who": "us"}, "typed {{ who }}", template=made) == [
        ("system", "For us."),
        ("user", "row / typed us / dry"),
    ]
    assert said("row", "", template=template("Sort it."), values={}) == [("user", "row\n\nSort it.")]
    assert said({"a": "x"}, "{{ a }} {{ b }}", values={"b": "given"}) == [("user", "x given")]
    with pytest.raises(VariableError, match="no variable 'c'"):
        planner(prompt=inline("{{ a }}", "the prompt"), request=REQUEST, values={"c": ""})


def test_a_column_names_the_model_unless_the_prompt_uses_it() -> None:
    (row,) = rows_of([{"model": "a/b", "prompt": "x"}])
    assert planner(request=REQUEST).model(row) == "a/b"
    assert planner(request=REQUEST, prompt=inline("{{ model }}", "the prompt")).model(row) is None
    (row,) = rows_of([{"model": 5}])
    with pytest.raises(InvalidInputError, match="the column model is not a text"):
        planner(request=REQUEST).model(row)


@pytest.mark.parametrize(
    ("before", "after", "is_edited"),
    [
        ({"body": "x"}, {"body": "y"}, True),
        ({"body": "x", "note": 1}, {"note": 2, "body": "x"}, False),
        ({"body": "x"}, {"body": "x", "system": "S"}, True),
        ({"body": "x", "Who Asks": "a"}, {"body": "x", "Who Asks": "b"}, True),
        ({"body": "x", "text": "a"}, {"body": "x", "text": "b"}, True),
        ("x", "y", True),
        ({"body": ["\ud800"]}, {"body": ["\ud800"]}, False),
    ],
)
def test_a_row_is_edited_if_its_request_may_change(before: Any, after: Any, is_edited: bool) -> None:
    made = planner(prompt=inline("{{ body }} {{ Who_Asks | us }}", "the prompt"), request=REQUEST)
    one, other = (made.row_hash(row) for row in rows_of([before, after]))
    assert (one != other) == is_edited


def test_columns_set_the_request_of_their_row() -> None:
    value = {
        "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
        "system": "S", "prompt": "c", "temperature": "0", "max_tokens": "5", "reasoning_effort": "low",
        "params": '{"top_p": 0.5}',
    }  # fmt: skip
    request = plan(value).request
    roles = [(message.role, message.content) for message in request.messages]
    assert roles == [("system", "S"), ("user", "a"), ("assistant", "b"), ("user", "c")]
    assert (request.temperature, request.max_tokens, request.reasoning_effort) == (0.0, 5, "low")
    assert request.params == {"top_p": 0.5}
    assert plan({"prompt": "x", "temperature": ""}).request.temperature == 0.5
    picture = [{"type": "text", "text": "t"}, {"type": "image_url", "image_url": {"url": "https://a/b"}}]
    assert said({"messages": [{"role": "user", "content": picture}]}) == [
        ("user", (TextPart(text="t"), ImagePart(url="https://a/b")))
    ]


@pytest.mark.parametrize(
    ("value", "prompt", "words"),
    [
        ({"title": "x"}, "Say {{ body }}", "the row has no column body"),
        ({"title": "x"}, "Say it", "the prompt uses none of its columns"),
        ({"body": " "}, "{{ body }}", "the prompt of the row is empty"),
        ({"messages": "x"}, "", "the column messages is not a list"),
        ({"messages": []}, "", "the column messages is not a list"),
        (
            {"messages": [{"role": "tool", "content": "x"}]},
            "",
            "message 1 of the column messages needs a role",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "file"}]}]}, "", "part of an unknown type"),
        ({"prompt": "x", "temperature": "hot"}, "", "the column temperature is not a number"),
        ({"prompt": "x", "temperature": True}, "", "the column temperature is not a number"),
        ({"prompt": "x", "temperature": -1}, "", "the column temperature is not a number"),
        ({"prompt": "x", "temperature": "inf"}, "", "the column temperature is not a number"),
        ({"prompt": "x", "max_tokens": 0}, "", "the column max_tokens is not a whole number"),
        ({"prompt": "x", "max_tokens": True}, "", "the column max_tokens is not a whole number"),
        ({"messages": [{"role": "user"}]}, "", "message 1 of the column messages has no text"),
        ({"messages": ["x"]}, "", "message 1 of the column messages needs a role"),
        ({"prompt": "x", "max_tokens": 1.5}, "", "the column max_tokens is not a whole number"),
        ({"prompt": "x", "params": "[1]"}, "", "the column params is not a JSON object"),
        ({"prompt": "x", "params": {"model": "y"}}, "", "the column params cannot set model"),
        ({"prompt": "x", "system": 5}, "", "the column system is not a text"),
    ],
)
def test_a_row_that_cannot_be_sent_says_why(value: Any, prompt: str, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        plan(value, prompt)
