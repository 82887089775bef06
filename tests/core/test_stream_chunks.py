"""Chunk and reply shapes: what section 2 of the wire's quirks lists."""

from __future__ import annotations

from typing import Any

import pytest
from wire import body, chunks, delta, dumps, message, read

from provider_core import errors
from provider_core.types import Finished, Verdict

STOP = delta(finish="stop")
COMPLETE = Verdict.COMPLETE


def choice(**fields: Any) -> dict[str, Any]:
    """A chunk with one choice of just these fields."""
    return {"choices": [fields]}


def test_chunks_without_choices_come_first_and_last() -> None:  # quirks 35 and 36
    first = {
        "choices": [],
        "model": "",
        "id": "",
        "object": "",
        "prompt_filter_results": [{"prompt_index": 0}],
    }
    last = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}
    result = chunks(first, delta("Hi"), STOP, last)
    assert (result.text, result.verdict, result.finished.model) == ("Hi", COMPLETE, "m")
    assert result.usage is not None
    assert result.usage.input == 3


@pytest.mark.parametrize("empty", [{"delta": None}, {}, {"delta": {}}])
def test_a_delta_may_be_null_missing_or_empty(empty: Any) -> None:  # quirks 42 and 43
    result = chunks(
        delta("Hi"), {"choices": [{"index": 0, **empty}]}, {"choices": [{**empty, "finish_reason": "stop"}]}
    )
    assert (result.text, result.verdict) == ("Hi", COMPLETE)


def test_a_message_behind_the_deltas_is_not_printed_again() -> None:  # quirk 44
    last = {**message("Hello there"), "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
    result = chunks(delta("Hello "), delta("there"), last)
    assert (result.text, result.verdict) == ("Hello there", COMPLETE)
    assert result.usage is not None


def test_a_message_behind_deltas_of_thoughts_brings_the_text() -> None:  # quirk 44
    result = chunks(delta(reasoning_content="Hm."), message("Hello", reasoning_content="Hm."))
    assert result.said == [("thought", "Hm."), ("text", "Hello")]


def test_a_message_that_grows_beside_the_deltas_is_not_printed() -> None:  # quirk 44
    def both(new: str, so_far: str, finish: str | None = None) -> dict[str, Any]:
        fields = {"delta": {"content": new}, "message": {"content": so_far}, "finish_reason": finish}
        return {"object": "chat.completion", "choices": [fields]}

    assert (
        chunks(both("", ""), both("Hel", "Hel"), both("lo", "Hello"), both("", "Hello", "stop")).text
        == "Hello"
    )


def test_messages_alone_may_grow_or_go_on() -> None:  # quirk 44
    growing = [choice(message={"content": text}) for text in ("He", "Hell", "Hello")]
    going_on = [choice(message={"content": text}) for text in ("He", "ll", "o")]
    assert chunks(*growing, STOP).text == "Hello"
    assert chunks(*going_on, STOP).text == "Hello"


def test_text_counts_only_where_no_delta_speaks() -> None:  # quirk 45
    assert chunks(choice(text="Hel", index=0), choice(text="lo", finish_reason="stop")).text == "Hello"
    both = [choice(text=text, delta={"content": text}) for text in ("Hel", "lo")]
    assert chunks(*both, STOP).text == "Hello"


@pytest.mark.parametrize("nothing", [None, "", [], {}, True])
def test_content_that_holds_nothing_gives_no_event(nothing: Any) -> None:  # quirks 46 and 47
    result = chunks(choice(delta={"role": "assistant", "content": nothing}), delta("Hi"), STOP)
    assert result.said == [("text", "Hi")]


def test_content_blocks_are_flattened_and_may_turn_into_a_string() -> None:  # quirk 48
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    result = chunks(delta([thinking]), delta([{"type": "text", "text": "Hel"}]), delta("lo"), STOP)
    assert result.said == [("thought", "Hm."), ("text", "Hello")]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "thinking", "thinking": "Hm."},
        {"type": "reasoning", "text": "Hm."},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"thought": True, "text": "Hm."},
    ],
)
def test_thinking_blocks_come_in_variants(block: Any) -> None:  # quirk 49
    assert chunks(delta([block, {"type": "text", "text": "Hi"}]), STOP).said == [
        ("thought", "Hm."),
        ("text", "Hi"),
    ]


