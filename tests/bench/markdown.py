"""What streaming Markdown costs: CPU time and bytes, beside plain text and Rich.

    python tests/bench/markdown.py [--quick]

An answer of each size arrives in pieces of four characters, as fast as it is taken, into a real pseudo-terminal
of 80 by 24; and once more with a repaint for each piece, which is what a slow model costs at most. Exits with 1
when a promise is broken: growth (ten times the text for at most twelve times the CPU), and at 20 KB no more than
1.3 times Rich's one rendering of the whole.
"""

from __future__ import annotations

import io
import itertools
import os
import pty
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH, HEIGHT, PIECE = 80, 24, 4
TOUR = (Path(__file__).parents[1] / "cli" / "test_markdown_tour.md").read_text("utf-8")
SIZES = {"2 KB": 2_000, "20 KB": 20_000, "100 KB": 100_000, "200 KB": 200_000, "1 MB": 1_000_000}
SLOWEST_FOR_RICH_LIVE = 2_000
"""Characters up to which a repaint of everything for every piece ends within a minute."""


def answer(size: int) -> str:
    code = "".join(f"def step_{n}(x):\n    # comment {n}\n    return x + {n}\n\n" for n in range(20))
    prose = (
        "The **quick** brown fox `jumps` over the lazy dog; a sentence of ordinary length follows it. " * 6
    )
    unit = f"{TOUR}\n\n{prose}\n\n```python\n{code}```\n\n"
    return (unit * (size // len(unit) + 1))[:size]


def pieces(text: str) -> list[str]:
    return [text[at : at + PIECE] for at in range(0, len(text), PIECE)]


class Screen:
    """A pseudo-terminal that is read by a thread, and counts what is written."""

    def __init__(self) -> None:
        self.leader, follower = pty.openpty()
        self.file = os.fdopen(follower, "w", encoding="utf-8", newline="")
        self.written = 0
        threading.Thread(target=self._drain, daemon=True).start()

    def write(self, text: str) -> None:
        self.written += len(text.encode())
        self.file.write(text)
        self.file.flush()

    def flush(self) -> None:
        """Rich's consoles want a file."""

    def _drain(self) -> None:
        while os.read(self.leader, 65536):
            pass


def plain(text: str, screen: Screen) -> None:
    for piece in pieces(text):
        screen.write(piece)


def streamed(text: str, screen: Screen, *, clock: Callable[[], float] = time.monotonic) -> None:
    from telex.render.live import MarkdownStream

    stream = MarkdownStream(screen.write, width=lambda: WIDTH, height=lambda: HEIGHT, clock=clock)
    for piece in pieces(text):
        stream.feed(piece)
    stream.close()


def every_piece(text: str, screen: Screen) -> None:
    streamed(text, screen, clock=itertools.count().__next__)


def rich_once(text: str, screen: Screen) -> None:
    from rich.console import Console
    from rich.markdown import Markdown

    out = io.StringIO()
    Console(file=out, force_terminal=True, width=WIDTH, height=HEIGHT, color_system="standard").print(
        Markdown(text)
    )
    screen.write(out.getvalue())


def rich_live(text: str, screen: Screen) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.markdown import Markdown

    file: Any = screen
    console = Console(file=file, force_terminal=True, width=WIDTH, height=HEIGHT, color_system="standard")
    so_far = ""
    with Live(console=console, auto_refresh=False) as live:
        for piece in pieces(text):
            so_far += piece
            live.update(Markdown(so_far), refresh=True)


def cost(way: Callable[[str, Screen], None], text: str, *, times: int) -> tuple[float, int]:
    """The least CPU seconds, and the bytes written."""
    best, written = float("inf"), 0
    for _ in range(times):
        screen = Screen()
        start = time.thread_time()
        way(text, screen)
        best = min(best, time.thread_time() - start)
        written = screen.written
    return best, written


def main() -> int:
    quick = "--quick" in sys.argv
    ways = {
        "plain": plain,
        "telex": streamed,
        "telex, a frame a piece": every_piece,
        "Rich, once": rich_once,
        "Rich, Live": rich_live,
    }
    for way in (streamed, rich_once):
        way(answer(20_000), Screen())  # imports, lexers
    found: dict[tuple[str, str], tuple[float, int]] = {}
    print(f"{'':24}" + "".join(f"{name:>22}" for name in SIZES))
    for name, way in ways.items():
        print(f"{name:24}", end="")
        for label, size in SIZES.items():
            if (way is rich_live and size > SLOWEST_FOR_RICH_LIVE) or (quick and size > 100_000):
                print(f"{'-':>22}", end="")
                continue
            found[name, label] = seconds, written = cost(way, answer(size), times=3 if size <= 100_000 else 1)
            shown = f"{written / size:.2f} B/char" if written else ""
            print(f"{seconds:>9.3f} s {shown:>11}", end="", flush=True)
        print()
    promises = [
        ("20 KB beside Rich, once", found["telex", "20 KB"][0] / found["Rich, once", "20 KB"][0], 1.3)
    ]
    if not quick:
        promises.append(("1 MB beside 100 KB", found["telex", "1 MB"][0] / found["telex", "100 KB"][0], 12.0))
    for what, ratio, most in promises:
        print(f"{what}: {ratio:.2f} times (at most {most:g}) {'ok' if ratio <= most else 'BROKEN'}")
    return 0 if all(ratio <= most for _, ratio, most in promises) else 1


if __name__ == "__main__":
    sys.exit(main())
