"""Turns an error response, or an error inside a stream, into one error of the tree.

The class follows from the HTTP status, the codes and types, and the words. A code that names the cause takes
precedence over the status. Words count only for causes that many servers report in no other way: a prompt that is
too long, an unknown model, a model of another endpoint, and an empty account.
"""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeAlias

from provider_core import errors, limits
from provider_core.redaction import clean, one_line
from provider_core.stream.error_body import ErrorPayload, page_title
from provider_core.stream.extras import decode_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider_core.types import Json

ErrorClass: TypeAlias = type[errors.ProviderError]

# All patterns below are compiled when they are first used, not at every start.

_NO_HEADERS: Mapping[str, str] = {}
_DETAIL = 500
"""Characters of a detail that are shown after the server's words."""
_KEEPALIVES = (
    r"^(:.*|(data|id|retry):[ \t]*(\[DONE\]|ping|\d*|\{[ \t]*\"(type|event|object)\":[ \t]*"
    r"\"(ping|heartbeat|keep[-_]?alive)\"[^{}]*\})?|event:.*)\r?$"
)
"""Lines of an event stream that only keep the connection open."""

_SAYS: Mapping[ErrorClass, str] = {
    errors.AuthenticationError: "refused the key",
    errors.PermissionDeniedError: "denied permission",
    errors.RateLimitError: "rate limited the request",
    errors.QuotaError: "has no credit or quota left for this key",
    errors.ContextOverflowError: "says that the prompt exceeds the context window",
    errors.ContentPolicyError: "refused the content",
    errors.BadRequestError: "refused the request",
    errors.WrongEndpointError: "does not offer this model for chat",
    errors.ModelNotFoundError: "does not serve this model",
    errors.NotFoundError: "has no API at this address",
    errors.OverloadedError: "is overloaded or still loading",
    errors.ServerError: "reported an internal error",
}
_SIGN_IN = (
    "(?:sign_?in|log_?in|auth(?:orization|orize)?|verification)_?(?:complete_?)?(?:url|uri)(?:_complete)?"
)
_WEB = r"https?://[^\s/@\\\x00-\x20\x7f-\x9f]+(?:/[!-~]*)?"
"""An address without credentials, in printable ASCII."""


class ErrorReader:
    """Reads the errors of one provider. ``secrets`` are redacted wherever the server echoes them."""

    def __init__(self, provider: str | None, secrets: tuple[str, ...] = ()) -> None:
        self.provider = provider
        self.secrets = secrets
        self.server: str = provider or "the server"
        """The subject of an error message."""

    def from_response(
        self, status: int | None, body: bytes, headers: Mapping[str, str] = _NO_HEADERS
    ) -> errors.ProviderError:
        """Return the error for an HTTP error response with any body. The names of ``headers`` are in lower case."""
        text = _decoded(body[: limits.ERROR_BODY])
        if text.startswith("<"):
            text = page_title(text[: 1 << 16])
        else:
            # An error may come as an event stream in spite of its status.
            fields = (line.strip().partition(":") for line in text.split("\n"))
            for candidate in (text, *(data.strip() for name, _, data in fields if name == "data")):
                if candidate[:1] in ("{", "[", '"') or candidate == "null":
                    with suppress(ValueError, RecursionError):
                        value, end = decode_json(candidate)
                        if not candidate[end:].strip():
                            return self.from_json(status, value, headers)
        said = ErrorPayload()
        said.words = text
        return self._error(status, said, None, headers)

    def from_json(
        self, status: int | None, value: Json, headers: Mapping[str, str] = _NO_HEADERS
    ) -> errors.ProviderError:
        """Return the error for a parsed body, or for a frame inside a stream (``status`` None)."""
        said = ErrorPayload(value)
        said.words = said.words or _excerpt(value)
        return self._error(status, said, value, headers)

    def no_completion(
        self, status: int, content_type: str, head: bytes, *, streamed: bool
    ) -> errors.ProtocolError:
        """Return the error for a successful response that is not an answer; ``head`` is the beginning of its body.

        Its code is "empty_body", or "empty_stream" if a stream was requested and nothing but keep-alives came.
        """
        text = _decoded(head)
        is_page = text.startswith("<")
        words = clean(page_title(text) if is_page else text, self.secrets, 200)
        kind = clean(content_type.partition(";")[0], self.secrets, 100) or "no content type"
        code, what, shown = None, "something other than", words
        if is_page:
            what = "a web page instead of"
        elif not words or not re.sub(_KEEPALIVES, "", text, flags=re.MULTILINE).strip():
            code = "empty_stream" if streamed else "empty_body"
            what, shown = f"an empty {'stream' if words else 'body'} instead of", ""
        message = f"{self.server} sent {what} a chat completion ({status}, {kind})"
        if shown:
            message += f": {one_line(shown)}"
        return errors.ProtocolError(message, provider=self.provider, status=status, code=code, words=words)

    def _error(
        self, status: int | None, said: ErrorPayload, value: Json, headers: Mapping[str, str]
    ) -> errors.ProviderError:
        words = clean(said.words, self.secrets)
        outcome = status if status is None or status >= 300 else None
        number = outcome if outcome is not None else said.status
        kind = _error_class(number, said, words, json_body=isinstance(value, dict | list))
        location = headers.get("location", "") if outcome is not None and 300 <= outcome < 400 else ""
        if location:
            words = clean(f"redirected to {location.partition('?')[0]}", self.secrets)
        spoken = words or next((known.phrase for known in HTTPStatus if known == outcome), "")
        shown = f" ({number})" if number is not None else ""
        message = f"{self.server} {_SAYS[kind]}{shown}" + (f": {one_line(spoken)}" if spoken else "")
        if said.param and kind is errors.BadRequestError and said.param not in words:
            said.details.insert(0, f"parameter: {said.param}")
        for detail in dict.fromkeys(one_line(clean(each, self.secrets, _DETAIL)) for each in said.details):
            if detail and detail not in message:
                message += f" ({detail})"
        code, type_, param = (
            clean(each, self.secrets, 200) if each else None for each in (said.code, said.type, said.param)
        )
        error = kind(
            message,
            provider=self.provider,
            status=outcome,
            code=code,
            type=type_,
            param=param,
            words=words,
            retry_after=_retry_after(headers, words, value),
        )
        if isinstance(error, errors.AuthenticationError):
            error.sign_in = _sign_in(value, self.secrets)
        return error


