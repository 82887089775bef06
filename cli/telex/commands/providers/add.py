"""``telex providers add`` and ``discover``: set up providers from presets, addresses, model files and local servers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from provider_core.errors import LocalModelError
from telex import provider_commands
from telex.app import pass_app
from telex.commands.providers import arguments
from telex.error_hints import code_and_hint, install_command
from telex.exit_codes import ASKING, ExitCode, Stop
from telex.main import Command
from telex.options import Name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from provider_core.presets import Preset
    from provider_core.probe import CheckReport, LocalServer
    from provider_core.types import Provider
    from telex.app import App


@click.command(
    cls=Command,
    examples=(
        "telex providers add deepseek",
        "telex providers add lab --base-url http://127.0.0.1:8080/v1 --no-key",
        "pass show groq | telex providers add groq --key-stdin",
    ),
    exits=ASKING,
)
@click.argument("name", type=Name("preset"))
@partial(arguments.setting_options, arguments.NEW_ROWS)
@click.option("--no-verify", is_flag=True, help="Save without checking that the server answers.")
@click.option("--replace", is_flag=True, help="Replace the provider with this name.")
@pass_app
def add(app: App, /, *, name: str, no_verify: bool, replace: bool, **options: Any) -> None:
    """Set up a provider and check that it works.

    NAME is the name of a preset (see telex providers presets), or any name with --base-url or --gguf. With a preset
    name and --base-url, everything but the address comes from the preset. telex prompts for the key without showing
    it, and stores it in the keyring of the operating system.
    """
    from provider_core import provider_store
    from telex.commands.providers import check

    other = f"To overwrite it: --replace\nTo change it: telex providers edit {name} --help"
    arguments.require_free_name(app, name, remedy="" if replace else other)
    preset = _preset(name, options, app.runtime.paths.presets)
    if preset is not None and options["base_url"] and not options["preset"]:
        app.console.note(f"{name} is a preset: everything but the address comes from {preset.name}.")
    fields = arguments.changed_fields(app, options, {})
    if preset is not None:
        fields["preset"] = preset.id
        if options["models"]:
            fields["default_model"] = options["models"][0]
    choice = arguments.KeyChoice(fields={"key": "none"})
    if not options["gguf"]:
        if variables := _address_parts(app, preset, fields):
            fields["variables"] = variables
        choice = arguments.choose_key(app, arguments.preview(app, name, fields, fields), options)
    fields |= choice.fields
    provider = arguments.preview(app, name, fields, fields)
    if options["gguf"]:
        _load_once(app, provider, no_verify=no_verify)
    report, choice, key = check.checked_key(app, provider, choice, no_verify=no_verify)
    settings, store = app.runtime.paths.settings_file, app.runtime.key_store
    provider_store.add(settings, store, name, fields, key=key, replace=replace)
    if report is not None and report.models:
        provider_commands.save_model_list(app, provider, report.models)
    _report_success(app, provider, report, choice.message)


def _preset(name: str, options: Mapping[str, Any], folder: Path) -> Preset | None:
    from provider_core import presets

    if options["gguf"]:
        if options["base_url"] or options["preset"]:
            raise click.UsageError("--gguf cannot be used with --base-url or --preset")
        return None
    wanted = options["preset"] or name
    found = presets.get(wanted, folder)
    if found is None and (options["preset"] or not options["base_url"]):
        if (wrong := presets.problems(folder).get(wanted)) is not None:
            raise wrong
        near = " or ".join(presets.close_matches(wanted, folder))
        hint = f"Did you mean {near}?\n" if near else ""
        raise click.UsageError(
            f"unknown preset: {wanted}\n{hint}List the presets: telex providers presets\n"
            "To use a server: --base-url URL. To run a model file: --gguf FILE."
        )
    return found


def _address_parts(app: App, preset: Preset | None, fields: Mapping[str, Any]) -> dict[str, str]:
    """The parts of the address: from the options, the environment, or a prompt."""
    from provider_core.settings.validators import validate_variable

    values = dict(fields.get("variables", {}))
    wanted = {variable.name: variable for variable in (preset.variables if preset else ())}
    template = fields.get("base_url") or (preset.base_url if preset else "")
    unknown = [name for name in values if f"{{{name}}}" not in template]
    if unknown:
        parts = f"it has {', '.join(wanted)}" if wanted else "it has no parts to set"
        raise click.UsageError(f"--set {unknown[0]}: unknown part of the address; {parts}")
    environ = app.runtime.environ
    for name, variable in wanted.items():
        if name in values or f"{{{name}}}" not in template:
            continue
        source = next((each for each in variable.env if environ.get(each, "").strip()), None)
        if source:
            values[name] = environ[source].strip()
            app.console.note(f"{name} is taken from the environment variable {source}.")
        else:
            app.console.require_terminal(
                f"no value for {name}, a part of the address, and no terminal to prompt on\nUse --set {name}=VALUE"
                + (f", or set {variable.env[0]}." if variable.env else "."),
            )
            values[name] = str(click.prompt(variable.prompt or variable.name, err=True)).strip()
    for name, value in values.items():
        validate_variable(name, value)
    return values


def _load_once(app: App, provider: Provider, *, no_verify: bool) -> None:
    """Load the model file with llama.cpp to check it; stops if it cannot be loaded."""
    from provider_core import local
    from provider_core.types import Target

    console = app.console
    if no_verify or not local.installed():
        console.note("The file was not loaded; whether llama.cpp can load it is not known.")
        if not no_verify:
            console.note(f"To load it, install the extra: {install_command('telex[local]')}")
        return
    console.note(f"Loading {provider.gguf} …")
    try:
        with app.runtime.open_provider(Target(provider=provider, model=provider.models[0].id)):
            pass
    except LocalModelError as error:
        code, hint = code_and_hint(error)
        lines = filter(None, (hint, "Nothing was saved. To save without loading: --no-verify"))
        console.error(error.message, "\n".join(lines))
        raise Stop(code) from None


def _report_success(app: App, provider: Provider, report: CheckReport | None, message: str) -> None:
    from telex.commands.providers import check

    app.console.note(f"{provider.name} is set up.")
    if report is not None:
        app.console.note(check.summary(report))
    for line in (message, arguments.unused_key(app, provider)):
        if line:
            app.console.note(line)
    model = report.model if report is not None else None
    model = model or provider.default_model or next((each.id for each in provider.models), None)
    if model:
        app.console.note(f'Try: telex chat -m {provider.name} "Hello"  (the model is {model})')
    else:
        app.console.note(f'No model is known yet. Try: telex chat -m {provider.name}/MODEL "Hello"')
    provider_commands.note_default(app, provider.name)


# --- discover ----------------------------------------------------------------------------------------------


HEADERS = ("SERVER", "ADDRESS", "MODELS", "SET UP AS")


@click.command(
    cls=Command,
    examples=("telex providers discover --add", "telex providers discover --json | jq -r '.[].base_url'"),
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
def discover(app: App, *, ports: tuple[int, ...], add_all: bool, as_json: bool) -> None:
    """Find the model servers that run on this machine.

    Checks the ports used by Ollama, LM Studio, llama.cpp, vLLM and others, without a key, and lists the models found.
    On a terminal, offers to set up each new server. In a pipe, each line has SERVER, ADDRESS, MODELS and SET UP AS,
    separated by tabs.
    """
    from provider_core import probe
    from telex.render import tables

    found = probe.discover(ports, transport=app.runtime.transport)
    names = {server.base_url: _known_as(app, server) for server in found}
    new = [server for server in found if not names[server.base_url] and not server.needs_key]
    if add_all:
        names |= {server.base_url: _add_server(app, server) for server in new}
    if as_json:
        app.console.json(
            [
                {
                    "preset": server.preset,
                    "base_url": server.base_url,
                    "models": [model.id for model in server.models],
                    "needs_key": server.needs_key,
                    "set_up_as": names[server.base_url] or None,
                }
                for server in found
            ]
        )
        return
    rows = []
    for server in found:
        models = "wants a key" if server.needs_key else str(len(server.models))
        rows.append((server.preset or "unknown", server.base_url, models, names[server.base_url]))
    tables.rows(app.console, HEADERS, rows)
    if not found:
        where = f"on port {', '.join(map(str, ports))}" if ports else "on the known ports"
        app.console.note(f"No model server found {where} of this machine.")
    if add_all:
        return
    if new and not app.console.can_prompt():
        app.console.note("To set up what is new: telex providers discover --add")
        new = []
    for server in new:
        if click.confirm(f"Set up {_product(server)} at {server.base_url}?", default=True, err=True):
            _add_server(app, server)
    for server in found:
        if server.needs_key and not names[server.base_url]:
            name = _free_name(app, server)
            preset = f" --preset {server.preset}" if server.preset not in (None, name) else ""
            command = f"telex providers add {name}{preset} --base-url {server.base_url} --key-stdin"
            app.console.note(f"{_product(server)} wants a key: {command}")


def _add_server(app: App, server: LocalServer) -> str:
    """Set up the server under an unused name, and return the name."""
    from provider_core import presets, settings
    from provider_core.settings import edit

    name = _free_name(app, server)
    preset = presets.get(server.preset) if server.preset else None
    fields: dict[str, Any] = {
        "preset": server.preset,
        "base_url": None if preset and preset.base_url == server.base_url else server.base_url,
        "key": None if preset else "none",
    }
    edit.put(app.runtime.paths.settings_file, {name: fields})
    if server.models:
        provider_commands.save_model_list(
            app, settings.preview(name, fields, app.runtime.paths), server.models
        )
    app.console.note(f'{name} is set up: {server.base_url}. Try: telex chat -m {name} "Hello"')
    provider_commands.note_default(app, name)
    return name


def _free_name(app: App, server: LocalServer) -> str:
    """A name that no provider and no alias has."""
    from itertools import chain, count

    from provider_core.settings import edit

    used = (*edit.entries(app.runtime.paths.settings_file), *app.runtime.settings.aliases)
    taken = {each.casefold() for each in used}
    name, port = server.preset or "server", urlsplit(server.base_url).port
    names = chain((name, f"{name}-{port}"), (f"{name}-{port}-{number}" for number in count(2)))
    return next(each for each in names if each not in taken)


def _known_as(app: App, server: LocalServer) -> str:
    """The provider that already has this address, or ""."""
    from provider_core.settings.validators import origin

    wanted = origin(server.base_url)
    for provider in app.runtime.settings.providers.values():
        url = provider.base_url.replace("//localhost", "//127.0.0.1")
        if url and origin(url) == wanted:
            return provider.name
    return ""


def _product(server: LocalServer) -> str:
    from provider_core import presets

    preset = presets.get(server.preset) if server.preset else None
    return preset.name if preset else "a server"
