"""``telex templates``: manage saved prompts; ``telex chat --template`` uses them."""

from __future__ import annotations

import click

from telex.command import LazyGroup

__all__ = ["COMMANDS", "command"]

_HERE = "telex.commands.templates"

COMMANDS = {
    "list": (f"{_HERE}.listing:list_", "List the templates."),
    "show": (f"{_HERE}.listing:show", "Show one template."),
    "edit": (f"{_HERE}.editing:edit", "Write or change a template."),
    "remove": (f"{_HERE}.editing:remove", "Remove a template."),
}


@click.command(
    cls=LazyGroup,
    rows=COMMANDS,
    name="templates",
    examples=("telex templates edit review", "telex templates list | cut -f1"),
)
def command() -> None:
    """Save and reuse prompts with variables."""
