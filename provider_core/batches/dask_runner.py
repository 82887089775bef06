"""Runs the rows of a batch on a Dask cluster: chunks of rows are tasks, and each worker runs them with a ``BatchRun``.

A task has rows, the plan of the batch, and the names of models. It has no key, no address and no header: each worker
finds the provider in the settings of its own machine, and its key by the same rules as any other telex there. Results
come back without these, too.

If a worker is lost, Dask runs its tasks on another one. The rows of a task are then asked again, also those that the
worker had done: a result counts when the caller has it.
"""

from __future__ import annotations

import contextlib
import logging
import pickle
import threading
import time
from math import inf
from typing import TYPE_CHECKING, Any, Final

from provider_core import __version__, errors
from provider_core.batches.lanes import Lanes, model_of
from provider_core.batches.runner import BatchLimits, BatchRun, Result
from provider_core.errors import CoreError, InvalidInputError
from provider_core.structs import Struct, field, replace
from provider_core.types import Provider, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from decimal import Decimal

    from provider_core.batches.planner import RowPlanner
    from provider_core.batches.rows import Row
    from provider_core.chat.fallback import Fallback
    from provider_core.events import Answer
    from provider_core.prices import Prices
    from provider_core.runtime import Runtime
    from provider_core.types import Request

_CHUNK: Final = 32
"""Rows of a task: what is asked again if a worker is lost, and what comes back together."""
_AHEAD: Final = 2
"""Tasks for each thread of the workers: one that runs, and one that waits."""
_LOOK: Final = 1.0
"""Seconds between two looks at the workers."""
_CONNECT: Final = 10


class Spec(Struct):
    """What a worker has to know of the batch besides the rows."""

    version: str
    planner: RowPlanner
    models: tuple[tuple[tuple[str, Request | None], ...], ...]
    """Models that share the rows, each with those to ask if it fails: names, and their options."""
    most: int | None = None
    """Requests in flight for each model, in one task."""
    network: Mapping[str, float | None] = field(default_factory=dict)
    """``connect_timeout``, ``timeout`` and ``retries``, where they are not those of the settings."""


class Outcome(Struct):
    """What a task returns: its results, and the error that ended it for all of its rows."""

    results: tuple[Result, ...]
    error: CoreError | None = None


# --- on a worker -------------------------------------------------------------------------------------------


