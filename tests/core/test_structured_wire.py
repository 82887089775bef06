"""How a schema is sent, and what is tried if a server refuses it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted import Answer, Scripted, answer

from provider_core.client import Client
from provider_core.errors import BadRequestError, ServerError
from provider_core.request import RequestAdapter, UnsupportedFieldCache, build_body
from provider_core.request._body import strict_form
from provider_core.structured import matching_json, schema_from, short_form
from provider_core.types import FieldDropped, Message, Notice, Provider, Quirks, Request, Text

PERSON = short_form("name, age int")
MINE = Provider(name="mine", base_url="https://one.test/v1")
HELLO = (Message(role="system", content="Be brief."), Message(role="user", content="Hello"))


def ask(schema: Any = PERSON, **fields: Any) -> Request:
    return Request(model="m", messages=HELLO, schema=schema, **fields)


def row(kind: Any, **more: Any) -> Provider:
    return replace(MINE, quirks=Quirks(json_schema=kind, **more))


# --- by the row ----------------------------------------------------------------------------------------------


def test_a_provider_with_schemas_gets_a_strict_format_and_the_same_prompt() -> None:
    body = build_body(MINE, ask())
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {
            "name": "answer",
            "strict": True,
            "schema": {**PERSON, "additionalProperties": False},
        },
    }
    assert [message["content"] for message in body["messages"]] == ["Be brief.", "Hello"]


@pytest.mark.parametrize(("kind", "field"), [("json_object", {"type": "json_object"}), ("none", None)])
def test_other_providers_get_the_schema_in_the_system_prompt(kind: Any, field: Any) -> None:
    body = build_body(row(kind), ask())
    assert body.get("response_format") == field
    system, user = body["messages"]
    assert system["content"].startswith("Be brief.\n\nAnswer with JSON (application/json) and nothing else")
    assert json.dumps(PERSON) in system["content"]
    assert user == {"role": "user", "content": "Hello"}


def test_without_a_schema_no_format_is_sent() -> None:
    for provider in (MINE, row("json_object"), row("none")):
        body = build_body(provider, ask(None))
        assert "response_format" not in body
        assert len(body["messages"]) == 2


def test_a_raw_field_overrides_the_schema() -> None:
    given = {"type": "json_object"}
    body = build_body(row("none"), ask(params={"response_format": given}))
    assert body["response_format"] == given
    assert body["messages"][0]["content"] == "Be brief."


@pytest.mark.parametrize(
    ("title", "name"),
    [
        (None, "answer"), ("Person", "Person"), ("A person: Äsop!", "A_person_sop"), ("…", "answer"),
        ("x" * 99, "x" * 64),
    ],
)  # fmt: skip
def test_the_schema_gets_a_name_that_servers_accept(title: str | None, name: str) -> None:
    schema = PERSON if title is None else {**PERSON, "title": title}
    assert build_body(MINE, ask(schema))["response_format"]["json_schema"]["name"] == name


# --- strict --------------------------------------------------------------------------------------------------


def test_the_strict_copy_closes_every_object_and_leaves_the_original_unchanged() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "people": {"type": "array", "items": {"$ref": "#/$defs/p"}},
            "best": {"anyOf": [PERSON, {"type": "null"}]},
        },
        "required": ["best", "people"],
        "$defs": {"p": PERSON},
    }
    before = json.dumps(schema)
    strict = strict_form(schema)
    assert strict is not None
    assert json.dumps(strict).count('"additionalProperties": false') == 3
    assert "$schema" not in strict
    assert json.dumps(schema) == before


@pytest.mark.parametrize(
    "loose",
    [
        {"type": "array", "items": {"type": "string"}},
        {"type": "object", "properties": {"a": {"type": "string"}}},
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": True},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "object", "properties": {"a": {}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "string", "not": {"const": "x"}}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "object"}}}, "required": ["a"]},
        {"anyOf": [PERSON, PERSON]},
    ],
    ids=str,
)  # fmt: skip
def test_a_schema_that_strict_mode_would_change_is_not_strict(loose: dict[str, Any]) -> None:
    schema = schema_from(loose)
    format_ = build_body(MINE, ask(schema))["response_format"]["json_schema"]
    assert (format_["strict"], format_["schema"]) == (False, loose)


# --- refused -------------------------------------------------------------------------------------------------

SENTENCES = (
    "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model. Learn more ...",
    "This response_format type is unavailable now",
    "Failed to deserialize the JSON body: response_format: response_format.type `json_schema` is unavailable now",
    "'response_format.type' must be 'json_schema' or 'text'",
    "This model does not support response format `json_schema`. See supported models at https://console.groq.com",
    "Extra inputs are not permitted: ('body', 'response_format')",
    "response_format is not supported by this model", "JSON mode is not enabled for this model",
    "Structured outputs are not available",
)  # fmt: skip
"""As servers have said it: OpenAI, DeepSeek (twice), LM Studio, Groq, and in the manner of vLLM and others."""


def refusal(words: str, param: str | None = None, status: int = 400) -> BadRequestError:
    return BadRequestError(words, status=status, words=words, param=param)


NO_STREAM = "response_format` does not support streaming"
RAW = {"type": "json_schema", "json_schema": {"name": "x", "schema": PERSON}}


def sent_format(adapter: RequestAdapter) -> str:
    """What the body asks for: the type of the format, whether strictly, in the prompt, or as a whole answer."""
    format_: Any = adapter.body.get("response_format", {"type": "nothing"})
    words = [format_["type"]]
    words += ["strict"] if format_.get("json_schema", {}).get("strict") else []
    words += ["prompt"] if json.dumps(PERSON) in adapter.body["messages"][0]["content"] else []
    words += ["whole"] if adapter.body["stream"] is False else []
    return " ".join(words)


@pytest.mark.parametrize(
    ("refusals", "formats"),
    [
        *(([words] * 3, ["json_object prompt", "nothing prompt", ""]) for words in SENTENCES),
        *(
            ([words, SENTENCES[0]], ["json_schema", "json_object prompt"])
            for words in (
                "Unknown parameter: 'response_format.json_schema.strict'.",
                "strict is not supported in response_format",
            )
        ),
        (["Unsupported parameter: 'stream_options'"], ["json_schema strict"]),
        ([NO_STREAM, SENTENCES[0], NO_STREAM, NO_STREAM],
         ["json_schema strict whole", "json_object prompt", "nothing prompt", ""]),
    ],
)  # fmt: skip
def test_a_refused_format_is_weakened_step_by_step(refusals: list[str], formats: list[str]) -> None:
    assert RequestAdapter(MINE, ask()).refused(refusal("Not supported.", param="response_format.type"))
    adapter = RequestAdapter(MINE, ask())
    for words, expected in zip(refusals, formats, strict=True):
        assert adapter.refused(refusal(words)) is bool(expected)
        assert not expected or sent_format(adapter) == expected


@pytest.mark.parametrize(
    "error",
    [
        refusal("tools.0.function.parameters: Invalid JSON schema"),
        refusal("Invalid JSON schema for function 'a'", param="tools[0].function"),
        refusal("max_tokens is too large"),
        refusal("the prompt is too long for a JSON answer", param="messages"),
        ServerError("boom", status=500, words="boom"),
        ServerError("busy", status=503, words="response_format failed"),
    ],
    ids=lambda error: error.message,
)
def test_an_error_about_something_else_leaves_the_format_alone(error: Any) -> None:
    assert not RequestAdapter(MINE, ask()).refused(error)


@pytest.mark.parametrize(
    "request_",
    [ask(None, params={"response_format": RAW}), ask(params={"response_format": {"type": "json_object"}})],
    ids=["alone", "beside a schema"],
)
def test_a_refused_raw_field_is_omitted(request_: Request) -> None:
    adapter = RequestAdapter(MINE, request_)
    assert adapter.refused(refusal("Unsupported parameter: 'response_format'"))
    assert "response_format" not in adapter.body


def test_a_remembered_format_is_not_used_where_the_provider_takes_none(tmp_path: Path) -> None:
    cache = UnsupportedFieldCache(tmp_path / "refused.json")
    cache.learn(MINE, "m", FieldDropped(field="response_format", swapped_for="json_object", lasting=True))
    assert "response_format" not in RequestAdapter(row("none"), ask(), cache=cache).body


def test_a_weaker_format_is_reported_and_remembered_for_the_model(tmp_path: Path) -> None:
    cache, told = UnsupportedFieldCache(tmp_path / "refused.json"), list[Notice]()
    adapter = RequestAdapter(MINE, ask(), cache=cache, notify=told.append)
    adapter.refused(refusal(SENTENCES[1]))
    adapter.accepted()
    assert told == [
        FieldDropped(
            field="response_format",
            swapped_for="json_object",
            words=SENTENCES[1],
            asked="schema",
            lasting=True,
        )
    ]
    told.clear()
    again = RequestAdapter(MINE, ask(), cache=cache, notify=told.append)
    assert again.body["response_format"] == {"type": "json_object"}
    assert told == []
    assert "response_format" not in RequestAdapter(MINE, ask(None), cache=cache).body
    raw = {"type": "json_schema", "json_schema": {"name": "x", "schema": PERSON}}
    kept = RequestAdapter(MINE, ask(None, params={"response_format": raw}), cache=cache)
    assert kept.body["response_format"] == raw


def test_after_a_refused_raw_field_the_schema_goes_into_the_prompt(tmp_path: Path) -> None:
    cache = UnsupportedFieldCache(tmp_path / "refused.json")
    first = RequestAdapter(MINE, ask(None, params={"response_format": {"type": "json_object"}}), cache=cache)
    first.refused(refusal("Unsupported parameter: 'response_format'"))
    first.accepted()
    later = RequestAdapter(MINE, ask(), cache=cache).body
    assert "response_format" not in later
    assert json.dumps(PERSON) in later["messages"][0]["content"]


@pytest.mark.parametrize(
    "words",
    [
        "Invalid schema for response_format 'answer': In context=(), 'oneOf' is not permitted.",
        "response_format is not supported together with tools", "failed to parse grammar",
    ],
)  # fmt: skip
def test_a_refusal_of_this_schema_or_the_tools_is_not_remembered(words: str, tmp_path: Path) -> None:
    cache = UnsupportedFieldCache(tmp_path / "refused.json")
    adapter = RequestAdapter(MINE, ask(), cache=cache)
    assert adapter.refused(refusal(words))
    adapter.accepted()
    assert cache.known(MINE, "m") == ()


def test_a_server_without_schemas_answers_in_the_end(server: Scripted) -> None:
    says_no = Answer(
        [json.dumps({"error": {"message": SENTENCES[1], "type": "invalid_request_error"}}).encode()],
        status=400,
        headers={"content-type": "application/json"},
    )
    server.will(says_no, says_no, answer('```json\n{"name": "Ada", "age": 36}\n```'))
    told: list[Notice] = []
    provider = replace(MINE, base_url=server.url)
    with Client() as client:
        events = list(client.chat(provider, ask(), notify=told.append))
    text = "".join(event.text for event in events if isinstance(event, Text))
    assert json.loads(matching_json(text, PERSON)) == {"name": "Ada", "age": 36}
    formats = [asked.body.get("response_format", {}).get("type") for asked in server.asked]
    assert formats == ["json_schema", "json_object", None]
    assert [notice.swapped_for for notice in told if isinstance(notice, FieldDropped)] == [
        "json_object",
        "none",
    ]
