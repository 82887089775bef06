"""``telex models``: list models, and set aliases and the default model."""

from __future__ import annotations

import click

from telex.command import Group

__all__ = ["COMMANDS", "command"]

_HERE = "telex.commands.models"

COMMANDS = {
    "list": (f"{_HERE}.listing:list_", "List the models that can be used now."),
    "show": (f"{_HERE}.listing:show", "Show what telex knows about a model."),
    "add": (f"{_HERE}.declaring:add", "Add a model, or facts about one."),
    "edit": (f"{_HERE}.declaring:edit", "Change the declared facts about a model."),
    "remove": (f"{_HERE}.declaring:remove", "Remove the declaration of a model."),
    "alias": (f"{_HERE}.naming:alias", "Set, show or remove short names for models."),
    "default": (f"{_HERE}.naming:default", "Show or set the default model."),
}


@click.command(
    cls=Group,
    rows=COMMANDS,
    name="models",
    examples=("telex models list --reasoning", 'telex models default "$(telex models list | fzf)"'),
)
def command() -> None:
    """List models, set aliases and the default model."""
