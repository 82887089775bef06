"""Decides the class of a failure: the HTTP status first, then codes and types, never the prose but for two cases.

The two have no other sign on many servers: a prompt that is too long, and a 404 that speaks of a model.
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
    "|arrearage|overdue|balance_not_enough|payment_required|freetieronly|^(1113|1308|1309|1310)$"
)
_MODEL = re.compile(
    "model_?not_?(found|exist|available|supported|open)|model_decommissioned|unknown_model|^invalid_model$"
    "|deploymentnotfound|invalidendpointormodel|^(1211|20012)$"
)
_KEY = re.compile("api_?key|authentication|unauthenticated|^unauthorized$|^auth_error$")
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


def kind_of(status: int | None, said: Complaint, words: str, *, json_body: bool) -> Kind:
    """Return the class of a failure; ``status`` is None where none came, as inside a stream."""
    if status is None and said.vendor is not None and said.vendor in _VENDOR:
        return _VENDOR[said.vendor]
    if status in (401, 402):
        return _STATUS[status]
    if status == 429:
        if _any(_QUOTA, said):
            return errors.QuotaError
        return errors.OverloadedError if _any(_BUSY, said) else errors.RateLimitError
    if (special := _special(status, said, words)) is not None:
        return special
    if status is None:
        return next((kind for marks, kind in _OTHERS if _any(marks, said)), _unmarked(words))
    if status in (400, 403) and _any(_KEY, said):
        return errors.AuthenticationError
    if status in (404, 410) and json_body and _NAMES_MODEL.search(words):
        return errors.ModelNotFoundError
    if status in _STATUS:
        return _STATUS[status]
    if status < 400:
        return errors.NotFoundError  # a redirect: the address is not quite right
    return errors.BadRequestError if status < 500 else errors.ServerError


def _any(marks: re.Pattern[str], said: Complaint) -> bool:
    return any(marks.search(mark) for mark in said.marks)


def _special(status: int | None, said: Complaint, words: str) -> Kind | None:
    """Return the class that a code names more exactly than a general status does."""
    if _any(_OVERFLOW, said):
        return errors.ContextOverflowError
    if status not in (404, 405) and _TOO_LONG.search(words) and not _TOO_MUCH.search(words):
        return errors.ContextOverflowError
    if said.moderated or _any(_POLICY, said):
        return errors.ContentPolicyError
    if _any(_QUOTA, said):
        return errors.QuotaError
    return errors.ModelNotFoundError if _any(_MODEL, said) else None


def _unmarked(words: str) -> Kind:
    if words.startswith("Unexpected endpoint or method"):  # LM Studio answers 200 to a wrong path
        return errors.NotFoundError
    return errors.ServerError
