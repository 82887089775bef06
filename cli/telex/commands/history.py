"""``telex history``: list, show, search, export, rename and remove saved conversations."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from telex.app import pass_app
from telex.exit_codes import ExitCode
from telex.humanize import plural
from telex.main import Command, Group
from telex.options import Age

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from provider_core.history import History, Removed, SavedConversation, SavedTurn
    from telex.app import App

_FILE = (ExitCode.OTHER,)
"""The exit code if the history is damaged, locked, or of a newer telex."""
_NAME = (*_FILE, ExitCode.SETTINGS)
"""Also if no conversation, or more than one, has the given name."""

_SCREENFUL = 20
"""Conversations that are shown on a terminal by default."""
_CONFIRMED = 10
"""Conversations that are named when confirmation is asked for."""
_MARKDOWN, _LINES = "markdown", "jsonl"

COMMANDS = {
    "list": (f"{__name__}:list_", "List conversations, most recently used first."),
    "show": (f"{__name__}:show", "Show a conversation, or only its last answer."),
    "search": (f"{__name__}:search", "Search prompts and answers."),
    "export": (f"{__name__}:export", "Write conversations as Markdown or JSON Lines."),
    "rename": (f"{__name__}:rename", "Rename a conversation."),
    "remove": (f"{__name__}:remove", "Permanently delete conversations."),
    "prune": (f"{__name__}:prune", "Permanently delete old conversations."),
}


@click.command(
    cls=Group,
    rows=COMMANDS,
    name="history",
    examples=("telex history search sunset", "telex history export --all | gzip > history.md.gz"),
)
def command() -> None:
    """List, search and remove saved conversations.

    The conversations are in one file on this machine. To save nothing, use --no-save for a chat, or history = false in
    settings.toml (see telex help settings).
    """


def _find(history: History, names: Iterable[str]) -> tuple[SavedConversation, ...]:
    """The named conversations, without duplicates."""
    found = {each.id: each for each in map(history.find, names)}
    return tuple(found.values())


@click.command(
    cls=Command,
    name="list",
    examples=(
        "telex history list -n 5",
        "telex history list --json | jq -r '.[] | select(.turns > 10) | .title'",
    ),
    exits=_FILE,
)
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="List at most N conversations.")
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects.")
@pass_app
def list_(app: App, *, limit: int | None, as_json: bool) -> None:
    """List conversations, most recently used first.

    On a terminal, lists at most 20 unless you give -n; in a pipe, lists all. There, each line has ID, UPDATED
    (UTC, such as 2026-05-31T18:10:03Z), TURNS, MODEL and TITLE, separated by tabs.
    """
    from telex.render import history as render

    console = app.console
    wanted = limit or (_SCREENFUL if console.out_is_terminal and not as_json else None)
    found = app.runtime.history.conversations(None if wanted is None else wanted + 1)
    shown = found[:wanted]
    if as_json:
        console.json([render.conversation_object(each) for each in shown])
    else:
        render.listing(console, shown)
    if not found:
        console.note("No conversation has been saved yet.")
    elif len(found) > len(shown) and limit is None:
        console.note(f"There are more: telex history list -n {10 * _SCREENFUL}")


def _priced(app: App, turns: Sequence[SavedTurn]) -> tuple[SavedTurn, ...]:
    """The turns with what they cost by the prices of their time, where that was not looked up then."""
    from provider_core.structs import replace
    from provider_core.types import Target

    providers, prices = app.runtime.providers, app.runtime.prices
    return tuple(
        turn
        if turn.cost is not None or turn.usage is None or turn.provider not in providers
        else replace(
            turn,
            cost=prices.cost(
                Target(provider=providers[turn.provider], model=turn.model), turn.usage, at=turn.at
            ),
        )
        for turn in turns
    )


@click.command(
    cls=Command,
    examples=(
        "telex history show",
        "telex history show --answer | tee answer.md",
        "telex history show k3f9a2bq --json | jq -r '.transcript[].usage.output'",
    ),
    exits=_NAME,
)
@click.argument("name", metavar="[ID]", required=False)
@click.option("--answer", "answer_alone", is_flag=True, help="Print only the last answer, unchanged.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print a JSON object; its key transcript has all turns in order."
)
@click.option("--save-images", metavar="DIR", help="Write the images of the answers to new files in DIR.")
@pass_app
def show(app: App, *, name: str | None, answer_alone: bool, as_json: bool, save_images: str | None) -> None:
    """Show a conversation, or only its last answer.

    ID is an id, the first four or more characters of an id, or all or part of a title; by default the most recently
    used conversation is shown. In a pipe, the output is Markdown.
    """
    from telex.render import history as render

    if answer_alone and as_json:
        raise click.UsageError("--answer and --json cannot be used together")
    history = app.runtime.history
    found = history.find(name) if name is not None else history.latest()
    if found is None:
        app.console.note("No conversation has been saved yet.")
        return
    turns = history.turns(found.id)
    if save_images is not None:
        _save_images(turns, save_images)
    if as_json:
        app.console.json(render.whole_object(found, _priced(app, turns)))
    elif not (answer_alone or app.console.out_is_terminal):
        app.console.out(render.markdown(found, turns))
    else:
        console, settings = app.console, app.runtime.settings
        if not answer_alone:
            render.transcript(console, settings, found, turns)
            return
        answer = next((turn.answer for turn in reversed(turns) if turn.answer), None)
        if answer is not None and isinstance(answer.content, str) and answer.content:
            render.print_answer(console, settings, answer.content)
        else:
            console.note("The conversation has no answer.")


def _save_images(turns: Iterable[SavedTurn], name: str) -> None:
    from telex.chat.output_file import image_folder, save_image
    from telex.console import OutputError

    folder = image_folder(name)
    for turn in turns:
        for image in turn.answer.images if turn.answer is not None else ():
            if image.size is not None and not image.broken:
                try:
                    save_image(image, folder)
                except OSError as error:
                    raise OutputError(error.strerror or str(error)) from error


@click.command(
    cls=Command,
    examples=(
        "telex history search sunset Rayleigh",
        "telex history search 'connection refused' --json | jq -r '.[].conversation' | sort -u",
    ),
    exits=_FILE,
)
@click.argument("words", nargs=-1, required=True)
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="Show at most N results, also in a pipe.",
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
    from telex.render import history as render

    found = app.runtime.history.search([require_utf8(word, "WORDS") for word in words], limit)
    if as_json:
        app.console.json([render.hit_object(hit) for hit in found])
    else:
        render.hits(app.console, found)
    if not found:
        app.console.note("No saved conversation contains all of these words.")
    elif len(found) == limit:
        app.console.note(f"There may be more: -n {10 * limit}")


@click.command(
    cls=Command,
    examples=(
        "telex history export k3f9a2bq -o sunset.md",
        "telex history export --all --format jsonl | jq -s 'map(.usage.output) | add'",
    ),
    exits=_NAME,
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
    help="Write to FILE, readable only by you; if the export fails, FILE is unchanged.",
)
@pass_app
def export(
    app: App, *, names: tuple[str, ...], everything: bool, form: str | None, output: str | None
) -> None:
    """Write conversations as Markdown or JSON Lines.

    ID is an id, the first four or more characters of an id, or all or part of a title; by default the most recently
    used conversation is written. The JSON Lines format has one object for each turn, with everything that is saved
    about it, including images.
    """
    from telex.chat.output_file import output_to

    if everything and names:
        raise click.UsageError("--all and ID cannot be used together")
    history = app.runtime.history
    if everything:
        chosen = tuple(reversed(history.conversations()))
    else:
        chosen = _find(history, names) if names else history.conversations(limit=1)
    if not chosen:
        app.console.note("No conversation has been saved yet.")
        return
    form = form or (_LINES if Path(output or "").suffix in (".jsonl", ".ndjson") else _MARKDOWN)
    with output_to(app.console, output or "-", private=True):
        for text in _exported(app, chosen, form):
            app.console.out(text)
    if output not in (None, "-"):
        app.console.note(f"{plural(len(chosen), 'conversation')} written to {output}.")


def _exported(app: App, chosen: tuple[SavedConversation, ...], form: str) -> Iterator[str]:
    """The text of each conversation. Only one is in memory at a time."""
    from telex.console import as_json
    from telex.render import history as render

    for at, each in enumerate(chosen):
        turns = app.runtime.history.turns(each.id)
        if form == _LINES:
            yield "".join(as_json(render.turn_object(turn, title=each.title)) for turn in _priced(app, turns))
        else:
            yield ("\n" if at else "") + render.markdown(each, turns)


@click.command(
    cls=Command,
    examples=(
        "telex history rename k3f9a2bq 'Why sunsets are red'",
        'telex history rename "$(telex history list -n 1 | cut -f 1)" "Latest"',
    ),
    exits=_NAME,
)
@click.argument("name", metavar="ID")
@click.argument("title")
@pass_app
def rename(app: App, *, name: str, title: str) -> None:
    """Rename a conversation.

    ID is an id, the first four or more characters of an id, or all or part of a title.
    """
    from telex.options import require_utf8

    history = app.runtime.history
    found = history.find(name)
    named = history.rename(found.id, require_utf8(title, "TITLE"))
    app.console.note(f"{found.id} is now called {named!r}.")


_with_usage = click.option(
    "--with-usage", is_flag=True, help="Remove the requests from the ledger too (see telex usage)."
)


@click.command(
    cls=Command,
    examples=(
        "telex history remove k3f9a2bq",
        "telex history search canary -n 9999 --json | jq -r '.[].conversation' | xargs telex history remove --yes",
    ),
    exits=_NAME,
)
@click.argument("names", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="Remove every conversation.")
@_with_usage
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@pass_app
def remove(app: App, *, names: tuple[str, ...], everything: bool, with_usage: bool, yes: bool) -> None:
    """Permanently delete conversations.

    ID is an id, the first four or more characters of an id, or all or part of a title. Asks for confirmation on a
    terminal; otherwise --yes is required. The deleted text is overwritten on disk, but not in copies and backups. The
    ledger, which has no text, still counts the requests unless you give --with-usage; --all --with-usage empties it.
    """
    if everything == bool(names):
        raise click.UsageError("no conversation is named. Name one, or use --all.")
    history = app.runtime.history
    chosen = history.conversations() if everything else _find(history, names)
    if chosen and not yes:
        if app.console.can_prompt():
            for each in chosen[:_CONFIRMED]:
                app.console.err(f"{each.id}  {each.title}\n")
            if len(chosen) > _CONFIRMED:
                app.console.err(f"and {len(chosen) - _CONFIRMED} more\n")
        app.console.confirm_removal(
            "the conversation" if len(chosen) == 1 else f"{len(chosen)} conversations"
        )
    if everything and with_usage:
        removed = history.prune(math.inf, with_usage=True)
    else:
        removed = history.remove((each.id for each in chosen), with_usage=with_usage)
    _report_removal(app, removed, with_usage=with_usage)


def _report_removal(app: App, removed: Removed, *, with_usage: bool) -> None:
    """Print what was removed, and what of it the ledger still has."""
    requests, note = plural(removed.requests, "request"), app.console.note
    gone = plural(removed.conversations, "conversation")
    if with_usage:
        note(f"{gone} removed, and {requests} from the ledger.")
        return
    note(f"{gone} removed.")
    if removed.requests:
        note(f"telex usage still counts {requests}, without text. To remove that too, use --with-usage.")


@click.command(
    cls=Command,
    examples=(
        "telex history prune --older-than 30d",
        "telex history prune --older-than 1y --dry-run | cut -f 1,5",
    ),
    exits=_FILE,
)
@click.option(
    "--older-than",
    "age",
    type=Age(),
    metavar="AGE",
    required=True,
    help="An age in hours, days, weeks or years, such as 12h, 30d, 8w or 1y.",
)
@click.option(
    "--dry-run", is_flag=True, help="List the conversations that would be removed, and remove nothing."
)
@_with_usage
@click.option("-y", "--yes", is_flag=True, help="Has no effect; prune never asks.")
@pass_app
def prune(app: App, *, age: float, dry_run: bool, with_usage: bool, yes: bool) -> None:  # noqa: ARG001 - it never asks
    """Permanently delete conversations not used for longer than AGE.

    Does not ask for confirmation; preview the result with --dry-run. The ledger, which has no text, still counts the
    requests. With --with-usage, everything in it that is older than AGE is removed too.
    """
    history = app.runtime.history
    before = time.time() - age
    if dry_run:
        from telex.render import history as render

        old = tuple(each for each in history.conversations() if each.updated < before)
        render.listing(app.console, old)
        app.console.note(f"{plural(len(old), 'conversation')} would be removed.")
        return
    _report_removal(app, history.prune(before, with_usage=with_usage), with_usage=with_usage)
