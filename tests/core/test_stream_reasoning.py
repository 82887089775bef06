"""Thoughts, in all the places servers put them: what section 3 of the wire's quirks lists."""

from __future__ import annotations

from typing import Any

import pytest
from wire import body, chunks, delta, dumps, message, read

from provider_core.stream import Decoder
from provider_core.types import Reasoning, Text, Verdict

STOP = delta(finish="stop")
ANSWER = [("thought", "Hm."), ("text", "Hello")]


def streamed(*pieces: str, finish: str = "stop") -> list[tuple[str, str]]:
    """What is said by a stream of these pieces of content."""
    return chunks(*map(delta, pieces), delta(finish=finish)).said


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_content": "Hm."},  # quirk 72
        {"reasoning": "Hm.", "channel": "analysis"},  # quirk 73
        {"reasoning_content": "Hm.", "reasoning": "Hm."},  # quirk 74
        {
            "reasoning_content": "Hm.",
            "reasoning_details": [{"type": "reasoning.text", "text": "Hm."}],
        },  # quirk 74
        {
            "reasoning": "Hm.",
            "reasoning_details": [{"type": "reasoning.summary", "summary": "Hm."}],
        },  # quirk 74
        {
            "reasoning_content": "Hm.",
            "thinking_blocks": [{"type": "thinking", "thinking": "Hm."}],
        },  # quirk 74
        {"thinking_blocks": [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}]},  # quirk 74
        {"reasoning_content": "", "reasoning": "Hm."},  # quirk 73
        {"reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "signature": "c2ln"}]},  # quirk 75
        {
            "reasoning": None,
            "reasoning_details": [{"type": "reasoning.summary", "summary": "Hm."}],
        },  # quirk 75
        {"reasoning": {"content": "Hm."}},  # quirk 77
        {"reasoning": [{"text": "H"}, {"text": "m."}]},  # quirk 77
        {"thinking": "Hm."},  # quirk 78
        {"thought": "Hm."},  # quirk 78
        {"thought": True, "content": "Hm."},  # quirk 78
        {"content": [{"type": "thinking", "thinking": "Hm."}], "reasoning_content": "Hm."},  # quirk 74
    ],
)
def test_every_carrier_is_read_and_shown_once(fields: dict[str, Any]) -> None:
    content = fields.pop("content", None)
    assert chunks(delta(content, **fields), delta("Hello"), STOP).said == ANSWER
    if content is None:
        assert read(dumps(message("Hello", **fields))).said == ANSWER


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning": "", "reasoning_details": [{"type": "reasoning.text", "signature": "c2ln"}]},  # quirk 76
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "ZW5j"}]},  # quirk 75
        {"reasoning": {"effort": "low"}},  # quirk 77
        {"reasoning": 7},  # quirk 77
        {"reasoning_content": "", "reasoning": None},  # quirk 87
        {"reasoning_content": "\n"},  # quirk 87
        {"annotations": [{"summary": "Hm."}]},  # quirk 90
        {"extra_content": {"google": {"thought": True, "thought_signature": "c2ln"}}},  # quirk 97
    ],
)
def test_what_holds_no_thought_gives_no_event(fields: dict[str, Any]) -> None:
    result = chunks(delta(**fields), delta("Hello", **fields), delta("!", **fields), STOP)
    assert result.said == [("text", "Hello!")]


def test_blanks_before_thoughts_belong_to_them() -> None:
    result = chunks(
        delta(reasoning="\n"), delta(reasoning="Hm."), delta(reasoning="\n"), delta("Hello"), STOP
    )
    assert result.said == [("thought", "\nHm.\n"), ("text", "Hello")]


TAGS = [
    ("<think>", "</think>"),  # quirk 79
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("◁think▷", "◁/think▷"),
    ("###Thinking", "###Response"),
    ("<|channel>thought", "<channel|>"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),  # quirk 83
    (
        "<|start|>assistant<|channel|>analysis<|message|>",
        "<|end|><|start|>assistant<|channel|>final<|message|>",
    ),
]


