"""The presets as data: what each row has to be, and the facts that must not change by accident."""

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
from provider_core.presets.lists import TABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider_core.presets import Preset


def ids(text: str) -> list[str]:
    return text.split()


CLOUDS = ids("""
    anthropic azure baseten cerebras chutes cloudflare cohere deepinfra deepseek fireworks friendli gemini groq
    hyperbolic inception kimi kimi-cn minimax minimax-cn mistral modelscope nebius novita nvidia ollama-cloud
    openai ovhcloud perplexity qianfan qwen qwen-cn qwen-us sambanova scaleway siliconflow siliconflow-cn
    stepfun tencent together upstage venice volcengine wandb xai xiaomi zai zhipu
""")
GATEWAYS = ids("""
    aihubmix github-models huggingface litellm opencode-zen openrouter poe routerlab vercel
""")
LOCAL = ids("""
    jan koboldcpp lemonade llamacpp llamafile lmstudio localai ollama sglang textgen-webui transformers vllm
""")

ALL = presets.all_presets()
each_preset = pytest.mark.parametrize("preset", ALL, ids=lambda preset: preset.id)


def the(id: str) -> Preset:
    preset = presets.get(id)
    assert preset is not None, id
    return preset


def asked(id: str, model: str, level: str) -> Mapping[str, Any] | None:
    """The fields of the body for this level, as ``Effort`` defines them; None where it cannot be asked for."""
    name = model.rsplit("/", 1)[-1].lower()
    for effort in the(id).quirks.effort:
        if not effort.models or any(fnmatchcase(name, pattern) for pattern in effort.models):
            return {"reasoning_effort": level} if effort.levels is None else effort.levels.get(level)
    raise AssertionError(f"{id} has no effort for {model}")


# --- the list ----------------------------------------------------------------------------------------------


def test_there_are_sixty_eight_by_kind_and_by_id() -> None:
    assert [preset.id for preset in ALL] == CLOUDS + GATEWAYS + LOCAL
    assert len(ALL) == 68


def test_kinds_follow_the_order() -> None:
    kinds = {"cloud": CLOUDS, "gateway": GATEWAYS, "local": LOCAL}
    assert {kind: [p.id for p in ALL if p.kind == kind] for kind in kinds} == kinds


def test_get_knows_ids_and_nothing_else() -> None:
    assert the("deepseek").name == "DeepSeek"
    assert presets.get("DeepSeek") is None
    assert presets.get("") is None


def test_the_embedded_models_name_is_free() -> None:
    assert presets.get("local") is None


# --- every row ---------------------------------------------------------------------------------------------


@each_preset
def test_id_is_a_name_that_settings_take(preset: Preset) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", preset.id)
    assert preset.name.strip() == preset.name != ""


@each_preset
def test_addresses_are_https_or_loopback(preset: Preset) -> None:
    for url in (preset.base_url, *(url for url, _ in preset.other_base_urls)):
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.scheme == ("http" if parts.hostname == "127.0.0.1" else "https")
        assert not url.endswith("/")
        assert not parts.query
        assert not parts.username


@each_preset
def test_addresses_end_before_the_paths_that_are_appended(preset: Preset) -> None:
    assert not preset.base_url.endswith(("/chat/completions", "/models"))


@each_preset
def test_placeholders_and_variables_are_the_same(preset: Preset) -> None:
    assert set(re.findall(r"{(\w+)}", preset.base_url)) == {variable.name for variable in preset.variables}
    assert all(variable.prompt for variable in preset.variables)


@each_preset
def test_key_variables_are_names_of_variables(preset: Preset) -> None:
    names = [*preset.key_env, *(name for variable in preset.variables for name in variable.env)]
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*", name) for name in names)
    assert len(set(names)) == len(names)
    assert preset.key_env or not preset.key_required


@each_preset
def test_pages_are_addresses_and_nothing_more(preset: Preset) -> None:
    assert preset.docs_url
    for url in filter(None, (preset.docs_url, preset.keys_url)):
        assert urlsplit(url).scheme == "https"
        assert " " not in url


@each_preset
def test_no_header_could_carry_a_key(preset: Preset) -> None:
    for name in (*preset.headers, *preset.models_headers):
        assert name.lower() not in {"authorization", "api-key", "x-api-key"}


@each_preset
def test_the_list_of_models_is_on_the_same_host(preset: Preset) -> None:
    if preset.models_path is None:
        return
    assert preset.models_path.startswith("/")
    assert not preset.models_query.startswith("?")
    base = re.sub(r"{\w+}", "x", preset.base_url)
    assert httpx.URL(base + preset.models_path).host == httpx.URL(base).host


