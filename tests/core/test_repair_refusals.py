"""Which field an error refuses, in the words of real servers; and which errors refuse none."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from provider_core.errors import (
    BadRequestError,
    ContentPolicyError,
    ContextOverflowError,
    NotFoundError,
    ProviderError,
    ServerError,
)
from provider_core.repair import Repair
from provider_core.repair._refusals import refused_field
from provider_core.stream import failure

SENT = (
    "stream_options", "temperature", "top_p", "presence_penalty", "frequency_penalty", "reasoning_effort", "thinking",
    "reasoning", "enable_thinking", "chat_template_kwargs", "response_format", "seed", "stop", "user", "logprobs",
    "parallel_tool_calls", "tool_choice", "reasoning_budget",
)  # fmt: skip
PLAIN = [{"role": "user", "content": "Hi"}]
WITH_SYSTEM = [{"role": "system", "content": "Be brief."}, *PLAIN]


def sent(*names: str, messages: list[dict[str, str]] = PLAIN) -> dict[str, Any]:
    """A body with these fields, or with all of ``SENT``."""
    return {
        "model": "m",
        "messages": messages,
        "stream": True,
        "tools": [],
        **dict.fromkeys(names or SENT, 1),
    }


def bad(words: str, *, status: int = 400, **more: Any) -> BadRequestError:
    return BadRequestError("refused", status=status, words=words, **more)


def refused(error: ProviderError, body: dict[str, Any] | None = None) -> str | None:
    repair = refused_field(error, body or sent())
    return repair.field if repair else None


def table(text: str) -> list[tuple[str, str]]:
    """Field and words of entries like ``192 OpenAI temperature | Not this.``; further lines of one are indented."""
    entries = [re.sub(r"\n\s+", " ", entry) for entry in re.split(r"\n(?=\S)", text.strip())]
    found = [re.fullmatch(r"\d+ \S+ (\S+) \| (.+)", entry) for entry in entries]
    assert all(found)
    return [(hit[1], hit[2].replace("\\n", "\n  ")) for hit in found if hit]


# --- refusals: the number is that of the quirk --------------------------------------------------------------

REFUSALS = table(r"""
192 OpenAI temperature | Unsupported value: 'temperature' does not support 0 with this model. Only the default (1)
    value is supported.
192 Kimi temperature | invalid temperature: only 1 is allowed for this model
192 Kimi temperature | invalid temperature: only 0.6 is allowed for this model
192 Claude temperature | `temperature` is deprecated for this model.
192 Claude temperature | temperature is deprecated for this model.
192 Claude top_p | `temperature` and `top_p` cannot both be specified for this model. Please use only one.
200 xAI presence_penalty | Model grok-4-1-fast-reasoning does not support parameter presencePenalty.
206 xAI reasoning_effort | Model grok-4-latest does not support parameter reasoningEffort.
200 xAI stop | Argument not supported on this model: stop
200 xAI presence_penalty | Argument not supported on this model: presencePenalty
194 Azure stream_options | Unrecognized request argument supplied: stream_options
194 Azure stream_options | Unrecognized request argument supplied: stream_options. Please contact us through an
    Azure support request at: https://go.microsoft.com/fwlink/?linkid=2213926 for further questions.
