"""A command in a real pseudo-terminal, its screen modelled by pyte: type, wait for what shows, read the rows."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from typing import TYPE_CHECKING, Self

import pyte

if TYPE_CHECKING:
    from collections.abc import Sequence


class Pty:
    """Ends the command when the block ends. ``raw`` is every byte that it wrote."""

    def __init__(
        self, command: Sequence[str], *, env: dict[str, str], columns: int = 80, lines: int = 24
    ) -> None:
        self.leader, self._follower = pty.openpty()
        self.screen = pyte.HistoryScreen(columns, lines, history=100_000)
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

    def wait_for(self, pattern: str, seconds: float = 20) -> None:
        """Read until ``pattern`` is to be seen on the screen."""
        deadline = time.monotonic() + seconds
        while not re.search(pattern, self.text, re.MULTILINE):
            assert time.monotonic() < deadline, f"{pattern!r} never came:\n{self.text}"
            self.read(0.05)

    def wait(self, seconds: float = 20) -> int:
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
        """Scrollback and screen, without what trails."""
        scrolled = [
            "".join(row[x].data for x in range(self.screen.columns)) for row in self.screen.history.top
        ]
        rows = [row.rstrip() for row in (*scrolled, *self.screen.display)]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    @property
    def text(self) -> str:
        return "\n".join(self.rows)
