"""Colours and styles: which escape sequences each kind of text gets, for the terminal's colours and background."""

from __future__ import annotations

import os
import re
import select
import sys
import time
from enum import Enum
from typing import TYPE_CHECKING

from provider_core.structs import Struct
from telex.console import COLOURS, background_by_environment, many_colours

if TYPE_CHECKING:
    from collections.abc import Mapping

    from telex.console import Background, Console

STYLES = {
    "faint": ("", "grey"),
    "none": ("", ""),
    "markdown.paragraph": ("", ""),
    "markdown.block_quote": ("", ""),
    "markdown.em": ("3", ""),
    "markdown.strong": ("1", ""),
    "markdown.s": ("9", ""),
    "markdown.code": ("", "cyan"),
    "markdown.a": ("4", "blue"),
    "markdown.item.bullet": ("", "yellow"),
    "markdown.table.header": ("1", ""),
    "markdown.h1": ("1;4", "magenta"),
    **dict.fromkeys([f"markdown.h{level}" for level in range(2, 7)], ("1", "magenta")),
}
"""The attributes and the colour of each style; the names are Rich's, except for "faint"."""


class Colour(Enum):
    """How many colours there are; the values are Rich's names for the systems."""

    NONE = ""  # no escape sequence at all
    MONO = "mono"  # bold, italic and so on only
    BASIC = "standard"
    MANY = "256"
    TRUE = "truecolor"


class Look(Struct):
    """``code_theme`` is a Pygments style, "ansi_dark" or "ansi_light" (the terminal's own colours), or "none".

    Without one, code has the colours of ``COLOURS``, as everything else has.
    """

    colour: Colour = Colour.BASIC
    code_theme: str = ""
    background: Background = ""

    def sgr(self, style: str) -> str:
        """The parameters that select a style of ``STYLES``; "" for plain text."""
        if self.colour is Colour.NONE:
            return ""
        attributes, colour = STYLES[style]
        named = self.named(colour) if colour else ""
        if style == "markdown.code" and not named:
            return "1"
        return ";".join(filter(None, (attributes, named)))

    def paint(self, text: str, sgr: str) -> str:
        """``text`` in the style of the parameters."""
        return f"\x1b[{sgr}m{text}\x1b[m" if sgr else text

    def named(self, name: str) -> str:
        """The parameters for a colour of ``COLOURS``; "" where a terminal has too few colours."""
        return f"38;5;{COLOURS[self.background][name]}" if self.colour in (Colour.MANY, Colour.TRUE) else ""


def surface(environ: Mapping[str, str], *, is_terminal: bool) -> Colour | None:
    """The colours for Markdown, or None if it is not to be rendered.

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
    """How to render Markdown on stdout, or None if it is not to be rendered; notes a theme that does not exist.

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


_PATIENCE = 0.15
"""Seconds to wait for a reply: terminals on this machine take a few milliseconds."""

_QUESTION = b"\x1b]11;?\x1b\\\x1b[c"
"""Asks for the colour and for the kind of terminal: every terminal answers the second, which ends the wait."""

_COLOUR = re.compile(
    rb"\x1b\]11;rgba?:([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})(?:\x07|\x1b\\)?"
)
_LAST = re.compile(rb"\x1b\[\?[0-9;]*c")


def learn_background(console: Console, environ: Mapping[str, str]) -> None:
    """Ask the terminal for its background, unless its environment says it or it was asked before."""
    if console.background is None and console.out_has_colour and many_colours(environ):
        console.background = background_by_environment(environ)
        if not console.background:
            console.background, console.typed_ahead = ask_terminal(environ)


def ask_terminal(environ: Mapping[str, str]) -> tuple[Background, bytes]:
    """Dark, light, or "" where the terminal does not say, and what was typed while it was asked.

    It is not asked when there is typed text that has not been read yet, over ssh, where the reply may come too late,
    or by a background job.
    """
    if (
        sys.platform == "win32"
        or "SSH_CONNECTION" in environ
        or "SSH_TTY" in environ
        or environ.get("TERM", "") in ("", "dumb", "linux")
    ):
        return "", b""
    try:
        import termios
        import tty

        keyboard, screen = sys.stdin.fileno(), sys.stdout.fileno()
        if not (os.isatty(keyboard) and os.isatty(screen)) or os.tcgetpgrp(keyboard) != os.getpgrp():
            return "", b""
        before = termios.tcgetattr(keyboard)
    except (OSError, ValueError):
        return "", b""
    reply = b""
    try:
        tty.setcbreak(keyboard, termios.TCSANOW)
        # In this mode typed text is visible to select; it is not read.
        if select.select([keyboard], [], [], 0)[0]:
            return "", b""
        os.write(screen, _QUESTION)
        until = time.monotonic() + _PATIENCE
        while not _LAST.search(reply) and (left := until - time.monotonic()) > 0:
            if select.select([keyboard], [], [], left)[0]:
                reply += os.read(keyboard, 1)
    except OSError:
        return "", reply
    finally:
        termios.tcsetattr(keyboard, termios.TCSANOW, before)
    found, typed = _COLOUR.search(reply), _LAST.sub(b"", _COLOUR.sub(b"", reply))
    if found is None:
        return "", typed
    red, green, blue = (int(part, 16) / (16 ** len(part) - 1) for part in found.groups())
    # Where black and white letters have the same contrast.
    return "light" if luminance(red, green, blue) > 0.18 else "dark", typed


def luminance(red: float, green: float, blue: float) -> float:
    """The relative luminance of a colour with parts from 0 to 1, by the Web Content Accessibility Guidelines."""
    linear = (
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue)
    )
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))
