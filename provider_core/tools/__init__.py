"""The room where a model's tool calls are approved, run and answered until it is done; no terminal is known here."""

from provider_core.tools._arguments import mismatch
from provider_core.tools._functions import FunctionTools
from provider_core.tools._loop import agent
from provider_core.tools._types import (
    AgentEvent,
    Approval,
    Approve,
    ApproveWith,
    Asking,
    Decision,
    Hints,
    Limits,
    Offered,
    PlannedCall,
    Refuse,
    Report,
    Toolbox,
    ToolEnded,
    ToolEvent,
    ToolProgress,
    ToolResult,
    ToolStarted,
)

__all__ = [
    "AgentEvent",
    "Approval",
    "Approve",
    "ApproveWith",
    "Asking",
    "Decision",
    "FunctionTools",
    "Hints",
    "Limits",
    "Offered",
    "PlannedCall",
    "Refuse",
    "Report",
    "ToolEnded",
    "ToolEvent",
    "ToolProgress",
    "ToolResult",
    "ToolStarted",
    "Toolbox",
    "agent",
    "mismatch",
]
