"""Tools in a chat: which servers run, who approves their calls, and how a loop of requests becomes one answer.

What a loop is, and what a server, is ``provider_core.tools``' business; how calls look is ``render.calls``'.
"""

from telex.tools.approval import Approver
from telex.tools.running import Toolset, ask_with_tools

__all__ = ["Approver", "Toolset", "ask_with_tools"]