@each_preset
def test_ports_begin_with_the_one_of_the_address(preset: Preset) -> None:
    port = urlsplit(preset.base_url).port if "127.0.0.1" in preset.base_url else None
    assert preset.ports[:1] == ((port,) if port else ())


@each_preset
def test_efforts_end_with_an_entry_for_every_model(preset: Preset) -> None:
    *families, last = preset.quirks.effort
    assert last.models == ()
    assert all(effort.models for effort in families)
    assert all(pattern == pattern.lower() for effort in families for pattern in effort.models)


@each_preset
def test_effort_tables_are_bodies(preset: Preset) -> None:
    for effort in preset.quirks.effort:
        for level, fields in (effort.levels or {}).items():
            assert level in {*LEVELS, "instant"}
            assert fields
            assert json.loads(json.dumps(fields)) == fields
            assert not {"model", "messages", "stream"} & set(fields)


@each_preset
def test_levels_that_differ_ask_for_no_less(preset: Preset) -> None:
    """Off is never what a level above "none" says, and "none" never asks for effort."""
    for effort in preset.quirks.effort:
        levels = effort.levels or {}
        off = levels.get("none")
        assert off is None or all(fields != off for level, fields in levels.items() if level != "none")


# --- facts that are easily lost ----------------------------------------------------------------------------


def test_azure_alone_takes_its_key_in_a_header_of_its_own() -> None:
    assert {preset.id: preset.auth for preset in ALL if preset.auth != "bearer"} == {"azure": "api-key"}


def test_keys_are_optional_where_servers_answer_without() -> None:
    optional = {preset.id for preset in ALL if not preset.key_required}
    assert optional == {*LOCAL, "litellm", "ovhcloud"} - {"jan"}


def test_regions_name_each_other() -> None:
    groups = [
        {"qwen", "qwen-cn", "qwen-us"},
        {"kimi", "kimi-cn"},
        {"zhipu", "zai"},
        {"minimax", "minimax-cn"},
        {"siliconflow", "siliconflow-cn"},
    ]
    expected = {id: group - {id} for group in groups for id in group}
    assert {preset.id: set(preset.regions) for preset in ALL if preset.regions} == expected


@pytest.mark.parametrize(
    ("id", "host"),
    [
        ("qwen", "dashscope-intl.aliyuncs.com"),
        ("qwen-cn", "dashscope.aliyuncs.com"),
        ("qwen-us", "dashscope-us.aliyuncs.com"),
        ("kimi", "api.moonshot.ai"),
        ("kimi-cn", "api.moonshot.cn"),
        ("zhipu", "open.bigmodel.cn"),
        ("zai", "api.z.ai"),
        ("minimax", "api.minimax.io"),
        ("minimax-cn", "api.minimaxi.com"),
        ("siliconflow", "api.siliconflow.com"),
        ("siliconflow-cn", "api.siliconflow.cn"),
    ],
)
def test_each_region_has_its_own_host(id: str, host: str) -> None:
    assert urlsplit(the(id).base_url).hostname == host


@pytest.mark.parametrize(
    ("id", "own"),
    [
        ("kimi-cn", "MOONSHOT_CN_API_KEY"),
        ("siliconflow-cn", "SILICONFLOW_CN_API_KEY"),
        ("minimax-cn", "MINIMAX_CN_API_KEY"),
        ("qwen-us", "ALIBABA_US_API_KEY"),
        ("zai", "ZAI_API_KEY"),
        ("github-models", "GITHUB_MODELS_TOKEN"),
    ],
)
def test_a_variable_of_ones_own_comes_before_a_shared_one(id: str, own: str) -> None:
    assert the(id).key_env[0] == own


def test_the_key_of_ollamas_cloud_is_not_for_the_local_server() -> None:
    assert the("ollama-cloud").key_env == ("OLLAMA_API_KEY",)
    assert the("ollama").key_env == ()


@pytest.mark.parametrize(
    ("id", "url"),
    [
        ("openai", "https://api.openai.com/v1/models"),
        ("github-models", "https://models.github.ai/catalog/models"),
        ("cohere", "https://api.cohere.ai/v1/models"),
        ("cloudflare", "https://api.cloudflare.com/client/v4/accounts/x/ai/models/search"),
    ],
)
def test_where_models_are_listed(id: str, url: str) -> None:
    preset = the(id)
    assert preset.models_path is not None
    base = preset.base_url.replace("{account_id}", "x")
    assert str(httpx.URL(base + preset.models_path)) == url


