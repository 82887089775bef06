"""MCP servers as toolboxes for the time of a block: started together, and each failing alone."""

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
from provider_core.tools.mcp._process import (
    Process,
    SecretResolver,
    Watchdog,
    proxies_with_password,
    server_environment,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Mapping
    from concurrent.futures import Future
    from types import FrameType

    from provider_core.events import ReportProgress, ToolResult, ToolSpec
    from provider_core.keys import KeyStore
    from provider_core.settings.mcp import McpServer
    from provider_core.tools.mcp._process import ServerCredentials
    from provider_core.tools.mcp._session import McpSession, McpTransport, StepName
    from provider_core.types import Json

_T = TypeVar("_T")

_END = 4.0
"""Seconds in which every server has ended: its grace, three times, and a little more."""

_MAX_LOG = 4000

# asyncio warns of processes that outlive its loop, and Python writes warnings without a handler to stderr.
logging.getLogger("asyncio").addHandler(logging.NullHandler())


class StartupStep(Struct):
    """A completed step of a server's start: its process runs, the protocol is agreed on, or the tools are listed."""

    name: StepName
    seconds: float


class FailedServer(Struct):
    """A server that cannot be used, and why. ``stderr`` is the last output of its process, sanitized."""

    server: McpServer
    error: ToolServerError
    steps: tuple[StartupStep, ...] = ()
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
    proxies, and those of its settings, but none of ``excluded_env``. ``without_proxies`` has the proxy variables that a
    server does not get because their addresses contain a password, by server. ``store`` is the keyring. ``on_step`` is
    called for each step of a start, in another thread. Entering raises ``ToolServerError`` if mcp is not installed.
    """

    def __init__(
        self,
        servers: Iterable[McpServer],
        *,
        environ: Mapping[str, str] | None = None,
        store: KeyStore | None = None,
        excluded_env: Collection[str] = (),
        on_step: Callable[[McpServer, StartupStep], None] = lambda _server, _step: None,
    ) -> None:
        self._servers = tuple(servers)
        self._environ = os.environ if environ is None else environ
        self._store = store
        self._excluded_env = frozenset(excluded_env)
        self._on_step = on_step
        self._loop = EventLoopThread()
        self._watchdog = Watchdog()
        self._hosts: list[_Host] = []
        self.toolboxes: tuple[McpToolbox, ...] = ()
        self.failures: tuple[FailedServer, ...] = ()
        self.without_proxies: dict[str, tuple[str, ...]] = {}

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
        if any(server.command for server in self._servers):
            self._watchdog.start()
        self._loop.start()
        imported = asyncio.Event()
        resolver = SecretResolver(self._environ, self._store)
        for server in self._servers:
            try:
                credentials = resolver.resolve(server)
            except ToolServerError as error:
                failed[server.name] = FailedServer(server=server, error=error)
                continue
            env = None
            if server.command:
                env = server_environment(self._environ, credentials.values, excluded_env=self._excluded_env)
                if proxies := proxies_with_password(self._environ, credentials.values):
                    self.without_proxies[server.name] = proxies
            host = _Host(server, credentials, self._environ, env, self._watchdog, self._on_step)
            self._hosts.append(host)
            self._loop.submit(host.live(imported))
        if self._hosts:
            # The processes start meanwhile. In this thread, because Ctrl-C ends it here.
            with _interrupt_waits():
                from provider_core.tools.mcp import _session  # noqa: F401

            self._loop.submit(_set(imported))
        toolboxes: list[McpToolbox] = []
        for host in self._hosts:
            try:
                session = host.ready.result()  # the session has the server's timeout
            except ToolServerError as error:
                failed[host.server.name] = host.failed(error)
            else:
                toolboxes.append(McpToolbox(session, self._loop, tuple(host.steps)))
        self.toolboxes = tuple(toolboxes)
        self.failures = tuple(failed[server.name] for server in self._servers if server.name in failed)

    def _close(self, *, at_once: bool) -> None:
        try:
            for host in self._hosts:
                with contextlib.suppress(RuntimeError):
                    self._loop.submit(host.end(at_once=at_once))
            concurrent.futures.wait([host.gone for host in self._hosts], _END)
        finally:
            for host in self._hosts:
                host.kill()
            self._loop.stop(1.0)
            self._watchdog.close()


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


async def _set(event: asyncio.Event) -> None:
    event.set()


class EventLoopThread:
    """An asyncio loop in a thread of its own, the only one in telex."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None
        self._running = threading.Event()
        # A daemon: a loop that hangs must not keep the command from ending.
        self._thread = threading.Thread(target=self._run, name="telex-mcp", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._running.wait()

    def submit(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Run ``work`` on the loop; raises ``RuntimeError`` if it is not running."""
        if self._loop is None:
            work.close()
            raise RuntimeError("the loop is not running")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def stop(self, seconds: float) -> None:
        """Cancel what still runs and end the thread, waiting at most ``seconds``."""
        loop, stopped = self._loop, self._stopped
        if loop is not None and stopped is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(stopped.set)
            self._thread.join(seconds)
        self._loop = None

    def _run(self) -> None:
        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            # Errors are raised from futures; asyncio's own handler would write them to stderr.
            self._loop.set_exception_handler(lambda _loop, _context: None)
            self._stopped = asyncio.Event()
            self._running.set()
            await self._stopped.wait()

        with asyncio.Runner() as runner:
            runner.run(main())


class _Host:
    """One server from its start to its end. ``ready`` is done when it can be used, or has the error."""

    def __init__(
        self,
        server: McpServer,
        credentials: ServerCredentials,
        environ: Mapping[str, str],
        env: Mapping[str, str] | None,
        watchdog: Watchdog,
        on_step: Callable[[McpServer, StartupStep], None],
    ) -> None:
        self.server = server
        self.steps: list[StartupStep] = []
        self.ready: Future[McpSession] = concurrent.futures.Future()
        self.gone: Future[None] = concurrent.futures.Future()
        self._credentials = credentials
        self._environ = environ
        self._env = env
        self._watchdog = watchdog
        self._on_step = on_step
        self._at_once = False
        self._process: Process | None = None
        self._session: McpSession | None = None
        self._task: asyncio.Task[None] | None = None

    async def live(self, imported: asyncio.Event) -> None:
        """Start the server, run its session until ``end``, and end it. ``imported``: the SDK has been imported."""
        self._task = asyncio.current_task()
        name = self.server.name
        try:
            await self._live(imported)
        except asyncio.CancelledError:
            self._fail(ToolServerError(f"the MCP server {name} was cancelled", server=name))
        except ToolServerError as error:
            self._fail(error)
        except CoreError as error:  # an unusable proxy or certificate
            self._fail(ToolServerError(error.message, server=name))
        finally:
            try:
                if self._process is not None:
                    await self._process.end(at_once=self._at_once)
                    self._watchdog.forget(self._process.pid)
            finally:
                self.gone.set_result(None)

    async def _live(self, imported: asyncio.Event) -> None:
        began = time.monotonic()
        if self._env is not None:
            try:
                self._process = await Process.start(
                    self.server.command, self._env, self.server.cwd, max_line=limits.TOOL_MESSAGE
                )
            except (OSError, ValueError) as error:
                raise ToolServerError(_start_problem(self.server, error), server=self.server.name) from None
            self._watchdog.watch(self._process.pid)
            self._done("start", time.monotonic() - began)
        await imported.wait()
        from provider_core.tools.mcp._session import McpSession

        self._session = McpSession(
            self.server,
            self._transport(),
            self._credentials.secrets,
            until=began + self.server.start_timeout,
            ready=self.ready,
            on_step=self._done,
        )
        await self._session.live()

    def _transport(self) -> McpTransport:
        if self._process is None:
            from provider_core.tools.mcp._http import StreamableHttpTransport

            return StreamableHttpTransport(self.server, self._credentials, self._environ)
        from provider_core.tools.mcp._session import StdioTransport

        return StdioTransport(self.server.name, self._process, self._credentials.secrets)

    async def end(self, *, at_once: bool) -> None:
        """End ``live``; with ``at_once`` the process is not given time to exit by itself."""
        self._at_once = at_once
        if self._session is not None and self.ready.done():
            self._session.end()
        elif self._task is not None:
            self._task.cancel()

    def kill(self) -> None:
        """End the process at once, with everything that it started; may be called in any thread."""
        if self._process is not None and not self.gone.done():
            self._process.kill()

    def failed(self, error: ToolServerError) -> FailedServer:
        log = self._process.stderr if self._process is not None else ""
        if len(log) > _MAX_LOG:
            log = log[-_MAX_LOG:].partition("\n")[2]
        stderr = clean(log, self._credentials.secrets, _MAX_LOG)
        return FailedServer(server=self.server, error=error, steps=tuple(self.steps), stderr=stderr)

    def _done(self, name: StepName, seconds: float) -> None:
        step = StartupStep(name=name, seconds=seconds)
        self.steps.append(step)
        self._on_step(self.server, step)

    def _fail(self, error: ToolServerError) -> None:
        if not self.ready.done():
            self.ready.set_exception(error)


def _start_problem(server: McpServer, error: Exception) -> str:
    """Why the command did not start: the system does not say whether the command or the folder is missing."""
    name, command = server.name, server.command[0]
    if server.cwd is not None and not server.cwd.is_dir():
        return f"the MCP server {name} cannot be started in {server.cwd}, which is not a folder"
    if isinstance(error, OSError) and error.errno == errno.ENOENT and os.sep not in command:
        return f"the MCP server {name} cannot be started: command not found: {command}"
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"the MCP server {name} cannot be started: {command}: {words}"


# --- tools -------------------------------------------------------------------------------------------------

_MAX_NAME = 100

_POLL = 0.1
"""Seconds between two checks whether a call was cancelled."""


class McpToolbox:
    """The tools of one server, as a ``Toolbox``."""

    reports_progress = True

    def __init__(self, session: McpSession, loop: EventLoopThread, steps: tuple[StartupStep, ...]) -> None:
        self._session = session
        self._loop = loop
        self.server: McpServer = session.server
        self.name: str = session.server.name
        about = session.about
        self.about: str = printable(f"{about.name} {about.version}".strip(), _MAX_NAME) if about else ""
        """The name and version that the server gives itself; may be ""."""
        self.protocol: str = session.protocol
        """The revision of the protocol in use."""
        self.limits: ToolLimits = ToolLimits(seconds=self.server.call_total, size=self.server.max_result)
        """``seconds`` is for a call that reports progress; any other ends after the server's ``call_timeout``."""
        self.steps = steps
        """The steps of its start."""

    @property
    def failure(self) -> ToolServerError | None:
        """Why the server can no longer be used; None while it can."""
        return self._session.failure

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        """The tools that it has now; none once it has ended."""
        if self._session.tools_changed:
            with contextlib.suppress(Exception):  # the earlier list is better than none
                self._loop.submit(self._session.list()).result(self.server.start_timeout)
        return self._session.tools

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
            future = self._loop.submit(self._session.call(name, arguments, report))
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
