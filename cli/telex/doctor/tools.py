"""The MCP servers that are set up: whether each could be started; none is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.errors import SettingsError
from telex.doctor.finding import ok, problem, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provider_core.settings.mcp import McpServer
    from telex.doctor.case import Case
    from telex.doctor.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    if not case.is_readable:
        yield unknown()
        return
    from importlib.util import find_spec

    if not case.servers:
        yield ok("none", "no MCP server is set up")
        return
    try:
        there = find_spec("mcp") is not None
    except ValueError:
        there = False
    if not there:
        from telex import installing

        remedy = installing.command("telex[mcp]")
        yield problem("extra mcp", "is not installed, and servers are set up", remedy)
    for name, server in case.servers.items():
        if isinstance(server, SettingsError):
            where = f"{case.paths.settings_file}{case.line('mcp', name)}"
            yield problem(
                name,
                server.message.removeprefix(f"mcp.{name}: ").removeprefix(f"mcp.{name}."),
                f"Fix it: {where}",
            )
        else:
            yield _server(case, server)


def _server(case: Case, server: McpServer) -> Finding:
    import shutil

    if not server.enabled:
        return ok(server.name, "disabled")
    from provider_core.settings.mcp import secret_references

    for name, found in secret_references(server).items():
        if found.kind == "env" and not case.environ.get(found.name):
            return problem(
                server.name, f"{name} is to be {found.name}, which is not set", f"Set {found.name}"
            )
    if server.url:
        return ok(server.name, server.url.partition("?")[0])
    if server.cwd is not None and not server.cwd.is_dir():
        return problem(
            server.name,
            f"it is to be started in {server.cwd}, which is not a folder",
            f"Fix it: {case.paths.settings_file}{case.line('mcp', server.name, 'cwd')}",
        )
    program = server.command[0]
    if not shutil.which(program, path=server.env.get("PATH")):
        return problem(server.name, f"there is no program {program}", "Install it, or give its whole path")
    # Arguments may hold anything: only the program is named.
    return ok(server.name, f"started as {program}")