@pytest.mark.parametrize(("opener", "closer"), TAGS)
def test_inline_thoughts_are_parted_whatever_the_tag_and_the_cuts(
    opener: str, closer: str
) -> None:  # quirk 82
    text = f"\n{opener}\nHm. 1 < 2{closer}\n\nHello < [you] ◁"
    expected = [("thought", "Hm. 1 < 2"), ("text", "Hello < [you] ◁")]
    assert streamed(text) == expected
    assert streamed(*text) == expected
    for at in range(1, len(text)):
        assert streamed(text[:at], text[at:]) == expected
    assert read(dumps(message(text))).said == expected


def test_thoughts_are_handed_out_while_they_come() -> None:
    decoder = Decoder()
    assert decoder.feed(body(delta("<think>"), delta("Hm."), done=False)) == [Reasoning(text="Hm.")]
    assert decoder.feed(body(delta(" So.</th"), done=False)) == [Reasoning(text=" So.")]
    assert decoder.feed(body(delta("ink>Hello"), done=False)) == [Text(text="Hello")]


def test_a_lone_closing_tag_makes_a_whole_reply_s_beginning_thoughts() -> None:  # quirk 80
    assert read(dumps(message("Hm.</think>\n\nHello"))).said == ANSWER


def test_a_lone_closing_tag_is_dropped_from_text_already_shown() -> None:  # quirk 80
    for text, said in (
        ("Hm.\n</think>\n\nHello", "Hm.\n\n\nHello"),
        ("Hm. </think>\n\nHello", "Hm. \n\nHello"),
        ("Hm. </think> \r\nHello", "Hm.  \r\nHello"),
        ("Hm.\n</think>Hello", "Hm.\nHello"),
        ("Hm.</think>", "Hm."),
    ):
        assert streamed(text) == streamed(*text) == [("text", said)]
        for at in range(1, len(text)):
            assert streamed(text[:at], text[at:]) == [("text", said)]
        thought, _, answer = text.partition("</think>")
        expected = [("thought", thought), ("text", answer.lstrip())]
        assert read(dumps(message(text))).said == [part for part in expected if part[1]]
    assert streamed("</think>\n\n", "Hello") == [("text", "Hello")]


@pytest.mark.parametrize(
    "text",
    [
        "Write </think> to close the block, then [/THINK] too.",
        "Write [/THINK] to close it.",
        "Hm.</think>Hello",
        "Write </think> here.\nThen:\n</think>\nand no more.",
        f"Write </think>{' ' * 100}\nthen go on.",
    ],
)
def test_a_closing_tag_within_a_line_is_text(text: str) -> None:  # quirk 85
    assert streamed(text) == streamed(*text) == [("text", text)]
    for at in range(1, len(text)):
        assert streamed(text[:at], text[at:]) == [("text", text)]
    assert read(dumps(message(text))).said == [("text", text)]


def test_a_closing_tag_in_code_is_text() -> None:  # quirks 80 and 85
    text = "Write `</think>` at the end:\n```\n</think>\n```\n"
    assert streamed(text) == streamed(*text) == [("text", text)]
    assert read(dumps(message(text))).said == [("text", text)]


def test_a_missing_closing_tag_makes_all_thoughts() -> None:  # quirk 81
    result = chunks(delta("<think>Hm."), delta(" So"), delta(finish="length"))
    assert (result.said, result.verdict) == ([("thought", "Hm. So")], Verdict.LENGTH)


def test_gateway_markers_that_are_no_tags_stay() -> None:  # quirk 84
    assert streamed("]<]minimax[>[", "Hello") == [("text", "]<]minimax[>[Hello")]


