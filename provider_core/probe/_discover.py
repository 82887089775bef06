"""Finds the local servers that are running, at the known ports of this machine."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from provider_core import presets
from provider_core.catalog.servers import PRESET_BY_OWNER, fetch
from provider_core.errors import AuthenticationError, CoreError, PermissionDeniedError
from provider_core.probe._check import RecordingTransport
from provider_core.structs import Struct
from provider_core.types import Network, Provider

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provider_core.types import Model, Transport

_TIMEOUT: Final = 1.0
_WAITS: Final = 3
"""A request waits up to three times: for the connection, for the first byte, and for the rest."""


class LocalServer(Struct):
    """A server that answers. ``preset`` is known if the server or its port shows it."""

    base_url: str
    preset: str | None = None
    models: tuple[Model, ...] = ()
    needs_key: bool = False


def discover(
    ports: Iterable[int] = (), *, timeout: float = _TIMEOUT, transport: Transport | None = None
) -> tuple[LocalServer, ...]:
    """The servers that answer at ``ports`` of this machine, by default the ports of all presets, sorted by port.

    All are asked for their models at the same time, without a key. ``timeout`` limits each wait, in seconds; the whole
    takes at most three times as long.
    """
    addresses = _addresses(tuple(ports))
    own: Transport | None = None
    if transport is None:
        from provider_core.http.transport import HttpTransport

        transport = own = HttpTransport()
    found: dict[str, LocalServer] = {}

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
    # Of a server that answers at several paths, the first in ``addresses`` is used.
    servers: dict[int | None, LocalServer] = {}
    for address in addresses:
        if address in found:
            servers.setdefault(urlsplit(address).port, found[address])
    return tuple(servers[port] for port in sorted(servers, key=lambda port: port or 0))


def _addresses(ports: tuple[int, ...]) -> tuple[str, ...]:
    """The addresses to try: each port with /v1, then with the paths of the presets."""
    local = [preset for preset in presets.all_presets() if preset.ports]
    wanted = ports or tuple(dict.fromkeys(port for preset in local for port in preset.ports))
    usual = [f"http://127.0.0.1:{port}/v1" for port in wanted]
    others = [
        f"http://127.0.0.1:{port}{urlsplit(address).path}"
        for preset in local
        for address in preset.base_urls
        for port in wanted
        if ports or port in preset.ports
    ]
    return tuple(dict.fromkeys((*usual, *others)))


def _ask(base_url: str, timeout: float, transport: Transport) -> LocalServer | None:
    network = Network(
        connect_timeout=timeout, first_byte_timeout=timeout, idle_timeout=timeout, retries=0, proxy="none"
    )
    watch = RecordingTransport(transport)
    try:
        models = fetch(watch, Provider(name="it", base_url=base_url, network=network))
    except (AuthenticationError, PermissionDeniedError):
        return LocalServer(base_url=base_url, preset=_by_port(base_url), needs_key=True)
    except CoreError:
        return None
    body = bytes(watch.calls[0].body)
    if not models and not body.lstrip().startswith(b"{"):
        return None  # something else that speaks JSON
    preset = _by_owner(body) or _by_port(base_url)
    return LocalServer(base_url=base_url, preset=preset, models=models)


def _by_owner(body: bytes) -> str | None:
    owners = re.findall(rb'"owned_by"\s*:\s*"([a-z_]+)"', body)
    return next(
        (PRESET_BY_OWNER[owner.decode()] for owner in owners if owner.decode() in PRESET_BY_OWNER), None
    )


def _by_port(base_url: str) -> str | None:
    """The preset that uses the port, if there is only one."""
    port = urlsplit(base_url).port
    users = [preset.id for preset in presets.all_presets() if port in preset.ports]
    return users[0] if len(users) == 1 else None
