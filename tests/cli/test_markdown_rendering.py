"""Markdown as rows of a terminal; untrusted text cannot command it."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
import time
from typing import Any

import pytest

from telex.render.live import MarkdownStream, render
from telex.render.styles import Colour, Look, surface

NO_ESCAPES = Look(colour=Colour.NONE)


def plain(text: str, width: int = 60) -> list[str]:
    return render(text, width, look=NO_ESCAPES).split("\n")[:-1]


def styled(text: str, *, colour: Colour = Colour.BASIC, theme: str = "ansi_dark") -> str:
    return render(text, 60, look=Look(colour=colour, code_theme=theme))


BLOCKS: dict[str, tuple[str, int, list[str]]] = {
    "blocks are separated by one empty line": (
        "# One\ntext\n## Two\n\n\n\ntext\n***\nend", 60,
        ["# One", "", "text", "", "## Two", "", "text", "", "─" * 60, "", "end"]),
    "lines of a paragraph stay": (
        "Roses are red,\nviolets are blue,  \nthe end.", 60, ["Roses are red,", "violets are blue,", "the end."]),
    "rows wrap at spaces": ("one two three four", 9, ["one two", "three", "four"]),
    "wide letters wrap, but not before a full stop": ("漢字漢字。漢字", 8, ["漢字漢", "字。漢字"]),
    "mixed full stop": ("漢字漢字.漢字", 7, ["漢字漢", "字.漢字"]),
    "Korean wraps at spaces": ("문장은 띄어쓰기가", 7, ["문장은", "띄어쓰", "기가"]),
    "definitions wrap": ("[a]: /url 'T t'", 7, ["[a]:", "/url 'T", "t'"]),
    "a word is split only if it is alone": ("ab abcdefghijkl", 5, ["ab", "abcde", "fghij", "kl"]),
    "lists are as loose as their source": (
        "- one\n- two\n  1. deep\n  2. deeper\n\n- three\n\n  more", 40,
        ["• one", "• two", "  1. deep", "  2. deeper", "", "• three", "", "  more"]),
    "items count from the first number": (
        "9. nine\n1. ten\n1. eleven", 60, ["9. nine", "10. ten", "11. eleven"]),
    "tasks": ("- [ ] open\n- [x] done\n1. [X] counted", 60, ["☐ open", "☑ done", "", "1. ☑ counted"]),
    "empty items": ("- a\n-\n- c", 60, ["• a", "•", "• c"]),
    "quotes have a bar on every row": (
        "> one two three\n> > deep\n>\n> - item", 13,
        ["│ one two", "│ three", "│", "│ │ deep", "│", "│ • item"]),
    "code in a quote": (
        "> ```\n> aaaa bbbb cccc dddd eeee\n> ```", 20,
        ["│ ───", "│ aaaa bbbb cccc ddd", "│ d eeee", "│ ───"]),
    "code is unchanged": (
        "Text:\n```python\ndef f(x):\n\n    return  x\n```\nMore.", 60,
        ["Text:", "", "─── python", "def f(x):", "", "    return  x", "───", "", "More."]),
    "tabs in code": ("```make\nall:\n\tcc\tx\n```", 60, ["─── make", "all:", "    cc  x", "───"]),
    "tables": (
        "| a | num | mid |\n|---|--:|:-:|\n| long one | 1 | x |\n| b | 22 | wide |", 60,
        ["a        │ num │ mid", "─────────┼─────┼─────", "long one │   1 │  x", "b        │  22 │ wide"]),
    "cells wrap": (
        "| a | b |\n|---|---|\n| x | one two three |\n| y | four |", 14,
        ["a │ b", "──┼───────────", "x │ one two", "  │ three", "──┼───────────", "y │ four"]),
    "tables that do not fit are lists": (
        "|" + "head|" * 6 + "\n|" + "---|" * 6 + "\n|" + "some words|" * 6, 20, ["head: some words"] * 6),
    "cells beyond the last column stay": (
        "| a | b |\n|---|---|\n| a | b | c |", 60, ["a │ b", "──┼──────", "a │ b | c"]),
    "wide letters in cells": (
        "| a | b |\n|---|---|\n| 漢字 | x |\n| abcd | y |", 60,
        ["a    │ b", "─────┼──", "漢字 │ x", "abcd │ y"]),
    "links show their address": (
        '[a](https://x.example "T") <https://y.example> ![alt](z.png)', 99,
        ['a (https://x.example "T") https://y.example [alt] (z.png)']),
    "definitions and footnotes": (
        "[one]: /url 'T'\n\n[one] and [later] and [^1]\n\n[later]: /url\n[^1]: Note.", 60,
        ["[one]: /url 'T'", "", "one (/url \"T\") and [later] and [^1]", "", "[later]: /url", "[^1]: Note."]),
    "single tildes": ("~5 to ~10 and a~b~c", 60, ["~5 to ~10 and a~b~c"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BLOCKS)
def test_markdown_as_rows(name: str) -> None:
    text, width, rows = BLOCKS[name]
    assert [row.rstrip() for row in plain(text, width)] == rows


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**b** *i* `c` ~~s~~", "\x1b[1mb\x1b[m \x1b[3mi\x1b[m \x1b[1mc\x1b[m \x1b[9ms\x1b[m\n"),
        ("**注意\uff1a**这里\uff0c**「强」**调",
         "\x1b[1m注意\uff1a\x1b[m这里\uff0c\x1b[1m「强」\x1b[m调\n"),
    ],
)  # fmt: skip
def test_emphasis_is_styled(text: str, shown: str) -> None:
    assert styled(text) == shown


class TestBlocks:
    def test_fit_however_deep_they_are(self) -> None:
        rows = plain("".join(f"{'  ' * depth}- some words\n" for depth in range(40)), 20)
        assert max(map(len, rows)) <= 20
        assert "".join(rows).count("some") == 40

    @pytest.mark.parametrize("width", [1, 2, 3, 7])
    def test_do_not_fail_where_nothing_fits(self, width: int) -> None:
        text = "# a 漢字\n> - [x] 漢 `b`\n\n| a | b |\n|---|---|\n| 漢字 | d |\n\n```py\nx = 1\n```\n***\n12345. z"
        assert "漢" in render(text, width)

    def test_of_tables_keep_the_columns_that_the_first_rows_gave_them(self) -> None:
        rows = plain("| a | b |\n|---|---|\n" + "| x | y |\n" * 30 + "| x | much longer than all |\n")
        assert rows[:3] == ["a │ b", "──┼──", "x │ y"]
        assert "".join(row.partition("│ ")[2] for row in rows[32:]).replace(" ", "") == "muchlongerthanall"


class TestCode:
    def test_is_not_wrapped(self) -> None:
        line = "x = " + "1 + " * 40 + "1"
        assert line in plain(f"```python\n{line}\n```", 40)
        assert f"  {line}" in plain(f"- a\n  ```\n  {line}\n  ```", 40)

    def test_is_coloured_across_lines(self) -> None:
        comment = "\n".join(["/* begin", *["middle"] * 40, "end */", "int x;"])
        rows = styled(f"```c\n{comment}\n```").split("\n")
        assert all(row.startswith("\x1b[2m") for row in rows[:42])
        assert not rows[42].startswith("\x1b[2m")

    def test_is_coloured_the_same_line_by_line_as_at_once(self) -> None:
        code = 'x = """one\n' + "two\n" * 30 + '"""\nfor y in x: print(y)\n'
        whole = styled(f"```python\n{code}```").split("\n")
        assert all("\x1b[33m" in row for row in whole[:31])
        assert "\x1b[94mfor" in whole[32]

    @pytest.mark.parametrize(
        "language", ["python", "yaml", "json", "php", "html", "markdown", "ruby", "console", "x"]
    )
    def test_loses_no_character_to_any_lexer(self, language: str) -> None:
        code = "---\n$a: [1, 'x']\n<?php /* <b> \\\n{% if %} `${x}` <<EOF\n\tend é\n\n\n&amp;"
        rows = re.sub(r"\x1b\[[\d;]*m", "", styled(f"~~~{language} title=x\n{code}\n~~~")).split("\n")
        ruled = 1 if language == "x" else 0  # an unknown language has no colours
        assert rows[ruled : -1 - ruled] == code.expandtabs(4).split("\n")

    def test_has_the_chosen_theme(self) -> None:
        text = "```python\nimport os\n```"
        assert "38;2;" in styled(text, colour=Colour.TRUE, theme="monokai")
        assert "38;5;" in styled(text, colour=Colour.MANY, theme="monokai")
        assert "\nimport os\n" in styled(text, theme="none")
        assert not re.search(r"[\[;]48;", styled(text, colour=Colour.TRUE, theme="monokai"))


class TestText:
    def test_of_any_length_wraps_as_a_whole(self) -> None:
        text = " ".join(f"word{n}" for n in range(1500))
        assert plain(text, 50) == textwrap.wrap(text, 50)


class TestUntrustedTextIsShown:
    @pytest.mark.parametrize(
        "text",
        ["[bold]x[/bold]", "[red on blue]x", "<b>x</b>", "a <u> b", "<think>x</think>", "<!-- x -->"],
    )
    def test_if_it_looks_like_markup(self, text: str) -> None:
        assert plain(text) == [text]

    @pytest.mark.parametrize(
        "text",
        [
            "\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\x08\x08", "a\x00b", "\u202egnp", "\u2066x", "\x7f",
            "&#27;[2J", "&#x9b;31m", "&#8238;x", "&rlm;", "`\x1b[1m`", "```\n\x1b[1m\n```", "[a](<\x1b[1m>)",
            "[a](b '\x1b[1m')", "[a](&#27;b)", "| \x1b |\n|---|\n| &#27; |", "<b \x1b>", "<div>\n\x1b[1m",
            "[a]: \x1b", "```\x1b\nx\n```", "# \x1b", "- [ ] \x1b", "\\\x1b", "![\x1b](\x1b)",
            "``a\tb``", "a\u200bb", "`\u2028`", "a\U000e0041\U000e0042", "&#8203;", "a\ufeff",
            "| \u2060 |\n|---|\n| \xad |",
        ],
    )  # fmt: skip
    def test_if_it_could_command_a_terminal(self, text: str) -> None:
        for look in (NO_ESCAPES, Look(colour=Colour.TRUE)):
            shown = (
                re.sub(r"\x1b\[[\d;]*m", "", render(text, 60, look=look))
                if look.colour.value
                else render(text, 60, look=look)
            )
            hidden = r"\xad\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e0fff"
            assert re.search(rf"[\x00-\x09\x0b-\x1f\x7f-\x9f{hidden}]", shown) is None

    def test_carriage_returns_end_lines_however_they_are_cut(self) -> None:
        pieces = ["one\r", "\ntwo\r\n\r", "\nthree", "\r", "four\r"]
        assert Stream(*pieces, look=NO_ESCAPES, live=False, end=True).text == "one\ntwo\n\nthree\nfour\n"


class Stream:
    """A stream and what it has written; each piece comes ``pause`` seconds after the one before."""

    def __init__(
        self, *pieces: str, pause: float = 1.0, width: int = 40, end: bool = False, **options: Any
    ) -> None:
        self.now = 0.0
        self.written: list[str] = []
        self.markdown = MarkdownStream(
            self.written.append, width=lambda: width, height=lambda: 24, clock=lambda: self.now, **options
        )
        for piece in pieces:
            self.now += pause
            self.markdown.feed(piece)
        if end:
            self.markdown.close()

    @property
    def text(self) -> str:
        return "".join(self.written)


class TestAStream:
    def test_writes_only_what_is_final_when_it_is_not_live(self) -> None:
        stream = Stream("One par", "agraph.\n", "\n", "Another", " **one**", ".\n\n- item", live=False)
        assert stream.text == "One paragraph.\n\nAnother \x1b[1mone\x1b[m.\n"
        stream.markdown.close()
        assert stream.text.endswith("one\x1b[m.\n\n• item\n")

    @pytest.mark.parametrize(
        "text",
        [
            "# " + "word " * 300 + "\nend",
            "```" + "word " * 300 + "\nend\n```\nend",
            "|a|b|\n|-|-|\n|1|2|3|\n\n|a|b|c|\n|-|-|-|\n|1|2|3|",
        ],
        ids=["heading", "info string", "two tables"],
    )
    def test_shows_the_same_however_a_line_arrives(self, text: str) -> None:
        for size in (1, 1100):
            pieces = [text[at : at + size] for at in range(0, len(text), size)]
            stream = Stream(*pieces, width=60, look=NO_ESCAPES, live=False, end=True)
            assert stream.text.split("\n")[:-1] == plain(text)

    def test_repaints_only_so_many_times_a_second(self) -> None:
        assert 9 <= len(Stream(*["word "] * 1000, pause=0.001, frames=10).written) <= 12

    def test_paints_what_was_held_back_at_the_next_tick(self) -> None:
        stream = Stream("one ", "two ", pause=0.0)
        stream.markdown.tick()
        assert stream.written == ["one"]
        stream.now += 1
        stream.markdown.tick()
        stream.markdown.tick()
        assert stream.written == ["one", " two"]

    def test_shows_marks_as_what_they_will_be(self) -> None:
        pieces = ["**bo", "ld", "*", "* and `co", "de` end", "\n", "--"]
        assert not any(mark in Stream(*pieces).text for mark in "*`-")

    def test_shows_a_link_before_its_address_is_complete(self) -> None:
        stream = Stream("See [this](", "https://x", ".example", ") and", look=NO_ESCAPES)
        assert "](" not in stream.text
        assert stream.written[-1].endswith("See this (https://x.example) and") or stream.written[-1] == " and"

    def test_writes_a_row_again_if_a_character_joins_its_last_one(self) -> None:
        written = Stream("a \U0001f469", "\u200d\U0001f467", " e", "\u0301", " b").written
        assert [text.startswith("\r") for text in written] == [False, True, False, True, False]

    def test_writes_nothing_when_nothing_came(self) -> None:
        stream = Stream()
        stream.markdown.suspend()
        stream.markdown.resume()
        stream.markdown.close()
        assert stream.written == []

    def test_costs_in_proportion_to_its_length(self) -> None:
        def seconds(text: str) -> float:
            start = time.process_time()
            Stream(*[text[at : at + 40] for at in range(0, len(text), 40)], width=80, end=True)
            return time.process_time() - start

        for unit in ("word **two** `three` ", "- item\n  - item\n", "x = 1  # y\n"):
            fence = "```python\n" if unit.startswith("x") else ""
            small = min(seconds(fence + unit * 200) for _ in range(3))
            # Squares would take a hundred times as long.
            assert seconds(fence + unit * 2000) < 30 * small


class TestASurface:
    @pytest.mark.parametrize(
        ("environ", "is_terminal", "expected"),
        [
            ({"TERM": "xterm-256color"}, True, Colour.MANY),
            ({"TERM": "xterm"}, True, Colour.BASIC),
            ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, True, Colour.TRUE),
            ({"TERM": "xterm-256color", "NO_COLOR": "1"}, True, Colour.MONO),
            ({"TERM": "xterm-256color", "NO_COLOR": ""}, True, Colour.MANY),
            ({"TERM": "dumb"}, True, None),
            ({"TERM": "dumb", "FORCE_COLOR": "1"}, False, None),
            ({"TERM": "xterm"}, False, None),
            ({"TERM": "xterm", "FORCE_COLOR": "1"}, False, Colour.BASIC),
            ({"TERM": "xterm", "FORCE_COLOR": "3"}, False, Colour.TRUE),
            ({"TERM": "xterm", "FORCE_COLOR": "0"}, True, Colour.MONO),
            ({}, True, None),
        ],
    )
    def test_has_the_colours_of_the_environment(
        self, environ: dict[str, str], is_terminal: bool, expected: Colour | None
    ) -> None:
        assert surface(environ, is_terminal=is_terminal) is expected

    def test_without_colours_keeps_bold_and_without_styles_has_no_escapes(self) -> None:
        assert styled("# a **b** `c`\n```python\nimport x\n```", colour=Colour.MONO).count("\x1b[3") == 0
        assert "\x1b[1" in styled("**b**", colour=Colour.MONO)
        assert "\x1b" not in styled("# a **b** `c`\n```python\nimport x\n```", colour=Colour.NONE)


def test_highlighting_can_be_imported_before_the_first_code() -> None:
    code = (
        "import sys; from telex.render.highlighting import prepare; from telex.render.live import render;"
        "from telex.render.styles import Look; prepare(Look());"
        "before = set(sys.modules); render('```python\\nx = 1\\n```', 80); print(len(set(sys.modules) - before))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(ran.stdout) <= 3


@pytest.mark.parametrize(
    "text",
    [
        r"For all $\forall\, \varepsilon > 0$ there is $\{P_0, \dots, P_n\}$.",
        r"$\underbrace{\{1,2\}}_{P_1}$ and $a_1 * b_2 * c$, $\alpha_i$ and $\beta_i$.",
        r"$$x_1 * y_1 * z$$ and \(a_1 \{x\} b_1\)",
        "$$\n\\begin{aligned}\na_1 &= b \\\\\n- c &= d\n=\n\\end{aligned}\n$$",
        "\\[\nx_1 = \\frac{a}{b}\n+ y_1\n\\]",
        r"Your key is in C:\Users\_me\.ssh\config, the share is \\server\_share.",
        r"C:\Program Files\My_Data_x\.y or .\build\_me_",
        r"\\host\c$\_x and \\?\C:\_y",
        r"The pattern ^\d+\.\d*$ or (\w+)\_\. fits.",
        "See https://example.org/_foo_/bar_baz_qux and https://example.org/*a*/b.",
        "snake_case_name and _private_name_x",
        "__init__.py and __main__, src/**/*.ts or **/*.js, a/*/b and c/*/d",
        "2*3*4 = 24, a*b + c*d, x**2 + y**2 and (a+b)*(c+d)*(e), 2**10 or 10**6",
    ],
)
def test_formulas_paths_patterns_and_addresses_are_unchanged(text: str) -> None:
    assert plain(text, 90) == text.split("\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("It costs $5 and *not* $6.", "It costs $5 and not $6."),
        ("US$5 or *maybe* CA$6, 5$ and *6*$ each", "US$5 or maybe CA$6, 5$ and 6$ each"),
        (r"my\_variable is \*not\* emphasis", "my_variable is *not* emphasis"),
        (r"**C:\Users\_me** and **\d+\.** are bold", r"C:\Users\_me and \d+\. are bold"),
        ("**https://example.org/a_b_** is bold", "https://example.org/a_b_ is bold"),
        ("$$ is no formula, *this* is emphasis", "$$ is no formula, this is emphasis"),
        (r"\[foo] is a bracket, *really*", "[foo] is a bracket, really"),
        ("__Note__: **src/** has *all*, **/etc/** and **a/b**.", "Note: src/ has all, /etc/ and a/b."),
        ("**Haupt**wort, 2 *big* and v**2.0** are marked", "Hauptwort, 2 big and v2.0 are marked"),
    ],
)
def test_markdown_next_to_prices_and_paths_is_rendered(text: str, shown: str) -> None:
    assert plain(text, 90) == [shown]


def test_words_of_cells_are_split_only_if_no_cell_can_hold_them() -> None:
    words = [
        "extraordinarily",
        "responsible",
        "establishmentarianism",
        "incomprehensibilities",
        "circumstances",
    ]
    head = "| a | b | c |\n|---|---|---|\n"
    for width in (20, 30, 40, 60, 80):
        rows = plain(f"{head}| {' '.join(words)} | {' '.join(words)} | x |\n", width)
        assert all(len(row) <= width for row in rows)
        assert all(word in "\n".join(rows) for word in words if len(word) <= width)
    url = "https://example.org/" + "x" * 60
    rows = plain(f"{head}| {url} | responsible | x |\n", 60)
    assert any("│ responsible │" in row for row in rows)


class TestLineBreaks:
    @pytest.mark.parametrize(
        "tag", ["<br>", "<br/>", "<br />", "<BR>", "</br>", '<br clear="all">', " <br>\n"]
    )
    def test_break_lines_in_any_block(self, tag: str) -> None:
        assert plain(f"one{tag}two") == ["one", "two"]
        assert plain(f"- one{tag}two".replace("\n", "\n  ")) == ["• one", "  two"]
        assert plain(f"> **one{tag}two**".replace("\n", "\n> ")) == ["│ one", "│ two"]

    def test_break_lines_in_cells(self) -> None:
        rows = plain("| a | b |\n|---|---|\n| one<br>two | x |\n| three<br/> | y |")
        assert [row.rstrip() for row in rows] == [
            "a     │ b", "──────┼──", "one   │ x", "two   │", "──────┼──", "three │ y",
        ]  # fmt: skip

    def test_are_text_in_code(self) -> None:
        assert plain("`a<br>b`\n\n```html\na<br>b\n```") == [
            "a<br>b", "", "─── html", "a<br>b", "───",
        ]  # fmt: skip


@pytest.mark.parametrize("colour", [Colour.MONO, Colour.BASIC, Colour.TRUE])
def test_headings_and_code_look_different_from_prose(colour: Colour) -> None:
    rows = [styled(f"{'#' * level} Title", colour=colour).strip() for level in range(1, 7)] + ["Title"]
    assert len(set(rows)) == 7
    for language in ("", "text", "no-such-language", "python"):
        shown = styled(f"```{language}\nTitle + 1\n```", colour=colour)
        assert shown != "Title + 1\n"
        assert ("───" in shown) == (language != "python" or colour is Colour.MONO)
        assert "Title" in shown
