"""Models that run on this machine while telex runs: their files, and llama.cpp's server.

The embedded model is downloaded once, with pip or uv; other GGUF files are used where they are. To the rest of telex a
running model is an ``Endpoint``: an address and a key.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from provider_core.local._model import (
    DEFAULT_MODEL,
    PROVIDER,
    DefaultModel,
    Progress,
    default_context,
    installed,
    read_gguf,
)

if TYPE_CHECKING:
    from provider_core.local._fetch import ensure_default_model
    from provider_core.local._server import Endpoint, serve

__all__ = [
    "DEFAULT_MODEL",
    "PROVIDER",
    "DefaultModel",
    "Endpoint",
    "Progress",
    "default_context",
    "ensure_default_model",
    "installed",
    "read_gguf",
    "serve",
]


def __getattr__(name: str) -> object:
    # Only a model that runs takes these.
    module = {"ensure_default_model": "_fetch", "Endpoint": "_server", "serve": "_server"}.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)
