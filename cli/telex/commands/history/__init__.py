"""``telex history``: list, search, export and remove saved conversations."""

from __future__ import annotations

import click

from telex.command import Group

__all__ = ["COMMANDS", "command"]

_HERE = "telex.commands.history"

COMMANDS = {
    "list": (f"{_HERE}.reading:list_", "List conversations, most recently used first."),
    "show": (f"{_HERE}.reading:show", "Show a conversation, or only its last answer."),
    "search": (f"{_HERE}.reading:search", "Search prompts and answers."),
    "export": (f"{_HERE}.transfer:export", "Write conversations as Markdown or JSON Lines."),
    "rename": (f"{_HERE}.removal:rename", "Rename a conversation."),
    "remove": (f"{_HERE}.removal:remove", "Permanently delete conversations."),
    "prune": (f"{_HERE}.removal:prune", "Permanently delete old conversations."),
}


@click.command(
    cls=Group,
    rows=COMMANDS,
    name="history",
    examples=("telex history search sunset", "telex history export --all | gzip > history.md.gz"),
)
def command() -> None:
    """List, search and remove saved conversations.

    They are in one file on this machine. To save nothing, use --no-save for a chat, or history = false in the
    settings.
    """
