"""How far a server has come, and how long that took; nothing is measured here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from provider_core.structs import Struct, field

if TYPE_CHECKING:
    from provider_core.errors import ToolServerError
    from provider_core.settings.mcp import McpServer

__all__ = ["STEPS", "Failure", "Step", "StepName"]

StepName: TypeAlias = Literal["start", "handshake", "tools"]

STEPS: tuple[StepName, ...] = ("start", "handshake", "tools")
"""A process is started (over HTTP there is none), both sides agree on a protocol, the tools are listed."""


class Step(Struct):
    """A step that was done, in so many seconds."""

    name: StepName
    seconds: float


class Failure(Struct):
    """A server that cannot be used, and why. ``stderr`` is the last of what its process wrote there, made safe."""

    server: McpServer
    error: ToolServerError
    steps: tuple[Step, ...] = ()
    stderr: str = field(default="", repr=False)
