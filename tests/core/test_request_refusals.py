"""Which field an error refuses, in the words of real servers; and which errors refuse none."""

from __future__ import annotations

import json
import re
import time
from functools import partial
from typing import Any

import pytest

from provider_core.errors import (
    AuthenticationError,
    BadRequestError,
    ContentPolicyError,
    ContextOverflowError,
    ModelNotFoundError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProviderError,
    QuotaError,
    RateLimitError,
    ServerError,
)
from provider_core.request._refusals import refused_choice, refused_field
from provider_core.stream.failures import ErrorReader
from provider_core.types import FieldDropped

dropped = partial(FieldDropped, lasting=True)

SENT = (
    "stream_options", "temperature", "top_p", "presence_penalty", "frequency_penalty", "reasoning_effort", "thinking",
    "reasoning", "enable_thinking", "chat_template_kwargs", "response_format", "seed", "stop", "user", "logprobs",
    "parallel_tool_calls", "tool_choice", "reasoning_budget",
)  # fmt: skip
PLAIN = [{"role": "user", "content": "Hi"}]
WITH_SYSTEM = [{"role": "system", "content": "Be brief."}, *PLAIN]


def sent(*names: str, messages: list[dict[str, Any]] = PLAIN) -> dict[str, Any]:
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
    """Key and words of entries like ``temperature | Not this.``; further lines of an entry are indented."""
    entries = [re.sub(r"\n\s+", " ", entry) for entry in re.split(r"\n(?=\S)", text.strip())]
    found = [entry.split(" | ", 1) for entry in entries]
    return [(key, words.replace("\\n", "\n  ")) for key, words in found]


# --- refused fields, in the words of servers ---------------------------------------------------------------

REFUSALS = table(r"""
temperature | Unsupported value: 'temperature' does not support 0 with this model. Only the default (1)
    value is supported.
temperature | invalid temperature: only 1 is allowed for this model
temperature | invalid temperature: only 0.6 is allowed for this model
temperature | `temperature` is deprecated for this model.
temperature | temperature is deprecated for this model.
top_p | `temperature` and `top_p` cannot both be specified for this model. Please use only one.
presence_penalty | Model grok-4-1-fast-reasoning does not support parameter presencePenalty.
reasoning_effort | Model grok-4-latest does not support parameter reasoningEffort.
stop | Argument not supported on this model: stop
presence_penalty | Argument not supported on this model: presencePenalty
stream_options | Unrecognized request argument supplied: stream_options
stream_options | Unrecognized request argument supplied: stream_options. Please contact us through an
    Azure support request at: https://go.microsoft.com/fwlink/?linkid=2213926 for further questions.
stream_options | Unknown parameter: 'stream_options'.
stream_options | Validation error at #/stream_options: Extra inputs are not permitted
stream_options | stream_options: Extra inputs are not permitted
stream_options | Bad request: json: unknown field "stream_options"
stream_options | Extra inputs are not permitted, field: 'stream_options', value: {'include_usage': True}
stream_options | [{'type': 'extra_forbidden', 'loc': ('body', 'stream_options'), 'msg': 'Extra inputs
    are not permitted', 'input': {'include_usage': True}}]
frequency_penalty | body -> frequency_penalty\n  Extra inputs are not permitted
    (type=extra_forbidden)\nbody -> presence_penalty\n  Extra inputs are not permitted
    (type=extra_forbidden)
reasoning_budget | Validation: Unsupported parameter(s): `reasoning_budget`
thinking | Validation: Unsupported parameter(s): thinking
frequency_penalty | Invalid JSON payload received. Unknown name "frequency_penalty": Cannot find
    field.\nInvalid JSON payload received. Unknown name "seed": Cannot find field.
reasoning | property 'reasoning' is unsupported
reasoning | Error from provider: {\"message\":\"property \\\"reasoning\\\" is unsupported\"}
stream_options | Unexpected keys in the request: {'stream_options'}
response_format | Unsupported fields in the request: {'response_format'}
thinking | Failed to deserialize the JSON body into the target type: thinking: unknown field `thinking`,
    expected one of `messages`, `model`, `reasoning_effort`, `stop` at line 1 column 212
seed | Additional properties are not allowed ('seed' was unexpected)
reasoning_effort | litellm.UnsupportedParamsError: openai does not support parameters:
    ['reasoning_effort'], for model=o4-mini. To drop these, set `litellm.drop_params=True`
reasoning_effort | `reasoning_effort` is not supported with this model
chat_template_kwargs | chat_template is not supported for Mistral tokenizers.
enable_thinking | parameter.enable_thinking is not supported by this model
reasoning | Unknown parameter: 'reasoning.effort'.
reasoning_effort | cannot specify both 'thinking' and 'reasoning_effort'
tool_choice | <400> InternalError.Algo.InvalidParameter: The tool_choice parameter does not support
    being set to required or object in thinking mode
parallel_tool_calls | Invalid value for 'parallel_tool_calls': 'parallel_tool_calls' is only allowed
    when 'tools' are specified.
user | Unsupported parameter: 'user'.
logprobs | This model does not support logprobs.
logprobs | You are not allowed to request logprobs from this model.
parallel_tool_calls | This model does not support parallel tool calls
parallel_tool_calls | create_chat_completion() got an unexpected keyword argument 'parallel_tool_calls'
stream_options | 1 validation error: Extra inputs are not permitted, loc: body.stream_options
seed | seed is not a valid parameter
temperature | temperature must be omitted
top_p | top_p must not be provided with this model
temperature | Please remove the temperature parameter
presence_penalty | 'presence_penalty' and 'frequency_penalty' are not supported with this model
""")


