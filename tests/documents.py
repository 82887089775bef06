"""Generate what is made from the code: ``python tests/documents.py`` writes every file that is out of date.

These are the completion scripts, and the blocks between ``<!-- NAME: generated -->`` and
``<!-- end -->`` in README.md and docs/. The README's picture needs a terminal: ``python tests/picture.py``.
"""

from __future__ import annotations

import functools
import json
import re
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import BaseModel

from provider_core import presets
from provider_core.settings.provider_fields import PROVIDER_FIELDS
from provider_core.settings.schema import File
from telex.completion import FILES, script
from telex.exit_codes import ExitCode
from telex.help import TOPICS, rows, topic
from telex.main import COMMANDS, root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOT = Path(__file__).parent.parent
TOPIC_FILES = Path("cli", "telex", "help", "topics")

BLOCK = re.compile(
    r"(?P<open><!-- (?P<name>[a-z ]+): generated -->\n)(?P<text>.*?)(?P<close><!-- end -->)", re.DOTALL
)


PAGES = [Path("README.md"), *(path.relative_to(ROOT) for path in sorted((ROOT / "docs").glob("*.md")))]
"""README.md and the pages of docs/."""


@functools.cache
def stale() -> Mapping[Path, str]:
    """The files that are out of date, relative to the repository, with their current text."""
    made = {Path("completions", name): script(shell, root) for shell, name in FILES.items()}
    made |= {path: with_blocks((ROOT / path).read_text("utf-8")) for path in PAGES}
    return {
        path: text
        for path, text in made.items()
        if not (ROOT / path).exists() or (ROOT / path).read_text("utf-8") != text
    }


def with_blocks(text: str) -> str:
    """The page with its generated blocks; raises ``KeyError`` for an unknown block."""
    return BLOCK.sub(lambda block: block["open"] + BLOCKS[block["name"]]() + block["close"], text)


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]], *, rule: str = "---") -> str:
    lines = [head, (rule, *["---"] * (len(head) - 1)), *rows]
    escaped = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in escaped)


def exit_codes() -> str:
    rows = ((str(code.value), code.meaning) for code in ExitCode)
    return table(("code", "meaning"), rows, rule="---:")


def commands() -> str:
    return table(("command", "what it does", "subcommands"), _commands())


def _commands() -> Iterator[tuple[str, ...]]:
    for name, (_, line) in COMMANDS.items():
        context = click.Context(root, info_name="telex")
        command = root.get_command(context, name)
        below = command.list_commands(context) if isinstance(command, click.Group) else ()
        yield f"`telex {name}`", line, ", ".join(f"`{each}`" for each in below)


def topics() -> str:
    rows = ((f"[`{name}`]({TOPIC_FILES / f'{name}.md'})", line) for name, line in TOPICS.items())
    return table(("topic", "contents"), rows)


def json_keys() -> str:
    return table(("key", "meaning"), _rows_of("formatting", "Fields of the JSON object"))


def events() -> str:
    return table(("type", "other fields"), _rows_of("formatting", "Events of --jsonl"))


def _rows_of(name: str, title: str) -> Iterator[tuple[str, str]]:
    """The rows of one section of ``telex help TOPIC``."""
    found = rows(topic(name)[title])
    return ((f"`{names.replace(', ', '`, `')}`", words) for names, words in found.items())


def settings() -> str:
    return table(("setting", "default", "variable", "meaning"), _settings())


def _settings() -> Iterator[tuple[str, ...]]:
    said = dict(_rows_of("environment", "Settings"))
    for name, field in File.model_fields.items():
        variable = f"TELEX_{name.upper()}"
        is_table = isinstance(field.default, dict | BaseModel)
        default = "" if is_table or field.default is None else f"`{json.dumps(field.default)}`"
        yield f"`[{name}]`" if is_table else f"`{name}`", default, f"`{variable}`", said[f"`{variable}`"]


def provider_settings() -> str:
    rows = (
        (f"`{row.name}`", "" if row.name == "key" else f"`--{row.flag}`", row.help) for row in PROVIDER_FIELDS
    )
    return table(("setting", "option", "meaning"), rows)


KINDS = {
    "cloud": "Services with their own models",
    "gateway": "Gateways to other services",
    "local": "Servers on your machine or in your network",
}


def providers() -> str:
    rows = sorted(presets.all_presets(), key=lambda row: (list(KINDS).index(row.kind), row.id))
    return "".join(
        f"- {KINDS[kind]}: {', '.join(f'`{row.id}`' for row in some)}.\n"
        for kind, some in groupby(rows, lambda row: row.kind)
    )


def web_searches() -> str:
    return table(("provider", "models", "sent"), _web_searches())


def _web_searches() -> Iterator[tuple[str, ...]]:
    for row in sorted(presets.all_presets(), key=lambda row: row.id):
        for search in row.quirks.web_search:
            sent = dict(search.fields) | ({"tools": list(search.tools)} if search.tools else {})
            models = ", ".join(f"`{pattern}`" for pattern in search.models) or "all"
            yield f"`{row.id}`", models, f"`{json.dumps(sent)}`" if sent else "nothing: they always search"


def batch_apis() -> str:
    rows = (
        (f"[{preset.name}]({api.source})", f"`{preset.id}`", f"{api.requests:,}", f"{api.megabytes:,} MB")
        for preset in presets.all_presets()
        if (api := preset.batch_api) is not None
    )
    return table(("provider", "preset", "requests in a file", "size of a file"), rows)


BLOCKS: dict[str, Callable[[], Any]] = {
    "batch apis": batch_apis,
    "commands": commands,
    "events": events,
    "exit codes": exit_codes,
    "json keys": json_keys,
    "provider settings": provider_settings,
    "providers": providers,
    "settings": settings,
    "topics": topics,
    "web searches": web_searches,
}

if __name__ == "__main__":
    for path, text in stale().items():
        (ROOT / path).write_text(text, "utf-8")
        print(path)
