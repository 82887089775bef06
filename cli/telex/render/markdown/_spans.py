"""Turns the text of a block into styled pieces; what is not text (where a link leads) is put behind it, faint."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from telex.render.markdown._cut import pieces
from telex.render.markdown._inline import parse
from telex.render.markdown._tokens import Kind
from telex.render.styles import BOLD, CODE, FAINT, ITALIC, LINK, STRIKE
from telex.render.wrapping import Row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from telex.render.markdown._links import Target
    from telex.render.styles import Look
    from telex.render.wrapping import Piece

__all__ = ["draw", "spans", "spans_of_long"]

_STYLES = {"strong": BOLD, "em": ITALIC, "s": STRIKE, "a": LINK}
_ADDRESS = re.compile(r"(https?://[^\s<>\"'`]*[^\s<>\"'`.,;:!?)\]}*_\u3000-\u303f\uff00-\uff65])")


def spans(
    text: str, references: Mapping[str, Target], look: Look, *, base: int = 0, draft: bool = False
) -> list[Piece]:
    """``text`` in pieces, on top of the style ``base``. Line feeds in it are breaks."""
    found: list[Piece] = []
    style = [base]
    link_text: list[str] = []
    for kind, value, target in parse(text, references, draft=draft).tokens:
        match kind:
            case Kind.OPEN:
                style.append(style[-1] | _STYLES[value])
                if value == "a":
                    link_text = []
                continue
            case Kind.CLOSE:
                style.pop()
                if value == "a" and target is not None:
                    found.append((_address(target, "".join(link_text)), look.sgr(base | FAINT)))
                continue
            case Kind.TEXT if "://" in value and not style[-1] & LINK:
                for number, part in enumerate(_ADDRESS.split(value)):
                    found.append((part, look.sgr(style[-1] | LINK if number % 2 else style[-1])))
            case Kind.CODE:
                found.append((value, look.sgr(style[-1] | CODE)))
            case Kind.IMAGE:
                found.append((f"[{value or 'image'}]", look.sgr(style[-1])))
                if target is not None:
                    found.append((_address(target, ""), look.sgr(base | FAINT)))
            case _:
                found.append((value, look.sgr(style[-1])))
        link_text.append(value)
    return [piece for piece in found if piece[0]]


def spans_of_long(text: str, references: Mapping[str, Target], look: Look, *, base: int = 0) -> list[Piece]:
    """Like ``spans``, for text that no one has cut: a heading or a cell of any length."""
    return [span for part in pieces(text, references) for span in spans(part, references, look, base=base)]


def draw(row: list[Piece], look: Look, size: int) -> Row:
    """One row of pieces, without spaces at its end; ``size`` is its cells."""
    while row and (bare := row[-1][0].rstrip(" ")) != row[-1][0]:
        size -= len(row[-1][0]) - len(bare)
        row = [*row[:-1], (bare, row[-1][1])] if bare else row[:-1]
    out, last, held = [], "", ""
    for text, sgr in row:
        if sgr == last:
            held += text
            continue
        out.append(look.paint(held, last))
        held, last = text, sgr
    out.append(look.paint(held, last))
    return Row("".join(out), size)


def _address(target: Target, text: str) -> str:
    """Where a link leads, unless its text says so; a space before it."""
    url = target.url
    title = target.title.replace("\n", " ")
    if url.removeprefix("mailto:") == text or url == text:
        url = ""
    inner = " ".join(part for part in (url, title and f'"{title}"') if part)
    return f" ({inner})" if inner else ""
