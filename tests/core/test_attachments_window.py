"""What a prompt will take of a model's window: an estimate that is told, and nothing that is cut."""

from __future__ import annotations

import time

import pytest

from provider_core.attachments import check_window, estimate_tokens
from provider_core.types import ImagePart, Message, Model, Provider, Target, TextPart, ToolCall

TARGET = Target(provider=Provider(name="lab"), model="m")


def says(text: str) -> list[Message]:
    return [Message(role="user", content=text)]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("abcd" * 100, 100), ("一二三" * 100, 200), ("каша " * 10, 16 + 2.5), ("a一", 0.25 + 1 / 1.5)],
)
def test_letters_count_by_their_script(text: str, tokens: float) -> None:
    assert estimate_tokens(says(text)) == -int(-(tokens + 4) // 1)


def test_images_calls_thoughts_and_each_message_count() -> None:
    picture = Message(role="user", content=(ImagePart(url="data:" + "x" * 99_999), TextPart(text="abcd")))
    called = Message(
        role="assistant", reasoning="abcd", tool_calls=(ToolCall(id="1", name="ab", arguments="{}"),)
    )
    assert estimate_tokens([picture]) == 1005
    assert estimate_tokens([called]) == 6
    assert estimate_tokens([picture, called]) == 1011


def test_what_may_not_fit_is_said_with_the_numbers() -> None:
    model = Model(id="m", context=8192)
    assert check_window(TARGET, model, says("word " * 9000)) == (
        "The prompt is about 11,000 tokens; lab/m takes 8,192 in all. It is sent completely, and may be refused. "
        "(The count is an estimate.)"
    )
    long = check_window(TARGET, model, says("word " * 6000), 1000)
    assert long is not None
    assert "about 7,500 tokens, and up to 1,000 are requested for the answer; lab/m takes 8,192" in long


def test_what_fits_or_is_not_known_is_not_worth_a_word() -> None:
    long = says("word " * 9000)
    assert check_window(TARGET, Model(id="m", context=8192), says("word " * 6000)) is None
    assert check_window(TARGET, Model(id="m"), long) is None
    assert check_window(TARGET, None, long) is None


def test_ten_megabytes_are_estimated_in_a_moment() -> None:
    started = time.perf_counter()
    estimate_tokens(says("naïve 一 text, " * 700_000))
    assert time.perf_counter() - started < 2
