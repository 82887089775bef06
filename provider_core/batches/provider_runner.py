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
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from provider_core import errors
from provider_core.batches.jobs import JobApi
from provider_core.batches.pace import Lane
from provider_core.batches.runner import BatchLimits, Result, ask
from provider_core.batches.spool import Part, Recorded, Spool, request_line, row_id, was_left
from provider_core.client import OpenProvider
from provider_core.errors import CoreError, FileError, InvalidInputError, ProviderError
from provider_core.structs import replace
from provider_core.types import Timing, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from provider_core.batches.jobs import Job, JobFile
    from provider_core.batches.planner import RowPlanner
    from provider_core.batches.rows import Row
    from provider_core.chat import ChatPlan
    from provider_core.prices import Cost, Prices
    from provider_core.types import Json, Target

_FIRST_POLL: Final = 1.0
_LONGEST_POLL: Final = 60.0
_GROWTH: Final = 1.3
"""How many times longer each pause between two questions about a job is."""
_OFTEN: Final = 1000
"""Rows after which the caller gets a None while files are made or read."""
_QUEUE_FULL: Final = ("token_limit_exceeded", "batch_limit_exceeded")
"""Codes of a job that failed only because too much is queued: https://platform.openai.com/docs/guides/batch"""

_T = TypeVar("_T")


