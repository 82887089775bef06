"""The models commands with llama.cpp's real server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from inprocess import Inside

from provider_core import errors
from provider_core.catalog.servers import fetch
from provider_core.http.transport import HttpTransport
from provider_core.local.server import serve
from provider_core.types import Provider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from provider_core.local.server import Endpoint


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


def test_refreshed_model_is_listed_shown_and_answers(telex: Inside) -> None:
    assert "Not fetched yet: lab." in telex("models", "list").err
    ran = telex("models", "list", "--refresh", "-P", "lab")
    assert (ran.code, ran.text) == (0, "lab/smol/lm2:135m\n")
    (row,) = json.loads(telex("models", "list", "-P", "lab", "--json").out)
    assert (row["context"], row["context_estimated"], row["source"]) == (2048, False, "server")
    assert "2,048 tokens" in telex("models", "show", "smol/lm2:135m").text
    ran = telex("chat", "-m", "smol/lm2:135m", "--max-tokens", "3", "--no-stdin", "Hi")
    assert (ran.code, bool(ran.text.strip())) == (0, True)
    assert (telex.paths.cache / "completion" / "models").read_text().splitlines()[0] == "lab/smol/lm2:135m"
