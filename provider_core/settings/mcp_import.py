"""MCP servers from other clients' files, as ``[mcp.NAME]`` tables.

Claude, Cursor, Windsurf, Cline, Gemini CLI and LM Studio have them under ``mcpServers``, VS Code under ``servers``,
Zed under ``context_servers``, opencode under ``mcp``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provider_core.errors import InvalidInputError
from provider_core.settings.mcp import validate_name
from provider_core.settings.validators import find_secret, is_harmless, parse_reference
from provider_core.structs import Struct, field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider_core.types import Json


class PlainSecret(Struct):
    """A secret that the file contains in plain text, and the text before it, such as "Bearer "."""

    value: str = field(repr=False)
    before: str = ""


class ImportedServer(Struct):
    """One server of a file."""

    name: str
    """Its name in telex."""
    original_name: str
    """Its name in the file."""
    table: Mapping[str, Any] = field(default_factory=dict)
    """The fields of ``[mcp.NAME]``, without the variables and headers in ``secrets``."""
    secrets: Mapping[str, PlainSecret] = field(default_factory=dict)
    """By the names of their variables or headers."""
    notes: tuple[str, ...] = ()
    """Notes about omitted or changed settings."""
    skip_reason: str = ""
    """Why it cannot be imported; "table" is then empty."""


class _SkippedServer(Exception):  # noqa: N818 - the reason why one server is skipped
    pass


_HTTP = ("http", "streamable-http", "streamablehttp", "remote")
_URLS = ("url", "serverUrl", "httpUrl")
_RENAMED = {"environment": "env", "transportType": "transport"}
"""opencode's and Cline's names of fields."""

_KNOWN = {"type", "transport", "command", "args", "env", "headers", "cwd", "disabled", "enabled", *_URLS}
_APPROVAL = "choose yourself which tools run without asking (allow)"
_SIGN_IN = "telex cannot sign in; send a token in a header, such as Authorization: Bearer keyring:NAME"
_TOOLS = "telex offers all tools of a server; allow and --allow choose which ones run without asking"
_REASONS = {
    **dict.fromkeys(("alwaysAllow", "autoApprove", "trust"), _APPROVAL),
    **dict.fromkeys(("oauth", "auth", "authProviderType"), _SIGN_IN),
    **dict.fromkeys(("includeTools", "excludeTools", "tools", "disabledTools"), _TOOLS),
    "timeout": "clients disagree on its unit; set call_timeout in seconds",
    "envFile": "telex does not read it; set its variables one by one",
}
"""Why telex omits a field."""

_PLACEHOLDER = re.compile(r"\$\{([^{}]*)\}")
_WHOLE = re.compile(
    r"(?P<before>[A-Za-z][A-Za-z-]* )?\$\{(?:(?P<kind>env|input):)?(?P<name>[\w.-]+)(?P<default>:-[^{}]*)?\}"
)
_SCHEME = re.compile(r"(?P<before>(?:Bearer|Basic|Token) )?(?P<value>.*)", re.IGNORECASE | re.DOTALL)
_HOME = re.compile(r"\$\{(?:userHome|HOME|env:HOME)\}")
_COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_LAST_COMMA = re.compile(r'"(?:[^"\\]|\\.)*"|,(?=\s*[\]}])', re.DOTALL)


def read(text: str) -> tuple[ImportedServer, ...]:
    """The servers in a file's text, which may have comments and trailing commas; raises ``InvalidInputError``."""
    bare = _COMMENT.sub(lambda hit: hit[0] if hit[0].startswith('"') else " ", text.removeprefix("\ufeff"))
    bare = _LAST_COMMA.sub(lambda hit: hit[0] if hit[0].startswith('"') else "", bare)
    try:
        data = json.loads(bare)
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidInputError("it contains text that is not valid Unicode") from None
    except json.JSONDecodeError as error:
        raise InvalidInputError(f"line {error.lineno} is not valid JSON: {error.msg}") from None
    except RecursionError:
        raise InvalidInputError("it is nested too deeply") from None
    servers = _servers(data)
    if not servers:
        raise InvalidInputError(
            "it has no MCP servers; telex looks for them under mcpServers, servers, context_servers and mcp"
        )
    found: list[ImportedServer] = []
    for original, entry in servers.items():
        name = re.sub(r"[^A-Za-z0-9]+", "-", original).strip("-")[:64].strip("-")
        try:
            if name in {server.name for server in found}:
                raise _SkippedServer(f"its name would be {name}, which another server of the file has")
            found.append(_server(name, original, entry))
        except (_SkippedServer, InvalidInputError) as reason:
            name = name or original
            found.append(ImportedServer(name=name, original_name=original, skip_reason=str(reason)))
    return tuple(found)


def _servers(data: Json) -> dict[str, Json]:
    """The entries of all places where clients have servers; the first one of a name is used."""
    if not isinstance(data, dict):
        return {}
    mcp = data.get("mcp")
    mcp = mcp if isinstance(mcp, dict) else {}
    places = [data.get("mcpServers"), data.get("servers"), data.get("context_servers")]
    # In VS Code's settings, "mcp" contains "servers" and "inputs"; in opencode's, the servers themselves.
    own = {name: entry for name, entry in mcp.items() if isinstance(entry, dict) and name != "servers"}
    places += [mcp.get("servers"), own]
    found: dict[str, Json] = {}
    for place in places:
        if isinstance(place, dict):
            found = {**place, **found}
    return found


