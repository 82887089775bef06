"""The man pages: one for each command, as telex-models-list(1), and one for each topic, as telex-keys(7).

The build hook writes them into the distributions; ``python -m telex.man FOLDER`` writes them into a folder. They use
the macros of man(7).
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provider_core import __version__
from telex.help import TOPICS, topic
from telex.main import Group, root

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from telex.main import Command

_FILES = (
    (
        "~/.config/telex/settings.toml",
        "The settings. macOS and Windows use other folders, and with TELEX_HOME it is config/settings.toml in there.",
    ),
    ("~/.local/share/telex/", "The history, and the embedded model."),
    ("~/.cache/telex/", "Model lists, and names for completion. It may be deleted at any time."),
)
_WIDTH = 78
_ESCAPES = str.maketrans(
    {"\\": r"\(rs", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti", '"': r"\(dq"}
)
"""Characters that roff replaces or interprets; it prints an unescaped "-" as a hyphen, which shells do not know."""


def pages(root: Group) -> dict[str, str]:
    """Each page by its path below share/man, such as "man1/telex-chat.1"."""
    context = click.Context(root, info_name="telex", **root.context_settings)
    found = {f"man1/{name}.1": text for name, text in _command_pages(root, context, _paragraphs(root)[0])}
    return found | {f"man7/telex-{name}.7": _topic_page(name, line) for name, line in TOPICS.items()}


def _command_pages(command: Command, context: click.Context, line: str) -> Iterator[tuple[str, str]]:
    """The pages of a command and of all below it; ``line`` is the command's line in the help of its group."""
    below = [
        (each, each.context_class(each, context, info_name=word, **each.context_settings), words)
        for word, each, words in (command.below(context) if isinstance(command, Group) else ())
    ]
    name = _page_name(context)
    page = Page(name, 1, line)
    page.section("Synopsis")
    page.raw(bold(context.command_path), *wrapped(" ".join(command.collect_usage_pieces(context))))
    page.section("Description")
    for paragraph in _paragraphs(command):
        page.text(paragraph)
    if below:
        page.section("Commands")
        page.rows((reference(_page_name(inner), 1), words) for _, inner, words in below)
    page.section("Options")
    options = [param for param in command.get_params(context) if isinstance(param, click.Option)]
    records = [record for param in options if (record := param.get_help_record(context)) is not None]
    page.rows((option(names), text) for names, text in records)
    page.section("Examples")
    page.lines(command.examples)
    page.section("Exit status")
    page.rows((bold(str(int(code))), meaning) for code, meaning in command.meanings.items())
    page.text("All of them are described in telex-exit-codes(7).")
    if context.parent is None:
        page.section("Topics")
        page.rows((reference(f"telex-{topic}", 7), line) for topic, line in TOPICS.items())
        page.section("Files")
        page.rows((italic(path), words) for path, words in _FILES)
    else:
        page.section("See also")
        page.references([(_page_name(context.parent), 1), *((f"telex-{topic}", 7) for topic in TOPICS)])
    yield name, page.source()
    for each in below:
        yield from _command_pages(*each)


def _page_name(context: click.Context) -> str:
    return context.command_path.replace(" ", "-")


def _paragraphs(command: click.Command) -> list[str]:
    return [" ".join(part.split()) for part in inspect.cleandoc(command.help or "").split("\n\n")]


def _topic_page(name: str, line: str) -> str:
    page = Page(f"telex-{name}", 7, line)
    for title, blocks in topic(name).items():
        page.section(title or "Description")
        for block in blocks:
            match block:
                case str():
                    page.text(block)
                case list():
                    page.lines(block)
                case tuple():
                    page.rows((bold(term), words) for term, words in block)
    page.section("See also")
    page.references([("telex", 1), *((f"telex-{other}", 7) for other in TOPICS if other != name)])
    return page.source()


# --- roff -----------------------------------------------------------------------------------------------------------


class Page:
    """The source of one page, written from top to bottom."""

    def __init__(self, name: str, section: int, line: str) -> None:
        self._lines = [
            r".\" Generated from the help of telex.",
            # Without a date, the same commands give the same page.
            f'.TH "{escape(name.upper())}" "{section}" "" "telex {__version__}" "telex"',
            ".nh",  # no hyphenation: a hyphenated option would look like two words
            ".ad l",
            ".SH NAME",
            *wrapped(f"{name} - {line.rstrip('.')}"),
        ]

    def source(self) -> str:
        return "\n".join(self._lines) + "\n"

    def raw(self, *lines: str) -> None:
        self._lines += lines

    def section(self, title: str) -> None:
        self.raw(f".SH {escape(title.upper())}")

    def text(self, text: str) -> None:
        self._begin_block()
        self.raw(*wrapped(text))

    def rows(self, rows: Iterable[tuple[str, str]]) -> None:
        """Terms, which are roff already, with their descriptions."""
        for term, text in rows:
            self.raw(".TP", term, *wrapped(text or " "))

    def lines(self, lines: Iterable[str]) -> None:
        """Command lines, which are not wrapped."""
        self._begin_block()
        self.raw(".RS 4", ".nf", *(_guarded(escape(line)) for line in lines), ".fi", ".RE")

    def references(self, pages: Iterable[tuple[str, int]]) -> None:
        self.raw(*",\n".join(reference(name, section) for name, section in pages).split("\n"))

    def _begin_block(self) -> None:
        if not self._lines[-1].startswith(".SH"):
            self.raw(".PP")


def escape(text: str) -> str:
    """``text`` in ASCII, so that roff prints it unchanged."""
    return re.sub(r"[^\x00-\x7f]", lambda found: rf"\[u{ord(found[0]):04X}]", text.translate(_ESCAPES))


def bold(text: str) -> str:
    return rf"\fB{escape(text)}\fR"


def italic(text: str) -> str:
    return rf"\fI{escape(text)}\fR"


def reference(name: str, section: int) -> str:
    return rf"{bold(name)}({section})"


def option(names: str) -> str:
    """An option as help shows it, such as "-m, --model ID", with names in bold and values in italics."""
    return re.sub(
        r"--?[A-Za-z][A-Za-z-]*|[^\s,/]+",
        lambda found: bold(found[0]) if found[0].startswith("-") else italic(found[0]),
        names,
    )


def wrapped(text: str) -> list[str]:
    lines = textwrap.wrap(escape(text), _WIDTH, break_long_words=False, break_on_hyphens=False)
    return [_guarded(line) for line in lines]


def _guarded(line: str) -> str:
    """A line of text; a leading dot or quote would make it a request to roff."""
    return rf"\&{line}" if line.startswith((".", "'")) else line


def write(folder: Path) -> None:
    """Write all pages into the folder."""
    for name, text in pages(root).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m telex.man FOLDER")
    write(Path(sys.argv[1]))