@pytest.mark.parametrize(("field", "words"), REFUSALS, ids=[words[:60] for _, words in REFUSALS])
def test_a_refused_field_is_found(field: str, words: str) -> None:
    assert refused(bad(words)) == field


@pytest.mark.parametrize(("field", "words"), REFUSALS, ids=[words[:60] for _, words in REFUSALS])
def test_a_field_that_was_not_sent_is_not_refused(field: str, words: str) -> None:
    flat = re.sub("[_ ]", "", words).lower()
    kept = [name for name in SENT if name.replace("_", "") not in flat]
    if "chat_template " in words:
        kept.remove("chat_template_kwargs")
    assert refused(bad(words), sent(*kept)) is None


def test_a_model_without_reasoning_refuses_the_field_that_asks_for_it() -> None:
    error = bad('"llama3.1:8b" does not support thinking')
    assert refused(error, sent("reasoning_effort")) == "reasoning_effort"
    by_template = dropped(field="chat_template_kwargs")
    assert refused_field(error, sent("stream_options", "chat_template_kwargs")) == by_template
    assert refused_field(bad("chat_template is not supported for Mistral tokenizers."), sent()) == by_template
    assert refused(error, sent("temperature")) is None


# --- no refusals -------------------------------------------------------------------------------------------

OTHERS = [*(words for _, words in table(r"""
- | max_tokens is too large: 999999. This model supports at most 16384 completion tokens, whereas you
    provided 999999.
- | 'max_tokens' or 'max_completion_tokens' is too large: 64000. This model's maximum is 8192.
- | Invalid max_tokens value, the valid range of max_tokens is [1, 8192]
- | Range of max_tokens should be [1, 8192]
- | max_tokens: 300000 > 64000, which is the maximum allowed number of output tokens
- | temperature must be in (0, 1]
- | top_p must be in (0, 1], got 0.0.
- | temperature: 3 is not supported; it must be between 0 and 2
- | Unsupported value: 'reasoning_effort' does not support 'none' with this model. Supported values are:
    'minimal', 'low', 'medium', and 'high'.
- | `reasoning_effort` must be one of `none` or `default`
- | think value "medium" is not supported for this model
- | Json mode response is not supported when enable_thinking is true
- | Invalid parameter: 'response_format' of type 'json_object' is not supported with this model.
- | 'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1' : property
    'reasoning_content' is unsupported)]
- | messages.2.assistant.reasoning: property 'messages.2.assistant.reasoning' is unsupported
- | [{'type': 'extra_forbidden', 'loc': ('body', 'messages', 0, 'reasoning'), 'msg': 'Extra inputs are
    not permitted'}]
- | thinking is enabled but reasoning_content is missing in assistant tool call message at index 2
- | Unknown name "seed" at 'tools[0].function_declarations[0]': Cannot find field.
- | unknown field `foo`, expected one of `messages`, `model`, `reasoning_effort`, `stop`
- | The user is not allowed to use this model.
- | Tools are not supported by this model
- | This model does not support image input
- | messages.0.content: unknown variant `image_url`, expected `text`
- | You exceeded your current quota, please check your plan and billing details.
- | Incorrect API key provided: sk-1234. You can find your key at https://example.test/account.
- | This model's maximum context length is 4096 tokens. Please reduce the length of the messages or max_tokens.
- | Your request was rejected as a result of our safety system.
- | Failed to call a function. Please adjust your prompt. See 'failed_generation' for more details.
- | Failed to generate JSON. Please adjust your prompt. See 'failed_generation' for more details.
- | Invalid schema for function 'clock': schema must be a JSON Schema of 'type: "object"'.
- | tools param requires --jinja flag
- | The server had an error while processing your request. Sorry about that!
- | Missing required parameter: 'messages'.
- | The model `temperature-1` does not exist
""")), ""]  # fmt: skip


