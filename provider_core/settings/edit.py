"""Changes to the settings file, each one step and checked before it is written; keys are not touched here.

Every change is made twice: to plain values, which is what is meant, and to the text, where comments live.
The text is written only when it reads back as what is meant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from provider_core.errors import SettingsError
from provider_core.settings import file, lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

__all__ = [
    "apply",
    "entries",
    "inline",
    "points_at",
    "put",
    "put_provider",
    "references",
    "remove",
    "remove_provider",
    "rename_provider",
    "tables_of",
    "update_provider",
]

Fields: TypeAlias = "Mapping[str, Any]"
"""The keys of a ``[providers.NAME]`` table as plain values; None stands for absent."""

Around: TypeAlias = "AbstractContextManager[None] | None"
"""Entered under the lock once the change is known to be good, and left when the file has been replaced."""


Group: TypeAlias = 'Literal["providers", "mcp"]'
"""Which tables: ``[providers.NAME]`` or ``[mcp.NAME]``."""

_ONE_OF = {"providers": "provider", "mcp": "MCP server"}


def entries(path: Path, group: Group = "providers") -> dict[str, dict[str, Any]]:
    """The ``[providers.NAME]`` tables as they are written, by name, with no preset merged in; or another group's."""
    tables = file.read(path).get(group)
    found = tables if isinstance(tables, dict) else {}
    return {name: table for name, table in found.items() if isinstance(table, dict)}


def references(data: Mapping[str, Any], name: str, model: str = "") -> tuple[str, ...]:
    """The settings that point at the provider ``name``, or at its ``model``: "model", "aliases.fast"."""
    found = ["model"] if points_at(data.get("model"), name, model) else []
    aliases = data.get("aliases")
    if isinstance(aliases, dict):
        found += [f"aliases.{alias}" for alias, to in aliases.items() if points_at(to, name, model)]
    return tuple(found)


def put_provider(
    path: Path, name: str, fields: Fields, *, replace: bool = False, around: Around = None
) -> None:
    """Write ``[providers.NAME]``; see ``put``."""
    put(path, {name: fields}, replace=replace, around=around)


def put(
    path: Path,
    wanted: Mapping[str, Fields],
    group: Group = "providers",
    *,
    replace: bool = False,
    around: Around = None,
) -> None:
    """Write a table of the group for each name, or none of them; comments in a table that stays survive.

    Raises ``SettingsError`` when a name is taken and ``replace`` is not given, or when the result would
    not be accepted on the next start.
    """

    def change(data: dict[str, Any]) -> None:
        tables = tables_of(data, group, path)
        taken = [name for name in wanted if name in tables]
        if taken and not replace:
            verb = "is" if len(taken) == 1 else "are"
            raise SettingsError(f"{', '.join(taken)} {verb} already set up", path=path)
        for name, fields in wanted.items():
            tables[name] = {key: value for key, value in fields.items() if value is not None}

    def proposals(text: str) -> Iterator[str]:
        import tomlkit

        document = cast("Any", tomlkit.parse(text))
        if group not in document:
            document[group] = tomlkit.table(is_super_table=True)
        tables = document[group]
        for name, fields in wanted.items():
            if name in tables:
                _fill(tables[name], {**dict.fromkeys(set(tables[name]) - set(fields)), **fields})
            else:
                tables[name] = _table(fields, inline=isinstance(tables, tomlkit.items.InlineTable))
        yield tomlkit.dumps(document)
        for name, fields in wanted.items():
            text = lines.added(lines.without(text, name, group), name, tomlkit.dumps(_table(fields)), group)
        yield text

    apply(path, change, proposals, around)


def update_provider(path: Path, name: str, fields: Fields, *, around: Around = None) -> None:
    """Set the given fields of ``[providers.NAME]``, remove those that are None, and leave the rest alone."""

    def change(data: dict[str, Any]) -> None:
        table = _entry(data, name, path)
        for key, value in fields.items():
            table.pop(key, None) if value is None else table.__setitem__(key, value)

    def proposals(text: str) -> Iterator[str]:
        import tomlkit

        document = cast("Any", tomlkit.parse(text))
        _fill(document["providers"][name], fields)
        yield tomlkit.dumps(document)

    apply(path, change, proposals, around)


def remove_provider(path: Path, name: str, *, around: Around = None) -> None:
    """Remove ``[providers.NAME]``; see ``remove``."""
    remove(path, name, around=around)


