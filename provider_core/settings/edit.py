"""Changes to the settings file: locked, checked before they are written, and without loss of comments.

Every change is a function that edits the file's plain values. ``_change_table`` then brings the parsed document, which
has the comments and the layout, from the old values to the new ones. The file is replaced only if the result reads back
as those values and makes no entry invalid that was valid before. Keys are not handled here.
"""

from __future__ import annotations

import codecs
import contextlib
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from provider_core import files
from provider_core.errors import FileError, SettingsError
from provider_core.settings import file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from provider_core.types import Json

Fields: TypeAlias = "Mapping[str, Any]"
"""The keys of a ``[providers.NAME]`` table as plain values; None means absent."""

Around: TypeAlias = "AbstractContextManager[None] | None"
"""Entered under the lock when the change is known to be valid, and left when the file has been replaced."""

Group: TypeAlias = 'Literal["providers", "mcp", "aliases"]'
"""``[providers.NAME]``, ``[mcp.NAME]`` or ``aliases.NAME``."""

_NOUNS = {"providers": "provider", "mcp": "MCP server", "aliases": "alias"}

_GROUPS = ("providers", "mcp", "profiles")
"""Tables of tables, which are written as ``[GROUP.NAME]``."""


def entries(path: Path, group: Group = "providers") -> dict[str, dict[str, Any]]:
    """The tables of a group as they are written, by name, without their presets."""
    tables = file.read(path).get(group)
    found = tables if isinstance(tables, dict) else {}
    return {name: table for name, table in found.items() if isinstance(table, dict)}


def references(data: Mapping[str, Any], name: str, model: str = "") -> tuple[str, ...]:
    """The settings that name the provider ``name``, or its ``model``: "model", "aliases.fast", "profiles.work"."""
    places: list[tuple[str, list[Any]]] = [("model", [data.get("model")])]
    for group, named_in in (("aliases", targets), ("profiles", _named_in)):
        tables = data.get(group)
        if isinstance(tables, dict):
            places += [(f"{group}.{each}", named_in(written)) for each, written in tables.items()]
    return tuple(place for place, named in places if any(points_at(to, name, model) for to in named))


def _named_in(profile: object) -> list[Any]:
    """The default model and the providers of a profile."""
    table = profile if isinstance(profile, dict) else {}
    providers = table.get("providers")
    return [table.get("model"), *(providers if isinstance(providers, list) else ())]


def targets(written: object) -> list[Any]:
    """The targets of an alias as it is written: a string, a list, or a table with "target" or "targets"."""
    match written:
        case {"targets": list() as found} | (list() as found):
            return found
        case {"target": found}:
            return [found]
        case str():
            return [written]
    return []


def _with_targets(written: Any, wanted: Sequence[str]) -> Any:
    """The alias with other targets, in the same form if that is possible."""
    both: Any = wanted[0] if len(wanted) == 1 and not isinstance(written, list) else list(wanted)
    if not isinstance(written, dict):
        return both
    rest = {key: value for key, value in written.items() if key not in ("target", "targets")}
    name = "target" if isinstance(both, str) else "targets"
    if name in written:  # so that the line stays in its place
        return {key: both if key == name else value for key, value in written.items()}
    return {name: both, **rest}


def points_at(to: object, name: str, model: str = "") -> bool:
    """Whether ``to``, a value of ``-m``, names the provider ``name`` (in any case), or its ``model``."""
    if not isinstance(to, str):
        return False
    provider, slash, rest = to.partition("/")
    same = provider.casefold() == name.casefold()
    return to == model or bool(same and slash and rest == model) if model else same


def put(
    path: Path,
    wanted: Mapping[str, Fields],
    group: Group = "providers",
    *,
    replace: bool = False,
    around: Around = None,
) -> None:
    """Write a table of the group for each name, or none of them.

    Raises ``SettingsError`` if a name is taken and ``replace`` is false, or if the result would be invalid.
    """

    def change(data: dict[str, Any]) -> None:
        tables = _tables(data, group, path)
        taken = [name for name in wanted if name in tables]
        if taken and not replace:
            verb = "is" if len(taken) == 1 else "are"
            raise SettingsError(f"{', '.join(taken)} {verb} already set up", path=path)
        for name, fields in wanted.items():
            tables[name] = without_none(fields)

    _apply(path, change, around)


def update_provider(path: Path, name: str, fields: Fields, *, around: Around = None) -> None:
    """Set the given fields of ``[providers.NAME]`` and remove those that are None."""

    def change(data: dict[str, Any]) -> None:
        data["providers"][name] = without_none({**_provider(data, name, path), **fields})

    _apply(path, change, around)


