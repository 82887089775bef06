"""One chat completion from end to end: body, call, bytes, events; where keys come from is not its business."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from provider_core import quirks
from provider_core._version import __version__
from provider_core.errors import InvalidInputError, NetworkError
from provider_core.stream import Decoder, failure
from provider_core.types import Call

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provider_core.types import Event, Provider, Reply, Request, Transport

__all__ = ["Client"]

_ERROR_BODY_LIMIT = 1 << 20


class Client:
    """Asks providers over ``transport``; without one, over real HTTP."""

    def __init__(self, transport: Transport | None = None) -> None:
        if transport is None:
            from provider_core.http import HttpTransport

            transport = HttpTransport()
        self._transport = transport

    def close(self) -> None:
        """Close the connections that are kept for reuse."""
        self._transport.close()

    def chat(self, provider: Provider, request: Request, *, key: str | None = None) -> Iterator[Event]:
        """The events of one answer, ``Finished`` last; closing the iterator closes the connection.

        Raises ``ProviderError`` when the server refuses the request, and ``NetworkError`` when nothing of an
        answer arrived. Once an answer has begun, what goes wrong is in ``Finished``: the text stays.
        """
        call = Call(
            method="POST",
            url=provider.url("/chat/completions"),
            headers={
                "accept": "text/event-stream" if request.stream else "application/json",
                "content-type": "application/json",
                "user-agent": f"telex/{__version__}",
                **quirks.headers(provider, key),
            },
            body=_encoded(quirks.body(provider, request)),
            network=provider.network,
            provider=provider.name,
        )
        secrets = (key,) if key else ()
        with self._transport.send(call) as reply:
            if not 200 <= reply.status < 300:
                raise failure(
                    reply.status, _read(reply), reply.headers, provider=provider.name, secrets=secrets
                )
            decoder = Decoder(
                status=reply.status,
                content_type=reply.headers.get("content-type", ""),
                provider=provider.name,
                secrets=secrets,
            )
            broken: NetworkError | None = None
            try:
                for chunk in reply.chunks():
                    yield from decoder.feed(chunk)
                    if decoder.done:
                        break
            except NetworkError as error:
                if not decoder.received_text:
                    raise
                broken = error
            yield from decoder.close(broken)


def _encoded(body: dict[str, object]) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        raise InvalidInputError("the prompt holds half a surrogate pair, which is no text") from None


def _read(reply: Reply) -> bytes:
    """The body of an error, as far as it comes: a broken or endless one must not hide the status."""
    parts: list[bytes] = []
    size = 0
    try:
        for chunk in reply.chunks():
            parts.append(chunk)
            size += len(chunk)
            if size >= _ERROR_BODY_LIMIT:
                break
    except NetworkError:
        pass
    return b"".join(parts)
