"""History: what is stored of a turn, how conversations are named and found, what the next request holds."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from provider_core.answer import Answer
from provider_core.errors import (
    ConnectionLostError,
    ContentPolicyError,
    ContextOverflowError,
    CoreError,
    InvalidInputError,
    ServerError,
    UnknownConversationError,
)
from provider_core.history import History
from provider_core.types import (
    ImagePart,
    Message,
    Provider,
    Target,
    TextPart,
    Timing,
    ToolCall,
    Usage,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LAB = Target(provider=Provider(name="lab"), model="m")
OTHER = Target(provider=Provider(name="other"), model="big/model")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "history.db"


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    ticks = itertools.count(1000)
    with History(path, clock=lambda: float(next(ticks))) as opened:
        yield opened


def user(text: str) -> Message:
    return Message(role="user", content=text)


def answer(
    text: str = "", verdict: Verdict = Verdict.COMPLETE, target: Target = LAB, **fields: object
) -> Answer:
    return Answer(target=target, verdict=verdict, text=text, **fields)  # type: ignore[arg-type]


def said(history: History, question: str, text: str = "Yes.", conversation: str | None = None) -> str:
    """One turn; the conversation's id."""
    begun = history.begin([user(question)], LAB, conversation=conversation)
    history.end(begun.turn, answer(text))
    return begun.conversation


# --- what is stored ------------------------------------------------------------------------------------------


def test_a_turn_comes_back_as_it_was(path: Path, history: History) -> None:
    call = ToolCall(id="1", name="now", arguments='{"zone":', extra={"sig": {"x": [1]}})
    system = Message(role="system", content="Be brief.")
    result = Message(role="tool", content="noon", tool_call_id="0")
    whole = answer(
        "Grüße, 世界 \x00\x1b[31m🎉",
        target=OTHER,
        reasoning="hm",
        reasoning_details=({"type": "reasoning.text", "text": "hm"},),
        extra={"thought_signature": "abc"},
        tool_calls=(call,),
        usage=Usage(input=3, output=0, cost=0.25),
        timing=Timing(first_byte=0.1, total=2.0),
        finish="tool_calls",
        raw_finish="tool_use",
        model="served-1",
    )
    begun = history.begin([system, user("What?"), result], OTHER, params={"temperature": 0, "stop": ["a"]})
    history.end(begun.turn, whole)
    with History(path) as again:
        (turn,) = again.turns(begun.conversation)
    assert (turn.id, turn.conversation, turn.at) == (begun.turn, begun.conversation, 1000.0)
    assert (turn.provider, turn.model, turn.served) == ("other", "big/model", "served-1")
    assert turn.params == {"temperature": 0, "stop": ["a"]}
    assert turn.messages == (system, user("What?"), result)
    assert turn.answer == whole.message()
    assert (turn.verdict, turn.error, turn.finish, turn.raw_finish) == (
        Verdict.COMPLETE,
        None,
        "tool_calls",
        "tool_use",
    )
    assert (turn.usage, turn.timing) == (whole.usage, whole.timing)


def test_text_and_images_of_one_message_keep_their_order(history: History) -> None:
    content = (
        TextPart(text="Compare \n\n"),
        ImagePart(url="data:image/png;base64,AAAA"),
        TextPart(text=""),
        TextPart(text="with ü"),
        ImagePart(url="https://host.test/b.png"),
    )
    message = Message(role="user", content=content)
    begun = history.begin([message], LAB)
    assert history.turns(begun.conversation)[0].messages == (message,)


def test_half_a_character_is_stored_as_it_was_printed(history: History) -> None:
    begun = history.begin([user("a\ud800b")], LAB, params={"stop": "\ud800"})
    history.end(begun.turn, answer("x\udc80y", extra={"k": "\ud800"}))
    (turn,) = history.turns(begun.conversation)
    assert turn.messages[0].content == "a?b"
    assert turn.answer is not None
    assert turn.answer.content == "x\udc80y".encode("utf-8", "replace").decode()
    assert turn.answer.extra == {"k": "\ud800"}


