"""Error bodies of any shape become one error: sections 8 to 10 and 16 of the list of what servers really send."""

# ruff: noqa: E501 - one line an error body

from __future__ import annotations

import json
from typing import Any

import pytest

from provider_core import errors
from provider_core.stream.failures import ErrorReader


def failed(status: int | None, value: Any, **headers: str) -> errors.ProviderError:
    """The error of a body, JSON unless it is bytes."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return ErrorReader("acme").from_response(
        status, data, {name.replace("_", "-"): text for name, text in headers.items()}
    )


def body(code: Any = None, type_: Any = None, message: str = "words", **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "code": code, "type": type_, **more}}


GOOGLE = [{"error": {"code": 429, "message": "No such thing.", "status": "RESOURCE_EXHAUSTED", "details": [
    {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaMetric": "x"}]},
    {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}]}}]  # fmt: skip
SHAPES: list[Any] = [
    {"error": {"message": "No such thing.", "type": "invalid_request_error", "param": None, "code": None}},
    {"error": {"message": "No such thing.", "code": 400}},
    {"error": "No such thing."}, {"code": "Bad argument", "error": "No such thing."},
    {"message": "No such thing.", "type": "x", "param": "y", "code": "z"},
    {"object": "error", "message": "No such thing.", "type": "x", "code": 40},
    {"object": "error", "message": {"detail": [{"type": "x", "loc": ["body"], "msg": "No such thing."}]}},
    {"detail": "No such thing."},
    {"detail": [{"loc": ["body"], "msg": "No such thing.", "type": "x"}]},
    {"detail": {"error": "No such thing."}}, {"detail": {"msg": "No such thing."}},
    {"detail": {"error": {"message": "No such thing."}}},
    {"type": "about:blank", "title": "No such thing.", "status": 400},
    GOOGLE,
    {"success": False, "errors": [{"code": 7003, "message": "No such thing."}], "messages": [], "result": None},
    {"base_resp": {"status_code": 2013, "status_msg": "No such thing."}},
    {"code": 20015, "message": "No such thing.", "data": None},
    {"code": 400, "msg": "No such thing."},
    {"error_code": 336001, "error_msg": "No such thing.", "id": "x"},
    {"errorCode": 1, "errorMessage": "No such thing."}, {"msg": "No such thing."},
    {"message": "No such thing."},
    {"type": "error", "error": {"type": "invalid_request_error", "message": "No such thing."}, "request_id": "r"},
    {"error": {"code": "1210", "message": "No such thing."}, "contentFilter": []},
    "No such thing.",
    {"error": {"message": json.dumps({"error": {"message": "No such thing.", "code": 400}})}},
    {"error": json.dumps([{"error": {"message": "No such thing."}}])},
    {"error": {"message": "No such thing.", "code": "x", "status_code": 400}},
    {"Error": {"Message": "x"}, "error": {"reason": "No such thing."}},
    {"errors": {"model": ["No such thing."]}}, {"errors": ["No such thing."]}, {"Message": "No such thing."},
    [{"message": "No such thing."}], b"No such thing.", b"  No such\n thing.\r\n",
    b'data: {"error":{"message":"No such thing."}}\n\ndata: [DONE]\n\n',
    b'event: error\ndata: {"message":"No such thing."}\n\n',
    b"\xef\xbb\xbf\n\n" + b'{"error":"No such thing."}',
    b"<html><head><TITLE>No such\n thing.</TITLE></head><body><h1>nginx</h1></body></html>",
    b"<h1>No such thing.</h1>",
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape)[:50])
def test_the_servers_words_are_found_in_every_shape(shape: Any) -> None:
    error = failed(400, shape)
    assert " ".join(error.words.split()) == "No such thing."
    assert error.message.removesuffix(" (parameter: y)") == "acme refused the request (400): No such thing."
    assert type(error) is errors.BadRequestError
    assert (error.provider, error.status) == ("acme", 400)


RAW = ('{"error":{"message":"prompt broke","type":"x"}}', "prompt broke", {"error": "prompt broke"})
FIELDS = [
    {"loc": ["body", "temperature"], "msg": "too hot", "type": "x"},
    {"loc": ["body", "n"], "msg": "too many"},
]
CONTROLS = "\x1b]0;title\x07\x1b[31mred\x1b[0m\u202e\x00 "


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"detail": FIELDS}, "temperature: too hot; n: too many"),
        ({"status": 404, "title": "Not Found", "detail": "Function 'abc': Not found for account 'x'"},
         "Not Found: Function 'abc': Not found for account 'x'"),
        ({"timestamp": 1, "status": 404, "error": "Not Found", "message": "No handler", "path": "/v1/x"},
         "Not Found: No handler"),
        *[(body(400, None, "Provider returned error", metadata={"raw": raw, "provider_name": "Acme"}),
           "Provider returned error: Acme: prompt broke") for raw in RAW],
        (body(message='litellm.BadRequestError: AcmeException - {"error": {"message": "no such tool", "code": 400}}'),
         "litellm.BadRequestError: AcmeException - no such tool"),
        *[(body(message=text), text) for text in
          ('Invalid value {"type": "x", "n": 1} for tool', "expected [1, 2] or {}", "[Errno 61] {x}")],
        ({"code": "InvalidParameter"}, "InvalidParameter"),
        ({"fault": {"faultstring": "no route"}}, '{"fault": {"faultstring": "no route"}}'),
        ({"fault": "x" * 900}, '{"fault": "' + "x" * 489),
        (body(message=CONTROLS + "x" * 10_000), "red " + "x" * 1995 + "…"),
    ],
    ids=lambda each: str(each)[:50],
)  # fmt: skip
def test_the_words_are_the_servers_own(value: Any, words: str) -> None:
    assert failed(400, value).words == words


@pytest.mark.parametrize(
    ("status", "value", "message"),
    [
        (401, body(message="Invalid API key"), "acme refused the key (401): Invalid API key"),
        (400, body(message="a\nb\r\n\tc"), "acme refused the request (400): a b c"),
        # A failure inside a stream has no status, but may name one.
        (None, body(429, message="slow down"), "acme rate limited the request (429): slow down"),
        *[(400, body(message="Bad call.", **more), f"acme refused the request (400): Bad call.{shown}")
          for more, shown in (
            ({"failed_generation": "<function=sum>{\n}"}, " (failed_generation: <function=sum>{ })"),
            ({"failed_generation": {"name": "sum"}}, ' (failed_generation: {"name": "sum"})'),
            ({"failed_generation": ""}, ""), ({"param": "seed"}, " (parameter: seed)"), ({"param": "call"}, ""),
            ({"details": "try a smaller one"}, " (try a smaller one)"),
            ({"details": ["one", {"message": "two"}]}, " (one) (two)"),
            ({"details": [{"fieldViolations": [{"field": "a", "description": "a is wrong"}]}]}, " (a is wrong)"),
            ({"hint": "use b"}, " (use b)"),
            ({"failed_generation": "x" * 9000}, f" (failed_generation: {'x' * 480}…)"))],
        *[(status, nothing, f"acme {verb} ({status}){phrase}")
          for status, verb, phrase in (
            (500, "reported an internal error", ": Internal Server Error"), (404, "has no API at this address", ": Not Found"),
            (529, "is overloaded or still loading", ""))
          for nothing in (b"", b" \n", b"{}", b"[]", b"null", b'{"error":{}}', b'{"error":{"message":""}}', b"<p>x</p>")],
    ],
    ids=lambda each: str(each)[:50],
)  # fmt: skip
def test_an_error_says_who_did_what_and_why(status: int | None, value: Any, message: str) -> None:
    error = failed(status, value)
    assert (error.status, error.message) == (status, message)


def test_an_error_without_a_provider_names_the_server() -> None:
    assert (
        ErrorReader(None).from_response(500, b"").message
        == "the server reported an internal error (500): Internal Server Error"
    )


def test_details_are_redacted_and_do_not_count_for_the_class() -> None:
    data = json.dumps(
        body(message="Bad call.", failed_generation="too many tokens sk-secret-123456")
    ).encode()
    error = ErrorReader("acme", ("sk-secret-123456",)).from_response(400, data)
    assert type(error) is errors.BadRequestError
    assert "sk-secret-123456" not in error.message


@pytest.mark.parametrize(
    ("value", "code", "type_"),
    [
        (body(1210, "invalid_request_error"), "1210", "invalid_request_error"),
        (body(400.0), "400", None), (body(), None, None), (GOOGLE, "429", "RESOURCE_EXHAUSTED"),
    ],
)  # fmt: skip
def test_code_and_type_are_the_servers_own(value: Any, code: str | None, type_: str | None) -> None:
    error = failed(429, value)
    assert (error.code, error.type) == (code, type_)


AZURE = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {"filtered": True}}}
UPSTREAM = {"raw": json.dumps(body("insufficient_quota", message="no money"))}
KINDS: dict[type[errors.ProviderError], list[tuple[int | None, Any]]] = {
    errors.BadRequestError: [
        (400, body()), (422, body()), (413, body()), (409, body()), (418, b""),
        (None, body(type_="invalid_request_error")),
    ],
    errors.AuthenticationError: [
        (401, body()), (401, b"<html><title>401 Authorization Required</title></html>"),
        (403, body("invalid_api_key")), (400, body("INVALID", details=[{"reason": "API_KEY_INVALID"}])),
        (400, body(message="Incorrect API key provided")),  # xAI
        (None, body(type_="authentication_error")), (200, body(401)),
    ],
    errors.QuotaError: [
        (429, body(429, metadata=UPSTREAM)), (401, body("insufficient_quota")), (402, body()), (429, body("1308")),
        (429, body("1309")), (429, body(1310)), (None, body("insufficient_quota")), (None, body(402)),
    ],
    errors.PermissionDeniedError: [
        (403, body()), (403, b""), (None, body(type_="permission_error")),
    ],
    errors.ContentPolicyError: [
        (400, body("content_filter", innererror=AZURE)), (400, body("y", innererror=AZURE)),
        (403, body(403, metadata={"reasons": ["violence"]})), (403, body(403, metadata={"flagged_input": "x"})),
        (451, body()), (400, body("1301")), (400, {"error": {"message": "x"}, "contentFilter": [{"level": 1}]}),
        (400, body("content_filter")),
    ],
    errors.ModelNotFoundError: [(404, body("model_not_found")), (None, body("model_not_found"))],
    errors.NotFoundError: [
        (404, body("not_found_error", message="File Not Found")),
        (404, body(message="Invalid URL (POST /v1/models/x)")), (404, b"404 page not found"),
        (404, b"the model is not here"), (404, b"<title>model airplanes</title>"), (404, b""),
        (405, b'{"detail":"Method Not Allowed"}'), (410, b""),
    ],
    errors.ServerError: [
        (408, body()), (424, body()), (500, body()), (500, body(type_="invalid_request_error")),
        (502, b"<title>502 Bad Gateway</title>"), (504, b""), (520, b""), (None, body(type_="api_error")),
        (None, body()),
    ],
    errors.OverloadedError: [
        (498, body()), (429, body(None, "engine_overloaded_error")),
        (503, body(503, "unavailable_error", "Loading model")), (529, body(type_="overloaded_error")),
        (None, body(type_="overloaded_error")), (None, body(metadata={"error_type": "provider_overloaded"})),
    ],
    errors.RateLimitError: [
        (429, body()), (429, body("rate_limit_exceeded", "tokens")), (429, body("1302")),
        (429, body(message="You exceeded your current quota")),  # Google: waiting helps
        (None, body(type_="rate_limit_error")),
    ],
    errors.ContextOverflowError: [
        (400, body(metadata={"error_type": "context_length_exceeded"})),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "value", "kind"), [(*row, kind) for kind, rows in KINDS.items() for row in rows]
)
def test_the_status_and_then_codes_decide_the_class(
    status: int | None, value: Any, kind: type[Exception]
) -> None:
    assert type(failed(status, value)) is kind


NO_MODEL = [  # the words of servers, with their codes and types
    (400, body("invalid_request_error", "invalid_request_error", "Model Not Exist")),  # DeepSeek
    (404, body("model_not_found", "invalid_request_error", "The model `m-9` does not exist or you do not have access to it.")),
    (404, body(404, "NotFoundError", "The model `m-9` does not exist.")),  # vLLM
    (400, body(None, "invalid_request_error", "invalid model ID")),
    (403, body("model_not_found", "invalid_request_error", "Project `p` does not have access to model `m-9`")),
    (400, body(400, None, "acme/m-9 is not a valid model ID")),  # OpenRouter
    (404, body(404, None, "No endpoints found for acme/m-9.")),
    (404, {"type": "error", "error": {"type": "not_found_error", "message": "model: m-9"}}),  # Anthropic
    (404, [{"error": {"code": 404, "message": "models/m-9 is not found for API version v1", "status": "NOT_FOUND"}}]),
    (400, {"object": "error", "message": "Invalid model: m-9", "type": "invalid_model", "code": "1500"}),  # Mistral
    (400, body("model_decommissioned", None, "The model `m-9` has been decommissioned")),  # Groq
    (403, body("model_permission_blocked_org", "permissions_error", "The model `m-9` is blocked for the organization.")),
    (404, body("model_not_available", "invalid_request_error", "Unable to access model m-9. Please visit the list.")),
    (404, body("NOT_FOUND", "invalid_request_error", "Model not found, inaccessible, and/or not deployed")),  # Fireworks
    (404, {"code": "Some requested entity was not found", "error": "The model m-9 does not exist or your team 1-2 does not have access to it."}),
    (404, body(None, "resource_not_found_error", "Not found the model m-9 or Permission denied")),  # Kimi
    (400, body("1211", None, "Unknown Model, please check the model code.")),  # Z.ai
    (400, body(None, None, "\u6a21\u578b\u4e0d\u5b58\u5728\uff0c\u8bf7\u68c0\u67e5\u6a21\u578b\u4ee3\u7801\u3002")),
    (400, body("InvalidParameter", None, "Model not exist.")),  # DashScope
    (403, body("Model.AccessDenied", None, "Access to model denied. Please make sure you are eligible for using the model.")),
    (404, body("ModelNotOpen", None, "Your account 1 has not activated the model m-9.")),  # Volcengine
    (400, {"type": "error", "error": {"type": "bad_request_error", "message": "invalid params, unknown model 'm-9' (2013)"}}),
    (None, {"base_resp": {"status_code": 2013, "status_msg": "invalid params, unknown model 'm-9'"}}),  # MiniMax
    (404, body(None, "api_error", "model 'm-9' not found")),  # Ollama
    (404, body("model_not_found", "invalid_request_error", "Invalid model identifier \"m-9\". Please specify a valid downloaded model")),
    (400, {"error": "No models loaded. Please load a model in the developer page."}),  # LM Studio
    (400, body("400", None, "/chat/completions: Invalid model name passed in model=m-9. Call `/v1/models` to view available models for your key.")),
    (401, body("401", "key_model_access_denied", "key not allowed to access model. This key can only access models=['a']. Tried to access m-9")),
    (403, body(403, None, "team not allowed to access model. This team can only access models=['a']")),  # LiteLLM
    (400, body("unknown_model", None, "Unknown model: m-9")),  # GitHub
    (403, body("no_access", None, "No access to model: m-9")),
    (400, body("unavailable_model", None, "Unavailable model: m-9")),
    (404, body("DeploymentNotFound", None, "The API deployment for this resource does not exist.")),  # Azure
    (400, body("model_not_supported", "invalid_request_error", "The requested model 'm-9' is not supported by any provider you have enabled.")),
    (400, body(None, "invalid_request_error", "The provided model identifier is invalid.")),  # Bedrock
    (404, {"id": "1", "message": "model 'm-9' not found, make sure the correct model ID was used"}),  # Cohere
    (404, {"detail": {"error": "The model `m-9` does not exist"}}),
    (404, {"code": 404, "reason": "MODEL_NOT_FOUND", "message": "model: m-9 not found", "metadata": {}}),  # Novita
    (400, body(400, "invalid_model", "Invalid model 'm-9'. Permitted models can be found in the documentation")),  # Perplexity
    (503, body("model_not_found", "new_api_error", "No available channel for model m-9 under group default")),
    (503, body(None, "one_api_error", "\u5f53\u524d\u5206\u7ec4 default \u4e0b\u5bf9\u4e8e\u6a21\u578b m-9 \u65e0\u53ef\u7528\u6e20\u9053")),
    (400, {"success": False, "errors": [{"code": 5007, "message": "No such model @cf/m-9 or task"}]}),  # Cloudflare
    (400, body("invalid_request_body", "invalid_request_error", "The requested model is invalid or no longer supported.")),
    (400, body(None, "request_params_invalid", "model m-9 not exist")),  # StepFun
    (400, body("model_not_supported", "invalid_request_error", "The requested model is not supported.")),  # Copilot
    (422, {"detail": "Model m-9 is not available"}),
    (500, {"error": "model \"m-9\" not found"}),
    (410, body(None, None, "The model m-9 was retired")),
    (400, b"unknown model m-9"),
    (200, {"error": {"message": "The model m-9 doesn't exist."}}),
]  # fmt: skip


@pytest.mark.parametrize(("status", "value"), NO_MODEL, ids=str)
def test_an_unknown_model_is_recognized_whatever_the_server_says(status: int | None, value: Any) -> None:
    assert type(failed(status, value)) is errors.ModelNotFoundError


@pytest.mark.parametrize(
    ("status", "value"),
    [
        (404, body(None, "invalid_request_error", "This is not a chat model and thus not supported in the v1/chat/completions endpoint. Did you mean to use v1/completions?", param="model")),
        (404, body(None, "invalid_request_error", "This model is only supported in v1/responses and not in v1/chat/completions.", param="model")),
        (400, body("OperationNotSupported", None, "The chatCompletion operation does not work with the specified model, embed-3. Please choose different model.")),
        (400, body(None, "invalid_request_error", "The model `whisper-9` does not support chat completions")),  # Groq
        (400, {"error": "\"minilm\" does not support chat"}),  # Ollama
        (400, body("model_not_supported", "invalid_request_error", "The requested model 'm-9' is not a chat model.")),
        (400, body("unsupported_api_for_model", "", "model \"m-9\" is not accessible via the /chat/completions endpoint")),
        (400, body(400, "BadRequestError", "The model does not support Chat Completions API")),  # vLLM
        (400, body(None, None, "m-9 is an embedding model; use /v1/embeddings")),
        (400, body(None, None, "acme/embed:free is an embedding model and cannot be used with the chat/completions endpoint. Use the /embeddings endpoint instead.")),
        (501, body(501, "not_supported_error", "This server does not support chat completions. Start it without `--embeddings`")),
        (400, body("invalid_value", "invalid_request_error", "This model requires that either input content or output modality contain audio.", param="model")),
        (404, body("unsupported_model", None, "Unsupported model `m-9` for OpenAI compatibility mode, it is not a chat model")),
        (400, body(None, None, "model 'embed-9' is not supported by the chat API")),
        (404, body(None, None, "The model `m-9` is only available via the Realtime API.")),
    ],
    ids=str,
)  # fmt: skip
def test_a_model_of_another_endpoint_is_recognized(status: int, value: Any) -> None:
    error = failed(status, value)
    assert type(error) is errors.WrongEndpointError
    assert error.message.startswith("acme does not offer this model for chat")


@pytest.mark.parametrize(
    ("status", "value"),
    [
        (400, body("400", "budget_exceeded", "Budget has been exceeded! Current cost: 10.02, Max budget: 10.0")),
        (401, body(401, "auth_error", "Authentication Error, ExceededTokenBudget: Current spend for token: 7e-05; Max Budget: 2e-07")),
        (429, body("429", "budget_exceeded", "ExceededBudget: User=u over budget. Spend=2, Budget=1")),
        (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low to access the API."}}),
        (402, body("invalid_request_error", "unknown_error", "Insufficient Balance")),  # DeepSeek
        (402, body(402, None, "This request requires more credits, or fewer max_tokens.")),
        (403, body(403, None, "Key limit exceeded (total limit). Manage it in the settings")),  # OpenRouter
        (403, {"code": 30001, "message": "Sorry, your account balance is insufficient", "data": None}),  # SiliconFlow
        (429, {"code": "Some resource has been exhausted", "error": "Your team 1 has either used all available credits or reached its monthly spending limit."}),
        (429, body("billing_not_active", "billing_not_active", "Your account is not active, please check your billing details.")),
        (429, body("insufficient_quota", "insufficient_quota", "You exceeded your current quota, please check your plan")),
        (429, body(None, "exceeded_current_quota_error", "Your account is suspended, please check your plan")),  # Kimi
        (429, body("1113", None, "Insufficient balance or no resource package. Please recharge.")),  # Z.ai
        (400, body("billing_hard_limit_reached", None, "Billing hard limit has been reached")),
        (400, body("Arrearage", None, "Access denied, please make sure your account is in good standing.")),  # DashScope
        (403, body("AllocationQuota.FreeTierOnly", None, "The free tier of the model has been exhausted.")),
        (403, body("AccountOverdueError", "Forbidden", "The request failed because your account has an overdue balance.")),
        (403, body("insufficient_user_quota", "new_api_error", "\u7528\u6237\u989d\u5ea6\u4e0d\u8db3")),
        (403, body("pre_consume_token_quota_failed", "new_api_error", "token quota is not enough")),
        (412, body(None, None, "Account a is suspended, possibly due to reaching the monthly spending limit")),  # Fireworks
        (400, body("blocked_api_access", None, "API access blocked because specified spend alert threshold has been reached")),
        (200, {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}),  # MiniMax
        (400, body(None, None, "\u8d26\u6237\u4f59\u989d\u4e0d\u8db3")),
        (402, b""),
    ],
    ids=str,
)  # fmt: skip
def test_an_empty_account_is_recognized_whatever_the_status(status: int, value: Any) -> None:
    assert type(failed(status, value)) is errors.QuotaError


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        (400, "Function tools with reasoning_effort are not supported for m-9 in /v1/chat/completions. To use function tools, use /v1/responses.", errors.BadRequestError),
        (400, "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", errors.BadRequestError),
        (400, "registry/library/m-9 does not support tools", errors.BadRequestError),
        (400, "This model does not support image input", errors.BadRequestError),
        (404, "Streaming is not supported for this model", errors.BadRequestError),
        (404, "Function calling is not available for this model", errors.BadRequestError),
        (400, "Your organization must be verified to stream this model.", errors.BadRequestError),
        (400, "Model m-9 is not supported with response_format json_schema", errors.BadRequestError),
        (400, "Invalid model parameter: temperature", errors.BadRequestError),
        (422, "model: Field required", errors.BadRequestError),
        (400, "The model produced invalid content", errors.BadRequestError),
        (400, "stream_options is not supported by this model", errors.BadRequestError),
        (503, "The model is not available right now, it is being loaded", errors.OverloadedError),
        (503, "Loading model", errors.OverloadedError),
        (429, "No deployments available for selected model, Try again in 5 seconds.", errors.RateLimitError),
        (None, "The model is overloaded, try again", errors.ServerError),
        (500, "The model has crashed", errors.ServerError),
    ],
)  # fmt: skip
def test_a_refused_feature_or_a_busy_model_is_not_an_unknown_model(
    status: int | None, words: str, kind: type[Exception]
) -> None:
    assert type(failed(status, body(message=words))) is kind


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ({"error": "unauthorized", "signin_url": "https://cloud.test/connect?name=host"}, "https://cloud.test/connect?name=host"),
        ({"error": {"message": "m", "login_url": "https://h.test/login"}}, "https://h.test/login"),
        ({"message": "m", "verification_uri_complete": "https://h.test/d?code=AB-CD"}, "https://h.test/d?code=AB-CD"),
        ({"error": "m", "signin_url": "https://user:pass@h.test/"}, ""),
        ({"error": "m", "signin_url": "javascript:alert(1)"}, ""),
        ({"error": "m", "signin_url": "https://h.test/\x1b[31m"}, ""),
        ({"error": "m", "url": "https://h.test/"}, ""),
        ("m", ""),
    ],
)  # fmt: skip
def test_the_address_to_sign_in_at_is_read_from_a_401(value: Any, address: str) -> None:
    error = failed(401, value)
    assert isinstance(error, errors.AuthenticationError)
    assert error.sign_in == address


@pytest.mark.parametrize(
    "words",
    [
        "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens",
        "the request exceeds the available context size (4096 tokens), try increasing it",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "prompt too long; exceeded max context length by 1119046 tokens",
        "Input is too long for requested model.", "Range of input length should be [1, 30720]",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "Request too large for model: reduce the length", "max_tokens must be at least 1, got -55",
        "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. Given: 5000 `inputs` tokens",
        "Input too long: 9000 tokens, the limit is 8192",
        "Prompt contains 9000 tokens; current length is 9000 while limit is 8192",
        "too many tokens: size limit exceeded by 5 tokens",
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [400, 403, 413, 422, 500, None])
def test_a_prompt_that_is_too_long_is_recognized_by_its_words(status: int | None, words: str) -> None:
    assert type(failed(status, body(message=words))) is errors.ContextOverflowError
    if status is not None:
        assert type(failed(status, words.encode())) is errors.ContextOverflowError


@pytest.mark.parametrize(
    "code",
    ["context_length_exceeded", "exceed_context_size_error", "tokens_limit_reached", "model_context_window_exceeded",
     "too_many_prompt_tokens", "1261"],
)  # fmt: skip
def test_a_prompt_that_is_too_long_is_recognized_by_its_code(code: str) -> None:
    assert type(failed(400, body(code))) is errors.ContextOverflowError
    assert type(failed(400, body(None, code))) is errors.ContextOverflowError


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        (400, "'max_tokens' or 'max_completion_tokens' is too large: 99999. This model's maximum context length is 4096",
         errors.BadRequestError),
        (413, "Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 8000",
         errors.BadRequestError),
        (429, "Request too large for gpt-4 on tokens per min (TPM): Limit 10000. Please reduce the length",
         errors.RateLimitError),
        (401, "context window", errors.AuthenticationError),
        (404, "No model with this context window", errors.ModelNotFoundError),
    ],
)  # fmt: skip
def test_other_limits_are_not_a_prompt_that_is_too_long(
    status: int, words: str, kind: type[Exception]
) -> None:
    assert type(failed(status, body(message=words))) is kind


def test_a_redirect_names_its_address_without_the_query() -> None:
    error = failed(301, b"", location="https://api.acme.example/v1/chat/completions?token=secret")
    assert type(error) is errors.NotFoundError
    assert error.words == "redirected to https://api.acme.example/v1/chat/completions"


@pytest.mark.parametrize(
    ("headers", "words", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "9"}, "", 1.5),
        ({"retry-after": "20"}, "", 20.0), ({"retry-after": "0.25"}, "", 0.25),
        ({"retry-after": "0"}, "", 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, "", 30.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT"}, "", 0.0),
        ({"retry-after": "-5"}, "", None), ({"retry-after": "nan"}, "", None), ({"retry-after": "inf"}, "", None),
        ({"retry-after": "1000000000"}, "", 1e9),
        ({"retry-after": "soon"}, "", None),
        ({"retry-after-ms": "x", "retry-after": "3"}, "", 3.0),
        ({}, "Please try again in 7.66s.", 7.66), ({}, "Please try again in 6m0s. Visit us", 360.0),
        ({}, "try again in 2m59.56s", 179.56), ({}, "Try again in 230ms", 0.23),
        ({}, "please try again after 3 seconds", 3.0), ({}, "Please retry after 20 seconds.", 20.0),
        ({}, "retry in 1h2m3s", 3723.0), ({}, "try again in 5 minutes", 300.0),
        ({}, "try again in a moment", None), ({}, "try again in 3 models", None), ({}, "", None),
    ],
)  # fmt: skip
def test_the_wait_a_server_asks_for_is_read(
    headers: dict[str, str], words: str, seconds: float | None
) -> None:
    error = ErrorReader("acme").from_response(
        429, json.dumps({"error": {"message": words}}).encode(), headers
    )
    assert error.retry_after == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"retry_after": 3}, 3.0), ({"retry_after_ms": 250}, 0.25),
        ({"metadata": {"headers": {"Retry-After": "7"}}}, 7.0),
        ({"details": [{"retryDelay": "0.5s"}]}, 0.5), (GOOGLE[0]["error"], 17.0),
        ({"details": [{"retryDelay": {}}]}, None), ({"retry_after": True}, None),
        ({"retry_after": 10**400}, None),
    ],
)  # fmt: skip
def test_the_wait_may_be_in_the_body(fields: dict[str, Any], seconds: float | None) -> None:
    assert failed(429, body(**fields)).retry_after == seconds
