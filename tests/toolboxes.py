"""Toolboxes with a memory, and the loop run over a scripted server, for the tests of the tools."""

from __future__ import annotations

import json
import threading
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scripted import DONE, delta, sse

from provider_core.chat.runner import ChatPlan, ChatRun
from provider_core.client import Client, OpenProvider
from provider_core.errors import CoreError
from provider_core.events import (
    Approve,
    Decision,
    Event,
    PlannedCall,
    RequestStarted,
    ToolEnded,
    ToolLimits,
    ToolResult,
    ToolSpec,
    ToolStarted,
)
from provider_core.types import (
    Finished,
    Message,
    Network,
    Provider,
    Quirks,
    Request,
    Target,
    Text,
    Tool,
    ToolCall,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from scripted import Scripted

ANYTHING: dict[str, Any] = {"type": "object", "properties": {}}


class Box:
    """A toolbox of functions of (arguments, stop) that remembers which ran, with what."""

    def __init__(
        self,
        name: str = "box",
        /,
        *,
        limits: ToolLimits | None = None,
        schemas: Mapping[str, Any] | None = None,
        **functions: Callable[[Mapping[str, Any], threading.Event], ToolResult | str],
    ) -> None:
        self.name = name
        self.limits = limits or ToolLimits()
        self.ran: list[tuple[str, dict[str, Any]]] = []
        self._functions = functions
        given = schemas or {}
        self.tools = tuple(
            ToolSpec(tool=Tool(name=tool, description=f"{tool} of {name}", schema=given.get(tool, ANYTHING)))
            for tool in functions
        )

    def run(self, name: str, arguments: Mapping[str, Any], *, stop: threading.Event) -> ToolResult:
        self.ran.append((name, dict(arguments)))
        result = self._functions[name](arguments, stop)
        return ToolResult(text=result) if isinstance(result, str) else result


def say(text: str) -> Callable[[Mapping[str, Any], threading.Event], str]:
    return lambda arguments, stop: text


def call(
    name: str, arguments: Any = "{}", *, id: str = "call_a", index: int = 0, **more: Any
) -> dict[str, Any]:
    """A whole tool call as most servers send it."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {
        "index": index,
        "id": id,
        "type": "function",
        "function": {"name": name, "arguments": text},
        **more,
    }


def calling(
    *calls: dict[str, Any], text: str | None = None, finish: str | None = "tool_calls", **more: Any
) -> list[bytes]:
    """A stream that ends with these calls, each in a chunk of its own."""
    frames = [delta(text)] if text else []
    frames += [delta(tool_calls=[each], **(more if not number else {})) for number, each in enumerate(calls)]
    if finish is not None:
        frames.append(delta(finish=finish))
    return [*sse(*frames), DONE]


@dataclass
class Loop:
    """One run of the loop, and what came of it."""

    server: Scripted
    events: list[Event] = field(default_factory=list)
    put: list[PlannedCall] = field(default_factory=list)
    """The calls that were put to the approval."""

    @property
    def ended(self) -> list[ToolEnded]:
        return [event for event in self.events if isinstance(event, ToolEnded)]

    @property
    def started(self) -> list[ToolStarted]:
        return [event for event in self.events if isinstance(event, ToolStarted)]

    @property
    def asked(self) -> list[RequestStarted]:
        return [event for event in self.events if isinstance(event, RequestStarted)]

    @property
    def calls(self) -> list[ToolCall]:
        return [event for event in self.events if isinstance(event, ToolCall)]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Text))

    @property
    def finished(self) -> Finished:
        return [event for event in self.events if isinstance(event, Finished)][-1]

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [asked.body for asked in self.server.asked]

    def results(self, request: int = -1) -> list[str]:
        """The contents of the tool messages in a request."""
        return [m["content"] for m in self.bodies[request]["messages"] if m["role"] == "tool"]

    def turn(self, request: int = -1) -> dict[str, Any]:
        """The last assistant's message in a request."""
        turns = [m for m in self.bodies[request]["messages"] if m["role"] == "assistant"]
        return dict(turns[-1])


def looping(
    loop: Loop,
    *boxes: Any,
    approve: Callable[[PlannedCall], Decision] | None = None,
    quirks: Quirks | None = None,
    prompt: str = "Hi",
    choice: str | None = None,
    messages: tuple[Message, ...] | None = None,
    model: str = "m",
    reads_images: bool = False,
    retries: int = 0,
    **options: Any,
) -> Iterator[Event]:
    """Go through the loop event by event; each is remembered as well."""

    def put(planned: PlannedCall) -> Decision:
        loop.put.append(planned)
        return approve(planned) if approve is not None else Approve()

    provider = Provider(
        name="lab",
        base_url=loop.server.url,
        network=Network(proxy="none", retries=retries),
        quirks=quirks or Quirks(),
    )
    turns = messages or (Message(role="user", content=prompt),)
    request = Request(model=model, messages=turns, tool_choice=choice, reads_images=reads_images)
    plan = ChatPlan(
        target=Target(provider=provider, model=model),
        request=request,
        new_messages=turns,
        max_turns=options.pop("max_turns", 10),
    )
    with Client() as client:
        opened = OpenProvider(client=client, provider=provider)
        run = ChatRun(plan, lambda _: nullcontext(opened), toolboxes=boxes, approve=put, **options)
        try:
            for event in run:
                loop.events.append(event)
                yield event
        except CoreError as error:
            loop.events += run.end(error)
            raise
        finally:
            loop.events += run.end()


def looped(server: Scripted, *boxes: Any, **options: Any) -> Loop:
    """Run the loop to its end."""
    loop = Loop(server)
    for _ in looping(loop, *boxes, **options):
        pass
    return loop
