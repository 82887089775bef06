"""``telex models``: what can be talked to right now, and by which names; one file a family."""

from __future__ import annotations

import click

from telex.lazy import LazyGroup

__all__ = ["COMMANDS", "command"]

_HERE = "telex.commands.models"

COMMANDS = {
    "list": (f"{_HERE}.listing:list_", "List what can be asked now, by provider."),
    "show": (f"{_HERE}.listing:show", "Show what is known of one model."),
    "add": (f"{_HERE}.declaring:add", "Declare a model, or what you know of one."),
    "edit": (f"{_HERE}.declaring:edit", "Change what is declared of a model."),
    "remove": (f"{_HERE}.declaring:remove", "Forget what was declared of a model."),
    "alias": (f"{_HERE}.naming:alias", "Give a model a short name, or list the short names."),
    "default": (f"{_HERE}.naming:default", "Show or set the model that is asked when none is named."),
}


@click.command(
    cls=LazyGroup,
    rows=COMMANDS,
    name="models",
    examples=("telex models list --reasoning", 'telex models default "$(telex models list | fzf)"'),
)
def command() -> None:
    """See what can be asked, and name it."""
