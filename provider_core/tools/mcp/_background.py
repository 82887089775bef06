"""The one thread in which the protocol's asyncio loop runs; nothing else in telex is asynchronous."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from concurrent.futures import Future

__all__ = ["Background"]

_T = TypeVar("_T")

# It warns of processes that outlive its loop, as after a second Ctrl-C; Python writes what nobody handles to stderr.
logging.getLogger("asyncio").addHandler(logging.NullHandler())


class Background:
    """An asyncio loop in a thread of its own, from ``start`` until ``stop``."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over: asyncio.Event | None = None
        self._running = threading.Event()
        # A daemon: a loop that hangs must not keep the command from ending.
        self._thread = threading.Thread(target=self._run, name="telex-mcp", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._running.wait()

    def submit(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Run ``work`` on the loop; the future may be waited for, or cancelled, in any thread."""
        if self._loop is None:
            work.close()
            raise RuntimeError("the loop does not run")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def stop(self, seconds: float) -> None:
        """Cancel what still runs and end the thread, waiting so long at most."""
        loop, over = self._loop, self._over
        if loop is not None and over is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                loop.call_soon_threadsafe(over.set)
            self._thread.join(seconds)
        self._loop = None

    def _run(self) -> None:
        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            # What goes wrong is told through futures; asyncio's own handler would write to stderr.
            self._loop.set_exception_handler(lambda _loop, _context: None)
            self._over = asyncio.Event()
            self._running.set()
            await self._over.wait()

        with asyncio.Runner() as runner:
            runner.run(main())
