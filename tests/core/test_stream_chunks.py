"""Shapes of chunks and replies, and the places of reasoning: sections 2 and 3 of the list of what servers send."""

from __future__ import annotations

from typing import Any

import pytest
from wire import Read, body, chunks, delta, dumps, joined, message, read

from provider_core.stream import Decoder
from provider_core.types import Finished, Reasoning, Text, Verdict

STOP = delta(finish="stop")
COMPLETE = Verdict.COMPLETE


def choice(**fields: Any) -> dict[str, Any]:
    """A chunk with one choice of just these fields."""
    return {"choices": [fields]}


def grown(new: str, so_far: str, finish: str | None = None) -> dict[str, Any]:
    fields = {"delta": {"content": new}, "message": {"content": so_far}, "finish_reason": finish}
    return {"object": "chat.completion", "choices": [fields]}


def two(zero: str, one: str, finish: str | None = None) -> dict[str, Any]:
    other = {"index": 1, "delta": {"content": one}, "finish_reason": finish}
    return {"choices": [other, {"index": 0, "delta": {"content": zero}, "finish_reason": finish}]}


# fmt: off
THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
HELLOS: dict[str, list[Any]] = {
    "first and last chunk without choices": [
        {"choices": [], "model": "", "prompt_filter_results": [{"prompt_index": 0}]}, delta("Hello"), STOP,
        {"choices": [], "usage": {"prompt_tokens": 3}}],
    **{f"a delta of {empty}": [delta("Hello"), {"choices": [{"index": 0, **empty}]},
                               {"choices": [{**empty, "finish_reason": "stop"}]}]
       for empty in ({"delta": None}, {}, {"delta": {}})},
    "a message after the deltas": [delta("Hel"), delta("lo"), {**message("Hello"), "usage": {"prompt_tokens": 1}}],
    "a message that grows beside the deltas": [
        grown("", ""), grown("Hel", "Hel"), grown("lo", "Hello"), grown("", "Hello", "stop")],
    "messages that grow": [*(choice(message={"content": text}) for text in ("He", "Hell", "Hello")), STOP],
    "messages that continue": [*(choice(message={"content": text}) for text in ("He", "ll", "o")), STOP],
    "a delta that is a string or a list": [choice(delta="Hel"), choice(delta=["lo"]), STOP],
    "a message that is a string": [choice(message="Hello", finish_reason="stop")],
    "a text in an object": [delta([{"type": "text", "text": {"value": "Hello"}}]), STOP],
    "text instead of a delta": [choice(text="Hel", index=0), choice(text="lo", finish_reason="stop")],
    "text besides a delta": [*(choice(text=text, delta={"content": text}) for text in ("Hel", "lo")), STOP],
    **{f"content {nothing!r}": [choice(delta={"role": "assistant", "content": nothing}), delta("Hello"), STOP]
       for nothing in (None, "", [], {}, True)},
    "blocks, then a string": [delta([{"type": "text", "text": "Hel"}]), delta("lo"), STOP],
    "unknown blocks": [delta([{"type": "reference"}, {"type": "tool_reference"}, {"type": "image_url"}, 7, None,
                              {"type": "text", "text": "Hello"}]), STOP],
    "a transcript": [*(delta(audio={"id": "a", "transcript": each, "data": "UklGRg=="}) for each in ("Hel", "lo")),
                     STOP],
    "a whole transcript": [message(None, audio={"transcript": "Hello"})],
    **{f"role {role!r}": [delta("Hello", role=role), STOP] for role in (None, "", "assistant", 7)},
    "only choice 0": [two("Hel", "Bon"), two("lo", "jour", "stop")],
    "choice 0 late": [*[{"choices": [{"index": 1, "delta": {"content": "x"}}]}] * 3, delta("Hello"), STOP],
    "no index": [{"choices": [{"delta": {"content": "Hello"}}, {"delta": {"content": "b"}}]}, STOP],
    "other ids, objects and dates": [{**delta("Hel"), "id": "a", "created": "x", "object": ""},
                                     {**delta("lo"), "id": "", "model": "other"}, STOP],
    "extra keys": [{**delta("Hello", annotations=[], audio=None), "obfuscation": "x", "provider": "p",
                    "citations": ["u"], "timings": {}, "nvext": {}},
                   choice(delta={}, token_ids=[1], native_finish_reason=None, finish_reason="stop")],
    **{f"noise {noise!r}": [noise, delta("Hello"), noise, STOP] for noise in
       ({"id": "x", "object": "keep-alive"}, {"type": "ping"}, {"type": "ping", "message": "m", "status": 600},
        {"choices": None, "id": "x"}, 7, "hi", None, [], [1])},
    **{f"no error: {fine}": [{**delta("Hello"), **fine}, STOP] for fine in
       ({"error": None}, {"error": ""}, {"base_resp": {"status_code": 0, "status_msg": ""}})},
    "Cloudflare": [{"response": "Hel", "p": "x"}, {"response": "lo"}, {"response": "", "usage": {"prompt_tokens": 1}}],
}
# fmt: on


