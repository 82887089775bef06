"""Calls as tests of the transport make them: no proxy and no certificate path from the environment around."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from provider_core.http.transport import HttpTransport
from provider_core.types import Call, Network

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KEY = "sk-test-0123456789abcdef"


def call(url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"{}", **network: Any) -> Call:
    """A POST to ``url`` with a key, patient enough for a slow machine unless ``network`` says otherwise."""
    waits: dict[str, Any] = {
        "connect_timeout": 60.0,
        "first_byte_timeout": 60.0,
        "idle_timeout": 60.0,
        **network,
    }
    fields = {"authorization": f"Bearer {KEY}", "content-type": "application/json", **(headers or {})}
    return Call(method="POST", url=url, headers=fields, body=body, network=Network(**waits), provider="prov")


def fetch(wanted: Call, transport: HttpTransport | None = None) -> tuple[int, bytes]:
    """Status and body of one call, over a transport of its own unless one is given."""
    if transport is not None:
        with transport.send(wanted) as reply:
            return reply.status, b"".join(reply.chunks())
    with HttpTransport({}) as own:
        return fetch(wanted, own)


def at(*addresses: str) -> Callable[[str, int], list[Any]]:
    """A lookup that finds these addresses for every name."""

    def lookup(host: str, port: int) -> list[Any]:
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (a, port, 0, 0))
            if ":" in a
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port))
            for a in addresses
        ]

    return lookup
