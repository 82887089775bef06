"""One session with one server on the event loop, and its transport over stdin and stdout."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import re
import time
from typing import TYPE_CHECKING, Protocol

import anyio
from pydantic import ValidationError

from provider_core import __version__, limits
from provider_core.errors import CoreError, ToolError, ToolServerError
from provider_core.events import ToolResult
from provider_core.redaction import clean
from provider_core.tools.mcp._content import (
    ClientSession,
    MCPError,
    SessionMessage,
    dump_message,
    mcp_types,
    parse_message,
    tool_result,
    tool_specs,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Mapping
    from concurrent.futures import Future
    from contextlib import AbstractAsyncContextManager

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from mcp.client._transport import TransportStreams
    from mcp.shared.dispatcher import ProgressFnT

    from provider_core.events import ReportProgress, ToolSpec
    from provider_core.settings.mcp import McpServer
    from provider_core.tools.mcp._process import Process, StepName
    from provider_core.types import Json

_MAX_QUOTE = 1000

_REPORT_INTERVAL = 0.2
"""Seconds between two reports of progress, at least: a server may send thousands."""

_CLIENT = mcp_types.Implementation(name="telex", version=__version__)


class McpTransport(Protocol):
    """The connection to one server."""

    def streams(self, on_end: Callable[[], None]) -> AbstractAsyncContextManager[TransportStreams]:
        """The streams of a new session; ``on_end`` is called if the server is gone."""

    def failure(self, data: object) -> ToolServerError | None:
        """The error that this transport has put in place of a result, with ``data`` as its mark; None for others."""

    async def ending(self) -> str:
        """How the server ended, and its last words, to follow "the server broke off"; may be ""."""


# --- over stdin and stdout ---------------------------------------------------------------------------------

_MAX_OUTPUT_QUOTE = 300

_LAST_WORDS = 0.3
"""Seconds between the end of a process's output and its exit."""

_PROBLEM = re.compile(
    r"error|exception|fatal|cannot|can't|denied|failed|invalid|missing|not found|no such|usage", re.IGNORECASE
)


class StdioTransport:
    """An ``McpTransport``. An invalid answer fails its request, a message that is too long fails all requests."""

    def __init__(self, server: str, process: Process, secrets: Collection[str]) -> None:
        self._server = server
        self._process = process
        self._secrets = secrets
        self._waiting: set[int | str] = set()
        self._garbage = ""

    @contextlib.asynccontextmanager
    async def streams(self, on_end: Callable[[], None]) -> AsyncGenerator[TransportStreams]:
        inbox, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        outgoing, outbox = anyio.create_memory_object_stream[SessionMessage](0)
        async with inbox, incoming, outgoing, outbox, anyio.create_task_group() as tasks:
            tasks.start_soon(self._receive, inbox, on_end)
            tasks.start_soon(self._send, outbox, inbox)
            try:
                yield incoming, outgoing
            finally:
                tasks.cancel_scope.cancel()

    def failure(self, data: object) -> ToolServerError | None:
        return data if isinstance(data, ToolServerError) else None

    async def ending(self) -> str:
        if self._process.closed:
            await self._process.wait(_LAST_WORDS)
        words = clean(_telling_line(self._process.stderr), self._secrets, _MAX_OUTPUT_QUOTE)
        if not words and self._garbage:
            said = clean(self._garbage, self._secrets, _MAX_OUTPUT_QUOTE)
            words = f"it printed {said!r} to stdout, which is reserved for the protocol"
        status = f" ({self._process.exit_status})" if self._process.exit_status else ""
        return f"{status}: {words}" if words else status

    async def _send(
        self,
        outbox: MemoryObjectReceiveStream[SessionMessage],
        inbox: MemoryObjectSendStream[SessionMessage | Exception],
    ) -> None:
        async for item in outbox:
            request = item.message.id if isinstance(item.message, mcp_types.JSONRPCRequest) else None
            try:
                line = dump_message(item.message)
            except ValueError:
                if request is not None:
                    await inbox.send(
                        self._failed(request, "cannot be sent this: it cannot be written as JSON")
                    )
                continue
            if request is not None:
                self._waiting.add(request)
            self._process.write(line + b"\n")

    async def _receive(
        self, inbox: MemoryObjectSendStream[SessionMessage | Exception], on_end: Callable[[], None]
    ) -> None:
        async with inbox:
            # A session that is over has closed its end of the stream.
            with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                while (line := await self._process.read_line()) is not None:
                    for message in self._messages(line):
                        await inbox.send(message)
                    await asyncio.sleep(0)  # or a flood of lines would keep timeouts from expiring
                on_end()

    def _messages(self, line: bytes | int) -> list[SessionMessage]:
        if isinstance(line, int):
            size, most = line / (1 << 20), limits.TOOL_MESSAGE >> 20
            words = f"sent a message of {size:.0f} MiB, and {most} MiB is the most"
            # It may have been the answer to any request, and none may wait for ever.
            return [self._failed(each, words) for each in set(self._waiting)]
        if not line.strip():
            return []
        try:
            message = parse_message(line)
        except ValueError:
            try:
                id_ = json.loads(line)["id"]
                if id_ in self._waiting:
                    return [self._failed(id_, "sent an answer that is not valid JSON-RPC")]
            except (ValueError, TypeError, LookupError, RecursionError):
                self._garbage = self._garbage or line[:400].decode("utf-8", "replace")
            return []
        if isinstance(message, mcp_types.JSONRPCResponse | mcp_types.JSONRPCError) and message.id is not None:
            self._waiting.discard(message.id)
        return [SessionMessage(message)]

    def _failed(self, request: int | str, words: str) -> SessionMessage:
        self._waiting.discard(request)
        # No server can send such an object, so that ``failure`` recognises it.
        failure = ToolServerError(f"the MCP server {self._server} {words}", server=self._server)
        error = mcp_types.ErrorData(code=mcp_types.INTERNAL_ERROR, message=words, data=failure)
        return SessionMessage(mcp_types.JSONRPCError(jsonrpc="2.0", id=request, error=error))


