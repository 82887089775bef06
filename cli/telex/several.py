"""One question to several models at once: each is asked by a thread of its own; one thread shows and keeps all."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from provider_core.answer import Answer
from provider_core.errors import CoreError
from provider_core.structs import Struct
from provider_core.types import Verdict
from telex.ask import Turn, hint, judged
from telex.console import OutputClosed, OutputError
from telex.error_hints import answer_code, code_and_hint
from telex.exit_codes import ExitCode, internal_error
from telex.render.renderer import ChatFailed, StatusLine, multi_renderer_for
from telex.signals import Interrupts, Terminated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from provider_core.events import Event
    from provider_core.keys import Credentials
    from provider_core.types import Message, Provider, Request, Target
    from telex.app import App
    from telex.chat.history_recorder import HistoryRecorder
    from telex.render.renderer import CommandEvent, MultiRenderer, RenderOptions

__all__ = ["Asked", "Outcome", "Several"]

_MOMENT = 0.1
"""Seconds without anything new after which the screen is painted anew: a clock turns there."""

_Item: TypeAlias = "tuple[float, int, Callable[[], object]]"
"""When something came, of which answer, and what is to be done about it."""

Outcome: TypeAlias = Answer | CoreError
"""What one model brought, or why it could not be asked."""


class Asked(Struct):
    """One of the models: what it is asked, with its credentials; or, in ``error``, why it is not.

    ``new`` are the messages that are kept of the request.
    """

    target: Target | None = None
    request: Request | None = None
    credentials: Credentials | None = None
    error: CoreError | None = None
    recorder: HistoryRecorder | None = None
    new: Sequence[Message] = ()


class Several:
    """The models with these ``names``, asked together. What has become of each is in ``outcomes``, in this order."""

    def __init__(self, app: App, view: RenderOptions, names: Sequence[str]) -> None:
        self._app = app
        self._view = view
        self._names = names
        self.outcomes: list[Outcome | None] = [None] * len(names)
        self._renderer: MultiRenderer | None = None
        self._queue: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._moment = 0.0
        self._doing: int | None = None
        """Of which answer something is shown right now."""
        self._broken: int | None = None
        self._turns: dict[int, Turn] = {}
        """Those whose answer has not ended."""
        self._given_up = threading.Event()
        self._one_at_a_time = threading.Lock()

    def ask(self, asked: Sequence[Asked], *, verbose: int = 0) -> ExitCode:
        """Ask all, and show and keep what comes; the exit code of the worst.

        Raises what stops it from outside, when all that has come has been shown and kept.
        """
        _ = self._app.runtime.client, self._app.runtime.settings  # made by this thread, for all
        with Interrupts() as interrupts:
            try:
                with interrupts.held:
                    self._renderer = multi_renderer_for(
                        self._app.console,
                        self._view,
                        [each.target or name for each, name in zip(asked, self._names, strict=True)],
                        report=self._tell,
                        explain=partial(hint, self._app),
                    )
                    shows = [_One(self._renderer, index) for index in range(len(asked))]
                    self._turns = dict(self._begun(asked, shows, interrupts))
                for index, each in enumerate(asked):
                    if each.error is not None:
                        self._refused(index, each.error, shows[index], interrupts)
                for index in self._turns:
                    work = partial(self._work, index, asked[index], shows[index], verbose)
                    # Daemons: Ctrl-C must not wait for a server that is silent.
                    threading.Thread(target=work, name=f"telex-ask-{index}", daemon=True).start()
                self._show_all(interrupts)
            except (KeyboardInterrupt, Terminated, OutputClosed, OutputError):
                self._give_up(interrupts)
                raise
            except Exception as error:
                self._give_up(interrupts, internal_error(error))
                raise
        return _worst(self.outcomes)

    def _begun(
        self, asked: Sequence[Asked], shows: Sequence[_One], interrupts: Interrupts
    ) -> Iterator[tuple[int, Turn]]:
        for index, (each, show) in enumerate(zip(asked, shows, strict=True)):
            if each.target is None or each.request is None:
                continue
            yield (
                index,
                Turn(
                    self._app,
                    each.target,
                    each.request,
                    show,
                    interrupts=interrupts,
                    recorder=each.recorder,
                    new=each.new,
                    ended=partial(self.outcomes.__setitem__, index),
                    clock=self._clock,
                ),
            )

    def _refused(self, index: int, error: CoreError, show: _One, interrupts: Interrupts) -> None:
        """One that cannot be asked ends before the others have begun."""
        turn = self._turns.pop(index, None)
        if turn is not None:
            turn.over(error, unwritten=0)
            return
        self.outcomes[index] = error
        with interrupts.held:
            show.handle(ChatFailed(error=error))

    # --- the thread of each ------------------------------------------------------------------------------------

    def _work(self, index: int, asked: Asked, show: _One, verbose: int) -> None:
        error: CoreError | None = None
        try:
            self._ask_one(index, asked, show, verbose)
        except CoreError as failure:
            error = failure
        except BaseException as mistake:  # noqa: BLE001 - one failure does not end the others
            error = internal_error(mistake)
        self._post(index, partial(self._over, index, error))

    def _ask_one(self, index: int, asked: Asked, show: _One, verbose: int) -> None:
        turn, target, request = self._turns[index], asked.target, asked.request
        if target is None or request is None:
            return

        def watch(mark: str, words: str) -> None:
            if mark != "<<" or verbose > 1:
                self._post(index, partial(show.handle, StatusLine(text=f"{mark[:1]} {target}: {words}")))

        with self._reach(target, asked.credentials) as (provider, key):
            events = self._app.runtime.client.chat(
                provider,
                request,
                key=key,
                notify=lambda notice: self._post(index, partial(turn.notice, notice)),
                watch=watch if verbose else None,
            )
            with contextlib.closing(events):
                for event in events:
                    if self._given_up.is_set():
                        return
                    self._post(index, partial(turn.event, event))

    @contextlib.contextmanager
    def _reach(
        self, target: Target, credentials: Credentials | None
    ) -> Iterator[tuple[Provider, str | None]]:
        if credentials is not None and not target.provider.embedded:
            yield credentials.provider, credentials.value
            return
        # Each holds a model in memory, and takes all cores.
        with self._one_at_a_time, self._app.open_provider(target) as opened:
            yield opened.provider, opened.key

    def _post(self, index: int, what: Callable[[], object]) -> None:
        self._queue.put((time.monotonic(), index, what))

    # --- the one thread that shows -----------------------------------------------------------------------------

    def _show_all(self, interrupts: Interrupts) -> None:
        while self._turns:
            with contextlib.suppress(queue.Empty):
                self._do(self._queue.get(timeout=_MOMENT))
            with interrupts.held:
                if self._renderer is not None:
                    self._renderer.tick()

    def _do(self, item: _Item) -> None:
        self._moment, self._doing, do = item
        do()
        self._doing = None

    def _over(self, index: int, error: CoreError | None) -> None:
        turn = self._turns.pop(index, None)
        if turn is not None:
            turn.over(error, unwritten=self._app.console.unwritten if index == self._broken else 0)

    def _give_up(self, interrupts: Interrupts, error: CoreError | None = None) -> None:
        """End all that is open, with what has come of it; where stdout is in the way, for the history alone.

        Of the answer that was being shown when it happened, what has not been shown does not count.
        """
        self._given_up.set()
        broken = self._broken = self._doing
        steps: list[Callable[[], object]] = []
        if broken in self._turns:
            steps.append(partial(self._over, broken, error))
        while not self._queue.empty():
            item = self._queue.get()
            if item[1] != broken:
                steps.append(partial(self._do, item))
        steps += (partial(self._over, index, error) for index in self._turns if index != broken)
        for step in steps:
            try:
                step()
            except (KeyboardInterrupt, Terminated, OutputClosed, OutputError):
                self._app.console.abandon_stdout()

    def _clock(self) -> float:
        return self._moment or time.monotonic()

    def _tell(self, index: int) -> None:
        """Say on stderr what there is to say of one's end, under its name."""
        console = self._app.console
        match self.outcomes[index]:
            case CoreError() as error:
                console.error(f"{self._names[index]}: {error.message}", hint(self._app, error))
            case Answer(verdict=verdict) as answer if verdict is not Verdict.INTERRUPTED:
                code, sentence, advice = judged(self._app, answer)
                if code is not ExitCode.OK:
                    console.error(f"{answer.target}: {sentence}", advice)
                elif sentence:
                    console.note(f"{answer.target}: {sentence}")


class _One:
    """The renderer of one model's turn."""

    def __init__(self, renderer: MultiRenderer, index: int) -> None:
        self._renderer = renderer
        self._index = index

    def handle(self, event: Event | CommandEvent) -> None:
        self._renderer.handle(self._index, event)


def _worst(outcomes: Sequence[Outcome | None]) -> ExitCode:
    """The smallest code that is not 0: what only a person can mend comes before what waiting may cure."""
    codes = [
        code_and_hint(outcome)[0] if isinstance(outcome, CoreError) else answer_code(outcome)
        for outcome in outcomes
        if outcome is not None
    ]
    return min((code for code in codes if code), default=ExitCode.OK)
