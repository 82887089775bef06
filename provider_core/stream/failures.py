"""Turns an error response, or an error inside a stream, into one error of the tree.

The class follows from the HTTP status, the codes and types, and the words. A code that names the cause takes
precedence over the status. Words count only for causes that many servers report in no other way: a prompt that is
too long, an unknown model, a model of another endpoint, and an empty account.
"""

from __future__ import annotations

import html
import json
import re
from contextlib import suppress
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from provider_core import errors, limits
from provider_core.redaction import clean, one_line
from provider_core.stream.fields import decode_json, dict_in, list_in, retry_after, str_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

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
_PHRASES = {
    498: "Capacity exceeded", 499: "Client closed request", 520: "Unknown error at the origin",
    521: "The origin is down", 522: "The origin timed out", 523: "The origin is unreachable",
    524: "The origin took too long", 529: "Overloaded",
}  # fmt: skip


_SIGN_IN = (
    "(?:sign_?in|log_?in|auth(?:orization|orize)?|verification)_?(?:complete_?)?(?:url|uri)(?:_complete)?"
)
_SIGN_IN_AT = r"\b(?:sign|log) ?in (?:at|via|with|on|to):? (https?://[^\s\"'<>]+[^\s\"'<>.,;)])"
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
                    with suppress(ValueError):
                        return self.from_json(status, parse_json(candidate), headers)
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
        is_page, is_empty = (
            text.startswith("<"),
            not re.sub(_KEEPALIVES, "", text, flags=re.MULTILINE).strip(),
        )
        words = clean(page_title(text) if is_page else text, self.secrets, 500 if is_page else 200)
        code, what, shown = None, "something other than", words
        if is_page:
            what = "a web page instead of"
        elif is_empty or not words:
            what, shown = f"an empty {'stream' if words else 'body'} instead of", ""
        if is_empty:
            code = "empty_stream" if streamed else "empty_body"
        kind = clean(content_type.partition(";")[0], self.secrets, 100) or "no content type"
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
        spoken = words or _phrase(outcome)
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
            retry_after=retry_after(headers, words, value),
        )
        if isinstance(error, errors.AuthenticationError):
            asked = re.search(_SIGN_IN_AT, words, re.IGNORECASE)
            error.sign_in = _sign_in(value, self.secrets)
            if not error.sign_in and asked and re.fullmatch(_WEB, asked[1]):
                error.sign_in = asked[1]
        return error


def _sign_in(value: Json, secrets: tuple[str, ...], depth: int = 3) -> str:
    """Return the web address at which a 401 asks to sign in, or "": Ollama's ``signin_url`` and its kin."""
    if not isinstance(value, dict) or depth == 0:
        return ""
    for key, item in value.items():
        if isinstance(item, str) and re.fullmatch(_SIGN_IN, key, re.IGNORECASE) and re.fullmatch(_WEB, item):
            return clean(item, secrets, 300)
    return next((found for item in value.values() if (found := _sign_in(item, secrets, depth - 1))), "")


def _phrase(status: int | None) -> str:
    if status is None:
        return ""
    try:
        return _PHRASES.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return ""


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


# --- what an error says -----------------------------------------------------------------------------------------

_DEPTH = 6
"""Levels of wrapped errors that are read: gateways wrap at most twice, a hostile body without end."""

_MAX_DETAILS = 4
"""Details of one kind that are read."""

_TEXT_KEYS = (
    "message", "msg", "error_message", "error_msg", "errorMessage", "errorMsg", "status_msg", "error_description",
    "Message", "description", "reason", "detail", "title",
)  # fmt: skip
_CODE_KEYS = ("code", "error_code", "errorCode", "status_code", "statusCode", "http_code", "Code", "errcode")
_FINE = frozenset(
    ("", "0", "200", "ok", "success", "succeeded", "successful", "none", "null", "no error", "成功")
)
_KEEPALIVE_WORDS = (
    r"\W*(ping|pong|heart-?beat|keep[-_ ]?alive|alive|hello|connected|waiting|queued|(\w+ )?processing)\b.{0,40}"
    r"|\[[A-Z_ -]{1,40}\]|\W*"
)
"""What servers send to keep a connection open, and marks such as "[START]"."""
_JSON_START = r"[{\[]"
_TAG = r"<[^>]*>"
_FAILURE = "err|fail|exception|invalid|denied|timeout|timed_out|limit|overload|unavailable"


