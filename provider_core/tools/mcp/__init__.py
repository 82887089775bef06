"""Tools of the Model Context Protocol's servers: the one room that knows the protocol's SDK, and anything asynchronous.

Importing it imports none of the SDK: that is done when servers are started.
"""

from provider_core.tools.mcp._servers import McpServers, installed
from provider_core.tools.mcp._steps import STEPS, Failure, Step, StepName
from provider_core.tools.mcp._toolbox import McpToolbox

__all__ = ["STEPS", "Failure", "McpServers", "McpToolbox", "Step", "StepName", "installed"]
