"""The settings in force: the settings file, a profile, a project's file and ``TELEX_`` variables, merged with presets.

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
from provider_core.types import Alias, Model, Network, Provider, Quirks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider_core.settings.mcp import McpServer
    from provider_core.settings.project import Found, Project
    from provider_core.types import Json


REQUEST_OPTIONS = ("temperature", "max_tokens", "reasoning_effort", "stream", "web", "params")
"""The names of ``provider_fields.REQUEST_FIELDS``, without importing them."""


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
    def presets(self) -> Path:
        """The folder of the user's own presets."""
        return self.config / "presets.d"

    @property
    def trust(self) -> Path:
        """The file that records which projects' settings the user trusts."""
        return self.data / "trusted-projects.json"

    @property
    def prices(self) -> Path:
        """The file of the prices that the library ``genai-prices`` was asked for today."""
        return self.cache / "prices.json"

    @property
    def rests(self) -> Path:
        """The file of the models that failed a short while ago."""
        return self.cache / "resting-models.json"

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
    aliases: Mapping[str, Alias] = field(default_factory=dict)
    """Short names for models."""
    system: str | None = None
    """The system message of chats that have no other."""
    temperature: float | None = None
    max_tokens: int | None = None
    reasoning_effort: str | None = None
    stream: bool | None = None
    params: Mapping[str, Json] | None = None
    """Further fields of each request body."""
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
    editing: str = "emacs"
    """The keys that edit the prompts of a conversation: "emacs" or "vi"."""
    budget: Mapping[str, float] = field(default_factory=dict)
    """"day" and "month" -> the most that all requests of it may cost, in US dollars."""
    code_theme: str | None = None
    local_threads: int | None = None
    local_context: int | None = None
    models_lifetime: float | None = None
    """Seconds until a server's model list is out of date; None for the catalog's default."""
    mcp: Mapping[str, McpServer] = field(default_factory=dict)
    """MCP servers by name."""
    profiles: tuple[str, ...] = ()
    """The names of the profiles."""
    profile: str = ""
    """The name of the profile in force, "" for none."""
    profile_providers: tuple[str, ...] | None = None
    """The only providers that the profile allows; None for all."""
    project: Project | None = None
    """The project's settings, if there are any and they are trusted."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Where entries come from that are not from the file: "model" or "aliases.fast" -> "profile", "project" or
    "variable"."""
    problems: Mapping[str, SettingsError] = field(default_factory=dict)
    """The errors of the entries that are ignored: "providers.lab", "mcp.files", "aliases.fast", "usage"."""

    @property
    def chat_options(self) -> dict[str, Json]:
        """The options of chats that are set, by name."""
        # A web search is not for every model.
        found = {name: getattr(self, name, None) for name in ("system", *REQUEST_OPTIONS)}
        return {name: value for name, value in found.items() if value is not None}

    def require(self, *entry: str) -> None:
        """Raise the ``SettingsError`` of this entry ("providers", "lab") or of its whole group, if it is invalid."""
        for place in (entry[0], ".".join(entry)):
            if place in self.problems:
                raise self.problems[place]

    def in_profile(self, provider: str) -> bool:
        """Whether the profile in force, if any, allows the provider."""
        allowed = self.profile_providers
        return allowed is None or provider.casefold() in (name.casefold() for name in allowed)

    @property
    def own_providers(self) -> set[str]:
        """The names of the providers in the user's settings, also of those that are invalid."""
        return {*self.providers, *self.invalid_entries("providers")}

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


_VARIABLES = frozenset(
    f"TELEX_{name.upper()}"
    for name in Settings.__annotations__
    if name not in ("problems", "profile", "profile_providers", "project", "sources")
)
"""The variables that are settings. Others are not read, because they may hold keys."""


def _folder(named: str | None, default: str) -> Path:
    """Telex's folder in the named one; relative names are ignored (XDG base directories, "Basics")."""
    return Path(named if named and named.startswith("/") else default) / "telex"


def find_project(environ: Mapping[str, str]) -> Path | None:
    """The file ``.telex.toml`` in the working directory or above, up to the home folder; see ``project.look``.

    Without such a file, this is a question to the file system for each folder.
    """
    try:
        folder = os.getcwd()  # noqa: PTH109 - most commands end here, and a Path takes longer than the questions
    except OSError:
        return None
    home = environ.get("HOME")
    while True:
        if os.path.lexists(f"{folder}/.telex.toml"):
            return Path(folder, ".telex.toml")
        above = os.path.dirname(folder)  # noqa: PTH120
        if folder in (home, above):
            return None
        folder = above


