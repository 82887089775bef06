"""The tools of a chat: the MCP servers that run, and the approval of calls by settings, options or the user."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import threading
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Self

import click

from provider_core.errors import InvalidInputError, ToolRefusedError, UnknownToolServerError
from provider_core.events import Approve, ApproveWith, Refuse
from provider_core.structs import replace
from provider_core.tools.schemas import mismatch
from telex.console import as_json
from telex.humanize import plural
from telex.render import messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from provider_core.events import Decision, PlannedCall, ToolSpec
    from provider_core.settings.mcp import McpServer
    from provider_core.tools.mcp import McpToolbox
    from provider_core.types import Target
    from telex.app import App
    from telex.console import Console

_CHOICES = "[y]es, [n]o, [a]lways for this tool, [e]dit, [v]iew all"
_EXPLAINED = """\
y  run the tool
n  refuse; text after the n is sent to the model
a  run the tool, and allow it from now on
e  edit the arguments in your editor
v  show the arguments in full
"""

_POLL = 0.2
"""Seconds between two looks whether a signal has arrived."""


def matches(server: str, tool: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern matches the tool: ``server/tool``, or the tool's name alone for every server."""
    return any(fnmatchcase(f"{server}/{tool}" if "/" in pattern else tool, pattern) for pattern in patterns)


class ApprovalPolicy:
    """Tools that run without a question: by ``--allow``, by the settings of an alias or a server, or by "always".

    ``narrowed``, a project's patterns, limits what the settings allow: also ``allow`` if it is that of an alias.
    """

    def __init__(
        self, allow: Sequence[str] = (), *, of_alias: bool = False, narrowed: Sequence[str] | None = None
    ) -> None:
        self.allow = tuple(allow)
        self._of_alias = of_alias
        self._narrowed = narrowed
        self._always: dict[tuple[str, str], ToolSpec] = {}

    def allows(self, call: PlannedCall) -> bool:
        server, tool = call.toolbox.name, call.spec.tool.name
        # The patterns in the settings are for that server's own tools.
        own = getattr(call.toolbox, "server", None)
        return (
            self._always.get((server, tool)) == call.spec
            or (matches(server, tool, self.allow) and (not self._of_alias or self._in_project(server, tool)))
            or (own is not None and own.allows(tool) and self._in_project(server, tool))
        )

    def _in_project(self, server: str, tool: str) -> bool:
        return self._narrowed is None or matches(server, tool, self._narrowed)

    def always(self, call: PlannedCall) -> None:
        """Allow the tool from now on, unless its server changes its description or schema."""
        self._always[call.toolbox.name, call.spec.tool.name] = call.spec

    def has_changed(self, call: PlannedCall) -> bool:
        """Whether the user has allowed a tool of this name, and it was another one."""
        return self._always.get((call.toolbox.name, call.spec.tool.name), call.spec) != call.spec


