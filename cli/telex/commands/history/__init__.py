"""``telex history``: past conversations read, found, taken elsewhere and removed; one file a family."""

from __future__ import annotations

import click

from telex.lazy import LazyGroup

__all__ = ["COMMANDS", "command"]

_HERE = "telex.commands.history"

COMMANDS = {
    "list": (f"{_HERE}.reading:list_", "List the conversations, the latest first."),
    "show": (f"{_HERE}.reading:show", "Show a conversation, or its last answer alone."),
    "search": (f"{_HERE}.reading:search", "Find what was said by words in it."),
    "export": (f"{_HERE}.transfer:export", "Write conversations as Markdown or JSON Lines."),
    "rename": (f"{_HERE}.removal:rename", "Give a conversation another title."),
    "remove": (f"{_HERE}.removal:remove", "Remove conversations for good."),
    "prune": (f"{_HERE}.removal:prune", "Remove for good what is old."),
}


@click.command(
    cls=LazyGroup,
    rows=COMMANDS,
    name="history",
    examples=("telex history search sunset", "telex history export --all | gzip > history.md.gz"),
)
def command() -> None:
    """See, search and remove the conversations that were kept.

    They are in one file on this machine and nowhere else. Nothing is kept with history = false in the
    settings, or of a chat with --no-save.
    """