class ProviderRun:
    """A batch that a provider runs. Iterate for its results, and None while there is none, as with ``BatchRun``.

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
        lanes_for: Callable[[str], Sequence[Lane]] | None = None,
        limits: BatchLimits | None = None,
        prices: Prices | None = None,
        is_whole: Callable[[], bool] = lambda: True,
        note: Callable[[str], None] = lambda _: None,
        tick: float = 0.2,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.lanes: list[Lane] = list(lanes)
        self.ended_by: str = ""
        """As of ``BatchRun``."""
        self.error: CoreError | None = None
        self.done: int = 0
        self.failed: int = 0
        self.spent: Decimal | None = None
        self.activity: str = "preparing"
        """What is being waited for, in a few words."""
        self._rows = iter(rows)
        self._planner = planner
        self._lanes_for = lanes_for
        self._limits = limits or BatchLimits()
        self._prices = prices
        self._jobs = jobs
        self._is_whole = is_whole
        self._note = note
        self._tick = tick
        self._clock = clock
        self._sleep = sleep
        self._deadline = inf
        self._apis: dict[str, JobApi] = {}
        self._lacks_budget = False
        self._expected = Decimal(0)
        """US dollars that the rows of this run are expected to cost."""

    # --- for the caller ------------------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """The rows of jobs that go on."""
        return sum(job.rows - job.completed - job.failed for job in self._jobs.running)

    @property
    def resting(self) -> float:
        return 0.0

    def _is_over(self) -> bool:
        return bool(self.ended_by)

    def stop(self, why: str = "stop", error: CoreError | None = None) -> None:
        """End the iteration soon. Any thread, or a signal's handler, may call this."""
        if not self.ended_by:
            self.error = error
            self.ended_by = why

    def __iter__(self) -> Iterator[Result | None]:
        if self._limits.deadline is not None:
            self._deadline = self._clock() + self._limits.deadline
        with tempfile.TemporaryDirectory(prefix="telex-batch-", ignore_cleanup_errors=True) as folder:
            spool = Spool()
            try:
                for result in self._run(Path(folder), spool):
                    if result is not None:
                        self._count(result)
                    yield result
            except CoreError as error:
                self.stop("error", error)
            except (OSError, sqlite3.Error) as error:  # those of the network are errors of the core
                reason = getattr(error, "strerror", None) or str(error)
                self.stop(
                    "error", FileError("temporary files cannot be written", path=Path(folder), reason=reason)
                )
            finally:
                spool.close()

    def _count(self, result: Result) -> None:
        self.done += 1
        for request in result.requests:
            if (cost := request.answer.cost) is not None:
                self.spent = cost.amount + (self.spent or 0)
        if not result.ok:
            self.failed += 1
            if self._limits.max_errors is not None and self.failed >= self._limits.max_errors:
                self.stop("errors", result.error)

    def _run(self, folder: Path, spool: Spool) -> Iterator[Result | None]:
        earlier = yield from self._earlier()
        yield from self._wait(earlier)
        for token in earlier:
            job = self._jobs.jobs[token]
            if job.has_ended and not self._is_over():
                yield from self._fetch(job, folder, spool.keep_answer)
        if self._is_over():
            return
        sent: list[str] = []
        parts: dict[str, Part] = {}
        try:
            yield from self._send_rows(folder, spool, sent, parts)
        finally:
            for part in parts.values():
                with suppress(OSError):
                    part.file.close()
        is_whole = self._is_whole() and not self._lacks_budget
        if not self._is_over() and (spool.answers == 0 or is_whole):
            self._jobs.remove(*(self._jobs.jobs[token] for token in earlier))
        while sent and not self._is_over():
            yield from self._wait(sent, first=True)
            for token in [each for each in sent if self._jobs.jobs[each].has_ended]:
                if self._is_over():
                    return
                sent.remove(token)
                yield from self._results(self._jobs.jobs[token], folder, spool)
        if self._lacks_budget:
            self.stop("cost")

    # --- jobs ----------------------------------------------------------------------------------------------

    def _earlier(self) -> Generator[None, None, list[str]]:
        """The tokens of jobs of earlier runs; batches whose creation was not noticed are found, or created now."""
        known = []
        for job in list(self._jobs.jobs.values()):
            if not job.file:
                self._jobs.remove(job)  # nothing was created from it
            elif job.id:
                known.append(job.token)
            else:
                try:
                    found = yield from self._found(job)
                    self._jobs.save(found or (yield from self._created(job)))
                    known.append(job.token)
                except errors.BadRequestError:
                    if job.token in self._jobs.jobs:
                        raise  # else its file has been deleted
        if known:
            count = "a job" if len(known) == 1 else f"{len(known)} jobs"
            self._note(f"Resuming {count} of an earlier run.")
        return known

    def _created(self, job: Job) -> Generator[None, None, Job]:
        """Create the batch of a job. If the answer is lost, look whether there is one before trying again.

        A job that is refused is forgotten: then there is none.
        """
        api, delay = self._api(job), _FIRST_POLL
        retries = self.lanes[0].target.provider.network.retries  # a lane's own requests are not retried
        for attempt in range(retries + 1):
            try:
                return api.create(job)
            except (ProviderError, errors.NetworkError) as error:
                if not _is_temporary(error):
                    self._jobs.remove(job)
                if attempt == retries or not _is_temporary(error):
                    raise
                pause = _wanted(error) or delay
            yield from self._pause(pause)
            delay *= 2
            if self._is_over():
                break
            if (found := (yield from self._found(job))) is not None:
                return found
        raise CoreError("the job was not created", code="stopped")

    def _found(self, job: Job) -> Generator[None, None, Job | None]:
        """The job with its batch, if the provider's list has one."""
        try:
            return (yield from self._retried(self._api(job).find, job))
        except errors.NotFoundError as error:
            error.explain(f"{job.provider} cannot tell whether it has a job for {_rows(job)} already")
            raise

    def _retried(self, call: Callable[..., _T], *arguments: Any) -> Generator[None, None, _T]:
        """What ``call`` returns, which may be repeated; it is, while the retry budget of the settings lasts."""
        started, delay = self._clock(), _FIRST_POLL
        while True:
            try:
                return call(*arguments)
            except (errors.NetworkError, ProviderError) as error:
                budget = self.lanes[0].target.provider.network.retry_budget
                pause = _wanted(error) or delay
                if not _is_temporary(error) or self._clock() - started + pause > budget or self._is_over():
                    raise
            yield from self._pause(pause)
            delay = min(delay * 2, _LONGEST_POLL)

    def _pause(self, seconds: float) -> Iterator[None]:
        """Wait, and let the caller look around; ends early if the batch is stopped."""
        until = self._clock() + seconds
        while not self._is_over() and (left := until - self._clock()) > 0:
            if self._clock() >= self._deadline:
                self.stop("deadline")
            self._sleep(min(self._tick, left))
            yield None

    def _wait(self, tokens: Sequence[str], *, first: bool = False) -> Iterator[None]:
        """Poll jobs until all of them have ended, or with ``first``, one of them."""
        delay = _FIRST_POLL
        while not self._is_over():
            jobs = [self._jobs.jobs[token] for token in tokens]
            waiting = [job for job in jobs if not job.has_ended]
            self._describe(jobs)
            if not waiting or (first and len(waiting) < len(jobs)):
                return
            for job in waiting:
                if not job.id:
                    # The provider's queue was full.
                    if any(other.id for other in waiting):
                        continue
                    found = yield from self._created(job)
                else:
                    found = yield from self._retried(self._api(job).retrieve, job)
                    if found.status == "failed" and found.problem_code in _QUEUE_FULL and len(waiting) > 1:
                        found = replace(job, id="", status="")
                if found != job:
                    self._jobs.save(found)
                    if found.status != job.status:
                        delay = _FIRST_POLL
                if self._is_over():
                    return
            if any(not self._jobs.jobs[token].has_ended for token in tokens):
                self._describe([self._jobs.jobs[token] for token in tokens])
                yield from self._pause(delay)
                delay = min(delay * _GROWTH, _LONGEST_POLL)

    def _describe(self, jobs: Sequence[Job]) -> None:
        running = [job for job in jobs if not job.has_ended]
        if running:
            done, rows = sum(job.completed + job.failed for job in jobs), sum(job.rows for job in jobs)
            states = ", ".join(dict.fromkeys(job.status.replace("_", " ") or "queued" for job in running))
            what = "1 job" if len(running) == 1 else f"{len(running)} jobs"
            self.activity = f"{what} at {running[0].provider}: {states}, {done:,} of {rows:,} rows"

    def _fetch(
        self, job: Job, folder: Path, take: Callable[[str, dict[str, Json]], object]
    ) -> Iterator[Result | None]:
        """Download the files of a job that has ended, and give each line to ``take``, with its id.

        If ``take`` returns a result, it is yielded.
        """
        for name in filter(None, dict.fromkeys((job.output, job.errors))):
            path = folder / "answers.jsonl"
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
                    with suppress(ValueError, RecursionError):
                        line = json.loads(raw)
                        if isinstance(line, dict) and isinstance(id_ := line.get("custom_id"), str):
                            result = take(id_, line)
                            if isinstance(result, Result):
                                yield result
                    if number % _OFTEN == 0:
                        yield None
                    if self._is_over():
                        return

    # --- rows ----------------------------------------------------------------------------------------------

    def _send_rows(
        self, folder: Path, spool: Spool, sent: list[str], parts: dict[str, Part]
    ) -> Iterator[Result | None]:
        """Yield results of rows that have an answer or cannot be sent; write the others to files, and send these.

        ``parts`` are the files that are being written.
        """
        self.activity = "preparing"
        for number, row in enumerate(self._rows):
            if number % _OFTEN == 0:
                yield None
            if self._is_over():
                break
            try:
                if row.error is not None:
                    raise row.error
                lane, plan = self._planned(row)
                id_ = row_id(row)
                if (line := spool.answer(id_)) is not None:
                    yield self._result(row, plan, lane, line)
                    continue
                if self._is_too_expensive(plan):
                    self._lacks_budget = True  # what it allows is sent, and waited for
                    break
                api = self._api_of(lane)
                request = request_line(id_, plan, lane, api.api.endpoint)
                if len(request) > api.api.megabytes * 1_000_000:
                    raise InvalidInputError(f"the request is longer than {api.api.megabytes} MB")
            except CoreError as error:
                yield Result(row=row, error=error)
                continue
            part = parts.get(str(lane.target))
            if part is not None and not part.has_room(request):
                yield from self._submit(parts.pop(str(lane.target)), sent)
                part = None
            if part is None:
                part = Part(folder / f"{number}.jsonl", lane.target, api.api)
                parts[str(lane.target)] = part
            part.add(request)
            spool.keep_row(id_, part.job.token, row)
        for part in parts.values():
            if not self._is_over():
                yield from self._submit(part, sent)

    def _submit(self, part: Part, sent: list[str]) -> Iterator[None]:
        """Upload a file, and create its job. What was made is saved after each step, and before the first."""
        part.file.close()
        job = replace(part.job, rows=part.rows)
        api = self._api(job)
        self._jobs.save(job)
        self.activity = f"uploading a file for {_rows(job)} to {job.provider}"
        yield None
        file = yield from self._retried(api.upload, part.path, f"telex-{job.token}.jsonl")
        part.path.unlink()
        job = replace(job, file=file)
        self._jobs.save(job)
        if self.ended_by == "stop":
            return
        try:
            job = yield from self._created(job)
        except ProviderError as error:
            if error.code not in _QUEUE_FULL or not sent:
                raise
        self._jobs.save(job)
        sent.append(job.token)
        if job.id:
            self._note(f"{job.provider} runs {_rows(job)} as {job.id}.")

    def _results(self, job: Job, folder: Path, spool: Spool) -> Iterator[Result | None]:
        """The results of a job of this run, which is then forgotten."""
        if job.status == "failed" and not (job.output or job.errors):
            self._jobs.remove(job)
            raise ProviderError(
                f"{job.provider} refused the job {job.id}: {job.problem or 'it gave no reason'}",
                provider=job.provider,
                code=job.problem_code or None,
            )

        def take(id_: str, line: dict[str, Json]) -> Result | None:
            row = None if was_left(line) else spool.take_row(id_, job.token)
            if row is None:
                return None
            lane, plan = self._planned(row)
            return self._result(row, plan, lane, line)

        yield from self._fetch(job, folder, take)
        if self._is_over():
            return
        for row in spool.rows_of(job.token):
            words = {"expired": "expired before it was done", "cancelled": "was cancelled"}
            reason = words.get(job.status, "ended without an answer for the row")
            error = ProviderError(
                f"the job of {job.provider} {reason}", provider=job.provider, code=f"batch_{job.status}"
            )
            yield Result(row=row, error=error)
        self._jobs.remove(job)

    def _planned(self, row: Row) -> tuple[Lane, ChatPlan]:
        name = self._planner.model(row)
        if name is None:
            lane = self.lanes[0]
        elif self._lanes_for is None:
            raise InvalidInputError("rows of this batch cannot name a model")
        else:
            lane = self._lanes_for(name)[0]
        request = replace(lane.request or self._planner.request, stream=False)
        plan = self._planner.plan(row, lane.target, request)
        # A second request for the row would be one more job: the next run makes it.
        return lane, replace(plan, schema_retries=None if plan.schema_retries is None else 0)

    def _result(self, row: Row, plan: ChatPlan, lane: Lane, line: dict[str, Json]) -> Result:
        """The result in a line of an answer, as if the server had sent it."""
        opened = lane.opened
        client = opened.client.through(lambda _: Recorded(line))
        network = replace(opened.provider.network, retries=0)  # the line would stay the same
        provider = replace(opened.provider, network=network)
        replay = Lane(lane.target, OpenProvider(client=client, provider=provider, key=opened.key))
        answer, ended = ask(plan, replay, price=self._price)
        answer = replace(answer, timing=Timing())
        requests = tuple(replace(each, answer=replace(each.answer, timing=Timing())) for each in ended)
        return Result(row=row, answer=answer, error=answer.error, requests=requests, attempts=1)

    def _price(self, target: Target, usage: Usage) -> Cost | None:
        from provider_core.prices import reported_cost

        found = reported_cost(target, usage)
        if found is None and self._prices is not None:
            found = self._prices.cost(target, usage, batch=True)
        return found

    def _is_too_expensive(self, plan: ChatPlan) -> bool:
        """Whether the row would exceed the limit on costs, as far as its prompt and its token limit tell."""
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
    match error:
        case errors.TLSError() | errors.QuotaError():
            return False
        case errors.NetworkError() | errors.RateLimitError():
            return True
        case errors.ProtocolError() | errors.ServerError():
            return error.status != 501
        case ProviderError(status=408 | 409):
            return True
        case _:
            return False


def _wanted(error: CoreError) -> float | None:
    return error.retry_after if isinstance(error, ProviderError) else None
