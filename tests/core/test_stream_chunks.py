"""Shapes of chunks and replies, in OpenAI's and other dialects: section 2 of the list of what servers really send."""

from __future__ import annotations

from typing import Any

import pytest
from wire import body, chunks, delta, dumps, message, read

from provider_core.types import Finished, Verdict

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
