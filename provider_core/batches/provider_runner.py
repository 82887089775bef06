"""Runs the rows of a batch as jobs of the provider's own Batch API, which takes up to a day and often costs half.

Rows become lines of a file, the file becomes a job, and the lines of the job's answer become results: each goes through
a ``ChatRun`` whose server is the line, so that its verdict, its check against a schema and its usage are those of any
other answer.

Nothing is paid for twice. A job is saved in a ``JobFile`` before it is sent, and forgotten when the caller has taken
all results of it; in between, the program may end at any moment, and the next run goes on. Jobs of an earlier run are
waited for before anything is sent. Of those, rows without an answer (the job expired, failed or was cancelled) are sent
again; of a job of this run, they are results with an error.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
import time
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from provider_core import errors
from provider_core.batches.jobs import JobApi, Part, Spool, replayed, request_line, row_id, was_left
from provider_core.batches.lanes import Lane, retry_after
from provider_core.batches.runner import Result, Run, ask
from provider_core.client import OpenProvider, max_retries_for
from provider_core.errors import CoreError, FileError, InvalidInputError, ProviderError
from provider_core.structs import replace
from provider_core.types import Timing, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from provider_core.batches.jobs import Job, JobFile
    from provider_core.batches.planner import RowPlanner
    from provider_core.batches.rows import Row
    from provider_core.batches.runner import BatchLimits
    from provider_core.chat import ChatPlan
    from provider_core.prices import Cost, Prices
    from provider_core.types import Json, Target

_FIRST_POLL: Final = 1.0
_LONGEST_POLL: Final = 60.0
_GROWTH: Final = 1.3
"""How many times longer each pause between two questions about a job is."""
_TICK: Final = 0.2
_OFTEN: Final = 1000
"""Rows after which the caller gets a None while files are made or read."""
_QUEUE_FULL: Final = ("token_limit_exceeded", "batch_limit_exceeded")
"""Codes of a job that failed only because too much is queued: https://platform.openai.com/docs/guides/batch"""

_T = TypeVar("_T")


