"""Reasoning, in all the places servers put it: section 3 of the list of what servers really send."""

from __future__ import annotations

from typing import Any

import pytest
from wire import Read, body, chunks, delta, dumps, joined, message, read

from provider_core.stream import Decoder
from provider_core.types import Reasoning, Text, Verdict

STOP = delta(finish="stop")
ANSWER = [("reasoning", "Hm."), ("text", "Hello")]


def streamed(*pieces: str) -> list[tuple[str, str]]:
    """The text and the reasoning of a stream of these pieces of content, each read by itself."""
    decoder = Decoder()
    events = [
        event for piece in (*map(delta, pieces), STOP) for event in decoder.feed(body(piece, done=False))
    ]
    return Read(joined(events + decoder.close())).said


def every_cut(text: str) -> list[list[tuple[str, str]]]:
    """What is read of a stream of the text: in one piece, in characters, and in two pieces cut anywhere."""
    halves = [streamed(text[:at], text[at:]) for at in range(1, len(text))]
    return [streamed(text), streamed(*text), *halves]


DETAILS = {"type": "reasoning.text", "text": "Hm."}
SUMMARY = {"type": "reasoning.summary", "summary": "Hm."}
BLOCK = {"type": "thinking", "thinking": "Hm."}


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_content": "Hm."}, {"reasoning": "Hm.", "channel": "analysis"},
        {"reasoning_content": "Hm.", "reasoning": "Hm."},
        {"reasoning_content": "Hm.", "reasoning_details": [DETAILS]},
        {"reasoning": "Hm.", "reasoning_details": [SUMMARY]},
        {"reasoning_content": "Hm.", "thinking_blocks": [BLOCK]},
        {"thinking_blocks": [{**BLOCK, "signature": "c2ln"}]},
        {"reasoning_content": "", "reasoning": "Hm."},
        {"reasoning_details": [{**DETAILS, "signature": "c2ln"}]},
        {"reasoning": None, "reasoning_details": [SUMMARY]}, {"reasoning": {"content": "Hm."}},
        {"reasoning": [{"text": "H"}, {"text": "m."}]}, {"thinking": "Hm."}, {"thought": "Hm."},
        {"thought": True, "content": "Hm."}, {"content": [BLOCK], "reasoning_content": "Hm."},
    ],
)  # fmt: skip
def test_every_field_of_reasoning_is_read_and_shown_once(fields: dict[str, Any]) -> None:
    assert chunks(delta(**fields), delta("Hello"), STOP).said == ANSWER
    if "content" not in fields:
        assert read(dumps(message("Hello", **fields))).said == ANSWER


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning": "", "reasoning_details": [{"type": "reasoning.text", "signature": "c2ln"}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "ZW5j"}]},
        {"reasoning": {"effort": "low"}}, {"reasoning": 7}, {"reasoning_content": "", "reasoning": None},
        {"reasoning_content": "\n"}, {"annotations": [{"summary": "Hm."}]},
        {"extra_content": {"google": {"thought": True, "thought_signature": "c2ln"}}},
    ],
)  # fmt: skip
def test_fields_without_reasoning_give_no_event(fields: dict[str, Any]) -> None:
    result = chunks(delta(**fields), delta("Hello", **fields), delta("!", **fields), STOP)
    assert result.said == [("text", "Hello!")]


TAGS = [
    ("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"), ("[THINK]", "[/THINK]"), ("<seed:think>", "</seed:think>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"), ("◁think▷", "◁/think▷"), ("###Thinking", "###Response"),
    ("<|channel>thought", "<channel|>"),
    *((f"{start}<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>")
      for start in ("", "<|start|>assistant")),
]  # fmt: skip


@pytest.mark.parametrize(("opener", "closer"), TAGS)
def test_reasoning_between_tags_is_separated_however_it_is_cut(opener: str, closer: str) -> None:
    text = f"\n{opener}\nHm. 1 < 2{closer}\n\nHello < [you] ◁"
    expected = [("reasoning", "Hm. 1 < 2"), ("text", "Hello < [you] ◁")]
    assert all(said == expected for said in every_cut(text))
    assert read(dumps(message(text))).said == expected


