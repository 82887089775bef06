"""The stand-ins that are shipped: they keep to what the real ones do, and say what was asked of them."""

from __future__ import annotations

import pytest
from conformance import KeyStoreConformance, TransportConformance

from provider_core.client import Client
from provider_core.errors import ConnectError, ConnectionLostError, KeyStoreError, RateLimitError
from provider_core.testing import FakeKeyStore, FakeTransport, cut, refuses, says
from provider_core.types import (
    AnswerEvent,
    Finished,
    Message,
    Provider,
    Reasoning,
    Request,
    Text,
    ToolCall,
    Usage,
    Verdict,
)

LAB = Provider(name="lab", base_url="http://lab.test/v1")


def asked(transport: FakeTransport, **fields: object) -> list[AnswerEvent]:
    request = Request(model="m", messages=(Message(role="user", content="hi"),), **fields)  # type: ignore[arg-type]
    return list(Client(transport, sleep=lambda _: None).chat(LAB, request, key="sk-0123456789abcdef"))


class TestTransports(TransportConformance):
    """``FakeTransport``, and ``HttpTransport`` before a real server."""


class TestFakeKeyStore(KeyStoreConformance):
    @pytest.fixture
    def store(self) -> FakeKeyStore:
        return FakeKeyStore()


@pytest.mark.parametrize("stream", [True, False])
def test_a_good_answer_has_all_that_was_put_into_it(stream: bool) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    transport = FakeTransport(
        says("Hel", "lo", reasoning="Hm.", calls=[("weather", {"city": "Oslo"})], usage=usage)
    )
    events = asked(transport, stream=stream)
    assert "".join(event.text for event in events if isinstance(event, Text)) == "Hello"
    assert [event.text for event in events if isinstance(event, Reasoning)] == ["Hm."]
    assert [(event.name, event.arguments) for event in events if isinstance(event, ToolCall)] == [
        ("weather", '{"city": "Oslo"}')
    ]
    assert [(event.input, event.output) for event in events if isinstance(event, Usage)] == [(3, 2)]
    last = events[-1]
    assert isinstance(last, Finished)
    assert (last.verdict, last.reason, last.model) == (Verdict.COMPLETE, "tool_calls", "m")


def test_a_text_is_a_good_answer() -> None:
    assert [event.text for event in asked(FakeTransport("Hello")) if isinstance(event, Text)] == ["Hello"]


def test_what_was_asked_can_be_looked_at() -> None:
    transport = FakeTransport("Hello")
    asked(transport, temperature=0)
    (call,) = transport.calls
    assert call.url == "http://lab.test/v1/chat/completions"
    assert call.headers["authorization"] == "Bearer sk-0123456789abcdef"
    assert transport.bodies[0]["temperature"] == 0
    assert (transport.open, transport.closed) == (0, False)
    transport.close()
    assert transport.closed


def test_a_refusal_is_the_error_that_a_server_s_would_be() -> None:
    transport = FakeTransport(refuses(429, "slow down", retry_after=1), "Hello")
    assert Text(text="Hello") in asked(transport)
    assert len(transport.calls) == 2
    with pytest.raises(RateLimitError, match="slow down"):
        asked(FakeTransport(refuses(429, "slow down", retry_after=1)))


def test_an_error_takes_the_place_of_an_answer() -> None:
    error = ConnectError("refused", transient=False)
    with pytest.raises(ConnectError) as caught:
        asked(FakeTransport(error))
    assert caught.value is error


@pytest.mark.parametrize(("texts", "text"), [(("Hel", cut), "Hel"), (("Hel", cut, "lo"), "Hel")])
def test_a_cut_answer_is_partial(texts: tuple[str, ...], text: str) -> None:
    events = asked(FakeTransport(says(*texts)))
    last = events[-1]
    assert isinstance(last, Finished)
    assert last.verdict is Verdict.PARTIAL
    assert isinstance(last.error, ConnectionLostError)
    assert "".join(event.text for event in events if isinstance(event, Text)) == text


def test_nothing_scripted_is_said_so() -> None:
    with pytest.raises(AssertionError, match=r"^nothing is scripted for POST http://lab\.test/"):
        asked(FakeTransport())


def test_an_answer_may_depend_on_what_is_asked() -> None:
    transport = FakeTransport(lambda call: says(call.url.partition("/")[2])(call))
    assert Text(text="/lab.test/v1/chat/completions") in asked(transport)


def test_a_keyring_breaks_and_works_again() -> None:
    store = FakeKeyStore(lab="sk-1", broken="the keyring is locked")
    for call in (lambda: store.get("lab"), lambda: store.set("lab", "x"), lambda: store.delete("lab")):
        with pytest.raises(KeyStoreError, match="the keyring is locked"):
            call()
    store.broken = ""
    assert store.get("lab") == "sk-1"
    assert store.asked == [("get", "lab"), ("set", "lab"), ("delete", "lab"), ("get", "lab")]
