"""MCP servers as toolboxes for the time of a block: started together, and each failing alone.

This package is the only one that imports the protocol's SDK or anything asynchronous. Importing it does not import the
SDK: starting a server does.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import errno
import logging
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Self, TypeVar

from provider_core import limits
from provider_core.errors import CoreError, ToolServerError
from provider_core.events import ToolLimits
from provider_core.redaction import clean, printable
from provider_core.structs import Struct, field
from provider_core.tools.mcp._process import Process, SecretResolver, StepName, server_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Mapping
    from concurrent.futures import Future
    from types import FrameType

    from provider_core.events import ReportProgress, ToolResult, ToolSpec
    from provider_core.keys import KeyStore
    from provider_core.settings.mcp import McpServer
    from provider_core.tools.mcp._process import ServerCredentials
    from provider_core.tools.mcp._session import McpSession, McpTransport
    from provider_core.types import Json

__all__ = ["FailedServer", "McpServers", "McpToolbox", "StepName", "installed"]

_T = TypeVar("_T")

_END = 4.0
"""Seconds in which every server has ended: its grace, three times, and a little more."""

_MAX_LOG = 4000

# asyncio warns of processes that outlive its loop, and Python writes warnings without a handler to stderr.
logging.getLogger("asyncio").addHandler(logging.NullHandler())


class FailedServer(Struct):
    """A server that cannot be used, and why. ``stderr`` is the last output of its process, sanitized."""

    server: McpServer
    error: ToolServerError
    steps: Mapping[StepName, float] = field(default_factory=dict)
    """The seconds of each step of its start that was completed."""
    stderr: str = field(default="", repr=False)


def installed() -> bool:
    """Whether the package mcp is installed, without importing it."""
    import importlib.util

    return importlib.util.find_spec("mcp") is not None


class McpServers:
    """A context manager: inside it, ``toolboxes`` are the servers that work and ``failures`` those that do not.

    Each server has one session for the whole block. Leaving the block ends all servers and everything in the groups of
    their processes, within a few seconds; so does the end of this process.

    ``environ`` is the environment: a server gets the variables that every program needs, those of certificates and
    proxies, and those of its settings, but none of ``excluded_env``. ``store`` is the keyring. ``on_step`` is called
    with the seconds of each step of a start, in another thread. Entering raises ``ToolServerError`` if mcp is not
    installed.
    """

    def __init__(
        self,
        servers: Iterable[McpServer],
        *,
        environ: Mapping[str, str] | None = None,
        store: KeyStore | None = None,
        excluded_env: Collection[str] = (),
        on_step: Callable[[McpServer, StepName, float], None] = lambda *_: None,
    ) -> None:
        self._servers = tuple(servers)
        self._environ = os.environ if environ is None else environ
        self._store = store
        self._excluded_env = frozenset(excluded_env)
        self._on_step = on_step
        self._loop = EventLoopThread()
        self._started: list[McpToolbox] = []
        self.toolboxes: tuple[McpToolbox, ...] = ()
        self.failures: tuple[FailedServer, ...] = ()

    def __enter__(self) -> Self:
        if not installed():
            text = "support for MCP servers is not installed (package mcp)"
            raise ToolServerError(text, code="not_installed")
        try:
            self._start()
        except BaseException as error:
            self._close(at_once=not isinstance(error, Exception))
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # After Ctrl-C, do not wait.
        self._close(at_once=kind is not None and not issubclass(kind, Exception))

    def _start(self) -> None:
        failed: dict[str, FailedServer] = {}
        self._loop.start()
        imported = asyncio.Event()
        resolver = SecretResolver(self._environ, self._store)
        for server in self._servers:
            try:
                credentials = resolver.resolve(server)
            except ToolServerError as error:
                failed[server.name] = FailedServer(server=server, error=error)
                continue
            env = self._environ
            if server.command:
                env = server_environment(env, credentials.values, excluded_env=self._excluded_env)
            box = McpToolbox(server, credentials, env, self._loop, self._on_step)
            self._started.append(box)
            self._loop.submit(box.live(imported))
        if self._started:
            # The processes start meanwhile. In this thread, because Ctrl-C ends it here.
            with _interrupt_waits():
                from provider_core.tools.mcp import _session  # noqa: F401

            self._loop.call(imported.set)
        toolboxes: list[McpToolbox] = []
        for box in self._started:
            try:
                box.ready.result()  # the session has the server's timeout
                toolboxes.append(box)
            except ToolServerError as error:
                failed[box.name] = box.failed(error)
        self.toolboxes = tuple(toolboxes)
        self.failures = tuple(failed[server.name] for server in self._servers if server.name in failed)

    def _close(self, *, at_once: bool) -> None:
        try:
            for box in self._started:
                self._loop.call(box.end, at_once)
            concurrent.futures.wait([box.gone for box in self._started], _END)
        finally:
            for box in self._started:
                box.kill()
            self._loop.stop(1.0)


@contextlib.contextmanager
def _interrupt_waits() -> Iterator[None]:
    """Delay Ctrl-C to the end of the block: pydantic's compiled part, which the SDK's import runs, swallows it."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            before(*came[0])


