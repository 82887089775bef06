"""One answer put together from its events: what there is at any moment, and what counts as said."""

from __future__ import annotations

from itertools import count

import pytest

from provider_core.answer import AnswerBuilder
from provider_core.errors import ConnectError
from provider_core.types import (
    Finished,
    Provider,
    Reasoning,
    Sent,
    Target,
    Text,
    ToolCall,
    Usage,
    Verdict,
)

TARGET = Target(provider=Provider(name="lab"), model="m")
CALL = ToolCall(id="a", name="f", arguments="{}")


def gathering() -> AnswerBuilder:
    """One whose clock goes on by a second each time it is looked at."""
    return AnswerBuilder(TARGET, clock=count(100.0).__next__)


def test_a_whole_answer_is_all_its_events() -> None:
    found = gathering()
    details, extra = ({"type": "reasoning.text"},), {"signature": "s"}
    for event in (
        Reasoning(text="Hm"),
        Reasoning(text="."),
        Text(text="The sky"),
        Text(text=" is blue."),
        CALL,
        Usage(input=1, output=2),
        Finished(
            verdict=Verdict.COMPLETE, reason="stop", raw_reason="eos", model="m-1",
            reasoning_details=details, extra=extra,
        ),
    ):  # fmt: skip
        found.add(event)
    answer = found.answer()
    assert (answer.verdict, answer.text, answer.reasoning) == (Verdict.COMPLETE, "The sky is blue.", "Hm.")
    assert (answer.tool_calls, answer.usage) == ((CALL,), Usage(input=1, output=2))
    assert (answer.finish, answer.raw_finish, answer.model) == ("stop", "eos", "m-1")
    assert (answer.reasoning_details, answer.extra, answer.error) == (details, extra, None)
    message = answer.message()
    assert (message.role, message.content, message.tool_calls) == ("assistant", "The sky is blue.", (CALL,))
    assert (message.reasoning, message.reasoning_details, message.extra) == ("Hm.", details, extra)
    assert message.provider == "lab"


def test_what_is_asked_for_early_is_what_there_is_and_interrupted() -> None:
    found = gathering()
    assert (found.answer().verdict, found.answer().text) == (Verdict.INTERRUPTED, "")
    found.add(Text(text="half"))
    answer = found.answer()
    assert (answer.verdict, answer.text, answer.error) == (Verdict.INTERRUPTED, "half", None)
    found.add(Text(text=" and half"))
    assert found.answer().text == "half and half"


def test_an_error_that_ends_it_is_its_error() -> None:
    error = ConnectError("no way")
    answer = gathering().answer(error)
    assert (answer.verdict, answer.error) == (Verdict.FAILED, error)


def test_what_the_stream_said_of_its_end_wins_over_a_later_error() -> None:
    found = gathering()
    found.add(Finished(verdict=Verdict.LENGTH, reason="length"))
    answer = found.answer(ConnectError("closed while leaving"))
    assert (answer.verdict, answer.error) == (Verdict.LENGTH, None)


def test_times_run_from_the_last_sending() -> None:
    found = gathering()  # looks at 100
    found.notice(Sent())  # at 101, which came to nothing
    found.notice(Sent())  # at 102
    found.add(Reasoning(text="hm"))  # at 103
    found.add(Text(text="x"))  # at 104
    found.add(Finished(verdict=Verdict.COMPLETE))  # at 105
    timing = found.answer().timing
    assert (timing.first_byte, timing.first_text, timing.total) == (1.0, 2.0, 3.0)


def test_what_never_came_has_no_time() -> None:
    timing = gathering().answer().timing
    assert (timing.first_byte, timing.first_text) == (None, None)
    assert timing.total == 1.0


@pytest.mark.parametrize(
    ("characters", "left"), [(0, "onetwo"), (1, "onetw"), (3, "one"), (4, "on"), (6, ""), (9, "")]
)
def test_what_was_not_said_can_be_taken_back(characters: int, left: str) -> None:
    found = gathering()
    for text in ("one", "", "two"):
        found.add(Text(text=text))
    found.take_back(characters)
    assert found.answer().text == left
    found.add(Text(text="!"))
    assert found.answer().text == left + "!"
