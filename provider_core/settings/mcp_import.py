"""MCP servers as other clients' files have them, turned into tables of ours; nothing is written, stored or asked here.

The files of Claude, Cursor, Windsurf, Cline, Gemini CLI and LM Studio have them under ``mcpServers``, those of VS Code
under ``servers``, of Zed under ``context_servers``, of opencode under ``mcp``, of Goose under ``extensions``.
"""

from __future__ import annotations

import contextlib
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

__all__ = ["ImportedServer", "PlainSecret", "read"]


class PlainSecret(Struct):
    """A secret that the file has in plain, and what goes before it, as "Bearer "."""

    value: str = field(repr=False)
    before: str = ""


class ImportedServer(Struct):
    """One server of a file. ``name`` is what it may be called here, ``called`` what the file calls it.

    ``table`` are the fields of ``[mcp.NAME]``, but for the variables and headers of ``secrets``; it is empty
    for a server that cannot be taken, and ``left`` says why. ``notes`` say what of a server is left or other.
    """

    name: str
    called: str
    table: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, PlainSecret] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    left: str = ""


class _Left(Exception):  # noqa: N818 - no error: the reason why one server is not taken
    pass


_HTTP = frozenset(("http", "streamable-http", "streamablehttp", "streamable_http", "remote"))
_URLS = ("url", "serverUrl", "httpUrl", "uri")
_KNOWN = frozenset(
    ("type", "transport", "command", "args", "env", "headers", "cwd", "disabled", "enabled", *_URLS)
)
_ALIASES = {
    "cmd": "command",
    "environment": "env",
    "envs": "env",
    "http_headers": "headers",
    "workingDirectory": "cwd",
    "working_directory": "cwd",
    "isActive": "enabled",
    "transportType": "transport",
}
"""Other clients' names of fields: Goose's, opencode's, Codex's, Cherry Studio's, Cline's."""

_CALL_TIMEOUTS = ("timeout", "call_timeout", "tool_timeout_sec", "toolTimeout")
_START_TIMEOUTS = (
    "startup_timeout_sec",
    "initTimeout",
    "startupTimeout",
    "connectTimeout",
    "connectionTimeout",
)
_LONGEST_MS = 1e9
_LEAST_MS = 1000
"""A number from here on is milliseconds, as most clients have it; below, seconds, as Cline, Roo Code and Goose."""

_NO_SIGN_IN = (
    "telex does not sign in by itself; give a token by a header, as Authorization: Bearer keyring:NAME"
)
_ALL_TOOLS = "telex offers all tools of a server; allow and --allow say which ones run without asking"
_REASONS = {
    **dict.fromkeys(
        ("alwaysAllow", "autoApprove", "trust", "alwaysAllowReadOnly", "auto_approve", "autoApproveTools"),
        "say yourself what may run without asking (allow)",
    ),
    "envFile": "telex does not read it; its variables have to be set one by one",
    **dict.fromkeys(("oauth", "auth", "authProviderType", "authorization", "oauth_resource"), _NO_SIGN_IN),
    **dict.fromkeys(
        ("includeTools", "excludeTools", "tools", "enabled_tools", "disabled_tools", "allowedTools", "disabledTools",
         "available_tools"),
        _ALL_TOOLS,
    ),
    "env_keys": "set each with --env NAME=keyring:NAME or env:NAME",
}  # fmt: skip

_PLACEHOLDER = re.compile(r"\$\{([^{}]*)\}")
_WHOLE = re.compile(
    r"(?P<before>[A-Za-z][A-Za-z-]* )?\$\{(?:(?P<kind>env|input):)?(?P<name>[\w.-]+)(?P<default>:-[^{}]*)?\}"
)
_SCHEME = re.compile(r"(?P<before>(?:Bearer|Basic|Token) )?(?P<value>.*)", re.IGNORECASE | re.DOTALL)
_HOME = re.compile(r"\$\{(?:userHome|HOME|env:HOME)\}")
_COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_LAST_COMMA = re.compile(r'"(?:[^"\\]|\\.)*"|,(?=\s*[\]}])', re.DOTALL)


def read(text: str) -> tuple[ImportedServer, ...]:
    """The servers in the text of a file, comments and last commas allowed; raises ``InvalidInputError``."""
    bare = _COMMENT.sub(lambda hit: hit[0] if hit[0].startswith('"') else " ", text.removeprefix("\ufeff"))
    bare = _LAST_COMMA.sub(lambda hit: hit[0] if hit[0].startswith('"') else "", bare)
    try:
        data = json.loads(bare)
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidInputError("it has half a character, which no file of ours could hold") from None
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
    for called, entry in servers.items():
        name = re.sub(r"[^A-Za-z0-9]+", "-", called).strip("-")[:64].strip("-")
        try:
            if name in {other.name for other in found}:
                raise _Left(f"{name} would be its name, and another server's as well")
            found.append(_found(name, called, entry))
        except _Left as reason:
            found.append(ImportedServer(name=name or called, called=called, left=str(reason)))
        except InvalidInputError as error:
            found.append(ImportedServer(name=name or called, called=called, left=error.message))
    return tuple(found)


