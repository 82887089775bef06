"""A topic's file, read into a page; what is a table elsewhere is put in from there.

The files are as little Markdown as will do: headings ("## "), paragraphs, rows ("- term: words"), and command
lines, which are indented by four. A paragraph ``{name}`` stands for rows that are made.
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING

from telex.help.page import Lines, Rows, Section, Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telex.help.page import Block

__all__ = ["parse", "topic"]


def topic(name: str) -> tuple[Section, ...]:
    """The page of a topic that ``TOPICS`` has."""
    return parse(files("telex.help").joinpath("topics", f"{name}.md").read_text("utf-8"))


def parse(text: str) -> tuple[Section, ...]:
    """The sections of a page; raises ``KeyError`` for a made table that is not known."""
    sections = []
    for part in re.split(r"^## ", f"## \n{text}", flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        sections.append(Section(title.strip(), tuple(_blocks(body))))
    return tuple(section for section in sections if section.title or section.blocks)


def _blocks(body: str) -> Iterator[Block]:
    for block in re.split(r"\n\s*\n", body.strip("\n")):
        if block.startswith("    "):
            yield Lines(tuple(line.strip() for line in block.splitlines()))
        elif block.startswith("- "):
            items = re.split(r"^- ", block, flags=re.MULTILINE)[1:]
            yield Rows(tuple((term, " ".join(words.split())) for term, _, words in map(_pair, items)))
        elif made := re.fullmatch(r"\{([a-z ]+)\}", block.strip()):
            yield Rows(_MADE[made[1]]())
        elif block.strip():
            yield Text(" ".join(block.split()))


def _pair(item: str) -> tuple[str, str, str]:
    return item.partition(": ")


def _exit_codes() -> tuple[tuple[str, str], ...]:
    from telex.exits import ExitCode

    return tuple((str(int(code)), code.meaning) for code in ExitCode)


def _key_variables() -> tuple[tuple[str, str], ...]:
    """Each preset with its variables, the first of them that is set counts; those of its address stand last."""
    from provider_core import presets

    found = (
        (preset.id, [*preset.key_env, *(name for part in preset.variables for name in part.env)])
        for preset in presets.all_presets()
    )
    return tuple((name, ", ".join(variables)) for name, variables in found if variables)


_MADE = {"exit codes": _exit_codes, "key variables": _key_variables}
