"""Everything that telex shows can be read on the backgrounds that terminals come with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from telex.console import COLOURS, Background, background_by_environment
from telex.render.live import render
from telex.render.styles import Colour, Look, luminance

TOUR = Path(__file__).with_name("test_markdown_tour.md").read_text("utf-8")

# Background and text of default schemes, as their makers publish them.
DARK = {
    "xterm": ("000000", "e5e5e5"),
    "GNOME": ("171421", "d0cfcc"),
    "GNOME, Tango": ("2e3436", "d3d7cf"),
    "macOS Pro": ("000000", "f2f2f2"),
    "Solarized dark": ("002b36", "839496"),
    "Windows Terminal": ("0c0c0c", "cccccc"),
    "One Half dark": ("282c34", "dcdfe4"),
}
LIGHT = {
    "xterm": ("ffffff", "000000"),
    "GNOME": ("ffffff", "171421"),
    "macOS Basic": ("ffffff", "000000"),
    "Solarized light": ("fdf6e3", "657b83"),
    "One Half light": ("fafafa", "383a42"),
}


def of_hex(colour: str) -> float:
    return luminance(*(int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)))


def of_number(number: int) -> float:
    if number >= 232:
        return luminance(*[(8 + 10 * (number - 232)) / 255] * 3)
    steps = (0, 95, 135, 175, 215, 255)
    return luminance(*(steps[(number - 16) // size % 6] / 255 for size in (36, 6, 1)))


def contrast(one: float, other: float) -> float:
    low, high = sorted((one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    ("known", "schemes", "least"), [("dark", DARK, 4.5), ("light", LIGHT, 4.5), ("", DARK, 3), ("", LIGHT, 3)]
)
def test_every_colour_can_be_read_in_every_scheme(
    known: Background, schemes: dict[str, tuple[str, str]], least: float
) -> None:
    for scheme, (background, text) in schemes.items():
        wanted = min(least, contrast(of_hex(text), of_hex(background)))
        for name, number in COLOURS[known].items():
            assert contrast(of_number(number), of_hex(background)) >= wanted, (scheme, name)


@pytest.mark.parametrize("known", ["", "dark", "light"])
def test_markdown_has_no_colours_but_these(known: Background) -> None:
    """Neither the scheme's own colours nor faint text, which terminals blend with the background."""
    code = "\n".join(
        f"```{language}\n{sample}\n```"
        for language, sample in {
            "python": 'import os\n@x\nclass A(B):\n    """Doc."""\n    y = f"a{1}" + None  # note\n\nraise ValueError',
            "json": '{"a": [1, true, null, "x"]}',
            "diff": "--- a\n+++ b\n@@ -1 +1 @@\n-x\n+y",
            "console": "$ ls -l\ntotal 0",
            "html": '<a href="x">y</a><!-- c -->',
            "sh": "if [ $A ]; then echo `ls` && exit 1; fi # c",
            "nonsense": "x = 1",
        }.items()
    )
    shown = render(f"{TOUR}\n\n{code}", 80, look=Look(colour=Colour.MANY, background=known))
    allowed = {f"38;5;{number}" for number in COLOURS[known].values()} | {"", "1", "3", "4", "9"}
    used = {
        part for sgr in re.findall(r"\x1b\[([0-9;]*)m", shown) for part in re.findall(r"38;5;\d+|\d*", sgr)
    }
    assert used <= allowed
    assert len(used) > 8


@pytest.mark.parametrize("colour", [Colour.BASIC, Colour.MONO])
def test_with_16_colours_there_are_attributes_only(colour: Colour) -> None:
    shown = render(TOUR, 80, look=Look(colour=colour))
    used = {part for sgr in re.findall(r"\x1b\[([0-9;]*)m", shown) for part in sgr.split(";")}
    assert used <= {"", "1", "3", "4", "9"}


@pytest.mark.parametrize(
    ("value", "known"),
    [("15;0", "dark"), ("0;15", "light"), ("0;default;15", "light"), ("7;8", "dark"), ("12;7", "light"),
     ("0;default", ""), ("", ""), ("x", ""), ("0;200", "")],
)  # fmt: skip
def test_colorfgbg_tells_dark_from_light(value: str, known: str) -> None:
    assert background_by_environment({"COLORFGBG": value}) == known
