"""The settings in force: the settings file and ``TELEX_`` variables, merged with presets.

Modules of the package read the file (``file``), check it (``schema``), and change it (``edit``).
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provider_core import presets
from provider_core.errors import SettingsError
from provider_core.settings import validators
from provider_core.structs import Struct, field, replace
from provider_core.types import Model, Network, Provider, Quirks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider_core.settings.mcp import McpServer


class Paths(Struct):
    """The folders of settings, data (history, models) and caches."""

    config: Path
    data: Path
    cache: Path

    @property
    def settings_file(self) -> Path:
        return self.config / "settings.toml"

    @property
    def templates(self) -> Path:
        return self.config / "templates"

    @property
    def models(self) -> Path:
        return self.data / "models"

    @property
    def history(self) -> Path:
        return self.data / "history.db"

    @property
    def lists(self) -> Path:
        """The folder of the model lists that servers returned."""
        return self.cache / "models"

    @property
    def refusals(self) -> Path:
        """The file that records which fields of a request each model refused."""
        return self.cache / "refused-fields.json"

    @classmethod
    def find(cls, environ: Mapping[str, str]) -> Paths:
        """The platform's folders, or three folders under ``TELEX_HOME`` where that is set.

        Raises ``SettingsError`` if there is no home folder.
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
            # The folders of platformdirs, without the time to import it.
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
    """The values of all settings."""

    model: str | None = None
    """The default model as the user wrote it: an alias, PROVIDER/MODEL, or a provider."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Short name -> model as the user wrote it."""
    providers: Mapping[str, Provider] = field(default_factory=dict)
    markdown: bool = True
    """Whether Markdown is rendered on a terminal."""
    reasoning: str = "show"
    """"show", "hide" or "summary"."""
    usage: str = "auto"
    """The usage line after an answer: "auto", "none", "short" or "full"."""
    history: bool = True
    """Whether conversations are saved."""
    ledger: bool = True
    """Whether the tokens and costs of requests are stored."""
    budget: Mapping[str, float] = field(default_factory=dict)
    """"day" and "month" -> the most that all requests of it may cost, in US dollars."""
    code_theme: str | None = None
    local_threads: int | None = None
    local_context: int | None = None
    models_lifetime: float | None = None
    """Seconds until a server's model list is out of date; None for the catalog's default."""
    mcp: Mapping[str, McpServer] = field(default_factory=dict)
    """MCP servers by name."""
    problems: Mapping[str, SettingsError] = field(default_factory=dict)
    """The errors of the entries that are ignored: "providers.lab", "mcp.files", "aliases.fast", "usage"."""

    @property
    def has_budget(self) -> bool:
        """Whether the user has limited the costs, also with an invalid ``[budget]``, which ``require`` raises."""
        return bool(self.budget) or "budget" in self.problems

    def require(self, *entry: str) -> None:
        """Raise the ``SettingsError`` of this entry ("providers", "lab") or of its whole group, if it is invalid."""
        for place in (entry[0], ".".join(entry)):
            if place in self.problems:
                raise self.problems[place]

    def mcp_server(self, name: str) -> McpServer:
        """The MCP server of this name.

        Raises ``UnknownToolServerError`` with similar names if there is none, and ``SettingsError`` if it is invalid.
        """
        self.require("mcp", name)
        if name in self.mcp:
            return self.mcp[name]
        from provider_core.errors import UnknownToolServerError
        from provider_core.redaction import close_matches

        raise UnknownToolServerError(
            f"unknown MCP server: {name}", server=name, candidates=close_matches(name, self.mcp)
        )

    def invalid_entries(self, group: str) -> dict[str, str]:
        """The names of a group's invalid entries, with their errors."""
        start = f"{group}."
        return {
            entry.removeprefix(start): error.message
            for entry, error in self.problems.items()
            if entry.startswith(start)
        }


_VARIABLES = frozenset(f"TELEX_{name.upper()}" for name in Settings.__annotations__) - {"TELEX_PROBLEMS"}
"""The variables that are settings. Others are not read, because they may hold keys."""


def _folder(named: str | None, default: str) -> Path:
    """Telex's folder in the named one; relative names are ignored (XDG base directories, "Basics")."""
    return Path(named if named and named.startswith("/") else default) / "telex"