def _telling_line(stderr: str) -> str:
    """The line that most likely says why a program exited: the last one about an error, else the last one."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if _PROBLEM.search(line)), lines[-1] if lines else "")


# --- the session -------------------------------------------------------------------------------------------


class McpSession:
    """Runs in ``live``; ``until`` is the time on the monotonic clock by which it must be ready."""

    def __init__(
        self,
        server: McpServer,
        transport: McpTransport,
        secrets: Collection[str],
        *,
        until: float,
        ready: Future[McpSession],
        on_step: Callable[[StepName, float], None],
    ) -> None:
        self.server = server
        self.tools: tuple[ToolSpec, ...] = ()
        self.tools_changed: bool = False
        """Whether the server has announced other tools since they were listed."""
        self.about: mcp_types.Implementation | None = None
        self.protocol: str = ""
        self.failure: ToolServerError | None = None
        """Why the session has ended."""
        self._transport = transport
        self._secrets = secrets
        self._until = until
        self._ready = ready
        self._on_step = on_step
        self._session: ClientSession | None = None
        self._started = asyncio.Event()
        self._ended = asyncio.Event()
        self._restart = False

    async def live(self) -> None:
        """Start the session, wait for ``end`` or for the end of the server, and end it."""
        try:
            await self._one_session()
            while self._restart:
                self._restart = False
                self._ended.clear()
                self._until = time.monotonic() + self.server.start_timeout
                await self._one_session()
        except asyncio.CancelledError:
            self.failure = self._error("was cancelled")
        except BaseException as error:  # noqa: BLE001 - a session that fails must not affect others
            self.failure = await self._mapped(error)
        finally:
            self._session, self.tools = None, ()
            if self.failure is None:
                self.failure = self._error(f"ended{await self._transport.ending()}")
            if not self._ready.done():
                self._ready.set_exception(self.failure)
            self._started.set()

    async def _one_session(self) -> None:
        try:
            async with self._transport.streams(self._ended.set) as (incoming, outgoing):
                session = ClientSession(
                    incoming, outgoing, client_info=_CLIENT, message_handler=self._on_message
                )
                async with session:
                    async with asyncio.timeout(max(self._until - time.monotonic(), 0.0)):
                        await self._initialize(session)
                    self._session = session
                    self._started.set()
                    if not self._ready.done():
                        self._ready.set_result(self)
                    await self._ended.wait()
        except Exception:
            if not self._restart:  # else it is about calls of the old session
                raise

    def end(self) -> None:
        self._ended.set()

    async def call(
        self, name: str, arguments: Mapping[str, Json], report: ReportProgress | None = None
    ) -> ToolResult:
        """Call the tool; raises ``ToolError`` if there is no result.

        Each progress message restarts the call's timeout, within a total. ``report`` is called a few times a second.
        """
        seconds, clock = self.server.call_timeout, asyncio.get_running_loop().time
        end, reported = clock() + self.server.call_total, -math.inf

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            nonlocal reported
            now = clock()
            with contextlib.suppress(RuntimeError):  # the timeout has expired
                limit.reschedule(min(now + seconds, end))
            if report is not None and now - reported >= _REPORT_INTERVAL:
                reported = now
                # NaN and infinity are not valid JSON.
                known = total if total is not None and math.isfinite(total) else None
                report(progress if math.isfinite(progress) else 0.0, known, self._line(message or ""))

        try:
            async with asyncio.timeout(seconds) as limit:
                try:
                    return await self._call(name, arguments, on_progress)
                except ToolServerError as error:
                    if error.code != "session":
                        raise
                    self._renew()
                    return await self._call(name, arguments, on_progress)
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
        """Replace a session that the server has forgotten; once, even if several calls notice it."""
        if self._session is not None:
            self._session = None
            self._started.clear()
            self._restart = True
            self._ended.set()

    async def _call(self, name: str, arguments: Mapping[str, Json], on_progress: ProgressFnT) -> ToolResult:
        await self._started.wait()
        session = self._session
        if session is None:
            raise self.failure or self._error("ended the session")
        try:
            sent = await session.call_tool(
                name, dict(arguments), progress_callback=on_progress, allow_input_required=True
            )
        except MCPError as error:
            if self._restart or session is not self._session:  # another call has noticed that it is forgotten
                raise ToolServerError(error.message, server=self.server.name, code="session") from None
            if (failure := await self._own_failure(error)) is not None:
                raise failure from None
            # An error of the protocol is the server's answer, and meant for the model.
            return ToolResult(text=clean(error.message, self._secrets, _MAX_QUOTE), is_error=True)
        except TimeoutError:
            raise
        except Exception as error:  # noqa: BLE001 - the SDK raises errors of many libraries
            raise (await self._mapped(error)) from None
        if isinstance(sent, mcp_types.InputRequiredResult):
            raise self._error("requested input from the user, which telex does not support")
        return tool_result(sent, self._secrets)

    async def list(self) -> None:
        """List the tools again."""
        self.tools_changed = False
        session = self._session
        if session is not None:
            async with asyncio.timeout(self.server.start_timeout):
                self.tools = await self._list(session)

    async def _initialize(self, session: ClientSession) -> None:
        began = time.monotonic()
        try:
            # First the handshake that nearly all servers know; some exit at any other first request.
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
        self._on_step("handshake", time.monotonic() - began)
        began = time.monotonic()
        self.tools = await self._list(session)
        self._on_step("tools", time.monotonic() - began)

    async def _list(self, session: ClientSession) -> tuple[ToolSpec, ...]:
        tools: dict[str, ToolSpec] = {}
        cursors: set[str] = set()
        cursor: str | None = None
        for _ in range(limits.TOOL_PAGES):
            try:
                page = await session.list_tools(params=mcp_types.PaginatedRequestParams(cursor=cursor))
            except MCPError as error:
                if error.code == mcp_types.METHOD_NOT_FOUND and self._transport.failure(error.data) is None:
                    break  # a server that has only prompts or resources
                raise
            for spec in tool_specs(page, self._secrets):
                tools.setdefault(spec.tool.name, spec)
            cursor = page.next_cursor
            if cursor is None or cursor in cursors or len(tools) >= limits.TOOLS:
                break
            cursors.add(cursor)
        return tuple(tools.values())[: limits.TOOLS]

    async def _on_message(self, message: object) -> None:
        if isinstance(message, mcp_types.ToolListChangedNotification):
            self.tools_changed = True

    # --- errors ---------------------------------------------------------------------------------------------

    async def _mapped(self, error: BaseException) -> ToolServerError:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        match error:
            case ToolServerError():
                return error
            case TimeoutError():
                words = (
                    f"did not start within {self.server.start_timeout:g} s{await self._transport.ending()}"
                )
                late = self._error(words, code="connect")
                late.seconds = self.server.start_timeout
                return late
            case CoreError(message=message):
                return ToolServerError(message, server=self.server.name)
            case MCPError():
                return await self._own_failure(error) or self._error(
                    f"returned an error: {self._line(error.message)}"
                )
            case ValidationError():
                first = error.errors()[0]
                words = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
                return self._error(f"sent an answer that is not valid ({words})")
        words = self._line(str(error)) or type(error).__name__
        return self._error(f"sent an answer that is not valid: {words}")

    async def _own_failure(self, error: MCPError) -> ToolServerError | None:
        """The failure that the transport or the SDK reports by this error; None for the server's own error."""
        if (failure := self._transport.failure(error.data)) is not None:
            return failure
        # A server may send the same code as an answer.
        if error.code == mcp_types.CONNECTION_CLOSED and (
            self._ended.is_set() or error.message.startswith(("SSE stream", "Connection closed"))
        ):
            when = "while starting" if self._session is None else "during a call"
            return self._error(f"stopped {when}{await self._transport.ending()}")
        return None

    def _error(self, words: str, *, code: str | None = None) -> ToolServerError:
        return ToolServerError(
            f"the MCP server {self.server.name} {words}", server=self.server.name, code=code
        )

    def _line(self, words: str) -> str:
        """``words`` on one line: no part of them may look like a message of telex."""
        return " ".join(clean(words, self._secrets, _MAX_QUOTE).split())
