"""What the checks of ``telex doctor`` have in common: findings, the settings, and secrets that no finding shows."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from provider_core.errors import SettingsError
from provider_core.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import click

    from provider_core.catalog import Catalog
    from provider_core.keys import KeyStore
    from provider_core.runtime import Runtime
    from provider_core.settings import Paths, Settings
    from provider_core.settings.project import Found
    from provider_core.types import Provider
    from telex.console import Console


Level: TypeAlias = Literal["ok", "note", "problem"]
"""A problem keeps something that is set up from working; a note is worth knowing."""


class Finding(Struct):
    """One line of the report. ``remedy`` says how to fix it; "" if there is nothing to do."""

    level: Level
    subject: str
    detail: str
    remedy: str = ""
    family: str = ""
    """The name of the check."""


def ok(subject: str, detail: str) -> Finding:
    return Finding(level="ok", subject=subject, detail=detail)


def note(subject: str, detail: str, remedy: str = "") -> Finding:
    return Finding(level="note", subject=subject, detail=detail, remedy=remedy)


def problem(subject: str, detail: str, remedy: str = "") -> Finding:
    return Finding(level="problem", subject=subject, detail=detail, remedy=remedy)


class DoctorContext:
    """The settings as a command would load them, without tightening modes or writing caches.

    ``root`` is the command telex. Properties raise ``SettingsError`` if there is no home folder.
    """

    def __init__(self, runtime: Runtime, console: Console, root: click.Command) -> None:
        self._outer = runtime
        self.environ: Mapping[str, str] = runtime.environ
        self.console = console
        self.root = root

    @property
    def paths(self) -> Paths:
        return self._outer.paths

    @property
    def key_store(self) -> KeyStore:
        _ = self.paths  # the keyring's name is remembered in the cache folder
        return self._outer.key_store

    @property
    def text(self) -> str:
        """The settings file; "" if there is none, or if it cannot be read or parsed."""
        return self._read[0]

    @property
    def file_error(self) -> SettingsError | None:
        """Why the settings file cannot be read or parsed."""
        return self._read[1]

    @cached_property
    def _read(self) -> tuple[str, SettingsError | None]:
        from provider_core import files
        from provider_core.settings import file

        path = self.paths.settings_file
        try:
            text = files.read_bytes(path, of_anybody=True).decode("utf-8-sig")
            file.parse(text, path)
        except FileNotFoundError:
            return "", None
        except OSError as error:
            return "", SettingsError(f"{path} cannot be read: {error.strerror}", path=path)
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            return "", SettingsError(f"{path}, line {line}: it is not UTF-8", path=path, line=line)
        except SettingsError as error:
            return "", error
        return text, None

    @cached_property
    def settings(self) -> Settings:
        """The settings in force; those of the environment alone if the file cannot be read."""
        from provider_core.settings import load_text

        project = self.project if self.project is not None and self.project.state == "trusted" else None
        try:
            return load_text(
                self.text, self.paths, self.environ, profile=self._outer.profile, project=project
            )
        except SettingsError as error:
            self.profile_error = error
            return load_text(self.text, self.paths, self.environ, profile="", project=project)

    profile_error: SettingsError | None = None
    """Why the profile cannot be used, when ``settings`` were read."""

    @property
    def project(self) -> Found | None:
        """The project's own settings, and whether they are trusted."""
        return self._outer.project

    def layer(self, entry: str) -> str:
        """Where an entry comes from that is not from the settings file."""
        match self.settings.sources.get(entry, ""):
            case "profile":
                return f"the profile {self.settings.profile}"
            case "project" if self.project is not None:
                return str(self.project.path)
            case source:
                return f"a {source}"

    @cached_property
    def catalog(self) -> Catalog:
        """The models that can be named now."""
        from provider_core.runtime import Runtime

        return Runtime(environ=self.environ, settings=self.settings, key_store=self.key_store).catalog

    def line(self, *keys: str) -> str:
        """Where the settings file has this table or value, as ", line 3"; "" if it is not there."""
        from provider_core.settings.file import line_of

        found = line_of(self.text, keys)
        return f", line {found}" if found else ""

    def place(self, *keys: str) -> str:
        """The path of the settings file, and the line."""
        return f"{self.paths.settings_file}{self.line(*keys)}"

    def invalid(self, group: str) -> Iterator[Finding]:
        """A problem for each invalid entry of a group of tables, or for the whole group."""
        for entry in self.settings.problems:
            if entry == group:
                yield self.invalid_entry(entry, subject="everything")
            elif entry.startswith(f"{group}."):
                yield self.invalid_entry(entry, subject=entry.removeprefix(f"{group}."))

    def invalid_entry(self, entry: str, *, subject: str) -> Finding:
        """The problem of an entry of ``Settings.problems``, such as "usage" or "providers.lab"."""
        error = self.settings.problems[entry]
        keys = entry.split(".", 1)
        variable = entry if entry.startswith("TELEX_") else f"TELEX_{keys[0].upper()}"
        remedy = f"Change {variable}" if error.path is None else f"Edit {self.place(*keys)}"
        if self.project is not None and self.settings.sources.get(entry) == "project":
            remedy = f"Edit {self.project.path}"
        if subject == "everything":
            return problem(subject, error.message, remedy)
        detail = re.sub(
            rf"(TELEX_)?{re.escape(entry)}(: |\.| )", "", error.message, count=1, flags=re.IGNORECASE
        )
        return problem(subject, detail, remedy)

    def redacted(self, text: str) -> str:
        """``text`` without repeated blanks, control characters, and secrets of the environment and the settings."""
        from provider_core.redaction import printable, redact

        lines = [" ".join(line.split()) for line in redact(text, self._secrets).splitlines()]
        return printable("\n".join(lines))

    @cached_property
    def _secrets(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(filter(None, self._find_secrets())))

    def _find_secrets(self) -> Iterator[str]:
        from provider_core import presets
        from provider_core.settings import file

        names: set[str] = set()
        tables: Mapping[str, Any] = {}
        try:
            names |= {name for preset in presets.all_presets(self.paths.presets) for name in preset.key_env}
            names |= {name for each in self.settings.providers.values() for name in each.key_env}
            # As they are written: invalid ones may hold secrets, too.
            tables = file.parse(self.text, self.paths.settings_file)
        except SettingsError:  # there is no home folder
            names |= {name for preset in presets.all_presets() for name in preset.key_env}
        for name, value in self.environ.items():
            words = name.upper().split("_")
            if name in names or {"KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD"} & set(words):
                yield value
            elif words[-1] == "PROXY":
                yield from _credentials(value)
        yield from self._secrets_in(tables, "", "")

    def _secrets_in(self, value: Any, name: str, table: str) -> Iterator[str]:
        """The secrets of a setting: in headers and variables that sound secret, and in addresses."""
        from provider_core.request import is_secret_name
        from provider_core.settings.validators import parse_reference

        if isinstance(value, dict):
            for key, each in value.items():
                yield from self._secrets_in(each, key, name)
        elif isinstance(value, str) and "://" in value:
            yield from _credentials(value)
        elif isinstance(value, str) and table in ("headers", "env"):
            found = parse_reference(value)
            if found is not None and found.kind == "env":
                yield self.environ.get(found.name, "")
            elif found is None and is_secret_name(name):
                yield value


def _credentials(url: str) -> Iterator[str]:
    """The password in an address, and the secrets of its query, as written and decoded."""
    from urllib.parse import unquote

    from provider_core.request import is_secret_name

    address, _, query = url.partition("?")
    user, at, _ = address.rpartition("@")
    found = [user.rpartition("://")[2].partition(":")[2]] if at else []
    found += [
        value for name, _, value in (part.partition("=") for part in query.split("&")) if is_secret_name(name)
    ]
    for each in found:
        yield each
        yield unquote(each)


def address(provider: Provider) -> str | Path:
    """Where the provider is: its model file, or its address without the query, which may hold secrets."""
    return provider.gguf or provider.base_url.partition("?")[0]
