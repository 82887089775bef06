"""Providers and models with llama.cpp's real server: set up, listed, tested, asked and removed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from inprocess import Inside

from provider_core import errors, local
from provider_core.catalog.servers import fetch
from provider_core.http.transport import HttpTransport
from provider_core.local.server import serve
from provider_core.settings.edit import entries
from provider_core.types import Provider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from provider_core.local.server import Endpoint

pytestmark = pytest.mark.skipif(not local.installed(), reason="needs xllamacpp (the extra local)")


@pytest.fixture(scope="module")
def endpoint(model_path: Path) -> Iterator[Endpoint]:
    with serve(model_path, alias="smol/lm2:135m", context=2048, threads=1) as served:
        yield served


@pytest.fixture
def telex(tmp_path: Path, endpoint: Endpoint) -> Inside:
    inside = Inside(tmp_path / "home")
    inside.env["LAB_KEY"] = endpoint.key
    return inside


def configure(telex: Inside, endpoint: Endpoint) -> None:
    telex.configure(
        f'[providers.lab]\npreset = "llamacpp"\nbase_url = "{endpoint.base_url}"\nkey_env = "LAB_KEY"\n'
    )


def test_list_has_the_servers_details(endpoint: Endpoint) -> None:
    transport = HttpTransport({})
    root = endpoint.base_url.removesuffix("/v1")
    for preset, base_url in (("llamacpp", endpoint.base_url), (None, endpoint.base_url), ("llamacpp", root)):
        (model,) = fetch(transport, Provider(name="lab", base_url=base_url, preset=preset), endpoint.key)
        assert (model.id, model.context, model.kind) == ("smol/lm2:135m", 2048, "chat")
        assert (model.vision, model.tools) == (False, False)  # from /props
    lab = Provider(name="lab", base_url=endpoint.base_url, preset="llamacpp")
    for key in ("wrong", None):
        with pytest.raises(errors.AuthenticationError, match="lab refused the key"):
            fetch(transport, lab, key)
    with pytest.raises(errors.NotFoundError):
        fetch(transport, Provider(name="lab", base_url=f"{endpoint.base_url}/nowhere"), endpoint.key)
    transport.close()


def test_refreshed_model_is_listed_shown_and_answers(telex: Inside, endpoint: Endpoint) -> None:
    configure(telex, endpoint)
    ran = telex("models", "list", "--refresh", "-P", "lab")
    assert (ran.code, ran.text) == (0, "lab/smol/lm2:135m\n")
    assert "2,048 tokens" in telex("models", "show", "smol/lm2:135m").text
    for name in ("smol/lm2:135m", "lab", "lab/never-heard-of"):
        ran = telex("chat", "-m", name, "--max-tokens", "3", "--no-stdin", "Hi")
        assert (ran.code, bool(ran.text.strip())) == (0, True), ran.err


def test_server_with_a_key_from_add_to_remove(telex: Inside, endpoint: Endpoint) -> None:
    add = ("providers", "add", "lab", "--base-url", endpoint.base_url, "--key-stdin")
    ran = telex(*add, stdin=b"a wrong key")
    assert (ran.code, "Nothing was saved" in ran.err, entries(telex.settings)) == (4, True, {})
    ran = telex(*add, stdin=endpoint.key.encode())
    assert (ran.code, "1 model" in ran.err) == (0, True), ran.err
    ran = telex("providers", "test", "--json")
    assert ran.code == 0, ran.err
    (found,) = json.loads(ran.out)
    assert {step["status"] for step in found["steps"].values()} == {"ok"}
    assert all(found["steps"][name]["seconds"] > 0 for name in ("reach", "models", "auth", "stream"))
    assert telex("providers", "list").text == f"lab\t{endpoint.base_url}\tkeyring\ton\tsmol/lm2:135m\n"
    telex.store.set("lab", "a key that was revoked")
    assert telex("providers", "test", "lab").code == 4
    assert telex("providers", "remove", "lab", "--yes").code == 0
    assert (entries(telex.settings), telex.store.get("lab")) == ({}, None)


def test_card_of_a_real_model(telex: Inside, endpoint: Endpoint) -> None:
    configure(telex, endpoint)
    ran = telex("providers", "test", "lab", "--deep", "--json")
    assert ran.code == 0, ran.err
    traits = json.loads(ran.out)[0]["card"]["traits"]
    answers = {name: trait["answer"] for name, trait in traits.items()}
    for name in ("streaming", "usage", "JSON object", "JSON schema"):
        assert answers[name] == "yes", (name, traits[name])
    for name in ("system message", "temperature", "seed"):
        assert answers[name] == "accepted", (name, traits[name])
    assert (answers["reasoning"], answers["tools"]) == ("no", "no")  # its template has none
    assert "unknown" not in answers.values()


def test_model_files_are_tested_in_turn(telex: Inside, model_path: Path, tmp_path: Path) -> None:
    files = {"one": model_path, "two": model_path, "gone": tmp_path / "gone.gguf"}
    telex.configure("".join(f'[providers.{name}]\ngguf = "{path}"\n' for name, path in files.items()))
    ran = telex("providers", "test", "--all", "--json")
    found = {each["provider"]: each for each in json.loads(ran.out)}
    assert {name: each["passed"] for name, each in found.items()} == {"one": True, "two": True, "gone": False}
    assert found["gone"]["steps"]["reach"]["error"] == "ModelFileError"
    assert ran.code == 3
    assert f"there is no model file {tmp_path / 'gone.gguf'}" in ran.err
