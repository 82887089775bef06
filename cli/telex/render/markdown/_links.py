"""Where links point: destinations, titles and reference definitions; text around them is not read here."""

from __future__ import annotations

import html
import re
from html.entities import html5
from typing import NamedTuple

from telex.console import visible

__all__ = ["ENTITY", "LABEL", "Found", "Target", "definition", "fold", "inline_target", "literal", "unescape"]

ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{0,40});")
LABEL = re.compile(r"\[((?:[^\\\[\]]|\\.){1,999})\]", re.DOTALL)
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])|" + ENTITY.pattern)
_SPACE = re.compile(r"[ \t]*\n?[ \t]*")
_ANGLED = re.compile(r"<((?:[^<>\n\\]|\\.)*)>")
_BARE = re.compile(r"(?:[^\\()\x00-\x20\x7f]|\\[!-/:-@\[-`{-~]|\\)+")
_TITLE = re.compile(
    r""""((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|\(((?:[^()\\]|\\.)*)\)""",
    re.DOTALL,
)
_REST_OF_LINE = re.compile(r"[ \t]*(?:\n|\Z)")
_NESTING = 32


class Target(NamedTuple):
    """Where a link leads."""

    url: str
    title: str


class Found(NamedTuple):
    """Something read, and the index behind it."""

    target: Target
    end: int


def literal(reference: str) -> str:
    """The characters an entity such as ``&amp;`` stands for, harmless on a terminal; itself if it is none."""
    if reference[1] == "#":
        number = int(reference[3:-1], 16) if reference[2] in "xX" else int(reference[2:-1])
        if number == 0 or number > 0x10FFFF or 0xD800 <= number < 0xE000:
            return "\ufffd"
        # HTML reads 128 to 159 as Windows' quotes and dashes, CommonMark as the control characters they are.
        return visible(chr(number)).replace("\n", " ").replace("\t", " ")
    if reference[1:] in html5:
        return visible(html.unescape(reference)).replace("\n", " ").replace("\t", " ")
    return reference


def unescape(text: str) -> str:
    """``text`` without the backslashes before punctuation, and with its entities resolved."""
    if "\\" not in text and "&" not in text:
        return text
    return _ESCAPED.sub(lambda match: match[1] or literal(match[0]), text)


def fold(label: str) -> str:
    """A label in the form in which labels are compared."""
    return " ".join(label.split()).casefold()


def inline_target(text: str, start: int) -> Found | None:
    """The ``(destination "title")`` at ``start``, whose bracket is open; None where there is none."""
    position = _skip(text, start + 1)
    read = _destination(text, position)
    url, after = read if read is not None else ("", position)
    position = _skip(text, after)
    title = ""
    if position > after and (match := _TITLE.match(text, position)) and "\n\n" not in match[0]:
        title = unescape(match[match.lastindex or 0])
        position = _skip(text, match.end())
    if text[position : position + 1] != ")":
        return None
    return Found(Target(url, title), position + 1)


def definition(text: str) -> tuple[str, Found] | None:
    """The reference definition that opens ``text``: its folded label, target and end; None if it is none."""
    label = LABEL.match(text)
    if label is None or not label[1].strip() or text[label.end() : label.end() + 1] != ":":
        return None
    start = _skip(text, label.end() + 1)
    read = _destination(text, start)
    if read is None or read[1] == start:
        return None
    url, after = read
    position = _skip(text, after)
    if (
        position > after
        and (match := _TITLE.match(text, position))
        and "\n\n" not in match[0]
        and (rest := _REST_OF_LINE.match(text, match.end()))
    ):
        return fold(label[1]), Found(Target(url, unescape(match[match.lastindex or 0])), rest.end())
    # A title that does not work out may still leave a definition, if it began on a line of its own.
    if rest := _REST_OF_LINE.match(text, after):
        return fold(label[1]), Found(Target(url, ""), rest.end())
    return None


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _destination(text: str, position: int) -> tuple[str, int] | None:
    """The destination at ``position`` and the index behind it; the empty one only in angle brackets."""
    if text[position : position + 1] == "<":
        angled = _ANGLED.match(text, position)
        return None if angled is None else (unescape(angled[1]), angled.end())
    start, depth = position, 0
    while position < len(text):
        if bare := _BARE.match(text, position):
            position = bare.end()
        elif text[position] == "(" and depth < _NESTING:
            depth += 1
            position += 1
        elif text[position] == ")" and depth:
            depth -= 1
            position += 1
        else:
            break
    if depth or position == start:
        return None
    return unescape(text[start:position]), position
