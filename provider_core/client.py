"""One chat completion from end to end: body, call, bytes, events; where keys come from is not its business."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Self
from urllib.parse import urljoin, urlsplit

from provider_core import limits
from provider_core._version import USER_AGENT
from provider_core.errors import (
    AuthenticationError,
    ConnectionLostError,
    DeadlineError,
    InvalidInputError,
    ModelNotFoundError,
    NetworkError,
    NotFoundError,
    ProviderError,
)
from provider_core.redaction import printable, redact
from provider_core.request import RequestAdapter, build_headers, known_secrets, sets_token_limit
from provider_core.retry import Retries
from provider_core.stream import Decoder, response_error
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
    from provider_core.types import AnswerEvent, Json, Notice, Provider, Reply, Request, Transport

_TRAILER = 2.0
"""Seconds for what follows a finish reason that came alone: usage, and the mark of the end."""


class Client:
    """Asks providers over ``transport``; without one, over real HTTP. Several threads may use one client.

    ``memory`` keeps which fields a server refused; without one each request finds that out anew.
    """

    def __init__(
        self,
        transport: Transport | None = None,
        *,
        memory: UnsupportedFieldCache | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if transport is None:
            from provider_core.http import HttpTransport

            transport = HttpTransport()
        self._transport = transport
        self._memory = memory
        self._clock = clock
        self._sleep = sleep

    def close(self) -> None:
        """Close the connections that are kept for reuse."""
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
        watch: Callable[[str, str], None] | None = None,
    ) -> Generator[AnswerEvent, None, None]:
        """The events of one answer, ``Finished`` last; closing the iterator closes the connection.

        ``watch`` is told of what goes over the wire, line by line and redacted: a mark (">" for what is sent,
        "<" for the answer's head, "<<" for its body, "*" for what is done) and the words. It makes everything slower.

        Raises ``ProviderError`` when the server refuses the request, and ``NetworkError`` when nothing of an
        answer arrived, after as many retries as ``provider.network`` allows; ``notify`` is told of each before
        it is waited for. Once an answer has begun, what goes wrong is in ``Finished``: the text stays. So it is
        where a server ends an answer properly and too early, at the last retry, even before any text. A
        field that the server refuses by name is left out, or sent under its other name, at once; that is no
        retry.
        """
        negotiation = RequestAdapter(provider, request, memory=self._memory, notify=notify)
        call = Call(
            method="POST",
            url=provider.url("/chat/completions"),
            headers={},
            network=provider.network,
            provider=provider.name,
            trace=_tell_sent(notify) if notify is not None else None,
        )
        secrets = known_secrets(provider, key)
        limit: dict[str, Json] = {provider.quirks.max_tokens_field: request.max_tokens}
        own_limit = sets_token_limit({**limit, **request.params})
        if watch is not None:
            from provider_core.wire_log import WireLog

            wire = WireLog(watch, secrets)
            call = wire.watched(call)
        retries = Retries(provider.network, clock=self._clock)
        while True:
            try:
                headers = self.headers(
                    provider, negotiation.body, key
                )  # a repair may have ended the streaming
                attempt = replace(call, headers=headers, body=_encoded(negotiation.body))
                send = self._transport.send
                if watch is not None:
                    send = partial(wire.send, self._transport)
                decoder = partial(
                    Decoder,
                    provider=provider.name,
                    secrets=secrets,
                    own_limit=own_limit,
                    streamed=bool(negotiation.body.get("stream")),
                    max_characters=request.max_characters,
                )
                yield from self._attempt(attempt, send, secrets, negotiation.accepted, decoder)
                return
            except _CutShortError as cut:
                next_step, rest = retries.decide(cut.error), cut.events
            except (ProviderError, NetworkError) as error:
                if isinstance(error, AuthenticationError):
                    error.key_source = provider.key_source
                if isinstance(error, ModelNotFoundError):
                    error.model = request.model
                if isinstance(error, ProviderError) and negotiation.refused(error):
                    continue
                next_step, rest = retries.decide(error), []
            if not isinstance(next_step, Retrying):
                negotiation.given_up()
                if rest:
                    yield from rest
                    return
                raise next_step
            if notify is not None:
                notify(next_step)
            self._sleep(next_step.seconds)

    def body(
        self, provider: Provider, request: Request, *, notify: Callable[[Notice], None] | None = None
    ) -> dict[str, Json]:
        """What ``chat`` would send first for this request, as far as it is known today what the server refuses.

        ``notify`` is told what of the request is not in it.
        """
        return RequestAdapter(provider, request, memory=self._memory, notify=notify).body

    def headers(self, provider: Provider, body: Mapping[str, Json], key: str | None = None) -> dict[str, str]:
        """The headers of a request with this body; their names are in lower case."""
        return {
            "accept": "text/event-stream" if body.get("stream") else "application/json",
            "content-type": "application/json",
            "user-agent": USER_AGENT,
            **build_headers(provider, key),
        }

    def _attempt(
        self,
        call: Call,
        send: Callable[[Call], AbstractContextManager[Reply]],
        secrets: tuple[str, ...],
        accepted: Callable[[], None],
        new_decoder: Callable[..., Decoder],
    ) -> Iterator[AnswerEvent]:
        """The events of one attempt. It raises only while nothing has been handed out."""
        with send(call) as reply:
            if not 200 <= reply.status < 300:
                raise _refusal(reply, call, secrets)
            accepted()
            decoder = new_decoder(status=reply.status, content_type=reply.headers.get("content-type", ""))
            broken: NetworkError | ProviderError | None = None
            limit_idle: Callable[[float | None], None] | None = getattr(reply, "limit_idle", None)
            idle_limited = False
            try:
                for chunk in reply.chunks():
                    yield from _joined(decoder.feed(chunk))
                    if decoder.done:
                        break
                    if limit_idle is not None and decoder.settled is not idle_limited:
                        idle_limited = decoder.settled
                        limit_idle(_TRAILER if idle_limited else None)
            except (NetworkError, ProviderError) as error:
                # Silence after a finish reason that came with text is the end, too; it only takes longer to tell.
                broken = None if isinstance(error, DeadlineError) and decoder.finished else error
            last = decoder.close(broken)
            if not decoder.received_text and (nothing := _nothing(last)) is not None:
                if isinstance(nothing, ConnectionLostError) and broken is None:
                    raise _CutShortError(nothing, last)
                raise nothing
            yield from last


class OpenProvider(Struct):
    """A provider that can be asked now: its key was found, or its model is running."""

    client: Client
    provider: Provider
    key: str | None = field(default=None, repr=False)


class _CutShortError(Exception):
    """An answer without a word in it that ended properly and too early; ``events`` are its last ones."""

    def __init__(self, error: ConnectionLostError, events: list[AnswerEvent]) -> None:
        super().__init__(error.message)
        self.error = error
        self.events = events


def _tell_sent(notify: Callable[[Notice], None]) -> Callable[[str], None]:
    def trace(step: str) -> None:
        if step.endswith(".send_request_body.complete"):
            notify(Sent())
        elif step == "idle":
            notify(Idle())

    return trace


def _joined(events: list[AnswerEvent]) -> list[AnswerEvent]:
    """The events with pieces of text that came together in one: each has a price for whoever shows it."""
    if len(events) < 2:
        return events
    joined: list[AnswerEvent] = []
    pieces: list[str] = []
    kind: type[Text | Reasoning] = Text
    for event in events:
        if isinstance(event, Text | Reasoning):
            if type(event) is not kind and pieces:
                joined.append(kind(text="".join(pieces)))
                pieces.clear()
            kind = type(event)
            pieces.append(event.text)
            continue
        if pieces:
            joined.append(kind(text="".join(pieces)))
            pieces.clear()
        joined.append(event)
    if pieces:
        joined.append(kind(text="".join(pieces)))
    return joined


def _nothing(events: list[AnswerEvent]) -> NetworkError | ProviderError | None:
    """Why an attempt failed whose events hold no answer at all, not even a piece of one."""
    for event in events:
        match event:
            case Text() | Reasoning() | ToolCall(cut=False) | Image():
                return None
            case Finished(
                verdict=Verdict.FAILED | Verdict.PARTIAL, error=NetworkError() | ProviderError() as error
            ):
                return error
    return None


def _refusal(reply: Reply, call: Call, secrets: tuple[str, ...]) -> ProviderError:
    headers = dict(reply.headers)
    place = ""
    if 300 <= reply.status < 400:
        place = headers["location"] = _place(headers.get("location", ""), call.url)
    error = response_error(reply.status, _read(reply), headers, provider=call.provider, secrets=secrets)
    if isinstance(error, NotFoundError) and printable(redact(place, secrets)) == place:
        error.suggested_base = _base(place, call.url)
    error.should_retry = {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())
    return error


def _place(location: str, asked: str) -> str:
    """Where a redirect points, to be shown: without user, password, query and fragment; "" where it does not.

    It is not followed: that would turn the POST into a GET, or carry the key to whoever was named.
    """
    if not location.strip():
        return ""
    try:
        target = urlsplit(urljoin(asked, location.strip()))
        host, port = target.hostname or "", target.port
    except ValueError:
        return ""
    if target.scheme not in ("http", "https") or not host:
        return ""
    host = f"[{host}]" if ":" in host else host
    return f"{target.scheme}://{host}{f':{port}' if port else ''}{target.path}"


def _base(place: str, asked: str) -> str | None:
    """The base URL of a place that is another one's chat completions, unless the key would go there in the clear."""
    base, path, rest = place.rpartition("/chat/completions")
    if not path or rest.strip("/") or (asked.startswith("https:") and not base.startswith("https:")):
        return None
    return None if place.rstrip("/") == asked.partition("?")[0].rstrip("/") else base


def _encoded(body: dict[str, object]) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        raise InvalidInputError("the request holds half a surrogate pair, which is not valid text") from None


def _read(reply: Reply) -> bytes:
    """The body of an error, as far as it comes: a broken or endless one must not hide the status."""
    parts: list[bytes] = []
    size = 0
    try:
        for chunk in reply.chunks():
            parts.append(chunk)
            size += len(chunk)
            if size >= limits.ERROR_BODY:
                break
    except (NetworkError, ProviderError):
        pass
    return b"".join(parts)
