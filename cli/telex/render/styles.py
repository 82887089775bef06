"""How things look: which escape sequences a kind of text is given, for the colours a terminal has."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from provider_core.structs import Struct, field
from telex.palette import COLOURS, background_by_environment, many_colours

if TYPE_CHECKING:
    from collections.abc import Mapping

    from telex.console import Console
    from telex.palette import Background

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
    "is_theme",
    "look_for",
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


class Look(Struct):
    """``code_theme`` is a Pygments style, "ansi_dark" or "ansi_light" (the terminal's own colours), or "none".

    Without one, code has the colours of ``telex.palette``, as everything else has.
    """

    colour: Colour = Colour.BASIC
    code_theme: str = ""
    background: Background = ""
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
        level = style // HEADING
        code = {
            "grey": style & FAINT,
            "cyan": style & CODE,
            "blue": style & LINK and not style & CODE,
            "yellow": style & MARKER,
            "magenta": level and not style & (CODE | LINK),
        }
        colour = next((self.named(name) for name, on in code.items() if on), "")
        codes = {
            "1": style & BOLD or level or (style & CODE and not colour),
            "3": style & ITALIC,
            "4": style & LINK or level == 1,
            "9": style & STRIKE,
            colour: bool(colour),
        }
        return ";".join(code for code, on in codes.items() if on)

    def named(self, name: str) -> str:
        """The parameters for a colour of ``palette.COLOURS``; "" where a terminal has too few colours."""
        return f"38;5;{COLOURS[self.background][name]}" if self.colour in (Colour.MANY, Colour.TRUE) else ""


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
    return Colour.MANY if many_colours(environ) else Colour.BASIC


def look_for(console: Console, code_theme: str | None, *, ask: bool = False) -> Look | None:
    """How to draw Markdown on stdout, or None where it is to be left as it is; notes a theme that does not exist.

    With ``ask`` the terminal may be asked how light it is, which takes a moment.
    """
    environ = console.environ
    colour = surface(environ, is_terminal=console.out_is_terminal)
    if colour is None:
        return None
    if code_theme and not is_theme(code_theme):
        console.note(f"The code theme {code_theme!r} does not exist; using the default. See: telex doctor")
        code_theme = None
    if ask:
        from telex.render.background import learn_background

        learn_background(console, environ)
    return Look(
        colour=colour,
        code_theme=code_theme or "",
        background=console.background or background_by_environment(environ),
    )


def is_theme(name: str) -> bool:
    """Whether a code theme of this name exists."""
    from pygments.styles import get_all_styles

    return name in {"none", "ansi_dark", "ansi_light", *get_all_styles()}
