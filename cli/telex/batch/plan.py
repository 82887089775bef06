"""The plan of a batch: which rows, which models, what is asked, and where the results go."""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import io
import itertools
import os
import stat
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from provider_core import limits, templates
from provider_core.batches import RowReader, bad_row, file_rows, planner, suffix_format
from provider_core.batches.lanes import with_options
from provider_core.batches.planner import as_variable
from provider_core.errors import InvalidInputError
from provider_core.settings import REQUEST_OPTIONS
from provider_core.structs import Struct
from provider_core.types import Request
from telex.batch.output import ResultLayout
from telex.chat.input import template_values
from telex.options import require_utf8

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import ExitStack

    from provider_core.batches import InputFormat, Row, RowPlanner
    from provider_core.chat.fallback import Fallback
    from provider_core.options import Candidate
    from provider_core.templates import Template
    from provider_core.types import Json, Target
    from telex.app import App
    from telex.batch.journal import KnownRows, OutputFolder
    from telex.batch.output import OutputFormat

_NAMES: Final = 10_000_000
"""Bytes of file names on stdin."""


class BatchOptions:
    """The command line of ``telex batch``, an attribute for each option."""

    words: tuple[str, ...]
    models: tuple[str, ...]
    template: str | None
    variables: tuple[str, ...]
    system: str | None
    schema: str | None
    schema_retries: int
    max_tokens: int | None
    temperature: float | None
    params: Sequence[tuple[str, Json]]
    reasoning_effort: str | None
    stream: bool | None
    input_format: InputFormat | None
    id_column: str
    each_file: bool
    output: str | None
    output_dir: str | None
    format: OutputFormat | None
    columns: str | None
    csv_safe: bool
    ordered: bool
    extract: bool
    via: Literal["provider", "dask"] | None
    scheduler: str | None
    fresh: bool
    retry_failed: bool
    limit: int | None
    sample: int | None
    dry_run: bool
    jobs: int | None
    rpm: int | None
    tpm: int | None
    max_errors: int | None
    max_cost: Decimal | None
    deadline: float | None
    quiet: bool
    connect_timeout: float | None
    timeout: float | None
    retries: int | None

    def __init__(self, **given: Any) -> None:
        self.__dict__.update(given)


class BatchPlan(Struct):
    """A batch that can be run."""

    source: RowSource
    planner: RowPlanner
    models: tuple[tuple[Fallback, ...], ...]
    """Models that share the rows, each with those to ask if it fails."""
    layout: ResultLayout
    made_with: Mapping[str, Json]
    """Everything that the results depend on, by the name that messages give it."""

    @property
    def targets(self) -> list[Target]:
        """All models that can be asked."""
        return [each.target for group in self.models for each in group if each.target is not None]

    @property
    def first(self) -> tuple[Target, Request | None]:
        """The first model that can be asked, and its options."""
        found = (each for group in self.models for each in group)
        return next((each.target, each.request) for each in found if each.target is not None)


class RowSource:
    """The rows of the input: those of a file, or a row for each of ``files``."""

    def __init__(self, reader: RowReader | None = None, files: Sequence[str] = ()) -> None:
        self.files = tuple(files)
        self._reader = reader
        self._taken = 0
        self._is_read = False

    @property
    def fraction(self) -> float | None:
        """The part that was read."""
        if self._reader is not None:
            return self._reader.fraction
        return self._taken / len(self.files) if self.files else None

    def __iter__(self) -> Iterator[Row]:
        self._is_read = True
        with self._reader.file if self._reader is not None else contextlib.nullcontext():
            for row in self._reader or file_rows(self.files):
                self._taken += 1
                yield row

    def is_file(self, name: str) -> bool:
        """Whether the file ``name`` is an input."""
        try:
            inputs = self.files if self._reader is None else (self._reader.file.fileno(),)
            found = os.stat(name)  # noqa: PTH116
            is_input = any(os.path.samestat(found, os.stat(each)) for each in inputs)  # noqa: PTH116
            return is_input and stat.S_ISREG(found.st_mode)
        except (OSError, ValueError):
            return False

    def close(self) -> None:
        """Close the file, unless its rows were asked for: then a thread may still be reading it."""
        if self._reader is not None and not self._is_read:
            self._reader.file.close()


