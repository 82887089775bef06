"""Turns whatever a server says when it fails into one error of the tree; no events and no retries are decided here."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING

from provider_core import errors, limits
from provider_core.redaction import clean
from provider_core.stream import words as reading
from provider_core.stream.kinds import kind_of
from provider_core.stream.waiting import retry_after

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from provider_core.stream.kinds import Kind
    from provider_core.stream.words import Complaint
    from provider_core.types import Json

__all__ = ["failure", "from_value", "not_a_completion", "who"]

_NOTHING: Mapping[str, str] = MappingProxyType({})
_DETAIL = 500
"""Characters of a detail that are shown after an error's words."""
_SIGNS_OF_LIFE = re.compile(
    r"^(:.*|(data|id|retry):[ \t]*(\[DONE\]|ping|\d*|\{[ \t]*\"(type|event|object)\":[ \t]*"
    r"\"(ping|heartbeat|keep[-_]?alive)\"[^{}]*\})?|event:.*)\r?$",
    re.MULTILINE,
)
"""Lines of an event stream that hold nothing."""

_SAYS: Mapping[Kind, str] = MappingProxyType(
    {
        errors.AuthenticationError: "refused the key",
        errors.PermissionDeniedError: "does not allow this",
        errors.RateLimitError: "limits the rate of requests",
        errors.QuotaError: "has no credit or quota left for this key",
        errors.ContextOverflowError: "says that the prompt does not fit into the context window",
        errors.ContentPolicyError: "refused the content",
        errors.BadRequestError: "refused the request",
        errors.WrongEndpointError: "does not serve this model as chat completions",
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


_SIGN_IN = re.compile(
    "(?:sign_?in|log_?in|auth(?:orization|orize)?|verification)_?(?:complete_?)?(?:url|uri)(?:_complete)?",
    re.IGNORECASE,
)
_SIGN_IN_AT = re.compile(
    r"\b(?:sign|log) ?in (?:at|via|with|on|to):? (https?://[^\s\"'<>]+[^\s\"'<>.,;)])", re.IGNORECASE
)
_WEB = re.compile(r"https?://[^\s/@\\\x00-\x20\x7f-\x9f]+(?:/[!-~]*)?")
"""An address without credentials, in printable ASCII."""


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
    text = body[: limits.ERROR_BODY].decode("utf-8", "replace").strip().lstrip("\ufeff").strip()
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
    status: int,
    content_type: str,
    head: bytes,
    *,
    provider: str | None,
    secrets: tuple[str, ...] = (),
    streamed: bool = False,
) -> errors.ProtocolError:
    """Return the error for an answer of status 200 that holds no answer; ``head`` is how its body begins.

    Its code is "empty_body" or, if a stream was asked for, "empty_stream" where nothing came but signs of life.
    """
    text = head.decode("utf-8", "replace").strip().lstrip("\ufeff").strip()
    code = None
    if not _SIGNS_OF_LIFE.sub("", text).strip():
        code = "empty_stream" if streamed else "empty_body"
    kind = clean(content_type.partition(";")[0], secrets, 100) or "no content type"
    if text.startswith("<"):
        words = clean(reading.title(text), secrets, 500)
        rest = f"a web page: {words}" if words else "a web page"
    else:
        words = clean(text, secrets, 200)
        rest = f"beginning with: {_line(words)}" if words else "an empty body"
        if words and code is not None:
            rest = "an empty stream"
    message = f"{who(provider)} sent no chat completion ({status}, {kind}), but {rest}"
    message = message.replace(", but beginning", ", beginning")
    return errors.ProtocolError(message, provider=provider, status=status, code=code, words=words)


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
    kind = kind_of(outcome if outcome is not None else said.status, said, words, json_body=json_body)
    location = headers.get("location", "") if outcome is not None and 300 <= outcome < 400 else ""
    if location:
        words = clean(f"redirected to {location.partition('?')[0]}", secrets)
    spoken = words or _phrase(outcome)
    number = outcome if outcome is not None else said.status
    shown = f" ({number})" if number is not None else ""
    message = f"{who(provider)} {_SAYS[kind]}{shown}" + (f": {_line(spoken)}" if spoken else "")
    if said.param and kind is errors.BadRequestError and said.param not in words:
        said.details.insert(0, f"parameter: {said.param}")
    for detail in dict.fromkeys(_line(clean(each, secrets, _DETAIL)) for each in said.details):
        if detail and detail not in message:
            message += f" ({detail})"
    error = kind(
        message,
        provider=provider,
        status=outcome,
        code=clean(said.code, secrets, 200) if said.code else None,
        type=clean(said.type, secrets, 200) if said.type else None,
        param=clean(said.param, secrets, 200) if said.param else None,
        words=words,
        retry_after=retry_after(headers, words, value),
    )
    if isinstance(error, errors.AuthenticationError):
        asked = _SIGN_IN_AT.search(words)
        error.sign_in = _sign_in(value, secrets) or (asked[1] if asked and _WEB.fullmatch(asked[1]) else "")
    return error


def _sign_in(value: Json, secrets: tuple[str, ...], depth: int = 3) -> str:
    """Return the web address at which a 401 asks to sign in, or "": Ollama's ``signin_url`` and its kin."""
    if not isinstance(value, dict) or depth == 0:
        return ""
    for key, item in value.items():
        if isinstance(item, str) and _SIGN_IN.fullmatch(key) and _WEB.fullmatch(item):
            return clean(item, secrets, 300)
    return next((found for item in value.values() if (found := _sign_in(item, secrets, depth - 1))), "")


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
