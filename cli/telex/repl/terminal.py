"""The terminal of an interactive conversation without a line editor, and while an answer arrives."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, Self

from telex.console import visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from telex.app import App
    from telex.console import Console

PROMPT = "> "
CONTINUED = "  "
HOW_TO_LEAVE = "To leave: Ctrl-D, or /exit."

_CHOICES_SHOWN = 20
_PASTE_ON, _PASTE_OFF = "\x1b[?2004h", "\x1b[?2004l"


def is_plain(environ: Mapping[str, str]) -> bool:
    """Whether the terminal cannot move its cursor, or nothing is known about it."""
    return environ.get("TERM", "").lower() in ("", "dumb", "unknown")


def prompt_sign(console: Console) -> str:
    """The sign before a prompt, as printed."""
    return f"\x1b[1m{PROMPT}\x1b[m" if console.out_has_colour else PROMPT


def print_prompt(console: Console, text: str) -> None:
    """Print a sent prompt as text after the prompt sign, with its further lines below each other."""
    shown = visible(text).replace("\n", f"\n{CONTINUED}")
    console.raw_out(f"{prompt_sign(console)}{shown}\n")


class PlainReader:
    """Reads lines as the terminal edits them; a backslash at the end continues a prompt."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.listed: tuple[str, ...] = ()
        """The last text that ``choose`` has printed."""

    def read(self) -> str:
        """A prompt. Raises ``EOFError`` when the user leaves."""
        interrupts = 0
        while True:
            try:
                return self._read()
            except KeyboardInterrupt:
                interrupts += 1
                self._console.out("\n")
                if interrupts == 2:
                    self._console.note(HOW_TO_LEAVE)

    def choose(self, choices: Sequence[str], *, current: str, typed: str = "") -> str | None:
        """Print the choices that contain all words of ``typed``, with numbers for ``/model``."""
        words = typed.casefold().split()
        found = [each for each in choices if all(word in each.casefold() for word in words)]
        for number, each in enumerate(found[:_CHOICES_SHOWN], 1):
            self._console.note(f"{number:>3} {'*' if each == current else ' '} {each}")
        if len(found) > _CHOICES_SHOWN:
            self._console.note(f"and {len(found) - _CHOICES_SHOWN} more; to search them: /models WORD")
        if found:
            self._console.note("To switch: /model NUMBER")
        self.listed = tuple(found[:_CHOICES_SHOWN])
        return None

    def _read(self) -> str:
        lines = [self._line(PROMPT)]
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


class EchoSuppressor:
    """From ``begin`` to ``end`` the terminal does not echo typed keys; the next prompt reads them.

    Both methods may be called repeatedly. The terminal stays in line mode, so that programs which prompt for a
    password meanwhile work. A paste stays one paste. On plain terminals this does nothing.
    """

    def __init__(self, app: App) -> None:
        self._console = app.console
        self._is_plain = is_plain(app.runtime.environ)
        self._before: list[Any] | None = None
        self._before_sigcont: Any = None

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(self) -> None:
        if sys.platform == "win32" or self._before is not None or self._is_plain:
            return
        import termios

        with contextlib.suppress(termios.error, OSError, ValueError):
            self._before = termios.tcgetattr(sys.stdin.fileno())
            self._stop_echo()
            self._console.raw_out(_PASTE_ON)
            if threading.current_thread() is threading.main_thread():
                # Some shells change the terminal's modes when a stopped job continues.
                self._before_sigcont = signal.signal(signal.SIGCONT, self._stop_echo)

    def end(self) -> None:
        if sys.platform == "win32" or self._before is None:
            return
        import termios

        before, self._before = self._before, None
        if self._before_sigcont is not None:
            signal.signal(signal.SIGCONT, self._before_sigcont)
            self._before_sigcont = None
        self._console.raw_out(_PASTE_OFF)
        with contextlib.suppress(termios.error, OSError, ValueError):
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, before)

    def _stop_echo(self, *_: object) -> None:
        if sys.platform == "win32":
            return
        import termios

        with contextlib.suppress(termios.error, OSError, ValueError):
            descriptor = sys.stdin.fileno()
            # A background job that changed the terminal would be stopped.
            if os.tcgetpgrp(descriptor) == os.getpgrp():
                modes = termios.tcgetattr(descriptor)
                modes[3] &= ~termios.ECHO
                termios.tcsetattr(descriptor, termios.TCSANOW, modes)