def make_plan(app: App, options: BatchOptions, stack: ExitStack) -> BatchPlan:
    """Find the models and open the input, which ``stack`` closes.

    Raises ``click.UsageError`` and errors of the core.
    """
    _check(options)
    if options.template is None and len(options.models) < 2:
        from telex.chat.candidates import template_of_alias

        typed = options.models[0] if options.models else app.runtime.settings.model
        options.template = template_of_alias(app, typed) if typed else None
    template = None
    if options.template is not None:
        template = templates.load(app.runtime.paths.templates, options.template)
        if template.model and not options.models:
            options.models = (template.model,)
    found = [candidates(app, options, template, name) for name in options.models or (None,)]
    if options.max_cost is None:
        # An alias limits a chat; the limit of a batch is that of the cheapest one.
        own = [value for group in found for each in group if (value := each.options.values.get("max_cost"))]
        options.max_cost = min((Decimal(str(value)) for value in own), default=None)
    source, prompt = _input(app, options)
    stack.callback(source.close)
    schema = _schema(options, template)
    request = Request(model="", messages=(), max_characters=limits.ANSWER, schema=schema)
    models = tuple(tuple(with_options(each, request) for each in group) for group in found)
    system = None if options.system is None else require_utf8(options.system, "the system message")
    if system is None and len(found) == 1:
        # That of an alias or of the settings is not a template: braces in it are literal.
        system = _configured_system(found[0])
    values = template_values(options.variables)
    made = planner(
        prompt=templates.inline(prompt, "the prompt") if prompt else None,
        system=templates.inline(system, "the system message") if system else None,
        template=template,
        values=values,
        request=request,
        schema_retries=options.schema_retries if schema is not None else None,
    )
    if options.output is not None and source.is_file(options.output):
        raise click.UsageError(f"{options.output} is the input, too\nUse another file for the results.")
    if options.extract and schema is not None:
        raise click.UsageError("--extract and a schema cannot be used together")
    extract = schema is None and (options.extract or (template is not None and template.extract))
    columns = listed(options.columns)
    layout = ResultLayout(
        options.format or _format(options.output),
        made.row_hash,
        columns=columns,
        schema=schema,
        safe=options.csv_safe,
        without_text=options.output_dir is not None,
        extract=extract,
    )
    text = (template.prompt, template.system) if template is not None else None
    requests = [each.request or request for group in models for each in group]
    options_of = [
        {name: value for name in REQUEST_OPTIONS if (value := getattr(each, name)) != getattr(request, name)}
        for each in requests
    ]
    made_with = {
        "the prompt": [prompt, text, system, values],
        "the model": sorted([each.name for each in group] for group in models),
        "the schema": schema,
        "the parameters": sorted(set(map(repr, options_of))),
        "the format": [layout.format, columns, options.csv_safe, options.id_column, extract],
    }  # fmt: skip
    return BatchPlan(source=source, planner=made, models=models, layout=layout, made_with=made_with)


def candidates(
    app: App, options: BatchOptions, template: Template | None, name: str | None
) -> tuple[Candidate, ...]:
    """The model ``name``, or the models of an alias, with the options of each. Raises ``ModelError`` and others."""
    from telex.chat.candidates import candidate
    from telex.chat.candidates import candidates as of_alias

    settings = app.runtime.settings
    typed = name or settings.model
    if typed is not None and typed.strip() in settings.aliases:
        found = of_alias(app, vars(options), template, name)
    else:
        found = candidate(app, vars(options), template, app.target(name, ask=not options.dry_run))
    if any(each.options.values.get("tools") for each in found):
        app.console.note(f"The tools of {typed} are not used: telex batch has none.")
    return found


