"""History: what is saved of a turn, how conversations are found and searched, and what the next request contains."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider_core.errors import (
    ConnectionLostError,
    ContentPolicyError,
    ContextOverflowError,
    CoreError,
    InvalidInputError,
    ServerError,
    UnknownConversationError,
)
from provider_core.events import Answer
from provider_core.history import History
from provider_core.history._records import fold, snippet
from provider_core.prices import Cost
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


def said(
    history: History,
    question: str,
    text: str = "Yes.",
    conversation: str | None = None,
    title: str | None = None,
) -> str:
    """Save one turn; the conversation's id."""
    begun = history.begin([user(question)], LAB, conversation=conversation, title=title)
    history.end(begun.turn, answer(text))
    return begun.conversation


def contents(history: History, conversation: str) -> list[object]:
    return [message.content for message in history.messages(conversation)]


# --- saving --------------------------------------------------------------------------------------------------


def test_an_answer_saved_in_pieces_is_read_found_and_removed_as_one(path: Path, history: History) -> None:
    begun = history.begin([user("Count.")], LAB)
    history.add_text(begun.turn, 0, "one tw")
    history.add_text(begun.turn, 6, "o thr\udcff")
    history.add_text(begun.turn, 12, "ee fo")
    history.add_text(begun.turn, 12, "ee fo")  # a signal came between this and the return
    history.add_text(begun.turn, 17, "never shown")
    history.end(begun.turn, answer("ur.", Verdict.INTERRUPTED, spilled=17))
    other = said(history, "And?", "two", begun.conversation)
    assert contents(history, other) == ["Count.", "one two thr?ee four.", "And?", "two"]
    (hit,) = history.search(["two thr?ee four"])
    assert hit.turn == begun.turn
    assert "three" not in hit.snippet
    copy, turns = history.fork(begun.conversation)
    assert contents(history, copy) == ["Count.", "one two thr?ee four.", "And?", "two"]
    assert [turn for turn, _ in turns] == [turn.id for turn in history.turns(begun.conversation)]
    assert [turn for _, turn in turns] == [turn.id for turn in history.turns(copy)]
    history.remove([begun.conversation])
    assert len(contents(history, copy)) == 4
    history.remove([copy])
    history.add_text(begun.turn, 20, "too late")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM pieces").fetchone() == (0,)


def test_turn_is_read_as_it_was_saved(path: Path, history: History) -> None:
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
        usage=Usage(input=3, output=0, cost=Decimal("0.25")),
        cost=Cost(amount=Decimal("0.25"), source="server"),
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
    assert (turn.verdict, turn.error) == (Verdict.COMPLETE, None)
    assert (turn.finish, turn.raw_finish) == ("tool_calls", "tool_use")
    assert (turn.usage, turn.cost, turn.timing) == (whole.usage, whole.cost, whole.timing)


def test_texts_and_images_of_a_message_keep_their_order(history: History) -> None:
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


def test_surrogates_are_saved_as_they_were_printed(history: History) -> None:
    begun = history.begin([user("a\ud800b")], LAB, params={"stop": "\ud800"})
    history.end(begun.turn, answer("x\udc80y", extra={"k": "\ud800"}))
    (turn,) = history.turns(begun.conversation)
    assert turn.messages[0].content == "a?b"
    assert turn.answer is not None
    assert turn.answer.content == "x?y"
    assert turn.answer.extra == {"k": "\ud800"}


def test_each_verdict_is_saved_and_the_last_answer_of_a_turn(history: History) -> None:
    begun = history.begin([user("Q")], LAB)
    (turn,) = history.turns(begun.conversation)
    assert (turn.messages, turn.answer, turn.verdict) == ((user("Q"),), None, None)
    for verdict in Verdict:
        history.end(begun.turn, answer(verdict.value, verdict, error=ConnectionLostError("lab broke off")))
        (turn,) = history.turns(begun.conversation)
        assert (turn.verdict, turn.error) == (verdict, "lab broke off")
        assert turn.answer is not None
        assert turn.answer.content == verdict.value


