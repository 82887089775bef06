"""A server's process: its pipes, and its end together with everything that it has started.

The SDK's ``stdio_client`` is not used, because these guarantees need more than it offers: no message fills the memory
(it reads lines of any length); the end reaches the children of a server that has already exited; errors quote the exit
status and stderr; no variable of ``excluded_env`` is passed on; and the process starts while the SDK is still being
imported.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_GRACE = 1.0
"""Seconds for a server to exit: after its stdin is closed, and again after SIGTERM."""

_EXIT_CHECK = 0.5
"""Seconds without output after which to check whether the process has exited: a child of it may hold the pipe open."""

_STDERR = 8192
"""Bytes at the end of stderr that are stored."""

_POLL = 0.01
_NEW_GROUP_NO_WINDOW = 0x08000200  # of CreateProcess


class Process:
    """A process in a group of its own. Only ``kill`` may be called outside the loop's thread."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid: int = process.pid
        self.closed: bool = False
        """Whether stdout has ended."""
        self._stderr = b""
        self._reader = asyncio.create_task(self._read_stderr())

    @classmethod
    async def start(
        cls, command: Sequence[str], env: Mapping[str, str], cwd: Path | None, *, max_line: int
    ) -> Process:
        """Start the command; raises ``OSError`` or ``ValueError`` if that fails. ``max_line`` is in bytes."""
        options: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            options = {"creationflags": _NEW_GROUP_NO_WINDOW}
        pipe = subprocess.PIPE
        started = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=pipe, env=dict(env), cwd=cwd, limit=max_line, **options
        )
        return cls(started)

    async def read_line(self) -> bytes | int | None:
        """The next line of stdout, the size of one that was too long, or None at the end."""
        stdout, skipped = self._process.stdout, 0
        while stdout is not None and not self.closed:
            try:
                async with asyncio.timeout(_EXIT_CHECK):
                    line = await stdout.readuntil()
            except TimeoutError:
                if self._process.returncode is not None:
                    break
            except asyncio.IncompleteReadError:
                break
            except asyncio.LimitOverrunError as error:
                skipped += len(await stdout.readexactly(error.consumed))
            else:
                return skipped + len(line) if skipped else line
        self.closed = True
        return None

    def write(self, data: bytes) -> None:
        """Queue ``data`` for stdin. A server that does not read costs memory, but blocks nothing."""
        if (stdin := self._process.stdin) is not None and not stdin.is_closing():
            stdin.write(data)

    async def _read_stderr(self) -> None:
        stderr = self._process.stderr
        while stderr is not None and (data := await stderr.read(1 << 16)):
            self._stderr = (self._stderr + data)[-_STDERR:]

    @property
    def stderr(self) -> str:
        """The last lines that it wrote to stderr."""
        text = self._stderr.decode("utf-8", "replace")
        return text.partition("\n")[2] if len(self._stderr) >= _STDERR and "\n" in text else text

    @property
    def exit_status(self) -> str:
        """How it ended, such as "exit 1" or "SIGKILL"; "" while it runs."""
        code = self._process.returncode
        if code is None:
            return ""
        if code >= 0:
            return f"exit {code}"
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"

    async def wait(self, seconds: float) -> None:
        """Wait until the process itself has exited, at most ``seconds``."""
        # Process.wait would also wait until all pipes are closed.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._process.returncode is None:
                    await asyncio.sleep(_POLL)

    async def end(self, *, at_once: bool) -> None:
        """Close its stdin, which asks it to exit; later send its group SIGTERM (now if ``at_once``), then SIGKILL."""
        if (stdin := self._process.stdin) is not None:
            stdin.close()
        if at_once or not await self._all_exited(_GRACE):
            self._signal(signal.SIGTERM)
            if not await self._all_exited(_GRACE):
                self.kill()
                await self.wait(_GRACE)
        if stdin is not None and stdin.transport.get_write_buffer_size():
            stdin.transport.abort()  # what will not be read keeps the pipe open
        self._reader.cancel()
        # Has no public way: a process left behind may hold the pipes open.
        self._process._transport.close()  # type: ignore[attr-defined]
        self.closed = True
        await asyncio.sleep(0)  # pipes are closed by callbacks

    def kill(self) -> None:
        """End the whole group at once; may be called in any thread."""
        self._signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.name == "posix":
                os.killpg(self.pid, number)
            else:
                self._process.terminate()

    async def _all_exited(self, seconds: float) -> bool:
        """Whether the process and everything in its group exit within ``seconds``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._process.returncode is None or self._group_is_alive():
                    await asyncio.sleep(_POLL)
                return True
        return False

    def _group_is_alive(self) -> bool:
        try:
            if os.name == "posix":
                os.killpg(self.pid, 0)
                return True
        except (ProcessLookupError, PermissionError):  # PermissionError: a group of zombies on macOS
            pass
        return False
