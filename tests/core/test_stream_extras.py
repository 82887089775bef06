"""Sources, images, further choices, log probabilities and token counts, as servers send them."""

from __future__ import annotations

import base64
import math
from decimal import Decimal
from typing import Any

import pytest
from wire import Read, chunks, delta, dumps, message, read

from provider_core.types import Image, Sources, Usage, Verdict

STOP = delta(finish="stop")
BYTES = b"\x89PNG\r\n\x1a\n0000"
PNG = "iVBORw0KGgowMDAw"
URL = f"data:image/png;base64,{PNG}"
A, B, C = "https://a.test/1", "https://b.test/2", "https://c.test/3"


def sources(result: Read) -> list[tuple[int, str, str]]:
    return [
        (source.number, source.url, source.title)
        for event in result.events
        if isinstance(event, Sources)
        for source in event.sources
    ]


def images(result: Read) -> list[Image]:
    return [event for event in result.events if isinstance(event, Image)]


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        ([{"citations": [A, B]}] * 3, [(1, A, ""), (2, B, "")]),
        ([{"citations": [A]}, {"citations": [A, B]}], [(1, A, ""), (2, B, "")]),
        ([{"citations": [A, A, B]}], [(1, A, ""), (3, B, "")]),
        ([{"citations": [A, B], "search_results": [{"url": B, "title": "b"}, {"url": C}]}],
         [(1, A, ""), (2, B, "b"), (3, C, "")]),
        ([{"search_results": [{"url": B, "title": "b"}]}, {"citations": [A, B]}], [(1, A, ""), (2, B, "b")]),
        ([{"web_search": [{"refer": "ref_2", "link": A, "title": "a"}, {"refer": "ref_5", "link": B}]}],
         [(2, A, "a"), (5, B, "")]),
        ([{"search_info": {"search_results": [{"index": 1, "url": A}, {"index": 4, "url": B}]}}],
         [(1, A, ""), (4, B, "")]),
        ([{"search_results": [{"index": 0, "url": A}, {"index": 1, "url": B}]}], [(1, A, ""), (2, B, "")]),
        ([{"references": [{"url": A, "title": "a"}]}], [(1, A, "a")]),
        ([{"vertex_ai_grounding_metadata": [{"groundingChunks": [{"web": {"uri": A, "title": "a"}}]}]}], [(1, A, "a")]),
        ([{"venice_parameters": {"web_search_citations": [{"url": A, "title": "a", "content": "x"}, {"url": B}]}}],
         [(1, A, "a"), (2, B, "")]),
        ([{"citations": None}, {"citations": []}, {"citations": [7, None, {}, "no address"]}], []),
    ],
)  # fmt: skip
def test_sources_next_to_the_choices_are_read(sent: list[Any], found: list[Any]) -> None:
    result = chunks(*[{**delta("x"), **more} for more in sent], STOP)
    assert sources(result) == found
    assert (result.text, result.verdict) == ("x" * len(sent), Verdict.COMPLETE)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"annotations": [{"type": "url_citation", "url_citation": {"url": A, "title": "a", "start_index": 1}},
                          {"type": "url_citation", "url": B, "title": "b", "index": 7},
                          {"type": "url_citation", "url_citation": {"url": A}}]}, [(1, A, "a"), (2, B, "b")]),
        ({"annotations": [{"type": "file", "file": {"name": "mine.pdf", "content": [{"url": A}]}}]}, []),
        ({"citations": [{"text": "x", "sources": [{"type": "document", "document": {"url": A, "title": "a"}}]},
                        {"text": "y", "sources": [{"type": "document", "document": {"url": A}}]}]}, [(1, A, "a")]),
        ({"executed_tools": [{"type": "search", "search_results": {"results": [{"url": A, "title": "a"}]}}]},
         [(1, A, "a")]),
        ({"context": {"citations": [{"url": A, "title": "a"}]}}, [(1, A, "a")]),
        ({"provider_specific_fields": {"citations": [{"url": A, "title": "a"}]}}, [(1, A, "a")]),
        ({"provider_specific_fields": {"grounding_metadata": {"groundingChunks": [{"web": {"uri": A, "title": "a"}}]}}},
         [(1, A, "a")]),
    ],
)  # fmt: skip
def test_sources_in_a_delta_or_a_message(fields: Any, found: list[Any]) -> None:
    assert sources(chunks(delta("x"), delta("y", **fields), STOP)) == found
    assert sources(read(dumps(message("x", **fields)))) == found


def test_sources_among_the_blocks_of_a_content() -> None:
    citation = {"type": "web_search_result_location", "url": A, "title": "a"}
    blocks = [
        {"type": "text", "text": "x", "citations": [citation]},
        {"type": "tool_reference", "tool": "web_search", "url": B, "title": "b"},
        {"type": "reference", "reference_ids": [1]},
    ]
    result = read(dumps(message(blocks)))
    assert (result.text, sources(result)) == ("x[1]", [(1, A, "a"), (2, B, "b")])


