"""HTTP over real sockets: the only package that imports httpcore and httpx, when its transport is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.http._proxies import Proxy, find_proxy, is_loopback

if TYPE_CHECKING:
    from provider_core.http._connections import (
        Lookup,
        Preconnection,
        Trust,
        preconnect,
        system_lookup,
        tls_context,
        trust,
    )
    from provider_core.http._transport import HttpReply, HttpTransport, parse_url

__all__ = [
    "HttpReply",
    "HttpTransport",
    "Lookup",
    "Preconnection",
    "Proxy",
    "Trust",
    "find_proxy",
    "is_loopback",
    "parse_url",
    "preconnect",
    "system_lookup",
    "tls_context",
    "trust",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = "_transport" if name.startswith(("Http", "parse")) else "_connections"
    found = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
    return found
