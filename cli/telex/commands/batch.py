"""``telex batch``: its options, which ``batch.plan`` reads; and the jobs that a provider's Batch API runs for it."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from telex.app import pass_app
from telex.exit_codes import ASKING, ExitCode
from telex.humanize import number, plural
from telex.main import Command, CommandWithVerbs
from telex.options import (
    Name,
    effort_option,
    jobs_option,
    max_cost_option,
    max_tokens_option,
    network_options,
    params_option,
    profile_option,
    schema_option,
    schema_retries_option,
    system_option,
    temperature_option,
    template_option,
    variables_option,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from provider_core.batches.jobs import Job, JobApi
    from telex.app import App

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


class Duration(click.ParamType[float]):
    """A duration such as ``90s`` or ``2h``, in seconds."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)\s*([smhd]?)", str(value).strip().lower(), re.ASCII)
        if found is None or not float(found[1]):
            self.fail(f"{value!r} is not a duration. Use seconds, or 90s, 30m, 8h or 2d.", param, ctx)
        return float(found[1]) * _UNITS[found[2] or "s"]


COMMANDS = {
    "status": ("telex.commands.batch:status", "Show the jobs that a provider runs for a batch."),
    "cancel": ("telex.commands.batch:cancel", "Cancel the jobs that a provider runs for a batch."),
}


@click.command(
    cls=CommandWithVerbs,
    rows=COMMANDS,
    examples=(
        'telex batch tickets.csv "Summarise in one sentence: {{ body }}" -o summaries.jsonl',
        'ls *.md | telex batch --each-file "Translate to English." --output-dir en',
        'telex batch tickets.csv "Classify: {{ body }}" --schema "label bug|wish|question" -o labels.csv',
        "telex batch rows.jsonl -m openai -o out.jsonl --via provider",
        "telex batch rows.jsonl -m lab -o out.jsonl --via dask --scheduler tcp://host:8786",
    ),
    exits=ASKING,
    meanings={
        ExitCode.LIMIT: "rate limit, quota or --max-cost ended the batch",
        ExitCode.PROVIDER: "some rows failed or are incomplete, or the provider failed",
        ExitCode.NETWORK: "no server could be reached, or --deadline ended the batch",
    },
    otherwise='If it belongs to the prompt, put "--" before the prompt: telex batch -- {word}',
)
@click.argument("words", nargs=-1, type=click.Path(), metavar="[INPUT] [PROMPT]")
@click.option(
    "-m",
    "--model",
    "models",
    type=Name("model"),
    multiple=True,
    metavar="ID",
    help="Model to use, as for telex chat. Repeat to share the rows among several.",
)
@system_option
@template_option
@variables_option
@click.option(
    "--input-format",
    type=click.Choice(["jsonl", "csv", "tsv", "lines"]),
    help="Format of the input. [default: from the file's name, or else its first character]",
)
@click.option(
    "--id-column",
    default="id",
    metavar="NAME",
    help="Column that identifies a row. [default: id, or else the number and the content of the row]",
)
@click.option(
    "--each-file",
    is_flag=True,
    help="The input is names of text files, as arguments or one per line on stdin; each file is a row.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    metavar="FILE",
    help="Append the results to FILE. Repeat the command to run the rows that are missing, failed or incomplete.",
)
@click.option(
    "--output-dir",
    type=click.Path(file_okay=False),
    metavar="DIR",
    help="With --each-file, write each answer to a file of the same name in DIR.",
)
@click.option(
    "--format",
    "format",
    type=click.Choice(["jsonl", "csv", "tsv"]),
    help="Format of the results. [default: from the name of the output, or else jsonl]",
)
@click.option("--columns", metavar="NAME,…", help="Copy these columns of the input to the results.")
@click.option(
    "--csv-safe",
    is_flag=True,
    help="Put an apostrophe before cells that a spreadsheet would run as a formula.",
)
@click.option(
    "--ordered",
    is_flag=True,
    help="Write the results in the order of the input. A file is sorted at the end.",
)
@click.option(
    "-x",
    "--extract",
    is_flag=True,
    help="Keep only the first code block of each answer; if it has none, the whole answer.",
)
@click.option(
    "--via",
    type=click.Choice(["provider", "dask"]),
    help="Run the rows with the provider's own Batch API (takes up to a day, often at half the price), or on a Dask "
    "cluster.",
)
@click.option("--scheduler", metavar="ADDRESS", help="With --via dask, the cluster: tcp://HOST:8786.")
@click.option("--fresh", is_flag=True, help="Discard the results in the output, and start over.")
@click.option("--retry-failed", is_flag=True, help="Run only the rows that failed or are incomplete.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Run at most N rows.")
@click.option(
    "--sample",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    help="Run N rows from the whole input, the same ones each time.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print the number of rows, estimated tokens and cost, and the first request; send nothing.",
)
@jobs_option
@click.option("--rpm", type=click.IntRange(min=1), metavar="N", help="Start at most N requests a minute.")
@click.option("--tpm", type=click.IntRange(min=1), metavar="N", help="Use at most about N tokens a minute.")
@click.option("--max-errors", type=click.IntRange(min=1), metavar="N", help="Stop when N rows have failed.")
@max_cost_option("Stop before the batch costs more. Unknown costs do not count.")
@click.option(
    "--deadline",
    type=Duration(),
    metavar="TIME",
    help="Start no row after TIME, such as 90s, 30m or 8h. Rows in flight get 30 seconds more.",
)
@max_tokens_option
@temperature_option
@params_option
@effort_option
@schema_option
@schema_retries_option
@click.option(
    "--stream/--no-stream",
    default=None,
    help="Receive answers as they arrive (default), or each all at once.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print only errors and failed rows on stderr.")
