"""The layout of ``--help`` and ``telex help`` for terminals of 20 to 100 columns, and the help topics."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, TypeAlias

import click

from telex.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from importlib.resources.abc import Traversable

TOPICS = {
    "conversations": "Interactive conversations, and the history.",
    "costs": "What requests cost, and how to limit it.",
    "environment": "Environment variables that telex reads.",
    "exit-codes": "Exit codes and their meaning.",
    "files": "Files, folders, web pages and images in a prompt.",
    "formatting": "Output on a terminal, in a pipe, and as JSON.",
    "keys": "Where API keys come from, and where they are sent.",
    "limits": "Limits on the size of answers, files and other input.",
    "models": "How to name a model, and which one is the default.",
    "proxies": "Proxies and trusted certificates.",
    "scripts": "telex in scripts, cron and CI.",
    "settings": "The settings file, and all settings.",
    "tests": "Files of test cases for prompts and templates.",
    "tools": "Tools that a model may call (MCP).",
}
"""Topic -> one line of help. The text of each topic is a file in ``topics``."""

_MIN_WIDTH, _MAX_WIDTH = 20, 98
_TWO_COLUMNS = 60
"""From this width on, terms and their descriptions have a column each."""
_COMMON_EXITS = (ExitCode.OTHER, ExitCode.INTERRUPTED, ExitCode.CLOSED_PIPE)
"""Exit codes that every command may return; the help of a command does not repeat them."""


class _Formatter(click.HelpFormatter):
    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 26, col_spacing: int = 2) -> None:
        rows = list(rows)
        if self.width >= _TWO_COLUMNS or max((len(term) for term, _ in rows), default=0) <= 4:
            super().write_dl(rows, col_max, col_spacing)
            return
        for term, description in rows:
            self.write_text(term)
            if description:
                with self.indentation(), self.indentation():
                    self.write_text(description)


def formatter(context: click.Context) -> click.HelpFormatter:
    """A formatter for the width of the terminal, or for 80 columns without one."""
    from telex.app import App

    app = context.find_object(App)
    if app is not None:
        columns = app.console.width()
    else:
        import shutil

        columns = shutil.get_terminal_size().columns
    return _Formatter(width=max(_MIN_WIDTH, min(columns - 2, _MAX_WIDTH)))


def write_examples(formatter: click.HelpFormatter, examples: Sequence[str]) -> None:
    if examples:
        with formatter.section("Examples"):
            write_commands(formatter, examples)


def write_exits(formatter: click.HelpFormatter, meanings: Mapping[ExitCode, str]) -> None:
    """The exit codes of a command with their meanings; for a group, which has none, a reference."""
    if not meanings:
        formatter.write_paragraph()
        formatter.write_text("Exit codes: see telex help exit-codes")
        return
    with formatter.section("Exit codes"):
        formatter.write_dl([(str(int(code)), meaning) for code, meaning in meanings.items()])
        *others, last = [str(int(code)) for code in _COMMON_EXITS if code not in meanings]
        formatter.write_text(f"For {', '.join(others)} and {last}, see telex help exit-codes.")


def write_commands(formatter: click.HelpFormatter, commands: Iterable[str]) -> None:
    """Command lines that can be copied; long ones continue after a backslash."""
    for command in commands:
        for line in _broken(command, formatter.width - formatter.current_indent):
            formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


def _broken(command: str, width: int) -> list[str]:
    """``command`` in lines of at most ``width`` where possible; quoted text is never broken."""
    if len(command) <= width:
        return [command]
    lines, line = [], ""
    for word in re.findall(r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])+""", command):
        longer = f"{line} {word}" if line else word
        if len(longer) <= width - 2 or not line.strip():
            line = longer
        else:
            lines.append(f"{line} \\")
            line = f"    {word}"
    return [*lines, line]


# --- topics --------------------------------------------------------------------------------------------------

# Their files use a small part of Markdown: headings ("## "), paragraphs, rows ("- term: description"), and command
# lines, which are indented by four spaces. A paragraph ``{name}`` is replaced by generated rows.

