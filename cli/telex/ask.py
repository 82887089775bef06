"""One question from end to end: asked of a provider, shown and kept as it comes; how it ended, in an exit code."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from provider_core import limits
from provider_core.answer import AnswerBuilder
from provider_core.errors import CoreError, NetworkError, ProviderError
from provider_core.events import ChatEnded, Connecting
from provider_core.types import Idle, Image, Retrying, Verdict
from telex.console import OutputClosed, OutputError
from telex.error_hints import answer_code
from telex.exit_codes import ExitCode, Stop, internal_error
from telex.render.renderer import Paused, StatusLine
from telex.signals import Interrupts, Terminated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from provider_core.answer import Answer
    from provider_core.types import AnswerEvent, Message, Notice, Request, Target
    from telex.app import App
    from telex.chat.history_recorder import HistoryRecorder
    from telex.render.renderer import Renderer

__all__ = ["Turn", "ask", "conclude", "hint", "judged"]


class Turn:
    """The way of one answer: gathered, shown and kept, piece by piece; all on one thread.

    ``new`` are the request's messages that no earlier turn had. ``ended`` is told of whatever came of it. ``clock``
    says when what is told of came. Of an answer that is not held whole for ``request``, the beginning is held.
    """

    def __init__(
        self,
        app: App,
        target: Target,
        request: Request,
        show: Renderer,
        *,
        interrupts: Interrupts,
        recorder: HistoryRecorder | None = None,
        new: Sequence[Message] = (),
        ended: Callable[[Answer], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._target = target
        self._show = show
        self._held = interrupts.held
        self._keeping = recorder
        if recorder is not None:
            recorder.tell = lambda line: show.handle(StatusLine(text=line))
        self._new = new
        self._ended = ended
        self._gathering = AnswerBuilder(target, limit=request.max_characters or limits.ANSWER, clock=clock)
        self._begun = self._came = False

    def notice(self, notice: Notice) -> None:
        self._gathering.notice(notice)
        self._show.handle(notice)
        if isinstance(notice, Idle | Retrying):
            with self._held:
                self._keep()

    def event(self, event: AnswerEvent) -> None:
        with self._held:
            self._came = True
            if isinstance(event, Image) and event.size is not None and self._app.save_images is not None:
                event = self._saved(event, self._app.save_images)
            self._gathering.event(event)
            self._show.handle(event)
            self._keep()  # where there was no time before, as the answer came at once

    def _saved(self, image: Image, folder: Path) -> Image:
        from telex.render import extras

        try:
            return replace(image, file=extras.save(image, folder))
        except (OSError, ValueError) as error:
            words = getattr(error, "strerror", None) or str(error)
            self._show.handle(StatusLine(text=f"An image cannot be saved in {folder}: {words}"))
            return image

    def _keep(self) -> None:
        if self._keeping is not None and not self._begun:
            self._begun = True
            self._keeping.sent(self._new, self._target)

    def over(self, error: CoreError | None = None, *, unwritten: int | None = None) -> Answer:
        """End the turn, and save what there is, whatever hinders the one or the other; return the answer.

        So many characters at the end of its text are ``unwritten``, by default those of the console.
        """
        self._held.begin()
        self._gathering.take_back(self._app.console.unwritten if unwritten is None else unwritten)
        answer = self._gathering.answer(error)
        if self._ended is not None:
            self._ended(answer)
        try:
            with self._held:
                self._show.handle(Paused())
        finally:
            try:
                if self._keeping is not None:
                    asked = error is None or isinstance(error, ProviderError | NetworkError)
                    if asked or self._came or any(message.role == "tool" for message in self._new):
                        # A question that failed is saved too, and so is what tools have brought.
                        self._keep()
                    with self._held:
                        self._keeping.ended(answer)
            finally:
                with self._held:
                    self._show.handle(ChatEnded(answer=answer))
        return answer


def ask(
    app: App,
    target: Target,
    request: Request,
    show: Renderer,
    *,
    recorder: HistoryRecorder | None = None,
    new: Sequence[Message] | None = None,
    watch: Callable[[str, str], None] | None = None,
    ended: Callable[[Answer], None] | None = None,
) -> Answer:
    """Ask, show the answer, and keep it; ``new`` are the request's messages that no earlier turn had.

    ``watch`` is told what goes over the wire: see ``Client.chat``. ``ended`` is told of whatever came, also
    where something is raised then.

    Returns whatever came of it, once it has ended; raises what the core raises where nothing came, and what
    stopped it from outside. In every case the show has ended and the turn is kept before.
    """
    new = request.messages if new is None else new
    with Interrupts() as interrupts:
        turn = Turn(
            app, target, request, show, interrupts=interrupts, recorder=recorder, new=new, ended=ended
        )
        try:
            show.handle(Connecting(target=target))
            with app.open_provider(target) as opened:
                events = opened.client.chat(
                    opened.provider, request, key=opened.key, notify=turn.notice, watch=watch
                )
                with contextlib.closing(events):
                    for event in events:
                        turn.event(event)
        except CoreError as error:
            turn.over(error)
            raise
        except (KeyboardInterrupt, Terminated, OutputClosed, OutputError):
            turn.over()
            raise
        except Exception as error:
            turn.over(internal_error(error))
            raise
        return turn.over()


def hint(app: App, error: BaseException | None) -> str | None:
    """What to do about an error, as far as there is one."""
    return app.advice(error)[1] if isinstance(error, CoreError) else None


def conclude(app: App, answer: Answer) -> None:
    """Say on stderr what is to be said of the answer's end; raises ``Stop`` with its exit code unless that is 0."""
    code, sentence, hint = judged(app, answer)
    if code is not ExitCode.OK:
        app.console.error(sentence, hint)
        raise Stop(code)
    if sentence:
        app.console.note(sentence)


def judged(app: App, answer: Answer) -> tuple[ExitCode, str, str | None]:
    """The exit code of an answer, a sentence about its end ("" where there is nothing to say), and what to do."""
    from provider_core.stream import standard_reason

    code = answer_code(answer)
    match answer.verdict:
        case Verdict.COMPLETE | Verdict.LENGTH if answer.error is not None:
            return code, answer.error.message, hint(app, answer.error)
        case Verdict.COMPLETE if answer.raw_finish and standard_reason(answer.raw_finish) is None:
            words = f"The server gave a finish reason that telex does not know: {answer.raw_finish}"
            return code, f"{words}. The answer may not be whole.", None
        case Verdict.COMPLETE if answer.tool_calls:
            names = ", ".join(dict.fromkeys(call.name or "?" for call in answer.tool_calls))
            return code, f"The model asked for a tool ({names}), and this chat has none to run.", None
        case Verdict.COMPLETE:
            return code, "", None
        case Verdict.LENGTH:
            return code, "The answer ends at the token limit (--max-tokens raises it).", None
        case _:
            message = answer.error.message if answer.error else f"the answer is {answer.verdict.value}"
            return code, message, hint(app, answer.error)
