"""Keeps the list that a server gave, one file a provider; how old a list may be is decided elsewhere."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from provider_core.catalog._ids import is_id
from provider_core.errors import SettingsError
from provider_core.settings import file
from provider_core.types import Model, ModelKind

if TYPE_CHECKING:
    from pathlib import Path

    from provider_core.types import Json, Provider

__all__ = ["Kept", "read", "write"]

_KINDS = frozenset(get_args(ModelKind))
_COUNTS = ("context", "max_output")
_FLAGS = ("reasoning", "tools", "vision")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a server listed; ``fetched_at`` is in seconds since 1970."""

    fetched_at: float
    models: tuple[Model, ...]


def read(folder: Path, provider: Provider) -> Kept | None:
    """The kept list; None where there is none, or it is of another address, or the file makes no sense."""
    try:
        content = json.loads((folder / f"{provider.name}.json").read_bytes())
        if content["source"] != _source(provider):
            return None
        return Kept(
            fetched_at=float(content["fetched_at"]),
            models=tuple([_model(fields) for fields in content["models"]]),
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def write(folder: Path, provider: Provider, kept: Kept) -> bool:
    """Keep the list, in one step and for its owner alone; tells whether that was possible."""
    content = {
        "source": _source(provider),
        "fetched_at": kept.fetched_at,
        "models": [_fields(model) for model in kept.models],
    }
    try:
        file.private_folder(folder.parent)
        file.private_folder(folder)
        file.replace(
            folder / f"{provider.name}.json",
            json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(),
        )
    except SettingsError:
        return False  # a list that is not kept is asked for again
    return True


def _source(provider: Provider) -> list[str]:
    """What the list depends on: a provider that was moved has no list yet."""
    return [provider.base_url, provider.preset or ""]


def _fields(model: Model) -> dict[str, Json]:
    fields: dict[str, Json] = {"id": model.id}
    if model.name:
        fields["name"] = model.name
    for key in (*_COUNTS, *_FLAGS):
        value = getattr(model, key)
        if value is not None:
            fields[key] = value
    if model.kind != "chat":
        fields["kind"] = model.kind
    return fields


def _model(fields: dict[str, Json]) -> Model:
    """Raises ``ValueError`` and its kin for what was not written here."""
    id_, name, kind = fields["id"], fields.get("name", ""), fields.get("kind", "chat")
    if not is_id(id_) or not isinstance(name, str) or kind not in _KINDS:
        raise ValueError
    counts = {key: value for key in _COUNTS if (value := fields.get(key)) is not None}
    flags = {key: value for key in _FLAGS if (value := fields.get(key)) is not None}
    if any(type(value) is not int for value in counts.values()) or not all(
        isinstance(value, bool) for value in flags.values()
    ):
        raise ValueError
    return Model(id=id_, name=name, kind=kind, **counts, **flags)
