"""Runs the rows of a batch in threads: each row is a ``ChatRun``, retried as its lane allows.

A worker takes a row, waits until a lane is free, asks, and hands over the result. The threads share one transport, so
connections are reused. Another runner may take the place of this one: rows, planner and results do not depend on it.
"""

from __future__ import annotations

import queue
import threading
import time
from contextlib import nullcontext
from math import inf
from typing import TYPE_CHECKING, Final

from provider_core import errors
from provider_core.batches.lanes import rate_error, retry_after
from provider_core.chat import ChatRun
from provider_core.chat.fallback import may_fall_back, rest_after
from provider_core.client import backoff, max_retries_for
from provider_core.errors import CoreError
from provider_core.events import AnswerEnded
from provider_core.structs import Struct, replace
from provider_core.types import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from decimal import Decimal

    from provider_core.batches.lanes import Lane
    from provider_core.batches.planner import RowPlanner
    from provider_core.batches.rows import Row
    from provider_core.chat import ChatPlan
    from provider_core.events import Answer
    from provider_core.prices import Pricing

_RATE_RETRIES: Final = 20
"""How often a row is sent again because of rate limits. The pauses between are the lane's."""
_LONGEST_WAIT: Final = 900.0
"""A server that asks to wait longer than this ends the batch: it can be resumed then."""
_SERVER_FAILED: Final = (errors.ServerError, errors.ProtocolError, errors.NetworkError)
"""Failures that say more about a server than about a row."""
_NO_ACCESS: Final = (
    errors.AuthenticationError, errors.QuotaError, errors.ApiKeyError, errors.LocalModelError,
)  # fmt: skip
_AHEAD: Final = 256
"""Results that may wait for the caller; then no further row is started."""
_TICK: Final = 0.2
_GRACE: Final = 30.0
"""Seconds after the deadline for the requests in flight."""


class Result(Struct):
    """The outcome of a row."""

    row: Row
    answer: Answer | None = None
    """None if nothing was asked: the row cannot be used."""
    error: CoreError | None = None
    """Why there is no complete answer."""
    requests: tuple[AnswerEnded, ...] = ()
    """All requests that were made for it, in order, with what each brought."""
    attempts: int = 0
    seconds: float = 0.0
    """From the start of the first request to the end of the last."""

    @property
    def ok(self) -> bool:
        """Whether the answer is complete: also one cut by a token limit that the caller set."""
        whole = self.answer is not None and self.answer.verdict in (Verdict.COMPLETE, Verdict.LENGTH)
        return whole and self.error is None

    @property
    def verdict(self) -> Verdict:
        """The verdict of the answer; "failed" if there is none."""
        return Verdict.FAILED if self.answer is None else self.answer.verdict

    def with_answers(self, change: Callable[[Answer], Answer]) -> Result:
        """The result with its answer, and those of its requests, changed."""
        return replace(
            self,
            answer=None if self.answer is None else change(self.answer),
            requests=tuple(replace(each, answer=change(each.answer)) for each in self.requests),
        )


class BatchLimits(Struct):
    """When a batch ends early; None: never."""

    max_errors: int | None = None
    """Rows that failed."""
    max_cost: Decimal | None = None
    """US dollars; unknown costs do not count. Rows in flight are expected to cost as much as the others did."""
    deadline: float | None = None
    """Seconds after which no row is started. Those in flight have 30 seconds more."""