class Layers(Struct):
    """Everything that the settings are made from."""

    text: str
    """The settings file."""
    variables: Mapping[str, str]
    profile: str
    project: Found | None
    key: str
    """Differs where the text, the profile or the project differ."""


def load(
    paths: Paths,
    environ: Mapping[str, str] | None = None,
    *,
    profile: str | None = None,
    project: Found | None = None,
    text: str | None = None,
) -> Settings:
    """The settings in force. From weak to strong: defaults, the file, a profile, a project's file, the environment.

    ``profile`` is the name of a profile, by default that of ``TELEX_PROFILE``. ``project`` is a trusted file. With
    ``text``, the content of the file, the file is not read, and nothing is written. Invalid entries, and a file that
    this user may not read, are ignored and reported in ``problems``. Raises ``SettingsError`` with path and line for a
    file that cannot be parsed, and for an unknown profile.
    """
    from provider_core.settings import file

    environ = os.environ if environ is None else environ
    unreadable: SettingsError | None = None
    is_saved = text is None
    if text is None:
        try:
            text = file.text(paths.settings_file)
        except SettingsError as error:
            if not isinstance(error.__cause__, PermissionError):
                raise
            text, unreadable = "", error
    layers = layers_of(text, environ, profile, project)
    is_empty = not layers.key and not layers.variables
    checked = {} if is_empty else file.load_snapshot(paths.cache, layers.key, layers.variables)
    if checked is None:
        checked = check(layers, paths)
        if is_saved:
            file.save_snapshot(paths.cache, layers.key, layers.variables, checked)
    return _settings(checked, layers, paths, unreadable)


def layers_of(text: str, environ: Mapping[str, str], profile: str | None, project: Found | None) -> Layers:
    variables = {
        name: value
        for name, value in environ.items()
        if value and (name.upper() in _VARIABLES or ("__" in name and name[:6].upper() == "TELEX_"))
    }
    chosen = environ.get("TELEX_PROFILE", "") if profile is None else profile
    key = text
    if chosen or project is not None:
        key = "\0".join((text, chosen, *((str(project.path), project.text) if project is not None else ())))
    return Layers(text=text, variables=variables, profile=chosen, project=project, key=key)


def check(layers: Layers, paths: Paths) -> dict[str, Any]:
    """The valid entries as plain values; those of "problems" are a message and the path that is to blame, or None."""
    from provider_core.settings import file, schema

    data = file.parse(layers.text, paths.settings_file)
    checked, problems = schema.check(data, layers.variables, paths.settings_file)
    variables = schema.Variables(layers.variables, data)
    sources = {
        ".".join(place): "variable"
        for name, value in variables.values.items()
        for place in ([(name, key) for key in value] if isinstance(value, dict) else [(name,)])
    }

    def overlay(source: str, layer: Mapping[str, Any]) -> None:
        for name, value in layer.items():
            inner = value if isinstance(value, dict) else {"": value}
            for key, each in inner.items():
                place = [name, key] if key else [name]
                if variables.name_of(place) is None:
                    holder = checked.setdefault(name, {}) if key else checked
                    holder[place[-1]] = each
                    sources[".".join(place)] = source
                    problems.pop(".".join(place), None)

    if layers.profile:
        entry = _profile(layers.profile, checked, problems)
        checked["profile_providers"] = entry.pop("providers", None)
        overlay("profile", entry)
    if layers.project is not None:
        from provider_core.settings import project

        path = layers.project.path
        try:
            values = project.parse(layers.project.text, path)
        except SettingsError as error:
            problems[path.name] = SettingsError(error.message, path=path)
        else:
            overlay("project", {name: values[name] for name in ("model", "aliases") if name in values})
            checked["project"] = values
    checked["sources"] = sources
    checked["problems"] = {
        name: [error.message, None if error.path is None else str(error.path)]
        for name, error in problems.items()
    }
    return {name: value for name, value in checked.items() if value or name not in ("sources", "problems")}


