"""One chat request: its body and headers, its retries, and the events of its answer."""

from __future__ import annotations

import json
import math
import time
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import urljoin, urlsplit

from provider_core import errors, limits
from provider_core.request import RequestAdapter, build_headers, known_secrets, sets_token_limit
from provider_core.structs import Struct, field
from provider_core.types import (
    Call,
    Finished,
    Idle,
    Image,
    Reasoning,
    Retrying,
    Sent,
    Text,
    ToolCall,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from contextlib import AbstractContextManager

    from provider_core.request import UnsupportedFieldCache
    from provider_core.stream import Decoder
    from provider_core.types import (
        AnswerEvent,
        Body,
        Json,
        Network,
        Notice,
        Provider,
        Reply,
        Request,
        Transport,
    )

_TRAILER = 2.0
"""Seconds to wait for what follows a finish reason that came alone: usage, and the mark of the end."""


class Client:
    """Sends chat requests over ``transport``, by default over HTTP. Several threads may use one client.

    ``cache`` stores which fields a server refused; without it, each request finds that out again.
    """

    def __init__(
        self,
        transport: Transport | None = None,
        *,
        cache: UnsupportedFieldCache | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if transport is None:
            from provider_core.http.transport import HttpTransport

            transport = HttpTransport()
        self._transport = transport
        self._cache = cache
        self._clock = clock
        self._sleep = sleep

    def through(self, wrap: Callable[[Transport], Transport]) -> Client:
        """A client with the same cache, whose requests go through the transport that ``wrap`` returns."""
        return Client(wrap(self._transport), cache=self._cache, clock=self._clock, sleep=self._sleep)

    def close(self) -> None:
        """Close the idle connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def chat(
        self,
        provider: Provider,
        request: Request,
        *,
        key: str | None = None,
        notify: Callable[[Notice], None] | None = None,
        log: Callable[[str, str], None] | None = None,
        has_fallback: bool = False,
    ) -> Generator[AnswerEvent, None, None]:
        """The events of one answer, ``Finished`` last. Closing the iterator closes the connection.

        Raises ``ProviderError`` if the server refuses the request, and ``NetworkError`` if nothing of an answer
        arrived, after as many retries as ``provider.network`` allows. ``notify`` is called before each of them. A field
        that the server refuses by name is omitted, or sent under its other name, immediately: that is not a retry.
        ``has_fallback`` means that the caller can ask another model: then only a lost connection is retried.
        Once an answer has begun, an error is in ``Finished``, and so is a regular end without text after the last
        retry.

        ``log`` is called with each line of the wire log, redacted: a mark (">" request, "<" head of the response,
        "<<" its body, "*" connection) and the words. This makes everything slower.
        """
        adapter = RequestAdapter(provider, request, cache=self._cache, notify=notify)
        secrets = known_secrets(provider, key)
        limit: dict[str, Json] = {provider.quirks.max_tokens_field: request.max_tokens}
        own_limit = sets_token_limit({**limit, **request.params})

        def new_decoder(status: int, content_type: str, cost: str, *, streamed: bool) -> Decoder:
            from provider_core.stream import Decoder

            return Decoder(
                status=status,
                content_type=content_type,
                provider=provider.name,
                secrets=secrets,
                own_limit=own_limit,
                streamed=streamed,
                max_characters=request.max_characters,
                cost=cost,
            )

        send = self._transport.send
        if log is not None:
            from provider_core.wire_log import WireLog

            send = partial(WireLog(log, secrets).send, self._transport)
        trace = _trace_for(notify) if notify is not None else None
        retries = Retries(provider.network, clock=self._clock)
        while True:
            cut_short: list[AnswerEvent] = []
            try:
                body = adapter.body
                call = Call(
                    method="POST",
                    url=provider.chat_url(prefill=request.prefill),
                    headers=self.headers(provider, body, key),
                    body=_encoded(body),
                    network=provider.network,
                    provider=provider.name,
                    trace=trace,
                )
                decoder = partial(new_decoder, streamed=bool(body.get("stream")))
                yield from _attempt(call, send, secrets, adapter.accepted, decoder, cut_short)
                return
            except (errors.ProviderError, errors.NetworkError) as error:
                if isinstance(error, errors.AuthenticationError):
                    error.set_key_source(provider.key_source)
                if isinstance(error, errors.ModelNotFoundError):
                    error.model = request.model
                if isinstance(error, errors.ProviderError) and adapter.refused(error):
                    continue
                lost = isinstance(error, errors.ConnectionLostError | errors.ProtocolError)
                next_step = error if has_fallback and not lost else retries.decide(error)
            if not isinstance(next_step, Retrying):
                adapter.given_up()
                if cut_short and not has_fallback:
                    yield from cut_short
                    return
                raise next_step
            if notify is not None:
                notify(next_step)
            self._sleep(next_step.seconds)

    @contextmanager
    def send(
        self,
        provider: Provider,
        method: Literal["GET", "POST"],
        path: str,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        upload: Body | None = None,
    ) -> Iterator[Reply]:
        """Send one request that is not a chat to ``path`` of the provider ("/files?limit=9"), without retries.

        Its body is ``body``, or else ``upload``. Raises ``ProviderError`` for any status but 2xx, and ``NetworkError``.
        """
        url, mark, query = provider.url(path).partition("?")
        call = Call(
            method=method,
            url=f"{url}{mark}{query.replace('?', '&')}",  # that of the base URL follows
            headers={
                "accept": "application/json",
                **build_headers(provider, key),
                **(headers or {}),
            },
            body=body,
            upload=upload,
            network=provider.network,
            provider=provider.name,
        )
        with self._transport.send(call) as reply:
            if not 200 <= reply.status < 300:
                error = _refusal(reply, call, known_secrets(provider, key))
                if isinstance(error, errors.AuthenticationError):
                    error.set_key_source(provider.key_source)
                raise error
            yield reply

    def body(
        self, provider: Provider, request: Request, *, notify: Callable[[Notice], None] | None = None
    ) -> dict[str, Json]:
        """The body that ``chat`` would send first, without the fields that the server is known to refuse.

        ``notify`` is called with each field that is omitted or changed.
        """
        return RequestAdapter(provider, request, cache=self._cache, notify=notify).body

    def headers(self, provider: Provider, body: Mapping[str, Json], key: str | None = None) -> dict[str, str]:
        """The headers of a request with this body; their names are in lower case."""
        return {
            "accept": "text/event-stream" if body.get("stream") else "application/json",
            "content-type": "application/json",
            **build_headers(provider, key),
        }


class OpenProvider(Struct):
    """A provider that can be asked now: its key was found, or its model is running."""

    client: Client
    provider: Provider
    key: str | None = field(default=None, repr=False)


# --- one attempt -------------------------------------------------------------------------------------------


def _attempt(
    call: Call,
    send: Callable[[Call], AbstractContextManager[Reply]],
    secrets: tuple[str, ...],
    accepted: Callable[[], None],
    new_decoder: Callable[..., Decoder],
    cut_short: list[AnswerEvent],
) -> Iterator[AnswerEvent]:
    """The events of one attempt. Raises an error only while no event was yielded.

    If the answer ended regularly, but too early and without any text, its events are added to ``cut_short``.
    """
    with send(call) as reply:
        if not 200 <= reply.status < 300:
            raise _refusal(reply, call, secrets)
        accepted()
        headers = reply.headers
        decoder = new_decoder(
            reply.status, headers.get("content-type", ""), headers.get("x-litellm-response-cost", "")
        )
        broken: errors.NetworkError | errors.ProviderError | None = None
        idle_limited = False
        try:
            for chunk in reply.chunks():
                yield from decoder.feed(chunk)
                if decoder.done:
                    break
                if decoder.settled is not idle_limited:
                    idle_limited = decoder.settled
                    reply.limit_idle(_TRAILER if idle_limited else None)
        except (errors.NetworkError, errors.ProviderError) as error:
            # After a finish reason that came with text, silence is the end as well; it is only noticed later.
            broken = None if isinstance(error, errors.DeadlineError) and decoder.finished else error
        last = decoder.close(broken)
        if not decoder.received_text and (failure := _error_without_answer(last)) is not None:
            if isinstance(failure, errors.ConnectionLostError) and broken is None:
                cut_short += last
            raise failure
        yield from last


def _trace_for(notify: Callable[[Notice], None]) -> Callable[[str], None]:
    def trace(step: str) -> None:
        if step.endswith(".send_request_body.complete"):
            notify(Sent())
            import_module("provider_core.stream")  # the server works meanwhile
        elif step == "idle":
            notify(Idle())

    return trace


def _error_without_answer(events: list[AnswerEvent]) -> errors.NetworkError | errors.ProviderError | None:
    """The error of an attempt whose events contain nothing of an answer."""
    for event in events:
        match event:
            case Text() | Reasoning() | ToolCall(cut=False) | Image():
                return None
            case Finished(
                verdict=Verdict.FAILED | Verdict.PARTIAL,
                error=errors.NetworkError() | errors.ProviderError() as error,
            ):
                return error
    return None


def _encoded(body: dict[str, object]) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        raise errors.InvalidInputError("the request contains text that is not valid Unicode") from None


def _refusal(reply: Reply, call: Call, secrets: tuple[str, ...]) -> errors.ProviderError:
    from provider_core.redaction import printable, redact
    from provider_core.stream.failures import ErrorReader

    headers = dict(reply.headers)
    place = ""
    if 300 <= reply.status < 400:
        place = headers["location"] = _redirect(headers.get("location", ""), call.url)
    error = ErrorReader(call.provider, secrets).from_response(reply.status, _read(reply), headers)
    if isinstance(error, errors.NotFoundError) and printable(redact(place, secrets)) == place:
        error.suggested_base = _base_url(place, call.url)
    error.should_retry = {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())
    return error


def _redirect(location: str, url: str) -> str:
    """The target of a redirect, without user, password, query and fragment; "" if it is not valid.

    It is only shown: following it would turn the POST into a GET, or send the key to another server.
    """
    if not location.strip():
        return ""
    try:
        target = urlsplit(urljoin(url, location.strip()))
        host, port = target.hostname or "", target.port
    except ValueError:
        return ""
    if target.scheme not in ("http", "https") or not host:
        return ""
    host = f"[{host}]" if ":" in host else host
    return f"{target.scheme}://{host}{f':{port}' if port else ''}{target.path}"


def _base_url(place: str, url: str) -> str | None:
    """The base URL of a redirect to other chat completions; None if the key would be sent there unencrypted."""
    base, path, rest = place.rpartition("/chat/completions")
    if not path or rest.strip("/") or (url.startswith("https:") and not base.startswith("https:")):
        return None
    return None if place.rstrip("/") == url.partition("?")[0].rstrip("/") else base


def _read(reply: Reply) -> bytes:
    """The body of an error, or the part that arrives: a broken or endless one must not hide the status."""
    body = b""
    try:
        for chunk in reply.chunks():
            body += chunk
            if len(body) >= limits.ERROR_BODY:
                break
    except (errors.NetworkError, errors.ProviderError):
        pass
    return body


# --- retries -----------------------------------------------------------------------------------------------

_FIRST_DELAY = 0.5
_MAX_DELAY = 8.0
_JITTER = 0.25
_LOADING_RETRIES = 16


def max_retries_for(error: errors.CoreError, retries: int) -> int:
    """How many of ``retries`` this error is worth; 0 if the request would fail the same way again.

    The class decides, and ``x-should-retry`` if the server sends it. A used-up quota is never retried.
    """
    match error:
        case errors.QuotaError():
            return 0
        case errors.ProviderError(should_retry=bool(retry)):
            return retries if retry else 0
        case errors.OverloadedError(type="unavailable_error") if retries:
            # llama.cpp while it loads its model: it answers as soon as it can, and the budget bounds the waits.
            return max(retries, _LOADING_RETRIES)
        case errors.RateLimitError() | errors.OverloadedError() | errors.ProviderError(status=408 | 409):
            return retries
        case errors.ServerError(status=501 | 505):
            return 0
        case errors.ServerError(status=500 | None):
            # Some servers call a request that they cannot render an internal error: it fails every time.
            return min(retries, 2)
        case errors.ServerError():
            return retries
        case errors.ConnectionLostError() | errors.ProtocolError(code="empty_stream" | "empty_body"):
            # Usually an idle connection that the server closed at the moment of its next use.
            return min(retries, 1)
        case errors.DeadlineError(phase="connect"):
            return min(retries, 1)
        case errors.ConnectError(transient=True):
            return retries
        case _:
            return 0


def backoff(made: int, random: Callable[[], float]) -> float:
    """Seconds to wait before the retry after ``made`` others; ``random`` returns a number from 0 to 1."""
    longest = min(_MAX_DELAY, _FIRST_DELAY * 2.0 ** min(made, 16))
    return longest * (1 - _JITTER * random())


class Retries:
    """The retries of one request, limited by their number and by a time budget."""

    def __init__(
        self,
        network: Network,
        *,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] | None = None,
    ) -> None:
        self._network = network
        self._clock = clock
        self._random = random
        self._started = clock()
        self._made = 0

    def decide(self, error: errors.CoreError) -> Retrying | errors.CoreError:
        """The retry after ``error``; or the error to raise.

        A delay that the server names is observed exactly, but 0 is ignored. If the budget does not allow the delay,
        the error is returned, and names the time.
        """
        if self._made >= max_retries_for(error, self._network.retries):
            return error
        asked = error.retry_after if isinstance(error, errors.ProviderError) else None
        seconds = asked or backoff(self._made, self._random or _random)
        if seconds > self._started + self._network.retry_budget - self._clock():
            if asked:
                error.explain(f"it asks for a wait of {_duration(asked)}")
            return error
        self._made += 1
        return Retrying(error=error, seconds=seconds, attempt=self._made + 1)


def _random() -> float:
    from random import random  # imports hashlib and more, for a rare case

    return random()  # noqa: S311 - to spread clients, not to keep a secret


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{math.ceil(seconds)} s"
    return f"{math.ceil(seconds / 60)} min" if seconds < 7200 else f"{math.ceil(seconds / 3600)} h"
