"""A batch: many rows of input, each of which becomes a chat turn, and its result.

The parts, in the order in which a row passes them::

    rows      RowReader, file_rows, rows_of: input -> Row, one by one
    planner   RowPlanner: Row -> ChatPlan; columns are inserted into the prompt, or set the request
    runner    BatchRun: takes rows when a request may start, and yields a Result for each, as they come
    lanes     Lane, Throttle: when a request may start; Lanes opens one for each model and address
    provider_runner  ProviderRun: the same with jobs of the provider's Batch API; needs jobs and spool
    dask_runner  DaskRun: the same on the workers of a Dask cluster, each of which has a BatchRun
    Result    what came of a row: an Answer, the requests made for it, or the error

Only runners send requests. They take the same rows and plans, and yield the same results. Files of results, and what is
left to do after an interruption, are the caller's: a row is known by its ``key``.

A row that cannot be read or planned has a result with an error, and so has one whose retries are used up. What would
fail for every row (a refused key, an empty account, a server that is not there) ends the batch instead; the rows that
are not done then have no result.

Memory does not grow with the number of rows: they are read when a request may start, and at most 256 results wait for
the caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from provider_core.batches.lanes import Lane, Throttle
from provider_core.batches.planner import RowPlanner, planner
from provider_core.batches.rows import (
    FORMATS,
    InputFormat,
    Row,
    RowReader,
    bad_row,
    file_rows,
    rows_of,
    suffix_format,
)
from provider_core.batches.runner import BatchLimits, BatchRun, Result, Run, ask

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping

    from provider_core.chat.fallback import Fallback
    from provider_core.runtime import Runtime
    from provider_core.types import Json, Provider

__all__ = [
    "FORMATS", "BatchLimits", "BatchRun", "InputFormat", "Lane", "Result", "Row", "RowPlanner", "RowReader", "Run",
    "Throttle", "ask", "bad_row", "batch", "file_rows", "planner", "rows_of", "suffix_format",
]  # fmt: skip


def batch(
    rows: Iterable[Json | Row],
    to: str | Provider | Iterable[str] | None = None,
    model: str | None = None,
    /,
    *,
    prompt: str = "",
    system: str = "",
    schema: Mapping[str, Json] | None = None,
    schema_retries: int = 1,
    workers: int | None = None,
    rpm: float | None = None,
    tpm: float | None = None,
    limits: BatchLimits | None = None,
    runtime: Runtime | None = None,
    on_start: Callable[[BatchRun], object] | None = None,
    **options: Any,
) -> Generator[Result, None, None]:
    """Ask a model about each of ``rows``, several at a time; yield the results as they come.

    A row is a text, or a mapping of columns. ``prompt`` and ``system`` may contain ``{{ column }}``; a text is placed
    before ``prompt``. ``to`` and ``model`` name the model as for ``connect``; several names share the rows.
    ``options`` are ``max_tokens``, ``temperature``, ``reasoning_effort``, ``params`` and ``stream``.

    ``workers`` is the number of requests in flight; without it, it adapts to the server. ``rpm`` and ``tpm`` limit
    requests and tokens per minute. ``on_start`` receives the run, whose ``stop`` ends it. Close the iterator to abandon
    what is in flight.

    A row that fails has a result with its ``error``. Raises what ends the batch for all rows: ``ApiKeyError``,
    ``AuthenticationError``, ``QuotaError``, ``NetworkError`` if no server can be reached.

    ::

        from provider_core import batch

        for result in batch(["Hello", "Good evening"], "groq", prompt="Translate to French."):
            print(result.row.number, result.answer.text if result.ok else result.error)
    """
    from contextlib import ExitStack, closing

    from provider_core import limits as sizes
    from provider_core.batches.lanes import Lanes, model_of, with_options
    from provider_core.options import Layer
    from provider_core.runtime import Runtime
    from provider_core.settings import REQUEST_OPTIONS
    from provider_core.templates import inline
    from provider_core.types import Provider, Request, Target

    if schema is not None:
        from provider_core.structured import schema_from

        schema = schema_from(schema)
    options.setdefault("max_characters", sizes.ANSWER)
    request = Request(model="", messages=(), schema=schema, **options)

    own = Layer(
        source="program", values={option: options[option] for option in REQUEST_OPTIONS if option in options}
    )
    with ExitStack() as stack:
        here = runtime or Runtime()
        if runtime is None:
            stack.callback(here.close)

        def models(name: str | None) -> list[Fallback]:
            return [with_options(each, request) for each in here.candidates(name, [own])]

        if isinstance(to, Provider):
            here = here.only(to)
            found = [[model_of(Target(provider=to, model=model) if model else here.target(to.name))]]
        else:
            names = [to] if to is None or isinstance(to, str) else list(to)
            found = [models("/".join(filter(None, (name, model))) or None) for name in names]
        lanes = stack.enter_context(Lanes(here, find=models, most=workers, rpm=rpm, tpm=tpm))
        run = BatchRun(
            rows_of(rows),
            planner(
                prompt=inline(prompt, "the prompt") if prompt else None,
                system=inline(system, "the system message") if system else None,
                request=request,
                schema_retries=schema_retries if schema is not None else None,
            ),
            [lane for models in found for lane in lanes.open(models)],
            lanes_for=lanes.lanes_for,
            limits=limits,
            price=here.prices,
        )
        if on_start is not None:
            on_start(run)
        results = iter(run)
        with closing(results):  # type: ignore[type-var]
            for result in results:
                if result is not None:
                    yield result
        if run.ended_by == "error" and run.error is not None:
            raise run.error
