"""One session with one server, on the loop: shaken hands, tools listed, calls made, ended; nobody waits for it here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from typing import TYPE_CHECKING

import mcp_types
from mcp.client.session import ClientSession
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from provider_core import __version__
from provider_core.errors import CoreError, ToolConnectError, ToolServerError, ToolTimeoutError
from provider_core.tools import ToolResult
from provider_core.tools.mcp import _http, _results, _stdio
from provider_core.tools.mcp._steps import Step
from provider_core.wording import clean

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
    from concurrent.futures import Future

    from mcp.client._transport import TransportStreams

    from provider_core.settings.mcp import McpServer
    from provider_core.tools import Offered
    from provider_core.tools.mcp._process import Process
    from provider_core.tools.mcp._secrets import Given
    from provider_core.tools.mcp._steps import StepName
    from provider_core.types import Json

__all__ = ["Session"]

_MOST_PAGES = 100
_MOST_TOOLS = 1000
_LONGEST_WORDS = 300
_LAST_WORDS = 0.3
"""Seconds between the end of a process's output and its own end."""

_TELLS = re.compile(
    r"error|exception|fatal|cannot|can't|denied|failed|invalid|missing|not found|no such|usage", re.IGNORECASE
)

_CLIENT = mcp_types.Implementation(name="telex", version=__version__)

# The SDK logs what it survives, and Python writes warnings that nobody handles to stderr.
for _name in ("mcp", "client", "httpx2"):
    logging.getLogger(_name).addHandler(logging.NullHandler())


