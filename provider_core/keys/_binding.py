"""Whether a secret may be sent to an address: the one decision for API keys, secret headers and MCP servers.

A stored secret belongs to two things, and a settings file alone can change neither:

- **Its home.** The name of its entry in the keyring has a digest of the settings folder's real path and of a random
  number in that folder: ``lab@6f1c…``. A copy of a home, and another home, have entries of their own; a symlink to a
  home is the same home. A home that was moved has to ask for its keys again.
- **Its destinations.** The entry contains the origin (scheme, host, port) that the secret was entered for, and the
  proxy and CA bundle of that time, because whoever controls one of these can read the secret. It is not sent to
  another one until the user confirms that (``telex providers edit NAME --trust``), or enters the secret again.

Secrets from variables and key commands go where the settings say, because the settings name them. Only variables that
a preset names are for that preset's own hosts (``Provider.key_env_for``). No secret is sent over plain http, except to
this machine, to a private network without a proxy, or where ``allow_http`` is set.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from provider_core.errors import KeyDestinationError
from provider_core.settings import validators
from provider_core.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from provider_core.types import Network


class Destination(Struct):
    """Where a secret is sent, with the settings that decide who can read it on its way."""

    origin: str
    proxy: str = ""
    ca_bundle: str = ""

    @classmethod
    def of(cls, url: str, network: Network) -> Destination:
        """The destination of requests to ``url``."""
        proxy = (network.proxy or "").strip()
        return cls(
            origin=validators.origin(url),
            proxy="" if proxy.lower() == "none" else validators.without_credentials(proxy),
            ca_bundle=str(network.ca_bundle or ""),
        )

    def adds_to(self, confirmed: Destination) -> bool:
        """Whether somebody could read the secret here who could not at ``confirmed``."""
        return (
            self.origin != confirmed.origin
            or self.proxy not in ("", confirmed.proxy)
            or self.ca_bundle not in ("", confirmed.ca_bundle)
        )

    def __str__(self) -> str:
        through = f" through the proxy {self.proxy}" if self.proxy else ""
        trusting = f" trusting the certificates in {self.ca_bundle}" if self.ca_bundle else ""
        return f"{self.origin}{through}{trusting}"


def check_destination(
    what: str,
    url: str,
    network: Network,
    *,
    environ: Mapping[str, str],
    confirmed: Collection[Destination] | None = None,
) -> None:
    """Raise ``KeyDestinationError`` if ``what`` ("the key of lab") may not be sent to ``url``.

    ``confirmed`` are the destinations of a stored secret, or None. Raises ``SettingsError`` for an invalid proxy.
    """
    wanted = Destination.of(url, network)
    if confirmed is not None and all(wanted.adds_to(each) for each in confirmed):
        stored = " and ".join(map(str, confirmed)) or "no address"
        raise KeyDestinationError(
            f"{what} was stored for {stored}, and is not sent to {wanted}", destination=str(wanted)
        )
    if not url.startswith("http:") or network.allow_http:
        return
    if not validators.is_private_host(url):
        raise KeyDestinationError(
            f"{what} would travel to {wanted.origin} unencrypted", destination=str(wanted), unencrypted=True
        )
    from provider_core.http import find_proxy

    proxy, _ = find_proxy(url, environ, network.proxy)
    if proxy is not None:  # even on this machine: it may send the secret anywhere
        raise KeyDestinationError(
            f"{what} would travel to {wanted.origin} unencrypted through the proxy {proxy}",
            destination=str(wanted),
            unencrypted=True,
        )


def seal(secret: str, destinations: Iterable[Destination]) -> str:
    """The text of a store's entry: the secret, and where it may be sent."""
    places = [{name: value for name, value in asdict(each).items() if value} for each in destinations]
    return json.dumps({"secret": secret, "for": places})


def unseal(text: str) -> tuple[str, tuple[Destination, ...] | None]:
    """The secret in an entry and where it may be sent; None if a program stored the bare secret."""
    try:
        entry = json.loads(text)
        secret = str(entry["secret"])
        return secret, tuple(Destination(**each) for each in entry["for"])
    except (ValueError, TypeError, LookupError, RecursionError):
        return text, None
