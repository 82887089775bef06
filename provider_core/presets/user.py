"""The user's own presets: each file ``presets.d/ID.toml`` of the settings folder is one, with the fields of ``Preset``.

They obey the rules of the built-in ones (``check``), and cannot replace these. A file that breaks a rule is not used,
and no other is affected.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

from provider_core import files
from provider_core.errors import SettingsError
from provider_core.presets.preset import Preset
from provider_core.structs import Struct
from provider_core.types import Auth, Model, Quirks

if TYPE_CHECKING:
    from pathlib import Path

    from provider_core.types import Json

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_KEY_HEADERS = frozenset({"authorization", "api-key", "x-api-key", "proxy-authorization"})

_read: dict[Path, tuple[tuple[int, int], Preset | SettingsError]] = {}
"""The presets read from files, with the time and the size of each file."""


def read(folder: Path, built_in: Mapping[str, Preset]) -> dict[str, Preset | SettingsError]:
    """The presets in the folder by the names of the files without .toml, sorted, or why a file cannot be used."""
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".toml"))  # noqa: PTH208
    except OSError:
        return {}
    read = {}
    for name in names:
        path = folder / name
        try:
            found = path.stat()
        except OSError:
            continue
        stamp = (found.st_mtime_ns, found.st_size)
        if path not in _read or _read[path][0] != stamp:
            _read[path] = (stamp, _load(path, built_in))
        read[path.stem] = _read[path][1]
    return read


def _load(path: Path, built_in: Mapping[str, Preset]) -> Preset | SettingsError:
    import tomllib

    try:
        for place in (path, path.parent):
            if os.name == "posix" and place.stat().st_mode & stat.S_IWOTH:
                raise ValueError(f"{place} can be changed by every user, who could send your keys elsewhere")
        preset = _preset(path.stem, tomllib.loads(files.read_bytes(path).decode("utf-8-sig")))
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
        parts = urlsplit(url)
        scheme = "http" if parts.hostname == "127.0.0.1" else "https"
        if not parts.hostname or parts.scheme != scheme or parts.port == 0:  # other bad ports raise
            raise ValueError(f"{url} is not an https address, nor http://127.0.0.1 with a port")
        if parts.username or parts.query or parts.fragment:
            raise ValueError("an address must have no user name, query or fragment")
        if url.endswith(("/", "/chat/completions", "/models")):
            raise ValueError(f"{url} must end before /chat/completions, without a slash")
    for name in ("docs_url", "keys_url"):
        url = getattr(preset, name)
        if url and (urlsplit(url).scheme != "https" or " " in url):
            raise ValueError(f"{name} is not an https address")
    if not -12 <= preset.price_unit <= 12:
        raise ValueError("price_unit must be a power of ten from -12 to 12")
    if preset.kind == "local" and not preset.ports:
        raise ValueError("a preset of the kind local needs an address with a port")
    placeholders = set(re.findall(r"{(\w+)}", preset.base_url))
    if odd := placeholders ^ {each.name for each in preset.variables}:
        raise ValueError(f"variables and the placeholders of base_url differ: {', '.join(sorted(odd))}")
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
    if (api := preset.batch_api) and not (api.requests > 0 < api.megabytes and api.endpoint.startswith("/")):
        raise ValueError("batch_api needs positive limits, and an endpoint that begins with a slash")
    for model in preset.models:
        if not model.id or not all(
            256 <= n <= 20_000_000 for n in (model.context, model.max_output) if n is not None
        ):
            raise ValueError(
                "models need an id, and a context and a max_output between 256 and 20000000 tokens"
            )
    if preset.models_path is not None and not preset.models_path.startswith("/"):
        raise ValueError("models_path must begin with a slash")
    if preset.models_query.startswith("?"):
        raise ValueError("models_query has no question mark")


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
#
# The annotations of ``Preset`` and of the classes in it say which fields a file may have, and of which type.

_NAMES: Mapping[str, Any] = {"Auth": Auth, "Json": Any, "Mapping": Mapping, "Model": Model}
"""Types that the modules of these classes import only for type checking."""

_OMITTED = {
    Preset: {"other_base_urls", "regions"},
    Model: {"context_is_maximum", "audio", "price", "kind"},
    Quirks: {"effort", "pdf", "prefill", "web_search"},
}
"""Fields that a file cannot set."""

_NOUNS = {
    bool: "true or false", str: "text, in quotes", list: "a list", dict: "a table", int: "a whole number",
}  # fmt: skip


def _preset(id_: str, table: dict[str, Json]) -> Preset:
    """The preset in a file; raises ``ValueError``."""
    if table.get("id", id_) != id_:
        raise ValueError(f"id is {table['id']!r}, but the name of the file is {id_}.toml")
    if "base_url" not in table:
        raise ValueError("base_url is missing")
    preset: Preset = _struct(Preset, "", {"name": id_, **table, "id": id_})
    return preset


def _struct(kind: type[Struct], place: str, table: dict[str, Json]) -> Any:
    """An object whose fields are in ``table``; raises ``ValueError`` with the name of the ``place``."""
    hints = get_type_hints(kind, localns=dict(_NAMES))
    known = [name for name in hints if name not in _OMITTED.get(kind, ())]
    fields = {}
    for name, value in table.items():
        if name not in known:
            from provider_core.redaction import close_matches

            near = close_matches(name, known, most=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"{name} is not a field of {place or 'a preset'}{hint}")
        fields[name] = _value(hints[name], f"{place}.{name}".lstrip("."), value)
    try:
        return kind(**fields)
    except TypeError as error:  # a field that is required
        raise ValueError(f"{place}.{str(error).rpartition(' ')[2]} is missing") from None


def _value(hint: Any, place: str, value: Json) -> Any:
    """The value of a field that is annotated with ``hint``; raises ``ValueError`` with the name of the ``place``."""
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):  # a type, or None, for which TOML has no word
        return None if value is False and inner[0] is not bool else _value(inner[0], place, value)
    if kind is Literal:
        if value not in inner:
            raise ValueError(f"{place} must be one of {', '.join(inner)}")
        return value
    if kind is tuple:
        values = _plain(list, place, value)
        if inner[-1] is not ... and len(values) != len(inner):
            raise ValueError(f'{place} must have {len(inner)} values, "" for none')
        return tuple(_value(inner[0], place, each) for each in values)
    if kind is Mapping:
        table = _plain(dict, place, value)
        return {name: _value(inner[1], f"{place}.{name}", each) for name, each in table.items()}
    if issubclass(kind, Struct):
        is_id = kind is Model and isinstance(value, str)
        return _struct(kind, place, {"id": value} if is_id else _plain(dict, place, value))
    return _plain(kind, place, value)


def _plain(kind: type, place: str, value: Json) -> Any:
    """``value``, if it is of a ``kind`` that TOML has."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{place} must be {_NOUNS[kind]}")
    if isinstance(value, str) and (not value.isprintable() or len(value) > 512):
        raise ValueError(f"{place} must be one line of at most 512 characters")
    return value
