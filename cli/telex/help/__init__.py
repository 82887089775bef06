"""The list of help topics, and the layout of ``--help`` and ``telex help`` for terminals of 20 to 100 columns."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from telex.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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
