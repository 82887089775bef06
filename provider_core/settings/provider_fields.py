"""The settings of a provider, of a model and of an alias, one row each.

From ``PROVIDER_FIELDS`` follow the keys of ``[providers.NAME]`` and their validation, the options of ``telex providers
add`` and ``edit``, ``providers show``, the summary of ``providers import`` and the table in docs/configuration.md; from
``MODEL_FIELDS`` and ``ALIAS_FIELDS`` the same for ``telex models edit`` and ``telex models alias``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from provider_core.settings import validators
from provider_core.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_WAIT = 86_400
"""The largest value of "seconds"."""

MOST_RETRIES = 100
"""The largest value of "count"."""

MOST_PER_MINUTE = 1_000_000_000
"""The largest value of "rate"."""

FieldType: TypeAlias = Literal[
    "text", "lines", "path", "seconds", "number", "count", "tokens", "dollars", "rate", "switch", "choice", "pairs",
    "params", "names", "models", "addresses",
]  # fmt: skip
"""How a value is written. "text" is one line, "lines" are any number; "seconds", "number" and "dollars" are numbers,
"count" and "tokens" whole numbers, "rate" one from 1 per minute; "pairs" is a table of strings, "params" one of JSON
values; "names", "models" and "addresses" are lists."""


class ProviderField(Struct):
    """One setting of a provider, a model or an alias."""

    name: str
    """Its key in the settings file."""
    type: FieldType
    help: str
    metavar: str = ""
    """How help names the option's value, with its unit."""
    option: str = ""
    """The name of its option, without the hyphens before it; by default ``name`` with hyphens."""
    validator: Callable[..., Any] | None = None
    """Raises ``InvalidInputError``, or returns the value to use (None for the value itself). For "pairs", it takes
    the name and the value of each."""
    short: str = ""
    """The short name of its option, with the hyphen."""
    default: bool | None = None
    """The value of a "switch" that is not set; None if it then depends on something else."""
    choices: tuple[str, ...] = ()
    completes: Literal["", "preset", "model", "template", "server"] = ""
    """The names that Tab offers as values of the option."""
    edit_only: bool = False
    """Whether ``providers add`` lacks the option."""

    @property
    def flag(self) -> str:
        """The name of the option, without the hyphens before it."""
        return self.option or self.name.replace("_", "-")


def _row(name: str, type_: FieldType, help_: str, metavar: str = "", **more: Any) -> ProviderField:
    return ProviderField(name=name, type=type_, help=help_, metavar=metavar, **more)


def _base_url(text: str) -> str:
    return validators.parse_base_url(text).url


# fmt: off
REQUEST_FIELDS = (
    _row("temperature", "number", "Set the sampling temperature; sent only if given.", "T", short="-t"),
    _row("max_tokens", "tokens", "Limit answers to N tokens.", "N"),
    _row("reasoning_effort", "text", "How much the model reasons: none, low, medium, high, …", "LEVEL"),
    _row("stream", "switch", "Request answers as they are generated, or all at once.", option="stream/--no-stream"),
    _row("web", "switch", "Let the provider search the web for each answer, or not.", option="web/--no-web"),
    _row("params", "params", "Set a field of the request body. VALUE is JSON, or else a string. Repeatable.",
        "KEY=VALUE", option="param", short="-p", validator=validators.validate_params),
)
"""The options of requests: settings of a provider, a model and an alias."""

_WAITS = (
    _row("connect_timeout", "seconds", "Give up when no connection is made within this many seconds.", "SECONDS"),
    _row("timeout", "seconds", "Give up when the server sends nothing for this many seconds.", "SECONDS"),
    _row("retries", "count", "Times to retry a request that fails before any text arrives.", "N"),
)

_HEADERS = _row("headers", "pairs", "Send a header with every request. Repeatable.",
    "NAME:VALUE", option="header", validator=validators.validate_header)

