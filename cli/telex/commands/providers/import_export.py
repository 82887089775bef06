"""``telex providers export`` and ``import``: move providers to another machine in a file without keys."""

from __future__ import annotations

import json
import os
import shlex
from typing import TYPE_CHECKING, Any

import click

from telex import provider_commands
from telex.app import pass_app
from telex.chat.output_file import output_to
from telex.commands.providers.arguments import require_free_name
from telex.console import as_json
from telex.exit_codes import ExitCode, Stop
from telex.humanize import plural
from telex.main import Command
from telex.options import Name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider_core.types import Provider
    from telex.app import App

_FORMAT = click.Choice(["toml", "json"])
_EXPECTED = 'It must have tables [providers.NAME] (TOML) or {"providers": {"NAME": {…}}} (JSON), as export writes them.'


@click.command(
    cls=Command,
    examples=(
        "telex providers export providers.toml --only lab",
        "telex providers export - | ssh lab telex providers import -",
    ),
    otherwise="Use the argument FILE to write to a file: telex providers export FILE",
    exits=(ExitCode.SETTINGS,),
)
@click.argument("file", default="-", type=click.Path(dir_okay=False, allow_dash=True))
@click.option(
    "--format", "form", type=_FORMAT, help="File format; by default from the name of FILE, or else toml."
)
@click.option(
    "--only",
    multiple=True,
    type=Name("provider"),
    metavar="NAME",
    help="Export only this provider. Repeatable.",
)
@click.option("--replace", is_flag=True, help="Replace FILE if it exists.")
@pass_app
def export(app: App, *, file: str, form: str | None, only: tuple[str, ...], replace: bool) -> None:
    """Write the providers to a file, without their keys.

    FILE is - for stdout, which is the default. The file contains the source of each key (the name of a variable, or a
    command), but no stored keys and no headers that look like keys.
    """
    from provider_core.settings import edit

    usable = app.runtime.settings.providers
    entries = {
        name: entry for name, entry in edit.entries(app.runtime.paths.settings_file).items() if name in usable
    }
    missing = [name for name in only if name not in entries]
    if missing:
        provider_commands.configured_provider(app, missing[0])
    chosen = {
        name: _portable(app, name, entry) for name, entry in entries.items() if not only or name in only
    }
    is_json = (form or ("json" if file.endswith(".json") else "toml")) == "json"
    text = as_json({"providers": chosen}, indent=2) if is_json else edit.dumps("providers", chosen)
    if file != "-" and os.path.lexists(file) and not replace:
        raise click.UsageError(f"{file} already exists; --replace overwrites it")
    with output_to(app.console, file, private=True):
        app.console.out(text)
    if file != "-":
        app.console.note(f"{plural(len(chosen), 'provider')} written to {file}, without keys.")


