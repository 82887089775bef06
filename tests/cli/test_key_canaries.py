"""Secrets of ten kinds, servers that repeat them in fifteen ways, ten formats: no secret is shown or saved anywhere."""

from __future__ import annotations

import base64
import itertools
import json
import tempfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from inprocess import Inside
from scripted import Answer, Asked, answer, delta, sse
from servers import CHAT, in_json

from provider_core import keys
from provider_core.keys import MemoryStore
from provider_core.types import Provider

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from scripted import Scripted

KEY = "sk-canary/0123456789+abcdefghijklmnop"


def coded(text: str) -> tuple[str, ...]:
    """The key as a server might repeat it; the ends of base64 depend on what stands beside it."""
    raw = text.encode()
    return (text, text[:-4], base64.b64encode(raw).decode()[:44], raw.hex(), text.replace("/", "\\/"))


CANARIES = tuple(form.encode() for form in (*coded(KEY), KEY.replace("/", "%2F").replace("+", "%2B")))


def sings(raw: bytes) -> bool:
    return any(form in raw for form in CANARIES) or KEY.encode().hex().upper().encode() in raw


# --- sources -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """Fields of ``[providers.lab]``, other tables, and the environment that has the key."""

    fields: dict[str, str] = field(default_factory=lambda: {"key": '"none"'})
    env: Mapping[str, str] = field(default_factory=dict)
    more: str = ""


GW = {"key": '"none"'}
SOURCES = {
    "telex variable": Source({"key_env": '"TELEX_LAB_KEY"'}, {"TELEX_LAB_KEY": KEY}),
    "variable": Source({"key_env": '"LAB_KEY"'}, {"LAB_KEY": KEY}),
    "command": Source({"key_command": '"cat {outside}/key"'}),
    "keyring": Source({"key": '"keyring"'}),
    "preset variable": Source({"preset": '"lmstudio"'}, {"LM_API_TOKEN": KEY}),
    "header variable": Source({**GW, "headers": '{X-Gw = "env:GW"}'}, {"GW": KEY}),
    "header keyring": Source({**GW, "headers": '{X-Gw-Key = "Token keyring:gw"}'}),
    "proxy password": Source(env={"http_proxy": f"http://me:{KEY}@127.0.0.1:1"}),
    "mcp": Source(
        env={"MCP_SECRET": KEY},
        more='[mcp.a]\ncommand = ["true"]\nenv = {TOKEN = "env:MCP_SECRET"}\n'
        '[mcp.b]\nurl = "{server}/mcp"\nheaders = {Authorization = "Bearer env:MCP_SECRET"}\n',
    ),
    "variable of the settings": Source(
        env={"TELEX_PROVIDERS": json.dumps({"lab": {"proxy": f"http://me:{KEY}@proxy.invalid:1"}})}
    ),
}


# --- what servers do ---------------------------------------------------------------------------------------


def echo(asked: Asked) -> Answer:
    """Repeat every secret of the request in the way that the prompt names."""
    found = [asked.headers[name] for name in ("authorization", "x-gw", "x-gw-key") if name in asked.headers]
    key = found[0].rpartition(" ")[2] if found else "nothing-to-repeat"
    if asked.method == "GET":
        entry = {"id": "m", "name": f"Model for {key}", "owned_by": key, "description": key}
        return in_json({"object": key, "data": [entry, {"id": f"{key}-model"}], "key": key})
    error: Any = {
        "error": {"message": f"wrong: {key}. {' '.join(found)}", "code": key, "type": key, "param": key}
    }
    if "jsonrpc" in asked.body:
        return in_json(error, 401)
    way = asked.body["messages"][-1]["content"]
    match way:
        case "400" | "401" | "403" | "404" | "429" | "500":
            return in_json(error, int(way))
        case "base64" | "hex" | "json":
            form = {"base64": base64.b64encode(f"user:{key}".encode()).decode(), "hex": key.encode().hex()}
            return in_json({"detail": form.get(way, json.dumps({"key": key}))}, 401)
        case "html":
            page = f"<html><title>{key}</title>{key}</html>".encode()
            return Answer([page], status=502, headers={"content-type": "text/html", "x-key": key})
        case "text":
            return Answer([f"your key {key}".encode()], headers={"content-type": f"text/{key}"})
        case "redirect":
            return Answer([], status=302, headers={"location": f"https://{key[:9]}.invalid/{key}?key={key}"})
        case "stream":
            return Answer([*sse(delta("so ")), *sse(error)])
        case "names":
            return Answer([*sse({**delta("Hello"), "model": key, "id": key}), *answer(finish=key)])
        case _:
            return Answer(CHAT)


