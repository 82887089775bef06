"""One chat from end to end: what is sent, what comes back, and what each way of failing becomes.

The contract is kept over any transport, so the tests of it run over a fake one and over real sockets.
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
    ConnectError,
    ConnectionLostError,
    DeadlineError,
    InvalidInputError,
    InvalidKeyError,
    NotFoundError,
    OverloadedError,
    ProtocolError,
    ProviderError,
    QuotaError,
    RateLimitError,
    ServerError,
)
from provider_core.http import HttpTransport
from provider_core.probe._recording import RecordingTransport
from provider_core.testing import FakeTransport, says
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
BUSY = Answer([b'{"error":{"message":"busy"}}'], status=503, headers={})
LATER = Answer([b'{"error":{"message":"slow down"}}'], status=429, headers={"retry-after": "1"})


class Clock:
    """Time that passes by sleeping alone; what slept is remembered."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Asker:
    """A client whose waits cost nothing, and what it was told meanwhile."""

    def __init__(self, transport: Transport, url: str, **provider: Any) -> None:
        self.clock = Clock()
        self.client = Client(transport, clock=self.clock, sleep=self.clock.sleep)
        self.provider = Provider(name="p", base_url=url, **provider)
        self.notices: list[Notice] = []
        self.sent = 0

    def __call__(self, text: str = "hi", **fields: Any) -> list[AnswerEvent]:
        request = Request(model="m", messages=(Message(role="user", content=text),), **fields)
        return list(self.client.chat(self.provider, request, key=KEY, notify=self._note))

    def _note(self, notice: Notice) -> None:
        """Count how often the request was sent; keep everything else."""
        if isinstance(notice, Sent):
            self.sent += 1
        elif not isinstance(notice, Idle):
            self.notices.append(notice)


@pytest.fixture
def ask(world: World) -> Asker:
    return Asker(world.transport, world.url)


