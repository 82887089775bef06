"""Runs a planned batch: each result goes to the output and the ledger, and the end becomes the exit code."""

from __future__ import annotations

import contextlib
import shlex
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from provider_core.batches import BatchLimits, BatchRun
from provider_core.batches.jobs import JobFile, batch_api
from provider_core.batches.lanes import Lanes, with_options
from provider_core.errors import CoreError
from telex.batch import Accounts
from telex.batch.journal import (
    JOBS,
    JOURNAL,
    Journal,
    OutputFolder,
    Stream,
    read_known,
)
from telex.batch.plan import Pending, candidates, make_plan
from telex.batch.progress import BatchProgress
from telex.chat import report_budget, report_limits
from telex.exit_codes import ExitCode, Interrupts, Stop
from telex.humanize import plural

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from provider_core.batches import Result, Row, Run
    from provider_core.chat.fallback import Fallback
    from telex.app import App
    from telex.batch.plan import BatchOptions, BatchPlan

_WINDOW: Final = 1000
"""Rows that ``--ordered`` may have in memory if the output is a stream."""
_BAD_SHOWN: Final = 5
"""Rows that cannot be used, of which --dry-run shows why."""


def run(app: App, options: BatchOptions) -> None:
    """Run ``telex batch``. Raises ``Stop`` with the exit code of an incomplete batch, and errors of the core."""
    with contextlib.ExitStack() as stack:
        interrupts = stack.enter_context(Interrupts())
        plan = make_plan(app, options, stack)
        folder, name = None, options.output if options.output != "-" else None
        if options.output_dir is not None:
            suffix = "" if plan.planner.request.schema is None else ".json"
            folder = OutputFolder(
                options.output_dir, plan.source.files, suffix=suffix, results=options.output
            )
            name = options.output or str(folder.path / JOURNAL)
        if options.dry_run:
            _dry_run(app, plan, options, folder, name)
            return
        if folder is not None:
            folder.create()
        _Batch(app, plan, options, folder, name, interrupts, stack).run()


def _dry_run(
    app: App, plan: BatchPlan, options: BatchOptions, folder: OutputFolder | None, name: str | None
) -> None:
    """Print what a run would do: its rows, an estimate of tokens and cost, and the first request."""
    from provider_core.attachments import estimate_tokens
    from provider_core.types import Usage
    from telex.render.json import request_object

    target, own = plan.first
    limit = own.max_tokens if own is not None else None
    rows = bad = tokens = 0
    first: dict[str, Any] | None = None
    known = read_known(None if options.fresh else name, plan.layout)
    pending = Pending(plan, options, known, folder)
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


