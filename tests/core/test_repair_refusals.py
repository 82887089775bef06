"""Which field an error refuses, in the words of real servers; and which errors refuse none."""

from __future__ import annotations

import json
import re
import time
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
from provider_core.request import Workaround
from provider_core.request._refusals import refused_choice, refused_field
from provider_core.stream import response_error

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
200 OpenAI user | Unsupported parameter: 'user'.
200 OpenAI logprobs | This model does not support logprobs.
200 OpenAI logprobs | You are not allowed to request logprobs from this model.
200 any parallel_tool_calls | This model does not support parallel tool calls
200 any parallel_tool_calls | create_chat_completion() got an unexpected keyword argument 'parallel_tool_calls'
195 any stream_options | 1 validation error: Extra inputs are not permitted, loc: body.stream_options
195 any seed | seed is not a valid parameter
192 any temperature | temperature must be omitted
192 any top_p | top_p must not be provided with this model
192 any temperature | Please remove the temperature parameter
200 OpenAI presence_penalty | 'presence_penalty' and 'frequency_penalty' are not supported with this model
""")


@pytest.mark.parametrize(("field", "words"), REFUSALS, ids=[words[:60] for _, words in REFUSALS])
def test_a_field_that_is_refused_is_named(field: str, words: str) -> None:
    assert refused(bad(words)) == field


@pytest.mark.parametrize(("field", "words"), REFUSALS, ids=[words[:60] for _, words in REFUSALS])
def test_what_was_not_sent_is_not_refused(field: str, words: str) -> None:
    flat = re.sub("[_ ]", "", words).lower()
    kept = [name for name in SENT if name.replace("_", "") not in flat]
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
195 any - | This model does not support image input
195 any - | messages.0.content: unknown variant `image_url`, expected `text`
195 any - | You exceeded your current quota, please check your plan and billing details.
195 any - | Incorrect API key provided: sk-1234. You can find your key at https://example.test/account.
195 any - | This model's maximum context length is 4096 tokens. Please reduce the length of the messages or max_tokens.
195 any - | Your request was rejected as a result of our safety system.
195 any - | Failed to call a function. Please adjust your prompt. See 'failed_generation' for more details.
195 any - | Failed to generate JSON. Please adjust your prompt. See 'failed_generation' for more details.
195 any - | Invalid schema for function 'clock': schema must be a JSON Schema of 'type: "object"'.
195 any - | tools param requires --jinja flag
195 any - | The server had an error while processing your request. Sorry about that!
195 any - | Missing required parameter: 'messages'.
195 any - | The model `temperature-1` does not exist
""")), ""]  # fmt: skip


@pytest.mark.parametrize("words", OTHERS, ids=[words[:60] or "no words" for words in OTHERS])
@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_an_error_about_something_else_refuses_no_field(words: str, limit: str) -> None:
    assert refused(bad(words), sent(*SENT, limit)) is None


WORDS = "Unsupported parameter: 'temperature'."


@pytest.mark.parametrize(
    ("kind", "status", "refuses"),
    [
        (BadRequestError, 400, True),
        (BadRequestError, 422, True),
        (BadRequestError, 413, True),
        (BadRequestError, None, True),  # inside a stream
        (NotFoundError, 404, True),
        (PermissionDeniedError, 403, True),
        (ServerError, 500, True),
        (ServerError, 501, True),
        (ServerError, 502, False),
        (ServerError, None, False),
        (OverloadedError, 503, False),
        (RateLimitError, 429, False),
        (QuotaError, 402, False),
        (AuthenticationError, 401, False),
        (ContextOverflowError, 400, False),
        (ContentPolicyError, 400, False),
        (ModelNotFoundError, 404, False),
    ],
)
def test_which_errors_may_refuse_a_field(kind: Any, status: int | None, refuses: bool) -> None:
    assert refused(kind("x", status=status, words=WORDS)) == ("temperature" if refuses else None)


# --- values that would do ----------------------------------------------------------------------------------

CURES = [
    (("Function tools with reasoning_effort are not supported for this model. Set reasoning_effort to 'none' to use "
     "function tools."), "reasoning_effort", "none", "tools"),
    (("Function tools with reasoning_effort are not supported for gpt-5.4 in /v1/chat/completions. Please use "
     "/v1/responses instead."), "reasoning_effort", "none", "tools"),
    ("parameter.enable_thinking must be set to false for non-streaming calls", "enable_thinking", False, ""),
    ("temperature must be 1 for this model", "temperature", 1, ""),
    ("`parallel_tool_calls` must be set to `false` with these tools.", "parallel_tool_calls", False, "tools"),
    ("Please set reasoning_effort=low.", "reasoning_effort", "low", ""),
    ("reasoning_effort 'none' is required when tools are used", "reasoning_effort", "none", "tools"),
    ("tools cannot be used with reasoning_effort other than 'none'", "reasoning_effort", "none", "tools"),
    ("tools are only supported when reasoning_effort is 'none'", "reasoning_effort", "none", "tools"),
    ("Function calling with tools requires reasoning_effort='none'", "reasoning_effort", "none", "tools"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "field", "value", "beside"), CURES, ids=[each[0][:50] for each in CURES])
