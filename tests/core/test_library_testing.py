"""The fakes of provider_core.testing."""

from __future__ import annotations

from typing import Any

import pytest
from conformance import KeyStoreConformance, TransportConformance

from provider_core import connect
from provider_core.client import Client
from provider_core.errors import ConnectError, ConnectionLostError, KeyStoreError, RateLimitError
from provider_core.events import AnswerBuilder
from provider_core.runtime import Runtime
from provider_core.testing import FakeKeyStore, FakeTransport, cut, refuses, says
from provider_core.types import Message, Provider, Request, Target, ToolCall, Usage

LAB = Provider(name="lab", base_url="https://lab.test/v1")


def ask(transport: FakeTransport, **options: Any) -> Any:
    here = Runtime(environ={"TELEX_HOME": "/nonexistent"}, transport=transport, key_store=FakeKeyStore())
    return connect(LAB, "m", key="sk-0123456789abcdef", runtime=here).ask("hi", **options)


class TestTransports(TransportConformance):
    """``FakeTransport``, and ``HttpTransport`` before a real server."""


class TestFakeKeyStore(KeyStoreConformance):
    @pytest.fixture
    def store(self) -> FakeKeyStore:
        return FakeKeyStore()


@pytest.mark.parametrize("stream", [True, False])
def test_says_gives_a_complete_answer(stream: bool) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    step = says("Hel", "lo", reasoning="Hm.", calls=[("weather", {"city": "Oslo"})], usage=usage)
    request = Request(model="m", messages=(Message(role="user", content="hi"),), stream=stream)
    builder = AnswerBuilder(Target(provider=LAB, model="m"))
    for event in Client(FakeTransport(step)).chat(LAB, request):
        builder.add(event)
    found = builder.answer()
    assert (found.text, found.reasoning, found.finish, found.model) == ("Hello", "Hm.", "tool_calls", "m")
    assert found.tool_calls == (ToolCall(id="call_1", name="weather", arguments='{"city": "Oslo"}'),)
    assert found.usage == Usage(input=3, output=2)


def test_steps_follow_each_other() -> None:
    by_call = lambda call: says(call.url.partition("/v1")[0].replace("https://lab.test", "Hello"))(call)  # noqa: E731
    for steps in (["Hello"], [refuses(429, "slow down", retry_after=0.01), "Hello"], [by_call]):
        assert ask(FakeTransport(*steps)).text == "Hello"


ERROR = ConnectError("refused", transient=False)


@pytest.mark.parametrize(
    ("steps", "kind", "words"),
    [
        ([refuses(429, "slow down", retry_after=1000)], RateLimitError, "slow down"),
        ([ERROR], ConnectError, "refused"),
        ([says("Hel", cut, "lo")], ConnectionLostError, "closed the connection"),
        ([], AssertionError, r"^nothing is scripted for POST https://lab\.test/"),
    ],
    ids=["refused", "error", "cut", "nothing"],
)
def test_a_step_can_be_an_error(steps: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        ask(FakeTransport(*steps))


def test_calls_are_recorded() -> None:
    transport = FakeTransport("Hello")
    ask(transport, temperature=0)
    (call,) = transport.calls
    assert call.url == "https://lab.test/v1/chat/completions"
    assert call.headers["authorization"] == "Bearer sk-0123456789abcdef"
    assert transport.bodies[0]["temperature"] == 0
    assert (transport.open, transport.closed) == (0, False)
    transport.close()
    assert transport.closed


def test_a_keyring_breaks_and_works_again() -> None:
    store = FakeKeyStore(lab="sk-1", broken="the keyring is locked")
    for call in (lambda: store.get("lab"), lambda: store.set("lab", "x"), lambda: store.delete("lab")):
        with pytest.raises(KeyStoreError, match="the keyring is locked"):
            call()
    store.broken = ""
    assert store.get("lab") == "sk-1"
    assert store.asked == [("get", "lab"), ("set", "lab"), ("delete", "lab"), ("get", "lab")]