def test_unknown_blocks_are_not_printed() -> None:  # quirk 49
    blocks = [
        {"type": "reference"},
        {"type": "tool_reference"},
        {"type": "image_url"},
        7,
        None,
    ]
    assert chunks(delta([*blocks, {"type": "text", "text": "Hi"}]), STOP).said == [("text", "Hi")]


def test_references_without_addresses_are_numbers_in_the_text() -> None:
    blocks = [{"type": "text", "text": "Hi"}, {"type": "reference", "reference_ids": [1, "b"]}]
    assert chunks(delta(blocks), STOP).text == "Hi[1][b]"


def test_the_transcript_of_a_spoken_answer_is_its_text() -> None:
    spoken = [delta(audio={"id": "a", "transcript": each, "data": "UklGRg=="}) for each in ("Hello ", "you")]
    assert chunks(*spoken, STOP).text == "Hello you"
    assert read(dumps(message(None, audio={"transcript": "Hello you"}))).text == "Hello you"


@pytest.mark.parametrize("role", [None, "", "assistant", 7])
def test_roles_are_not_looked_at(role: Any) -> None:  # quirk 50
    assert chunks(delta("Hi", role=role), STOP).text == "Hi"


def test_finish_reasons_may_be_absent_empty_repeated_or_late() -> None:  # quirks 51 to 53
    absent = choice(delta={"content": "Hi"})
    empty = delta(" you", finish="")
    result = chunks(
        absent, empty, delta(finish="length"), {**delta(finish="length"), "usage": {"prompt_tokens": 1}}
    )
    assert (result.text, result.verdict, result.finished.reason) == ("Hi you", Verdict.LENGTH, "length")


def test_a_stop_that_repeats_a_graver_reason_does_not_hide_it() -> None:  # quirk 53
    assert chunks(delta("Hi"), delta(finish="content_filter"), STOP).verdict is Verdict.FILTERED


def test_no_finish_reason_at_all_is_judged_by_done() -> None:  # quirk 54
    assert chunks(delta("Hi")).verdict is COMPLETE
    assert chunks(delta("Hi")).finished.reason is None
    assert chunks(delta("Hi"), done=False).verdict is Verdict.PARTIAL


@pytest.mark.parametrize(
    ("sent", "raw"),
    [(128009, "128009"), ({"type": "stop"}, "stop"), (1.5, "1.5"), ("STOP", "STOP")],
)
def test_finish_reasons_of_any_type_mean_stop(sent: Any, raw: str) -> None:  # quirk 55
    finished = chunks(delta("Hi"), delta(finish=sent), done=False).finished
    assert (finished.verdict, finished.reason, finished.raw_reason) == (COMPLETE, "stop", raw)


@pytest.mark.parametrize("sent", [True, [], {}, {"type": None}, "null"])
def test_finish_reasons_that_say_nothing_are_none(sent: Any) -> None:  # quirk 55
    assert chunks(delta("Hi"), delta(finish=sent), done=False).verdict is Verdict.PARTIAL


def test_only_the_first_choice_is_shown() -> None:  # quirk 56
    def two(zero: str, one: str, finish: str | None = None) -> dict[str, Any]:
        other = {"index": 1, "delta": {"content": one}, "finish_reason": finish}
        return {"choices": [other, {"index": 0, "delta": {"content": zero}, "finish_reason": finish}]}

    assert chunks(two("Hel", "Bon"), two("lo", "jour", "stop")).text == "Hello"
    late = [{"choices": [{"index": 1, "delta": {"content": "x"}}]}] * 3
    assert chunks(*late, delta("Hello"), STOP).text == "Hello"


@pytest.mark.parametrize("count", [2, 40])
def test_another_choice_is_shown_if_the_first_never_comes(count: int) -> None:  # quirk 56
    other = [{"choices": [{"index": 1, "delta": {"content": "x"}}]}] * count
    result = chunks(*other, {"choices": [{"index": 1, "delta": {}, "finish_reason": "stop"}]})
    assert (result.text, result.verdict) == ("x" * count, COMPLETE)


def test_a_missing_index_is_the_place_in_the_list() -> None:  # quirk 57
    assert chunks({"choices": [{"delta": {"content": "a"}}, {"delta": {"content": "b"}}]}, STOP).text == "a"