class Run:
    """A batch while it runs, in whatever way. Iterate for its results as they come, and None while there is none.

    Rows that were not finished have no result. ``clock`` returns seconds.
    """

    resting: float = 0.0
    """The seconds until a request may start again, because servers asked to wait."""
    in_flight: int = 0
    """Rows that are being asked."""

    def __init__(
        self,
        rows: Iterable[Row],
        *,
        lanes: Sequence[Lane] = (),
        limits: BatchLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lanes: list[Lane] = list(lanes)
        self.ended_by: str = ""
        """Why the batch ended early: "stop", "errors", "cost", "deadline", "error", or "" if all rows are done."""
        self.error: CoreError | None = None
        """The error that ended it."""
        self.activity: str = ""
        """Names what the batch waits for, unless that is the requests in flight."""
        self.done: int = 0
        """Results that the caller has."""
        self.failed: int = 0
        self.spent: Decimal | None = None
        """US dollars, the sum of all known costs; None if no cost is known."""
        self._rows = iter(rows)
        self._limits = limits or BatchLimits()
        self._clock = clock
        self._deadline = inf

    def stop(self, why: str = "stop", error: CoreError | None = None) -> None:
        """Start no further row. Any thread, or a signal's handler, may call this."""
        if not self.ended_by:
            self.error = error
            self.ended_by = why

    def __iter__(self) -> Iterator[Result | None]:
        raise NotImplementedError

    def _is_over(self) -> bool:
        if self._clock() >= self._deadline:
            self.stop("deadline")
        return bool(self.ended_by)

    def _start_clock(self) -> None:
        if self._limits.deadline is not None:
            self._deadline = self._clock() + self._limits.deadline

    def _add_costs(self, requests: Iterable[AnswerEnded]) -> None:
        for request in requests:
            if (cost := request.answer.cost) is not None:
                self.spent = cost.amount + (self.spent or 0)

    def _count(self, result: Result) -> None:
        """Count a result that the caller gets, and its costs; end the batch if too many failed."""
        self.done += 1
        self.failed += not result.ok
        self._add_costs(result.requests)
        if not result.ok and self.failed == self._limits.max_errors:
            self.stop("errors", result.error)


class _Job:
    """A row on its way."""

    def __init__(self, row: Row, plan: ChatPlan, lanes: Sequence[Lane]) -> None:
        self.row: Row = row
        self.plan: ChatPlan = plan
        self.lanes: Sequence[Lane] = lanes
        self.tokens: float = 0.0
        self.attempts: int = 0
        self.retries: int = 0
        self.refusals: int = 0
        self.not_before: float = -inf
        self.started: float = 0.0
        self.requests: list[AnswerEnded] = []
        self.failed: list[Lane] = []
        """Lanes that do not get this row a second time, because others can be asked instead."""


class BatchRun(Run):
    """A batch of requests that this process sends in threads; a None comes after each 0.2 seconds without a result.

    ``rows`` is read in threads, one row at a time. ``lanes_for`` returns the lanes of a model that a row names.
    ``window`` is the number of rows that may be started before the oldest unfinished one ends.

    After ``stop``, the iteration ends when the requests in flight have. If you stop iterating, they are abandoned.
    """

    def __init__(
        self,
        rows: Iterable[Row],
        planner: RowPlanner,
        lanes: Sequence[Lane],
        *,
        lanes_for: Callable[[str], Sequence[Lane]],
        limits: BatchLimits | None = None,
        price: Pricing | None = None,
        window: int | None = None,
    ) -> None:
        super().__init__(rows, lanes=lanes, limits=limits)
        self._planner = planner
        self._lanes_for = lanes_for
        self._price = price
        self._window = window
        self._results: queue.SimpleQueue[Result | BaseException | None] = queue.SimpleQueue()
        self._source = threading.Lock()
        self._changed = threading.Condition()
        self._workers = 0
        self._exhausted = False
        self._dropped = False  # whether a row that was taken has no result
        self._shared = list(lanes)
        self._taken = 0  # rows, counted for the window
        self._unfinished: dict[int, int] = {}
        """For each row that was taken, by its number, how many had been before."""
        self._errors = 0  # rows that failed, counted when they end
        self._priced = 0  # requests whose cost is known
        self._output_tokens = 0.0  # of an average answer

    # --- for the caller ------------------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:  # type: ignore[override]
        return sum(lane.in_flight for lane in self.lanes)

    @property
    def resting(self) -> float:  # type: ignore[override]
        until = min((lane.rests_until for lane in self.lanes if lane.dead is None), default=-inf)
        return max(0.0, until - time.monotonic())

    def __iter__(self) -> Iterator[Result | None]:
        self._start_clock()
        with self._changed:
            self._hire()
        try:
            while True:
                try:
                    item = self._results.get(timeout=_TICK)
                except queue.Empty:
                    if self._is_over():
                        with self._changed:
                            self._changed.notify_all()
                    if self.ended_by == "deadline" and time.monotonic() > self._deadline + _GRACE:
                        return
                    if self.ended_by and not self.in_flight and self._results.empty():
                        return  # at most, a thread waits for the next row of a pipe
                    yield None
                    continue
                if item is None:
                    if self._exhausted and not self._dropped and self.ended_by in ("cost", "deadline"):
                        self.ended_by = ""  # too late to matter: all rows are done
                    return
                if isinstance(item, BaseException):
                    raise item
                self._count(item)
                yield item
        finally:
            with self._changed:
                if self._workers:
                    self.stop()
                self._changed.notify_all()

    def _count(self, result: Result) -> None:
        """Count a result. Its costs, and whether it is one failure too many, were counted when it ended."""
        self.done += 1
        self.failed += not result.ok
        self._is_over()
        if self._window is not None or self._results.qsize() == _AHEAD // 2:
            with self._changed:
                self._unfinished.pop(result.row.number, None)
                self._changed.notify_all()

    def _check_costs(self, ended: Sequence[AnswerEnded]) -> None:
        """Add up costs when requests end: the caller may take their results much later. Called with the lock."""
        self._add_costs(ended)
        self._priced += sum(request.answer.cost is not None for request in ended)
        limit = self._limits.max_cost
        if limit is not None and self.spent is not None:
            expected = self.spent / self._priced * self.in_flight
            if self.spent + expected >= limit:
                self.stop("cost")

    # --- workers -------------------------------------------------------------------------------------------

    def _hire(self) -> None:
        """Have as many workers as requests may be in flight. Called with the lock."""
        wanted = sum(lane.limit for lane in self.lanes if lane.dead is None)
        while self._workers < max(1, wanted) and not (self._exhausted or self.ended_by):
            self._workers += 1
            # A daemon: a second Ctrl-C must not wait for a silent server.
            threading.Thread(target=self._work, name=f"batch-{self._workers}", daemon=True).start()

    def _work(self) -> None:
        try:
            while (job := self._next_job()) is not None:
                self._finish(job)
        except BaseException as error:  # noqa: BLE001 - it is raised in the caller's thread
            self.stop("error", error if isinstance(error, CoreError) else None)
            if not isinstance(error, CoreError):
                self._results.put(error)
        with self._changed:
            self._workers -= 1
            self._changed.notify_all()
            if not self._workers:
                self._results.put(None)

    def _next_job(self) -> _Job | None:
        while True:
            if not self._has_room():
                return None
            with self._source:
                if self.ended_by or self._exhausted:
                    return None
                row = next(self._rows, None)
                if row is None:
                    self._exhausted = True
                    return None
                if self._window is not None:
                    with self._changed:
                        self._unfinished[row.number] = self._taken
                        self._taken += 1
            if row.error is None:
                try:
                    return self._planned(row)
                except CoreError as error:
                    row = replace(row, error=error)
                except Exception as error:  # noqa: BLE001 - such as a value that is nested too deeply
                    row = replace(row, error=_internal(error))
            self._hand_over(Result(row=row, error=row.error))

    def _has_room(self) -> bool:
        """Wait until the caller has taken enough results; False if the batch has ended."""
        with self._changed:
            while not self.ended_by:
                oldest = next(iter(self._unfinished.values()), self._taken)
                if self._taken - oldest < (self._window or inf) and self._results.qsize() < _AHEAD:
                    return True
                self._changed.wait(1.0)
        return False

    def _planned(self, row: Row) -> _Job:
        name = self._planner.model(row)
        lanes: Sequence[Lane] = self._shared
        if name is not None:
            with self._changed:
                lanes = self._lanes_for(name)
                if new := [lane for lane in lanes if lane not in self.lanes]:
                    self.lanes += new
                    self._hire()
        job = _Job(row, self._planner.plan(row, lanes[0].target, lanes[0].request), lanes)
        if any(throttle.tpm for lane in lanes for throttle in lane.throttles):
            from provider_core.attachments import estimate_tokens

            job.tokens = float(estimate_tokens(job.plan.request.messages))
        return job

    def _finish(self, job: _Job) -> None:
        """Ask until there is a result, and hand it over; or the batch ends first."""
        while True:
            lane = self._acquire(job)
            if lane is None:
                break
            now = time.monotonic()
            job.started = job.started or now
            job.attempts += 1
            plan = job.plan
            if plan.target is not lane.target:
                plan = self._planner.plan(job.row, lane.target, lane.request)
            answer, ended = ask(plan, lane, price=self._price)
            job.requests += ended
            result = Result(
                row=job.row,
                answer=answer,
                error=answer.error,
                requests=tuple(job.requests),
                attempts=job.attempts,
                seconds=time.monotonic() - job.started,
            )
            if self._release(job, lane, result, now, ended):
                self._hand_over(result)
                return
            if self.ended_by:
                break
        self._dropped = True

    def _hand_over(self, result: Result) -> None:
        """Give the result to the caller, who may take it much later: errors count now."""
        if not result.ok and self._limits.max_errors is not None:
            with self._changed:
                self._errors += 1
                if self._errors >= self._limits.max_errors:
                    self.stop("errors", result.error)
        self._results.put(result)

    def _acquire(self, job: _Job) -> Lane | None:
        """Wait for a lane; None if the batch has ended."""
        with self._changed:
            while not self.ended_by:
                now = time.monotonic()
                lanes = [lane for lane in job.lanes if lane.dead is None]
                if not lanes:
                    self.stop("error", job.lanes[0].dead)
                    self._changed.notify_all()
                    return None
                if len(lanes) > 1:
                    lanes = _preferred(lanes, job, now)
                free = [(lane.free_at, lane) for lane in lanes]
                if job.not_before <= now and (ready := [lane for at, lane in free if at <= now]):
                    lane = ready[0] if len(ready) == 1 else min(ready, key=lambda lane: lane.load)
                    job.tokens += self._output_tokens if job.attempts == 0 else 0.0
                    lane.start(now, job.tokens)
                    return lane
                at = max(job.not_before, min(at for at, _ in free))
                self._changed.wait(min(1.0, max(0.001, at - now)))
        return None

    def _release(
        self, job: _Job, lane: Lane, result: Result, started: float, ended: Sequence[AnswerEnded]
    ) -> bool:
        """Tell the lane how the request ended. Returns whether the result is final."""
        with self._changed:
            now, limit = time.monotonic(), lane.limit
            lane.in_flight -= 1
            self._check_costs(ended)
            if result.ok:
                lane.succeeded(now)
            final = result.ok or not self._asks_again(job, lane, result, started, now)
            usage = None if result.answer is None else result.answer.usage
            if usage is not None and job.tokens:
                output = float(usage.output or 0)
                if used := (usage.input or 0) + output:
                    for throttle in lane.throttles:
                        throttle.correct(used - job.tokens)
                self._output_tokens += (output - self._output_tokens) * 0.2
            if lane.limit > limit:
                self._hire()
            if lane.limit == limit and len(self.lanes) == 1 and final:
                self._changed.notify()
            else:
                self._changed.notify_all()
        return final

    def _asks_again(self, job: _Job, lane: Lane, result: Result, started: float, now: float) -> bool:
        """Tell the lane how a request failed. Returns whether the row is retried: here, later, or elsewhere."""
        error, retries = result.error, lane.target.provider.network.retries
        again, dead, pause = True, False, 0.0
        if rate_error(error):
            wait = retry_after(error)
            dead = lane.refused(now, started, wait) or (wait or 0) > _LONGEST_WAIT
            job.refusals += 1
            again = job.refusals <= _RATE_RETRIES
            pause = 0.0 if wait else backoff(min(job.refusals - 1, 4), lambda: 0.5)
        elif isinstance(error, errors.ConnectError):
            lane.unreachable(now, error, retries if error.transient else 0)
        elif isinstance(error, errors.DeadlineError) and error.phase == "connect":
            lane.unreachable(now, error, retries)
        elif _ends_lane(error, lane):
            dead = True
        elif job.retries < _worth(result, retries):
            job.retries += 1
            pause = backoff(job.retries - 1, lambda: 0.5)
        else:
            again, dead = False, isinstance(error, _SERVER_FAILED) and lane.failed()
        if dead:
            lane.dead, again = error, True  # by another lane, or the batch ends
        if error is not None and _has_fallback(job, lane) and may_fall_back(error):
            job.failed.append(lane)
            lane.rests_until = max(lane.rests_until, now + rest_after(error))
            again, pause = True, 0.0
        job.not_before = now + pause
        return again


def ask(plan: ChatPlan, lane: Lane, *, price: Pricing | None = None) -> tuple[Answer, list[AnswerEnded]]:
    """One turn to its end: the answer, which has the error if it failed; and its requests."""
    run = ChatRun(plan, lambda _: nullcontext(lane.opened), price=price)
    ended: list[AnswerEnded] = []
    try:
        ended.extend(event for event in run if type(event) is AnswerEnded)
    except Exception as error:  # noqa: BLE001 - what one row brings to light must not end the others
        failure = error if isinstance(error, CoreError) else _internal(error)
        ended += [event for event in run.end(failure) if isinstance(event, AnswerEnded)]
    return run.answer, ended


def _internal(error: Exception) -> CoreError:
    """An unexpected exception as an error of a row: its type and place, not its message, which may hold a key."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = "" if place is None else f" in {place.tb_frame.f_globals.get('__name__')}:{place.tb_lineno}"
    return CoreError(f"internal error{where} ({type(error).__name__}). Please report it", code="internal")


def _preferred(lanes: Sequence[Lane], job: _Job, now: float) -> list[Lane]:
    """The lanes of the best rank that has one which did not fail and does not rest, else all that did not fail."""
    left = [lane for lane in lanes if lane not in job.failed] or list(lanes)
    awake = [lane for lane in left if lane.rests_until <= now]
    best = min((lane.rank for lane in awake), default=0)
    return [lane for lane in awake if lane.rank == best] or left


def _has_fallback(job: _Job, lane: Lane) -> bool:
    """Whether a lane of lower rank is left for a row that failed."""
    return any(
        other.rank > lane.rank and other.dead is None and other not in job.failed for other in job.lanes
    )


def _ends_lane(error: CoreError | None, lane: Lane) -> bool:
    """Whether every other request to the lane would fail in the same way."""
    if isinstance(error, errors.PermissionDeniedError | errors.NotFoundError | errors.SettingsError):
        return not lane.answers  # later, it may be the row
    return isinstance(error, _NO_ACCESS)


def _worth(result: Result, retries: int) -> int:
    """How many of ``retries`` a row is worth. Nothing was shown yet, so cut answers are asked for again, too."""
    error = result.error
    if error is None:
        return 0
    is_cut = isinstance(error, errors.NetworkError) or result.verdict is Verdict.PARTIAL
    if is_cut or (isinstance(error, errors.ProtocolError) and error.should_retry is None):
        return retries
    return max_retries_for(error, retries)
