"""Lines of a conversation where lines cannot be edited, and how a line looks once it was sent, everywhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from telex.console import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from telex.console import Console

__all__ = ["CONTINUED", "LEAVE", "PROMPT", "PlainReader", "is_plain", "written"]

PROMPT = "> "
CONTINUED = "  "
LEAVE = "To leave: Ctrl-D, or /exit."

_QUOTES = '"""'


def is_plain(environ: Mapping[str, str]) -> bool:
    """Whether nothing is known of the terminal, or that its cursor cannot be moved."""
    return environ.get("TERM", "").lower() in ("", "dumb", "unknown")


def written(console: Console, text: str) -> None:
    """Write what was sent, as text: behind the prompt, its further lines below each other."""
    bold, reset = ("\x1b[1m", "\x1b[m") if console.out_has_colour else ("", "")
    shown = visible(text).replace("\n", f"\n{CONTINUED}")
    console.raw_out(f"{bold}{PROMPT}{reset}{shown}\n")


class PlainReader:
    """Reads lines as the terminal gives them (TERM=dumb): a backslash at the end, or three quotes, make it more."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def read(self) -> str:
        """What was sent. Raises ``EOFError`` when the user leaves."""
        interrupted = 0
        while True:
            try:
                return self._prompt()
            except KeyboardInterrupt:
                interrupted += 1
                self._console.out("\n")
                if interrupted == 2:
                    self._console.note(LEAVE)

    def _prompt(self) -> str:
        lines = [self._line(PROMPT)]
        if lines[0].startswith(_QUOTES):
            lines[0] = lines[0].removeprefix(_QUOTES)
            while not lines[-1].endswith(_QUOTES):
                lines.append(self._line(CONTINUED))
            lines[-1] = lines[-1].removesuffix(_QUOTES)
            return "\n".join(lines).strip("\n")
        while lines[-1].endswith("\\") and not lines[-1].endswith("\\\\"):
            lines[-1] = lines[-1][:-1]
            lines.append(self._line(CONTINUED))
        return "\n".join(lines)

    def _line(self, prompt: str) -> str:
        self._console.out(prompt)
        raw = sys.stdin.buffer.readline()
        if not raw:
            self._console.out("\n")
            raise EOFError
        return raw.decode("utf-8", "surrogateescape").rstrip("\r\n")
