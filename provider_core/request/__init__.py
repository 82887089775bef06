"""The body and headers of a request, as the provider's preset requires; and a body without what a server refuses."""

from provider_core.request._adapter import RequestAdapter
from provider_core.request._body import build_body, build_headers, sets_token_limit
from provider_core.request._cache import UnsupportedFieldCache
from provider_core.request._secrets import is_secret_name, known_secrets
from provider_core.request._workarounds import Workaround

__all__ = [
    "RequestAdapter",
    "UnsupportedFieldCache",
    "Workaround",
    "build_body",
    "build_headers",
    "is_secret_name",
    "known_secrets",
    "sets_token_limit",
]
