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
from provider_core.presets.effort import LEVELS

if TYPE_CHECKING:
    from collections.abc import Mapping

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
def test_names_and_pages_are_valid(preset: Preset) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", preset.id)
    assert preset.id != "local"  # the embedded model
    assert preset.name.strip() == preset.name != ""
    assert preset.docs_url
    for url in filter(None, (preset.docs_url, preset.keys_url)):
        assert urlsplit(url).scheme == "https"
        assert " " not in url


@each_preset
def test_addresses_are_https_or_loopback_without_the_paths_that_are_appended(preset: Preset) -> None:
    for url in (preset.base_url, *(url for url, _ in preset.other_base_urls)):
        parts = urlsplit(url)
        assert parts.scheme == ("http" if parts.hostname == "127.0.0.1" else "https")
        assert parts.hostname
        assert not parts.query
        assert not parts.username
        assert not url.endswith(("/", "/chat/completions", "/models"))
    port = urlsplit(preset.base_url).port if "127.0.0.1" in preset.base_url else None
    assert preset.ports[:1] == ((port,) if port else ())
    assert preset.kind != "local" or port


@each_preset
def test_variables_are_those_of_the_address_and_the_environment(preset: Preset) -> None:
    assert set(re.findall(r"{(\w+)}", preset.base_url)) == {variable.name for variable in preset.variables}
    assert all(variable.prompt for variable in preset.variables)
    names = [*preset.key_env, *(name for variable in preset.variables for name in variable.env)]
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*", name) for name in names)
    assert len(set(names)) == len(names)
    assert preset.key_env or not preset.key_required


@each_preset
def test_a_key_is_only_sent_to_the_presets_host_in_one_header(preset: Preset) -> None:
    for name in (*preset.headers, *preset.models_headers):
        assert name.lower() not in {"authorization", "api-key", "x-api-key"}
    if preset.models_path is not None:
        assert preset.models_path.startswith("/")
        assert not preset.models_query.startswith("?")
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
        ("xyzzy", ()),
    ],
)
def test_close_matches_correct_misspelled_ids_and_other_names(typed: str, ids: tuple[str, ...]) -> None:
    assert presets.close_matches(typed) == ids
    assert len(presets.close_matches("siliconflow-c")) <= 3


def test_presets_are_imported_only_when_they_are_looked_up() -> None:
    script = "import sys, provider_core.presets; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {name for name in loaded if name.startswith("provider_core.presets")} == {
        "provider_core.presets",
        "provider_core.presets.preset",
    }
    assert not {"difflib", "httpx", "pydantic"} & loaded