def _configured_system(found: Sequence[Candidate]) -> str | None:
    """The system message of the alias, the model or the settings, if the template has no say in it."""
    options = next(each.options for each in found if each.target is not None)
    if options.sources.get("system", "template").startswith("template"):
        return None
    return str(options.values["system"]).replace("{{", r"\{{") or None


def _check(options: BatchOptions) -> None:
    """Raise ``click.UsageError`` for options that contradict each other or lack another one."""
    given = options
    saved = given.output is not None or given.output_dir is not None
    is_table = (given.format or _format(given.output)) != "jsonl"
    for_variables = given.template or given.words or given.system
    by_provider, by_dask = given.via == "provider", given.via == "dask"
    for name, value, needs, there in (
        ("--var", given.variables, "--template or a prompt", for_variables),
        ("--output-dir", given.output_dir is not None, "--each-file", given.each_file),
        ("--retry-failed", given.retry_failed, "--output or --output-dir", saved),
        ("--fresh", given.fresh, "--output or --output-dir", saved),
        ("--csv-safe", given.csv_safe, "--format csv or tsv", is_table),
        ("--via provider", by_provider, "--output or --output-dir", saved and given.output != "-"),
        ("--via dask", by_dask, "--scheduler", given.scheduler is not None),
        ("--scheduler", given.scheduler is not None, "--via dask", by_dask),
    ):
        if value and not there:
            raise click.UsageError(f"{name} requires {needs}")
    for one, other, both in (
        ("--fresh", "--retry-failed", given.fresh and given.retry_failed),
        ("--input-format", "--each-file", given.input_format is not None and given.each_file),
        ("--limit", "--sample", given.limit is not None and given.sample is not None),
        ("--via provider", "several models", by_provider and len(given.models) > 1),
        ("--via provider", "--jobs", by_provider and given.jobs is not None),
        (f"--via {given.via}", "--rpm", given.via is not None and given.rpm is not None),
        (f"--via {given.via}", "--tpm", given.via is not None and given.tpm is not None),
    ):
        if both:
            raise click.UsageError(f"{one} and {other} cannot be used together")
    for name, _ in given.params:
        if name in ("messages", "model", "stream"):
            raise click.UsageError(f"-p {name}: telex sets this field")


def _schema(options: BatchOptions, template: Template | None) -> Mapping[str, Json] | None:
    source: str | Mapping[str, Json] | None = options.schema
    folder = None
    if source is None and template is not None and template.schema is not None:
        source, folder = template.schema, template.path.parent
    if source is None:
        return None
    from provider_core.structured import schema_from

    return schema_from(source, folder=folder)


def _format(output: str | None) -> OutputFormat:
    found = suffix_format(output) if output else None
    return found if found in ("csv", "tsv") else "jsonl"


def listed(text: str | None) -> tuple[str, ...]:
    """The names in a list with commas."""
    return tuple(dict.fromkeys(name.strip() for name in (text or "").split(",") if name.strip()))


# --- input -------------------------------------------------------------------------------------------------


def _input(app: App, options: BatchOptions) -> tuple[RowSource, str]:
    """The input, and the prompt for all rows: the last word, unless it is the input."""
    words = [require_utf8(word, "the prompt") for word in options.words]
    if options.each_file:
        return _files(app, words)
    name = None
    if words and (len(words) > 1 or words[0] == "-" or _is_file(words[0]) or _looks_like_file(words[0])):
        name = words.pop(0)
    if len(words) > 1:
        raise click.UsageError(
            "too many arguments: telex batch takes one input and one prompt\nPut the prompt in quotes. For files of "
            "text, use --each-file."
        )
    prompt = words[0] if words else ""
    if name is None or name == "-":
        if name is None and app.console.stdin_is_terminal():
            raise click.UsageError("no input\nName a file, or pipe rows in.")
        file = _stdin()
        return RowSource(RowReader(file, options.input_format, id_column=options.id_column)), prompt
    try:
        file = Path(name).open("rb")  # noqa: SIM115 - it is read until the end of the command
    except OSError as error:
        hint = ""
        if len(options.words) == 1:
            hint = f"\nIf it is the prompt, name the input first: telex batch - {name!r}"
        raise click.UsageError(f"{name} cannot be read: {error.strerror}{hint}") from None
    format_ = options.input_format or suffix_format(name)
    return RowSource(RowReader(file, format_, name=name, id_column=options.id_column)), prompt


