"""Code in an answer: every language is shown at once, whatever its lexer makes of hostile text."""

from __future__ import annotations

import gc
import re
import threading
import time
from typing import TYPE_CHECKING

import pytest

from telex.render.live import MarkdownStream, render
from telex.render.styles import Colour, Look

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOK = Look(colour=Colour.MANY)
SIZE = 24_000

# Languages whose lexers need the square, the cube or an exponential of what they read, or never end.
HOSTILE = [
    ("mcschema", "<!--<!--"),
    ("java", "x y "),
    ("awk", '\\"'),
    ("basemake", '\\"'),
    ("autoit", " "),
    ("arduino", "<!--"),
    ("aspectj", "x y "),
    ("html", "<a "),
    ("python", "("),
    ("text", "a"),
]


def code_of(shown: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", shown)


@pytest.fixture(autouse=True)
def _no_garbage_collection() -> Iterator[None]:
    """Hypothesis has a callback in it: an interruption there is reported as an error, and comes again."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("width", [60, 400, SIZE])
@pytest.mark.parametrize(("language", "unit"), HOSTILE)
def test_24_kb_of_any_language_take_little_time_and_stay_unchanged(
    language: str, unit: str, width: int
) -> None:
    line = (unit * width)[:width]
    code = f"{line}\n" * (SIZE // width)
    render(f"```{language}\n1\n```", 80, look=LOOK)  # building a lexer's tables is not measured
    begun = time.process_time()
    shown = render(f"```{language}\n{code}```", 80, look=LOOK)
    assert time.process_time() - begun < 3  # 0.3 on an idle machine; some never end without a limit
    assert [line.rstrip() for line in code_of(shown).splitlines() if "───" not in line] == [
        line.rstrip() for line in code.splitlines()
    ]


def test_code_after_a_block_that_took_too_long_is_highlighted() -> None:
    shown = render("```mcschema\n<!--<!--\n```\n\n```python\nimport os\n```", 80, look=LOOK)
    assert "<!--<!--" in shown
    assert re.search(r"\x1b\[[0-9;]+mimport", shown)


def test_hostile_code_that_streams_costs_no_more() -> None:
    line = '\\"' * 200
    begun = time.process_time()
    stream = MarkdownStream(lambda _: None, width=lambda: 80, height=lambda: 24, look=LOOK, frames=1e9)
    for piece in ["```awk\n", *[f"{line}\n"] * 60, "```\n"]:
        stream.feed(piece)
    stream.close()
    assert time.process_time() - begun < 2  # 0.2 on an idle machine, and 3 without a limit


def test_another_thread_shows_the_newest_line_without_the_lexer() -> None:
    """Only the main thread can be interrupted, so a repaint elsewhere never runs a lexer."""
    written: list[str] = []
    now = [0.0]
    stream = MarkdownStream(
        written.append, width=lambda: 80, height=lambda: 24, look=LOOK, clock=lambda: now[0]
    )
    stream.feed("```python\nimport os\nx")
    stream.feed(" = 1\nimport re")
    assert "import re" not in code_of("".join(written))
    now[0] = 1.0
    painter = threading.Thread(target=stream.tick)
    painter.start()
    painter.join()
    assert "import re" in written[-1]
    stream.feed("\n```\n")
    stream.close()
    assert re.search(r"\x1b\[[0-9;]+mimport \x1b\[m(?:\x1b\[[0-9;]+m)?re", "".join(written))
