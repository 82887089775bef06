"""Fetching models: the known shapes, pages, headers and failures of servers, and the APIs of local ones."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from listings import InMemory, as_html, as_json, by_path, listing
from scripted import Answer, Cut, Pause

from provider_core import errors, presets
from provider_core.catalog.servers import fetch
from provider_core.http.transport import HttpTransport
from provider_core.types import Model, Network, Provider

if TYPE_CHECKING:
    from scripted import Scripted

KEY = "sk-canary-0123456789abcdef"


def lab(server: Scripted, **fields: Any) -> Provider:
    return Provider(name="lab", base_url=fields.pop("base_url", server.url), **fields)


def ids(models: tuple[Model, ...]) -> list[str]:
    return [model.id for model in models]


def served(value: Any, **fields: Any) -> tuple[Model, ...]:
    """What is read from a list that holds ``value``."""
    return fetch(InMemory(json.dumps(value).encode()), Provider(name="lab", base_url="http://x/v1", **fields))


# --- shapes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({"object": "list", "data": [{"id": "a"}, {"id": "b"}]}, ["a", "b"], id="data"),
        pytest.param([{"id": "a"}, {"id": "b"}], ["a", "b"], id="bare-array"),
        pytest.param({"models": [{"id": "a"}]}, ["a"], id="models"),
        pytest.param({"models": [{"name": "a:1b", "model": "a:1b"}]}, ["a:1b"], id="ollama-tags"),
        pytest.param({"models": [{"name": "models/a", "displayName": "A"}]}, ["models/a"], id="gemini"),
        pytest.param({"models": [{"key": "pub/a", "type": "llm"}]}, ["pub/a"], id="lm-studio-v1"),
        pytest.param({"models": [{"name": "x"}], "data": [{"id": "a"}]}, ["a"], id="llamacpp-both"),
        pytest.param({"data": None, "models": [{"name": "x"}]}, ["x"], id="null-beside-models"),
        pytest.param({"object": "list", "data": None}, [], id="null"),
        pytest.param({"object": "list", "data": []}, [], id="empty"),
        pytest.param({"models": {}}, [], id="empty-object"),
        pytest.param({"data": [{"id": "@cf/meta/a"}]}, ["@cf/meta/a"], id="cloudflare"),
        pytest.param({"data": [{"id": "a"}, {"id": "a"}, {"id": "b"}]}, ["a", "b"], id="twice"),
        pytest.param({"data": [{"object": "model"}, {"id": "b"}]}, ["b"], id="no-id"),
        pytest.param({"data": [{"id": None}, {"id": 7}, {"id": ""}, {"id": "b"}]}, ["b"], id="odd-ids"),
        pytest.param({"data": ["a", "b"]}, ["a", "b"], id="strings"),
        pytest.param({"data": ["a", None, 3, [], {"id": "b"}]}, ["a", "b"], id="mixed"),
        pytest.param({"data": {"data": [{"id": "a"}]}}, ["a"], id="wrapped"),
        pytest.param({"data": {"models": [{"id": "a"}]}, "success": True}, ["a"], id="wrapped-models"),
        pytest.param({"models": {"a": {"x": 1}, "b": {}}}, ["a", "b"], id="by-name"),
        pytest.param({"result": "koboldcpp/a"}, ["koboldcpp/a"], id="koboldcpp"),
        pytest.param({"result": [{"id": "u-u-i-d", "name": "@cf/a"}]}, ["u-u-i-d"], id="result"),
        pytest.param({"data": [{"model_name": "a", "model_info": {}}]}, ["a"], id="litellm-model-info"),
        pytest.param({"id": "a", "object": "model"}, ["a"], id="one-model"),
        pytest.param({"data": [{"id": "a\x1b[31m"}, {"id": "b\nc"}, {"id": "d"}]}, ["d"], id="controls"),
        pytest.param({"data": [{"id": "\ud800"}, {"id": "x" * 513}, {"id": "d"}]}, ["d"], id="no-utf8-too-long"),
        pytest.param({"data": [{"id": "é中"}]}, ["é中"], id="beyond-ascii"),
        pytest.param({"data": [{"id": "a", "status": "Shutdown"}, {"id": "b"}]}, ["b"], id="volcengine"),
        pytest.param({"data": [{"id": "a", "active": False}, {"id": "b", "active": True}]}, ["b"], id="groq"),
        pytest.param({"data": [{"id": "a", "archived": True}, {"id": "b"}]}, ["b"], id="mistral"),
    ],
)  # fmt: skip
def test_every_known_shape_of_a_list_is_read(value: Any, expected: list[str]) -> None:
    assert ids(served(value)) == expected


def test_preset_names_the_field_of_the_id() -> None:
    value = {"result": [{"id": "u-u-i-d", "name": "@cf/meta/a", "task": {"name": "Text Generation"}}]}
    assert ids(served(value, preset="cloudflare")) == ["@cf/meta/a"]


# --- what is asked -----------------------------------------------------------------------------------------


def asked_url(**fields: Any) -> str:
    transport = InMemory(b"[]")
    fetch(transport, Provider(name="lab", **fields), KEY)
    return transport.calls[0].url


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"base_url": "http://h/v1"}, "http://h/v1/models"),
        ({"base_url": "http://h/v1?api-version=1"}, "http://h/v1/models?api-version=1"),
        (
            {"base_url": "http://h:8/a/b/v1", "preset": "cohere"},
            "http://h:8/a/v1/models?endpoint=chat&page_size=1000",
        ),
        ({"base_url": "http://h", "preset": "cohere"}, "http://h/v1/models?endpoint=chat&page_size=1000"),
        (
            {"base_url": "https://h/client/v4/accounts/x/ai/v1", "preset": "cloudflare"},
            "https://h/client/v4/accounts/x/ai/models/search?task=Text+Generation&per_page=100",
        ),
        ({"base_url": "https://h/inference", "preset": "github-models"}, "https://h/catalog/models"),
        ({"base_url": "https://h/v1?a=1", "preset": "nebius"}, "https://h/v1/models?verbose=true&a=1"),
    ],
)
def test_address_of_the_list_is_the_presets(fields: dict[str, Any], url: str) -> None:
    assert asked_url(**fields) == url


@pytest.mark.parametrize("preset", [p for p in presets.all_presets() if p.models_path], ids=lambda p: p.id)
def test_no_preset_sends_its_key_to_another_host(preset: presets.Preset) -> None:
    base = preset.base_url
    for variable in preset.variables:
        base = base.replace(f"{{{variable.name}}}", "x")
    url = asked_url(base_url=base, preset=preset.id)
    assert url.split("/")[:3] == base.split("/")[:3]
    assert ".." not in url


def test_headers_carry_the_key_as_the_provider_wants_it() -> None:
    def headers(key: str | None = KEY, **fields: Any) -> Any:
        transport = InMemory(b"[]")
        fetch(transport, Provider(name="lab", base_url="http://h/v1", **fields), key)
        assert transport.calls[0].method == "GET"
        return transport.calls[0].headers

    usual = headers(headers={"X-Team": "7"})
    assert (usual["authorization"], usual["x-team"]) == (f"Bearer {KEY}", "7")
    assert usual["accept"] == "application/json"
    assert usual["user-agent"].startswith("telex/")
    assert "authorization" not in headers(None)
    anthropic = headers(preset="anthropic")
    assert (anthropic["x-api-key"], anthropic["anthropic-version"]) == (KEY, "2023-06-01")
    assert "authorization" not in anthropic


def test_provider_without_a_list_is_not_asked() -> None:
    for fields in ({"preset": "azure"}, {"preset": "perplexity"}, {"embedded": True}):
        transport = InMemory(b"[]")
        assert fetch(transport, Provider(name="x", base_url="http://h/v1", **fields), KEY) == ()  # type: ignore[arg-type]
        assert transport.calls == []


# --- pages -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preset", "first", "query"),
    [
        ("anthropic", {"data": [{"id": "a"}], "has_more": True, "last_id": "a b"}, "limit=1000&after_id=a+b"),
        (None, {"data": [{"id": "a"}], "has_more": True}, "after=a"),
        (None, {"models": [{"name": "a"}], "nextPageToken": "t=1"}, "pageToken=t%3D1"),
        (None, {"models": [{"name": "a"}], "next_page_token": "t"}, "page_token=t"),
        (
            "cloudflare",
            {"result": [{"name": "a"}], "result_info": {"page": 1, "per_page": 1, "total_count": 2}},
            "task=Text+Generation&per_page=100&page=2",
        ),
    ],
)
def test_next_page_is_requested_from_the_same_address(
    server: Scripted, transport: HttpTransport, preset: str | None, first: Any, query: str
) -> None:
    server.will(as_json(first), as_json({"data": [{"id": "b", "name": "b"}]}))
    assert ids(fetch(transport, lab(server, preset=preset), KEY)) == ["a", "b"]
    one, two = (asked.path.partition("?") for asked in server.asked)
    assert one[0] == two[0]
    assert two[2] == query


def test_paging_ends_and_a_failed_page_fails_the_list(server: Scripted, transport: HttpTransport) -> None:
    server.will(listing("a", has_more=True, last_id="a"))  # the same page again
    assert ids(fetch(transport, lab(server))) == ["a"]
    assert len(server.asked) == 2
    server.will(lambda _: listing(f"m{len(server.asked)}", has_more=True, last_id="x"))
    assert len(fetch(transport, lab(server))) == 20
    server.will(listing("a", has_more=True, last_id="a"), as_json({"error": {"message": "no"}}, 500))
    with pytest.raises(errors.ServerError):
        fetch(transport, lab(server))


# --- failures ----------------------------------------------------------------------------------------------

PAGE = "<!doctype html><html><head><title>Open WebUI</title></head><body>Hello</body></html>"


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (as_json({"error": "no"}, 404), errors.NotFoundError, "404"),
        (as_json({"detail": "Method Not Allowed"}, 405), errors.NotFoundError, "Method Not Allowed"),
        (as_html(PAGE, 404), errors.NotFoundError, "Open WebUI"),
        (as_html(PAGE), errors.ProtocolError, "a web page instead of a list of models"),
        (as_json({"error": {"message": "bad key"}}, 401), errors.AuthenticationError, "bad key"),
        (as_json({"error": {"message": "no read"}}, 403), errors.PermissionDeniedError, "no read"),
        (as_json({"error": "x"}, 500), errors.ServerError, "500"),
        (Answer([b""]), errors.ProtocolError, "not valid JSON"),
        (Answer([b'{"data": [{"id": "a"']), errors.ProtocolError, "not valid JSON"),
        (Answer([b"[" * 100_000]), errors.ProtocolError, "not valid JSON"),
        (as_json(None), errors.ProtocolError, "not a list of models"),
        (as_json({"status": "ok"}), errors.ProtocolError, "not a list of models"),
        (
            as_json({"error": "Unexpected endpoint or method. (GET /v1/models)"}),
            errors.NotFoundError,
            "Unexpected endpoint",
        ),
        (
            Answer([b"{"], status=302, headers={"location": "http://elsewhere.test/"}),
            errors.NotFoundError,
            "302",
        ),
        (Answer([b'{"data": ', Cut()]), errors.ConnectionLostError, "lab"),
    ],
)
def test_other_replies_are_errors_that_name_the_provider(
    server: Scripted, transport: HttpTransport, answer: Answer, error: type[errors.CoreError], words: str
) -> None:
    server.will(answer)
    with pytest.raises(error, match=words) as caught:
        fetch(transport, lab(server), KEY)
    assert caught.value.provider == "lab"
    assert "lab" in caught.value.message


def test_list_may_have_a_byte_order_mark_and_has_a_size_limit() -> None:
    raw = b"\xef\xbb\xbf" + json.dumps({"data": [{"id": "a"}]}).encode()
    provider = Provider(name="lab", base_url="http://h")
    assert ids(fetch(InMemory(raw), provider)) == ["a"]
    with pytest.raises(errors.ProtocolError, match="more than 64 MB"):
        fetch(InMemory(b" " * (65 << 20)), provider)
    entries = [{"id": f"org/model-{n}", "context_length": 4096, "name": "M"} for n in range(5000)]
    start = time.perf_counter()
    assert len(served({"data": entries})) == 5000
    assert time.perf_counter() - start < 30


@pytest.mark.parametrize("pieces", [[b"[", *([Pause(0.1), b" "] * 100)], [Pause(60)]], ids=["slow", "silent"])
def test_slow_and_silent_servers_are_left_in_time(
    server: Scripted, transport: HttpTransport, pieces: list[Any]
) -> None:
    server.will(Answer(pieces))
    provider = replace(lab(server), network=Network(first_byte_timeout=1800, idle_timeout=600))
    start = time.monotonic()
    with pytest.raises(errors.DeadlineError):
        fetch(transport, provider, seconds=0.5)
    assert time.monotonic() - start < 30


def test_echoed_key_is_redacted_in_models_and_errors() -> None:
    value = {"data": [{"id": f"model-of-{KEY}", "name": f"Of {KEY}"}]}
    (model,) = fetch(InMemory(json.dumps(value).encode()), Provider(name="lab", base_url="http://h/v1"), KEY)
    assert KEY not in repr(model)
    secret = "tok-9876543210fedcba"
    provider = Provider(name="lab", base_url="http://h/v1", headers={"X-Auth-Token": secret})
    with pytest.raises(errors.AuthenticationError) as caught:
        fetch(InMemory(f'{{"error": {{"message": "{KEY} {secret}"}}}}'.encode(), status=401), provider, KEY)
    assert KEY not in caught.value.message
    assert secret not in caught.value.message


# --- the servers' own APIs ---------------------------------------------------------------------------------


def test_ollama_is_asked_about_each_model(server: Scripted, transport: HttpTransport) -> None:
    def show(asked: Any) -> Answer:
        if asked.path == "/v1/models":
            return listing("qwen3:8b", "tuned:latest", "embedder:latest", "idle:1b")
        if asked.path == "/api/ps":
            return as_json({"models": [{"name": "qwen3:8b", "context_length": 4096}]})
        assert asked.path == "/api/show"
        assert asked.method == "POST"
        info: dict[str, Any] = {
            "qwen3:8b": {
                "model_info": {"general.architecture": "qwen3", "qwen3.context_length": 40960},
                "capabilities": ["completion", "tools", "thinking"],
            },
            "tuned:latest": {
                "parameters": 'stop "<end>"\nnum_ctx 16384\n',
                "model_info": {"general.architecture": "llama", "llama.context_length": 131072},
                "capabilities": ["completion", "vision"],
            },
            "embedder:latest": {"model_info": {}, "capabilities": ["embedding"]},
            "idle:1b": {"model_info": {"general.architecture": "llama", "llama.context_length": 131072}},
        }
        return as_json(info[asked.body["model"]])

    server.will(show)
    one, two, three, idle = fetch(transport, lab(server, preset="ollama"))
    assert (one.context, one.tools, one.reasoning, one.vision) == (4096, True, True, None)  # as it runs now
    assert (two.context, two.vision) == (16384, True)
    assert three.kind == "embedding"
    assert (idle.context, idle.context_is_maximum) == (131072, True)
    assert not any(model.context_is_maximum for model in (one, two, three))


def test_loaded_models_of_lm_studio_come_first(server: Scripted, transport: HttpTransport) -> None:
    def serve(asked: Any) -> Answer:
        if asked.path == "/v1/models":
            return listing("text-embedding-nomic", "sleeping", "awake")
        assert asked.path == "/api/v0/models"
        return as_json(
            {
                "object": "list",
                "data": [
                    {"id": "text-embedding-nomic", "type": "embeddings", "state": "not-loaded"},
                    {"id": "sleeping", "type": "vlm", "state": "not-loaded", "max_context_length": 32768},
                    {
                        "id": "awake", "type": "llm", "state": "loaded", "max_context_length": 131072,
                        "loaded_context_length": 8192, "capabilities": ["tool_use"],
                    },
                ],
            }
        )  # fmt: skip

    server.will(serve)
    first, *rest = fetch(transport, lab(server, preset="lmstudio"))
    assert (first.id, first.context, first.tools) == ("awake", 8192, True)
    by_id = {model.id: model for model in rest}
    assert (by_id["sleeping"].context, by_id["sleeping"].vision) == (32768, True)
    assert by_id["text-embedding-nomic"].kind == "embedding"
    assert len(server.asked) == 2


def test_llamacpp_is_asked_for_the_window_of_a_slot(server: Scripted, transport: HttpTransport) -> None:
    models = as_json({"data": [{"id": "m.gguf", "meta": {"n_ctx_train": 131072, "n_ctx": 8192}}]})
    props = as_json(
        {
            "default_generation_settings": {"n_ctx": 4096},
            "modalities": {"vision": True, "audio": False},
            "chat_template_caps": {"supports_tools": True},
        }
    )
    server.will(by_path(models=models, props=props))
    (model,) = fetch(transport, lab(server, preset="llamacpp"))
    assert (model.context, model.vision, model.tools) == (4096, True, True)
    assert [asked.path for asked in server.asked] == ["/v1/models", "/props"]


@pytest.mark.parametrize(
    ("entry", "props", "context"),
    [
        ({"meta": {"n_ctx_train": 40960}}, {"default_generation_settings": {"n_ctx": 8192}}, 8192),
        ({"owned_by": "llamacpp"}, {"default_generation_settings": {"n_ctx": 8192}}, 8192),
        ({"meta": {"n_ctx_train": 40960, "n_ctx": 8192}}, {"error": "no"}, 8192),
        ({"meta": {"n_ctx_train": 40960}}, {"error": "no"}, None),
        ({"owned_by": "vllm", "max_model_len": 32768}, {}, 32768),
    ],
)
def test_local_server_is_recognized_by_its_list(
    server: Scripted, transport: HttpTransport, entry: dict[str, Any], props: Any, context: int | None
) -> None:
    server.will(by_path(models=as_json({"data": [{"id": "m", **entry}]}), props=as_json(props)))
    (model,) = fetch(transport, lab(server))
    assert model.context == context


@pytest.mark.parametrize("preset", ["ollama", "lmstudio", "llamacpp"])
@pytest.mark.parametrize(
    "more",
    [
        as_json({"error": "no"}, 404),
        as_json([1]),
        as_html(PAGE),
        as_json({"data": 7, "model_info": 3}),
        Answer([Cut()]),
    ],
    ids=["404", "array", "html", "odd", "cut"],
)
def test_failure_of_the_own_api_leaves_the_list(
    server: Scripted, transport: HttpTransport, preset: str, more: Answer
) -> None:
    server.will(lambda asked: listing("a") if asked.path == "/v1/models" else more)
    assert ids(fetch(transport, lab(server, preset=preset))) == ["a"]


def test_details_are_requested_from_known_servers_only_and_not_endlessly(
    server: Scripted, transport: HttpTransport
) -> None:
    server.will(listing("a"))
    fetch(transport, lab(server))
    fetch(transport, lab(server, preset="vllm"))
    assert [asked.path for asked in server.asked] == ["/v1/models", "/v1/models"]
    many = listing(*(f"m{n}" for n in range(200)))
    server.will(lambda asked: many if asked.path == "/v1/models" else as_json({}))
    assert len(fetch(transport, lab(server, preset="ollama"))) == 200
    assert len(server.asked) == 1 + 1 + 64
