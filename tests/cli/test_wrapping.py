"""Text in terminal cells: how wide it is, and where its rows end."""

from __future__ import annotations

import pytest

from telex.wrapping import Flow, cells, chop, is_plain, paragraph, wrap

FAMILY = "👩‍👩‍👧"
"""Joined emoji, which some terminals draw as three."""


@pytest.mark.parametrize(
    ("text", "size", "plain"),
    [
        ("", 0, True), ("word", 4, True), ("größe «5»", 9, True), ("5 €", 3, False), ("日本", 4, False),
        ("한글", 4, False), ("e\u0301", 1, False), ("👍", 2, False), ("👍🏽", 4, False), (FAMILY, 6, False),
        ("🇩🇪", 4, False), ("\u2764\ufe0f", 2, False), ("日\ufe0f", 2, False), ("\u200b", 0, False),
        ("e" + "\u0301" * 12, 5, False),
    ],
)  # fmt: skip
def test_text_is_as_wide_as_the_widest_terminal_draws_it(text: str, size: int, plain: bool) -> None:
    assert (cells(text), is_plain(text)) == (size, plain)


@pytest.mark.parametrize(
    ("text", "width", "rows"),
    [
        ("", 5, [""]),
        ("one two", 7, ["one two"]),
        ("one two three", 7, ["one two", "three"]),
        ("  one   two", 5, ["one", "two"]),
        ("one  two ", 3, ["one", "two", ""]),
        ("extraordinary", 5, ["extra", "ordin", "ary"]),
        ("an extraordinary", 5, ["an", "extra", "ordin", "ary"]),
        ("\none", 5, ["", "one"]),
        ("one\n\ntwo three", 5, ["one", "", "two", "three"]),
        ("日本語を話す", 6, ["日本語", "を話す"]),
        ("日本語。話す", 6, ["日本", "語。話", "す"]),  # no row begins with what closes
        ("日本『語』", 6, ["日本", "『語』"]),
        ("日日「本」", 6, ["日日", "「本」"]),  # and none ends with what opens
        ("größe ✓✓✓ größe", 9, ["größe ✓✓✓", "größe"]),
        ("한글은 쉽다", 6, ["한글은", "쉽다"]),
        ("日 日 日", 5, ["日 日", "日"]),
        ("a日本語日本", 4, ["a日", "本語", "日本"]),
        (f"{FAMILY * 2} x", 6, [FAMILY, FAMILY, "x"]),
    ],
)
def test_rows_end_between_words_and_at_the_width(text: str, width: int, rows: list[str]) -> None:
    found = [text[start:end] for start, end in wrap(text, width)]
    assert found == rows
    assert all(cells(row.rstrip()) <= max(width, 6) for row in found)


def test_more_text_changes_only_the_last_row() -> None:
    text = "The größe of 日本語 is “three” words; extraordinarily\n  many more of them follow, 한글 too. " * 3
    for width in (7, 12):
        before: list[tuple[int, int]] = []
        for end in range(len(text)):
            rows = wrap(text[:end], width)
            assert rows[: len(before) - 1] == before[:-1]
            before = rows


@pytest.mark.parametrize(
    ("text", "width", "rows"),
    [
        ("one two three", 9, ["  one two", "  three"]),
        ("  one two three", 9, ["    one", "    two", "    three"]),
        ("one\ntwo", 9, ["  one", "  two"]),
        ("Try: telex doctor", 19, ["  Try: telex doctor"]),
        ("Try: telex doctor", 18, ["  Try:", "    telex doctor"]),
        ("It failed. Try it: telex chat --help", 24, ["  It failed.", "  Try it:", "    telex chat --help"]),
        ("Run it (telex doctor) now", 18, ["  Run it", "  (telex doctor)", "  now"]),
        ("A: telex chat, or B: telex batch", 19, ["  A: telex chat,", "  or B: telex batch"]),
    ],
)
def test_a_paragraph_is_indented_and_breaks_no_command(text: str, width: int, rows: list[str]) -> None:
    assert paragraph(text, width, "  ").split("\n") == rows


@pytest.mark.parametrize(
    ("pieces", "width", "written"),
    [
        (["one tw", "o three"], 8, ["one ", "two", " ", "\nthree"]),
        (["a\n", "b"], 8, ["a\n", "", "b"]),
        (["extraordinary x"], 5, ["extraordinary", "", "\nx"]),
        (["a\tb"], 9, ["a    ", "b"]),
        (["日本", "語"], 4, ["日", "本", "\n語"]),
        ([], 5, [""]),
    ],
)
def test_text_flows_word_by_word(pieces: list[str], width: int, written: list[str]) -> None:
    flow = Flow()
    shown = [flow.add(piece, width) for piece in pieces]
    shown.append(flow.end(width))
    assert "".join(shown) == "".join(written)
    assert flow.end(width) == ""


@pytest.mark.parametrize(
    ("text", "width", "rows"),
    [("", 3, [""]), ("abcdef", 3, ["abc", "def"]), ("a b c", 3, ["a b", " c"]), ("日本語", 5, ["日本", "語"]),
     ("日本", 1, ["日", "本"]), ("a日b", 2, ["a", "日", "b"])],
)  # fmt: skip
def test_a_terminal_breaks_text_at_its_edge(text: str, width: int, rows: list[str]) -> None:
    assert chop(text, width) == rows
