"""``--schema``: asked again until the answer fits, and shown when it does; what fits is decided in the core."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from provider_core.errors import SchemaError, SchemaMismatchError
from provider_core.events import ChatEnded, Connecting, RequestStarted, SchemaRetry
from provider_core.structured import matching_json, retry_message
from provider_core.types import Request, Text, Verdict
from telex.render.renderer import Paused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from provider_core.answer import Answer
    from provider_core.events import Event
    from provider_core.types import Json, Part
    from telex.dialogue import Dialogue
    from telex.render.renderer import CommandEvent, Renderer

__all__ = ["ask_for_json"]


def ask_for_json(
    dialogue: Dialogue,
    content: str | tuple[Part, ...],
    show: Renderer,
    *,
    schema: Mapping[str, Json],
    retries: int,
    system: str | None = None,
    watch: Callable[[str, str], None] | None = None,
) -> Answer:
    """One turn whose text is JSON that fits ``schema``; asked again ``retries`` times at most where it does not.

    What the last answer was is shown even if it does not fit; its ``error`` then says where.
    """
    held = _Held(show)
    try:
        while True:
            answer = dialogue.ask(content, held, system=system, watch=watch)
            if answer.verdict not in (Verdict.COMPLETE, Verdict.LENGTH):
                break
            try:
                answer = replace(answer, text=matching_json(answer.text, schema))
                break
            except SchemaError as error:  # what no look at the schema alone has shown
                answer = replace(answer, verdict=Verdict.FAILED, error=error)
                break
            except SchemaMismatchError as error:
                error.provider = answer.target.provider.name
                # What the token limit has cut would be cut again.
                if answer.verdict is Verdict.LENGTH:
                    error.explain("the token limit has cut it")
                # A tool that was not allowed would not be the next time, and is why.
                if not retries or answer.verdict is Verdict.LENGTH or answer.error is not None:
                    cut = answer.verdict is Verdict.LENGTH
                    answer = replace(
                        answer, verdict=Verdict.FAILED, error=error if cut else answer.error or error
                    )
                    break
                retries -= 1
                held.handle(SchemaRetry(error=error))
                content, system = retry_message(error, schema), None
    except BaseException:
        held.release()
        raise
    held.release(answer)
    return answer


class _Held:
    """Wraps a renderer; holds back the text and the end until it is known which answer counts."""

    def __init__(self, inner: Renderer) -> None:
        self._inner = inner
        self._requests = 0
        self._ended: Answer | None = None

    def handle(self, event: Event | CommandEvent) -> None:
        match event:
            case Text():
                pass
            case ChatEnded(answer=answer):
                self._ended = answer
            case Connecting():
                self._ended = None
                self._requests += 1
                self._inner.handle(
                    event
                    if self._requests == 1
                    else RequestStarted(number=2, request=Request(model="", messages=()))
                )
            case _:
                self._inner.handle(event)

    def release(self, final: Answer | None = None) -> None:
        """Show the text, of ``final`` or of what there was when something broke off, and end the inner turn."""
        answer = self._ended
        if answer is None:
            self._inner.handle(Paused())
            return
        if final is not None:
            # The end of a loop with tools has all that was called in it; of the texts, the last one counts.
            answer = replace(answer, text=final.text, verdict=final.verdict, error=final.error)
        if answer.text:
            self._inner.handle(Text(text=answer.text))
        self._inner.handle(ChatEnded(answer=answer))
