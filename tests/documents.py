"""Whatever in this repository is made from the code: ``python tests/documents.py`` makes all of it anew.

That is the completion scripts, the man pages, and the blocks of README.md between ``<!-- NAME: generated -->`` and
``<!-- end -->``. The README's picture is not made here, because it takes a terminal: ``python tests/picture.py``.
"""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provider_core import presets
from provider_core.settings.schema import File
from telex import completion, man
from telex.exits import ExitCode
from telex.help import TOPICS, reading
from telex.help.page import Rows
from telex.main import COMMANDS, root
from telex.session.commands import ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOT = Path(__file__).parent.parent
MAN = Path("cli", "man")

BLOCK = re.compile(
    r"(?P<open><!-- (?P<name>[a-z ]+): generated -->\n)(?P<text>.*?)(?P<close><!-- end -->)", re.DOTALL
)


@functools.cache
def documents(folder: Path = ROOT) -> Mapping[Path, str]:
    """Every such file below ``folder``, which is the repository's root or has a README.md, as it has to be."""
    found = {
        Path("completions", name): completion.script(shell, root) for shell, name in completion.FILES.items()
    }
    found |= {MAN / name: text for name, text in man.pages(root).items()}
    found[Path("README.md")] = readme((folder / "README.md").read_text("utf-8"))
    return found


def stale(folder: Path = ROOT) -> dict[Path, str | None]:
    """Those that are not as they have to be; None for man pages of commands that are gone."""
    wanted = documents(folder)
    found: dict[Path, str | None] = {
        path: text
        for path, text in wanted.items()
        if not (folder / path).exists() or (folder / path).read_text("utf-8") != text
    }
    there = [path.relative_to(folder) for path in sorted((folder / MAN).glob("man?/telex*"))]
    return found | {path: None for path in there if path not in wanted}


def make(folder: Path = ROOT) -> None:
    """Make anew what is stale, and say what that was."""
    for path, text in stale(folder).items():
        file = folder / path
        if text is None:
            file.unlink()
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        print(path if text is not None else f"{path} is gone")


def readme(text: str) -> str:
    """The README with its made blocks as they have to be; raises ``KeyError`` for a block nothing makes."""
    return BLOCK.sub(lambda block: block["open"] + BLOCKS[block["name"]]() + block["close"], text)


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]], *, rule: str = "---") -> str:
    lines = [head, (rule, *["---"] * (len(head) - 1)), *rows]
    escaped = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in escaped)


def exit_codes() -> str:
    rows = ((str(code.value), code.meaning) for code in ExitCode)
    return table(("code", "meaning"), rows, rule="---:")


def commands() -> str:
    return table(("command", "what it does", "below it"), _commands())


def _commands() -> Iterator[tuple[str, ...]]:
    for name, (_, line) in COMMANDS.items():
        context = click.Context(root, info_name="telex")
        command = root.get_command(context, name)
        below = command.list_commands(context) if isinstance(command, click.Group) else ()
        yield f"`telex {name}`", line, ", ".join(f"`{each}`" for each in below)


def chat_help() -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "telex", "chat", "--help"],
        env={**os.environ, "COLUMNS": "100"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return f"```text\n{ran.stdout}```\n"


def topics() -> str:
    return table(("topic", "what it says"), ((f"`telex help {name}`", line) for name, line in TOPICS.items()))


def slashes() -> str:
    rows = ((f"`{' '.join((row.names[0], row.argument)).rstrip()}`", row.words) for row in ROWS)
    return table(("command", "what it does"), rows)


def settings() -> str:
    return table(("setting", "default", "variable", "what it is"), _settings())


def _settings() -> Iterator[tuple[str, ...]]:
    said = dict(row for _, rows in _variables() for row in rows)
    for name, field in File.model_fields.items():
        variable = f"TELEX_{name.upper()}"
        is_table = field.default == {}
        default = "" if is_table or field.default is None else f"`{json.dumps(field.default)}`"
        yield f"`[{name}]`" if is_table else f"`{name}`", default, f"`{variable}`", said[variable]


def variables() -> str:
    rows = (
        (", ".join(f"`{name}`" for name in names.split(", ")), words)
        for title, rows in _variables()
        for names, words in rows
        if title != "Settings"
    )
    return table(("variable", "what it is"), rows)


def _variables() -> list[tuple[str, list[tuple[str, str]]]]:
    """What ``telex help environment`` says, section by section."""
    return [
        (section.title, [row for block in section.blocks if isinstance(block, Rows) for row in block.rows])
        for section in reading.topic("environment")
    ]


KINDS = {
    "cloud": "Services with models of their own",
    "gateway": "Gateways to others",
    "local": "Servers on your machine or in your network",
}


def providers() -> str:
    rows = sorted(presets.all_presets(), key=lambda row: (list(KINDS).index(row.kind), row.id))
    return "".join(
        f"- {KINDS[kind]}: {', '.join(f'`{row.id}`' for row in some)}.\n"
        for kind, some in groupby(rows, lambda row: row.kind)
    )


BLOCKS: dict[str, Callable[[], Any]] = {
    "chat help": chat_help,
    "commands": commands,
    "conversation": slashes,
    "exit codes": exit_codes,
    "providers": providers,
    "settings": settings,
    "topics": topics,
    "variables": variables,
}

if __name__ == "__main__":
    make()
