"""``telex mcp remove``: remove a server's settings, and its secrets unless another server uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from telex.app import pass_app
from telex.command import Command
from telex.exit_codes import ExitCode, Stop
from telex.options import Name
from telex.prompts import confirm_removal

if TYPE_CHECKING:
    from provider_core.settings.validators import SecretReference
    from telex.app import App

__all__ = ["command"]


@click.command(
    cls=Command,
    name="remove",
    examples=(
        "telex mcp remove github --yes",
        "telex mcp list --json | jq -r '.[] | select(.enabled | not).name' | xargs -n 1 telex mcp remove --yes",
    ),
    exits=(ExitCode.SETTINGS, ExitCode.KEY),
)
@click.argument("name", type=Name("server"))
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--keep-secrets", is_flag=True, help="Keep its secrets in the keyring.")
@pass_app
def command(app: App, *, name: str, yes: bool, keep_secrets: bool) -> None:
    """Remove a server and its secrets.

    Asks for confirmation on a terminal; otherwise --yes is required. A secret that another server uses is not
    removed.
    """
    from provider_core.errors import KeyStoreError
    from provider_core.settings import edit
    from provider_core.settings.mcp import find_server

    if f"mcp.{name}" not in app.runtime.settings.problems:
        find_server(app.runtime.settings, name)
    alone = _alone(app, name)
    if not yes:
        confirm_removal(app.console, name)
    gone = [] if keep_secrets else alone
    try:
        for secret in gone:
            app.runtime.key_store.delete(secret.entry)
    except KeyStoreError as error:
        app.console.error(
            f"cannot remove {name}: {error.message}",
            "To remove it and keep its secrets: --keep-secrets",
        )
        raise Stop(ExitCode.KEY) from None
    edit.remove(app.runtime.paths.settings_file, name, "mcp")
    said = f"{name} is removed"
    if gone:
        said += f", and from the keyring: {', '.join(secret.name for secret in gone)}"
    elif alone:
        said += f"; still in the keyring: {', '.join(f'{secret.entry}' for secret in alone)} (service telex)"
    app.console.note(f"{said}.")


def _alone(app: App, name: str) -> list[SecretReference]:
    """The secrets in the keyring that only this server uses."""
    from provider_core.settings.mcp import secret_references

    server = app.runtime.settings.mcp.get(name)
    if server is None:  # what is set up wrongly may be given anything
        return []
    own = {each.name: each for each in secret_references(server).values() if each.kind == "keyring"}
    for other, server in app.runtime.settings.mcp.items():
        if other != name:
            for each in secret_references(server).values():
                if each.kind == "keyring":
                    own.pop(each.name, None)
    return list(own.values())