def _profile(name: str, checked: Mapping[str, Any], problems: Mapping[str, SettingsError]) -> dict[str, Any]:
    """The checked table ``[profiles.NAME]``; raises ``SettingsError`` with similar names if there is none."""
    if f"profiles.{name}" in problems:
        raise problems[f"profiles.{name}"]
    profiles = checked.get("profiles", {})
    if name in profiles:
        return dict(profiles[name])
    from provider_core.redaction import close_matches

    raise SettingsError(
        f"unknown profile: {name}", code="unknown_profile", candidates=close_matches(name, profiles)
    )


def _settings(
    checked: Mapping[str, Any], layers: Layers, paths: Paths, unreadable: SettingsError | None = None
) -> Settings:
    values = {name: value for name, value in checked.items() if name in _PLAIN}
    problems = {
        name: SettingsError(message, path=path and Path(path))
        for name, (message, path) in checked.get("problems", {}).items()
    }
    if unreadable is not None:
        problems["settings.toml"] = unreadable
    for name in ("history", "ledger"):
        if problems.keys() & {name, "settings.toml"}:
            values[name] = False  # the user may have wanted nothing saved
    if "aliases" in values:
        values["aliases"] = {name: _alias(table) for name, table in values["aliases"].items()}
    providers: dict[str, Provider] = {}
    for name, table in checked.get("providers", {}).items():
        try:
            providers[name] = _provider(name, table, paths)
        except SettingsError as error:
            if checked.get("sources", {}).get(f"providers.{name}") == "variable":
                error = SettingsError(error.message.replace("providers.", "TELEX_PROVIDERS.", 1))
            problems[f"providers.{name}"] = error
    servers: Mapping[str, McpServer] = {}
    if "mcp" in checked:
        from provider_core.settings import mcp

        servers = mcp.of_tables(checked["mcp"])
    allowed = checked.get("profile_providers")
    settings = Settings(
        **values,
        mcp=servers,
        providers=providers,
        profiles=tuple(checked.get("profiles", ())),
        profile=layers.profile,
        profile_providers=None if allowed is None else tuple(allowed),
        problems=problems,
    )
    if layers.project is not None and "project" in checked:
        return _with_project(settings, checked["project"], layers.project)
    return settings


_PLAIN = frozenset(Settings.__annotations__) - {
    "mcp", "problems", "profile", "profile_providers", "profiles", "project", "providers",
}  # fmt: skip
"""The fields of ``Settings`` whose checked values are used as they are."""


def _alias(table: Mapping[str, Any]) -> Alias:
    options = {name: value for name, value in table.items() if name != "targets"}
    return Alias(targets=tuple(table["targets"]), options=options)


def _with_project(settings: Settings, values: Mapping[str, Any], found: Found) -> Settings:
    """The settings with the project's own ones, without models of providers that the user has not set up."""
    from provider_core.settings import project

    aliases, problems = dict(settings.aliases), dict(settings.problems)
    own, model = settings.own_providers, settings.model
    is_own = project.destinations(own, settings.aliases)

    def refuse(entry: str, words: str, code: str | None = None) -> None:
        problems[entry] = SettingsError(f"{entry} in {found.path} {words}", path=found.path, code=code)

    for name, alias in settings.aliases.items():
        if settings.sources.get(f"aliases.{name}") != "project":
            continue
        targets = tuple(target for target in alias.targets if is_own(target))
        options = dict(alias.options)
        if "template" in options:  # one of the project, and not of the user
            options["template"] = str(found.path.parent / values["templates"] / options["template"])
        if name.casefold() in (each.casefold() for each in own):
            del aliases[name]  # ``-m lab`` is what the user calls so
            problems[f"{found.path.name}: {name}"] = SettingsError(
                f"the alias {name} has the name of a provider of yours", path=found.path
            )
        elif targets:
            aliases[name] = replace(alias, targets=targets, options=options)
        else:
            del aliases[name]
            refuse(f"aliases.{name}", f"is {', '.join(alias.targets)}, {project.NOT_YOURS}", "not_set_up")
    if model is not None and settings.sources.get("model") == "project" and not is_own(model):
        refuse("model", f"is {model}, {project.NOT_YOURS}", "not_set_up")
        model = None
    from_variables = {entry for entry, source in settings.sources.items() if source == "variable"}
    return replace(
        settings,
        model=model,
        aliases=aliases,
        problems=problems,
        project=project.of_values(values, found.path, found.templates, without=from_variables),
    )


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
    from provider_core.settings import mcp

    return mcp.of_tables({name: _check_entry("mcp", name, table, paths, {})})[name]


