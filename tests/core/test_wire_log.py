"""The wire log: everything, in whole lines, and without secrets in any form."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from scripted import Answer, Scripted, answer, delta, sse

from provider_core.client import Client
from provider_core.errors import CoreError
from provider_core.http import HttpTransport
from provider_core.testing import FakeTransport, cut
from provider_core.testing import Scripted as Script
from provider_core.types import ImagePart, Message, Network, Provider, Request, TextPart

KEY = "sk-canary/+0123456789abcdef"
OTHER = "tok-0987654321fedcba"


def logged(
    provider: Provider, transport: HttpTransport | FakeTransport, request: Request | None = None
) -> list[tuple[str, str]]:
    """The lines that are logged of one chat, which may fail."""
    lines: list[tuple[str, str]] = []
    request = request or Request(model="m", messages=(Message(role="user", content="hi"),))
    try:
        list(Client(transport).chat(provider, request, key=KEY, log=lambda *line: lines.append(line)))
    except CoreError as error:
        lines.append(("error", error.message))
    return lines


def at(server: Scripted, **fields: object) -> Provider:
    network = Network(retries=0)
    return Provider(name="lab", base_url=server.url, **{"network": network, **fields})  # type: ignore[arg-type]


def assert_silent(lines: list[tuple[str, str]]) -> None:
    everything = "\n".join(words for _, words in lines).lower()
    for secret in (KEY, OTHER):
        for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1].replace("/", "\\/")):
            assert form.lower() not in everything
        for at in range(len(secret) - 12):
            assert secret[at : at + 12].lower() not in everything


def test_everything_is_logged_in_order(server: Scripted) -> None:
    server.will(answer("Hello"))
    with HttpTransport({}) as transport:
        lines = logged(at(server), transport)
    marks = [mark for mark, _ in lines]
    assert marks == sorted(marks, key=[">", "*", "<", "<<"].index)
    words = [words for _, words in lines]
    assert words[0] == f"POST {server.url}/chat/completions"
    assert "authorization: [redacted]" in words
    assert "content-type: application/json" in words
    assert any(f"connecting to 127.0.0.1:{server.port} (" in line for line in words)
    assert any(line.startswith("connected (") for line in words)
    assert any(line.startswith("the request is sent (") for line in words)
    assert any(line.startswith("HTTP 200 (") for line in words)
    sent = next(line for mark, line in lines if mark == ">" and line.startswith("{"))
    assert json.loads(sent) == server.asked[0].body
    received = [line for mark, line in lines if mark == "<<"]
    assert received[-1] == "data: [DONE]"
    assert json.loads(received[0].removeprefix("data: "))["choices"][0]["delta"]["content"] == "Hello"


@pytest.mark.parametrize("form", [KEY, quote(KEY, safe=""), KEY.replace("/", "\\/"), KEY[:20], KEY[5:]])
@pytest.mark.parametrize("pieces", [1, 3, 10_000])
def test_an_echo_of_the_key_is_redacted_however_it_is_cut(server: Scripted, form: str, pieces: int) -> None:
    body = f'{{"error": {{"message": "the key {form} is refused"}}}}'.encode()
    size = max(1, len(body) // pieces)
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    server.will(Answer(parts, status=401, headers={"content-type": "application/json"}))
    with HttpTransport({}) as transport:
        lines = logged(at(server), transport)
    assert_silent(lines)
    assert "".join(words for mark, words in lines if mark == "<<").count("[redacted]") == 1


def test_headers_are_redacted_by_name_and_by_content(server: Scripted) -> None:
    reply = {
        "content-type": "text/event-stream",
        "set-cookie": "sid=verysecret",
        "x-echo": f"you said {KEY} and {OTHER}",
        "x-ratelimit-remaining-tokens": "1999",
        "location": f"http://127.0.0.1/?api_key={quote(KEY, safe='')}",
    }
    server.will(Answer(answer("x"), headers=reply))
    custom = {"X-Auth-Token": OTHER, "X-Team": "red", "X-Copy": f"also {OTHER}"}
    with HttpTransport({}) as transport:
        lines = logged(at(server, headers=custom), transport)
    assert_silent(lines)
    words = [words for _, words in lines]
    assert "x-auth-token: [redacted]" in words
    assert "x-copy: also [redacted]" in words
    assert "x-team: red" in words
    assert "set-cookie: [redacted]" in words
    assert "x-ratelimit-remaining-tokens: 1999" in words


def test_a_redirect_with_the_key_is_redacted(server: Scripted) -> None:
    there = f"http://u:{quote(KEY, safe='')}@127.0.0.1:1/{KEY}/chat/completions?key={KEY}"
    server.will(Answer([b""], status=307, headers={"location": there}))
    with HttpTransport({}) as transport:
        assert_silent(logged(at(server), transport))


def test_the_key_in_azures_header_is_redacted(server: Scripted) -> None:
    server.will(answer("x"))
    with HttpTransport({}) as transport:
        lines = logged(at(server, auth="api-key"), transport)
    assert server.asked[0].headers["api-key"] == KEY
    assert (">", "api-key: [redacted]") in lines
    assert_silent(lines)


@pytest.mark.parametrize("before", [0, *range(3900, 3960, 3), 5000])
def test_a_key_in_the_prompt_is_redacted_even_across_the_cut(before: int) -> None:
    text = "x" * before + KEY + "y" * 5000
    request = Request(model="m", messages=(Message(role="user", content=text),))
    lines = logged(Provider(name="lab", base_url="http://lab.test/v1"), FakeTransport("fine"), request)
    assert_silent(lines)
    assert not any("sk-c" in words for _, words in lines)


def test_long_lines_are_cut_and_their_length_is_logged(server: Scripted) -> None:
    server.will(answer("x"))
    request = Request(model="m", messages=(Message(role="user", content="word " * 100_000),))
    with HttpTransport({}) as transport:
        lines = logged(at(server), transport, request)
    body = next(words for mark, words in lines if mark == ">" and words.startswith("{"))
    assert len(body) < 4100
    assert body.endswith("more characters]")


def test_images_are_logged_by_their_size(server: Scripted) -> None:
    server.will(answer("x"))
    picture = base64.b64encode(bytes(range(256)) * 4).decode()
    parts = (TextPart(text="what is it?"), ImagePart(url=f"data:image/png;base64,{picture}"))
    request = Request(model="m", messages=(Message(role="user", content=parts),))
    with HttpTransport({}) as transport:
        lines = logged(at(server), transport, request)
    body = next(words for mark, words in lines if mark == ">" and words.startswith("{"))
    assert f"data:image/png;base64,[{len(picture)} characters]" in body
    assert picture[:60] not in body


def test_a_proxy_is_named_without_its_password() -> None:
    password = "pr0xy-passw0rd-1234"
    network = Network(retries=0, connect_timeout=2, proxy=f"http://me:{password}@127.0.0.1:1")
    provider = Provider(name="lab", base_url="http://lab.test/v1", network=network)
    with HttpTransport({}) as transport:
        lines = logged(provider, transport)
    everything = "\n".join(words for _, words in lines)
    assert "connecting to the proxy http://127.0.0.1:1 (" in everything
    assert password not in everything
    assert base64.b64encode(f"me:{password}".encode()).decode() not in everything
    assert_silent(lines)


def test_lines_are_joined_from_pieces() -> None:
    body = b"".join([*sse(delta("größe ✓")), b": a comment\r\n", b"data: [DONE]\n\n"])
    pieces = [body[at : at + 1] for at in range(len(body))]
    lines = logged(
        Provider(name="lab", base_url="http://lab.test/v1"), FakeTransport(Script(body=tuple(pieces)))
    )
    received = [words for mark, words in lines if mark == "<<"]
    assert len(received) == 3
    assert json.loads(received[0].removeprefix("data: "))["choices"][0]["delta"]["content"] == "größe ✓"
    assert received[1:] == [": a comment", "data: [DONE]"]


def test_an_incomplete_line_is_logged() -> None:
    transport = FakeTransport(
        Script(body=(b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n', b"data: {", cut))
    )
    lines = logged(Provider(name="lab", base_url="http://lab.test/v1"), transport)
    assert lines[-1] == ("<<", "data: {")


def test_each_attempt_is_logged(server: Scripted) -> None:
    busy = Answer([b'{"error":{"message":"busy"}}'], status=503, headers={"retry-after": "0.01"})
    server.will(busy, Answer(answer("x")))
    with HttpTransport({}) as transport:
        lines = logged(at(server, network=Network(retries=2)), transport)
    heads = [words.partition(" (")[0] for mark, words in lines if mark == "<" and words.startswith("HTTP")]
    assert heads == ["HTTP 503", "HTTP 200"]
