"""Markdown that streams to a terminal: the screen and what is above it equal one rendering, whatever happens."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import re
import sys
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from terminal import Cutting, Reflowing, Terminal

import telex.render.markdown
from telex.render.live import MarkdownStream, render
from telex.render.styles import Colour, Look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

DATA = Path(__file__).parents[1] / "cli"
EXAMPLES = json.loads((DATA / "test_markdown_commonmark.json").read_text("utf-8"))["examples"]
TOUR = (DATA / "test_markdown_tour.md").read_text("utf-8")


def stream_on(
    terminal: Terminal,
    write: Callable[[str], object] | None = None,
    *,
    every: int = 1,
    look: Look | None = None,
) -> MarkdownStream:
    """A stream that repaints at each ``every``th look at the clock."""
    ticks = itertools.count()
    return MarkdownStream(
        write or terminal.feed,
        width=lambda: terminal.columns,
        height=lambda: terminal.lines,
        look=look,
        clock=lambda: next(ticks) / every,
    )


def stream_to(terminal: Terminal, chunks: Iterable[str], *, look: Look | None = None, every: int = 1) -> None:
    stream = stream_on(terminal, every=every, look=look)
    for chunk in chunks:
        stream.feed(chunk)
    stream.close()
    assert terminal.cursor.x == 0


def shown(text: str, width: int, *, look: Look | None = None, joins: bool = True) -> Terminal:
    """A terminal to which one rendering of the whole text was printed."""
    terminal = Terminal(width, joins=joins)
    terminal.feed(render(text, width, look=look))
    return terminal


def in_pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def at_random(text: str, seed: int) -> list[str]:
    dice, chunks = random.Random(seed), []
    while text:
        size = dice.choice((1, 2, 3, 5, 8, 40, 200))
        chunks.append(text[:size])
        text = text[size:]
    return chunks


CHUNKINGS = {
    "one character": lambda text: in_pieces(text, 1),
    "four characters": lambda text: in_pieces(text, 4),
    "lines": lambda text: text.splitlines(keepends=True),
    "at random": lambda text: at_random(text, len(text)),
}

PROSE = "\n\n".join(
    " ".join(
        f"Sentence {paragraph}.{number} says *something* about `item_{number}` and **the rest** of it."
        for number in range(paragraph * 9)
    )
    for paragraph in range(1, 5)
)

CJK = (
    "这是一个很长的段落\uff0c没有任何空格\uff0c" * 90 + "\n\n" + "日本語の**長い**文章です。「引用」も、" * 60
)

NESTED = "".join(
    f"{'  ' * (depth % 6)}- level {depth % 6}, item {depth} with a text to wrap\n" for depth in range(60)
)

LONG_TABLE = "| n | name | what it is |\n|--:|---|---|\n" + "".join(
    f"| {n} | row{n:03} | {'word ' * (n % 9)}end |\n" for n in range(70)
)

LONG_FENCE = (
    "Code:\n```python\n" + "".join(f"value_{n:03} = {n} * 'x'  # {n}\n" for n in range(150)) + "```\nEnd.\n"
)

ADVERSARIAL = (
    "**never closed " + "and on it goes " * 330 + "\n\n`open " + "[[[ " * 100 + "\n\n" + "x" * 1500 + "\n\n"
    "```\nunclosed fence\n" + "y" * 900
)

DOCUMENTS = {
    "tour": TOUR,
    "prose": PROSE,
    "cjk": CJK,
    "nested": NESTED,
    "table": LONG_TABLE,
    "fence": LONG_FENCE,
    "adversarial": ADVERSARIAL,
    "tabs": "x\ty\tzzz " * 300 + "\n\n- a\tb\n\tc\n\n\tcode\tend",
    "definitions": f"[a]: /u '{'t ' * 600}'\nmore\n\n[b]: /v\n[c]: /w {'x ' * 600}\n===\n\n[b] {'| ' * 600}\n|-|",
    "carriage returns": TOUR.replace("\n", "\r\n"),
}


LINES = st.sampled_from(
    [
        "# Title *x*", "plain words here", "more `code` and **bold", "text** end", "- item", "- another item",
        "  - nested", "    deep", "1. one", "2. two", "10) ten", "> quote", "> > deeper", ">", "```", "```python",
        "def f(x): return 'x'", "~~~", "| a | b |", "|---|:-:|", "| 1 | 2 | 3 |", "---", "===", "***", "", "", "",
        "<div>", "</div>", "<!-- open", "-->", "[a]: /url", "[a] and [b][a]", "![img](x.png)", "- [ ] task",
        "    indented", "\ttab\tbed", "语言模型\uff0c很好。", "👩‍👩‍👧 ❤️ 🇩🇪", "word " * 30,
        "a **long** `text` [with](x) *all* " * 70, "x" * 90, "\\", "&copy; &#27;[31m",
        "\x1b[2J", "/* open", "*/", "cat <<EOF", "EOF", "$$ x_1 $$", "```yaml", "key: [a, b]", "```json", '{"a": 1}',
    ]
)  # fmt: skip
DOCUMENT = st.lists(LINES, max_size=25).map("\n".join)
MIXED = st.lists(
    st.one_of(LINES, st.sampled_from(["\n", "\n\n", " ", "*", "_", "`", "[", "](", ")", "<", "|", "\r", "\u0301"])),
    max_size=40,
).map("".join)  # fmt: skip


class TestTheScreenEqualsOneRendering:
    @pytest.mark.parametrize("width", [20, 80, 200])
    def test_for_the_examples_of_the_specification(self, width: int) -> None:
        for number, example in enumerate(EXAMPLES):
            text = example["markdown"]
            terminal = Terminal(width)
            stream_to(terminal, [*CHUNKINGS.values()][number % len(CHUNKINGS)](text))
            assert terminal.text() == shown(text, width).text(), example["example"]

    @pytest.mark.parametrize("name", DOCUMENTS)
    @pytest.mark.parametrize("width", [20, 40, 132])
    def test_for_long_answers(self, width: int, name: str) -> None:
        text, expected = DOCUMENTS[name], shown(DOCUMENTS[name], width)
        for number, chunks in enumerate(CHUNKINGS.values()):
            terminal = Terminal(width, (5, 24, 50)[(number + width) % 3])
            stream_to(terminal, chunks(text), every=(19, 1)[name == "tour"])
            assert terminal.text() == expected.text()

    @pytest.mark.parametrize("colour", Colour)
    def test_down_to_the_colours(self, colour: Colour) -> None:
        look = Look(colour=colour, code_theme="monokai")
        terminal = Terminal(80, 24)
        stream_to(terminal, in_pieces(TOUR, 4), look=look)
        expected = shown(TOUR, 80, look=look)
        assert terminal.cells()[: len(expected.text())] == expected.cells()[: len(expected.text())]

    @pytest.mark.parametrize("joins", [True, False])
    def test_however_the_terminal_draws_emoji(self, joins: bool) -> None:
        text = "".join(
            f"{'ab ' * n}👩‍👩‍👧 ❤️ ⚠️ 👍🏽 🇩🇪 e\u0301\u0302 e\ufe0f 한국어 — “x”\n" for n in range(1, 9)
        )
        text += "\n| a | b |\n|---|---|\n| 👩‍👩‍👧 ❤️ | 👍🏽👍🏽 words |\n" * 3
        for width in (20, 33):
            terminal = Terminal(width, joins=joins)
            stream_to(terminal, in_pieces(text, 1))
            assert terminal.text() == shown(text, width, joins=joins).text()
            assert "👩‍👩‍👧" in unicodedata.normalize("NFC", "".join(terminal.text()))

    @settings(max_examples=120)
    @given(data=st.data())
    def test_for_any_text_in_any_pieces(self, data: st.DataObject) -> None:
        text = data.draw(st.one_of(DOCUMENT, MIXED))
        width = data.draw(st.integers(8, 100))
        cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=30)))
        chunks = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        joins = data.draw(st.booleans())
        terminal = Terminal(width, data.draw(st.integers(2, 30)), joins=joins)
        stream_to(terminal, chunks, every=data.draw(st.integers(1, 3)))
        assert terminal.text() == shown(text, width, joins=joins).text()

    def test_with_notes_in_between(self) -> None:
        for seed in range(12):
            dice, terminal, notes = random.Random(seed), Terminal(40, 12), 0
            stream = stream_on(terminal, every=40)
            for chunk in at_random(TOUR, seed):
                stream.feed(chunk)
                if dice.random() < 0.05:
                    stream.suspend()
                    stream.suspend()
                    assert terminal.cursor.x == 0
                    terminal.feed(f"note {notes}\n")
                    notes += 1
                    if dice.random() < 0.8:
                        stream.resume()
            stream.close()
            rows = terminal.text()
            assert [row for row in rows if row.startswith("note ")] == [f"note {n}" for n in range(notes)]
            assert [row for row in rows if not row.startswith("note ")] == shown(TOUR, 40).text()


class TestEveryLineAppearsExactlyOnce:
    """Counted on the screen, with no other rendering to compare with."""

    @pytest.mark.parametrize("height", [3, 10, 24])
    @pytest.mark.parametrize(
        ("text", "marks"),
        [
            ("```python\n" + "".join(f"line_{n:04} = 1\n" for n in range(500)) + "```\n", 500),
            ("".join(f"- line_{n:04}\n" for n in range(300)), 300),
            ("| a | b |\n|---|---|\n" + "".join(f"| line_{n:04} | x |\n" for n in range(200)), 200),
            (" ".join(f"line_{n:04}" for n in range(600)), 600),
            ("1. a\n\n   ```\n" + "".join(f"   line_{n:04}\n" for n in range(100)) + "   ```\n", 100),
            ("".join(f"> line_{n:04}\n" for n in range(90)), 90),
            ("<pre>\n" + "".join(f"line_{n:04}\n\n" for n in range(90)) + "</pre>\n", 90),
        ],
        ids=["fence", "list", "table", "paragraph", "fence in a list", "quote", "html"],
    )
    def test_in_a_block_taller_than_the_screen(self, text: str, marks: int, height: int) -> None:
        terminal = Terminal(60, height)
        stream_to(terminal, in_pieces(text, 13))
        screen = "\n".join(terminal.text())
        found = [screen.count(f"line_{n:04}") for n in range(marks)]
        assert found == [1] * marks
        places = [screen.index(f"line_{n:04}") for n in range(marks)]
        assert places == sorted(places)

    @pytest.mark.parametrize(
        ("text", "most"),
        [(LONG_FENCE * 5, 4.0), (NESTED * 5, 3.5), (LONG_TABLE * 5, 8.0), ("word " * 4000, 3.0)],
        ids=["fence", "list", "table", "one paragraph"],
    )
    def test_with_few_bytes_even_if_every_frame_is_painted(self, text: str, most: float) -> None:
        written: list[str] = []
        stream = stream_on(Terminal(80), written.append)
        for chunk in in_pieces(text, 13):
            stream.feed(chunk)
        stream.close()
        assert sum(map(len, written)) < most * len(text)


# --- resizes -------------------------------------------------------------------------------------------------


def words(count: int, start: int) -> str:
    return " ".join(f"w{start + number:04}" for number in range(count))


def answer(dice: random.Random) -> tuple[str, int]:
    """A long answer of numbered words, and how many there are."""
    blocks, count = [], 0
    while count < 900:
        size = dice.choice((3, 12, 40, 90))
        text = words(size, count)
        count += size
        kind = dice.choice(("paragraph", "list", "quote", "fence", "table", "heading"))
        if kind == "list":
            text = "\n".join(f"- {word}" for word in text.split())
        elif kind == "quote":
            text = f"> {text}"
        elif kind == "fence":
            text = "```python\n" + text.replace(" ", "\n") + "\n```"
        elif kind == "table":
            text = "| a | b |\n|---|---|\n" + "\n".join(f"| {word} | x |" for word in text.split())
        elif kind == "heading":
            text = f"## {text}"
        blocks.append(text)
    return "\n\n".join(blocks) + "\n", count


@pytest.mark.parametrize("kind", [Reflowing, Cutting])
@pytest.mark.parametrize("seed", range(6))
def test_no_word_is_lost_in_a_storm_of_resizes(seed: int, kind: type[Reflowing]) -> None:
    dice = random.Random(seed)
    text, count = answer(dice)
    terminal = kind(80, 24)
    seen: set[str] = set()
    stream = MarkdownStream(
        terminal.feed, width=lambda: terminal.columns, height=lambda: 24, clock=dice.random, frames=1e9
    )
    at = 0
    while at < len(text):
        size = dice.choice((1, 4, 20, 60))
        stream.feed(text[at : at + size])
        at += size
        if dice.random() < 0.1:
            # What a cutting terminal takes away it had at least shown.
            seen.update(" ".join(terminal.text()).split())
            terminal.reflow(dice.choice((24, 40, 60, 80, 81, 100, 160)))
    stream.close()
    everything = " ".join(terminal.text())
    seen.update(everything.split())
    wanted = {f"w{number:04}" for number in range(count)}
    if kind is Reflowing:
        # A long row that was broken within a word has it in two rows.
        joined = everything + "".join(terminal.text())
        assert [word for word in sorted(wanted) if word not in joined] == []
    else:
        assert wanted <= seen


@pytest.mark.parametrize("kind", [Reflowing, Cutting])
@pytest.mark.parametrize("width", [20, 31, 50, 90])
def test_the_open_block_is_complete_after_a_resize(kind: type[Reflowing], width: int) -> None:
    terminal, text = kind(60, 24), "| name | what |\n|---|---|\n" + "| one | some words and more |\n" * 4
    stream = stream_on(terminal)
    stream.feed(f"{words(30, 0)}\n\n{text}")
    terminal.reflow(width)
    stream.feed("| two | few |\n")
    stream.close()
    rows = [row for row in terminal.text() if row]
    expected = re.sub(r"\x1b\[[\d;]*m", "", render(f"{text}| two | few |\n", width)).splitlines()
    assert rows[-len(expected) :] == expected


def test_the_next_repaint_uses_a_wider_terminal_and_doubles_nothing() -> None:
    terminal = Cutting(40, 24)
    stream = stream_on(terminal)
    stream.feed("First paragraph, done.\n\n" + words(10, 0))
    terminal.reflow(120)
    stream.feed(" " + words(10, 10))
    stream.close()
    assert [row for row in terminal.text() if row] == ["First paragraph, done.", words(20, 0)]


# --- interrupts ----------------------------------------------------------------------------------------------

ROOM = str(Path(telex.render.markdown.__file__).parent)

WORDS_IN_BLOCKS = (
    "# h00\n\nA **w01** w02 w03 `w04`.\n\n- w05\n- w06\n  ```python\n  w07 = 1\n  w08 = 2\n  ```\n\n"
    "| w09 | w10 |\n|---|---|\n| w11 | w12 |\n| w13 | w14 |\n\n> w15 w16\n\n[w17]: /w18\n\n1. w19\n\n"
) * 2 + "w20 " * 30


class Interrupted:
    """Raises KeyboardInterrupt at one of the lines that run in the room, as a signal handler would."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, frame: FrameType, event: str, _: object) -> Interrupted | None:
        if not frame.f_code.co_filename.startswith(ROOM):
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self