class _Places:
    """The runtimes of a worker's process that no task uses now, each with lanes that have adapted to their servers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: dict[bytes, list[tuple[Runtime, Lanes]]] = {}

    @contextlib.contextmanager
    def take(self, spec: Spec) -> Iterator[tuple[Runtime, Lanes]]:
        """A runtime with its lanes for the time of one task."""
        key = pickle.dumps(spec)
        with self._lock:
            free = self._free.setdefault(key, [])
            found = free.pop() if free else None
        if found is None:
            from provider_core.runtime import Runtime

            runtime = Runtime()
            found = runtime, Lanes(runtime, find=lambda name: [_model(runtime, spec, name)], most=spec.most)
        yield found
        with self._lock:
            self._free[key].append(found)


_places = _Places()


def own_version() -> str:
    """The release of telex on this machine; a worker without telex cannot even import this."""
    return __version__


def run_chunk(spec: Spec, rows: Sequence[Row]) -> Outcome:
    """Run rows on this machine; Dask calls this on a worker."""
    if spec.version != __version__:
        return Outcome(results=(), error=_other_version(__version__, spec.version))
    results: list[Result] = []
    try:
        with _places.take(spec) as (runtime, lanes):
            found = [
                lane
                for group in spec.models
                for lane in lanes.open([_model(runtime, spec, name, request) for name, request in group])
            ]
            run = BatchRun(rows, spec.planner, found, lanes_for=lanes.lanes_for)
            results += [_portable(result) for result in run if result is not None]
            error = run.error if run.ended_by == "error" else None
    except CoreError as failure:
        error = failure
    return Outcome(results=tuple(results), error=None if error is None else _portable_error(error))


def _model(runtime: Runtime, spec: Spec, name: str, request: Request | None = None) -> Fallback:
    target = runtime.target(name)
    network = target.provider.network.with_limits(spec.network)
    return model_of(replace(target, provider=replace(target.provider, network=network)), request)


def _portable(result: Result) -> Result:
    """The result without what this machine knows of its providers."""
    answer = None if result.answer is None else _portable_answer(result.answer)
    requests = tuple(replace(each, answer=_portable_answer(each.answer)) for each in result.requests)
    error = None if result.error is None else _portable_error(result.error)
    return replace(result, answer=answer, error=error, requests=requests)


def _portable_answer(answer: Answer) -> Answer:
    target = Target(provider=Provider(name=answer.target.provider.name), model=answer.target.model)
    error = None if answer.error is None else _portable_error(answer.error)
    return replace(answer, target=target, error=error)


def _portable_error(error: CoreError) -> CoreError:
    """The error if it survives the way; else one with its message and code."""
    error.__cause__ = error.__context__ = None
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - made just now
    except Exception:  # noqa: BLE001 - whatever its attributes are
        return CoreError(error.message, provider=error.provider, code=error.code)
    return error


# --- here --------------------------------------------------------------------------------------------------


class DaskRun:
    """A batch that the workers of a Dask cluster run. Iterate for its results, and None while there is none.

    ``scheduler`` is the address of the cluster, such as "tcp://host:8786". ``targets`` are the models of ``spec`` as
    this machine knows them, for the costs that no server reports. ``note`` is called with each sentence for the user.
    The iteration raises ``InvalidInputError`` if Dask is missing or the address is not valid, and ``NetworkError`` if
    nothing answers there.
    """

    def __init__(
        self,
        rows: Iterable[Row],
        spec: Spec,
        scheduler: str,
        *,
        targets: Sequence[Target] = (),
        limits: BatchLimits | None = None,
        prices: Prices | None = None,
        note: Callable[[str], None] = lambda _: None,
        tick: float = 0.2,
    ) -> None:
        self.lanes: list[Any] = []
        self.ended_by: str = ""
        """As of ``BatchRun``."""
        self.error: CoreError | None = None
        self.done: int = 0
        self.failed: int = 0
        self.spent: Decimal | None = None
        self.activity: str = "connecting to the cluster"
        """What is being waited for, in a few words."""
        self.in_flight: int = 0
        """The rows of tasks that have not ended."""
        self.resting: float = 0.0
        self._rows = iter(rows)
        self._spec = spec
        self._scheduler = scheduler
        self._targets = {str(target): target for target in targets}
        self._limits = limits or BatchLimits()
        self._prices = prices
        self._note = note
        self._tick = tick
        self._chunks: dict[Any, list[Row]] = {}
        self._workers: dict[str, int] = {}
        """The threads of each worker, by its address."""
        self._looked = -inf
        self._exhausted = False

    def stop(self, why: str = "stop", error: CoreError | None = None) -> None:
        """Start no further task. Any thread, or a signal's handler, may call this."""
        if not self.ended_by:
            self.error = error
            self.ended_by = why

    def __iter__(self) -> Iterator[Result | None]:
        deadline = inf if self._limits.deadline is None else time.monotonic() + self._limits.deadline
        try:
            with self._connected() as (client, completed):
                for result in self._run(client, completed):
                    if time.monotonic() >= deadline:
                        self.stop("deadline")
                    if result is not None:
                        self._count(result)
                    yield result
        except CoreError as error:
            self.stop("error", error)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[tuple[Any, Any]]:
        try:
            import distributed
        except ImportError:
            raise InvalidInputError("--via dask needs the package distributed", code="no_dask") from None
        # What it reports of workers that are lost, the run says itself.
        for name in list(logging.root.manager.loggerDict):
            if name.startswith(("distributed", "tornado")):  # many have levels of their own
                logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            client = distributed.Client(self._scheduler, timeout=_CONNECT, set_as_default=False)
        except (OSError, TimeoutError) as error:
            raise errors.ConnectError(f"no Dask scheduler can be reached at {self._scheduler}") from error
        except (ValueError, TypeError) as error:
            raise InvalidInputError(
                f"{self._scheduler!r} is not the address of a Dask scheduler: {error}"
            ) from None
        with client:
            self._check_versions(client)
            yield client, distributed.as_completed(loop=client.loop)

    def _check_versions(self, client: Any) -> None:
        found = client.run(own_version, on_error="return")
        for worker, other in found.items():
            if other != __version__:
                error = _other_version(other if isinstance(other, str) else "", __version__)
                error.explain(f"worker {worker}")
                raise error

    def _run(self, client: Any, completed: Any) -> Iterator[Result | None]:
        while True:
            self._look(client)
            if not self._is_over():
                yield from self._submit(client, completed)
            if self._is_over() and self._chunks:
                self._withdraw(client)
            if not self._chunks and (self._exhausted or self._is_over()):
                self._looked = -inf
                self._look(client)
                return
            futures = completed.next_batch(block=False)
            for future in futures:
                rows = self._chunks.pop(future, None)
                if rows is None:
                    continue  # withdrawn
                self.in_flight -= len(rows)
                yield from self._results(future, rows)
            if not futures:
                time.sleep(self._tick)
                yield None

    def _is_over(self) -> bool:
        return bool(self.ended_by)

    def _look(self, client: Any) -> None:
        """See which workers there are, and report those that are lost."""
        if time.monotonic() - self._looked < _LOOK:
            return
        self._looked = time.monotonic()
        if client.status != "running":
            raise self._gone()
        before, self._workers = self._workers, dict(client.nthreads())
        lost = before.keys() - self._workers.keys()
        if lost:
            what = "A worker was" if len(lost) == 1 else f"{len(lost)} workers were"
            self._note(f"{what} lost; what it had begun runs again.")
        self.activity = "" if self._workers else "waiting for workers"

    def _submit(self, client: Any, completed: Any) -> Iterator[Result | None]:
        """Fill the cluster with tasks; yields the results of rows that cannot be used."""
        threads = max(1, sum(self._workers.values()))
        size = max(1, min(_CHUNK, 4 * self._spec.most)) if self._spec.most is not None else _CHUNK
        while len(self._chunks) < _AHEAD * threads and not (self._exhausted or self._is_over()):
            rows: list[Row] = []
            while len(rows) < size:
                row = next(self._rows, None)
                if row is None:
                    self._exhausted = True
                    break
                if row.error is not None:
                    yield Result(row=row, error=row.error)
                else:
                    rows.append(row)
            if rows:
                future = client.submit(run_chunk, self._spec, rows, pure=False)
                self._chunks[future] = rows
                self.in_flight += len(rows)
                completed.add(future)

    def _gone(self) -> errors.ConnectionLostError:
        return errors.ConnectionLostError(f"the Dask scheduler at {self._scheduler} is gone")

    def _withdraw(self, client: Any) -> None:
        """Cancel tasks that no worker has begun."""
        begun = {key for keys in client.processing().values() for key in keys}
        waiting = [future for future in self._chunks if future.key not in begun and not future.done()]
        if waiting:
            client.cancel(waiting)
        for future in waiting:
            self.in_flight -= len(self._chunks.pop(future))

    def _results(self, future: Any, rows: Sequence[Row]) -> Iterator[Result]:
        if future.status not in ("finished", "error"):
            raise self._gone()
        if future.status == "error":
            failure = future.exception()
            lost = type(failure).__name__ == "KilledWorker"
            why = (
                "the workers that ran the row were lost, one after another"
                if lost
                else f"the worker failed ({type(failure).__name__})"
            )
            for row in rows:
                yield Result(row=row, error=CoreError(why, code="worker"))
            return
        outcome: Outcome = future.result()
        for result in outcome.results:
            yield self._priced(result)
        if outcome.error is not None:
            self.stop("error", outcome.error)

    def _priced(self, result: Result) -> Result:
        """The result with the target of this machine, and its costs."""
        requests = tuple(replace(each, answer=self._priced_answer(each.answer)) for each in result.requests)
        answer = None if result.answer is None else self._priced_answer(result.answer)
        return replace(result, answer=answer, requests=requests)

    def _priced_answer(self, answer: Answer) -> Answer:
        target = self._targets.get(str(answer.target), answer.target)
        cost = answer.cost
        if (
            cost is None
            and answer.usage is not None
            and self._prices is not None
            and target is not answer.target
        ):
            cost = self._prices(target, answer.usage)
        return replace(answer, target=target, cost=cost)

    def _count(self, result: Result) -> None:
        self.done += 1
        for request in result.requests:
            if (cost := request.answer.cost) is not None:
                self.spent = cost.amount + (self.spent or 0)
        if not result.ok:
            self.failed += 1
            if self._limits.max_errors is not None and self.failed >= self._limits.max_errors:
                self.stop("errors", result.error)
        if self._limits.max_cost is not None and (self.spent or 0) >= self._limits.max_cost:
            self.stop("cost")


def _other_version(found: str, wanted: str) -> InvalidInputError:
    has = f"has telex {found}" if found else "cannot import telex, or has an older one"
    return InvalidInputError(
        f"a worker of the cluster {has}, and this is telex {wanted}", code="worker_version"
    )
