"""Messages over a process's stdin and stdout, as the protocol's sessions take them; what they say is not read here."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import (
    INTERNAL_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)

from provider_core.tools.mcp._lines import Lines, TooLong, answered

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from mcp.client._transport import TransportStreams

    from provider_core.tools.mcp._process import Process

__all__ = ["LONGEST_MESSAGE", "NO_RESULT", "connected"]

LONGEST_MESSAGE = 16 << 20
"""Bytes of one message: images come in base64, and beyond this it is a flood."""

NO_RESULT = object()
"""Marks an error that is ours: no server can send this object."""


@contextlib.asynccontextmanager
async def connected(
    process: Process, on_garbage: Callable[[str], None], on_end: Callable[[], None]
) -> AsyncGenerator[TransportStreams]:
    """The two streams of a session over ``process``; the incoming one ends with the process, and ``on_end`` is called.

    ``on_garbage`` is told each line of stdout that is no message. An answer that is too long, or that is none,
    becomes an error for the request it belongs to, whose ``data`` is ``NO_RESULT``.
    """
    inbox, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, outbox = anyio.create_memory_object_stream[SessionMessage](0)
    waiting: set[int | str] = set()
    async with inbox, incoming, outgoing, outbox, anyio.create_task_group() as tasks:
        tasks.start_soon(_listen, process, inbox, waiting, on_garbage, on_end)
        tasks.start_soon(_speak, process, outbox, waiting)
        try:
            yield incoming, outgoing
        finally:
            tasks.cancel_scope.cancel()


async def _speak(
    process: Process, outbox: MemoryObjectReceiveStream[SessionMessage], waiting: set[int | str]
) -> None:
    async for item in outbox:
        message = item.message
        if isinstance(message, JSONRPCRequest):
            waiting.add(message.id)
        process.write(message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")


async def _listen(
    process: Process,
    inbox: MemoryObjectSendStream[SessionMessage | Exception],
    waiting: set[int | str],
    on_garbage: Callable[[str], None],
    on_end: Callable[[], None],
) -> None:
    lines = Lines(LONGEST_MESSAGE)
    async with inbox:
        # A session that is over has closed its end, and the server is about to be ended.
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            while data := await process.read():
                for line in lines.feed(data):
                    for message in _read(line, waiting, on_garbage):
                        await inbox.send(message)
            on_end()


def _read(
    line: bytes | TooLong, waiting: set[int | str], on_garbage: Callable[[str], None]
) -> list[SessionMessage]:
    if isinstance(line, TooLong):
        words = f"sent a message of {line.size / 1e6:.0f} MB, and {LONGEST_MESSAGE / 1e6:.0f} MB is the most"
        found = answered(line)
        # Where it cannot be told whose answer it was, nobody may wait for it for ever.
        return [_failed(each, words) for each in ({found} if found is not None else set(waiting)) & waiting]
    if not line.strip():
        return []
    try:
        message = jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValueError:
        found = answered(line)
        if found is not None and found in waiting:
            waiting.discard(found)
            return [_failed(found, "sent an answer that is no JSON-RPC")]
        on_garbage(line[:400].decode("utf-8", "replace"))
        return []
    if isinstance(message, JSONRPCResponse | JSONRPCError) and message.id is not None:
        waiting.discard(message.id)
    return [SessionMessage(message)]


def _failed(request: int | str, words: str) -> SessionMessage:
    error = ErrorData(code=INTERNAL_ERROR, message=words, data=NO_RESULT)
    return SessionMessage(JSONRPCError(jsonrpc="2.0", id=request, error=error))