@pytest.mark.parametrize("words", OTHERS, ids=[words[:60] or "no words" for words in OTHERS])
@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_an_error_about_something_else_refuses_no_field(words: str, limit: str) -> None:
    assert refused(bad(words), sent(*SENT, limit)) is None


WORDS = "Unsupported parameter: 'temperature'."


@pytest.mark.parametrize(
    ("kind", "status", "refuses"),
    [
        (BadRequestError, 400, True), (BadRequestError, 422, True), (BadRequestError, 413, True),
        (BadRequestError, None, True),  # inside a stream
        (NotFoundError, 404, True), (PermissionDeniedError, 403, True), (ServerError, 500, True),
        (ServerError, 501, True), (ServerError, 502, False), (ServerError, None, False),
        (OverloadedError, 503, False), (RateLimitError, 429, False), (QuotaError, 402, False),
        (AuthenticationError, 401, False), (ContextOverflowError, 400, False), (ContentPolicyError, 400, False),
        (ModelNotFoundError, 404, False),
    ],
)  # fmt: skip
def test_which_errors_may_refuse_a_field(kind: Any, status: int | None, refuses: bool) -> None:
    assert refused(kind("x", status=status, words=WORDS)) == ("temperature" if refuses else None)


# --- required values ---------------------------------------------------------------------------------------

EFFORT_NONE = dropped(field="reasoning_effort", value="none", beside="tools")
REQUIRED = [
    ("Function tools with reasoning_effort are not supported. Set reasoning_effort to 'none' to use function tools.",
     EFFORT_NONE),
    ("Function tools with reasoning_effort are not supported in /v1/chat/completions. Use /v1/responses instead.",
     EFFORT_NONE),
    ("reasoning_effort 'none' is required when tools are used", EFFORT_NONE),
    ("tools cannot be used with reasoning_effort other than 'none'", EFFORT_NONE),
    ("tools are only supported when reasoning_effort is 'none'", EFFORT_NONE),
    ("Function calling with tools requires reasoning_effort='none'", EFFORT_NONE),
    ("`parallel_tool_calls` must be set to `false` with these tools.",
     dropped(field="parallel_tool_calls", value=False, beside="tools")),
    ("parameter.enable_thinking must be set to false for non-streaming calls",
     dropped(field="enable_thinking", value=False, lasting=False)),
    ("temperature must be 1 for this model", dropped(field="temperature", value=1)),
    ("Please set reasoning_effort=low.", dropped(field="reasoning_effort", value="low")),
]  # fmt: skip


@pytest.mark.parametrize(("words", "workaround"), REQUIRED, ids=[each[0][:50] for each in REQUIRED])
def test_a_required_value_is_set(words: str, workaround: FieldDropped) -> None:
    assert refused_field(bad(words), sent()) == workaround
    assert refused_field(ServerError("x", status=500, words=words), sent()) == workaround


