"""Markdown through a real pseudo-terminal: the kernel's line discipline in between, real time, real resizes."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from screens import Reflowing, Terminal

from telex.render.live import render

TOUR = (Path(__file__).parents[1] / "cli" / "test_markdown_tour.md").read_text("utf-8")

CHILD = """
import os, sys, time
from telex.render.live import MarkdownStream
from telex.render.styles import Look
def write(text):
    sys.stdout.write(text)
    sys.stdout.flush()
size = lambda: os.get_terminal_size(1)
stream = MarkdownStream(write, width=lambda: size().columns, height=lambda: size().lines)
text, step, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
for at in range(0, len(text), step):
    stream.feed(text[at : at + step])
    time.sleep(pause)
stream.close()
"""


def run(
    text: str, *, columns: int, lines: int, step: int, pause: float, resizes: tuple[int, ...] = ()
) -> Terminal:
    """Stream ``text`` in a child process on a pseudo-terminal; the screen when it has ended."""
    master, slave = pty.openpty()
    terminal = Reflowing(columns, lines)

    def resize(width: int) -> None:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, width, 0, 0))

    resize(columns)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, text, str(step), str(pause)], stdin=slave, stdout=slave, stderr=slave
    )
    pending, raw, deadline = list(resizes), b"", time.monotonic() + 60
    try:
        while time.monotonic() < deadline:
            if select.select([master], [], [], 0.02)[0]:
                raw += os.read(master, 65536)
                whole = raw.decode("utf-8", "ignore")
                raw = raw[len(whole.encode()) :]
                terminal.stream.feed(whole)
                if pending and len(terminal.history.top) + terminal.cursor.y > 10 * (
                    len(resizes) - len(pending)
                ):
                    width = pending.pop(0)
                    resize(width)
                    terminal.reflow(width)
            elif child.poll() is not None:
                break
    finally:
        child.kill()
        child.wait()
        os.close(slave)
        os.close(master)
    assert child.returncode == 0, "\n".join(terminal.text())
    return terminal


@pytest.mark.parametrize(("columns", "lines", "step"), [(80, 24, 4), (40, 8, 2), (132, 50, 400)])
def test_the_screen_of_a_real_terminal_equals_one_rendering(columns: int, lines: int, step: int) -> None:
    terminal = run(TOUR, columns=columns, lines=lines, step=step, pause=0.001)
    expected = Terminal(columns)
    expected.feed(render(TOUR, columns))
    assert terminal.text() == expected.text()
    assert terminal.cursor.x == 0


def test_a_real_terminal_that_is_resized_loses_no_word() -> None:
    text = "\n\n".join(
        f"{'- ' * (n % 3 == 0)}w{n:03} " + "and some words " * 6 + f"v{n:03}" for n in range(60)
    )
    terminal = run(text, columns=60, lines=20, step=3, pause=0.001, resizes=(100, 61, 90, 140))
    screen = "".join(terminal.text())
    assert [n for n in range(60) if f"w{n:03}" not in screen or f"v{n:03}" not in screen] == []
