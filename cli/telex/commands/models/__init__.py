"""``telex models``: list models, and set aliases and the default model."""

from __future__ import annotations

import click

from telex.main import Group

COMMANDS = {
    "list": (f"{__name__}.list:list_", "List the models of all usable providers."),
    "show": (f"{__name__}.list:show", "Show what telex knows about a model."),
    "add": (f"{__name__}.edit:add", "Add a model to the settings, or override what is known."),
    "edit": (f"{__name__}.edit:edit", "Change a model's settings."),
    "remove": (f"{__name__}.edit:remove", "Remove a model from the settings."),
    "alias": (f"{__name__}.edit:alias", "Set, show or remove short names for models."),
    "default": (f"{__name__}.edit:default", "Show or set the default model."),
}


@click.command(
    cls=Group,
    rows=COMMANDS,
    name="models",
    examples=("telex models list --reasoning", 'telex models default "$(telex models list | fzf)"'),
)
def command() -> None:
    """List models, set aliases and the default model."""
