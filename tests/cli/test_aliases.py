"""``telex models alias`` and ``edit``: how options of aliases and models are written, shown and removed."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from inprocess import Inside

from provider_core.settings.provider_fields import ALIAS_FIELDS, MODEL_FIELDS

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = """\
# mine
[aliases]  # names
plain = "lab/m"  # quick
poet = { target = "plain", system = "In verse." }  # slow

[providers.lab]
base_url = "http://127.0.0.1:9/v1"
key = "none"
models = ["m", { id = "n", context = 4096 }]  # two
"""


@pytest.fixture
def telex(tmp_path: Path) -> Inside:
    telex = Inside(tmp_path)
    telex.configure(SETTINGS)
    telex.paths.templates.mkdir(parents=True)
    (telex.paths.templates / "poem.toml").write_text('prompt = "A poem."\n')
    return telex


def written(telex: Inside) -> dict[str, Any]:
    text = telex.settings.read_text()
    for comment in ("# mine", "# names", "# quick", "# slow", "# two"):
        assert comment in text
    return tomllib.loads(text)


VALUES = {
    "name": "M", "context": 5, "max_output": 6, "reasoning": False, "tools": True, "vision": False, "web": True,
    "price_in": 0.5, "price_out": 1.5, "price_cached": 0.1, "price_cache_write": 0.2, "audio": True,
    "temperature": 0.0, "max_tokens": 9, "reasoning_effort": "low", "stream": False, "params": {"top_k": 20},
    "headers": {"X-A": "1"}, "connect_timeout": 2.5, "timeout": 7.0, "retries": 0, "max_cost": 0.25,
    "system": "Be brief.", "template": "poem", "allow": ["a/*", "b"],
}  # fmt: skip


def arguments(row: Any, value: Any) -> list[str]:
    flag, _, negative = row.flag.partition("/")
    match value:
        case bool():
            return [f"--{flag}" if value else negative]
        case dict():
            sign = ":" if row.type == "pairs" else "="
            return [each for key, one in value.items() for each in (f"--{flag}", f"{key}{sign}{one}")]
        case list():
            return [each for one in value for each in (f"--{flag}", one)]
    return [f"--{flag}", str(value)]


@pytest.mark.parametrize("row", MODEL_FIELDS, ids=lambda row: row.name)
def test_every_setting_of_a_model_has_an_option_that_changes_it_alone(telex: Inside, row: Any) -> None:
    value = VALUES[row.name]
    ran = telex("models", "edit", "lab/n", *arguments(row, value))
    assert (ran.code, ran.err) == (0, "lab/n is changed.\n")
    assert written(telex)["providers"]["lab"]["models"] == [
        "m",
        {"id": "n", "context": 4096} | {row.name: value},
    ]
    flag = row.flag.partition("/")[0]
    assert telex("models", "edit", "lab", "n", "--unset", flag).code == 0
    left = {"id": "n"} if row.name == "context" else {"id": "n", "context": 4096}
    assert written(telex)["providers"]["lab"]["models"] == ["m", left if len(left) > 1 else "n"]


@pytest.mark.parametrize(
    "row", [row for row in ALIAS_FIELDS if row.name != "tools"], ids=lambda row: row.name
)
def test_every_option_of_an_alias_is_set_and_removed_alone(telex: Inside, row: Any) -> None:
    value = VALUES[row.name]
    assert telex("models", "alias", "plain", *arguments(row, value)).code == 0
    assert written(telex)["aliases"]["plain"] == {"target": "lab/m", row.name: value}
    assert telex("models", "alias", "plain", "--unset", row.flag.partition("/")[0]).code == 0
    assert written(telex)["aliases"]["plain"] == "lab/m"


def test_targets_are_replaced_and_options_stay(telex: Inside) -> None:
    for targets, aliases, meaning in (
        (["lab/n"], {"target": "lab/n"}, "lab/n"),
        (["lab/n", "m", "lab/n"], {"targets": ["lab/n", "lab/m"]}, "lab/n, lab/m"),
    ):
        ran = telex("models", "alias", "poet", *targets)
        assert ran.err.startswith(f"poet means {meaning} (system=In verse.) (it was ")
        assert written(telex)["aliases"]["poet"] == {**aliases, "system": "In verse."}
    ran = telex("models", "alias", "plain", "lab/n", "nowhere/x")
    assert ran.err.startswith("nowhere/x cannot be asked yet: unknown provider: nowhere.\n")
    assert written(telex)["aliases"]["plain"] == ["lab/n", "nowhere/x"]
    assert telex("models", "alias").text == (
        "plain\tlab/n, nowhere/x\npoet\tlab/n, lab/m (system=In verse.)\n"
    )


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        ("models alias new lab/m,plain", 2, "telex models alias new lab/m plain"),
        ("models alias new -t 1", 2, "new is a new alias"),
        ("models alias -t 1", 2, "name the alias"),
        ("models alias plain --remove -t 1", 2, "--remove takes one NAME"),
        ("models alias plain -t 1 --unset temperature", 2, "--temperature and --unset temperature cannot"),
        ("models alias plain --unset param.x", 2, "this setting is not set"),
        ("models alias plain plain", 3, "the alias plain refers to itself: plain -> plain"),
        ("models alias plain lab/m poet", 3, "refers to itself: plain -> poet -> plain"),
        ("models alias plain --template nope", 3, "unknown template: nope"),
        ("models alias plain --tools nope", 3, "unknown MCP server: nope"),
        ("models alias plain -p api_key=sk-canary-0123456789", 2, "keys are not stored in the settings"),
        ("models alias plain -p stop=null", 2, "which the settings file cannot store"),
        ("models alias plain -p model=x", 2, "telex sets the field 'model' itself"),
        ("models edit lab/m --header Authorization:x", 2, "the header Authorization"),
        ("models edit plain -t 1", 2, "plain is an alias for lab/m; to change it: telex models alias plain"),
        ("models edit m -t 1", 2, "'m' is not a model: name it as PROVIDER/ID"),
        ("models edit lab/m --no-tools --unset tools", 2, "--tools and --unset tools cannot"),
        ("models add lab m", 3, "lab/m is already in the settings"),
        ("models add nobody a", 3, "unknown provider: nobody"),
        ("models add lap a", 3, "Did you mean lab?"),
        ("models add deepseek a", 3, "Set it up: telex providers add deepseek"),
        ("models add local a", 3, "local is built in"),
        ("models add lab/", 2, "the model id is empty"),
        ("models add lab _a", 2, "is not a valid model id"),
        ("models add lab m\nb", 2, "is not a valid model id"),
        ("models add lab " + "x" * 600, 2, "is not a valid model id"),
        ("models add lab b --context 99999999999999999999", 2, "--context"),
        ("models add lab b --max-output 100000001", 2, "--max-output"),
        ("models add lab b --context 0", 2, "--context"),
        ("models add lab b --name two\nlines", 2, "--name must be one line"),
        ("models edit lab b --tools", 3, "Add it: telex models add lab/b"),
        ("models edit lab m", 2, "nothing to change"),
        ("models edit nobody a --tools", 3, "unknown provider: nobody"),
        ("models remove lab b", 3, "lab/b is not in the settings"),
        ("models remove nobody b", 3, "unknown provider: nobody"),
        ("models alias a/b lab/m", 2, "not a valid name for an alias"),
        ("models alias LAB lab/m", 2, "the name of a provider"),
        ("models alias local lab/m", 2, "the name of a provider"),
        ("models alias default lab/m", 2, "default is reserved, or the name of a provider"),
        ("models alias x nobody/m", 3, "unknown provider: nobody"),
        ("models alias --remove x", 3, "unknown alias: x"),
        ("models alias x", 3, "unknown alias: x\n  Create it: telex models alias x PROVIDER/MODEL"),
        ("models alias --remove", 2, "--remove"),
        ("models default nobody/x", 3, "unknown provider: nobody"),
        ("models default lab/m --unset", 2, "--unset"),
    ],
)
def test_invalid_change_is_refused_and_changes_nothing(
    telex: Inside, words: str, code: int, error: str
) -> None:
    arguments = [word.replace("_", " ") if word[:1] == "_" else word for word in words.split(" ")]
    ran = telex(*arguments)
    assert (ran.code, error in ran.err) == (code, True), ran.err
    assert "sk-canary" not in ran.err
    assert telex.settings.read_text() == SETTINGS


@pytest.mark.parametrize("command", ["add", "edit", "remove"])
def test_provider_of_a_variable_is_changed_there(telex: Inside, command: str) -> None:
    arguments = () if command == "remove" else ("--tools",)
    env = {"TELEX_PROVIDERS__BOX__BASE_URL": "http://127.0.0.1:9/v1"}
    ran = telex("models", command, "box/m", *arguments, env=env)
    assert (ran.code, "box is set up by TELEX_PROVIDERS: change it there" in ran.err) == (2, True)


def test_show_prints_each_option_with_its_source(telex: Inside) -> None:
    telex("providers", "edit", "lab", "-t", "0.1", "-p", "seed=1")
    telex("models", "edit", "lab/m", "-p", "top_k=20", "--header", "X-Api-Key:env:LAB", "--timeout", "9")
    telex("models", "alias", "poet", "plain", "lab/n", "-t", "1")
    text = telex("models", "show", "poet").text
    for name, value in (
        ("targets", "lab/m, lab/n"), ("system", "In verse. (alias poet)"), ("temperature", "1 (alias poet)"),
        ("top_k", "20 (model lab/m)"), ("timeout", "9 (model lab/m)"), ("seed", "1 (provider lab)"),
        ("headers.X-Api-Key", "env:LAB (model lab/m)"),
    ):  # fmt: skip
        assert f"  {name:<17} {value}\n" in text, "the longest name has room"
    found = json.loads(telex("models", "show", "poet", "--json").out)
    assert found["targets"] == ["lab/m", "lab/n"]
    assert found["options"]["params.top_k"] == {"value": 20, "source": "model lab/m"}


def test_rename_and_remove_of_a_provider_know_all_forms_of_aliases(telex: Inside) -> None:
    telex("models", "alias", "both", "lab/m", "local/x")
    ran = telex("providers", "rename", "lab", "work")
    assert ran.code == 0, ran.err
    assert written(telex)["aliases"] == {
        "plain": "work/m",
        "poet": {"target": "plain", "system": "In verse."},
        "both": ["work/m", "local/x"],
    }
    warning = telex("providers", "remove", "work", "--yes").err.splitlines()[0]
    assert warning == "Warning: the alias plain and the alias both use work, which will no longer exist."
