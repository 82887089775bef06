"""Read a topic's file into a page.

The files use a small part of Markdown: headings ("## "), paragraphs, rows ("- term: words"), and command lines, which
are indented by four spaces. A paragraph ``{name}`` is replaced by generated rows.
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
    """The page of a topic in ``TOPICS``."""
    return parse(files("telex.help").joinpath("topics", f"{name}.md").read_text("utf-8"))


def parse(text: str) -> tuple[Section, ...]:
    """The sections of a page; raises ``KeyError`` for unknown generated rows."""
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
    from telex.exit_codes import ExitCode

    return tuple((str(int(code)), code.meaning) for code in ExitCode)


def _key_variables() -> tuple[tuple[str, str], ...]:
    """Each preset with the variables of its key, in order of precedence, then those of its address."""
    from provider_core import presets

    found = (
        (preset.id, [*preset.key_env, *(name for part in preset.variables for name in part.env)])
        for preset in presets.all_presets()
    )
    return tuple((name, ", ".join(variables)) for name, variables in found if variables)


def _conversation_commands() -> tuple[tuple[str, str], ...]:
    from telex.repl.commands import ROWS

    return tuple((f"{row.names[0]} {row.argument}".rstrip(), row.words) for row in ROWS)


def _limits() -> tuple[tuple[str, str], ...]:
    """Each constant of ``provider_core.limits`` with its unit, and what its docstring says."""
    from provider_core import limits

    source = files("provider_core").joinpath("limits.py").read_text("utf-8")
    rows = re.findall(r'^(\w+): Final = .+\n"""(\w[\w ]*): ([^"]+)"""', source, re.MULTILINE)
    return tuple(
        (_amount(getattr(limits, name), unit), " ".join(words.split())) for name, unit, words in rows
    )


def _amount(value: float, unit: str) -> str:
    if unit == "Bytes":
        for size, short in ((1 << 20, "MiB"), (1_000_000, "MB"), (1 << 10, "KiB")):
            if value % size == 0:
                return f"{value // size:,} {short}"
    return f"{value:,g} s" if unit == "Seconds" else f"{value:,} {unit.lower()}"


_MADE = {
    "conversation commands": _conversation_commands,
    "exit codes": _exit_codes,
    "key variables": _key_variables,
    "limits": _limits,
}
