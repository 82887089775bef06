"""The fields of a preset, values that several presets share, and how vendors take a reasoning effort."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from provider_core.structs import Struct, field
from provider_core.types import Effort, Network, Quirks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from provider_core.types import Auth, Json, Model


Kind: TypeAlias = Literal["cloud", "gateway", "local"]
"""A service that runs models, a service that forwards to others, or a server on the user's machine."""

ModelTable: TypeAlias = dict[
    str, tuple[tuple[str, int | None, int | None, bool | None, bool | None, str, tuple[str, ...]], ...]
]
"""Models by preset: id; context window and longest answer in tokens; whether it can reason; whether it can call tools;
a name, if it says more than the id; the reasoning efforts. None if the source does not say. These are plain literals
because they cost nothing to load."""


class Variable(Struct):
    """A part of the address that the user has to fill in: ``{name}`` in ``base_url``."""

    name: str
    prompt: str = ""
    """The question to the user; by default the name."""
    env: tuple[str, ...] = ()
    """Environment variables that may contain it; the first that is set is used."""


class BatchApi(Struct):
    """A provider's Batch API in OpenAI's form: ``POST /files``, then ``/batches``. ``source`` is the page that says so."""

    source: str = ""
    requests: int = 50_000
    """The most requests in one file."""
    megabytes: int = 200
    """The largest file, in millions of bytes."""
    endpoint: str = "/v1/chat/completions"
    """The path of chat completions, as the file names it."""


class Preset(Struct):
    """A provider that telex knows before it is set up."""

    id: str
    name: str
    kind: Kind = "cloud"
    base_url: str
    """Without a trailing slash; ``{placeholders}`` are the names of ``variables``."""
    variables: tuple[Variable, ...] = ()
    other_base_urls: tuple[tuple[str, str], ...] = ()
    """Other addresses of the same service, each with a note on its use."""
    also: tuple[str, ...] = ()
    """More lower-case words by which ``search`` finds it."""

    auth: Auth = "bearer"
    key_required: bool = True
    key_env: tuple[str, ...] = ()
    """Environment variables that may contain the key, the most specific first."""
    keys_url: str = ""
    """The page where users create keys; empty if unknown."""
    docs_url: str = ""
    regions: tuple[str, ...] = ()
    """The same service in other regions, whose keys are not valid here."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with every request."""

    models_path: str | None = "/models"
    """Path of the list of models, relative to ``base_url``; ``/..`` is the folder above. None if there is no list."""
    models_query: str = ""
    """Query for that path, without the question mark."""
    models_key_header: str | None = None
    """Header that carries the key on that path, if it is another than that of ``auth``."""
    models_headers: Mapping[str, str] = field(default_factory=dict)
    """Sent only on that path."""
    models_id: str = "id"
    """The field of a listed model that is its id in a chat request."""
    output_field: str | None = None
    """The field of a listed model that has the longest answer, in tokens, if other servers use it differently."""
    price_fields: tuple[str, str, str, str] | None = None
    """The fields of a listed model with the prices of input, output, cached input and cache writes; "" if there is none.
    None: those of OpenRouter, which many servers have taken over."""
    price_unit: int = 0
    """The unit of these prices, as a power of ten in US dollars per million tokens: 6 for a price per token."""
    details: Literal["llamacpp", "lmstudio", "ollama"] | None = None
    """The server's own API that has details which the list lacks."""

    batch_api: BatchApi | None = None
    """The Batch API that ``telex batch --via provider`` uses; None if there is none, or in a form of its own."""
    quirks: Quirks = field(default_factory=Quirks)
    models: tuple[Model, ...] = ()
    """The known models of one of the user's own presets, its default first; ``models`` has those of the others."""

    @property
    def base_urls(self) -> tuple[str, ...]:
        """All addresses of the service."""
        return (self.base_url, *(url for url, _ in self.other_base_urls))

    @property
    def ports(self) -> tuple[int, ...]:
        """Loopback ports where a local server of this kind may listen, the default first."""
        return tuple(dict.fromkeys(port for url in self.base_urls if (port := urlsplit(url).port)))

    @property
    def network(self) -> Network:
        """The default timeouts."""
        if self.kind == "local":
            return LOCAL
        return LOOPBACK if self.ports else Network()

    def serves(self, url: str) -> bool:
        """Whether the preset's keys may be sent to the host of ``url``."""
        host = urlsplit(url).hostname or ""
        own = (re.escape(urlsplit(url).hostname or "") for url in self.base_urls)
        patterns = (re.sub(r"\\\{\w+\\\}", "[a-z0-9-]+", each) for each in own)
        return any(re.fullmatch(pattern, host) for pattern in patterns)


LOOPBACK = Network(connect_timeout=5.0)
"""A connection to this machine succeeds or fails at once."""

LOCAL = Network(connect_timeout=5.0, first_byte_timeout=1800.0, idle_timeout=600.0)
"""A model may have to be loaded first, and without a graphics card a long prompt takes minutes."""


# --- reasoning efforts: tables from a level to fields of the request -----------------------------------------

LEVELS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""The levels that several vendors have, from least to most."""


def per_level(write: Callable[[str], dict[str, Json]], *levels: str) -> dict[str, dict[str, Json]]:
    """The result of ``write`` for each of ``levels``, by default all of ``LEVELS``."""
    return {level: write(level) for level in levels or LEVELS}


def reasoning_effort(*levels: str) -> dict[str, dict[str, Json]]:
    """The field ``reasoning_effort``, with only these levels."""
    return {level: {"reasoning_effort": level} for level in levels}


def _with_effort(level: str, switch: dict[str, Json]) -> dict[str, Json]:
    return switch if level == "none" else {**switch, "reasoning_effort": level}


# A switch has two states: "none" is off, and every other level is on.
ENABLE_THINKING: Final = per_level(lambda level: {"enable_thinking": level != "none"})
TEMPLATE_SWITCH: Final = per_level(
    lambda level: {"chat_template_kwargs": {"enable_thinking": level != "none"}}
)
THINKING_TYPE: Final = per_level(
    lambda level: {"thinking": {"type": "disabled" if level == "none" else "enabled"}}
)
THINKING_AND_EFFORT: Final = {level: _with_effort(level, fields) for level, fields in THINKING_TYPE.items()}
TEMPLATE_ARGUMENTS: Final = per_level(
    lambda level: {
        "chat_template_kwargs": _with_effort(
            level, dict.fromkeys(("enable_thinking", "thinking"), level != "none")
        )
    }
)
"""For servers that pass these to the model's chat template: those of Qwen and GLM read ``enable_thinking``, those of
DeepSeek and Kimi ``thinking``, and some also a level. Templates ignore what they do not know."""

FIXED: Final[Mapping[str, Mapping[str, Json]]] = {}
"""No field changes how the model reasons."""

GLM_WITH_SWITCH: Final = ("glm-4*", "glm-5", "glm-5-*", "glm-5v*", "glm-5.1*")
"""GLM models that have only on and off; levels came with 5.2: docs.z.ai "Thinking Mode"."""

ANY_EFFORT: Final = Effort()
"""Any level is sent as ``reasoning_effort``: for models of which nothing else is known."""