class ProviderRun(Run):
    """A batch that a provider runs.

    ``lanes_for`` returns the lanes of a model that a row names; of several lanes, only the first one is used. ``jobs``
    remembers the jobs. ``is_whole`` returns, after all rows were read, whether they were all of the input: then answers
    to other rows are not needed any more. ``note`` is called with each sentence for the user.

    ``stop`` ends the iteration and leaves the jobs running.
    """

    def __init__(
        self,
        rows: Iterable[Row],
        planner: RowPlanner,
        lanes: Sequence[Lane],
        *,
        jobs: JobFile,
        lanes_for: Callable[[str], Sequence[Lane]],
        limits: BatchLimits | None = None,
        prices: Prices | None = None,
        is_whole: Callable[[], bool] = lambda: True,
        note: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(rows, lanes=lanes, limits=limits, clock=clock)
        self.activity = "preparing"
        self._planner = planner
        self._lanes_for = lanes_for
        self._prices = prices
        self._jobs = jobs
        self._is_whole = is_whole
        self._note = note
        self._sleep = sleep
        self._apis: dict[str, JobApi] = {}
        self._sent: list[str] = []
        """The tokens of the jobs of this run that have results to come."""
        self._lacks_budget = False
        self._expected = Decimal(0)
        """US dollars that the rows of this run are expected to cost."""

    @property
    def in_flight(self) -> int:  # type: ignore[override]
        """The rows of jobs that go on."""
        return sum(job.rows - job.completed - job.failed for job in self._jobs.running)

    def __iter__(self) -> Iterator[Result | None]:
        self._start_clock()
        with tempfile.TemporaryDirectory(prefix="telex-batch-", ignore_cleanup_errors=True) as folder:
            self._folder = Path(folder)
            self._spool = Spool()
            try:
                for result in self._run():
                    if result is not None:
                        self._count(result)
                    yield result
            except CoreError as error:
                self.stop("error", error)
            except (OSError, sqlite3.Error) as error:  # those of the network are errors of the core
                reason = getattr(error, "strerror", None) or str(error)
                what = "temporary files cannot be written"
                self.stop("error", FileError(what, path=self._folder, reason=reason))
            finally:
                self._spool.close()

    def _run(self) -> Iterator[Result | None]:
        if self._is_over():  # such as by a budget that is spent: no job of an earlier run is created, either
            return
        earlier = yield from self._earlier()
        yield from self._wait(earlier)
        for token in earlier:
            job = self._jobs.jobs[token]
            if job.has_ended and not self._is_over():
                for found in self._answers(job):
                    if found is None:
                        yield None
                    else:
                        self._spool.put("", *found)
        if self._is_over():
            return
        yield from self._send_rows()
        is_whole = self._is_whole() and not self._lacks_budget
        if not self._is_over() and (is_whole or next(self._spool.left(""), None) is None):
            self._jobs.remove(*(self._jobs.jobs[token] for token in earlier))
        while self._sent and not self._is_over():
            yield from self._wait(self._sent, first=True)
            for token in [each for each in self._sent if self._jobs.jobs[each].has_ended]:
                if self._is_over():
                    return
                self._sent.remove(token)
                yield from self._results(self._jobs.jobs[token])
        if self._lacks_budget:
            self.stop("cost")

    # --- jobs ----------------------------------------------------------------------------------------------

    def _earlier(self) -> Generator[None, None, list[str]]:
        """The tokens of jobs of earlier runs; batches whose creation was not noticed are found, or created now."""
        known = []
        for job in list(self._jobs.jobs.values()):
            if not job.file:
                self._jobs.remove(job)  # nothing was created from it
                continue
            if not job.id:
                try:
                    self._jobs.save((yield from self._created(job, may_exist=True)))
                except errors.BadRequestError:
                    if job.token in self._jobs.jobs:
                        raise
                    continue  # its file has been deleted
            known.append(job.token)
        if known:
            count = "a job" if len(known) == 1 else f"{len(known)} jobs"
            self._note(f"Resuming {count} of an earlier run.")
        return known

    def _created(self, job: Job, *, may_exist: bool = False) -> Generator[None, None, Job]:
        """Create the batch of a job; but first look whether there is one, if that may be, as after a lost answer.

        A job that is refused is forgotten: then there is none.
        """
        api = self._api(job)

        def create() -> Job:
            nonlocal may_exist
            if may_exist:
                try:
                    found = api.find(job)
                except errors.NotFoundError as error:
                    error.explain(f"{job.provider} cannot tell whether it has a job for {_rows(job)} already")
                    raise
                if found is not None:
                    return found
            may_exist = True
            try:
                return api.create(job)
            except (ProviderError, errors.NetworkError) as error:
                if not _is_temporary(error):
                    self._jobs.remove(job)
                raise

        return (yield from self._retried(create))

    def _retried(self, call: Callable[..., _T], *arguments: Any) -> Generator[None, None, _T]:
        """The result of ``call``, which is retried until the retry budget of the settings is used up."""
        started, delay = self._clock(), _FIRST_POLL
        while True:
            try:
                return call(*arguments)
            except (errors.NetworkError, ProviderError) as error:
                budget = self.lanes[0].target.provider.network.retry_budget
                pause = retry_after(error) or delay
                if not _is_temporary(error) or self._clock() - started + pause > budget:
                    raise
                failure = error
            yield from self._pause(pause)
            if self._is_over():
                raise failure
            delay = min(delay * 2, _LONGEST_POLL)

    def _pause(self, seconds: float) -> Iterator[None]:
        """Wait, and let the caller look around; ends early if the batch is stopped."""
        until = self._clock() + seconds
        while not self._is_over() and (left := until - self._clock()) > 0:
            self._sleep(min(_TICK, left))
            yield None

    def _wait(self, tokens: Sequence[str], *, first: bool = False) -> Iterator[None]:
        """Poll jobs until all of them have ended, or with ``first``, one of them."""
        delay = _FIRST_POLL
        while not self._is_over():
            waiting = [job for token in tokens if not (job := self._jobs.jobs[token]).has_ended]
            for job in waiting:
                if job.id:
                    found = yield from self._retried(self._api(job).retrieve, job)
                    if found.status == "failed" and found.problem_code in _QUEUE_FULL and len(waiting) > 1:
                        found = replace(job, id="", status="")
                elif any(other.id for other in waiting):
                    continue  # the provider's queue was full
                else:
                    found = yield from self._created(job)
                if found != job:
                    self._jobs.save(found)
                if found.status != job.status:
                    delay = _FIRST_POLL
                if self._is_over():
                    return
            jobs = [self._jobs.jobs[token] for token in tokens]
            running = [job for job in jobs if not job.has_ended]
            if not running:
                return
            done, rows = sum(job.completed + job.failed for job in jobs), sum(job.rows for job in jobs)
            states = ", ".join(dict.fromkeys(job.status.replace("_", " ") or "queued" for job in running))
            what = "1 job" if len(running) == 1 else f"{len(running)} jobs"
            self.activity = f"{what} at {running[0].provider}: {states}, {done:,} of {rows:,} rows"
            if first and len(running) < len(jobs):
                return
            yield from self._pause(delay)
            delay = min(delay * _GROWTH, _LONGEST_POLL)

    def _answers(self, job: Job) -> Iterator[tuple[str, dict[str, Json]] | None]:
        """The ids and the answers of the rows of a job that has ended, and None now and then."""
        for name in filter(None, dict.fromkeys((job.output, job.errors))):
            path = self._folder / "answers.jsonl"
            self.activity = f"fetching results from {job.provider}"
            try:
                yield from self._retried(self._api(job).download, name, path)
            except errors.NotFoundError:
                self._note(
                    f"The results of {job.id} were deleted at {job.provider}; its rows are sent again."
                )
                continue
            with path.open("rb") as lines:
                for number, raw in enumerate(lines):
                    if number % _OFTEN == 0:
                        yield None
                    if self._is_over():
                        return
                    with suppress(ValueError, RecursionError, AttributeError, TypeError, LookupError):
                        line = json.loads(raw)
                        if line["custom_id"].isascii() and not was_left(line):
                            yield line["custom_id"], line

    # --- rows ----------------------------------------------------------------------------------------------

    def _send_rows(self) -> Iterator[Result | None]:
        """Yield results of rows that have an answer or cannot be sent; write the others to files, and send these."""
        self.activity = "preparing"
        parts: dict[str, Part] = {}
        try:
            for number, row in enumerate(self._rows):
                if number % _OFTEN == 0:
                    yield None
                if self._is_over():
                    return
                try:
                    if row.error is not None:
                        raise row.error
                    lane, plan = self._planned(row)
                    id_ = row_id(row)
                    if (line := self._spool.take("", id_)) is not None:
                        yield self._result(row, plan, lane, line)
                        continue
                    if self._is_too_expensive(plan):
                        self._lacks_budget = True  # what it allows is sent, and waited for
                        break
                    limits = self._api_of(lane).api
                    request = request_line(id_, plan, lane.opened, limits.endpoint)
                    if len(request) > limits.megabytes * 1_000_000:
                        raise InvalidInputError(f"the request is longer than {limits.megabytes} MB")
                except CoreError as error:
                    yield Result(row=row, error=error)
                    continue
                model = str(lane.target)
                if model in parts and not parts[model].has_room(request):
                    yield from self._submit(parts.pop(model))
                if model not in parts:
                    parts[model] = Part(self._folder / f"{number}.jsonl", lane.target, limits)
                parts[model].add(request)
                self._spool.put(parts[model].job.token, id_, row)
            for part in parts.values():
                if not self._is_over():
                    yield from self._submit(part)
        finally:
            for part in parts.values():
                with suppress(OSError):
                    part.file.close()

    def _submit(self, part: Part) -> Iterator[None]:
        """Upload a file, and create its job. The job is saved before the first step and after each one."""
        part.file.close()
        job = replace(part.job, rows=part.rows)
        self._jobs.save(job)
        self.activity = f"uploading a file for {_rows(job)} to {job.provider}"
        yield None
        file = yield from self._retried(self._api(job).upload, part.path, f"telex-{job.token}.jsonl")
        part.path.unlink()
        job = replace(job, file=file)
        self._jobs.save(job)
        if self.ended_by == "stop":
            return
        try:
            job = yield from self._created(job)
        except ProviderError as error:
            if error.code not in _QUEUE_FULL or not self._sent:
                raise
        self._jobs.save(job)
        self._sent.append(job.token)
        if job.id:
            self._note(f"{job.provider} runs {_rows(job)} as {job.id}.")

    def _results(self, job: Job) -> Iterator[Result | None]:
        """The results of a job of this run, which is then forgotten."""
        if job.status == "failed" and not (job.output or job.errors):
            self._jobs.remove(job)
            raise ProviderError(
                f"{job.provider} refused the job {job.id}: {job.problem or 'it gave no reason'}",
                provider=job.provider,
                code=job.problem_code or None,
            )
        for found in self._answers(job):
            if found is None:
                yield None
            elif (row := self._spool.take(job.token, found[0])) is not None:
                lane, plan = self._planned(row)
                yield self._result(row, plan, lane, found[1])
        if self._is_over():
            return
        for row in self._spool.left(job.token):
            words = {"expired": "expired before it was done", "cancelled": "was cancelled"}
            reason = words.get(job.status, "ended without an answer for the row")
            error = ProviderError(
                f"the job of {job.provider} {reason}", provider=job.provider, code=f"batch_{job.status}"
            )
            yield Result(row=row, error=error)
        self._jobs.remove(job)

    def _planned(self, row: Row) -> tuple[Lane, ChatPlan]:
        name = self._planner.model(row)
        lane = self.lanes[0] if name is None else self._lanes_for(name)[0]
        request = replace(lane.request or self._planner.request, stream=False)
        plan = self._planner.plan(row, lane.target, request)
        # A second request for the row would be one more job: the next run makes it.
        return lane, replace(plan, schema_retries=None if plan.schema_retries is None else 0)

    def _result(self, row: Row, plan: ChatPlan, lane: Lane, line: dict[str, Json]) -> Result:
        """The result in a line of an answer, as if the server had sent it."""
        opened = lane.opened
        client = opened.client.through(lambda _: replayed(line))
        network = replace(opened.provider.network, retries=0)  # the line would stay the same
        provider = replace(opened.provider, network=network)
        replay = Lane(lane.target, OpenProvider(client=client, provider=provider, key=opened.key))
        answer, ended = ask(plan, replay, price=self._price)
        result = Result(row=row, answer=answer, error=answer.error, requests=tuple(ended), attempts=1)
        return result.with_answers(lambda answer: replace(answer, timing=Timing()))

    def _price(self, target: Target, usage: Usage) -> Cost | None:
        from provider_core.prices import reported_cost

        found = reported_cost(target, usage)
        if found is None and self._prices is not None:
            found = self._prices.cost(target, usage, batch=True)
        return found

    def _is_too_expensive(self, plan: ChatPlan) -> bool:
        """Whether the row would exceed the limit on costs, estimated from its prompt and its token limit."""
        limit = self._limits.max_cost
        if limit is None or self._prices is None:
            return False
        from provider_core.attachments import estimate_tokens

        usage = Usage(input=estimate_tokens(plan.request.messages), output=plan.request.max_tokens or 0)
        cost = self._prices.cost(plan.target, usage, batch=True, estimate=True)
        expected = self._expected + (cost.amount if cost is not None else 0)
        if expected + (self.spent or 0) > limit:
            return True
        self._expected = expected
        return False

    def _api(self, job: Job) -> JobApi:
        found = [lane for lane in self.lanes if lane.target.provider.name == job.provider]
        if not found and self._lanes_for is not None:
            with suppress(errors.ModelError):
                found = [self._lanes_for(f"{job.provider}/{job.model}")[0]]
        if found and found[0].target.provider.base_url == job.base_url:
            return self._api_of(found[0])
        raise InvalidInputError(
            f"{self._jobs.path} has a job at {job.provider} ({job.base_url}), which this batch does not use",
            code="other_provider",
        )

    def _api_of(self, lane: Lane) -> JobApi:
        name = lane.target.provider.name
        if name not in self._apis:
            self._apis[name] = JobApi(lane.opened)
            if lane not in self.lanes:
                self.lanes.append(lane)
        return self._apis[name]


def _rows(job: Job) -> str:
    return "1 row" if job.rows == 1 else f"{job.rows:,} rows"


def _is_temporary(error: CoreError) -> bool:
    """Whether the same question may be answered later."""
    if isinstance(error, errors.NetworkError):
        return not isinstance(error, errors.TLSError)
    return isinstance(error, errors.ProtocolError) or max_retries_for(error, 1) > 0