def test_a_required_value_of_a_field_that_was_not_sent_is_set_only_if_that_is_safe() -> None:
    assert refused_field(bad(REQUIRED[0][0]), sent("stop")) == EFFORT_NONE
    assert refused(bad("drop_params must be true"), sent("stop")) is None
    assert refused(bad("Set `model` to 'gpt-x'."), sent("stop")) is None


@pytest.mark.parametrize(
    "words",
    [
        "temperature must be 0 or 1", "temperature should be 0, 0.5 or 1", "seed must be 3 or more",
        "reasoning_effort must be 'low' or 'high'", "top_p must be 0-1", "temperature must be a number",
    ],
)  # fmt: skip
def test_several_acceptable_values_are_not_a_workaround(words: str) -> None:
    assert refused(bad(words)) is None


# --- streaming, roles, reasoning and calls of earlier turns ------------------------------------------------

CALLED = [
    *PLAIN,
    {"role": "assistant", "content": None, "tool_calls": []},
    {"role": "tool", "content": "1", "tool_call_id": "a"},
]
WITH_REASONING = [*CALLED, {"role": "assistant", "content": "x", "reasoning_content": "y"}]
WITH_DEVELOPER = [{"role": "developer", "content": "Be brief."}, *PLAIN]
NO_TOOLS = {"model": "m", "stream": True, "stop": 1}
SYSTEM = dropped(field="system", swapped_for="user")
ROLES = dropped(field="roles", swapped_for="one")

KINDS: dict[str, tuple[FieldDropped, dict[str, Any], dict[str, Any]]] = {
    # kind: the workaround, a body that needs it, and one that does not
    "unstreamed": (
        dropped(field="stream", swapped_for="unstreamed"), sent(), {**sent("stop"), "stream": False}
    ),
    "streamed": (
        dropped(field="stream", swapped_for="streamed"), {**sent(), "stream": False}, sent("stop")
    ),
    "wanted": (
        dropped(field="reasoning_send_back", swapped_for="reasoning_content"), sent(messages=CALLED), sent("stop")
    ),
    "unwanted": (
        dropped(field="reasoning_send_back", swapped_for="never"),
        sent(messages=WITH_REASONING),
        sent("stop", messages=CALLED),
    ),
    "system": (SYSTEM, sent(messages=WITH_SYSTEM), sent()),
    "developer": (
        dropped(field="system", swapped_for="system"), sent(messages=WITH_DEVELOPER), sent()
    ),
    "roles": (ROLES, sent(messages=[*WITH_SYSTEM, *PLAIN]), sent()),
    "calls": (
        dropped(field="calls", swapped_for="text"),
        {**NO_TOOLS, "messages": [*CALLED, *PLAIN]},
        sent(messages=CALLED),
    ),
}  # fmt: skip

