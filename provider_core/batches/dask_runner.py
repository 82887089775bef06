"""Runs the rows of a batch on a Dask cluster: chunks of rows are tasks, and each worker runs them with a ``BatchRun``.

A task has rows, the plan of the batch, and the names of models. It has no key, no address and no header: each worker
finds the provider in the settings of its own machine, and its key by the same rules as any other telex there. Results
come back without these, too.

If a worker is lost, Dask runs its tasks on another one. All rows of a task are then sent again, also those that the
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
from provider_core.batches.runner import BatchRun, Result, Run
from provider_core.errors import CoreError, InvalidInputError
from provider_core.structs import Struct, field, replace
from provider_core.types import Provider, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from provider_core.batches.planner import RowPlanner
    from provider_core.batches.rows import Row
    from provider_core.batches.runner import BatchLimits
    from provider_core.chat.fallback import Fallback
    from provider_core.events import Answer
    from provider_core.prices import Prices
    from provider_core.types import Request

_CHUNK: Final = 32
"""Rows of a task. They are sent again if a worker is lost, and their results come back together."""
_AHEAD: Final = 2
"""Tasks for each thread of the workers: one runs while another waits."""
_LOOK: Final = 1.0
"""Seconds between two looks at the workers."""
_TICK: Final = 0.2
_CONNECT: Final = 10


class Spec(Struct):
    """Everything that a worker has to know of the batch, except the rows."""

    version: str
    planner: RowPlanner
    models: tuple[tuple[tuple[str, Request | None], ...], ...]
    """Models that share the rows, each with those to ask if it fails: names, and their options."""
    most: int | None = None
    """Requests in flight for each model, in one task."""
    network: Mapping[str, float | None] = field(default_factory=dict)
    """``connect_timeout``, ``timeout`` and ``retries``, where they are not those of the settings."""


# --- on a worker -------------------------------------------------------------------------------------------

_thread = threading.local()
"""For each thread of a worker, the lanes of its last batch: they have adapted to their servers."""


def own_version() -> str:
    """The release of telex on this machine; a worker without telex cannot even import this."""
    return __version__


def run_chunk(spec: Spec, rows: Sequence[Row]) -> tuple[list[Result], CoreError | None]:
    """Run rows on this machine; Dask calls this on a worker. Returns the error that ended the batch for all rows, too.

    Both are without what this machine knows of its providers.
    """
    results: list[Result] = []
    try:
        if spec.version != __version__:
            raise _other_version(f"has telex {__version__}", spec.version)
        lanes = _lanes(spec)
        found = [
            lane
            for group in spec.models
            for lane in lanes.open([_model(lanes, spec, name, request) for name, request in group])
        ]
        run = BatchRun(rows, spec.planner, found, lanes_for=lanes.lanes_for)
        for result in run:
            if result is not None:
                error = None if result.error is None else _portable(result.error)
                results.append(replace(result.with_answers(_portable_answer), error=error))
        if run.ended_by == "error" and run.error is not None:
            raise run.error
    except CoreError as failure:
        return results, _portable(failure)
    return results, None


def _lanes(spec: Spec) -> Lanes:
    key = pickle.dumps(spec)
    if getattr(_thread, "key", None) != key:
        from provider_core.runtime import Runtime

        lanes = Lanes(Runtime(), find=lambda name: [_model(lanes, spec, name)], most=spec.most)
        _thread.key, _thread.lanes = key, lanes
    found: Lanes = _thread.lanes
    return found


def _model(lanes: Lanes, spec: Spec, name: str, request: Request | None = None) -> Fallback:
    target = lanes.runtime.target(name)
    network = target.provider.network.with_limits(spec.network)
    return model_of(replace(target, provider=replace(target.provider, network=network)), request)


def _portable_answer(answer: Answer) -> Answer:
    target = Target(provider=Provider(name=answer.target.provider.name), model=answer.target.model)
    return replace(answer, target=target, error=None if answer.error is None else _portable(answer.error))


def _portable(error: CoreError) -> CoreError:
    """The error if it survives the way; else one with its message and code."""
    error.__cause__ = error.__context__ = None
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - made just now
    except Exception:  # noqa: BLE001 - whatever its attributes are
        return CoreError(error.message, provider=error.provider, code=error.code)
    return error


def _other_version(what: str, wanted: str) -> InvalidInputError:
    return InvalidInputError(
        f"a worker of the cluster {what}, and this is telex {wanted}", code="worker_version"
    )


# --- here --------------------------------------------------------------------------------------------------


class DaskRun(Run):
    """A batch that the workers of a Dask cluster run.

    ``scheduler`` is the address of the cluster, such as "tcp://host:8786". ``targets`` are the models of ``spec`` as
    this machine knows them, for the costs that no server reports. ``note`` is called with each sentence for the user.
    ``error`` is an ``InvalidInputError`` if Dask is missing, the address is not valid or the workers cannot run this
    release of telex, and a ``NetworkError`` if nothing answers at the address.
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
    ) -> None:
        super().__init__(rows, limits=limits)
        self.activity = "connecting to the cluster"
        self._spec = spec
        self._scheduler = scheduler
        self._targets = {str(target): target for target in targets}
        self._prices = prices
        self._note = note
        self._chunks: dict[Any, list[Row]] = {}
        self._workers: dict[str, int] = {}
        """The threads of each worker, by its address."""
        self._looked = -inf
        self._exhausted = False

    def __iter__(self) -> Iterator[Result | None]:
        self._start_clock()
        try:
            with self._connected() as (client, completed):
                for result in self._run(client, completed):
                    if result is not None:
                        self._count(result)
                        if self._limits.max_cost is not None and (self.spent or 0) >= self._limits.max_cost:
                            self.stop("cost")
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
            # A worker without telex ends when it gets a task, and cannot report why.
            for found in client.run(own_version, on_error="return").values():
                if found != __version__:
                    what = f"has telex {found}" if isinstance(found, str) else "cannot import telex"
                    raise _other_version(what, __version__)
            yield client, distributed.as_completed(loop=client.loop)

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
                if rows is not None:  # else it was withdrawn
                    self.in_flight -= len(rows)
                    yield from self._results(future, rows)
            if not futures:
                time.sleep(_TICK)
                yield None

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
        if future.status == "finished":
            results, error = future.result()
            for result in results:
                yield result.with_answers(self._priced)
            if error is not None:
                self.stop("error", error)
            return
        for row in rows:  # such as KilledWorker: several workers were lost, one after another
            why = f"the worker that ran the row failed ({type(future.exception()).__name__})"
            yield Result(row=row, error=CoreError(why, code="worker"))

    def _gone(self) -> errors.ConnectionLostError:
        return errors.ConnectionLostError(f"the Dask scheduler at {self._scheduler} is gone")

    def _priced(self, answer: Answer) -> Answer:
        """The answer with the target of this machine, and its cost."""
        target = self._targets.get(str(answer.target))
        if target is None:
            return answer
        cost = answer.cost
        if cost is None and answer.usage is not None and self._prices is not None:
            cost = self._prices(target, answer.usage)
        return replace(answer, target=target, cost=cost)