@network_options
@profile_option
@pass_app
def command(app: App, /, **given: Any) -> None:
    """Send a prompt for each row of INPUT, several at a time, and write a result for each.

    INPUT is JSONL (objects or strings), CSV or TSV with a header, or lines of text; without it, or with "-", stdin.
    In PROMPT, {{ name }} is a column of the row, as in a template. If no column is used, a row's text (a line, a
    string, or its column prompt or text) is placed before the prompt. The columns messages, system, model, temperature,
    max_tokens, reasoning_effort and params set the request of their row, unless the prompt uses them.

    With --output, the results are appended as they come; after Ctrl-C or a crash, repeat the command to resume.
    Ctrl-C lets requests in flight end; a second one stops at once.

    With --via provider, jobs of the provider's Batch API run the rows, and continue after Ctrl-C: repeat the command to
    wait for them and to fetch the results. The jobs are listed in a file next to the output, such as out.jsonl.jobs.
    """
    from telex.batch.plan import BatchOptions
    from telex.batch.run import run

    run(app, BatchOptions(**given))


# --- jobs ------------------------------------------------------------------------------------------------------

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
    from provider_core import files
    from provider_core.errors import NotFoundError
    from provider_core.structs import replace

    path, jobs = _jobs(app, output, model)
    changed: list[Job] = []
    for job, api in _opened(app, jobs):
        now = job
        try:
            if job.id and not job.has_ended:
                now = api.retrieve(job)
                now = now if now.has_ended else api.cancel(now)
                app.console.out(f"{_line(now)}\n")
        except NotFoundError:
            if path is None:
                raise
            now = replace(job, status="cancelled", id="", file="")
            app.console.note(f"{job.provider} does not have {job.id} any more; it is no longer listed.")
        changed.append(now)
    if path is None:
        return
    # Unless a telex batch runs: it saves what it knows, and notices a change by itself.
    state = os.open(f"{str(path).removesuffix('.jobs')}.state", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if files.try_lock(state):
            from provider_core.batches.jobs import JobFile

            file = JobFile(path)
            known = [job for job in changed if job.token in file.jobs]
            file.save(*[job for job in known if job.id])
            file.remove(*[job for job in known if not job.id])
    finally:
        os.close(state)
    app.console.note("Repeat the telex batch command to fetch what was done.")


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
    from provider_core.structs import replace
    from provider_core.types import Target

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