def _sign_in(value: Json, secrets: tuple[str, ...], depth: int = 3) -> str:
    """Return the web address at which a 401 asks to sign in, or "": Ollama's ``signin_url`` and its kin."""
    if not isinstance(value, dict) or not depth:
        return ""
    for key, item in value.items():
        if isinstance(item, str) and re.fullmatch(_SIGN_IN, key, re.IGNORECASE) and re.fullmatch(_WEB, item):
            return clean(item, secrets, 300)
    return next((found for item in value.values() if (found := _sign_in(item, secrets, depth - 1))), "")


def _decoded(body: bytes) -> str:
    return body.decode("utf-8", "replace").strip().lstrip("\ufeff").strip()


def _excerpt(value: Json) -> str:
    """Return JSON with unknown keys as it is, if it contains any text."""
    try:
        text = json.dumps(value, ensure_ascii=False)[:500]
    except (ValueError, RecursionError):
        return ""
    return text if re.search(r': "[^"]', text) else ""


# --- the class of an error -----------------------------------------------------------------------------------

_STATUS: Mapping[int, ErrorClass] = {
    401: errors.AuthenticationError, 402: errors.QuotaError, 403: errors.PermissionDeniedError,
    **dict.fromkeys((404, 405, 410), errors.NotFoundError), 429: errors.RateLimitError, 451: errors.ContentPolicyError,
    **dict.fromkeys((408, 424), errors.ServerError),  # 408 is the time limit of the upstream server
    **dict.fromkeys((498, 503, 529), errors.OverloadedError),  # 498 is Groq's, for lack of flex capacity
}  # fmt: skip
_VENDOR: Mapping[str, ErrorClass] = {  # https://platform.minimax.io/docs/api-reference/errorcode
    **dict.fromkeys(("1002", "1039"), errors.RateLimitError), "1008": errors.QuotaError,
    **dict.fromkeys(("1004", "2049"), errors.AuthenticationError), "2013": errors.BadRequestError,
    **dict.fromkeys(("1026", "1027"), errors.ContentPolicyError),
}  # fmt: skip