def test_ids_objects_dates_and_models_are_not_checked() -> None:  # quirks 58 to 60
    odd = [
        {**delta(part), "id": id_, "object": "", "created": "x"} for part, id_ in (("Hel", "a"), ("lo", ""))
    ]
    for chunk in odd:
        del chunk["object"]
    odd[1]["model"] = "other-2026"
    result = chunks(*odd, STOP)
    assert result.text == "Hello"
    assert result.finished.model == "m"


def test_extra_keys_are_skipped() -> None:  # quirk 61
    extra = {"obfuscation": "x", "provider": "p", "citations": ["u"], "timings": {}, "nvext": {}, "p": "abc"}
    chunk = {**delta("Hi", annotations=[], audio=None), **extra}
    chunk["choices"][0] |= {
        "native_finish_reason": None,
        "token_ids": [1],
        "logprobs": {"content": [{"token": "Hi"}]},
    }
    assert chunks(chunk, STOP).text == "Hi"


def test_a_refusal_is_shown_and_filters_an_answer_that_says_nothing_else() -> None:  # quirk 62
    alone = chunks(delta(refusal="I can"), delta(refusal="not."), STOP)
    assert (alone.text, alone.verdict, alone.finished.reason) == (
        "I cannot.",
        Verdict.FILTERED,
        "content_filter",
    )
    assert chunks(delta("Well. "), delta(refusal="No more."), STOP).verdict is COMPLETE
    assert read(dumps(message(None, refusal="No."))).verdict is Verdict.FILTERED


def test_minimax_snapshots_of_thoughts_are_shown_once() -> None:  # quirk 64
    def snapshot(text: str) -> dict[str, Any]:
        return delta("", reasoning_details=[{"type": "reasoning.text", "text": text, "index": 0}])

    grown = [snapshot(text) for text in ("The", "The user", "The user greets", "The user greets")]
    assert chunks(*grown, delta("Hi"), STOP).said == [("thought", "The user greets"), ("text", "Hi")]


def test_details_that_go_on_are_not_taken_for_snapshots() -> None:  # quirk 64
    parts = [
        delta(reasoning_details=[{"type": "reasoning.text", "text": text}])
        for text in ("ha", "ha", "hah", "!")
    ]
    assert chunks(*parts, delta("Hi"), STOP).thoughts == "hahahah!"


def test_text_that_repeats_is_kept() -> None:  # quirk 65
    assert chunks(*[delta("ha")] * 5, STOP).text == "hahahahaha"
    assert chunks(*[delta(reasoning_content="ha")] * 5, delta("!"), STOP).thoughts == "hahahahaha"


@pytest.mark.parametrize(
    "noise",
    [
        {"id": "x", "object": "keep-alive"},
        {"type": "ping"},
        {"choices": None, "id": "x"},
        7,
        "hi",
        None,
        [],
        [1],
    ],
)
def test_values_without_choices_are_skipped(noise: Any) -> None:  # quirk 66
    result = chunks(noise, delta("Hi"), noise, STOP)
    assert (result.text, result.verdict) == ("Hi", COMPLETE)


def test_an_error_beside_choices_keeps_the_text() -> None:  # quirk 67
    error = {"error": {"message": "Provider disconnected", "code": 502}, "usage": {"prompt_tokens": 4}}
    result = chunks(delta("Hel"), {**delta("lo", finish="error"), **error})
    assert (result.text, result.verdict) == ("Hello", Verdict.FAILED)
    assert result.usage is not None
    assert "Provider disconnected" in result.error.message


def test_an_error_inside_a_choice_is_a_failure() -> None:  # quirk 67
    result = chunks(delta("Hel"), choice(delta={}, error={"message": "worker died", "code": 502}))
    assert result.verdict is Verdict.FAILED
    assert "worker died" in result.error.message


@pytest.mark.parametrize(
    "frame",
    [
        {"error": {"message": "worker died", "type": "server_error", "code": None}},
        {"error": {"code": 500, "message": "worker died", "type": "server_error"}},
        {"object": "error", "message": "worker died", "type": "x", "code": 500},
        {"type": "error", "error": {"type": "api_error", "message": "worker died"}},
        {"error": "worker died"},
        {"error": "worker died", "choices": []},
        {"code": 500, "msg": "worker died"},
        {"code": 50000, "message": "worker died", "data": None},
        {"error_code": 336100, "error_msg": "worker died"},
        {"detail": "worker died"},
        {"success": False, "errors": [{"code": 1, "message": "worker died"}], "result": None},
        {"base_resp": {"status_code": 1000, "status_msg": "worker died"}},
        {"choices": None, "base_resp": {"status_code": 1000, "status_msg": "worker died"}},
        {"x_groq": {"error": "worker died"}, "choices": []},
        {"status": 500, "title": "worker died"},
        {"status": "failed", "message": "worker died"},
    ],
)
def test_an_error_of_any_shape_ends_the_stream(frame: Any) -> None:  # quirk 68
    result = chunks(delta("Hel"), frame, delta("lo"), STOP)
    assert (result.text, result.verdict, result.finished.reason) == ("Hel", Verdict.FAILED, "error")
    assert "worker died" in result.error.message


