"""``telex mcp set-secret``: what a server's ``keyring:NAME`` stands for, put into the keyring; never an argument."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from telex.command import Command
from telex.context import pass_app
from telex.exits import ExitCode, Stop

if TYPE_CHECKING:
    from provider_core.settings.mcp import Reference
    from telex.context import App

__all__ = ["command"]


@click.command(
    cls=Command,
    name="set-secret",
    examples=("telex mcp set-secret github", "pass show github | telex mcp set-secret github --stdin"),
    exits=(ExitCode.KEY,),
)
@click.argument("name")
@click.option("--stdin", "from_stdin", is_flag=True, help="Read the secret from stdin.")
@click.option("--remove", is_flag=True, help="Remove it from the keyring.")
@pass_app
def command(app: App, *, name: str, from_stdin: bool, remove: bool) -> None:
    """Put a secret for servers into the keyring.

    NAME is what stands behind keyring: in a server's settings. Asks for the secret without showing it.
    """
    from provider_core.errors import KeyStoreError
    from provider_core.settings.mcp import reference, references

    wanted = reference(f"keyring:{name}")
    if wanted is None:
        raise click.UsageError(
            f"{name!r} is no name for a secret: letters, digits, dots, hyphens and underscores, at most 128"
        )
    if remove and from_stdin:
        raise click.UsageError("--remove and --stdin do not go together")
    try:
        if remove:
            app.key_store.delete(wanted.entry)
            app.console.note(f"{name} is not in the keyring any more.")
            return
        app.key_store.set(wanted.entry, _read(app) if from_stdin else _ask(app, wanted))
    except KeyStoreError as error:
        app.console.error(
            error.message,
            "Unlock the keyring, or start one (such as gnome-keyring), and run again.\n"
            "Or let the server's secret come from the environment: env:VARIABLE in place of keyring:NAME",
        )
        raise Stop(ExitCode.KEY) from None
    app.console.note(f"{name} is in the keyring.")
    used = [
        server.name
        for server in app.settings.mcp.values()
        if any(each.entry == wanted.entry for each in references(server).values())
    ]
    if not used:
        app.console.note(f"No server is given it yet. In a server's env or headers: keyring:{name}")


def _read(app: App) -> str:
    secret = (app.console.read_stdin() or "").strip("\r\n")
    if not secret.strip():
        raise click.UsageError("nothing came on stdin")
    return secret


def _ask(app: App, wanted: Reference) -> str:
    if not (app.console.stdin_is_terminal() and app.console.err_is_terminal):
        raise click.UsageError(f"there is no terminal to ask for {wanted.name}: give --stdin")
    app.key_store.get(wanted.entry)  # before anyone types a secret that could not be kept
    return str(click.prompt(f"Secret for {wanted.name}", hide_input=True, err=True)).strip()