def _servers(data: Json) -> dict[str, Json]:
    found: dict[str, Json] = {}
    if isinstance(data, dict):
        inner = data.get("mcp")
        places = [
            data.get("mcpServers"),
            data.get("amp.mcpServers"),
            data.get("servers"),
            data.get("context_servers"),
        ]
        if isinstance(inner, dict):
            places += [inner.get("servers"), inner.get("mcpServers")]
            # opencode has servers right under mcp.
            places.append({name: entry for name, entry in inner.items() if _is_server(entry)})
        if isinstance(goose := data.get("extensions"), dict):
            places.append({name: entry for name, entry in goose.items() if _is_server(entry)})
        for place in places:
            if isinstance(place, list):  # Continue's have their names inside
                named = [each for each in place if isinstance(each, dict) and each.get("name")]
                found = {**{str(each["name"]): each for each in named}, **found}
            elif isinstance(place, dict):
                found = {**place, **found}
    return found


def _is_server(entry: Json) -> bool:
    return isinstance(entry, dict) and any(key in entry for key in ("command", "cmd", *_URLS))


def _common(entry: Mapping[str, Json], notes: list[str]) -> dict[str, Json]:
    """The fields under the names that most clients have for them."""
    made = {_ALIASES.get(key, key): value for key, value in entry.items() if value is not None}
    inner = made.get("command")
    if isinstance(inner, dict) and inner.get("path"):  # Zed
        made |= {"command": inner["path"], **{key: inner[key] for key in ("args", "env") if key in inner}}
    if isinstance(made.get("requestOptions"), dict):  # Continue
        made.setdefault("headers", made.pop("requestOptions").get("headers"))
    token = made.pop("bearer_token_env_var", None)  # Codex
    if isinstance(token, str) and re.fullmatch(r"\w+", token):
        headers = made.get("headers")
        bearer = {"Authorization": f"Bearer ${{env:{token}}}"}
        made["headers"] = {**(headers if isinstance(headers, dict) else {}), **bearer}
    for keys, ours in ((_CALL_TIMEOUTS, "call_timeout"), (_START_TIMEOUTS, "start_timeout")):
        for key in keys:
            if key in made:
                seconds = _seconds(key, made.pop(key), ours, notes)
                if seconds is not None:
                    made.setdefault(f" {ours}", seconds)
    return made


def _seconds(key: str, value: Json, ours: str, notes: list[str]) -> float | None:
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _LONGEST_MS:
        notes.append(f"{key}: left out, it is not a number of seconds or milliseconds")
        return None
    in_ms = value >= _LEAST_MS and not key.endswith("_sec")
    seconds = value / 1000 if in_ms else float(value)
    notes.append(f"{key}: {value:g} {'ms' if in_ms else 's'} becomes {ours} = {seconds:g}")
    return seconds


def _found(name: str, called: str, entry: Json) -> ImportedServer:
    validate_name(name or called)
    if not isinstance(entry, dict):
        raise _Left("it is not an object")
    notes = [f"it is called {name} here"] if name != called else []
    entry = _common(entry, notes)
    url = next((entry[key] for key in _URLS if isinstance(entry.get(key), str)), None)
    kind = str(entry.get("type") or entry.get("transport") or ("http" if url else "stdio")).lower()
    secrets: dict[str, PlainSecret] = {}
    if kind == "sse" or (url is not None and url.partition("?")[0].rstrip("/").endswith("/sse")):
        raise _Left(
            "it speaks the protocol's older HTTP (sse), which telex does not; see if it has an address for http"
        )
    if kind in _HTTP and url is not None:
        headers = _values(name, entry.get("headers"), secrets, notes)
        table: dict[str, Any] = {"url": _expanded(url, "address"), "headers": headers}
    elif kind in ("stdio", "local") and entry.get("command"):
        env = _values(name, entry.get("env"), secrets, notes)
        table = {"command": _command(entry, notes), "env": env}
        if isinstance(entry.get("cwd"), str):
            table["cwd"] = _expanded(entry["cwd"], "folder")
    else:
        raise _Left(
            "it has neither a command nor a url" if kind in ("stdio", *_HTTP) else f"it is of type {kind}"
        )
    if entry.get("disabled") is True or entry.get("enabled") is False:
        table["enabled"] = False
        notes.append("it is switched off, as it is there")
    for ours in ("call_timeout", "start_timeout"):
        if (seconds := entry.pop(f" {ours}", None)) is not None:
            table[ours] = seconds
    notes += _unknown(entry, taken={"name"} if entry.get("name") == called else set())
    table = {key: value for key, value in table.items() if value not in ({}, None)}
    return ImportedServer(name=name, called=called, table=table, secrets=secrets, notes=tuple(notes))


