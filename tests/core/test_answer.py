"""An answer gathered from its events, and answers and messages combined."""

from __future__ import annotations

from decimal import Decimal
from itertools import count

import pytest

from provider_core.errors import ConnectError
from provider_core.events import AnswerBuilder, append_messages, merge_answers
from provider_core.types import (
    AnswerEvent,
    Finished,
    Image,
    Message,
    Provider,
    Reasoning,
    Source,
    Sources,
    Target,
    Text,
    ToolCall,
    Usage,
    Verdict,
)

TARGET = Target(provider=Provider(name="lab"), model="m")
CALL = ToolCall(id="a", name="f", arguments="{}")


def builder(*texts: str, limit: int | None = None) -> AnswerBuilder:
    """A builder with these texts; its clock starts at 100 and advances by a second whenever it is read."""
    made = AnswerBuilder(TARGET, limit=limit, clock=count(100.0).__next__)
    for text in texts:
        made.add(Text(text=text))
    return made


@pytest.mark.parametrize(
    ("size", "count_", "taken_back"), [(100_000, 9, 0), (100_000, 9, 70_000), (300_000, 4, 300_000)]
)
def test_a_long_text_leaves_memory_in_pieces(size: int, count_: int, taken_back: int) -> None:
    """Only what precedes the last event leaves, because the last one may have to be taken back."""
    spilled: list[str] = []

    def spill(at: int, text: str) -> None:
        assert at == len("".join(spilled))
        spilled.append(text)

    found = AnswerBuilder(TARGET, limit=1_000_000, spill=spill)
    whole = ""
    for number in range(count_):
        found.add(Text(text=str(number) * size))
        whole += str(number) * size
    found.take_back(taken_back)
    answer = found.answer()
    assert answer.spilled == len("".join(spilled)) > 0
    assert len(answer.text) < 400_000
    assert "".join(spilled) + answer.text == whole[: min(len(whole) - taken_back, 1_000_000)]


def test_a_piece_that_could_not_be_passed_on_is_still_part_of_the_answer() -> None:
    def spill(at: int, text: str) -> None:
        raise KeyboardInterrupt

    found = AnswerBuilder(TARGET, spill=spill)
    found.add(Text(text="a" * 300_000))
    with pytest.raises(KeyboardInterrupt):
        found.add(Text(text="b"))
    assert (found.answer().text, found.answer().spilled) == ("a" * 300_000, 0)


def test_an_answer_has_all_of_its_events() -> None:
    found = builder()
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


def test_an_unfinished_answer_is_interrupted_or_failed() -> None:
    found, error = builder("half"), ConnectError("no way")
    assert (found.answer().verdict, found.answer().text, found.answer().error) == (
        Verdict.INTERRUPTED, "half", None
    )  # fmt: skip
    assert (found.answer(error).verdict, found.answer(error).error) == (Verdict.FAILED, error)
    found.add(Text(text=" and half"))
    assert found.answer().text == "half and half"
    found.add(Finished(verdict=Verdict.LENGTH, reason="length"))
    assert (found.answer(error).verdict, found.answer(error).error) == (Verdict.LENGTH, None)


@pytest.mark.parametrize(
    ("event", "free"),
    [(None, True), (Sources(sources=()), True), (Text(text="x"), False), (Reasoning(text="x"), False),
     (CALL, False), (Image(url="https://host.test/a.png"), False), (Usage(input=1), False)],
)  # fmt: skip
def test_a_failed_request_without_anything_of_an_answer_is_free(
    event: AnswerEvent | None, free: bool
) -> None:
    found, error = builder(), ConnectError("no way")
    if event is not None:
        found.add(event)
    assert found.answer(error).is_free is free
    assert not found.answer().is_free  # interrupted: the server may have begun to work
    found.add(Finished(verdict=Verdict.EMPTY))
    assert not found.answer().is_free


def test_times_are_measured_from_the_last_request() -> None:
    found = builder()  # at 100
    assert (found.answer().timing.first_byte, found.answer().timing.first_text) == (None, None)  # 101, 102
    found.sent()  # at 103, which failed
    found.sent()  # at 104
    found.add(Reasoning(text="hm"))  # at 105
    found.add(Text(text="x"))  # at 106
    found.add(Finished(verdict=Verdict.COMPLETE))  # at 107
    timing = found.answer().timing
    assert (timing.first_byte, timing.first_text, timing.total) == (1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("characters", "left"), [(0, "onetwo"), (1, "onetw"), (3, "one"), (4, "on"), (6, ""), (9, "")]
)
def test_unshown_text_can_be_taken_back(characters: int, left: str) -> None:
    found = builder("one", "", "two")
    found.take_back(characters)
    assert found.answer().text == left
    found.add(Text(text="!"))
    assert found.answer().text == left + "!"


def test_text_beyond_the_limit_is_only_counted() -> None:
    found = builder("one", "two", "three", limit=4)
    found.add(Reasoning(text="hmmmm"))
    assert (found.answer().text, found.answer().reasoning, found.answer().left_out) == ("onet", "hmmm", 8)
    found.take_back(8)
    assert (found.answer().text, found.answer().left_out) == ("one", 1)


def test_merged_answers_have_everything_and_the_last_end() -> None:
    first, second, last = builder("Let me see."), builder(" \n"), builder("Noon.")
    one, two = Source(number=1, url="http://a.test"), Source(number=2, url="http://b.test")
    for found, usage, sources in (
        (first, Usage(input=3, output=1), (one,)),
        (second, Usage(input=4), ()),
        (last, Usage(input=5, output=2, cost=Decimal("0.5")), (one, two)),
    ):
        for event in (CALL, usage, Sources(sources=sources)):
            found.add(event)
    last.add(Finished(verdict=Verdict.COMPLETE, reason="stop"))
    merged = merge_answers([first.answer(), second.answer(), last.answer()])
    assert (merged.text, merged.verdict, merged.finish) == ("Let me see.\nNoon.", Verdict.COMPLETE, "stop")
    assert (merged.tool_calls, merged.sources) == ((CALL,) * 3, (one, two))
    assert merged.usage == Usage(input=12, output=3, cost=Decimal("0.5"))
    single = builder(" \n").answer()
    assert merge_answers([single]) is single


def test_messages_are_appended_with_the_last_system_message_first() -> None:
    def message(text: str, role: str = "user") -> Message:
        return Message(role=role, content=text)  # type: ignore[arg-type]

    old = (message("A", "system"), message("1?"))
    assert append_messages(old, [message("1?")]) == old, "a repeated prompt is there once"
    assert append_messages(old, [message("B", "system"), message("2?")]) == (
        message("B", "system"), message("1?"), message("2?")
    )  # fmt: skip
    assert append_messages(old, [message("", "system")]) == (message("1?"),)
