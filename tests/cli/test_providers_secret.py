"""A canary for a key: nowhere may it sing, through every command and every error, also when the server repeats it."""

from __future__ import annotations

import base64
import json
import logging
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from inprocess import Inside
from running import Telex
from scripted import Answer, Asked, Scripted, answer, delta, sse
from servers import CHAT, in_json

from provider_core.keys import MemoryStore, unseal

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

KEY = "sk-canary/0123456789+abcdefghijklmnop"
OTHER = "sk-second/9876543210+zyxwvutsrqponmlk"

PARTS = tuple(
    part
    for key in (KEY, OTHER)
    for part in (
        key,
        key[:-4],
        key.replace("/", "\\/"),
        base64.b64encode(key.encode()).decode()[:40],
        key.replace("/", "%2F").replace("+", "%2B"),
    )
)
"""A key as it is, without the last characters that may be shown, and as files and addresses would write it."""


def sings(text: str | bytes) -> bool:
    raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return any(part.encode() in raw for part in PARTS)


def echoing(asked: Asked) -> Answer:
    """A server that repeats the key wherever a server can, but in the text of an answer."""
    key = asked.headers.get("authorization", "").removeprefix("Bearer ")
    if asked.method == "GET":
        entry = {"id": "m", "name": f"Model for {key}", "owned_by": key, "description": key}
        return in_json({"object": key, "data": [entry, {"id": f"{key}-model"}], "key": key})
    mode = asked.body["messages"][-1]["content"]
    error = {"error": {"message": f"Incorrect API key provided: {key}. {key}", "code": key, "type": key}}
    match mode:
        case "401" | "400" | "403" | "404" | "429" | "500" | "503":
            return in_json(error, int(mode))
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


class Logged(logging.Handler):
    """Keeps what libraries log; httpcore tells a debugger the headers of answers, which telex never asks it to."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name} {record.getMessage()} {record.exc_text}")


def command_lines(url: str, files: Path) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Everything that handles a key, each with its stdin and its environment."""
    stdin = {"stdin": KEY.encode()}
    add = ("providers", "add", "lab", "--base-url", url)
    command = f"cat {files / 'key'}"
    chats = [
        "401",
        "400",
        "403",
        "404",
        "429",
        "500",
        "503",
        "html",
        "text",
        "redirect",
        "stream",
        "names",
        "fine",
    ]
    yield (*add, "--key-stdin"), stdin
    yield (*add, "--key-stdin"), stdin  # taken
    yield (*add, "--key-stdin", "--replace"), stdin
    yield ("providers", "add", "bad", "--base-url", url, "--key-stdin"), {"stdin": f"{KEY}\n{KEY}".encode()}
    yield ("providers", "add", "bad", "--base-url", url, "--key-stdin"), {"stdin": f"{KEY}é".encode()}
    yield ("providers", "add", "bad", "--base-url", "http://127.0.0.1:1", "--key-stdin"), stdin
    yield ("providers", "add", "bad", "--base-url", "nonsense", "--key-stdin"), stdin
    yield ("providers", "add", "bad", "--base-url", f"{url}/401", "--key-env", "K"), {"env": {"K": KEY}}
    yield ("providers", "add", "env", "--base-url", url, "--key-env", "K"), {"env": {"K": KEY}}
    yield ("providers", "add", "cmd", "--base-url", url, "--key-command", command), {}
    yield ("providers", "add", "bad", "--base-url", url, "--key-command", f"{command}; exit 3"), {}
    yield ("providers", "set-key", "lab", "--key-stdin"), {"stdin": OTHER.encode()}
    yield ("providers", "set-key", "lab", "--key-stdin", "--no-verify"), stdin
    for form in ([], ["--json"], ["--check-keys"], ["--check-keys", "--json"]):
        yield ("providers", "list", *form), {"env": {"K": KEY}}
    yield ("providers", "show", "lab"), {}
    yield ("providers", "show", "env", "--json"), {"env": {"K": KEY}}
    for form in ([], ["--json"], ["--deep"], ["--deep", "--json"]):
        yield ("providers", "test", "--all", *form), {"env": {"K": KEY}}
    yield ("models", "list", "--refresh", "--json"), {"env": {"K": KEY}}
    yield ("models", "list", "--all"), {"env": {"K": KEY}}
    for prompt in chats:
        yield ("chat", "--no-stdin", "-m", "lab/m", "--retries", "0", "--usage", prompt), {}
        yield (
            ("chat", "--no-stdin", "-m", "env/m", "--retries", "0", "--no-stream", prompt),
            {"env": {"K": KEY}},
        )
    yield ("providers", "export"), {}
    yield ("providers", "edit", "lab", "--display-name", "x"), {}
    yield ("providers", "rename", "lab", "work"), {}
    yield ("providers", "remove", "cmd", "--yes"), {}
    yield ("providers", "remove", "work", "--yes"), {}


class Loud(MemoryStore):
    """A keyring whose errors repeat what it was given, as tools that take keys as arguments do."""

    def set(self, name: str, key: str) -> None:
        if name == "loud":
            raise RuntimeError(f"Command '['tool', '--add', '{key}']' returned 1")
        super().set(name, key)


def test_a_key_is_found_nowhere(tmp_path: Path, server: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    home, files = tmp_path / "home", tmp_path / "outside"
    files.mkdir()
    (files / "key").write_text(KEY)
    server.will(echoing)
    logged = Logged()
    logging.getLogger().addHandler(logged)
    logging.getLogger().setLevel(logging.INFO)
    told: dict[tuple[str, ...], str] = {}
    codes: set[int] = set()
    try:
        telex = Inside(home, Loud())
        for arguments, given in command_lines(server.url, files):
            ran = telex(*arguments, **given)
            told[arguments] = f"{ran.text}\n{ran.err}"
            codes.add(ran.code)
        ran = telex("providers", "add", "loud", "--base-url", server.url, "--key-stdin", stdin=KEY.encode())
        assert ran.code == 1  # an error that nobody foresaw is told by its place alone
        told["loud",] = f"{ran.text}\n{ran.err}"
    finally:
        logging.getLogger().removeHandler(logged)
        logging.getLogger().setLevel(logging.WARNING)
    assert {0, 2, 3, 4, 5, 6, 7} <= codes  # the paths that were meant were taken
    assert sum(KEY in asked.headers.get("authorization", "") for asked in server.asked) > 30

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
    assert [line for line in logged.lines if sings(line)] == []
    assert not sings(caplog.text)
    assert watch.argv == set()
    assert watch.environments == set()
    files_of_home = [path for path in home.rglob("*") if path.is_file()]
    assert len(files_of_home) > 3
    assert [path for path in files_of_home if sings(path.read_bytes()) or sings(str(path))] == []
