"""What each provider serves: asked of its server, kept for a while, and merged with what is known anyway."""

from provider_core.catalog._fetch import fetch

__all__ = ["fetch"]
