"""Turns whatever a server says when it fails into one error of the tree; no events and no retries are decided here.

The class follows the HTTP status, then the codes and types of the body, and never a phrase of its prose. Two
exceptions have no other sign: a prompt that is too long, and a 404 that speaks of a model.
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING

from provider_core import errors
from provider_core.stream import words as reading
from provider_core.stream.redaction import clean
from provider_core.stream.waiting import retry_after

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from provider_core.stream.words import Complaint
    from provider_core.types import Json

__all__ = ["failure", "from_value", "not_a_completion", "who"]

_NOTHING: Mapping[str, str] = MappingProxyType({})
_READ = 1 << 20
"""Bytes of an error body that are looked at."""

_OVERFLOW = re.compile(
    r"maximum context length|context[_ ]length[_ ]exceeded|context window|exceeds? the (?:available |maximum )?context"
    r"|prompt is too long|input is too long|too many tokens|exceed_context_size_error|requested tokens"
    r"|range of input length should be|input token count .{0,80}exceeds the maximum|tokens_limit_reached"
    r"|request too large|reduce the length|string too long|current length is .{0,80}while limit is"
    r"|input too long: .{0,80}limit is|max_tokens must be at least 1, got -"
    r"|longer than the model's context length|available context size",
    re.IGNORECASE,
)
_NO_OVERFLOW = re.compile(
    r"max_(?:completion_)?tokens is too large|tokens per (?:minute|day)|\bTP[MD]\b", re.IGNORECASE
)
_NAMES_MODEL = re.compile(r"(?<![/\w])(?:models?|deployment|function '|endpoints found)", re.IGNORECASE)

_OVERFLOW_MARKS = frozenset(
    ("context_length_exceeded", "exceed_context_size_error", "tokens_limit_reached", "model_context_window_exceeded",
     "1261")
)  # fmt: skip
_POLICY = frozenset(
    ("content_filter", "content_policy_violation", "responsibleaipolicyviolation", "content_filtered", "1301",
     "data_inspection_failed", "datainspectionfailed", "moderation_blocked", "content_moderation")
)  # fmt: skip
_QUOTA = frozenset(
    ("insufficient_quota", "exceeded_current_quota_error", "billing_not_active", "billing_hard_limit_reached",
     "insufficient_balance", "insufficient_credits", "insufficient_user_quota", "billing_error", "arrearage",
     "accountoverdueerror", "allocationquota.freetieronly", "1113", "1308", "1309", "1310")
)  # fmt: skip
_MODEL = frozenset(
    ("model_not_found", "model_not_exist", "model_not_available", "model_not_supported", "model_decommissioned",
     "modelnotfound", "deploymentnotfound", "invalidendpointormodel.notfound", "invalid_model", "unknown_model",
     "1211", "20012")
)  # fmt: skip
_KEY = frozenset(
    ("invalid_api_key", "api_key_invalid", "invalidapikey", "authentication_error", "invalid_authentication_error",
     "authenticationerror", "unauthenticated", "unauthorized", "auth_error")
)  # fmt: skip
_BUSY = frozenset(
    ("overloaded_error", "engine_overloaded_error", "engine_overloaded", "unavailable", "unavailable_error",
     "service_unavailable", "overloaded")
)  # fmt: skip
_RATE = frozenset(
    ("rate_limit_exceeded", "rate_limit_error", "rate_limit_reached_error", "resource_exhausted",
     "too_many_requests", "requests", "tokens", "1302", "1303", "1305", "ratelimiterror")
)  # fmt: skip
_PERMISSION = frozenset(("permission_error", "permission_denied", "permission_denied_error", "access_denied"))
_REQUEST = frozenset(
    ("invalid_request_error", "invalid_argument", "badrequesterror", "bad_request_error", "invalid_request",
     "unprocessable_entity")
)  # fmt: skip

_Kind = type[errors.ProviderError]
_VENDOR: Mapping[str, _Kind] = MappingProxyType(
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
_STATUS: Mapping[int, _Kind] = MappingProxyType(
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
_SAYS: Mapping[_Kind, str] = MappingProxyType(
    {
        errors.AuthenticationError: "refused the key",
        errors.PermissionDeniedError: "does not allow this",
        errors.RateLimitError: "limits the rate of requests",
        errors.QuotaError: "has no credit or quota left for this key",
        errors.ContextOverflowError: "says that the prompt does not fit into the context window",
        errors.ContentPolicyError: "refused the content",
        errors.BadRequestError: "refused the request",
        errors.ModelNotFoundError: "does not serve this model",
        errors.NotFoundError: "serves nothing at this address",
        errors.OverloadedError: "is overloaded or still loading",
        errors.ProtocolError: "sent no chat completion",
        errors.ServerError: "failed",
    }
)
_PHRASES = {
    498: "Capacity exceeded", 499: "Client closed request", 520: "Unknown error at the origin",
    521: "The origin is down", 522: "The origin timed out", 523: "The origin is unreachable",
    524: "The origin took too long", 529: "Overloaded",
}  # fmt: skip


def who(provider: str | None) -> str:
    """Return the subject of an error sentence."""
    return provider or "the server"


def failure(
    status: int | None,
    body: bytes,
    headers: Mapping[str, str] = _NOTHING,
    *,
    provider: str | None,
    secrets: tuple[str, ...] = (),
) -> errors.ProviderError:
    """Return the error that an HTTP error answer stands for; never raise, whatever the body holds.

    ``headers`` have lower-case names. ``secrets`` are masked wherever the server echoes them.
    """
    text = body[:_READ].decode("utf-8", "replace").strip().lstrip("\ufeff").strip()
    if text.startswith("<"):
        said = reading.Complaint(words=reading.title(text[: 1 << 16]))
        return _error(status, said, None, headers, provider, secrets, json_body=False)
    for candidate in (text, *_event_data(text)):
        if candidate[:1] in ("{", "[", '"') or candidate == "null":
            try:
                return from_value(
                    status, reading.parse(candidate), headers, provider=provider, secrets=secrets
                )
            except ValueError:
                continue
    return _error(status, reading.Complaint(words=text), None, headers, provider, secrets, json_body=False)


def from_value(
    status: int | None,
    value: Json,
    headers: Mapping[str, str] = _NOTHING,
    *,
    provider: str | None,
    secrets: tuple[str, ...] = (),
) -> errors.ProviderError:
    """Return the error that a parsed body, or a frame inside a stream (``status`` None), stands for."""
    said = reading.complaint(value)
    if not said.words:
        said.words = _excerpt(value)
    return _error(status, said, value, headers, provider, secrets, json_body=isinstance(value, dict | list))


def not_a_completion(
    status: int, content_type: str, head: bytes, *, provider: str | None, secrets: tuple[str, ...] = ()
) -> errors.ProtocolError:
    """Return the error for an answer of status 200 that holds no answer; ``head`` is how its body begins."""
    text = head.decode("utf-8", "replace").strip().lstrip("\ufeff").strip()
    kind = clean(content_type.partition(";")[0], secrets, 100) or "no content type"
    if text.startswith("<"):
        words = clean(reading.title(text), secrets, 500)
        rest = f"a web page: {words}" if words else "a web page"
    else:
        words = clean(text, secrets, 200)
        rest = f"beginning with: {_line(words)}" if words else "an empty body"
    message = f"{who(provider)} sent no chat completion ({status}, {kind}), but {rest}"
    message = message.replace(", but beginning", ", beginning")
    return errors.ProtocolError(message, provider=provider, status=status, words=words)


def _error(
    status: int | None,
    said: Complaint,
    value: Json,
    headers: Mapping[str, str],
    provider: str | None,
    secrets: tuple[str, ...],
    *,
    json_body: bool,
) -> errors.ProviderError:
    words = clean(said.words, secrets)
    outcome = status if status is None or status >= 300 else None
    kind = _kind(outcome if outcome is not None else said.status, said, words, json_body=json_body)
    location = headers.get("location", "") if outcome is not None and 300 <= outcome < 400 else ""
    if location:
        words = clean(f"redirected to {location.partition('?')[0]}", secrets)
    spoken = words or _phrase(outcome)
    number = outcome if outcome is not None else said.status
    shown = f" ({number})" if number is not None else ""
    message = f"{who(provider)} {_SAYS[kind]}{shown}" + (f": {_line(spoken)}" if spoken else "")
    return kind(
        message,
        provider=provider,
        status=outcome,
        code=clean(said.code, secrets, 200) if said.code else None,
        type=clean(said.type, secrets, 200) if said.type else None,
        words=words,
        retry_after=retry_after(headers, words, value),
    )


def _kind(status: int | None, said: Complaint, words: str, *, json_body: bool) -> _Kind:
    marks = frozenset(said.marks)
    if status is None and said.vendor is not None and said.vendor in _VENDOR:
        return _VENDOR[said.vendor]
    if status in (401, 402):
        return _STATUS[status]
    if status == 429:
        return _too_many(marks)
    if (special := _special(status, said, marks, words)) is not None:
        return special
    if status is None:
        return _by_marks(marks, words)
    if status in (404, 410) and json_body and _NAMES_MODEL.search(words):
        return errors.ModelNotFoundError
    if status == 403 and marks & _KEY:
        return errors.AuthenticationError
    if status == 400 and marks & _KEY:
        return errors.AuthenticationError
    if (kind := _STATUS.get(status)) is not None:
        return kind
    if status < 400:
        return errors.NotFoundError
    return errors.BadRequestError if status < 500 else errors.ServerError


def _too_many(marks: frozenset[str]) -> _Kind:
    if marks & _QUOTA:
        return errors.QuotaError
    return errors.OverloadedError if marks & _BUSY else errors.RateLimitError


def _special(status: int | None, said: Complaint, marks: frozenset[str], words: str) -> _Kind | None:
    """Return the class that a code names more exactly than any general status does."""
    if marks & _OVERFLOW_MARKS or (status not in (404, 405) and _overflows(words)):
        return errors.ContextOverflowError
    if said.moderated or marks & _POLICY:
        return errors.ContentPolicyError
    if marks & _QUOTA:
        return errors.QuotaError
    if marks & _MODEL:
        return errors.ModelNotFoundError
    return None


def _overflows(words: str) -> bool:
    return _OVERFLOW.search(words) is not None and _NO_OVERFLOW.search(words) is None


def _by_marks(marks: frozenset[str], words: str) -> _Kind:
    """Return the class of a failure that no status explains: a frame of a stream, a body under 200."""
    for table, kind in (
        (_KEY, errors.AuthenticationError),
        (_BUSY, errors.OverloadedError),
        (_RATE, errors.RateLimitError),
        (_PERMISSION, errors.PermissionDeniedError),
        (_REQUEST, errors.BadRequestError),
    ):
        if marks & table:
            return kind
    if words.startswith("Unexpected endpoint or method"):  # LM Studio answers 200 to a wrong path
        return errors.NotFoundError
    return errors.ServerError


def _phrase(status: int | None) -> str:
    if status is None:
        return ""
    try:
        return _PHRASES.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return ""


def _line(text: str) -> str:
    return " ".join(text.split())


def _excerpt(value: Json) -> str:
    """Return JSON whose keys say nothing to us as it stands, provided that it holds any text."""
    try:
        text = json.dumps(value, ensure_ascii=False)[:500]
    except (ValueError, RecursionError):
        return ""
    return text if re.search(r': "[^"]', text) else ""


def _event_data(text: str) -> Iterator[str]:
    """Yield the data of an error that came framed as a stream though its status says otherwise."""
    for line in text.split("\n"):
        name, colon, data = line.strip().partition(":")
        if name == "data" and colon:
            yield data.strip()
