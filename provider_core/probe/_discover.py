"""Which local servers are running: the known ports of this machine are asked at once; nothing is set up here."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from provider_core import presets
from provider_core.catalog import PRESET_BY_OWNER, fetch
from provider_core.errors import AuthenticationError, CoreError, PermissionDeniedError
from provider_core.probe._watch import Watch
from provider_core.structs import Struct
from provider_core.types import Network, Provider

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provider_core.types import Model, Transport

__all__ = ["Found", "discover"]

_TIMEOUT: Final = 1.0
_WAITS: Final = 3
"""A server that answers waits so often at most: for its connection, its first byte and the rest."""


class Found(Struct):
    """A server that answers. ``preset`` is what it is, as far as it says so or its port tells.

    ``needs_key`` is true when it answers only those who have one.
    """

    base_url: str
    preset: str | None = None
    models: tuple[Model, ...] = ()
    needs_key: bool = False


def discover(
    ports: Iterable[int] = (), *, timeout: float = _TIMEOUT, transport: Transport | None = None
) -> tuple[Found, ...]:
    """The servers that answer on this machine, by port; without ``ports`` the known ones of all presets are tried.

    Each is asked for its models, without a key, all at once; ``timeout`` seconds is what one wait of one server
    may take, and three times as much what all of them may take together. A ``transport`` that is handed in
    stays open.
    """
    addresses = _addresses(tuple(ports))
    own: Transport | None = None
    if transport is None:
        from provider_core.http import HttpTransport

        transport = own = HttpTransport()
    found: dict[str, Found] = {}

    def look(base_url: str) -> None:
        server = _ask(base_url, timeout, transport)
        if server is not None:
            found[base_url] = server

    threads = [
        threading.Thread(target=look, args=(address,), name="telex-discover", daemon=True)
        for address in addresses
    ]
    until = time.monotonic() + timeout * _WAITS
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(until - time.monotonic(), 0))
    finally:
        if own is not None:
            own.close()
    # A server that answers under two paths is one: the usual path comes first.
    servers: dict[int | None, Found] = {}
    for address in addresses:
        if address in found:
            servers.setdefault(urlsplit(address).port, found[address])
    return tuple(servers[port] for port in sorted(servers, key=lambda port: port or 0))


def _addresses(ports: tuple[int, ...]) -> tuple[str, ...]:
    """Every address to try: the usual path of each port, then the paths that one preset or another has there."""
    local = [preset for preset in presets.all_presets() if preset.ports]
    wanted = ports or tuple(dict.fromkeys(port for preset in local for port in preset.ports))
    usual = [f"http://127.0.0.1:{port}/v1" for port in wanted]
    others = [
        f"http://127.0.0.1:{port}{urlsplit(address).path}"
        for preset in local
        for address in (preset.base_url, *(url for url, _ in preset.other_base_urls))
        for port in wanted
        if ports or port in preset.ports
    ]
    return tuple(dict.fromkeys((*usual, *others)))


def _ask(base_url: str, timeout: float, transport: Transport) -> Found | None:
    network = Network(
        connect_timeout=timeout, first_byte_timeout=timeout, idle_timeout=timeout, retries=0, proxy="none"
    )
    watch = Watch(transport)
    try:
        models = fetch(watch, Provider(name="it", base_url=base_url, network=network))
    except (AuthenticationError, PermissionDeniedError):
        return Found(base_url=base_url, preset=_by_port(base_url), needs_key=True)
    except CoreError:
        return None
    body = bytes(watch.calls[0].body)
    if not models and not body.lstrip().startswith(b"{"):
        return None  # something else that speaks JSON
    preset = _by_owner(body) or _by_port(base_url)
    return Found(base_url=base_url, preset=preset, models=models)


def _by_owner(body: bytes) -> str | None:
    owners = re.findall(rb'"owned_by"\s*:\s*"([a-z_]+)"', body)
    return next(
        (PRESET_BY_OWNER[owner.decode()] for owner in owners if owner.decode() in PRESET_BY_OWNER), None
    )


def _by_port(base_url: str) -> str | None:
    """The only preset that uses the port; where several do, the port says nothing."""
    port = urlsplit(base_url).port
    users = [preset.id for preset in presets.all_presets() if port in preset.ports]
    return users[0] if len(users) == 1 else None