def test_sources_in_dashscopes_own_form() -> None:
    output = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}
    found = {"search_info": {"search_results": [{"index": 1, "url": A, "title": "a"}]}}
    assert sources(read(dumps({"output": {**output, **found}}))) == [(1, A, "a")]


def test_sources_and_images_in_geminis_own_form() -> None:
    parts = [{"text": "x"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}]
    grounding = {"groundingChunks": [{"web": {"uri": A, "title": "a"}}], "webSearchQueries": ["q"]}
    candidate = {"content": {"parts": parts}, "groundingMetadata": grounding, "finishReason": "STOP"}
    result = read(dumps({"candidates": [candidate]}))
    assert (result.text, sources(result), len(images(result))) == ("x", [(1, A, "a")], 1)


@pytest.mark.parametrize(
    "fields",
    [
        {"images": [{"type": "image_url", "image_url": {"url": URL}}]},
        {"images": [{"image_url": URL}]}, {"images": [URL]}, {"images": [{"b64_json": PNG}]},
        {"image": {"data": PNG, "mime_type": "image/png"}},
        {"content": [{"type": "image_url", "image_url": {"url": URL}}]},
        {"content": [{"type": "image", "source": {"media_type": "image/png", "data": PNG}}]},
        {"content": [{"inline_data": {"mime_type": "image/png", "data": PNG}}]},
        {"content": [{"type": "output_image", "image_base64": PNG}]},
        {"content": [{"type": "image_generation_call", "result": PNG}]},
        {"images": [{"image_url": {"url": f"data:image/jpeg;base64,{PNG}"}}]},
    ],
    ids=str,
)  # fmt: skip
def test_an_image_alone_is_a_complete_answer(fields: Any) -> None:
    for result in (chunks(delta(**fields), delta(**fields), STOP), read(dumps(message(**fields)))):
        (image,) = images(result)
        assert (image.type, image.size, image.broken, image.data()) == ("image/png", len(BYTES), "", BYTES)
        assert (result.text, result.verdict, result.finished.error) == ("", Verdict.COMPLETE, None)


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"RIFF1234WEBPVP8 ", "image/webp"), (b"\0\0\0 ftypavif", "image/avif"), (b"\xff\xd8\xff\xe0", "image/jpeg"),
     (b"  <svg xmlns=''>", "image/svg+xml"), (b"something else", ""),
     (b"RIFF1234WAVEfmt ", ""), (b"OOPS1234WEBPVP8 ", "")],
)  # fmt: skip
def test_the_type_of_an_image_is_that_of_its_first_bytes(data: bytes, kind: str) -> None:
    encoded = base64.b64encode(data + bytes(30)).decode()
    (image,) = images(chunks(delta(images=[encoded]), STOP))
    assert (image.type, image.broken) == (kind, "")


def test_an_address_is_returned_and_a_broken_image_reported() -> None:
    linked = chunks(delta(images=[{"image_url": {"url": A}}]), STOP)
    assert (images(linked), linked.verdict) == ([Image(url=A)], Verdict.COMPLETE)
    for broken in ("!!!!", "A", ""):
        result = chunks(delta("x", images=[{"image_url": {"url": f"data:image/png;base64,{broken}"}}]), STOP)
        assert (bool(images(result)[0].broken), result.verdict) == (True, Verdict.COMPLETE)
    alone = chunks(delta(images=["data:image/png;base64,!!!!"]), STOP)
    assert alone.verdict is Verdict.EMPTY


def test_further_choices_and_log_probabilities_are_returned() -> None:
    def choice(index: int, text: str, finish: str | None = None, **more: Any) -> Any:
        return {"choices": [{"index": index, "delta": {"content": text}, "finish_reason": finish, **more}]}

    probs = [{"content": [{"token": token, "logprob": -0.5}], "refusal": None} for token in "ab"]
    result = chunks(
        choice(1, "c"),
        choice(0, "a", logprobs=probs[0]),
        choice(1, "d", "length"),
        choice(0, "b", "stop", logprobs=probs[1]),
    )
    assert (result.text, result.verdict) == ("ab", Verdict.COMPLETE)
    (other,) = result.finished.choices
    assert (other.index, other.text, other.finish) == (1, "cd", "length")
    assert result.finished.logprobs == {"content": probs[0]["content"] + probs[1]["content"], "refusal": None}
    whole = message("a")
    whole["choices"].append({"index": 1, "message": {"content": "b"}, "finish_reason": "stop"})
    assert [other.text for other in read(dumps(whole)).finished.choices] == ["b"]
    assert chunks(delta("a"), STOP).finished.choices == ()


