"""``telex providers``: set up providers, and list them."""

from __future__ import annotations

import click

from telex.main import Group

_HERE = "telex.commands.providers"

COMMANDS = {
    "add": (f"{_HERE}.add:add", "Set up a provider and check that it works."),
    "list": (f"{_HERE}.list:list_", "List the providers that can be used, and the sources of their keys."),
    "show": (f"{_HERE}.list:show", "Show the settings of a provider."),
    "presets": (f"{_HERE}.list:presets", "Search the providers that can be set up by name alone."),
    "test": (f"{_HERE}.check:test", "Check that providers answer, step by step."),
    "discover": (f"{_HERE}.add:discover", "Find the model servers that run on this machine."),
    "edit": (f"{_HERE}.edit:edit", "Change the settings of a provider."),
    "set-key": (f"{_HERE}.edit:set_key", "Change the source of a provider's key."),
    "set-secret": (
        "telex.commands.mcp.secret:set_provider_secret",
        "Store a secret for providers' headers in the keyring.",
    ),
    "rename": (f"{_HERE}.edit:rename", "Rename a provider."),
    "remove": (f"{_HERE}.edit:remove", "Remove a provider and its key."),
    "export": (f"{_HERE}.import_export:export", "Write the providers to a file, without their keys."),
    "import": (f"{_HERE}.import_export:import_", "Set up the providers in a file."),
}


@click.command(
    cls=Group,
    rows=COMMANDS,
    name="providers",
    examples=("telex providers add deepseek", "telex providers list | cut -f 1"),
)
def command() -> None:
    """Set up providers (the APIs that telex sends prompts to)."""