def test_dropped_turn_is_gone_and_its_answer_too(history: History) -> None:
    conversation = said(history, "A", "a")
    begun = history.begin([user("B")], LAB, conversation=conversation)
    history.drop_turn(begun.turn)
    later = history.begin([user("C")], LAB)
    history.end(begun.turn, answer("late"))
    assert later.turn != begun.turn
    assert contents(history, conversation) == ["A", "a"]
    assert history.turns(later.conversation)[0].answer is None
    assert history.search(["late"]) == ()
    history.drop_turn(later.turn)  # the only turn of its conversation
    assert [each.id for each in history.conversations()] == [conversation]
    assert said(history, "right", conversation=later.conversation) == later.conversation
    assert history.find(later.conversation).title == "right"


# --- conversations -------------------------------------------------------------------------------------------


def test_conversations_are_sorted_by_their_last_turn(history: History) -> None:
    first = said(history, "One")
    second = said(history, "Two")
    history.begin([user("Three")], OTHER, conversation=first)
    listed = history.conversations()
    assert [(each.id, each.turns, each.begun, each.updated, each.model) for each in listed] == [
        (first, 2, 1000.0, 1002.0, "other/big/model"),
        (second, 1, 1001.0, 1001.0, "lab/m"),
    ]
    assert history.latest() == listed[0]
    assert history.conversations(limit=1) == listed[:1]


def test_latest_conversation_is_that_of_the_last_prompt(path: Path) -> None:
    ticks = iter([50.0, 10.0, 60.0])
    with History(path, clock=lambda: next(ticks)) as history:
        loop = said(history, "With tools", "")
        last = said(history, "The last question")  # after the clock was set back
        result = Message(role="tool", content="noon", tool_call_id="1")
        history.end(history.begin([result], LAB, conversation=loop).turn, answer("Noon."))
        latest = history.latest()
        assert latest is not None
        assert latest.id == last
        assert history.conversations()[0].id == loop


def test_reading_creates_no_file(path: Path, history: History) -> None:
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
def test_title_is_the_first_line_of_the_prompt(
    history: History, content: str | tuple[TextPart | ImagePart, ...], title: str
) -> None:
    system = Message(role="system", content="You are a title.")
    begun = history.begin([system, Message(role="user", content=content)], LAB)
    assert history.find(begun.conversation).title == title


def test_title_can_be_given_and_changed(history: History) -> None:
    for given_, title in (("\n Mine\nmore", "Mine"), ("c" * 61, "c" * 59 + "…"), ("", "Q"), (" \n", "Q")):
        conversation = said(history, "Q", title=given_)
        assert history.find(conversation).title == title
    assert history.rename(conversation, "\x1b[31m") == "[31m"
    assert history.rename(conversation, " His \n\x07 own ") == "His own"
    assert history.find("his OWN").id == conversation
    with pytest.raises(InvalidInputError):
        history.rename(conversation, " \n")


def test_ids_are_short_and_without_ambiguous_letters(history: History) -> None:
    ids = {said(history, "Q") for _ in range(50)}
    assert len(ids) == 50
    assert all(len(id_) == 8 and not set(id_) - set("0123456789abcdefghjkmnpqrstvwxyz") for id_ in ids)


def test_conversation_is_found_by_id_prefix_and_title(history: History) -> None:
    one = said(history, "Mend the build")
    exact, other_case = said(history, "plan"), said(history, "Plan")
    said(history, "My plan for today")
    for name in (one, one.upper(), one[:4], one[:6].upper(), f" {one} ", "MEND the Build", "end the b"):
        assert history.find(name).id == one
    assert (history.find("plan").id, history.find("Plan").id) == (exact, other_case)
    with pytest.raises(UnknownConversationError) as caught:
        history.find("PLAN")
    assert caught.value.candidates == ((other_case, "Plan"), (exact, "plan"))
    assert "'PLAN' matches 2" in caught.value.message
    with pytest.raises(UnknownConversationError) as caught:
        history.find("Mned the biuld")
    assert caught.value.candidates == ((one, "Mend the build"),)
    for name in ("nothing like it", "", "   ", "%", "_", "'", one[:3]):
        with pytest.raises(UnknownConversationError) as caught:
            history.find(name)
        assert caught.value.candidates == ()


