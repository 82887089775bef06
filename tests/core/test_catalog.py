"""The catalog: models read from lists, guessed, merged and cached, and the names for shell completion."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from listings import listing, paths
from scripted import Answer, Asked, Pause, Scripted

from provider_core import catalog, errors, presets
from provider_core.catalog import CachedModelList, Catalog, ModelListing
from provider_core.catalog._parse import kind_of_id, parse_models
from provider_core.catalog.servers import RefreshResult, refresh
from provider_core.types import Alias, Model, Provider

if TYPE_CHECKING:
    from collections.abc import Callable

    from provider_core.http.transport import HttpTransport


def parse(preset: str | None = None, **fields: Any) -> Model:
    """The model of an entry with these fields."""
    (model,) = parse_models([{"id": "m", **fields}], presets.get(preset) if preset else None)
    return model


# --- context windows and longest answers ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preset", "fields", "context"),
    [
        ("openrouter", {"context_length": 200000, "top_provider": {"context_length": 128000}}, 200000),
        (None, {"top_provider": {"context_length": 128000}}, 128000),
        (None, {"context_window": 131072}, 131072),
        (None, {"context_size": 65536}, 65536),
        (None, {"max_model_len": 40960}, 40960),
        (None, {"meta": {"n_ctx": 4096, "n_ctx_train": 131072}}, 4096),
        ("llamacpp", {"meta": {"n_ctx_train": 131072}}, None),
        (None, {"limits": {"max_input_tokens": 131072}}, 131072),
        (None, {"model_spec": {"availableContextTokens": 65536}}, 65536),
        (None, {"providers": [{"context_length": 8192}, {"context_length": 131072}, {}]}, 131072),
        ("cloudflare", {"name": "m", "properties": [{"property_id": "price", "value": 9},
                        {"property_id": "context_window", "value": "24000"}]}, 24000),
        (None, {"capabilities": {"limits": {"max_context_window_tokens": 128000}}}, 128000),
        (None, {"inputTokenLimit": 1048576}, 1048576),
        (None, {"true_max_context_length": 16384}, 16384),
        (None, {"max_context_length": 131072, "loaded_context_length": 8192}, 8192),
        # Counts of other types, and placeholders.
        (None, {"context_length": "131072"}, 131072),
        (None, {"context_length": 131072.0}, 131072),
        (None, {"context_length": 256}, 256),
        (None, {"context_length": 0, "max_model_len": 8192}, 8192),
        *((None, {"context_length": value}, None)
          for value in (255, 1e9, True, "128k", None, [1024], float("inf"), float("nan"))),
    ],
)  # fmt: skip
def test_context_window_is_found_in_every_known_field(
    preset: str | None, fields: dict[str, Any], context: int | None
) -> None:
    assert parse(preset, **fields).context == context


@pytest.mark.parametrize(
    ("preset", "fields", "most"),
    [
        (None, {"max_completion_tokens": 32768}, 32768),
        (None, {"max_output_length": 65536}, 65536),
        (None, {"top_provider": {"max_completion_tokens": 16384}}, 16384),
        (None, {"outputTokenLimit": 65536}, 65536),
        ("vercel", {"max_tokens": 64000}, 64000),
        (None, {"max_tokens": 64000}, None),  # for other servers it is the window or a default
    ],
)
def test_longest_answer_is_found_in_every_known_field(
    preset: str | None, fields: dict[str, Any], most: int | None
) -> None:
    assert parse(preset, **fields).max_output == most


# --- kinds, abilities and names ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "ids"),
    {
        "embedding": """text-embedding-3-large nomic-embed-text:latest BAAI/bge-m3 intfloat/e5-large gte-qwen2
            models/gemini-embedding-001 sentence-transformers/all-mpnet-base-v2 LaBSE voyage-3-large""",
        "rerank": "rerank-v3.5 BAAI/bge-reranker-v2-m3 cross-encoder/ms-marco-MiniLM-L6-v2 answerai-colbert-small-v1",
        "speech": """whisper-large-v3 tts-1-hd gpt-4o-mini-tts gpt-4o-transcribe voxtral-mini-transcribe-2507
            gpt-realtime hexgrad/kokoro-82m canopylabs/orpheus-v1-english qwen3-asr-flash xtts-v2 wav2vec2-base""",
        "image": """dall-e-3 gpt-image-1 black-forest-labs/FLUX.1-schnell stable-diffusion-xl google/veo-3.1 sora-2
            gemini-2.5-flash-image qwen-image-edit wan-ai/wan2.2-t2v-a14b doubao-seedream-4-0""",
        "moderation": "omni-moderation-latest meta-llama/llama-guard-4-12b gpt-oss-safeguard-20b",
        "completion": "babbage-002 davinci-002",
        "chat": """gpt-5.6-sol claude-opus-5-5 qwen/qwen3-vl-8b llama3.2:latest gemma-4-31b-it o4-mini
            gpt-4o-audio-preview voxtral-small-latest imagine-writer flexible-7b command-a compound vision-8b
            SmolLM2-135M-Instruct.Q4_1.gguf qwen3-embarked""",
    }.items(),
)
def test_kind_is_guessed_from_the_id(kind: str, ids: str) -> None:
    assert {id_: kind_of_id(id_) for id_ in ids.split()} == dict.fromkeys(ids.split(), kind)


def test_every_model_of_the_presets_chats() -> None:
    listed = [row[0] for rows in presets.all_models().values() for row in rows]
    assert [id_ for id_ in listed if kind_of_id(id_) != "chat"] == []


@pytest.mark.parametrize(
    ("kind", "entries"),
    [
        ("embedding", [{"type": "embedding"}, {"task": {"name": "Text Embeddings"}}, {"capabilities": ["embedding"]},
                       {"supported_output_modalities": ["embeddings"]}, {"supported_endpoints": ["/v1/embeddings"]}]),
        ("chat", [{"type": "llm"}, {"type": "vlm"}, {"type": "model"}, {"id": "my-embed-chatter", "type": "chat"},
                  {"task": {"name": "Text Generation"}}, {"capabilities": ["completion", "tools"]},
                  {"capabilities": {"completion_chat": True}}, {"endpoints": ["chat", "generate"]},
                  {"architecture": {"output_modalities": ["text", "image"]}},
                  {"type": 7, "task": None, "capabilities": "chat"}, {"supported_endpoints": []},
                  {"endpoints": ["/responses", "/v1/chat/completions"]}, {"endpoints": ["openai"]},
                  {"id": "text-embedding-3", "supported_endpoints": ["/chat/completions"]}]),
        ("image", [{"type": "image"}, {"model_info": {"mode": "image_generation"}},
                   {"architecture": {"output_modalities": ["image"]}},
                   {"supported_endpoints": ["/v1/images/generations"]}]),
        ("rerank", [{"type": "rerank"}, {"endpoints": ["rerank"]}]),
        ("moderation", [{"type": "moderation"}, {"supported_endpoints": ["/v1/moderations"]}]),
        ("speech", [{"type": "audio"}, {"task": {"name": "Automatic Speech Recognition"}},
                    {"supported_endpoints": ["/v1/audio/speech"]}]),
        ("completion", [{"supported_endpoints": ["/v1/completions"]}]),
        ("other", [{"capabilities": {"completion_chat": False}}, {"supports_chat": False},
                   {"supported_endpoints": ["/responses"]}, {"supported_endpoints": ["/v1/messages"]}]),
    ],
)  # fmt: skip
def test_what_the_server_says_about_the_kind_overrides_the_id(
    kind: str, entries: list[dict[str, Any]]
) -> None:
    assert [(entry, parse(**entry).kind) for entry in entries] == [(entry, kind) for entry in entries]


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
        ({"supports_reasoning": True, "supports_image_in": False}, True, None, False),
        ({"features": ["function-calling", "reasoning"]}, True, True, None),
        ({"type": "vlm", "capabilities": ["tool_use"]}, None, True, True),
        ({"capabilities": ["streaming", "tool-calling"], "supported_input_modalities": ["text"]}, None, True, False),
        ({"tags": "vision", "features": {"tools": 1}, "supported_parameters": {}}, None, None, None),
    ],
)  # fmt: skip
def test_abilities_are_read_from_lists_and_flags(
    fields: dict[str, Any], reasoning: bool | None, tools: bool | None, vision: bool | None
) -> None:
    model = parse(**fields)
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
def test_name_is_one_printable_line(fields: dict[str, Any], name: str) -> None:
    assert parse(**fields).name == name


# --- merging -------------------------------------------------------------------------------------------------


def merged(provider: Provider, *served: Model) -> ModelListing:
    return catalog.listing(provider, CachedModelList.of(served, 0) if served else None)


def ids(listing: ModelListing) -> list[str]:
    return [model.id for model in listing.models]


def test_each_field_is_from_the_settings_else_the_server_else_the_preset() -> None:
    fact = presets.models("deepseek")[0]
    provider = Provider(name="d", preset="deepseek", models=(Model(id=fact.id, name="Mine", tools=False),))
    (mine,) = merged(
        provider, Model(id=fact.id, name="Theirs", max_output=77777, tools=True, vision=True)
    ).models
    assert (mine.name, mine.tools, mine.max_output, mine.vision) == ("Mine", False, 77777, True)
    assert (mine.context, mine.reasoning) == (fact.context, fact.reasoning)


@pytest.mark.parametrize(
    ("mine", "above"), [({"cached": "1"}, True), ({"input": "3"}, False), ({"output": "3"}, False)]
)
def test_prices_of_long_requests_belong_to_the_prices_beside_them(mine: dict[str, Any], above: bool) -> None:
    theirs = {"input": "2", "output": "4", "above": [{"tokens": 9, "input": "5"}]}
    found = catalog.fill(Model(id="a", price=mine), Model(id="a", price=theirs)).price
    assert found == {**{name: value for name, value in theirs.items() if above or name != "above"}, **mine}


def test_list_of_the_server_replaces_the_presets_models_but_not_their_facts() -> None:
    first, second = presets.models("deepseek")[:2]
    provider = Provider(name="d", preset="deepseek", models_declared=False)
    found = merged(provider, Model(id="new-one"), Model(id=second.id))
    assert ids(found) == [second.id, "new-one"]
    assert found.models[0].context == second.context
    assert found.source == "server"
    empty = catalog.listing(provider, CachedModelList(fetched_at=5, models=()))
    assert (empty.models, empty.source, empty.fetched_at) == (presets.models("deepseek"), "preset", 5)
    prefixed = merged(
        Provider(name="d", preset="deepseek", models_declared=False), Model(id=f"models/{first.id}")
    )
    assert ids(prefixed) == [f"models/{first.id}"]
    assert prefixed.models[0].context == first.context


def test_declared_models_come_first_and_numbers_are_sorted_by_value() -> None:
    provider = Provider(name="lab", models=(Model(id="zz"), Model(id="mine")))
    found = merged(provider, Model(id="m-10"), Model(id="m-9"), Model(id="A"), Model(id="m\xb2"))
    assert ids(found) == ["zz", "mine", "A", "m-9", "m-10", "m\xb2"]
    assert found.declared == {"zz", "mine"}


OWN = Model(id="a", name="Mine", context=1000)
FACTS = presets.models("deepseek")


@pytest.mark.parametrize(
    ("provider", "served", "default"),
    [
        (Provider(name="x", models=(OWN,), default_model="b"), (Model(id="b"),), "b"),
        (Provider(name="x", models=(OWN,), default_model="unlisted"), (), "unlisted"),
        (Provider(name="x", models=(OWN,)), (Model(id="b"),), "a"),
        (Provider(name="x"), (Model(id="z"), Model(id="b")), "z"),
        (Provider(name="x"), (Model(id="e", kind="embedding"), Model(id="c")), "c"),
        (Provider(name="x"), (Model(id="e", kind="embedding"),), "e"),
        (Provider(name="x", preset="deepseek", models_declared=False), (), FACTS[0].id),
        (Provider(name="x", preset="deepseek", models_declared=False),
         (Model(id="new"), Model(id=FACTS[1].id)), FACTS[1].id),
        (Provider(name="x"), (), None),
        (Provider(name="x", gguf=Path("m/b.gguf"), embedded=True, models_declared=False), (), "b"),
    ],
)  # fmt: skip
def test_default_is_the_users_else_the_presets_else_the_servers_first(
    provider: Provider, served: tuple[Model, ...], default: str | None
) -> None:
    found = merged(provider, *served)
    assert found.default == default
    assert default in (None, "unlisted") or found.models[0].id == default


# --- the cache -----------------------------------------------------------------------------------------------

LAB = Provider(name="lab", base_url="http://127.0.0.1:1/v1")
RICH = Model(
    id="a", name="A é", context=4096, max_output=512, reasoning=True, tools=False, vision=True, kind="image"
)


def test_cached_list_is_private_and_read_for_the_same_address_only(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "models"
    cached = CachedModelList.of((Model(id="b"), RICH), 12.5)
    old = os.umask(0)
    try:
        assert catalog.write_cached(folder, LAB, cached)
    finally:
        os.umask(old)
    assert (cached.models, cached.first) == ((RICH, Model(id="b")), "b")
    assert catalog.read_cached(folder, LAB) == cached
    for moved in (
        Provider(name="lab", base_url="http://127.0.0.1:2/v1"),
        Provider(name="lab", base_url="http://127.0.0.1:1/v1?x=1"),
        Provider(name="lab", base_url="http://127.0.0.1:1/v1", preset="vllm"),
        Provider(name="other", base_url="http://127.0.0.1:1/v1"),
    ):
        assert catalog.read_cached(folder, moved) is None
    if os.name == "posix":
        modes = [path.stat().st_mode & 0o777 for path in (folder / "lab.json", folder, folder.parent)]
        assert modes == [0o600, 0o700, 0o700]
    (tmp_path / "file").touch()
    assert not catalog.write_cached(tmp_path / "file", LAB, cached)


COLUMNS: dict[str, Any] = {
    "id": ["a"],
    "name": [""],
    "kind": ["chat"],
    "price": [None],
    "context_is_maximum": [False],
    **{key: [None] for key in ("context", "max_output", "reasoning", "tools", "vision", "audio")},
}
GOOD = {"source": [LAB.base_url, ""], "fetched_at": 1, "first": "a", "models": COLUMNS}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe"])
def test_file_that_is_not_a_cached_list_is_ignored(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lab.json").write_bytes(content)
    assert catalog.read_cached(tmp_path, LAB) is None


@pytest.mark.parametrize(
    "change",
    [
        *({"models": models} for models in (None, [{"id": "a"}], {"id": ["a"]}, {**COLUMNS, "id": ["a", "b"]})),
        *({"fetched_at": when} for when in ("yesterday", -1, float("nan"), time.time() * 2)),
        *({"models": {**COLUMNS, name: [5.0]}} for name in COLUMNS),
        *({"first": first} for first in (True, 5, ["a"])),
        {"source": None},
    ],
)  # fmt: skip
def test_cached_list_with_an_invalid_value_is_ignored(tmp_path: Path, change: dict[str, Any]) -> None:
    (tmp_path / "lab.json").write_text(json.dumps(GOOD))
    assert catalog.read_cached(tmp_path, LAB) == CachedModelList(
        fetched_at=1, models=(Model(id="a"),), first="a"
    )
    (tmp_path / "lab.json").write_text(json.dumps({**GOOD, **change}))
    assert catalog.read_cached(tmp_path, LAB) is None


def test_catalog_reads_a_list_once_and_knows_its_age(tmp_path: Path) -> None:
    found = Catalog({"lab": LAB}, load=catalog.cached_listings(tmp_path, lifetime=50, now=lambda: 151))
    catalog.write_cached(tmp_path, LAB, CachedModelList(fetched_at=101, models=(Model(id="b"),)))
    assert ids(found.listing("lab")) == ["b"]
    (tmp_path / "lab.json").unlink()
    assert ids(found.listing("lab")) == ["b"]
    assert not found.listing("lab").stale
    with pytest.raises(KeyError):
        found.listing("nobody")
    catalog.write_cached(tmp_path, LAB, CachedModelList(fetched_at=100, models=(Model(id="b"),)))
    assert catalog.cached_listings(tmp_path, lifetime=50, now=lambda: 151)(LAB).stale


def test_usable_providers_are_enabled_and_have_a_key_or_need_none() -> None:
    assert [provider.name for provider in example().usable] == ["lab"]


# --- refreshing ----------------------------------------------------------------------------------------------


def test_refresh_caches_the_servers_list(tmp_path: Path, server: Scripted, transport: HttpTransport) -> None:
    lab = Provider(name="lab", base_url=server.url)
    server.will(listing("a", "b"))
    done: list[RefreshResult] = []
    (result,) = refresh(transport, tmp_path, [(lab, None)], on_done=done.append)
    assert (result.models, result.error, done) == (2, None, [result])
    cached = catalog.read_cached(tmp_path, lab)
    assert cached is not None
    assert [model.id for model in cached.models] == ["a", "b"]
    assert abs(cached.fetched_at - time.time()) < 60
    (tmp_path / "file").touch()
    server.will(listing("a"))
    (result,) = refresh(transport, tmp_path / "file", [(lab, None)])
    assert (result.models, result.error) == (1, None)
    assert result.unsaved is not None
    assert [model.id for model in result.unsaved.models] == ["a"]


def test_servers_are_asked_at_once_and_a_silent_one_delays_no_other(
    tmp_path: Path, transport: HttpTransport
) -> None:
    quick, slow = [Scripted() for _ in range(6)], Scripted()
    hold, all_asked = threading.Event(), threading.Barrier(7, timeout=60)

    def met(*body: Any) -> Callable[[Asked], Answer]:
        return lambda _: Answer(body) if all_asked.wait() >= 0 else Answer()

    slow.will(met(Pause(hold)))
    for number, server in enumerate(quick):
        server.will(met(json.dumps([{"id": f"m{number}"}]).encode()))
    providers = [Provider(name=f"p{n}", base_url=server.url) for n, server in enumerate((slow, *quick))]
    results = refresh(transport, tmp_path, [(each, None) for each in providers], seconds=3)
    hold.set()
    assert [result.provider for result in results] == providers
    assert isinstance(results[0].error, errors.DeadlineError)
    assert all(result.error is None and result.models == 1 for result in results[1:])
    for server in (*quick, slow):
        server.__exit__()


# --- names for completion ------------------------------------------------------------------------------------


def example() -> Catalog:
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
        aliases={"fast": Alias(targets=("lab/a",))},
        without_key=["lost"],
    )


def test_snapshot_has_one_name_a_line_and_is_rewritten_only_where_it_changed(tmp_path: Path) -> None:
    where = paths(tmp_path)
    folder = where.cache / "completion"
    assert catalog.write_snapshot(where, example())
    assert (folder / "models").read_text() == "lab/b/c:d\nlab/a\nlost/m\n"
    assert (folder / "models.tsv").read_text() == "lab/b/c:d\tBee Cee\nlab/a\ttools\nlost/m\t\n"
    assert (folder / "providers").read_text() == "lab\noff\nlost\n"
    assert (folder / "providers.tsv").read_text().startswith("lab\tThe Lab\n")
    assert (folder / "aliases.tsv").read_text() == "fast\tlab/a\n"
    assert len((folder / "presets").read_text().splitlines()) == len(presets.all_presets())
    before = {path.name: path.stat().st_ino for path in folder.iterdir()}
    catalog.write_snapshot(where, example())
    assert {path.name: path.stat().st_ino for path in folder.iterdir()} == before
    if os.name == "posix":
        assert {path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())} == {0o700, 0o600}
    (tmp_path / "other" / "cache").mkdir(parents=True)
    (tmp_path / "other" / "cache" / "completion").touch()
    assert not catalog.write_snapshot(paths(tmp_path / "other"), example())


def test_snapshot_is_current_until_settings_or_key_variables_change(tmp_path: Path) -> None:
    where = paths(tmp_path)
    environ = {"GROQ_API_KEY": "gsk-secret", "LANG": "C"}

    def write() -> None:
        catalog.write_snapshot(where, example(), made_from=catalog.snapshot_stamp(where, environ))
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