# Codes and types, lower-case. Numbers are Zhipu's (https://docs.z.ai/api-reference/api-code) and SiliconFlow's 20012.
_OVERFLOW = (
    "context_(length|size|window)|tokens_limit_reached|string_too_long|too_many_prompt_tokens|tokens_too_long"
    "|^1261$"
)
_POLICY = (
    "content_?filter|content_?policy|content_?moderation|moderation_blocked|responsibleaipolicy|data_?inspection"
    "|sensitive_?c|risk_?detection|^refusal$|^1301$"
)
_QUOTA = (
    "insufficient_?(quota|balance|credit|user_quota|funds)|exceeded_current_quota|billing_(error|not_active|hard_limit)"
    "|arrearage|overdue|balance_not_enough|payment_required|freetieronly|budget_?exceeded|exceeded_?budget|quota_failed"
    "|spending[-_]limit|credit_?limit|^(1113|1308|1309|1310|30001|30011)$"
)
_MODEL = (
    "model_?not_?(found|exist|available|supported|open)|model_decommissioned|model_?access_?denied"
    "|(unknown|unavailable|unsupported|invalid)_?model|model_permission_blocked|^no_access$|^model\\.accessdenied$"
    "|deploymentnotfound|invalidendpointormodel|^(1211|20012)$"
)
_ENDPOINT = "^unsupported_api_for_model$|^operationnotsupported$"
_KEY = "api_?key|authentication|unauthenticated|^unauthorized$|^auth_error$|^no_db_connection$"
_BUSY = "overloaded|unavailable"
_OTHERS = (  # used only without a status
    (_KEY, errors.AuthenticationError),
    (_BUSY, errors.OverloadedError),
    ("rate_?limit|too_many_requests|resource_exhausted|throttling|^130[235]$", errors.RateLimitError),
    ("permission|access_?denied|forbidden", errors.PermissionDeniedError),
    ("invalid_?(request|argument|prompt|parameter)|bad_?request|unprocessable", errors.BadRequestError),
)  # fmt: skip

_TOO_LONG = (
    r"max(?:imum)? context length|context[_ ]length[_ ]exceeded|context window"
    r"|exceeds? the (?:available |maximum )?context|prompt (?:is )?too long|input is too long|too many tokens"
    r"|exceed_context_size_error|requested tokens"
    r"|range of input length should be|input token count .{0,80}exceeds the maximum|tokens_limit_reached"
    r"|request too large|reduce the length|string too long|current length is .{0,80}while limit is"
    r"|input too long: .{0,80}limit is|max_tokens must be at least 1, got -"
    r"|longer than the model's context length|available context size"
    r"|inputs`? tokens \+ `?max_new_tokens`? must be"  # Text Generation Inference, and Together with 403
)
_TOO_MUCH = r"max_(?:completion_)?tokens[\"'`]? is too large|tokens per (?:min|day)|\bTP[MD]\b"
_NAMES_MODEL = r"(?<![/\w])(?:models?|deployment|function '|endpoints found)"

_NAMES_FEATURE = (
    r"\b(?:stream(?:ing|ed)?|tools?|function calling|parameters?|reasoning_effort|response_format|images?)\b.{0,60}"
    r"\bnot\b.{0,20}\b(?:support|allow|accept|available)"
)
"""A feature that a model lacks, in words that may also name the model."""

