"""The fakes of provider_core.testing."""

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
def test_says_gives_a_complete_answer(stream: bool) -> None:
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


def test_a_text_is_a_step() -> None:
    assert [event.text for event in asked(FakeTransport("Hello")) if isinstance(event, Text)] == ["Hello"]


def test_calls_are_recorded() -> None:
    transport = FakeTransport("Hello")
    asked(transport, temperature=0)
    (call,) = transport.calls
    assert call.url == "http://lab.test/v1/chat/completions"
    assert call.headers["authorization"] == "Bearer sk-0123456789abcdef"
    assert transport.bodies[0]["temperature"] == 0
    assert (transport.open, transport.closed) == (0, False)
    transport.close()
    assert transport.closed


def test_refuses_raises_the_error_of_a_real_refusal() -> None:
    transport = FakeTransport(refuses(429, "slow down", retry_after=1), "Hello")
    assert Text(text="Hello") in asked(transport)
    assert len(transport.calls) == 2
    with pytest.raises(RateLimitError, match="slow down"):
        asked(FakeTransport(refuses(429, "slow down", retry_after=1)))


def test_an_error_is_a_step() -> None:
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


def test_a_call_without_a_step_is_an_assertion_error() -> None:
    with pytest.raises(AssertionError, match=r"^nothing is scripted for POST http://lab\.test/"):
        asked(FakeTransport())


def test_a_function_is_a_step() -> None:
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