def test_who_lists_no_models() -> None:
    assert {preset.id for preset in ALL if preset.models_path is None} == {"azure", "perplexity"}


def test_anthropic_lists_models_for_another_header() -> None:
    anthropic = the("anthropic")
    assert anthropic.auth == "bearer"
    assert anthropic.models_key_header == "x-api-key"
    assert anthropic.models_headers == {"anthropic-version": "2023-06-01"}


def test_ports_of_local_servers() -> None:
    assert {preset.id: preset.ports for preset in ALL if preset.ports} == {
        "jan": (1337,),
        "koboldcpp": (5001,),
        "lemonade": (13305, 8000),
        "litellm": (4000,),
        "llamacpp": (8080, 9931),
        "llamafile": (8080,),
        "lmstudio": (1234,),
        "localai": (8080,),
        "ollama": (11434,),
        "sglang": (30000,),
        "textgen-webui": (5000,),
        "transformers": (8000,),
        "vllm": (8000,),
    }


def test_local_servers_may_load_for_half_an_hour() -> None:
    for id in LOCAL:
        network = the(id).network
        assert (network.connect_timeout, network.first_byte_timeout, network.idle_timeout) == (5, 1800, 600)


def test_who_wants_the_newer_name_of_max_tokens() -> None:
    newer = {preset.id for preset in ALL if preset.quirks.max_tokens_field == "max_completion_tokens"}
    assert newer == {"openai", "azure", "kimi", "kimi-cn", "minimax", "minimax-cn"}


def test_who_is_not_asked_for_usage() -> None:
    silent = {preset.id for preset in ALL if not preset.quirks.stream_usage}
    assert silent == {"mistral", "perplexity", "cohere", "zhipu", "zai", "transformers"}


def test_cloudflare_is_told_how_much_it_may_write() -> None:
    assert {p.id for p in ALL if p.quirks.default_max_tokens is not None} == {"cloudflare"}


def test_who_is_always_streamed() -> None:
    streamed = {preset.id for preset in ALL if preset.quirks.always_stream}
    assert streamed == {"qwen", "qwen-cn", "qwen-us", "modelscope", "fireworks"}


@pytest.mark.parametrize(
    ("id", "field"),
    [
        ("deepseek", "reasoning_content"),
        ("kimi", "reasoning_content"),
        ("kimi-cn", "reasoning_content"),
        ("zai", "reasoning_content"),
        ("minimax", "think_tags"),
        ("openrouter", "reasoning_details"),
        ("vercel", "reasoning_details"),
        ("llamacpp", "reasoning_content"),
        ("sglang", "reasoning_content"),
        ("vllm", "reasoning"),
        ("ollama", "reasoning"),
        ("ollama-cloud", "reasoning"),
        ("xiaomi", "reasoning_content"),
        ("gemini", "never"),
        ("openai", "never"),
        ("azure", "never"),
        ("mistral", "never"),
        ("cerebras", "never"),
        ("perplexity", "never"),
        ("groq", "never"),
    ],
)
def test_where_thoughts_go_back(id: str, field: str) -> None:
    assert the(id).quirks.reasoning_send_back == field


def test_mistral_has_dialects_of_its_own_for_tools() -> None:
    quirks = the("mistral").quirks
    assert (quirks.tool_call_ids, quirks.tool_choice_required) == ("mistral9", "any")


def test_who_refuses_a_demand_for_tools() -> None:
    auto = {preset.id for preset in ALL if preset.quirks.tool_choice_required == "auto"}
    assert auto == {"minimax", "minimax-cn", "zhipu", "zai", "transformers"}
    while_off = {preset.id for preset in ALL if not preset.quirks.tool_choice_while_thinking}
    assert while_off == {"deepseek", "kimi", "kimi-cn", "qwen", "qwen-cn", "qwen-us"}
    assert [preset.id for preset in ALL if preset.quirks.tool_choice_named == "word"] == ["lmstudio"]


def test_perplexity_alone_wants_roles_to_alternate() -> None:
    assert [preset.id for preset in ALL if preset.quirks.alternate_roles] == ["perplexity"]


def test_who_knows_which_response_format() -> None:
    formats = {preset.id: preset.quirks.json_schema for preset in ALL}
    assert {id for id, format in formats.items() if format == "json_object"} == {
        "deepseek", "zhipu", "zai", "xiaomi"
    }  # fmt: skip
    assert {id for id, format in formats.items() if format == "none"} == {
        "anthropic", "minimax", "minimax-cn", "transformers"
    }  # fmt: skip


