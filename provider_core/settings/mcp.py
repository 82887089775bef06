"""MCP servers as the settings have them: their values, and what may stand in them; none is started here."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from provider_core import files
from provider_core.errors import InvalidInputError, UnknownToolServerError
from provider_core.settings import rules
from provider_core.wording import near

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from provider_core.settings import Settings

__all__ = [
    "McpServer",
    "Reference",
    "check_name",
    "check_pattern",
    "check_url",
    "check_value",
    "find",
    "harmless",
    "in_the_open",
    "of_tables",
    "reference",
    "references",
]

_REFERENCE = re.compile(
    r"(?P<before>[A-Za-z][A-Za-z-]* )?(?P<kind>keyring|env):(?P<name>[A-Za-z0-9_][\w.-]{0,127})"
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PATTERN = re.compile(r"[^\s\x00-\x1f\x7f]{1,128}")
_TOKEN = re.compile(
    r"(?:sk|pk|rk|ghp|gho|ghs|ghu|github_pat|glpat|xox[abeprs]|hf|npm|pypi|dop_v1|AKIA|ASIA|AIza|ya29|eyJ)"
    r"[A-Za-z0-9_.=-]{12,}"
)
"""How the keys of some large services begin, in values whose names do not tell."""

_RESERVED = frozenset({"all", "none"})
"""Names that mean something else where servers are chosen."""

_HARMLESS = re.compile(
    r"(?i:true|false|yes|no|on|off|none|null|auto|default|basic|bearer|oauth2?|jwt)?"
    r"|-?\d{1,6}(?:\.\d{1,6})?"
    r"|(?:~|\.{1,2})?/.*|[A-Za-z]:\\.*"
    r"|https?://[^\s@?]*"
)
"""Values that are no secret whatever they are called: switches, small numbers, paths, addresses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class McpServer:
    """One ``[mcp.NAME]`` table: a command that is started (stdio), or the address of a server (streamable HTTP).

    Values of ``env`` and ``headers`` may be references to a secret, see ``reference``.
    """

    name: str
    command: tuple[str, ...] = ()
    url: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    """Where the command runs; None for where telex does."""
    enabled: bool = True
    """Whether it is one of "all" servers."""
    start_timeout: float = 30.0
    """Seconds from its start until it has listed its tools."""
    call_timeout: float = 60.0
    """Seconds that one call may take."""
    max_result: int = 100_000
    """Bytes of a result that a model is given."""
    allow: tuple[str, ...] = ()
    """Patterns, as the shell's, for the tools that run without being asked about: ``read_*``."""

    def allows(self, tool: str) -> bool:
        """Whether the tool of this name may run without being asked about."""
        import fnmatch

        return any(fnmatch.fnmatchcase(tool, pattern) for pattern in self.allow)

    @property
    def place(self) -> str:
        """Its address, or its command on one line."""
        import shlex

        return self.url or shlex.join(self.command)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A value that stands for a secret: the keyring's, or that of an environment variable.

    ``before`` is what goes before it, as in ``Bearer keyring:github``.
    """

    kind: Literal["keyring", "env"]
    name: str
    before: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    @property
    def entry(self) -> str:
        """The user of its entry in the keyring, which no provider's name can be."""
        return f"mcp:{self.name}"


def reference(value: str) -> Reference | None:
    """What ``keyring:NAME`` or ``env:VAR`` means, a word before it or none; None for a value that means itself."""
    found = _REFERENCE.fullmatch(value)
    if found is None:
        return None
    kind: Literal["keyring", "env"] = "keyring" if found["kind"] == "keyring" else "env"
    return Reference(kind=kind, name=found["name"], before=found["before"] or "")


def references(server: McpServer) -> dict[str, Reference]:
    """The secrets that the server is given, by the name of the variable or header."""
    values = {**server.env, **server.headers}
    return {name: found for name, value in values.items() if (found := reference(value)) is not None}


def find(settings: Settings, name: str) -> McpServer:
    """The server of this name; raises ``UnknownToolServerError`` with those that may have been meant.

    Raises ``SettingsError`` where it is set up wrongly.
    """
    servers = settings.mcp
    found = servers.get(name)
    if found is not None:
        return found
    settings.require("mcp", name)
    raise UnknownToolServerError(
        f"no MCP server called {name} is set up", server=name, candidates=near(name, servers)
    )


def harmless(name: str, value: str) -> bool:
    """Whether a variable or header of this name and value is fit to stand in a file or a command line."""
    from provider_core.quirks import holds_secret

    if reference(value) is not None:
        return True
    secret = _TOKEN.search(value) is not None or (holds_secret(name) and not _HARMLESS.fullmatch(value))
    return not secret


def in_the_open(command: Sequence[str]) -> str | None:
    """Where a command holds what looks like a secret: "after --token", or "" for one by itself; None for nowhere."""
    flag = ""
    for word in command[1:]:
        value = word
        if word.startswith("-"):
            flag, equals, value = word.partition("=")
            if not equals:
                continue
        if not harmless(flag, value):
            return f"after {flag}" if flag else ""
        flag = ""
    return None


def check_name(name: str) -> None:
    """Raise ``InvalidInputError`` for what cannot be a server's name."""
    rules.check_name(name, "an MCP server", _RESERVED)


def check_url(text: str) -> str:
    """The address as it is kept; raises ``InvalidInputError``, whose sentence repeats nothing of it."""
    return rules.url(text, "the URL")


def check_value(name: str, value: str, *, header: bool) -> None:
    """Raise ``InvalidInputError`` for a variable or a header that cannot be set; the sentence never holds its value."""
    if header:
        if name.lower() in ("authorization", "proxy-authorization"):
            # The one header that is always a secret, and a settings file is no place for one.
            if reference(value) is None:
                raise InvalidInputError(
                    f"the value of the header {name} must be a reference, as Bearer keyring:NAME or Bearer env:VAR"
                )
        else:
            rules.check_header(name, value)
    elif not _VARIABLE.fullmatch(name):
        raise InvalidInputError(f"{name!r} is no name of an environment variable")
    elif "\x00" in value:
        raise InvalidInputError(f"the value of {name} holds a null byte, which no variable can")


def check_pattern(pattern: str) -> None:
    """Raise ``InvalidInputError`` for what no tool's name could ever fit."""
    if not _PATTERN.fullmatch(pattern):
        raise InvalidInputError(f"{pattern!r} is no pattern for the names of tools, as read_* is")


def of_tables(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, McpServer]:
    """The servers of checked tables."""
    return {name: _server(name, table) for name, table in tables.items()}


def _server(name: str, table: Mapping[str, Any]) -> McpServer:
    fields = dict(table)
    for key in ("command", "allow"):
        if key in fields:
            fields[key] = tuple(fields[key])
    if "cwd" in fields:
        fields["cwd"] = files.expanded(fields["cwd"])
    return McpServer(name=name, **fields)
