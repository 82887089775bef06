"""The pages of ``telex help TOPIC``, parsed from the files in ``topics``.

The files use a small part of Markdown: headings ("## "), paragraphs, rows ("- term: description"), and command lines,
which are indented by four spaces. A paragraph ``{name}`` is replaced by generated rows.
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING, TypeAlias

from provider_core.structs import Struct
from telex.help import write_commands

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import click


class Prose(Struct):
    """A paragraph."""

    text: str


class Definitions(Struct):
    """Terms and their descriptions."""

    rows: tuple[tuple[str, str], ...]


class CommandLines(Struct):
    """Command lines, which are not wrapped."""

    lines: tuple[str, ...]


Block: TypeAlias = Prose | Definitions | CommandLines


class Section(Struct):
    """Blocks under a heading; the heading of the first section of a page is ""."""

    title: str
    blocks: tuple[Block, ...]


def topic(name: str) -> tuple[Section, ...]:
    """The page of one of ``telex.help.TOPICS``."""
    return parse(files("telex.help").joinpath("topics", f"{name}.md").read_text("utf-8"))


def mentions(word: str) -> list[str]:
    """The two topics that contain ``word`` most often, or fewer."""
    from telex.help import TOPICS

    word_in = re.compile(rf"\b{re.escape(word)}", re.IGNORECASE)
    folder = files("telex.help").joinpath("topics")
    counts = {name: len(word_in.findall(folder.joinpath(f"{name}.md").read_text("utf-8"))) for name in TOPICS}
    return sorted((name for name in TOPICS if counts[name]), key=lambda name: -counts[name])[:2]


def parse(text: str) -> tuple[Section, ...]:
    """The sections of a page; raises ``KeyError`` for unknown generated rows."""
    sections = []
    for part in re.split(r"^## ", f"## \n{text}", flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        sections.append(Section(title=title.strip(), blocks=tuple(_blocks(body))))
    return tuple(section for section in sections if section.title or section.blocks)


def _blocks(body: str) -> Iterator[Block]:
    for block in re.split(r"\n\s*\n", body.strip("\n")):
        if block.startswith("    "):
            yield CommandLines(lines=tuple(line.strip() for line in block.splitlines()))
        elif block.startswith("- "):
            items = [item.partition(": ") for item in re.split(r"^- ", block, flags=re.MULTILINE)[1:]]
            yield Definitions(rows=tuple((term, " ".join(text.split())) for term, _, text in items))
        elif generated := re.fullmatch(r"\{([a-z ]+)\}", block.strip()):
            yield Definitions(rows=tuple(_GENERATED[generated[1]]()))
        elif block.strip():
            yield Prose(text=" ".join(block.split()))


def write(formatter: click.HelpFormatter, page: Iterable[Section]) -> None:
    for section in page:
        if section.title:
            with formatter.section(section.title):
                _write_blocks(formatter, section.blocks)
        else:
            _write_blocks(formatter, section.blocks)


def _write_blocks(formatter: click.HelpFormatter, blocks: Iterable[Block]) -> None:
    for at, block in enumerate(blocks):
        if at:
            formatter.write("\n")
        match block:
            case Prose(text=text):
                formatter.write_text(text)
            case Definitions(rows=rows):
                formatter.write_dl(rows)
            case CommandLines(lines=lines):
                with formatter.indentation():
                    write_commands(formatter, lines)


def _exit_codes() -> Iterator[tuple[str, str]]:
    from telex.exit_codes import ExitCode

    return ((str(int(code)), code.meaning) for code in ExitCode)


def _key_variables() -> Iterator[tuple[str, str]]:
    """Each preset that has variables for its key, sorted by name, with them in order of precedence."""
    from provider_core import presets

    found = sorted(presets.all_presets(), key=lambda preset: preset.id)
    return ((preset.id, ", ".join(preset.key_env)) for preset in found if preset.key_env)


def _address_variables() -> Iterator[tuple[str, str]]:
    """Each preset that has variables for parts of its address, with them."""
    from provider_core import presets

    for preset in sorted(presets.all_presets(), key=lambda preset: preset.id):
        if variables := [name for part in preset.variables for name in part.env]:
            yield preset.id, ", ".join(variables)


def _conversation_commands() -> Iterator[tuple[str, str]]:
    from telex.repl.commands import SLASH_COMMANDS

    return ((f"{', '.join(row.names)} {row.argument}".rstrip(), row.words) for row in SLASH_COMMANDS)


def _conversation_keys() -> Iterator[tuple[str, str]]:
    from telex.repl.commands import KEYS

    return iter(KEYS)


def _settings() -> Iterator[tuple[str, str]]:
    """The rows of the settings in the topic environment, under the names that they have in the file."""
    blocks = (
        block for section in topic("environment") if section.title == "Settings" for block in section.blocks
    )
    for variable, text in (row for block in blocks if isinstance(block, Definitions) for row in block.rows):
        name = variable.removeprefix("TELEX_").lower()
        is_table = text.endswith(", as JSON.")
        yield f"[{name}]" if is_table else name, text.replace(", as JSON.", ".")


def _provider_settings() -> Iterator[tuple[str, str]]:
    from provider_core.settings.provider_fields import PROVIDER_FIELDS

    return (
        (row.name, _IN_THE_FILE.get(row.name, row.help.replace(" Repeatable.", "")))
        for row in PROVIDER_FIELDS
    )


_IN_THE_FILE = {
    "variables": 'Parts of the preset\'s address: a table, such as {account_id = "ID"}.',
    "models": 'Models to list instead of the preset\'s: an array, such as ["qwen3-8b"] or '
    '[{id = "qwen3-8b", tools = true}]. The first is the default.',
    "headers": 'Headers to send with every request: a table, such as {X-Key = "env:WEB_KEY"}.',
}
"""The help of settings that are written differently as options."""


def _limits() -> Iterator[tuple[str, str]]:
    """Each constant of ``provider_core.limits`` with its unit, and its docstring."""
    from provider_core import limits

    source = files("provider_core").joinpath("limits.py").read_text("utf-8")
    rows = re.findall(r'^(\w+): Final = .+\n"""(\w[\w ]*): ([^"]+)"""', source, re.MULTILINE)
    return ((_amount(getattr(limits, name), unit), " ".join(text.split())) for name, unit, text in rows)


def _amount(value: float, unit: str) -> str:
    if unit == "Bytes":
        for factor, name in ((1 << 20, "MiB"), (1_000_000, "MB"), (1 << 10, "KiB")):
            if value % factor == 0:
                return f"{value // factor:,} {name}"
    return f"{value:,g} s" if unit == "Seconds" else f"{value:,} {unit.lower()}"


_GENERATED = {
    "address variables": _address_variables,
    "conversation commands": _conversation_commands,
    "conversation keys": _conversation_keys,
    "exit codes": _exit_codes,
    "key variables": _key_variables,
    "limits": _limits,
    "provider settings": _provider_settings,
    "settings": _settings,
}
