"""``telex mcp list``, ``test`` and ``tools``: list servers, and start them to list their tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from provider_core.structs import replace
from telex.app import pass_app
from telex.exit_codes import ExitCode, Stop
from telex.main import Command
from telex.options import Name, Number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rich.text import Text

    from provider_core.events import ToolSpec
    from provider_core.settings.mcp import McpServer
    from provider_core.tools.mcp import FailedServer, McpServers, McpToolbox
    from telex.app import App
    from telex.console import Console

_EXITS = (ExitCode.SETTINGS, ExitCode.KEY, ExitCode.PROVIDER, ExitCode.NETWORK)
_MEANINGS = {ExitCode.KEY: "a secret is missing or refused", ExitCode.PROVIDER: "the MCP server failed"}
_STEPS = ("start", "handshake", "tools")

_NARROWEST = 16
"""Narrower descriptions are omitted."""
_LINES = 8
"""The last lines of a log to show."""


@click.command(
    cls=Command,
    name="list",
    examples=("telex mcp list", "telex mcp list --json | jq -r '.[].name'"),
    exits=(ExitCode.SETTINGS,),
)
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects.")
@pass_app
def list_(app: App, *, as_json: bool) -> None:
    """List the MCP servers that are set up.

    In a pipe, each line has NAME, PLACE (command or address), SECRETS (their names, and where they are looked up),
    ALLOWED (tools that run without approval) and STATE (on, off or invalid), separated by tabs.
    """
    from provider_core.settings.mcp import secret_references
    from telex.render import tables

    servers = list(app.runtime.settings.mcp.values())
    wrong = app.runtime.settings.invalid_entries("mcp")
    if as_json:
        objects: list[dict[str, Any]] = [
            {
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
            for server in servers
        ]
        objects += [{"name": name, "enabled": False, "error": words} for name, words in wrong.items()]
        app.console.json(objects)
        return
    rows = []
    for server in servers:
        secrets = ", ".join(f"{name} = {wanted}" for name, wanted in secret_references(server).items())
        state = "on" if server.enabled else "off"
        rows.append((server.name, server.place, secrets, ", ".join(server.allow), state))
    rows += [(name, "", "", "", "invalid") for name in wrong]
    tables.rows(app.console, ("NAME", "PLACE", "SECRETS", "ALLOWED", "STATE"), rows)
    if not servers and not wrong:
        app.console.note(
            "No MCP server is set up. Add one: telex mcp add NAME -- COMMAND (see: telex mcp add --help)"
        )


@click.command(
    cls=Command,
    examples=("telex mcp test time", "telex mcp test --json | jq -r '.[] | select(.passed | not).name'"),
    exits=(ExitCode.OTHER, *_EXITS),
    meanings=_MEANINGS,
)
@click.argument("names", metavar="[NAME]...", nargs=-1, type=Name("server"))
@click.option(
    "--timeout",
    type=Number(min=0, min_open=True),
    metavar="SECONDS",
    help="Give up on a start after this many seconds. [default: the server's --start-timeout, or 30]",
)
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects.")
@pass_app
def test(app: App, *, names: tuple[str, ...], timeout: float | None, as_json: bool) -> None:
    """Start MCP servers, list their tools, and time each step.

    Without NAME, tests all enabled servers at once. In a pipe, each line has NAME, passed or failed, the time of each
    step (start, handshake, tools) in milliseconds, the number of tools, and the name that the server reports, separated
    by tabs. The exit code is 0 only if all passed: 4 if a secret is missing or refused, 7 if a server cannot be reached
    or takes too long, 6 for any other failure, and 1 if servers failed in different ways.
    """
    from telex.render import tables

    servers = _wanted(app, names)
    if not names:
        servers = [server for server in servers if server.enabled] or servers
    if timeout is not None:
        servers = [replace(server, start_timeout=timeout) for server in servers]

    def mark(seconds: float | None) -> Text:
        return tables.time_cell(seconds, "…")

    with (
        tables.live_steps(app.console, "SERVER", _STEPS, [server.name for server in servers], mark) as show,
        _started(app, servers, lambda server, step, seconds: show(server.name, step, seconds)) as started,
    ):
        results: dict[str, McpToolbox | FailedServer] = {box.name: box for box in started.toolboxes}
        results |= {failure.server.name: failure for failure in started.failures}
        objects = [_result(results[server.name]) for server in servers]
    if as_json:
        app.console.json(objects)
    elif app.console.out_is_terminal:
        headers = ("SERVER", *map(str.upper, _STEPS), "COUNT", "CALLS ITSELF")
        cells = [_cells(results[each["name"]], each) for each in objects]
        app.console.raw_out(tables.render(app.console, tables.table(headers, cells)))
    else:
        tables.rows(app.console, (), [_line(each) for each in objects])
    codes = []
    for failure in started.failures:
        code, hint = app.advice(failure.error)
        app.console.error(failure.error.message, hint)
        codes.append(code)
        if failure.stderr and not as_json:
            app.console.note("\n".join(f"  | {line}" for line in failure.stderr.splitlines()[-_LINES:]))
    if codes:
        raise Stop(codes[0] if len(set(codes)) == 1 else ExitCode.OTHER)


def _result(found: McpToolbox | FailedServer) -> dict[str, Any]:
    """The object of one server. Times are seconds."""
    from provider_core.tools.mcp import McpToolbox

    steps = {name: round(seconds, 4) for name, seconds in found.steps.items()}
    result: dict[str, Any] = {"name": found.server.name, "passed": isinstance(found, McpToolbox)}
    result |= {"server": None, "protocol": None, "tools": None, "steps": steps, "error": None, "stderr": None}
    if isinstance(found, McpToolbox):
        return result | {
            "server": found.about or None,
            "protocol": found.protocol or None,
            "tools": len(found.tools),
        }
    error = {"type": type(found.error).__name__, "message": found.error.message}
    return result | {"error": error, "stderr": found.stderr or None}


def _cells(found: McpToolbox | FailedServer, result: dict[str, Any]) -> list[str | Text]:
    """A row for a terminal. A step has no time over HTTP ("-"), if it failed ("✗"), or if an earlier one did ("")."""
    from telex.render import tables

    cells: list[str | Text] = [tables.cell(found.server.name, "bold" if result["passed"] else "bold red")]
    sign = "✗"
    for step in _STEPS:
        seconds = found.steps.get(step)  # type: ignore[call-overload]
        if step == "start" and found.server.url:
            cells.append(tables.time_cell(None, "-"))
        else:
            cells.append(tables.time_cell(seconds, sign))
            sign = sign if seconds is not None else ""
    count = result["tools"]
    return [*cells, "" if count is None else str(count), tables.cell(result["server"] or "", "dim")]


def _line(result: dict[str, Any]) -> tuple[str, ...]:
    """A row for a pipe, as the help of ``telex mcp test`` describes it."""
    steps, count = result["steps"], result["tools"]
    times = (f"{steps[step] * 1000:.0f}" if step in steps else "" for step in _STEPS)
    passed = "passed" if result["passed"] else "failed"
    return result["name"], passed, *times, "" if count is None else str(count), result["server"] or ""


@click.command(
    cls=Command,
    examples=("telex mcp tools time", "telex mcp tools time --json | jq '.[0].schema'"),
    exits=_EXITS,
    meanings=_MEANINGS,
)
@click.argument("name", type=Name("server"))
@click.option(
    "--json", "as_json", is_flag=True, help="Print a list of JSON objects, with the schema of each tool."
)
@pass_app
def tools(app: App, *, name: str, as_json: bool) -> None:
    """Start an MCP server and list its tools.

    In a pipe, each line has TOOL, HINT, ASKS (yes or no: whether telex asks for approval before the tool runs) and
    DESCRIPTION, separated by tabs. The hint (reads, writes, destroys) is what the server claims; it is not verified and
    has no effect.
    """
    from telex.render import tables

    (server,) = _wanted(app, (name,))
    with _started(app, [server], lambda *_: None) as started:
        for failure in started.failures:
            raise failure.error
        offered = started.toolboxes[0].tools
    rows = [
        (
            each.tool.name,
            _hint(each),
            "no" if server.allows(each.tool.name) else "yes",
            " ".join(each.tool.description.split()),
        )
        for each in offered
    ]
    if as_json:
        app.console.json([_tool(server, each) for each in offered])
    elif not offered:
        app.console.note(f"{name} has no tools.")
    elif app.console.out_is_terminal:
        app.console.raw_out(_table(app.console, rows))
    else:
        tables.rows(app.console, (), rows)


def _hint(offered: ToolSpec) -> str:
    """The server's claim about the tool, in a word; "" if it makes none."""
    hints = offered.annotations
    if hints.read_only:
        return "reads"
    return "destroys" if hints.destructive else "" if hints.read_only is None else "writes"


