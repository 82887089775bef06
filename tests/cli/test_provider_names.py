"""Provider names are unique without regard to case, and every command finds one in any case."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from inprocess import Inside
from servers import by_path

from provider_core.settings.edit import entries

if TYPE_CHECKING:
    from pathlib import Path

    from scripted import Scripted


@pytest.fixture
def telex(tmp_path: Path, server: Scripted) -> Inside:
    server.will(by_path())
    telex = Inside(tmp_path / "home")
    ran = telex("providers", "add", "lab", "--base-url", server.url, "--no-key", "--model", "m")
    assert ran.code == 0, ran.err
    return telex


@pytest.mark.parametrize("name", ["Lab", "LAB", "lAb"])
def test_a_second_provider_of_the_same_name_is_refused(telex: Inside, name: str) -> None:
    before = telex.settings.read_bytes()
    for more in ([], ["--replace"]):
        ran = telex(
            "providers", "add", name, "--base-url", "http://127.0.0.1:1", "--no-key", "--no-verify", *more
        )
        assert ran.code == 2
        assert "lab is already set up" in ran.err
    assert telex.settings.read_bytes() == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["chat", "--no-stdin", "-m", "LAB/m", "hi"],
        ["chat", "--no-stdin", "-m", "Lab", "hi"],
        ["chat", "--no-stdin", "-m", "Lab/m", "-m", "LAB/n", "hi"],
        ["models", "list", "--provider", "LAB"],
        ["models", "default", "LAB/m"],
        ["models", "alias", "fast", "LAB/m"],
        ["models", "add", "LAB", "x"],
        ["models", "show", "LAB/m"],
        ["providers", "show", "LAB"],
        ["providers", "test", "LAB"],
        ["providers", "edit", "LAB", "--display-name", "x"],
        ["providers", "set-key", "LAB", "--no-key", "--no-verify"],
        ["providers", "export", "--only", "LAB"],
        ["providers", "rename", "LAB", "work"],
        ["providers", "rename", "LAB", "Lab"],
        ["providers", "remove", "LAB", "--yes"],
    ],
    ids=" ".join,
)
def test_a_command_finds_a_provider_in_any_case(telex: Inside, arguments: list[str]) -> None:
    ran = telex(*arguments)
    assert ran.code == 0, ran.err
    assert {name.casefold() for name in entries(telex.settings)} <= {"lab", "work"}


def test_an_import_replaces_the_provider_of_the_same_name(telex: Inside) -> None:
    table = b'[providers.LAB]\nbase_url = "http://127.0.0.1:1/v1"\nkey = "none"\n'
    assert telex("providers", "import", "-", stdin=table).code == 3
    assert telex("providers", "import", "-", "--replace", stdin=table).code == 0
    assert list(entries(telex.settings)) == ["lab"]


def test_two_spellings_in_the_file_are_one_provider_and_one_mistake(telex: Inside) -> None:
    telex.configure(
        telex.settings.read_text() + '\n[providers.Lab]\nbase_url = "http://127.0.0.1:1"\nkey = "none"\n'
    )
    ran = telex("chat", "--no-stdin", "-m", "lab/m", "hi")
    assert ran.code == 3
    assert "providers.Lab" in ran.err
    assert "providers.lab" in ran.err


def test_the_variable_changes_the_provider_of_the_file_in_any_case(telex: Inside, server: Scripted) -> None:
    changed = json.dumps({"LAB": {"display_name": "The lab"}})
    ran = telex("providers", "list", "--json", env={"TELEX_PROVIDERS": changed})
    assert ran.code == 0, ran.err
    (found,) = json.loads(ran.text)
    assert (found["name"], found["display_name"], found["base_url"]) == ("lab", "The lab", server.url)


def test_reserved_names_are_reserved_in_any_case(telex: Inside) -> None:
    for name in ("Local", "ALL"):
        assert telex("providers", "add", name, "--base-url", "http://127.0.0.1:1", "--no-key").code == 2
