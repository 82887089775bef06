"""MCP servers as other clients' files have them, turned into tables of ours; nothing is written, stored or asked here.

The files of Claude, Cursor and Windsurf have them under ``mcpServers``, those of VS Code under ``servers``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provider_core.errors import InvalidInputError
from provider_core.settings.mcp import check_name
from provider_core.settings.secrets import harmless, in_the_open, reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider_core.types import Json

__all__ = ["Found", "Plain", "read"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """A secret that the file has in plain, and what goes before it, as "Bearer "."""

    value: str = field(repr=False)
    before: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One server of a file. ``name`` is what it may be called here, ``called`` what the file calls it.

    ``table`` are the fields of ``[mcp.NAME]``, but for the variables and headers of ``secrets``; it is empty
    for a server that cannot be taken, and ``left`` says why. ``notes`` say what of a server is left or other.
    """

    name: str
    called: str
    table: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, Plain] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    left: str = ""


class _Left(Exception):  # noqa: N818 - no error: the reason why one server is not taken
    pass


_HTTP = frozenset(("http", "streamable-http", "streamablehttp", "streamable_http"))
_URLS = ("url", "serverUrl", "httpUrl")
_KNOWN = frozenset(
    ("type", "transport", "command", "args", "env", "headers", "cwd", "disabled", "enabled", *_URLS)
)
_PERMISSIONS = frozenset(("alwaysAllow", "autoApprove", "trust", "alwaysAllowReadOnly"))

_PLACEHOLDER = re.compile(r"\$\{([^{}]*)\}")
_WHOLE = re.compile(
    r"(?P<before>[A-Za-z][A-Za-z-]* )?\$\{(?:(?P<kind>env|input):)?(?P<name>[\w.-]+)(?P<default>:-[^{}]*)?\}"
)
_SCHEME = re.compile(r"(?P<before>(?:Bearer|Basic|Token) )?(?P<value>.*)", re.IGNORECASE | re.DOTALL)
_HOME = re.compile(r"\$\{(?:userHome|HOME|env:HOME)\}")
_COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_LAST_COMMA = re.compile(r'"(?:[^"\\]|\\.)*"|,(?=\s*[\]}])', re.DOTALL)


def read(text: str) -> tuple[Found, ...]:
    """The servers in the text of a file, comments and last commas allowed; raises ``InvalidInputError``."""
    bare = _COMMENT.sub(lambda hit: hit[0] if hit[0].startswith('"') else " ", text.removeprefix("\ufeff"))
    bare = _LAST_COMMA.sub(lambda hit: hit[0] if hit[0].startswith('"') else "", bare)
    try:
        data = json.loads(bare)
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidInputError("it has half a character, which no file of ours could hold") from None
    except json.JSONDecodeError as error:
        raise InvalidInputError(f"line {error.lineno} is no JSON: {error.msg}") from None
    except RecursionError:
        raise InvalidInputError("it is nested too deeply") from None
    servers = _servers(data)
    if not servers:
        raise InvalidInputError(
            "it holds no MCP servers, which stand under mcpServers, or servers in VS Code's files"
        )
    found: list[Found] = []
    for called, entry in servers.items():
        name = re.sub(r"[^A-Za-z0-9]+", "-", called).strip("-")[:64].strip("-")
        try:
            if name in {other.name for other in found}:
                raise _Left(f"{name} would be its name, and another server's as well")
            found.append(_found(name, called, entry))
        except _Left as reason:
            found.append(Found(name=name or called, called=called, left=str(reason)))
        except InvalidInputError as error:
            found.append(Found(name=name or called, called=called, left=error.message))
    return tuple(found)


def _servers(data: Json) -> dict[str, Json]:
    found: dict[str, Json] = {}
    if isinstance(data, dict):
        inner = data.get("mcp")
        places = (
            data.get("mcpServers"),
            data.get("servers"),
            inner.get("servers") if isinstance(inner, dict) else None,
        )
        for place in places:
            if isinstance(place, dict):
                found = {**place, **found}
    return found


def _found(name: str, called: str, entry: Json) -> Found:
    check_name(name or called)
    if not isinstance(entry, dict):
        raise _Left("it is no object")
    notes = [f"it is called {name} here"] if name != called else []
    url = next((entry[key] for key in _URLS if isinstance(entry.get(key), str)), None)
    kind = str(entry.get("type") or entry.get("transport") or ("http" if url else "stdio")).lower()
    secrets: dict[str, Plain] = {}
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
    notes += _unknown(entry)
    table = {key: value for key, value in table.items() if value not in ({}, None)}
    return Found(name=name, called=called, table=table, secrets=secrets, notes=tuple(notes))


def _unknown(entry: Mapping[str, Json]) -> list[str]:
    notes = []
    if permissions := sorted(_PERMISSIONS & set(entry)):
        notes.append(f"{', '.join(permissions)}: left, say yourself what may run without asking (allow)")
    if "envFile" in entry:
        notes.append("envFile: left, telex does not read it; its variables have to be set one by one")
    if others := sorted(set(entry) - _KNOWN - _PERMISSIONS - {"envFile"}):
        notes.append(f"{', '.join(others)}: left, telex has no such setting")
    return notes


def _command(entry: Mapping[str, Json], notes: list[str]) -> list[str]:
    command, arguments = entry["command"], entry.get("args") or []
    words = list(command) if isinstance(command, list) else [command]
    if not isinstance(arguments, list) or not all(
        isinstance(word, str | int | float) for word in (*words, *arguments)
    ):
        raise _Left("its command or its args are no words")
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
    where = in_the_open(bare)
    if where is not None:
        raise _Left(
            f"its arguments hold what looks like a secret{' ' if where else ''}{where}, and everyone on the machine "
            "can read arguments; if it must be so, add it by hand"
        )


def _values(name: str, values: Json, secrets: dict[str, Plain], notes: list[str]) -> dict[str, str]:
    """Variables or headers: references as ours, plain secrets set apart, all else as it is."""
    found: dict[str, str] = {}
    if values is None:
        return found
    if not isinstance(values, dict):
        raise _Left("its env or its headers are no object")
    for variable, value in values.items():
        if value is None:
            continue
        if not isinstance(value, str | int | float):
            raise _Left(f"its {variable} is no text")
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if reference(text) is not None:
            raise _Left(f"its {variable} is {text!r}, which only telex takes for a secret: add it by hand")
        whole = _WHOLE.fullmatch(text)
        if whole is not None and not _HOME.fullmatch(text):
            found[variable] = _referred(name, whole, variable, notes)
        elif harmless(variable, text) and variable.lower() not in ("authorization", "proxy-authorization"):
            found[variable] = _expanded(text, variable)
        elif _PLACEHOLDER.search(text):
            raise _Left(f"its {variable} is more than one placeholder")
        else:
            parts = _SCHEME.fullmatch(text)
            before = (parts["before"] or "") if parts else ""
            secrets[variable] = Plain(value=text.removeprefix(before).strip(), before=before)
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
            raise _Left(f"{hit[0]} in its {where} is for that client alone to fill in")
    return text
