"""``telex history export``: write conversations for people and other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from telex.app import pass_app
from telex.chat.output_file import output_to
from telex.command import Command
from telex.commands.history.given import NAMED, conversations, opened
from telex.humanize import plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provider_core.history import History, SavedConversation
    from telex.app import App

__all__ = ["export"]

_MARKDOWN, _LINES = "markdown", "jsonl"


@click.command(
    cls=Command,
    examples=(
        "telex history export k3f9a2bq -o sunset.md",
        "telex history export --all --format jsonl | jq -s 'map(.usage.output) | add'",
    ),
    exits=NAMED,
)
@click.argument("names", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="Export every conversation, oldest first.")
@click.option(
    "--format",
    "form",
    type=click.Choice([_MARKDOWN, _LINES]),
    help="Output format; by default from the name of FILE, or else markdown.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="Write to FILE, which only you can read; leave it unchanged if that fails.",
)
@pass_app
def export(
    app: App, *, names: tuple[str, ...], everything: bool, form: str | None, output: str | None
) -> None:
    """Write conversations as Markdown or JSON Lines.

    ID is as for telex history show; by default the latest conversation is written. JSON Lines have one object for
    each turn, with everything that is saved about it, including images.
    """
    if everything and names:
        raise click.UsageError("--all does not go with an ID")
    history = opened(app)
    chosen = _chosen(history, names, everything=everything)
    if not chosen:
        app.console.note("No conversation has been saved yet.")
        return
    pieces = _pieces(history, chosen, form or _usual(output))
    with output_to(app.console, output or "-", private=True):
        for piece in pieces:
            app.console.out(piece)
    if output in (None, "-"):
        return
    app.console.note(f"{plural(len(chosen), 'conversation')} written to {output}.")


def _chosen(history: History, names: tuple[str, ...], *, everything: bool) -> tuple[SavedConversation, ...]:
    if everything:
        return tuple(reversed(history.conversations()))
    return conversations(history, names) if names else history.conversations(limit=1)


def _usual(output: str | None) -> str:
    return _LINES if output is not None and Path(output).suffix in (".jsonl", ".ndjson") else _MARKDOWN


def _pieces(history: History, chosen: tuple[SavedConversation, ...], form: str) -> Iterator[str]:
    """The text of the conversations. Only one is in memory at a time."""
    from telex.console import as_json
    from telex.render import transcript

    for at, each in enumerate(chosen):
        turns = history.turns(each.id)
        if form == _LINES:
            yield "".join(as_json(transcript.turn_object(turn, title=each.title)) for turn in turns)
        else:
            yield ("\n" if at else "") + transcript.markdown(each, turns)