def shape(events: list[AnswerEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


def text(events: list[AnswerEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


def ending(events: list[AnswerEvent]) -> Finished:
    assert isinstance(events[-1], Finished)
    return events[-1]


# --- an answer ---------------------------------------------------------------------------------------------


def test_an_answer_is_its_text_and_then_its_end(world: World, ask: Asker) -> None:
    world.will(answer("Hel", "lo", usage={"prompt_tokens": 3, "completion_tokens": 2}))
    events = ask()
    assert text(events) == "Hello"
    assert shape(events)[-2:] == ["Usage", "Finished"]
    assert ending(events).verdict is Verdict.COMPLETE
    assert (world.requests, ask.notices, ask.clock.slept) == (1, [], [])


def test_an_answer_that_is_not_streamed_has_the_same_events(world: World, ask: Asker) -> None:
    reply = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}
    world.will(Answer([json.dumps(reply).encode()], headers={"content-type": "application/json"}))
    events = ask(stream=False)
    assert (text(events), ending(events).verdict) == ("Hello", Verdict.COMPLETE)


def test_the_request_says_what_it_wants_and_who_asks(server: Scripted) -> None:
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


def test_nothing_is_read_behind_done(world: World, ask: Asker) -> None:
    world.will([*answer("one"), *sse(delta("two")), DONE])
    assert text(ask()) == "one"


def test_closing_the_iterator_closes_the_connection() -> None:
    world = FakeWorld()
    world.will(answer("a", "b", "c"))
    ask = Asker(world.transport, world.url)
    events: Any = ask.client.chat(
        ask.provider, Request(model="m", messages=(Message(role="user", content="x"),))
    )
    next(events)
    assert world.fake.open == 1
    events.close()
    assert world.fake.open == 0


def test_closing_the_client_closes_the_transport() -> None:
    transport = FakeTransport()
    with Client(transport):
        assert not transport.closed
    assert transport.closed


def test_half_a_surrogate_pair_is_refused_before_anything_is_sent(world: World, ask: Asker) -> None:
    world.will(answer("x"))
    with pytest.raises(InvalidInputError, match="the request contains half a surrogate pair"):
        ask("\ud83d")
    assert world.requests == 0


def test_a_key_that_no_header_can_carry_is_refused() -> None:
    with HttpTransport({}) as transport, pytest.raises(InvalidKeyError) as caught:
        list(
            Client(transport).chat(
                Provider(name="p", base_url="http://127.0.0.1:1/v1"),
                Request(model="m", messages=(Message(role="user", content="x"),)),
                key="sk-ключ",
            )
        )
    assert "ключ" not in caught.value.message


# --- refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, BadRequestError), (401, AuthenticationError), (402, QuotaError), (404, NotFoundError)],
)
def test_a_refusal_is_raised_at_once(
    world: World, ask: Asker, status: int, kind: type[ProviderError]
) -> None:
    world.will(Answer([b'{"error":{"message":"no"}}'], status=status, headers={}))
    with pytest.raises(kind) as caught:
        ask()
    assert (caught.value.status, caught.value.provider, caught.value.words) == (status, "p", "no")
    assert (world.requests, ask.notices) == (1, [])


def test_an_error_whose_body_breaks_off_is_still_that_error(world: World, ask: Asker) -> None:
    world.will(Answer([b'{"error":{"mess', Cut()], status=401, headers={}))
    with pytest.raises(AuthenticationError):
        ask()


def test_an_error_body_without_end_is_read_only_so_far() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 65536

    world = FakeWorld()
    world.will(Answer(endless(), status=400, headers={}))
    with pytest.raises(BadRequestError):
        Asker(world.transport, world.url)()


@pytest.mark.parametrize("header", ["x-portkey-api-key", "X-Auth-Token"])
def test_what_a_server_echoes_of_key_and_secret_headers_is_masked(world: World, header: str) -> None:
    other = "another-secret-9876543210"
    ask = Asker(world.transport, world.url, headers={header: other})
    body = f'{{"error":{{"message":"bad key {KEY} or {other}"}}}}'.encode()
    world.will(Answer([body], status=401, headers={}))
    with pytest.raises(AuthenticationError) as caught:
        ask()
    assert KEY not in caught.value.message
    assert other not in caught.value.message


# --- redirects ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("/v1/chat/completions/", "redirected to {url}/chat/completions/"),
        ("{url}/v2/chat?token=hunter2#x", "redirected to {url}/v2/chat"),
        ("https://login.test/start/?token=hunter2", "redirected to https://login.test/start/"),
        ("//me:hunter2@login.test/", "redirected to http://login.test/"),
        ("http://[::1]:8/v1", "redirected to http://[::1]:8/v1"),
        ("http://[broken", ""),
        ("mailto:hunter2@login.test", ""),
        ("", ""),
    ],
)
def test_a_redirect_is_said_and_not_followed(world: World, ask: Asker, location: str, words: str) -> None:
    world.will(Answer(status=308, headers={"location": location.format(url=world.url)}))
    with pytest.raises(NotFoundError) as caught:
        ask()
    base = world.url.removesuffix("/v1") if location.startswith("/v1") else world.url
    assert caught.value.words == words.format(url=f"{base}/v1" if location.startswith("/v1") else base)
    assert "hunter2" not in caught.value.message
    assert caught.value.status == 308
    assert world.requests == 1


@pytest.mark.parametrize(
    ("asked", "location", "base"),
    [
        (
            "https://p.test/v1",
            "https://api.new.example/v2/chat/completions?x=1",
            "https://api.new.example/v2",
        ),
        ("http://p.test/v1", "https://p.test/v1/chat/completions", "https://p.test/v1"),
        ("https://p.test/v1", "/api/v1/chat/completions/", "https://p.test/api/v1"),
        ("https://p.test/v1", "https://p.test/login", None),
        ("https://p.test/v1", "https://p.test/v1/chat/completions/", None),
        ("https://p.test/v1", "http://p.test/v2/chat/completions", None),
        ("https://p.test/v1", f"https://p.test/{KEY}/chat/completions", None),
    ],
)
def test_a_redirect_suggests_a_base_url(asked: str, location: str, base: str | None) -> None:
    world = FakeWorld()
    world.will(Answer(status=301, headers={"location": location}))
    with pytest.raises(NotFoundError) as caught:
        Asker(world.transport, asked)()
    assert caught.value.suggested_base == base
    assert KEY not in caught.value.message