SENTENCES = table(r"""
unstreamed | Your organization must be verified to stream this model. Please go to: https://example.test/settings and
    click on Verify Organization.
unstreamed | Unsupported value: 'stream' does not support true with this model. Only the default (false) value is
    supported.
unstreamed | The model does not support streaming: stream is not supported
unstreamed | This model does not support streaming.
unstreamed | Streaming is not supported for this deployment
unstreamed | Streaming is currently not available
unstreamed | `stream` must be set to false
unstreamed | streaming is disabled
unstreamed | stream=true is not supported
unstreamed | stream: true is not allowed
unstreamed | stream=true unsupported
unstreamed | Unsupported parameter: 'stream'
unstreamed | this endpoint cannot stream
streamed | This model only support stream mode, please enable the stream parameter to access the model.
streamed | Non-streaming requests are not supported
streamed | Requests with max_tokens > 4096 must have stream=true
streamed | stream must be true
streamed | This model does not support non-streaming output
wanted | The `reasoning_content` in the thinking mode must be passed back to the API.
wanted | thinking is enabled but reasoning_content is missing in assistant tool call message at index 2
wanted | Error from provider: Upstream request failed: [invalid_request_error] The reasoning_content in the thinking
    mode must be passed back to the API.
wanted | Missing `reasoning_content` field in the assistant message
wanted | reasoning_content is required for assistant messages
unwanted | 'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1' : property
    'reasoning_content' is unsupported)]
unwanted | [{'type': 'extra_forbidden', 'loc': ('body', 'messages', 1, 'reasoning_content'), 'msg': 'Extra inputs are
    not permitted'}]
unwanted | messages.1.assistant.reasoning_content: Extra inputs are not permitted
unwanted | The `reasoning_content` must not be in the input messages.
system | System role not supported
system | Unsupported value: 'messages[0].role' does not support 'system' with this model.
system | Developer instruction is not enabled for models/gemma-3-27b-it
system | Only user, assistant and tool roles are supported, got system
system | messages[0].role: unknown variant `system`, expected one of `user`, `assistant`
system | 'system' is not one of ['user', 'assistant'] - 'messages.0.role'
system | invalid parameter 'messages[0].role': invalid role 'system', must be one of: user, assistant
developer | messages[0].role: unknown variant `developer`, expected one of `system`, `user`, `assistant`
roles | Conversation roles must alternate user/assistant/user/assistant/...
roles | deepseek-reasoner does not support successive user or assistant messages (messages[1] and messages[2] in your
    input). You should interleave the user/assistant messages in the message sequence.
roles | After the (optional) system message(s), user or tool message(s) should alternate with assistant message(s).
calls | Requests which include tool_use or tool_result blocks must define tools.
calls | Requests which include `tool_use` or `tool_result` blocks must define `tools`.
calls | The toolConfig field must be defined when using toolUse and toolResult content blocks.
calls | litellm.UnsupportedParamsError: Bedrock doesn't support tool calling without `tools=` param specified.
calls | litellm.UnsupportedParamsError: Anthropic expects the `tools=` param to be passed in.
""")  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "words"), SENTENCES, ids=[f"{kind}: {words[:40]}" for kind, words in SENTENCES]
)
def test_a_sentence_leads_to_its_workaround_if_the_body_needs_it(kind: str, words: str) -> None:
    workaround, needs_it, does_not = KINDS[kind]
    for error in (bad(words), bad(words, status=422), ServerError("x", status=500, words=words)):
        assert refused_field(error, needs_it) == workaround
        assert refused_field(error, needs_it, before={workaround.field}) != workaround
        assert refused_field(error, does_not) is None


def test_roles_that_must_alternate_are_merged_first_and_then_lose_the_system_role() -> None:
    for words in (words for kind, words in SENTENCES if kind == "roles"):
        assert refused_field(bad(words), KINDS["roles"][1], before={"roles"}) == SYSTEM
        assert refused_field(bad(words), sent(messages=WITH_SYSTEM)) == SYSTEM


def test_a_param_of_stream_needs_a_code_for_a_refusal() -> None:
    assert refused(bad("No.", param="stream", code="unsupported_value")) == "stream"
    assert refused(bad("No.", param="stream", code="invalid_type")) is None
    assert refused(bad("Unknown parameter: 'stream_options'.")) == "stream_options"


# --- the choice of tools -----------------------------------------------------------------------------------

NAMED = {"type": "function", "function": {"name": "clock"}}


@pytest.mark.parametrize(
    ("words", "choice", "steps"),
    [
        ("Invalid tool_choice type: 'object'. Supported string values: none, auto, required", NAMED, ["text", None]),
        ("tool_choice: Input should be a valid string", NAMED, ["text", None]),
        ("tool_choice: Input should be 'none', 'auto' or 'any'", NAMED, ["any", None]),
        ("body.tool_choice: Input should be 'none', 'auto', 'any' or 'required'", NAMED, ["text", None]),
        ("tool_choice: Input should be 'none', 'auto' or 'any'", "required", ["any", None]),
        ("tool_choice: Input should be 'none', 'auto' or 'required'", "any", ["required", None]),
        ("tool_choice 'required' is not supported", "required", [None]),
        ("No endpoints found that support the provided 'tool_choice' value.", "required", [None]),
        ("Tool choice must be auto", "required", [None]),
        ("Thinking mode does not support this tool_choice", NAMED, [None]),
        ("The tool_choice parameter does not support being set to required or object in thinking mode", NAMED, [None]),
        ('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set', "auto", []),
        ("unknown field `foo`, expected one of `messages`, `tool_choice`", "required", []),
        ("Tools are not supported", NAMED, []),
    ],
)  # fmt: skip
def test_a_refused_choice_is_weakened_step_by_step(words: str, choice: Any, steps: list[str | None]) -> None:
    found = refused_choice(bad(words), {**sent(), "tool_choice": choice})
    assert [repair.swapped_for for repair in found] == steps
    assert refused_choice(bad(words), sent("stop")) == []


