"""``telex mcp set-secret`` and ``telex providers set-secret``: store the secret of ``keyring:NAME``."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import click

from telex.app import pass_app
from telex.command import Command
from telex.exit_codes import ExitCode, Stop
from telex.prompts import require_terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from provider_core.keys import Destination
    from provider_core.settings.validators import SecretReference
    from telex.app import App

__all__ = ["command", "of_providers"]

_Command = TypeVar("_Command", bound="Callable[..., object]")


def _options(command: _Command) -> _Command:
    for option in (
        click.option("--remove", is_flag=True, help="Remove the secret from the keyring."),
        click.option(
            "--for",
            "url",
            metavar="URL",
            help="Address that the secret may be sent to, if no header names it yet.",
        ),
        click.option("--stdin", "from_stdin", is_flag=True, help="Read the secret from stdin."),
        click.argument("name"),
    ):
        command = option(command)
    return command


@click.command(
    cls=Command,
    name="set-secret",
    examples=("telex mcp set-secret github", "pass show github | telex mcp set-secret github --stdin"),
    exits=(ExitCode.SETTINGS, ExitCode.KEY),
)
@_options
@pass_app
def command(app: App, *, name: str, from_stdin: bool, url: str | None, remove: bool) -> None:
    """Store a secret for the variables and headers of servers in the keyring.

    NAME is the name after keyring: in a server's settings. telex prompts for the secret without showing it. In a
    header, the secret is sent only to the addresses of the servers and providers that name it now.
    """
    _set(app, name, from_stdin=from_stdin, url=url, remove=remove)


@click.command(
    cls=Command,
    name="set-secret",
    examples=(
        "telex providers set-secret gateway --for https://llm.example.com/v1",
        "pass show gateway | telex providers set-secret gateway --stdin --for https://llm.example.com/v1",
    ),
    exits=(ExitCode.SETTINGS, ExitCode.KEY),
)
@_options
@pass_app
def of_providers(app: App, *, name: str, from_stdin: bool, url: str | None, remove: bool) -> None:
    """Store a secret for providers' headers in the keyring.

    NAME is the name after keyring: in a header, such as --header "X-Key=keyring:NAME". telex prompts for the secret
    without showing it. The secret is sent only to the addresses of the providers and servers that name it now.
    """
    _set(app, name, from_stdin=from_stdin, url=url, remove=remove)


def _set(app: App, name: str, *, from_stdin: bool, url: str | None, remove: bool) -> None:
    from provider_core.errors import KeyStoreError
    from provider_core.keys import seal
    from provider_core.settings.validators import parse_reference

    wanted = parse_reference(f"keyring:{name}")
    if wanted is None:
        raise click.UsageError(
            f"{name!r} is not a valid name for a secret: letters, digits, dots, hyphens and underscores, at most 128"
        )
    if remove and from_stdin:
        raise click.UsageError("--remove and --stdin do not go together")
    try:
        if remove:
            app.runtime.key_store.delete(wanted.entry)
            app.console.note(f"{name} was removed from the keyring.")
            return
        used, destinations = _uses(app, wanted, url)
        app.runtime.key_store.set(
            wanted.entry, seal(_read(app) if from_stdin else _ask(app, wanted), destinations)
        )
    except KeyStoreError as error:
        app.console.error(
            error.message,
            "Unlock the keyring, or start one (such as gnome-keyring), and run again.\n"
            "Or take the secret from the environment: env:VARIABLE in place of keyring:NAME",
        )
        raise Stop(ExitCode.KEY) from None
    app.console.note(f"{name} is in the keyring.")
    if destinations:
        app.console.note(f"It is sent to {' and '.join(map(str, destinations))}, and nowhere else.")
    elif not used:
        app.console.note(
            f"Nothing uses it yet. Where a server's env names keyring:{name}, it is given to that server. "
            "For a header, run this again once the header names it, or with --for URL."
        )


def _uses(app: App, wanted: SecretReference, url: str | None) -> tuple[bool, tuple[Destination, ...]]:
    """Whether any setting names the secret, and the addresses to which it is sent in a header."""
    from provider_core.keys import Destination
    from provider_core.settings import validators
    from provider_core.settings.mcp import secret_references
    from provider_core.settings.validators import parse_reference
    from provider_core.types import Network

    found = [Destination.of(validators.url(url, "the URL"), Network())] if url is not None else []
    for provider in app.runtime.settings.providers.values():
        named = filter(None, map(parse_reference, provider.headers.values()))
        if any(each.entry == wanted.entry and each.kind == "keyring" for each in named):
            found.append(Destination.of(provider.base_url, provider.network))
    used = False
    for server in app.runtime.settings.mcp.values():
        if any(
            each.entry == wanted.entry and each.kind == "keyring"
            for each in secret_references(server).values()
        ):
            used = True
            if server.url:
                found.append(Destination.of(server.url, server.network))
    return used, tuple(dict.fromkeys(found))


def _read(app: App) -> str:
    secret = (app.console.read_stdin() or "").strip("\r\n")
    if not secret.strip():
        raise click.UsageError("nothing came on stdin")
    return secret


def _ask(app: App, wanted: SecretReference) -> str:
    require_terminal(app.console, f"no terminal to ask for {wanted.name}; use --stdin")
    app.runtime.key_store.get(wanted.entry)  # before anyone types a secret that could not be kept
    return str(click.prompt(f"Secret for {wanted.name}", hide_input=True, err=True, value_proc=_not_blank))


def _not_blank(text: str) -> str:
    if not text.strip():
        raise click.UsageError("a secret must not be blank")  # click asks again
    return text.strip()