def test_a_redirect_to_nowhere_is_told_in_the_words_of_its_body(world: World, ask: Asker) -> None:
    world.will(Answer([b'{"error":{"message":"moved away"}}'], status=302, headers={}))
    with pytest.raises(NotFoundError) as caught:
        ask()
    assert (caught.value.words, caught.value.suggested_base) == ("moved away", None)
    assert "redirect" not in caught.value.message


# --- retries -----------------------------------------------------------------------------------------------


def test_a_busy_server_is_asked_again_and_the_user_told(world: World, ask: Asker) -> None:
    world.will(BUSY, BUSY, answer("hello"))
    assert text(ask()) == "hello"
    assert world.requests == 3
    first, second = ask.notices
    assert isinstance(first, Retrying)
    assert isinstance(second, Retrying)
    assert isinstance(first.error, OverloadedError)
    assert (first.attempt, second.attempt) == (2, 3)
    assert [first.seconds, second.seconds] == ask.clock.slept
    assert 0.375 <= first.seconds <= 0.5
    assert 0.75 <= second.seconds <= 1


def test_it_is_given_up_after_the_retries(world: World, ask: Asker) -> None:
    world.will(BUSY)
    with pytest.raises(OverloadedError):
        ask()
    assert (world.requests, len(ask.notices)) == (3, 2)


def test_the_server_s_time_is_kept(world: World, ask: Asker) -> None:
    world.will(LATER, answer("hello"))
    assert text(ask()) == "hello"
    assert ask.clock.slept == [1.0]


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
def test_the_server_s_time_is_found_wherever_it_stands(
    world: World, ask: Asker, headers: dict[str, str], body: bytes, seconds: float
) -> None:
    world.will(Answer([body], status=429, headers=headers), answer("hello"))
    assert text(ask()) == "hello"
    assert ask.clock.slept == [seconds]


def test_a_time_beyond_the_budget_is_said_at_once(world: World, ask: Asker) -> None:
    world.will(Answer([b"{}"], status=429, headers={"retry-after": "3600"}), answer("hello"))
    with pytest.raises(RateLimitError, match=r"\(it asks for a wait of 60 min\)$") as caught:
        ask()
    assert caught.value.retry_after == 3600
    assert (world.requests, ask.notices, ask.clock.slept) == (1, [], [])


@pytest.mark.parametrize(
    ("status", "header", "requests"),
    [(400, "true", 3), (503, "false", 1), (503, "maybe", 3), (402, "true", 1)],
)
def test_the_server_may_say_whether_to_try_again(
    world: World, ask: Asker, status: int, header: str, requests: int
) -> None:
    world.will(Answer([b"{}"], status=status, headers={"x-should-retry": header}))
    with pytest.raises(ProviderError):
        ask()
    assert world.requests == requests


@pytest.mark.parametrize("number", [0, 1, 4])
def test_the_number_of_retries_is_the_provider_s(world: World, number: int) -> None:
    world.will(BUSY)
    ask = Asker(world.transport, world.url, network=Network(retries=number))
    with pytest.raises(OverloadedError):
        ask()
    assert world.requests == 1 + number


def test_all_waits_together_keep_to_the_budget(world: World) -> None:
    world.will(BUSY)
    ask = Asker(world.transport, world.url, network=Network(retries=50, retry_budget=20))
    with pytest.raises(OverloadedError):
        ask()
    assert 10 < sum(ask.clock.slept) <= 20


def test_nobody_has_to_listen(world: World, ask: Asker) -> None:
    world.will(BUSY, answer("hello"))
    request = Request(model="m", messages=(Message(role="user", content="x"),))
    assert text(list(ask.client.chat(ask.provider, request))) == "hello"


def test_ctrl_c_in_the_wait_ends_it(world: World) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    world.will(BUSY)
    client = Client(world.transport, sleep=interrupted)
    request = Request(model="m", messages=(Message(role="user", content="x"),))
    with pytest.raises(KeyboardInterrupt):
        list(client.chat(Provider(name="p", base_url=world.url), request))
    assert world.requests == 1


def test_a_connection_lost_before_any_text_is_tried_once_more(world: World, ask: Asker) -> None:
    world.will(Answer([b": comment\n\n", Cut()]), answer("hello"))
    assert text(ask()) == "hello"
    assert isinstance(ask.notices[0], Retrying)
    assert isinstance(ask.notices[0].error, ConnectionLostError)


