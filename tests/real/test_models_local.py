"""Models against llama.cpp's real server: listed, shown, cached, named, and served whatever they are called."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from inprocess import Inside

from provider_core import catalog, errors
from provider_core.http import HttpTransport
from provider_core.local import serve
from provider_core.types import Provider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from provider_core.local import Endpoint


@pytest.fixture(scope="module")
def endpoint(model_path: Path) -> Iterator[Endpoint]:
    with serve(model_path, alias="smol/lm2:135m", context=2048, threads=1) as served:
        yield served


@pytest.fixture
def telex(tmp_path: Path, endpoint: Endpoint) -> Inside:
    inside = Inside(tmp_path / "home")
    inside.env["LAB_KEY"] = endpoint.key
    inside.configure(
        f'[providers.lab]\npreset = "llamacpp"\nbase_url = "{endpoint.base_url}"\nkey_env = "LAB_KEY"\n'
    )
    return inside


@pytest.mark.parametrize("preset", ["llamacpp", None])
def test_the_list_says_what_the_server_really_has(endpoint: Endpoint, preset: str | None) -> None:
    transport = HttpTransport({})
    lab = Provider(name="lab", base_url=endpoint.base_url, preset=preset)
    (model,) = catalog.fetch(transport, lab, endpoint.key)
    assert model.id == "smol/lm2:135m"
    assert model.context == 2048
    assert model.kind == "chat"
    assert model.vision is False
    assert model.tools is False  # as /props says, which is asked whatever the preset
    transport.close()


def test_a_base_url_without_its_version_lists_too(endpoint: Endpoint) -> None:
    transport = HttpTransport({})
    root = Provider(name="lab", base_url=endpoint.base_url.removesuffix("/v1"), preset="llamacpp")
    assert [model.id for model in catalog.fetch(transport, root, endpoint.key)] == ["smol/lm2:135m"]
    transport.close()


@pytest.mark.parametrize("key", ["wrong", None])
def test_a_wrong_key_is_refused(endpoint: Endpoint, key: str | None) -> None:
    transport = HttpTransport({})
    with pytest.raises(errors.AuthenticationError, match="lab refused the key"):
        catalog.fetch(transport, Provider(name="lab", base_url=endpoint.base_url, preset="llamacpp"), key)
    transport.close()


def test_a_path_that_is_not_there_is_an_error_of_its_own(endpoint: Endpoint) -> None:
    transport = HttpTransport({})
    astray = Provider(name="lab", base_url=f"{endpoint.base_url}/nowhere")
    with pytest.raises(errors.NotFoundError):
        catalog.fetch(transport, astray, endpoint.key)
    transport.close()


def test_from_nothing_to_a_listed_model_and_an_answer(telex: Inside) -> None:
    assert "Not fetched yet: lab." in telex("models", "list").err
    ran = telex("models", "list", "--refresh", "-P", "lab")
    assert (ran.code, ran.text) == (0, "lab/smol/lm2:135m\n")
    (row,) = json.loads(telex("models", "list", "-P", "lab", "--json").out)
    assert (row["context"], row["context_estimated"], row["source"]) == (2048, False, "server")
    assert "2,048 tokens" in telex("models", "show", "smol/lm2:135m").text
    ran = telex("chat", "-m", "smol/lm2:135m", "--max-tokens", "3", "--no-stdin", "Hi")
    assert (ran.code, bool(ran.text.strip())) == (0, True)
    assert (telex.paths.cache / "completion" / "models").read_text().splitlines()[0] == "lab/smol/lm2:135m"


def test_a_provider_alone_asks_its_server_for_a_name(telex: Inside) -> None:
    ran = telex("chat", "-m", "lab", "--max-tokens", "3", "--no-stdin", "Hi")
    assert (ran.code, bool(ran.text.strip())) == (0, True), ran.err
    assert telex("models", "default").text == "lab/smol/lm2:135m\n"


def test_a_server_that_ignores_the_models_name_answers_to_any(telex: Inside) -> None:
    ran = telex("chat", "-m", "lab/never-heard-of", "--max-tokens", "3", "--no-stdin", "Hi")
    assert (ran.code, bool(ran.text.strip())) == (0, True), ran.err


def test_a_server_that_went_away_leaves_its_list(telex: Inside, endpoint: Endpoint, model_path: Path) -> None:
    with serve(model_path, alias="brief", context=512, threads=1) as brief:
        telex.configure(
            f'[providers.lab]\npreset = "llamacpp"\nbase_url = "{brief.base_url}"\nkey_env = "BRIEF_KEY"\n'
        )
        telex.env["BRIEF_KEY"] = brief.key
        assert telex("models", "list", "--refresh", "-P", "lab").text == "lab/brief\n"
    ran = telex("models", "list", "--refresh", "-P", "lab")
    assert (ran.code, ran.text) == (0, "lab/brief\n")
    assert "Its list of a moment ago stays." in ran.err
    moved = replace(Provider(name="lab", base_url=endpoint.base_url), preset="llamacpp")
    assert catalog.read_cached(telex.paths.lists, moved) is None
