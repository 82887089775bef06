"""The way over a process's stdin and stdout: messages as lines; what a session says is not read here."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import anyio

from provider_core import limits
from provider_core.errors import ToolServerError
from provider_core.redaction import clean
from provider_core.tools.mcp._lines import Lines, TooLong, answered
from provider_core.tools.mcp._mending import parsed
from provider_core.tools.mcp._sdk import SessionMessage, mcp_types

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from mcp.client._transport import TransportStreams

    from provider_core.tools.mcp._process import Process

__all__ = ["Pipes"]

_LAST_WORDS = 0.3
"""Seconds between the end of a process's output and its own end."""

_LONGEST_WORDS = 300

_TELLS = re.compile(
    r"error|exception|fatal|cannot|can't|denied|failed|invalid|missing|not found|no such|usage", re.IGNORECASE
)


class Pipes:
    """A ``Way``. An answer that is too long, or that is none, becomes an error for the request it belongs to."""

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
            tasks.start_soon(self._listen, inbox, on_end)
            tasks.start_soon(self._speak, outbox, inbox)
            try:
                yield incoming, outgoing
            finally:
                tasks.cancel_scope.cancel()

    def failure(self, data: object) -> ToolServerError | None:
        return data if isinstance(data, ToolServerError) else None

    async def ending(self) -> str:
        if self._process.ended:
            await self._process.wait(_LAST_WORDS)
        said = self._clean(_telling(self._process.stderr))
        if not said and self._garbage:
            said = f"it writes text to stdout, as {self._clean(self._garbage)!r}"
        how = f" ({self._process.ending})" if self._process.ending else ""
        return f"{how}: {said}" if said else how

    async def _speak(
        self,
        outbox: MemoryObjectReceiveStream[SessionMessage],
        inbox: MemoryObjectSendStream[SessionMessage | Exception],
    ) -> None:
        async for item in outbox:
            message = item.message
            try:
                line = message.model_dump_json(by_alias=True, exclude_unset=True).encode()
            except ValueError:
                # One call's business: the others go on.
                if isinstance(message, mcp_types.JSONRPCRequest):
                    await inbox.send(
                        self._failed(message.id, "cannot be sent this: it cannot be written as JSON")
                    )
                continue
            if isinstance(message, mcp_types.JSONRPCRequest):
                self._waiting.add(message.id)
            self._process.write(line + b"\n")

    async def _listen(
        self, inbox: MemoryObjectSendStream[SessionMessage | Exception], on_end: Callable[[], None]
    ) -> None:
        lines = Lines(limits.TOOL_MESSAGE)
        async with inbox:
            # A session that is over has closed its end, and the server is about to be ended.
            with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                while data := await self._process.read():
                    for line in lines.feed(data):
                        for message in self._read(line):
                            await inbox.send(message)
                on_end()

    def _read(self, line: bytes | TooLong) -> list[SessionMessage]:
        if isinstance(line, TooLong):
            most = f"{limits.TOOL_MESSAGE >> 20} MiB is the most"
            words = f"sent a message of {line.size / (1 << 20):.0f} MiB, and {most}"
            found = answered(line)
            # Where it cannot be told whose answer it was, nobody may wait for it for ever.
            return [
                self._failed(each, words) for each in ({found} if found is not None else set(self._waiting))
            ]
        if not line.strip():
            return []
        try:
            message = parsed(line)
        except ValueError:
            found = answered(line)
            if found in self._waiting and found is not None:
                return [self._failed(found, "sent an answer that is not valid JSON-RPC")]
            self._garbage = self._garbage or line[:400].decode("utf-8", "replace")
            return []
        if isinstance(message, mcp_types.JSONRPCResponse | mcp_types.JSONRPCError) and message.id is not None:
            self._waiting.discard(message.id)
        return [SessionMessage(message)]

    def _failed(self, request: int | str, words: str) -> SessionMessage:
        self._waiting.discard(request)
        # An object of ours, which no server can send.
        ours = ToolServerError(f"the MCP server {self._server} {words}", server=self._server)
        error = mcp_types.ErrorData(code=mcp_types.INTERNAL_ERROR, message=words, data=ours)
        return SessionMessage(mcp_types.JSONRPCError(jsonrpc="2.0", id=request, error=error))

    def _clean(self, words: str) -> str:
        return clean(words, self._secrets, _LONGEST_WORDS)


def _telling(stderr: str) -> str:
    """The line that most likely tells why a program ended: the last that speaks of an error, else the last."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if _TELLS.search(line)), lines[-1] if lines else "")
