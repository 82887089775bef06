"""The few macros of man(7) that the pages need, and what must be escaped; what a page says is not known here."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Writer", "bold", "escape", "italic", "option", "reference"]

_WIDTH = 78
_SPECIAL = str.maketrans(
    {
        "\\": r"\(rs",
        "-": r"\-",  # a bare one is a hyphen, which no shell takes for a dash
        "'": r"\(aq",
        "`": r"\(ga",
        "^": r"\(ha",
        "~": r"\(ti",
        '"': r"\(dq",
    }
)


def escape(text: str) -> str:
    """``text`` as roff shows it: character by character, in ASCII."""
    return re.sub(r"[^\x00-\x7f]", lambda found: rf"\[u{ord(found[0]):04X}]", text.translate(_SPECIAL))


def bold(text: str) -> str:
    return rf"\fB{escape(text)}\fR"


def italic(text: str) -> str:
    return rf"\fI{escape(text)}\fR"


def reference(name: str, section: int) -> str:
    return rf"{bold(name)}({section})"


def option(record: str) -> str:
    """An option as help names it, "-m, --model ID": names bold, values in italics."""
    return re.sub(
        r"--?[A-Za-z][A-Za-z-]*|[^\s,/]+",
        lambda found: bold(found[0]) if found[0].startswith("-") else italic(found[0]),
        record,
    )


class Writer:
    """A page that grows from its head on; ``value`` is its source."""

    def __init__(self, name: str, section: int, version: str, line: str) -> None:
        self._lines = [
            r".\" Made from the commands' own help: python -m telex.man cli/man",
            # No date: the same commands give the same page.
            f'.TH "{escape(name.upper())}" "{section}" "" "telex {version}" "telex"',
            ".nh",  # an option that is broken at a hyphen reads as two
            ".ad l",
            ".SH NAME",
            *_wrapped(f"{name} - {line.rstrip('.')}"),
        ]

    def value(self) -> str:
        return "\n".join(self._lines) + "\n"

    def section(self, title: str) -> None:
        self._lines.append(f".SH {escape(title.upper())}")

    def synopsis(self, command: str, arguments: str) -> None:
        self._lines += [bold(command), *_wrapped(arguments)]

    def text(self, text: str) -> None:
        """A paragraph."""
        self._lines += [*self._apart(), *_wrapped(text)]

    def row(self, term: str, words: str) -> None:
        """``term``, which is roff already, and what is said of it."""
        self._lines += [".TP", term, *_wrapped(words or " ")]

    def lines(self, commands: Iterable[str]) -> None:
        """Command lines, each as it stands."""
        each = (_guarded(escape(command)) for command in commands)
        self._lines += [*self._apart(), ".RS 4", ".nf", *each, ".fi", ".RE"]

    def references(self, pages: Sequence[tuple[str, int]]) -> None:
        *first, last = [reference(name, section) for name, section in pages]
        self._lines += [*(f"{each}," for each in first), last]

    def _apart(self) -> list[str]:
        """What sets a block off from the one before; a heading does so by itself."""
        return [] if self._lines[-1].startswith(".SH") else [".PP"]


def _wrapped(text: str) -> list[str]:
    lines = textwrap.wrap(escape(text), _WIDTH, break_long_words=False, break_on_hyphens=False)
    return [_guarded(line) for line in lines]


def _guarded(line: str) -> str:
    """A line of text that begins like a request is none."""
    return rf"\&{line}" if line.startswith((".", "'")) else line
