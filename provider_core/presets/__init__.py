"""The providers that telex knows by name: their addresses, how their requests differ, and their models.

A provider is a row in the module of its kind; users add their own as files (``user``). ``folder`` is where these are,
``Paths.presets``; without it, functions know the built-in presets only. The name ``local`` is not a preset: it is the
embedded model.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

from provider_core.presets.preset import LOCAL, BatchApi, Kind, Preset, Variable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from provider_core.errors import SettingsError
    from provider_core.presets.preset import ModelTable
    from provider_core.types import Model, Provider

__all__ = ["LOCAL", "BatchApi", "Kind", "Preset", "Variable"]


@cache
def _by_id() -> dict[str, Preset]:
    from provider_core.presets import gateways, hosts, labs

    clouds = sorted((*labs.PRESETS, *hosts.PRESETS), key=lambda preset: preset.id)
    return {preset.id: preset for preset in (*clouds, *gateways.PRESETS)}


def all_presets(folder: Path | None = None) -> tuple[Preset, ...]:
    """All presets: the clouds, then the gateways, then the local servers, then the user's own; each sorted by id."""
    return (*_by_id().values(), *_own(folder).values())


def get(id: str, folder: Path | None = None) -> Preset | None:  # noqa: A002 - the field's name
    """The preset with this id, or None."""
    return _by_id().get(id) or (_own(folder).get(id) if folder is not None else None)


def of(provider: Provider) -> Preset | None:
    """The preset that the provider is made from, or None."""
    return get(provider.preset, provider.presets) if provider.preset is not None else None


def problems(folder: Path) -> Mapping[str, SettingsError]:
    """The errors of the user's own presets that cannot be used, by id."""
    from provider_core.presets import user

    found = user.read(folder, _by_id())
    return {id_: each for id_, each in found.items() if not isinstance(each, Preset)}


def _own(folder: Path | None) -> Mapping[str, Preset]:
    if folder is None or not os.path.isdir(folder):  # noqa: PTH112 - Path raises if a folder above is not readable
        return {}
    from provider_core.presets import user

    found = user.read(folder, _by_id())
    return {id_: each for id_, each in found.items() if isinstance(each, Preset)}


def search(text: str, folder: Path | None = None) -> tuple[Preset, ...]:
    """The presets that contain every word of ``text`` in id, name, address or ``also``, ignoring case.

    The id itself comes first, then ids that begin with it, then the order of ``all_presets``. Empty text finds all.
    """
    words = text.lower().split()

    def matches(preset: Preset) -> bool:
        searched = " ".join((preset.id, preset.name, preset.base_url, *preset.also)).lower()
        return all(word in searched for word in words)

    wanted = "-".join(words)
    found = filter(matches, all_presets(folder))
    return tuple(sorted(found, key=lambda preset: (preset.id != wanted, not preset.id.startswith(wanted))))


def close_matches(name: str, folder: Path | None = None) -> tuple[str, ...]:
    """Up to three ids that ``name`` could be a misspelling of, the closest first."""
    from provider_core import redaction

    ids: dict[str, list[str]] = {}
    for preset in all_presets(folder):
        for word in (preset.id, *preset.also):
            ids.setdefault(word, []).append(preset.id)
    close = redaction.close_matches(name, ids, cutoff=0.7)
    return tuple(dict.fromkeys(id_ for word in close for id_ in ids[word]))[:3]


@cache
def all_models() -> ModelTable:
    """The models of each preset, its default first; presets without known models are absent.

    Sources: the price lists of litellm, catwalk and models.dev as of November 2026, without models that were switched
    off by then. Azure has none: a request names the user's own deployment.
    """
    from provider_core.presets import gateways, hosts, labs

    return {**labs.MODELS, **hosts.MODELS, **gateways.MODELS}


def models(id: str) -> tuple[Model, ...]:  # noqa: A002 - the field's name
    """The known models of a preset, its default first."""
    from provider_core.types import Model

    fields = ("id", "context", "max_output", "reasoning", "tools", "name", "reasoning_levels")
    rows: tuple[tuple[Any, ...], ...] = all_models().get(id, ())
    return tuple(Model(**dict(zip(fields, row, strict=True))) for row in rows)


def estimate_limits(model: str) -> tuple[int | None, int | None]:
    """The context window and the longest answer of the model of the same name in any preset's list, in tokens.

    The smaller value if presets differ; None if no preset knows it.
    """
    return _limits_by_name().get(_last_part(model), (None, None))


@cache
def _limits_by_name() -> dict[str, tuple[int | None, int | None]]:
    def smaller(*counts: int | None) -> int | None:
        return min(filter(None, counts), default=None)

    found: dict[str, tuple[int | None, int | None]] = {}
    for rows in all_models().values():
        for id_, context, output, *_ in rows:
            known = found.get(_last_part(id_), (None, None))
            found[_last_part(id_)] = (smaller(context, known[0]), smaller(output, known[1]))
    return found


def _last_part(model: str) -> str:
    """The name without publisher and variant: "Qwen/Qwen3-8B:free" is "qwen3-8b"."""
    return model.lower().rpartition("/")[2].partition(":")[0].replace("_", "-")