@pytest.mark.parametrize("shape", HELLOS)
def test_every_shape_of_chunks_is_read(shape: str) -> None:
    result = chunks(*HELLOS[shape])
    assert (result.said, result.verdict) == ([("text", "Hello")], COMPLETE)


@pytest.mark.parametrize(
    ("sent", "text", "reasoning"),
    [
        ([delta("ha")] * 5, "hahahahaha", ""),
        ([delta(7)], "7", ""),
        ([*[delta(reasoning_content="ha")] * 5, delta("!")], "!", "hahahahaha"),
        ([delta([{"type": "text", "text": "Hi"}, {"type": "reference", "reference_ids": [1, "b"]}])], "Hi[1][b]", ""),
        ([delta(reasoning_content="Hm."), message("Hello", reasoning_content="Hm.")], "Hello", "Hm."),
        ([delta([THINKING]), delta("Hello")], "Hello", "Hm."),
        *[([delta([block, {"type": "text", "text": "Hi"}])], "Hi", "Hm.") for block in (
            {"type": "thinking", "thinking": "Hm."}, {"type": "reasoning", "text": "Hm."},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
            {"thought": True, "text": "Hm."})],
        # MiniMax repeats all earlier reasoning, others continue it.
        ([*(delta("", reasoning_details=[{"type": "reasoning.text", "text": text, "index": 0}])
            for text in ("The", "The user", "The user greets", "The user greets")), delta("Hi")],
         "Hi", "The user greets"),
        ([*(delta(reasoning_details=[{"type": "reasoning.text", "text": text}])
            for text in ("ha", "ha", "hah", "!")), delta("Hi")], "Hi", "hahahah!"),
    ],
)  # fmt: skip
def test_text_and_reasoning_are_read_once(sent: list[Any], text: str, reasoning: str) -> None:
    result = chunks(*sent, STOP)
    assert (result.text, result.reasoning, result.verdict) == (text, reasoning, COMPLETE)


@pytest.mark.parametrize("count", [2, 40])
def test_another_choice_is_shown_if_choice_0_never_comes(count: int) -> None:
    other = [{"choices": [{"index": 1, "delta": {"content": "x"}}]}] * count
    result = chunks(*other, {"choices": [{"index": 1, "delta": {}, "finish_reason": "stop"}]})
    assert (result.text, result.verdict) == ("x" * count, COMPLETE)


def test_the_model_is_the_last_one_named() -> None:
    named = [{**delta("x"), "model": name} for name in ("", "router", "gpt\x1b[31m-5", "")]
    assert chunks(*named, {**STOP, "model": ""}).finished.model == "gpt-5"


def test_a_refusal_is_text_and_filters_an_answer_without_other_text() -> None:
    alone = chunks(delta(refusal="I can"), delta(refusal="not."), STOP)
    assert (alone.text, alone.verdict) == ("I cannot.", Verdict.FILTERED)
    assert alone.finished.reason == "content_filter"
    assert chunks(delta("Well. "), delta(refusal="No more."), STOP).verdict is COMPLETE
    assert read(dumps(message(None, refusal="No."))).verdict is Verdict.FILTERED
    assert chunks(delta("2 <"), delta(refusal=" No."), delta(" 3"), STOP).text == "2 < No. 3"