class _Batch:
    """One run of the command. ``name`` is the file of the results; without it, they go to stdout."""

    def __init__(
        self,
        app: App,
        plan: BatchPlan,
        options: BatchOptions,
        folder: OutputFolder | None,
        name: str | None,
        interrupts: Interrupts,
        stack: contextlib.ExitStack,
    ) -> None:
        self._app = app
        self._plan = plan
        self._options = options
        self._folder = folder
        self._held = interrupts.held
        self._jobs: JobFile | None = None
        """With ``--via provider``."""
        self._output: Journal | Stream
        if name is None:
            self._output = Stream(plan.layout, app.console.out)
        else:
            self._jobs = _job_file(name, options)
            is_begun = self._jobs is not None and bool(self._jobs.jobs)
            self._output = Journal(
                name, plan.layout, plan.made_with,
                fresh=options.fresh, ordered=options.ordered, is_begun=is_begun,
            )  # fmt: skip
        stack.callback(self._output.close)
        self._pending = Pending(plan, options, self._output.known, folder)
        self._progress = BatchProgress(
            app.console,
            before=lambda: self._pending.done,
            fraction=lambda: self._pending.fraction if self._jobs is None else None,
            quiet=options.quiet,
        )
        self._note = (lambda _: None) if options.quiet else self._progress.note
        self._noted: set[int] = set()
        self._in_order = options.ordered and isinstance(self._output, Stream)
        self._waiting: dict[int, Result] = {}  # of an ordered stream
        self._order: list[int] = []
        self._run = self._runner(stack)

    def _runner(self, stack: contextlib.ExitStack) -> Run:
        options, plan, prices = self._options, self._plan, self._app.runtime.prices
        limits = BatchLimits(
            max_errors=options.max_errors, max_cost=options.max_cost, deadline=options.deadline
        )
        rows = self._numbered()
        if options.via == "dask":
            from provider_core import __version__
            from provider_core.batches.dask_runner import DaskRun, Spec

            spec = Spec(
                version=__version__,
                planner=plan.planner,
                models=tuple(tuple((each.name, each.request) for each in group) for group in plan.models),
                most=options.jobs,
                network={name: getattr(options, name) for name in ("connect_timeout", "timeout", "retries")},
            )
            scheduler, targets = options.scheduler or "", plan.targets
            return DaskRun(
                rows, spec, scheduler, targets=targets, limits=limits, prices=prices, note=self._note
            )
        if self._jobs is not None:
            batch_api(plan.first[0].provider)
        lanes = stack.enter_context(
            Lanes(self._app.runtime, find=self._find, most=options.jobs, rpm=options.rpm, tpm=options.tpm)
        )
        opened = [lane for models in plan.models for lane in lanes.open(models)]
        how: Any = {"lanes_for": lanes.lanes_for, "limits": limits}
        if self._jobs is None:
            window = _WINDOW if self._in_order else None
            return BatchRun(rows, plan.planner, opened, price=prices, window=window, **how)
        from provider_core.batches.provider_runner import ProviderRun

        how |= {"jobs": self._jobs, "is_whole": lambda: not self._pending.left_out, "note": self._note}
        return ProviderRun(rows, plan.planner, opened, prices=prices, **how)

    def _find(self, name: str) -> list[Fallback]:
        request = self._plan.planner.request
        return [with_options(each, request) for each in candidates(self._app, self._options, None, name)]

    def _numbered(self) -> Iterator[Row]:
        """The rows, whose order is noted when they are taken."""
        for row in self._pending:
            if self._in_order:
                self._order.append(row.number)
            yield row

    def run(self) -> None:
        """Run the batch, and report it."""
        app, options, batch, progress = self._app, self._options, self._run, self._progress
        interrupted = False
        accounts = Accounts(app, "batch", app.console.note)
        if not options.quiet:
            report_limits(app, self._plan.targets, options.max_cost, app.console.note)
        accounts.check(batch)
        try:
            with _stopped_by_ctrl_c(batch):
                for result in batch:
                    accounts.check(batch)
                    if not options.quiet:
                        report_budget(app, progress.note)
                    with self._held:
                        if result is not None:
                            progress.add(result)
                            accounts.add(result, options.template)
                            self._write(result)
                        accounts.flush(late=result is None)
                    self._note_dead(batch)
                    progress.show(batch)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            progress.clear()
            with self._held:
                accounts.flush(late=True)
        with self._held:
            for number in sorted(self._waiting):  # behind rows that have no result
                self._output.add(self._waiting[number])
        with self._held:
            self._output.finish(is_whole=self._pending.is_whole)
        self._report(interrupted=interrupted or batch.ended_by == "stop")

    def _write(self, result: Result) -> None:
        if self._app.console.out_is_terminal and not self._output.name:
            self._progress.clear()
        if self._folder is not None and result.ok:
            self._folder.write(str(result.row.columns["file"]), self._plan.layout.text(result))
        if not self._in_order:
            self._output.add(result)
            return
        self._waiting[result.row.number] = result
        while self._order and (next_one := self._waiting.pop(self._order[0], None)) is not None:
            del self._order[0]
            self._output.add(next_one)

    def _note_dead(self, batch: Run) -> None:
        """Report each model that is no longer asked, as long as others are left."""
        if len(batch.lanes) < 2:
            return
        for lane in batch.lanes:
            if lane.dead is not None and id(lane) not in self._noted:
                self._noted.add(id(lane))
                name = f"{lane.target} at {lane.target.provider.base_url}"
                self._progress.note(f"{name} is not used any more: {lane.dead.message}")

    def _report(self, *, interrupted: bool) -> None:
        """Print the summary; raises ``Stop`` with the exit code unless that is 0."""
        console, batch, name = self._app.console, self._run, self._output.name
        layout = self._plan.layout
        self._progress.summary(batch, skipped=self._pending.left_out, show_failed=self._show_failed(name))
        if layout.formulas and not self._options.csv_safe and layout.format != "jsonl":
            console.note(
                f"Warning: {plural(layout.formulas, 'cell')} with =, +, - or @ at the beginning may run as a formula "
                "in a spreadsheet. --csv-safe puts an apostrophe before such cells."
            )
        # Names of files may still arrive.
        is_whole = self._pending.is_whole and not self._options.each_file
        if is_whole and (strays := self._output.known.strays()):
            console.note(
                f"Warning: {name} has {plural(strays, 'result')} without a row: the input has changed."
            )
        resume = "Repeat the command to do the rest." if name else ""
        if self._jobs is not None and (left := self._jobs.remaining):
            ids = ", ".join(job.id for job in left[:3]) + (", …" if len(left) > 3 else "")
            output = shlex.quote(self._options.output or self._options.output_dir or "")
            resume = (
                f"{left[0].provider} has {plural(len(left), 'job')} of this batch: {ids}.\n"
                f"Repeat the command to fetch the results, or cancel: telex batch cancel {output}"
            )
        if interrupted:
            console.note(f"Interrupted. {resume}".rstrip())
            raise Stop(ExitCode.INTERRUPTED)
        match batch.ended_by:
            case "error":
                error = batch.error or CoreError("the batch ended early")
                code, hint = self._app.advice(error)
                console.error(error.message, "\n".join(filter(None, (hint, resume))) or None)
                raise Stop(code)
            case "errors":
                console.error(f"stopped after {batch.failed:,} rows failed (--max-errors)", resume or None)
                raise Stop(ExitCode.PROVIDER)
            case "cost":
                console.error("the budget (--max-cost) is spent", resume or None)
                raise Stop(ExitCode.LIMIT)
            case "deadline":
                console.error("the time (--deadline) is over", resume or None)
                raise Stop(ExitCode.NETWORK)
        if batch.failed:
            if resume:
                console.note("Repeat the command to run them again.")
            raise Stop(ExitCode.PROVIDER)

    def _show_failed(self, name: str) -> str:
        """The command that prints the rows that failed."""
        if not name:
            return ""
        if (format_ := self._plan.layout.format) == "jsonl":
            return f"jq -c 'select(.error)' {shlex.quote(name)}"
        return f"mlr --{format_} filter 'is_not_empty($error)' {shlex.quote(name)}"


