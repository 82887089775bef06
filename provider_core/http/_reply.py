"""The body of an answer as it arrives, and what becomes of its connection; what the bytes mean is not known here."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from provider_core.errors import DeadlineError, NetworkError, ProtocolError
from provider_core.http._failures import translated
from provider_core.http._library import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import httpcore

    from provider_core.http._failures import Route
    from provider_core.http._patience import Patience

__all__ = ["HttpReply"]

_ERROR_BODY = 3.0
"""Seconds the body of an error may take: it comes with its head, and must not hide the status."""

_TAIL = 0.1
"""Seconds for what stands behind ``[DONE]``: a body that was read to its end leaves a connection for the next."""

_TAIL_BYTES = 1 << 16

_PAUSES = 2.5
"""How many of the pauses that a hastened body may make it may last: signs of life do not stretch it."""

_ENCODINGS = frozenset(("", "identity", "gzip", "deflate"))


class HttpReply:
    """An HTTP answer whose body is still to come."""

    def __init__(self, answer: httpcore.Response, route: Route, patience: Patience) -> None:
        self._route = route
        self._patience = patience
        self._response = httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer, patience))
        self._rest = self._response.iter_bytes()
        self._whole = False
        if answer.status >= 300:
            patience.limit_total(_ERROR_BODY)

    @property
    def status(self) -> int:
        return self._response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case; a lookup takes either."""
        return self._response.headers

    def chunks(self) -> Iterator[bytes]:
        """The body as it arrives, decompressed; goes on where an earlier reading was left."""
        encoding = self.headers.get("content-encoding", "").strip().lower()
        if encoding not in _ENCODINGS:
            # Only one who was not asked to compress gets here, and then with something rarer than gzip.
            text = f"{self._route.who} compressed its answer in a way that was not asked for: {encoding[:40]}"
            raise ProtocolError(text, provider=self._route.provider)
        # Not "yield from": to leave this generator early must not end the one that holds the connection.
        while (chunk := self._next()) is not None:
            yield chunk

    def limit_idle(self, seconds: float | None) -> None:
        """Take a pause of ``seconds`` for the end of the body from now on; also one that only signs of life fill.

        None goes back to the usual idle timeout.
        """
        if seconds is None:
            self._patience.relax()
        else:
            self._patience.limit_idle(seconds, _PAUSES * seconds)

    def finish(self) -> None:
        """Read what little may be left of the body, so that the connection can serve again."""
        if self._whole or not self._patience.received:
            return
        self._patience.limit_total(_TAIL)
        end = self._patience.received + _TAIL_BYTES
        with contextlib.suppress(NetworkError, ProtocolError):
            while self._patience.received < end and self._next() is not None:
                pass

    def close(self) -> None:
        """Give the connection back, or close it where the body is not at its end."""
        self._response.close()

    def _next(self) -> bytes | None:
        try:
            with translated(self._route, self._patience):
                chunk = next(self._rest, None)
        except DeadlineError:
            if not self._patience.idle_limited:
                raise
            chunk = None
        self._whole = chunk is None
        return chunk


class _Body(httpx.SyncByteStream):
    """httpcore's body as httpx wants it; the phase of the call follows the bytes before they are decompressed."""

    def __init__(self, answer: httpcore.Response, patience: Patience) -> None:
        self._answer = answer
        self._patience = patience

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._answer.iter_stream():
            self._patience.take(len(piece))
            yield piece

    def close(self) -> None:
        self._answer.close()