@pytest.mark.parametrize(
    "fine", [{"error": None}, {"error": ""}, {"base_resp": {"status_code": 0, "status_msg": ""}}]
)
def test_an_error_key_that_says_nothing_is_none(fine: Any) -> None:  # quirk 68
    assert chunks({**delta("Hi"), **fine}, STOP).verdict is COMPLETE


@pytest.mark.parametrize("said", [[], [delta("")], [delta(" \n")], [delta(None)]])
def test_an_answer_of_nothing_is_empty(said: list[Any]) -> None:  # quirk 70
    result = chunks(*said, STOP)
    assert result.verdict is Verdict.EMPTY
    assert result.error.message == "acme sent an empty answer"
    assert read(dumps(message(""))).verdict is Verdict.EMPTY
    assert read(dumps({"object": "chat.completion", "choices": []})).verdict is Verdict.EMPTY


def test_thoughts_without_an_answer_are_empty_too() -> None:  # quirk 70
    result = chunks(delta(reasoning="Hm."), STOP)
    assert (result.verdict, result.error.message) == (Verdict.EMPTY, "acme sent reasoning and no answer")


def test_thoughts_cut_by_the_limit_end_by_length() -> None:  # quirk 71
    result = chunks(delta(reasoning_content="Hm."), delta(finish="length"))
    assert (result.thoughts, result.text, result.verdict) == ("Hm.", "", Verdict.LENGTH)
    assert isinstance(result.error, errors.TokenLimitError)


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
DASHSCOPE_WITHOUT_INCREMENTS = b"""
data:{"output":{"choices":[{"message":{"content":"","reasoning_content":"H"},"finish_reason":"null"}]}}

data:{"output":{"choices":[{"message":{"content":"Hel","reasoning_content":"Hm."},"finish_reason":"null"}]}}

data:{"output":{"choices":[{"message":{"content":"Hello","reasoning_content":"Hm."},"finish_reason":"stop"}]},\
"usage":{"input_tokens":4,"output_tokens":5}}
"""
DASHSCOPE_TEXT = b"""
data:{"output":{"text":"<think>Hm.</think>Hel","finish_reason":"null"}}

data:{"output":{"text":"<think>Hm.</think>Hello","finish_reason":"stop"},"usage":{"input_tokens":4,"output_tokens":5}}
"""
NATIVE = [DASHSCOPE_TEXT, OLLAMA_CHAT, OLLAMA_GENERATE, GEMINI_ARRAY, DASHSCOPE_WITHOUT_INCREMENTS]


@pytest.mark.parametrize("data", NATIVE)
@pytest.mark.parametrize("size", [0, 1, 7])
def test_native_dialects_that_leak_through_are_read(
    data: bytes, size: int
) -> None:  # quirks 21, 64, 78 and 132
    result = read(data, size=size)
    assert result.said == [("thought", "Hm."), ("text", "Hello")]
    assert result.verdict is COMPLETE
    assert result.usage is not None
    assert result.usage.output == 5


def test_cloudflare_native_frames_and_replies_are_read() -> None:  # quirk 21
    frames = [
        {"response": "Hel", "p": "x"},
        {"response": "lo"},
        {"response": "", "usage": {"prompt_tokens": 1}},
    ]
    assert (chunks(*frames).text, chunks(*frames).verdict) == ("Hello", COMPLETE)
    reply = {"result": {"response": "Hello"}, "success": True, "errors": [], "messages": []}
    assert (read(dumps(reply)).text, read(dumps(reply)).verdict) == ("Hello", COMPLETE)


def test_everything_ends_with_one_finished_event() -> None:
    for data in (b"", b"x", dumps(message("Hi")), body(STOP), body({"error": "no"})):
        events = read(data).events
        assert [type(event) for event in events].count(Finished) == 1
        assert type(events[-1]) is Finished
