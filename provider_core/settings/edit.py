"""Changes to the settings file, each one step and checked before it is written; keys are not touched here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from provider_core.errors import SettingsError
from provider_core.settings import file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tomlkit import TOMLDocument

__all__ = ["put_provider", "remove_provider"]


def put_provider(path: Path, name: str, fields: Mapping[str, Any], *, replace: bool = False) -> None:
    """Write ``[providers.NAME]``; fields that are None are left out.

    Raises ``SettingsError`` when the name is taken and ``replace`` is not given, or when the result would
    not be accepted on the next start.
    """

    def edit(document: TOMLDocument) -> None:
        import tomlkit

        providers = document.setdefault("providers", tomlkit.table(is_super_table=True))
        if name in providers and not replace:
            raise SettingsError(f"a provider called {name} is already set up", path=path)
        table = tomlkit.table()
        for key, value in fields.items():
            if value is not None:
                table[key] = value
        providers[name] = table
        _check(document, path)

    file.change(path, edit)


def remove_provider(path: Path, name: str) -> None:
    """Remove ``[providers.NAME]``; raises ``SettingsError`` when there is none."""

    def edit(document: TOMLDocument) -> None:
        providers = document.get("providers", {})
        if name not in providers:
            raise SettingsError(f"no provider called {name} is set up", path=path)
        del providers[name]

    file.change(path, edit)


def _check(document: TOMLDocument, path: Path) -> None:
    from provider_core.settings import schema

    # Without the environment: what is written has to stand by itself.
    schema.validate(document.unwrap(), {}, path)
