"""What each provider serves: asked of its server, kept for a while, and merged with what is known anyway.

No key is looked up here and no name is resolved; nothing is asked unless ``fetch`` or ``refresh`` is called.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from provider_core.catalog._cache import CachedModelList, forget, move, read, write
from provider_core.catalog._catalog import LIFETIME, Catalog, has_list
from provider_core.catalog._merge import Listing, form, listing

if TYPE_CHECKING:
    from provider_core.catalog._estimate import estimate
    from provider_core.catalog._fetch import fetch
    from provider_core.catalog._native import OWNERS
    from provider_core.catalog._refresh import Refreshed, refresh
    from provider_core.catalog._snapshot import is_current, outdate_snapshot, stamp, write_snapshot

__all__ = [
    "LIFETIME",
    "OWNERS",
    "CachedModelList",
    "Catalog",
    "Listing",
    "Refreshed",
    "estimate",
    "fetch",
    "forget",
    "form",
    "has_list",
    "is_current",
    "listing",
    "move",
    "outdate_snapshot",
    "read",
    "refresh",
    "stamp",
    "write",
    "write_snapshot",
]

# Naming a model needs none of these, and every chat names one.
_ON_DEMAND = {
    "estimate": "_estimate",
    "fetch": "_fetch",
    "OWNERS": "_native",
    **dict.fromkeys(("Refreshed", "refresh"), "_refresh"),
    **dict.fromkeys(("is_current", "outdate_snapshot", "stamp", "write_snapshot"), "_snapshot"),
}


def __getattr__(name: str) -> object:
    module = _ON_DEMAND.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)
