"""What each provider serves: asked of its server, kept for a while, and merged with what is known anyway.

No key is looked up here and no name is resolved; nothing is asked unless ``fetch`` or ``refresh`` is called.
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
from provider_core.catalog._catalog import LIFETIME, Catalog, can_list_models
from provider_core.catalog._merge import ModelListing, listing, normalize_id

if TYPE_CHECKING:
    from provider_core.catalog._estimate import estimate_limits
    from provider_core.catalog._fetch import fetch
    from provider_core.catalog._native import PRESET_BY_OWNER
    from provider_core.catalog._refresh import RefreshResult, refresh
    from provider_core.catalog._snapshot import (
        invalidate_snapshot,
        snapshot_is_current,
        snapshot_stamp,
        write_snapshot,
    )

__all__ = [
    "LIFETIME",
    "PRESET_BY_OWNER",
    "CachedModelList",
    "Catalog",
    "ModelListing",
    "RefreshResult",
    "can_list_models",
    "delete_cached",
    "estimate_limits",
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

# Naming a model needs none of these, and every chat names one.
_ON_DEMAND = {
    "estimate_limits": "_estimate",
    "fetch": "_fetch",
    "PRESET_BY_OWNER": "_native",
    **dict.fromkeys(("RefreshResult", "refresh"), "_refresh"),
    **dict.fromkeys(
        ("snapshot_is_current", "invalidate_snapshot", "snapshot_stamp", "write_snapshot"), "_snapshot"
    ),
}


def __getattr__(name: str) -> object:
    module = _ON_DEMAND.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)
