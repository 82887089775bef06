"""Single settings by their dotted names: values in force with their sources, new values from text, and completion."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from provider_core.errors import InvalidInputError, SettingsError
from provider_core.settings import file, schema, tree, validators
from provider_core.settings.provider_fields import PROVIDER_FIELDS
from provider_core.structs import Struct, pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from provider_core.settings import Settings
    from provider_core.settings.tree import Place
    from provider_core.types import Json

HIDDEN = "(hidden)"
"""Stands for a value that is or may be a secret."""

_KEY = pattern(
    r"(?:sk|pk|rk|csk|gsk|xai|hf|r8|fw|nvapi|pplx|glpat|gh[opsu]|github_pat|tgp_v1)[-_](?=\D*\d)[A-Za-z0-9_.-]{16,}"
    r"|AIza[\w-]{20,}|AKIA\w{12,}|eyJ[\w-]{8,}(?:\.[\w-]+)+"
)
"""The form of providers' keys."""

_EXAMPLES = {
    "providers": "providers.NAME.retries",
    "mcp": "mcp.NAME.enabled",
    "aliases": "aliases.NAME",
    "profiles": "profiles.NAME.model",
    "budget": "budget.day",
}
"""One setting of each table."""

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


class Value(Struct):
    """A setting in force."""

    keys: tuple[str, ...]
    value: Json
    """None if it is not set and has no default. Secrets are hidden."""
    source: str
    """"default", "file", "profile", "project" or "variable"."""

    @property
    def key(self) -> str:
        return tree.dotted(self.keys)


def in_force(
    checked: Mapping[str, Any], written: Mapping[str, Any], variables: Mapping[str, str]
) -> list[Value]:
    """Each setting with its source, in the order of the schema.

    ``checked`` are the merged values (``settings.check``), ``written`` those of the settings file.
    """
    from provider_core.settings import project

    from_variables = schema.Variables(variables, written)
    sources = checked.get("sources", {})
    own = checked.get("project", {})

    def source(keys: tuple[str, ...]) -> str:
        in_variable = keys[0] == "aliases" or value_at(from_variables.values, keys) is not None
        if in_variable and from_variables.name_of(keys) is not None:
            return "variable"  # and not a field that a variable with a whole table leaves to the file
        found = sources.get(".".join(keys[:2])) or sources.get(keys[0])
        return found if found in ("profile", "project") else "file"

    found: dict[tuple[str, ...], Value] = {}
    for name, field in schema.File.model_fields.items():
        if name in checked:
            for keys, value in _leaves((name,), checked[name]):
                origin = source(keys)
                as_written = value_at(written, keys) if origin == "file" else None
                shown_value = shown(keys, value if as_written is None else as_written)
                found[keys] = Value(keys=keys, value=shown_value, source=origin)
        elif tree.locate(schema.File, [name]).kinds != ("table",):
            found[(name,)] = Value(keys=(name,), value=field.default, source="default")
    for name in (*project.OPTIONS, "allow", "templates"):
        for keys, value in _leaves((name,), own[name]) if name in own else ():
            if keys not in found or found[keys].source != "variable":
                found[keys] = Value(keys=keys, value=value, source="project")
    return list(found.values())


def _leaves(keys: tuple[str, ...], value: Json) -> Iterator[tuple[tuple[str, ...], Json]]:
    match value:
        case {"targets": [target], **rest} if not rest:  # an alias in its short form
            yield keys, target
        case dict():
            for name, each in value.items():
                yield from _leaves((*keys, name), each)
        case float() if value.is_integer():
            yield keys, int(value)
        case _:
            yield keys, value


def value_at(tables: Mapping[str, Any], keys: Sequence[str]) -> Json:
    """The value at these keys; None if there is none."""
    found: Any = tables
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def shown(keys: Sequence[str], value: Json) -> Json:
    """The value for people: without a secret, which a file that was written by hand may hold."""
    if isinstance(value, str) and keys[-1] == "proxy":
        return validators.without_credentials(value)
    return HIDDEN if _is_secret(keys, value) else value


def _is_secret(keys: Sequence[str], value: Json) -> bool:
    """Whether the value, or a part of it, looks like a key."""
    match value:
        case dict():
            return any(_is_secret((*keys, name), each) for name, each in value.items())
        case list() if keys[-1] == "command":
            return validators.find_secret([str(each) for each in value]) is not None
        case list():
            return any(_is_secret(keys, each) for each in value)
        case str() if keys[-1] == "key_command":
            return validators.find_secret(["", *value.split()]) is not None
        case str() if len(keys) > 1 and keys[-2] in ("headers", "env"):
            return not validators.is_harmless(keys[-1], value)
        case str():
            return _KEY.fullmatch(value) is not None
    return False


# --- names and new values --------------------------------------------------------------------------------------------


