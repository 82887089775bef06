"""What the user has set up: the settings file and ``TELEX_*`` variables, as plain values.

The file is checked by ``schema`` and written by ``file``; presets are merged in here. Keys are never in it.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provider_core import presets
from provider_core.errors import SettingsError
from provider_core.settings import validators
from provider_core.settings.validators import NAME, RESERVED
from provider_core.structs import Struct, field
from provider_core.types import Model, Network, Provider, Quirks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider_core.settings.mcp import McpServer

__all__ = [
    "NAME",
    "RESERVED",
    "Paths",
    "Settings",
    "from_environment",
    "key_variables",
    "load",
    "parse",
    "preview",
    "preview_server",
]


class Paths(Struct):
    """Where telex keeps things: settings, data (history, models) and what can be made again."""

    config: Path
    data: Path
    cache: Path

    @property
    def settings_file(self) -> Path:
        return self.config / "settings.toml"

    @property
    def templates(self) -> Path:
        """Where the user's templates are."""
        return self.config / "templates"

    @property
    def models(self) -> Path:
        """Where the embedded model's file is kept."""
        return self.data / "models"

    @property
    def history(self) -> Path:
        """The database of past conversations."""
        return self.data / "history.db"

    @property
    def lists(self) -> Path:
        """Where the lists of models that servers gave are kept."""
        return self.cache / "models"

    @property
    def refusals(self) -> Path:
        """Where it is kept which fields of a request a server refused."""
        return self.cache / "refused-fields.json"

    @classmethod
    def find(cls, environ: Mapping[str, str]) -> Paths:
        """The platform's folders, or three folders under ``TELEX_HOME`` where that is set.

        Raises ``SettingsError`` where there is no home folder to have them in.
        """
        home = environ.get("TELEX_HOME")
        if home:
            try:
                root = Path(home).expanduser().absolute()
            except (RuntimeError, OSError):
                raise SettingsError(f"TELEX_HOME is {home}, and there is no such home folder") from None
            return cls(config=root / "config", data=root / "data", cache=root / "cache")
        user = environ.get("HOME", "")
        if sys.platform == "linux" and user.startswith("/") and "ANDROID_ROOT" not in environ:
            user = user.rstrip("/")
            # What platformdirs says, without its import: that takes a tenth of a short answer's time.
            return cls(
                config=_folder(environ.get("XDG_CONFIG_HOME"), f"{user}/.config"),
                data=_folder(environ.get("XDG_DATA_HOME"), f"{user}/.local/share"),
                cache=_folder(environ.get("XDG_CACHE_HOME"), f"{user}/.cache"),
            )
        import platformdirs

        try:
            return cls(
                config=platformdirs.user_config_path("telex"),
                data=platformdirs.user_data_path("telex"),
                cache=platformdirs.user_cache_path("telex"),
            )
        except RuntimeError:
            raise SettingsError("there is no home folder: set HOME, or TELEX_HOME for telex alone") from None


class Settings(Struct):
    """Everything that is configured. ``model`` is the default as it was typed: an id or a provider's name."""

    model: str | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Short name -> model id as it was typed."""
    providers: Mapping[str, Provider] = field(default_factory=dict)
    markdown: bool = True
    """Whether an answer on a terminal is laid out."""
    reasoning: str = "show"
    """"show", "hide" or "summary"."""
    usage: str = "auto"
    """The line after an answer: "none", "short", "full", or what suits the streams."""
    history: bool = True
    """Whether conversations are kept."""
    code_theme: str | None = None
    local_threads: int | None = None
    local_context: int | None = None
    models_lifetime: float | None = None
    """Seconds that a server's list of models is taken for current; None for the catalogue's own."""
    mcp: Mapping[str, McpServer] = field(default_factory=dict)
    """The servers whose tools a model may be given, by name."""
    problems: Mapping[str, SettingsError] = field(default_factory=dict)
    """What is wrong with each entry that is left out: "providers.lab", "mcp.files", "aliases.fast", "usage"."""

    def require(self, *entry: str) -> None:
        """Raise the ``SettingsError`` of this entry ("providers", "lab") or of its whole group, if it is wrong."""
        for place in (entry[0], ".".join(entry)):
            if place in self.problems:
                raise self.problems[place]

    def invalid_entries(self, group: str) -> dict[str, str]:
        """The names of a group's entries that cannot be used, each with what is wrong with it."""
        start = f"{group}."
        return {
            entry.removeprefix(start): error.message
            for entry, error in self.problems.items()
            if entry.startswith(start)
        }


_VARIABLES = frozenset(f"TELEX_{field.name.upper()}" for field in fields(Settings)) - {"TELEX_PROBLEMS"}
"""The variables that are settings. No other is looked at: it may be the one that holds somebody's key."""


def _folder(named: str | None, usual: str) -> Path:
    """Ours in the folder that is named; a relative name counts for nothing (XDG base directories, "Basics")."""
    return Path(named if named and named.startswith("/") else usual) / "telex"