@pytest.mark.parametrize(
    "frame",
    [
        {"error": {"message": "worker died", "type": "server_error", "code": None}},
        {"error": {"code": 500, "message": "worker died", "type": "server_error"}},
        {"object": "error", "message": "worker died", "type": "x", "code": 500},
        {"type": "error", "error": {"type": "api_error", "message": "worker died"}},
        {"error": "worker died"}, {"error": "worker died", "choices": []},
        {"code": 500, "msg": "worker died"},
        {"code": 50000, "message": "worker died", "data": None},
        {"error_code": 336100, "error_msg": "worker died"}, {"detail": "worker died"},
        {"success": False, "errors": [{"code": 1, "message": "worker died"}], "result": None},
        {"base_resp": {"status_code": 1000, "status_msg": "worker died"}},
        {"choices": None, "base_resp": {"status_code": 1000, "status_msg": "worker died"}},
        {"x_groq": {"error": "worker died"}, "choices": []}, {"status": 400, "title": "worker died"},
        {"status": "failed", "message": "worker died"},
        choice(delta={}, error={"message": "worker died", "code": 502}),
    ],
)  # fmt: skip
def test_an_error_of_any_shape_ends_the_stream(frame: Any) -> None:
    result = chunks(delta("Hel"), frame, delta("lo"), STOP)
    assert (result.text, result.verdict, result.finished.reason) == ("Hel", Verdict.FAILED, "error")
    assert "worker died" in result.error.message


def test_the_text_and_the_counts_of_a_chunk_with_an_error_are_read() -> None:
    error = {"error": {"message": "Provider disconnected", "code": 502}, "usage": {"prompt_tokens": 4}}
    result = chunks(delta("Hel"), {**delta("lo", finish="error"), **error})
    assert (result.text, result.verdict) == ("Hello", Verdict.FAILED)
    assert result.usage is not None
    assert "Provider disconnected" in result.error.message


OLLAMA_CHAT = b"""{"model":"m","message":{"role":"assistant","content":"Hel","thinking":"Hm."},"done":false}
{"model":"m","message":{"role":"assistant","content":"lo"},"done":false}
{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","eval_count":5}
"""
OLLAMA_GENERATE = b"""{"response":"","thinking":"Hm.","done":false}
{"response":"Hello","done":false}
{"response":"","done":true,"eval_count":5}"""
GEMINI_ARRAY = b"""[{"candidates":[{"content":{"parts":[{"text":"Hm.","thought":true}]}}]},
{"candidates":[{"content":{"parts":[{"text":"Hello"}]},"finishReason":"STOP"}],
"usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":2,"thoughtsTokenCount":3,"totalTokenCount":9}}]"""
DASHSCOPE_SNAPSHOTS = b"""
data:{"output":{"choices":[{"message":{"content":"","reasoning_content":"H"},"finish_reason":"null"}]}}

data:{"output":{"choices":[{"message":{"content":"Hel","reasoning_content":"Hm."},"finish_reason":"null"}]}}

data:{"output":{"choices":[{"message":{"content":"Hello","reasoning_content":"Hm."},"finish_reason":"stop"}]},\
"usage":{"input_tokens":4,"output_tokens":5}}
"""
DASHSCOPE_TEXT = b"""
data:{"output":{"text":"<think>Hm.</think>Hel","finish_reason":"null"}}

data:{"output":{"text":"<think>Hm.</think>Hello","finish_reason":"stop"},"usage":{"input_tokens":4,"output_tokens":5}}
"""


@pytest.mark.parametrize(
    "data", [DASHSCOPE_TEXT, OLLAMA_CHAT, OLLAMA_GENERATE, GEMINI_ARRAY, DASHSCOPE_SNAPSHOTS]
)
@pytest.mark.parametrize("size", [0, 1, 7])
def test_other_dialects_that_gateways_let_through_are_read(data: bytes, size: int) -> None:
    result = read(data, size=size)
    assert (result.said, result.verdict) == ([("reasoning", "Hm."), ("text", "Hello")], COMPLETE)
    assert result.usage is not None
    assert result.usage.output == 5


def test_cloudflares_own_reply_is_read() -> None:
    result = read(dumps({"result": {"response": "Hello"}, "success": True, "errors": [], "messages": []}))
    assert (result.text, result.verdict) == ("Hello", COMPLETE)


def test_finished_comes_once_and_last() -> None:
    for data in (b"", b"x", dumps(message("Hi")), body(STOP), body({"error": "no"})):
        events = read(data).events
        assert [type(event) for event in events].index(Finished) == len(events) - 1


# --- reasoning -------------------------------------------------------------------------------------------

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
    assert decoder.feed(body(delta("\n"), done=False)) == [Reasoning(text="\n")]
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
        "Use <think>\nthoughts\n</think>\nand then answer.",
        "Use [THINK]a[/THINK]",
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
        (
            ["<think>", "\n", "  Hm.", "\n", "\n", "So.</think>Hi"],
            [("reasoning", "  Hm.\n\nSo."), ("text", "Hi")],
        ),
        (
            ["<|channel|>analysis<|message|><|end|>", FINAL.removesuffix("<|return|>"), "\n"],
            [("text", "Hi\n")],
        ),
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
