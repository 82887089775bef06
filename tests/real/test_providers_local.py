"""Setting up, testing and removing llama.cpp's real server, one that wants a key and one that does not."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from inprocess import Inside

from provider_core import local
from provider_core.settings.edit import entries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "sk-canary-0123456789abcdef"

pytestmark = pytest.mark.skipif(not local.installed(), reason="needs xllamacpp (the extra local)")

SERVER = r"""
import os, sys
told = os.dup(1)
os.dup2(2, 1)  # llama.cpp may say things on stdout
import xllamacpp
params = xllamacpp.CommonParams()
params.verbosity = 0
params.model.path = sys.argv[1]
params.model_alias = {"smollm2"}
params.hostnames = ["127.0.0.1"]
params.port = 0
params.api_keys = sys.argv[2:]
params.n_parallel = 1
params.n_ctx = 2048
params.cpuparams.n_threads = 1
params.use_jinja = True
params.warmup = False
server = xllamacpp.Server(params)
os.write(told, server.listening_address.encode() + b"\n")
sys.stdin.read()
os._exit(0)
"""


def serve(model: Path, *keys: str) -> Iterator[str]:
    """The address of a server of its own, in a process of its own; ``keys`` are those it takes."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(model), *keys],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, "the server did not start"
        yield f"{url}/v1"
        process.kill()


@pytest.fixture(scope="module")
def closed(model_path: Path) -> Iterator[str]:
    yield from serve(model_path, KEY)


@pytest.fixture(scope="module")
def opened(model_path: Path) -> Iterator[str]:
    yield from serve(model_path)


@pytest.fixture
def telex(tmp_path: Path) -> Inside:
    return Inside(tmp_path / "home")


def test_server_with_a_key_from_add_to_remove(telex: Inside, closed: str) -> None:
    ran = telex("providers", "add", "lab", "--base-url", closed, "--key-stdin", stdin=b"a wrong key")
    assert ran.code == 4
    assert "Nothing was saved" in ran.err
    assert entries(telex.settings) == {}
    ran = telex("providers", "add", "lab", "--base-url", closed, "--key-stdin", stdin=KEY.encode())
    assert ran.code == 0, ran.err
    assert "1 model" in ran.err
    ran = telex("providers", "test", "--json")
    assert ran.code == 0, ran.err
    (found,) = json.loads(ran.out)
    assert {step["status"] for step in found["steps"].values()} == {"ok"}
    assert all(found["steps"][name]["seconds"] > 0 for name in ("reach", "models", "auth", "stream"))
    assert found["model"] == "smollm2"
    assert telex("providers", "list").text == f"lab\t{closed}\tkeyring\ton\tsmollm2\n"
    assert telex("chat", "--no-stdin", "-m", "lab", "--max-tokens", "4", "Hi").code == 0
    telex.store.set("lab", "a key that was revoked")
    assert telex("providers", "test", "lab").code == 4
    assert telex("providers", "remove", "lab", "--yes").code == 0
    assert (entries(telex.settings), telex.store.get("lab")) == ({}, None)


def test_server_without_a_key_from_discover_to_remove(telex: Inside, opened: str) -> None:
    port = str(urlsplit(opened).port)
    ran = telex("providers", "discover", "--port", port, "--add")
    assert ran.text == f"llamacpp\t{opened}\t1\tllamacpp\n"
    assert telex("providers", "test", "llamacpp").text.startswith("llamacpp\tpassed\t")
    ran = telex("providers", "add", "lab", "--base-url", opened, "--no-key")
    assert ran.code == 0, ran.err
    assert "No key is needed" in ran.err
    assert telex("chat", "--no-stdin", "-m", "lab", "--max-tokens", "4", "Hi").code == 0
    assert telex("providers", "test", "--all").code == 0
    for name in ("lab", "llamacpp"):
        assert telex("providers", "remove", name, "--yes").code == 0


def test_card_of_a_real_model(telex: Inside, opened: str) -> None:
    telex("providers", "add", "lab", "--base-url", opened, "--no-key")
    ran = telex("providers", "test", "lab", "--deep", "--json")
    assert ran.code == 0, ran.err
    card = json.loads(ran.out)[0]["card"]
    assert card["model"] == "smollm2"
    answers = {name: trait["answer"] for name, trait in card["traits"].items()}
    for name in ("streaming", "usage", "JSON object", "JSON schema"):
        assert answers[name] == "yes", (name, card["traits"][name])
    for name in ("system message", "temperature", "seed"):
        assert answers[name] == "accepted", (name, card["traits"][name])
    assert answers["reasoning"] == "no"
    assert answers["tools"] == "no"  # its template has none
    assert "unknown" not in answers.values()


def test_model_files_are_tested_in_turn(telex: Inside, opened: str, model_path: Path, tmp_path: Path) -> None:
    telex.configure(
        "".join(f'[providers.{name}]\ngguf = "{model_path}"\n' for name in ("one", "two"))
        + f'[providers.gone]\ngguf = "{tmp_path / "gone.gguf"}"\n'
        + f'[providers.lab]\nbase_url = "{opened}"\nkey = "none"\n'
    )
    ran = telex("providers", "test", "--all", "--json")
    found = {each["provider"]: each for each in json.loads(ran.out)}
    assert {name: each["passed"] for name, each in found.items()} == {
        "one": True, "two": True, "gone": False, "lab": True
    }  # fmt: skip
    assert found["gone"]["steps"]["reach"]["error"] == "ModelFileError"
    assert ran.code == 3
    assert f"there is no model file {tmp_path / 'gone.gguf'}" in ran.err
