"""Toolboxes with a memory, and turns with tools over a scripted network, for the tests of tools."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import scripted
from scripted import DONE, delta, sse

from provider_core.chat import ChatPlan, ChatRun
from provider_core.client import Client, OpenProvider
from provider_core.errors import CoreError
from provider_core.events import (
    Approve,
    Decision,
    Event,
    PlannedCall,
    ToolEnded,
    ToolLimits,
    ToolResult,
    ToolSpec,
    ToolStarted,
)
from provider_core.testing import FakeTransport, Scripted
from provider_core.types import (
    Message,
    Network,
    Notice,
    Provider,
    Quirks,
    Request,
    Target,
    Text,
    Tool,
    ToolCall,
)

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

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


def calls_of(name: str, ids: str) -> list[bytes]:
    """A stream with a call of one tool for each letter of ``ids``, which is its id and its argument."""
    return calling(*(call(name, {"n": id}, id=id, index=n) for n, id in enumerate(ids)))


@dataclass
class Loop:
    """One turn with tools, and what came of it."""

    network: FakeTransport
    run: ChatRun
    events: list[Event] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    put: list[PlannedCall] = field(default_factory=list)
    """The calls that were put to the approval."""
    error: BaseException | None = None
    """What the turn raised."""

    def of(self, kind: type) -> list[Any]:
        return [event for event in (*self.events, *self.notices) if isinstance(event, kind)]

    @property
    def ended(self) -> dict[str, ToolEnded]:
        """By the id of the call, in the order in which they ended."""
        return {event.call.id: event for event in self.of(ToolEnded)}

    @property
    def started(self) -> list[str]:
        return [event.planned.call.id for event in self.of(ToolStarted)]

    @property
    def calls(self) -> list[ToolCall]:
        return self.of(ToolCall)

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.of(Text))

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return self.network.bodies

    def results(self, request: int = -1) -> list[Any]:
        """The contents of the tool messages in a request."""
        return [m["content"] for m in self.bodies[request]["messages"] if m["role"] == "tool"]

    def turn(self, request: int = -1) -> dict[str, Any]:
        """The last assistant's message in a request."""
        return dict([m for m in self.bodies[request]["messages"] if m["role"] == "assistant"][-1])


def looped(
    steps: Sequence[Any],
    *boxes: Any,
    approve: Callable[[PlannedCall], Decision] | None = None,
    quirks: Quirks | None = None,
    choice: str | None = None,
    messages: tuple[Message, ...] = (Message(role="user", content="Hi"),),
    model: str = "m",
    reads_images: bool = False,
    retries: int = 0,
    max_turns: int = 10,
    watch: Callable[[Event], object] | None = None,
    **options: Any,
) -> Loop:
    """Go through a turn in which the server answers with ``steps``; if ``watch`` returns True, it is stopped there."""

    def put(planned: PlannedCall) -> Decision:
        loop.put.append(planned)
        return approve(planned) if approve is not None else Approve()

    network = FakeTransport(*map(_step, steps))
    provider = Provider(
        name="lab", base_url="http://lab.test/v1", network=Network(retries=retries), quirks=quirks or Quirks()
    )
    plan = ChatPlan(
        target=Target(provider=provider, model=model),
        request=Request(model=model, messages=messages, tool_choice=choice, reads_images=reads_images),
        new_messages=messages,
        max_turns=max_turns,
    )
    opened = OpenProvider(client=Client(network, sleep=lambda _: None), provider=provider)
    notices: list[Notice] = []
    run = ChatRun(
        plan, lambda _: nullcontext(opened), toolboxes=boxes, approve=put, notify=notices.append, **options
    )
    loop = Loop(network, run, notices=notices)
    try:
        for event in run:
            loop.events.append(event)
            if watch is not None and watch(event) is True:
                break
    except Exception as error:  # noqa: BLE001 - the test looks at it
        loop.error = error
    loop.events += run.end(loop.error if isinstance(loop.error, CoreError) else None)
    return loop


def _step(step: Any) -> Any:
    """A step of ``FakeTransport`` from what ``scripted`` would send."""
    if isinstance(step, scripted.Answer):
        return Scripted(body=tuple(step.body), status=step.status, headers=step.headers)  # type: ignore[arg-type]
    return Scripted(body=tuple(step)) if isinstance(step, list) else step
