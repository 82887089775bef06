"""Terminals as pyte models them, and commands in real pseudo-terminals: type, wait for what shows, read the rows."""

from __future__ import annotations

import contextlib
import io
import os
import re
import select
import signal
import struct
import subprocess
import time
from typing import TYPE_CHECKING, Self

import pytest

try:
    import fcntl
    import pty
    import termios
except ImportError:
    pytest.skip("Windows has no pseudo-terminals", allow_module_level=True)

import pyte
from pyte.modes import DECAWM
from wcwidth import wcwidth

from telex.console import Console

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

WRAPPED = -1  # the key under which a row keeps that its text goes on in the next one


class TerminalStream(io.StringIO):
    """A stream that says it is a terminal, and keeps what is written."""

    def isatty(self) -> bool:
        return True


@contextlib.contextmanager
def on_terminal(columns: int = 80, lines: int = 24, **env: str) -> Iterator[tuple[TerminalStream, Console]]:
    """A console of this process whose stdout and stderr are a terminal."""
    screen = TerminalStream()
    with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(screen):
        console = Console(environ={"TERM": "xterm-256color", "COLORFGBG": "15;0", **env})
        console.width = lambda: columns  # type: ignore[method-assign]
        console.height = lambda: lines  # type: ignore[method-assign]
        yield screen, console


class Terminal(pyte.HistoryScreen):
    """pyte's screen, which drops the rest of a text at the first character without a width, with those added.

    ``joins``: like newer terminals it draws joined emoji in two cells, and letters that were made emoji too.
    """

    def __init__(self, columns: int, lines: int = 24, *, joins: bool = True) -> None:
        super().__init__(columns, lines, history=1_000_000)
        self.joins = joins
        self.stream = pyte.Stream(self)

    def feed(self, text: str) -> None:
        """What a program writes: the line discipline adds the carriage returns."""
        self.stream.feed(text.replace("\n", "\r\n"))

    def draw(self, data: str) -> None:
        if data.isascii():
            super().draw(data)
            return
        for char in data:
            line = self.buffer[self.cursor.y]
            at = self.cursor.x - 1
            if at > 0 and line[at].data == "":
                at -= 1
            before = line[at].data if at >= 0 else ""
            if wcwidth(char) == 0 or (self.joins and before.endswith("\u200d")):
                if before:
                    line[at] = line[at]._replace(data=before + char)
                if self.joins and char == "\ufe0f" and at == self.cursor.x - 1:
                    line[self.cursor.x] = line[at]._replace(data="")
                    self.cursor.x += 1
            else:
                super().draw(char)

    def rows(self) -> list[dict]:
        """All rows, the oldest first."""
        return [*self.history.top, *(self.buffer[y] for y in range(self.lines))]

    def text(self) -> list[str]:
        """All rows as text, without the empty ones at the end."""
        rows = ["".join(row[x].data for x in range(self.columns)).rstrip() for row in self.rows()]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def cells(self) -> list[list[tuple]]:
        """Every cell that is not blank, with its colour and everything else."""
        return [
            [(x, row[x]) for x in range(self.columns) if row[x].data not in {" ", ""}] for row in self.rows()
        ]


class Reflowing(Terminal):
    """A screen that breaks its rows anew when its width changes, as most terminals do; pyte itself cuts them."""

    def draw(self, data: str) -> None:
        for char in data:
            if self.cursor.x == self.columns and DECAWM in self.mode:
                row = self.buffer[self.cursor.y]
                row[WRAPPED] = row[0]._replace(data="wrapped")
            super().draw(char)

    def reflow(self, columns: int) -> None:
        rows = self.rows()[: len(self.history.top) + self.cursor.y + 1]
        lines: list[list] = [[]]
        for number, row in enumerate(rows):
            wrapped = WRAPPED in row and row[WRAPPED].data == "wrapped"
            used = (
                self.columns
                if wrapped
                else max((x + 1 for x in row if x >= 0 and row[x].data != " "), default=0)
            )
            if number == len(rows) - 1:
                at = len(lines[-1]) + self.cursor.x
            lines[-1] += [row[x] for x in range(used)]
            if not wrapped and number < len(rows) - 1:
                lines.append([])
        broken: list[tuple[list, bool]] = []
        for line in lines:
            parts = [line[x : x + columns] for x in range(0, len(line), columns)] or [[]]
            broken += [(part, number < len(parts) - 1) for number, part in enumerate(parts)]
        self.history.top.clear()
        self.columns = columns
        self.set_margins()
        top = max(0, len(broken) - self.lines)
        for y in range(self.lines):
            self.buffer.pop(y, None)
        for number, (part, wrapped) in enumerate(broken):
            row = self.buffer[number - top] if number >= top else type(self.buffer[0])(self.default_char)
            for x, char in enumerate(part):
                row[x] = char
            if wrapped:
                row[WRAPPED] = self.default_char._replace(data="wrapped")
            if number < top:
                self.history.top.append(row)
        self.cursor.y = min(len(broken) - 1 - top, self.lines - 1)
        self.cursor.x = min(at - len(lines[-1]) + len(broken[-1][0]), columns)


class Cutting(Reflowing):
    """pyte's own way, and xterm's: what does not fit into a narrower screen is cut off."""

    def reflow(self, columns: int) -> None:
        self.resize(columns=columns)


class Pty:
    """Ends the command when the block ends. ``raw`` is every byte that it wrote."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        columns: int = 80,
        lines: int = 24,
        cwd: Path | None = None,
    ) -> None:
        self.leader, self._follower = pty.openpty()
        self.screen = Terminal(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        fcntl.ioctl(self._follower, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.modes_before = termios.tcgetattr(self._follower)
        follower = self._follower

        def take_terminal() -> None:
            fcntl.ioctl(follower, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            list(command),
            # It says that it is dark, so that it is not asked: it would not answer.
            env={"TERM": "xterm-256color", "COLORFGBG": "15;0", **env},
            cwd=cwd,
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
            preexec_fn=take_terminal,  # noqa: PLW1509 - the child is single-threaded between fork and exec
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.leader)
        os.close(self._follower)

    @property
    def modes(self) -> list[object]:
        return termios.tcgetattr(self._follower)

    def type(self, keys: str) -> None:
        os.write(self.leader, keys.encode())

    def read(self, seconds: float) -> bool:
        """Take what comes within ``seconds``; whether anything came."""
        if not select.select([self.leader], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.leader, 65536)
        except OSError:
            return False
        self.raw += data
        self._stream.feed(data)
        return bool(data)

    def wait_for(self, pattern: str, seconds: float = 100) -> None:
        """Read until ``pattern`` is to be seen on the screen."""
        deadline = time.monotonic() + seconds
        while not re.search(pattern, self.text, re.MULTILINE):
            assert time.monotonic() < deadline, f"{pattern!r} never came:\n{self.text}"
            self.read(0.05)

    def wait(self, seconds: float = 100) -> int:
        """Read until the command has ended; its exit code."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"still running:\n{self.text}"
            self.read(0.05)
        while self.read(0.05):
            pass
        return self.process.wait()

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._follower, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(lines, columns)
        os.killpg(self.process.pid, signal.SIGWINCH)

    @property
    def rows(self) -> list[str]:
        """Scrollback and screen, without the empty rows at the end."""
        return self.screen.text()

    @property
    def text(self) -> str:
        return "\n".join(self.rows)
