"""``telex providers add``: check and save a provider, from a preset, an address or a model file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from provider_core.errors import LocalModelError
from telex.app import pass_app
from telex.command import Command
from telex.commands.providers.given import (
    WAITS,
    address,
    assignment,
    file_models,
    new_name,
    preview,
    wait_options,
)
from telex.commands.providers.keys import checked, choose, key_options, shadow
from telex.error_hints import code_and_hint
from telex.exit_codes import ASKING, ExitCode, Stop
from telex.options import ExistingPath, Name
from telex.prompts import require_terminal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from provider_core.presets import Preset
    from provider_core.probe import Report
    from provider_core.types import Provider
    from telex.app import App

__all__ = ["command"]


@click.command(
    cls=Command,
    name="add",
    examples=(
        "telex providers add deepseek",
        "telex providers add lab --base-url http://127.0.0.1:8080/v1 --no-key",
        "pass show groq | telex providers add groq --key-stdin",
    ),
    exits=ASKING,
)
@click.argument("name", type=Name("preset"))
@click.option("--base-url", metavar="URL", help="The base address of the API, without /chat/completions.")
@click.option(
    "--preset", type=Name("preset"), metavar="ID", help="Use this preset; by default the one called NAME."
)
@click.option(
    "--gguf",
    type=ExistingPath(dir_okay=False),
    metavar="FILE",
    help="Run this model file on this machine, without a server.",
)
@click.option(
    "--set",
    "variables",
    multiple=True,
    metavar="PART=VALUE",
    help="Set a part of the preset's address, such as account_id=ID.",
)
@key_options
@click.option("--display-name", metavar="TEXT", help="Name to show in lists.")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="ID",
    help="Add a model; the first one is the default. Repeatable.",
)
@click.option(
    "--model-name",
    "model_names",
    multiple=True,
    metavar="TEXT",
    help="Name of a model in lists, in the order of --model. Repeatable.",
)
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="NAME=VALUE",
    help="Send a header with every request. Repeatable.",
)
@click.option("--proxy", metavar="URL", help="Use this proxy; none means no proxy.")
@click.option(
    "--ca-bundle",
    type=ExistingPath(),
    help="Trust these certificates instead of the system's.",
)
@click.option(
    "--client-cert",
    type=ExistingPath(),
    help="Present a client certificate: a PEM file with its key.",
)
@wait_options
@click.option(
    "--allow-http", is_flag=True, help="Allow sending the key over plain http to a host that is not local."
)
@click.option("--no-verify", is_flag=True, help="Save without checking that the server answers.")
@click.option("--replace", is_flag=True, help="Replace the provider with this name.")
@pass_app
def command(
    app: App,
    /,
    *,
    name: str,
    preset: str | None,
    allow_http: bool,
    no_verify: bool,
    replace: bool,
    **options: Any,
) -> None:
    """Set up a provider and check that it works.

    NAME is the name of a preset (see telex providers presets), or any name with --base-url or --gguf. With a preset
    name and --base-url, everything but the address comes from the preset. telex prompts for the key without showing
    it, and stores it in the keyring of the operating system.
    """
    from provider_core import provider_store
    from provider_core.keys import seal_for
    from telex import lists
    from telex.commands.providers import verify

    new_name(app, name)
    taken = lists.spelled(app, name)
    if taken is not None and taken != name:
        raise click.UsageError(f"{taken} is already set up, and names are unique regardless of case")
    if name in app.runtime.settings.providers and not replace:
        app.console.error(
            f"{name} is already set up",
            f"To overwrite it: --replace\nTo change it: telex providers edit {name} --help",
        )
        raise Stop(ExitCode.SETTINGS)
    row = _preset(name, preset, options)
    if row is not None and options["base_url"] and not preset:
        app.console.note(f"{name} is a preset: everything but the address comes from {row.name}.")
    fields = {**_fields(row, options), **_place(app, row, options)}
    if options["gguf"]:
        fields["models"] = file_models(app, options["gguf"].absolute(), fields["models"])
    if allow_http:
        fields["allow_http"] = True
    choice = choose(app, preview(app, name, fields, fields), options) if not options["gguf"] else None
    if choice is not None:
        fields |= choice.fields
    provider = preview(app, name, fields, fields)
    verify.allowed(app, provider, choice.store if choice else None)
    report = None
    if choice is not None and not no_verify:
        report, choice = checked(app, provider, choice)
    if options["gguf"]:
        _load_once(app, provider, no_verify=no_verify)
    key = choice.store if choice else None
    sealed = seal_for(provider, key) if key is not None else None
    provider_store.add(
        app.runtime.paths.settings_file, app.runtime.key_store, name, fields, key=sealed, replace=replace
    )
    if report is not None and report.models:
        lists.save(app, provider, report.models)
    _conclude(app, provider, report, choice.said if choice else "")


def _preset(name: str, preset: str | None, options: Mapping[str, Any]) -> Preset | None:
    from provider_core import presets

    if options["gguf"] and (options["base_url"] or preset):
        raise click.UsageError(
            "--gguf does not go with --base-url or --preset: a model file needs no address"
        )
    if options["gguf"]:
        return None
    wanted = preset or name
    row = presets.get(wanted)
    if row is None and options["base_url"] and not preset:
        return None
    if row is None:
        near = presets.close_matches(wanted)
        hint = f"Did you mean {' or '.join(near)}? " if near else ""
        raise click.UsageError(
            f"there is no preset called {wanted}. {hint}Otherwise give --base-url URL or --gguf FILE"
        )
    return row


def _fields(preset: Preset | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the settings, except the address and the key."""
    from provider_core.settings.validators import parse_header

    models, names = options["models"], options["model_names"]
    if len(names) > len(models):
        raise click.UsageError("--model-name belongs to a --model: there are more names than models")
    declared = [
        {"id": model, "name": names[at]} if at < len(names) else model for at, model in enumerate(models)
    ]
    return {
        "preset": preset.id if preset else None,
        "display_name": options["display_name"],
        "headers": dict(parse_header(text) for text in options["headers"]) or None,
        "models": declared or None,
        "default_model": models[0] if models and preset else None,
        "proxy": options["proxy"],
        **{field: options[field] for field in WAITS},
        "ca_bundle": _absolute(options["ca_bundle"]),
        "client_cert": _absolute(options["client_cert"]),
    }