def load(paths: Paths, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings in force: environment over file over default.

    An entry that is wrong, or a file that this user may not read, is left out and found in ``problems``. Raises
    ``SettingsError`` with path and line for a file that cannot be parsed.
    """
    from provider_core.settings import file, snapshot

    unreadable: SettingsError | None = None
    try:
        text = file.text(paths.settings_file)
    except SettingsError as error:
        if not isinstance(error.__cause__, PermissionError):
            raise
        text, unreadable = "", error
    given = _given(os.environ if environ is None else environ)
    variables = _variables_of(given)
    checked: Mapping[str, Any] = {}
    if text or variables:
        recalled = snapshot.recall(paths.cache, text, variables)
        if recalled is None:
            recalled = _check(text, variables, paths)
            snapshot.keep(paths.cache, text, variables, recalled)
        checked = recalled
    return _settings(checked, given, paths, unreadable)


def parse(text: str, paths: Paths, environ: Mapping[str, str]) -> Settings:
    """The settings as ``load`` would return them for a file with this text; reads and writes no file."""
    given = _given(environ)
    variables = _variables_of(given)
    checked = _check(text, variables, paths) if text or variables else {}
    return _settings(checked, given, paths, None)


def _given(environ: Mapping[str, str]) -> dict[str, str]:
    """The TELEX_ variables that are set; an empty one counts as unset."""
    return {name: value for name, value in environ.items() if value and name.upper().startswith("TELEX_")}


def _variables_of(given: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in given.items() if name.upper() in _VARIABLES}


def _settings(
    checked: Mapping[str, Any], given: Mapping[str, str], paths: Paths, unreadable: SettingsError | None
) -> Settings:
    variables = _variables_of(given)
    known = {name: value for name, value in checked.items() if name not in ("mcp", "providers", "problems")}
    problems = {
        name: SettingsError(words, path=paths.settings_file if in_file else None)
        for name, (words, in_file) in checked.get("problems", {}).items()
    }
    if unreadable is not None:
        problems["settings.toml"] = unreadable
    if problems.keys() & {"history", "settings.toml"}:
        known["history"] = False  # whoever set it may have wanted nothing saved
    groups = {group: dict(checked.get(group, {})) for group in ("mcp", "providers")}
    problems |= _nested(given, groups)
    providers: dict[str, Provider] = {}
    for name, table in groups["providers"].items():
        try:
            providers[name] = _provider(name, table, paths)
        except SettingsError as error:
            problems[f"providers.{name}"] = _located(error, name, variables)
    return Settings(**known, mcp=_mcp(groups["mcp"]), providers=providers, problems=problems)


def _nested(given: Mapping[str, str], groups: Mapping[str, dict[str, Any]]) -> dict[str, SettingsError]:
    """The entries of ``groups`` that variables such as TELEX_PROVIDERS__LAB__BASE_URL were to change.

    They are taken out: without the change, a request might go where the user does not want it.
    """
    problems = {}
    for name in given:
        variable, nested, path = name.upper().partition("__")
        if not nested or variable not in _VARIABLES:
            continue
        from provider_core.settings import schema

        parts = path.lower().split("__")
        group = variable.removeprefix("TELEX_").lower()
        inner = "".join(f'{{"{part}": ' for part in parts)
        form = f"{variable} takes JSON: {variable}='{inner}\"VALUE\"{'}' * len(parts)}'"
        if group not in groups:
            form = form if group == "aliases" else f"{variable} takes one value"
            problems[name] = SettingsError(f"{name} is not a setting. {form}")
            continue
        known = next((each for each in groups[group] if each.casefold() == parts[0]), parts[0])
        groups[group].pop(known, None)
        fields = schema.ENTRIES[group].model_fields
        problems[f"{group}.{known}"] = (
            SettingsError(f"{name} is not a setting. {form}")
            if parts[1:2] and parts[1] in fields
            else schema.not_a_setting(name, [group, *parts], None, fields)
        )
    return problems


def _located(error: SettingsError, name: str, variables: Mapping[str, str]) -> SettingsError:
    """``error`` with TELEX_PROVIDERS named as its place, where that has the provider."""
    from provider_core.settings import schema

    if schema.variable_of(["providers", name], schema.parse_variables(variables)[0]) is None:
        return error
    return SettingsError(error.message.replace("providers.", "TELEX_PROVIDERS.", 1))


def _mcp(tables: Mapping[str, Mapping[str, Any]]) -> Mapping[str, McpServer]:
    if not tables:
        return {}
    from provider_core.settings import mcp

    return mcp.of_tables(tables)


def _check(text: str, variables: Mapping[str, str], paths: Paths) -> dict[str, Any]:
    from provider_core.settings import file, schema

    data = file.parse(text, paths.settings_file)
    checked, problems = schema.check(data, variables, paths.settings_file)
    if problems:
        checked["problems"] = {
            name: [error.message, error.path is not None] for name, error in problems.items()
        }
    return checked


def preview(
    name: str, table: Mapping[str, Any], paths: Paths, environ: Mapping[str, str] | None = None
) -> Provider:
    """The provider that ``[providers.NAME]`` with these fields would be; raises ``SettingsError``.

    With ``environ``, what its TELEX_PROVIDERS says of this provider overrides the fields, as it does in a chat.
    """
    from provider_core.settings import schema

    given = {key: value for key, value in table.items() if value is not None}
    variables = {"TELEX_PROVIDERS": value} if environ and (value := environ.get("TELEX_PROVIDERS")) else {}
    checked, problems = schema.check({"providers": {name: given}}, variables, paths.settings_file)
    for place in ("providers", f"providers.{name}"):
        if place in problems:
            raise problems[place]
    return _provider(name, checked["providers"][name], paths)


def key_variables(environ: Mapping[str, str]) -> set[str]:
    """The names of the variables that are set and may hold the key of a preset."""
    return {name for name, value in environ.items() if name.endswith(("_KEY", "_TOKEN")) and value.strip()}


def from_environment(settings: Settings, environ: Mapping[str, str], paths: Paths) -> dict[str, Provider]:
    """The presets that are not set up, and whose key a variable of ``environ`` holds, as providers by their id.

    What only the user knows of an address has to be in the environment, too. A variable that a provider reads its key
    from belongs to that provider.
    """
    # The presets are imported only where a variable may hold a key: all their names end so.
    names = key_variables(environ)
    names.difference_update(*(provider.key_env for provider in settings.providers.values()))
    if not names:
        return {}
    taken = {name.casefold() for name in settings.providers}
    found = {}
    for preset in presets.all_presets():
        if preset.id in taken or names.isdisjoint(preset.key_env):
            continue
        variables = {
            each.name: value
            for each in preset.variables
            if (value := next((environ[name] for name in each.env if environ.get(name)), ""))
        }
        if len(variables) == len(preset.variables):
            found[preset.id] = _provider(preset.id, {"preset": preset.id, "variables": variables}, paths)
    return found


def _usual(base_url: str) -> Network:
    """The timeouts of a server that no preset describes: one nearby may have to load its model first."""
    return presets.LOCAL if validators.is_private_host(base_url) else Network()


def _variables_for(base_url: str, preset: presets.Preset) -> str:
    """The origin that the preset's own variables are for, or "" where ``base_url`` is one of the preset's hosts."""
    own = not preset.key_env or preset.serves(base_url)
    return "" if own else validators.origin(preset.base_url)


def preview_server(name: str, table: Mapping[str, Any], paths: Paths) -> McpServer:
    """The server that ``[mcp.NAME]`` with these fields would be; raises ``SettingsError``."""
    from provider_core.settings import schema

    given = {key: value for key, value in table.items() if value is not None}
    return _mcp(schema.validate({"mcp": {name: given}}, {}, paths.settings_file)["mcp"])[name]


_NETWORK_PATHS = ("ca_bundle", "client_cert")


def _provider(name: str, entry: Mapping[str, Any], paths: Paths) -> Provider:
    """One provider with what its preset knows filled in; what the user wrote wins, field by field."""
    get = entry.get
    preset = presets.get(entry["preset"]) if "preset" in entry else None
    if preset is None and "preset" in entry:
        raise SettingsError(
            f"providers.{name}: there is no preset called {entry['preset']!r}", path=paths.settings_file
        )
    base_url = get("base_url") or (preset.base_url if preset else "")
    for variable, value in get("variables", {}).items():
        base_url = base_url.replace(f"{{{variable}}}", value)
    gguf = Path(entry["gguf"]) if "gguf" in entry else None
    if not base_url and gguf is None:
        raise SettingsError(
            f"providers.{name}: it has neither a preset, a base_url nor a gguf file", path=paths.settings_file
        )
    missing = re.search(r"\{([^}]*)\}", base_url)
    if missing:
        raise SettingsError(
            f"providers.{name}: its address needs variables.{missing[1]}", path=paths.settings_file
        )
    network: dict[str, Any] = {
        field.name: Path(entry[field.name]) if field.name in _NETWORK_PATHS else entry[field.name]
        for field in fields(Network)
        if field.name in entry
    }
    declared = tuple(Model(id=m) if isinstance(m, str) else Model(**m) for m in get("models", ()))
    return Provider(
        name=name,
        display_name=get("display_name") or (preset.name if preset else name),
        base_url=base_url.rstrip("/") if "?" not in base_url else base_url,
        preset=get("preset"),
        auth="none" if get("key") == "none" else (preset.auth if preset else "bearer"),
        key_required=get("key") != "none" and (preset.key_required if preset else True),
        key_stored=get("key") == "keyring",
        key_env=(entry["key_env"],) if "key_env" in entry else (preset.key_env if preset else ()),
        key_env_for=_variables_for(base_url, preset) if preset and "key_env" not in entry else "",
        key_command=get("key_command"),
        headers={**(preset.headers if preset else {}), **get("headers", {})},
        models=declared or (presets.models(preset.id) if preset else ()),
        models_declared=bool(declared),
        default_model=get("default_model"),
        enabled=get("enabled", True),
        gguf=gguf,
        embedded=gguf is not None,
        network=replace(preset.network if preset else _usual(base_url), **network),
        quirks=preset.quirks if preset else Quirks(),
    )
