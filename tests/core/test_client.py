"""One chat request: what is sent, what comes back, and how each failure ends.

The contract is the same over any transport, so that its tests run over a fake one and over real sockets.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from scripted import DONE, Answer, Cut, Pause, Scripted, answer, delta, sse
from worlds import FakeWorld, World

from provider_core.client import Client
from provider_core.errors import (
    AuthenticationError,
    BadRequestError,
    ConnectionLostError,
    DeadlineError,
    InvalidInputError,
    NotFoundError,
    OverloadedError,
    ProtocolError,
    ProviderError,
    QuotaError,
    ServerError,
)
from provider_core.http.transport import HttpTransport
from provider_core.probe import RecordingTransport
from provider_core.testing import FakeTransport
from provider_core.types import (
    Finished,
    Idle,
    Message,
    Network,
    Provider,
    Reasoning,
    Request,
    Retrying,
    Sent,
    Text,
    ToolCall,
    Transport,
    Usage,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provider_core.types import AnswerEvent, Notice

KEY = "sk-secret-0123456789abcdef"
HI = Request(model="m", messages=(Message(role="user", content="hi"),))
COMPLETE, PARTIAL = Verdict.COMPLETE, Verdict.PARTIAL


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Asker:
    """A client whose waits take no time, and the retries that it reported."""

    def __init__(self, transport: Transport, url: str, **provider: Any) -> None:
        self.clock = Clock()
        self.client = Client(transport, clock=self.clock, sleep=self.clock.sleep)
        self.provider = Provider(name="p", base_url=url, **provider)
        self.retries: list[Retrying] = []
        self.events: list[AnswerEvent] = []

    def __call__(self, text: str = "hi", **fields: Any) -> Asker:
        request = Request(model="m", messages=(Message(role="user", content=text),), **fields)
        self.events = []
        for event in self.client.chat(self.provider, request, key=KEY, notify=self._note):
            self.events.append(event)
        return self

    def _note(self, notice: Notice) -> None:
        if isinstance(notice, Retrying):
            self.retries.append(notice)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.of(Text))

    @property
    def end(self) -> Finished:
        assert isinstance(self.events[-1], Finished)
        return self.events[-1]


@pytest.fixture
def ask(world: World) -> Asker:
    return Asker(world.transport, world.url)


def refused(status: int, words: str = "no", *, body: Any = None, **headers: str) -> Answer:
    text = json.dumps({"error": {"message": words}}).encode()
    return Answer(
        [text] if body is None else body, status, {name.replace("_", "-"): v for name, v in headers.items()}
    )


def reply(body: bytes, kind: str = "application/json") -> Answer:
    return Answer([body], headers={"content-type": kind})


def error_event(kind: str, words: str = "boom") -> dict[str, Any]:
    return {"error": {"message": words, "type": kind}}


def called(arguments: str, finish: str | None = None) -> dict[str, Any]:
    return delta(
        tool_calls=[{"index": 0, "id": "c1", "function": {"name": "f", "arguments": arguments}}],
        finish=finish,
    )


BUSY = refused(503, "busy")
NEVER = answer("never")


# --- what is sent ------------------------------------------------------------------------------------------


def test_the_request_names_what_it_accepts_and_who_asks(server: Scripted) -> None:
    server.will(answer("x"))
    with HttpTransport({}) as transport:
        ask = Asker(transport, f"{server.url}?api-version=1", headers={"X-Title": "t"})
        ask()
        ask(stream=False)
    streamed, whole = server.asked
    assert streamed.path == "/v1/chat/completions?api-version=1"
    assert streamed.headers["authorization"] == f"Bearer {KEY}"
    assert streamed.headers["x-title"] == "t"
    assert streamed.headers["accept"] == "text/event-stream"
    assert streamed.headers["user-agent"].startswith("telex/")
    assert whole.headers["accept"] == "application/json"
    assert streamed.body["messages"] == [{"role": "user", "content": "hi"}]
    assert server.connections == 1, "the connection is reused"


def test_half_a_surrogate_pair_is_refused_before_anything_is_sent(world: World, ask: Asker) -> None:
    world.will(answer("x"))
    with pytest.raises(InvalidInputError, match="the request contains text that is not valid Unicode"):
        ask("\ud83d")
    assert world.requests == 0


def test_closing_the_iterator_closes_the_connection() -> None:
    world = FakeWorld()
    world.will(answer("a", "b", "c"))
    events = Client(world.transport).chat(Provider(name="p", base_url=world.url, auth="none"), HI)
    next(events)
    assert world.fake.open == 1
    events.close()
    assert world.fake.open == 0


def test_closing_the_client_closes_the_transport() -> None:
    transport = FakeTransport()
    with Client(transport):
        assert not transport.closed
    assert transport.closed


# --- answers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "text", "verdict", "error", "requests"),
    [
        pytest.param([answer("Hel", "lo")], "Hello", COMPLETE, None, 1, id="streamed"),
        pytest.param(
            [reply(b'{"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}')],
            "Hello", COMPLETE, None, 1, id="not streamed",
        ),
        pytest.param([[*answer("one"), *sse(delta("two")), DONE]], "one", COMPLETE, None, 1, id="after done"),
        pytest.param([[*sse(delta(finish="stop")), DONE]], "", Verdict.EMPTY, ProtocolError, 1, id="empty"),
        *(
            pytest.param([reply(body)], "", Verdict.EMPTY, ProtocolError, 1, id=f"without an answer {body!r}")
            for body in (b'{"choices":[]}', b'{"choices":[{}]}\n', b'{"choices":["Hello"]}')
        ),
        pytest.param(
            [Answer([*sse(delta("Hel")), Cut()]), NEVER], "Hel", PARTIAL, ConnectionLostError, 1, id="cut after text"
        ),
        pytest.param(
            [Answer([*sse(delta(reasoning_content="Hm")), Cut()]), NEVER],
            "", PARTIAL, ConnectionLostError, 1, id="cut after reasoning",
        ),
        pytest.param(
            [sse(delta("Hel"), error_event("server_error")), NEVER],
            "Hel", Verdict.FAILED, ServerError, 1, id="failed after text",
        ),
        pytest.param([[*sse(called('{"a":1}', "tool_calls")), DONE], NEVER], "", COMPLETE, None, 1, id="a tool call"),
        *(
            pytest.param([sse(sent)], "", PARTIAL, ConnectionLostError, 2, id=f"ends without text after {name}")
            for name, sent in (
                ("nothing", delta("")), ("a role", delta(role="assistant")), ("half a call", called('{"a":')),
            )
        ),
        pytest.param([sse(delta("")), answer("hello")], "hello", COMPLETE, None, 2, id="ends without text once"),
        pytest.param(
            [Answer([b": comment\n\n", Cut()]), answer("hello")], "hello", COMPLETE, None, 2, id="cut before text"
        ),
        pytest.param([BUSY, BUSY, answer("hello")], "hello", COMPLETE, None, 3, id="busy"),
        *(
            pytest.param(
                [sse(*before, error_event(kind)), answer("hello")],
                "hello", COMPLETE, None, 2, id=f"{kind} after {len(before)} chunks",
            )
            for kind in ("server_error", "internal_error", "overloaded_error", "rate_limit_error")
            for before in ([], [delta("")])
        ),
    ],
)  # fmt: skip
def test_an_answer_has_this_text_and_end(
    world: World, ask: Asker, steps: Any, text: str, verdict: Verdict, error: Any, requests: int
) -> None:
    world.will(*steps)
    ask()
    assert (ask.text, ask.end.verdict) == (text, verdict)
    assert isinstance(ask.end.error, error or type(None))
    assert (world.requests, len(ask.retries)) == (requests, requests - 1)


def test_usage_and_calls_are_events(world: World, ask: Asker) -> None:
    broken = sse({"choices": [], "usage": {"prompt_tokens": 1}}, error_event("server_error"))
    usage = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 1}}
    world.will(broken, [*sse(called('{"a":1}', "tool_calls"), usage), DONE])
    ask()
    assert [event.input for event in ask.of(Usage)] == [7], "those of a failed attempt are not counted"
    assert [event.name for event in ask.of(ToolCall)] == ["f"]


# --- errors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "kind", "words", "requests"),
    [
        *(
            pytest.param([refused(status)], kind, "no", 1, id=str(status))
            for status, kind in (
                (400, BadRequestError), (401, AuthenticationError), (402, QuotaError), (404, NotFoundError),
            )
        ),
        pytest.param([refused(401, body=[b'{"error":{"mess', Cut()])], AuthenticationError, "", 1, id="a cut error"),
        pytest.param([BUSY], OverloadedError, "busy", 3, id="busy"),
        pytest.param([Answer([b": comment\n\n", Cut()])], ConnectionLostError, "", 2, id="cut twice before text"),
        pytest.param([sse(error_event("overloaded_error"))], OverloadedError, "boom", 3, id="overloaded in a stream"),
        pytest.param(
            [sse(error_event("invalid_request_error", "no such field"))], BadRequestError, "no such field", 1,
            id="refused in a stream",
        ),
        pytest.param(
            [reply(b"<html><title>Sign in</title></html>", "text/html")], ProtocolError, "Sign in", 1, id="a web page"
        ),
        pytest.param([refused(400, x_should_retry="true")], BadRequestError, "no", 3, id="400, retry"),
        pytest.param([refused(503, x_should_retry="false")], OverloadedError, "no", 1, id="503, do not retry"),
        pytest.param([refused(503, x_should_retry="maybe")], OverloadedError, "no", 3, id="503, retry unclear"),
        pytest.param([refused(402, x_should_retry="true")], QuotaError, "no", 1, id="402, retry"),
    ],
)  # fmt: skip
def test_an_error_before_any_text_is_raised_after_its_retries(
    world: World, ask: Asker, steps: Any, kind: type[ProviderError], words: str, requests: int
) -> None:
    world.will(*steps)
    with pytest.raises(kind, match=words or None) as caught:
        ask()
    assert caught.value.provider == "p"
    assert (world.requests, len(ask.retries)) == (requests, requests - 1)


def test_an_endless_error_is_not_read_to_its_end() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 65536

    world = FakeWorld()
    world.will(refused(400, body=endless()))
    with pytest.raises(BadRequestError):
        Asker(world.transport, world.url)()


@pytest.mark.parametrize(
    "header", ["x-portkey-api-key", "X-Auth-Token", "cookie", "x-password", "X-Api-Key", "Session-Token"]
)
def test_secrets_that_a_server_echoes_are_redacted(world: World, header: str) -> None:
    other = "another-secret-9876543210"
    world.will(refused(401, f"bad key {KEY} or {other}"))
    with pytest.raises(AuthenticationError) as caught:
        Asker(world.transport, world.url, headers={header: other})()
    for secret in (KEY, other):
        assert secret not in caught.value.message + caught.value.words


# --- redirects ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("/v1/chat/completions/", "redirected to {url}/chat/completions/"),
        ("{url}/v2/chat?token=hunter2#x", "redirected to {url}/v2/chat"),
        ("https://login.test/start/?token=hunter2", "redirected to https://login.test/start/"),
        ("//me:hunter2@login.test/", "redirected to http://login.test/"),
        ("http://[::1]:8/v1", "redirected to http://[::1]:8/v1"),
        ("http://[broken", ""), ("mailto:hunter2@login.test", ""), ("", ""),
    ],
)  # fmt: skip
def test_a_redirect_is_reported_and_not_followed(world: World, ask: Asker, location: str, words: str) -> None:
    world.will(Answer(status=308, headers={"location": location.format(url=world.url)}))
    with pytest.raises(NotFoundError) as caught:
        ask()
    assert (caught.value.words, caught.value.status) == (words.format(url=world.url), 308)
    assert "hunter2" not in caught.value.message
    assert world.requests == 1


NEW = "https://p.test/v1"


@pytest.mark.parametrize(
    ("asked", "location", "base"),
    [
        (NEW, "https://api.new.example/v2/chat/completions?x=1", "https://api.new.example/v2"),
        ("http://p.test/v1", "https://p.test/v1/chat/completions", NEW),
        (NEW, "/api/v1/chat/completions/", "https://p.test/api/v1"),
        (NEW, "https://p.test/login", None),
        (NEW, "https://p.test/v1/chat/completions/", None),
        (NEW, "http://p.test/v2/chat/completions", None),
        (NEW, f"https://p.test/{KEY}/chat/completions", None),
    ],
)
def test_a_redirect_suggests_a_base_url(asked: str, location: str, base: str | None) -> None:
    world = FakeWorld()
    world.will(Answer(status=301, headers={"location": location}))
    with pytest.raises(NotFoundError) as caught:
        Asker(world.transport, asked)()
    assert caught.value.suggested_base == base
    assert KEY not in caught.value.message


def test_a_redirect_without_a_target_has_the_words_of_its_body(world: World, ask: Asker) -> None:
    world.will(refused(302, "moved away"))
    with pytest.raises(NotFoundError) as caught:
        ask()
    assert (caught.value.words, caught.value.suggested_base) == ("moved away", None)
    assert "redirect" not in caught.value.message


# --- retries -----------------------------------------------------------------------------------------------


def test_retries_are_reported_with_their_waits(world: World, ask: Asker) -> None:
    world.will(BUSY, BUSY, answer("hello"))
    first, second = ask().retries
    assert isinstance(first.error, OverloadedError)
    assert (first.attempt, second.attempt) == (2, 3)
    assert [first.seconds, second.seconds] == ask.clock.slept
    assert 0.375 <= first.seconds <= 0.5
    assert 0.75 <= second.seconds <= 1


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after": "2.5"}, b"", 2.5),
        ({"retry-after-ms": "300", "retry-after": "9"}, b"", 0.3),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:09 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, b"", 9.0),
        ({}, b'{"error":{"details":[{"retryDelay":"17s"}]}}', 17.0),
        ({}, b'{"error":{"message":"Please try again in 230ms."}}', 0.23),
    ],
)
def test_a_time_that_the_server_names_is_waited_for(
    world: World, ask: Asker, headers: dict[str, str], body: bytes, seconds: float
) -> None:
    world.will(Answer([body], status=429, headers=headers), answer("hello"))
    assert ask().text == "hello"
    assert ask.clock.slept == [seconds]


@pytest.mark.parametrize("number", [0, 1, 4])
def test_the_number_of_retries_is_the_providers(world: World, number: int) -> None:
    world.will(BUSY)
    with pytest.raises(OverloadedError):
        Asker(world.transport, world.url, network=Network(retries=number))()
    assert world.requests == 1 + number


def test_ctrl_c_during_a_wait_ends_it(world: World) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    world.will(BUSY)
    with pytest.raises(KeyboardInterrupt):
        list(Client(world.transport, sleep=interrupted).chat(Provider(name="p", base_url=world.url), HI))
    assert world.requests == 1


def test_a_server_that_is_silent_too_long_is_not_retried(server: Scripted) -> None:
    server.will(lambda asked: time.sleep(0.5) or Answer([b"late"]))
    with HttpTransport({}) as transport, pytest.raises(DeadlineError):
        Asker(transport, server.url, network=Network(first_byte_timeout=0.2))()
    assert len(server.asked) == 1


# --- pauses ------------------------------------------------------------------------------------------------

STOP = delta(finish="stop")
USAGE = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 1}}
ROLE = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "stop"}]}


@pytest.mark.parametrize(
    ("body", "idle", "text", "verdict", "error"),
    [
        pytest.param([*sse(delta("Hel")), Pause(60)], 0.2, "Hel", PARTIAL, DeadlineError, id="after text"),
        pytest.param([*sse(delta("Hello", finish="stop")), Pause(60)], 0.3, "Hello", COMPLETE, None, id="finish"),
        pytest.param(
            [*sse(delta("Hello"), STOP), Pause(0.5), *sse(USAGE), DONE], 9, "Hello", COMPLETE, None, id="usage"
        ),
        pytest.param(
            [*sse(delta("Hello"), STOP), Pause(0.3), *sse(delta(" you", finish="stop")), Pause(2.6),
             *sse(delta("!", finish="stop")), DONE],
            30, "Hello you!", COMPLETE, None, id="more text",
        ),
        pytest.param(
            [*sse(delta("Hello"), STOP), Cut(reset=True)], 30, "Hello", PARTIAL, ConnectionLostError, id="reset"
        ),
    ],
)  # fmt: skip
def test_a_pause_ends_an_answer_or_does_not(
    server: Scripted, body: Any, idle: float, text: str, verdict: Verdict, error: Any
) -> None:
    server.will(Answer(body))
    with HttpTransport({}) as transport:
        ask = Asker(transport, server.url, network=Network(idle_timeout=idle))()
    assert (ask.text, ask.end.verdict) == (text, verdict)
    assert isinstance(ask.end.error, error or type(None))


@pytest.mark.parametrize("recorded", [False, True])
def test_silence_after_a_finish_reason_is_not_waited_for(server: Scripted, recorded: bool) -> None:
    server.will(Answer([*sse(delta("Hello"), STOP), Pause(60)]))
    with HttpTransport({}) as transport:
        began = time.monotonic()
        ask = Asker(RecordingTransport(transport) if recorded else transport, server.url)()
    assert (ask.text, ask.end.verdict, ask.end.error) == ("Hello", COMPLETE, None)
    assert 1.5 < time.monotonic() - began < 20
    assert server.asked[0].closed.wait(60)


@pytest.mark.parametrize("recorded", [False, True])
def test_text_after_a_finish_reason_is_waited_for(server: Scripted, recorded: bool) -> None:
    pieces = [
        ROLE,
        *(delta(f"w{n} ", finish="stop") for n in range(3)),
        delta(reasoning_content="hm", finish="stop"),
    ]
    frames = [step for piece in pieces for step in (*sse(piece), Pause(2.6))]
    server.will(Answer([*frames, *sse(delta("end", finish="stop"))]))
    with HttpTransport({}) as transport:
        ask = Asker(RecordingTransport(transport) if recorded else transport, server.url)()
    assert (ask.text, ask.end.verdict) == ("w0 w1 w2 end", COMPLETE)


def test_sent_and_idle_are_reported_once(server: Scripted) -> None:
    server.will([Pause(0.2), *answer("late"), Pause(0.2)])
    notices: list[Notice] = []
    with HttpTransport({}) as transport:
        provider = Provider(name="p", base_url=server.url, auth="none")
        list(Client(transport).chat(provider, HI, notify=notices.append))
    assert notices == [Sent(), Idle()]


def test_text_that_arrives_together_is_one_event(server: Scripted) -> None:
    chunks = [delta("", reasoning_content="Let "), delta("", reasoning_content="me "), delta("a"), delta("b")]
    server.will([b"".join(sse(*chunks)), Pause(0.1), *answer("c")])
    with HttpTransport({}) as transport:
        events = Asker(transport, server.url)().events
    assert events[:3] == [Reasoning(text="Let me "), Text(text="ab"), Text(text="c")]
