"""A server's process: started, fed, listened to, and ended with all that it started; no protocol is known here."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = ["Process"]

_GRACE = 1.0
"""Seconds for ending by itself: after its stdin was closed, and again after SIGTERM."""

_LAST_WORDS = 0.2
"""Seconds in which a process that has ended may still be heard: what it wrote is in the pipe."""

_READ_AHEAD = 1 << 20
"""Bytes of stdout that are held before the server has to wait."""

_KEPT = 8192
"""Bytes of stderr that are kept, the last ones."""

_POLL = 0.01
_NEW_GROUP_NO_WINDOW = 0x08000200  # of CreateProcess


class Process(asyncio.SubprocessProtocol):
    """A process in a group of its own. All methods but ``kill`` belong to the loop's thread."""

    def __init__(self, on_start: Callable[[int], None]) -> None:
        self.pid: int = 0
        self._on_start = on_start
        self._transport: asyncio.SubprocessTransport | None = None
        self._deaf = False
        self._unread = bytearray()
        self._received = 0
        self._news = asyncio.Event()
        self._closed = False
        self._paused = False
        self._stderr = b""

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        env: Mapping[str, str],
        cwd: Path | None,
        on_start: Callable[[int], None] = lambda _: None,
    ) -> Process:
        """Start the command; raises ``OSError`` or ``ValueError`` where that cannot be done.

        ``on_start`` is told the number of its group as soon as there is one.
        """
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            options = {"creationflags": _NEW_GROUP_NO_WINDOW}
        _, process = await loop.subprocess_exec(
            lambda: cls(on_start), *command, env=dict(env), cwd=cwd, **options
        )
        return process

    async def read(self) -> bytes:
        """What came on stdout since the last time, at least a byte; empty at its end."""
        while not self._unread and not self._closed:
            self._news.clear()
            await self._news.wait()
        data = bytes(self._unread)
        self._unread.clear()
        if self._paused:
            self._paused = False
            if (stdout := self._stdout) is not None:
                stdout.resume_reading()
        return data

    def write(self, data: bytes) -> None:
        """Put ``data`` on its way to stdin. A server that does not read costs memory and blocks nobody."""
        if (stdin := self._stdin) is not None and not stdin.is_closing():
            stdin.write(data)

    @property
    def ended(self) -> bool:
        """Whether nothing more can come from it."""
        return self._closed

    @property
    def stderr(self) -> str:
        """The last of what it wrote to stderr, from the beginning of a line."""
        text = self._stderr.decode("utf-8", "replace")
        return text.partition("\n")[2] if len(self._stderr) >= _KEPT and "\n" in text else text

    @property
    def ending(self) -> str:
        """How it ended, as "exit 1" or "SIGKILL"; "" while it runs."""
        code = self._transport.get_returncode() if self._transport is not None else None
        if code is None:
            return ""
        if code >= 0:
            return f"exit {code}"
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"

    async def wait(self, seconds: float) -> None:
        """Wait until the process itself has ended, for so long at most."""
        end = asyncio.get_running_loop().time() + seconds
        while not self.ending and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(_POLL)

    async def end(self, *, limit_total: bool = False) -> None:
        """Close its stdin, which tells it to end; then SIGTERM and SIGKILL for the whole group, with time between.

        In a ``limit_total`` SIGTERM comes at once.
        """
        if self._transport is None:
            return
        if (stdin := self._stdin) is not None:
            stdin.close()
        if limit_total or not await self._gone(_GRACE):
            self._signal(signal.SIGTERM)
            if not await self._gone(_GRACE):
                self.kill()
                await self.wait(_GRACE)
        if (stdin := self._stdin) is not None:
            stdin.abort()  # what nobody reads any more need not be written
        self._transport.close()
        self._closed = True
        self._news.set()
        await asyncio.sleep(0)  # the pipes are closed by callbacks

    def kill(self) -> None:
        """End the whole group at once; may be called in any thread."""
        self._signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.name == "posix":
                os.killpg(self.pid, number)
            elif self._transport is not None:
                self._transport.terminate()

    async def _gone(self, seconds: float) -> bool:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not self._all_gone():
            if loop.time() >= end:
                return False
            await asyncio.sleep(_POLL)
        return True

    def _all_gone(self) -> bool:
        """Whether the process has ended, and whatever it has started in its group."""
        if self._transport is not None and self._transport.get_returncode() is None:
            return False
        if os.name != "posix":
            return True
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # macOS says so of a group of zombies
            return True
        return False

    @property
    def _stdin(self) -> asyncio.WriteTransport | None:
        if self._transport is None or self._deaf:
            return None
        return cast("asyncio.WriteTransport | None", self._transport.get_pipe_transport(0))

    @property
    def _stdout(self) -> asyncio.ReadTransport | None:
        pipe = self._transport.get_pipe_transport(1) if self._transport is not None else None
        return cast("asyncio.ReadTransport | None", pipe)

    # --- what asyncio calls -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self.pid = self._transport.get_pid()
        self._on_start(self.pid)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self._stderr = (self._stderr + data)[-_KEPT:]
            return
        self._unread += data
        self._received += len(data)
        self._news.set()
        if len(self._unread) >= _READ_AHEAD and not self._paused and (stdout := self._stdout) is not None:
            stdout.pause_reading()
            self._paused = True

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 0:
            self._deaf = True
        elif fd == 1:
            self._close()

    def process_exited(self) -> None:
        # A process that it has left behind may hold the pipe open for ever.
        asyncio.get_running_loop().call_later(_LAST_WORDS, self._close_when_silent, self._received)

    def _close_when_silent(self, received: int) -> None:
        if received == self._received and not self._paused:
            self._close()
        elif not self._closed:
            asyncio.get_running_loop().call_later(_LAST_WORDS, self._close_when_silent, self._received)

    def _close(self) -> None:
        self._closed = True
        self._news.set()
