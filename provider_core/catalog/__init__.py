"""The models of each provider: fetched from its server, cached for a day, and merged with settings and presets.

Only ``fetch`` and ``refresh`` connect to a server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from provider_core.catalog._cache import (
    CachedModelList,
    delete_cached,
    read_cached,
    rename_cached,
    write_cached,
)
from provider_core.catalog._catalog import (
    LIFETIME,
    Catalog,
    ModelListing,
    cached_listings,
    can_list_models,
    invalidate_snapshot,
    listing,
    normalize_id,
    snapshot_is_current,
    snapshot_stamp,
    write_snapshot,
)

if TYPE_CHECKING:
    from provider_core.catalog._fetch import PRESET_BY_OWNER, RefreshResult, fetch, refresh

__all__ = [
    "LIFETIME",
    "PRESET_BY_OWNER",
    "CachedModelList",
    "Catalog",
    "ModelListing",
    "RefreshResult",
    "cached_listings",
    "can_list_models",
    "delete_cached",
    "fetch",
    "invalidate_snapshot",
    "listing",
    "normalize_id",
    "read_cached",
    "refresh",
    "rename_cached",
    "snapshot_is_current",
    "snapshot_stamp",
    "write_cached",
    "write_snapshot",
]


def __getattr__(name: str) -> object:
    # A chat needs none of these.
    if name in ("PRESET_BY_OWNER", "RefreshResult", "fetch", "refresh"):
        return getattr(import_module(f"{__name__}._fetch"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