def _table(console: Console, rows: Sequence[tuple[str, ...]]) -> str:
    """The tools for a terminal: a line for each, with as much of its description as fits."""
    from telex.render import tables

    headers = ("TOOL", "HINT", "ASKS", "DESCRIPTION")
    columns = list(zip(headers, *rows, strict=True))
    left = console.width() - sum(max(map(len, column)) + 2 for column in columns[:3])
    shown = 4 if left >= _NARROWEST else 3
    lines = [
        [
            tables.cell(name, "bold"),
            tables.cell(hint, {"reads": "green", "destroys": "red"}.get(hint, "")),
            tables.cell(asks, "dim" if asks == "yes" else "yellow"),
            tables.cell(words if len(words) <= left else f"{words[: left - 1].rstrip()}…"),
        ][:shown]
        for name, hint, asks, words in rows
    ]
    return tables.render(console, tables.table(headers[:shown], lines))


def _tool(server: McpServer, offered: ToolSpec) -> dict[str, Any]:
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


def _wanted(app: App, names: Iterable[str]) -> list[McpServer]:
    from provider_core.errors import UnknownToolServerError

    known = app.runtime.settings.mcp
    wanted = [app.runtime.settings.mcp_server(name) for name in dict.fromkeys(names)] or list(known.values())
    if not wanted:
        raise UnknownToolServerError("no MCP server is set up")
    return wanted


def _started(
    app: App, servers: Iterable[McpServer], on_step: Callable[[McpServer, str, float], None]
) -> McpServers:
    from provider_core.tools.mcp import McpServers

    return McpServers(
        servers,
        environ=app.runtime.environ,
        store=app.runtime.key_store,
        excluded_env={name for provider in app.runtime.providers.values() for name in provider.key_env},
        on_step=on_step,
    )
