"""How help is laid out, from 20 columns to 100: the formatter, and the sections that click does not know."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from telex.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from telex.help.page import Block, Section

__all__ = ["EVERYWHERE", "formatter", "write_examples", "write_exits", "write_page"]

_WIDEST = 98
_NARROWEST = 20
_STACKED = 60
"""Below this width, what is explained stands on a line of its own, unless it is short."""
_SHORT = 4

EVERYWHERE = (ExitCode.OTHER, ExitCode.INTERRUPTED, ExitCode.CLOSED_PIPE)
"""What any command can end with, and no command's help repeats."""


class _Formatter(click.HelpFormatter):
    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 26, col_spacing: int = 2) -> None:
        rows = list(rows)
        if self.width >= _STACKED or max((len(first) for first, _ in rows), default=0) <= _SHORT:
            super().write_dl(rows, col_max, col_spacing)
            return
        for first, second in rows:
            self.write_text(first)
            if second:
                with self.indentation(), self.indentation():
                    self.write_text(second)


def formatter(context: click.Context) -> click.HelpFormatter:
    """A formatter for the terminal that this run has, else for 80 columns."""
    from telex.app import App

    app = context.find_object(App)
    if app is not None:
        columns = app.console.width()
    else:
        import shutil

        columns = shutil.get_terminal_size().columns
    return _Formatter(width=max(_NARROWEST, min(columns - 2, _WIDEST)))


def write_examples(formatter: click.HelpFormatter, examples: Sequence[str]) -> None:
    """Each example as it can be copied: one that is too long is broken where a shell allows it."""
    if not examples:
        return
    with formatter.section("Examples"):
        _write_lines(formatter, examples)


def write_exits(formatter: click.HelpFormatter, exits: Sequence[ExitCode]) -> None:
    """The exit codes with their meanings, and where the others stand; of a group only that."""
    if not exits:
        formatter.write_paragraph()
        formatter.write_text("Exit codes: see telex help exit-codes")
        return
    with formatter.section("Exit codes"):
        formatter.write_dl([(str(int(code)), code.meaning_among(exits)) for code in exits])
        others = [str(int(code)) for code in EVERYWHERE if code not in exits]
        formatter.write_text(
            f"{', '.join(others[:-1])} and {others[-1]} as everywhere: telex help exit-codes"
        )


def write_page(formatter: click.HelpFormatter, sections: Iterable[Section]) -> None:
    """A topic's page."""
    for section in sections:
        if section.title:
            with formatter.section(section.title):
                _write_blocks(formatter, section.blocks)
        else:
            _write_blocks(formatter, section.blocks)


def _write_blocks(formatter: click.HelpFormatter, blocks: Iterable[Block]) -> None:
    from telex.help.page import Lines, Rows, Text  # a command's help has none of them

    for at, block in enumerate(blocks):
        if at:
            formatter.write("\n")
        match block:
            case Text(text):
                formatter.write_text(text)
            case Rows(rows):
                formatter.write_dl(rows)
            case Lines(lines):
                with formatter.indentation():
                    _write_lines(formatter, lines)


def _write_lines(formatter: click.HelpFormatter, lines: Iterable[str]) -> None:
    for command in lines:
        for line in _broken(command, formatter.width - formatter.current_indent):
            formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


def _broken(command: str, width: int) -> list[str]:
    """``command`` in lines of at most ``width``, broken between words with a backslash, never inside quotes."""
    lines, line = [], ""
    for word in re.findall(r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])+""", command):
        longer = f"{line} {word}" if line.strip() else f"{line}{word}"
        if len(longer) <= width - 2 or not line.strip():
            line = longer
        else:
            lines.append(f"{line} \\")
            line = f"    {word}"
    return [*lines, line] if len(command) > width else [command]
