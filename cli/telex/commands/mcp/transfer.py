"""``telex mcp import``: import servers from another client's file, and report what was skipped and why."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from telex.app import pass_app
from telex.command import Command
from telex.exit_codes import ExitCode, Stop
from telex.humanize import plural
from telex.prompts import can_prompt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from provider_core.settings.mcp_import import ImportedServer
    from telex.app import App

__all__ = ["import_"]


@click.command(
    cls=Command,
    name="import",
    examples=(
        "telex mcp import ~/.cursor/mcp.json --secrets keyring",
        "cat .vscode/mcp.json | telex mcp import -",
    ),
    exits=(ExitCode.SETTINGS, ExitCode.KEY),
)
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--only", multiple=True, metavar="NAME", help="Import only this server. Repeatable.")
@click.option("--replace", is_flag=True, help="Replace servers with the same names.")
@click.option(
    "--secrets",
    type=click.Choice(["keyring", "env"]),
    help="Store plain secrets in the keyring, or read them from variables with the same names.",
)
@click.option(
    "--allow-http", is_flag=True, help="Allow sending secrets over plain http to hosts that are not local."
)
@pass_app
def import_(
    app: App, *, file: str, only: tuple[str, ...], replace: bool, secrets: str | None, allow_http: bool
) -> None:
    """Import servers from another client's file.

    FILE is the JSON file of Claude, Cursor, Windsurf, Cline, VS Code, Zed, Gemini CLI, opencode or LM Studio, or -
    for stdin; it is not changed. Reports which servers were imported, which were skipped, which fields were
    omitted, and why. A server with plain secrets in the file is imported only with --secrets, because telex
    settings never contain a secret.
    """
    found = [each for each in _read(app, file) if not only or each.called in only or each.name in only]
    for name in only:
        if name not in {word for each in found for word in (each.called, each.name)}:
            raise click.UsageError(f"the file has no server called {name}")
    secrets = secrets or _offered(app, found)
    taken: dict[str, dict[str, Any]] = {}
    stored: dict[str, str] = {}
    for each in found:
        why = each.left or _why_not(app, each, replace=replace, secrets=secrets, allow_http=allow_http)
        if why:
            _tell(app, f"skipped   {each.called}: {why}")
            continue
        taken[each.name], kept = _with_secrets(each, secrets)
        if allow_http and "url" in taken[each.name]:
            taken[each.name]["allow_http"] = True
        stored |= kept
        _tell(app, f"imported  {each.called}: {_place(each)}")
        for note in (*each.notes, *_given(taken[each.name])):
            _tell(app, f"            {note}")
    if taken:
        _save(app, taken, stored, replace=replace)
    _conclude(app, list(taken), stored)


def _read(app: App, file: str) -> tuple[ImportedServer, ...]:
    from provider_core import files
    from provider_core.errors import InvalidInputError
    from provider_core.settings import mcp_import

    text = (app.console.read_stdin() or "") if file == "-" else files.read_text(file)
    try:
        return mcp_import.read(text)
    except InvalidInputError as error:
        raise click.UsageError(f"{'stdin' if file == '-' else file}: {error.message}") from None


def _offered(app: App, found: Sequence[ImportedServer]) -> str | None:
    """Ask whether to store plain secrets in the keyring; without a terminal, the answer is no."""
    plain = [f"{each.called}: {', '.join(each.secrets)}" for each in found if each.secrets and not each.left]
    if not plain or not can_prompt(app.console):
        return None
    app.console.note("The file contains secrets in plain text:")
    for line in plain:
        _tell(app, f"  {line}")
    return "keyring" if click.confirm("Store them in the keyring?", default=True, err=True) else None


def _why_not(app: App, each: ImportedServer, *, replace: bool, secrets: str | None, allow_http: bool) -> str:
    """Why a valid server is not imported, or ""."""
    from provider_core.errors import SettingsError
    from provider_core.settings import preview_server
    from telex.commands.mcp.given import allowed

    if each.name in app.runtime.settings.mcp and not replace:
        return f"{each.name} is already set up, and --replace is not given"
    if each.secrets and secrets is None:
        return (
            f"the file contains {', '.join(each.secrets)} in plain text: use --secrets keyring to store it in "
            "the keyring, or --secrets env to read it from the environment"
        )
    table, _ = _with_secrets(each, secrets)
    own = {name for provider in app.runtime.settings.providers.values() for name in provider.key_env}
    if wanted := [name for name in _variables(table).values() if name in own]:
        return (
            f"it wants {', '.join(wanted)}, a provider's key, which servers get only if you add it yourself"
        )
    try:
        http = {"allow_http": True} if allow_http and "url" in table else {}
        allowed(app, preview_server(each.name, {**table, **http}, app.runtime.paths))
    except SettingsError as error:
        return error.message.removeprefix(f"mcp.{each.name}: ")
    except click.UsageError as error:
        return error.message
    return ""


def _with_secrets(each: ImportedServer, way: str | None) -> tuple[dict[str, Any], dict[str, str]]:
    """The table with references instead of secrets, and the secrets to store, by keyring entry."""
    from provider_core.keys import Destination, seal
    from provider_core.settings.validators import parse_reference
    from provider_core.types import Network

    table, stored = dict(each.table), {}
    place = "headers" if "url" in table else "env"
    values = dict(table.get(place, {}))
    for name, secret in each.secrets.items():
        if way == "keyring":
            # A header's name may hold what that of a secret may not.
            written = f"{secret.before}keyring:{each.name}.{re.sub(r'[^A-Za-z0-9_.-]', '-', name)}"
            wanted = parse_reference(written)
            if wanted is not None:
                to = Destination.of(str(table["url"]), Network()) if "url" in table else None
                stored[wanted.entry] = seal(secret.value, (to,) if to else ())
        else:
            variable = name if place == "env" else re.sub(r"[^A-Z0-9_]", "_", f"{each.name}_{name}".upper())
            written = f"{secret.before}env:{variable}"
        values[name] = written
    if values:
        table[place] = values
    return table, stored


def _variables(table: Mapping[str, Any]) -> dict[str, str]:
    """The variables of telex's environment that a server gets, by the names that the server sees."""
    from provider_core.settings.validators import parse_reference

    values = {**table.get("env", {}), **table.get("headers", {})}
    found = {name: parse_reference(value) for name, value in values.items()}
    return {name: each.name for name, each in found.items() if each is not None and each.kind == "env"}