def _portable(app: App, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The provider's table without secrets and without entries of the keyring."""
    from provider_core.request import is_secret_name
    from provider_core.settings.validators import parse_reference, without_credentials

    fields = dict(entry)
    if fields.get("key") == "keyring":
        del fields["key"]
    for header, value in fields.get("headers", {}).items():
        if is_secret_name(header) and parse_reference(value) is None:
            app.console.note(f"{name}: the header {header} is omitted, because it looks like a key.")
            fields["headers"] = {key: each for key, each in fields["headers"].items() if key != header}
    proxy = fields.get("proxy")
    if proxy and without_credentials(proxy) != proxy:
        app.console.note(f"{name}: the proxy is written without its password.")
        fields["proxy"] = without_credentials(proxy)
    return {key: value for key, value in fields.items() if value not in ({}, [])}


@click.command(
    cls=Command,
    name="import",
    examples=(
        "telex providers import providers.toml --replace",
        "ssh lab telex providers export | telex providers import -",
    ),
    exits=(ExitCode.SETTINGS,),
)
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--replace", is_flag=True, help="Replace providers with the same names.")
@click.option("--trust", multiple=True, metavar="NAME",
              help="Allow the file to change where the key of this provider is sent. Repeatable.")  # fmt: skip
@click.option("--allow-commands", is_flag=True, help="Accept key commands, which run on this machine.")
@click.option(
    "--allow-http", is_flag=True, help="Allow sending keys over plain http to hosts that are not local."
)
@pass_app
def import_(
    app: App, *, file: str, replace: bool, trust: tuple[str, ...], allow_commands: bool, allow_http: bool
) -> None:
    """Set up the providers in a file.

    FILE is TOML or JSON as written by export, or - for stdin. Either all providers are set up or none. For each
    provider, telex shows the address, the source of its key and what else the file sets. telex refuses a file that
    would send one of your keys to a different origin (scheme, host, port), unless you use --trust NAME.
    """
    from provider_core import keys, provider_store
    from provider_core.settings import edit, preview
    from telex.commands.providers import check
    from telex.render.messages import escaped

    wanted = _read(app, file)
    existing = edit.entries(app.runtime.paths.settings_file)
    spelled = {name.casefold(): name for name in existing}
    wanted = {spelled.get(name.casefold(), name): entry for name, entry in wanted.items()}
    for name in wanted:
        require_free_name(app, name, remedy="")
    taken = [name for name in wanted if name in existing]
    if taken and not replace:
        app.console.error(
            f"nothing was imported: {', '.join(taken)} {'is' if len(taken) == 1 else 'are'} already set up",
            "To overwrite: --replace",
        )
        raise Stop(ExitCode.SETTINGS)
    commands = [
        f"{name}: {entry['key_command']}" for name, entry in wanted.items() if entry.get("key_command")
    ]
    if commands and not allow_commands:
        raise click.UsageError(
            "keys would come from commands that run on this machine\n"
            + "\n".join((*commands, "If you trust them, use --allow-commands"))
        )
    plain = [name for name, entry in wanted.items() if entry.get("allow_http")]
    if plain and not allow_http:
        raise click.UsageError(
            f"keys would be sent unencrypted, for {', '.join(plain)}\nTo accept this, use --allow-http"
        )
    merged = {name: _kept(existing.get(name), entry, http=allow_http) for name, entry in wanted.items()}
    for name in trust:
        if name in merged and (provider := preview(name, merged[name], app.runtime.paths)).key_env_for:
            merged[name]["key_env"] = provider.key_env[0]
    providers = [preview(name, entry, app.runtime.paths) for name, entry in merged.items()]
    for provider in providers:
        name, before = provider.name, existing.get(provider.name, {})
        former = preview(name, before, app.runtime.paths) if before.get("key") == "keyring" else None
        known = app.runtime.settings.providers.values()
        if name not in trust and (why := provider_store.find_redirection(provider, former, known)):
            app.console.error(
                f"nothing was imported: {why}", f"If you trust this file and this address: --trust {name}"
            )
            raise Stop(ExitCode.SETTINGS)
        check.require_encryption(app, provider, None)
    edit.put(app.runtime.paths.settings_file, merged, replace=replace)
    for provider in providers:
        if provider.name in trust and provider.key_stored:
            stored = app.runtime.key_store.get(provider.name)
            if stored is not None:
                app.runtime.key_store.set(provider.name, keys.seal_for(provider, keys.unseal(stored)[0]))
        app.console.note(escaped(f"{provider.name}: {_summary(app, provider, merged[provider.name])}"))
    count = len(merged)
    app.console.note(f"{plural(count, 'provider is', 'providers are')} set up: {', '.join(merged)}.")
    provider_commands.note_default(app, next(iter(merged), ""))
    for provider in providers:
        found = keys.source(provider, app.runtime.environ)
        if not found.ready:
            way = f"set {found.variable}, or store one: " if found.variable else ""
            app.console.note(f"{provider.name} has no key yet: {way}telex providers set-key {provider.name}")


def _kept(before: Mapping[str, Any] | None, entry: Mapping[str, Any], *, http: bool) -> dict[str, Any]:
    """The entry of the file, with the key that is stored here under its name."""
    fields = {key: value for key, value in entry.items() if key != "key" or value != "keyring"}
    if http and str(fields.get("base_url", "")).startswith("http:"):
        fields["allow_http"] = True
    if before is not None and before.get("key") == "keyring":
        fields.setdefault("key", "keyring")
    return fields


def _summary(app: App, provider: Provider, entry: Mapping[str, Any]) -> str:
    """The provider's address, the source of its key, and what else the file sets."""
    from provider_core.keys import source
    from provider_core.settings.provider_fields import PROVIDER_FIELDS
    from telex.render.providers import key_words, place, setting_text

    settings = [
        f"{row.name} = {setting_text(row.name, entry[row.name])}"
        for row in PROVIDER_FIELDS
        if row.name not in ("base_url", "gguf", "key") and entry.get(row.name)
    ]
    key = key_words(source(provider, app.runtime.environ))
    return "; ".join((place(provider), f"key: {key}", *settings))


def _read(app: App, file: str) -> dict[str, dict[str, Any]]:
    import tomllib

    from provider_core import files

    text = (app.console.read_stdin() or "") if file == "-" else files.read_text(file)
    name = "stdin" if file == "-" else file
    try:
        try:
            found = json.loads(text)
        except ValueError:
            if text.lstrip().startswith("{"):
                raise
            found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{name} is not valid TOML or JSON: {error}\n{_EXPECTED}") from None
    data: dict[str, Any] = found if isinstance(found, dict) else {}
    tables = data.get("providers")
    if not isinstance(tables, dict) or not tables:
        servers = "mcpServers" in data or "servers" in data
        advice = f"For MCP servers: telex mcp import {shlex.quote(file)}" if servers else _EXPECTED
        raise click.UsageError(f"{name} does not contain any providers\n{advice}")
    for provider, table in tables.items():
        if not isinstance(table, dict):
            raise click.UsageError(f"providers.{provider} in {name} is not a table\n{_EXPECTED}")
    return tables