def remove(path: Path, name: str, group: Group = "providers", *, around: Around = None) -> None:
    """Remove the group's entry of this name; raises ``SettingsError`` if there is none."""

    def change(data: dict[str, Any]) -> None:
        tables = _tables(data, group, path)
        if tables.pop(name, None) is None:
            raise SettingsError(f"unknown {_NOUNS[group]}: {name}", path=path)
        if not tables:
            del data[group]

    # Other entries may be invalid, and removing must be possible even then.
    _apply(path, change, around, validate=False)


def rename_provider(path: Path, old: str, new: str, *, around: Around = None) -> tuple[str, ...]:
    """Rename ``[providers.OLD]``, and update the default model, the aliases and the profiles that name it.

    Returns the settings that were updated, as ``references`` names them.
    """
    moved: tuple[str, ...] = ()

    def change(data: dict[str, Any]) -> None:
        nonlocal moved
        table = _provider(data, old, path)
        if new in data["providers"]:
            raise SettingsError(f"{new} is already set up", path=path)
        moved = references(data, old)
        del data["providers"][old]
        data["providers"][new] = table

        def renamed(to: Any) -> Any:
            return new + to[len(old) :] if points_at(to, old) else to

        for place in moved:
            group, _, name = place.partition(".")
            match group:
                case "aliases":
                    written = data["aliases"][name]
                    data["aliases"][name] = _with_targets(written, [renamed(to) for to in targets(written)])
                case "profiles":
                    profile = data["profiles"][name]
                    if "model" in profile:
                        profile["model"] = renamed(profile["model"])
                    if isinstance(profile.get("providers"), list):
                        profile["providers"] = [renamed(each) for each in profile["providers"]]
                case _:
                    data[group] = renamed(data[group])

    _apply(path, change, around)
    return moved


def declare_model(
    path: Path,
    provider: str,
    model: str,
    fields: Mapping[str, Json],
    *,
    new: bool,
    default: str | None = None,
) -> None:
    """Declare ``model``, or if ``new`` is false change the given fields; those that are None are removed.

    ``default`` is the provider's default model, which does not change: otherwise, the first declared model becomes it.
    Raises ``SettingsError`` if the provider is not set up, or if a ``new`` model is already declared.
    """

    def change(data: dict[str, Any]) -> None:
        table = _provider(data, provider, path)
        models = table.setdefault("models", [])
        if not models and default not in (None, model):
            table.setdefault("default_model", default)
        at = _index(models, model)
        if at is not None and new:
            raise SettingsError(
                f"{provider}/{model} is already in the settings; change it with telex models edit", path=path
            )
        before = models[at] if at is not None and isinstance(models[at], dict) else {}
        entry = without_none({"id": model, **before, **fields})
        end = len(models) if at is None else at
        models[end : end + 1] = [model if len(entry) == 1 else entry]

    _apply(path, change)


def forget_model(path: Path, provider: str, model: str) -> None:
    """Remove the declaration of ``model``; raises ``SettingsError`` if there is none."""

    def change(data: dict[str, Any]) -> None:
        table = _provider(data, provider, path)
        at = _index(table.get("models", []), model)
        if at is None:
            raise SettingsError(f"{provider}/{model} is not in the settings", path=path)
        del table["models"][at]
        if not table["models"]:
            del table["models"]

    _apply(path, change)


def _index(models: list[Any], model: str) -> int | None:
    ids = [entry.get("id") if isinstance(entry, dict) else entry for entry in models]
    return ids.index(model) if model in ids else None


def set_alias(path: Path, name: str, wanted: Sequence[str], fields: Fields | None = None) -> None:
    """Set the targets of the alias ``name``, unless none are given, and its fields; remove those that are None.

    An alias without fields is written as a string, or a list. Raises ``SettingsError`` if there is neither an alias nor
    a target.
    """

    def change(data: dict[str, Any]) -> None:
        aliases = _tables(data, "aliases", path)
        if name not in aliases and not wanted:
            raise SettingsError(f"unknown alias: {name}", path=path)
        written = aliases.get(name, "")
        if wanted and list(wanted) != targets(written):
            written = _with_targets(written, wanted)
        if fields:
            table = written if isinstance(written, dict) else _with_targets({}, targets(written))
            written = without_none({**table, **fields})
            if not written.keys() - {"target", "targets"}:
                (written,) = written.values()
        aliases[name] = written

    _apply(path, change)