class ErrorPayload:
    """What an error body, or the value of an error frame, says; ``words`` is "" if it has none."""

    def __init__(self, value: Json = None) -> None:
        self.code: str | None = None
        """The outermost code, as sent; likewise ``type``."""
        self.type: str | None = None
        self.status: int | None = None
        """An HTTP status that the body names."""
        self.param: str | None = None
        """The field of the request that the outermost error blames, as OpenAI and others name it."""
        self.marks: list[str] = []
        """All codes, types and status words in lower case: what the error is classified by."""
        self.details: list[str] = []
        """Further texts under a name of their own, which do not count for the classification."""
        self.vendor: str | None = None
        """The code of MiniMax's ``base_resp``, whose numbers mean other things elsewhere."""
        self.moderated: bool = False
        self.words: str = self._words(value, _DEPTH)

    def _words(self, value: Json, depth: int) -> str:
        if depth and isinstance(value, str):
            return self._unwrapped(value, depth)
        if depth and isinstance(value, list):
            return "; ".join(_unique(self._words(item, depth - 1) for item in value[:8]))
        return self._words_of_object(value, depth) if depth and isinstance(value, dict) else ""

    def _words_of_object(self, value: dict[str, Json], depth: int) -> str:
        self._note(value)
        listed = value.get("errors")
        if isinstance(listed, dict):  # a list for each field
            listed = [
                each for items in listed.values() for each in (items if isinstance(items, list) else [items])
            ]
        inner = (value.get("error"), value.get("base_resp"), listed)
        said = [text for item in inner if (text := self._words(item, depth - 1))][:1]
        if not said or isinstance(value.get("error"), str):
            own = ((key, self._words(value[key], depth - 1)) for key in _TEXT_KEYS if value.get(key))
            key, text = next((each for each in own if each[1]), ("", ""))
            said += [str_in(value, "title"), text] if key == "detail" else [text]
        where = value.get("loc") or value.get("field")
        if isinstance(where, list):  # FastAPI: the path to the field that is wrong
            where = ".".join(str(part) for part in where[:8] if part != "body")
        said = [text for text in said if text]
        if isinstance(where, str) and where and said:
            said[0] = f"{where}: {said[0]}"
        # OpenRouter quotes the upstream server.
        metadata = dict_in(value, "metadata")
        if upstream := self._words(metadata.get("raw"), depth - 1):
            name = str_in(metadata, "provider_name")
            said.append(f"{name}: {upstream}" if name else upstream)
        if not said and not (code := str_in(value, "code")).isdigit():
            said.append(code)
        if not any(said) and _names_failure(kind := str_in(value, "type")):
            said.append(kind)
        return ": ".join(_unique(said))

    def _note(self, value: dict[str, Json]) -> None:
        """Collect the codes, types and details of an object."""
        for key in _CODE_KEYS:
            code = value.get(key)
            if isinstance(code, float) and code.is_integer():
                code = int(code)
            if not _bad_code(code):
                continue
            code = str(code)[:200]
            self.marks.append(code.lower())
            self.code = self.code or code
            if key == "status_code" and "status_msg" in value:
                self.vendor = code
            if self.status is None and re.fullmatch("[45][0-9][0-9]", code):
                self.status = int(code)
        for key in ("type", "status", "__type", "reason"):
            word = value.get(key)
            if self.status is None and _http_status(word):
                self.status = word
            if isinstance(word, str) and " " not in word and word not in ("", "error", "about:blank"):
                self.marks.append(word.lower()[:200])
                if key != "reason":
                    self.type = self.type or word[:200]
        if (param := str_in(value, "param")) not in ("", "None", "null"):
            self.param = self.param or param[:200]
        self.details += _details(value)
        azure, metadata = dict_in(value, "innererror"), dict_in(value, "metadata")
        self.marks += (str_in(azure, "code").lower(), str_in(metadata, "error_type").lower())
        self.marks += (str_in(each, "reason").lower() for each in list_in(value, "details")[:16])  # Google
        verdicts = ("contentFilter", "content_filter_result", "content_filter_results")
        if (
            any(value.get(key) for key in verdicts)
            or (str_in(azure, "code") and azure.get("content_filter_result"))
            or any(metadata.get(key) for key in ("reasons", "flagged_input"))
        ):
            self.moderated = True

    def _unwrapped(self, text: str, depth: int) -> str:
        """Return the words of a message, which may be a web page, or a JSON document after a gateway's prefix."""
        if text.lstrip().startswith("<") and (heading := page_title(text)):
            return heading
        for start in islice(re.finditer(_JSON_START, text), 8 if depth > 1 else 0):
            before = text[: start.start()].strip()
            try:
                inner, end = decode_json(text, start.start())
            except (ValueError, RecursionError):
                continue
            if before and not _is_error_document(inner):
                continue
            if words := self._words(inner, depth - 1):
                return " ".join(filter(None, (before, words, text[end:].strip())))
        return text.strip()