@pytest.mark.parametrize("status", [400, 500])
def test_a_named_value_takes_the_place_of_what_was_sent(
    words: str, field: str, value: Any, beside: str, status: int
) -> None:
    error = bad(words) if status == 400 else ServerError("x", status=status, words=words)
    repair = refused_field(error, sent())
    assert repair is not None
    assert (repair.field, repair.value, repair.beside) == (field, value, beside)


def test_a_value_is_set_though_the_field_was_not_sent_but_only_where_that_is_known_to_be_safe() -> None:
    found = refused_field(bad(CURES[0][0]), sent("stop"))
    assert found == Workaround(field="reasoning_effort", value="none", beside="tools")
    assert refused(bad("drop_params must be true"), sent("stop")) is None
    assert refused(bad("Set `model` to 'gpt-x'."), sent("stop")) is None


@pytest.mark.parametrize(
    "words",
    [
        "temperature must be 0 or 1", "temperature should be 0, 0.5 or 1", "seed must be 3 or more",
        "reasoning_effort must be 'low' or 'high'", "top_p must be 0-1", "temperature must be a number",
    ],
)  # fmt: skip
def test_several_values_that_would_do_are_the_users_to_choose(words: str) -> None:
    assert refused(bad(words)) is None


# --- streams -----------------------------------------------------------------------------------------------

UNSTREAMED = [
    (
        "Your organization must be verified to stream this model. Please go to: https://example.test/settings and "
        "click on Verify Organization."
    ),
    "Unsupported value: 'stream' does not support true with this model. Only the default (false) value is supported.",
    "The model does not support streaming: stream is not supported",
    "This model does not support streaming.",
    "Streaming is not supported for this deployment",
    "Streaming is currently not available",
    "`stream` must be set to false",
    "streaming is disabled",
    "stream=true is not supported",
    "stream: true is not allowed",
    "stream=true unsupported",
    "Unsupported parameter: 'stream'",
    "this endpoint cannot stream",
]
STREAMED = [
    "This model only support stream mode, please enable the stream parameter to access the model.",
    "Non-streaming requests are not supported",
    "Requests with max_tokens > 4096 must have stream=true",
    "stream must be true",
    "This model does not support non-streaming output",
]


@pytest.mark.parametrize("words", UNSTREAMED)
def test_a_server_that_does_not_stream_is_asked_for_the_whole_answer(words: str) -> None:
    assert refused_field(bad(words), sent()) == Workaround(field="stream", swapped_for="unstreamed")
    assert refused(bad(words), {**sent("stop"), "stream": False}) is None


@pytest.mark.parametrize("words", STREAMED)
def test_a_server_that_only_streams_is_asked_for_a_stream(words: str) -> None:
    assert refused_field(bad(words), {**sent(), "stream": False}) == Workaround(
        field="stream", swapped_for="streamed"
    )
    assert refused(bad(words), sent("stop")) is None


def test_a_blamed_stream_needs_a_code_that_says_so() -> None:
    assert refused(bad("No.", param="stream", code="unsupported_value")) == "stream"
    assert refused(bad("No.", param="stream", code="invalid_type")) is None
    assert refused(bad("Unknown parameter: 'stream_options'.")) == "stream_options"


def test_streams_that_are_refused_beside_tools_are_tried_again_later() -> None:
    found = refused_field(bad("Streaming is not supported with tools"), sent())
    assert found == Workaround(field="stream", swapped_for="unstreamed", lasting=False)


# --- reasoning that goes back, or must not (91 to 99) --------------------------------------------------------

CALLED = [
    *PLAIN,
    {"role": "assistant", "content": None, "tool_calls": []},
    {"role": "tool", "content": "1", "tool_call_id": "a"},
]
WANTED = [
    "The `reasoning_content` in the thinking mode must be passed back to the API.",
    "thinking is enabled but reasoning_content is missing in assistant tool call message at index 2",
    (
        "Error from provider: Upstream request failed: [invalid_request_error] The reasoning_content in the thinking "
        "mode must be passed back to the API."
    ),
    "Missing `reasoning_content` field in the assistant message",
    "reasoning_content is required for assistant messages",
]
UNWANTED = [
    (
        "'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1' : property "
        "'reasoning_content' is unsupported)]"
    ),
    (
        "[{'type': 'extra_forbidden', 'loc': ('body', 'messages', 1, 'reasoning_content'), 'msg': 'Extra inputs are "
        "not permitted'}]"
    ),
    "messages.1.assistant.reasoning_content: Extra inputs are not permitted",
    "The `reasoning_content` must not be in the input messages.",
]


@pytest.mark.parametrize("words", WANTED)
def test_reasoning_that_is_missing_goes_along(words: str) -> None:
    wanted = Workaround(field="reasoning_send_back", swapped_for="reasoning_content")
    assert refused_field(bad(words), sent(messages=CALLED)) == wanted
    assert refused(bad(words), sent("stop")) is None, "there is no answer to send it with"