class ToolServers:
    """A context in which the servers run. ``names`` are those of ``--tools``; "all" is every enabled server.

    Entering raises ``UnknownToolServerError`` for an unknown name, and if no server starts, the error of the first.
    If only some servers start, the others are reported on stderr. ``allow`` is the command line's unless ``of_alias``.
    """

    def __init__(
        self, app: App, names: Sequence[str], *, allow: Sequence[str] = (), of_alias: bool = False
    ) -> None:
        self._app = app
        self._names = names
        project = app.runtime.settings.project
        self.policy = ApprovalPolicy(
            allow, of_alias=of_alias, narrowed=project.allow if project is not None else None
        )
        self._running: dict[str, McpToolbox] = {}
        self._turned_off: set[str] = set()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._start(self._chosen(self._names))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def toolboxes(self) -> tuple[McpToolbox, ...]:
        """The servers whose tools are offered, also those that have ended."""
        return tuple(box for name, box in self._running.items() if name not in self._turned_off)

    def turn_on(self, *names: str) -> None:
        """Offer the tools of these servers too. Those that do not run, or have ended, are started, as on entering."""
        chosen = self._chosen(names)
        self._turned_off.difference_update(server.name for server in chosen)
        working = {name for name, box in self._running.items() if box.failure is None}
        if missing := [server for server in chosen if server.name not in working]:
            self._start(missing)

    def turn_off(self, name: str) -> None:
        """Offer the tools of a server no longer; it runs on until the end."""
        self._turned_off.add(name)

    def _start(self, chosen: Sequence[McpServer]) -> None:
        from provider_core.tools.mcp import McpServers
        from telex.render.text import Spinner

        console, runtime = self._app.console, self._app.runtime
        spinner = Spinner(console)
        spinner.label = f"starting {', '.join(server.name for server in chosen)}"
        try:
            servers = self._stack.enter_context(
                McpServers(
                    chosen,
                    environ=runtime.environ,
                    store=runtime.key_store,
                    excluded_env={name for each in runtime.providers.values() for name in each.key_env},
                )
            )
        finally:
            spinner.stop()
        failures = servers.failures
        if failures and not servers.toolboxes:
            if not self._running:
                self._stack.close()
            for failure in failures[1:]:
                console.error(failure.error.message, self._app.hint(failure.error))
            raise failures[0].error
        for failure in failures:
            console.note(f"{failure.error.message}; continuing without it.")
            for line in (self._app.hint(failure.error) or "").splitlines():
                console.note(f"  {line}")
        self._running |= {box.name: box for box in servers.toolboxes}
        for box in servers.toolboxes:
            if not box.tools:
                console.note(f"The MCP server {box.name} has no tools.")
        tools = [(box.name, offered.tool.name) for box in self.toolboxes for offered in box.tools]
        for pattern in dict.fromkeys(self.policy.allow):
            if not failures and not any(matches(server, tool, (pattern,)) for server, tool in tools):
                console.note(f"--allow {pattern} matches no tool.")

    def _chosen(self, given: Sequence[str]) -> tuple[McpServer, ...]:
        settings = self._app.runtime.settings
        names = [name.strip() for each in given for name in each.split(",") if name.strip()]
        if not names:
            raise InvalidInputError("--tools is empty; name MCP servers, or use all")
        chosen: dict[str, McpServer] = {}
        for name in names:
            if name == "all" and "all" not in settings.mcp:
                chosen |= {server.name: server for server in settings.mcp.values() if server.enabled}
            else:
                server = settings.mcp_server(name)
                chosen[server.name] = server
        if not chosen:
            none = "all MCP servers are disabled" if settings.mcp else "no MCP server is set up"
            raise UnknownToolServerError(none)
        return tuple(chosen.values())


class Approver:
    """Decides about tool calls and about more turns. ``pause`` prepares the screen for a question."""

    def __init__(
        self, app: App, prompt: TerminalPrompt, policy: ApprovalPolicy, *, pause: Callable[[], None]
    ) -> None:
        self._app = app
        self._prompt = prompt
        self._policy = policy
        self._pause = pause

    def approve(self, call: PlannedCall) -> Decision:
        """Raises ``ToolRefusedError`` for a call that nothing allows if there is no terminal to ask for approval."""
        if self._policy.allows(call):
            return Approve()
        if not self._prompt.is_available:
            raise ToolRefusedError(
                f"{call.name} did not run: --allow does not match it, and there is no terminal to ask for approval",
                names=(call.name,),
                code="not_allowed",
            )
        self._pause()
        if self._policy.has_changed(call):
            self._app.console.err(messages.changed_tool(call))
        return self._ask(call)

    def more_turns(self, target: Target, turns: int) -> int:
        """How many more requests the user allows after so many turns; 0 without a terminal."""
        if not self._prompt.is_available:
            return 0
        self._pause()
        question = (
            f"{target} still calls tools after {plural(turns, 'request')}. How many more (Enter for none)? "
        )
        while typed := self._prompt.ask(question):
            if typed.isascii() and typed.isdecimal():
                return int(typed[:9])
        return 0

    def _ask(self, call: PlannedCall) -> Decision:
        """Ask until the user has decided; the arguments may change meanwhile."""
        console, edited, draft = self._app.console, call, None
        console.err(messages.planned_call(call, width=console.width(), whole=False))
        words = f"Run it? {_CHOICES}: "
        if len(words) >= console.width():
            words = "Run it? y, n, a, e, v (? explains): "
        while (typed := self._prompt.ask(words)) is not None:
            word, _, rest = typed.partition(" ")
            # Only whole words: a sentence that begins with an "a" does not allow everything.
            match word.lower().rstrip(":,."), rest.strip():
                case "y" | "yes" | "a" | "always" as decided, "":
                    if decided[0] == "a":
                        self._policy.always(call)
                    same = edited.arguments == call.arguments
                    return Approve() if same else ApproveWith(arguments=edited.arguments)
                case "n" | "no", reason:
                    reason = reason or self._prompt.ask("Reason to give the model (Enter for none): ") or ""
                    return Refuse(reason=reason)
                case "e" | "edit", "":
                    edited, draft = self._edit(edited, draft)
                case "v" | "view", "":
                    console.err(messages.planned_call(edited, width=console.width(), whole=True))
                case _:
                    console.err(_EXPLAINED)
        return Refuse()

    def _edit(self, call: PlannedCall, draft: str | None) -> tuple[PlannedCall, str | None]:
        """The call as the user edited it and then shown again, and the text if it could not be used."""
        from telex.editor import edit_text

        console = self._app.console
        text = draft or as_json(dict(call.arguments), indent=2).rstrip("\n")
        try:
            text = edit_text(self._app, text, suffix=".json", terminal=self._prompt.terminal)
        except click.ClickException as error:
            console.error(error.format_message())
            return call, draft
        problem = None
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            problem = f"that is not valid JSON: {error}"
        else:
            if not isinstance(found, dict):
                problem = "arguments are a JSON object"
            elif why := mismatch(found, call.spec.tool.schema):
                problem = f"that does not match the tool's schema: {why}"
        if problem is not None:
            console.error(problem, "Edit them again (e) to fix them.")
            return call, text
        call = replace(call, arguments=found)
        console.err(messages.planned_call(call, width=console.width(), whole=False))
        return call, None


