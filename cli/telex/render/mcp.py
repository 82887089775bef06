"""MCP servers, their tools, and the results of ``telex mcp test``, as rows, tables and JSON."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from provider_core.structs import Struct
from telex.render import tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.text import Text

    from provider_core.events import ToolSpec
    from provider_core.settings.mcp import McpServer
    from provider_core.tools.mcp import FailedServer, McpServers, StartupStep
    from telex.console import Console

HEADERS = ("NAME", "PLACE", "SECRETS", "ALLOWED", "STATE")
TOOL_HEADERS = ("TOOL", "HINT", "ASKS", "DESCRIPTION")

_STEPS = ("start", "handshake", "tools")
_NARROWEST = 16
"""Narrower descriptions are omitted."""

_LINES = 8
"""The last lines of a log to show."""


# --- servers ---------------------------------------------------------------------------------------------


def row(server: McpServer) -> tuple[str, ...]:
    from provider_core.settings.mcp import secret_references

    secrets = (f"{name} = {wanted}" for name, wanted in secret_references(server).items())
    return (
        server.name,
        server.place,
        ", ".join(secrets),
        ", ".join(server.allow),
        "on" if server.enabled else "off",
    )


def as_json(server: McpServer) -> dict[str, Any]:
    """The object of one server. Values of variables and headers are not in it."""
    from provider_core.settings.mcp import secret_references

    return {
        "name": server.name,
        "command": list(server.command) or None,
        "url": server.url or None,
        "cwd": str(server.cwd) if server.cwd else None,
        "env": sorted(server.env),
        "headers": sorted(server.headers),
        "secrets": {name: str(wanted) for name, wanted in secret_references(server).items()},
        "enabled": server.enabled,
        "allow": list(server.allow),
        "start_timeout": server.start_timeout,
        "call_timeout": server.call_timeout,
        "max_result": server.max_result,
    }


# --- tests -------------------------------------------------------------------------------------------------


class Report(Struct):
    """The result of starting one server."""

    server: McpServer
    steps: tuple[StartupStep, ...]
    about: str = ""
    protocol: str = ""
    tools: tuple[ToolSpec, ...] = ()
    failure: FailedServer | None = None

    def seconds(self, name: str) -> float | None:
        """The time of a step; None if it was not reached."""
        return next((step.seconds for step in self.steps if step.name == name), None)


def reports(servers: Sequence[McpServer], started: McpServers) -> list[Report]:
    """A report on each, in the order of ``servers``."""
    found = {
        box.name: Report(
            server=box.server, steps=box.steps, about=box.about, protocol=box.protocol, tools=box.tools
        )
        for box in started.toolboxes
    }
    for each in started.failures:
        found[each.server.name] = Report(server=each.server, steps=each.steps, failure=each)
    return [found[server.name] for server in servers]


@contextlib.contextmanager
def live(console: Console, names: Sequence[str]) -> Iterator[Callable[[str, StartupStep], None]]:
    """Yield a callback for each step, for any thread; on a terminal a table on stderr shows the steps meanwhile."""

    def mark(step: StartupStep | None) -> Text:
        return tables.time_cell(None if step is None else step.seconds, "…")

    with tables.live_steps(console, "SERVER", _STEPS, names, mark) as report_step:
        yield lambda name, step: report_step(name, step.name, step)


def report(console: Console, found: Sequence[Report]) -> None:
    """Print a table on a terminal; elsewhere a line for each report, as ``telex mcp test --help`` describes."""
    if not console.out_is_terminal:
        tables.rows(console, (), [_line(each) for each in found])
        return
    lines: list[list[str | Text]] = [
        [
            tables.cell(each.server.name, "bold" if each.failure is None else "bold red"),
            *(tables.time_cell(each.seconds(step), _absent(each, step)) for step in _STEPS),
            str(len(each.tools)) if each.failure is None else "",
            tables.cell(each.about, "dim"),
        ]
        for each in found
    ]
    headers = ("SERVER", *(f"{step.upper()}" for step in _STEPS), "COUNT", "CALLS ITSELF")
    console.raw_out(tables.render(console, tables.table(headers, lines)))


def _absent(each: Report, step: str) -> str:
    """The sign of a step without a time: HTTP has none ("-"), it failed ("✗"), or an earlier one failed ("")."""
    if step == "start" and each.server.url:
        return "-"
    earlier = _STEPS[1 if each.server.url else 0 : _STEPS.index(step)]
    return "✗" if all(each.seconds(name) is not None for name in earlier) else ""


def _line(each: Report) -> tuple[str, ...]:
    times = (each.seconds(step) for step in _STEPS)
    return (
        each.server.name,
        "passed" if each.failure is None else "failed",
        *("" if seconds is None else f"{seconds * 1000:.0f}" for seconds in times),
        str(len(each.tools)) if each.failure is None else "",
        each.about,
    )


def report_as_json(each: Report) -> dict[str, Any]:
    """The object of one report. Times are seconds."""
    error = each.failure.error if each.failure is not None else None
    return {
        "name": each.server.name,
        "passed": error is None,
        "server": each.about or None,
        "protocol": each.protocol or None,
        "tools": len(each.tools) if error is None else None,
        "steps": {step.name: round(step.seconds, 4) for step in each.steps},
        "error": {"type": type(error).__name__, "message": error.message} if error is not None else None,
        "stderr": each.failure.stderr or None if each.failure is not None else None,
    }


def log(stderr: str) -> str:
    """The last lines of what a server wrote to stderr, set off."""
    return "\n".join(f"  | {line}" for line in stderr.splitlines()[-_LINES:])


# --- tools -------------------------------------------------------------------------------------------------


def _hint(offered: ToolSpec) -> str:
    """The server's claim about the tool, in a word; "" if it makes none."""
    hints = offered.annotations
    if hints.read_only is not None:
        if hints.read_only:
            return "reads"
        return "destroys" if hints.destructive else "writes"
    return "destroys" if hints.destructive else ""


def tool_row(server: McpServer, offered: ToolSpec) -> tuple[str, ...]:
    tool = offered.tool
    return (
        tool.name,
        _hint(offered),
        "no" if server.allows(tool.name) else "yes",
        " ".join(tool.description.split()),
    )


def tools(console: Console, server: McpServer, offered: Sequence[ToolSpec]) -> str:
    """The tools for a terminal, as text: a line for each, with as much of its description as fits."""
    cells = [tool_row(server, each) for each in offered]
    columns = list(zip(TOOL_HEADERS, *cells, strict=True))
    left = console.width() - sum(max(map(len, column)) + 2 for column in columns[:3])
    shown = 4 if left >= _NARROWEST else 3
    lines = [
        [
            tables.cell(name, "bold"),
            tables.cell(hint, {"reads": "green", "destroys": "red"}.get(hint, "")),
            tables.cell(asks, "dim" if asks == "yes" else "yellow"),
            tables.cell(words if len(words) <= left else f"{words[: left - 1].rstrip()}…"),
        ][:shown]
        for name, hint, asks, words in cells
    ]
    return tables.render(console, tables.table(TOOL_HEADERS[:shown], lines))


def tool_as_json(server: McpServer, offered: ToolSpec) -> dict[str, Any]:
    hints = offered.annotations
    return {
        "name": offered.tool.name,
        "title": offered.title or None,
        "description": offered.tool.description,
        "hints": {
            "read_only": hints.read_only,
            "destructive": hints.destructive,
            "idempotent": hints.idempotent,
            "open_world": hints.open_world,
        },
        "asks": not server.allows(offered.tool.name),
        "schema": offered.tool.schema,
    }