# --- param and code ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "more", "field"),
    [
        ("Not supported.", {"param": "logprobs"}, "logprobs"),
        ("Something is wrong.", {"param": "logprobs", "code": "unsupported_parameter"}, "logprobs"),
        ("Check temperature.", {"code": "unsupported_parameter"}, "temperature"),
        ("Check temperature or top_p.", {"code": "unsupported_parameter"}, None),
        ("Unknown parameter: 'reasoning'.", {"param": "messages[1].reasoning"}, None),
        ("Invalid value: it must be below 2.", {"param": "temperature", "code": "invalid_value"}, None),
    ],
)
def test_param_and_code_complete_the_words(words: str, more: dict[str, str], field: str | None) -> None:
    assert refused(bad(words, **more)) == field


# --- two names of one field --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"), [("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens")]
)
def test_a_token_limit_is_swapped_for_its_other_name_unless_that_was_sent_or_refused(
    one: str, other: str
) -> None:
    error = bad(f"Unsupported parameter: '{one}' is not supported with this model. Use '{other}' instead.")
    assert refused_field(error, sent(one)) == dropped(field=one, swapped_for=other)
    assert refused_field(error, sent(one), before={other}) == dropped(field=one)
    assert refused_field(bad(f"Unknown parameter: '{one}'."), sent(one, other)) == dropped(field=one)
    assert refused_field(error, sent(one), before={one}) is None


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
def test_a_refusal_in_combination_does_not_last(words: str, lasting: bool) -> None:
    assert refused_field(bad(words), sent()) == dropped(field="top_p", lasting=lasting)
    found = refused_field(bad("Streaming is not supported with tools"), sent())
    assert found == dropped(field="stream", swapped_for="unstreamed", lasting=False)


# --- from the wire -----------------------------------------------------------------------------------------


def extra(*loc: str | int) -> dict[str, Any]:
    return {"type": "extra_forbidden", "loc": list(loc), "msg": "Extra inputs are not permitted", "input": {}}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"error": {"message": "temperature: Not supported.", "param": "temperature"}}, "temperature"),
        ({"object": "error", "message": {"detail": [extra("body", "stream_options")]}}, "stream_options"),
        ({"detail": [extra("body", "stream_options", "include_usage")]}, "stream_options"),
        ({"detail": [extra("body", "messages", 0, "reasoning")]}, None),
        ({"detail": "Unexpected keys in the request: {'stream_options'}"}, "stream_options"),
        ({"code": "invalid argument", "error": "Argument not supported on this model: stop"}, "stop"),
        ([{"error": {"code": 400, "message": 'Unknown name "reasoning": Cannot find field.'}}], "reasoning"),
        ({"status": 422, "title": "No", "detail": "body -> seed\n  Extra inputs are not permitted"}, "seed"),
        ({"error": {"message": 'provider: {"error": {"message": "property \'seed\' is unsupported"}}'}}, "seed"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [400, 422])
def test_a_refusal_is_read_out_of_an_error_body(body: Any, field: str | None, status: int) -> None:
    assert refused(ErrorReader("p").from_response(status, json.dumps(body).encode())) == field


@pytest.mark.parametrize("piece", ["'", "'a', ", "a and ", "unknown parameter ", "top_p, ", " ", "(", "x"])
def test_no_words_take_long_to_read(piece: str) -> None:
    began = time.perf_counter()
    refused(bad((piece * 2000)[:2000]))
    assert time.perf_counter() - began < 30
