"""Changes to the settings file, each one step and checked before it is written; keys are not touched here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, cast

from provider_core.errors import SettingsError
from provider_core.settings import file, rules

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, MutableMapping
    from pathlib import Path

    from tomlkit import TOMLDocument

__all__ = [
    "entries",
    "put_provider",
    "put_providers",
    "references",
    "remove_provider",
    "rename_provider",
    "update_provider",
]

Fields: TypeAlias = "Mapping[str, Any]"
"""The keys of a ``[providers.NAME]`` table as plain values; None stands for absent."""


def entries(path: Path) -> dict[str, dict[str, Any]]:
    """The ``[providers.NAME]`` tables as they are written, by name, with no preset merged in."""
    return dict(file.read(path).get("providers", {}))


def references(data: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The settings that point at the provider ``name``: "model", "aliases.fast"."""
    found = ["model"] if _points_at(data.get("model"), name) else []
    aliases = data.get("aliases", {})
    found += [f"aliases.{alias}" for alias, model in aliases.items() if _points_at(model, name)]
    return tuple(found)


def put_provider(path: Path, name: str, fields: Fields, *, replace: bool = False) -> None:
    """Write ``[providers.NAME]``; see ``put_providers``."""
    put_providers(path, {name: fields}, replace=replace)


def put_providers(path: Path, providers: Mapping[str, Fields], *, replace: bool = False) -> None:
    """Write ``[providers.NAME]`` for each, or none of them; comments in a table that stays survive.

    Raises ``SettingsError`` when a name is taken and ``replace`` is not given, or when the result would
    not be accepted on the next start.
    """

    def edit(document: TOMLDocument) -> None:
        import tomlkit

        tables = document.get("providers")
        if tables is None:
            tables = document["providers"] = tomlkit.table(is_super_table=True)
            tables = document["providers"]
        taken = [name for name in providers if name in tables]
        if taken and not replace:
            verb = "is" if len(taken) == 1 else "are"
            raise SettingsError(f"{', '.join(taken)} {verb} already set up", path=path)
        for name, fields in providers.items():
            _put(tables, name, fields)

    _change(path, edit)


def update_provider(path: Path, name: str, fields: Fields) -> None:
    """Set the given fields of ``[providers.NAME]``, remove those that are None, and leave the rest alone."""

    def edit(document: TOMLDocument) -> None:
        _fill(_table(document, name, path), fields)

    _change(path, edit)


def remove_provider(path: Path, name: str) -> None:
    """Remove ``[providers.NAME]``; raises ``SettingsError`` when there is none."""

    def edit(document: TOMLDocument) -> None:
        _table(document, name, path)
        del cast("Any", document)["providers"][name]

    # What is left may be wrong elsewhere, and removing must be possible even then.
    file.change(path, edit)


def rename_provider(path: Path, old: str, new: str) -> tuple[str, ...]:
    """Give ``[providers.OLD]`` the name ``new``, and lead the default and the aliases to it.

    Returns the settings that were led over, as ``references`` names them.
    """
    moved: tuple[str, ...] = ()

    def edit(document: TOMLDocument) -> None:
        nonlocal moved
        table = _table(document, old, path)
        tables = cast("Any", document)["providers"]
        if new in tables:
            raise SettingsError(f"{new} is already set up", path=path)
        moved = references(document.unwrap(), old)
        del tables[old]
        tables[new] = table
        for place in moved:
            owner, _, alias = place.partition(".")
            holder, key = (cast("Any", document)["aliases"], alias) if alias else (document, owner)
            holder[key] = new + str(holder[key])[len(old) :]

    _change(path, edit)
    return moved


def _points_at(model: object, name: str) -> bool:
    return isinstance(model, str) and (model == name or model.startswith(f"{name}/"))


def _table(document: TOMLDocument, name: str, path: Path) -> MutableMapping[str, Any]:
    tables = document.get("providers", {})
    if name not in tables:
        raise SettingsError(f"no provider called {name} is set up", path=path)
    return cast("MutableMapping[str, Any]", tables[name])


def _put(tables: Any, name: str, fields: Fields) -> None:
    import tomlkit
    from tomlkit.items import InlineTable

    if name in tables:
        table = tables[name]
        _fill(table, {**dict.fromkeys(set(table) - set(fields)), **fields})
        return
    # A table with a header cannot stand inside one written on a single line.
    table = tomlkit.inline_table() if isinstance(tables, InlineTable) else tomlkit.table()
    _fill(table, fields)
    tables[name] = table


def _fill(table: Any, fields: Fields) -> None:
    for key, value in fields.items():
        if value is None:
            table.pop(key, None)
        elif key not in table or table[key] != value:
            table[key] = _inline(value)


def _inline(value: Any) -> Any:
    """``value`` as TOML that stays within its own line: sub-tables would end the provider's table."""
    import tomlkit

    match value:
        case dict():
            table = tomlkit.inline_table()
            table.update({key: _inline(item) for key, item in value.items()})
            return table
        case list() | tuple():
            array = tomlkit.array()
            array.extend(_inline(item) for item in cast("Collection[Any]", value))
            return array
        case _:
            return value


def _change(path: Path, edit: Any) -> None:
    def checked(document: TOMLDocument) -> None:
        from provider_core.settings import schema

        edit(document)
        data = document.unwrap()
        for name in data.get("providers", {}):
            if name in rules.RESERVED:
                raise SettingsError(f"providers.{name}: the name is taken by telex itself", path=path)
        # Without the environment: what is written has to stand by itself.
        schema.validate(data, {}, path)

    file.change(path, checked)
