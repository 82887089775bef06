"""One session with one server, on the loop: shaken hands, tools listed, calls made, ended; nobody waits for it here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from typing import TYPE_CHECKING

from pydantic import ValidationError

from provider_core import limits
from provider_core._version import __version__
from provider_core.errors import CoreError, ToolError, ToolServerError
from provider_core.events import ToolResult
from provider_core.redaction import clean
from provider_core.tools.mcp import _results
from provider_core.tools.mcp._mending import AS_SENT, Mended
from provider_core.tools.mcp._sdk import ClientSession, MCPError, mcp_types
from provider_core.tools.mcp._steps import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from concurrent.futures import Future

    from mcp.shared.dispatcher import ProgressFnT

    from provider_core.events import ReportProgress, ToolSpec
    from provider_core.settings.mcp import McpServer
    from provider_core.tools.mcp._steps import StepName
    from provider_core.tools.mcp._way import Way
    from provider_core.types import Json

__all__ = ["Session"]

_LONGEST_WORDS = 1000
_REPORTS = 0.2
"""Seconds between two reports of progress, at least: a server may send thousands."""

_CLIENT = mcp_types.Implementation(name="telex", version=__version__)

# The SDK logs what it survives, and Python writes warnings that nobody handles to stderr.
for _name in ("mcp", "client", "httpx2"):
    logging.getLogger(_name).addHandler(logging.NullHandler())


class Session:
    """``live`` is the whole of it; ``until`` is when its start has taken too long, on the monotonic clock."""

    def __init__(
        self,
        server: McpServer,
        way: Way,
        secrets: Collection[str],
        *,
        until: float,
        ready: Future[Session],
        on_step: Callable[[Step], None],
    ) -> None:
        self.server = server
        self.tools: tuple[ToolSpec, ...] = ()
        self.worn: bool = False
        """Whether the server has said that its tools are others by now."""
        self.about: mcp_types.Implementation | None = None
        self.protocol: str = ""
        self.failure: ToolServerError | None = None
        """Why there is no session any more."""
        self._way = way
        self._secrets = secrets
        self._until = until
        self._ready = ready
        self._on_step = on_step
        self._session: ClientSession | None = None
        self._begun = asyncio.Event()
        self._over = asyncio.Event()
        self._anew = False

    async def live(self) -> None:
        """Start the session, keep it until ``end`` or until the server is gone, and end it."""
        try:
            while True:
                try:
                    await self._one()
                except Exception:
                    if not self._anew:  # else it is about the calls that the old session was still busy with
                        raise
                if not self._anew:
                    break
                self._anew = False
                self._over.clear()
                self._until = time.monotonic() + self.server.start_timeout
        except asyncio.CancelledError:
            self.failure = self._broken("was given up")
        except BaseException as error:  # noqa: BLE001 - a session that breaks takes nothing else along
            self.failure = await self._translated(error)
        finally:
            self._session, self.tools = None, ()
            if self.failure is None:
                self.failure = self._broken(f"ended{await self._way.ending()}")
            if not self._ready.done():
                self._ready.set_exception(self.failure)
            self._begun.set()

    async def _one(self) -> None:
        async with self._way.streams(self._over.set) as (incoming, outgoing):
            session = ClientSession(
                Mended(incoming), outgoing, client_info=_CLIENT, message_handler=self._hear
            )
            async with session:
                async with asyncio.timeout(max(self._until - time.monotonic(), 0.0)):
                    await self._begin(session)
                self._session = session
                self._begun.set()
                if not self._ready.done():
                    self._ready.set_result(self)
                await self._over.wait()

    def end(self) -> None:
        """Let ``live`` come to its end."""
        self._over.set()

    async def call(
        self, name: str, arguments: Mapping[str, Json], report: ReportProgress | None = None
    ) -> ToolResult:
        """Call the tool; raises ``ToolError`` where there is no result.

        Each progress message starts the call's time again, within a total. ``report`` is told of a few a second.
        """
        seconds, clock = self.server.call_timeout, asyncio.get_running_loop().time
        end, reported = clock() + self.server.call_total, -math.inf

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            nonlocal reported
            now = clock()
            with contextlib.suppress(RuntimeError):  # its time is over
                limit.reschedule(min(now + seconds, end))
            if report is not None and now - reported >= _REPORTS:
                reported = now
                # A number that is not one has no form in JSON.
                known = total if total is not None and math.isfinite(total) else None
                report(progress if math.isfinite(progress) else 0.0, known, self._line(message or ""))

        try:
            async with asyncio.timeout(seconds) as limit:
                try:
                    return await self._called(name, arguments, on_progress)
                except ToolServerError as error:
                    if error.code != "session":
                        raise
                    self._renew()
                    return await self._called(name, arguments, on_progress)
        except TimeoutError:
            if limit.when() == end:
                words = f"did not end within {self.server.call_total:g} s, the limit for calls that report progress"
            elif reported > 0:
                words = f"reported no progress for {seconds:g} s"
            else:
                words = f"did not end within {seconds:g} s"
            raise ToolError(
                f"{self.server.name}/{name} {words}",
                server=self.server.name,
                tool=name,
                seconds=seconds,
                code="timeout",
            ) from None

    def _renew(self) -> None:
        """Have the session ended and another one begun; once, however many calls find it forgotten."""
        if self._session is not None:
            self._session = None
            self._begun.clear()
            self._anew = True
            self._over.set()

    async def _called(self, name: str, arguments: Mapping[str, Json], on_progress: ProgressFnT) -> ToolResult:
        await self._begun.wait()
        session = self._session
        if session is None:
            raise self.failure or self._broken("has no session any more")
        try:
            sent = await session.call_tool(
                name, dict(arguments), progress_callback=on_progress, allow_input_required=True
            )
        except MCPError as error:
            if self._anew or session is not self._session:  # another call has found that it is forgotten
                raise ToolServerError(error.message, server=self.server.name, code="session") from None
            if (failure := await self._refused(error)) is not None:
                raise failure from None
            # An error of the protocol's own is an answer as well: the server's, and meant for the model.
            return ToolResult(text=self._clean(error.message), is_error=True)
        except TimeoutError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the SDK raises, there is no result
            raise (await self._translated(error)) from None
        if isinstance(sent, mcp_types.InputRequiredResult):
            raise self._broken("asks the user something during a call, which telex does not pass on")
        return _results.result((sent.meta or {}).get(AS_SENT) or {}, self._secrets)

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

    async def _listed(self, session: ClientSession) -> tuple[ToolSpec, ...]:
        tools: list[mcp_types.Tool] = []
        cursors: set[str] = set()
        cursor: str | None = None
        for _ in range(limits.TOOL_PAGES):
            try:
                page = await session.list_tools(params=mcp_types.PaginatedRequestParams(cursor=cursor))
            except MCPError as error:
                if error.code == mcp_types.METHOD_NOT_FOUND and self._way.failure(error.data) is None:
                    break  # a server of prompts or resources alone
                raise
            tools += page.tools
            cursor = page.next_cursor
            if cursor is None or cursor in cursors or len(tools) >= limits.TOOLS:
                break
            cursors.add(cursor)
        return _results.offered(tools[: limits.TOOLS], self._secrets)

    async def _hear(self, message: object) -> None:
        if isinstance(message, mcp_types.ToolListChangedNotification):
            self.worn = True

    @contextlib.contextmanager
    def _timed(self, name: StepName) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._on_step(Step(name=name, seconds=time.monotonic() - began))

    # --- why there is no result -------------------------------------------------------------------------

    async def _translated(self, error: BaseException) -> ToolServerError:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        match error:
            case ToolServerError():
                return error
            case TimeoutError():
                words = f"did not start within {self.server.start_timeout:g} s{await self._way.ending()}"
                return ToolServerError(
                    f"the MCP server {self.server.name} {words}", server=self.server.name, code="connect"
                )
            case CoreError(message=message):
                return ToolServerError(message, server=self.server.name)
            case MCPError():
                return await self._refused(error) or self._broken(f"refuses: {self._line(error.message)}")
            case ValidationError():
                first = error.errors(include_url=False, include_input=False, include_context=False)[0]
                place = ".".join(str(part) for part in first["loc"])
                return self._broken(f"sent an answer that is not valid ({place}: {first['msg']})")
        return self._broken(
            f"sent an answer that is not valid: {self._line(str(error)) or type(error).__name__}"
        )

    async def _refused(self, error: MCPError) -> ToolServerError | None:
        """The reason that this side knows for an error; None for one that the server has sent."""
        if (failure := self._way.failure(error.data)) is not None:
            return failure
        # A server may send the same number, and then it is an answer.
        if error.code == mcp_types.CONNECTION_CLOSED and (
            self._over.is_set() or error.message.startswith(("SSE stream", "Connection closed"))
        ):
            when = "while starting" if self._session is None else "during a call"
            return self._broken(f"broke off {when}{await self._way.ending()}")
        return None

    def _broken(self, words: str) -> ToolServerError:
        return ToolServerError(f"the MCP server {self.server.name} {words}", server=self.server.name)

    def _line(self, words: str) -> str:
        """What stands in a sentence of ours: no line of its own may pass for another one."""
        return " ".join(self._clean(words).split())

    def _clean(self, words: str) -> str:
        return clean(words, self._secrets, _LONGEST_WORDS)