# --- efforts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("id", "model", "level", "fields"),
    [
        ("openai", "gpt-6-sol", "xhigh", {"reasoning_effort": "xhigh"}),
        ("openai", "gpt-6-sol", "whatever comes", {"reasoning_effort": "whatever comes"}),
        ("deepseek", "deepseek-v4-pro", "none", {"thinking": {"type": "disabled"}}),
        ("deepseek", "deepseek-v4-pro", "max", {"thinking": {"type": "enabled"}, "reasoning_effort": "max"}),
        ("zai", "glm-5.3", "low", {"reasoning_effort": "low"}),
        ("zai", "glm-5.3-flash", "none", None),
        ("zai", "glm-5.2", "none", {"reasoning_effort": "none"}),
        ("zai", "glm-5.1", "none", {"thinking": {"type": "disabled"}}),
        ("zhipu", "GLM-4.7", "high", {"thinking": {"type": "enabled"}}),
        ("kimi", "kimi-k3.1-pro", "max", {"reasoning_effort": "max"}),
        ("kimi", "kimi-k3", "none", None),
        ("kimi", "kimi-k3", "medium", None),
        ("kimi", "kimi-k2.6", "none", {"thinking": {"type": "disabled"}}),
        ("kimi", "kimi-k2.7-code", "none", None),
        ("minimax", "MiniMax-M3", "none", {"thinking": {"type": "disabled"}}),
        ("minimax", "MiniMax-M3", "high", {"thinking": {"type": "adaptive"}}),
        ("minimax", "MiniMax-M2.7", "none", None),
        ("qwen", "qwen3.8-max", "none", {"enable_thinking": False}),
        ("qwen", "qwen3.8-max", "high", {"enable_thinking": True}),
        ("qwen-us", "deepseek-v4-pro-us", "high", {"enable_thinking": True, "reasoning_effort": "high"}),
        ("volcengine", "doubao-seed-2-1-pro-260915", "minimal", {"reasoning_effort": "minimal"}),
        ("volcengine", "doubao-seed-2-1-pro-260915", "none", {"thinking": {"type": "disabled"}}),
        ("anthropic", "claude-opus-5-5", "high", None),
        ("mistral", "mistral-medium-latest", "high", {"reasoning_effort": "high"}),
        ("mistral", "mistral-medium-latest", "low", None),
        ("mistral", "magistral-medium-latest", "high", None),
        ("groq", "openai/gpt-oss-120b", "low", {"reasoning_effort": "low"}),
        ("groq", "openai/gpt-oss-120b", "none", None),
        ("groq", "qwen/qwen3.8-27b", "none", {"reasoning_effort": "none"}),
        ("groq", "qwen/qwen3.8-27b", "high", {"reasoning_effort": "default"}),
        ("openrouter", "anthropic/claude-opus-5", "max", {"reasoning": {"effort": "max"}}),
        ("vercel", "openai/gpt-5.5", "max", None),
        ("together", "zai-org/GLM-5.3", "none", {"reasoning": {"enabled": False}}),
        ("vllm", "/models/gpt-oss-20b", "low", {"reasoning_effort": "low"}),
        (
            "vllm",
            "Qwen/Qwen3.8-27B",
            "none",
            {"chat_template_kwargs": {"enable_thinking": False, "thinking": False}},
        ),
    ],
)
def test_how_an_effort_is_asked_for(id: str, model: str, level: str, fields: dict[str, Any] | None) -> None:
    assert asked(id, model, level) == fields


@each_preset
def test_levels_that_a_listed_model_has_can_be_asked_for(preset: Preset) -> None:
    for model in presets.models(preset.id):
        for level in model.reasoning_levels:
            assert asked(preset.id, model.id, level) is not None, (model.id, level)


# --- models ------------------------------------------------------------------------------------------------


def test_lists_are_of_presets() -> None:
    assert set(TABLE) <= {preset.id for preset in ALL}
    assert presets.models("no such preset") == ()


@each_preset
def test_models_are_listed_once_and_hold_what_models_hold(preset: Preset) -> None:
    models = presets.models(preset.id)
    assert len({model.id for model in models}) == len(models)
    for model in models:
        assert model.id == model.id.strip() != ""
        assert " " not in model.id
        assert model.context is None or 256 <= model.context <= 20_000_000
        assert model.max_output is None or 256 <= model.max_output <= 20_000_000
        assert model.name != model.id