class EventLoopThread:
    """An asyncio loop in a thread of its own, the only one in telex."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        # Errors are raised from futures; asyncio's own handler would write them to stderr.
        self._loop.set_exception_handler(lambda _loop, _context: None)
        self._stopped = asyncio.Event()
        # A daemon: a loop that hangs must not keep the command from ending.
        self._thread = threading.Thread(target=self._run, name="telex-mcp", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Run ``work`` on the loop; raises ``RuntimeError`` if it has ended."""
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:
            work.close()
            raise

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(function, *arguments)

    def stop(self, seconds: float) -> None:
        """Cancel what still runs and end the thread, waiting at most ``seconds``."""
        self.call(self._stopped.set)
        if self._thread.is_alive():
            self._thread.join(seconds)
        else:
            self._loop.close()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._until_stopped())

    async def _until_stopped(self) -> None:
        await self._stopped.wait()


# --- one server --------------------------------------------------------------------------------------------

_MAX_NAME = 100

_POLL = 0.1
"""Seconds between two checks whether a call was cancelled."""


class McpToolbox:
    """One server from its start to its end, and its tools as a ``Toolbox``.

    ``ready`` and ``gone`` are done when it can be used, or has the error, and when it has ended. ``live`` and ``end``
    run on the loop, all else in other threads.
    """

    reports_progress = True

    def __init__(
        self,
        server: McpServer,
        credentials: ServerCredentials,
        env: Mapping[str, str],
        loop: EventLoopThread,
        on_step: Callable[[McpServer, StepName, float], None],
    ) -> None:
        self.server = server
        self.name: str = server.name
        self.limits: ToolLimits = ToolLimits(seconds=server.call_total, size=server.max_result)
        """``seconds`` is for a call that reports progress; any other ends after the server's ``call_timeout``."""
        self.steps: dict[StepName, float] = {}
        """The seconds of each step of its start: its process runs, the protocol is agreed on, the tools are listed."""
        self.ready: Future[McpSession] = concurrent.futures.Future()
        self.gone: Future[None] = concurrent.futures.Future()
        self._credentials = credentials
        self._env = env
        self._loop = loop
        self._on_step = on_step
        self._at_once = False
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def about(self) -> str:
        """The name and version that the server gives itself; may be ""."""
        about = self.ready.result().about
        return printable(f"{about.name} {about.version}".strip(), _MAX_NAME) if about else ""

    @property
    def protocol(self) -> str:
        """The revision of the protocol in use."""
        return self.ready.result().protocol

    @property
    def failure(self) -> ToolServerError | None:
        """Why the server can no longer be used; None while it can."""
        return self.ready.result().failure

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        """The tools that it has now; none once it has ended."""
        session = self.ready.result()
        if session.tools_changed:
            with contextlib.suppress(Exception):  # the earlier list is better than none
                self._loop.submit(session.list()).result(self.server.start_timeout)
        return session.tools

    def run(
        self,
        name: str,
        arguments: Mapping[str, Json],
        *,
        stop: threading.Event,
        report: ReportProgress | None = None,
    ) -> ToolResult:
        """Call the tool and wait; raises ``ToolError``. ``stop`` cancels the call, at the server too."""
        ended = ToolServerError(f"the MCP server {self.name} has ended", server=self.name, tool=name)
        try:
            future = self._loop.submit(self.ready.result().call(name, arguments, report))
        except RuntimeError:
            raise ended from None
        try:
            while not stop.is_set():
                done, _ = concurrent.futures.wait([future], _POLL)
                if done:
                    return future.result()
        except concurrent.futures.CancelledError:
            raise ended from None
        finally:
            future.cancel()
        raise ToolServerError(f"{self.name}/{name} was cancelled", server=self.name, tool=name)

    def kill(self) -> None:
        """End the process at once, with everything that it started."""
        if self._process is not None and not self.gone.done():
            self._process.kill()

    def failed(self, error: ToolServerError) -> FailedServer:
        log = self._process.stderr if self._process is not None else ""
        if len(log) > _MAX_LOG:
            log = log[-_MAX_LOG:].partition("\n")[2]
        stderr = clean(log, self._credentials.secrets, _MAX_LOG)
        return FailedServer(server=self.server, error=error, steps=self.steps, stderr=stderr)

    def end(self, at_once: bool) -> None:
        """End ``live``; with ``at_once`` the process is not given time to exit by itself."""
        self._at_once = at_once
        if self.ready.done():
            if self.ready.exception() is None:
                self.ready.result().end()
        elif self._task is not None:
            self._task.cancel()

    async def live(self, imported: asyncio.Event) -> None:
        """Start the server, run its session until ``end``, and end it. ``imported``: the SDK has been imported."""
        self._task = asyncio.current_task()
        problem: ToolServerError | None = None
        try:
            await self._live(imported)
        except ToolServerError as error:
            problem = error
        except CoreError as error:  # an unusable proxy or certificate
            problem = ToolServerError(error.message, server=self.name)
        except asyncio.CancelledError:
            problem = ToolServerError(f"the MCP server {self.name} was cancelled", server=self.name)
        finally:
            if problem is not None and not self.ready.done():
                self.ready.set_exception(problem)
            try:
                if self._process is not None:
                    await self._process.end(at_once=self._at_once)
            finally:
                self.gone.set_result(None)

    async def _live(self, imported: asyncio.Event) -> None:
        began = time.monotonic()
        if self.server.command:
            try:
                self._process = await Process.start(
                    self.server.command, self._env, self.server.cwd, max_line=limits.TOOL_MESSAGE
                )
            except (OSError, ValueError) as error:
                raise ToolServerError(_start_problem(self.server, error), server=self.name) from None
            self._done("start", time.monotonic() - began)
        await imported.wait()
        from provider_core.tools.mcp._session import McpSession, StdioTransport

        transport: McpTransport
        if self._process is None:
            from provider_core.tools.mcp._http import StreamableHttpTransport

            transport = StreamableHttpTransport(self.server, self._credentials, self._env)
        else:
            transport = StdioTransport(self.name, self._process, self._credentials.secrets)
        until = began + self.server.start_timeout
        session = McpSession(
            self.server,
            transport,
            self._credentials.secrets,
            until=until,
            ready=self.ready,
            on_step=self._done,
        )
        await session.live()

    def _done(self, name: StepName, seconds: float) -> None:
        self.steps[name] = seconds
        self._on_step(self.server, name, seconds)


def _start_problem(server: McpServer, error: Exception) -> str:
    """Why the command did not start: the system does not say whether the command or the folder is missing."""
    name, command = server.name, server.command[0]
    if server.cwd is not None and not server.cwd.is_dir():
        return f"the MCP server {name} cannot be started in {server.cwd}, which is not a folder"
    if isinstance(error, OSError) and error.errno == errno.ENOENT and os.sep not in command:
        return f"the MCP server {name} cannot be started: command not found: {command}"
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"the MCP server {name} cannot be started: {command}: {words}"