def locate(name: str, written: Mapping[str, Any]) -> Place:
    """The setting that a dotted name means. A provider is found in any case. Raises ``SettingsError``."""
    parts = tree.split(name)
    tables = written.get(parts[0])
    if parts[0] == "providers" and len(parts) > 1 and isinstance(tables, dict):
        parts[1] = next((each for each in tables if each.casefold() == parts[1].casefold()), parts[1])
    from provider_core.redaction import close_matches

    try:
        return tree.locate(schema.File, parts)
    except tree.UnknownKeyError as error:
        known, above = error.known, f"{tree.dotted(error.keys[:-1])}."
        if error.keys[0] not in schema.File.model_fields:
            error.keys[:] = [".".join(error.keys)]
            known, above = list(schema.File.model_fields), ""
            if meant := close_matches(parts[0], known, most=1, cutoff=0.7):
                known = [".".join([meant[0], *parts[1:]])]
        wrong = schema.not_a_setting(name or "''", error.keys, None, known, above=above)
        if wrong.message.endswith("is not a setting"):
            wrong.explain("see telex help settings")
        raise wrong from None


def parse(place: Place, words: Sequence[str]) -> Json:
    """The value that ``words`` of a command line stand for; raises ``InvalidInputError``.

    Lists are several words, or one in JSON, as are tables. Whether the value is allowed is checked when it is written,
    except that no secret is.
    """
    group, name = (*place.keys, "NAME")[:2]
    if group == "providers" and place.keys[2:] == ("key",) and words[0] != "none":
        own = f"telex providers set-key {name}"
        raise InvalidInputError(f"{place} is set by the command that stores the key: {own}")
    has_fields = len(place.keys) == 1 or (len(place.keys) == 2 and group in ("providers", "mcp", "profiles"))
    if group in _EXAMPLES and has_fields:
        example = _EXAMPLES[group].replace("NAME", tree.dotted([name]))
        add = f", or use telex {group} add" if group in ("providers", "mcp") else ""
        raise InvalidInputError(f"{place} is a table: set one of its fields, such as {example}{add}")
    text, kinds = words[0], set(place.kinds)
    value: Json = text
    if len(words) > 1 and "list" not in kinds and not (group == "aliases" and len(place.keys) == 2):
        raise InvalidInputError(f"{place} takes one value; put it in quotes")
    if len(words) > 1 or ("list" in kinds and not text.lstrip().startswith("[")):
        value = list(words)
    elif kinds & {"list", "table", "json"} and text.lstrip().startswith(("{", "[")):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise InvalidInputError(f"{place}: the value is not valid JSON") from None
    elif "switch" in kinds and text.lower() in (*_TRUE, *_FALSE):
        value = text.lower() in _TRUE
    elif "number" in kinds:
        with contextlib.suppress(ValueError):
            number = float(text)
            value = int(number) if number.is_integer() and "." not in text else number
    elif "json" in kinds:
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(text)
    if _is_secret(place.keys, value):
        owner = name if group in ("mcp", "providers") else "NAME"
        own = f"mcp set-secret {owner}" if group == "mcp" else f"providers set-key {owner}"
        words = f"{place}: this looks like a key, and keys are not stored in the settings"
        raise InvalidInputError(f"{words}. Store it: telex {own}")
    return value


def as_text(value: Json) -> str:
    """A value in one line: strings as they are, everything else as JSON; "" for None."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# --- the whole file --------------------------------------------------------------------------------------------------


def problems(content: bytes, before: bytes, path: Path) -> list[SettingsError]:
    """The errors of ``content`` as the settings file, except those that it had ``before``."""
    try:
        found = schema.check(file.parse(file.decode(content, path), path), {}, path)[1]
    except SettingsError as error:
        return [error]
    try:
        known = schema.check(file.parse(file.decode(before, path), path), {}, path)[1]
    except SettingsError:
        known = {}
    return [
        error for entry, error in found.items() if entry not in known or known[entry].message != error.message
    ]


# --- for completion ------------------------------------------------------------------------------------------------


def all_names(found: Settings) -> dict[str, str]:
    """The dotted names of all settings, also of the user's own tables, with what they are for where that is known."""
    help_of = {row.name: row.help for row in PROVIDER_FIELDS}
    return {
        str(place): help_of.get(place.keys[2], "") if place.keys[0] == "providers" else ""
        for place in _places(found)
    }


def all_values(found: Settings, models: Iterable[str]) -> Iterator[str]:
    """NAME/VALUE for each value of the settings that have a few, and for ``models`` as the default model."""
    for place in _places(found):
        # A key is stored by a command of its own.
        yield from (f"{place}/{choice}" for choice in place.choices if choice != "keyring")
    yield from (f"model/{model}" for model in models)


def _places(found: Settings) -> Iterator[Place]:
    yield from tree.names(schema.File)
    for group, names in (("profiles", found.profiles), ("mcp", found.mcp), ("providers", found.providers)):
        for name in names:
            yield from tree.names(schema.ENTRIES[group], (group, name))
    for name in found.aliases:
        yield tree.locate(schema.File, ["aliases", name])
