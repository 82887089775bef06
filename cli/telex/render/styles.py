"""How things look: which escape sequences a kind of text is given, for the colours a terminal has."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BOLD",
    "CODE",
    "FAINT",
    "HEADING",
    "ITALIC",
    "LINK",
    "MARKER",
    "STRIKE",
    "Colour",
    "Look",
    "surface",
]

BOLD, ITALIC, STRIKE, CODE, LINK, FAINT, MARKER = (1 << bit for bit in range(7))
HEADING = 1 << 7
"""Times the level, 1 to 6."""

_RESET = "\x1b[m"


class Colour(Enum):
    """How many colours there are; the values are Rich's names for the systems."""

    NONE = ""  # no escape sequence at all
    MONO = "mono"  # bold, italic and so on only
    BASIC = "standard"
    MANY = "256"
    TRUE = "truecolor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """``code_theme`` is a Pygments style, "ansi_dark" or "ansi_light" (the terminal's own colours), or "none"."""

    colour: Colour = Colour.BASIC
    code_theme: str = "ansi_dark"
    _known: dict[int, str] = field(default_factory=dict, repr=False, compare=False)

    def sgr(self, style: int) -> str:
        """The parameters that select ``style``, "" for plain text."""
        found = self._known.get(style)
        if found is None:
            found = self._known[style] = self._sgr(style)
        return found

    def paint(self, text: str, sgr: str) -> str:
        """``text`` with the parameters switched on before and everything off behind."""
        return f"\x1b[{sgr}m{text}{_RESET}" if sgr else text

    def _sgr(self, style: int) -> str:
        if self.colour is Colour.NONE or not style:
            return ""
        colours = self.colour is not Colour.MONO
        level = style // HEADING
        codes = {
            "1": style & BOLD or level or (style & CODE and not colours),
            "2": style & FAINT,
            "3": style & ITALIC,
            "4": style & LINK or level == 1,
            "9": style & STRIKE,
            "36": colours and style & CODE,
            "34": colours and style & LINK and not style & CODE,
            "33": colours and style & MARKER,
            "35": colours and level and not style & (CODE | LINK),
        }
        return ";".join(code for code, on in codes.items() if on)


def surface(environ: Mapping[str, str], *, is_terminal: bool) -> Colour | None:
    """The colours to draw Markdown with, or None where it is to be left as it is.

    FORCE_COLOR stands for a terminal that is none; NO_COLOR leaves bold and italic; TERM=dumb leaves nothing.
    """
    forced = environ.get("FORCE_COLOR", "")
    if not is_terminal and forced in {"", "0"}:
        return None
    term = environ.get("TERM", "").lower()
    if term in {"", "dumb", "unknown"}:
        return None
    if environ.get("NO_COLOR") or forced == "0":
        return Colour.MONO
    if (
        forced == "3"
        or environ.get("COLORTERM", "").lower() in {"truecolor", "24bit"}
        or term.endswith("-direct")
    ):
        return Colour.TRUE
    return Colour.MANY if forced == "2" or term.endswith(("256color", "-kitty")) else Colour.BASIC
