"""No secret is shown, logged, saved or passed to a process, whatever the source and the server."""

from __future__ import annotations

import base64
import itertools
import json
import logging
import os
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
from inprocess import Inside
from running import Telex
from scripted import Answer, Asked, answer, delta, sse
from servers import CHAT, in_json

from provider_core import keys
from provider_core.keys import MemoryStore, unseal
from provider_core.types import Provider

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scripted import Scripted

KEY = "sk-canary/0123456789+abcdefghijklmnop"
OTHER = "sk-second/9876543210+zyxwvutsrqponmlk"


def coded(text: str) -> tuple[str, ...]:
    """The key as a server might repeat it; the ends of base64 depend on what stands beside it."""
    raw = text.encode()
    return (text, text[:-4], base64.b64encode(raw).decode()[:44], raw.hex(), text.replace("/", "\\/"))


CANARIES = tuple(
    form.encode()
    for key in (KEY, OTHER)
    for form in (*coded(key), key.replace("/", "%2F").replace("+", "%2B"), key.encode().hex().upper())
)


def sings(raw: bytes | str) -> bool:
    raw = raw.encode("utf-8", "surrogateescape") if isinstance(raw, str) else raw
    return any(form in raw for form in CANARIES)


def singing_files(home: Path) -> list[Path]:
    files = [path for path in home.rglob("*") if path.is_file()]
    assert len(files) > 3
    return [path for path in files if sings(path.read_bytes()) or sings(str(path))]


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
    # All pairs with a key and with a header; each way and each format once or twice with the other sources.
    all_pairs = name in ("keyring", "header variable")
    pairs = (
        itertools.product(WAYS, FORMATS) if all_pairs else zip(WAYS, itertools.cycle(FORMATS), strict=False)
    )
    for way, form in pairs:
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
    assert [arguments for arguments, text in shown.items() if sings(text)] == []
    assert singing_files(tmp_path / "home") == []


# --- commands and processes --------------------------------------------------------------------------------


class Watch:
    """Reads the command line and the environment of every process while a block runs."""

    def __init__(self) -> None:
        self.argv: set[bytes] = set()
        self.environments: set[bytes] = set()
        self.seen = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.is_set():
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit() and int(entry.name) != os.getpid():
                    self._read(entry)
            time.sleep(0.002)

    def _read(self, entry: Path) -> None:
        try:
            argv, environment = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
        except OSError:
            return
        self.seen += b"telex" in argv
        if sings(argv):
            self.argv.add(argv)
        if sings(environment):
            self.environments.add(argv)


def command_lines(url: str, files: Path) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """The commands that handle a key, each with its stdin and its environment."""
    stdin, env = {"stdin": KEY.encode()}, {"env": {"K": KEY}}
    lab, bad = ("providers", "add", "lab", "--base-url", url), ("providers", "add", "bad", "--base-url")
    command = f"cat {files / 'key'}"
    yield (*lab, "--key-stdin"), stdin
    yield (*lab, "--key-stdin"), stdin  # taken
    yield (*lab, "--key-stdin", "--replace"), stdin
    yield (*bad, url, "--key-stdin"), {"stdin": f"{KEY}\n{KEY}".encode()}
    yield (*bad, url, "--key-stdin"), {"stdin": f"{KEY}é".encode()}
    yield (*bad, "http://127.0.0.1:1", "--key-stdin"), stdin
    yield (*bad, "nonsense", "--key-stdin"), stdin
    yield (*bad, f"{url}/401", "--key-env", "K"), env
    yield (*bad, url, "--key-command", f"{command}; exit 3"), {}
    yield ("providers", "add", "env", "--base-url", url, "--key-env", "K"), env
    yield ("providers", "add", "cmd", "--base-url", url, "--key-command", command), {}
    yield ("providers", "set-key", "lab", "--key-stdin"), {"stdin": OTHER.encode()}
    yield ("providers", "set-key", "lab", "--key-stdin", "--no-verify"), stdin
    yield ("providers", "list", "--check-keys", "--json"), env
    for form in ([], ["--json"], ["--deep"], ["--deep", "--json"]):
        yield ("providers", "test", "--all", *form), env
    for way in ("401", "404", "429", "500", "fine"):
        yield ("chat", "--no-stdin", "-m", "lab/m", "--retries", "0", way), {}
        yield ("chat", "--no-stdin", "-m", "env/m", "--retries", "0", "--no-stream", way), env
    yield ("providers", "rename", "lab", "work"), {}
    yield ("providers", "remove", "cmd", "--yes"), {}
    yield ("providers", "remove", "work", "--yes"), {}


class Loud(MemoryStore):
    """A keyring whose errors repeat what it was given, as tools that take keys as arguments do."""

    def set(self, name: str, key: str) -> None:
        if name == "loud":
            raise RuntimeError(f"Command '['tool', '--add', '{key}']' returned 1")
        super().set(name, key)


def test_no_command_shows_logs_or_saves_a_key(
    tmp_path: Path, server: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    home, files = tmp_path / "home", tmp_path / "outside"
    files.mkdir()
    (files / "key").write_text(KEY)
    server.will(echo)
    caplog.set_level(logging.INFO)  # while debugging, httpcore logs the headers of answers
    told: dict[tuple[str, ...], str] = {}
    codes: set[int] = set()
    telex = Inside(home, Loud())
    for arguments, given in command_lines(server.url, files):
        ran = telex(*arguments, **given)
        told[arguments] = f"{ran.text}\n{ran.err}"
        codes.add(ran.code)
    ran = telex("providers", "add", "loud", "--base-url", server.url, "--key-stdin", stdin=KEY.encode())
    assert ran.code == 1  # an error that nobody foresaw is told by its place alone
    told["loud",] = f"{ran.text}\n{ran.err}"
    assert {0, 2, 3, 4, 5, 6, 7} <= codes  # the paths that were meant were taken
    assert sum(KEY in asked.headers.get("authorization", "") for asked in server.asked) > 15

    installed = Telex(home)
    installed.env |= {
        "PYTHON_KEYRING_BACKEND": "keyring_in_a_file.Keyring",
        "TEST_KEYRING": str(files / "keyring.json"),
        "TMPDIR": str(home),
    }
    add = ("providers", "add", "real", "--base-url", server.url)
    with Watch() as watch:
        for arguments, stdin in (
            ((*add, "--key-stdin"), KEY.encode()),
            ((*add, "--key-command", f"sleep 0.1; cat {files / 'key'}", "--replace"), None),
            ((*add, "--key-stdin", "--replace"), KEY.encode()),
            (("providers", "test", "--json", "real"), None),
            (("chat", "-m", "real/m", "401"), None),
        ):
            done = installed(*arguments, stdin=stdin)
            told[arguments] = f"{done.text}\n{done.err}"
    kept = json.loads((files / "keyring.json").read_text())
    assert [unseal(text)[0] for name, text in kept.items() if "@" in name] == [KEY]
    assert watch.seen > 5

    assert [arguments for arguments, text in told.items() if sings(text)] == []
    assert not sings(caplog.text)
    assert watch.argv == set()
    assert watch.environments == set()
    assert singing_files(home) == []