def _details(value: dict[str, Json]) -> Iterator[str]:
    """Yield what an error has besides its message: hints, violated rules, a call that could not be parsed (Groq)."""
    generated = value.get("failed_generation")
    if isinstance(generated, dict | list):
        generated = json.dumps(generated, ensure_ascii=False)
    if isinstance(generated, str) and generated.strip():
        yield f"failed_generation: {generated}"
    for key in ("hint", "suggestion", "details"):
        found = value.get(key)
        for detail in found[:_MAX_DETAILS] if isinstance(found, list) else (found,):
            if isinstance(detail, str):
                texts = [detail]
            else:
                rules = (detail, *list_in(detail, "fieldViolations")[:_MAX_DETAILS])
                texts = [str_in(each, "description") or str_in(each, "message") for each in rules]
            yield from (text for text in texts if text.strip())


def _is_error_document(value: Json) -> bool:
    """Tell an error document from JSON that a message merely quotes."""
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], dict) and _is_error_document(value[0])
    return isinstance(value, dict) and (
        any(value.get(key) for key in ("error", "errors", "detail", "base_resp"))
        or ("message" in value and not value.keys().isdisjoint(("code", "type", "status", "object")))
    )


def _unique(texts: Iterable[str]) -> list[str]:
    """Drop empty and repeated texts, and those that an earlier one contains."""
    kept: list[str] = []
    for text in texts:
        if text and not any(text in earlier for earlier in kept):
            kept.append(text)
    return kept


def page_title(markup: str) -> str:
    """Return the text of a page's title, else of its first heading, else ""."""
    lower = markup.lower()
    for tag in ("title", "h1"):
        start = lower.find(">", lower.find(f"<{tag}")) + 1
        end = lower.find(f"</{tag}", start)
        if f"<{tag}" in lower and start and end >= 0:
            return " ".join(html.unescape(re.sub(_TAG, " ", markup[start:end][:500])).split())
    return ""


def parse_json(text: str) -> Json:
    """Parse a JSON document leniently; raise ValueError if it is not valid."""
    try:
        value, end = decode_json(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if text[end:].strip():
        raise ValueError("more than one document")
    return value


def is_error_event(value: Json) -> bool:
    """Tell whether a JSON object inside a stream reports a failure."""
    if not isinstance(value, dict):
        return False
    if is_error(value.get("error")) or value.get("object") == "error" or value.get("type") == "error":
        return True
    if not _is_fine(dict_in(value, "base_resp").get("status_code")):
        return True
    if value.get("choices") or value.get("output") or value.get("candidates"):
        return False
    if value.get("success") is False or is_error(value.get("errors")) or is_error(value.get("detail")):
        return True
    if value.get("status") in ("error", "failed"):
        return True
    if not any(str_in(value, key) for key in _TEXT_KEYS):
        return False
    return _http_status(value.get("status")) or any(_bad_code(value.get(key)) for key in _CODE_KEYS)


def is_error(error: Json) -> bool:
    """Tell whether the value of an ``error`` key reports a failure: by words, a code, or a type."""
    if not isinstance(error, dict | list):
        return not _is_fine(error)
    said = ErrorPayload(error)
    return not _is_fine(said.words) or any(not _is_fine(mark) for mark in said.marks)


def is_keepalive(words: str) -> bool:
    """Tell whether a frame of plain words only keeps the connection open, or marks a place in the stream."""
    return re.fullmatch(
        _KEEPALIVE_WORDS, words.strip(), re.IGNORECASE | re.DOTALL
    ) is not None and not _names_failure(words)


def may_be_error(value: Json) -> bool:
    """Tell whether an object that does not report a failure may be one: it is not a chunk, and has words.

    With a type other than an error, it only keeps the connection open. What follows tells whether it was a failure.
    """
    if not isinstance(value, dict) or not {"choices", "usage"}.isdisjoint(value):
        return False
    kinds = [value[key] for key in ("type", "object", "event") if value.get(key)]
    if not all(isinstance(kind, str) and _names_failure(kind) for kind in kinds):
        return False
    return any(str_in(value, key).strip() for key in _TEXT_KEYS)


def _names_failure(words: str) -> bool:
    return re.search(_FAILURE, words, re.IGNORECASE) is not None


def _http_status(value: Json) -> bool:
    return isinstance(value, int) and 400 <= value < 600


def _bad_code(code: Json) -> bool:
    return isinstance(code, str | int) and code is not True and not _is_fine(code)


def _is_fine(value: Json) -> bool:
    """Tell whether a code or a message means success, or nothing at all."""
    if value is None or value is False:
        return True
    return isinstance(value, str | int | float) and str(value).strip(" .!").lower() in _FINE
