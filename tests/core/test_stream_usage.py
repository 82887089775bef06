"""Token counts in every shape: what section 6 of the wire's quirks lists, and where chunks carry them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from wire import chunks, delta, dumps, message, read

from provider_core.types import Usage

STOP = delta(finish="stop")
BASIC = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def usage(*chunks_: dict[str, Any]) -> Usage | None:
    return chunks(delta("Hi"), STOP, *chunks_).usage


def of(counts: Any) -> Usage | None:
    """Read one usage object, in a stream and in a reply."""
    streamed = usage({"choices": [], "usage": counts})
    assert read(dumps({**message("Hi"), "usage": counts})).usage == streamed
    return streamed


def test_usage_comes_in_a_last_chunk_without_choices() -> None:  # quirk 36
    assert usage({"choices": [], "usage": BASIC}) == Usage(input=10, output=5)
    assert usage({"usage": BASIC}) == Usage(input=10, output=5)


def test_null_is_not_zero() -> None:  # quirk 37
    assert usage({"choices": [], "usage": BASIC}, {"choices": [], "usage": None}) == Usage(input=10, output=5)
    assert chunks({**delta("Hi"), "usage": None}, STOP).usage is None


def test_usage_comes_with_the_last_choice() -> None:  # quirk 38
    assert chunks(delta("Hi"), {**STOP, "usage": BASIC}).usage == Usage(input=10, output=5)


def test_usage_on_every_chunk_is_replaced_not_added() -> None:  # quirk 39
    growing = [{**delta("a"), "usage": {"prompt_tokens": 10, "completion_tokens": n}} for n in range(1, 6)]
    assert chunks(*growing, STOP).usage == Usage(input=10, output=5)


def test_usage_inside_the_choice_is_read() -> None:  # quirk 40
    frame = delta(finish="stop")
    frame["choices"][0]["usage"] = BASIC
    assert chunks(delta("Hi"), frame).usage == Usage(input=10, output=5)


@pytest.mark.parametrize(
    "nothing", [None, {}, [], "x", {"prompt_tokens": None}, {"queue_time": 1}, {"prompt_tokens": "x"}]
)
def test_no_usage_is_not_zero(nothing: Any) -> None:  # quirks 41 and 135
    assert of(nothing) is None


def test_openai_s_details_are_read() -> None:  # quirk 123
    details = {
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 3, "accepted_prediction_tokens": 1},
    }
    assert of({**BASIC, **details}) == Usage(input=10, output=5, cached=4, reasoning=3)


@pytest.mark.parametrize(
    "cached",
    [
        {"prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 6},  # quirk 124
        {"cached_tokens": 4},  # quirk 126
        {"num_cached_tokens": 4},  # quirk 127
        {"prompt_token_details": {"cached_tokens": 4}},  # quirk 127
        {"prompt_tokens_details": {"cached_tokens": 4, "cache_type": "implicit"}},  # quirk 128
        {"cache_read_input_tokens": 4},
        {"prompt_tokens_details": None, "cached_tokens": 4},  # quirk 133
    ],
)
def test_cached_tokens_have_many_names(cached: Any) -> None:
    assert of({**BASIC, **cached}) == Usage(input=10, output=5, cached=4)


def test_groq_s_own_place_is_read() -> None:  # quirk 125
    assert usage({"choices": [], "x_groq": {"id": "r", "usage": {**BASIC, "queue_time": 0.1}}}) == Usage(
        input=10, output=5
    )


def test_xai_s_output_includes_its_thoughts() -> None:  # quirk 129
    counts = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 45,
        "cost_in_usd_ticks": 37_756_000,
    }
    assert of({**counts, "completion_tokens_details": {"reasoning_tokens": 30}}) == Usage(
        input=10, output=35, reasoning=30, cost=0.0037756
    )


def test_mistral_s_sound_is_no_output() -> None:  # quirk 129
    counts = {"prompt_tokens": 9, "completion_tokens": 248, "total_tokens": 632}
    assert of({**counts, "prompt_tokens_details": {"audio_tokens": 375}}) == Usage(input=9, output=248)


def test_more_thoughts_than_output_are_clamped() -> None:  # quirk 130
    assert of(
        {"prompt_tokens": 1, "completion_tokens": 5, "reasoning_tokens": 9, "cached_tokens": 3}
    ) == Usage(input=1, output=5, cached=1, reasoning=5)


@pytest.mark.parametrize(
    ("cost", "dollars"),
    [
        ({"cost": 0.0012, "is_byok": False, "cost_details": {"upstream_inference_cost": None}}, 0.0012),
        ({"cost": {"input_tokens_cost": 0.1, "total_cost": 0.3}, "num_search_queries": 1}, 0.3),
        ({"cost": "0.5"}, 0.5),
        ({"estimated_cost": 0.25}, 0.25),
        ({"cost": None}, None),
        ({"cost": -1}, None),
    ],
)
def test_the_cost_is_the_server_s_own_word(cost: Any, dollars: float | None) -> None:  # quirk 131
    assert of({**BASIC, **cost}) == Usage(input=10, output=5, cost=dollars)


def test_other_names_of_the_counts_are_read() -> None:  # quirk 132
    assert of({"input_tokens": 10, "output_tokens": 5, "reasoning_tokens": 2}) == Usage(
        input=10, output=5, reasoning=2
    )
    zeros = {"input_tokens": 0, "output_tokens": 0}
    assert of({**zeros, **BASIC}) == Usage(input=10, output=5)
    gemini = {
        "promptTokenCount": 10,
        "candidatesTokenCount": 5,
        "thoughtsTokenCount": 3,
        "totalTokenCount": 18,
    }
    assert usage({"choices": [], "usageMetadata": gemini}) == Usage(input=10, output=8, reasoning=3)


def test_anthropic_s_names_count_the_cache_apart() -> None:  # quirk 132
    counts = {
        "input_tokens": 10,
        "output_tokens": 5,
        "cache_read_input_tokens": 4,
        "cache_creation_input_tokens": 2,
    }
    assert of(counts) == Usage(input=16, output=5, cached=4)


@pytest.mark.parametrize("ten", [10, 10.0, "10", "10.0"])
def test_counts_may_be_floats_or_strings(ten: Any) -> None:  # quirk 133
    assert of({"prompt_tokens": ten, "completion_tokens": 5}) == Usage(input=10, output=5)


@pytest.mark.parametrize("odd", [True, -1, math.nan, math.inf, 10**400, "ten", [], {}, "1" * 5000])
def test_counts_that_are_none_are_left_out(odd: Any) -> None:  # quirk 133
    assert of({"prompt_tokens": odd, "completion_tokens": 5}) == Usage(output=5)


def test_zeros_before_the_numbers_and_after_them_do_not_count() -> None:  # quirk 134
    zero = {"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}}
    assert usage(zero, {"choices": [], "usage": BASIC}) == Usage(input=10, output=5)
    assert usage({"choices": [], "usage": BASIC}, zero) == Usage(input=10, output=5)
    assert usage(zero) == Usage(input=0, output=0)


def test_the_last_number_wins() -> None:  # quirk 38
    later = {"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 7}}
    assert usage({"choices": [], "usage": BASIC}, later) == Usage(input=12, output=7)
