"""``telex config list``, ``get``, ``set`` and ``unset``: single settings, by their dotted names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from telex.app import pass_app
from telex.exit_codes import ExitCode, Stop
from telex.main import Command
from telex.options import Name

if TYPE_CHECKING:
    from provider_core.settings.values import Value
    from telex.app import App

_HEADERS = ("SETTING", "VALUE", "SOURCE")
_SINGLE = frozenset({"model", "markdown", "reasoning", "usage", "history", "ledger", "code_theme"})
"""Settings that are read without the schema, which takes longer to import than all else; scripts ask for these."""


@click.command(
    cls=Command,
    name="list",
    examples=(
        "telex config list",
        "telex config list --json | jq -r '.[] | select(.source != \"default\") | .key'",
    ),
    exits=(ExitCode.SETTINGS,),
)
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects.")
@pass_app
def list_(app: App, *, as_json: bool) -> None:
    """List the settings in force, with the source of each.

    From weak to strong, the sources are: default, file, profile, project (a trusted .telex.toml) and variable. In a
    pipe, each line has SETTING, VALUE and SOURCE, separated by tabs. Secrets are hidden.
    """
    from provider_core.settings.values import as_text
    from telex.render import tables

    found = _in_force(app)
    if as_json:
        app.console.json([{"key": each.key, "value": each.value, "source": each.source} for each in found])
        return
    tables.rows(app.console, _HEADERS, [(each.key, as_text(each.value), each.source) for each in found])


@click.command(
    cls=Command,
    examples=("telex config get model", "telex config get providers.lab --json | jq .base_url"),
    exits=(ExitCode.SETTINGS,),
    meanings={ExitCode.OTHER: "the setting has no value, or another error"},
)
@click.argument("key", type=Name("setting"))
@click.option("--json", "as_json", is_flag=True, help="Print the value as JSON.")
@pass_app
def get(app: App, *, key: str, as_json: bool) -> None:
    """Print the value of a setting that is in force, wherever it comes from.

    Lists and tables are printed as JSON. A setting that has no value prints nothing, and exits with 1.
    """
    value = getattr(app.runtime.settings, key) if key in _SINGLE else _value(app, key)
    if value is None:
        app.console.note(f"{key} is not set.")
        raise Stop(ExitCode.OTHER)
    if as_json:
        app.console.json(value)
    else:
        app.console.out(f"{value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}\n")


@click.command(
    cls=Command,
    name="set",
    examples=(
        "telex config set reasoning summary",
        "telex config set profiles.work.providers lab groq",
        "telex models list | head -n 1 | cut -f 1 | xargs telex config set model",
    ),
    exits=(ExitCode.SETTINGS,),
)
@click.argument("key", type=Name("setting"))
@click.argument("values", metavar="VALUE...", nargs=-1, required=True, type=Name("value", of="key"))
@pass_app
def set_(app: App, *, key: str, values: tuple[str, ...]) -> None:
    """Change a setting in the file; comments are preserved.

    The value is checked. For a list, give several values; tables are JSON. Keys are not settings: use
    telex providers set-key.
    """
    from provider_core.settings import edit
    from provider_core.settings.values import as_text, locate, parse, shown

    place = locate(key, _written(app))
    value = parse(place, values)
    if place.keys[0] == "providers":
        _require_provider(app, place.keys[1], place.keys[2])
    path = app.runtime.paths.settings_file
    edit.set_value(path, place.keys, value)
    app.console.note(f"{place} is now {as_text(shown(place.keys, value))}.")
    app.runtime.reload()
    _note_stronger(app, place.keys)


@click.command(
    cls=Command,
    examples=(
        "telex config unset reasoning",
        "telex config list | grep '^aliases.*file$' | cut -f 1 | xargs -n 1 telex config unset",
    ),
    exits=(ExitCode.SETTINGS,),
)
@click.argument("key", type=Name("setting"))
@pass_app
def unset(app: App, *, key: str) -> None:
    """Remove a setting from the file, so that its default is used."""
    from provider_core.errors import SettingsError
    from provider_core.settings import edit, tree
    from provider_core.settings.values import locate, value_at

    written = _written(app)
    try:
        keys = locate(key, written).keys
    except SettingsError:
        keys = tuple(tree.split(key))
        if value_at(written, keys) is None:
            raise
    if keys[0] in ("providers", "mcp") and len(keys) < 3:
        raise click.UsageError(f"{key} is more than one setting\nTo remove it: telex {keys[0]} remove NAME")
    if edit.unset_value(app.runtime.paths.settings_file, keys):
        app.console.note(f"{tree.dotted(keys)} is removed from the settings file.")
    else:
        app.console.note(f"{tree.dotted(keys)} is not in the settings file.")
    app.runtime.reload()
    _note_stronger(app, keys)


def _value(app: App, key: str) -> Any:
    from provider_core.settings.values import locate, value_at

    return value_at(_as_tree(_in_force(app)), locate(key, _written(app)).keys)


def _written(app: App) -> dict[str, Any]:
    """The settings file as it is written; raises ``SettingsError`` if it is not valid TOML."""
    from provider_core.settings import file

    return file.read(app.runtime.paths.settings_file)


def _in_force(app: App) -> list[Value]:
    """All settings in force. Entries that are not valid are reported on stderr."""
    from provider_core import settings
    from provider_core.settings import file, values

    runtime = app.runtime
    _ = runtime.settings  # reports what is not valid
    path = runtime.paths.settings_file
    text = file.text(path)
    project = runtime.project if runtime.project is not None and runtime.project.state == "trusted" else None
    layers = settings.layers_of(text, runtime.environ, runtime.profile, project)
    checked = settings.check(layers, runtime.paths)
    return values.in_force(checked, file.parse(text, path), layers.variables)


def _as_tree(found: list[Value]) -> dict[str, Any]:
    """The values as nested tables."""
    made: dict[str, Any] = {}
    for each in found:
        holder = made
        for key in each.keys[:-1]:
            holder = holder.setdefault(key, {})
        holder[each.keys[-1]] = each.value
    return made


def _require_provider(app: App, name: str, field: str) -> None:
    """Raise the error for an unknown provider, unless the setting is what makes one."""
    from provider_core.settings import edit

    known = edit.entries(app.runtime.paths.settings_file)
    if name not in known and field not in ("preset", "base_url", "gguf"):
        from provider_core.errors import UnknownProviderError
        from provider_core.presets import get as preset_of
        from provider_core.redaction import close_matches

        raise UnknownProviderError(
            f"unknown provider: {name}",
            name=name,
            candidates=close_matches(name, known),
            preset=preset_of(name) is not None,
        )


def _note_stronger(app: App, keys: tuple[str, ...]) -> None:
    """Say if another source overrides what the file has now."""
    source = next((each.source for each in _in_force(app) if each.keys == keys), "")
    where = {
        "variable": "a variable",
        "profile": f"the profile {app.runtime.settings.profile}",
        "project": str(app.runtime.project.path) if app.runtime.project is not None else "",
    }.get(source)
    if where:
        app.console.note(f"It has no effect now, because {where} overrides it.")