def set_value(path: Path, keys: Sequence[str], value: Json) -> None:
    """Set one setting by its keys, with the tables that it needs. Raises ``SettingsError`` if it is invalid then."""

    def change(data: dict[str, Any]) -> None:
        from provider_core.settings import schema

        holder = data
        for at, key in enumerate(keys[:-1]):
            if keys[0] == "aliases" and at == 1 and (known := targets(holder.get(key))):
                holder[key] = _with_targets(holder[key] if isinstance(holder[key], dict) else {}, known)
            holder = holder.setdefault(key, {})
            if not isinstance(holder, dict):
                raise SettingsError(f"{'.'.join(keys[: at + 1])} is not a table: edit it by hand", path=path)
        if keys[0] == "aliases" and keys[-1] == "targets":
            holder.pop("target", None)
        holder[keys[-1]] = value
        # Also if the entry was invalid before.
        found = schema.check(data, {}, path)[1]
        for entry in (keys[0], ".".join(keys[:2])):
            if entry in found:
                raise found[entry]

    _apply(path, change)


def unset_value(path: Path, keys: Sequence[str]) -> bool:
    """Remove one setting by its keys, and tables that are empty then; False if it is not in the file."""
    found = False

    def change(data: dict[str, Any]) -> None:
        nonlocal found
        holders = [data]
        for key in keys[:-1]:
            below = holders[-1].get(key)
            if not isinstance(below, dict):
                return
            holders.append(below)
        found = keys[-1] in holders[-1]
        holders[-1].pop(keys[-1], None)
        for at in range(len(holders) - 1, 0, -1):
            if not holders[at]:
                del holders[at - 1][keys[at - 1]]

    # Other entries may be invalid, and removing must be possible even then.
    _apply(path, change, validate=False)
    return found


def replace_text(path: Path, before: bytes, text: bytes) -> None:
    """Replace the whole file if it is still ``before``. Raises ``SettingsError``; the file is then unchanged."""
    try:
        files.private_folder(path.parent)
        with files.locked(path):
            if file.content(path) != before:
                raise SettingsError(f"{path} was changed while you edited it", path=path)
            files.replace(path, text)
    except FileError as error:
        raise SettingsError(error.message, path=error.path) from error


def _tables(data: dict[str, Any], group: str, path: Path) -> dict[str, Any]:
    tables = data.setdefault(group, {})
    if not isinstance(tables, dict):
        raise SettingsError(f"{group} is not a table: edit it by hand", path=path)
    return tables


def without_none(fields: Fields) -> dict[str, Any]:
    """The fields that are set."""
    return {key: value for key, value in fields.items() if value is not None}


