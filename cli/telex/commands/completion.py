"""``telex completion``: print or install the completion script."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from provider_core.errors import FileError
from telex.app import pass_app
from telex.exit_codes import ExitCode
from telex.main import Command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from telex.app import App

SHELLS = ("bash", "zsh", "fish", "powershell")


@click.command(
    cls=Command,
    name="completion",
    examples=("telex completion --install", "telex completion powershell | Out-String | Invoke-Expression"),
    exits=(ExitCode.OK,),
)
@click.argument("shell", type=click.Choice(SHELLS), metavar="[SHELL]", required=False)
@click.option("--install", is_flag=True, help="Install the script where the shell looks for it.")
@click.pass_context
@pass_app
def command(app: App, ctx: click.Context, *, shell: str | None, install: bool) -> None:
    """Print the completion script for a shell, by default your login shell.

    SHELL is bash, zsh, fish or powershell. Pressing Tab contacts no server, and starts no program except in PowerShell,
    where it runs telex. Provider and model names are those from the last run of telex.
    """
    from telex.completion import script

    root = ctx.find_root().command
    shell = shell or _login_shell(app.runtime.environ)
    if shell == "powershell":
        _powershell(app, root, install=install)
        return
    text = script(shell, root)
    if not install:
        app.console.out(text)
        return
    from telex import completion_cache
    from telex.completion import find, put

    completion_cache.refresh(app.runtime)  # so that the first Tab completes names
    place = find(shell, app.runtime.environ)
    try:
        app.console.note(put(place.path, text))
    except FileError as error:
        raise click.ClickException(
            f"{error.message}. To install the script yourself: telex completion {shell}"
        ) from error
    app.console.note(place.todo or f"New {shell} sessions complete telex.")


def _login_shell(environ: Mapping[str, str]) -> str:
    name = environ.get("SHELL", "").rpartition("/")[2]
    if name not in SHELLS:
        problem = f"unsupported shell: {name}" if name else "SHELL is not set"
        raise click.UsageError(f"{problem}\nName a shell: {', '.join(SHELLS)}")
    return name


def _powershell(app: App, root: click.Command, *, install: bool) -> None:
    """Print click's own script, which starts telex at each Tab."""
    from click.shell_completion import get_completion_class

    completes = get_completion_class("powershell")
    if completes is None:
        raise click.UsageError("completion in PowerShell needs click 8.5 or newer: pip install -U click")
    if install:
        raise click.UsageError(
            "in PowerShell, add this line to $PROFILE: telex completion powershell | Out-String | Invoke-Expression"
        )
    app.console.out(completes(root, {}, "telex", "_TELEX_COMPLETE").source())
