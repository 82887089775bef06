"""``telex providers remove`` and ``rename``: change or remove a provider, its key, and what refers to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from telex.app import pass_app
from telex.command import Command
from telex.exit_codes import ExitCode, Stop
from telex.options import Name
from telex.prompts import confirm_removal

if TYPE_CHECKING:
    from telex.app import App

__all__ = ["remove", "rename"]


@click.command(
    cls=Command,
    examples=(
        "telex providers remove lab --yes",
        (
            "telex providers list --json | jq -r '.[] | select(.enabled | not).name'"
            " | xargs -n 1 telex providers remove --yes"
        ),
    ),
    exits=(
        ExitCode.SETTINGS,
        ExitCode.KEY,
    ),
)
@click.argument("name", type=Name("provider"))
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--keep-key", is_flag=True, help="Keep the key in the keyring.")
@pass_app
def remove(app: App, *, name: str, yes: bool, keep_key: bool) -> None:
    """Remove a provider and its key.

    Asks for confirmation on a terminal; otherwise --yes is required.
    """
    from provider_core import catalog, provider_store
    from provider_core.errors import KeyStoreError
    from provider_core.settings import edit, file
    from telex import lists

    path = app.runtime.paths.settings_file
    data = file.read(path)
    if name not in data.get("providers", {}):
        lists.configured(app, name)  # its error has near misses
        lists.in_the_file(app, name)
    lists.warn_references(app, name, then="which will no longer exist")
    if not yes:
        confirm_removal(app.console, name)
    stored = edit.entries(path).get(name, {}).get("key") == "keyring"
    try:
        provider_store.remove(path, app.runtime.key_store, name, keep_key=keep_key)
    except KeyStoreError as error:
        unlock = "Unlock the keyring, and run the command again.\n" if error.state == "locked" else ""
        app.console.error(
            error.message, f"{unlock}To remove it without its key: telex providers remove {name} --keep-key"
        )
        raise Stop(ExitCode.KEY) from None
    catalog.delete_cached(app.runtime.paths.lists, name)
    match stored, keep_key:
        case True, True:
            app.console.note(
                f"{name} is removed; its key is left in the keyring (service telex, user {name})."
            )
        case True, False:
            app.console.note(f"{name} and its key are removed.")
        case _:
            app.console.note(f"{name} is removed.")


@click.command(
    cls=Command,
    examples=(
        "telex providers rename lab work",
        "telex providers rename lab work && telex providers list | grep work",
    ),
    exits=(
        ExitCode.SETTINGS,
        ExitCode.KEY,
    ),
)
@click.argument("old", type=Name("provider"))
@click.argument("new")
@pass_app
def rename(app: App, *, old: str, new: str) -> None:
    """Rename a provider.

    Its key, the default model and the aliases are updated.
    """
    from provider_core import catalog, provider_store
    from telex import lists
    from telex.commands.providers.given import new_name

    lists.configured(app, old)
    lists.in_the_file(app, old)
    new_name(app, new)
    taken = lists.spelled(app, new)
    if taken not in (None, old, new):
        raise click.UsageError(f"{taken} is already set up, and names are unique regardless of case")
    moved = provider_store.rename(app.runtime.paths.settings_file, app.runtime.key_store, old, new)
    catalog.rename_cached(app.runtime.paths.lists, old, new)
    app.console.note(
        f"{old} is now {new}." + (f" Changed along with it: {lists.listed(moved)}." if moved else "")
    )
