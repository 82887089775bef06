"""``telex providers export`` and ``import``: what is set up as a file for another machine, and never a key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from telex.command import Command
from telex.console import as_json
from telex.context import pass_app
from telex.exits import ExitCode, Stop

if TYPE_CHECKING:
    from collections.abc import Mapping

    from telex.context import App

__all__ = ["export", "import_"]

_FORMAT = click.Choice(["toml", "json"])


@click.command(
    cls=Command,
    examples=(
        "telex providers export providers.toml --only lab",
        "telex providers export - | ssh lab telex providers import -",
    ),
    exits=(ExitCode.SETTINGS,),
)
@click.argument("file", default="-", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--format", "form", type=_FORMAT, help="By default what the file's name says, else toml.")
@click.option("--only", multiple=True, metavar="NAME", help="Only this provider; may be given several times.")
@click.option("--replace", is_flag=True, help="Overwrite the file.")
@pass_app
def export(app: App, *, file: str, form: str | None, only: tuple[str, ...], replace: bool) -> None:
    """Write the providers to a file, without their keys.

    FILE is - for stdout, which is the default. Where a key comes from is written (a variable's name, a
    command); keys in the keyring are not, and neither are headers that look like one.
    """
    from provider_core import files
    from provider_core.settings import edit
    from telex import lists

    entries = edit.entries(app.paths.settings_file)
    missing = [name for name in only if name not in entries]
    if missing:
        lists.configured(app, missing[0])
    chosen = {
        name: _portable(app, name, entry) for name, entry in entries.items() if not only or name in only
    }
    text = _written({"providers": chosen}, form or _form(file))
    if file == "-":
        app.console.out(text)
        return
    path = Path(file)
    if path.exists() and not replace:
        raise click.UsageError(f"{file} is there already: --replace overwrites it")
    files.replace(path, text.encode())
    app.console.note(
        f"{len(chosen)} provider{'' if len(chosen) == 1 else 's'} written to {file}, without keys."
    )


def _portable(app: App, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The provider's table without what is secret or of this machine's keyring."""
    from provider_core.quirks import holds_secret
    from provider_core.settings.rules import without_credentials

    fields = dict(entry)
    if fields.get("key") == "keyring":
        del fields["key"]
    headers = fields.get("headers", {})
    secret = [header for header in headers if holds_secret(header)]
    if secret:
        app.console.note(f"{name}: the header {', '.join(secret)} is left out, it looks like a key.")
        fields["headers"] = {key: value for key, value in headers.items() if key not in secret}
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
@click.option("--replace", is_flag=True, help="Overwrite providers of the same names.")
@click.option(
    "--allow-commands", is_flag=True, help="Take over commands that print keys; they run on this machine."
)
@click.option(
    "--allow-http", is_flag=True, help="Let keys travel over plain http to hosts that are not local."
)
@pass_app
def import_(app: App, *, file: str, replace: bool, allow_commands: bool, allow_http: bool) -> None:
    """Set up the providers of a file.

    FILE is TOML or JSON as export writes it, or - for stdin. All of them are set up or none; keys are not in
    it and are given afterwards.
    """
    from provider_core.keys import source
    from provider_core.settings import edit, preview
    from telex.commands.providers import verify

    wanted = _read(app, file)
    existing = edit.entries(app.paths.settings_file)
    taken = [name for name in wanted if name in existing]
    if taken and not replace:
        app.console.error(
            f"nothing was imported: {', '.join(taken)} {'is' if len(taken) == 1 else 'are'} already set up",
            "To overwrite: --replace",
        )
        raise Stop(ExitCode.SETTINGS)
    commands = [name for name, entry in wanted.items() if entry.get("key_command")]
    if commands and not allow_commands:
        raise click.UsageError(
            f"the file has commands that print keys, for {', '.join(commands)}: look at them, and give --allow-commands"
        )
    merged = {name: _kept(app, name, existing.get(name), entry) for name, entry in wanted.items()}
    providers = [preview(name, entry, app.paths) for name, entry in merged.items()]
    for provider in providers:
        verify.allowed(app, provider, None, allow_http=allow_http)
    edit.put(app.paths.settings_file, merged, replace=replace)
    count = len(merged)
    app.console.note(f"{count} provider{' is' if count == 1 else 's are'} set up: {', '.join(merged)}.")
    for provider in providers:
        found = source(provider, app.environ)
        if not found.ready:
            way = f"set {found.variable}, or store one: " if found.variable else ""
            app.console.note(f"{provider.name} has no key yet: {way}telex providers set-key {provider.name}")


def _kept(app: App, name: str, before: Mapping[str, Any] | None, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The entry with the key that is stored for its name, which may go to no other place than before."""
    from provider_core.settings import preview
    from provider_core.settings.rules import origin

    fields = {key: value for key, value in entry.items() if key != "key" or value != "keyring"}
    if before is None or before.get("key") != "keyring":
        return fields
    old, new = (preview(name, each, app.paths).base_url for each in (before, fields))
    if origin(old) != origin(new):
        app.console.error(
            f"nothing was imported: the key that is stored for {name} belongs to {origin(old)}, "
            f"and the file has {origin(new)}",
            f"To take it over all the same, remove the old one first: telex providers remove {name}",
        )
        raise Stop(ExitCode.SETTINGS)
    if fields.get("key") == "none":
        app.console.error(
            f"nothing was imported: the file has {name} without a key, and one is stored for it",
            f"Remove that first: telex providers remove {name}",
        )
        raise Stop(ExitCode.SETTINGS)
    return {**fields, "key": "keyring"}


def _read(app: App, file: str) -> dict[str, dict[str, Any]]:
    import tomllib

    if file == "-":
        text = app.console.read_stdin() or ""
    else:
        try:
            text = Path(file).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            words = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise click.UsageError(f"{file} cannot be read: {words}") from None
    name = "stdin" if file == "-" else file
    try:
        data = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{name} is neither TOML nor JSON: {error}") from None
    tables = data.get("providers")
    if not isinstance(tables, dict) or not tables or not all(isinstance(t, dict) for t in tables.values()):
        raise click.UsageError(f"{name} holds no providers, which stand in tables as [providers.NAME]")
    from telex.commands.providers.given import new_name

    for provider in tables:
        new_name(app, provider)
    return tables


def _form(file: str) -> str:
    return "json" if file.endswith(".json") else "toml"


def _written(data: dict[str, Any], form: str) -> str:
    if form == "json":
        return as_json(data, indent=2)
    import tomlkit

    from provider_core.settings.edit import inline

    document = tomlkit.document()
    tables = tomlkit.table(is_super_table=True)
    for name, fields in data["providers"].items():
        table = tomlkit.table()
        for key, value in fields.items():
            table[key] = inline(value)
        tables[name] = table
    document["providers"] = tables
    return tomlkit.dumps(document)