def _provider(data: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    tables = _tables(data, "providers", path)
    if name not in tables:
        raise SettingsError(f"unknown provider: {name}", path=path)
    if not isinstance(tables[name], dict):
        raise SettingsError(f"providers.{name} is not a table: edit it by hand, or remove it", path=path)
    return cast("dict[str, Any]", tables[name])


# --- the file ----------------------------------------------------------------------------------------------


def _apply(
    path: Path, change: Callable[[dict[str, Any]], None], around: Around = None, *, validate: bool = True
) -> None:
    """Change the file's values under a lock, and replace the file in one step.

    A file that does not parse raises ``SettingsError`` and is not touched; nor is the file if ``change`` or
    ``around`` raises. If an editor saved the file in the meantime, the change is made again to what it saved.
    """
    try:
        files.private_folder(path.parent)
        with files.locked(path):
            before = file.content(path)
            changed = _changed(before, path, change, validate=validate)
            if changed != before:
                files.remove_leftovers(path)
            with around or contextlib.nullcontext():
                while (now := file.content(path)) != before:  # editors ignore the lock
                    before, changed = now, _changed(now, path, change, validate=validate)
                if changed != before:
                    files.replace(path, changed)
    except FileError as error:
        raise SettingsError(error.message, path=error.path) from error


def _changed(raw: bytes, path: Path, change: Callable[[dict[str, Any]], None], *, validate: bool) -> bytes:
    """The file after the change; its byte order mark stays, and all lines end as most of them did."""
    from provider_core.settings import schema

    whole = file.decode(raw, path)
    text = whole.replace("\r\n", "\n")
    before, after = file.parse(text, path), file.parse(text, path)
    change(after)
    if validate:
        # Without the environment: the file must be valid by itself.
        known, found = (schema.check(data, {}, path)[1] for data in (before, after))
        for entry in found.keys() - known.keys():
            raise found[entry]
    changed = _rewritten(text, before, after, path)
    if changed == text:
        return raw
    if whole.count("\r\n") * 2 > text.count("\n"):
        changed = changed.replace("\n", "\r\n")
    return (codecs.BOM_UTF8 if raw.startswith(codecs.BOM_UTF8) else b"") + changed.encode()


def _rewritten(text: str, before: dict[str, Any], after: dict[str, Any], path: Path) -> str:
    """``text`` with the values ``after``; raises ``SettingsError`` if they would not read back."""
    import tomllib

    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    with contextlib.suppress(TOMLKitError, tomllib.TOMLDecodeError):
        document = tomlkit.parse(text)
        _change_table([document], before, after, document)
        changed = tomlkit.dumps(document)
        if _without_empty(tomllib.loads(changed)) == _without_empty(after):
            return changed
    raise SettingsError(
        f"{path} is written in a way that cannot be changed safely: edit it by hand", path=path
    )


def _without_empty(table: dict[str, Any]) -> dict[str, Any]:
    """Empty tables mean the same as absent ones, and some of them cannot be written."""
    inner = {key: _without_empty(value) if isinstance(value, dict) else value for key, value in table.items()}
    return {key: value for key, value in inner.items() if value != {}}


# --- one document of tomlkit -------------------------------------------------------------------------------
#
# TOML lets a file define one table in several places, which tomlkit hides behind proxies that cannot be changed
# reliably. So tables are changed here by the bodies of their parts: lists of (key, item), which it only renders.


def _body(part: Any) -> list[tuple[Any, Any]]:
    from tomlkit.container import Container

    container = part if isinstance(part, Container) else part.value
    return cast("list[tuple[Any, Any]]", container.body)


def _change_table(parts: Sequence[Any], before: Fields, after: Fields, root: Any, group: str = "") -> None:
    """Change the parts of one table from the values ``before`` to ``after``; ``group`` is its name."""
    gone, new = [key for key in before if key not in after], [key for key in after if key not in before]
    if len(gone) == len(new) == 1 and before[gone[0]] == after[new[0]]:
        _rename(parts, gone[0], new[0])
        gone, new = [], []
    for key in before.keys() & after.keys():
        old, value = before[key], after[key]
        found = [item for part in parts for name, item in _body(part) if name is not None and name.key == key]
        if old == value and type(old) is type(value):
            continue
        if isinstance(old, dict) and isinstance(value, dict):
            _change_table(found, old, value, root, f"{group}.{key}" if group else key)
        elif not _replace(parts, found[0], old, value):
            gone.append(key)
            new.append(key)
    for key in gone:
        _remove(parts, key)
    for key in new:
        _add(parts, key, after[key], root, group)


def _rename(parts: Sequence[Any], old: str, new: str) -> None:
    from tomlkit.items import SingleKey

    for part in parts:
        body = _body(part)
        for at, (key, item) in enumerate(body):
            if key is not None and key.key == old:
                renamed = SingleKey(new, sep=key.sep)
                renamed._dotted = key.is_dotted()
                body[at] = (renamed, item)
                if hasattr(item, "invalidate_display_name"):
                    item.invalidate_display_name()


def _replace(parts: Sequence[Any], item: Any, old: Any, value: Any) -> bool:
    """Replace a value that is not a table in its place; False if it has to be removed and added."""
    from tomlkit.items import AoT, Array, Table

    if isinstance(item, Table | AoT):
        return False
    if isinstance(item, Array) and isinstance(value, list) and _change_array(item, old, value):
        return True
    written = _item(value)
    for part_of_line in ("indent", "comment_ws", "comment", "trail"):
        setattr(written.trivia, part_of_line, getattr(item.trivia, part_of_line))
    for part in parts:
        body = _body(part)
        body[:] = [(name, written if each is item else each) for name, each in body]
    return True


def _change_array(array: Any, before: list[Any], after: list[Any]) -> bool:
    """Change the one element that differs, so that the comments of the others stay; False if several differ."""
    at = next((i for i, (old, new) in enumerate(zip(before, after, strict=False)) if old != new), len(after))
    if len(after) == len(before) + 1 and after[:-1] == before:
        array.append(_item(after[-1]))
    elif len(after) == len(before) and after[at + 1 :] == before[at + 1 :]:
        array[at] = _item(after[at])
    elif len(after) == len(before) - 1 and after[at:] == before[at + 1 :]:
        del array[at]
    else:
        return False
    return True


def _remove(parts: Sequence[Any], key: str) -> None:
    """Remove a value or a table. Comments at the end of a table stay: they are about what comes next."""
    from tomlkit.items import Null, Whitespace

    for part in parts:
        body = _body(part)
        for at, (name, item) in enumerate(body):
            if name is not None and name.key == key:
                comments = _last_comments(item)
                body[at] = (None, Whitespace(comments) if comments else Null())


def _last_comments(item: Any) -> str:
    """The blank and comment lines at the end of a table, or only its first blank line if it has no comments."""
    from tomlkit.items import AoT, Comment, Null, Table, Whitespace

    while isinstance(item, AoT | Table):
        body = _body(item) if isinstance(item, Table) else [(None, each) for each in item.body]
        last = next((each for _, each in reversed(body) if not isinstance(each, Null)), None)
        if not isinstance(last, AoT | Table):
            break
        item = last
    if not isinstance(item, Table):
        return ""
    lines: list[Any] = []
    for name, each in reversed(_body(item)):
        if name is not None or not isinstance(each, Comment | Whitespace | Null):
            break
        lines.insert(0, each)
    if not any(isinstance(each, Comment) for each in lines):
        lines = lines[:1]
    return "".join(each.as_string() for each in lines)


def _add(parts: Sequence[Any], key: str, value: Any, root: Any, group: str) -> None:
    from tomlkit.items import InlineTable

    inline = next((part for part in parts if isinstance(part, InlineTable)), None)
    if inline is not None:
        inline.append(key, _item(value))
    elif isinstance(value, dict) and group in ("", *_GROUPS):
        _add_table(key, value, root, group)
    else:
        _add_value(parts, key, _item(value), root)


def _add_table(key: str, value: Fields, root: Any, group: str) -> None:
    """Add ``[key]``, or ``[group.key]``, at the end of the document."""
    import tomlkit
    from tomlkit.items import SingleKey

    ends = tomlkit.dumps(root)[-2:]
    table = tomlkit.table(is_super_table=key in _GROUPS and not group)
    table.trivia.indent = "" if not ends or ends == "\n\n" else "\n" if ends[-1:] == "\n" else "\n\n"
    if group:
        outer = tomlkit.table(is_super_table=True)
        _body(outer).append((SingleKey(key), table))
        _body(root).append((SingleKey(group), outer))
    else:
        _body(root).append((SingleKey(key), table))
    for name, each in value.items():
        _add([table], name, each, root, f"{group}.{key}" if group else key)


def _add_value(parts: Sequence[Any], key: str, item: Any, root: Any) -> None:
    """Add ``key = item`` after the last value of the table, and before the tables below it."""
    import tomlkit
    from tomlkit.items import AoT, SingleKey, Table, Whitespace

    part = next((part for part in parts if isinstance(part, Table) and not part.is_super_table()), parts[0])
    body = _body(part)
    values = [
        at
        for at, (name, each) in enumerate(body)
        if name is not None and (not isinstance(each, Table | AoT) or name.is_dotted())
    ]
    after: list[Any] = []
    if values or part is not root:
        at = values[-1] + 1 if values else 0
        before = body[at - 1][1] if at else part
        if not isinstance(before, Table) or before is part:
            before.trivia.trail = before.trivia.trail.removesuffix("\n") + "\n"
    else:  # after the comments that a blank line separates from the first table
        first = next((at for at, (_, each) in enumerate(body) if isinstance(each, Table | AoT)), len(body))
        at = max((n + 1 for n in range(first) if isinstance(body[n][1], Whitespace)), default=0)
        after = [(None, tomlkit.nl())] if body else []
    item.trivia.trail = "\n"
    body[at:at] = [(SingleKey(key), item), *after]


def _item(value: Any) -> Any:
    """``value`` as TOML on one line: sub-tables would end the table that they are in."""
    import tomlkit

    match value:
        case dict():
            table = tomlkit.inline_table()
            table.update({key: _item(each) for key, each in value.items()})
            return table
        case list() | tuple():
            array = tomlkit.array()
            array.extend(_item(each) for each in value)
            return array
        case _:
            return tomlkit.item(value)


def dumps(group: Group, tables: Mapping[str, Fields]) -> str:
    """A settings file with these tables of the group."""
    import tomlkit

    document = tomlkit.document()
    _change_table([document], {}, {group: {}}, document)
    for name, fields in tables.items():
        _add([], name, dict(fields), document, group)
    return tomlkit.dumps(document)
