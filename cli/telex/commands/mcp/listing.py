"""``telex mcp list``: list the servers without starting them or opening the keyring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from telex.app import pass_app
from telex.command import Command
from telex.exit_codes import ExitCode

if TYPE_CHECKING:
    from telex.app import App

__all__ = ["list_"]


@click.command(
    cls=Command,
    name="list",
    examples=("telex mcp list", "telex mcp list --json | jq -r '.[].name'"),
    exits=(ExitCode.SETTINGS,),
)
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects.")
@pass_app
def list_(app: App, *, as_json: bool) -> None:
    """List the servers that are set up.

    In a pipe, each line has NAME, PLACE (command or address), SECRETS (what is looked up, and where), ALLOWED
    (tools that run without asking) and STATE (on, off or invalid), separated by tabs.
    """
    from telex.render import mcp as render
    from telex.render import sheet

    servers = list(app.runtime.settings.mcp.values())
    wrong = app.runtime.settings.invalid_entries("mcp")
    if as_json:
        objects = [render.as_json(server) for server in servers]
        objects += [{"name": name, "enabled": False, "error": words} for name, words in wrong.items()]
        app.console.json(objects)
        return
    rows = [render.row(server) for server in servers]
    sheet.rows(app.console, render.HEADERS, [*rows, *((name, "", "", "", "invalid") for name in wrong)])
    if not servers and not wrong:
        app.console.note(
            "No MCP server is set up. Add one: telex mcp add NAME -- COMMAND (see: telex mcp add --help)"
        )
