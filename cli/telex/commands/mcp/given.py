"""Variables and headers in the options of several commands, and whether their secrets may be sent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from telex.options import require_utf8

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from provider_core.settings.mcp import McpServer
    from telex.app import App

__all__ = ["allowed", "headers", "unready", "variables"]

_WAY = "give {option} {name}{sign}keyring:NAME (see: telex mcp set-secret --help), or env:VARIABLE"


def variables(given: Sequence[str]) -> dict[str, str]:
    """Names and values of ``KEY=VALUE``; raises ``UsageError`` for a secret."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = require_utf8(text, "--env").partition("=")
        if not equals or not name.strip():
            raise click.UsageError("--env takes KEY=VALUE, for example MODE=fast or TOKEN=keyring:NAME")
        found[name.strip()] = _fit(
            name.strip(), value, _WAY.format(option="--env", name=name.strip(), sign="=")
        )
    return found


def headers(given: Sequence[str]) -> dict[str, str]:
    """Names and values of ``NAME: VALUE``, as in curl, or ``NAME=VALUE``; raises ``UsageError`` for a secret."""
    found: dict[str, str] = {}
    for text in given:
        parts = re.match(r"([^=:]*)[=:](.*)", require_utf8(text, "--header"), re.DOTALL)
        name, value = parts.groups() if parts else ("", "")
        if not name.strip():
            raise click.UsageError("--header takes NAME: VALUE, for example 'X-Team: a'")
        way = _WAY.format(option="--header", name=f"'{name.strip()}", sign=": ") + ", closed by '"
        found[name.strip()] = _fit(name.strip(), value.strip(), way)
    return found


def _fit(name: str, value: str, way: str) -> str:
    from provider_core.settings.validators import is_harmless

    if not is_harmless(name, value):
        raise click.UsageError(
            f"the value of {name} looks like a secret, which does not belong on the command line: {way}"
        )
    return value


def allowed(app: App, server: McpServer) -> None:
    """Raise ``UsageError`` if a secret would be sent unencrypted beyond private networks."""
    from provider_core.errors import KeyDestinationError
    from provider_core.keys import check_destination
    from provider_core.settings.mcp import secret_references

    names = list(secret_references(server))
    if not server.url or not names:
        return
    try:
        check_destination(", ".join(names), server.url, server.network, environ=app.runtime.environ)
    except KeyDestinationError as error:
        raise click.UsageError(f"{error.message}: use https, or --allow-http") from None


def unready(app: App, server: McpServer, stored: Collection[str] = ()) -> list[str]:
    """What the user still has to do before the server can start, without opening the keyring.

    ``stored`` are keyring entries that are known to exist.
    """
    import shutil

    from provider_core.settings.mcp import secret_references

    lines = []
    for name, wanted in secret_references(server).items():
        if wanted.kind == "keyring" and wanted.entry in stored:
            continue
        if wanted.kind == "keyring":
            lines.append(
                f"{name} comes from the keyring. To put it there: telex mcp set-secret {wanted.name}"
            )
        elif not app.runtime.environ.get(wanted.name):
            lines.append(f"{name} comes from the environment variable {wanted.name}, which is not set now.")
    path = server.env.get("PATH") or app.runtime.environ.get("PATH")
    if server.command and shutil.which(server.command[0], path=path) is None:
        lines.append(f"Command not found: {server.command[0]}")
    return lines