194 Azure stream_options | Unknown parameter: 'stream_options'.
194 Azure stream_options | Validation error at #/stream_options: Extra inputs are not permitted
194 Mistral stream_options | stream_options: Extra inputs are not permitted
194 Databricks stream_options | Bad request: json: unknown field "stream_options"
195 Fireworks stream_options | Extra inputs are not permitted, field: 'stream_options', value: {'include_usage': True}
195 vLLM stream_options | [{'type': 'extra_forbidden', 'loc': ('body', 'stream_options'), 'msg': 'Extra inputs
    are not permitted', 'input': {'include_usage': True}}]
195 NVIDIA frequency_penalty | body -> frequency_penalty\n  Extra inputs are not permitted
    (type=extra_forbidden)\nbody -> presence_penalty\n  Extra inputs are not permitted
    (type=extra_forbidden)
195 NVIDIA reasoning_budget | Validation: Unsupported parameter(s): `reasoning_budget`
195 NVIDIA thinking | Validation: Unsupported parameter(s): thinking
195 Gemini frequency_penalty | Invalid JSON payload received. Unknown name "frequency_penalty": Cannot find
    field.\nInvalid JSON payload received. Unknown name "seed": Cannot find field.
195 Groq reasoning | property 'reasoning' is unsupported
195 Groq reasoning | Error from provider: {\"message\":\"property \\\"reasoning\\\" is unsupported\"}
195 transformers stream_options | Unexpected keys in the request: {'stream_options'}
195 transformers response_format | Unsupported fields in the request: {'response_format'}
195 Bedrock thinking | Failed to deserialize the JSON body into the target type: thinking: unknown field `thinking`,
    expected one of `messages`, `model`, `reasoning_effort`, `stop` at line 1 column 212
195 JSON-schema seed | Additional properties are not allowed ('seed' was unexpected)
195 LiteLLM reasoning_effort | litellm.UnsupportedParamsError: openai does not support parameters:
    ['reasoning_effort'], for model=o4-mini. To drop these, set `litellm.drop_params=True`
206 Groq reasoning_effort | `reasoning_effort` is not supported with this model
209 vLLM chat_template_kwargs | chat_template is not supported for Mistral tokenizers.
208 Qwen enable_thinking | parameter.enable_thinking is not supported by this model
210 OpenAI reasoning | Unknown parameter: 'reasoning.effort'.
211 Kimi reasoning_effort | cannot specify both 'thinking' and 'reasoning_effort'
122 Qwen tool_choice | <400> InternalError.Algo.InvalidParameter: The tool_choice parameter does not support
    being set to required or object in thinking mode
200 OpenAI parallel_tool_calls | Invalid value for 'parallel_tool_calls': 'parallel_tool_calls' is only allowed
    when 'tools' are specified.
206 OpenAI reasoning_effort | Function tools with reasoning_effort are not supported for gpt-5.4 in
    /v1/chat/completions. Please use /v1/responses instead.
200 OpenAI user | Unsupported parameter: 'user'.
200 OpenAI logprobs | This model does not support logprobs.
200 OpenAI presence_penalty | 'presence_penalty' and 'frequency_penalty' are not supported with this model
""")


@pytest.mark.parametrize(("field", "words"), REFUSALS, ids=[words[:60] for _, words in REFUSALS])
def test_a_field_that_is_refused_is_named(field: str, words: str) -> None:
    assert refused(bad(words)) == field


@pytest.mark.parametrize(("field", "words"), REFUSALS, ids=[words[:60] for _, words in REFUSALS])
def test_what_was_not_sent_is_not_refused(field: str, words: str) -> None:
    kept = [name for name in SENT if name.replace("_", "") not in words.replace("_", "").lower()]
    if "chat_template " in words:
        kept.remove("chat_template_kwargs")
    assert refused(bad(words), sent(*kept)) is None


def test_a_model_that_does_not_think_refuses_whatever_asks_for_thoughts() -> None:
    error = bad('"llama3.1:8b" does not support thinking')
    assert refused(error, sent("reasoning_effort")) == "reasoning_effort"
    assert refused(error, sent("stream_options", "chat_template_kwargs")) == "chat_template_kwargs"
    assert refused(error, sent("temperature")) is None


# --- no refusals -------------------------------------------------------------------------------------------

OTHERS = [*(words for _, words in table(r"""
202 any - | max_tokens is too large: 999999. This model supports at most 16384 completion tokens, whereas you
    provided 999999.
202 any - | 'max_tokens' or 'max_completion_tokens' is too large: 64000. This model's maximum is 8192.
202 any - | Invalid max_tokens value, the valid range of max_tokens is [1, 8192]
202 any - | Range of max_tokens should be [1, 8192]
202 any - | max_tokens: 300000 > 64000, which is the maximum allowed number of output tokens
202 any - | temperature must be in (0, 1]
202 any - | top_p must be in (0, 1], got 0.0.
202 any - | temperature: 3 is not supported; it must be between 0 and 2
206 any - | Unsupported value: 'reasoning_effort' does not support 'none' with this model. Supported values are:
    'minimal', 'low', 'medium', and 'high'.
206 any - | `reasoning_effort` must be one of `none` or `default`
206 any - | think value "medium" is not supported for this model
208 any - | parameter.enable_thinking must be set to false for non-streaming calls
208 any - | Json mode response is not supported when enable_thinking is true
208 any - | Invalid parameter: 'response_format' of type 'json_object' is not supported with this model.
92 any - | 'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1' : property
    'reasoning_content' is unsupported)]
92 any - | messages.2.assistant.reasoning: property 'messages.2.assistant.reasoning' is unsupported
92 any - | [{'type': 'extra_forbidden', 'loc': ('body', 'messages', 0, 'reasoning'), 'msg': 'Extra inputs are
    not permitted'}]
92 any - | thinking is enabled but reasoning_content is missing in assistant tool call message at index 2
92 any - | Unknown name "seed" at 'tools[0].function_declarations[0]': Cannot find field.
195 any - | unknown field `foo`, expected one of `messages`, `model`, `reasoning_effort`, `stop`
195 any - | The user is not allowed to use this model.
195 any - | Tools are not supported by this model
195 any - | The model does not support streaming: stream is not supported
195 any - | The model `temperature-1` does not exist
""")), ""]  # fmt: skip


@pytest.mark.parametrize("words", OTHERS, ids=[words[:60] or "no words" for words in OTHERS])
@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_an_error_about_something_else_refuses_no_field(words: str, limit: str) -> None:
    assert refused(bad(words), sent(*SENT, limit)) is None


WORDS = "Unsupported parameter: 'temperature'."


@pytest.mark.parametrize(
    "error",
    [
        ContextOverflowError("x", status=400, words=WORDS),
        ContentPolicyError("x", status=400, words=WORDS),
        NotFoundError("x", status=404, words=WORDS),
        ServerError("x", status=500, words=WORDS),
        ServerError("x", status=None, words=WORDS),
        bad(WORDS, status=413),
    ],
    ids=lambda error: f"{type(error).__name__} {error.status}",
)
def test_only_a_400_or_422_refuses_a_field(error: ProviderError) -> None:
    assert refused(error) is None
    assert refused(bad(WORDS, status=422)) == refused(bad(WORDS)) == "temperature"


# --- param and code ----------------------------------------------------------------------------------------


def test_the_param_says_what_the_words_leave_out() -> None:
    assert refused(bad("Not supported.", param="logprobs")) == "logprobs"
    assert refused(bad("Something is wrong.", param="logprobs", code="unsupported_parameter")) == "logprobs"


def test_a_param_within_the_messages_is_no_field() -> None:
    assert refused(bad("Unknown parameter: 'reasoning'.", param="messages[1].reasoning")) is None


def test_a_param_whose_value_is_wrong_is_no_refusal() -> None:
    assert (
        refused(bad("Invalid value: it must be below 2.", param="temperature", code="invalid_value")) is None
    )


def test_a_code_that_says_it_all_needs_one_name() -> None:
    assert refused(bad("Check temperature.", code="unsupported_parameter")) == "temperature"
    assert refused(bad("Check temperature or top_p.", code="unsupported_parameter")) is None


# --- two names of one field (191) --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"), [("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens")]
)
def test_a_token_limit_is_swapped_for_its_other_name(one: str, other: str) -> None:
    error = bad(f"Unsupported parameter: '{one}' is not supported with this model. Use '{other}' instead.")
    assert refused_field(error, sent(one)) == Repair(field=one, swapped_for=other)


def test_a_limit_that_was_refused_under_both_names_is_left_out() -> None:
    error = bad("Unknown parameter: 'max_completion_tokens'.")
    assert refused_field(error, sent("max_completion_tokens"), before={"max_tokens"}) == Repair(
        field="max_completion_tokens"
    )


def test_both_names_at_once_lose_the_one_that_is_refused() -> None:
    error = bad("Unknown parameter: 'max_tokens'.")
    assert refused_field(error, sent("max_tokens", "max_completion_tokens")) == Repair(field="max_tokens")


def test_no_field_is_repaired_twice() -> None:
    assert refused_field(bad(WORDS), sent(), before={"temperature"}) is None


# --- what lasts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "lasting"),
    [
        ("Unknown parameter: 'top_p'.", True),
        ("`top_p` is not supported with this model. Ask again when it is.", True),
        ("`temperature` and `top_p` cannot both be specified for this model. Please use only one.", False),
        ("top_p is not supported when thinking is enabled", False),
        ("top_p is not supported with tools", False),
        ("'top_p' is only allowed when 'tools' are specified.", False),
    ],
)
def test_a_refusal_beside_something_else_does_not_last(words: str, lasting: bool) -> None:
    assert refused_field(bad(words), sent()) == Repair(field="top_p", lasting=lasting)


# --- roles (196, 197) --------------------------------------------------------------------------------------

SYSTEM = Repair(field="system", swapped_for="user")
ROLES = Repair(field="roles", swapped_for="one")
NO_SYSTEM = [
    "System role not supported",
    "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
    "Developer instruction is not enabled for models/gemma-3-27b-it",
    "Only user, assistant and tool roles are supported, got system",
]
ALTERNATE = [words for _, words in table(r"""
197 any - | Conversation roles must alternate user/assistant/user/assistant/...
197 any - | deepseek-reasoner does not support successive user or assistant messages (messages[1] and
    messages[2] in your input). You should interleave the user/assistant messages in the message sequence.
197 any - | After the (optional) system message(s), user or tool message(s) should alternate with assistant
    message(s).
""")]  # fmt: skip


@pytest.mark.parametrize("status", [400, 422, 500])
@pytest.mark.parametrize("words", NO_SYSTEM)
def test_a_refused_system_role_moves_into_the_users(words: str, status: int) -> None:
    error = bad(words, status=status) if status < 500 else ServerError("x", status=status, words=words)
    assert refused_field(error, sent(messages=WITH_SYSTEM)) == SYSTEM
    assert refused_field(error, sent(messages=WITH_SYSTEM), before={"system"}) is None
    assert refused_field(error, sent()) is None


@pytest.mark.parametrize("words", ALTERNATE)
def test_roles_that_must_alternate_are_merged_first_and_then_lose_the_system_role(words: str) -> None:
    both = [*WITH_SYSTEM, *PLAIN]
    assert refused_field(bad(words), sent(messages=both)) == ROLES
    assert refused_field(bad(words), sent(messages=both), before={"roles"}) == SYSTEM
    assert refused_field(bad(words), sent(messages=WITH_SYSTEM)) == SYSTEM
    assert refused_field(bad(words), sent()) is None


CALLS = Repair(field="calls", swapped_for="text")
TOOLS_FIRST = [
    "Requests which include tool_use or tool_result blocks must define tools.",
    "Requests which include `tool_use` or `tool_result` blocks must define `tools`.",
    "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
    "litellm.UnsupportedParamsError: Bedrock doesn't support tool calling without `tools=` param specified.",
    "litellm.UnsupportedParamsError: Anthropic expects the `tools=` param to be passed in.",
]


@pytest.mark.parametrize("words", TOOLS_FIRST)
def test_calls_that_are_refused_without_tools_become_text(words: str) -> None:
    earlier = [*PLAIN, {"role": "assistant", "content": ""}, {"role": "tool", "content": "1"}, *PLAIN]
    body = sent(messages=earlier)
    assert refused_field(bad(words), body) is None, "there are tools"
    del body["tools"]
    assert refused_field(bad(words), body) == CALLS
    assert refused_field(bad(words), body, before={"calls"}) is None
    body["messages"] = PLAIN
    assert refused_field(bad(words), body) is None


# --- from the wire -----------------------------------------------------------------------------------------


def extra(*loc: str | int) -> dict[str, Any]:
    return {"type": "extra_forbidden", "loc": list(loc), "msg": "Extra inputs are not permitted", "input": {}}


@pytest.mark.parametrize(
    ("body", "field"),
    [  # in the shapes of their servers: quirks 138 to 152
        ({"error": {"message": "temperature: Not supported.", "param": "temperature"}}, "temperature"),
        ({"object": "error", "message": {"detail": [extra("body", "stream_options")]}}, "stream_options"),
        ({"detail": [extra("body", "stream_options", "include_usage")]}, "stream_options"),
        ({"detail": [extra("body", "messages", 0, "reasoning")]}, None),
        ({"detail": "Unexpected keys in the request: {'stream_options'}"}, "stream_options"),
        ({"code": "invalid argument", "error": "Argument not supported on this model: stop"}, "stop"),
        ([{"error": {"code": 400, "message": 'Unknown name "reasoning": Cannot find field.'}}], "reasoning"),
        ({"status": 422, "title": "No", "detail": "body -> seed\n  Extra inputs are not permitted"}, "seed"),
        (
            {"error": {"message": 'provider: {"error": {"message": "property \'seed\' is unsupported"}}'}},
            "seed",
        ),
    ],
)
@pytest.mark.parametrize("status", [400, 422])
def test_a_refusal_is_read_out_of_an_error_body(body: Any, field: str | None, status: int) -> None:
    assert refused(failure(status, json.dumps(body).encode(), provider="p")) == field


@pytest.mark.parametrize("piece", ["'", "'a', ", "a and ", "unknown parameter ", "top_p, ", " ", "(", "x"])
def test_words_of_any_shape_are_read_in_no_time(piece: str) -> None:
    began = time.perf_counter()
    refused(bad((piece * 2000)[:2000]))
    assert time.perf_counter() - began < 5