def _is_file(word: str) -> bool:
    return os.path.isfile(word)  # noqa: PTH113 - Path raises for a long one


def _looks_like_file(word: str) -> bool:
    return " " not in word and "\n" not in word and suffix_format(word) is not None


def _stdin() -> io.BufferedReader:
    if sys.stdin is None:
        raise click.UsageError("stdin is closed\nName a file, or pipe rows in.")
    try:
        descriptor = sys.stdin.fileno()
    except (OSError, ValueError):
        return io.BufferedReader(sys.stdin.buffer)  # type: ignore[arg-type]
    try:
        # A copy: at exit, Python waits for the lock of its own stdin, which a reading thread may hold.
        return os.fdopen(os.dup(descriptor), "rb")
    except OSError as error:
        raise click.UsageError(f"stdin cannot be read: {error.strerror}") from None


def _files(app: App, words: list[str]) -> tuple[RowSource, str]:
    """Input files by name: words that are files, else the lines of stdin. The last word is the prompt if it is none."""
    prompt = ""
    if words and not _is_file(words[-1]):
        prompt = words.pop()
    if missing := next((word for word in words if not _is_file(word)), None):
        raise click.UsageError(f"{missing} is not a file\nPut the prompt in quotes, after the files.")
    if not words:
        if app.console.stdin_is_terminal():
            raise click.UsageError(
                "no files\nName them before the prompt, or pipe their names in, one in each line."
            )
        raw = _stdin().read(_NAMES + 1)
        if len(raw) > _NAMES:
            raise click.UsageError(f"stdin has more than {_NAMES // 1_000_000} MB of file names")
        end = b"\0" if b"\0" in raw else b"\n"  # as find -print0 writes them
        words = [os.fsdecode(line) for line in raw.replace(b"\r\n", b"\n").split(end) if line.strip()]
    if twice := [name for name, count in Counter(words).items() if count > 1]:
        raise click.UsageError(f"the file {twice[0]} is named twice")
    return RowSource(files=words), prompt


# --- rows that are left to do -------------------------------------------------------------------------------

_CONVERT: Final = (
    "jq -c '{id: .custom_id, messages: .body.messages, params: (.body | del(.model, .messages, .stream))}'"
)