def _server(name: str, original: str, entry: Json) -> ImportedServer:
    validate_name(name or original)
    if not isinstance(entry, dict):
        raise _SkippedServer("it is not an object")
    entry = _normalized(entry)
    notes = [f"its name here is {name}"] if name != original else []
    url = next((entry[key] for key in _URLS if isinstance(entry.get(key), str)), None)
    kind = str(entry.get("type") or entry.get("transport") or ("http" if url else "stdio")).lower()
    secrets: dict[str, PlainSecret] = {}
    if kind == "sse" or (url is not None and url.partition("?")[0].rstrip("/").endswith("/sse")):
        raise _SkippedServer(
            "it uses the protocol's older HTTP transport (sse), which telex does not support; look for an http address"
        )
    if kind in _HTTP and url is not None:
        headers = _values(name, entry.get("headers"), secrets, notes)
        table: dict[str, Any] = {"url": _expanded(url, "address"), "headers": headers}
    elif kind in ("stdio", "local") and entry.get("command"):
        env = _values(name, entry.get("env"), secrets, notes)
        table = {"command": _command(entry), "env": env}
        if isinstance(entry.get("cwd"), str):
            table["cwd"] = _expanded(entry["cwd"], "folder")
    elif kind in ("stdio", *_HTTP):
        raise _SkippedServer("it has neither a command nor a url")
    else:
        raise _SkippedServer(f"its type is {kind}")
    if entry.get("disabled") is True or entry.get("enabled") is False:
        table["enabled"] = False
        notes.append("it is disabled, as in the file")
    omitted: dict[str, list[str]] = {}
    for key in sorted(entry.keys() - _KNOWN):
        omitted.setdefault(_REASONS.get(key, "telex has no such setting"), []).append(key)
    notes += [f"{', '.join(keys)}: omitted, {reason}" for reason, keys in omitted.items()]
    table = {key: value for key, value in table.items() if value != {}}
    return ImportedServer(name=name, original_name=original, table=table, secrets=secrets, notes=tuple(notes))


def _normalized(entry: Mapping[str, Json]) -> dict[str, Json]:
    """The fields under the names that most clients have for them."""
    made = {_RENAMED.get(key, key): value for key, value in entry.items() if value is not None}
    inner = made.get("command")
    if isinstance(inner, dict) and inner.get("path"):  # Zed
        made |= {"command": inner["path"], **{key: inner[key] for key in ("args", "env") if key in inner}}
    return made


def _command(entry: Mapping[str, Json]) -> list[str]:
    command, arguments = entry["command"], entry.get("args") or []
    words = list(command) if isinstance(command, list) else [command]
    if not isinstance(arguments, list) or not all(
        isinstance(word, str | int | float) for word in (*words, *arguments)
    ):
        raise _SkippedServer("its command or its args are not strings")
    whole = [str(word) for word in (*words, *arguments)]
    # A placeholder hides the secret, and leaves its option.
    where = find_secret(
        [re.sub(r"^(-[^=]*=)?.*\$\{[^{}]*\}.*", r"\1", word, flags=re.DOTALL) for word in whole]
    )
    if where is not None:
        raise _SkippedServer(
            f"its arguments contain what looks like a secret{' ' if where else ''}{where}, and everyone on the machine "
            "can read arguments; if it must be so, add it by hand"
        )
    own = entry.get("env")
    return [_expanded(word, "arguments", own if isinstance(own, dict) else {}) for word in whole]


def _values(name: str, values: Json, secrets: dict[str, PlainSecret], notes: list[str]) -> dict[str, str]:
    """Variables or headers, with references as telex writes them; plain secrets go to ``secrets``."""
    found: dict[str, str] = {}
    if values is None:
        return found
    if not isinstance(values, dict):
        raise _SkippedServer("its env or its headers are not objects")
    for variable, value in values.items():
        if value is None:
            continue
        if not isinstance(value, str | int | float):
            raise _SkippedServer(f"its {variable} is not text")
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if parse_reference(text) is not None:
            raise _SkippedServer(
                f"its {variable} is {text!r}, which only telex reads as a secret's name: add it by hand"
            )
        whole = _WHOLE.fullmatch(text)
        if whole is not None and not _HOME.fullmatch(text):
            source = f"keyring:{name}." if whole["kind"] == "input" else "env:"
            found[variable] = f"{whole['before'] or ''}{source}{whole['name']}"
            if whole["default"] and whole["kind"] != "input":
                notes.append(f"the default of {variable} is omitted")
        elif is_harmless(variable, text) and variable.lower() not in ("authorization", "proxy-authorization"):
            found[variable] = _expanded(text, variable)
        elif _PLACEHOLDER.search(text):
            raise _SkippedServer(f"its {variable} is more than one placeholder")
        else:
            parts = _SCHEME.fullmatch(text)
            before = (parts["before"] or "") if parts else ""
            secrets[variable] = PlainSecret(value=text.removeprefix(before).strip(), before=before)
    return found


def _expanded(text: str, where: str, own: Mapping[str, Json] | None = None) -> str:
    """``text`` with the home folder; raises ``_SkippedServer`` for placeholders that only the client knows."""
    text = _HOME.sub(lambda _: str(Path.home()), text)
    for hit in _PLACEHOLDER.finditer(text):
        if own is None or hit[1] not in own:  # some servers fill in their own variables themselves
            shown = f"${{{hit[1].partition(':-')[0]}}}"  # a default may be a secret
            raise _SkippedServer(f"only that client can fill in {shown} in its {where}")
    return text