# --- the next request ----------------------------------------------------------------------------------------


def test_next_request_has_all_turns_with_the_last_system_message(history: History) -> None:
    begun = history.begin([Message(role="system", content="Old"), user("A")], LAB)
    history.end(begun.turn, answer("a", reasoning="hm"))
    system = Message(role="system", content="New")
    second = history.begin([system, user("B")], OTHER, conversation=begun.conversation)
    history.end(second.turn, answer("b", target=OTHER))
    assert history.messages(begun.conversation) == (
        system,
        user("A"),
        Message(role="assistant", content="a", reasoning="hm", provider="lab"),
        user("B"),
        Message(role="assistant", content="b", provider="other"),
    )
    history.begin([Message(role="system"), user("C")], LAB, conversation=begun.conversation)
    assert contents(history, begun.conversation) == ["A", "a", "B", "b", "C"]


@pytest.mark.parametrize("verdict", [*Verdict, None])
@pytest.mark.parametrize("text", ["", "hal"])
def test_next_request_has_incomplete_answers_and_prompts_without_one(
    history: History, verdict: Verdict | None, text: str
) -> None:
    conversation = said(history, "A", "a")
    begun = history.begin([Message(role="system", content="S"), user("B")], LAB, conversation=conversation)
    if verdict is not None:
        history.end(begun.turn, answer(text, verdict, reasoning="hm"))
    received = [text] if text and verdict is not None else []
    assert contents(history, conversation) == ["S", "A", "a", "B", *received]
    said(history, "B", "b", conversation)  # repeating it does not send it twice
    repeated = ["B", *received, "B"] if received else ["B"]
    assert contents(history, conversation) == ["S", "A", "a", *repeated, "b"]


@pytest.mark.parametrize(
    ("error", "resend"),
    [
        (ServerError("boom", status=500), True),
        (ConnectionLostError("gone"), True),
        (ContextOverflowError("too long", status=400), False),
        (ContentPolicyError("no", status=400), False),
    ],
)
def test_prompt_whose_content_was_refused_is_not_sent_again(
    history: History, error: CoreError, resend: bool
) -> None:
    begun = history.begin([user("A")], LAB)
    history.end(begun.turn, answer("", Verdict.FAILED, error=error))
    assert contents(history, begun.conversation) == ["A"] * resend
    (turn,) = history.turns(begun.conversation)
    assert (turn.verdict, turn.error, turn.resend) == (Verdict.FAILED, error.message, resend)


def test_tool_calls_and_results_are_part_of_the_next_request(history: History) -> None:
    call = ToolCall(id="1", name="now", arguments="{}")
    begun = history.begin([user("Time?")], LAB)
    history.end(begun.turn, answer("", tool_calls=(call,), reasoning="hm"))
    result = Message(role="tool", content="noon", tool_call_id="1")
    failed = history.begin([result], LAB, conversation=begun.conversation)
    history.end(failed.turn, answer("", Verdict.FAILED))
    called = Message(role="assistant", tool_calls=(call,), reasoning="hm", provider="lab")
    assert history.messages(begun.conversation) == (user("Time?"), called, result)


# --- search --------------------------------------------------------------------------------------------------


def test_search_finds_messages_newest_first_and_then_titles(history: History) -> None:
    one = said(history, "Why is the sky blue?", "Rayleigh scattering.")
    two = said(history, "And a sunset?", "Scattering, too: the sky is red.")
    three = said(history, "Deductions?", title="Sky taxes")
    hits = history.search(["SKY"])
    assert [(hit.conversation, hit.role, hit.at, hit.turn is None) for hit in hits] == [
        (two, "assistant", 1001.0, False),
        (one, "user", 1000.0, False),
        (three, "title", 1002.0, True),
    ]
    assert hits[1].title == "Why is the sky blue?"
    assert [hit.snippet for hit in history.search(["blue", "why"])] == ["Why is the sky blue?"]
    assert history.search(["sky is"])
    assert not history.search(["red sky"])
    assert not history.search(["blue", "red"])


