"""How far a server has come, and how long that took; nothing is measured here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from provider_core.errors import ToolServerError
    from provider_core.settings.mcp import McpServer

__all__ = ["STEPS", "Failure", "Step", "StepName"]

StepName: TypeAlias = Literal["start", "handshake", "tools"]

STEPS: tuple[StepName, ...] = ("start", "handshake", "tools")
"""A process is started (over HTTP there is none), both sides agree on a protocol, the tools are listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step that was done, in so many seconds."""

    name: StepName
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A server that cannot be used, and why. ``stderr`` is the last of what its process wrote there, made safe."""

    server: McpServer
    error: ToolServerError
    steps: tuple[Step, ...] = ()
    stderr: str = field(default="", repr=False)
