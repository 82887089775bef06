"""``telex providers discover``: what runs here is found, named, and set up when it is wanted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from inprocess import Inside
from scripted import Scripted
from servers import by_path, in_json, refusal

from provider_core.settings.edit import entries

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def telex(tmp_path: Path) -> Inside:
    return Inside(tmp_path / "home")


def owned(owner: str) -> object:
    return by_path(models=in_json({"object": "list", "data": [{"id": "m", "owned_by": owner}]}))


def test_a_server_is_named_and_adding_it_is_offered(telex: Inside, server: Scripted) -> None:
    server.will(owned("llamacpp"))
    ran = telex("providers", "discover", "--port", str(server.port))
    assert ran.code == 0, ran.err
    assert ran.text == f"llamacpp\t{server.url}\t1\t\n"
    assert "discover --add" in ran.err
    assert not telex.settings.exists()


def test_add_sets_up_what_is_new_and_it_can_be_used(telex: Inside, server: Scripted) -> None:
    server.will(owned("llamacpp"))
    ran = telex("providers", "discover", "--port", str(server.port), "--add")
    assert ran.text == f"llamacpp\t{server.url}\t1\tllamacpp\n"
    assert entries(telex.settings) == {"llamacpp": {"preset": "llamacpp", "base_url": server.url}}
    assert telex("models", "list", "-P", "llamacpp").text == "llamacpp/m\n"
    assert telex("chat", "--no-stdin", "-m", "m", "hi").out == b"Hello\n"
    again = telex("providers", "discover", "--port", str(server.port), "--add")
    assert again.text == ran.text
    assert len(entries(telex.settings)) == 1


def test_a_server_of_no_known_kind_is_set_up_by_its_address(telex: Inside, server: Scripted) -> None:
    server.will(owned("somebody"))
    telex("providers", "discover", "--port", str(server.port), "--add")
    assert entries(telex.settings) == {"server": {"base_url": server.url, "key": "none"}}


def test_two_of_a_kind_get_two_names(telex: Inside, server: Scripted) -> None:
    telex.configure('[providers.llamacpp]\nbase_url = "http://127.0.0.1:1/v1"\nkey = "none"\n')
    server.will(owned("llamacpp"))
    telex("providers", "discover", "--port", str(server.port), "--add")
    assert set(entries(telex.settings)) == {"llamacpp", f"llamacpp-{server.port}"}


def test_the_default_model_is_told_when_there_are_several_providers(telex: Inside, server: Scripted) -> None:
    server.will(by_path())
    add = ("--base-url", server.url, "--no-key")
    assert "default" not in telex("providers", "add", "one", *add).err
    assert telex("chat", "--no-stdin", "hi").code == 0
    assert (
        "without -m a chat needs one: telex models default two" in telex("providers", "add", "two", *add).err
    )
    ran = telex("chat", "--no-stdin", "hi")
    assert (ran.code, "telex models default one" in ran.err, "telex chat -m one" in ran.err) == (
        3,
        True,
        True,
    )
    telex("models", "default", "one")
    ran = telex("providers", "add", "three", *add, "--no-verify")
    assert "The default model is still one/m. To change it: telex models default three" in ran.err


def test_a_chat_without_a_default_names_the_command_where_no_list_is_known(telex: Inside) -> None:
    telex.configure(
        "".join(f'[providers.{name}]\nbase_url = "http://h/{name}"\nkey = "none"\n' for name in "ab")
    )
    ran = telex("chat", "--no-stdin", "hi")
    assert (ran.code, "telex chat -m a, or set the default: telex models default a" in ran.err) == (3, True)


def test_a_models_alias_is_no_name_for_what_is_found(telex: Inside, server: Scripted) -> None:
    telex.configure('[aliases]\nllamacpp = "x/y"\n')
    server.will(owned("llamacpp"))
    telex("providers", "discover", "--port", str(server.port), "--add")
    assert set(entries(telex.settings)) == {f"llamacpp-{server.port}"}


def test_what_is_set_up_already_is_said(telex: Inside, server: Scripted) -> None:
    server.will(owned("llamacpp"))
    telex.configure(f'[providers.mine]\nbase_url = "http://localhost:{server.port}/v1"\nkey = "none"\n')
    ran = telex("providers", "discover", "--port", str(server.port), "--json")
    assert json.loads(ran.out) == [
        {
            "preset": "llamacpp",
            "base_url": server.url,
            "models": ["m"],
            "needs_key": False,
            "set_up_as": "mine",
        }
    ]


def test_one_that_wants_a_key_is_not_set_up_without(telex: Inside, server: Scripted) -> None:
    server.will(refusal(401))
    ran = telex("providers", "discover", "--port", str(server.port), "--add")
    assert "wants a key" in ran.text
    assert not telex.settings.exists()
    ran = telex("providers", "discover", "--port", str(server.port))
    assert f"telex providers add server --base-url {server.url} --key-stdin\n" in ran.err


def test_nothing_found_is_no_error(telex: Inside, server: Scripted) -> None:
    server.will(refusal(404))
    ran = telex("providers", "discover", "--port", str(server.port))
    assert (ran.code, ran.out) == (0, b"")
    assert "No model server answers" in ran.err
    assert telex("providers", "discover", "--port", str(server.port), "--json").out == b"[]\n"
