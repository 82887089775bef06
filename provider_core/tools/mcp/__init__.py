"""Tools of MCP servers: the only package that imports the protocol's SDK or anything asynchronous.

Importing it does not import the SDK: starting a server does.
"""

from provider_core.tools.mcp._servers import FailedServer, McpServers, McpToolbox, StartupStep, installed

__all__ = ["FailedServer", "McpServers", "McpToolbox", "StartupStep", "installed"]