def load(paths: Paths, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings in force: the environment overrides the file, and the file overrides defaults.

    Invalid entries, and a file that this user may not read, are ignored and reported in ``problems``. Raises
    ``SettingsError`` with path and line for a file that cannot be parsed.
    """
    from provider_core.settings import file

    environ = os.environ if environ is None else environ
    unreadable: SettingsError | None = None
    try:
        text = file.text(paths.settings_file)
    except SettingsError as error:
        if not isinstance(error.__cause__, PermissionError):
            raise
        text, unreadable = "", error
    variables = _variables(environ)
    checked = _recall(text, variables, paths)
    if checked is None:
        checked = _check(text, variables, paths)
        file.save_snapshot(paths.cache, text, variables, checked)
    return _settings(checked, environ, paths, unreadable)


def load_text(text: str, paths: Paths, environ: Mapping[str, str]) -> Settings:
    """As ``parse``, but values that ``load`` has checked before are not checked again."""
    variables = _variables(environ)
    checked = _recall(text, variables, paths)
    return _settings(_check(text, variables, paths) if checked is None else checked, environ, paths)


def _recall(text: str, variables: Mapping[str, str], paths: Paths) -> Mapping[str, Any] | None:
    """The values as they were checked by an earlier command; None if that was another text."""
    from provider_core.settings import file

    return file.load_snapshot(paths.cache, text, variables) if text or variables else {}


def parse(text: str, paths: Paths, environ: Mapping[str, str]) -> Settings:
    """The settings as ``load`` would return them for a file with this text; reads and writes no file."""
    return _settings(_check(text, _variables(environ), paths), environ, paths)


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that are settings; an empty one is unset."""
    return {name: value for name, value in environ.items() if value and name.upper() in _VARIABLES}


def _check(text: str, variables: Mapping[str, str], paths: Paths) -> dict[str, Any]:
    """The valid entries as plain values; those of "problems" are a message and whether the file is to blame."""
    from provider_core.settings import file, schema

    data = file.parse(text, paths.settings_file)
    checked, problems = schema.check(data, variables, paths.settings_file)
    if problems:
        checked["problems"] = {
            name: [error.message, error.path is not None] for name, error in problems.items()
        }
    return checked


def _settings(
    checked: Mapping[str, Any],
    environ: Mapping[str, str],
    paths: Paths,
    unreadable: SettingsError | None = None,
) -> Settings:
    values = {name: value for name, value in checked.items() if name not in ("mcp", "providers", "problems")}
    problems = {
        name: SettingsError(message, path=paths.settings_file if in_file else None)
        for name, (message, in_file) in checked.get("problems", {}).items()
    }
    if unreadable is not None:
        problems["settings.toml"] = unreadable
    for name in ("history", "ledger"):
        if problems.keys() & {name, "settings.toml"}:
            values[name] = False  # the user may have wanted nothing saved
    groups = {group: dict(checked.get(group, {})) for group in ("mcp", "providers")}
    problems |= _nested_variables(environ, groups)
    providers: dict[str, Provider] = {}
    for name, table in groups["providers"].items():
        try:
            providers[name] = _provider(name, table, paths)
        except SettingsError as error:
            from provider_core.settings import schema

            overrides = schema.Variables(_variables(environ)).values
            if schema.variable_of(["providers", name], overrides) is not None:
                error = SettingsError(error.message.replace("providers.", "TELEX_PROVIDERS.", 1))
            problems[f"providers.{name}"] = error
    return Settings(**values, mcp=_servers(groups["mcp"]), providers=providers, problems=problems)


def _nested_variables(
    environ: Mapping[str, str], groups: Mapping[str, dict[str, Any]]
) -> dict[str, SettingsError]:
    """The errors of variables such as TELEX_PROVIDERS__LAB__BASE_URL, which are not supported.

    The entries that they name are removed from ``groups``: without the change, a request might go where the user does
    not want it.
    """
    problems = {}
    for name, value in environ.items():
        variable, nested, path = name.upper().partition("__")
        if not (value and nested and variable in _VARIABLES):
            continue
        group, parts = variable.removeprefix("TELEX_").lower(), path.lower().split("__")
        form = "".join(f'{{"{part}": ' for part in parts) + '"VALUE"' + "}" * len(parts)
        tables = (*groups, "aliases", "budget")
        takes = f"JSON: {variable}='{form}'" if group in tables else "one value"
        entry = name
        if group in groups:
            known = next((each for each in groups[group] if each.casefold() == parts[0]), parts[0])
            groups[group].pop(known, None)
            entry = f"{group}.{known}"
        problems[entry] = SettingsError(f"{name} is not a setting. {variable} takes {takes}")
    return problems


def _servers(tables: Mapping[str, Mapping[str, Any]]) -> Mapping[str, McpServer]:
    if not tables:
        return {}
    from provider_core.settings import mcp

    return mcp.of_tables(tables)


def _check_entry(
    group: str, name: str, table: Mapping[str, Any], paths: Paths, variables: Mapping[str, str]
) -> dict[str, Any]:
    """The checked table ``[GROUP.NAME]`` with these fields; raises ``SettingsError``."""
    from provider_core.settings import schema

    written = {key: value for key, value in table.items() if value is not None}
    checked, problems = schema.check({group: {name: written}}, variables, paths.settings_file)
    for place in (group, f"{group}.{name}"):
        if place in problems:
            raise problems[place]
    found: dict[str, Any] = checked[group][name]
    return found


def preview_server(name: str, table: Mapping[str, Any], paths: Paths) -> McpServer:
    """The server that ``[mcp.NAME]`` with these fields would be; raises ``SettingsError``."""
    return _servers({name: _check_entry("mcp", name, table, paths, {})})[name]


def preview(
    name: str, table: Mapping[str, Any], paths: Paths, environ: Mapping[str, str] | None = None
) -> Provider:
    """The provider that ``[providers.NAME]`` with these fields would be; raises ``SettingsError``.

    With ``environ``, its TELEX_PROVIDERS overrides the fields, as in a chat.
    """
    variables = {"TELEX_PROVIDERS": value} if environ and (value := environ.get("TELEX_PROVIDERS")) else {}
    return _provider(name, _check_entry("providers", name, table, paths, variables), paths)


def key_variables(environ: Mapping[str, str]) -> set[str]:
    """The names of the variables that may hold the key of a preset: all those of presets end so."""
    return {name for name, value in environ.items() if name.endswith(("_KEY", "_TOKEN")) and value.strip()}


def from_environment(settings: Settings, environ: Mapping[str, str], paths: Paths) -> dict[str, Provider]:
    """The presets that can be used without being set up, because variables hold their key and their address parts.

    A variable that is the key of a provider in the settings belongs to that provider.
    """
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


def _provider(name: str, entry: Mapping[str, Any], paths: Paths) -> Provider:
    """The provider of a checked table; its preset fills in what the table does not set."""
    get = entry.get
    preset = presets.get(entry["preset"]) if "preset" in entry else None
    base_url = get("base_url") or (preset.base_url if preset else "")
    for variable, value in get("variables", {}).items():
        base_url = base_url.replace(f"{{{variable}}}", value)
    gguf = Path(entry["gguf"]) if "gguf" in entry else None
    problem = ""
    if preset is None and "preset" in entry:
        problem = f"unknown preset: {entry['preset']}"
    elif not base_url and gguf is None:
        problem = "it needs preset, base_url or gguf"
    elif get("base_urls") and "base_url" not in entry:
        problem = "base_urls needs base_url"
    elif missing := re.search(r"\{([^}]*)\}", base_url):
        problem = f"its address needs variables.{missing[1]}"
    if problem:
        raise SettingsError(f"providers.{name}: {problem}", path=paths.settings_file)
    # A preset's variables are for its own hosts.
    for_preset = preset is not None and preset.key_env and "key_env" not in entry
    key_env_for = (
        validators.origin(preset.base_url) if preset and for_preset and not preset.serves(base_url) else ""
    )
    # A server without a preset that is nearby may have to load its model first.
    usual = presets.LOCAL if validators.is_private_host(base_url) else Network()
    default_network = preset.network if preset else usual
    network: dict[str, Any] = {each: entry[each] for each in Network.__annotations__ if each in entry}
    network |= {each: Path(network[each]) for each in ("ca_bundle", "client_cert") if each in network}
    declared = tuple(Model(id=each) if isinstance(each, str) else Model(**each) for each in get("models", ()))
    return Provider(
        name=name,
        display_name=get("display_name") or (preset.name if preset else name),
        base_url=base_url.rstrip("/") if "?" not in base_url else base_url,
        preset=get("preset"),
        auth="none" if get("key") == "none" else (preset.auth if preset else "bearer"),
        key_required=get("key") != "none" and (preset.key_required if preset else True),
        key_stored=get("key") == "keyring",
        key_env=(entry["key_env"],) if "key_env" in entry else (preset.key_env if preset else ()),
        key_env_for=key_env_for,
        key_command=get("key_command"),
        headers={**(preset.headers if preset else {}), **get("headers", {})},
        models=declared or (presets.models(preset.id) if preset else ()),
        models_declared=bool(declared),
        default_model=get("default_model"),
        enabled=get("enabled", True),
        gguf=gguf,
        embedded=gguf is not None,
        network=replace(default_network, **network) if network else default_network,
        quirks=preset.quirks if preset else Quirks(),
        base_urls=tuple(get("base_urls", ())),
        rpm=get("rpm"),
        tpm=get("tpm"),
    )