def test_a_connection_lost_twice_before_any_text_is_raised(world: World, ask: Asker) -> None:
    world.will(Answer([b": comment\n\n", Cut()]))
    with pytest.raises(ConnectionLostError):
        ask()
    assert world.requests == 2


def test_a_stream_that_ends_before_any_text_counts_as_lost(world: World, ask: Asker) -> None:
    world.will(sse(delta("")), answer("hello"))
    assert text(ask()) == "hello"
    assert isinstance(ask.notices[0], Retrying)


@pytest.mark.parametrize(
    "sent",
    [
        delta(""),
        delta(role="assistant"),
        delta(tool_calls=[{"index": 0, "id": "c1", "function": {"name": "f", "arguments": '{"a":'}}]),
    ],
    ids=["empty", "role", "half a call"],
)
def test_an_answer_that_ends_before_any_text_each_time_is_a_cut_answer(
    world: World, ask: Asker, sent: dict[str, Any]
) -> None:
    world.will(sse(sent))
    events = ask()
    assert ending(events).verdict is Verdict.PARTIAL
    assert isinstance(ending(events).error, ConnectionLostError)
    assert text(events) == ""
    assert world.requests == 2


@pytest.mark.parametrize("reply", [b'{"choices":[]}', b'{"choices":[{}]}\n', b'{"choices":["Hello"]}'])
def test_a_reply_without_an_answer_is_not_asked_for_again(world: World, ask: Asker, reply: bytes) -> None:
    world.will(Answer([reply], headers={"content-type": "application/json"}))
    end = ending(ask())
    assert end.verdict is Verdict.EMPTY
    assert isinstance(end.error, ProtocolError)
    assert world.requests == 1


@pytest.mark.parametrize(
    ("first", "kind"),
    [(delta("Hel"), Text), (delta(reasoning_content="Hm"), Reasoning)],
    ids=["text", "reasoning"],
)
def test_once_something_was_shown_nothing_is_tried_again(
    world: World, ask: Asker, first: dict[str, Any], kind: type[AnswerEvent]
) -> None:
    world.will(Answer([*sse(first), Cut()]), answer("never"))
    events = ask()
    assert isinstance(events[0], kind)
    assert ending(events).verdict is Verdict.PARTIAL
    assert isinstance(ending(events).error, ConnectionLostError)
    assert (world.requests, ask.notices) == (1, [])


def test_a_failure_announced_after_text_is_in_the_end(world: World, ask: Asker) -> None:
    world.will(sse(delta("Hel"), {"error": {"message": "boom", "type": "server_error"}}), answer("never"))
    events = ask()
    assert text(events) == "Hel"
    assert ending(events).verdict is Verdict.FAILED
    assert isinstance(ending(events).error, ServerError)
    assert world.requests == 1


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("server_error", ServerError),
        ("internal_error", ServerError),
        ("overloaded_error", OverloadedError),
        ("rate_limit_error", RateLimitError),
    ],
)
@pytest.mark.parametrize("before", [[], [delta("")], [{"choices": [], "usage": {"prompt_tokens": 1}}]])
def test_a_failure_announced_before_any_text_is_tried_again(
    world: World, ask: Asker, kind: str, error: type[ProviderError], before: list[Any]
) -> None:
    broken = sse(*before, {"error": {"message": "boom", "type": kind}})
    world.will(broken, answer("hello", usage={"prompt_tokens": 7, "completion_tokens": 1}))
    events = ask()
    assert text(events) == "hello"
    assert [e.input for e in events if isinstance(e, Usage)] == [7]
    assert isinstance(ask.notices[0], Retrying)
    assert isinstance(ask.notices[0].error, error)
    world.will(broken)
    with pytest.raises(error, match="boom"):
        ask()


def test_a_refusal_announced_inside_a_stream_is_raised_at_once(world: World, ask: Asker) -> None:
    world.will(sse({"error": {"message": "no such field", "type": "invalid_request_error"}}))
    with pytest.raises(BadRequestError):
        ask()
    assert world.requests == 1