WAYS = ("400", "401", "403", "404", "429", "500", "base64", "hex", "json", "html", "text", "redirect", "stream",
        "names", "fine")  # fmt: skip
FORMATS: tuple[tuple[str, ...], ...] = (
    (), ("--json",), ("--jsonl",), ("--no-stream",), ("-v",), ("-vv",), ("--dry-run",), ("--usage", "--plain"),
    ("-m", "lab/n"), ("-m", "lab/n", "--json"),
)  # fmt: skip

LATER: tuple[tuple[str, ...], ...] = (
    ("doctor",), ("doctor", "--json"), ("providers", "list", "--check-keys"), ("providers", "list", "--json"),
    ("providers", "show", "lab"), ("providers", "show", "lab", "--json"), ("providers", "export"),
    ("providers", "test", "lab", "--json"), ("models", "list", "--refresh"), ("models", "list", "--json"),
    ("chat", "--no-stdin", "-m", "lab/m", "--tools", "all", "-vv", "fine"),
    ("mcp", "list"), ("mcp", "list", "--json"), ("mcp", "test", "a", "--json"), ("mcp", "test", "b"),
    ("history", "list", "--json"), ("history", "export", "--all", "--format", "jsonl"),
    ("providers", "edit", "lab", "--display-name", "x"), ("chat", "-m", "nobody/x", "hi"),
)  # fmt: skip
"""What shows all that was set up and saved, once the chats are over."""


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user has the key; temporary files are in the home, where they are looked for."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "key").write_text(KEY)
    (tmp_path / "home" / "tmp").mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "home" / "tmp"))
    return tmp_path / "outside"


@pytest.mark.parametrize("name", SOURCES)
def test_no_secret_is_shown_or_saved(name: str, tmp_path: Path, outside: Path, server: Scripted) -> None:
    server.will(echo)
    source = SOURCES[name]
    telex = Inside(tmp_path / "home", MemoryStore())
    telex.store.set("lab", keys.seal_for(Provider(name="lab", base_url=server.url), KEY))
    telex.store.set("secret:gw", keys.seal_for(Provider(name="lab", base_url=server.url), KEY))
    rows = {"base_url": f'"{server.url}"', "retries": "0", "models": '["m", "n"]', **source.fields}
    text = "".join(f"{row} = {value}\n" for row, value in rows.items()).replace("{outside}", str(outside))
    telex.configure(f"[providers.lab]\n{text}{source.more.replace('{server}', server.url)}")
    shown: dict[tuple[str, ...], str] = {}
    for way, form in itertools.product(WAYS, FORMATS):
        arguments = ("chat", "--no-stdin", "-m", "lab/m", *form, way)
        ran = telex(*arguments, env=source.env)
        assert ran.code in (0, 1, 3, 4, 5, 6), (arguments, ran.err)
        shown[arguments] = ran.text + ran.err
    for arguments in LATER:
        ran = telex(*arguments, env=source.env)
        assert "Please report" not in ran.err
        shown[arguments] = ran.text + ran.err
    carried = [value for asked in server.asked for value in asked.headers.values() if KEY in value]
    # The secret was in force, or it was for somebody else.
    assert bool(carried) is (name not in ("proxy password", "variable of the settings"))
    assert [arguments for arguments, said in shown.items() if sings(said.encode())] == []
    files = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert len(files) > 3
    assert [path for path in files if sings(path.read_bytes()) or sings(str(path).encode())] == []
