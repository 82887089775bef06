"""``telex models``: what can be talked to right now, and by which names."""

from __future__ import annotations

import click

from telex.commands.models import declaring, listing, naming

__all__ = ["command"]


@click.group(name="models")
def command() -> None:
    """See what can be asked, and name it."""


for part in (
    listing.list_,
    listing.show,
    declaring.add,
    declaring.edit,
    declaring.remove,
    naming.alias,
    naming.default,
):
    command.add_command(part)