@pytest.mark.parametrize("seed", range(12))
def test_an_interrupt_in_a_repaint_loses_nothing(seed: int) -> None:
    dice, terminal, fed = random.Random(seed), Terminal(40, 12), ""
    stream = stream_on(terminal)
    before = sys.gettrace()
    sys.settrace(Interrupted(dice.randrange(1, 40_000)))
    try:
        for at in range(0, len(WORDS_IN_BLOCKS), 7):
            fed += WORDS_IN_BLOCKS[at : at + 7]
            stream.feed(WORDS_IN_BLOCKS[at : at + 7])
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
    stream.close()
    screen = "\n".join(terminal.text())
    # The piece that was being fed may not have been taken yet; in a row that breaks, half a word counts.
    words = [word for word in fed[:-8].replace("`", " ").split() if word[1:].isdigit()]
    assert [word for word in words if word not in screen] == []
    assert terminal.cursor.x == 0
    assert screen.count("w07 = 1") <= 4


def test_an_interrupted_write_loses_nothing() -> None:
    terminal, calls = Terminal(40, 12), [0]

    def write(text: str) -> None:
        calls[0] += 1
        if calls[0] % 5 == 0:
            terminal.feed(text[: len(text) // 2])
            raise KeyboardInterrupt
        terminal.feed(text)

    stream = stream_on(terminal, write)
    for piece in in_pieces(WORDS_IN_BLOCKS, 7):
        with contextlib.suppress(KeyboardInterrupt):
            stream.feed(piece)
    for _ in range(3):
        with contextlib.suppress(KeyboardInterrupt):
            stream.close()
    screen = "".join(terminal.text())
    assert [f"w{n:02}" for n in range(1, 21) if f"w{n:02}" not in screen] == []
