"""Ctrl-C at any moment of a repaint: what had arrived is on the screen when the stream is closed."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from screens import Terminal

import telex.render.markdown
from telex.render.live import MarkdownStream

if TYPE_CHECKING:
    from types import FrameType

ROOM = str(Path(telex.render.markdown.__file__).parent)

TEXT = (
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


@pytest.mark.parametrize("seed", range(24))
def test_nothing_that_was_fed_is_lost_and_the_cursor_is_below_it(seed: int) -> None:
    dice, terminal, clock, fed = random.Random(seed), Terminal(40, 12), iter(range(10**6)), ""
    stream = MarkdownStream(terminal.feed, width=lambda: 40, height=lambda: 12, clock=clock.__next__)
    before = sys.gettrace()
    sys.settrace(Interrupted(dice.randrange(1, 40_000)))
    try:
        for at in range(0, len(TEXT), 7):
            fed += TEXT[at : at + 7]
            stream.feed(TEXT[at : at + 7])
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


def test_a_write_that_fails_half_way_loses_nothing_either() -> None:
    terminal, calls = Terminal(40, 12), [0]

    def write(text: str) -> None:
        calls[0] += 1
        if calls[0] % 5 == 0:
            terminal.feed(text[: len(text) // 2])
            raise KeyboardInterrupt
        terminal.feed(text)

    stream = MarkdownStream(write, width=lambda: 40, height=lambda: 12, clock=iter(range(10**6)).__next__)
    for at in range(0, len(TEXT), 7):
        try:
            stream.feed(TEXT[at : at + 7])
        except KeyboardInterrupt:
            continue
    while True:
        try:
            stream.close()
            break
        except KeyboardInterrupt:
            continue
    screen = "".join(terminal.text())
    assert [f"w{n:02}" for n in range(1, 21) if f"w{n:02}" not in screen] == []