def preview(
    name: str, table: Mapping[str, Any], paths: Paths, environ: Mapping[str, str] | None = None
) -> Provider:
    """The provider that ``[providers.NAME]`` with these fields would be; raises ``SettingsError``.

    With ``environ``, its TELEX_PROVIDERS overrides the fields, as in a chat.
    """
    variables = {
        variable: value
        for variable, value in (environ or {}).items()
        if variable == "TELEX_PROVIDERS" or variable.startswith("TELEX_PROVIDERS__")
    }
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
    for preset in presets.all_presets(paths.presets):
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
    preset = presets.get(entry["preset"], paths.presets) if "preset" in entry else None
    addresses = [url for url in (get("base_url"), *get("base_urls", ())) if url]
    base_url = addresses[0] if addresses else preset.base_url if preset else ""
    for variable, value in get("variables", {}).items():
        base_url = base_url.replace(f"{{{variable}}}", value)
    gguf = Path(entry["gguf"]) if "gguf" in entry else None
    problem = ""
    if preset is None and "preset" in entry:
        wrong = presets.problems(paths.presets).get(entry["preset"])
        problem = wrong.message if wrong is not None else f"unknown preset: {entry['preset']}"
    elif not base_url and gguf is None:
        problem = "needs preset, base_url or gguf"
    elif missing := re.search(r"\{([^}]*)\}", base_url):
        problem = f"its address needs variables.{missing[1]}"
    if problem:
        raise SettingsError(f"providers.{name}: {problem}", path=paths.settings_file)
    key_env_for = ""
    if preset and preset.key_env and "key_env" not in entry and not preset.serves(base_url):
        key_env_for = validators.origin(preset.base_url)  # a preset's variables are for its own hosts
    # A server without a preset that is nearby may have to load its model first.
    usual = presets.LOCAL if validators.is_private_host(base_url) else Network()
    default_network = preset.network if preset else usual
    network: dict[str, Any] = {each: entry[each] for each in Network.__annotations__ if each in entry}
    network |= {each: Path(network[each]) for each in ("ca_bundle", "client_cert") if each in network}
    declared, model_options = [], {}
    for each in get("models", ()):
        facts = {name: value for name, value in each.items() if name in Model._fields or name in _PRICES}
        declared.append(_model(facts))
        if len(facts) < len(each):
            model_options[each["id"]] = {name: value for name, value in each.items() if name not in facts}
    return Provider(
        name=name,
        display_name=get("display_name") or (preset.name if preset else name),
        base_url=base_url.rstrip("/") if "?" not in base_url else base_url,
        preset=get("preset"),
        presets=paths.presets if preset is not None and presets.get(preset.id) is not preset else None,
        auth="none" if get("key") == "none" else (preset.auth if preset else "bearer"),
        key_required=get("key") != "none" and (preset.key_required if preset else True),
        key_stored=get("key") == "keyring",
        key_env=(entry["key_env"],) if "key_env" in entry else (preset.key_env if preset else ()),
        key_env_for=key_env_for,
        key_command=get("key_command"),
        headers={**(preset.headers if preset else {}), **get("headers", {})},
        models=tuple(declared) or (preset.models or presets.models(preset.id) if preset else ()),
        models_declared=bool(declared),
        default_model=get("default_model"),
        enabled=get("enabled", True),
        gguf=gguf,
        embedded=gguf is not None,
        network=replace(default_network, **network) if network else default_network,
        quirks=preset.quirks if preset else Quirks(),
        base_urls=tuple(addresses[1:]),
        rpm=get("rpm"),
        tpm=get("tpm"),
        options={name: entry[name] for name in REQUEST_OPTIONS if name in entry},
        model_options=model_options,
    )


_PRICES = {
    "price_in": "input", "price_out": "output", "price_cached": "cached", "price_cache_write": "cache_write",
}  # fmt: skip


def _model(entry: Mapping[str, Any]) -> Model:
    """The model of a checked table. Its amounts are text, see ``Model.price``."""
    price = {_PRICES[name]: value for name, value in entry.items() if name in _PRICES}
    if not price:
        return Model(**entry)
    others = {name: value for name, value in entry.items() if name not in _PRICES}
    return Model(**others, price={**price, "source": "settings"})
