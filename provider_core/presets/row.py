"""What a preset is: the shape of a row, and the parts that many rows share. No provider is named here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, TypeAlias
from urllib.parse import urlsplit

from provider_core.structs import Struct, field
from provider_core.types import Network, Quirks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider_core.types import Auth

__all__ = ["LOCAL", "LOOPBACK", "Kind", "Preset", "Variable"]

Kind: TypeAlias = Literal["cloud", "gateway", "local"]
"""A service with models of its own, a service in front of others, a server on the user's machine."""


class Variable(Struct):
    """A part of the address that only the user knows: ``{name}`` in ``base_url``."""

    name: str
    prompt: str
    env: tuple[str, ...] = ()
    """Environment variables that may hold it, the first one set counts."""


class Preset(Struct):
    """A provider as it is known before anyone has set it up."""

    id: str
    name: str
    kind: Kind
    base_url: str
    """No trailing slash; ``{placeholders}`` are the names of ``variables``."""
    variables: tuple[Variable, ...] = ()
    other_base_urls: tuple[tuple[str, str], ...] = ()
    """Further addresses of the same service, each with a note on what it is for."""
    also: tuple[str, ...] = ()
    """Lower-case words by which people look for it, beside id and name."""

    auth: Auth = "bearer"
    key_required: bool = True
    key_env: tuple[str, ...] = ()
    """Environment variables that may hold the key, the one that fits this service best first."""
    keys_url: str = ""
    """Where a key is made; empty where no page is known."""
    docs_url: str = ""
    regions: tuple[str, ...] = ()
    """Sibling presets with keys of their own: a key of theirs is refused here, and the reverse."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with every request."""

    models_path: str | None = "/models"
    """Where the models are listed, from ``base_url`` on; ``/..`` climbs, the host never changes. None where
    nothing lists them."""
    models_query: str = ""
    """A query for that path, without the question mark."""
    models_key_header: str | None = None
    """The header that takes the key on that path, where it is not the one of ``auth``."""
    models_headers: Mapping[str, str] = field(default_factory=dict)
    """Sent on that path only."""
    models_id: str = "id"
    """The field of a listed model that a chat request calls it by."""
    context_fields: tuple[str, ...] = ()
    """Fields of a listed model that hold its context window, in tokens; the first that is there counts.
    Dots go down; ``[]`` is every element of a list, the largest counts; ``[key=value]`` is the one with it."""
    output_fields: tuple[str, ...] = ()
    """The same for the most tokens that one answer may have."""
    details: Literal["llamacpp", "lmstudio", "ollama"] | None = None
    """The server's own API that knows more about its models than the list does."""

    ports: tuple[int, ...] = ()
    """Loopback ports where a local server of this kind may listen, the usual one first."""
    network: Network = field(default_factory=Network)
    quirks: Quirks = field(default_factory=Quirks)

    def serves(self, url: str) -> bool:
        """Whether the host of ``url`` is one of the preset's own, which its keys are for."""
        host = urlsplit(url).hostname or ""
        own = (
            urlsplit(each).hostname or "" for each in (self.base_url, *(u for u, _ in self.other_base_urls))
        )
        return any(
            re.fullmatch(re.sub(r"\\\{\w+\\\}", "[a-z0-9-]+", re.escape(each)), host) is not None
            for each in own
        )


LOOPBACK = Network(connect_timeout=5.0)
"""On this machine a connection stands at once or not at all."""

LOCAL = Network(connect_timeout=5.0, first_byte_timeout=1800.0, idle_timeout=600.0)
"""A model may have to be read from disk first, and a long prompt takes minutes without a graphics card."""
