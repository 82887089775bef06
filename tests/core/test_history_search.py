"""Searching the history: what counts as found, in which order, and the piece of text that is shown."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider_core.answer import Answer
from provider_core.errors import InvalidInputError
from provider_core.history import History
from provider_core.history._search import fold, matcher, snippet
from provider_core.types import ImagePart, Message, Provider, Target, TextPart, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LAB = Target(provider=Provider(name="lab"), model="m")


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    ticks = itertools.count(1000)
    with History(tmp_path / "history.db", clock=lambda: float(next(ticks))) as opened:
        yield opened


def said(history: History, question: str, text: str = "Yes.", **options: str) -> str:
    begun = history.begin([Message(role="user", content=question)], LAB, **options)  # type: ignore[arg-type]
    history.end(begun.turn, Answer(target=LAB, verdict=Verdict.COMPLETE, text=text))
    return begun.conversation


def marked(text: str, *words: str) -> str:
    line, marks = snippet(text, words)
    for begin, end in reversed(marks):
        line = f"{line[:begin]}[{line[begin:end]}]{line[end:]}"
    return line


# --- what is found -------------------------------------------------------------------------------------------


def test_questions_and_answers_are_searched_the_newest_first(history: History) -> None:
    one = said(history, "Why is the sky blue?", "Rayleigh scattering.")
    two = said(history, "And a sunset?", "Scattering, too: the sky is red.")
    hits = history.search(["SCATTER"])
    assert [(hit.conversation, hit.role, hit.at) for hit in hits] == [
        (two, "assistant", 1001.0),
        (one, "assistant", 1000.0),
    ]
    assert [hit.role for hit in history.search(["sky"])] == ["assistant", "user"]
    assert history.search(["sky"])[-1].title == "Why is the sky blue?"


def test_all_words_must_be_in_one_message(history: History) -> None:
    said(history, "red", "blue")
    said(history, "green", "red, then blue")
    assert [hit.snippet for hit in history.search(["blue", "red"])] == ["red, then blue"]
    assert history.search(["then blue"])
    assert not history.search(["blue then"])


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Grüße aus Köln", "KÖLN"),
        ("Grüße aus Köln", "koln"),
        ("cafe\u0301", "café"),
        ("Straße", "STRASSE"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("为什么天空是蓝色的", "天空"),
        ("空はなぜ青いのか", "青い"),
        ("\uff46\uff55\uff4c\uff4c width", "full"),
        ("a\x00b after", "after"),
        ("KeyError: 'x' in foo.bar()", "foo.bar()"),
        ("run it with --no-stdin", "--no-stdin"),
        ("100% sure", "100%"),
        ("snake_case", "e_c"),
        ('he said "yes"', '"yes"'),
        ("C++ and C", "c++"),
        ("a AND b", "AND"),
        ("back\\slash", "\\"),
        ("🎉 party", "🎉"),
    ],
)
def test_a_word_is_found_in_any_script_and_with_any_sign(history: History, text: str, word: str) -> None:
    said(history, "none of it", "nor here")
    said(history, text)
    assert len(history.search([word])) == 1


@pytest.mark.parametrize(
    "word", ["snake%case", "s_ake", "*", "NEAR(", "a OR", "'; DROP TABLE turns; --", "\x00\x00"]
)
def test_no_sign_means_anything_else_than_itself(history: History, word: str) -> None:
    said(history, "snake case a", "b")
    assert history.search([word]) == ()


def test_images_thoughts_and_system_messages_are_not_searched(history: History) -> None:
    content = (TextPart(text="see"), ImagePart(url="data:image/png;base64,canary"))
    system = Message(role="system", content="canary")
    begun = history.begin([system, Message(role="user", content=content)], LAB)
    history.end(begun.turn, Answer(target=LAB, verdict=Verdict.COMPLETE, text="x", reasoning="canary"))
    assert history.search(["canary"]) == ()


def test_a_title_of_the_users_own_is_found_once_and_last(history: History) -> None:
    named = said(history, "Deductions?", title="Tax 2026")
    said(history, "What is tax?")
    hits = history.search(["tax"])
    assert [(hit.role, hit.turn is None) for hit in hits] == [("user", False), ("title", True)]
    assert hits[-1].conversation == named


def test_no_more_are_found_than_were_asked_for(history: History) -> None:
    for number in range(30):
        said(history, f"question {number}", "same")
    assert len(history.search(["same"])) == 20
    assert [hit.snippet for hit in history.search(["question"], limit=2)] == ["question 29", "question 28"]
    assert len(history.search(["question"], limit=None)) == 30


@pytest.mark.parametrize("words", [[], [""], [" ", "\n"]])
def test_no_word_at_all_is_an_error(history: History, words: list[str]) -> None:
    said(history, "x")
    with pytest.raises(InvalidInputError):
        history.search(words)


# --- what is shown -------------------------------------------------------------------------------------------


def test_a_short_text_is_shown_whole_with_every_word_marked() -> None:
    assert (
        marked("The sky is blue;\n\n  the SKY was red.", "sky", "red")
        == "The [sky] is blue; the [SKY] was [red]."
    )


def test_of_a_long_text_the_words_around_the_first_are_shown() -> None:
    text = "before " * 50 + "needle " + "after " * 50
    line = marked(text, "needle")
    assert line.startswith("…before ")
    assert " [needle] after" in line
    assert line.endswith("after…")
    assert len(line) < 180


def test_a_text_without_blanks_is_cut_all_the_same() -> None:
    line = marked("左" * 500 + "針" + "右" * 500, "針")
    assert "[針]" in line
    assert len(line) < 180


def test_marks_stand_where_the_words_are_when_folding_changes_lengths() -> None:
    assert marked("Straße und Fuß, ﬁn", "fuss", "fin") == "Straße und [Fuß], [ﬁn]"


def test_of_words_that_overlap_the_longest_is_marked() -> None:
    assert marked("a scattering", "scatter", "scattering", "tering") == "a [scattering]"


@given(st.text(max_size=300), st.lists(st.text(min_size=1, max_size=5), max_size=3))
def test_marks_lie_within_the_line_and_apart(text: str, words: list[str]) -> None:
    line, marks = snippet(text, words)
    assert "\n" not in line
    ends = [0, *(place for mark in marks for place in mark), len(line)]
    assert ends == sorted(ends)


@given(st.text(alphabet="abc ßéÀ世\u0301ﬁ", max_size=60), st.integers(0, 59), st.integers(1, 5))
def test_a_piece_of_a_text_that_stands_for_itself_is_found_in_it(text: str, at: int, length: int) -> None:
    word = text[at : at + length]
    if fold(text[:at]) + fold(word) + fold(text[at + length :]) == fold(text):
        assert matcher([word])(text)
