"""What several commands are given alike: variables and headers, and whether their secrets may travel."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from telex.options import readable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from provider_core.settings.mcp import McpServer
    from telex.context import App

__all__ = ["allowed", "headers", "unready", "variables"]

_WAY = "give {option} {name}{sign}keyring:NAME (see: telex mcp set-secret --help), or env:VARIABLE"


def variables(given: Sequence[str]) -> dict[str, str]:
    """Names and values of ``KEY=VALUE``; a secret is none of them."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = readable(text, "--env").partition("=")
        if not equals or not name.strip():
            raise click.UsageError("--env takes KEY=VALUE, for example MODE=fast or TOKEN=keyring:NAME")
        found[name.strip()] = _fit(
            name.strip(), value, _WAY.format(option="--env", name=name.strip(), sign="=")
        )
    return found


def headers(given: Sequence[str]) -> dict[str, str]:
    """Names and values of ``NAME: VALUE``, as curl takes them, or ``NAME=VALUE``; a secret is none of them."""
    found: dict[str, str] = {}
    for text in given:
        parts = re.match(r"([^=:]*)[=:](.*)", readable(text, "--header"), re.DOTALL)
        name, value = parts.groups() if parts else ("", "")
        if not name.strip():
            raise click.UsageError("--header takes NAME: VALUE, for example 'X-Team: a'")
        way = _WAY.format(option="--header", name=f"'{name.strip()}", sign=": ") + ", closed by '"
        found[name.strip()] = _fit(name.strip(), value.strip(), way)
    return found


def _fit(name: str, value: str, way: str) -> str:
    from provider_core.settings.secrets import harmless

    if not harmless(name, value):
        raise click.UsageError(
            f"the value of {name} looks like a secret, for which a command line is no place: {way}"
        )
    return value


def allowed(app: App, server: McpServer) -> None:
    """Raise ``UsageError`` where a secret would travel unencrypted through other people's networks."""
    from provider_core.errors import KeyDestinationError
    from provider_core.keys import check_destination
    from provider_core.settings.mcp import references

    names = list(references(server))
    if not server.url or not names:
        return
    try:
        check_destination(", ".join(names), server.url, server.network, environ=app.environ)
    except KeyDestinationError as error:
        raise click.UsageError(f"{error.message}: use https, or --allow-http") from None


def unready(app: App, server: McpServer, stored: Collection[str] = ()) -> list[str]:
    """What has still to be done before the server can start, as far as that is known without a keyring.

    ``stored`` are entries of the keyring that are known to be there.
    """
    import shutil

    from provider_core.settings.mcp import references

    lines = []
    for name, wanted in references(server).items():
        if wanted.kind == "keyring" and wanted.entry in stored:
            continue
        if wanted.kind == "keyring":
            lines.append(
                f"{name} comes from the keyring. To put it there: telex mcp set-secret {wanted.name}"
            )
        elif not app.environ.get(wanted.name):
            lines.append(f"{name} comes from the environment variable {wanted.name}, which is not set now.")
    path = server.env.get("PATH") or app.environ.get("PATH")
    if server.command and shutil.which(server.command[0], path=path) is None:
        lines.append(f"Command not found: {server.command[0]}")
    return lines
