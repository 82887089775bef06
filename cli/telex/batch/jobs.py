"""The jobs of ``--via provider``: the file beside the output that remembers them; their state, and how to end them."""

from __future__ import annotations

import contextlib
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provider_core import files
from provider_core.batches.jobs import Job, JobApi, JobFile
from provider_core.errors import NotFoundError
from provider_core.structs import replace
from provider_core.types import Target
from telex.batch.folder import JOURNAL
from telex.humanize import number, plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from telex.app import App
    from telex.batch.plan import Options

_SUFFIX = ".jobs"


def job_file(output: str, options: Options) -> JobFile | None:
    """The file that remembers the jobs of an output file; None without ``--via provider``.

    Raises ``click.UsageError`` if jobs would go on and be paid for although nobody fetches their results.
    """
    found = JobFile(Path(f"{output}{_SUFFIX}"))
    cancel = f"telex batch cancel {shlex.quote(output)}"
    if options.fresh and found.jobs:
        if found.running:
            raise click.UsageError(
                f"{_count(found.running)} for {output} {_goes(found.running)} on at the provider\n"
                f"Cancel first, and repeat the command: {cancel}"
            )
        found.remove(*found.jobs.values())
    if options.via == "provider":
        return found
    if found.remaining:
        raise click.UsageError(
            f"the provider has {_count(found.remaining)} with results for {output}\n"
            f"Add --via provider to fetch them, or cancel: {cancel}"
        )
    return None


def running_on(jobs: Sequence[Job], options: Options) -> str:
    """What happens to jobs after the command has ended, and how to come back to them."""
    output = shlex.quote(options.output or options.output_dir or "")
    names = ", ".join(job.id for job in jobs[:3]) + (", …" if len(jobs) > 3 else "")
    return (
        f"{_count(jobs)} {_goes(jobs)} on at {jobs[0].provider} ({names}).\n"
        f"Repeat the command to fetch the results. To end {'it' if len(jobs) == 1 else 'them'}: "
        f"telex batch cancel {output}"
    )


def status(app: App, name: str, model: str | None, *, as_json: bool) -> None:
    """Print how far the jobs are that ``name`` means: an output file, or the id of a batch."""
    path, jobs = _jobs(app, name, model)
    found = [job if not job.id else api.retrieve(job) for job, api in _opened(app, jobs)]
    if as_json:
        app.console.json([_object(job) for job in found])
        return
    for job in found:
        app.console.out(f"{_line(job)}\n")
    if path is not None and all(job.has_ended for job in found):
        app.console.note("Repeat the telex batch command to fetch the results.")


def cancel(app: App, name: str, model: str | None) -> None:
    """Cancel the jobs that ``name`` means."""
    path, jobs = _jobs(app, name, model)
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
    state = os.open(f"{str(path).removesuffix(_SUFFIX)}.state", os.O_RDWR | os.O_CREAT, 0o666)
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
    place = Path(name)
    with contextlib.suppress(OSError, ValueError):
        if place.is_dir():
            place /= JOURNAL
        elif name.endswith(_SUFFIX):
            place = Path(name.removesuffix(_SUFFIX))
        path = Path(f"{place}{_SUFFIX}")
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


def _object(job: Job) -> dict[str, Any]:
    return {
        "id": job.id or None,
        "provider": job.provider,
        "model": job.model,
        "status": job.status or None,
        "rows": job.rows or None,
        "completed": job.completed,
        "failed": job.failed,
        "problem": job.problem or None,
    }


def _count(jobs: Sequence[Job]) -> str:
    return plural(len(jobs), "job")


def _goes(jobs: Sequence[Job]) -> str:
    return "goes" if len(jobs) == 1 else "go"
