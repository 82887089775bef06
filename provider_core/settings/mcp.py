"""MCP servers of the settings, and validators for their tables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from provider_core import files
from provider_core.errors import InvalidInputError
from provider_core.settings import validators
from provider_core.settings.validators import parse_reference
from provider_core.structs import Struct, field
from provider_core.types import Network

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from provider_core.settings.validators import SecretReference

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PATTERN = re.compile(r"[^\s\x00-\x1f\x7f]{1,128}")
_RESERVED = frozenset({"all", "none"})
"""Values of --tools."""


class McpServer(Struct):
    """One ``[mcp.NAME]`` table: a command to start (stdio), or the address of a server (streamable HTTP)."""

    name: str
    command: tuple[str, ...] = ()
    url: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    """Values of ``env`` and ``headers`` may be references to secrets (``parse_reference``)."""
    allow_http: bool = False
    """Whether its secrets may be sent over plain http beyond private networks."""
    cwd: Path | None = None
    """The command's folder; None for the current one."""
    enabled: bool = True
    """Whether "all" servers include it."""
    start_timeout: float = 30.0
    """Seconds from its start to its list of tools."""
    call_timeout: float = 60.0
    """Seconds of one call without progress; see ``call_total``."""
    max_result: int = 100_000
    """Bytes of a result that the model gets."""
    allow: tuple[str, ...] = ()
    """Shell patterns for tools that run without approval: ``read_*``."""

    @property
    def call_total(self) -> float:
        """Seconds of one call in total."""
        return 10 * self.call_timeout

    def allows(self, tool: str) -> bool:
        """Whether the tool may run without approval."""
        import fnmatch

        return any(fnmatch.fnmatchcase(tool, pattern) for pattern in self.allow)

    @property
    def network(self) -> Network:
        """The connection settings of a server with a ``url``."""
        return Network(allow_http=self.allow_http)

    @property
    def place(self) -> str:
        """Its address, or its command on one line."""
        import shlex

        return self.url or shlex.join(self.command)


def secret_references(server: McpServer) -> dict[str, SecretReference]:
    """The secrets that the server gets, by the names of their variables or headers."""
    values = {**server.env, **server.headers}
    return {name: found for name, value in values.items() if (found := parse_reference(value)) is not None}


def validate_name(name: str) -> None:
    """Raise ``InvalidInputError`` for an invalid name of a server."""
    validators.validate_name(name, "an MCP server", _RESERVED)


def validate_variable(name: str, value: str) -> None:
    """Raise ``InvalidInputError`` for an invalid environment variable; the message never contains the value."""
    if not _VARIABLE.fullmatch(name):
        raise InvalidInputError(f"{name!r} is not a valid name of an environment variable")
    if "\x00" in value:
        raise InvalidInputError(f"the value of {name} contains a null byte")


def validate_header(name: str, value: str) -> None:
    """Raise ``InvalidInputError`` for an invalid header; the message never contains the value."""
    if name.lower() not in ("authorization", "proxy-authorization"):
        validators.validate_header(name, value)
    elif parse_reference(value) is None:  # the value of these two is always a secret
        raise InvalidInputError(
            f"the value of the header {name} must be a reference, as Bearer keyring:NAME or Bearer env:VAR"
        )


def validate_pattern(pattern: str) -> None:
    """Raise ``InvalidInputError`` for a pattern that no tool's name can match."""
    if not _PATTERN.fullmatch(pattern):
        raise InvalidInputError(f"{pattern!r} is not a valid pattern for tool names, such as read_*")


def of_tables(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, McpServer]:
    return {name: _server(name, table) for name, table in tables.items()}


def _server(name: str, table: Mapping[str, Any]) -> McpServer:
    fields = dict(table)
    for key in ("command", "allow"):
        if key in fields:
            fields[key] = tuple(fields[key])
    if "cwd" in fields:
        fields["cwd"] = files.expand_user(fields["cwd"])
    return McpServer(name=name, **fields)