@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_is_stored_with_the_reason_in_its_words(history: History, verdict: Verdict) -> None:
    begun = history.begin([user("Q")], LAB)
    history.end(begun.turn, answer("half", verdict, error=ConnectionLostError("lab broke off")))
    (turn,) = history.turns(begun.conversation)
    assert (turn.verdict, turn.error) == (verdict, "lab broke off")
    assert turn.answer is not None
    assert turn.answer.content == "half"


def test_a_turn_whose_process_died_has_its_question_and_no_verdict(history: History) -> None:
    begun = history.begin([user("Q")], LAB)
    (turn,) = history.turns(begun.conversation)
    assert (turn.messages, turn.answer, turn.verdict) == ((user("Q"),), None, None)


def test_what_is_ended_twice_has_its_last_answer(history: History) -> None:
    begun = history.begin([user("Q")], LAB)
    history.end(begun.turn, answer("first"))
    history.end(begun.turn, answer("second"))
    (turn,) = history.turns(begun.conversation)
    assert turn.answer is not None
    assert turn.answer.content == "second"


# --- conversations -------------------------------------------------------------------------------------------


def test_turns_of_one_conversation_stand_together_and_the_latest_comes_first(history: History) -> None:
    first = said(history, "One")
    second = said(history, "Two")
    said(history, "Three", conversation=first)
    listed = history.conversations()
    assert [(each.id, each.turns, each.begun, each.updated) for each in listed] == [
        (first, 2, 1000.0, 1002.0),
        (second, 1, 1001.0, 1001.0),
    ]
    assert history.latest() == listed[0]
    assert history.conversations(limit=1) == listed[:1]


def test_the_latest_is_the_one_that_was_asked_last_whatever_the_clock_says(path: Path) -> None:
    ticks = iter([50.0, 10.0])
    with History(path, clock=lambda: next(ticks)) as history:
        said(history, "before the clock was set back")
        late = said(history, "after")
        latest = history.latest()
    assert latest is not None
    assert latest.id == late


def test_the_model_of_a_conversation_is_that_of_its_last_turn(history: History) -> None:
    conversation = said(history, "One")
    history.begin([user("Two")], OTHER, conversation=conversation)
    assert [each.model for each in history.conversations()] == ["other/big/model"]


def test_nothing_is_made_by_looking(path: Path, history: History) -> None:
    assert history.latest() is None
    assert history.conversations() == ()
    assert history.turns("x") == ()
    assert history.messages("x") == ()
    assert history.search(["x"]) == ()
    assert history.remove(["x"]).conversations == 0
    assert history.prune(9e9).conversations == 0
    assert not path.parent.exists()


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ("Why is the sky blue?", "Why is the sky blue?"),
        ("\n  \n  two\twords \nmore", "two words"),
        ("a" * 60, "a" * 60),
        ("word " * 30, "word " * 11 + "word…"),
        ("b" * 100, "b" * 59 + "…"),
        ("世" * 100, "世" * 59 + "…"),
        ("bell\x07 and \x1b[31mred", "bell and [31mred"),
        ("   ", "(no text)"),
        ((ImagePart(url="data:,"), TextPart(text="see")), "see"),
        ((ImagePart(url="data:,"),), "(no text)"),
    ],
)
def test_the_title_is_the_first_line_that_was_written(
    history: History, content: str | tuple[TextPart | ImagePart, ...], title: str
) -> None:
    system = Message(role="system", content="You are a title.")
    history.begin([system, Message(role="user", content=content)], LAB)
    latest = history.latest()
    assert latest is not None
    assert latest.title == title
    assert len(latest.title) <= 60


@pytest.mark.parametrize(
    ("given", "title"),
    [("\n Mine\nmore", "Mine"), ("c" * 61, "c" * 59 + "…"), ("", "Q"), (" \n", "Q"), (None, "Q")],
)
def test_the_first_line_of_a_title_that_is_given_is_taken(
    history: History, given: str | None, title: str
) -> None:
    begun = history.begin([user("Q")], LAB, title=given)
    assert history.find(begun.conversation).title == title


