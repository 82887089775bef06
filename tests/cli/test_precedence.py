"""Options of a chat from all layers that may set them: the stronger one is used, and the source of each is shown."""

from __future__ import annotations

import json
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest
import tomlkit
from inprocess import Inside
from scripted import answer

from provider_core.options import Layer, MergedOptions, configured, merge
from provider_core.types import Provider, Target

if TYPE_CHECKING:
    from pathlib import Path

    from scripted import Scripted

CI = {"CI": "1", "TELEX_TRUST_PROJECT": "1"}
OPTIONS = {
    "temperature": (0.25, 1.5),
    "params.top_k": (20, 40),
    "max_tokens": (100, 200),
    "system": ("weaker", "stronger"),
}
SOURCES = {
    "command line": "command line",
    "template of the command line": "template given",
    "alias": "alias outer",
    "template of the alias": "template own",
    "project": "project",
    "model": "model lab/m",
    "provider": "provider lab",
    "settings": "settings",
}
"""All that sets options, the strongest first -> what the source is called."""


class Setup:
    """Everything that sets options; ``add`` sets one in one layer, ``sent`` is the request and the sources."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._telex = Inside(home / "home")
        self._here = home / "project"
        (self._here / ".git").mkdir(parents=True)
        monkeypatch.chdir(self._here)
        model: dict[str, Any] = {"id": "m"}
        self._layers: dict[str, dict[str, Any]] = {
            "model": model,
            "provider": {"base_url": "http://127.0.0.1:9/v1", "key": "none", "models": [model]},
            "alias": {"target": "inner"},
            "inner alias": {"target": "lab/m"},
            "settings": {},
            "project": {},
        }
        self._templates: dict[str, dict[str, Any]] = {}
        self._arguments = ["chat", "--dry-run", "-m", "outer", "hi"]

    def add(self, layer: str, option: str, value: Any) -> None:
        name, _, key = option.partition(".")
        field = {name: {key: value}} if key else {name: value}
        match layer:
            case "command line":
                flag = {"params": "--param", "max_tokens": "--max-tokens"}.get(name, f"--{name}")
                self._arguments += [flag, f"{key}={json.dumps(value)}" if key else str(value)]
            case "template of the command line":
                if "given" not in self._templates:
                    self._arguments += ["--template", "given"]
                self._templates.setdefault("given", {}).update(field)
            case "template of the alias":
                self._templates.setdefault("own", {}).update(field)
                self._layers["alias"]["template"] = "own"
            case _:
                self._layers[layer] |= field

    def sent(self, **env: str) -> tuple[dict[str, Any], dict[str, str]]:
        of = self._layers
        aliases = {"outer": of["alias"], "inner": of["inner alias"]}
        settings = {**of["settings"], "aliases": aliases, "providers": {"lab": of["provider"]}}
        self._telex.configure(tomlkit.dumps(settings))
        self._telex.paths.templates.mkdir(parents=True, exist_ok=True)
        for name, template in self._templates.items():
            (self._telex.paths.templates / f"{name}.toml").write_text(tomlkit.dumps(template))
        (self._here / ".telex.toml").write_text(tomlkit.dumps(of["project"]))
        ran = self._telex(*self._arguments, env=CI | env)
        assert ran.code == 0, ran.err
        found = json.loads(ran.out)
        return found["body"], found["sources"]


def value_of(body: dict[str, Any], option: str) -> Any:
    if option == "system":
        return next(each["content"] for each in body["messages"] if each["role"] == "system")
    return body[option.removeprefix("params.")]


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    return Setup(tmp_path, monkeypatch)


@pytest.mark.parametrize("pair", [*combinations(SOURCES, 2)], ids=" over ".join)
def test_each_layer_overrides_every_weaker_one(setup: Setup, pair: tuple[str, str]) -> None:
    stronger, weaker = pair
    options = {name: each for name, each in OPTIONS.items() if name != "system" or _holds_system(weaker)}
    for option, (less, more) in options.items():
        setup.add(weaker, option, less)
        if option != "system" or _holds_system(stronger):
            setup.add(stronger, option, more)
    body, sources = setup.sent()
    for option, (less, more) in options.items():
        overridden = option != "system" or _holds_system(stronger)
        assert value_of(body, option) == (more if overridden else less)
        assert sources[option] == SOURCES[stronger if overridden else weaker]


def test_a_setting_of_a_variable_is_named_as_such(setup: Setup) -> None:
    setup.add("settings", "temperature", 0.1)
    setup.add("settings", "params.top_k", 1)
    body, sources = setup.sent(TELEX_TEMPERATURE="0.2", TELEX_PARAMS__SEED="3")
    assert (body["temperature"], body["seed"], body["top_k"]) == (0.2, 3, 1)
    assert {name: sources[name] for name in ("temperature", "params.seed", "params.top_k")} == {
        "temperature": "variable",
        "params.seed": "variable",
        "params.top_k": "settings",
    }


def _holds_system(layer: str) -> bool:
    return layer not in ("model", "provider")


def test_an_alias_overrides_the_one_that_it_leads_to(setup: Setup) -> None:
    setup.add("inner alias", "temperature", 0.1)
    setup.add("inner alias", "params.seed", 1)
    setup.add("alias", "temperature", 0.9)
    body, sources = setup.sent()
    assert (body["temperature"], body["seed"]) == (0.9, 1)
    assert (sources["temperature"], sources["params.seed"]) == ("alias outer", "alias inner")


MERGED = [
    # A field of the body is the same option as the one that telex sends in it.
    ([{"temperature": 1}, {"params": {"temperature": 0, "top_k": 1}}], {"temperature": 1, "params": {"top_k": 1}}),
    ([{"params": {"temperature": None}}, {"temperature": 0}], {"params": {"temperature": None}}),
    ([{"max_tokens": 5}, {"params": {"max_completion_tokens": 9}}], {"max_tokens": 5}),
    ([{"params": {"options": {"num_predict": 9}}}, {"max_tokens": 5}], {"params": {"options": {"num_predict": 9}}}),
    ([{"reasoning_effort": "low"}, {"params": {"reasoning": {"effort": "high"}}}], {"reasoning_effort": "low"}),
    ([{"stream": False}, {"params": {"stream": True}}], {"stream": False}),
    # Zero, false and an empty text are values; None and empty lists are not.
    ([{"temperature": 0, "stream": False}, {"temperature": 1, "stream": True}], {"temperature": 0, "stream": False}),
    ([{"temperature": None, "tools": ()}, {"temperature": 1, "tools": ["a"]}], {"temperature": 1, "tools": ["a"]}),
    # Headers have no case.
    ([{"headers": {"x-a": "1"}}, {"headers": {"X-A": "2", "X-B": "3"}}], {"headers": {"x-a": "1", "X-B": "3"}}),
    # What is allowed for some tools is not allowed for others.
    ([{"tools": ["shell"]}, {"tools": ["files"], "allow": ["*"]}], {"tools": ["shell"]}),
    ([{"allow": ["a/*"]}, {"tools": ["a"], "allow": ["*"]}], {"allow": ["a/*"], "tools": ["a"]}),
    ([{"temperature": 1}, {"tools": ["a"], "allow": ["*"]}], {"temperature": 1, "tools": ["a"], "allow": ["*"]}),
]  # fmt: skip


@pytest.mark.parametrize(("layers", "merged"), MERGED)
def test_options_are_merged_by_what_they_mean(layers: list[dict[str, Any]], merged: dict[str, Any]) -> None:
    found = merge(Layer(source=str(number), values=values) for number, values in enumerate(layers))
    assert found.values == merged


def test_headers_of_the_options_replace_those_of_the_provider_in_any_case() -> None:
    lab = Provider(name="lab", base_url="http://lab.test/v1", headers={"X-A": "1", "X-B": "2"})
    target = Target(provider=lab, model="m")
    found = configured(target, MergedOptions(values={"headers": {"x-a": "3"}, "retries": 0}))
    assert found.provider.headers == {"X-B": "2", "x-a": "3"}
    assert found.provider.network.retries == 0
    assert configured(target, MergedOptions()) is target


def test_the_template_of_an_alias_has_variables(tmp_path: Path) -> None:
    telex = Inside(tmp_path)
    telex.configure('[aliases]\npoet = { target = "lab/m", template = "poem" }\n')
    telex.provider("lab", "http://127.0.0.1:9/v1")
    telex.paths.templates.mkdir(parents=True)
    (telex.paths.templates / "poem.toml").write_text(
        'system = "Write in {{ style | verse }}."\nprompt = "About {{ prompt }}."\ntemperature = 0.9\n'
    )
    ran = telex("chat", "-m", "poet", "--dry-run", "--var", "style=prose", "rain")
    found = json.loads(ran.out)
    assert [each["content"] for each in found["body"]["messages"]] == ["Write in prose.", "About rain."]
    assert found["sources"]["temperature"] == "template poem"
    several = telex("chat", "-m", "lab/m", "-m", "lab/n", "--template", "poem", "--dry-run", "rain")
    systems = [each["body"]["messages"][0]["content"] for each in json.loads(several.out)]
    assert systems == ["Write in verse."] * 2
    for wrong, words in (
        (["-m", "poet", "-m", "lab/m"], "the alias poet has a template, which works with one model only"),
        (["-m", "lab/m", "--var", "style=prose"], "--var requires --template"),
        (["-m", "poet", "--allow", "x"], "--allow requires --tools"),
    ):
        ran = telex("chat", *wrong, "rain")
        assert (ran.code, words in ran.err) == (2, True), ran.err


def test_a_continued_conversation_keeps_its_system_message(tmp_path: Path, server: Scripted) -> None:
    telex = Inside(tmp_path)
    telex.configure('system = "Own."\n[aliases]\npoet = { target = "lab/m", system = "In verse." }\n')
    telex.provider("lab", server.url)
    server.will(answer("Yes."))
    for arguments in (["-s", "First."], ["-c"], ["-c", "-m", "poet"], []):
        assert telex("chat", *arguments, "hi").code == 0
    systems = [
        [each["content"] for each in asked.body["messages"] if each["role"] == "system"]
        for asked in server.asked
    ]
    assert systems == [["First."], ["First."], ["In verse."], ["Own."]]
