"""A table of the settings file as lines of text, where a parser would lose its place or its neighbours' comments.

What comes out is a proposal: whoever uses it reads it back, since text can look like a table and be none.
"""

from __future__ import annotations

import re

__all__ = ["added", "renamed", "without"]

_ANY_HEADER = re.compile(r"[ \t]*\[")
_NO_CONTENT = re.compile(r"[ \t]*(?:#.*)?\r?\n?")


def without(text: str, name: str, group: str = "providers") -> str:
    """``text`` without the tables ``[group.name]``; comments that stand before the next table stay."""
    kept: list[str] = []
    cut: list[str] = []
    inside = False
    for line in text.splitlines(keepends=True):
        if _ANY_HEADER.match(line):
            kept += _last_comments(cut)
            cut = []
            inside = _header(name, group).match(line) is not None
            (cut if inside else kept).append(line)
        else:
            (cut if inside else kept).append(line)
    return "".join([*kept, *_last_comments(cut)])


def added(text: str, name: str, table: str, group: str = "providers") -> str:
    """``text`` with the table ``[group.name]`` at its end."""
    return f"{text.rstrip()}\n\n[{group}.{name}]\n{table}".lstrip("\n")


def renamed(text: str, old: str, new: str) -> str:
    """``text`` with the provider's tables under the name ``new``, each where it was."""
    return _header(old).sub(lambda hit: f"{hit['before']}{new}{hit['after']}", text)


def _header(name: str, group: str = "providers") -> re.Pattern[str]:
    word = re.escape(name)
    return re.compile(
        rf"^(?P<before>[ \t]*\[\[?[ \t]*{group}[ \t]*\.[ \t]*)(?:{word}|\"{word}\"|'{word}')"
        r"(?P<after>[ \t]*(?:\.[^\]\n]*)?\])",
        re.MULTILINE,
    )


def _last_comments(lines: list[str]) -> list[str]:
    """The blank and comment lines at the end of a table: they are about what comes next."""
    start = len(lines)
    while start and _NO_CONTENT.fullmatch(lines[start - 1]):
        start -= 1
    rest = lines[start:]
    return rest if any("#" in line for line in rest) else rest[:1]
