"""The way over streamable HTTP: secrets go to the server's own address alone, and every failure has a sentence."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import secrets
import socket
import ssl
from typing import TYPE_CHECKING, cast

import httpx2
from mcp.client.streamable_http import (
    streamable_http_client,  # after ``_sdk``, which makes this a light import
)

from provider_core import limits
from provider_core._version import __version__
from provider_core.errors import ToolServerError
from provider_core.http import Proxies, tls_context
from provider_core.redaction import clean
from provider_core.settings.validators import origin
from provider_core.tools.mcp._mending import parsed
from provider_core.types import Network

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping

    from mcp.client._transport import TransportStreams

    from provider_core.settings.mcp import McpServer
    from provider_core.tools.mcp._secrets import Given

__all__ = ["Gate", "Web"]

_CONNECT = 10.0
"""Seconds for a connection, and for sending; how long an answer may take is the caller's business."""

_HEARD = 1.0
"""Seconds for a server to take what needs no answer: that a call is given up, that the session is over."""

_PROBE = 3.0
"""Seconds for finding out whether an address that takes no POST speaks the older transport."""

_NO_POST = (400, 404, 405, 406, 415, 501)
_OLDER = (
    "does not accept POST at this address: it may speak the older HTTP+SSE transport, which telex does not support. "
    "See whether the server has an address for streamable HTTP, often one that ends in /mcp"
)

_LINE_END = re.compile(rb"(?<=[\r\n])")

_LONGEST_WORDS = 300
_LONGEST_REFUSAL = 64 << 10


class Web:
    """A ``Way``. Raises ``SettingsError`` for proxies and certificates that cannot be used."""

    def __init__(self, server: McpServer, given: Given, environ: Mapping[str, str]) -> None:
        proxy = Proxies(environ).choose(server.url)
        self._by = None
        if proxy is not None:
            secure = tls_context(Network(), environ) if proxy.scheme == "https" else None
            self._by = httpx2.Proxy(url=str(proxy), auth=proxy.auth, ssl_context=secure)
        self._trust = tls_context(Network(), environ) if server.url.startswith("https:") else False
        self._server = server
        self._given = given
        self._gates: list[Gate] = []

    @contextlib.asynccontextmanager
    async def streams(self, on_end: Callable[[], None]) -> AsyncGenerator[TransportStreams]:
        inner = httpx2.AsyncHTTPTransport(verify=self._trust, trust_env=False, proxy=self._by)
        gate = Gate(inner, self._server, self._given)
        self._gates.append(gate)
        waits = httpx2.Timeout(None, connect=_CONNECT, write=_CONNECT)
        async with (
            httpx2.AsyncClient(transport=gate, timeout=waits, trust_env=False) as client,
            streamable_http_client(
                self._server.url, http_client=client, max_sse_event_size=limits.TOOL_MESSAGE
            ) as streams,
        ):
            yield streams

    def failure(self, data: object) -> ToolServerError | None:
        return next((found for gate in self._gates if (found := gate.failure(data)) is not None), None)

    async def ending(self) -> str:
        return ""


