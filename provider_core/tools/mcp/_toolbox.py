"""The tools of one MCP server that runs, as the tool loop takes them; it is neither started nor ended here."""

from __future__ import annotations

import concurrent.futures
import contextlib
from typing import TYPE_CHECKING

from provider_core.errors import ToolServerError
from provider_core.events import ToolLimits
from provider_core.redaction import printable

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from provider_core.events import ReportProgress, ToolResult, ToolSpec
    from provider_core.settings.mcp import McpServer
    from provider_core.tools.mcp._background import Background
    from provider_core.tools.mcp._session import Session
    from provider_core.tools.mcp._steps import Step
    from provider_core.types import Json

__all__ = ["McpToolbox"]

_LOOK = 0.1
"""Seconds between two looks at whether a call is still wanted."""

_LONGEST_NAME = 100


class McpToolbox:
    """A ``Toolbox``, with what else is known of its server."""

    reports_progress = True

    def __init__(self, session: Session, background: Background, steps: tuple[Step, ...]) -> None:
        self._session = session
        self._background = background
        self.steps = steps
        """What starting it took."""

    @property
    def name(self) -> str:
        return self._session.server.name

    @property
    def server(self) -> McpServer:
        """What the settings say of it; ``allow`` is for whoever approves."""
        return self._session.server

    @property
    def about(self) -> str:
        """Name and version that the server gives itself; "" where it gives none."""
        about = self._session.about
        return printable(f"{about.name} {about.version}".strip(), _LONGEST_NAME) if about is not None else ""

    @property
    def protocol(self) -> str:
        """The revision of the protocol that was agreed on."""
        return self._session.protocol

    @property
    def failure(self) -> ToolServerError | None:
        """Why the server can no longer be used; None while it can."""
        return self._session.failure

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        """What it offers now: asked anew where it has said that this has changed, none once it has ended."""
        if self._session.worn:
            with contextlib.suppress(Exception):  # what was known before is still something
                self._background.submit(self._session.list()).result(self.server.start_timeout)
        return self._session.tools

    @property
    def limits(self) -> ToolLimits:
        """``seconds`` is for a call that reports progress; without, a call ends after the server's ``call_timeout``."""
        return ToolLimits(seconds=self.server.call_total, size=self.server.max_result)

    def run(
        self,
        name: str,
        arguments: Mapping[str, Json],
        *,
        stop: threading.Event,
        report: ReportProgress | None = None,
    ) -> ToolResult:
        """Call the tool and wait; raises ``ToolError``. A call that is given up is cancelled at the server too."""
        try:
            future = self._background.submit(self._session.call(name, arguments, report))
        except RuntimeError:
            raise self._ended(name) from None
        try:
            while not stop.is_set():
                done, _ = concurrent.futures.wait([future], _LOOK)
                if done:
                    return future.result()
        except concurrent.futures.CancelledError:
            raise self._ended(name) from None
        finally:
            future.cancel()
        raise ToolServerError(f"{self.name}/{name} was given up", server=self.name, tool=name)

    def _ended(self, tool: str) -> ToolServerError:
        return ToolServerError(f"the MCP server {self.name} has ended", server=self.name, tool=tool)