def test_commentary_and_detokenised_harmony_are_text() -> None:  # quirk 83
    assert streamed("analysisHm.assistantfinalHello") == [("text", "analysisHm.assistantfinalHello")]
    commentary = "<|channel|>commentary<|message|>Let me see.<|end|>"
    commentary += "<|start|>assistant<|channel|>final<|message|>Hi<|return|>"
    assert streamed(*commentary) == [("text", "Let me see.Hi")]


def test_harmony_may_lack_the_header_of_its_answer() -> None:  # quirk 83
    assert streamed("<|channel|>analysis<|message|>Hm.<|end|>", "Hello") == ANSWER


@pytest.mark.parametrize(
    "text", ["The tag <think> opens.", "```\n<think>\n```", "x</ think>", "a < b", "<thin>", "<"]
)
def test_a_tag_elsewhere_than_at_the_start_is_text(text: str) -> None:  # quirk 85
    assert streamed(text) == streamed(*text) == [("text", text)]


def test_a_second_block_right_behind_the_first_is_thought_too() -> None:
    assert streamed("<think>\n\n</think>\n", "<think>Hm.</think>Hello") == ANSWER


def test_newlines_after_thoughts_are_stripped_and_indents_kept() -> None:  # quirk 86
    assert streamed("<think>Hm.</think>", "\n", "\n", "    code") == [
        ("thought", "Hm."),
        ("text", "    code"),
    ]
    assert chunks(delta(reasoning="Hm."), delta("\n\n"), delta("Hello"), STOP).said == ANSWER
    assert streamed("\n\nHello") == [("text", "\n\nHello")]


def test_thoughts_may_resume_after_text() -> None:  # quirk 88
    parts = [delta(reasoning="Hm."), delta("Hello"), delta(reasoning="So."), delta("\n\nyou"), STOP]
    assert chunks(*parts).said == [
        ("thought", "Hm."),
        ("text", "Hello"),
        ("thought", "So."),
        ("text", "\n\nyou"),
    ]


def test_hidden_thoughts_are_only_counted() -> None:  # quirk 89
    usage = {"prompt_tokens": 1, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 7}}
    result = chunks(delta("Hello"), {**STOP, "usage": usage})
    assert result.said == [("text", "Hello")]
    assert result.usage is not None
    assert result.usage.reasoning == 7


def test_a_refusal_is_told_behind_the_text_before_it() -> None:
    assert chunks(delta("2 <"), delta(refusal=" No."), delta(" 3"), STOP).text == "2 < No. 3"


def test_a_cut_inside_a_tag_loses_nothing() -> None:
    for text, said in (
        ("<thi", [("text", "<thi")]),
        ("<think>Hm.</thi", [("thought", "Hm.</thi")]),
        ("Hello</thi", [("text", "Hello</thi")]),
        ("Write </think>", [("text", "Write </think>")]),
    ):
        result = chunks(delta(text), done=False)
        assert (result.said, result.verdict) == (said, Verdict.PARTIAL)


def test_an_answer_that_only_begins_like_a_tag_is_text() -> None:
    assert streamed("<think") == [("text", "<think")]
    assert streamed("<think>Hm.</think>", "\n\n<") == [("thought", "Hm."), ("text", "<")]
    assert streamed("Hello</thi") == [("text", "Hello</thi")]


def test_many_blanks_and_ticks_cost_no_more_than_their_number() -> None:
    blanks = [delta("\n" * 50)] * 20_000
    assert chunks(*blanks, delta("Hello"), STOP).text == "\n" * 1_000_000 + "Hello"
    assert chunks(delta("<think>"), *blanks, delta("Hm.</think>Hello"), STOP).said == ANSWER


def test_the_recipient_of_a_harmony_call_stays_in_the_text() -> None:
    text = '<|channel|>commentary to=functions.read <|constrain|>json<|message|>{"a": 1}<|call|>'
    assert chunks(delta(text), delta(finish="stop")).text == 'to=functions.read {"a": 1}'
