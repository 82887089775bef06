"""The transport over streamable HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import secrets
import socket
import ssl
from typing import TYPE_CHECKING

import httpx2
from mcp.client.streamable_http import streamable_http_client  # light, because _content has replaced "mcp"

from provider_core import __version__, limits
from provider_core.errors import ToolServerError
from provider_core.http import find_proxy
from provider_core.http.connections import tls_context
from provider_core.redaction import clean
from provider_core.settings.validators import origin
from provider_core.tools.mcp._content import dump_message, parse_message
from provider_core.types import Network

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping

    from mcp.client._transport import TransportStreams

    from provider_core.settings.mcp import McpServer
    from provider_core.tools.mcp._process import ServerCredentials

_CONNECT = 10.0
"""Seconds for a connection, and for sending; the timeouts of calls are the session's."""

_NOTICE = 1.0
"""Seconds for a server to accept a message without an answer: that a call is cancelled, or the session over."""

_LINE_END = re.compile(rb"(?<=[\r\n])")

_MAX_QUOTE = 300
_MAX_REFUSAL = 64 << 10
"""Bytes that are read of an error."""


class StreamableHttpTransport(httpx2.AsyncBaseTransport):
    """An ``McpTransport``. Raises ``SettingsError`` for proxies and certificates that cannot be used.

    As the client's transport, it adds the server's headers to requests to its origin, and stops all others. The SDK
    would end the whole session at a failed connection, and forget why a request was refused. So a request without a
    result is answered here, with an error of the protocol whose data is a key of ``_failures``.
    """

    def __init__(self, server: McpServer, credentials: ServerCredentials, environ: Mapping[str, str]) -> None:
        proxy, _ = find_proxy(server.url, environ)
        self._proxy = None
        if proxy is not None:
            context = tls_context(Network(), environ) if proxy.scheme == "https" else None
            self._proxy = httpx2.Proxy(url=str(proxy), auth=proxy.auth, ssl_context=context)
        self._verify = tls_context(Network(), environ) if server.url.startswith("https:") else False
        self._server = server
        self._credentials = credentials
        self._origin = origin(server.url)
        self._failures: dict[str, ToolServerError] = {}

    @contextlib.asynccontextmanager
    async def streams(self, on_end: Callable[[], None]) -> AsyncGenerator[TransportStreams]:
        self._inner = httpx2.AsyncHTTPTransport(verify=self._verify, trust_env=False, proxy=self._proxy)
        timeout = httpx2.Timeout(None, connect=_CONNECT, write=_CONNECT)
        async with (
            httpx2.AsyncClient(transport=self, timeout=timeout, trust_env=False) as client,
            streamable_http_client(
                self._server.url, http_client=client, max_sse_event_size=limits.TOOL_MESSAGE
            ) as streams,
        ):
            yield streams

    async def aclose(self) -> None:
        await self._inner.aclose()

    def failure(self, data: object) -> ToolServerError | None:
        return self._failures.pop(data, None) if isinstance(data, str) else None

    async def ending(self) -> str:
        return ""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if origin(str(request.url)) != self._origin:
            return self._redirected(str(request.url))
        for name, value in self._credentials.values.items():
            request.headers[name] = value
        request.headers["user-agent"] = f"telex/{__version__}"
        request.headers["accept-encoding"] = "identity"  # decompressed data would have no limit
        if request.method == "GET":
            return await self._inner.handle_async_request(request)
        if request.method != "POST" or not _wants_answer(await request.aread()):
            return await self._send_notice(request)
        try:
            return await self._checked(request, await self._inner.handle_async_request(request))
        except httpx2.TransportError as error:
            words = f"cannot be reached at {self._origin}: {self._clean(_reason(error))}"
            return self._failed(words, code="connect")

    async def _send_notice(self, request: httpx2.Request) -> httpx2.Response:
        """Send a message that has no answer. The client's next message comes after it, so it must not hang."""
        with contextlib.suppress(TimeoutError, httpx2.TransportError):
            async with asyncio.timeout(_NOTICE):
                response = await self._inner.handle_async_request(request)
                await response.aclose()
                return httpx2.Response(response.status_code, headers=_without_framing(response))
        return httpx2.Response(202 if request.method == "POST" else 200)

    async def _checked(self, request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        """The response if the SDK can handle it, else an error in its place."""
        status = response.status_code
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if response.has_redirect_location:
            target = str(request.url.join(response.headers["location"]))
            if status in (307, 308) and origin(target) == self._origin:
                return response
            await response.aclose()
            return self._redirected(target)
        if status >= 400:
            return await self._refused(request, response, kind)
        if status == 202:
            await response.aclose()
            return self._failed("did not answer the request (HTTP 202)")
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            return self._failed("sent a compressed answer, which telex does not support")
        if kind == "text/event-stream":
            stream, extensions = _EventStream(response), response.extensions
            return httpx2.Response(status, headers=response.headers, stream=stream, extensions=extensions)
        body = await _body(response, limits.TOOL_MESSAGE)
        if body is None:
            return self._failed(f"sent a message of more than {limits.TOOL_MESSAGE >> 20} MiB")
        try:
            body = dump_message(parse_message(body))
        except ValueError:
            return self._failed(f"sent an answer that is not valid JSON-RPC: {kind or 'no content type'}")
        return httpx2.Response(status, headers=_without_framing(response), content=body)

    async def _refused(
        self, request: httpx2.Request, response: httpx2.Response, kind: str
    ) -> httpx2.Response:
        status, body = response.status_code, await _body(response, _MAX_REFUSAL) or b""
        if status == 404 and "mcp-session-id" in request.headers:
            return self._failed("has ended the session (HTTP 404)", code="session")
        if status in (404, 405) and b'"initialize"' in request.content:
            return self._failed(
                f"does not accept requests at this address (HTTP {status}). It may be that of the older HTTP+SSE "
                "transport, which telex does not support; the address of streamable HTTP often ends in /mcp"
            )
        said: object = None
        with contextlib.suppress(ValueError, RecursionError):
            said = json.loads(body)
        error = said.get("error") if isinstance(said, dict) else None
        denied = {
            401: "refused the credentials" if self._credentials.secrets else "requires credentials",
            403: "does not allow this",
        }.get(status)
        text = error
        if isinstance(error, dict):
            if isinstance(error.get("code"), int) and kind == "application/json" and denied is None:
                return httpx2.Response(status, headers=_without_framing(response), content=body)
            text = error.get("message")
        words = f": {self._clean(text)}" if isinstance(text, str) and text else ""
        if denied is not None:
            return self._failed(f"{denied} (HTTP {status}){words}", code="access")
        return self._failed(f"answered with HTTP {status}{words}")

    def _redirected(self, url: str) -> httpx2.Response:
        return self._failed(f"redirects to {url.partition('?')[0]}, which telex does not follow")

    def _clean(self, words: str) -> str:
        return " ".join(clean(words, self._credentials.secrets, _MAX_QUOTE).split())

    def _failed(self, words: str, *, code: str | None = None) -> httpx2.Response:
        name = self._server.name
        error = ToolServerError(f"the MCP server {name} {words}", server=name, code=code)
        key = secrets.token_hex(8)
        self._failures[key] = error
        said = {"code": -32603, "message": error.message, "data": key}
        return httpx2.Response(502, json={"jsonrpc": "2.0", "id": None, "error": said})


class _EventStream(httpx2.AsyncByteStream):
    """A stream of events with acceptable messages. A broken connection ends it: the SDK then misses the result.

    Servers put a message into one line.
    """

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        line, size = list[bytes](), 0
        with contextlib.suppress(httpx2.TransportError):
            async for chunk in self._response.aiter_raw():
                *ended, rest = _LINE_END.split(chunk)
                if ended:
                    line.append(ended[0])
                    yield b"".join((_sanitized_line(b"".join(line)), *map(_sanitized_line, ended[1:])))
                    line, size = [], 0
                line.append(rest)
                size += len(rest)
                if size > limits.TOOL_MESSAGE:  # the SDK refuses it
                    yield b"".join(line)
                    line, size = [], 0
        yield b"".join(line)

    async def aclose(self) -> None:
        await self._response.aclose()


def _sanitized_line(line: bytes) -> bytes:
    if not line.startswith(b"data:"):
        return line
    try:
        message = dump_message(parse_message(line[5:]))
    except ValueError:
        return line
    return b"data: " + message + line[len(line.rstrip(b"\r\n")) :]


async def _body(response: httpx2.Response, limit: int) -> bytes | None:
    """The whole body, or None if it is longer than ``limit`` bytes."""
    body = bytearray()
    try:
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > limit:
                return None
    finally:
        await response.aclose()
    return bytes(body)


def _wants_answer(body: bytes) -> bool:
    """Whether this is a request of the protocol, and not a notification or an answer."""
    said = json.loads(body)
    return "id" in said and "method" in said


def _without_framing(response: httpx2.Response) -> list[tuple[str, str]]:
    framing = ("content-length", "transfer-encoding", "connection")
    return [(name, value) for name, value in response.headers.multi_items() if name.lower() not in framing]


def _reason(error: BaseException) -> str:
    """The system's own words if there are some: those of the libraries say less."""
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
                return os.strerror(number)  # asyncio has words of its own
            case BaseExceptionGroup():
                deepest = deepest.exceptions[0]
            case _:
                deepest = deepest.__cause__ or deepest.__context__
    return str(error) or type(error).__name__
