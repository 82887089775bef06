"""The providers that can be set up by name alone: where each is, how its wire differs, what it serves.

Only data and the ways of finding it. A new provider is a row in one of the modules beside this one; nothing
here asks a server, and nothing knows which providers a user has. The name ``local`` belongs to the model that
runs beside the command and is no preset.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from provider_core.presets.row import LOCAL, Kind, Preset, Variable

if TYPE_CHECKING:
    from provider_core.types import Model

__all__ = ["LOCAL", "Kind", "Preset", "Variable", "all_presets", "close_matches", "get", "models", "search"]


@cache
def _rows() -> dict[str, Preset]:
    from provider_core.presets import clouds_china, gateways, hosts, labs, labs_china, local_servers

    clouds = sorted(
        (*labs.PRESETS, *labs_china.PRESETS, *clouds_china.PRESETS, *hosts.PRESETS),
        key=lambda preset: preset.id,
    )
    return {preset.id: preset for preset in (*clouds, *gateways.PRESETS, *local_servers.PRESETS)}


def all_presets() -> tuple[Preset, ...]:
    """Every preset: the clouds, then the gateways, then the local servers, each kind by id."""
    return tuple(_rows().values())


def get(id: str) -> Preset | None:  # noqa: A002 - what it is called everywhere else
    """The preset of this id, or None."""
    return _rows().get(id)


def search(text: str) -> tuple[Preset, ...]:
    """The presets in which every word of ``text`` occurs: in id, name, address, or a word people look for.

    Upper and lower case are one. Best first: the id itself, then ids that begin with it, then the order of
    ``all_presets``. Empty text finds all.
    """
    words = text.lower().split()
    found = [preset for preset in _rows().values() if all(word in _haystack(preset) for word in words)]
    wanted = "-".join(words)
    return tuple(sorted(found, key=lambda preset: (preset.id != wanted, not preset.id.startswith(wanted))))


def close_matches(name: str) -> tuple[str, ...]:
    """Up to three ids that ``name`` may have meant, the likeliest first."""
    from provider_core import redaction

    meant: dict[str, list[str]] = {}
    for preset in _rows().values():
        for word in (preset.id, *preset.also):
            meant.setdefault(word, []).append(preset.id)
    close = redaction.close_matches(name, meant, cutoff=0.7)
    return tuple(dict.fromkeys(id_ for word in close for id_ in meant[word]))[:3]


def models(id: str) -> tuple[Model, ...]:  # noqa: A002 - as above
    """The models that a preset is known to serve, the default first; empty where no list is known."""
    from provider_core.presets.lists import models as listed

    return listed(id)


def _haystack(preset: Preset) -> str:
    return " ".join((preset.id, preset.name, preset.base_url, *preset.also)).lower()
