"""One server from its start to its end, on the loop; when that is, and for whom, is decided elsewhere."""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import os
import time
from typing import TYPE_CHECKING

from provider_core.errors import CoreError, ToolServerError
from provider_core.redaction import clean
from provider_core.tools.mcp._environment import environment, with_password
from provider_core.tools.mcp._process import Process
from provider_core.tools.mcp._steps import Failure, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from concurrent.futures import Future

    from provider_core.settings.mcp import McpServer
    from provider_core.tools.mcp._secrets import Given
    from provider_core.tools.mcp._session import Session
    from provider_core.tools.mcp._watchdog import Watchdog
    from provider_core.tools.mcp._way import Way

__all__ = ["Host"]

_LONGEST_LOG = 4000


class Host:
    """``live`` is the whole of it. ``ready`` is done when the server can be used, or with the error why it cannot."""

    def __init__(
        self,
        server: McpServer,
        given: Given,
        *,
        environ: Mapping[str, str],
        withheld: Collection[str],
        watchdog: Watchdog,
        on_step: Callable[[McpServer, Step], None],
    ) -> None:
        self.server = server
        self.steps: list[Step] = []
        self.ready: Future[Session] = concurrent.futures.Future()
        self.gone: Future[None] = concurrent.futures.Future()
        self._given = given
        self._environ = environ
        self._withheld = withheld
        self._watchdog = watchdog
        self._on_step = on_step
        self._hurry = False
        self._process: Process | None = None
        self._session: Session | None = None
        self._task: asyncio.Task[None] | None = None

    async def live(self, imported: asyncio.Event) -> None:
        """Start the server, keep its session until ``let_go``, end it. ``imported``: the protocol's SDK is there."""
        self._task = asyncio.current_task()
        try:
            await self._live(imported)
        except asyncio.CancelledError:
            self._fail(
                ToolServerError(f"the MCP server {self.server.name} was given up", server=self.server.name)
            )
        except ToolServerError as error:
            self._fail(error)
        except CoreError as error:  # a proxy or a certificate that cannot be used
            self._fail(ToolServerError(error.message, server=self.server.name))
        finally:
            try:
                if self._process is not None:
                    await self._process.end(limit_total=self._hurry)
                    self._watchdog.forget(self._process.pid)
            finally:
                self.gone.set_result(None)

    async def let_go(self, *, limit_total: bool) -> None:
        """Bring ``live`` to its end; in a ``limit_total`` the process is not waited for before it is told to end."""
        self._hurry = limit_total
        if self._session is not None and self.ready.done():
            self._session.end()
        elif self._task is not None:
            self._task.cancel()

    def kill(self) -> None:
        """End the process at once, with all that it started; may be called in any thread."""
        if self._process is not None and not self.gone.done():
            self._process.kill()

    def failure(self, error: ToolServerError) -> Failure:
        """All that is known of a server that failed with ``error``."""
        log = self._process.stderr if self._process is not None else ""
        if len(log) > _LONGEST_LOG:
            log = log[-_LONGEST_LOG:].partition("\n")[2]
        return Failure(
            server=self.server,
            error=error,
            steps=tuple(self.steps),
            stderr=clean(log, self._given.secrets, _LONGEST_LOG),
        )

    @property
    def without_proxies(self) -> tuple[str, ...]:
        """The proxy variables that its process is not given; see ``with_password``."""
        return with_password(self._environ, self._given.values) if self.server.command else ()

    async def _live(self, imported: asyncio.Event) -> None:
        began = time.monotonic()
        if self.server.command:
            self._process = await self._started()
            self._done(Step(name="start", seconds=time.monotonic() - began))
        await imported.wait()
        from provider_core.tools.mcp._session import Session

        self._session = Session(
            self.server,
            self._way(),
            self._given.secrets,
            until=began + self.server.start_timeout,
            ready=self.ready,
            on_step=self._done,
        )
        await self._session.live()

    def _way(self) -> Way:
        if self._process is None:
            from provider_core.tools.mcp._http import Web

            return Web(self.server, self._given, self._environ)
        from provider_core.tools.mcp._stdio import Pipes

        return Pipes(self.server.name, self._process, self._given.secrets)

    async def _started(self) -> Process:
        env = environment(self._environ, self._given.values, withheld=self._withheld)
        try:
            return await Process.start(self.server.command, env, self.server.cwd, self._watchdog.watch)
        except (OSError, ValueError) as error:
            raise ToolServerError(_why(self.server, error), server=self.server.name) from None

    def _done(self, step: Step) -> None:
        self.steps.append(step)
        self._on_step(self.server, step)

    def _fail(self, error: ToolServerError) -> None:
        if not self.ready.done():
            self.ready.set_exception(error)


def _why(server: McpServer, error: Exception) -> str:
    """Why the command could not be started: the system does not say whether it blames the command or the folder."""
    name, command = server.name, server.command[0]
    if server.cwd is not None and not server.cwd.is_dir():
        return f"the MCP server {name} cannot be started in {server.cwd}, which is not a folder"
    if isinstance(error, OSError) and error.errno == errno.ENOENT and os.sep not in command:
        return f"the MCP server {name} cannot be started: command not found: {command}"
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"the MCP server {name} cannot be started: {command}: {words}"