def _job_file(output: str, options: BatchOptions) -> JobFile | None:
    """The file that lists the jobs of an output file; None without ``--via provider``.

    Raises ``click.UsageError`` if jobs would continue, and be paid for, while no command fetches their results.
    """
    found = JobFile(Path(f"{output}{JOBS}"))
    cancel = f"telex batch cancel {shlex.quote(output)}"
    if options.fresh and found.jobs:
        if found.running:
            raise click.UsageError(
                f"the provider still runs {plural(len(found.running), 'job')} for {output}\n"
                f"Cancel first, and repeat the command: {cancel}"
            )
        found.remove(*found.jobs.values())
    if options.via == "provider":
        return found
    if found.remaining:
        raise click.UsageError(
            f"the provider has {plural(len(found.remaining), 'job')} with results for {output}\n"
            f"Add --via provider to fetch them, or cancel: {cancel}"
        )
    return None


@contextlib.contextmanager
def _stopped_by_ctrl_c(batch: Run) -> Iterator[None]:
    """In this context the first Ctrl-C starts no further row, and the second raises ``KeyboardInterrupt``."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before == signal.SIG_IGN:
        yield
        return
    first = 0.0

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal first
        now = time.monotonic()
        if not first:
            first = now
            batch.stop()
        elif now - first > 0.25:  # a wrapper passes on what the terminal has sent to both
            if not callable(before):
                raise KeyboardInterrupt
            before(number, frame)  # delays it while a result is being written

    signal.signal(signal.SIGINT, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
