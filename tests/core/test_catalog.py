"""What is known of models: read from the wire, guessed from names, merged, kept, refreshed, and told to shells."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from listings import as_json, listing, paths
from scripted import Answer, Pause, Scripted

from provider_core import catalog, errors, presets
from provider_core.catalog import CachedModelList, Catalog, ModelListing, RefreshResult, estimate_limits
from provider_core.catalog._parse import find, kind_of_id, tokens
from provider_core.catalog._parse import parse_models as read_models
from provider_core.http import HttpTransport
from provider_core.types import Model, Provider

if TYPE_CHECKING:
    from provider_core.types import ModelKind


def read(preset: str | None = None, **fields: Any) -> Model:
    """The model that an entry with these fields is."""
    (model,) = read_models([{"id": "m", **fields}], presets.get(preset) if preset else None)
    return model


# --- limits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preset", "fields", "context"),
    [
        ("openrouter", {"context_length": 200000, "top_provider": {"context_length": 128000}}, 200000),
        ("openrouter", {"top_provider": {"context_length": 128000}}, 128000),
        ("groq", {"context_window": 131072}, 131072),
        ("novita", {"context_size": 65536}, 65536),
        ("vllm", {"max_model_len": 40960}, 40960),
        ("mistral", {"max_context_length": 32768}, 32768),
        ("llamacpp", {"meta": {"n_ctx": 4096, "n_ctx_train": 131072}}, 4096),
        ("llamacpp", {"meta": {"n_ctx_train": 131072}}, None),
        (None, {"meta": {"n_ctx": 4096, "n_ctx_train": 131072}}, 4096),
        (None, {"meta": {"n_ctx_train": 131072}}, None),
        ("github-models", {"limits": {"max_input_tokens": 131072}}, 131072),
        ("venice", {"model_spec": {"availableContextTokens": 65536}}, 65536),
        ("huggingface", {"providers": [{"context_length": 8192}, {"context_length": 131072}, {}]}, 131072),
        ("cloudflare", {"name": "m", "properties": [{"property_id": "price", "value": 9},
                        {"property_id": "context_window", "value": "24000"}]}, 24000),
        (None, {"capabilities": {"limits": {"max_context_window_tokens": 128000}}}, 128000),
        (None, {"inputTokenLimit": 1048576}, 1048576),
        (None, {"max_input_tokens": 200000}, 200000),
        (None, {"true_max_context_length": 16384}, 16384),
        (None, {"max_context_length": 131072, "loaded_context_length": 8192}, 8192),
        ("groq", {"max_model_len": 8192}, 8192),
        # 190: what is no count of tokens.
        (None, {"context_length": "131072"}, 131072),
        (None, {"context_length": 131072.0}, 131072),
        (None, {"context_length": 0, "max_model_len": 8192}, 8192),
        (None, {"context_length": 255}, None),
        (None, {"context_length": 1e9}, None),
        (None, {"context_length": True}, None),
        (None, {"context_length": "128k"}, None),
        (None, {"context_length": None}, None),
        (None, {"context_length": [1024]}, None),
        (None, {"context_length": float("inf")}, None),
        (None, {"context_length": float("nan")}, None),
        (None, {}, None),
    ],
)  # fmt: skip
def test_185_to_190_the_context_window_is_found_wherever_it_is(
    preset: str | None, fields: dict[str, Any], context: int | None
) -> None:
    assert read(preset, **fields).context == context


@pytest.mark.parametrize(
    ("preset", "fields", "most"),
    [
        ("groq", {"max_completion_tokens": 32768}, 32768),
        ("chutes", {"max_output_length": 65536}, 65536),
        ("vercel", {"max_tokens": 64000}, 64000),
        ("openrouter", {"top_provider": {"max_completion_tokens": 16384}}, 16384),
        (None, {"outputTokenLimit": 65536}, 65536),
        (None, {"max_tokens": 64000}, None),  # elsewhere it is the window, or the default
    ],
)
def test_the_longest_answer_is_found_wherever_it_is(
    preset: str | None, fields: dict[str, Any], most: int | None
) -> None:
    assert read(preset, **fields).max_output == most


def test_every_field_of_every_preset_finds_its_value() -> None:
    for preset in presets.all_presets():
        for path in (*preset.context_fields, *preset.output_fields):
            assert tokens(_entry_with(path, 4321), (path,)) == 4321, (preset.id, path)


def _entry_with(path: str, value: int) -> Any:
    """An entry that has ``value`` under ``path``."""
    head, _, rest = path.partition(".")
    inner = _entry_with(rest, value) if rest else value
    name, bracket, choice = head.partition("[")
    if not bracket:
        return {name: inner}
    key, equals, wanted = choice.rstrip("]").partition("=")
    return {name: [{**inner, **({key: wanted} if equals else {})}]}


nested = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("abc"), inner),
)


@given(nested, st.text(st.sampled_from("abc.[]="), max_size=10))
def test_no_path_and_no_value_break_the_search(entry: Any, path: str) -> None:
    assert isinstance(find(entry, path), list)


# --- kinds and abilities -----------------------------------------------------------------------------------


NAMES = {
    "embedding": """
        text-embedding-3-large nomic-embed-text:latest BAAI/bge-m3 intfloat/e5-large gte-qwen2 qwen3-embedding:8b
        models/gemini-embedding-001 sentence-transformers/all-MiniLM-L6-v2 mistral-embed""",
    "rerank": "rerank-v3.5 BAAI/bge-reranker-v2-m3 qwen3-reranker-8b",
    "speech": """
        whisper-large-v3 tts-1-hd gpt-4o-mini-tts gpt-4o-transcribe voxtral-mini-transcribe-2507 gpt-realtime
        hexgrad/kokoro-82m canopylabs/orpheus-v1-english qwen3-asr-flash""",
    "image": """
        dall-e-3 gpt-image-1 black-forest-labs/FLUX.1-schnell stable-diffusion-xl google/veo-3.1 sora-2
        gemini-2.5-flash-image qwen-image-edit wan-ai/wan2.2-t2v-a14b doubao-seedream-4-0""",
    "moderation": "omni-moderation-latest meta-llama/llama-guard-4-12b gpt-oss-safeguard-20b",
    "completion": "babbage-002 davinci-002",
    "chat": """
        gpt-5.6-sol claude-opus-5-5 qwen/qwen3-vl-8b llama3.2:latest deepseek-v4-flash gemma-4-31b-it o4-mini
        gpt-4o-audio-preview voxtral-small-latest kimi-k3 mistral-small-latest imagine-writer flexible-7b
        command-a compound vision-8b SmolLM2-135M-Instruct.Q4_1.gguf""",
}


@pytest.mark.parametrize(("kind", "names"), NAMES.items())
def test_179_the_name_says_what_a_model_is_for(kind: str, names: str) -> None:
    assert {name: kind_of_id(name) for name in names.split()} == dict.fromkeys(names.split(), kind)


def test_every_model_of_the_presets_chats() -> None:
    listed = [row[0] for rows in presets.all_models().values() for row in rows]
    assert [id_ for id_ in listed if kind_of_id(id_) != "chat"] == []


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"type": "embedding"}, "embedding"),
        ({"type": "llm"}, "chat"),
        ({"type": "vlm"}, "chat"),
        ({"type": "model"}, "chat"),
        ({"type": "image"}, "image"),
        ({"type": "rerank"}, "rerank"),
        ({"type": "moderation"}, "moderation"),
        ({"type": "audio"}, "speech"),
        ({"id": "my-embed-chatter", "type": "chat"}, "chat"),
        ({"task": {"name": "Text Embeddings"}}, "embedding"),
        ({"task": {"name": "Text Generation"}}, "chat"),
        ({"task": {"name": "Automatic Speech Recognition"}}, "speech"),
        ({"model_info": {"mode": "image_generation"}}, "image"),
        ({"capabilities": ["embedding"]}, "embedding"),
        ({"capabilities": ["completion", "tools"]}, "chat"),
        ({"capabilities": {"completion_chat": False}}, "other"),
        ({"capabilities": {"completion_chat": True}}, "chat"),
        ({"endpoints": ["chat", "generate"]}, "chat"),
        ({"endpoints": ["rerank"]}, "rerank"),
        ({"architecture": {"output_modalities": ["text", "image"]}}, "chat"),
        ({"architecture": {"output_modalities": ["image"]}}, "image"),
        ({"supported_output_modalities": ["embeddings"]}, "embedding"),
        ({"supports_chat": False}, "other"),
        ({"type": 7, "task": None, "capabilities": "chat"}, "chat"),
    ],
)
def test_179_the_servers_word_beats_the_name(fields: dict[str, Any], kind: ModelKind) -> None:
    assert read(**fields).kind == kind


@pytest.mark.parametrize(
    ("fields", "reasoning", "tools", "vision"),
    [
        ({"supported_parameters": ["tools", "reasoning"],
          "architecture": {"input_modalities": ["text", "image"]}}, True, True, True),
        ({"supported_parameters": ["temperature"],
          "architecture": {"input_modalities": ["text"]}}, False, False, False),
        ({"tags": ["reasoning", "tool-use", "vision"]}, True, True, True),
        ({"capabilities": {"function_calling": True, "vision": False, "reasoning": False}}, False, True, False),
        ({"model_spec": {"capabilities": {"supportsFunctionCalling": True, "supportsReasoning": True}}},
         True, True, None),
        ({"capabilities": {"image_input": {"supported": True}, "thinking": {"supported": False}}}, False, None, True),
        ({"capabilities": {"supports": {"tool_calls": True, "vision": True}}}, None, True, True),
        ({"supports_tools": True, "supports_image_input": True}, None, True, True),
        ({"supports_reasoning": True, "supports_image_in": False}, True, None, False),
        ({"features": ["function-calling", "reasoning"]}, True, True, None),
        ({"supported_features": ["tools"]}, None, True, None),
        ({"type": "vlm", "capabilities": ["tool_use"]}, None, True, True),
        ({"capabilities": ["completion", "tools", "thinking"]}, True, True, None),
        ({"capabilities": ["streaming", "tool-calling"], "supported_input_modalities": ["text"]}, None, True, False),
        ({"tags": "vision", "features": {"tools": 1}, "supported_parameters": {}}, None, None, None),
        ({}, None, None, None),
    ],
)  # fmt: skip
def test_what_a_model_can_do_is_read_where_the_server_says_it(
    fields: dict[str, Any], reasoning: bool | None, tools: bool | None, vision: bool | None
) -> None:
    model = read(**fields)
    assert (model.reasoning, model.tools, model.vision) == (reasoning, tools, vision)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"name": "OpenAI: GPT"}, "OpenAI: GPT"),
        ({"display_name": "Claude"}, "Claude"),
        ({"name": "m"}, ""),
        ({"name": " Two\n lines\x1b[31m\u202e "}, "Two lines"),
        ({"name": "x" * 500}, "x" * 128),
        ({"name": "\ud800"}, "\ufffd"),
        ({"name": 7}, ""),
    ],
)
def test_a_name_to_show_is_one_clean_line(fields: dict[str, Any], name: str) -> None:
    assert read(**fields).name == name


# --- estimates ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "context"),
    [
        ("moonshot-v1-128k", 131072),
        ("step-1-32k", 32768),
        ("yarn-llama-2-7b-64k.Q4_K_M.gguf", 65536),
        ("qwen2.5-7b-instruct-1m", 1_000_000),
        ("smollm2-135m-instruct", 2048),
        ("llama-3.2-3b", 131072),
        ("Meta-Llama-3-8B-Instruct", 8192),
        ("llama3.2:latest", 131072),
        ("Llama-2-7b-chat-hf", 4096),
        ("gpt-oss:20b", 131072),
        ("openai/gpt-4o-2024-11-20", 128000),
        ("gpt-4", 8192),
        ("qwen3:8b", 40960),
        ("Qwen/Qwen3-Coder-30B-A3B", 262144),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", 32768),
        ("some/never-heard-of", None),
        ("model-3k", None),
        ("", None),
    ],
)
def test_a_name_suggests_a_window(name: str, context: int | None) -> None:
    assert estimate_limits(name)[0] == context


def test_the_same_model_of_another_preset_is_the_better_guess() -> None:
    """Several hosts list it; the smallest of their windows is the safe one."""
    known = [
        row[1]
        for rows in presets.all_models().values()
        for row in rows
        if row[0].lower().endswith("/deepseek-v4-pro")
    ]
    assert estimate_limits("anyone/DeepSeek-V4-Pro:free")[0] == min(number for number in known if number)


def test_families_hardly_ever_promise_more_than_the_best_host_gives() -> None:
    from provider_core.catalog._estimate import _FAMILIES, _last_part

    best: dict[str, int] = {}
    for rows in presets.all_models().values():
        for id_, context, *_ in rows:
            best[_last_part(id_)] = max(best.get(_last_part(id_), 0), context or 0)
    guesses = {name: next((n for pattern, n in _FAMILIES if pattern.match(name)), 0) for name in best}
    guessed = [name for name, guess in guesses.items() if guess and best[name]]
    beyond = [name for name in guessed if guesses[name] > 1.1 * best[name]]
    assert len(guessed) > 80
    assert len(beyond) < len(guessed) / 8, beyond


@given(st.text(max_size=40))
def test_any_name_gives_a_guess_or_none(name: str) -> None:
    context, output = estimate_limits(name)
    assert context is None or 1024 <= context <= 20_000_000
    assert output is None or output > 0


# --- merging -----------------------------------------------------------------------------------------------

OWN = Model(id="a", name="Mine", context=1000)
SERVED = Model(id="a", name="Theirs", context=2000, max_output=500, tools=True)


def merged(provider: Provider, *served: Model) -> ModelListing:
    return catalog.listing(provider, CachedModelList.of(served, 0) if served else None)


def test_user_beats_server_beats_preset_field_by_field() -> None:
    fact = presets.models("deepseek")[0]
    provider = Provider(name="d", preset="deepseek", models=(Model(id=fact.id, name="Mine"),))
    (mine,) = (
        m for m in merged(provider, Model(id=fact.id, name="Theirs", max_output=77777, vision=True)).models
    )
    assert mine.name == "Mine"
    assert mine.max_output == 77777
    assert mine.vision is True
    assert mine.context == fact.context
    assert mine.reasoning == fact.reasoning


def test_an_explicit_no_of_the_user_is_not_overruled() -> None:
    provider = Provider(name="lab", models=(Model(id="a", tools=False, reasoning=False),))
    (model,) = merged(provider, Model(id="a", tools=True, reasoning=True)).models
    assert (model.tools, model.reasoning) == (False, False)


def test_a_servers_list_replaces_the_presets_whose_facts_stay() -> None:
    first, second = presets.models("deepseek")[:2]
    provider = Provider(name="d", preset="deepseek", models_declared=False)
    listing = merged(provider, Model(id="new-one"), Model(id=second.id))
    assert [model.id for model in listing.models] == [second.id, "new-one"]
    assert listing.models[0].context == second.context
    assert first.id not in [model.id for model in listing.models]
    assert listing.source == "server"


def test_an_empty_list_of_the_server_leaves_the_presets() -> None:
    provider = Provider(name="d", preset="deepseek", models_declared=False)
    listing = catalog.listing(provider, CachedModelList(fetched_at=5, models=()))
    assert listing.models == presets.models("deepseek")
    assert (listing.source, listing.fetched_at) == ("preset", 5)


def test_175_the_prefix_does_not_make_two_models_of_one() -> None:
    known = presets.models("gemini")[0]
    provider = Provider(name="g", preset="gemini", models_declared=False)
    listing = merged(provider, Model(id=f"models/{known.id}"))
    assert [model.id for model in listing.models] == [f"models/{known.id}"]
    assert listing.models[0].context == known.context


def test_declared_models_come_first_and_the_rest_in_the_order_people_count() -> None:
    provider = Provider(name="lab", models=(Model(id="zz"), Model(id="mine")))
    listing = merged(provider, Model(id="m-10"), Model(id="m-9"), Model(id="A"), Model(id="m\xb2"))
    assert [model.id for model in listing.models] == ["zz", "mine", "A", "m-9", "m-10", "m\xb2"]
    assert listing.declared == {"zz", "mine"}


@pytest.mark.parametrize(
    ("provider", "served", "default"),
    [
        (Provider(name="x", models=(OWN,), default_model="b"), (Model(id="b"),), "b"),
        (Provider(name="x", models=(OWN,), default_model="unlisted"), (), "unlisted"),
        (Provider(name="x", models=(OWN,)), (Model(id="b"),), "a"),
        (Provider(name="x"), (Model(id="z"), Model(id="b")), "z"),
        (Provider(name="x"), (Model(id="e", kind="embedding"), Model(id="c")), "c"),
        (Provider(name="x"), (Model(id="e", kind="embedding"),), "e"),
        (Provider(name="x", preset="deepseek", models_declared=False), (), presets.models("deepseek")[0].id),
        (
            Provider(name="x", preset="deepseek", models_declared=False),
            (Model(id="new"), Model(id=presets.models("deepseek")[1].id)),
            presets.models("deepseek")[1].id,
        ),
        (Provider(name="x"), (), None),
        (Provider(name="x", gguf=Path("m/b.gguf"), embedded=True, models_declared=False), (), "b"),
    ],
)
def test_a_providers_default_is_the_users_then_the_presets_then_the_servers_first(
    provider: Provider, served: tuple[Model, ...], default: str | None
) -> None:
    listing = merged(provider, *served)
    assert listing.default == default
    assert default is None or default == "unlisted" or listing.models[0].id == default


def test_a_list_is_stale_when_it_is_older_than_it_lasts() -> None:
    kept = CachedModelList(fetched_at=1000, models=(SERVED,))
    assert not catalog.listing(Provider(name="x"), kept, stale_before=1000).stale
    assert catalog.listing(Provider(name="x"), kept, stale_before=1001).stale
    assert not catalog.listing(Provider(name="x"), None, stale_before=1001).stale


# --- the cache ---------------------------------------------------------------------------------------------

LAB = Provider(name="lab", base_url="http://127.0.0.1:1/v1")
RICH = Model(
    id="a", name="A é", context=4096, max_output=512, reasoning=True, tools=False, vision=True, kind="image"
)


def test_a_list_that_is_kept_comes_back_as_it_was(tmp_path: Path) -> None:
    kept = CachedModelList.of((Model(id="b"), RICH), 12.5)
    assert kept.models == (RICH, Model(id="b"))
    assert kept.first == "b"
    assert catalog.write_cached(tmp_path / "models", LAB, kept)
    assert catalog.read_cached(tmp_path / "models", LAB) == kept


@pytest.mark.parametrize(
    "moved",
    [
        Provider(name="lab", base_url="http://127.0.0.1:2/v1"),
        Provider(name="lab", base_url="http://127.0.0.1:1/v1?x=1"),
        Provider(name="lab", base_url="http://127.0.0.1:1/v1", preset="vllm"),
        Provider(name="other", base_url="http://127.0.0.1:1/v1"),
    ],
)
def test_a_provider_that_was_moved_has_no_list(tmp_path: Path, moved: Provider) -> None:
    catalog.write_cached(tmp_path, LAB, CachedModelList(fetched_at=1, models=(RICH,)))
    assert catalog.read_cached(tmp_path, moved) is None


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_what_is_kept_is_its_owners_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        catalog.write_cached(tmp_path / "cache" / "models", LAB, CachedModelList(fetched_at=1, models=()))
    finally:
        os.umask(old)
    assert (tmp_path / "cache" / "models" / "lab.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "cache" / "models").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


NOTHING = {key: [None] for key in ("context", "max_output", "reasoning", "tools", "vision")}
NOTHING["context_is_maximum"] = [False]
COLUMNS: dict[str, Any] = {"id": ["a"], "name": [""], "kind": ["chat"], **NOTHING}
GOOD = {"source": [LAB.base_url, ""], "fetched_at": 1, "first": "a", "models": COLUMNS}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        json.dumps({**GOOD, "models": None}).encode(),
        json.dumps({**GOOD, "models": [{"id": "a"}]}).encode(),
        json.dumps({**GOOD, "models": {"id": ["a"]}}).encode(),
        json.dumps({**GOOD, "models": {**COLUMNS, "id": ["a\nb"]}, "first": None}).encode(),
        json.dumps({**GOOD, "models": {**COLUMNS, "id": [""]}, "first": None}).encode(),
        json.dumps({**GOOD, "models": {**COLUMNS, "id": ["a" * 513]}, "first": None}).encode(),
        json.dumps({**GOOD, "models": {**COLUMNS, "id": ["a", "b"]}}).encode(),
        json.dumps({**GOOD, "models": {**COLUMNS, "id": [" a"]}, "first": None}).encode(),
        json.dumps({**GOOD, "models": {**COLUMNS, "id": [7]}, "first": None}).encode(),
        json.dumps({**GOOD, "models": {**COLUMNS, "context": ["big"]}}).encode(),
        json.dumps({**GOOD, "models": {**COLUMNS, "context": [True]}}).encode(),
        json.dumps({**GOOD, "models": {**COLUMNS, "tools": [1]}}).encode(),
        json.dumps({**GOOD, "models": {**COLUMNS, "kind": ["spy"]}}).encode(),
        json.dumps({**GOOD, "models": {**COLUMNS, "kind": [[]]}}).encode(),
        json.dumps({**GOOD, "models": {**COLUMNS, "name": "a"}}).encode(),
        json.dumps({**GOOD, "first": "not in it"}).encode(),
        json.dumps({**GOOD, "first": 7}).encode(),
        json.dumps({**GOOD, "fetched_at": "yesterday"}).encode(),
        json.dumps({**GOOD, "fetched_at": 10**400}).encode(),
        json.dumps({**GOOD, "source": None}).encode(),
    ],
)
def test_a_file_that_makes_no_sense_is_no_list(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lab.json").write_bytes(content)
    assert catalog.read_cached(tmp_path, LAB) is None


def test_the_good_file_of_these_tests_is_one(tmp_path: Path) -> None:
    (tmp_path / "lab.json").write_text(json.dumps(GOOD))
    assert catalog.read_cached(tmp_path, LAB) == CachedModelList(
        fetched_at=1, models=(Model(id="a"),), first="a"
    )


some_model = st.builds(
    Model,
    id=st.sampled_from(["a", "b/c:d", "é"]),
    name=st.sampled_from(["", "A name"]),
    context=st.none() | st.integers(256, 10**7),
    tools=st.none() | st.booleans(),
    kind=st.sampled_from(["chat", "speech"]),
)


@given(st.lists(some_model, max_size=5))
def test_any_list_survives_being_kept(tmp_path_factory: pytest.TempPathFactory, models: list[Model]) -> None:
    folder = tmp_path_factory.mktemp("lists")
    kept = CachedModelList.of(models, 1.5)
    catalog.write_cached(folder, LAB, kept)
    assert catalog.read_cached(folder, LAB) == kept


def test_a_place_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where a folder should be")
    assert not catalog.write_cached(tmp_path / "models", LAB, CachedModelList(fetched_at=1, models=()))


def test_the_catalogue_reads_each_list_once_and_on_demand(tmp_path: Path) -> None:
    catalog.write_cached(tmp_path, LAB, CachedModelList(fetched_at=100, models=(Model(id="a"),)))
    found = Catalog.of({"lab": LAB}, tmp_path, lifetime=50, now=lambda: 151)
    catalog.write_cached(tmp_path, LAB, CachedModelList(fetched_at=150, models=(Model(id="b"),)))
    assert [model.id for model in found.listing("lab").models] == ["b"]
    (tmp_path / "lab.json").unlink()
    assert [model.id for model in found.listing("lab").models] == ["b"]
    assert not found.listing("lab").stale
    with pytest.raises(KeyError):
        found.listing("nobody")


def test_usable_are_the_enabled_ones_with_a_key_or_no_need_of_one() -> None:
    providers = {n: Provider(name=n, enabled=n != "off") for n in ("on", "off", "lost")}
    found = Catalog(providers, load=lambda p: catalog.listing(p, None), without_key=["lost"])
    assert [provider.name for provider in found.usable] == ["on"]


# --- refreshing --------------------------------------------------------------------------------------------


def named(name: str, server: Scripted) -> Provider:
    return Provider(name=name, base_url=server.url)


def test_a_refresh_keeps_what_the_server_says(
    tmp_path: Path, server: Scripted, transport: HttpTransport
) -> None:
    server.will(listing("a", "b"))
    told: list[RefreshResult] = []
    (outcome,) = catalog.refresh(transport, tmp_path, [(named("lab", server), None)], on_done=told.append)
    assert (outcome.models, outcome.error, told) == (2, None, [outcome])
    kept = catalog.read_cached(tmp_path, named("lab", server))
    assert kept is not None
    assert [model.id for model in kept.models] == ["a", "b"]
    assert abs(kept.fetched_at - time.time()) < 60


@pytest.mark.parametrize(
    "answer",
    [
        as_json({"error": "x"}, 500),
        Answer([b"<html>"]),
        as_json({"detail": "Not Found"}, 404),
        Answer([b"nonsense"]),
    ],
    ids=["500", "html", "404", "nonsense"],
)
def test_a_refresh_that_fails_keeps_the_old_list_and_says_from_when(
    tmp_path: Path, server: Scripted, transport: HttpTransport, answer: Answer
) -> None:
    lab = named("lab", server)
    before = CachedModelList.of([Model(id="old")], 1234.0)
    catalog.write_cached(tmp_path, lab, before)
    server.will(answer)
    (outcome,) = catalog.refresh(transport, tmp_path, [(lab, None)])
    assert isinstance(outcome.error, errors.ProviderError)
    assert outcome.cached_at == 1234.0
    assert catalog.read_cached(tmp_path, lab) == before


def test_servers_are_asked_at_once_and_one_that_hangs_holds_up_no_other(
    tmp_path: Path, transport: HttpTransport
) -> None:
    quick, slow = [Scripted() for _ in range(6)], Scripted()
    hold = threading.Event()
    slow.will(Answer([Pause(hold)]))
    for number, server in enumerate(quick):
        server.will(Answer([Pause(0.4), json.dumps([{"id": f"m{number}"}]).encode()]))
    wanted = [(named("slow", slow), None), *((named(f"q{n}", s), None) for n, s in enumerate(quick))]
    start = time.monotonic()
    outcomes = catalog.refresh(transport, tmp_path, wanted, seconds=1.2)
    taken = time.monotonic() - start
    hold.set()
    assert [outcome.provider.name for outcome in outcomes] == ["slow", *(f"q{n}" for n in range(6))]
    assert isinstance(outcomes[0].error, errors.DeadlineError)
    assert all(outcome.error is None and outcome.models == 1 for outcome in outcomes[1:])
    assert taken < 4
    for server in (*quick, slow):
        server.__exit__()


def test_a_refresh_into_a_place_that_cannot_be_written_says_so(
    tmp_path: Path, server: Scripted, transport: HttpTransport
) -> None:
    (tmp_path / "models").write_text("")
    server.will(listing("a"))
    (outcome,) = catalog.refresh(transport, tmp_path / "models", [(named("lab", server), None)])
    assert (outcome.models, outcome.error) == (1, None)
    assert outcome.unsaved is not None
    assert [model.id for model in outcome.unsaved.models] == ["a"]


# --- the snapshot ------------------------------------------------------------------------------------------


def everything() -> Catalog:
    served = {
        "lab": (
            Model(id="b/c:d", name="Bee\tCee"),
            Model(id="a", tools=True),
            Model(id="e", kind="embedding"),
        ),
        "off": (Model(id="x"),),
    }
    return Catalog(
        {
            "lab": Provider(name="lab", display_name="The Lab"),
            "off": Provider(name="off", enabled=False),
            "lost": Provider(name="lost", models=(Model(id="m"),)),
        },
        load=lambda p: merged(p, *served.get(p.name, ())),
        aliases={"fast": "lab/a"},
        without_key=["lost"],
    )


def test_the_snapshot_is_plain_names_one_a_line(tmp_path: Path) -> None:
    where = paths(tmp_path)
    assert catalog.write_snapshot(where, everything())
    folder = where.cache / "completion"
    assert (folder / "models").read_text() == "lab/b/c:d\nlab/a\nlost/m\n"
    assert (folder / "models.tsv").read_text() == "lab/b/c:d\tBee Cee\nlab/a\ttools\nlost/m\t\n"
    assert (folder / "providers").read_text() == "lab\noff\nlost\n"
    assert (folder / "providers.tsv").read_text().startswith("lab\tThe Lab\n")
    assert (folder / "aliases").read_text() == "fast\n"
    assert (folder / "aliases.tsv").read_text() == "fast\tlab/a\n"
    assert len((folder / "presets").read_text().splitlines()) == len(presets.all_presets())
    if os.name == "posix":
        assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.iterdir())
        assert folder.stat().st_mode & 0o777 == 0o700


def test_the_snapshot_is_current_until_settings_or_key_variables_change(tmp_path: Path) -> None:
    where = paths(tmp_path)
    environ = {"GROQ_API_KEY": "gsk-secret", "LANG": "C"}

    def write() -> None:
        catalog.write_snapshot(where, everything(), made_from=catalog.snapshot_stamp(where, environ))
        assert catalog.snapshot_is_current(where, environ)

    assert not catalog.snapshot_is_current(where, environ)
    write()
    where.config.mkdir()
    where.settings_file.write_text("# new\n")
    assert not catalog.snapshot_is_current(where, environ)
    write()
    os.utime(where.settings_file, (1, 1))
    assert not catalog.snapshot_is_current(where, environ)
    write()
    assert not catalog.snapshot_is_current(where, {**environ, "MISTRAL_API_KEY": "k"})
    assert catalog.snapshot_is_current(where, {**environ, "LANG": "de"})
    assert "gsk-secret" not in (where.cache / "completion" / "stamp").read_text()
    catalog.invalidate_snapshot(where)
    assert not catalog.snapshot_is_current(where, environ)


def test_a_snapshot_leaves_alone_what_has_not_changed(tmp_path: Path) -> None:
    where = paths(tmp_path)
    catalog.write_snapshot(where, everything())
    before = {path.name: path.stat().st_ino for path in (where.cache / "completion").iterdir()}
    catalog.write_snapshot(where, everything())
    assert {path.name: path.stat().st_ino for path in (where.cache / "completion").iterdir()} == before


def test_whoever_reads_the_snapshot_meanwhile_sees_whole_lists(tmp_path: Path) -> None:
    """Two states are written in turn; a reader never sees anything but one of them."""
    where = paths(tmp_path)
    providers = {"lab": Provider(name="lab")}
    states = [
        Catalog(providers, load=lambda p, n=n: merged(p, *(Model(id=f"{n}-{i}") for i in range(400))))
        for n in ("x", "y")
    ]
    catalog.write_snapshot(where, states[0])
    ended = threading.Event()

    def write() -> None:
        for round_ in range(30):
            catalog.write_snapshot(where, states[round_ % 2])
        ended.set()

    threading.Thread(target=write).start()
    seen = set()
    while not ended.is_set():
        lines = (where.cache / "completion" / "models").read_text().splitlines()
        assert len(lines) == 400
        seen.add(lines[0][:5])
    assert seen == {"lab/x", "lab/y"}


def test_a_snapshot_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    where = paths(tmp_path)
    where.cache.mkdir(parents=True)
    (where.cache / "completion").write_text("")
    assert not catalog.write_snapshot(where, everything())


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"id": "sentence-transformers/all-mpnet-base-v2"}, "embedding"),
        ({"id": "all-mpnet-base-v2"}, "embedding"),
        ({"id": "LaBSE"}, "embedding"),
        ({"id": "voyage-3-large"}, "embedding"),
        ({"id": "cross-encoder/ms-marco-MiniLM-L6-v2"}, "rerank"),
        ({"id": "answerdotai/answerai-colbert-small-v1"}, "rerank"),
        ({"id": "xtts-v2"}, "speech"),
        ({"id": "facebook/wav2vec2-base"}, "speech"),
        ({"id": "m", "supported_endpoints": ["/responses"]}, "other"),
        ({"id": "m", "supported_endpoints": ["/v1/messages"]}, "other"),
        ({"id": "m", "supported_endpoints": ["/v1/embeddings"]}, "embedding"),
        ({"id": "m", "supported_endpoints": ["/v1/images/generations"]}, "image"),
        ({"id": "m", "supported_endpoints": ["/v1/audio/speech"]}, "speech"),
        ({"id": "m", "supported_endpoints": ["/v1/moderations"]}, "moderation"),
        ({"id": "m", "supported_endpoints": ["/v1/completions"]}, "completion"),
        ({"id": "m", "endpoints": ["/responses", "/v1/chat/completions"]}, "chat"),
        ({"id": "text-embedding-3", "supported_endpoints": ["/chat/completions"]}, "chat"),
        ({"id": "m", "supported_endpoints": []}, "chat"),
        ({"id": "m", "endpoints": ["openai"]}, "chat"),
        ({"id": "qwen3-embarked"}, "chat"),
    ],
)
def test_what_does_not_chat_is_known_by_its_endpoints_or_its_id(fields: dict[str, Any], kind: str) -> None:
    (model,) = read_models([fields], None)
    assert model.kind == kind
