"""The wire log: everything, in whole lines, and without secrets in any form."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest
from scripted import Answer, Scripted, answer, delta, sse

from provider_core.client import Client
from provider_core.errors import CoreError
from provider_core.http.transport import HttpTransport
from provider_core.testing import FakeTransport, cut
from provider_core.testing import Scripted as Script
from provider_core.types import ImagePart, Message, Network, Provider, Request, TextPart, Transport

KEY = "sk-canary/+0123456789abcdef"
OTHER = "tok-0987654321fedcba"
PASSWORD = "pr0xy-passw0rd-1234"


class Log:
    """The lines that were logged of one chat, which may fail; none of them may contain a part of a secret."""

    def __init__(self, transport: Transport, url: str, content: Any, **provider: Any) -> None:
        self.lines: list[tuple[str, str]] = []
        request = Request(model="m", messages=(Message(role="user", content=content),))
        lab = Provider(name="lab", base_url=url, **{"network": Network(retries=0), **provider})
        try:
            list(Client(transport).chat(lab, request, key=KEY, log=lambda *line: self.lines.append(line)))
        except CoreError as error:
            self.lines.append(("error", error.message))
        self.words = [words for _, words in self.lines]
        everything = "\n".join(self.words).lower()
        for secret in (KEY, OTHER, PASSWORD, base64.b64encode(f"me:{PASSWORD}".encode()).decode()):
            for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1].replace("/", "\\/")):
                assert form.lower() not in everything
            for at in range(len(secret) - 12):
                assert secret[at : at + 12].lower() not in everything

    def of(self, mark: str) -> list[str]:
        return [words for each, words in self.lines if each == mark]

    @property
    def body(self) -> str:
        return next(words for words in self.of(">") if words.startswith("{"))


def log_of(server: Scripted, reply: Any, content: Any = "hi", **provider: Any) -> Log:
    """The log of a chat with a real server."""
    server.will(*(reply if isinstance(reply, tuple) else (reply,)))
    with HttpTransport({}) as transport:
        return Log(transport, server.url, content, **provider)


def log_of_body(*body: Any, content: str = "hi") -> Log:
    """The log of a chat with a fake server that sends these pieces."""
    return Log(FakeTransport(Script(body=body)), "http://lab.test/v1", content)


def test_everything_is_logged_in_order(server: Scripted) -> None:
    log = log_of(server, answer("Hello"))
    marks = [mark for mark, _ in log.lines]
    assert marks == sorted(marks, key=[">", "*", "<", "<<"].index)
    assert log.words[0] == f"POST {server.url}/chat/completions"
    assert {"authorization: [redacted]", "content-type: application/json"} <= set(log.words)
    beginnings = (f"connecting to 127.0.0.1:{server.port} (", "connected (", "the request is sent (")
    assert [words.startswith(begin) for words, begin in zip(log.of("*"), beginnings, strict=True)] == [
        True
    ] * 3
    assert log.of("<")[0].startswith("HTTP 200 (")
    assert json.loads(log.body) == server.asked[0].body
    received = log.of("<<")
    assert received[-1] == "data: [DONE]"
    assert json.loads(received[0].removeprefix("data: "))["choices"][0]["delta"]["content"] == "Hello"


@pytest.mark.parametrize("form", [KEY, quote(KEY, safe=""), KEY.replace("/", "\\/"), KEY[:20], KEY[5:]])
@pytest.mark.parametrize("pieces", [1, 3, 10_000])
def test_an_echo_of_the_key_is_redacted_however_it_is_cut(server: Scripted, form: str, pieces: int) -> None:
    body = f'{{"error": {{"message": "the key {form} is refused"}}}}'.encode()
    size = max(1, len(body) // pieces)
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    log = log_of(server, Answer(parts, status=401, headers={"content-type": "application/json"}))
    assert "".join(log.of("<<")).count("[redacted]") == 1


def test_headers_are_redacted_by_name_and_by_content(server: Scripted) -> None:
    reply = {
        "content-type": "text/event-stream",
        "set-cookie": "sid=verysecret",
        "x-echo": f"you said {KEY} and {OTHER}",
        "x-ratelimit-remaining-tokens": "1999",
        "location": f"http://127.0.0.1/?api_key={quote(KEY, safe='')}",
    }
    custom = {"X-Auth-Token": OTHER, "X-Team": "red", "X-Copy": f"also {OTHER}"}
    log = log_of(server, Answer(answer("x"), headers=reply), headers=custom, auth="api-key")
    assert server.asked[0].headers["api-key"] == KEY
    assert set(log.words) >= {
        "api-key: [redacted]",
        "x-auth-token: [redacted]",
        "x-copy: also [redacted]",
        "x-team: red",
        "set-cookie: [redacted]",
        "x-ratelimit-remaining-tokens: 1999",
    }


def test_a_redirect_with_the_key_is_redacted(server: Scripted) -> None:
    there = f"http://u:{quote(KEY, safe='')}@127.0.0.1:1/{KEY}/chat/completions?key={KEY}"
    log_of(server, Answer([b""], status=307, headers={"location": there}))


@pytest.mark.parametrize("before", [0, *range(3900, 3960, 3), 5000])
def test_a_key_in_the_prompt_is_redacted_even_across_the_cut(before: int) -> None:
    log = log_of_body(*answer("fine"), content="x" * before + KEY + "y" * 5000)
    assert not any("sk-c" in words for words in log.words)
    assert len(log.body) < 4100
    assert log.body.endswith("more characters]")


def test_images_are_logged_by_their_size(server: Scripted) -> None:
    picture = base64.b64encode(bytes(range(256)) * 4).decode()
    parts = (TextPart(text="what is it?"), ImagePart(url=f"data:image/png;base64,{picture}"))
    log = log_of(server, answer("x"), parts)
    assert f"data:image/png;base64,[{len(picture)} characters]" in log.body
    assert picture[:60] not in log.body


def test_a_proxy_is_named_without_its_password() -> None:
    network = Network(retries=0, connect_timeout=2, proxy=f"http://me:{PASSWORD}@127.0.0.1:1")
    with HttpTransport({}) as transport:
        log = Log(transport, "http://lab.test/v1", "hi", network=network)
    assert "connecting to the proxy http://127.0.0.1:1 (" in "\n".join(log.words)


def test_lines_are_joined_from_pieces() -> None:
    body = b"".join([*sse(delta("größe ✓")), b": a comment\r\n", b"data: [DONE]\n\n"])
    received = log_of_body(*(body[at : at + 1] for at in range(len(body)))).of("<<")
    assert json.loads(received[0].removeprefix("data: "))["choices"][0]["delta"]["content"] == "größe ✓"
    assert received[1:] == [": a comment", "data: [DONE]"]


def test_an_incomplete_line_is_logged() -> None:
    assert log_of_body(*sse(delta("x")), b"data: {", cut).lines[-1] == ("<<", "data: {")


def test_each_attempt_is_logged(server: Scripted) -> None:
    busy = Answer([b'{"error":{"message":"busy"}}'], status=503, headers={"retry-after": "0.01"})
    log = log_of(server, (busy, answer("x")), network=Network(retries=2))
    heads = [words.partition(" (")[0] for words in log.of("<") if words.startswith("HTTP")]
    assert heads == ["HTTP 503", "HTTP 200"]
