"""``telex providers discover``: find servers on this machine, and ask for each new one whether to set it up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from telex.app import pass_app
from telex.command import Command
from telex.exit_codes import ExitCode
from telex.prompts import can_prompt

if TYPE_CHECKING:
    from provider_core.probe import Found
    from telex.app import App

__all__ = ["command"]

HEADERS = ("SERVER", "ADDRESS", "MODELS", "SET UP AS")


@click.command(
    cls=Command,
    name="discover",
    examples=(
        "telex providers discover --add",
        "telex providers discover --json | jq -r '.[].base_url'",
    ),
    exits=(ExitCode.SETTINGS,),
)
@click.option(
    "--port",
    "ports",
    type=click.IntRange(1, 65535),
    multiple=True,
    metavar="N",
    help="Look only at this port instead of the usual ones. Repeatable.",
)
@click.option(
    "--add", "add_all", is_flag=True, help="Set up all new servers that need no key, without asking."
)
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects.")
@pass_app
def command(app: App, *, ports: tuple[int, ...], add_all: bool, as_json: bool) -> None:
    """Find the model servers that run on this machine.

    Asks the ports that Ollama, LM Studio, llama.cpp, vLLM and others use for their models, all at once and without
    a key. In a pipe, each line has SERVER, ADDRESS, MODELS and SET UP AS, separated by tabs.
    """
    from provider_core import probe
    from telex.render import sheet

    found = probe.discover(ports, transport=app.runtime.transport)
    names = {server.base_url: _known_as(app, server) for server in found}
    if add_all:
        names |= {server.base_url: _add(app, server) for server in found if _is_new(server, names)}
    if as_json:
        objects = [_fields(server, names[server.base_url]) for server in found]
        app.console.json(objects)
        return
    sheet.rows(app.console, HEADERS, [_row(server, names[server.base_url]) for server in found])
    if not found:
        where = f"on port {', '.join(map(str, ports))}" if ports else "on the known ports"
        app.console.note(f"No model server answers {where} of this machine.")
    elif not add_all:
        _offer(app, found, names)


def _offer(app: App, found: tuple[Found, ...], names: dict[str, str]) -> None:
    new = [server for server in found if _is_new(server, names)]
    if new and not can_prompt(app.console):
        app.console.note("To set up what is new: telex providers discover --add")
        new = []
    for server in new:
        if click.confirm(f"Set up {_who(server)} at {server.base_url}?", default=True, err=True):
            _add(app, server)
    for server in found:
        if server.needs_key and not names[server.base_url]:
            name = _free(app, server)
            preset = f" --preset {server.preset}" if server.preset not in (None, name) else ""
            app.console.note(
                f"{_who(server)} wants a key: "
                f"telex providers add {name}{preset} --base-url {server.base_url} --key-stdin"
            )


def _is_new(server: Found, names: dict[str, str]) -> bool:
    return not names[server.base_url] and not server.needs_key


def _add(app: App, server: Found) -> str:
    """Set up the server under an unused name, and return the name."""
    from provider_core import presets, settings
    from provider_core.settings import edit
    from telex import lists

    name = _free(app, server)
    preset = presets.get(server.preset) if server.preset else None
    fields: dict[str, Any] = {
        "preset": server.preset,
        "base_url": None if preset and preset.base_url == server.base_url else server.base_url,
        "key": None if preset else "none",
    }
    edit.put(app.runtime.paths.settings_file, {name: fields})
    if server.models:
        lists.save(app, settings.preview(name, fields, app.runtime.paths), server.models)
    app.console.note(f'{name} is set up: {server.base_url}. Try: telex chat -m {name} "Hello"')
    lists.say_default(app, name)
    return name


def _free(app: App, server: Found) -> str:
    """A name that no provider and no alias has."""
    from provider_core.settings import edit

    taken = {
        each.casefold()
        for each in (*edit.entries(app.runtime.paths.settings_file), *app.runtime.settings.aliases)
    }
    name, port = server.preset or "server", urlsplit(server.base_url).port
    for candidate in (name, f"{name}-{port}"):
        if candidate not in taken:
            return candidate
    return next(f"{name}-{port}-{n}" for n in range(2, len(taken) + 3) if f"{name}-{port}-{n}" not in taken)


def _known_as(app: App, server: Found) -> str:
    """The provider that already has this address, or ""."""
    from provider_core.settings.validators import origin

    wanted = origin(server.base_url)
    for provider in app.runtime.settings.providers.values():
        url = provider.base_url.replace("//localhost", "//127.0.0.1")
        if url and origin(url) == wanted:
            return provider.name
    return ""


def _who(server: Found) -> str:
    from provider_core import presets

    preset = presets.get(server.preset) if server.preset else None
    return preset.name if preset else "a server"


def _row(server: Found, name: str) -> tuple[str, ...]:
    models = "wants a key" if server.needs_key else str(len(server.models))
    return (server.preset or "unknown", server.base_url, models, name)


def _fields(server: Found, name: str) -> dict[str, Any]:
    return {
        "preset": server.preset,
        "base_url": server.base_url,
        "models": [model.id for model in server.models],
        "needs_key": server.needs_key,
        "set_up_as": name or None,
    }
