"""MCP servers as toolboxes, for as long as a block runs: all are started at once, and each is left to its own fate."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING, Self

from provider_core.errors import ToolServerError
from provider_core.tools.mcp._background import Background
from provider_core.tools.mcp._host import Host
from provider_core.tools.mcp._secrets import Secrets
from provider_core.tools.mcp._steps import Failure
from provider_core.tools.mcp._toolbox import McpToolbox
from provider_core.tools.mcp._watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from types import FrameType

    from provider_core.keys import KeyStore
    from provider_core.settings.mcp import McpServer
    from provider_core.tools.mcp._steps import Step

__all__ = ["McpServers", "installed"]

_END = 4.0
"""Seconds in which every server has surely ended: its grace, three times, and a little."""


def installed() -> bool:
    """Whether the extra that speaks the protocol is there; it is not imported."""
    import importlib.util

    return importlib.util.find_spec("mcp") is not None


class McpServers:
    """A context manager: inside it, ``toolboxes`` are the servers that work and ``failures`` those that do not.

    Each has one session for the whole block. Leaving it ends them all, with everything their processes have
    started in their groups, within a few seconds; they end too when this process is killed.

    ``environ`` is where variables are taken from: a server gets those that every program needs, among them those of
    certificates and proxies, none of ``withheld``, and what its settings say. ``without_proxies`` are the proxy
    variables that a server is not given, by its name, because their addresses hold a password. ``store`` is the
    keyring. ``on_step`` is told of a server's steps as they are done, in another thread. Entering raises
    ``ToolServerError``, and nothing else.
    """

    def __init__(
        self,
        servers: Iterable[McpServer],
        *,
        environ: Mapping[str, str] | None = None,
        store: KeyStore | None = None,
        withheld: Collection[str] = (),
        on_step: Callable[[McpServer, Step], None] = lambda _server, _step: None,
    ) -> None:
        self._servers = tuple(servers)
        self._environ = os.environ if environ is None else environ
        self._store = store
        self._withheld = frozenset(withheld)
        self._on_step = on_step
        self._background = Background()
        self._watchdog = Watchdog()
        self._hosts: list[Host] = []
        self.toolboxes: tuple[McpToolbox, ...] = ()
        self.failures: tuple[Failure, ...] = ()
        self.without_proxies: dict[str, tuple[str, ...]] = {}

    def __enter__(self) -> Self:
        if not installed():
            raise ToolServerError(
                "MCP servers need the package mcp, which is not installed", code="not_installed"
            )
        try:
            self._start()
        except BaseException as error:
            self._close(limit_total=not isinstance(error, Exception))
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # Whoever has pressed Ctrl-C does not want to wait.
        self._close(limit_total=kind is not None and not issubclass(kind, Exception))

    def _start(self) -> None:
        failed: dict[str, Failure] = {}
        if any(server.command for server in self._servers):
            self._watchdog.start()
        self._background.start()
        imported = asyncio.Event()
        secrets = Secrets(self._environ, self._store)
        for server in self._servers:
            try:
                given = secrets.give(server)
            except ToolServerError as error:
                failed[server.name] = Failure(server=server, error=error)
                continue
            host = Host(
                server,
                given,
                environ=self._environ,
                withheld=self._withheld,
                watchdog=self._watchdog,
                on_step=self._on_step,
            )
            self._hosts.append(host)
            if host.without_proxies:
                self.without_proxies[server.name] = host.without_proxies
            self._background.submit(host.live(imported))
        if self._hosts:
            # Takes about as long as most processes take to be ready; here, because a Ctrl-C ends it here.
            with _interrupt_waits():
                from provider_core.tools.mcp import _session  # noqa: F401

            self._background.submit(_set(imported))
        toolboxes: list[McpToolbox] = []
        for host in self._hosts:
            try:
                session = host.ready.result()  # a session keeps the server's own limit
            except ToolServerError as error:
                failed[host.server.name] = host.failure(error)
            else:
                toolboxes.append(McpToolbox(session, self._background, tuple(host.steps)))
        self.toolboxes = tuple(toolboxes)
        self.failures = tuple(failed[server.name] for server in self._servers if server.name in failed)

    def _close(self, *, limit_total: bool) -> None:
        """End every server, politely; at once where even that is interrupted."""
        try:
            for host in self._hosts:
                with contextlib.suppress(RuntimeError):
                    self._background.submit(host.let_go(limit_total=limit_total))
            concurrent.futures.wait([host.gone for host in self._hosts], _END)
        finally:
            for host in self._hosts:
                host.kill()
            self._background.stop(1.0)
            self._watchdog.close()


@contextlib.contextmanager
def _interrupt_waits() -> Iterator[None]:
    """A Ctrl-C is taken at the end: pydantic's compiled part, which the SDK's import keeps busy, swallows it."""
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
