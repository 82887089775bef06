"""``telex mcp add``: set up one server by its command or address, without starting it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from telex.app import pass_app
from telex.command import Command
from telex.exit_codes import ExitCode, Stop
from telex.options import ExistingPath, Number, require_utf8

if TYPE_CHECKING:
    from telex.app import App

__all__ = ["command"]


@click.command(
    cls=Command,
    name="add",
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
@click.option("--url", metavar="URL", help="Address of a server over HTTP, instead of a command.")
@click.option(
    "--env", multiple=True, metavar="KEY=VALUE", help="Set an environment variable of the server. Repeatable."
)
@click.option(
    "--header",
    "header",
    multiple=True,
    metavar="NAME:VALUE",
    help="Send a header with every request. Repeatable.",
)
@click.option(
    "--cwd",
    type=ExistingPath(file_okay=False),
    help="Run the command in this folder.",
)
@click.option(
    "--timeout",
    type=Number(min=0, min_open=True),
    metavar="SECONDS",
    help="Give up on a call after this many seconds without progress, or ten times as many in total (default 60).",
)
@click.option(
    "--start-timeout",
    type=Number(min=0, min_open=True),
    metavar="SECONDS",
    help="Give up on the start after this many seconds (default 30).",
)
@click.option(
    "--max-result",
    type=click.IntRange(1000, 10_000_000),
    metavar="BYTES",
    help="Cut longer results (default 100000).",
)
@click.option(
    "--allow",
    multiple=True,
    metavar="PATTERN",
    help="Run tools that match without asking, such as read_*. Repeatable.",
)
@click.option(
    "--allow-http", is_flag=True, help="Allow sending secrets over plain http to a host that is not local."
)
@click.option("--replace", is_flag=True, help="Replace the server with this name.")
@pass_app
def command(
    app: App,
    /,
    *,
    name: str,
    words: tuple[str, ...],
    url: str | None,
    allow_http: bool,
    replace: bool,
    **options: Any,
) -> None:
    """Set up a server: a command or an address.

    A secret in --env or --header is a reference: keyring:NAME or env:VARIABLE, in a header also after a word, such
    as Bearer keyring:NAME. It is looked up when the server starts.

    The command gets the environment variables that every program needs (PATH, HOME, USER, LANG, TERM and similar),
    those for certificates and proxies, and those of --env. It gets no API key and no TELEX_ variables.
    """
    from provider_core.errors import SettingsError
    from provider_core.settings import edit, preview_server
    from provider_core.settings.validators import find_secret
    from telex.commands.mcp import given

    if (not words) == (url is None):
        raise click.UsageError(
            "give the command that starts the server after --, or its address with --url"
            if url is None
            else "a server has a command or --url, not both"
        )
    fields = {
        "command": [require_utf8(word, "the server's command") for word in words] or None,
        "url": url,
        "env": given.variables(options["env"]) or None,
        "headers": given.headers(options["header"]) or None,
        "cwd": str(options["cwd"].absolute()) if options["cwd"] else None,
        "call_timeout": options["timeout"],
        "start_timeout": options["start_timeout"],
        "max_result": options["max_result"],
        "allow": list(options["allow"]) or None,
    }
    try:
        if allow_http and url is not None:
            fields["allow_http"] = True
        server = preview_server(name, fields, app.runtime.paths)
    except SettingsError as error:
        raise click.UsageError(error.message.removeprefix(f"mcp.{name}").lstrip(".: ")) from None
    given.allowed(app, server)
    if name in app.runtime.settings.mcp and not replace:
        app.console.error(f"{name} is already set up", "To overwrite it: --replace")
        raise Stop(ExitCode.SETTINGS)
    fields["url"] = server.url or None
    edit.put(app.runtime.paths.settings_file, {name: fields}, "mcp", replace=replace)
    app.console.note(f"{name} is set up.")
    if (where := find_secret(words)) is not None:
        app.console.note(
            f"Its command contains what looks like a secret{' ' if where else ''}{where}. It is saved in the "
            "settings in plain text, and everyone on this machine can read the arguments of running programs."
        )
        app.console.note(
            "If the server can read it from a variable, use --env NAME=keyring:NAME (see: telex mcp set-secret --help)"
        )
    for line in given.unready(app, server):
        app.console.note(line)
    app.console.note(f"Try: telex mcp test {name}")