def _given(table: Mapping[str, Any]) -> list[str]:
    return [f"{name}: from the environment variable {wanted}" for name, wanted in _variables(table).items()]


def _tell(app: App, line: str) -> None:
    """Print one line, with control characters and line breaks of the file made visible."""
    from telex.render.calls import spelled

    app.console.note(spelled(line))


def _save(app: App, taken: dict[str, dict[str, Any]], stored: dict[str, str], *, replace: bool) -> None:
    """Store secrets first, so that no saved setting refers to a missing secret."""
    from provider_core.settings import edit

    for entry, secret in stored.items():
        app.runtime.key_store.set(entry, secret)
    edit.put(app.runtime.paths.settings_file, taken, "mcp", replace=replace)
    app.runtime.reload()


def _place(each: ImportedServer) -> str:
    import shlex

    return str(each.table.get("url") or shlex.join(each.table["command"]))


def _conclude(app: App, taken: list[str], stored: dict[str, str]) -> None:
    from telex.commands.mcp.given import unready

    if not taken:
        app.console.error("nothing was taken")
        raise Stop(ExitCode.SETTINGS)
    for name in taken:
        server = app.runtime.settings.mcp[name]
        for line in unready(app, server, stored):
            _tell(app, f"{name}: {line}")
    if stored:
        count = len(stored)
        app.console.note(
            f"{plural(count, 'secret is', 'secrets are')} in the keyring; the file still has them."
        )
    app.console.note(f"Try: telex mcp test {' '.join(taken)}")