_ID = r"(?:[`'\"\u201c(\[]*[^\s`'\"\u201d)\]]+[`'\"\u201d)\]]*,?\s+)"
"""A model's id inside a sentence, and the space after it."""
_NO_MODEL = (
    rf"\bmodels?:?\s+{_ID}?(?:or endpoint {_ID}?)?(?:(?:is|was|were|has|have|does|do|did|could)\s+)?"
    r"(?:not\s+(?:be\s+|been\s+)?|no longer )"
    r"(?:exists?|found|available|supported(?! (?:with|for|when)\b)|deployed|activated|accessible|permitted|allowed)"
    rf"|\bmodels?:?\s+{_ID}?(?:doesn|isn|wasn)['\u2019]t\s+(?:exist|found|available|supported|deployed)"
    rf"|\bmodels?:?\s+{_ID}?is\s+(?:invalid\b|unavailable|unknown|blocked|deprecated|retired|decommissioned)"
    r"|\b(?:invalid|unknown|unrecogni[sz]ed|unavailable|unsupported|nonexistent|no such)\s+(?:chat\s+|ai\s+)?model"
    r"(?:\s+(?:name|id|identifier|code))?"
    r"(?:\s*[:=`'\",.!(]|\s*$|\s+(?!param|config|option|setting|version|type|format|input|output))"
    r"|not a valid model\b|model (?:name|id|identifier|code) (?:is|was) (?:invalid|not)"
    r"|not found the model|\bno models? (?:named|called|loaded|found)|no endpoints found"
    r"|(?:no|not have|denied|without)\b.{0,20}\baccess to (?:the |this )?model|access to model denied"
    r"|unable to access (?:non-serverless )?model|not allowed to access (?:this |the )?model"
    "|\u6a21\u578b\u4e0d\u5b58\u5728"  # model does not exist
)
_NO_CHANNEL = "no available channel|\u65e0\u53ef\u7528\u6e20\u9053"
"""one-api and its successors, with a 503, for a model that no channel serves."""
_NO_CHAT = (
    r"\bnot an? (?:chat|llm\b|language|text[- ]generation)(?:[ -]model)?"
    r"|\b(?:embeddings?|rerank\w*|image|audio|speech|moderation|completion) model and can(?:not|['\u2019]t) be used"
    r"|\bis an? (?:embeddings?|rerank\w*|text-to-speech|transcription|moderation) model\b"
    r"|\bonly (?:be )?(?:supported|available|accessible|served|used|works?) (?:in|on|via|with|through|by|at|for|over) "
    r"(?:the )?\S*(?:v1/|responses|realtime|completions|embeddings|audio|batch)"
    rf"|(?:\bmodels?:?\s+{_ID}?|^{_ID})(?:does|do|is|are|was|can)\s?(?:not|n['\u2019]t) (?:be )?"
    r"(?:support(?:ed)?|accessible|available|usable|used|compatible|allowed)(?: (?:in|on|via|with|through|by|at|for))?"
    r" (?:the |this |openai )?(?:/?v1/)?/?(?:chat\b|completions?\b|endpoint|api\b|method\b|compatib)"
    r"|chat_?completions? operation does not work with|server does not support (?:chat|completions)"
    r"|requires that either input content or output modality contain audio"
)
_NO_MONEY = (
    r"budget (?:has been |was |is )?exceeded|exceeded ?(?:\w+ ?)?budget|over (?:the |its |your )?budget"
    r"|insufficient (?:account |user |token )?(?:balance|credits?|funds)"
    r"|(?:balance|quota|credits?|funds) (?:is|are) (?:insufficient|not enough|exhausted)"
    r"|(?:out of|not enough|no (?:more |remaining )?) ?(?:credits?|balance|funds)|requires? more credits"
    r"|credit balance is too low|(?:used all|exhausted) (?:of )?(?:your |its )?(?:available )?credits"
    r"|spend(?:ing)? (?:limit|alert)|(?:account|billing) is not active|billing hard limit|key limit exceeded|in arrears"
    "|\u4f59\u989d\u4e0d\u8db3|\u989d\u5ea6\u4e0d\u8db3|\u6b20\u8d39"  # balance or quota not enough, in arrears
)
_BAD_KEY = (
    r"\b(?:incorrect|invalid|wrong|missing) api[ _-]?key"
    r"|api[ _-]?key (?:is )?(?:not valid|invalid|missing|required)"
)


def _error_class(status: int | None, said: ErrorPayload, words: str, *, json_body: bool) -> ErrorClass:
    """Return the class of an error; ``status`` is None inside a stream."""
    if status is None and said.vendor is not None and said.vendor in _VENDOR:
        return _unknown_model(said, words) or _VENDOR[said.vendor]
    if _any(_QUOTA, said) or _says(_NO_MONEY, words):
        return errors.QuotaError
    if status == 429:
        return errors.OverloadedError if _any(_BUSY, said) else errors.RateLimitError
    if status in (401, 402):
        return errors.ModelNotFoundError if status == 401 and _any(_MODEL, said) else _STATUS[status]
    too_long = status not in (404, 405) and _says(_TOO_LONG, words) and not _says(_TOO_MUCH, words)
    if too_long or _any(_OVERFLOW, said):
        return errors.ContextOverflowError
    if said.moderated or _any(_POLICY, said):
        return errors.ContentPolicyError
    busy = status in (503, 529) and not _says(_NO_CHANNEL, words)
    if (unknown := _unknown_model(said, "" if busy else words)) is not None:
        return unknown
    if status is None:
        # LM Studio answers 200 to a wrong path.
        wrong_path = words.startswith("Unexpected endpoint or method")
        otherwise = errors.NotFoundError if wrong_path else errors.ServerError
        return next((kind for marks, kind in _OTHERS if _any(marks, said)), otherwise)
    if status in (400, 403) and (_any(_KEY, said) or _says(_BAD_KEY, words)):
        return errors.AuthenticationError
    if status in (404, 410) and json_body and _says(_NAMES_MODEL, words):
        return errors.BadRequestError if _says(_NAMES_FEATURE, words) else errors.ModelNotFoundError
    if status in _STATUS:
        return _STATUS[status]
    if status < 400:
        return errors.NotFoundError  # a redirect
    return errors.BadRequestError if status < 500 else errors.ServerError


