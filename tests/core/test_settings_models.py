"""Declared models, aliases and the default in settings files of every shape that people write by hand."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from listings import paths

from provider_core.errors import SettingsError
from provider_core.settings import load
from provider_core.settings.edit import declare_model, forget_model, set_alias, set_default

if TYPE_CHECKING:
    from pathlib import Path

SHAPES = {
    "table": '# t\n[providers.lab]\nbase_url = "http://h"\nmodels = ["a", {id = "b", context = 9}] # m\n\n# end\n',
    "lines": '[providers.lab]\nbase_url = "http://h"\nmodels = [\n    "a", # first\n'
    '    {id = "b", context = 9}, # second\n]\n',
    "inline": 'providers = {lab = {base_url = "http://h", models = ["a", {id = "b", context = 9}]}} # i\n',
    "dotted": 'providers.lab.base_url = "http://h"\nproviders.lab.models = ["a", {id = "b", context = 9}]\n',
    "tables": '[providers.lab]\nbase_url = "http://h"\n[[providers.lab.models]]\nid = "a"\n[[providers.lab.models]]\n'
    'id = "b"\ncontext = 9\n# end\n',
    "split": '[providers]\n[providers.lab]\nmodels = ["a", {id = "b", context = 9}]\nbase_url = "http://h"\n'
    '[aliases]\nx = "lab/a"\n',
}


def declared(path: Path) -> list[Any]:
    models = tomllib.loads(path.read_text())["providers"]["lab"].get("models", [])
    return [entry if isinstance(entry, dict) else {"id": entry} for entry in models]


@pytest.fixture(params=SHAPES, ids=list(SHAPES))
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = paths(tmp_path).settings_file
    path.parent.mkdir(parents=True)
    path.write_text(SHAPES[request.param])
    return path


def test_models_are_declared_changed_and_forgotten_in_a_file_of_any_shape(file: Path) -> None:
    declare_model(file, "lab", "c", {"context": 7, "tools": None}, new=True)
    assert declared(file) == [{"id": "a"}, {"id": "b", "context": 9}, {"id": "c", "context": 7}]
    declare_model(file, "lab", "a", {"vision": True}, new=False)
    declare_model(file, "lab", "b", {"context": None}, new=False)
    assert declared(file) == [{"id": "a", "vision": True}, {"id": "b"}, {"id": "c", "context": 7}]
    for model in ("b", "c", "a"):
        forget_model(file, "lab", model)
    assert declared(file) == []
    declare_model(file, "lab", "again", {}, new=True)
    assert declared(file) == [{"id": "again"}]
    assert load(paths(file.parent.parent), {}).providers["lab"].base_url == "http://h"


def test_aliases_and_the_default_come_and_go_in_a_file_of_any_shape(file: Path) -> None:
    comments = [line for line in file.read_text().split() if line == "#"]
    set_default(file, "lab/a")
    set_alias(file, "fast", "lab/b")
    set_alias(file, "fast", "lab")
    settings = load(paths(file.parent.parent), {})
    assert settings.model == "lab/a"
    assert settings.aliases["fast"] == "lab"
    set_default(file, None)
    set_alias(file, "fast", None)
    settings = load(paths(file.parent.parent), {})
    assert settings.model is None
    assert "fast" not in settings.aliases
    assert [line for line in file.read_text().split() if line == "#"] == comments


def test_a_comment_beside_another_model_stays(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(SHAPES["lines"])
    declare_model(path, "lab", "b", {"tools": True}, new=False)
    declare_model(path, "lab", "c", {}, new=True)
    assert '"a", # first' in path.read_text()
    forget_model(path, "lab", "c")
    assert '"a", # first' in path.read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: declare_model(p, "lab", "a", {}, new=True), "lab/a is already declared"),
        (lambda p: declare_model(p, "nobody", "a", {}, new=True), "no provider called nobody"),
        (
            lambda p: declare_model(p, "lab", "c", {"context": -1}, new=True),
            "models.2.context: must be greater than 0",
        ),
        (lambda p: forget_model(p, "lab", "c"), "lab/c is not declared"),
        (lambda p: set_alias(p, "gone", None), "there is no alias gone"),
        (lambda p: set_alias(p, "a/b", "lab/a"), "aliases"),
        (lambda p: set_default(p, "x" * 600), "model"),
    ],
)
def test_a_change_that_is_refused_leaves_the_file_as_it_was(file: Path, change: Any, words: str) -> None:
    before = file.read_bytes()
    with pytest.raises(SettingsError, match=words):
        change(file)
    assert file.read_bytes() == before


line = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=20)


@given(model=line, name=line, alias=st.text(st.sampled_from("ab.\"'\\#=[]é"), min_size=1, max_size=8))
def test_any_name_can_be_written_and_read_again(
    tmp_path_factory: pytest.TempPathFactory, model: str, name: str, alias: str
) -> None:
    where = paths(tmp_path_factory.mktemp("home"))
    where.config.mkdir()
    where.settings_file.write_text(SHAPES["split"])
    declare_model(where.settings_file, "lab", model, {"name": name}, new=model not in ("a", "b"))
    set_alias(where.settings_file, alias, f"lab/{model}")
    set_default(where.settings_file, alias)
    settings = load(where, {})
    assert (model, name) in [(m.id, m.name) for m in settings.providers["lab"].models]
    assert settings.aliases[alias] == f"lab/{model}"
    assert settings.model == alias
