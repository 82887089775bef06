"""Tools in a chat: which servers run, who approves their calls, and how a loop of requests becomes one answer.

What a loop is, and what a server, is ``provider_core.tools``' business; how calls look is ``render.calls``'.
"""

from telex.tools.running import ask_with_tools
from telex.tools.servers import Toolset

__all__ = ["Toolset", "ask_with_tools"]