def test_a_title_is_found_in_any_case_and_can_be_changed(history: History) -> None:
    begun = history.begin([user("Q")], LAB, title="Mine")
    assert history.find("mine").id == begun.conversation
    assert history.rename(begun.conversation, "\x1b[31m") == "[31m"
    assert history.rename(begun.conversation, " His \n\x07 own ") == "His own"
    assert [each.title for each in history.conversations()] == ["His own"]
    with pytest.raises(InvalidInputError):
        history.rename(begun.conversation, " \n")


def test_ids_are_short_lower_case_and_hold_no_letters_that_look_alike(history: History) -> None:
    ids = {said(history, "Q") for _ in range(50)}
    assert len(ids) == 50
    assert all(len(id_) == 8 and not set(id_) - set("0123456789abcdefghjkmnpqrstvwxyz") for id_ in ids)


# --- finding one ---------------------------------------------------------------------------------------------


def test_a_conversation_is_found_by_id_prefix_and_title(history: History) -> None:
    one = said(history, "Mend the build")
    said(history, "Bake bread")
    for name in (
        one,
        one.upper(),
        one[:4],
        one[:6].upper(),
        f" {one} ",
        "Mend the build",
        "MEND the Build",
        "end the b",
    ):
        assert history.find(name).id == one


def test_the_better_match_wins(history: History) -> None:
    exact = said(history, "plan")
    other_case = said(history, "Plan")
    said(history, "My plan for today")
    assert history.find("plan").id == exact
    assert history.find("Plan").id == other_case
    with pytest.raises(UnknownConversationError):
        history.find("PLAN")


def test_several_that_could_be_meant_are_named(history: History) -> None:
    ids = [said(history, "hello") for _ in range(3)]
    with pytest.raises(UnknownConversationError) as caught:
        history.find("hello")
    assert caught.value.candidates == tuple((id_, "hello") for id_ in reversed(ids))
    assert "'hello' could be any of 3" in caught.value.message


@pytest.mark.parametrize("name", ["nothing like it", "", "   ", "%", "_", "'"])
def test_a_name_that_means_none_is_an_error(history: History, name: str) -> None:
    said(history, "Mend the build")
    with pytest.raises(UnknownConversationError) as caught:
        history.find(name)
    assert caught.value.candidates == ()


def test_near_misses_are_named(history: History) -> None:
    one = said(history, "Mend the build")
    with pytest.raises(UnknownConversationError) as caught:
        history.find("Mned the biuld")
    assert caught.value.candidates == ((one, "Mend the build"),)


def test_a_prefix_of_three_letters_is_no_id(history: History) -> None:
    one = said(history, "?")
    with pytest.raises(UnknownConversationError):
        history.find(one[:3])


# --- what the next request holds -----------------------------------------------------------------------------


def test_a_later_request_holds_the_turns_and_who_wrote_them(history: History) -> None:
    begun = history.begin([Message(role="system", content="Old"), user("A")], LAB)
    history.end(begun.turn, answer("a", reasoning="hm"))
    second = history.begin(
        [Message(role="system", content="New"), user("B")], OTHER, conversation=begun.conversation
    )
    history.end(second.turn, answer("b", target=OTHER))
    assert history.messages(begun.conversation) == (
        Message(role="system", content="New"),
        user("A"),
        Message(role="assistant", content="a", reasoning="hm", provider="lab"),
        user("B"),
        Message(role="assistant", content="b", provider="other"),
    )


def test_an_empty_system_message_takes_the_former_one_away(history: History) -> None:
    begun = history.begin([Message(role="system", content="Old"), user("A")], LAB)
    history.end(begun.turn, answer("a"))
    history.begin([Message(role="system"), user("B")], LAB, conversation=begun.conversation)
    assert [message.content for message in history.messages(begun.conversation)] == ["A", "a", "B"]


