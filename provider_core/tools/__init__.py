"""The room where a model's tool calls are approved, run and answered until it is done; no terminal is known here."""

from provider_core.events import (
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
from provider_core.tools._arguments import mismatch
from provider_core.tools._functions import FunctionTools
from provider_core.tools._loop import agent

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
