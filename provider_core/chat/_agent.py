"""The tool loop as the command line still calls it."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from provider_core.chat.runner import ChatPlan, ChatRun
from provider_core.client import OpenProvider
from provider_core.events import AnswerEnded, ChatEnded, Connecting
from provider_core.types import Target

if TYPE_CHECKING:
    from collections.abc import Generator

    from provider_core.client import Client
    from provider_core.types import Provider, Request


def agent(
    client: Client,
    provider: Provider,
    request: Request,
    *,
    key: str | None = None,
    max_turns: int = 10,
    watch: Any = None,
    **options: Any,
) -> Generator[Any, None, None]:
    target = Target(provider=provider, model=request.model)
    plan = ChatPlan(target=target, request=request, new_messages=(), max_turns=max_turns)
    opened = OpenProvider(client=client, provider=provider, key=key)
    for event in ChatRun(plan, lambda _: nullcontext(opened), log=watch, **options):
        if not isinstance(event, AnswerEnded | ChatEnded | Connecting):
            yield event
