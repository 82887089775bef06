"""``telex config``: read and change settings without knowing where the file is."""

from __future__ import annotations

import click

from telex.main import Group

COMMANDS = {
    "list": ("telex.commands.config.values:list_", "List the settings with their sources."),
    "get": ("telex.commands.config.values:get", "Print one setting."),
    "set": ("telex.commands.config.values:set_", "Change one setting."),
    "unset": ("telex.commands.config.values:unset", "Remove one setting from the file."),
    "edit": ("telex.commands.config.edit:edit", "Edit the settings file in your editor."),
    "path": ("telex.commands.config.edit:path", "Print the path of the settings file."),
}


@click.command(
    cls=Group,
    rows=COMMANDS,
    name="config",
    examples=("telex config set reasoning summary", "telex config list | grep -v default$"),
)
def command() -> None:
    """Read and change the settings.

    A setting is named by its place in the file, with dots: reasoning, aliases.fast, providers.lab.retries. See
    telex help settings for all of them.
    """
