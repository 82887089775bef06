"""``set-secret`` of ``telex mcp`` and ``telex providers``, and ``telex mcp remove``: secrets in the keyring."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import click

from provider_core.structs import replace
from telex.app import pass_app
from telex.exit_codes import ExitCode, Stop
from telex.main import Command
from telex.options import Name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from provider_core.keys import Destination
    from provider_core.settings.mcp import McpServer
    from provider_core.settings.validators import SecretReference
    from provider_core.types import Provider
    from telex.app import App

_Command = TypeVar("_Command", bound="Callable[..., object]")
_MEANINGS = {ExitCode.KEY: "the keyring cannot be used"}


def _options(command: _Command) -> _Command:
    help_for = "Allow sending the secret to this address, if no header refers to it yet."
    command = click.option("--remove", is_flag=True, help="Remove the secret from the keyring.")(command)
    command = click.option("--for", "url", metavar="URL", help=help_for)(command)
    command = click.option("--stdin", "from_stdin", is_flag=True, help="Read the secret from stdin.")(command)
    return click.argument("name")(command)


@click.command(
    cls=Command,
    name="set-secret",
    examples=(
        "telex mcp set-secret github",
        "pass show github | telex mcp set-secret github --stdin --for https://mcp.example.com",
    ),
    exits=(ExitCode.SETTINGS, ExitCode.KEY),
    meanings=_MEANINGS,
)
@_options
@pass_app
def set_secret(app: App, *, name: str, from_stdin: bool, url: str | None, remove: bool) -> None:
    """Store a secret for MCP servers in the keyring.

    NAME is the NAME in a reference such as keyring:NAME (see telex mcp add). telex prompts for the secret without
    showing it. For a reference in --env, store the secret before or after telex mcp add. For one in a header, either
    set up the server first, or give its address with --for URL: the secret is sent only there.
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
    meanings=_MEANINGS,
)
@_options
@pass_app
def set_provider_secret(app: App, *, name: str, from_stdin: bool, url: str | None, remove: bool) -> None:
    """Store a secret for providers' headers in the keyring.

    NAME is the NAME in a reference such as keyring:NAME, as in --header "X-Key: keyring:NAME". telex prompts for the
    secret without showing it. Either set up the provider with the header first, or give its address with --for URL: the
    secret is sent only there.
    """
    _set(app, name, from_stdin=from_stdin, url=url, remove=remove)


def _set(app: App, name: str, *, from_stdin: bool, url: str | None, remove: bool) -> None:
    from provider_core.errors import KeyStoreError, SettingsError
    from provider_core.keys import seal
    from provider_core.settings.validators import parse_reference

    wanted = parse_reference(f"keyring:{name}")
    if wanted is None:
        raise click.UsageError(
            f"{name!r} is not a valid name for a secret: letters, digits, dots, hyphens and underscores, at most 128"
        )
    if remove and from_stdin:
        raise click.UsageError("--remove and --stdin cannot be used together")
    try:
        if remove:
            if app.runtime.key_store.get(wanted.entry) is None:
                raise SettingsError(f"unknown secret: {name}")
            app.runtime.key_store.delete(wanted.entry)
            app.console.note(f"{name} was removed from the keyring.")
            return
        users = _users(app).get(wanted, [])
        destinations = _destinations(users, url)
        secret = _read(app, wanted, from_stdin=from_stdin)
        app.runtime.key_store.set(wanted.entry, seal(secret, destinations))
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
    elif not users:
        app.console.note(
            f"Nothing uses it yet. A server whose --env refers to keyring:{name} gets it. For a header, repeat this "
            "command when the header is set up, or use --for URL."
        )


def _users(app: App) -> dict[SecretReference, list[McpServer | Provider]]:
    """The servers and providers that use each secret."""
    from provider_core.settings.mcp import secret_references
    from provider_core.settings.validators import parse_reference

    users: dict[SecretReference, list[McpServer | Provider]] = {}
    settings = app.runtime.settings
    used: list[tuple[McpServer | Provider, SecretReference | None]]
    used = [(each, parse_reference(v)) for each in settings.providers.values() for v in each.headers.values()]
    used += [(each, found) for each in settings.mcp.values() for found in secret_references(each).values()]
    for user, reference in used:
        if reference is not None:
            users.setdefault(replace(reference, before=""), []).append(user)
    return users


def _destinations(users: Iterable[McpServer | Provider], url: str | None) -> tuple[Destination, ...]:
    """The addresses to which the secret is sent in a header: those of its users, and ``url``."""
    from provider_core.keys import Destination
    from provider_core.settings.mcp import McpServer
    from provider_core.settings.validators import parse_url
    from provider_core.types import Network

    found = [Destination.of(parse_url(url), Network())] if url is not None else []
    for user in users:
        address = user.url if isinstance(user, McpServer) else user.base_url
        found += [Destination.of(address, user.network)] if address else []
    return tuple(dict.fromkeys(found))


def _read(app: App, wanted: SecretReference, *, from_stdin: bool) -> str:
    if from_stdin:
        secret = (app.console.read_stdin() or "").strip("\r\n")
        if not secret.strip():
            raise click.UsageError("stdin is empty")
        return secret
    app.console.require_terminal("no terminal to prompt on; use --stdin")
    app.runtime.key_store.get(wanted.entry)  # before anyone types a secret that could not be stored
    return str(click.prompt(f"Secret for {wanted.name}", hide_input=True, err=True, value_proc=_not_blank))


def _not_blank(text: str) -> str:
    if not text.strip():
        raise click.UsageError("a secret must not be blank")  # click prompts once more
    return text.strip()


@click.command(
    cls=Command,
    examples=(
        "telex mcp remove github --yes",
        "telex mcp list | grep -w off | cut -f 1 | xargs -n 1 telex mcp remove --yes",
    ),
    exits=(ExitCode.SETTINGS, ExitCode.KEY),
    meanings=_MEANINGS,
)
@click.argument("name", type=Name("server"))
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--keep-secrets", is_flag=True, help="Keep its secrets in the keyring.")
@pass_app
def remove(app: App, *, name: str, yes: bool, keep_secrets: bool) -> None:
    """Remove an MCP server and its secrets.

    Asks for confirmation on a terminal; otherwise --yes is required. A secret that another MCP server or a provider
    uses is not removed.
    """
    from provider_core.errors import KeyStoreError
    from provider_core.settings import edit

    if f"mcp.{name}" not in app.runtime.settings.problems:
        app.runtime.settings.mcp_server(name)
    server = app.runtime.settings.mcp.get(name)  # None for an invalid one, whose secrets are unknown
    own = [
        secret
        for secret, users in _users(app).items()
        if secret.kind == "keyring" and all(user is server for user in users)
    ]
    if not yes:
        app.console.confirm_removal(name)
    try:
        for secret in () if keep_secrets else own:
            app.runtime.key_store.delete(secret.entry)
    except KeyStoreError as error:
        app.console.error(
            f"cannot remove {name}: {error.message}", "To remove it and keep its secrets: --keep-secrets"
        )
        raise Stop(ExitCode.KEY) from None
    edit.remove(app.runtime.paths.settings_file, name, "mcp")
    also = ""
    if own and keep_secrets:
        also = f"; still in the keyring: {', '.join(each.entry for each in own)} (service telex)"
    elif own:
        also = f", and from the keyring: {', '.join(each.name for each in own)}"
    app.console.note(f"{name} is removed{also}.")