class Pending:
    """The rows that are to be run: not those that are complete, nor more than was asked for.

    ``known`` are the rows of the output; with a ``folder``, a row whose file is gone is not complete.
    """

    def __init__(
        self, plan: BatchPlan, options: BatchOptions, known: KnownRows, folder: OutputFolder | None
    ) -> None:
        self._plan = plan
        self._options = options
        self._known = known
        self._folder = folder
        self.done = 0
        """Rows that were complete before."""
        self.left_out = 0
        """Rows that this run leaves out, by ``--limit``, ``--sample`` or ``--retry-failed``."""
        self.is_whole = False
        """Whether the input was read to its end."""

    @property
    def fraction(self) -> float | None:
        """The part of the input that was read; None if it is not to be read row by row to its end."""
        is_partial = self._options.limit is not None or self._options.sample is not None
        return None if is_partial else self._plan.source.fraction

    def __iter__(self) -> Iterator[Row]:
        options = self._options
        found = self._found()
        if options.sample is not None:
            found = iter(self._sampled(found, options.sample))
        rows = self._left(found)
        if options.limit is not None:
            rows = self._limited(rows, options.limit)
        return self._checked(rows)

    def _found(self) -> Iterator[tuple[Row, bool | None]]:
        """All rows, and whether each is complete; None if it has no result. A repeated id is an error."""
        for row in self._plan.source:
            is_new, ok = self._known.find(row.key, self._plan.planner.row_hash(row))
            if not is_new:
                raw = f"{row.number}\0{row.key}".encode("utf-8", "surrogatepass")
                message = f"{_place(row)} has the id {row.key[:60]!r} of an earlier row"
                row = bad_row(row.number, raw, message, line=row.line)  # noqa: PLW2901
                _, ok = self._known.find(row.key, "")
            yield row, ok
        self.is_whole = True

    def _sampled(self, rows: Iterable[tuple[Row, bool | None]], count: int) -> list[tuple[Row, bool | None]]:
        """``count`` rows, the same ones for the same input, in its order."""

        def rank(row: Row) -> bytes:
            return hashlib.blake2b(row.key.encode("utf-8", "surrogatepass"), digest_size=16).digest()

        total = itertools.count()
        chosen = heapq.nsmallest(count, ((rank(found[0]), next(total), found) for found in rows))
        self.left_out += next(total) - len(chosen)
        return [found for _, _, found in sorted(chosen, key=lambda each: each[1])]

    def _left(self, rows: Iterable[tuple[Row, bool | None]]) -> Iterator[Row]:
        """The rows that are missing, failed or incomplete."""
        for row, ok in rows:
            folder = self._folder
            if ok and (folder is None or folder.target(str(row.columns["file"])).exists()):
                self.done += 1
            elif self._options.retry_failed and ok is None:
                self.left_out += 1
            else:
                yield row

    def _limited(self, rows: Iterator[Row], count: int) -> Iterator[Row]:
        for taken, row in enumerate(rows):
            if taken == count:
                self.left_out += 1  # and more, which are not counted
                return
            yield row

    def _checked(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Plan the first usable row before anything is sent: what it lacks, all others are likely to lack."""
        head = []
        for row in rows:
            head.append(row)
            if row.error is None:
                self._check_first(row)
                break
        return itertools.chain(head, rows)

    def _check_first(self, first: Row) -> None:
        try:
            self._plan.planner.plan(first, *self._plan.first)
        except InvalidInputError as error:
            if error.code in ("no_column", "no_text"):
                hint = _hint(first) if error.code == "no_column" or "custom_id" in first.columns else ""
                raise click.UsageError(f"{_place(first)}: {error.message}{hint}") from None
        needed = [("--columns", name) for name in listed(self._options.columns)]
        if self._options.id_column != "id":
            needed.append(("--id-column", self._options.id_column))
        for option, name in needed:
            if name not in first.columns:
                columns = ", ".join(first.columns) or "none: each row is a text"
                raise click.UsageError(
                    f"{option} {name}: the input has no such column\nIts columns: {columns}"
                )


def _place(row: Row) -> str:
    return f"line {row.line}" if row.line else f"row {row.number}"


def _hint(row: Row) -> str:
    """The columns of the row, for an error about a prompt that uses none of them."""
    if not row.columns:
        return "\nIt has no columns, because each row is a text. For CSV, add --input-format csv."
    if len(row.columns) == 1 and ";" in (name := next(iter(row.columns))):
        return f"\nIts only column: {name}\nIf semicolons separate its cells: mlr --icsv --ifs ';' --ocsv cat"
    if {"custom_id", "body"} <= row.columns.keys():  # https://developers.openai.com/api/docs/guides/batch
        return f"\nTo convert requests of OpenAI's Batch API: {_CONVERT}"
    odd = next((name for name in row.columns if as_variable(name) != name), None)
    how = "" if odd is None else f"\nIn the prompt, {{{{ {as_variable(odd)} }}}} is the column {odd}."
    return f"\nIts columns: {', '.join(row.columns)}{how}"