MODEL_FIELDS = (
    _row("name", "text", "Name to show in lists.", "TEXT"),
    _row("context", "tokens", "Context window, in tokens.", "N"),
    _row("max_output", "tokens", "Longest answer, in tokens.", "N"),
    _row("reasoning", "switch", "Whether the model reasons.", option="reasoning/--no-reasoning"),
    _row("tools", "switch", "Whether the model calls tools.", option="tools/--no-tools"),
    _row("vision", "switch", "Whether the model reads images.", option="vision/--no-vision"),
    _row("price_in", "dollars", "Price of input, in dollars per million tokens.", "USD"),
    _row("price_out", "dollars", "Price of output, per million tokens.", "USD"),
    _row("price_cached", "dollars", "Price of input read from the cache.", "USD"),
    _row("price_cache_write", "dollars", "Price of input written to the cache.", "USD"),
    *REQUEST_FIELDS,
    _HEADERS,
    *_WAITS,
)
"""The settings of a model, and the options of its requests."""

ALIAS_FIELDS = (
    _row("system", "lines", "Set the system message.", "TEXT", short="-s"),
    _row("template", "text", "Use a saved prompt (see telex templates).", "NAME", completes="template"),
    *REQUEST_FIELDS,
    _row("tools", "names", "Let the model call the tools of these MCP servers. Repeatable.",
        "NAME,…", completes="server"),
    _row("allow", "names", "Run tools matching PATTERN without asking for approval. Repeatable.", "PATTERN"),
    *_WAITS,
    _row("max_cost", "number", "Stop before a request that would bring the cost above this.", "USD"),
)
"""The settings of an alias besides its targets."""

PROVIDER_FIELDS = (
    _row("preset", "text", "Take all settings you do not give from this preset.", "ID", completes="preset"),
    _row("base_url", "text", "The base address of the API, without /chat/completions.", "URL", validator=_base_url),
    _row("base_urls", "addresses", "A further address of the same models, to share the rows of a batch. Repeatable.",
        "URL", option="replica", validator=_base_url),
    _row("variables", "pairs", "Set a part of the preset's address, such as account_id=ID. Repeatable.",
        "PART=VALUE", option="set", validator=validators.validate_variable),
    _row("gguf", "path", "Run this model file on this machine, without a server.", "FILE"),
    _row("key", "choice", '"keyring" for a stored key, or "none" if no key is needed. Never the key itself.',
        choices=("keyring", "none")),
    _row("key_env", "text", "Read the key from an environment variable.",
        "VAR", validator=validators.validate_key_env),
    _row("key_command", "text", "Read the key from the output of a command, run for each chat.", "CMD"),
    _row("display_name", "text", "Name to show in lists.", "TEXT", validator=validators.validate_display_name),
    _row("models", "models",
        "List this model instead of the preset's models; the first one given is the default. Repeatable.",
        "ID", option="model"),
    _row("default_model", "text", "Model to use when only the provider is named.",
        "ID", completes="model", edit_only=True),
    _row("enabled", "switch", "Enable or disable the provider.",
        option="enable/--disable", default=True, edit_only=True),
    _HEADERS,
    *REQUEST_FIELDS,
    _row("proxy", "text", "Use this proxy; none: no proxy for this provider.",
        "URL", validator=validators.validate_proxy),
    _row("ca_bundle", "path", "Trust these certificates instead of the system's.", "PATH"),
    _row("client_cert", "path", "Present a client certificate: a PEM file with its key.", "FILE"),
    _row("allow_http", "switch", "Allow sending the key over plain http to a host that is not local.", default=False),
    _row("connect_timeout", "seconds", "Give up when no connection is made within this many seconds. [default: 10]",
        "SECONDS"),
    _row("first_byte_timeout", "seconds", "Give up when no answer begins within this many seconds. [default: 600]",
        "SECONDS"),
    _row("idle_timeout", "seconds", "Give up when an answer pauses for this many seconds. [default: 120]", "SECONDS"),
    _row("retries", "count", "Times to retry a request that fails before any text arrives. [default: 2]", "N"),
    _row("retry_budget", "seconds", "Start no retry after this many seconds. [default: 120]", "SECONDS"),
    _row("rpm", "rate", "Maximum number of requests a minute in telex batch.", "N"),
    _row("tpm", "rate", "Maximum number of tokens a minute in telex batch, prompts and answers together.", "N"),
)
# fmt: on
