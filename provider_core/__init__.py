"""The provider core: OpenAI-compatible chat completions from any server, as a library without a terminal."""

from provider_core._version import __version__

__all__ = ["__version__"]
