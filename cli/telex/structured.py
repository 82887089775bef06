"""``--schema``: asked again until the answer fits, and shown when it does; what fits is decided in the core."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from provider_core.errors import SchemaError, SchemaMismatchError
from provider_core.structured import check, retry_message
from provider_core.types import Text, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from provider_core.answer import Answer
    from provider_core.events import ToolEvent
    from provider_core.types import AnswerEvent, Json, Notice, Part, Target
    from telex.app import App
    from telex.dialogue import Dialogue
    from telex.render.show import Show

__all__ = ["ask_for_json"]


def ask_for_json(
    app: App,
    dialogue: Dialogue,
    content: str | tuple[Part, ...],
    show: Show,
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
                answer = replace(answer, text=check(answer.text, schema).text)
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
                app.console.note(f"{error.message}; asking again")
                content, system = retry_message(error, schema), None
    except BaseException:
        held.release()
        raise
    held.release(answer)
    return answer


class _Held:
    """A ``Show`` that keeps the text back, and the end, until it is known which answer counts."""

    unsaid = 0

    def __init__(self, inner: Show) -> None:
        self._inner = inner
        self._ended: tuple[Answer, str | None] | None = None

    def connecting(self, target: Target) -> None:
        self._ended = None
        self._inner.connecting(target)

    def notice(self, notice: Notice) -> None:
        self._inner.notice(notice)

    def event(self, event: AnswerEvent) -> None:
        if not isinstance(event, Text):
            self._inner.event(event)

    def aside(self, line: str) -> None:
        self._inner.aside(line)

    def tool(self, event: ToolEvent) -> None:
        self._inner.tool(event)

    def pause(self) -> None:
        self._inner.pause()

    def close(self) -> None:
        pass

    def ended(self, answer: Answer, hint: str | None = None) -> None:
        self._ended = answer, hint

    def failed(self, error: BaseException, hint: str | None = None) -> None:
        self._inner.failed(error, hint)

    def release(self, final: Answer | None = None) -> None:
        """Show the text, of ``final`` or of what there was when something broke off, and end the inner show."""
        answer, hint = self._ended or (None, None)
        if answer is not None and final is not None:
            # The end of a loop with tools has all that was called in it; of the texts, the last one counts.
            answer = replace(answer, text=final.text, verdict=final.verdict, error=final.error)
        if answer is not None and answer.text:
            self._inner.event(Text(text=answer.text))
        self._inner.close()
        if answer is not None:
            self._inner.ended(answer, hint)