class Gate(httpx2.AsyncBaseTransport):
    """Adds the server's headers to requests that go to its origin, and lets no other request pass.

    The protocol's client would end the whole session at a failed connection, and forget why a request was
    refused. So a request without a result is answered here, with an error of the protocol's own whose data is
    a ticket; ``failure`` gives the reason for it.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport, server: McpServer, given: Given) -> None:
        self._inner = inner
        self._server = server
        self._given = given
        self._origin = origin(server.url)
        self._failures: dict[str, ToolServerError] = {}

    def failure(self, ticket: object) -> ToolServerError | None:
        """Why the request that was answered with this ticket failed; None for what is no ticket."""
        return self._failures.pop(ticket, None) if isinstance(ticket, str) else None

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if origin(str(request.url)) != self._origin:
            return self._failed(self._moved(str(request.url)))
        for name, value in self._given.values.items():
            request.headers[name] = value
        request.headers["user-agent"] = f"telex/{__version__}"
        request.headers["accept-encoding"] = "identity"  # what is unpacked could not be limited
        if request.method == "GET":
            return await self._inner.handle_async_request(request)
        if request.method != "POST" or not _wants_answer(await request.aread()):
            return await self._told(request)
        try:
            return await self._checked(request, await self._inner.handle_async_request(request))
        except httpx2.TransportError as error:
            return self._failed(self._unreachable(error))

    async def _told(self, request: httpx2.Request) -> httpx2.Response:
        """Send what nobody waits for an answer to. The client's next message goes after it, so it may not hang."""
        with contextlib.suppress(TimeoutError, httpx2.TransportError):
            async with asyncio.timeout(_HEARD):
                response = await self._inner.handle_async_request(request)
                await response.aclose()
                return httpx2.Response(response.status_code, headers=_bare(response))
        return httpx2.Response(202 if request.method == "POST" else 200)

    async def _checked(self, request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if response.status_code >= 400:
            if response.status_code == 404 and "mcp-session-id" in request.headers:
                await response.aclose()
                words = f"the MCP server {self._server.name} has forgotten the session (HTTP 404)"
                return self._failed(ToolServerError(words, server=self._server.name, code="session"))
            first = response.status_code in _NO_POST and b'"initialize"' in request.content
            if first and (response.status_code == 405 or await self._streams_on_get(request)):
                await response.aclose()
                return self._failed(self._no_result(f"{_OLDER} (HTTP {response.status_code})"))
            return await self._refused(response, kind)
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            return self._failed(self._no_result("compressed its answer although asked not to"))
        if response.has_redirect_location:
            to = str(request.url.join(response.headers["location"]))
            if response.status_code in (307, 308) and origin(to) == self._origin:
                return response
            await response.aclose()
            return self._failed(self._moved(to))
        if response.status_code == 202:
            await response.aclose()
            return self._failed(self._no_result("accepted a request without answering it (HTTP 202)"))
        if kind == "text/event-stream":
            return _with(response, _Quiet(response))
        body = await _body(response, limits.TOOL_MESSAGE)
        if body is None:
            words = f"sent a message of more than {limits.TOOL_MESSAGE >> 20} MiB"
            return self._failed(self._no_result(words))
        try:
            body = parsed(body).model_dump_json(by_alias=True, exclude_unset=True).encode()
        except ValueError:
            words = f"sent an answer that is not valid JSON-RPC: {kind or 'no content type'}"
            return self._failed(self._no_result(words))
        return httpx2.Response(response.status_code, headers=_bare(response), content=body)

    async def _streams_on_get(self, request: httpx2.Request) -> bool:
        """Whether the address answers GET with events at once, as that of the older transport does."""
        framing = ("content-length", "content-type", "transfer-encoding", "accept")
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in framing]
        asked = httpx2.Request("GET", request.url, headers=[*headers, ("accept", "text/event-stream")])
        with contextlib.suppress(TimeoutError, httpx2.TransportError):
            async with asyncio.timeout(_PROBE):
                response = await self._inner.handle_async_request(asked)
                kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
                await response.aclose()
                return response.status_code == 200 and kind == "text/event-stream"
        return False

    async def _refused(self, response: httpx2.Response, kind: str) -> httpx2.Response:
        body = await _body(response, _LONGEST_REFUSAL) or b""
        status = response.status_code
        said: object = None
        with contextlib.suppress(ValueError, RecursionError):
            said = json.loads(body)
        error = said.get("error") if isinstance(said, dict) else None
        proper = isinstance(error, dict) and isinstance(error.get("code"), int)
        if proper and kind == "application/json" and status not in (401, 403):
            return httpx2.Response(status, headers=_bare(response), content=body)
        words = error.get("message") if isinstance(error, dict) else error
        return self._failed(self._status(status, words if isinstance(words, str) else ""))

    def _status(self, status: int, words: str) -> ToolServerError:
        name, said = self._server.name, self._clean(words)
        said = f": {said}" if said else ""
        if status in (401, 403):
            wants = "wants credentials" if status == 401 else "does not allow this"
            if self._given.secrets:
                wants = "refuses the credentials it was given" if status == 401 else wants
            return ToolServerError(
                f"the MCP server {name} {wants} (HTTP {status}){said}", server=name, code="access"
            )
        if status == 404:
            return self._no_result(f"does not know this address or session (HTTP 404){said}")
        return self._no_result(f"answered with HTTP {status}{said}")

    def _unreachable(self, error: Exception) -> ToolServerError:
        words = self._clean(_reason(error))
        return ToolServerError(
            f"the MCP server {self._server.name} cannot be reached at {self._origin}: {words}",
            server=self._server.name,
            code="connect",
        )

    def _moved(self, url: str) -> ToolServerError:
        return self._no_result(f"redirects to {url.partition('?')[0]}, which telex does not follow")

    def _no_result(self, words: str) -> ToolServerError:
        return ToolServerError(f"the MCP server {self._server.name} {words}", server=self._server.name)

    def _clean(self, words: str) -> str:
        return " ".join(clean(words, self._given.secrets, _LONGEST_WORDS).split())

    def _failed(self, error: ToolServerError) -> httpx2.Response:
        ticket = secrets.token_hex(8)
        self._failures[ticket] = error
        said = {"code": -32603, "message": error.message, "data": ticket}
        return httpx2.Response(502, json={"jsonrpc": "2.0", "id": None, "error": said})


