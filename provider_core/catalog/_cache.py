"""The models that each server listed, in the cache folder: ``<cache>/models/PROVIDER.json``."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING

from provider_core import files
from provider_core.errors import FileError
from provider_core.settings.validators import NAME
from provider_core.structs import Struct, pattern
from provider_core.types import Model

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from typing import Self

    from provider_core.types import Provider

_FIELDS = (
    "id", "name", "context", "context_is_maximum", "max_output", "reasoning", "tools", "vision", "audio", "kind",
    "price",
)  # fmt: skip
"""The fields of a model that are stored. The file has a list for each, so that their names are stored once."""

_MAX_CLOCK_SKEW = 86_400.0
"""Seconds that the time of a list may be in the future, as clocks are set back."""

_NUMBERS = pattern(r"(\d+)")


class CachedModelList(Struct):
    """The models that a server listed, in the order in which they are shown.

    ``fetched_at`` is in seconds since 1970. ``first`` is the id of the first chat model in the server's own order.
    """

    fetched_at: float
    models: tuple[Model, ...]
    first: str | None = None

    @classmethod
    def of(cls, models: Iterable[Model], fetched_at: float) -> Self:
        """Make a list from models in the server's order."""
        listed = tuple(models)
        chat = [model for model in listed if model.kind == "chat"]
        return cls(
            fetched_at=fetched_at,
            models=tuple(sorted(listed, key=_by_name_and_number)),
            first=next((model.id for model in (*chat, *listed)), None),
        )


def read_cached(folder: Path, provider: Provider) -> CachedModelList | None:
    """Read the provider's list; None if there is none, if it is from another address, or if it is damaged."""
    try:
        content = json.loads(files.read_bytes(folder / f"{provider.name}.json"))
        first, columns, fetched_at = content["first"], content["models"], content["fetched_at"]
        if (
            content["source"] != [provider.base_url, provider.preset or ""]
            or not 0 <= fetched_at <= time.time() + _MAX_CLOCK_SKEW
        ):
            return None
        rows = zip(*(columns[name] for name in _FIELDS), strict=True)
        models = tuple(Model(**dict(zip(_FIELDS, row, strict=True))) for row in rows)
        return CachedModelList(fetched_at=fetched_at, models=models, first=first)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def write_cached(folder: Path, provider: Provider, cached: CachedModelList) -> bool:
    """Save the provider's list; False if that failed."""
    content = {
        "source": [provider.base_url, provider.preset or ""],
        "fetched_at": cached.fetched_at,
        "first": cached.first,
        "models": {name: [getattr(model, name) for model in cached.models] for name in _FIELDS},
    }
    encoded = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return write_files(folder, {f"{provider.name}.json": encoded})


def delete_cached(folder: Path, name: str) -> None:
    """Delete the list of the provider ``name``, if there is one."""
    if NAME.fullmatch(name):  # any other name could be a path to another folder
        with contextlib.suppress(OSError):
            (folder / f"{name}.json").unlink()


def rename_cached(folder: Path, old: str, new: str) -> None:
    """Rename the list of the provider ``old``, if there is one."""
    if NAME.fullmatch(old) and NAME.fullmatch(new):
        with contextlib.suppress(OSError):
            (folder / f"{old}.json").replace(folder / f"{new}.json")


def _by_name_and_number(model: Model) -> tuple[tuple[bool, int, str], ...]:
    """Sort key: alphabetical, and numbers by value, so that "gpt-5" comes before "gpt-10"."""
    parts = _NUMBERS.split(model.id.lower())
    return tuple((part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts)


def write_files(folder: Path, contents: Mapping[str, bytes]) -> bool:
    """Write those files in ``folder`` whose content has changed."""
    try:
        files.private_folder(folder.parent)
        files.private_folder(folder)
        for name, content in contents.items():
            with contextlib.suppress(OSError):
                if files.read_bytes(folder / name) == content:
                    continue
            files.replace(folder / name, content)
    except FileError:
        return False
    return True
