"""Decides the class of a failure from its HTTP status, its codes and types, and its words.

A code that names the cause overrides the status. Words count only for causes that many servers report in no
other way: a prompt that is too long, an unknown model, a model of another endpoint, and an empty account.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from provider_core import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider_core.stream.words import Complaint

__all__ = ["Kind", "kind_of"]

Kind: TypeAlias = type[errors.ProviderError]

_STATUS: Mapping[int, Kind] = MappingProxyType(
    {
        401: errors.AuthenticationError,
        402: errors.QuotaError,
        403: errors.PermissionDeniedError,
        404: errors.NotFoundError,
        405: errors.NotFoundError,
        408: errors.ServerError,  # the upstream server's time ran out, not the client's
        410: errors.NotFoundError,
        424: errors.ServerError,
        429: errors.RateLimitError,
        451: errors.ContentPolicyError,
        498: errors.OverloadedError,  # Groq: no flex capacity
        503: errors.OverloadedError,
        529: errors.OverloadedError,
    }
)
_VENDOR: Mapping[str, Kind] = MappingProxyType(
    {  # https://platform.minimax.io/docs/api-reference/errorcode
        "1002": errors.RateLimitError,
        "1004": errors.AuthenticationError,
        "1008": errors.QuotaError,
        "1026": errors.ContentPolicyError,
        "1027": errors.ContentPolicyError,
        "1039": errors.RateLimitError,
        "2013": errors.BadRequestError,
        "2049": errors.AuthenticationError,
    }
)

# Codes and types, lower-case. Numbers are Zhipu's (https://docs.z.ai/api-reference/api-code) and SiliconFlow's 20012.
_OVERFLOW = re.compile(
    "context_(length|size|window)|tokens_limit_reached|string_too_long|too_many_prompt_tokens|tokens_too_long|^1261$"
)
_POLICY = re.compile(
    "content_?filter|content_?policy|content_?moderation|moderation_blocked|responsibleaipolicy|data_?inspection"
    "|sensitive_?c|risk_?detection|^refusal$|^1301$"
)
_QUOTA = re.compile(
    "insufficient_?(quota|balance|credit|user_quota|funds)|exceeded_current_quota|billing_(error|not_active|hard_limit)"
    "|arrearage|overdue|balance_not_enough|payment_required|freetieronly|budget_?exceeded|exceeded_?budget|quota_failed"
    "|spending[-_]limit|credit_?limit|^(1113|1308|1309|1310|30001|30011)$"
)
_MODEL = re.compile(
    "model_?not_?(found|exist|available|supported|open)|model_decommissioned|model_?access_?denied"
    "|(unknown|unavailable|unsupported|invalid)_?model|model_permission_blocked|^no_access$|^model\\.accessdenied$"
    "|deploymentnotfound|invalidendpointormodel|^(1211|20012)$"
)
_ENDPOINT = re.compile("^unsupported_api_for_model$|^operationnotsupported$")
_KEY = re.compile("api_?key|authentication|unauthenticated|^unauthorized$|^auth_error$|^no_db_connection$")
_BUSY = re.compile("overloaded|unavailable")
_OTHERS = (  # looked at only where no status says it
    (_KEY, errors.AuthenticationError),
    (_BUSY, errors.OverloadedError),
    (
        re.compile("rate_?limit|too_many_requests|resource_exhausted|throttling|^(1302|1303|1305)$"),
        errors.RateLimitError,
    ),
    (re.compile("permission|access_?denied|forbidden"), errors.PermissionDeniedError),
    (
        re.compile("invalid_?(request|argument|prompt|parameter)|bad_?request|unprocessable"),
        errors.BadRequestError,
    ),
)

_TOO_LONG = re.compile(
    r"max(?:imum)? context length|context[_ ]length[_ ]exceeded|context window"
    r"|exceeds? the (?:available |maximum )?context|prompt (?:is )?too long|input is too long|too many tokens"
    r"|exceed_context_size_error|requested tokens"
    r"|range of input length should be|input token count .{0,80}exceeds the maximum|tokens_limit_reached"
    r"|request too large|reduce the length|string too long|current length is .{0,80}while limit is"
    r"|input too long: .{0,80}limit is|max_tokens must be at least 1, got -"
    r"|longer than the model's context length|available context size",
    re.IGNORECASE,
)
_TOO_MUCH = re.compile(
    r"max_(?:completion_)?tokens[\"'`]? is too large|tokens per (?:min|day)|\bTP[MD]\b", re.IGNORECASE
)
_NAMES_MODEL = re.compile(r"(?<![/\w])(?:models?|deployment|function '|endpoints found)", re.IGNORECASE)

_NAMES_FEATURE = re.compile(
    r"\b(?:stream(?:ing|ed)?|tools?|function calling|parameters?|reasoning_effort|response_format|images?)\b.{0,60}"
    r"\bnot\b.{0,20}\b(?:support|allow|accept|available)",
    re.IGNORECASE,
)
"""What a model does not have, in words that name the model, too."""

# Compiled when a server has failed, and not at every start.
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
"""The words of one-api and its successors, with a 503, for a model that nothing serves."""
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


def kind_of(status: int | None, said: Complaint, words: str, *, json_body: bool) -> Kind:
    """Return the class of a failure; ``status`` is None where none came, as inside a stream."""
    if status is None and said.vendor is not None and said.vendor in _VENDOR:
        return _unknown_model(said, words) or _VENDOR[said.vendor]
    if _any(_QUOTA, said) or _says(_NO_MONEY, words):
        return errors.QuotaError
    if status == 429:
        return errors.OverloadedError if _any(_BUSY, said) else errors.RateLimitError
    if status == 402:
        return errors.QuotaError
    if status == 401:
        return errors.ModelNotFoundError if _any(_MODEL, said) else errors.AuthenticationError
    if (special := _special(status, said, words)) is not None:
        return special
    busy = status in (503, 529) and not _says(_NO_CHANNEL, words)
    if (unknown := _unknown_model(said, "" if busy else words)) is not None:
        return unknown
    if status is None:
        return next((kind for marks, kind in _OTHERS if _any(marks, said)), _unmarked(words))
    if status in (400, 403) and (_any(_KEY, said) or _says(_BAD_KEY, words)):
        return errors.AuthenticationError
    if status in (404, 410) and json_body and _NAMES_MODEL.search(words):
        return errors.BadRequestError if _NAMES_FEATURE.search(words) else errors.ModelNotFoundError
    if status in _STATUS:
        return _STATUS[status]
    if status < 400:
        return errors.NotFoundError  # a redirect: the address is not quite right
    return errors.BadRequestError if status < 500 else errors.ServerError


def _any(marks: re.Pattern[str], said: Complaint) -> bool:
    return any(marks.search(mark) for mark in said.marks)


def _says(pattern: str, words: str) -> bool:
    return re.search(pattern, words, re.IGNORECASE) is not None


def _special(status: int | None, said: Complaint, words: str) -> Kind | None:
    """Return the class that a code names more exactly than a general status does."""
    if _any(_OVERFLOW, said):
        return errors.ContextOverflowError
    if status not in (404, 405) and _TOO_LONG.search(words) and not _TOO_MUCH.search(words):
        return errors.ContextOverflowError
    if said.moderated or _any(_POLICY, said):
        return errors.ContentPolicyError
    return None


def _unknown_model(said: Complaint, words: str) -> Kind | None:
    """Return the class for a model that the server does not have, or has only at another endpoint."""
    if _any(_ENDPOINT, said) or _says(_NO_CHAT, words):
        return errors.WrongEndpointError
    named = _any(_MODEL, said) or _says(_NO_MODEL, words) or _says(_NO_CHANNEL, words)
    return errors.ModelNotFoundError if named else None


def _unmarked(words: str) -> Kind:
    if words.startswith("Unexpected endpoint or method"):  # LM Studio answers 200 to a wrong path
        return errors.NotFoundError
    return errors.ServerError