def _absolute(path: Path | None) -> str | None:
    return str(path.absolute()) if path else None


def _place(app: App, preset: Preset | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields for the place of the model: an address with its parts, or a file."""
    if options["gguf"]:
        return {"gguf": str(options["gguf"].absolute()), "key": "none"}
    place: dict[str, Any] = {"base_url": None}
    if options["base_url"]:
        place["base_url"] = address(app, options["base_url"])
    variables = _variables(app, preset, place["base_url"], options["variables"])
    return {**place, "variables": variables or None}


def _load_once(app: App, provider: Provider, *, no_verify: bool) -> None:
    """Load the model file with llama.cpp to check it; raises ``LocalModelError``."""
    from provider_core import local
    from provider_core.types import Target

    console = app.console
    if no_verify:
        console.note("The file was not loaded; whether llama.cpp can load it is not known.")
        return
    if not local.installed():
        from telex.error_hints import install_command

        console.note(
            "The file was not loaded, because the extra that runs it is not installed. "
            f"Install it: {install_command('telex[local]')}"
        )
        return
    console.note(f"Loading {provider.gguf} …")
    try:
        with app.open_provider(Target(provider=provider, model=provider.models[0].id)):
            pass
    except LocalModelError as error:
        code, hint = code_and_hint(error)
        console.error(
            error.message,
            "\n".join(filter(None, (hint, "Nothing was saved. To save without loading: --no-verify"))),
        )
        raise Stop(ExitCode.SETTINGS if code is ExitCode.OTHER else code) from None


def _variables(app: App, preset: Preset | None, base_url: str | None, given: Sequence[str]) -> dict[str, str]:
    """The parts of an address template, from the options, the environment, or a prompt."""
    from provider_core.settings.validators import validate_variable

    values = dict(assignment(text) for text in given)
    wanted = {variable.name: variable for variable in (preset.variables if preset else ())}
    template = base_url or (preset.base_url if preset else "")
    unknown = [name for name in values if f"{{{name}}}" not in template]
    if unknown:
        parts = f"its parts are {', '.join(wanted)}" if wanted else "its address has no parts to set"
        raise click.UsageError(f"--set {unknown[0]}=… means nothing here: {parts}")
    for name, variable in wanted.items():
        if name in values or f"{{{name}}}" not in template:
            continue
        source = next((env for env in variable.env if app.runtime.environ.get(env, "").strip()), None)
        if source:
            values[name] = app.runtime.environ[source].strip()
            app.console.note(f"{name} is taken from the environment variable {source}.")
        else:
            require_terminal(
                app.console,
                f"there is no terminal to ask for the {name} of the address: give --set {name}=…"
                + (f", or set {variable.env[0]}" if variable.env else ""),
            )
            values[name] = str(click.prompt(variable.prompt, err=True)).strip()
    for name, value in values.items():
        validate_variable(name, value)
    return values


def _conclude(app: App, provider: Provider, report: Report | None, said: str) -> None:
    from telex import lists
    from telex.commands.providers import verify

    console = app.console
    console.note(f"{provider.name} is set up.")
    if report is not None:
        console.note(verify.summary(report))
    for line in (said, shadow(app, provider)):
        if line:
            console.note(line)
    model = report.model if report is not None else None
    model = model or provider.default_model or next((m.id for m in provider.models), None)
    if model:
        console.note(f'Try: telex chat -m {provider.name} "Hello"  (the model is {model})')
    else:
        console.note(f'No model is known yet. Try: telex chat -m {provider.name}/MODEL "Hello"')
    lists.say_default(app, provider.name)
