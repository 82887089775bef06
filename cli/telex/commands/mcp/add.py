"""``telex mcp add`` and ``import``: set up servers from options or from another client's file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from telex.app import pass_app
from telex.exit_codes import ExitCode, Stop
from telex.humanize import plural
from telex.main import Command
from telex.options import ExistingPath, Number, require_utf8

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from provider_core.settings.mcp import McpServer
    from provider_core.settings.mcp_import import ImportedServer
    from telex.app import App


@click.command(
    cls=Command,
    examples=(
        "telex mcp add time -- uvx mcp-server-time",
        "telex mcp add web --url https://tools.example/mcp --header 'X-Key: env:WEB_KEY'",
        "telex mcp add git -- uvx mcp-server-git && telex mcp tools git | cut -f1",
    ),
    exits=(ExitCode.SETTINGS,),
    otherwise="Put the server's own command after --, as in: telex mcp add NAME -- npx {word}",
)
@click.argument("name")
@click.argument("words", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED)
@click.option("--url", metavar="URL", help="The address of an MCP server over HTTP, instead of a command.")
@click.option(
    "--env", multiple=True, metavar="KEY=VALUE", help="Set an environment variable of the server. Repeatable."
)
@click.option(
    "--header", multiple=True, metavar="NAME:VALUE", help="Send a header with every request. Repeatable."
)
@click.option("--cwd", type=ExistingPath(file_okay=False), help="Run the command in this folder.")
@click.option(
    "--timeout",
    type=Number(min=0, min_open=True),
    metavar="SECONDS",
    help="Give up on a call after this many seconds without progress, and after ten times as long in any case. "
    "[default: 60]",
)
@click.option(
    "--start-timeout",
    type=Number(min=0, min_open=True),
    metavar="SECONDS",
    help="Give up on the start after this many seconds. [default: 30]",
)
@click.option(
    "--max-result",
    type=click.IntRange(1000, 10_000_000),
    metavar="BYTES",
    help="Remove the middle of a result that is longer than this. [default: 100000]",
)
@click.option(
    "--allow",
    multiple=True,
    metavar="PATTERN",
    help="Run tools matching PATTERN without asking for approval, such as read_*. Repeatable.",
)
@click.option(
    "--allow-http", is_flag=True, help="Allow sending secrets over plain http to a host that is not local."
)
@click.option("--replace", is_flag=True, help="Replace the server with this name.")
@pass_app
def add(
    app: App, /, *, name: str, words: tuple[str, ...], url: str | None, replace: bool, **options: Any
) -> None:
    """Set up an MCP server: a command or an address.

    Write secrets as keyring:NAME or env:VARIABLE; telex looks them up when the server starts. A header may have a word
    before it: 'Authorization: Bearer keyring:NAME'.

    The command gets the environment variables that every program needs (PATH, HOME, USER, LANG, TERM and similar),
    those for certificates and proxies, and those set with --env, but no API keys and no TELEX_ variables.
    """
    from provider_core.errors import SettingsError
    from provider_core.settings import edit, preview_server
    from provider_core.settings.validators import find_secret

    if (not words) == (url is None):
        raise click.UsageError(
            "no command and no URL\nPut the command that starts the server after --, or give its address with --url."
            if url is None
            else "a command and --url cannot be used together"
        )
    if words and words[0].startswith(("http://", "https://")):
        raise click.UsageError("the command is an address\nGive the address of a server with --url.")
    fields = {
        "command": [require_utf8(word, "the server's command") for word in words] or None,
        "url": url,
        "env": dict(_pair("--env", text) for text in options["env"]) or None,
        "headers": dict(_pair("--header", text) for text in options["header"]) or None,
        "allow_http": True if options["allow_http"] and url is not None else None,
        "cwd": str(options["cwd"].absolute()) if options["cwd"] else None,
        "call_timeout": options["timeout"],
        "start_timeout": options["start_timeout"],
        "max_result": options["max_result"],
        "allow": list(options["allow"]) or None,
    }
    try:
        server = preview_server(name, fields, app.runtime.paths)
    except SettingsError as error:
        raise click.UsageError(error.message.removeprefix(f"mcp.{name}").lstrip(".: ")) from None
    _require_encryption(app, server)
    if name in app.runtime.settings.mcp and not replace:
        app.console.error(f"{name} is already set up", "To overwrite it: --replace")
        raise Stop(ExitCode.SETTINGS)
    fields["url"] = server.url or None
    edit.put(app.runtime.paths.settings_file, {name: fields}, "mcp", replace=replace)
    app.console.note(f"{name} is saved.")
    if (where := find_secret(words)) is not None:
        app.console.note(
            f"Its command contains what looks like a secret{' ' if where else ''}{where}. It is saved in the "
            "settings in plain text, and everyone on this machine can read the arguments of running programs."
        )
        app.console.note(
            "If the server can read it from a variable, use --env NAME=keyring:NAME (see: telex mcp set-secret --help)"
        )
    for line in _missing(app, server):
        app.console.note(line)
    app.console.note(f"Try: telex mcp test {name}")


def _pair(option: str, given: str) -> tuple[str, str]:
    """``KEY=VALUE`` of --env; for --header also ``NAME: VALUE``, as in curl. Raises ``UsageError`` for a secret."""
    from provider_core.settings.validators import is_harmless

    is_env = option == "--env"
    name, sign, value = re.fullmatch(
        "([^=]*)(=?)(.*)" if is_env else "([^=:]*)([=:]?)(.*)", require_utf8(given, option), re.DOTALL
    ).groups()  # type: ignore[union-attr]
    name, value = name.strip(), value if is_env else value.strip()
    if not sign or not name:
        raise click.UsageError(
            "--env takes KEY=VALUE, for example MODE=fast or TOKEN=keyring:NAME"
            if is_env
            else "--header takes NAME: VALUE, for example 'X-Team: a'"
        )
    if not is_harmless(name, value):
        instead = f"--env {name}=keyring:NAME" if is_env else f"--header '{name}: keyring:NAME'"
        raise click.UsageError(
            f"the value of {name} looks like a secret, which does not belong on the command line: "
            f"give {instead} (see: telex mcp set-secret --help), or env:VARIABLE instead of keyring:NAME"
        )
    return name, value


def _require_encryption(app: App, server: McpServer) -> None:
    """Raise ``UsageError`` if a secret would be sent unencrypted beyond private networks."""
    from provider_core.errors import KeyDestinationError
    from provider_core.keys import check_destination
    from provider_core.settings.mcp import secret_references

    names = list(secret_references(server))
    if server.url and names:
        try:
            check_destination(", ".join(names), server.url, server.network, environ=app.runtime.environ)
        except KeyDestinationError as error:
            raise click.UsageError(f"{error.message}\nUse https, or --allow-http.") from None


def _missing(app: App, server: McpServer, stored: Collection[str] = ()) -> list[str]:
    """Steps that are left to the user before the server can start, without opening the keyring.

    ``stored`` are keyring entries that are known to exist.
    """
    import shutil

    from provider_core.settings.mcp import secret_references

    environ = app.runtime.environ
    lines = []
    for name, wanted in secret_references(server).items():
        if wanted.kind == "keyring" and wanted.entry not in stored:
            lines.append(
                f"{name} comes from the keyring. To put it there: telex mcp set-secret {wanted.name}"
            )
        elif wanted.kind == "env" and not environ.get(wanted.name):
            lines.append(f"{name} comes from the environment variable {wanted.name}, which is not set now.")
    path = server.env.get("PATH") or environ.get("PATH")
    if server.command and shutil.which(server.command[0], path=path) is None:
        lines.append(
            f"Its command was not found: {server.command[0]}\n"
            f"Install it, or add {server.name} again with the full path and --replace."
        )
    return lines


# --- import ------------------------------------------------------------------------------------------------


@click.command(
    cls=Command,
    name="import",
    examples=(
        "telex mcp import ~/.cursor/mcp.json --secrets keyring",
        "cat .vscode/mcp.json | telex mcp import -",
    ),
    exits=(ExitCode.SETTINGS, ExitCode.KEY),
    meanings={ExitCode.KEY: "a secret cannot be stored"},
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
    """Import MCP servers from another client's file.

    FILE is the JSON file of Claude, Cursor, Windsurf, Cline, VS Code, Zed, Gemini CLI, opencode or LM Studio, or -
    for stdin; it is not changed. Reports which servers were imported, which were skipped, which fields were
    omitted, and why. A server with plain secrets in the file is imported only with --secrets, because telex
    settings never contain a secret.
    """
    from provider_core import files
    from provider_core.errors import InvalidInputError
    from provider_core.settings import edit, mcp_import

    text = (app.console.read_stdin() or "") if file == "-" else files.read_text(file)
    try:
        servers = mcp_import.read(text)
    except InvalidInputError as error:
        raise click.UsageError(f"{'stdin' if file == '-' else file}: {error.message}") from None
    for name in only:
        if not any(name in (server.name, server.original_name) for server in servers):
            raise click.UsageError(f"the file has no server called {name}")
    if only:
        servers = tuple(each for each in servers if each.original_name in only or each.name in only)
    secrets = secrets or _ask_for_keyring(app, servers)
    tables: dict[str, dict[str, Any]] = {}
    stored: dict[str, str] = {}
    for server in servers:
        table, entries = _table(server, secrets, allow_http=allow_http)
        checked = server.skip_reason or _checked(app, server, table, secrets, replace=replace)
        if isinstance(checked, str):
            _note(app, f"skipped   {server.original_name}: {checked}")
            continue
        tables[server.name] = table
        stored |= entries
        _note(app, f"imported  {server.original_name}: {checked.place}")
        variables = [f"{name}: from the environment variable {used}" for name, used in _variables(table)]
        for line in (*server.notes, *variables):
            _note(app, f"            {line}")
    if not tables:
        app.console.error("nothing was imported")
        raise Stop(ExitCode.SETTINGS)
    # Secrets first, so that no saved setting refers to a missing secret.
    for entry, secret in stored.items():
        app.runtime.key_store.set(entry, secret)
    edit.put(app.runtime.paths.settings_file, tables, "mcp", replace=replace)
    app.runtime.reload()
    for name in tables:
        for line in _missing(app, app.runtime.settings.mcp[name], stored):
            _note(app, f"{name}: {line}")
    if stored:
        count = plural(len(stored), "secret is", "secrets are")
        app.console.note(f"{count} in the keyring; the file still has them.")
    app.console.note(f"Try: telex mcp test {' '.join(tables)}")


def _ask_for_keyring(app: App, servers: Sequence[ImportedServer]) -> str | None:
    """Ask whether to store plain secrets in the keyring; without a terminal, the answer is no."""
    plain = [each for each in servers if each.secrets and not each.skip_reason]
    if not plain or not app.console.can_prompt():
        return None
    app.console.note("The file contains secrets in plain text:")
    for each in plain:
        _note(app, f"  {each.original_name}: {', '.join(each.secrets)}")
    return "keyring" if click.confirm("Store them in the keyring?", default=True, err=True) else None


def _table(
    server: ImportedServer, secrets: str | None, *, allow_http: bool
) -> tuple[dict[str, Any], dict[str, str]]:
    """The table with references instead of secrets, and the secrets to store, by keyring entry."""
    from provider_core.keys import Destination, seal
    from provider_core.settings.validators import parse_reference
    from provider_core.types import Network

    table, entries = dict(server.table), {}
    url = table.get("url")
    if url and allow_http:
        table["allow_http"] = True
    values: dict[str, str] = {}
    for name, secret in server.secrets.items():
        if secrets == "keyring":
            # A header's name may contain what a secret's name may not.
            written = f"keyring:{server.name}.{re.sub(r'[^A-Za-z0-9_.-]', '-', name)}"
            wanted = parse_reference(written)
            if wanted is not None:
                entries[wanted.entry] = seal(secret.value, (Destination.of(url, Network()),) if url else ())
        else:
            written = f"env:{re.sub(r'[^A-Z0-9_]', '_', f'{server.name}_{name}'.upper()) if url else name}"
        values[name] = f"{secret.before}{written}"
    if values:
        place = "headers" if url else "env"
        table[place] = {**table.get(place, {}), **values}
    return table, entries


def _checked(
    app: App, server: ImportedServer, table: Mapping[str, Any], secrets: str | None, *, replace: bool
) -> McpServer | str:
    """The server, or why it is not imported."""
    from provider_core.errors import SettingsError
    from provider_core.settings import preview_server

    if server.name in app.runtime.settings.mcp and not replace:
        return f"{server.name} is already set up, and --replace was not used"
    if server.secrets and secrets is None:
        return (
            f"the file contains {', '.join(server.secrets)} in plain text: use --secrets keyring to store it in "
            "the keyring, or --secrets env to read it from the environment"
        )
    keys = {name for provider in app.runtime.settings.providers.values() for name in provider.key_env}
    if wanted := [used for _, used in _variables(table) if used in keys]:
        return f"it needs {', '.join(wanted)}, a provider's key, which is never imported; add it yourself"
    try:
        found = preview_server(server.name, table, app.runtime.paths)
        _require_encryption(app, found)
    except (SettingsError, click.UsageError) as error:
        return error.message.removeprefix(f"mcp.{server.name}: ")
    return found


def _variables(table: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The variables of telex's environment that a server gets, each after the name that the server sees."""
    from provider_core.settings.validators import parse_reference

    values = {**table.get("env", {}), **table.get("headers", {})}
    found = [(name, parse_reference(value)) for name, value in values.items()]
    return [(name, each.name) for name, each in found if each is not None and each.kind == "env"]


def _note(app: App, line: str) -> None:
    """Print one line, with control characters and line breaks of the file made visible."""
    from telex.render.messages import escaped

    app.console.note(escaped(line))
