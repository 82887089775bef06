"""Interactive conversations: in a real pseudo-terminal, line by line, or in this process."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

try:
    import fcntl
    import termios
except ImportError:
    pytest.skip("Windows has no pseudo-terminals", allow_module_level=True)

from running import COMMAND, Telex
from terminal import Pty

from provider_core.settings import Paths
from telex.app import App
from telex.main import main

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Talk(Pty):
    """Begins with the first prompt on the screen."""

    _is_dumb = False

    def __init__(self, telex: Telex, *arguments: str, columns: int = 80, lines: int = 24, **env: str) -> None:
        super().__init__(
            [str(COMMAND), "chat", *arguments], env={**telex.env, **env}, columns=columns, lines=lines
        )
        self._is_dumb = env.get("TERM") == "dumb"
        try:
            self.prompt()
        except BaseException:
            self.__exit__()
            raise

    def until(self, holds: Callable[[], object], seconds: float = 100) -> None:
        """Read until ``holds`` does."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"it never came to that:\n{self.text}"
            self.read(0.02)

    def prompt(self) -> None:
        """Wait for an empty prompt, and for the editor to read its keys."""
        self.until(lambda: (self._is_dumb or self._reads_keys) and self.rows[-1:] == [">"])

    @property
    def _reads_keys(self) -> bool:
        """Whether the line editor reads single keys, and the terminal no lines.

        For a moment before that, when it looks for earlier keys, the terminal reads no lines either: then pastes are
        not marked yet.
        """
        if termios.tcgetattr(self._follower)[3] & termios.ICANON:
            return False
        while self.read(0):
            pass
        return self.raw.rfind(b"\x1b[?2004h") > self.raw.rfind(b"\x1b[?2004l")

    def typed(self, keys: str) -> None:
        """Type, and wait until it stands there."""
        self.type(keys)
        last = keys.rstrip().rpartition("\n")[2]
        self.until(lambda: last in self.text)

    def send(self, line: str) -> None:
        """Type a line, and Enter once it is there."""
        self.typed(line)
        self.until(lambda: self.rows[-1].endswith(line[-10:].rstrip()))
        self.type("\r")

    def say(self, line: str) -> list[str]:
        """Send a line and wait for the next prompt; the rows that came below it."""
        self.send(line)
        self.prompt()
        rows = self.rows[:-1]
        assert f"> {line}" in rows, self.text
        first = max(at for at, row in enumerate(rows) if row == f"> {line}")
        return [row for row in rows[first + 1 :] if row]

    def resize(self, columns: int, lines: int) -> None:
        """With the one signal that the system sends, as after a change of a real window."""
        fcntl.ioctl(self._follower, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(lines, columns)

    def leave(self) -> int:
        self.type("\x04")
        return self.wait()


class Dialogue:
    """Conversations in this process: ``lines`` are typed at a terminal that cannot move its cursor."""

    def __init__(self, telex: Telex) -> None:
        self.paths = Paths.find(telex.env)
        self._environ = telex.env | {"TERM": "dumb"}

    def __call__(self, *arguments: str, lines: Sequence[str | Callable[[], str]]) -> list[str]:
        """The rows of the screen, without the empty ones. A callable is called when its line is to be typed."""
        screen = _Screen(io.BytesIO(), encoding="utf-8", write_through=True)
        before, sys.stdin = sys.stdin, _Keyboard(screen, lines)
        try:
            with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(screen):
                code = main(["chat", *arguments], App(environ=self._environ, arguments=arguments))
        finally:
            sys.stdin.close()
            sys.stdin = before
        assert code == 0, screen.text
        return [row for row in screen.text.splitlines() if row]


class _Screen(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True

    @property
    def text(self) -> str:
        return self.buffer.getvalue().decode()  # type: ignore[attr-defined, no-any-return]


class _Keyboard(io.TextIOWrapper):
    """Echoes each line on the screen when it is read; then it is the end of input."""

    def __init__(self, screen: _Screen, lines: Sequence[str | Callable[[], str]]) -> None:
        super().__init__(Path(os.devnull).open("rb"))  # noqa: SIM115 - it answers no question about tools
        self._screen, self._lines = screen, iter(lines)

    def isatty(self) -> bool:
        return True

    @property
    def buffer(self) -> Any:
        return self

    def readline(self, _size: int = -1) -> Any:
        line = next(self._lines, None)
        if line is None:
            return b""
        text = line() if callable(line) else line
        self._screen.write(f"{text}\n")
        return f"{text}\n".encode()
