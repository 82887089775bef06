"""The MCP servers of one command, from their start to their end; what is asked of their tools is not known here."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Self

from provider_core.errors import InvalidInputError, UnknownToolServerError
from provider_core.settings.mcp import find_server
from provider_core.tools.mcp import McpServers
from telex.ask import hint
from telex.chat.approval import ApprovalPolicy, allowed
from telex.render.calls import without_proxies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provider_core.events import Toolbox
    from provider_core.settings.mcp import McpServer
    from provider_core.types import Request
    from telex.app import App

__all__ = ["ToolServers"]


class ToolServers:
    """Servers by their names, or "all" that are enabled; and what was said of the use of their tools.

    Entering starts them. It raises ``UnknownToolServerError`` for a name that no server has, and the error of the
    first server where none of them works; those that do not, beside others that do, are told of on stderr.
    """

    def __init__(
        self,
        app: App,
        names: Sequence[str],
        *,
        choice: str | None = None,
        max_turns: int = 10,
        allow: Sequence[str] = (),
    ) -> None:
        self._app = app
        self._names = names
        self.choice = choice
        self.max_turns = max_turns
        self._allow = tuple(allow)
        self.standing = ApprovalPolicy(self._allow)
        """What is approved of without asking, for as long as the command lasts."""
        self.toolboxes: Sequence[Toolbox] = ()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        from telex.render.text import Spinner

        chosen = self._chosen()
        spinner = Spinner(self._app.console, f"starting {', '.join(server.name for server in chosen)}")
        try:
            servers = self._stack.enter_context(
                McpServers(
                    chosen,
                    environ=self._app.runtime.environ,
                    store=self._app.runtime.key_store,
                    excluded_env={
                        name for each in self._app.runtime.providers.values() for name in each.key_env
                    },
                )
            )
        finally:
            spinner.stop()
        console, failures = self._app.console, servers.failures
        if failures and not servers.toolboxes:
            self._stack.close()
            for failure in failures[1:]:
                console.note(f"{failure.error.message}.")
            raise failures[0].error
        for failure in failures:
            console.note(f"{failure.error.message}; continuing without it.")
            for line in (hint(self._app, failure.error) or "").splitlines():
                console.note(f"  {line}")
        for name, variables in servers.without_proxies.items():
            console.note(without_proxies(name, variables))
        self.toolboxes = servers.toolboxes
        for box in self.toolboxes:
            if not box.tools:
                console.note(f"The MCP server {box.name} has no tools.")
        if not failures:
            self._say_unmatched()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def first_request(self, request: Request) -> Request:
        """The first request of the loop, which is not sent; raises ``UnknownToolError``."""
        from provider_core.tools.loop import ToolLoop

        return ToolLoop(self.toolboxes, None, self.choice, lambda _: None).offer(request)

    def _chosen(self) -> tuple[McpServer, ...]:
        known = self._app.runtime.settings.mcp
        given = (name.strip() for each in self._names for name in each.split(","))
        names = list(dict.fromkeys(name for name in given if name))
        if not names:
            raise InvalidInputError("--tools names no server")
        chosen: dict[str, McpServer] = {}
        for name in names:
            if name == "all" and "all" not in known:
                chosen |= {server.name: server for server in known.values() if server.enabled}
            else:
                server = find_server(self._app.runtime.settings, name)
                chosen[server.name] = server
        if not chosen:
            off = "all MCP servers are disabled" if known else "no MCP server is set up"
            raise UnknownToolServerError(off)
        return tuple(chosen.values())

    def _say_unmatched(self) -> None:
        """Tell of patterns that allow nothing: a script would learn of a slip only by being refused."""
        names = [(box.name, offered.tool.name) for box in self.toolboxes for offered in box.tools]
        for pattern in dict.fromkeys(self._allow):
            if not any(allowed(server, tool, (pattern,)) for server, tool in names):
                self._app.console.note(f"--allow {pattern} matches no tool.")
