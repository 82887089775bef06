"""The presets: what must hold for each, and finding them. Facts about a provider are in its row, with their source."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from provider_core import presets
from provider_core.catalog._parse import parse_models
from provider_core.errors import SettingsError
from provider_core.presets import BatchApi
from provider_core.presets.preset import LEVELS, LOOPBACK
from provider_core.presets.user import check
from provider_core.structs import replace
from provider_core.types import Network, Provider

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from provider_core.presets import Preset

ALL = presets.all_presets()
each_preset = pytest.mark.parametrize("preset", ALL, ids=lambda preset: preset.id)


def preset_of(id: str) -> Preset:
    preset = presets.get(id)
    assert preset is not None, id
    return preset


def fields_for(id: str, model: str, level: str) -> Mapping[str, Any] | None:
    """The fields of the request for this level, as ``Effort`` defines them; None if the model does not have it."""
    name = model.rsplit("/", 1)[-1].lower()
    for effort in preset_of(id).quirks.effort:
        if not effort.models or any(fnmatchcase(name, pattern) for pattern in effort.models):
            return {"reasoning_effort": level} if effort.levels is None else effort.levels.get(level)
    raise AssertionError(f"{id} has no effort for {model}")


# --- every preset --------------------------------------------------------------------------------------------


def test_presets_are_sorted_by_kind_and_id() -> None:
    kinds = ("cloud", "gateway", "local")
    assert list(ALL) == sorted(ALL, key=lambda preset: (kinds.index(preset.kind), preset.id))
    assert len({preset.id for preset in ALL}) == len(ALL) > 60


@each_preset
def test_presets_obey_the_rules_that_users_presets_must_obey(preset: Preset) -> None:
    check(preset)
    assert preset.docs_url
    assert preset.batch_api is None or preset.batch_api.source.startswith("https://")
    port = urlsplit(preset.base_url).port if "127.0.0.1" in preset.base_url else None
    assert preset.ports[:1] == ((port,) if port else ())
    assert all(variable.prompt for variable in preset.variables)
    if preset.models_path is not None:
        base = re.sub(r"{\w+}", "x", preset.base_url)
        assert httpx.URL(base + preset.models_path).host == httpx.URL(base).host


@each_preset
def test_regions_name_each_other_and_have_different_hosts(preset: Preset) -> None:
    for id in preset.regions:
        other = preset_of(id)
        assert preset.id in other.regions
        assert urlsplit(other.base_url).hostname != urlsplit(preset.base_url).hostname


@each_preset
def test_efforts_cover_every_model_with_valid_fields(preset: Preset) -> None:
    *families, last = preset.quirks.effort
    assert last.models == ()
    assert all(effort.models for effort in families)
    assert all(pattern == pattern.lower() for effort in families for pattern in effort.models)
    for effort in preset.quirks.effort:
        levels = effort.levels or {}
        for level, fields in levels.items():
            assert level in {*LEVELS, "instant"}
            assert json.loads(json.dumps(fields)) == fields != {}
            assert not {"model", "messages", "stream"} & set(fields)
            assert level == "none" or fields != levels.get("none")


@each_preset
def test_models_are_valid_and_their_levels_can_be_requested(preset: Preset) -> None:
    models = presets.models(preset.id)
    assert len({model.id for model in models}) == len(models)
    for model in models:
        assert model.id.strip() == model.id != model.name
        assert " " not in model.id
        for count in (model.context, model.max_output):
            assert count is None or 256 <= count <= 20_000_000
        for level in model.reasoning_levels:
            assert fields_for(preset.id, model.id, level) is not None, (model.id, level)


def test_window_of_the_same_model_at_another_host_is_the_smallest_one() -> None:
    rows = [row for rows in presets.all_models().values() for row in rows]
    known = [row[1] for row in rows if row[0].lower().endswith("/deepseek-v4-pro") and row[1]]
    assert presets.estimate_limits("anyone/DeepSeek-V4-Pro:free")[0] == min(known)
    assert presets.estimate_limits("some/never-heard-of") == (None, None)


def test_only_presets_have_models() -> None:
    assert set(presets.all_models()) <= {preset.id for preset in ALL}
    assert presets.models("unknown") == ()
    kimi = next(model for model in presets.models("kimi") if model.id == "kimi-k3")
    assert (kimi.context, kimi.max_output, kimi.reasoning, kimi.tools) == (1_048_576, 1_048_576, True, True)
    assert kimi.reasoning_levels == ("low", "high", "max")


# --- facts whose loss no other test would show ---------------------------------------------------------------


def test_local_servers_need_no_key_and_may_load_for_half_an_hour() -> None:
    local = {preset.id for preset in ALL if preset.kind == "local"}
    assert {preset.id for preset in ALL if not preset.key_required} == {*local, "litellm", "ovhcloud"} - {
        "jan"
    }
    for network in (preset_of(id).network for id in local):
        assert (network.connect_timeout, network.first_byte_timeout, network.idle_timeout) == (5, 1800, 600)
    assert preset_of("ollama").key_env == ()  # the variable is for Ollama's cloud
    assert (preset_of("litellm").network, preset_of("openai").network) == (LOOPBACK, Network())


@pytest.mark.parametrize(
    ("id", "url", "serves"),
    [
        ("openai", "https://api.openai.com/v2", True),
        ("openai", "https://api-openai.com/v1", False),
        ("openai", "https://api.openai.com.evil.example/v1", False),
        ("openai", "nonsense", False),
        ("azure", "https://mine.openai.azure.com/openai/v1", True),
        ("azure", "https://a.b.openai.azure.com/openai/v1", False),
    ],
)
def test_keys_of_a_preset_are_for_its_own_hosts(id: str, url: str, serves: bool) -> None:
    assert preset_of(id).serves(url) is serves


@pytest.mark.parametrize(
    ("id", "model", "level", "fields"),
    [
        ("openai", "gpt-6-sol", "any", {"reasoning_effort": "any"}),
        ("deepseek", "deepseek-v4-pro", "max", {"thinking": {"type": "enabled"}, "reasoning_effort": "max"}),
        ("zai", "glm-5.3-flash", "none", None),
        ("zai", "GLM-4.7", "none", {"thinking": {"type": "disabled"}}),
        ("kimi", "kimi-k3", "medium", None),
        ("minimax", "MiniMax-M3", "high", {"thinking": {"type": "adaptive"}}),
        ("qwen-us", "deepseek-v4-pro-us", "high", {"enable_thinking": True, "reasoning_effort": "high"}),
        ("anthropic", "claude-opus-5-5", "high", None),
        ("groq", "qwen/qwen3.8-27b", "high", {"reasoning_effort": "default"}),
        ("openrouter", "anthropic/claude-opus-5", "max", {"reasoning": {"effort": "max"}}),
        ("together", "zai-org/GLM-5.3", "none", {"reasoning": {"enabled": False}}),
        ("vllm", "/models/gpt-oss-20b", "low", {"reasoning_effort": "low"}),
        (
            "vllm",
            "Qwen/Qwen3-8B",
            "none",
            {"chat_template_kwargs": {"enable_thinking": False, "thinking": False}},
        ),
        ("siliconflow", "Qwen/Qwen3-8B", "none", {"enable_thinking": False}),
        ("nvidia", "qwen/qwen3-8b", "none", {"chat_template_kwargs": {"enable_thinking": False}}),
    ],
)
def test_reasoning_effort_is_sent_as_the_vendor_documents(
    id: str, model: str, level: str, fields: dict[str, Any] | None
) -> None:
    assert fields_for(id, model, level) == fields


# --- finding -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("KIMI china", ["kimi-cn"]),
        ("ollama", ["ollama", "ollama-cloud"]),
        ("qwen-", ["qwen-cn", "qwen-us"]),
        ("claude", ["anthropic"]),
        ("glm", ["zai", "zhipu"]),
        ("lm studio", ["lmstudio"]),
        ("bigmodel.cn", ["zhipu"]),
        ("nothing of the kind", []),
        ("  ", [preset.id for preset in ALL]),
    ],
)
def test_search_finds_every_word_in_any_case_and_the_id_first(text: str, ids: list[str]) -> None:
    assert [preset.id for preset in presets.search(text)] == ids


@pytest.mark.parametrize(
    ("typed", "ids"),
    [
        ("deepsek", ("deepseek",)),
        ("Mistrl", ("mistral",)),
        ("moonshott", ("kimi", "kimi-cn")),
        ("claude", ("anthropic",)),
        ("llama", ("ollama-cloud", "ollama", "llamacpp")),  # and llamafile: at most three
        ("xyzzy", ()),
    ],
)
def test_close_matches_correct_misspelled_ids_and_other_names(typed: str, ids: tuple[str, ...]) -> None:
    assert presets.close_matches(typed) == ids


def test_presets_are_imported_only_when_they_are_looked_up() -> None:
    script = "import sys, provider_core.presets; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {name for name in loaded if name.startswith("provider_core.presets")} == {
        "provider_core.presets",
        "provider_core.presets.preset",
    }
    assert not {"difflib", "httpx", "pydantic"} & loaded


# --- the user's own --------------------------------------------------------------------------------------------------

ACME = """\
name = "Acme"
kind = "gateway"
base_url = "https://llm.acme.example/{team}/v1"
variables = [{ name = "team", env = ["ACME_TEAM"] }]
key_env = ["ACME_API_KEY"]
also = ["internal"]
docs_url = "https://acme.example/DOCS"
models_path = "/catalog"
price_fields = ["cost.in", "cost.out", "", ""]
price_unit = 3
batch_api = { source = "https://acme.example/batch", requests = 10, endpoint = "/chat" }
headers = { X-Team = "red" }
quirks = { json_schema = "json_object", stream_usage = false, default_max_tokens = 4096 }
models = [
  "acme-small", { id = "acme-old", reasoning = false },
  { id = "acme-large", context = 256, max_output = 20000000, reasoning = true, reasoning_levels = ["low"] }
]
""".replace("DOCS", "d" * 491)  # 512 characters in all, the most of a text


def folder_with(tmp_path: Path, **texts: str) -> Path:
    folder = tmp_path / "presets.d"
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(text)
    return folder


def test_users_presets_are_found_as_the_built_in_ones(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, acme=ACME, bad="base_url = 5")
    acme = presets.get("acme", folder)
    assert acme is not None
    assert (acme.id, acme.kind, acme.key_env, acme.models_path) == (
        "acme",
        "gateway",
        ("ACME_API_KEY",),
        "/catalog",
    )
    assert (acme.quirks.json_schema, acme.quirks.stream_usage, acme.quirks.default_max_tokens) == (
        "json_object", False, 4096,
    )  # fmt: skip
    entry = {"id": "m", "cost": {"in": 0.001, "out": 0.002}}
    assert parse_models([entry], acme)[0].price == {"input": "1", "output": "2"}
    assert parse_models([entry], replace(acme, price_fields=("", "cost.out", "", "")))[0].price is None
    assert acme.batch_api == BatchApi(source="https://acme.example/batch", requests=10, endpoint="/chat")
    assert [model.id for model in acme.models] == ["acme-small", "acme-old", "acme-large"]
    assert [model.reasoning for model in acme.models] == [None, False, True]
    assert acme.models[2].reasoning_levels == ("low",)
    assert presets.all_presets(folder) == (*ALL, acme)
    assert presets.search("internal", folder) == (acme,)
    assert presets.close_matches("acmee", folder) == ("acme",)
    assert presets.get("acme") is None
    assert presets.of(Provider(name="mine", preset="acme", presets=folder)) is acme
    assert presets.of(Provider(name="acme")) is None
    assert list(presets.problems(folder)) == ["bad"]
    (folder / "acme.toml").write_text(ACME.replace("Acme", "Acme two").replace('"/catalog"', "false"))
    changed = presets.get("acme", folder)
    assert changed is not None
    assert (changed.name, changed.models_path) == ("Acme two", None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = [", "Invalid value"),
        ("", "base_url is missing"),
        ('base_url = "http://llm.acme.example/v1"', "is not an https address"),
        ('base_url = "https://me:pw@acme.example/v1"', "no user name"),
        ('base_url = "https://acme.example/v1?key=1"', "no user name, query or fragment"),
        ('base_url = "https://acme.example/v1/chat/completions"', "must end before /chat/completions"),
        ('base_url = "https://acme.example/{a}/v1"', "placeholders of base_url differ: a"),
        ('base_url = "https://acme.example:65536/v1"', "Port out of range"),
        ('base_url = "https://acme.example:0/v1"', "is not an https address"),
        ("base_url = 5", "base_url must be text"),
        ('key_env = ["lower"]', "'lower' is not a valid name"),
        ("key_env = []", "key_env is missing"),
        ('key_env = "ACME"', "key_env must be a list"),
        ('key_env = ["OPENAI_API_KEY"]', "OPENAI_API_KEY is the key of openai"),
        ('headers = { Authorization = "Bearer x" }', "carries a key"),
        ('headers = { X-Token = "secret" }', "sounds like a secret"),
        ('key = "sk-1"', "key is not a field of a preset"),
        ('kind = "clud"', "kind must be one of cloud, gateway, local"),
        ('kind = "local"', "needs an address with a port"),
        ('id = "other"', "but the name of the file is acme.toml"),
        ("models = [{ context = 1 }]", "models.id is missing"),
        ('models = [{ id = "m", context = 255 }]', "between 256 and"),
        ('models = [{ id = "m", context = true }]', "models.context must be a whole number"),
        ('models = [{ id = "m", max_output = 20000001 }]', "between 256 and"),
        ('models = [{ id = "m", contxt = 1 }]', "contxt is not a field of models"),
        ('quirks = { json_schema = "x" }', "quirks.json_schema must be one of"),
        ("quirks = { effort = 1 }", "effort is not a field of quirks"),
        ('name = "\\u001b[2J"', "name must be one line"),
        (f'name = "{"x" * 513}"', "name must be one line of at most 512"),
        ('keys_url = "javascript:1"', "keys_url is not an https address"),
        ('models_path = "catalog"', "must begin with a slash"),
        ('price_fields = ["a"]', "price_fields must have 4 values"),
        ("price_unit = 13", "price_unit must be a power of ten"),
        ("batch_api = { rows = 1 }", "rows is not a field of batch_api"),
        ("batch_api = { requests = 0 }", "batch_api needs positive limits"),
    ],
)
def test_a_bad_file_makes_only_its_own_preset_unusable(tmp_path: Path, text: str, words: str) -> None:
    name = text.partition(" ")[0]
    usual = ['base_url = "https://llm.acme.example/v1"', 'key_env = ["ACME_API_KEY"]']
    lines = [line for line in usual if not line.startswith(f"{name} ")] if text else []
    folder = folder_with(tmp_path, acme="\n".join([*lines, text]), other="\n".join(usual))
    assert presets.get("acme", folder) is None
    assert presets.get("other", folder) is not None
    (error,) = presets.problems(folder).values()
    assert isinstance(error, SettingsError)
    assert words in error.message
    assert str(folder / "acme.toml") in error.message


def test_a_file_cannot_replace_a_built_in_preset_or_be_written_by_everybody(tmp_path: Path) -> None:
    text = 'base_url = "https://evil.example/v1"\nkey_env = ["EVIL_API_KEY"]\n'
    folder = folder_with(tmp_path, openai=text, local=text, shared=text)
    (folder / "shared.toml").chmod(0o666)
    (folder / "link.toml").symlink_to(folder / "nowhere")
    assert presets.get("openai", folder) is presets.get("openai")
    assert set(presets.problems(folder)) == {"openai", "local", "shared"}
    assert presets.all_presets(folder) == ALL
    assert presets.all_presets(tmp_path / "nowhere") == ALL