def test_who_has_a_list() -> None:
    assert {preset.id for preset in ALL if not presets.models(preset.id)} == {
        *LOCAL, "litellm",  # only the user knows
        "azure",  # deployments are named by their owner
        "routerlab", "ovhcloud", "modelscope", "qianfan", "poe", "aihubmix", "cohere", "wandb", "friendli",
        "opencode-zen",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("id", "model"),
    [
        ("openai", "gpt-6.1-sol"),
        ("deepseek", "deepseek-v4-pro"),
        ("qwen", "qwen3.8-max"),
        ("anthropic", "claude-opus-5-5"),
        ("openrouter", "deepseek/deepseek-v4-pro"),
        ("perplexity", "sonar-pro"),
    ],
)
def test_the_default_comes_first(id: str, model: str) -> None:
    assert presets.models(id)[0].id == model


def test_a_model_carries_what_its_source_says() -> None:
    kimi = next(model for model in presets.models("kimi") if model.id == "kimi-k3")
    assert (kimi.context, kimi.max_output) == (1_048_576, 1_048_576)
    assert (kimi.reasoning, kimi.tools) == (True, True)
    assert kimi.reasoning_levels == ("low", "high", "max")


@pytest.mark.parametrize(
    ("id", "model"),
    [
        ("deepseek", "deepseek-chat"),
        ("deepseek", "deepseek-reasoner"),
        ("kimi", "kimi-k2.5"),
        ("kimi-cn", "kimi-k2.5"),
    ],
)
def test_models_that_were_switched_off_are_not_listed(id: str, model: str) -> None:
    assert model not in {listed.id for listed in presets.models(id)}


# --- finding -----------------------------------------------------------------------------------------------


def test_search_finds_by_every_word_in_any_case() -> None:
    assert [preset.id for preset in presets.search("KIMI china")] == ["kimi-cn"]


def test_search_puts_the_id_itself_first() -> None:
    assert [preset.id for preset in presets.search("ollama")] == ["ollama", "ollama-cloud"]
    assert presets.search("qwen")[0].id == "qwen"


@pytest.mark.parametrize(
    ("word", "ids"),
    [
        ("claude", ["anthropic"]),
        ("glm", ["zai", "zhipu"]),
        ("moonshot", ["kimi", "kimi-cn"]),
        ("doubao", ["volcengine"]),
        ("grok", ["xai"]),
        ("llama.cpp", ["llamacpp"]),
        ("lm studio", ["lmstudio"]),
        ("bigmodel.cn", ["zhipu"]),
        ("nothing of the kind", []),
    ],
)
def test_search_knows_what_people_call_things(word: str, ids: list[str]) -> None:
    assert [preset.id for preset in presets.search(word)] == ids


def test_search_for_nothing_finds_all() -> None:
    assert presets.search("  ") == ALL


@pytest.mark.parametrize(
    ("typed", "ids"),
    [
        ("deepsek", ("deepseek",)),
        ("opnai", ("openai",)),
        ("Mistrl", ("mistral",)),
        ("moonshott", ("kimi", "kimi-cn")),
        ("claude", ("anthropic",)),
        ("xyzzy", ()),
    ],
)
def test_near_guesses_what_was_meant(typed: str, ids: tuple[str, ...]) -> None:
    assert presets.near(typed) == ids


def test_near_names_three_at_most() -> None:
    assert len(presets.near("siliconflow-c")) <= 3


# --- cost --------------------------------------------------------------------------------------------------


def loaded_after(code: str) -> set[str]:
    """The modules of an interpreter that ran nothing but ``code``."""
    script = f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_presets_reads_no_rows_and_no_models() -> None:
    loaded = loaded_after("import provider_core.presets")
    mine = {name for name in loaded if name.startswith("provider_core.presets")}
    assert mine == {"provider_core.presets", "provider_core.presets.row"}
    assert not {"difflib", "httpx", "pydantic"} & loaded


def test_getting_a_preset_reads_no_models() -> None:
    loaded = loaded_after("from provider_core import presets\nassert presets.get('openai')")
    assert "provider_core.presets.labs" in loaded
    assert not {name for name in loaded if name.startswith("provider_core.presets.lists")}
    assert "difflib" not in loaded


def test_asking_for_models_leaves_the_function_in_place() -> None:
    loaded = loaded_after(
        "from provider_core import presets\nassert presets.models('openai')\nassert presets.models('openai')"
    )
    assert "provider_core.presets.lists" in loaded