def test_reasoning_is_returned_as_it_arrives() -> None:
    decoder = Decoder()
    assert decoder.feed(body(delta("<think>"), delta("Hm."), done=False)) == [Reasoning(text="Hm.")]
    assert decoder.feed(body(delta(" So.</th"), done=False)) == [Reasoning(text=" So.")]
    assert decoder.feed(body(delta("ink>Hello"), done=False)) == [Text(text="Hello")]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Hm.\n</think>\n\nHello", "Hm.\n\n\nHello"), ("Hm. </think>\n\nHello", "Hm. \n\nHello"),
        ("Hm. </think> \r\nHello", "Hm.  \r\nHello"), ("Hm.\n</think>Hello", "Hm.\nHello"),
        ("Hm.</think>", "Hm."),
    ],
)  # fmt: skip
def test_a_closing_tag_alone_is_dropped_from_a_stream_and_separates_a_reply(text: str, shown: str) -> None:
    assert all(said == [("text", shown)] for said in every_cut(text))
    reasoning, _, answer = text.partition("</think>")
    expected = [("reasoning", reasoning), ("text", answer.lstrip())]
    assert read(dumps(message(text))).said == [part for part in expected if part[1]]


@pytest.mark.parametrize(
    "text",
    [
        # a closing tag within a line, or in code
        "Write </think> to close the block, then [/THINK] too.",
        "Write [/THINK] to close it.",
        "Hm.</think>Hello",
        "Write </think> here.\nThen:\n</think>\nand no more.",
        f"Write </think>{' ' * 100}\nthen go on.",
        "Write `</think>` at the end:\n```\n</think>\n```\n",
        # an opening tag later than at the beginning, or only the beginning of one
        "The tag <think> opens.",
        "```\n<think>\n```",
        "x</ think>",
        "a < b",
        "<thin>",
        "<",
        "<think",
        "Hello</thi",
        # other markers
        "]<]minimax[>[Hello",
        "analysisHm.assistantfinalHello",
        '<tool_call>{"name":"sum"}</tool_call>',
        "\n\nHello",
    ],
)
def test_tags_elsewhere_are_text(text: str) -> None:
    assert all(said == [("text", text)] for said in every_cut(text))
    assert read(dumps(message(text))).said == [("text", text)]


COMMENTARY = "<|channel|>commentary<|message|>Let me see.<|end|>"
FINAL = "<|start|>assistant<|channel|>final<|message|>Hi<|return|>"
HARMONY_CALL = '<|channel|>commentary to=functions.read <|constrain|>json<|message|>{"a": 1}<|call|>'


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        (["Hm.", " So\n", "</think> Hello"], [("text", "Hm. So\n Hello")]),
        (["</think>\n\n", "Hello"], [("text", "Hello")]),
        ([*COMMENTARY, *FINAL], [("text", "Let me see.Hi")]),
        ([HARMONY_CALL], [("text", 'to=functions.read {"a": 1}')]),
        (["<|channel|>analysis<|message|>Hm.<|end|>", "Hello"], ANSWER),
        (["<think>\n\n</think>\n", "<think>Hm.</think>Hello"], ANSWER),
        (["<think>Hm.</think>", "\n", "\n", "    code"], [("reasoning", "Hm."), ("text", "    code")]),
        (["<think>Hm.</think>", "\n\n<"], [("reasoning", "Hm."), ("text", "<")]),
    ],
)
def test_pieces_with_tags_are_read(pieces: list[str], said: list[Any]) -> None:
    assert streamed(*pieces) == said


def test_blanks_belong_to_the_reasoning_around_them() -> None:
    blank = delta(reasoning="\n")
    result = chunks(blank, delta(reasoning="Hm."), blank, delta("\n\n"), delta("Hello"), STOP)
    assert result.said == [("reasoning", "\nHm.\n"), ("text", "Hello")]


def test_reasoning_may_resume_after_text() -> None:
    parts = [delta(reasoning="Hm."), delta("Hello"), delta(reasoning="So."), delta("\n\nyou"), STOP]
    assert chunks(*parts).said == [*ANSWER, ("reasoning", "So."), ("text", "\n\nyou")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<thi", [("text", "<thi")]), ("<think>Hm.</thi", [("reasoning", "Hm.</thi")]),
        ("<think>Hm. So", [("reasoning", "Hm. So")]), ("Hello</thi", [("text", "Hello</thi")]),
        ("Write </think>", [("text", "Write </think>")]),
    ],
)  # fmt: skip
def test_a_cut_inside_a_tag_or_before_it_loses_nothing(text: str, said: list[Any]) -> None:
    result = chunks(delta(text), done=False)
    assert (result.said, result.verdict) == (said, Verdict.PARTIAL)


def test_many_blanks_cost_no_more_than_their_number() -> None:
    blanks = [delta("\n" * 50)] * 20_000
    assert chunks(*blanks, delta("Hello"), STOP).text == "\n" * 1_000_000 + "Hello"
    assert chunks(delta("<think>"), *blanks, delta("Hm.</think>Hello"), STOP).said == ANSWER
