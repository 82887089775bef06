"""``telex config``: read and change settings without knowing where the file is."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from telex.app import pass_app
from telex.exit_codes import ExitCode, Stop
from telex.main import Command, Group
from telex.options import Name

if TYPE_CHECKING:
    from pathlib import Path

    from provider_core.settings.values import Value
    from telex.app import App

COMMANDS = {
    "list": (f"{__name__}:list_", "List the settings with their sources."),
    "get": (f"{__name__}:get", "Print one setting."),
    "set": (f"{__name__}:set_", "Change one setting."),
    "unset": (f"{__name__}:unset", "Remove one setting from the file."),
    "edit": (f"{__name__}:edit", "Edit the settings file in your editor."),
    "path": (f"{__name__}:path", "Print the path of the settings file."),
}


@click.command(
    cls=Group,
    rows=COMMANDS,
    name="config",
    examples=("telex config set reasoning summary", "telex config list | grep -v default$"),
)
def command() -> None:
    """Read and change the settings.

    A setting is named by its place in the file, with dots: reasoning, aliases.fast, providers.lab.retries. See
    telex help settings for all of them.
    """


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
    exits=(ExitCode.OTHER, ExitCode.SETTINGS),
    meanings={ExitCode.OTHER: "the setting has no value, or another error"},
)
@click.argument("key", type=Name("setting"))
@click.option("--json", "as_json", is_flag=True, help="Print the value as JSON.")
@pass_app
def get(app: App, *, key: str, as_json: bool) -> None:
    """Print the value of a setting that is in force, wherever it comes from.

    Lists and tables are printed as JSON. A setting that has no value prints nothing, and exits with 1.
    """
    if key in _SINGLE:
        value = getattr(app.runtime.settings, key)
    else:
        from provider_core.settings.values import locate, value_at

        value = value_at(_as_tree(_in_force(app)), locate(key, _written(app)).keys)
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

    The value is checked. For a list, give several values; tables are JSON. API keys are not settings: use
    telex providers set-key.
    """
    from provider_core.settings import edit
    from provider_core.settings.values import as_text, locate, parse, shown
    from telex import provider_commands

    place = locate(key, _written(app))
    value = parse(place, values)
    path = app.runtime.paths.settings_file
    group, name, field = (*place.keys, "", "")[:3]
    makes_one = field in ("preset", "base_url", "gguf")
    if group == "providers" and not makes_one and name not in edit.entries(path):
        provider_commands.require_in_file(app, name)
        provider_commands.configured_provider(app, name)
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
    done = "removed from" if edit.unset_value(app.runtime.paths.settings_file, keys) else "not in"
    app.console.note(f"{tree.dotted(keys)} is {done} the settings file.")
    app.runtime.reload()
    _note_stronger(app, keys)


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


# --- the whole file ----------------------------------------------------------------------------------------------

_NEW = b"""\
# The settings of telex: see telex help settings. Lines that begin with "#" are ignored.
# Keys do not belong here: store them with telex providers set-key.

# model = "PROVIDER/MODEL"
# reasoning = "summary"

# [aliases]
# fast = "PROVIDER/MODEL"
"""


@click.command(
    cls=Command,
    examples=("telex config path", "telex config path | xargs ls -l"),
    exits=(ExitCode.SETTINGS,),
)
@pass_app
def path(app: App) -> None:
    """Print the path of the settings file, which may not exist yet."""
    app.console.out(f"{app.runtime.paths.settings_file}\n")


@click.command(
    cls=Command,
    examples=(
        "telex config edit",
        'EDITOR="sed -i s/qwen3-8b/qwen3-14b/" telex config edit && telex config list | grep qwen3',
    ),
    exits=(ExitCode.SETTINGS,),
)
@pass_app
def edit(app: App) -> None:
    """Edit the settings file in your editor.

    The editor is $VISUAL, or else $EDITOR, and works on a copy, which is checked when you leave it. If it has mistakes,
    they are reported, and on a terminal you can edit it again; the settings do not change until it has none. An empty
    copy changes nothing. A copy that is not used is saved, and its path is printed.
    """
    from provider_core.files import private_folder, replace
    from provider_core.settings import file

    settings_file = app.runtime.paths.settings_file
    if settings_file.exists():
        file.text(settings_file)  # refuses a file that others can change
    before = file.content(settings_file)
    private_folder(settings_file.parent)
    copy = settings_file.with_name(f"settings-edit-{time.time_ns()}.toml")
    replace(copy, before or _NEW)
    saved = False
    try:
        saved = _edit_until_valid(app, copy, before)
    finally:
        edited = copy.read_bytes() if copy.exists() else b""
        if saved or edited in (b"", before or _NEW):
            copy.unlink(missing_ok=True)
        else:
            app.console.note(f"The settings are unchanged. Your edit is in {copy}")
    app.console.note(f"Saved {settings_file}." if saved else "Nothing was changed.")


def _edit_until_valid(app: App, copy: Path, before: bytes) -> bool:
    """Run the editor, and save what it leaves; False if that is what there was before. Raises ``Stop``."""
    from provider_core.settings import edit as settings_edit
    from provider_core.settings import file, values
    from telex.editor import edit_file

    settings_file = app.runtime.paths.settings_file
    while True:
        edit_file(app, copy, is_copy=True)
        edited = file.content(copy)
        if edited in (b"", before, before or _NEW):  # an editor that fails may leave an empty file, or none
            return False
        found = values.problems(edited, before, copy)
        if not found:
            settings_edit.replace_text(settings_file, before, edited)
            return True
        for error in found:
            app.console.error(error.message)
        if not app.console.can_prompt() or not click.confirm("Edit it again?", default=True, err=True):
            raise Stop(ExitCode.SETTINGS)
