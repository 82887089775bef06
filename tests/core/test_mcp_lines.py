"""Lines of a pipe that never fill the memory, and whose answer a line was that nobody could keep."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider_core.tools.mcp._lines import Lines, TooLong, answered


@given(st.lists(st.binary(max_size=40)), st.integers(1, 12))
def test_lines_are_the_same_however_the_bytes_arrive(parts: list[bytes], step: int) -> None:
    whole = b"".join(parts)
    lines = Lines(1000)
    found = [line for at in range(0, len(whole), step) for line in lines.feed(whole[at : at + step])]
    assert found == whole.split(b"\n")[:-1]


@given(st.integers(0, 3000), st.integers(1, 700))
def test_a_line_that_is_too_long_is_counted_and_not_kept(size: int, step: int) -> None:
    lines = Lines(1000)
    whole = b"a" * size + b"\nnext\n"
    first, second = (line for at in range(0, len(whole), step) for line in lines.feed(whole[at : at + step]))
    assert second == b"next"
    if size <= 1000:
        assert first == b"a" * size
    else:
        assert isinstance(first, TooLong)
        assert first.size == size
        assert first.start == first.end == b"a" * 256


INNER = {"text": 'x", "id": 9}', "id": 8, "more": [{"id": 7}]}


@pytest.mark.parametrize(
    "message",
    [
        {"jsonrpc": "2.0", "id": 5, "result": INNER},
        {"id": 5, "jsonrpc": "2.0", "result": INNER},
        {"id": 5, "result": INNER, "jsonrpc": "2.0"},
        {"result": INNER, "jsonrpc": "2.0", "id": 5},
        {"result": INNER, "id": 5, "jsonrpc": "2.0"},
        {"result": INNER, "id": 5},
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")], ids=["tight", "loose"])
def test_the_id_at_either_end_is_found(message: dict[str, object], separators: tuple[str, str]) -> None:
    assert answered(json.dumps(message, separators=separators).encode()) == 5


@pytest.mark.parametrize(
    "message",
    [
        {"result": INNER, "id": 5, "zzz": 1},
        {"jsonrpc": "2.0", "result": {"id": 9}},
        {"jsonrpc": "2.0", "method": "x", "params": {"id": 9}},
        {"jsonrpc": "2.0", "id": "5", "result": {}},
        {"jsonrpc": "2.0", "result": {"text": '{"id": 5}'}},
    ],
)
def test_an_id_elsewhere_is_not_taken_for_one(message: dict[str, object]) -> None:
    assert answered(json.dumps(message).encode()) is None