@pytest.mark.parametrize("words", UNWANTED)
def test_reasoning_that_is_refused_stays_here(words: str) -> None:
    with_it = [*CALLED, {"role": "assistant", "content": "x", "reasoning_content": "y"}]
    assert refused_field(bad(words), sent(messages=with_it)) == Workaround(
        field="reasoning_send_back", swapped_for="never"
    )
    assert refused(bad(words), sent("stop", messages=CALLED)) is None


# --- the choice of tools (121 to 123) ------------------------------------------------------------------------

NAMED = {"type": "function", "function": {"name": "clock"}}


@pytest.mark.parametrize(
    ("words", "choice", "steps"),
    [
        (
            "Invalid tool_choice type: 'object'. Supported string values: none, auto, required",
            NAMED,
            ["text", None],
        ),
        ("tool_choice: Input should be a valid string", NAMED, ["text", None]),
        ("tool_choice: Input should be 'none', 'auto' or 'any'", NAMED, ["any", None]),
        ("body.tool_choice: Input should be 'none', 'auto', 'any' or 'required'", NAMED, ["text", None]),
        ("tool_choice: Input should be 'none', 'auto' or 'any'", "required", ["any", None]),
        ("tool_choice: Input should be 'none', 'auto' or 'required'", "any", ["required", None]),
        ("tool_choice 'required' is not supported", "required", [None]),
        ("No endpoints found that support the provided 'tool_choice' value.", "required", [None]),
        ("Tool choice must be auto", "required", [None]),
        ("Thinking mode does not support this tool_choice", NAMED, [None]),
        (
            "The tool_choice parameter does not support being set to required or object in thinking mode",
            NAMED,
            [None],
        ),
        (
            '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
            "auto",
            [],
        ),
        ("unknown field `foo`, expected one of `messages`, `tool_choice`", "required", []),
        ("Tools are not supported", NAMED, []),
    ],
)
def test_a_refused_choice_is_weakened_step_by_step(words: str, choice: Any, steps: list[str | None]) -> None:
    found = refused_choice(bad(words), {**sent(), "tool_choice": choice})
    assert [repair.swapped_for for repair in found] == steps
    assert refused_choice(bad(words), sent("stop")) == []


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
    assert refused_field(error, sent(one)) == Workaround(field=one, swapped_for=other)


def test_a_limit_that_was_refused_under_both_names_is_left_out() -> None:
    error = bad("Unknown parameter: 'max_completion_tokens'.")
    assert refused_field(error, sent("max_completion_tokens"), before={"max_tokens"}) == Workaround(
        field="max_completion_tokens"
    )


def test_both_names_at_once_lose_the_one_that_is_refused() -> None:
    error = bad("Unknown parameter: 'max_tokens'.")
    assert refused_field(error, sent("max_tokens", "max_completion_tokens")) == Workaround(field="max_tokens")


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
    assert refused_field(bad(words), sent()) == Workaround(field="top_p", lasting=lasting)


# --- roles (196, 197) --------------------------------------------------------------------------------------

SYSTEM = Workaround(field="system", swapped_for="user")
ROLES = Workaround(field="roles", swapped_for="one")
NO_SYSTEM = [
    "System role not supported",
    "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
    "Developer instruction is not enabled for models/gemma-3-27b-it",
    "Only user, assistant and tool roles are supported, got system",
    "messages[0].role: unknown variant `system`, expected one of `user`, `assistant`",
    "'system' is not one of ['user', 'assistant'] - 'messages.0.role'",
    "invalid parameter 'messages[0].role': invalid role 'system', must be one of: user, assistant",
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


def test_a_refused_developer_role_becomes_system_and_then_the_users() -> None:
    error = bad(
        "messages[0].role: unknown variant `developer`, expected one of `system`, `user`, `assistant`"
    )
    body = sent(messages=[{"role": "developer", "content": "Be brief."}, *PLAIN])
    assert refused_field(error, body) == Workaround(field="system", swapped_for="system")


@pytest.mark.parametrize("words", ALTERNATE)
def test_roles_that_must_alternate_are_merged_first_and_then_lose_the_system_role(words: str) -> None:
    both = [*WITH_SYSTEM, *PLAIN]
    assert refused_field(bad(words), sent(messages=both)) == ROLES
    assert refused_field(bad(words), sent(messages=both), before={"roles"}) == SYSTEM
    assert refused_field(bad(words), sent(messages=WITH_SYSTEM)) == SYSTEM
    assert refused_field(bad(words), sent()) is None


CALLS = Workaround(field="calls", swapped_for="text")
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
    assert refused(response_error(status, json.dumps(body).encode(), provider="p")) == field


@pytest.mark.parametrize("piece", ["'", "'a', ", "a and ", "unknown parameter ", "top_p, ", " ", "(", "x"])
def test_words_of_any_shape_are_read_in_no_time(piece: str) -> None:
    began = time.perf_counter()
    refused(bad((piece * 2000)[:2000]))
    assert time.perf_counter() - began < 5
