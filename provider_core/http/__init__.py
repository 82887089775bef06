"""HTTP over real sockets: the only package that imports httpx, and only when its transport is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.http._proxies import Proxies, Proxy

if TYPE_CHECKING:
    from provider_core.http._reply import HttpReply
    from provider_core.http._tls import Trust, tls_context, trust
    from provider_core.http._transport import HttpTransport

__all__ = ["HttpReply", "HttpTransport", "Proxies", "Proxy", "Trust", "tls_context", "trust"]

_MODULES = {
    "HttpReply": "_reply",
    "HttpTransport": "_transport",
    "Trust": "_tls",
    "tls_context": "_tls",
    "trust": "_tls",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"provider_core.http.{_MODULES[name]}"), name)
