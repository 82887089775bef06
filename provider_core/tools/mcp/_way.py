"""What a session needs of the way to its server, be it pipes or HTTP; neither is known here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from mcp.client._transport import TransportStreams

    from provider_core.errors import ToolServerError

__all__ = ["Way"]


class Way(Protocol):
    """The way to one server."""

    def streams(self, on_end: Callable[[], None]) -> AbstractAsyncContextManager[TransportStreams]:
        """The two streams of a session; of another one each time. ``on_end`` is called when the server is gone."""

    def failure(self, data: object) -> ToolServerError | None:
        """The error that this side has put, with ``data`` as its mark, where a result was due; None for another's."""

    async def ending(self) -> str:
        """What a sentence goes on with that says the server is gone: how it ended and its last words, or ""."""
