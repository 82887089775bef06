"""Ask the terminal for its background colour (OSC 11), to tell dark from light."""

from __future__ import annotations

import os
import re
import select
import sys
import time
from typing import TYPE_CHECKING

from telex.palette import background_by_environment, many_colours

if TYPE_CHECKING:
    from collections.abc import Mapping

    from telex.console import Console
    from telex.palette import Background

__all__ = ["ask_terminal", "learn_background", "luminance"]

_PATIENCE = 0.15
"""Seconds to wait for a reply: terminals on this machine take a few milliseconds."""

_QUESTION = b"\x1b]11;?\x1b\\\x1b[c"
"""Its colour, and what it is: the second every terminal answers, so that the first is not waited for in vain."""

_COLOUR = re.compile(
    rb"\x1b\]11;rgba?:([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})(?:\x07|\x1b\\)?"
)
_LAST = re.compile(rb"\x1b\[\?[0-9;]*c")


def learn_background(console: Console, environ: Mapping[str, str]) -> None:
    """Find out how light the terminal is, unless its environment says so or it was asked before."""
    if console.background is None and console.out_has_colour and many_colours(environ):
        console.background = background_by_environment(environ)
        if not console.background:
            console.background, console.typed_ahead = ask_terminal(environ)


def ask_terminal(environ: Mapping[str, str]) -> tuple[Background, bytes]:
    """Dark, light, or "" where the terminal does not say, and what was typed while it was asked.

    It is not asked when there is typed text that nobody has read yet, over ssh, where the reply may come too late,
    or by a background job.
    """
    if (
        "SSH_CONNECTION" in environ
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
    except (ImportError, AttributeError, OSError, ValueError):
        return "", b""
    reply = b""
    try:
        tty.setcbreak(keyboard, termios.TCSANOW)
        # In this mode what was typed ahead can be seen; it is left where it is.
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