class Session:
    """``live`` is the whole of it. ``way`` is what leads to the server: its process, or the gate of its requests."""

    def __init__(
        self,
        server: McpServer,
        given: Given,
        way: Process | _http.Gate,
        *,
        started: float,
        ready: Future[Session],
        on_step: Callable[[Step], None],
    ) -> None:
        self.server = server
        self.tools: tuple[Offered, ...] = ()
        self.worn = False
        """Whether the server has said that its tools are others by now."""
        self.about: mcp_types.Implementation | None = None
        self.protocol = ""
        self.failure: ToolServerError | None = None
        """Why there is no session any more."""
        self._given = given
        self._way = way
        self._started = started
        self._ready = ready
        self._on_step = on_step
        self._garbage = ""
        self._session: ClientSession | None = None
        self._over = asyncio.Event()

    async def live(self) -> None:
        """Start the session, keep it until ``end`` or until the server is gone, and end it."""
        failure: ToolServerError | None = None
        try:
            async with self._streams() as (incoming, outgoing):
                session = ClientSession(incoming, outgoing, client_info=_CLIENT, message_handler=self._hear)
                async with session:
                    left = self._started + self.server.start_timeout - time.monotonic()
                    async with asyncio.timeout(max(left, 0.0)):
                        await self._begin(session)
                    self._session = session
                    self._ready.set_result(self)
                    await self._over.wait()
        except TimeoutError:
            failure = self._too_slow()
        except asyncio.CancelledError:
            failure = self._broken("was given up")
        except BaseException as error:  # noqa: BLE001 - a session that breaks takes nothing else along
            await self._last_words()
            failure = self._translated(error)
        finally:
            self._session, self.tools = None, ()
            self.failure = failure or self.failure or self._broken("has ended")
            if not self._ready.done():
                self._ready.set_exception(self.failure)

    def end(self) -> None:
        """Let ``live`` come to its end."""
        self._over.set()

    async def call(self, name: str, arguments: Mapping[str, Json]) -> ToolResult:
        """Call the tool; raises ``ToolError`` where there is no result."""
        session = self._session
        if session is None:
            raise self.failure or self._broken("has ended")
        seconds = self.server.call_timeout
        try:
            async with asyncio.timeout(seconds):
                sent = await session.call_tool(name, dict(arguments), allow_input_required=True)
        except TimeoutError:
            raise ToolTimeoutError(
                f"{self.server.name}/{name} did not end within {seconds:g} s",
                server=self.server.name,
                tool=name,
                seconds=seconds,
            ) from None
        except MCPError as error:
            await self._last_words()
            failure = self._refused(error)
            if failure is None:
                # An error of the protocol's own is an answer as well: of the server's, and meant for the model.
                return ToolResult(text=self._clean(error.message), is_error=True)
            raise failure from None
        except Exception as error:  # noqa: BLE001 - whatever the SDK raises, there is no result
            raise self._translated(error) from None
        if isinstance(sent, mcp_types.InputRequiredResult):
            raise self._broken("asks the user something during a call, which telex does not pass on")
        return _results.result(sent)

    async def list(self) -> None:
        """Ask anew what tools there are; what was known stays where there is no answer."""
        self.worn = False
        session = self._session
        if session is not None:
            async with asyncio.timeout(self.server.start_timeout):
                self.tools = await self._listed(session)

    async def _begin(self, session: ClientSession) -> None:
        with self._timed("handshake"):
            try:
                # Nearly all servers know this handshake, and some end at any other first request.
                await session.initialize()
            except MCPError as error:
                if error.code not in (mcp_types.UNSUPPORTED_PROTOCOL_VERSION, mcp_types.METHOD_NOT_FOUND):
                    raise
                try:
                    await session.discover()
                except MCPError:
                    raise error from None
        self.about = session.server_info
        self.protocol = session.protocol_version or ""
        with self._timed("tools"):
            self.tools = await self._listed(session)

    async def _listed(self, session: ClientSession) -> tuple[Offered, ...]:
        tools: list[mcp_types.Tool] = []
        cursors: set[str] = set()
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            try:
                page = await session.list_tools(params=mcp_types.PaginatedRequestParams(cursor=cursor))
            except MCPError as error:
                if error.code == mcp_types.METHOD_NOT_FOUND and self._refused(error) is None:
                    break  # a server of prompts or resources alone
                raise
            tools += page.tools
            cursor = page.next_cursor
            if cursor is None or cursor in cursors or len(tools) >= _MOST_TOOLS:
                break
            cursors.add(cursor)
        return _results.offered(tools[:_MOST_TOOLS])

    async def _hear(self, message: object) -> None:
        if isinstance(message, mcp_types.ToolListChangedNotification):
            self.worn = True

    @contextlib.asynccontextmanager
    async def _streams(self) -> AsyncGenerator[TransportStreams]:
        if isinstance(self._way, _http.Gate):
            async with _http.connected(self._way, self.server.url) as streams:
                yield streams
            return
        async with _stdio.connected(self._way, self._misheard, self._over.set) as streams:
            yield streams

    def _misheard(self, line: str) -> None:
        self._garbage = self._garbage or line

    @contextlib.contextmanager
    def _timed(self, name: StepName) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._on_step(Step(name=name, seconds=time.monotonic() - began))

    # --- why there is no result -------------------------------------------------------------------------

    def _translated(self, error: BaseException) -> ToolServerError:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        match error:
            case ToolServerError():
                return error
            case CoreError(message=message):
                return ToolServerError(message, server=self.server.name)
            case MCPError():
                return self._refused(error) or self._broken(f"refuses: {self._clean(error.message)}")
            case ValidationError():
                first = error.errors(include_url=False, include_input=False, include_context=False)[0]
                place = ".".join(str(part) for part in first["loc"])
                return self._broken(f"sent something that is no valid answer ({place}: {first['msg']})")
        return self._broken(f"sent no valid answer: {self._clean(str(error)) or type(error).__name__}")

    def _refused(self, error: MCPError) -> ToolServerError | None:
        """The reason that this side knows for an error; None for one that the server has sent."""
        if error.data is _stdio.NO_RESULT:
            return self._broken(error.message)
        if isinstance(self._way, _http.Gate) and (failure := self._way.failure(error.data)) is not None:
            return failure
        if error.code == mcp_types.CONNECTION_CLOSED:
            return self._broken("ended" if not isinstance(self._way, _http.Gate) else "broke off its answer")
        return None

    async def _last_words(self) -> None:
        """Wait a moment for how a process ended, once it has nothing more to say."""
        if not isinstance(self._way, _http.Gate) and self._way.ended:
            await self._way.wait(_LAST_WORDS)

    def _broken(self, words: str) -> ToolServerError:
        return ToolServerError(
            f"the MCP server {self.server.name} {words}{self._hints()}", server=self.server.name
        )

    def _too_slow(self) -> ToolConnectError:
        return ToolConnectError(
            f"the MCP server {self.server.name} did not start within {self.server.start_timeout:g} s{self._hints()}",
            server=self.server.name,
        )

    def _hints(self) -> str:
        """How the process ended, and what it said that may tell why."""
        if isinstance(self._way, _http.Gate):
            return ""
        said = self._clean(_telling(self._way.stderr))
        if not said and self._garbage:
            said = f"it writes text to stdout, as {self._clean(self._garbage)!r}"
        ending = f" ({self._way.ending})" if self._way.ending else ""
        return f"{ending}: {said}" if said else ending

    def _clean(self, words: str) -> str:
        return clean(words, self._given.secrets, _LONGEST_WORDS)


def _telling(stderr: str) -> str:
    """The line that most likely tells why a program ended: the last that speaks of an error, else the last."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if _TELLS.search(line)), lines[-1] if lines else "")