# --- token counts --------------------------------------------------------------------------------------------

BASIC = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
READ = Usage(input=10, output=5)
ZERO = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
GEMINI = {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 3, "totalTokenCount": 18}


def counted(counts: Any) -> dict[str, Any]:
    return {"choices": [], "usage": counts}


@pytest.mark.parametrize(
    ("sent", "usage"),
    [
        ([STOP, counted(BASIC)], READ), ([STOP, {"usage": BASIC}], READ),
        ([STOP, counted(BASIC), counted(None)], READ), ([{**delta("Hi"), "usage": None}, STOP], None),
        ([{**STOP, "usage": BASIC}], READ),
        ([*({**delta("a"), "usage": {"prompt_tokens": 10, "completion_tokens": n}} for n in range(6)), STOP], READ),
        ([{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": BASIC}]}], READ),
        ([STOP, {"choices": [], "x_groq": {"id": "r", "usage": {**BASIC, "queue_time": 0.1}}}], READ),
        ([STOP, {"choices": [], "usageMetadata": GEMINI}], Usage(input=10, output=8, reasoning=3)),
        ([STOP, counted(ZERO), counted(BASIC)], READ), ([STOP, counted(BASIC), counted(ZERO)], READ),
        ([STOP, counted(ZERO)], Usage(input=0, output=0)),
        ([STOP, counted(BASIC), counted({"prompt_tokens": 12, "completion_tokens": 7})], Usage(input=12, output=7)),
    ],
)  # fmt: skip
def test_counts_are_found_in_any_place_and_the_last_ones_are_used(
    sent: list[Any], usage: Usage | None
) -> None:
    assert chunks(delta("Hi"), *sent).usage == usage


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        *[(nothing, None) for nothing in
          (None, {}, [], "x", {"prompt_tokens": None}, {"queue_time": 1}, {"prompt_tokens": "x"})],
        ({**BASIC, "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
          "completion_tokens_details": {"reasoning_tokens": 3, "accepted_prediction_tokens": 1}},
         Usage(input=10, output=5, cached=4, reasoning=3)),
        *[({**BASIC, **cached}, Usage(input=10, output=5, cached=4)) for cached in (
            {"prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 6}, {"cached_tokens": 4},
            {"num_cached_tokens": 4}, {"prompt_token_details": {"cached_tokens": 4}}, {"cache_read_input_tokens": 4},
            {"prompt_tokens_details": {"cached_tokens": 4, "cache_type": "implicit"}},
            {"prompt_tokens_details": None, "cached_tokens": 4})],
        # xAI's output includes its reasoning; Mistral's audio is not output.
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 45, "cost_in_usd_ticks": 37_756_000,
          "completion_tokens_details": {"reasoning_tokens": 30}},
         Usage(input=10, output=35, reasoning=30, cost=Decimal("0.0037756"))),
        ({"prompt_tokens": 9, "completion_tokens": 248, "total_tokens": 632,
          "prompt_tokens_details": {"audio_tokens": 375}}, Usage(input=9, output=248)),
        ({"prompt_tokens": 1, "completion_tokens": 5, "reasoning_tokens": 9, "cached_tokens": 3},
         Usage(input=1, output=5, cached=1, reasoning=5)),
        ({"input_tokens": 10, "output_tokens": 5, "reasoning_tokens": 2}, Usage(input=10, output=5, reasoning=2)),
        ({"input_tokens": 0, "output_tokens": 0, **BASIC}, READ),
        ({"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2},
         Usage(input=16, output=5, cached=4, cache_write=2)),
        *[({"prompt_tokens": ten, "completion_tokens": 5}, READ) for ten in (10, 10.0, "10", "10.0")],
        *[({"prompt_tokens": odd, "completion_tokens": 5}, Usage(output=5)) for odd in
          (True, -1, math.nan, math.inf, 10**400, "ten", [], {}, "1" * 5000)],
        *[({**BASIC, **cost}, Usage(input=10, output=5, cost=dollars and Decimal(dollars))) for cost, dollars in (
            ({"cost": 0.0012, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.5}}, "0.0012"),
            ({"cost": {"input_tokens_cost": 0.1, "total_cost": 0.3}, "num_search_queries": 1}, "0.3"),
            ({"cost": "0.5"}, "0.5"), ({"estimated_cost": 0.25}, "0.25"),
            ({"cost": None}, None), ({"cost": -1}, None))],
    ],
)  # fmt: skip
def test_counts_are_read_under_every_name(counts: Any, usage: Usage | None) -> None:
    assert chunks(delta("Hi"), STOP, counted(counts)).usage == usage
    assert read(dumps({**message("Hi"), "usage": counts})).usage == usage
