"""``telex batch status`` and ``telex batch cancel``: the jobs that a provider's Batch API runs for a batch."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provider_core import files
from provider_core.errors import NotFoundError
from provider_core.structs import replace
from provider_core.types import Target
from telex.app import pass_app
from telex.exit_codes import ExitCode
from telex.humanize import number, plural
from telex.main import Command
from telex.options import Name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from provider_core.batches.jobs import Job, JobApi
    from telex.app import App

_EXITS = (ExitCode.SETTINGS, ExitCode.KEY, ExitCode.LIMIT, ExitCode.PROVIDER, ExitCode.NETWORK)

_output = click.argument("output", type=click.Path(), metavar="OUTPUT|ID")
_model = click.option(
    "-m",
    "--model",
    type=Name("model"),
    metavar="ID",
    help="With the id of a batch, its provider, or a model of it.",
)


@click.command(
    cls=Command,
    examples=(
        "telex batch status out.jsonl",
        "telex batch status batch_abc123 -m openai",
        "telex batch status out.jsonl --json | jq -r '.[].status'",
    ),
    exits=_EXITS,
)
@_output
@_model
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects.")
@pass_app
def status(app: App, /, *, output: str, model: str | None, as_json: bool) -> None:
    """Show the jobs that a provider runs for a batch.

    OUTPUT is the file of --output, or the folder of --output-dir, of a batch that was started with --via provider. For
    any other batch, give its ID and -m.
    """
    path, jobs = _jobs(app, output, model)
    found = [job if not job.id else api.retrieve(job) for job, api in _opened(app, jobs)]
    if as_json:
        app.console.json(
            [
                {
                    "id": job.id or None,
                    "provider": job.provider,
                    "model": job.model,
                    "status": job.status or None,
                    "rows": job.rows or None,
                    "completed": job.completed,
                    "failed": job.failed,
                    "problem": job.problem or None,
                }
                for job in found
            ]
        )
        return
    for job in found:
        app.console.out(f"{_line(job)}\n")
    if path is not None and all(job.has_ended for job in found):
        app.console.note("Repeat the telex batch command to fetch the results.")


@click.command(
    cls=Command,
    examples=(
        "telex batch cancel out.jsonl",
        "telex batch cancel batch_abc123 -m openai",
        "ls *.jsonl.jobs | xargs -n 1 telex batch cancel",
    ),
    exits=_EXITS,
)
@_output
@_model
@pass_app
def cancel(app: App, /, *, output: str, model: str | None) -> None:
    """Cancel the jobs that a provider runs for a batch.

    Requests that are done are paid for: repeat the telex batch command to fetch their answers. It sends the rest again.
    """
    path, jobs = _jobs(app, output, model)
    changed: list[Job] = []
    for job, api in _opened(app, jobs):
        if not job.id or job.has_ended:
            changed.append(job)
            continue
        try:
            now = api.retrieve(job)
            if not now.has_ended:
                now = api.cancel(now)
            app.console.out(f"{_line(now)}\n")
        except NotFoundError:
            if path is None:
                raise
            now = replace(job, status="cancelled", id="", file="")
            app.console.note(f"{job.provider} does not have {job.id} any more: it is forgotten.")
        changed.append(now)
    if path is not None:
        _save(path, changed)
        app.console.note("Repeat the telex batch command to fetch what was done.")


def _save(path: Path, changed: Sequence[Job]) -> None:
    """Save the new states, unless a telex batch runs: it saves what it knows, and would notice a change by itself."""
    from provider_core.batches.jobs import JobFile
    from telex.batch.journal import JOBS

    state = os.open(f"{str(path).removesuffix(JOBS)}.state", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if files.try_lock(state):
            file = JobFile(path)
            known = [job for job in changed if job.token in file.jobs]
            file.save(*[job for job in known if job.id])
            file.remove(*[job for job in known if not job.id])
    finally:
        os.close(state)


def _jobs(app: App, name: str, model: str | None) -> tuple[Path | None, list[Job]]:
    """The jobs of an output file, and the file that remembers them; or the batch with the id ``name``."""
    from provider_core.batches.jobs import Job, JobFile
    from telex.batch.journal import JOBS, JOURNAL

    place = Path(name)
    with contextlib.suppress(OSError, ValueError):
        if place.is_dir():
            place /= JOURNAL
        elif name.endswith(JOBS):
            place = Path(name.removesuffix(JOBS))
        path = Path(f"{place}{JOBS}")
        if path.exists():
            return path, list(JobFile(path).jobs.values())
        if place.exists():
            raise click.UsageError(
                f"{name} has no jobs at a provider: their results were fetched, or there were none"
            )
    if "/" in name or "." in name or model is None:
        raise click.UsageError(
            f"{name} is not an output of telex batch --via provider\n"
            "If it is the id of a batch, name its provider, too: -m PROVIDER"
        )
    target = app.target(model)
    provider = target.provider
    return None, [
        Job(token="", provider=provider.name, base_url=provider.base_url, model=target.model, id=name)
    ]


def _opened(app: App, jobs: Sequence[Job]) -> Iterator[tuple[Job, JobApi]]:
    """Each job with the API of its provider, whose key is looked up once."""
    from provider_core.batches.jobs import JobApi

    with contextlib.ExitStack() as stack:
        apis: dict[str, JobApi] = {}
        for job in jobs:
            if job.provider not in apis:
                provider = app.runtime.provider(job.provider)
                if provider.base_url != job.base_url and job.base_url not in provider.base_urls:
                    raise click.UsageError(
                        f"{job.id or 'the job'} was created at {job.base_url}, "
                        f"and the address of {job.provider} is now {provider.base_url}"
                    )
                target = Target(provider=replace(provider, base_url=job.base_url), model=job.model)
                apis[job.provider] = JobApi(stack.enter_context(app.runtime.open_provider(target)))
            yield job, apis[job.provider]


def _line(job: Job) -> str:
    state = job.status.replace("_", " ") or "not created yet"
    rows = (
        f"{number(job.completed)} of {plural(job.rows, 'row')} done" if job.rows else f"{job.completed} done"
    )
    failed = f", {number(job.failed)} failed" if job.failed else ""
    why = f": {job.problem}" if job.problem else ""
    return f"{job.id or job.token}  {job.provider}/{job.model}  {state}  {rows}{failed}{why}"
