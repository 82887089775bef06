"""The colours of everything that telex shows on a terminal, by how light its background is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Background: TypeAlias = Literal["", "dark", "light"]
"""How light a terminal is; "" is unknown."""

COLOURS: Final[dict[Background, dict[str, int]]] = {
    "": {"red": 167, "green": 65, "yellow": 136, "blue": 33, "magenta": 133, "cyan": 31, "grey": 244},
    "dark": {"red": 210, "green": 113, "yellow": 179, "blue": 75, "magenta": 176, "cyan": 80, "grey": 248},
    "light": {"red": 124, "green": 22, "yellow": 94, "blue": 25, "magenta": 90, "cyan": 24, "grey": 241},
}
"""Numbers 16 to 255 of the 256 colours, which colour schemes leave alone; terminals with 16 colours get none.

On a known background the contrast is at least 4.5 in the schemes that terminals come with, otherwise at least 3.
"""


def many_colours(environ: Mapping[str, str]) -> bool:
    """Whether a terminal has 256 colours or more; NO_COLOR is not asked."""
    term = environ.get("TERM", "").lower()
    return (
        environ.get("COLORTERM", "").lower() in {"truecolor", "24bit"}
        or environ.get("FORCE_COLOR") in {"2", "3"}
        or term.endswith(("256color", "-kitty", "-direct"))
        or term in {"xterm-ghostty", "alacritty", "foot", "wezterm"}
    )


def background_by_environment(environ: Mapping[str, str]) -> Background:
    """What COLORFGBG says ("15;0"), as rxvt, Konsole and others set it."""
    last = environ.get("COLORFGBG", "").rpartition(";")[2]
    if not last.isdecimal() or int(last) > 15:
        return ""
    return "light" if int(last) in (7, *range(9, 16)) else "dark"
