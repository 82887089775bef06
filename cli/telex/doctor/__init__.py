"""The checks of ``telex doctor``, which change nothing and contact no server, and what they have in common.

A check is a function of a ``DoctorContext`` that yields findings.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import unquote

from provider_core.errors import SettingsError
from provider_core.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import click

    from provider_core.catalog import Catalog
    from provider_core.keys import KeyStore
    from provider_core.runtime import Runtime
    from provider_core.settings import Paths, Settings
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
        self.runtime = runtime
        self.environ: Mapping[str, str] = runtime.environ
        self.console = console
        self.root = root

    @property
    def paths(self) -> Paths:
        return self.runtime.paths

    @property
    def key_store(self) -> KeyStore:
        _ = self.paths  # the keyring's name is remembered in the cache folder
        return self.runtime.key_store

    @cached_property
    def file(self) -> tuple[str, SettingsError | None]:
        """The settings file, and why it cannot be read or parsed; "" if that is so, or if there is none."""
        from provider_core.settings import file

        path = self.paths.settings_file
        try:
            text = file.decode(file.content(path), path)
            file.parse(text, path)
        except SettingsError as error:
            return "", error
        return text, None

    @property
    def settings(self) -> Settings:
        """The settings in force; those of the environment alone if the file cannot be read."""
        return self._loaded[0]

    @property
    def profile_error(self) -> SettingsError | None:
        """Why the profile cannot be used, which ``settings`` are without."""
        return self._loaded[1]

    @cached_property
    def _loaded(self) -> tuple[Settings, SettingsError | None]:
        from provider_core import settings

        project = self.runtime.project
        trusted = project if project is not None and project.state == "trusted" else None

        def load(profile: str | None) -> Settings:
            return settings.load(
                self.paths, self.environ, profile=profile, project=trusted, text=self.file[0]
            )

        try:
            return load(self.runtime.profile), None
        except SettingsError as error:
            return load(""), error

    @cached_property
    def catalog(self) -> Catalog:
        """The models that can be named now."""
        from provider_core.runtime import Runtime

        return Runtime(environ=self.environ, settings=self.settings, key_store=self.key_store).catalog

    def place(self, *keys: str) -> str:
        """The path of the settings file, and the line of this table or value, if it is there."""
        from provider_core.settings.file import line_of

        found = line_of(self.file[0], keys)
        return f"{self.paths.settings_file}{f', line {found}' if found else ''}"

    def invalid(self, group: str) -> Iterator[Finding]:
        """A problem for each invalid entry of a group of tables, or for the whole group."""
        for entry in self.settings.problems:
            if entry == group:
                yield self.invalid_entry(entry, subject="everything")
            elif entry.startswith(f"{group}."):
                yield self.invalid_entry(entry, subject=entry.removeprefix(f"{group}."))

    def invalid_entry(self, entry: str, *, subject: str) -> Finding:
        """The problem of an entry of ``Settings.problems``, such as "usage" or "providers.lab"."""
        error, project = self.settings.problems[entry], self.runtime.project
        keys = entry.split(".", 1)
        variable = entry if entry.startswith("TELEX_") else f"TELEX_{keys[0].upper()}"
        remedy = f"Change {variable}" if error.path is None else f"Edit {self.place(*keys)}"
        if project is not None and self.settings.sources.get(entry) == "project":
            remedy = f"Edit {project.path}"
        if subject == "everything":
            return problem(subject, error.message, remedy)
        pattern = rf"(TELEX_)?{re.escape(entry)}(: |\.| )"
        return problem(subject, re.sub(pattern, "", error.message, count=1, flags=re.IGNORECASE), remedy)

    def redacted(self, text: str) -> str:
        """``text`` without repeated blanks, control characters, and secrets of the environment and the settings."""
        from provider_core.redaction import printable, redact

        lines = [" ".join(line.split()) for line in redact(text, self._secrets).splitlines()]
        return printable("\n".join(lines))

    @cached_property
    def _secrets(self) -> tuple[str, ...]:
        from provider_core import presets
        from provider_core.settings import file

        keys = {name for preset in presets.all_presets() for name in preset.key_env}
        tables: Mapping[str, Any] = {}
        try:
            keys |= {name for each in self.settings.providers.values() for name in each.key_env}
            # As they are written: invalid ones may hold secrets, too.
            tables = file.parse(self.file[0], self.paths.settings_file)
        except SettingsError:  # there is no home folder
            pass
        found = [*self._secrets_in(tables, "", "")]
        for name, value in self.environ.items():
            words = name.upper().split("_")
            if name in keys or {"KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD"} & set(words):
                found.append(value)
            elif words[-1] == "PROXY":
                found += _credentials(value)
        return tuple(dict.fromkeys(filter(None, found)))

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
    from provider_core.request import is_secret_name

    address, _, query = url.partition("?")
    user, at, _ = address.rpartition("@")
    found = [user.rpartition("://")[2].partition(":")[2]] if at else []
    parts = (part.partition("=") for part in query.split("&"))
    found += [value for name, _, value in parts if is_secret_name(name)]
    for each in found:
        yield each
        yield unquote(each)