def _unknown(entry: Mapping[str, Json], taken: set[str]) -> list[str]:
    """What is left out of a server, by the reason."""
    by_reason: dict[str, list[str]] = {}
    for key in sorted(set(entry) - _KNOWN - taken):
        by_reason.setdefault(_REASONS.get(key, "telex has no such setting"), []).append(key)
    return [f"{', '.join(keys)}: left out, {reason}" for reason, keys in by_reason.items()]


def _command(entry: Mapping[str, Json], notes: list[str]) -> list[str]:
    command, arguments = entry["command"], entry.get("args") or []
    words = list(command) if isinstance(command, list) else [command]
    if not isinstance(arguments, list) or not all(
        isinstance(word, str | int | float) for word in (*words, *arguments)
    ):
        raise _Left("its command or its args are not strings")
    if len(words) == 1 and not arguments and " " in str(command) and not Path(str(command)).exists():
        import shlex

        try:
            words = shlex.split(str(command))
        except ValueError:
            raise _Left("its command cannot be read as one") from None
        notes.append("its command is taken apart at the blanks")
    whole = [str(word) for word in (*words, *arguments)]
    _check_arguments(whole)
    own = entry.get("env")
    return [_expanded(word, "arguments", own if isinstance(own, dict) else {}) for word in whole]


def _check_arguments(words: list[str]) -> None:
    """Arguments can be read by everyone on the machine: a secret among them is not taken over in silence."""
    bare = [
        word
        if not _PLACEHOLDER.search(word)
        else f"{word.partition('=')[0]}="
        if word.startswith("-")
        else ""
        for word in words
    ]
    where = find_secret(bare)
    if where is not None:
        raise _Left(
            f"its arguments hold what looks like a secret{' ' if where else ''}{where}, and everyone on the machine "
            "can read arguments; if it must be so, add it by hand"
        )


def _values(name: str, values: Json, secrets: dict[str, PlainSecret], notes: list[str]) -> dict[str, str]:
    """Variables or headers: references as ours, plain secrets set apart, all else as it is."""
    found: dict[str, str] = {}
    if values is None:
        return found
    if not isinstance(values, dict):
        raise _Left("its env or its headers are not objects")
    for variable, value in values.items():
        if value is None:
            continue
        if not isinstance(value, str | int | float):
            raise _Left(f"its {variable} is not text")
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if parse_reference(text) is not None:
            raise _Left(f"its {variable} is {text!r}, which only telex takes for a secret: add it by hand")
        whole = _WHOLE.fullmatch(text)
        if whole is not None and not _HOME.fullmatch(text):
            found[variable] = _referred(name, whole, variable, notes)
        elif is_harmless(variable, text) and variable.lower() not in ("authorization", "proxy-authorization"):
            found[variable] = _expanded(text, variable)
        elif _PLACEHOLDER.search(text):
            raise _Left(f"its {variable} is more than one placeholder")
        else:
            parts = _SCHEME.fullmatch(text)
            before = (parts["before"] or "") if parts else ""
            secrets[variable] = PlainSecret(value=text.removeprefix(before).strip(), before=before)
    return found


def _referred(name: str, whole: re.Match[str], variable: str, notes: list[str]) -> str:
    if whole["kind"] == "input":
        return f"{whole['before'] or ''}keyring:{name}.{whole['name']}"
    if whole["default"]:
        notes.append(f"{variable} has a default, which is left")
    return f"{whole['before'] or ''}env:{whole['name']}"


def _expanded(text: str, where: str, own: Mapping[str, Json] | None = None) -> str:
    """``text`` with the home folder in its place; raises for what only the other client could fill in."""
    text = _HOME.sub(lambda _: str(Path.home()), text)
    for hit in _PLACEHOLDER.finditer(text):
        if own is None or hit[1] not in own:  # some servers fill in their own variables themselves
            shown = f"${{{hit[1].partition(':-')[0]}}}"  # a default may be a secret
            raise _Left(f"{shown} in its {where} is for that client alone to fill in")
    return text