def remove(path: Path, name: str, group: Group = "providers", *, around: Around = None) -> None:
    """Remove the group's table of this name; raises ``SettingsError`` when there is none."""

    def change(data: dict[str, Any]) -> None:
        tables = tables_of(data, group, path)
        if name not in tables:
            raise SettingsError(f"no {_ONE_OF[group]} called {name} is set up", path=path)
        del tables[name]

    def proposals(text: str) -> Iterator[str]:
        import tomlkit

        yield lines.without(text, name, group)
        document = cast("Any", tomlkit.parse(text))
        del document[group][name]
        yield tomlkit.dumps(document)

    # What is left may be wrong elsewhere, and removing must be possible even then.
    file.change(path, change, proposals, around)


def rename_provider(path: Path, old: str, new: str, *, around: Around = None) -> tuple[str, ...]:
    """Give ``[providers.OLD]`` the name ``new``, and lead the default and the aliases to it.

    Returns the settings that were led over, as ``references`` names them.
    """
    moved: tuple[str, ...] = ()

    def change(data: dict[str, Any]) -> None:
        nonlocal moved
        _entry(data, old, path)
        if new in data["providers"]:
            raise SettingsError(f"{new} is already set up", path=path)
        moved = references(data, old)
        data["providers"][new] = data["providers"].pop(old)
        _lead_over(data, moved, old, new)

    def proposals(text: str) -> Iterator[str]:
        import tomlkit

        document = cast("Any", tomlkit.parse(text))
        _lead_over(document, moved, old, new)
        yield lines.renamed(tomlkit.dumps(document), old, new)
        tables = document["providers"]
        table = tables[old]
        del tables[old]
        tables[new] = table
        yield tomlkit.dumps(document)

    apply(path, change, proposals, around)
    return moved


def points_at(to: object, name: str, model: str = "") -> bool:
    """Whether ``to``, as ``-m`` takes it, names the provider ``name`` (in any case), or its ``model``."""
    if not isinstance(to, str):
        return False
    provider, slash, rest = to.partition("/")
    same = provider.casefold() == name.casefold()
    return to == model or bool(same and slash and rest == model) if model else same


def _lead_over(data: Any, places: tuple[str, ...], old: str, new: str) -> None:
    for place in places:
        name, _, alias = place.partition(".")
        holder, key = (data["aliases"], alias) if alias else (data, name)
        holder[key] = new + str(holder[key])[len(old) :]


def _entry(data: dict[str, Any], name: str, path: Path, group: Group = "providers") -> dict[str, Any]:
    tables = tables_of(data, group, path)
    if name not in tables:
        raise SettingsError(f"no {_ONE_OF[group]} called {name} is set up", path=path)
    if not isinstance(tables[name], dict):
        raise SettingsError(f"{group}.{name} is not a table: edit it by hand, or remove it", path=path)
    return cast("dict[str, Any]", tables[name])


def tables_of(data: dict[str, Any], group: str, path: Path) -> dict[str, Any]:
    """The tables of a group, to be changed; raises ``SettingsError`` where the file has something else there."""
    tables = data.setdefault(group, {})
    if not isinstance(tables, dict):
        raise SettingsError(f"{group} is not a table: edit it by hand", path=path)
    return tables


def _table(fields: Fields, *, inline: bool = False) -> Any:
    import tomlkit

    # A table with a header cannot stand inside one written on a single line.
    table = tomlkit.inline_table() if inline else tomlkit.table()
    _fill(table, fields)
    return table


def _fill(table: Any, fields: Fields) -> None:
    for key, value in fields.items():
        if value is None:
            table.pop(key, None)
        elif key not in table or table[key] != value:
            table[key] = inline(value)


def inline(value: Any) -> Any:
    """``value`` as TOML that stays within its own line: sub-tables would end the table."""
    import tomlkit

    match value:
        case dict():
            table = tomlkit.inline_table()
            table.update({key: inline(item) for key, item in value.items()})
            return table
        case list() | tuple():
            array = tomlkit.array()
            array.extend(inline(item) for item in value)
            return array
        case _:
            return value


def apply(path: Path, change: file.Change, proposals: file.Proposals, around: Around = None) -> None:
    """Do a change of ``file``'s; raise ``SettingsError`` where it makes an entry wrong that was not wrong before."""

    def checked(data: dict[str, Any]) -> None:
        from provider_core.settings import schema

        # Without the environment: what is written has to stand by itself.
        _, before = schema.check(data, {}, path)
        change(data)
        _, after = schema.check(data, {}, path)
        for entry in after.keys() - before.keys():
            raise after[entry]

    file.change(path, checked, proposals, around)
