"""The settings of a provider, one row each.

The keys of ``[providers.NAME]`` and their validation (``schema``), the options of ``telex providers add`` and
``edit``, the card of ``providers show``, the summary of ``providers import`` and the table in docs/configuration.md
are made from these rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from provider_core.settings import validators

if TYPE_CHECKING:
    from collections.abc import Callable

FieldType: TypeAlias = Literal["text", "path", "seconds", "count", "switch", "choice", "pairs", "models"]
"""How a value is written. "text" is one line, "seconds" a number, "pairs" a table of strings, "models" a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderField:
    """One setting of a provider. ``name`` is its key in the settings file."""

    name: str
    type: FieldType = "text"
    help: str
    option: str = ""
    """The name of its option without hyphens before it; by default ``name`` with hyphens."""
    metavar: str = ""
    """How help names the option's value, with its unit."""
    validator: Callable[..., Any] | None = None
    """Raises ``InvalidInputError``, or returns the value to use (None for the value itself). For "pairs", it takes
    the name and the value of each."""
    default: bool | None = None
    choices: tuple[str, ...] = ()
    completes: Literal["", "preset", "model"] = ""
    """What Tab offers as values of the option."""
    unless_new: bool = False
    """Whether only ``edit`` has the option."""

    @property
    def flag(self) -> str:
        """The name of the option, without the hyphens before it."""
        return self.option or self.name.replace("_", "-")


PROVIDER_FIELDS = (
    ProviderField(
        name="preset",
        help="Use this preset for everything that is not set.",
        metavar="ID",
        completes="preset",
    ),
    ProviderField(
        name="base_url",
        help="The base address of the API, without /chat/completions.",
        metavar="URL",
        validator=lambda text: validators.parse_base_url(text).url,
    ),
    ProviderField(
        name="variables",
        type="pairs",
        option="set",
        help="Set a part of the preset's address, such as account_id=ID. Repeatable.",
        metavar="PART=VALUE",
        validator=validators.validate_variable,
    ),
    ProviderField(
        name="gguf",
        type="path",
        help="Run this model file on this machine, without a server.",
        metavar="FILE",
    ),
    ProviderField(
        name="key",
        type="choice",
        choices=("keyring", "none"),
        help='"keyring" for a stored key, or "none" if no key is needed. Never the key itself.',
    ),
    ProviderField(
        name="key_env",
        help="Read the key from an environment variable.",
        metavar="VAR",
        validator=validators.validate_key_env,
    ),
    ProviderField(
        name="key_command",
        help="Read the key from the output of a command, run for each chat.",
        metavar="CMD",
    ),
    ProviderField(
        name="display_name",
        help="Name to show in lists.",
        metavar="TEXT",
        validator=validators.validate_display_name,
    ),
    ProviderField(
        name="models",
        type="models",
        option="model",
        help="Models to list instead of the preset's; the first one is the default. Repeatable.",
        metavar="ID",
    ),
    ProviderField(
        name="default_model",
        help="Model to use when only the provider is named.",
        metavar="ID",
        completes="model",
        unless_new=True,
    ),
    ProviderField(
        name="enabled",
        type="switch",
        option="enable/--disable",
        default=True,
        help="Enable or disable the provider.",
        unless_new=True,
    ),
    ProviderField(
        name="headers",
        type="pairs",
        option="header",
        help="Send a header with every request. Repeatable.",
        metavar="NAME=VALUE",
        validator=validators.validate_header,
    ),
    ProviderField(
        name="proxy",
        help="Use this proxy; none means no proxy.",
        metavar="URL",
        validator=validators.validate_proxy,
    ),
    ProviderField(
        name="ca_bundle",
        type="path",
        help="Trust these certificates instead of the system's.",
        metavar="PATH",
    ),
    ProviderField(
        name="client_cert",
        type="path",
        help="Present a client certificate: a PEM file with its key.",
        metavar="FILE",
    ),
    ProviderField(
        name="allow_http",
        type="switch",
        default=False,
        help="Allow sending the key over plain http to a host that is not local.",
    ),
    ProviderField(
        name="connect_timeout",
        type="seconds",
        help="Give up when no connection is made within this many seconds.",
        metavar="SECONDS",
    ),
    ProviderField(
        name="first_byte_timeout",
        type="seconds",
        help="Give up when no answer begins within this many seconds.",
        metavar="SECONDS",
    ),
    ProviderField(
        name="idle_timeout",
        type="seconds",
        help="Give up when an answer pauses for this many seconds.",
        metavar="SECONDS",
    ),
    ProviderField(
        name="retries",
        type="count",
        help="Times to retry a request that fails before any text arrives.",
        metavar="N",
    ),
    ProviderField(
        name="retry_budget",
        type="seconds",
        help="Start no retry after this many seconds.",
        metavar="SECONDS",
    ),
)

LONGEST_WAIT = 86_400
"""The largest value of "seconds"."""

MOST_RETRIES = 100
"""The largest value of "count"."""
