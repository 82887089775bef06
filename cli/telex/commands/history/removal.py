"""``telex history rename``, ``remove`` and ``prune``: change and delete saved conversations."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import click

from telex.app import pass_app
from telex.command import Command
from telex.commands.history.given import EXITS, NAMED, conversations, opened
from telex.humanize import plural
from telex.prompts import can_prompt, confirm_removal

if TYPE_CHECKING:
    from provider_core.history import RemovalResult, SavedConversation
    from telex.app import App

__all__ = ["prune", "remove", "rename"]

_UNITS = {"h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}
_SHOWN = 10
"""Number of conversations to name before asking for confirmation."""


@click.command(
    cls=Command,
    examples=(
        "telex history rename k3f9a2bq 'Why sunsets are red'",
        'telex history rename "$(telex history list -n 1 | cut -f 1)" "Latest"',
    ),
    exits=NAMED,
)
@click.argument("name", metavar="ID")
@click.argument("title")
@pass_app
def rename(app: App, *, name: str, title: str) -> None:
    """Rename a conversation.

    ID is as for telex history show.
    """
    from telex.options import require_utf8

    history = opened(app)
    found = history.find(name)
    named = history.rename(found.id, require_utf8(title, "TITLE"))
    app.console.note(f"{found.id} is now called {named!r}.")


@click.command(
    cls=Command,
    examples=(
        "telex history remove k3f9a2bq",
        "telex history search canary --json | jq -r '.[].conversation' | xargs telex history remove --yes",
    ),
    exits=NAMED,
)
@click.argument("names", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="Remove every conversation.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@pass_app
def remove(app: App, *, names: tuple[str, ...], everything: bool, yes: bool) -> None:
    """Permanently delete conversations.

    ID is as for telex history show. Asks for confirmation on a terminal; otherwise --yes is required. The text is
    overwritten in every file of the history, but not in copies and backups.
    """
    if everything == bool(names):
        raise click.UsageError("no conversation is named. Name one, or use --all.")
    history = opened(app)
    chosen = history.conversations() if everything else conversations(history, names)
    if chosen and not yes:
        _ask(app, chosen)
    _say(app, history.remove(each.id for each in chosen))


def _ask(app: App, chosen: tuple[SavedConversation, ...]) -> None:
    many = "the conversation" if len(chosen) == 1 else f"{len(chosen)} conversations"
    if can_prompt(app.console):
        for each in chosen[:_SHOWN]:
            app.console.err(f"{each.id}  {each.title}\n")
        if len(chosen) > _SHOWN:
            app.console.err(f"and {len(chosen) - _SHOWN} more\n")
    confirm_removal(app.console, many)


class Age(click.ParamType[float]):
    """``30d``: seconds."""

    name = "AGE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)\s*([hdwy])", str(value).strip().lower(), re.ASCII)
        if found is None:
            self.fail(
                f"{value!r} is not a valid age. Use hours, days, weeks or years, such as 12h, 30d, 8w or 1y.",
                param,
                ctx,
            )
        return float(found[1]) * _UNITS[found[2]]


@click.command(
    cls=Command,
    examples=(
        "telex history prune --older-than 30d",
        "telex history prune --older-than 1y --dry-run | cut -f 1,5",
    ),
    exits=EXITS,
)
@click.option(
    "--older-than",
    "age",
    type=Age(),
    metavar="AGE",
    required=True,
    help="Age in hours, days, weeks or years, such as 12h, 30d, 8w or 1y.",
)
@click.option(
    "--dry-run", is_flag=True, help="List the conversations that would be removed, and remove nothing."
)
@click.option("-y", "--yes", is_flag=True, help="Accepted for scripts; prune never asks.")
@pass_app
def prune(app: App, *, age: float, dry_run: bool, yes: bool) -> None:  # noqa: ARG001 - it never asks
    """Permanently delete conversations that were not used since the given age.

    Does not ask for confirmation; preview the result with --dry-run.
    """
    history = opened(app)
    before = time.time() - age
    if dry_run:
        from telex.render import history as render

        old = tuple(each for each in history.conversations() if each.updated < before)
        render.listing(app.console, old)
        app.console.note(f"{plural(len(old), 'conversation')} would be removed.")
        return
    _say(app, history.prune(before))


def _say(app: App, removed: RemovalResult) -> None:
    app.console.note(f"{plural(removed.conversations, 'conversation')} removed.")
    if removed.unerased is not None:
        from telex.error_hints import code_and_hint
        from telex.exit_codes import Stop

        code, _ = code_and_hint(removed.unerased)
        app.console.error(
            f"the removed text is not overwritten yet: {removed.unerased.message}",
            "To overwrite it: telex history list",
        )
        raise Stop(code)
