"""HTTP over real sockets: the only package that imports httpcore and httpx, when its transport is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.http._proxies import Proxy, find_proxy

if TYPE_CHECKING:
    from provider_core.http._connections import Preconnection, Trust, preconnect, tls_context, trust
    from provider_core.http._transport import HttpReply, HttpTransport

__all__ = [
    "HttpReply",
    "HttpTransport",
    "Preconnection",
    "Proxy",
    "Trust",
    "find_proxy",
    "preconnect",
    "tls_context",
    "trust",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = "_transport" if name.startswith("Http") else "_connections"
    found = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
    return found
