"""Runs a planned batch: each result goes to the output and the ledger, and the end becomes the exit code."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import click

from provider_core.batches import BatchLimits, BatchRun
from provider_core.batches.jobs import batch_api
from provider_core.batches.lanes import Lanes
from provider_core.errors import CoreError
from telex.batch.journal import Journal, KnownRows, is_stream, open_stream, read_known
from telex.batch.pending import Pending
from telex.batch.plan import make_plan
from telex.batch.progress import Progress
from telex.chat.costs import report_budget, report_limits
from telex.console import OutputError
from telex.exit_codes import ExitCode, Interrupts, Stop
from telex.humanize import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import FrameType

    from provider_core.batches import AnyRun, Lane, Result, Row
    from provider_core.batches.dask_runner import DaskRun
    from provider_core.batches.jobs import JobFile
    from provider_core.budget import Budget
    from provider_core.chat.fallback import Fallback
    from provider_core.history import LedgerEntry
    from telex.app import App
    from telex.batch.folder import OutputFolder
    from telex.batch.output import Layout
    from telex.batch.plan import Options, Plan

_WINDOW: Final = 1000
"""Rows that ``--ordered`` may have in memory if the output is a stream."""
_BAD_SHOWN: Final = 5
"""Rows that cannot be used, of which --dry-run shows why."""
_LEDGER_ROWS: Final = 500
_LEDGER_SECONDS: Final = 1.0


def run(app: App, options: Options) -> None:
    """Run ``telex batch``. Raises ``Stop`` with the exit code of an incomplete batch, and errors of the core."""
    with contextlib.ExitStack() as stack:
        interrupts = stack.enter_context(Interrupts())
        plan = make_plan(app, options, stack)
        folder = None
        if options.output_dir is not None:
            from telex.batch.folder import OutputFolder

            schema = plan.planner.request.schema
            folder = OutputFolder(
                options.output_dir, plan.source.files, suffix=".json" if schema is not None else ""
            )
        if options.dry_run:
            _dry_run(app, plan, options, folder)
            return
        if folder is not None:
            folder.create()
        name = _file_of_results(options, folder)
        jobs = None
        if name is not None and is_stream(name):
            if options.via == "provider":
                raise click.UsageError(
                    f"--via provider needs an output that can be read again, and {name} is a device or a pipe"
                )
        elif name is not None:
            from telex.batch.jobs import job_file

            jobs = job_file(name, options)
        output = _output(app, plan, options, folder, is_begun=jobs is not None and bool(jobs.jobs))
        stack.callback(output.close)
        known = output.journal.known if output.journal is not None else KnownRows()
        pending = Pending(plan, options, known, has_file=output.has_file)
        _Batch(app, plan, options, output, pending, interrupts, jobs).run(stack)


def _dry_run(app: App, plan: Plan, options: Options, folder: OutputFolder | None) -> None:
    """Print what a run would do: its rows, an estimate of tokens and cost, and the first request."""
    from provider_core.attachments import estimate_tokens
    from provider_core.types import Usage
    from telex.render.json import request_object

    target, own = plan.first
    limit = own.max_tokens if own is not None else None
    rows = bad = tokens = 0
    first: dict[str, Any] | None = None
    name = _file_of_results(options, folder)
    has_results = name is not None and not (options.fresh or is_stream(name))
    known = read_known(Path(name), plan.layout) if has_results and name is not None else KnownRows()
    output = _Output(plan.layout, lambda _: None, folder)
    pending = Pending(plan, options, known, has_file=output.has_file)
    for row in pending:
        rows += 1
        try:
            if row.error is not None:
                raise row.error
            chat = plan.planner.plan(row, target, own)
        except CoreError as error:
            bad += 1
            if bad <= _BAD_SHOWN:
                app.console.note(error.message)
            continue
        tokens += estimate_tokens(chat.request.messages)
        first = first or request_object(app.runtime, app.console, target, chat.request)
    usage = Usage(input=tokens, output=(limit or 0) * (rows - bad))
    price = app.runtime.prices.cost(target, usage, batch=options.via == "provider", estimate=True)
    app.console.json(
        {
            "rows": rows,
            "bad_rows": bad,
            "rows_done_before": pending.done,
            "models": [str(each) for each in plan.targets],
            "input_tokens_estimate": tokens,
            "output_tokens_at_most": limit and limit * (rows - bad),
            "cost_estimate": None if price is None else float(price.amount),
            "first_request": first,
        }
    )
    if price is not None and limit is None:
        app.console.note("The estimate does not include the answers, whose length --max-tokens would limit.")


class _Output:
    """Where results go. ``journal`` is the file, if the batch can be resumed."""

    def __init__(
        self, layout: Layout, write: Callable[[bytes], object], folder: OutputFolder | None = None
    ) -> None:
        self.journal: Journal | None = None
        self.name: str = ""
        self._layout = layout
        self._write = write
        self._folder = folder
        self._started = False

    def add(self, result: Result, *, replaces: bool) -> None:
        """Write a result, whole or not at all. Raises ``OutputError`` and ``OutputClosed``."""
        if self._folder is not None and result.ok:
            self._folder.write(str(result.row.columns["file"]), self._layout.text(result))
        line = self._layout.line(result)
        if self.journal is not None:
            self.journal.append(line, replaces=replaces)
            return
        if not self._started:
            self._started = True
            line = self._layout.header + line
        self._write(line)

    def has_file(self, row: Row) -> bool:
        """Whether the file of a complete row is still there."""
        return self._folder is None or self._folder.target(str(row.columns["file"])).exists()

    def close(self) -> None:
        if self.journal is not None:
            self.journal.close()


def _file_of_results(options: Options, folder: OutputFolder | None) -> str | None:
    """The file of ``--output``, or that of ``--output-dir``; None for stdout."""
    if options.output is not None:
        return None if options.output == "-" else options.output
    return None if folder is None else str(folder.journal)


def _output(
    app: App, plan: Plan, options: Options, folder: OutputFolder | None, *, is_begun: bool
) -> _Output:
    name = _file_of_results(options, folder)
    if name is None:
        return _Output(plan.layout, lambda line: app.console.out(line.decode()), folder)
    if is_stream(name):
        stream = open_stream(name)

        def write(line: bytes) -> None:
            try:
                stream.write(line)
                stream.flush()
            except OSError as error:
                raise OutputError(f"{name}: {error.strerror}") from None

        return _Output(plan.layout, write, folder)
    found = _Output(plan.layout, lambda _: None, folder)
    found.name = name
    found.journal = Journal(
        Path(name),
        plan.layout,
        plan.made_with,
        fresh=options.fresh,
        ordered=options.ordered,
        is_begun=is_begun,
    )
    return found


class _Batch:
    """One run of the command."""

    def __init__(
        self,
        app: App,
        plan: Plan,
        options: Options,
        output: _Output,
        pending: Pending,
        interrupts: Interrupts,
        jobs: JobFile | None,
    ) -> None:
        self._app = app
        self._plan = plan
        self._options = options
        self._output = output
        self._pending = pending
        self._held = interrupts.held
        self._ledger: list[LedgerEntry] = []
        self._ledger_at = time.monotonic()
        self._counts = app.runtime.settings.ledger
        """Whether requests are added to the ledger."""
        self._jobs = jobs
        self._noted: set[int] = set()
        self._waiting: dict[int, Result] = {}  # of an ordered stream
        self._order: list[int] = []

    def run(self, stack: contextlib.ExitStack) -> None:
        options, plan = self._options, self._plan
        self._rows = iter(self._pending)
        lanes = stack.enter_context(
            Lanes(self._app.runtime, find=self._find, most=options.jobs, rpm=options.rpm, tpm=options.tpm)
        )
        if self._jobs is not None:
            batch_api(plan.first[0].provider)
        opened: list[Lane] = []
        if options.via != "dask":  # its workers have keys of their own
            opened += [lane for models in plan.models for lane in lanes.open(models)]
        progress = Progress(
            self._app.console,
            before=lambda: self._pending.done,
            fraction=lambda: plan.source.fraction if self._jobs is None else None,
            quiet=options.quiet,
        )
        limits = BatchLimits(
            max_errors=options.max_errors, max_cost=options.max_cost, deadline=options.deadline
        )
        self._run(self._runner(opened, lanes, limits, progress), progress)

    def _runner(
        self, opened: Sequence[Lane], lanes: Lanes, limits: BatchLimits, progress: Progress
    ) -> AnyRun:
        plan, prices = self._plan, self._app.runtime.prices
        if self._jobs is not None:
            from provider_core.batches.provider_runner import ProviderRun

            return ProviderRun(
                self._rows,
                plan.planner,
                opened,
                jobs=self._jobs,
                lanes_for=lanes.lanes_for,
                limits=limits,
                prices=prices,
                is_whole=lambda: not self._pending.left_out,
                note=(lambda _: None) if self._options.quiet else progress.note,
            )
        streamed_in_order = self._options.ordered and self._output.journal is None
        rows = self._numbered() if streamed_in_order else self._rows
        if (scheduler := self._options.scheduler) is not None:
            return self._on_cluster(rows, scheduler, limits, progress)
        return BatchRun(
            rows,
            plan.planner,
            opened,
            lanes_for=lanes.lanes_for,
            limits=limits,
            price=prices,
            window=_WINDOW if streamed_in_order else None,
        )

    def _on_cluster(
        self, rows: Iterable[Row], scheduler: str, limits: BatchLimits, progress: Progress
    ) -> DaskRun:
        from provider_core import __version__
        from provider_core.batches.dask_runner import DaskRun, Spec

        plan, options = self._plan, self._options
        spec = Spec(
            version=__version__,
            planner=plan.planner,
            models=tuple(tuple((each.name, each.request) for each in group) for group in plan.models),
            most=options.jobs,
            network={name: getattr(options, name) for name in ("connect_timeout", "timeout", "retries")},
        )
        return DaskRun(
            rows,
            spec,
            scheduler,
            targets=plan.targets,
            limits=limits,
            prices=self._app.runtime.prices,
            note=(lambda _: None) if options.quiet else progress.note,
        )

    def _run(self, batch: AnyRun, progress: Progress) -> None:
        app, options, plan = self._app, self._options, self._plan
        interrupted = False
        budget = app.runtime.budget
        if not options.quiet:
            report_limits(app, plan.targets, options.max_cost, app.console.note)
        if budget is not None:
            budget.interval = _LEDGER_SECONDS
            budget.check()
        try:
            with _CtrlC(batch):
                for result in batch:
                    if budget is not None:
                        self._check(budget, batch)
                        if not options.quiet:
                            report_budget(app, progress.note)
                    with self._held:
                        if result is not None:
                            progress.add(result)
                            self._write(result, progress)
                        self._flush_ledger(late=result is None)
                    self._note_dead(batch, progress)
                    progress.show(batch)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            progress.clear()
            with self._held:
                self._flush_ledger(late=True)
        with self._held:
            for number in sorted(self._waiting):  # behind rows that have no result
                self._output.add(self._waiting[number], replaces=False)
        if self._output.journal is not None:
            with self._held:
                self._output.journal.finish(is_whole=self._pending.is_whole)
        self._report(batch, progress, interrupted=interrupted or batch.ended_by == "stop")

    def _check(self, budget: Budget, batch: AnyRun) -> None:
        """End the batch if the budget of the settings is spent, which the ledger knows."""
        try:
            budget.check()
        except CoreError as error:
            batch.stop("error", error)

    def _find(self, name: str) -> list[Fallback]:
        from telex.batch.plan import candidates, model_of

        request = self._plan.planner.request
        return [model_of(each, request) for each in candidates(self._app, self._options, None, name)]

    def _numbered(self) -> Iterator[Row]:
        """The rows, whose order is noted when they are taken."""
        for row in self._rows:
            self._order.append(row.number)
            yield row

    def _write(self, result: Result, progress: Progress) -> None:
        if self._app.console.out_is_terminal and not self._output.name:
            progress.clear()
        if self._counts:
            from provider_core.history import entry_of

            for request in result.requests:
                entry = entry_of(request, time.time(), "batch", template=self._options.template)
                if entry is not None:
                    self._ledger.append(entry)
        if not (self._options.ordered and self._output.journal is None):
            self._output.add(result, replaces=self._pending.replaces(result.row))
            return
        self._waiting[result.row.number] = result
        while self._order and (next_one := self._waiting.pop(self._order[0], None)) is not None:
            del self._order[0]
            self._output.add(next_one, replaces=False)

    def _flush_ledger(self, *, late: bool) -> None:
        """Add the requests to the ledger, many in one transaction."""
        now = time.monotonic()
        if not self._ledger or (
            len(self._ledger) < _LEDGER_ROWS and not late and now - self._ledger_at < _LEDGER_SECONDS
        ):
            return
        entries, self._ledger, self._ledger_at = self._ledger, [], now
        try:
            self._app.runtime.history.ledger.add(entries)
        except CoreError as error:
            self._counts = False
            self._app.console.note(f"Warning: the tokens of this batch are not counted: {error.message}")

    def _note_dead(self, batch: AnyRun, progress: Progress) -> None:
        """Report each model that is no longer asked, as long as others are left."""
        if len(batch.lanes) < 2:
            return
        for lane in batch.lanes:
            if lane.dead is not None and id(lane) not in self._noted:
                self._noted.add(id(lane))
                progress.note(f"{_name(lane)} is not used any more: {lane.dead.message}")

    def _report(self, batch: AnyRun, progress: Progress, *, interrupted: bool) -> None:
        """Print the summary; raises ``Stop`` with the exit code unless that is 0."""
        app, name, pending = self._app, self._output.name, self._pending
        progress.summary(
            batch,
            skipped=pending.left_out,
            limited=self._options.limit is not None,
            show_failed=self._show_failed(name),
        )
        layout = self._plan.layout
        if layout.formulas and not self._options.csv_safe and layout.format != "jsonl":
            verb = "begins" if layout.formulas == 1 else "begin"
            app.console.note(
                f"Warning: {plural(layout.formulas, 'cell')} {verb} with =, +, - or @, which spreadsheets may run as "
                "formulas. --csv-safe puts an apostrophe before such cells."
            )
        journal = self._output.journal
        # Files may be named by and by.
        is_whole = pending.is_whole and not self._options.each_file
        if journal is not None and is_whole and (strays := journal.known.strays(ok=True)):
            verb = "belongs" if strays == 1 else "belong"
            app.console.note(
                f"Warning: {plural(strays, 'result')} in {name} {verb} to no row of the input: it has changed."
            )
        resume = "Repeat the command to do the rest." if name else ""
        if self._jobs is not None and (left := self._jobs.remaining):
            from telex.batch.jobs import running_on

            resume = running_on(left, self._options)
        if interrupted:
            app.console.note(f"Interrupted. {resume}".rstrip())
            raise Stop(ExitCode.INTERRUPTED)
        match batch.ended_by:
            case "error":
                error = batch.error or CoreError("the batch ended early")
                code, hint = app.advice(error)
                app.console.error(error.message, "\n".join(filter(None, (hint, resume))) or None)
                raise Stop(code)
            case "errors":
                app.console.error(
                    f"stopped after {progress.failed:,} rows failed (--max-errors)", resume or None
                )
                raise Stop(ExitCode.PROVIDER)
            case "cost":
                app.console.error("the budget (--max-cost) is spent", resume or None)
                raise Stop(ExitCode.LIMIT)
            case "deadline":
                app.console.error("the time (--deadline) is over", resume or None)
                raise Stop(ExitCode.NETWORK)
        if progress.failed:
            if resume:
                app.console.note("Repeat the command to run them again.")
            raise Stop(ExitCode.PROVIDER)

    def _show_failed(self, name: str) -> str:
        import shlex

        file = shlex.quote(name)
        match self._plan.layout.format:
            case _ if not name:
                return ""
            case "jsonl":
                return f"jq -c 'select(.error)' {file}"
            case format_:
                return f"mlr --{format_} filter 'is_not_empty($error)' {file}"


def _name(lane: Lane) -> str:
    provider = lane.target.provider
    return f"{lane.target} at {provider.base_url}"


class _CtrlC:
    """In this context the first Ctrl-C starts no further row, and the second raises ``KeyboardInterrupt``."""

    def __init__(self, batch: AnyRun) -> None:
        self._batch = batch
        self._before: Any = None
        self._first = 0.0

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.getsignal(signal.SIGINT)
            if self._before != signal.SIG_IGN:
                signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self._first:
            self._first = now
            self._batch.stop()
        elif now - self._first > 0.25:  # a wrapper passes on what the terminal has sent to both
            if not callable(self._before):
                raise KeyboardInterrupt
            self._before(number, frame)  # delays it while a result is being written
