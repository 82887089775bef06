"""Keeps the list that a server gave, one file a provider; how old a list may be is decided elsewhere."""

from __future__ import annotations

import contextlib
import json
import re
import time
from types import NoneType
from typing import TYPE_CHECKING, get_args

from provider_core import files
from provider_core.catalog._ids import are_ids
from provider_core.errors import FileError
from provider_core.settings.validators import NAME
from provider_core.structs import Struct
from provider_core.types import Model, ModelKind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import Self

    from provider_core.types import Json, Provider

__all__ = ["CachedModelList", "delete_cached", "read_cached", "rename_cached", "shown_order", "write_cached"]

_KINDS = frozenset(get_args(ModelKind))
_COLUMNS: dict[str, frozenset[type]] = {
    "id": frozenset({str}),
    "name": frozenset({str}),
    "context": frozenset({int, NoneType}),
    "context_is_maximum": frozenset({bool}),
    "max_output": frozenset({int, NoneType}),
    "reasoning": frozenset({bool, NoneType}),
    "tools": frozenset({bool, NoneType}),
    "vision": frozenset({bool, NoneType}),
    "kind": frozenset({str}),
}
"""Fields of a model, and the types that their values may have. A file holds a list for each: thousands of models
are checked in a few steps that way."""

_CLOCK = 86_400.0
"""Seconds that a list may be from the future: clocks are put right."""

_NUMBERS = re.compile(r"(\d+)")


class CachedModelList(Struct):
    """What a server listed. ``fetched_at`` is in seconds since 1970.

    ``models`` are in the order in which they are shown, and ``first`` is the id that the server put first.
    """

    fetched_at: float
    models: tuple[Model, ...]
    first: str | None = None

    @classmethod
    def of(cls, models: Iterable[Model], fetched_at: float) -> Self:
        """What is to be kept of a list as it came from the server."""
        listed = tuple(models)
        chat = [model for model in listed if model.kind == "chat"]
        return cls(
            fetched_at=fetched_at,
            models=tuple(sorted(listed, key=shown_order)),
            first=next((model.id for model in (*chat, *listed)), None),
        )


def read_cached(folder: Path, provider: Provider) -> CachedModelList | None:
    """The kept list; None where there is none, or it is of another address, or the file makes no sense."""
    try:
        content = json.loads(files.content(folder / f"{provider.name}.json"))
        if content["source"] != _source(provider):
            return None
        first, models = content["first"], content["models"]
        if first is not None and first not in models["id"]:
            return None
        fetched_at = float(content["fetched_at"])
        if not 0 <= fetched_at <= time.time() + _CLOCK:
            return None
        return CachedModelList(fetched_at=fetched_at, models=_models(models), first=first)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError):
        return None


def write_cached(folder: Path, provider: Provider, kept: CachedModelList) -> bool:
    """Keep the list, in one step and for its owner alone; tells whether that was possible."""
    content = {
        "source": _source(provider),
        "fetched_at": kept.fetched_at,
        "first": kept.first,
        "models": {name: [getattr(model, name) for model in kept.models] for name in _COLUMNS},
    }
    try:
        files.private_folder(folder.parent)
        files.private_folder(folder)
        files.replace(
            folder / f"{provider.name}.json",
            json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(),
        )
    except FileError:
        return False  # a list that is not kept is asked for again
    return True


def delete_cached(folder: Path, name: str) -> None:
    """Delete the list of a provider that is gone, as far as that is possible."""
    if NAME.fullmatch(name):  # nothing else was written, and a path would lead elsewhere
        with contextlib.suppress(OSError):
            (folder / f"{name}.json").unlink()


def rename_cached(folder: Path, old: str, new: str) -> None:
    """Let the list go along with a provider that is called ``new`` from now on, as far as that is possible."""
    if NAME.fullmatch(old) and NAME.fullmatch(new):
        with contextlib.suppress(OSError):
            (folder / f"{old}.json").replace(folder / f"{new}.json")


def shown_order(model: Model) -> tuple[tuple[bool, int, str], ...]:
    """Alphabetical, and numbers by their value: "gpt-5" before "gpt-10"."""
    parts = _NUMBERS.split(model.id.lower())
    return tuple((part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts)


def _source(provider: Provider) -> list[str]:
    """What the list depends on: a provider that was moved has no list yet."""
    return [provider.base_url, provider.preset or ""]


def _models(columns: dict[str, list[Json]]) -> tuple[Model, ...]:
    """Raises ``ValueError`` and its kin for what was not written here."""
    lists = [columns[name] for name in _COLUMNS]
    for values, allowed in zip(lists, _COLUMNS.values(), strict=True):
        if type(values) is not list or not set(map(type, values)) <= allowed:
            raise ValueError
    if not are_ids(columns["id"]) or not set(columns["kind"]) <= _KINDS:
        raise ValueError
    return tuple(
        [
            Model(
                id=id_,
                name=name,
                context=context,
                context_is_maximum=is_maximum,
                max_output=most,
                reasoning=reasoning,
                tools=tools,
                vision=vision,
                kind=kind,
            )
            for id_, name, context, is_maximum, most, reasoning, tools, vision, kind in zip(
                *lists, strict=True
            )
        ]
    )
