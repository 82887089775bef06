"""The settings of a provider, one row each.

From these rows follow the keys of ``[providers.NAME]`` and their validation, the options of ``telex providers add``
and ``edit``, ``providers show``, the summary of ``providers import`` and the table in docs/configuration.md.
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
    "text", "path", "seconds", "count", "rate", "switch", "choice", "pairs", "models", "addresses"
]
"""How a value is written. "text" is one line, "seconds" a number, "rate" a number from 1 per minute, "pairs" a table of
strings, "models" and "addresses" a list."""


class ProviderField(Struct):
    """One setting of a provider."""

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
    default: bool | None = None
    """The value of a "switch" that is not set."""
    choices: tuple[str, ...] = ()
    completes: Literal["", "preset", "model"] = ""
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


PROVIDER_FIELDS = (
    _row("preset", "text", "Take all settings you do not give from this preset.", "ID", completes="preset"),
    _row(
        "base_url",
        "text",
        "The base address of the API, without /chat/completions.",
        "URL",
        validator=_base_url,
    ),
    _row(
        "base_urls",
        "addresses",
        "A further address of the same models; the rows of a batch are shared among all. Repeatable.",
        "URL",
        option="replica",
        validator=_base_url,
    ),
    _row(
        "variables",
        "pairs",
        "Set a part of the preset's address, such as account_id=ID. Repeatable.",
        "PART=VALUE",
        option="set",
        validator=validators.validate_variable,
    ),
    _row("gguf", "path", "Run this model file on this machine, without a server.", "FILE"),
    _row(
        "key",
        "choice",
        '"keyring" for a stored key, or "none" if no key is needed. Never the key itself.',
        choices=("keyring", "none"),
    ),
    _row(
        "key_env",
        "text",
        "Read the key from an environment variable.",
        "VAR",
        validator=validators.validate_key_env,
    ),
    _row("key_command", "text", "Read the key from the output of a command, run for each chat.", "CMD"),
    _row(
        "display_name", "text", "Name to show in lists.", "TEXT", validator=validators.validate_display_name
    ),
    _row(
        "models",
        "models",
        "List this model instead of the preset's models; the first one given is the default. Repeatable.",
        "ID",
        option="model",
    ),
    _row(
        "default_model",
        "text",
        "Model to use when only the provider is named.",
        "ID",
        completes="model",
        edit_only=True,
    ),
    _row(
        "enabled",
        "switch",
        "Enable or disable the provider.",
        option="enable/--disable",
        default=True,
        edit_only=True,
    ),
    _row(
        "headers",
        "pairs",
        "Send a header with every request. Repeatable.",
        "NAME:VALUE",
        option="header",
        validator=validators.validate_header,
    ),
    _row(
        "proxy",
        "text",
        "Use this proxy; none: no proxy for this provider.",
        "URL",
        validator=validators.validate_proxy,
    ),
    _row("ca_bundle", "path", "Trust these certificates instead of the system's.", "PATH"),
    _row("client_cert", "path", "Present a client certificate: a PEM file with its key.", "FILE"),
    _row(
        "allow_http",
        "switch",
        "Allow sending the key over plain http to a host that is not local.",
        default=False,
    ),
    _row(
        "connect_timeout",
        "seconds",
        "Give up when no connection is made within this many seconds. [default: 10]",
        "SECONDS",
    ),
    _row(
        "first_byte_timeout",
        "seconds",
        "Give up when no answer begins within this many seconds. [default: 600]",
        "SECONDS",
    ),
    _row(
        "idle_timeout",
        "seconds",
        "Give up when an answer pauses for this many seconds. [default: 120]",
        "SECONDS",
    ),
    _row(
        "retries", "count", "Times to retry a request that fails before any text arrives. [default: 2]", "N"
    ),
    _row("retry_budget", "seconds", "Start no retry after this many seconds. [default: 120]", "SECONDS"),
    _row("rpm", "rate", "Most requests a minute that telex batch sends.", "N"),
    _row("tpm", "rate", "Most tokens a minute, of prompts and answers, that telex batch uses.", "N"),
)
