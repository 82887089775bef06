"""The body and headers of a request: as the provider requires, and without the fields that its server refuses."""

from provider_core.request._adapter import RequestAdapter, UnsupportedFieldCache
from provider_core.request._body import (
    Workaround,
    build_body,
    build_headers,
    find_web_search,
    is_secret_name,
    known_secrets,
    sets_token_limit,
)
from provider_core.request._messages import wire_part

__all__ = [
    "RequestAdapter",
    "UnsupportedFieldCache",
    "Workaround",
    "build_body",
    "build_headers",
    "find_web_search",
    "is_secret_name",
    "known_secrets",
    "sets_token_limit",
    "wire_part",
]
