"""The README's picture: ``python tests/picture.py`` runs telex in a real terminal and draws its screen as SVG.

The shell, the commands and everything telex prints are real: the installed command in a pseudo-terminal, over real
sockets. Only the model is a script, because a model's words are not the same twice: ``says``, on a loopback port
that the settings call lab.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from html import escape
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyte
from pyte.screens import Char
from running import COMMAND, Telex
from scripted import Answer, Asked, Pause, Scripted, answer, delta, sse
from terminal import Pty

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = Path(__file__).parent.parent / ".github" / "terminal.svg"
TITLE = "telex in a terminal"
COLUMNS, LINES = 90, 34

SOURCE = """\
from time import sleep
from urllib.request import urlopen

def get(url, tries=3):
    for number in range(tries):
        try:
            return urlopen(url).read()
        except OSError:
            sleep(2 ** number)
"""

THOUGHTS = (
    "The loop swallows every OSError. After the last try it just ends, and get() returns None.\n"
    "There is no timeout either: one silent server, and it never comes back."
)

REVIEW = """\
## Two bugs, one of them silent

1. **`None` instead of an error.** When every try has failed the loop just ends, and the caller gets `None`.
2. **No timeout.** A server that says nothing keeps `urlopen` waiting for ever.

```python
    for left in reversed(range(tries)):
        try:
            return urlopen(url, timeout=10).read()
        except OSError:
            if not left:
                raise
            sleep(2 ** (tries - left - 1))
```
"""

WORST = {"line": 5, "severity": "high", "what": "returns None when every try has failed"}

COMMANDS = (
    'telex chat -f fetch.py "What is wrong here?"',
    'telex chat -c --schema "line int, severity low|high, what" "The worst one?" | jq .',
)


def says(asked: Asked) -> Answer:
    """The answer of the model: JSON if a schema is requested, else the review, word by word."""
    if "response_format" in asked.body:
        return Answer(answer(json.dumps(WORST), usage={"prompt_tokens": 412, "completion_tokens": 31}))
    thoughts = sse(*(delta(reasoning_content=word) for word in re.findall(r"\s*\S+", THOUGHTS)))
    words = re.findall(r"\s*\S+", REVIEW)
    usage = {
        "prompt_tokens": 78,
        "completion_tokens": 191,
        "completion_tokens_details": {"reasoning_tokens": 38},
    }
    body: list[Any] = [Pause(0.3)]
    for frame in (*thoughts, *answer(*words, usage=usage)):
        body += [frame, Pause(0.01)]
    return Answer(body)


def taken() -> pyte.Screen:
    """The screen after ``COMMANDS``, typed into a shell one after the other."""
    with tempfile.TemporaryDirectory() as folder, Scripted() as server:
        home = Path(folder)
        telex = Telex(home / "home")
        server.will(says)
        telex.provider("lab", server.url, models=["demo"])
        (home / "fetch.py").write_text(SOURCE)
        env = telex.env | {"PATH": f"{COMMAND.parent}:{telex.env['PATH']}", "PS1": r"\[\e[1;32m\]$\[\e[0m\] "}
        shell = ["env", "-C", folder, "bash", "--noprofile", "--norc"]
        with Pty(shell, env=env, columns=COLUMNS, lines=LINES) as terminal:
            for number, command in enumerate(COMMANDS):
                terminal.wait_for(r"^\$$")
                terminal.type(command + "\n")
                terminal.wait_for(rf"(?s)(?:^\$ .*?){{{number + 1}}}^\$$")
            screen = pyte.Screen(COLUMNS, LINES)
            pyte.ByteStream(screen).feed(terminal.raw)
            return screen


def rows(screen: pyte.Screen) -> list[list[Char]]:
    """The characters of each row, down to the last one that is not empty."""
    found = [[screen.buffer[y][x] for x in range(screen.columns)] for y in range(screen.lines)]
    while found and not "".join(char.data for char in found[-1]).strip():
        found.pop()
    return found


# --- drawing -----------------------------------------------------------------------------------------------

WIDTH, HEIGHT, SIZE, EDGE, BAR = 8.4, 19.0, 14, 16, 30
FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"

GROUND, INK = "#0d1117", "#d8dee6"
"""A dark window on pages of any colour; each colour has the contrast of 4.5 that WCAG requires."""

INKS = {
    "black": "#6e7681", "red": "#ff7b72", "green": "#7ee787", "brown": "#e3b341", "blue": "#79c0ff",
    "magenta": "#d2a8ff", "cyan": "#76e3ea", "white": "#d8dee6",
    "brightblack": "#8b949e", "brightred": "#ffa198", "brightgreen": "#9af5a4", "brightbrown": "#f2cc60",
    "brightblue": "#a5d6ff", "brightmagenta": "#e2c5ff", "brightcyan": "#b3f0ff", "brightwhite": "#ffffff",
}  # fmt: skip


def svg(screen: pyte.Screen, title: str) -> str:
    """The screen as SVG; every run of text has its width, so that any monospaced font will do."""
    drawn = rows(screen)
    width = 2 * EDGE + screen.columns * WIDTH
    height = BAR + len(drawn) * HEIGHT + EDGE
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}"'
    frame = f'x="0.5" y="0.5" width="{width - 1:.0f}" height="{height - 1:.0f}" rx="8"'
    buttons = enumerate(("#f85149", "#e3b341", "#3fb950"))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title">',
        f'<title id="title">{escape(title)}</title>',
        f'<rect {frame} fill="{GROUND}" stroke="#484f58"/>',
        *(f'<circle cx="{EDGE + 4 + 18 * at}" cy="{BAR // 2}" r="5" fill="{ink}"/>' for at, ink in buttons),
        f'<g font-family="{FONTS}" font-size="{SIZE}" fill="{INK}" xml:space="preserve">',
    ]
    for y, row in enumerate(drawn):
        parts += _row(row, BAR + y * HEIGHT + HEIGHT * 0.72)
    return "\n".join([*parts, "</g>", "</svg>", ""])


def _row(row: list[Char], y: float) -> Iterator[str]:
    at = 0
    for style, run in groupby(row, _style):
        text = "".join(char.data for char in run)
        shown = text.rstrip()
        if shown:
            yield (
                f'<text x="{EDGE + at * WIDTH:.1f}" y="{y:.1f}" textLength="{len(shown) * WIDTH:.1f}"{style}>'
                f"{escape(shown)}</text>"
            )
        at += len(text)


def _style(char: Char) -> str:
    ink = "" if char.fg == "default" else INKS.get(char.fg, f"#{char.fg}")
    return "".join(
        (
            f' fill="{ink}"' if ink else "",
            ' font-weight="bold"' if char.bold else "",
            ' font-style="italic"' if char.italics else "",
            ' text-decoration="underline"' if char.underscore else "",
        )
    )


if __name__ == "__main__":
    if len(sys.argv) != 1:
        sys.exit("usage: python tests/picture.py")
    FILE.write_text(svg(taken(), TITLE), "utf-8")
