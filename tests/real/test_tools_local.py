"""Tool calls of a real llama.cpp server: its own parser makes them, its own grammar writes their arguments."""

from __future__ import annotations

import http.client
import json
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from toolcalling import serving

from provider_core import presets
from provider_core.chat import ChatPlan, ChatRun
from provider_core.client import Client, OpenProvider
from provider_core.errors import BadRequestError
from provider_core.events import Approve, ChatEnded, Event, RequestStarted, Toolbox, ToolEnded
from provider_core.request import build_body
from provider_core.tools.functions import FunctionTools
from provider_core.types import (
    Finished,
    Message,
    Network,
    Provider,
    Request,
    Target,
    Text,
    Tool,
    ToolCall,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def server(model_path: Path) -> Iterator[str]:
    with serving(model_path) as address:
        yield address


@pytest.fixture
def provider(server: str) -> Provider:
    preset = presets.get("llamacpp")
    assert preset is not None
    return Provider(
        name="llama", base_url=f"{server}/v1", quirks=preset.quirks, network=Network(proxy="none")
    )


def weather(city: str, days: int = 1) -> str:
    """Say what the weather in a city is."""
    return f"It is raining in {city}."


def request(prompt: str = "Weather in Oslo?", **fields: Any) -> Request:
    turns = (Message(role="user", content=prompt),)
    return Request(model="any", messages=turns, temperature=0.0, max_tokens=60, **fields)


def looped(provider: Provider, box: Toolbox, asked: Request) -> list[Event]:
    target = Target(provider=provider, model=asked.model)
    plan = ChatPlan(target=target, request=asked, new_messages=asked.messages, max_turns=2)
    with Client() as client:
        opened = OpenProvider(client=client, provider=provider)
        return list(
            ChatRun(plan, lambda _: nullcontext(opened), toolboxes=[box], approve=lambda planned: Approve())
        )


def test_a_real_call_runs_and_the_model_answers_from_its_result(provider: Provider) -> None:
    asked_for: list[str] = []

    def remembered(city: str, days: int = 1) -> str:
        asked_for.append(city)
        return weather(city, days)

    events = looped(provider, FunctionTools({"weather": remembered}, name="met"), request())
    (call,) = [event for event in events if isinstance(event, ToolCall)]
    assert call.name == "met__weather"
    assert json.loads(call.arguments)["city"] == asked_for[0]
    (ended,) = [event for event in events if isinstance(event, ToolEnded)]
    assert ended.error is None
    assert ended.result.text == f"It is raining in {asked_for[0]}."
    _, second = [event for event in events if isinstance(event, RequestStarted)]
    assert [turn.role for turn in second.request.messages] == ["user", "assistant", "tool"]
    assert "".join(event.text for event in events if isinstance(event, Text)).strip()
    last = events[-1]
    assert isinstance(last, ChatEnded)
    assert last.answer.verdict in (Verdict.COMPLETE, Verdict.LENGTH)


def test_a_schema_that_llamacpp_refuses_is_cleaned_for_it(provider: Provider) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"$ref": "https://x.test/city.json"}, "kind": {"anyOf": []}},
        "required": ["city"],
    }
    raw = Tool(name="weather", description="The weather", schema=schema)
    with Client() as client, pytest.raises(BadRequestError, match=r"\$ref"):
        list(client.chat(provider, request(tools=(raw,))))

    class Met:
        name, limits = "", FunctionTools([weather]).limits
        tools = (type(FunctionTools([weather]).tools[0])(tool=raw),)

        def run(self, name: str, arguments: Any, *, stop: Any) -> Any:
            return FunctionTools([weather]).run(name, arguments, stop=stop)

    events = looped(provider, Met(), request())
    (ended,) = [event for event in events if isinstance(event, ToolEnded)]
    assert ended.result.text.startswith("It is raining in ")


def post(address: str, path: str, body: Any) -> tuple[int, Any]:
    where = urlsplit(address)
    with closing(http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)) as connection:
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        with connection.getresponse() as response:
            return response.status, json.loads(response.read())


BROKEN = ToolCall(id="a", name="weather", arguments='{"city": "Os')


def test_broken_arguments_of_an_earlier_turn_are_accepted(provider: Provider, server: str) -> None:
    turns = (
        Message(role="user", content="Weather in Oslo?"),
        Message(role="assistant", tool_calls=(BROKEN,), provider="llama"),
        Message(role="tool", content="Error: the arguments are not valid JSON", tool_call_id="a"),
    )
    body = build_body(provider, Request(model="any", messages=turns, max_tokens=2))
    raw = json.loads(json.dumps(body))
    raw["messages"][1]["tool_calls"][0]["function"]["arguments"] = BROKEN.arguments
    assert post(server, "/v1/chat/completions", {**raw, "stream": False})[0] >= 400
    with Client() as client:
        events = list(client.chat(provider, Request(model="any", messages=turns, max_tokens=2)))
    assert isinstance(events[-1], Finished)
