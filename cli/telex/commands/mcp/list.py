"""``telex mcp list``, ``test`` and ``tools``: list servers, and start them to list their tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from provider_core.structs import replace
from telex.app import pass_app
from telex.exit_codes import ExitCode, Stop
from telex.main import Command
from telex.options import Name, Number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from provider_core.settings.mcp import McpServer
    from provider_core.tools.mcp import McpServers, StartupStep
    from telex.app import App

_EXITS = (ExitCode.SETTINGS, ExitCode.KEY, ExitCode.PROVIDER, ExitCode.NETWORK)
_MEANINGS = {ExitCode.KEY: "a secret is missing or refused", ExitCode.PROVIDER: "the MCP server failed"}


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
    from telex.render import mcp as render
    from telex.render import tables

    servers = list(app.runtime.settings.mcp.values())
    wrong = app.runtime.settings.invalid_entries("mcp")
    if as_json:
        objects = [render.as_json(server) for server in servers]
        objects += [{"name": name, "enabled": False, "error": words} for name, words in wrong.items()]
        app.console.json(objects)
        return
    rows = [render.row(server) for server in servers]
    tables.rows(app.console, render.HEADERS, [*rows, *((name, "", "", "", "invalid") for name in wrong)])
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
    from telex.render import mcp as render

    servers = _wanted(app, names)
    if not names:
        servers = [server for server in servers if server.enabled] or servers
    if timeout is not None:
        servers = [replace(server, start_timeout=timeout) for server in servers]
    with (
        render.live(app.console, [server.name for server in servers]) as on_step,
        _started(app, servers, on_step) as started,
    ):
        reports = render.reports(servers, started)
    if as_json:
        app.console.json([render.report_as_json(each) for each in reports])
    else:
        render.report(app.console, reports)
    from telex.render.messages import withheld_proxies

    for name, variables in started.without_proxies.items():
        app.console.note(withheld_proxies(name, variables))
    codes = []
    for failure in started.failures:
        code, hint = app.advice(failure.error)
        app.console.error(failure.error.message, hint)
        codes.append(code)
        if failure.stderr and not as_json:
            app.console.note(render.log(failure.stderr))
    if codes:
        raise Stop(codes[0] if len(set(codes)) == 1 else ExitCode.OTHER)


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
    from telex.render import mcp as render
    from telex.render import tables

    (server,) = _wanted(app, (name,))
    with _started(app, [server], lambda _name, _step: None) as started:
        for failure in started.failures:
            raise failure.error
        (box,) = started.toolboxes
        offered = box.tools
    if as_json:
        app.console.json([render.tool_as_json(server, each) for each in offered])
        return
    if not offered:
        app.console.note(f"{name} has no tools.")
    elif app.console.out_is_terminal:
        app.console.raw_out(render.tools(app.console, server, offered))
    else:
        tables.rows(app.console, render.TOOL_HEADERS, [render.tool_row(server, each) for each in offered])


def _wanted(app: App, names: Iterable[str]) -> list[McpServer]:
    from provider_core.errors import UnknownToolServerError

    known = app.runtime.settings.mcp
    wanted = [app.runtime.settings.mcp_server(name) for name in dict.fromkeys(names)] or list(known.values())
    if not wanted:
        raise UnknownToolServerError("no MCP server is set up")
    return wanted


def _started(
    app: App, servers: Iterable[McpServer], on_step: Callable[[str, StartupStep], None]
) -> McpServers:
    from provider_core.tools.mcp import McpServers

    return McpServers(
        servers,
        environ=app.runtime.environ,
        store=app.runtime.key_store,
        excluded_env={name for provider in app.runtime.providers.values() for name in provider.key_env},
        on_step=lambda server, step: on_step(server.name, step),
    )