def test_images_reasoning_and_system_messages_are_not_searched(history: History) -> None:
    content = (TextPart(text="see"), ImagePart(url="data:image/png;base64,canary"))
    system = Message(role="system", content="canary")
    begun = history.begin([system, Message(role="user", content=content)], LAB)
    history.end(begun.turn, answer("x", reasoning="canary"))
    assert history.search(["canary"]) == ()


def test_search_has_a_limit_and_needs_a_word(history: History) -> None:
    for number in range(30):
        said(history, f"question {number}", "same")
    assert len(history.search(["same"])) == 20
    assert [hit.snippet for hit in history.search(["question"], limit=2)] == ["question 29", "question 28"]
    assert len(history.search(["question"], limit=None)) == 30
    for words in ([], [""], [" ", "\n"]):
        with pytest.raises(InvalidInputError):
            history.search(words)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Grüße aus Köln", "KÖLN"), ("Grüße aus Köln", "koln"), ("cafe\u0301", "café"), ("Straße", "STRASSE"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"), ("为什么天空是蓝色的", "天空"), ("\uff46\uff55\uff4c\uff4c width", "full"),
        ("a\x00b after", "after"), ("run it with --no-stdin", "--no-stdin"), ("100% sure", "100%"),
        ("snake_case", "e_c"), ('he said "yes"', '"yes"'), ("a AND b", "AND"), ("back\\slash", "\\"),
        ("🎉 party", "🎉"),
    ],
)  # fmt: skip
def test_words_are_found_in_any_script_and_with_any_character(text: str, word: str) -> None:
    assert fold(word) in fold(text)


@pytest.mark.parametrize(
    "word", ["snake%case", "s_ake", "*", "NEAR(", "a OR", "'; DROP TABLE turns; --", "\x00"]
)
def test_no_character_is_a_wildcard(history: History, word: str) -> None:
    said(history, "snake case a", "b")
    assert history.search([word]) == ()


def marked(text: str, *words: str) -> str:
    line, marks = snippet(text, words)
    for begin, end in reversed(marks):
        line = f"{line[:begin]}[{line[begin:end]}]{line[end:]}"
    return line


def test_snippet_shows_and_marks_the_words() -> None:
    text = "The sky is blue;\n\n  the SKY was red."
    assert marked(text, "sky", "red") == "The [sky] is blue; the [SKY] was [red]."
    assert marked("Straße und Fuß, ﬁn", "fuss", "fin") == "Straße und [Fuß], [ﬁn]"
    assert marked("a scattering", "scatter", "scattering", "tering") == "a [scattering]"
    line = marked("before " * 50 + "needle " + "after " * 50, "needle")
    assert line.startswith("…before ")
    assert " [needle] after" in line
    assert line.endswith("after…")
    without_blanks = marked("左" * 500 + "針" + "右" * 500, "針")
    assert "[針]" in without_blanks
    assert max(len(line), len(without_blanks)) < 180


@given(st.text(max_size=300), st.lists(st.text(min_size=1, max_size=5), max_size=3))
def test_marks_are_in_order_within_the_line(text: str, words: list[str]) -> None:
    line, marks = snippet(text, words)
    assert "\n" not in line
    ends = [0, *(place for mark in marks for place in mark), len(line)]
    assert ends == sorted(ends)


@given(st.text(alphabet="abc ßéÀ世\u0301ﬁ", max_size=60), st.integers(0, 59), st.integers(1, 5))
def test_part_of_a_text_is_found_in_it(text: str, at: int, length: int) -> None:
    word = text[at : at + length]
    if fold(text[:at]) + fold(word) + fold(text[at + length :]) == fold(text):
        assert fold(word) in fold(text)
