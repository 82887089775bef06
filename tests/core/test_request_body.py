"""The body of a request by the rows of the presets: what is in it, what is not, what it is called."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provider_core import __version__, presets
from provider_core.errors import InvalidInputError
from provider_core.request import build_body, build_headers, is_secret_name, known_secrets
from provider_core.types import Message, Provider, Request, Tool

HELLO = (Message(role="user", content="Hello"),)
CLOCK = Tool(name="clock", description="The time.", schema={"type": "object", "properties": {"zone": {}}})


def provider(id: str) -> Provider:
    preset = presets.get(id)
    assert preset is not None, id
    return Provider(name=id, base_url=preset.base_url, auth=preset.auth, quirks=preset.quirks)


def body(id: str = "", model: str = "m", **asked: Any) -> dict[str, Any]:
    server = provider(id) if id else Provider(name="mine", base_url="http://127.0.0.1:1/v1")
    return build_body(server, Request(model=model, messages=HELLO, **asked))


def beyond(id: str, model: str = "m", **asked: Any) -> dict[str, Any]:
    """What is in the body beside what every body has."""
    every = {"model", "messages", "stream", "stream_options"}
    return {name: value for name, value in body(id, model, **asked).items() if name not in every}


# --- fields ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("id", "asked", "fields"),
    [
        ("", {}, {"stream": True, "stream_options": {"include_usage": True}}),
        ("", {"stream": False}, {"stream": False}),
        ("", {"params": {"stream": False}}, {"stream": False}),
        ("", {"params": {"stream": False, "stream_options": {}}}, {"stream": False, "stream_options": {}}),
        ("", {"stream": False, "temperature": 0.0, "max_tokens": 0},
         {"stream": False, "temperature": 0.0, "max_tokens": 0}),
        ("cloudflare", {"params": {"stream_options": None, "max_tokens": None}}, {"stream": True}),
        ("", {"stream": False, "max_tokens": 9, "params": {"options": {"num_predict": 1}}},
         {"stream": False, "options": {"num_predict": 1}}),
        ("", {"stream": False, "max_tokens": 9, "params": {"num_predict": 0}},
         {"stream": False, "num_predict": 0, "max_tokens": 9}),
    ],
)  # fmt: skip
def test_a_body_has_the_fields_that_were_asked_for(
    id: str, asked: dict[str, Any], fields: dict[str, Any]
) -> None:
    messages = [{"role": "user", "content": "Hello"}]
    assert body(id, **asked) == {"model": "m", "messages": messages, **fields}


def test_raw_fields_override_everything() -> None:
    raw = {"model": "other", "temperature": 0.1, "messages": [], "reasoning_effort": "max", "top_k": 3}
    asked = body("openai", temperature=1.0, reasoning_effort="low", params=raw)
    assert {name: asked[name] for name in raw} == raw


@pytest.mark.parametrize("id", [preset.id for preset in presets.all_presets()])
def test_no_preset_adds_a_field_but_a_limit(id: str) -> None:
    row = provider(id).quirks
    limit = row.default_max_tokens
    assert beyond(id) == ({} if limit is None else {row.max_tokens_field: limit})
    assert ("stream_options" in body(id)) is row.stream_usage
    json.dumps(body(id, max_tokens=5, temperature=1.0, tools=(CLOCK,), tool_choice="required"))


# --- presets --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("id", "asked", "fields"),
    [
        ("openai", {"max_tokens": 7}, {"max_completion_tokens": 7}),
        ("ollama", {"max_tokens": 7}, {"max_tokens": 7}),
        ("cloudflare", {}, {"max_tokens": 8192}),
        ("cloudflare", {"max_tokens": 50}, {"max_tokens": 50}),
        ("openai", {"reasoning_effort": "xhigh"}, {"reasoning_effort": "xhigh"}),
        ("qwen", {"reasoning_effort": "none"}, {"enable_thinking": False}),
        ("openrouter", {"reasoning_effort": "high"}, {"reasoning": {"effort": "high"}}),
    ],
)
def test_a_field_has_the_name_and_the_value_of_the_preset(id: str, asked: Any, fields: Any) -> None:
    assert beyond(id, **asked) == fields


@pytest.mark.parametrize(
    ("model", "fields"),
    [("kimi-k3", {"reasoning_effort": "low"}), ("moonshotai/Kimi-K3-x", {"reasoning_effort": "low"})],
)
def test_a_reasoning_effort_depends_on_the_family_of_the_model(model: str, fields: Any) -> None:
    assert beyond("kimi", model, reasoning_effort="low") == fields
    assert beyond("kimi", "kimi-k2.6", reasoning_effort="none") == {"thinking": {"type": "disabled"}}


def test_providers_that_refuse_whole_answers_get_stream_requests() -> None:
    assert body("qwen", stream=False)["stream"] is True
    assert body("qwen", stream=False)["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("id", "model", "fields"),
    [
        ("openrouter", "openai/gpt-6-luna", {"plugins": [{"id": "web"}]}),
        ("openai", "gpt-5-search-api", {"web_search_options": {}}),
        ("openai", "gpt-4o-mini-search-preview-2025-03-11", {"web_search_options": {}}),
        ("perplexity", "sonar", {}),
        ("groq", "groq/compound-mini", {}),
        ("groq", "openai/gpt-oss-120b", {"tools": [{"type": "browser_search"}]}),
        ("qwen", "qwen3-max", {"enable_search": True}),
        ("qianfan", "ernie-5", {"web_search": {"enable": True, "enable_citation": True}}),
        ("xiaomi", "mimo-v2.5-pro", {"tools": [{"type": "web_search"}]}),
        ("litellm", "gemini/x", {"web_search_options": {}}),
    ],
)
def test_a_web_search_is_requested_as_the_provider_has_it(id: str, model: str, fields: Any) -> None:
    assert beyond(id, model, web=True) == fields


@pytest.mark.parametrize(("id", "engine"), [("zai", "search-prime"), ("zhipu", "search_std")])
def test_a_web_search_that_is_a_tool_is_added_to_the_tools(id: str, engine: str) -> None:
    search = {"enable": True, "search_engine": engine, "search_result": True}
    found = beyond(id, "glm-5.2", web=True, tools=(CLOCK,))["tools"]
    assert [tool["type"] for tool in found] == ["function", "web_search"]
    assert found[1]["web_search"] == search


@pytest.mark.parametrize(
    ("id", "model", "words"),
    [
        ("deepseek", "deepseek-v4-pro", "deepseek/deepseek-v4-pro has no web search that telex can turn on"),
        ("openai", "gpt-6-sol", "models of openai that have one: *-search-api*, *-search-preview*"),
        ("xai", "grok-4.7", "has no web search"),
        ("qwen-us", "qwen3-max", "has no web search"),
        ("", "m", "mine/m has no web search"),
    ],
)
def test_a_web_search_that_a_model_does_not_have_is_an_error(id: str, model: str, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words.replace("*", ".")) as raised:
        body(id, model, web=True)
    assert raised.value.code == "no_web_search"


def test_an_unknown_level_is_an_error_with_the_known_ones() -> None:
    with pytest.raises(InvalidInputError) as caught:
        body("kimi", "kimi-k3", reasoning_effort="medium")
    assert caught.value.message == "kimi/kimi-k3 has no reasoning effort 'medium'; it takes low, high, max"
    assert caught.value.provider == "kimi"


@pytest.mark.parametrize(("id", "model"), [("anthropic", "claude-opus-4-1"), ("mistral", "magistral-medium")])
def test_an_effort_for_a_model_without_levels_is_an_error(id: str, model: str) -> None:
    with pytest.raises(InvalidInputError, match=f"^{id}/{model} does not support a reasoning effort"):
        body(id, model, reasoning_effort="high")


# --- tools -------------------------------------------------------------------------------------------------


def test_tools_are_functions_with_a_schema() -> None:
    bare = Tool(name="ping")
    assert beyond("openai", tools=(CLOCK, bare))["tools"] == [
        {
            "type": "function",
            "function": {"name": "clock", "description": "The time.", "parameters": dict(CLOCK.schema)},
        },
        {
            "type": "function",
            "function": {"name": "ping", "parameters": {"type": "object", "properties": {}}},
        },
    ]


@pytest.mark.parametrize(
    ("id", "choice", "sent"),
    [
        ("openai", "auto", "auto"), ("openai", "none", "none"), ("openai", "required", "required"),
        ("openai", "clock", {"type": "function", "function": {"name": "clock"}}),
        ("mistral", "required", "any"), ("zai", "required", None), ("deepseek", "required", None),
        ("transformers", "auto", None),
    ],
)  # fmt: skip
def test_the_tool_choice_has_the_form_of_the_provider(id: str, choice: str, sent: Any) -> None:
    asked = body(id, tools=(CLOCK,), tool_choice=choice)
    assert asked.get("tool_choice") == sent
    assert len(asked["tools"]) == 1


def test_a_choice_of_none_offers_no_tools_if_it_cannot_be_sent_and_is_not_sent_without_tools() -> None:
    assert beyond("zai", tools=(CLOCK,), tool_choice="none") == {}
    assert beyond("openai", tool_choice="none") == {}


# --- headers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "key", "headers"),
    [
        (provider("openai"), "k", {"authorization": "Bearer k"}),
        (provider("azure"), "k", {"api-key": "k"}),
        (Provider(name="x", auth="none"), "k", {}),
        (provider("vllm"), None, {}),
        (Provider(name="x", headers={"X-Title": "telex", "X-Empty": ""}), "", {"x-title": "telex"}),
    ],
)
def test_the_key_is_sent_in_the_header_of_the_preset(server: Provider, key: str | None, headers: Any) -> None:
    assert build_headers(server, key) == {"user-agent": f"telex/{__version__}", **headers}


@pytest.mark.parametrize(
    ("name", "is_secret"),
    [
        ("x-api-key", True), ("api-key", True), ("X-Auth-Token", True), ("cf-aig-authorization", True),
        ("Cookie", True), ("client_secret", True), ("X-Title", False), ("HTTP-Referer", False), ("monkey", False),
        ("x-password", True), ("X-Session-Id", True), ("accessKeyId", True), ("AWS-Credential", True),
        ("X-Key-2", True), ("sig", True), ("signal", False), ("X-Author", False), ("api-version", False),
        ("organization", False), ("anthropic-version", False), ("content-type", False),
    ],
)  # fmt: skip
def test_names_of_secrets_are_recognised(name: str, is_secret: bool) -> None:
    assert is_secret_name(name) is is_secret


def test_the_key_and_secret_headers_are_redacted() -> None:
    server = Provider(
        name="x", headers={"Cookie": "a=b", "X-Title": "telex", "x-password": "pw", "X-Key": ""}
    )
    assert known_secrets(server, "k") == ("k", "a=b", "pw")
    assert known_secrets(server, None) == ("a=b", "pw")


def test_the_embedded_model_gets_the_effort_through_its_template() -> None:
    from provider_core.local import PROVIDER

    request = Request(model="m", messages=(Message(role="user", content="x"),), reasoning_effort="none")
    sent = build_body(PROVIDER, request)
    assert sent["chat_template_kwargs"]["enable_thinking"] is False
    assert "reasoning_effort" not in sent
