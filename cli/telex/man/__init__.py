"""The man pages, made from the commands and the topics of help; man itself is not run here.

A page for each command, as telex-models-list(1), and one for each topic, as telex-keys(7). ``python -m telex.man
FOLDER`` writes those that are checked in; man(7) describes the macros.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from provider_core import __version__
from telex.command import Command, Group
from telex.help import TOPICS
from telex.man import roff

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telex.exit_codes import ExitCode

__all__ = ["pages"]

_FILES = (
    (
        "~/.config/telex/settings.toml",
        "The settings. macOS and Windows keep such files elsewhere, and TELEX_HOME has them in config/.",
    ),
    ("~/.local/share/telex/", "The history, and the embedded model."),
    ("~/.cache/telex/", "Lists of models, and what completion reads: all of it can be made again."),
)


def pages(root: click.Command) -> dict[str, str]:
    """Each page by its path below share/man: "man1/telex-chat.1"."""
    context = click.Context(root, info_name="telex", **root.context_settings)
    found = {f"man1/{name}.1": text for name, text in _commands(root, context, "")}
    for topic, line in TOPICS.items():
        found[f"man7/telex-{topic}.7"] = _topic(topic, line)
    return found


def _commands(command: click.Command, context: click.Context, line: str) -> Iterator[tuple[str, str]]:
    """The pages of a command and of all below it; ``line`` is what the group above says of it."""
    name = context.command_path.replace(" ", "-")
    below = list(_below(command, context))
    yield name, _page(command, context, name, line or _paragraphs(command)[0], below)
    for each, inner, words in below:
        yield from _commands(each, inner, words)


_Below = tuple[click.Command, click.Context, str]


def _below(command: click.Command, context: click.Context) -> Iterator[_Below]:
    if not isinstance(command, click.Group):
        return
    rows: dict[str, tuple[str, str]] = getattr(command, "rows", {})
    for name in command.list_commands(context):
        each = command.get_command(context, name)
        if each is not None and not each.hidden:
            inner = click.Context(each, context, info_name=name, **each.context_settings)
            yield each, inner, rows[name][1] if name in rows else each.get_short_help_str(200)


def _page(command: click.Command, context: click.Context, name: str, line: str, below: list[_Below]) -> str:
    page = roff.Writer(name, 1, __version__, line)
    page.section("Synopsis")
    page.synopsis(context.command_path, " ".join(command.collect_usage_pieces(context)))
    page.section("Description")
    for paragraph in _paragraphs(command):
        page.text(paragraph)
    if below:
        page.section("Commands")
        for _, inner, words in below:
            page.row(roff.reference(inner.command_path.replace(" ", "-"), 1), words)
    page.section("Options")
    for param in command.get_params(context):
        record = param.get_help_record(context)
        if record is not None and isinstance(param, click.Option):
            page.row(roff.option(record[0]), record[1])
    if isinstance(command, Command | Group):
        page.section("Examples")
        page.lines(command.examples)
        _exits(page, command.exits)
    if context.parent is None:
        _of_the_root(page)
    else:
        page.section("See also")
        above = (context.parent.command_path.replace(" ", "-"), 1)
        page.references([above, *((f"telex-{topic}", 7) for topic in TOPICS)])
    return page.value()


def _paragraphs(command: click.Command) -> list[str]:
    import inspect

    return [" ".join(part.split()) for part in inspect.cleandoc(command.help or "").split("\n\n")]


def _exits(page: roff.Writer, codes: tuple[ExitCode, ...]) -> None:
    page.section("Exit status")
    for code in codes:
        page.row(roff.bold(str(int(code))), code.meaning_among(codes))
    page.text("All of them are described in telex-exit-codes(7).")


def _of_the_root(page: roff.Writer) -> None:
    page.section("Topics")
    for topic, line in TOPICS.items():
        page.row(roff.reference(f"telex-{topic}", 7), line)
    page.section("Files")
    for path, words in _FILES:
        page.row(roff.italic(path), words)


def _topic(name: str, line: str) -> str:
    from telex.help.page import Lines, Rows, Text
    from telex.help.reading import topic

    page = roff.Writer(f"telex-{name}", 7, __version__, line)
    for section in topic(name):
        page.section(section.title or "Description")
        for block in section.blocks:
            match block:
                case Text(text):
                    page.text(text)
                case Lines(lines):
                    page.lines(lines)
                case Rows(rows):
                    for term, words in rows:
                        page.row(roff.bold(term), words)
    page.section("See also")
    page.references([("telex", 1), *((f"telex-{other}", 7) for other in TOPICS if other != name)])
    return page.value()
