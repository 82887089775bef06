"""Profiles: ``--profile NAME`` and ``TELEX_PROFILE``, and the order of all layers of settings."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import pytest
from inprocess import Inside
from scripted import answer

from provider_core.runtime import Runtime

if TYPE_CHECKING:
    from pathlib import Path

    from running import Ran
    from scripted import Scripted

PROVIDER = '[providers.{name}]\nbase_url = "{url}"\nkey = "none"\nmodels = ["m", "n"]\n'
PROFILES = """
[profiles.work]
model = "b/n"
providers = ["B"]
[profiles.home]
model = "a/m"
[profiles.broken]
providers = "b"
"""


@pytest.fixture
def inside(tmp_path: Path, server: Scripted, monkeypatch: pytest.MonkeyPatch) -> Inside:
    """Two providers at one server, and profiles."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    server.will(answer("Hello"))
    inside = Inside(tmp_path / "telex")
    inside.env["HOME"] = str(tmp_path)
    tables = "".join(PROVIDER.format(name=name, url=server.url) for name in "ab")
    inside.configure(f'model = "a/n"\n{tables}{PROFILES}')
    return inside


def asked(ran: Ran, server: Scripted) -> str:
    """The model that was asked in the last request."""
    assert ran.code == 0, ran.err
    return str(server.asked[-1].body["model"])


@pytest.mark.parametrize(
    ("arguments", "variable", "model"),
    [
        (["chat", "hi"], "", "n"),
        (["--profile", "home", "chat", "hi"], "", "m"),
        (["chat", "--profile", "home", "hi"], "", "m"),
        (["chat", "hi"], "home", "m"),
        (["--profile", "work", "chat", "hi"], "home", "n"),
        (["--profile", "", "chat", "hi"], "home", "n"),
        (["--profile", "home", "chat", "-m", "b/n", "hi"], "", "n"),
    ],
)
def test_profile_is_chosen_by_an_option_before_or_after_the_command_or_a_variable(
    inside: Inside, server: Scripted, arguments: list[str], variable: str, model: str
) -> None:
    assert asked(inside(*arguments, env={"TELEX_PROFILE": variable}), server) == model


def test_profile_after_another_command_is_advised_to_come_first(inside: Inside) -> None:
    ran = inside("models", "list", "--profile", "work")
    assert ran.code == 2
    assert "Put it before the command: telex --profile NAME models list" in ran.err


def test_only_providers_of_the_profile_can_be_used(inside: Inside, server: Scripted) -> None:
    assert asked(inside("--profile", "work", "chat", "-m", "b/m", "hi"), server) == "m"
    ran = inside("--profile", "work", "chat", "-m", "a/m", "hi")
    assert ran.code == 3
    assert "the provider a is not in the profile work, which has: B" in ran.err
    assert "--enable" not in ran.err
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wrok", "unknown profile: wrok\n  Did you mean work?"),
        ("broken", "profiles.broken.providers: must be a list"),
        ("zzz", "unknown profile: zzz\n  List the profiles: telex config get profiles"),
    ],
)
def test_profile_that_cannot_be_used_exits_3(inside: Inside, server: Scripted, name: str, words: str) -> None:
    for arguments, variable in ((["--profile", name], ""), ([], name)):
        ran = inside(*arguments, "chat", "-m", "a/m", "hi", env={"TELEX_PROFILE": variable})
        assert ran.code == 3
        assert words in ran.err
    assert server.asked == []


def test_renaming_a_provider_changes_the_profiles_that_name_it(inside: Inside, server: Scripted) -> None:
    ran = inside("providers", "rename", "b", "c")
    assert ran.code == 0, ran.err
    assert "the profile work" in ran.err
    assert asked(inside("--profile", "work", "chat", "hi"), server) == "n"
    assert "profile work" in inside("providers", "remove", "c", "--yes").err


def test_doctor_shows_profile_and_project(inside: Inside, tmp_path: Path) -> None:
    report = inside("--profile", "work", "doctor", "settings").text
    assert "work, only with the providers B" in report
    ran = inside("doctor", "settings", env={"TELEX_PROFILE": "wrok"})
    assert ran.code != 0
    assert "unknown profile: wrok" in ran.text
    file = tmp_path / "work" / ".telex.toml"
    file.write_text('model = "a/m"\n')
    assert f"{file} is not trusted" in inside("doctor", "settings").text
    assert inside("trust").code == 0
    text = inside("doctor", "settings").text
    assert f"{file}: model a/m" in text
    file.write_text('model = "a/n"\n')
    assert "has changed since you trusted it" in inside("doctor", "settings").text


def test_profile_has_a_budget_of_its_own(inside: Inside, server: Scripted) -> None:
    inside.configure(
        inside.settings.read_text().replace("[profiles.home]", "budget = { day = 1.0 }\n[profiles.home]")
    )
    runtime = Runtime(environ=inside.env, profile="work")
    assert runtime.settings.budget == {"day": 1.0}
    assert Runtime(environ=inside.env).settings.budget == {}


def test_setting_the_default_says_if_a_profile_overrides_it(inside: Inside) -> None:
    ran = inside("--profile", "home", "models", "default", "b/n")
    assert ran.code == 0
    assert "Here, the default model is a/m, from the profile home, which overrides it." in ran.err
    assert "Here" not in inside("models", "default", "b/n").err


def test_profiles_are_completed(inside: Inside) -> None:
    assert inside("--profile", "work", "models", "list").code == 0
    lists = inside.paths.cache / "completion"
    assert (lists / "profiles").read_text().split() == ["work", "home"]
    assert "a/m" in (lists / "models").read_text(), "all names are completed, whatever profile was in force"


LAYERS = ("file", "profile", "project", "variable", "command line")
"""From weak to strong."""


@pytest.mark.parametrize("layers", list(combinations(LAYERS, 2)), ids=" ".join)
def test_each_layer_overrides_those_before_it(
    inside: Inside, server: Scripted, tmp_path: Path, layers: tuple[str, str]
) -> None:
    """The model and an alias of each pair of layers; the stronger one has the model "strong"."""
    tables = PROVIDER.format(name="p", url=server.url)
    text, arguments, env = "", [], {}
    for layer, model in zip(layers, ("weak", "strong"), strict=True):
        match layer:
            case "file":
                text = f'model = "p/{model}"\n'
            case "profile":
                tables += f'[profiles.x]\nmodel = "p/{model}"\n'
                env["TELEX_PROFILE"] = "x"
            case "project":
                (tmp_path / "work" / ".telex.toml").write_text(f'model = "p/{model}"\n')
            case "variable":
                env["TELEX_MODEL"] = f"p/{model}"
            case _:
                arguments = ["-m", f"p/{model}"]
    inside.configure(text + tables)
    if "project" in layers:
        assert inside("trust").code == 0
    for _ in range(2):  # checked, and from the snapshot
        assert asked(inside("chat", *arguments, "hi", env=env), server) == "strong"
    if "command line" not in layers:
        runtime = Runtime(environ={**inside.env, **env}, use_project=True)
        assert runtime.settings.sources.get("model", "file") == layers[1]
