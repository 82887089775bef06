"""The names of all settings, and the values of those that are one of a few words, for completion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.settings import schema, tree
from provider_core.settings.provider_fields import PROVIDER_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from provider_core.settings import Settings
    from provider_core.settings.tree import Place


def settings(found: Settings) -> dict[str, str]:
    """The dotted names of all settings, also of the user's own tables, with what they are for where that is known."""
    help_of = {row.name: row.help for row in PROVIDER_FIELDS}
    return {
        str(place): help_of.get(place.keys[2], "") if place.keys[0] == "providers" else ""
        for place in _places(found)
    }


def values(found: Settings, models: Iterable[str]) -> Iterator[str]:
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
