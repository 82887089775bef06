"""The room where a model's tool calls are approved, run and answered until it is done; no terminal is known here."""

from provider_core.tools._arguments import mismatch
from provider_core.tools._functions import FunctionTools
from provider_core.tools._loop import agent
from provider_core.tools._types import (
    AgentEvent,
    Approval,
    Approve,
    ApproveWith,
    Decision,
    Limits,
    PlannedCall,
    Refuse,
    Report,
    RequestStarted,
    ToolAnnotations,
    Toolbox,
    ToolEnded,
    ToolEvent,
    ToolProgress,
    ToolResult,
    ToolSpec,
    ToolStarted,
)

__all__ = [
    "AgentEvent",
    "Approval",
    "Approve",
    "ApproveWith",
    "Decision",
    "FunctionTools",
    "Limits",
    "PlannedCall",
    "Refuse",
    "Report",
    "RequestStarted",
    "ToolAnnotations",
    "ToolEnded",
    "ToolEvent",
    "ToolProgress",
    "ToolResult",
    "ToolSpec",
    "ToolStarted",
    "Toolbox",
    "agent",
    "mismatch",
]
