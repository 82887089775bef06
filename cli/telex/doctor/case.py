"""What all checks look at: the settings read without changing anything, value by value, and the secrets in them."""

from __future__ import annotations

import contextlib
from functools import cached_property
from typing import TYPE_CHECKING, Any

from provider_core.errors import SettingsError
from provider_core.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from provider_core.catalog import Catalog
    from provider_core.keys import KeyStore
    from provider_core.settings import Paths
    from provider_core.settings.mcp import McpServer
    from provider_core.types import Provider
    from telex.app import App
    from telex.console import Console

__all__ = ["Case", "Value"]

_TABLES = ("aliases", "mcp", "providers")


class Value(Struct):
    """One setting. ``origin`` is a variable's name, "line 3", or "" for a default; ``error`` why it is refused."""

    name: str
    value: Any = None
    origin: str = ""
    error: str = ""


class Case:
    """The settings are not loaded as other commands do it: that would tighten modes and stop at the first mistake."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.environ = app.runtime.environ
        self.console: Console = app.console

    @property
    def key_store(self) -> KeyStore:
        """Raises ``SettingsError`` as ``paths`` does: the keyring's name is remembered in the cache."""
        _ = self.paths
        return self._app.runtime.key_store

    @cached_property
    def paths(self) -> Paths:
        """Raises ``SettingsError`` where there is no home folder to have them in."""
        from provider_core.settings import Paths

        return Paths.find(self.environ)

    @cached_property
    def text(self) -> str:
        """The settings file's text; "" where there is none. Raises ``SettingsError``."""
        from provider_core import files

        path = self.paths.settings_file
        try:
            return files.content(path, of_anybody=True).decode("utf-8-sig")
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise SettingsError(f"{path} cannot be read: {error.strerror}", path=path) from error
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise SettingsError(f"{path}, line {line}: it is not UTF-8", path=path, line=line) from None

    @cached_property
    def data(self) -> dict[str, Any]:
        """The file's tables, unchecked; raises ``SettingsError``."""
        from provider_core.settings import file

        return file.parse(self.text, self.paths.settings_file)

    @cached_property
    def is_readable(self) -> bool:
        """Whether the settings file, if there is one, is TOML: otherwise nothing can be said of what it sets up."""
        _ = self.paths
        try:
            return self.data is not None
        except SettingsError:
            return False

    @cached_property
    def variables(self) -> dict[str, str]:
        """The ``TELEX_`` variables that are set, by their names in upper case."""
        return {
            name.upper(): value
            for name, value in self.environ.items()
            if value and name.upper().startswith("TELEX_")
        }

    @cached_property
    def values(self) -> tuple[Value, ...]:
        """Every setting that is no table, each judged by itself, and what is set that is no setting."""
        from provider_core.settings.schema import File

        known = [name for name in File.model_fields if name not in _TABLES]
        strangers = [name for name in self._data if name not in File.model_fields]
        return tuple(self._value(name) for name in (*known, *strangers))

    @cached_property
    def aliases(self) -> Mapping[str, str]:
        """Raises ``SettingsError``."""
        found: Mapping[str, str] = self._checked("aliases").get("aliases", {})
        return found

    @cached_property
    def providers(self) -> Mapping[str, Provider | SettingsError]:
        """Each provider that is set up, or why it is refused. Raises ``SettingsError`` for a file that is no TOML."""
        from provider_core.settings import preview

        found: dict[str, Provider | SettingsError] = {}
        for name, table in self._tables("providers").items():
            try:
                if not isinstance(table, dict):
                    self._checked_alone("providers", name, table)
                found[name] = preview(name, table, self.paths)
            except SettingsError as error:
                found[name] = error
        return found

    @cached_property
    def sound(self) -> Mapping[str, Provider]:
        """Those of the providers that are not refused; none where the file cannot be read."""
        try:
            found = self.providers
        except SettingsError:
            return {}
        return {name: each for name, each in found.items() if not isinstance(each, SettingsError)}

    @cached_property
    def servers(self) -> Mapping[str, McpServer | SettingsError]:
        """Each MCP server that is set up, or why it is refused. Raises as ``providers`` does."""
        from provider_core.settings import mcp

        found: dict[str, McpServer | SettingsError] = {}
        for name, table in self._tables("mcp").items():
            try:
                found |= mcp.of_tables(self._checked_alone("mcp", name, table))
            except SettingsError as error:
                found[name] = error
        return found

    @cached_property
    def catalog(self) -> Catalog:
        """What can be named now, of the providers that are not refused."""
        from provider_core import keys, local
        from provider_core.catalog import LIFETIME, Catalog
        from provider_core.settings import Settings, from_environment

        sound = Settings(providers=self.sound)
        providers = {**self.sound, **from_environment(sound, self.environ, self.paths)}
        if local.installed():
            providers["local"] = local.PROVIDER
        aliases: Mapping[str, str] = {}
        with contextlib.suppress(SettingsError):
            aliases = self.aliases
        without_key = [
            name
            for name, each in providers.items()
            if not each.embedded and not keys.source(each, self.environ).ready
        ]
        lifetime = self.setting("models_lifetime") or LIFETIME
        return Catalog.of(
            providers,
            self.paths.lists,
            aliases=aliases,
            without_key=without_key,
            not_set_up=providers.keys() - self.sound.keys(),
            lifetime=lifetime,
        )

    def setting(self, name: str) -> Any:
        """The value in force; None where it is not set, or refused."""
        return next((each.value for each in self.values if each.name == name), None)

    def line(self, *keys: str) -> str:
        """Where in the settings file this is, as ", line 3"; "" where it is not there."""
        from provider_core.settings.file import line_of

        try:
            found = line_of(self.text, keys)
        except SettingsError:
            found = None
        return f", line {found}" if found else ""

    def without_secrets(self, text: str) -> str:
        """``text`` on one line, with all that is secret in the environment and the settings blotted out."""
        from provider_core.redaction import printable, redact

        lines = [" ".join(line.split()) for line in redact(text, self._secrets).splitlines()]
        return printable("\n".join(lines))

    def _value(self, name: str) -> Value:
        from provider_core.settings.schema import File

        variable = f"TELEX_{name.upper()}"
        origin = self.line(name).removeprefix(", ")
        if variable in self.variables and name in File.model_fields:
            origin = variable
        try:
            checked = self._checked(name)
        except SettingsError as error:
            return Value(name=name, origin=origin, error=error.message)
        field = File.model_fields[name]
        return Value(name=name, value=checked.get(name, field.default), origin=origin)

    def _checked(self, name: str) -> dict[str, Any]:
        from provider_core.settings import schema

        variable = f"TELEX_{name.upper()}"
        data = {name: self._data[name]} if name in self._data else {}
        environ = {variable: self.variables[variable]} if variable in self.variables else {}
        return schema.validate(data, environ, self.paths.settings_file)

    def _checked_alone(self, kind: str, name: str, table: object) -> dict[str, Any]:
        """One table of its kind, as if it were the only one."""
        from provider_core.settings import schema

        checked: dict[str, Any] = schema.validate({kind: {name: table}}, {}, self.paths.settings_file)[kind]
        return checked

    def _tables(self, name: str) -> dict[str, Any]:
        """The tables of that name; those of a variable too, where all of them together are in order."""
        tables = self.data.get(name, {})
        if f"TELEX_{name.upper()}" in self.variables:
            tables = self._checked(name).get(name, {})
        if not isinstance(tables, dict):
            raise SettingsError(f"{name}: it has to be a table", path=self.paths.settings_file)
        return tables

    @property
    def _data(self) -> dict[str, Any]:
        """The file's tables, or none where it cannot be read: the variables count all the same."""
        try:
            return self.data
        except SettingsError:
            return {}

    @cached_property
    def _secrets(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._known_secrets()))

    def _known_secrets(self) -> Iterator[str]:
        from provider_core import presets
        from provider_core.request import is_secret_name
        from provider_core.settings.validators import parse_reference

        named = {name for preset in presets.all_presets() for name in preset.key_env}
        named |= {name for each in self.sound.values() for name in each.key_env}
        for name, value in self.environ.items():
            words = name.upper().split("_")
            if name in named or {"KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD"} & set(words):
                yield value
            elif words[-1] == "PROXY":
                yield from _credentials(value)
        for table in (*_each_table(self._data.get("providers")), *_each_table(self._data.get("mcp"))):
            for fields in (table.get("headers"), table.get("env")):
                for name, value in (fields if isinstance(fields, dict) else {}).items():
                    meant = parse_reference(value) if isinstance(value, str) else None
                    if meant is not None and meant.kind == "env":
                        yield self.environ.get(meant.name, "")
                    elif meant is None and is_secret_name(name) and isinstance(value, str):
                        yield value
            for name in ("proxy", "base_url", "url"):
                if isinstance(table.get(name), str):
                    yield from _credentials(table[name])


def _each_table(tables: object) -> Iterator[dict[str, Any]]:
    if isinstance(tables, dict):
        yield from (table for table in tables.values() if isinstance(table, dict))


def _credentials(url: str) -> Iterator[str]:
    """The password in an address, and what its query has of secrets, as they stand and decoded."""
    from urllib.parse import unquote

    from provider_core.request import is_secret_name

    address, _, query = url.partition("?")
    user, at, _ = address.rpartition("@")
    found = [user.rpartition("://")[2].partition(":")[2]] if at else []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if is_secret_name(name):
            found.append(value)
    for each in found:
        yield each
        yield unquote(each)