def _any(pattern: str, said: ErrorPayload) -> bool:
    return any(re.search(pattern, mark) for mark in said.marks)


def _says(pattern: str, words: str) -> bool:
    return re.search(pattern, words, re.IGNORECASE) is not None


def _unknown_model(said: ErrorPayload, words: str) -> ErrorClass | None:
    """Return the class if the server does not have the model, or has it only at another endpoint."""
    if _any(_ENDPOINT, said) or _says(_NO_CHAT, words):
        return errors.WrongEndpointError
    named = _any(_MODEL, said) or _says(_NO_MODEL, words) or _says(_NO_CHANNEL, words)
    return errors.ModelNotFoundError if named else None


# --- how long to wait ----------------------------------------------------------------------------------------

_PROSE = r"\b(?:try|retry)(?: again)? (?:in|after) (?:about )?(\d[^\n,;)]{0,40})"
_SPAN = r"(\d+(?:\.\d+)?) ?(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hours?|days?)(?![a-z])"
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_WAITS = {
    "retrydelay": 1,
    "retry_after": 1,
    "retryafter": 1,
    "retry_after_seconds": 1,
    "retry_after_ms": 1000,
}
"""Fields in lower case, and how many of their unit are a second."""


def _retry_after(headers: Mapping[str, str], words: str, value: Json) -> float | None:
    """Return the seconds that the server asks to wait before another attempt, or None.

    Read in this order: ``retry-after-ms``, ``retry-after`` (seconds or an HTTP date), the JSON ``value`` of the
    body (Google's ``RetryInfo.retryDelay`` and fields called ``retry_after``), the prose of ``words``.
    """
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    header = headers.get("retry-after", "").strip()
    seconds = _seconds(header)
    if seconds is None:
        seconds = _until(header, headers.get("date", ""))
    if seconds is None:
        seconds = _wait_in(value, 6)
    if seconds is None and (hit := re.search(_PROSE, words, re.IGNORECASE)):
        seconds = _span(hit[1])
    return seconds


def _seconds(value: Json) -> float | None:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 <= number < math.inf else None


def _until(date: str, now: str) -> float | None:
    """Return the seconds to an HTTP date, by the server's own clock if it sent its time."""
    from datetime import UTC, datetime
    from email.utils import parsedate_to_datetime

    def moment(text: str) -> datetime | None:
        with suppress(TypeError, ValueError, OverflowError):
            found = parsedate_to_datetime(text)
            return found if found.tzinfo else found.replace(tzinfo=UTC)
        return None

    then = moment(date)
    return None if then is None else max(0.0, (then - (moment(now) or datetime.now(UTC))).total_seconds())


def _wait_in(value: Json, depth: int) -> float | None:
    """Return the first wait in a body."""
    items = [("details", item) for item in value[:32]] if isinstance(value, list) else ()
    for name, item in value.items() if isinstance(value, dict) else items:
        key, wait = name.lower().replace("-", "_"), None
        if key in ("error", "details", "metadata", "headers") and depth:
            wait = _wait_in(item, depth - 1)
        elif key in _WAITS:
            wait = _seconds(item)
            if wait is None and isinstance(item, str):
                wait = _span(item)
            wait = None if wait is None else wait / _WAITS[key]
        if wait is not None:
            return wait
    return None


def _span(text: str) -> float | None:
    """Read "17s", "6m0s", "2m59.56s", "230ms", "20 seconds"; nothing but blanks may separate the parts."""
    total, end = None, 0
    for hit in re.finditer(_SPAN, text, re.IGNORECASE):
        if text[end : hit.start()].strip():
            break
        unit = hit[2].lower()
        factor = 0.001 if unit.startswith(("ms", "mil")) else _UNITS[unit[0]]
        total = (total or 0.0) + float(hit[1]) * factor
        end = hit.end()
    return total
