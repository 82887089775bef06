"""``telex mcp``: set up the servers whose tools a model may call, and list their tools."""

from __future__ import annotations

import click

from telex.main import Group

_HERE = "telex.commands.mcp"

COMMANDS = {
    "add": (f"{_HERE}.add:add", "Set up an MCP server: a command or an address."),
    "list": (f"{_HERE}.list:list_", "List the MCP servers that are set up."),
    "test": (f"{_HERE}.list:test", "Start MCP servers, list their tools, and time each step."),
    "tools": (f"{_HERE}.list:tools", "Start an MCP server and list its tools."),
    "set-secret": (f"{_HERE}.secret:set_secret", "Store a secret for MCP servers in the keyring."),
    "import": (f"{_HERE}.add:import_", "Import MCP servers from another client's file."),
    "remove": (f"{_HERE}.secret:remove", "Remove an MCP server and its secrets."),
}


@click.command(
    cls=Group,
    rows=COMMANDS,
    name="mcp",
    examples=("telex mcp add time -- uvx mcp-server-time", "telex mcp list | cut -f1"),
)
def command() -> None:
    """Set up MCP servers (Model Context Protocol), whose tools a model may call."""