class TerminalPrompt:
    """Asks on stderr and reads lines from the terminal, also where stdin is a pipe.

    ``terminal`` is the terminal's descriptor; None if there is none.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._opened: int | None = None
        self.terminal: int | None = None
        if console.err_is_terminal:
            if console.stdin_is_terminal():
                self.terminal = sys.stdin.fileno()
            else:
                flags = os.O_RDWR | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_CLOEXEC", 0)
                with contextlib.suppress(OSError):
                    self.terminal = self._opened = os.open("/dev/tty", flags)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._opened is not None:
            with contextlib.suppress(OSError):
                os.close(self._opened)
            self._opened = self.terminal = None

    @property
    def is_available(self) -> bool:
        """Whether this job is in the foreground of a terminal; in the background, reading would stop it."""
        return self.terminal is not None and _in_foreground(self.terminal)

    def ask(self, question: str) -> str | None:
        """The typed line, stripped; None at the end of input, and without a terminal."""
        if self.terminal is None or not self.is_available:
            return None
        _discard_input(self.terminal)  # what was typed before the question is not an answer to it
        line = b""
        try:
            with _on_continue(lambda: self._console.err(question) if self.is_available else None):
                line = self._read_line(self.terminal, question)
        finally:
            if not line.endswith(b"\n"):
                self._console.err("\n")
        return line.decode("utf-8", "replace").strip() if line else None

    def _read_line(self, terminal: int, question: str) -> bytes:
        self._console.err(question)
        line = b""
        with contextlib.suppress(OSError):  # the terminal hung up
            while not line.endswith(b"\n"):
                # With a timeout, because a signal that another thread receives does not interrupt this one.
                while sys.platform != "win32" and not select.select([terminal], [], [], _POLL)[0]:
                    pass
                part = os.read(terminal, 4096)
                if not part:
                    break
                line += part
        return line


def _in_foreground(terminal: int) -> bool:
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            return os.tcgetpgrp(terminal) == os.getpgrp()
    return True  # not the controlling terminal of this job, which is never stopped for reading it


@contextlib.contextmanager
def _on_continue(call: Callable[[], object]) -> Iterator[None]:
    """Call ``call`` when the process continues after Ctrl-Z, whose shell has written over the screen."""
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGCONT, lambda *_: call())
    try:
        yield
    finally:
        signal.signal(signal.SIGCONT, before)


def _discard_input(terminal: int) -> None:
    if sys.platform != "win32":
        import termios

        with contextlib.suppress(termios.error, OSError, ValueError):
            termios.tcflush(terminal, termios.TCIFLUSH)