@pytest.mark.parametrize("verdict", [Verdict.PARTIAL, Verdict.INTERRUPTED, Verdict.LENGTH, Verdict.FAILED])
def test_what_was_cut_short_goes_along_as_far_as_it_goes(history: History, verdict: Verdict) -> None:
    begun = history.begin([user("A")], LAB)
    history.end(begun.turn, answer("hal", verdict))
    assert [message.content for message in history.messages(begun.conversation)] == ["A", "hal"]


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.EMPTY, Verdict.INTERRUPTED, None])
def test_a_question_without_an_answer_goes_along(history: History, verdict: Verdict | None) -> None:
    conversation = said(history, "A", "a")
    begun = history.begin([Message(role="system", content="S"), user("B")], LAB, conversation=conversation)
    if verdict is not None:
        history.end(begun.turn, answer("", verdict, reasoning="only thoughts"))
    said(history, "C", "c", conversation)
    assert [message.content for message in history.messages(conversation)] == ["S", "A", "a", "B", "C", "c"]


def test_a_question_that_is_asked_again_is_sent_once(history: History) -> None:
    begun = history.begin([user("A")], LAB)
    history.end(begun.turn, answer("", Verdict.FAILED))
    said(history, "A", "a", begun.conversation)
    assert [message.content for message in history.messages(begun.conversation)] == ["A", "a"]


@pytest.mark.parametrize(
    ("error", "goes_along"),
    [
        (ServerError("boom", status=500), True),
        (ConnectionLostError("gone"), True),
        (ContextOverflowError("too long", status=400), False),
        (ContentPolicyError("no", status=400), False),
    ],
)
def test_a_question_that_the_server_refused_for_what_it_says_is_not_sent_again(
    history: History, error: CoreError, goes_along: bool
) -> None:
    begun = history.begin([user("A")], LAB)
    history.end(begun.turn, answer("", Verdict.FAILED, error=error))
    assert [message.content for message in history.messages(begun.conversation)] == ["A"] * goes_along
    (turn,) = history.turns(begun.conversation)
    assert (turn.verdict, turn.error, turn.resend) == (Verdict.FAILED, error.message, goes_along)


def test_the_latest_is_where_the_user_asked_last_though_tools_go_on_elsewhere(history: History) -> None:
    loop = said(history, "With tools", "")
    last = said(history, "The last question")
    result = Message(role="tool", content="noon", tool_call_id="1")
    history.end(history.begin([result], LAB, conversation=loop).turn, answer("Noon."))
    latest = history.latest()
    assert latest is not None
    assert latest.id == last
    assert history.conversations()[0].id == loop


def test_calls_and_results_of_tools_go_along(history: History) -> None:
    call = ToolCall(id="1", name="now", arguments="{}")
    begun = history.begin([user("Time?")], LAB)
    history.end(begun.turn, answer("", tool_calls=(call,), reasoning="hm"))
    result = Message(role="tool", content="noon", tool_call_id="1")
    failed = history.begin([result], LAB, conversation=begun.conversation)
    history.end(failed.turn, answer("", Verdict.FAILED))
    assert history.messages(begun.conversation) == (
        user("Time?"),
        Message(role="assistant", tool_calls=(call,), reasoning="hm", provider="lab"),
        result,
    )


# --- taking back ---------------------------------------------------------------------------------------------


def test_a_turn_is_taken_back(history: History) -> None:
    conversation = said(history, "A", "a")
    begun = history.begin([user("B")], LAB, conversation=conversation)
    history.end(begun.turn, answer("b"))
    history.drop_turn(begun.turn)
    assert [message.content for message in history.messages(conversation)] == ["A", "a"]


def test_a_conversation_whose_only_turn_is_taken_back_is_gone_until_it_goes_on(history: History) -> None:
    begun = history.begin([user("typo")], LAB)
    history.drop_turn(begun.turn)
    assert history.conversations() == ()
    assert said(history, "right", conversation=begun.conversation) == begun.conversation
    assert [each.title for each in history.conversations()] == ["right"]


def test_an_answer_to_a_turn_that_is_gone_lands_nowhere(history: History) -> None:
    begun = history.begin([user("A")], LAB)
    history.drop_turn(begun.turn)
    later = history.begin([user("B")], LAB)
    history.end(begun.turn, answer("late"))
    assert later.turn != begun.turn
    assert history.turns(later.conversation)[0].answer is None
    assert history.search(["late"]) == ()
