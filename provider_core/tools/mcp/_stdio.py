"""The transport over a process's stdin and stdout: one message a line."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import anyio

from provider_core import limits
from provider_core.errors import ToolServerError
from provider_core.redaction import clean
from provider_core.tools.mcp._content import SessionMessage, dump_message, mcp_types, parse_message
from provider_core.tools.mcp._process import OversizedLine

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from mcp.client._transport import TransportStreams

    from provider_core.tools.mcp._process import Process

_LAST_WORDS = 0.3
"""Seconds between the end of a process's output and its exit."""

_MAX_QUOTE = 300

_PROBLEM = re.compile(
    r"error|exception|fatal|cannot|can't|denied|failed|invalid|missing|not found|no such|usage", re.IGNORECASE
)

_VERSION = rb'"jsonrpc"\s*:\s*"2\.0"\s*'
_ID = rb'"id"\s*:\s*(\d{1,15})\s*'
# Only at the very edges of a message: there, no nested object can be mistaken for the message itself.
_ID_AT_START = re.compile(rb"\s*\{\s*(?:" + _VERSION + rb",\s*)?" + _ID + rb"[,}]")
_ID_AT_END = re.compile(rb",\s*(?:" + _VERSION + rb",\s*)?" + _ID + rb"(?:,\s*" + _VERSION + rb")?\}\s*\Z")


class StdioTransport:
    """An ``McpTransport``. An answer that is too long or invalid becomes an error of its request."""

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
        words = clean(_telling_line(self._process.stderr), self._secrets, _MAX_QUOTE)
        if not words and self._garbage:
            words = f"it writes text to stdout, as {clean(self._garbage, self._secrets, _MAX_QUOTE)!r}"
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
                on_end()

    def _messages(self, line: bytes | OversizedLine) -> list[SessionMessage]:
        if isinstance(line, OversizedLine):
            size, most = line.size / (1 << 20), limits.TOOL_MESSAGE >> 20
            words = f"sent a message of {size:.0f} MiB, and {most} MiB is the most"
            found = answered_id(line.start, line.end)
            # If the request is unknown, all fail: none may wait for ever.
            return [
                self._failed(each, words) for each in ({found} if found is not None else set(self._waiting))
            ]
        if not line.strip():
            return []
        try:
            message = parse_message(line)
        except ValueError:
            found = answered_id(line[:256], line[-256:])
            if found in self._waiting and found is not None:
                return [self._failed(found, "sent an answer that is not valid JSON-RPC")]
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


def answered_id(start: bytes, end: bytes) -> int | None:
    """The id of the request that a message with these ends answers, if it is at one of them."""
    found = _ID_AT_START.match(start) or _ID_AT_END.search(end)
    return int(found[1]) if found is not None else None


def _telling_line(stderr: str) -> str:
    """The line that most likely says why a program exited: the last one about an error, else the last one."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if _PROBLEM.search(line)), lines[-1] if lines else "")
