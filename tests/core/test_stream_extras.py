"""Sources, images, further choices and log probabilities, as servers send them."""

from __future__ import annotations

from typing import Any

import pytest
from wire import Read, chunks, delta, dumps, message, read

from provider_core.types import Image, Sources, Verdict

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
        ([{"citations": None}, {"citations": []}, {"citations": [7, None, {}, "no address"]}], []),
    ],
)  # fmt: skip
def test_sources_beside_the_choices(sent: list[Any], found: list[Any]) -> None:
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
    ],
)  # fmt: skip
def test_sources_in_a_delta_or_a_message(fields: Any, found: list[Any]) -> None:
    assert sources(chunks(delta("x"), delta("y", **fields), STOP)) == found
    assert sources(read(dumps(message("x", **fields)))) == found


def test_sources_among_the_blocks_of_a_content() -> None:
    blocks = [
        {
            "type": "text",
            "text": "x",
            "citations": [{"type": "web_search_result_location", "url": A, "title": "a"}],
        },
        {"type": "tool_reference", "tool": "web_search", "url": B, "title": "b"},
        {"type": "reference", "reference_ids": [1]},
    ]
    result = read(dumps(message(blocks)))
    assert (result.text, sources(result)) == ("x[1]", [(1, A, "a"), (2, B, "b")])


def test_dashscope_s_own_form_has_sources() -> None:
    output = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}
    found = {"search_info": {"search_results": [{"index": 1, "url": A, "title": "a"}]}}
    assert sources(read(dumps({"output": {**output, **found}}))) == [(1, A, "a")]


def test_gemini_s_own_form_has_sources_and_images() -> None:
    parts = [{"text": "x"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}]
    grounding = {"groundingChunks": [{"web": {"uri": A, "title": "a"}}], "webSearchQueries": ["q"]}
    candidate = {"content": {"parts": parts}, "groundingMetadata": grounding, "finishReason": "STOP"}
    result = read(dumps({"candidates": [candidate]}))
    assert (result.text, sources(result), len(images(result))) == ("x", [(1, A, "a")], 1)


@pytest.mark.parametrize(
    "fields",
    [
        {"images": [{"type": "image_url", "image_url": {"url": URL}}]},
        {"images": [{"image_url": URL}]},
        {"images": [URL]},
        {"images": [{"b64_json": PNG}]},
        {"image": {"data": PNG, "mime_type": "image/png"}},
        {"content": [{"type": "image_url", "image_url": {"url": URL}}]},
        {
            "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
            ]
        },
        {"content": [{"inline_data": {"mime_type": "image/png", "data": PNG}}]},
        {"content": [{"type": "output_image", "image_base64": PNG}]},
        {"content": [{"type": "image_generation_call", "result": PNG}]},
        {"images": [{"image_url": {"url": f"data:image/jpeg;base64,{PNG}"}}]},
    ],
    ids=str,
)
def test_an_image_alone_is_a_whole_answer(fields: Any) -> None:
    for result in (chunks(delta(**fields), delta(**fields), STOP), read(dumps(message(**fields)))):
        (image,) = images(result)
        assert (image.type, image.size, image.broken, image.data()) == ("image/png", len(BYTES), "", BYTES)
        assert (result.text, result.verdict, result.finished.error) == ("", Verdict.COMPLETE, None)


def test_an_address_is_handed_on_and_a_broken_image_reported() -> None:
    linked = chunks(delta(images=[{"image_url": {"url": A}}]), STOP)
    assert (images(linked), linked.verdict) == ([Image(url=A)], Verdict.COMPLETE)
    for broken in ("!!!!", "A", ""):
        result = chunks(delta("x", images=[{"image_url": {"url": f"data:image/png;base64,{broken}"}}]), STOP)
        assert (bool(images(result)[0].broken), result.verdict) == (True, Verdict.COMPLETE)
    alone = chunks(delta(images=["data:image/png;base64,!!!!"]), STOP)
    assert alone.verdict is Verdict.EMPTY


def test_further_choices_and_log_probabilities_are_kept() -> None:
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
