"""A terminal that changes its size while Markdown streams to it: rows may double, none is lost."""

from __future__ import annotations

import random
import re

import pytest
from screens import Cutting, Reflowing

from telex.render.live import MarkdownStream, render


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
def test_the_block_that_was_open_stands_whole_below_what_may_have_doubled(
    kind: type[Reflowing], width: int
) -> None:
    terminal, text = kind(60, 24), "| name | what |\n|---|---|\n" + "| one | some words and more |\n" * 4
    stream = MarkdownStream(
        terminal.feed, width=lambda: terminal.columns, height=lambda: 24, clock=iter(range(100)).__next__
    )
    stream.feed(f"{words(30, 0)}\n\n{text}")
    terminal.reflow(width)
    stream.feed("| two | few |\n")
    stream.close()
    rows = [row for row in terminal.text() if row]
    expected = re.sub(r"\x1b\[[\d;]*m", "", render(f"{text}| two | few |\n", width)).splitlines()
    assert rows[-len(expected) :] == expected


def test_a_wider_terminal_is_used_from_the_next_repaint_on_and_nothing_doubles() -> None:
    terminal = Cutting(40, 24)
    stream = MarkdownStream(
        terminal.feed, width=lambda: terminal.columns, height=lambda: 24, clock=iter(range(100)).__next__
    )
    stream.feed("First paragraph, done.\n\n" + words(10, 0))
    terminal.reflow(120)
    stream.feed(" " + words(10, 10))
    stream.close()
    assert [row for row in terminal.text() if row] == ["First paragraph, done.", words(20, 0)]
