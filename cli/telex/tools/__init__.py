"""Tools in a chat: which servers run, who approves their calls, and how a loop of requests becomes one answer.

What a loop is, and what a server, is ``provider_core.tools``' business; how calls look is ``render.calls``'.
"""

from telex.chat.mcp_servers import ToolServers
from telex.tools.running import ask_with_tools

__all__ = ["ToolServers", "ask_with_tools"]
