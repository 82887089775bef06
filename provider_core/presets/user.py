"""The user's own presets: each file ``presets.d/ID.toml`` of the settings folder is one, with the fields of ``Preset``.

They obey the rules of the built-in ones (``check``), and cannot replace these. A file that breaks a rule is not used,
and no other is affected.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

from provider_core import files
from provider_core.errors import SettingsError
from provider_core.presets.preset import BatchApi, Kind, Preset, Variable
from provider_core.types import Auth, Model, Quirks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from provider_core.types import Json

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_KEY_HEADERS = frozenset({"authorization", "api-key", "x-api-key", "proxy-authorization"})

_read: dict[Path, tuple[tuple[int, int], Preset | SettingsError]] = {}
"""What was read of each file, with its time and size."""


def presets(folder: Path, built_in: Mapping[str, Preset]) -> dict[str, Preset]:
    """The presets in the folder, by id, sorted. Files that cannot be used are left out."""
    return {id_: each for id_, each in _all(folder, built_in) if isinstance(each, Preset)}


def problems(folder: Path, built_in: Mapping[str, Preset]) -> dict[str, SettingsError]:
    """The errors of the files that cannot be used, by the names of the files without .toml."""
    return {id_: each for id_, each in _all(folder, built_in) if isinstance(each, SettingsError)}


def _all(folder: Path, built_in: Mapping[str, Preset]) -> Iterator[tuple[str, Preset | SettingsError]]:
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".toml"))  # noqa: PTH208
    except OSError:
        return
    for name in names:
        path = folder / name
        try:
            found = path.stat()
        except OSError:
            continue
        stamp = (found.st_mtime_ns, found.st_size)
        if path not in _read or _read[path][0] != stamp:
            _read[path] = (stamp, _load(path, built_in))
        yield path.stem, _read[path][1]


def _load(path: Path, built_in: Mapping[str, Preset]) -> Preset | SettingsError:
    import tomllib

    try:
        _check_owner(path)
        text = files.read_bytes(path).decode("utf-8-sig")
        preset = _preset(path.stem, tomllib.loads(text))
        check(preset)
        _check_against(preset, built_in)
    except OSError as error:
        reason = error.strerror or str(error)
    except RecursionError:
        reason = "its values are nested too deeply"
    except ValueError as error:  # also of TOML and UTF-8
        reason = str(error)
    else:
        return preset
    return SettingsError(f"{path}: {reason}", path=path)


def _check_owner(path: Path) -> None:
    """Raise ``OSError`` if another user can change the file, and so where keys are sent."""
    for place in (path, path.parent):
        if os.name == "posix" and place.stat().st_mode & stat.S_IWOTH:
            raise OSError(1, f"{place} can be changed by every user, who could send your keys elsewhere")


# --- the rules of all presets ----------------------------------------------------------------------------------------


def check(preset: Preset) -> None:
    """Raise ``ValueError`` for a preset that breaks a rule."""
    if not _ID.fullmatch(preset.id) or preset.id == "local":
        raise ValueError(
            f"{preset.id!r} is not a valid id: lower-case letters, digits and hyphens, and not local"
        )
    if not preset.name.strip():
        raise ValueError("name is empty")
    for url in preset.base_urls:
        _check_address(url)
    for name in ("docs_url", "keys_url"):
        url = getattr(preset, name)
        if url and (urlsplit(url).scheme != "https" or " " in url):
            raise ValueError(f"{name} is not an https address")
    if not -12 <= preset.price_unit <= 12:
        raise ValueError("price_unit must be a power of ten from -12 to 12")
    if preset.kind == "local" and not preset.ports:
        raise ValueError("a preset of the kind local needs an address with a port")
    placeholders, variables = (
        set(re.findall(r"{(\w+)}", preset.base_url)),
        {each.name for each in preset.variables},
    )
    if placeholders != variables:
        odd = ", ".join(sorted(placeholders ^ variables))
        raise ValueError(f"variables and the placeholders of base_url differ: {odd}")
    names = [*preset.key_env, *(name for each in preset.variables for name in each.env)]
    for name in names:
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f"{name!r} is not a valid name of an environment variable, such as ACME_API_KEY")
    if len(set(names)) < len(names):
        raise ValueError("an environment variable is named twice")
    if preset.key_required and not preset.key_env:
        raise ValueError("key_env is missing; for a server without a key, set key_required = false")
    for name in (*preset.headers, *preset.models_headers):
        if name.lower() in _KEY_HEADERS:
            raise ValueError(f"the header {name} carries a key: use auth and key_env")
    if preset.models_path is not None and not preset.models_path.startswith("/"):
        raise ValueError("models_path must begin with a slash")
    if preset.models_query.startswith("?"):
        raise ValueError("models_query has no question mark")


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    if not parts.hostname or parts.scheme != ("http" if parts.hostname == "127.0.0.1" else "https"):
        raise ValueError(f"{url} is not an https address, nor http://127.0.0.1 with a port")
    if parts.username or parts.query or parts.fragment:
        raise ValueError("an address must have no user name, query or fragment")
    if url.endswith(("/", "/chat/completions", "/models")):
        raise ValueError(f"{url} must end before /chat/completions, without a slash")


def _check_against(preset: Preset, built_in: Mapping[str, Preset]) -> None:
    """Raise ``ValueError`` if the preset takes the place, or the key, of a built-in one."""
    from provider_core.request import is_secret_name

    if preset.id in built_in:
        raise ValueError(f"{preset.id} is a built-in preset; use another name for the file")
    for name, value in (*preset.headers.items(), *preset.models_headers.items()):
        if is_secret_name(name) and not value.startswith(("env:", "keyring:")):
            raise ValueError(f"the header {name} sounds like a secret: use env:VARIABLE or keyring:NAME")
    for other in built_in.values():
        for name in preset.key_env:
            if name in other.key_env and not other.serves(preset.base_url):
                raise ValueError(f"{name} is the key of {other.id}, and must not be sent to another host")


# --- from TOML -------------------------------------------------------------------------------------------------------

_TEXTS = (
    "name",
    "base_url",
    "keys_url",
    "docs_url",
    "models_path",
    "models_query",
    "models_key_header",
    "models_id",
)
_LISTS = ("also", "key_env")
_TABLES = ("headers", "models_headers")
_CHOICES: Mapping[str, tuple[Any, ...]] = {
    "kind": get_args(Kind),
    "auth": get_args(Auth),
    "details": ("llamacpp", "lmstudio", "ollama"),
}
_OTHERS = (
    "key_required",
    "variables",
    "quirks",
    "models",
    "output_field",
    "price_fields",
    "price_unit",
    "batch_api",
)
_MODEL_FIELDS: Mapping[str, type] = {
    "id": str, "name": str, "context": int, "max_output": int, "reasoning": bool, "tools": bool, "vision": bool,
}  # fmt: skip


def _preset(id_: str, table: Mapping[str, Json]) -> Preset:
    """The preset in a file; raises ``ValueError``."""
    known = ("id", *_TEXTS, *_LISTS, *_TABLES, *_CHOICES, *_OTHERS)
    for name in table:
        if name not in known:
            from provider_core.redaction import close_matches

            near = close_matches(name, known, most=1)
            raise ValueError(
                f"{name} is not a field of a preset" + (f"; did you mean {near[0]}?" if near else "")
            )
    if table.get("id", id_) != id_:
        raise ValueError(f"id is {table['id']!r}, but the name of the file is {id_}.toml")
    if "base_url" not in table:
        raise ValueError("base_url is missing")
    fields: dict[str, Any] = {"id": id_, "name": id_}
    for name, value in table.items():
        match name:
            case "id":
                continue
            case "key_required":
                fields[name] = _of(bool, name, value)
            case "variables":
                fields[name] = tuple(map(_variable, _of(list, name, value)))
            case "models":
                fields["own_models"] = tuple(map(_model, _of(list, name, value)))
            case "price_fields":
                paths = tuple(_of(str, name, each) for each in _of(list, name, value))
                if len(paths) != 4:
                    raise ValueError(
                        f'{name} must have 4 paths, "" for none: input, output, cached, cache writes'
                    )
                fields[name] = paths
            case "price_unit":
                fields[name] = _of(int, name, value)
            case "batch_api":
                fields[name] = _batch_api(_of(dict, name, value))
            case "quirks":
                fields[name] = Quirks(**dict(_quirks(_of(dict, name, value))))
            case _ if name in _LISTS:
                fields[name] = tuple(_of(str, name, each) for each in _of(list, name, value))
            case _ if name in _TABLES:
                fields[name] = {
                    key: _of(str, f"{name}.{key}", each) for key, each in _of(dict, name, value).items()
                }
            case _ if name in _CHOICES:
                if value not in _CHOICES[name]:
                    raise ValueError(f"{name} must be {' or '.join(_CHOICES[name])}")
                fields[name] = value
            case "models_path" if value is False:
                fields[name] = None  # TOML has no null
            case _:
                fields[name] = _of(str, name, value)
    return Preset(**fields)


_NOUNS = {
    bool: "true or false",
    str: "text, in quotes",
    list: "a list",
    dict: "a table",
    int: "a whole number",
}


def _of(kind: type, name: str, value: Json) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{name} must be {_NOUNS[kind]}")
    if isinstance(value, str) and (not value.isprintable() or len(value) > 512):
        raise ValueError(f"{name} must be one line of at most 512 characters")
    return value


def _batch_api(table: Mapping[str, Json]) -> BatchApi:
    kinds = {"source": str, "requests": int, "megabytes": int, "endpoint": str}
    for name in table:
        if name not in kinds:
            raise ValueError(f"batch_api has no field {name}; its fields are {', '.join(kinds)}")
    given = {name: _of(kinds[name], f"batch_api.{name}", each) for name, each in table.items()}
    found = BatchApi(**{"source": "", **given})
    if found.requests < 1 or found.megabytes < 1 or not found.endpoint.startswith("/"):
        raise ValueError("batch_api needs positive limits, and an endpoint that begins with a slash")
    return found


def _variable(value: Json) -> Variable:
    table = _of(dict, "variables", value)
    if table.keys() - {"name", "prompt", "env"} or "name" not in table:
        raise ValueError("variables have the fields name, prompt and env")
    name = _of(str, "variables.name", table["name"])
    env = tuple(_of(str, "variables.env", each) for each in _of(list, "variables.env", table.get("env", [])))
    return Variable(name=name, prompt=_of(str, "variables.prompt", table.get("prompt", name)), env=env)


def _model(value: Json) -> Model:
    table = {"id": value} if isinstance(value, str) else _of(dict, "models", value)
    for name in table:
        if name not in (*_MODEL_FIELDS, "reasoning_levels"):
            raise ValueError(f"models.{name} is not a field of a model")
    if not table.get("id"):
        raise ValueError("a model needs an id")
    fields = {
        name: _of(kind, f"models.{name}", table[name])
        for name, kind in _MODEL_FIELDS.items()
        if name in table
    }
    for name in ("context", "max_output"):
        if name in fields and not 256 <= fields[name] <= 20_000_000:
            raise ValueError(f"models.{name} must be between 256 and 20000000 tokens")
    levels = _of(list, "models.reasoning_levels", table.get("reasoning_levels", []))
    return Model(
        **fields, reasoning_levels=tuple(_of(str, "models.reasoning_levels", each) for each in levels)
    )


def _quirks(table: Mapping[str, Json]) -> Iterable[tuple[str, Any]]:
    """The quirks that are a switch, a number or one of some words. Others need code."""
    hints = get_type_hints(Quirks)
    for name, value in table.items():
        hint = hints.get(name)
        if get_origin(hint) is Literal:
            if value not in get_args(hint):
                raise ValueError(f"quirks.{name} must be one of {', '.join(get_args(hint))}")
        elif hint is bool:
            _of(bool, f"quirks.{name}", value)
        elif hint == int | None:
            _of(int, f"quirks.{name}", value)
        else:
            raise ValueError(f"quirks.{name} is not a quirk that a file can set")
        yield name, value