def test_what_is_no_completion_is_raised_at_once(world: World, ask: Asker) -> None:
    world.will(Answer([b"<html><title>Sign in</title></html>"], headers={"content-type": "text/html"}))
    with pytest.raises(ProtocolError, match="Sign in"):
        ask()
    assert world.requests == 1


def test_an_empty_answer_is_an_end_and_no_error(world: World, ask: Asker) -> None:
    world.will([*sse(delta(finish="stop")), DONE])
    assert ending(ask()).verdict is Verdict.EMPTY
    assert world.requests == 1


def test_a_whole_tool_call_of_a_cut_stream_is_not_asked_for_again(world: World, ask: Asker) -> None:
    called = delta(
        tool_calls=[{"index": 0, "id": "c1", "function": {"name": "f", "arguments": '{"a":1}'}}],
        finish="tool_calls",
    )
    world.will([*sse(called), DONE], answer("never"))
    events = ask()
    assert [e.name for e in events if isinstance(e, ToolCall)] == ["f"]
    assert world.requests == 1


# --- what only the network can do --------------------------------------------------------------------------


def test_nothing_that_listens_here_is_said_at_once() -> None:
    with HttpTransport({}) as transport:
        ask = Asker(transport, "http://127.0.0.1:1/v1")
        with pytest.raises(ConnectError, match="nothing listens"):
            ask()
    assert ask.notices == []


def test_elsewhere_a_refused_connection_is_tried_again() -> None:
    transport = FakeTransport(ConnectError("refused"), says("hello"))
    assert text(Asker(transport, "http://p.test/v1")()) == "hello"


def test_a_server_that_thinks_too_long_is_not_asked_again(server: Scripted) -> None:
    server.will(lambda asked: time.sleep(0.5) or Answer([b"late"]))
    with HttpTransport({}) as transport:
        ask = Asker(transport, server.url, network=Network(first_byte_timeout=0.2))
        with pytest.raises(DeadlineError):
            ask()
    assert (len(server.asked), ask.notices) == (1, [])


def test_silence_after_text_keeps_the_text(server: Scripted) -> None:
    server.will(Answer([*sse(delta("Hel")), Pause(5)]))
    with HttpTransport({}) as transport:
        events = Asker(transport, server.url, network=Network(idle_timeout=0.2))()
    assert text(events) == "Hel"
    assert ending(events).verdict is Verdict.PARTIAL
    assert isinstance(ending(events).error, DeadlineError)


@pytest.mark.parametrize("watched", [False, True])
def test_a_server_that_stays_silent_behind_a_finish_reason_is_not_waited_for(
    server: Scripted, watched: bool
) -> None:
    server.will(Answer([*sse(delta("Hello"), delta(finish="stop")), Pause(60)]))
    with HttpTransport({}) as transport:
        began = time.monotonic()
        events = Asker(RecordingTransport(transport) if watched else transport, server.url)()
    assert (text(events), ending(events).verdict, ending(events).error) == ("Hello", Verdict.COMPLETE, None)
    assert 1.5 < time.monotonic() - began < 20
    assert server.asked[0].closed.wait(5)


@pytest.mark.parametrize("watched", [False, True])
def test_text_after_a_finish_reason_is_waited_for(server: Scripted, watched: bool) -> None:
    role = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "stop"}]}
    pieces = [
        role,
        *(delta(f"w{n} ", finish="stop") for n in range(3)),
        delta(reasoning_content="hm", finish="stop"),
    ]
    frames = [step for piece in pieces for step in (*sse(piece), Pause(2.6))]
    server.will(Answer([*frames, *sse(delta("end", finish="stop"))]))
    with HttpTransport({}) as transport:
        events = Asker(RecordingTransport(transport) if watched else transport, server.url)()
    assert (text(events), ending(events).verdict) == ("w0 w1 w2 end", Verdict.COMPLETE)


def test_a_pause_within_the_trailer_may_end_in_more_text(server: Scripted) -> None:
    late = [Pause(1.0), *sse(delta(" you", finish="stop")), Pause(2.6), *sse(delta("!", finish="stop")), DONE]
    server.will(Answer([*sse(delta("Hello"), delta(finish="stop")), *late]))
    with HttpTransport({}) as transport:
        events = Asker(transport, server.url)()
    assert (text(events), ending(events).verdict) == ("Hello you!", Verdict.COMPLETE)


