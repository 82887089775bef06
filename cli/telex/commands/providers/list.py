"""``telex providers list``, ``show`` and ``presets``: list providers and presets, without asking a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from telex import provider_commands
from telex.app import pass_app
from telex.exit_codes import ExitCode
from telex.main import Command
from telex.options import Name

if TYPE_CHECKING:
    from provider_core.errors import ApiKeyError
    from provider_core.types import Provider
    from telex.app import App


@click.command(
    cls=Command,
    name="list",
    examples=("telex providers list --check-keys", "telex providers list --json | jq -r '.[].name'"),
    exits=(ExitCode.SETTINGS, ExitCode.KEY),
)
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects.")
@click.option(
    "--check-keys", is_flag=True, help="Look up the keys, and show the last 4 characters of long ones."
)
@pass_app
def list_(app: App, *, as_json: bool, check_keys: bool) -> None:
    """List the providers that can be used, and the sources of their keys.

    A preset whose key variable is set can be used without being set up; its state is "environment".

    In a pipe, each line has NAME, ADDRESS, KEY, STATE (on, off, invalid or environment), DEFAULT MODEL and, if there
    is one, DISPLAY NAME, separated by tabs. The keyring is opened only with --check-keys.
    """
    from provider_core.keys import source
    from telex.render import providers as render
    from telex.render import tables

    runtime = app.runtime
    providers = [each for each in runtime.providers.values() if not each.embedded]
    endings, failed = _endings(app, providers) if check_keys else ({}, [])
    wrong = runtime.settings.invalid_entries("providers")
    models = _default_models(app, marked=app.console.out_is_terminal and not as_json)
    found = [
        render.ListedProvider(
            each,
            source(each, runtime.environ),
            models.get(each.name, ""),
            each.name in runtime.settings.providers,
            endings.get(each.name),
        )
        for each in providers
    ]
    if as_json:
        invalid = [{"name": name, "enabled": False, "error": words} for name, words in wrong.items()]
        app.console.json([*(each.as_json() for each in found), *invalid])
    else:
        rows = [*(each.row() for each in found), *((name, "", "", "invalid", "") for name in wrong)]
        columns = max(map(len, rows), default=0)
        if app.console.out_is_terminal:
            rows = [(*row, "")[:columns] for row in rows]
        tables.rows(app.console, render.HEADERS[:columns], rows)
    if failed:
        raise failed[0]
    if not found and not wrong and not as_json:
        app.console.note(
            "No provider is set up. Add one: telex providers add NAME (see: telex providers presets)"
        )


def _default_models(app: App, *, marked: bool) -> dict[str, str]:
    """Each provider's default model, and the global default, which can be ``marked``."""
    found = {
        name: model
        for name, provider in app.runtime.providers.items()
        if (model := provider.default_model or app.runtime.catalog.listing(name).default)
    }
    target = provider_commands.default_target(app)
    if target is not None and not target.provider.embedded:
        name, model = target.provider.name, target.model
        own = target.provider.default_model
        if not marked:
            found[name] = own or model
        else:
            found[name] = f"{model} (default)" if own in (None, "", model) else f"{own}, {model} (default)"
    return found


def _endings(app: App, providers: list[Provider]) -> tuple[dict[str, str], list[ApiKeyError]]:
    """The visible end of each key in the environment or the keyring, and the errors for other keys.

    "" means that there is no key.
    """
    from provider_core.errors import ApiKeyError, MissingKeyError
    from provider_core.keys import ending, resolve_each, source

    sources = [(each, source(each, app.runtime.environ)) for each in providers]
    wanted = [each for each, where in sources if where.kind in ("keyring", "variable") and where.ready]
    endings: dict[str, str] = {}
    failed: list[ApiKeyError] = []
    for name, each in resolve_each(wanted, environ=app.runtime.environ, store=app.runtime.key_store).items():
        if isinstance(each, ApiKeyError) and not isinstance(each, MissingKeyError):
            failed.append(each)
        else:
            key = None if isinstance(each, ApiKeyError) else each.value
            endings[name] = ending(key) if key else ""
    return endings, failed


@click.command(
    cls=Command,
    examples=("telex providers show deepseek", "telex providers show deepseek --json | jq .base_url"),
    exits=(ExitCode.SETTINGS,),
)
@click.argument("name", type=Name("provider"))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@pass_app
def show(app: App, *, name: str, as_json: bool) -> None:
    """Show the settings of a provider."""
    from provider_core.keys import source
    from provider_core.settings import edit, file
    from telex.render import providers as render
    from telex.render import tables

    provider = app.runtime.providers.get(name.casefold())
    if provider is None or provider.embedded:
        provider = provider_commands.configured_provider(app, name)
    name = provider.name
    references = edit.references(file.read(app.runtime.paths.settings_file), name)
    shown = render.ListedProvider(
        provider,
        source(provider, app.runtime.environ),
        provider.default_model or app.runtime.catalog.listing(name).default or "",
        name in app.runtime.settings.providers,
    )
    if as_json:
        app.console.json({**shown.as_json(), "pointed_at_by": list(references)})
        return
    written = edit.entries(app.runtime.paths.settings_file).get(name, {})
    tables.pairs(app.console, shown.card(references, written))


@click.command(
    cls=Command,
    examples=("telex providers presets china", "telex providers presets | cut -f 1"),
    exits=(ExitCode.OK,),
)
@click.argument("text", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects.")
@pass_app
def presets(app: App, *, text: tuple[str, ...], as_json: bool) -> None:
    """Search the providers that can be set up by name alone.

    TEXT limits the list to presets whose name, address or keywords contain it. In a pipe, each line has
    PRESET, NAME, KIND, KEY and ADDRESS, separated by tabs.
    """
    from provider_core import presets as known
    from telex.render import providers as render
    from telex.render import tables

    folder = app.runtime.paths.presets
    found = known.search(" ".join(text), folder)
    if as_json:
        objects = [render.preset_as_json(preset) for preset in found]
        app.console.json(objects)
    else:
        tables.rows(app.console, render.PRESET_HEADERS, [render.preset_row(preset) for preset in found])
    for error in known.problems(folder).values():
        app.console.note(f"Warning: {error.message} (ignoring this preset)")
    if not found:
        app.console.note(
            f"No preset matches {' '.join(text)!r}. To add another server: telex providers add NAME --base-url URL"
        )