Block: TypeAlias = "str | tuple[tuple[str, str], ...] | list[str]"
"""A paragraph, terms with their descriptions, or command lines, which are not wrapped."""


def topic(name: str) -> dict[str, list[Block]]:
    """The page of one of ``TOPICS``: the blocks under each heading; that of the first ones is ""."""
    return parse(_topics().joinpath(f"{name}.md").read_text("utf-8"))


def rows(blocks: Iterable[Block]) -> dict[str, str]:
    """The terms among the blocks, with their descriptions."""
    return dict(row for block in blocks if isinstance(block, tuple) for row in block)


def mentions(word: str) -> list[str]:
    """The two topics that contain ``word`` most often, or fewer."""
    word_in = re.compile(rf"\b{re.escape(word)}", re.IGNORECASE)
    counts = {
        name: len(word_in.findall(_topics().joinpath(f"{name}.md").read_text("utf-8"))) for name in TOPICS
    }
    return sorted(filter(counts.__getitem__, TOPICS), key=lambda name: -counts[name])[:2]


def _topics() -> Traversable:
    from importlib import resources

    return resources.files("telex.help").joinpath("topics")


def parse(text: str) -> dict[str, list[Block]]:
    """The sections of a page; raises ``KeyError`` for unknown generated rows."""
    sections = {}
    for part in re.split(r"^## ", f"## \n{text}", flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        if title or body.strip():
            sections[title.strip()] = list(_blocks(body))
    return sections


def _blocks(body: str) -> Iterator[Block]:
    for block in re.split(r"\n\s*\n", body.strip("\n")):
        if block.startswith("    "):
            yield [line.strip() for line in block.splitlines()]
        elif block.startswith("- "):
            items = [item.partition(": ") for item in re.split(r"^- ", block, flags=re.MULTILINE)[1:]]
            yield tuple((term, " ".join(text.split())) for term, _, text in items)
        elif generated := re.fullmatch(r"\{([a-z ]+)\}", block.strip()):
            yield tuple(_GENERATED[generated[1]]())
        elif block.strip():
            yield " ".join(block.split())


def write_topic(formatter: click.HelpFormatter, name: str) -> None:
    for title, blocks in topic(name).items():
        with formatter.section(title) if title else contextlib.nullcontext():
            for at, block in enumerate(blocks):
                if at:
                    formatter.write("\n")
                match block:
                    case str():
                        formatter.write_text(block)
                    case tuple():
                        formatter.write_dl(block)
                    case list():
                        with formatter.indentation():
                            write_commands(formatter, block)


def _exit_codes() -> Iterator[tuple[str, str]]:
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
    for variable, text in rows(topic("environment")["Settings"]).items():
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
    "base_urls": "Further addresses of the same models, to share the rows of a batch: an array.",
    "key_env": "The name of the environment variable that has the key.",
    "key_command": "The command that prints the key, run for each chat.",
    "params": "Fields of the request body: a table, such as {top_p = 0.9}.",
    "variables": 'Parts of the preset\'s address: a table, such as {account_id = "ID"}.',
    "models": 'Models to list instead of the preset\'s: an array, such as ["qwen3-8b"] or '
    '[{id = "qwen3-8b", tools = true}]. The first is the default.',
    "headers": 'Headers to send with every request: a table, such as {X-Key = "env:WEB_KEY"}.',
}
"""The help of settings that are written differently as options."""


def _limits() -> Iterator[tuple[str, str]]:
    """Each constant of ``provider_core.limits`` with its unit, and its docstring."""
    from importlib import resources

    from provider_core import limits

    source = resources.files("provider_core").joinpath("limits.py").read_text("utf-8")
    found = re.findall(r'^(\w+): Final = .+\n"""(\w[\w ]*): ([^"]+)"""', source, re.MULTILINE)
    return ((_amount(getattr(limits, name), unit), " ".join(text.split())) for name, unit, text in found)


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