def test_silence_after_text_with_a_finish_reason_is_its_end(server: Scripted) -> None:
    server.will(Answer([*sse(delta("Hello", finish="stop")), Pause(20)]))
    with HttpTransport({}) as transport:
        events = Asker(transport, server.url, network=Network(idle_timeout=0.3))()
    assert (text(events), ending(events).verdict) == ("Hello", Verdict.COMPLETE)


def test_usage_that_comes_a_moment_behind_the_finish_reason_is_read(server: Scripted) -> None:
    late = sse({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 1}})
    server.will(Answer([*sse(delta("Hello"), delta(finish="stop")), Pause(0.5), *late, DONE]))
    with HttpTransport({}) as transport:
        events = Asker(transport, server.url, network=Network(idle_timeout=30))()
    assert [e.input for e in events if isinstance(e, Usage)] == [7]
    assert ending(events).verdict is Verdict.COMPLETE


def test_a_connection_that_breaks_behind_a_finish_reason_leaves_a_cut_answer(server: Scripted) -> None:
    server.will(Answer([*sse(delta("Hello"), delta(finish="stop")), Cut(reset=True)]))
    with HttpTransport({}) as transport:
        events = Asker(transport, server.url)()
    assert (text(events), ending(events).verdict) == ("Hello", Verdict.PARTIAL)


def test_turns_of_one_conversation_share_a_connection(server: Scripted) -> None:
    server.will(answer("hello"))
    with HttpTransport({}) as transport:
        ask = Asker(transport, server.url)
        for _ in range(3):
            ask()
    assert server.connections == 1


def test_the_caller_is_told_when_the_request_is_with_the_server(server: Scripted) -> None:
    server.will(answer("hello"))
    notices: list[Notice] = []
    with Client() as client:
        request = Request(model="m", messages=(Message(role="user", content="x"),))
        provider = Provider(name="p", base_url=server.url, auth="none")
        list(client.chat(provider, request, notify=notices.append))
    assert [notice for notice in notices if not isinstance(notice, Idle)] == [Sent()]


@pytest.mark.parametrize("name", ["cookie", "x-password", "X-Api-Key", "Session-Token"])
def test_a_header_that_is_a_secret_is_blotted_out_when_it_comes_back(server: Scripted, name: str) -> None:
    server.will(Answer([b'{"error":{"message":"bad HUNTER2HUNTER2"}}'], status=401))
    provider = Provider(name="p", base_url=server.url, auth="none", headers={name: "HUNTER2HUNTER2"})
    with Client() as client, pytest.raises(AuthenticationError) as caught:
        list(client.chat(provider, Request(model="m", messages=(Message(role="user", content="x"),))))
    assert "HUNTER2" not in str(caught.value)
    assert "HUNTER2" not in caught.value.words


# --- what there is time for --------------------------------------------------------------------------------


def test_idle_is_said_once_where_nothing_comes_for_a_moment(
    server: Scripted,
) -> None:
    request = Request(model="m", messages=(Message(role="user", content="hi"),))
    provider = Provider(name="lab", base_url=server.url, auth="none", key_required=False)
    with HttpTransport({}) as transport:
        client = Client(transport)
        server.will([Pause(0.2), *answer("late"), Pause(0.2)])
        notices: list[Notice] = []
        list(client.chat(provider, request, notify=notices.append))
        assert notices == [Sent(), Idle()]


def test_pieces_that_come_together_are_one_event_and_kinds_stay_apart(server: Scripted) -> None:
    request = Request(model="m", messages=(Message(role="user", content="hi"),))
    provider = Provider(name="lab", base_url=server.url, auth="none", key_required=False)
    chunks = [delta("", reasoning_content="Let "), delta("", reasoning_content="me "), delta("a"), delta("b")]
    server.will([b"".join(sse(*chunks)), Pause(0.1), *answer("c")])
    with HttpTransport({}) as transport:
        events = list(Client(transport).chat(provider, request))
    assert events[:3] == [Reasoning(text="Let me "), Text(text="ab"), Text(text="c")]
