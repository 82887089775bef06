"""``telex chat --whole``: an answer that is cut is continued, printed as one, and recorded in its parts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from inprocess import Inside
from scripted import answer

if TYPE_CHECKING:
    from pathlib import Path

    from scripted import Scripted

FIRST = "The sea is wide and grey, and the wind comes from the north, as it"
REST = " always does in winter."
USAGE = {"prompt_tokens": 9, "completion_tokens": 5}


@pytest.fixture
def telex(tmp_path: Path, server: Scripted) -> Inside:
    telex = Inside(tmp_path)
    telex.provider("a", server.url, key="none", retries=0, models=["m"])
    return telex


def in_two(server: Scripted) -> None:
    server.will(answer(FIRST, finish="length", usage=USAGE), answer(FIRST[-30:], REST, usage=USAGE))


def test_answer_is_printed_as_one(telex: Inside, server: Scripted) -> None:
    in_two(server)
    ran = telex("chat", "-m", "a/m", "--whole", "Go on")
    assert (ran.code, ran.out) == (0, f"{FIRST}{REST}\n".encode())
    assert "Continuing the answer." in ran.err
    assert "The answer was cut, and continued once." in ran.err
    in_two(server)
    assert telex("chat", "-m", "a/m", "--whole", "-q", "Go on").err == ""


def test_unverified_seam_is_reported(telex: Inside, server: Scripted) -> None:
    server.will(answer(FIRST, finish="length"), answer(REST))
    ran = telex("chat", "-m", "a/m", "--whole", "Go on")
    assert ran.out == f"{FIRST}{REST}\n".encode()
    assert f"Check the text after character {len(FIRST)}" in ran.err


def test_parts_are_in_json_and_in_the_history(telex: Inside, server: Scripted) -> None:
    in_two(server)
    found = json.loads(telex("chat", "-m", "a/m", "--whole", "--json", "Go on").out)
    assert found["text"] == FIRST + REST
    assert found["verdict"] == "complete"
    assert [part["characters"] for part in found["parts"]] == [len(FIRST), len(REST)]
    assert [part["seam"] for part in found["parts"]] == [None, "overlap"]
    assert (found["usage"]["input"], found["usage"]["output"]) == (18, 10)
    exported = telex("history", "export", "--all", "--format", "jsonl").out
    turns = [json.loads(line) for line in exported.splitlines()]
    assert [(turn["text"], turn["continues"]) for turn in turns] == [(FIRST, False), (REST, True)]
    assert "(continued)" in telex("history", "show").out.decode()
    server.will(answer("Yes."))
    telex("chat", "-c", "Really?")
    assert [each["content"] for each in server.asked[-1].body["messages"]] == [
        "Go on",
        FIRST + REST,
        "Really?",
    ]


def test_exit_code_is_6_while_something_is_missing(telex: Inside, server: Scripted) -> None:
    server.will(*(answer(f"part {number} ", finish="length") for number in range(20)))
    ran = telex("chat", "-m", "a/m", "--whole", "--max-tokens", "3", "Go on")
    assert ran.code == 6
    assert ran.out.endswith(b"part 9 part 10 \n")
    assert "also after 10 continuations" in ran.err
    assert len(server.asked) == 11