class _Quiet(httpx2.AsyncByteStream):
    """A stream of events that ends where it breaks off: that there was no result is noticed then.

    Each message, which servers put into one line, is made fit for the SDK.
    """

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        line, size = list[bytes](), 0
        with contextlib.suppress(httpx2.TransportError):
            async for chunk in _stream(self._response):
                *ended, rest = _LINE_END.split(chunk)
                if ended:
                    line.append(ended[0])
                    yield b"".join((_fit(b"".join(line)), *map(_fit, ended[1:])))
                    line, size = [], 0
                line.append(rest)
                size += len(rest)
                if size > limits.TOOL_MESSAGE:  # the SDK refuses it
                    yield b"".join(line)
                    line, size = [], 0
        yield b"".join(line)

    async def aclose(self) -> None:
        await self._response.aclose()


def _fit(line: bytes) -> bytes:
    if not line.startswith(b"data:"):
        return line
    try:
        message = parsed(line[5:]).model_dump_json(by_alias=True, exclude_unset=True).encode()
    except ValueError:
        return line
    return b"data: " + message + line[len(line.rstrip(b"\r\n")) :]


async def _body(response: httpx2.Response, limit: int) -> bytes | None:
    """The whole body, or None where it is longer than ``limit``."""
    parts: list[bytes] = []
    size = 0
    try:
        async for chunk in _stream(response):
            size += len(chunk)
            if size > limit:
                return None
            parts.append(chunk)
    finally:
        await _stream(response).aclose()
    return b"".join(parts)


def _stream(response: httpx2.Response) -> httpx2.AsyncByteStream:
    return cast("httpx2.AsyncByteStream", response.stream)  # an asynchronous transport's is


def _wants_answer(body: bytes) -> bool:
    """Whether this is a request of the protocol: notifications and answers are only taken."""
    said = json.loads(body)
    return "id" in said and "method" in said


def _bare(response: httpx2.Response) -> list[tuple[str, str]]:
    framing = ("content-length", "transfer-encoding", "connection")
    return [(name, value) for name, value in response.headers.multi_items() if name.lower() not in framing]


def _with(response: httpx2.Response, stream: httpx2.AsyncByteStream) -> httpx2.Response:
    return httpx2.Response(
        response.status_code, headers=response.headers, stream=stream, extensions=response.extensions
    )


def _reason(error: BaseException) -> str:
    """What the system said, where it has said something; the libraries above it say less."""
    deepest: BaseException | None = error
    while deepest is not None:
        match deepest:
            case ssl.SSLCertVerificationError(verify_message=words):
                return f"its certificate is not trusted: {words}"
            case ssl.SSLError(reason=str(words)) if words:
                return f"TLS failed: {words.lower().replace('_', ' ')}"
            case socket.gaierror(strerror=str(words)):
                return words
            case OSError(errno=int(number)) if number > 0:
                return os.strerror(number)  # asyncio has words of its own here
            case BaseExceptionGroup():
                deepest = deepest.exceptions[0]
            case _:
                deepest = deepest.__cause__ or deepest.__context__
    return str(error) or type(error).__name__
