"""Runs the cases of ``telex test`` with each model, from saved answers where there are any, and checks the answers."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from provider_core import files
from provider_core.batches import BatchLimits, BatchRun, Row, RowPlanner
from provider_core.batches.lanes import Lanes, model_of
from provider_core.budget import dollars
from provider_core.chat import ChatPlan
from provider_core.errors import BudgetError, CoreError, FileError, SchemaMismatchError
from provider_core.structs import Struct, checked, replace
from provider_core.structured import failures, judge_request, verdict_of
from provider_core.types import Request
from telex.batch import Accounts
from telex.chat import report_limits
from telex.commands.test.cases import find_files, read_cases
from telex.commands.test.report import Outcome, Reporter, write_junit
from telex.exit_codes import ExitCode, Interrupts, Stop

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from provider_core.batches import Result
    from provider_core.types import Target
    from telex.app import App
    from telex.commands.test.cases import Case

_UNUSED: Final = 30 * 86_400
"""Seconds after which a saved answer that no run has used is deleted."""


class TestOptions:
    """The command line of ``telex test``, an attribute for each option."""

    paths: tuple[str, ...]
    models: tuple[str, ...]
    judge: str | None
    only: tuple[str, ...]
    fresh: bool
    junit: str | None
    max_cost: Decimal | None
    jobs: int | None
    as_json: bool
    quiet: bool

    def __init__(self, **given: Any) -> None:
        self.__dict__.update(given)


class CaseRequest(Struct):
    """A request of the run: a case with one model, or a question to the judge about the answer to it."""

    target: Target
    request: Request
    case: Case
    index: int
    """Its number among the outcomes."""
    statement: str = ""
    """For the judge."""


class SavedAnswer(Struct):
    """An answer as it is saved, by the content of its request."""

    text: str
    cost: Decimal | None
    seconds: float | None


class _JobPlanner(RowPlanner):
    """Plans the jobs: the number of a row is that of its job."""

    jobs: Sequence[CaseRequest] = ()

    def model(self, row: Row) -> str | None:
        return str(self.jobs[row.number - 1].target)

    def plan(self, row: Row, target: Target, request: Request | None = None) -> ChatPlan:
        job = self.jobs[row.number - 1]
        return ChatPlan(
            target=target,
            request=job.request,
            new_messages=job.request.messages,
            schema_retries=1 if job.statement else 0 if job.request.schema is not None else None,
        )


def run(app: App, options: TestOptions) -> None:
    """Run ``telex test``. Raises ``Stop`` if not all cases pass, and errors of the core."""
    if options.junit is not None and not Path(options.junit).parent.is_dir():
        raise click.UsageError(f"--junit {options.junit}: there is no such folder")
    with Interrupts(), contextlib.ExitStack() as stack:
        cases = [
            case
            for path in find_files(options.paths)
            for case in read_cases(path, app.runtime.template)
            if not options.only or any(word.casefold() in case.name.casefold() for word in options.only)
        ]
        if not cases:
            why = "no case has a name that contains the text of --only"
            raise click.UsageError(why if options.only else f"{', '.join(options.paths)} has no test cases")
        _Run(app, options, cases).run(stack)


class _Run:
    """One run of the command."""

    def __init__(self, app: App, options: TestOptions, cases: Sequence[Case]) -> None:
        self._app = app
        self._options = options
        self._targets: dict[str, Target] = {}
        self._saved = SavedAnswers(app.runtime.paths.cache / "tests", fresh=options.fresh)
        self._spent = Decimal(0)
        self._error: CoreError | None = None
        """The error that ended the run."""
        self._jobs: list[CaseRequest] = []
        self._outcomes: list[Outcome] = []
        for case in cases:
            for name in options.models or case.models or ("",):
                target = self._target(name)
                index = len(self._outcomes)
                self._outcomes.append(Outcome(case=case, model=str(target)))
                request = replace(case.request, model=target.model)
                self._jobs.append(CaseRequest(target=target, request=request, case=case, index=index))
                if case.expected.judge:
                    self._judge(case)  # it has to be known before anything is sent
        self._reporter = Reporter(app.console, self._outcomes, as_json=options.as_json, quiet=options.quiet)

    def run(self, stack: contextlib.ExitStack) -> None:
        app, options = self._app, self._options

        def find(name: str) -> list[Any]:
            return [model_of(self._target(name))]

        lanes = stack.enter_context(Lanes(app.runtime, find=find, most=options.jobs))
        interrupted = False
        if not options.quiet:
            report_limits(app, (job.target for job in self._jobs), options.max_cost, app.console.note)
        try:
            questions: list[CaseRequest] = []
            for job, answer in self._answers(self._jobs, lanes):
                outcome = self._checked(job, answer)
                if outcome.status == "passed" and job.case.expected.judge:
                    questions += self._questions(job, outcome)
                    outcome = replace(outcome, status="not run")
                self._outcomes[job.index] = outcome
                self._reporter.show(self._outcomes)
            if questions and self._error is None:
                self._ask_judges(questions, lanes)
        except KeyboardInterrupt:
            interrupted = True
        self._reporter.finish(self._outcomes, self._spent)
        if options.junit is not None:
            write_junit(options.junit, self._outcomes)
        self._saved.prune()
        if interrupted:
            app.console.note(
                "Interrupted. Answers that have come are saved: repeat the command to do the rest."
            )
            raise Stop(ExitCode.INTERRUPTED)
        if self._error is not None:
            raise self._error
        if any(outcome.status != "passed" for outcome in self._outcomes):
            raise Stop(ExitCode.TEST)

    def _target(self, name: str) -> Target:
        from telex.options import with_network

        if name not in self._targets:
            target = with_network(self._app.target(name or None), vars(self._options))
            self._targets[name] = self._targets[str(target)] = target
        return self._targets[name]

    def _judge(self, case: Case) -> Target:
        name = self._options.judge or case.judge
        if name is None:
            raise click.UsageError(
                f"{case.file}: {case.name}: a model has to judge the answer, and none is named\n"
                'Name one: --judge MODEL, or judge = "MODEL" in the file.'
            )
        return self._target(name)

    # --- answers -------------------------------------------------------------------------------------------

    def _answers(
        self, jobs: Sequence[CaseRequest], lanes: Lanes
    ) -> Iterator[tuple[CaseRequest, SavedAnswer | CoreError]]:
        """The answer to each job, or its error: saved ones first, then those of requests as they come."""
        missing = []
        for job in jobs:
            saved = self._saved.find(job)
            if saved is None:
                missing.append(job)
                continue
            if not job.statement:
                self._outcomes[job.index] = replace(self._outcomes[job.index], is_saved=True)
            yield job, saved
        if missing:
            yield from self._asked(missing, lanes)

    def _asked(
        self, jobs: Sequence[CaseRequest], lanes: Lanes
    ) -> Iterator[tuple[CaseRequest, SavedAnswer | CoreError]]:
        limit = self._options.max_cost
        batch = BatchRun(
            (Row(number=number, id=number) for number in range(1, len(jobs) + 1)),
            _JobPlanner(request=Request(model="", messages=()), jobs=jobs),
            [lane for name in {str(job.target): None for job in jobs} for lane in lanes.lanes_for(name)],
            lanes_for=lanes.lanes_for,
            limits=BatchLimits(max_cost=None if limit is None else limit - self._spent),
            price=self._app.runtime.prices,
        )
        accounts = Accounts(self._app, "test", self._app.console.note)
        accounts.check(batch)
        if limit is not None and self._spent >= limit:
            batch.stop("cost")
        try:
            for result in batch:
                if result is not None:
                    job = jobs[result.row.number - 1]
                    accounts.add(result, job.case.template)
                    yield job, self._answer(job, result)
                self._reporter.tick(self._outcomes, batch.in_flight)
                accounts.flush(late=result is None)
                accounts.check(batch)
        finally:
            self._spent += batch.spent or 0
            accounts.flush(late=True)
        if batch.ended_by == "cost" and limit is not None:
            words = f"the cost limit of {dollars(limit)} is reached: {dollars(self._spent)} spent"
            self._error = BudgetError(words, code="max_cost", limit=limit, spent=self._spent)
        elif batch.ended_by == "error":
            self._error = batch.error or CoreError("the run ended early")

    def _answer(self, job: CaseRequest, result: Result) -> SavedAnswer | CoreError:
        """The answer of a result, which is saved if it is complete; or why there is none."""
        answer = result.answer
        if answer is None or not result.ok:
            return result.error or CoreError(f"the answer is {result.verdict.value}")
        costs = [request.answer.cost for request in result.requests if not request.answer.is_free]
        known = [cost.amount for cost in costs if cost is not None]
        cost = sum(known, Decimal(0)) if len(known) == len(costs) else None
        saved = SavedAnswer(text=answer.text, cost=cost, seconds=answer.timing.total)
        self._saved.add(job, saved)
        return saved

    # --- checks --------------------------------------------------------------------------------------------

    def _checked(self, job: CaseRequest, answer: SavedAnswer | CoreError) -> Outcome:
        outcome = self._outcomes[job.index]
        if isinstance(answer, CoreError):
            # A schema is part of what is expected; other errors say nothing about the answer.
            status = "failed" if isinstance(answer, SchemaMismatchError) else "error"
            return replace(outcome, status=status, reasons=(answer.message,))
        text = answer.text
        if job.case.extract:
            from telex.render.extract import first_block

            text = first_block(text) or text
        found = tuple(failures(job.case.expected, text, cost=answer.cost, seconds=answer.seconds))
        return replace(
            outcome,
            status="failed" if found else "passed",
            reasons=found,
            answer=text,
            cost=answer.cost,
            seconds=answer.seconds,
        )

    def _questions(self, job: CaseRequest, outcome: Outcome) -> Iterator[CaseRequest]:
        judge, prompt = self._judge(job.case), str(job.request.messages[-1].content)
        for statement in job.case.expected.judge:
            request = judge_request(judge.model, prompt, outcome.answer, statement)
            yield replace(job, target=judge, request=request, statement=statement)

    def _ask_judges(self, questions: Sequence[CaseRequest], lanes: Lanes) -> None:
        left = Counter(question.index for question in questions)
        verdicts: dict[int, set[str]] = {}
        for question, answer in self._answers(questions, lanes):
            index, found, reason = question.index, verdicts.setdefault(question.index, set()), ""
            try:
                if isinstance(answer, CoreError):
                    raise answer
                holds, why = verdict_of(answer.text)
                if not holds:
                    found.add("failed")
                    reason = f"is not judged so: {question.statement} ({why})"
            except CoreError as error:
                found.add("error")
                reason = f"{question.target} did not judge: {error.message}"
            outcome = self._outcomes[index]
            if reason:
                outcome = replace(outcome, reasons=(*outcome.reasons, reason))
            left[index] -= 1
            if not left[index]:
                worst: Any = "error" if "error" in found else "failed" if found else "passed"
                outcome = replace(outcome, status=worst)
            self._outcomes[index] = outcome
            self._reporter.show(self._outcomes)


class SavedAnswers:
    """Answers in a folder of private files, found by the content of the request and the address of the model."""

    def __init__(self, folder: Path, *, fresh: bool) -> None:
        self._folder = folder
        self._fresh = fresh

    def find(self, job: CaseRequest) -> SavedAnswer | None:
        """The saved answer to the same request; None if there is none, or none is wanted."""
        if self._fresh:
            return None
        path = self._path(job)
        try:
            found = json.loads(files.read_bytes(path))
            answer = checked(SavedAnswer(**found | {"cost": found["cost"] and Decimal(found["cost"])}))
            path.touch()
        except (FileError, OSError, ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
            return None  # it is asked for again
        return answer

    def add(self, job: CaseRequest, answer: SavedAnswer) -> None:
        """Save an answer, if the folder can be written."""
        cost = None if answer.cost is None else f"{answer.cost:f}"
        stored = {"text": answer.text, "cost": cost, "seconds": answer.seconds}
        with contextlib.suppress(FileError, OSError):
            files.private_folder(self._folder)
            files.replace(self._path(job), json.dumps(stored).encode())

    def prune(self) -> None:
        """Delete answers that were not used for 30 days."""
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                with contextlib.suppress(OSError):
                    if path.stat().st_mtime < time.time() - _UNUSED:
                        path.unlink()

    def _path(self, job: CaseRequest) -> Path:
        from provider_core.request import build_body

        provider = job.target.provider
        request = [provider.name, provider.base_url, build_body(provider, job.request)]
        content = json.dumps(request, sort_keys=True, default=str).encode("utf-8", "surrogatepass")
        return self._folder / f"{hashlib.blake2b(content, digest_size=20).hexdigest()}.json"
