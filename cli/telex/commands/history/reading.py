"""``telex history list``, ``show`` and ``search``: read the history and render it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from telex.app import pass_app
from telex.command import Command
from telex.commands.history.given import EXITS, NAMED, opened
from telex.console import OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provider_core.history import SavedTurn
    from provider_core.types import Message
    from telex.app import App
    from telex.render.history import Screen

__all__ = ["list_", "search", "show"]

_SCREENFUL = 20
"""Number of conversations to show on a terminal by default."""


@click.command(
    cls=Command,
    name="list",
    examples=(
        "telex history list -n 5",
        "telex history list --json | jq -r '.[] | select(.turns > 10) | .title'",
    ),
    exits=EXITS,
)
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="List at most N conversations.")
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects.")
@pass_app
def list_(app: App, *, limit: int | None, as_json: bool) -> None:
    """List conversations, most recently used first.

    A terminal shows the latest 20, unless -n is given. In a pipe, all are listed, and each line has ID, UPDATED
    (UTC, such as 2026-05-31T18:10:03Z), TURNS, MODEL and TITLE, separated by tabs.
    """
    from telex.render import history as render

    console = app.console
    wanted = limit or (_SCREENFUL if console.out_is_terminal and not as_json else None)
    found = opened(app).conversations(None if wanted is None else wanted + 1)
    shown = found[:wanted]
    if as_json:
        from telex.render import transcript

        console.json([transcript.conversation_object(each) for each in shown])
    else:
        render.listing(console, shown)
    if not found:
        console.note("No conversation has been saved yet.")
    elif len(found) > len(shown) and limit is None:
        console.note(f"There are more: telex history list -n {10 * _SCREENFUL}")


@click.command(
    cls=Command,
    examples=(
        "telex history show",
        "telex history show --answer | tee answer.md",
        "telex history show k3f9a2bq --json | jq -r '.transcript[].usage.output'",
    ),
    exits=NAMED,
)
@click.argument("name", metavar="[ID]", required=False)
@click.option("--answer", "answer_alone", is_flag=True, help="Print only the last answer, unchanged.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object, with all turns in transcript.")
@click.option("--save-images", metavar="DIR", help="Write the images of the answers to new files in DIR.")
@pass_app
def show(app: App, *, name: str | None, answer_alone: bool, as_json: bool, save_images: str | None) -> None:
    """Show a conversation, or only its last answer.

    ID is an id, the start of an id (four letters or more), or a title or a part of one; by default the latest
    conversation is shown. In a pipe, the output is Markdown.
    """
    from telex.render import transcript

    if answer_alone and as_json:
        raise click.UsageError("--answer and --json: take one of them")
    history = opened(app)
    found = history.find(name) if name is not None else history.latest()
    if found is None:
        app.console.note("No conversation has been saved yet.")
        return
    turns = history.turns(found.id)
    if save_images is not None:
        _save_images(turns, save_images)
    if as_json:
        app.console.json(transcript.whole_object(found, turns))
    elif not (answer_alone or app.console.out_is_terminal):
        app.console.out(transcript.markdown(found, turns))
    else:
        from telex.render import history as render

        screen = render.Screen(app)
        if answer_alone:
            _answer(app, screen, next((turn.answer for turn in reversed(turns) if turn.answer), None))
        else:
            screen.conversation(found, turns)


def _save_images(turns: Sequence[SavedTurn], name: str) -> None:
    from telex.render import extras

    folder = extras.folder(name)
    for turn in turns:
        for image in turn.answer.images if turn.answer is not None else ():
            if image.size is not None and not image.broken:
                try:
                    extras.save(image, folder)
                except OSError as error:
                    raise OutputError(error.strerror or str(error)) from error


def _answer(app: App, screen: Screen, answer: Message | None) -> None:
    text = answer.content if answer is not None and isinstance(answer.content, str) else ""
    if not text:
        app.console.note("There is no answer in it.")
    else:
        screen.answer(text)


@click.command(
    cls=Command,
    examples=(
        "telex history search sunset Rayleigh",
        "telex history search 'connection refused' --json | jq -r '.[].conversation' | sort -u",
    ),
    exits=EXITS,
)
@click.argument("words", nargs=-1, required=True)
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    metavar="N",
    help="Show at most N results; by default 20.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects.")
@pass_app
def search(app: App, *, words: tuple[str, ...], limit: int, as_json: bool) -> None:
    """Search prompts and answers, newest first.

    A result contains every one of WORDS, in any order; quote a phrase to search for it as a whole. Case and accents
    are ignored, and parts of words match. Tool results and titles are searched too. In a pipe, each line has ID,
    TIME (UTC), ROLE and the text around the first match, separated by tabs. The exit code is 0 even if nothing is
    found.
    """
    from telex.options import require_utf8

    found = opened(app).search([require_utf8(word, "WORDS") for word in words], limit)
    if as_json:
        from telex.render import transcript

        app.console.json([transcript.hit_object(hit) for hit in found])
    else:
        from telex.render import history as render

        render.hits(app.console, found)
    if not found:
        app.console.note("No saved conversation contains all of these words.")
    elif len(found) == limit:
        app.console.note(f"There may be more: -n {10 * limit}")
