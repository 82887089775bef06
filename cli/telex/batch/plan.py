"""The plan of a batch: which rows, which models, what is asked, and where the results go."""

from __future__ import annotations

import io
import os
import stat
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from provider_core import limits, templates
from provider_core.batches import RowReader, file_rows, planner, suffix_format
from provider_core.chat.fallback import Fallback
from provider_core.settings import REQUEST_OPTIONS
from provider_core.structs import Struct, replace
from provider_core.types import Request
from telex.batch.output import Layout
from telex.chat.input import template_values
from telex.options import require_utf8

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import ExitStack

    from provider_core.batches import InputFormat, Row, RowPlanner
    from provider_core.options import Candidate
    from provider_core.templates import Template
    from provider_core.types import Json, Target
    from telex.app import App
    from telex.batch.output import OutputFormat

_NAMES: Final = 10_000_000
"""Bytes of file names on stdin."""


class Options:
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


class Plan(Struct):
    """A batch that can be run."""

    source: Source
    planner: RowPlanner
    models: tuple[tuple[Fallback, ...], ...]
    """Models that share the rows, each with those to ask if it fails."""
    layout: Layout
    made_with: Mapping[str, Json]
    """What the results depend on, each under the name that a message gives it."""

    @property
    def targets(self) -> list[Target]:
        """All models that can be asked."""
        return [each.target for group in self.models for each in group if each.target is not None]

    @property
    def first(self) -> tuple[Target, Request | None]:
        """The first model that can be asked, and its options."""
        found = (each for group in self.models for each in group)
        return next((each.target, each.request) for each in found if each.target is not None)


class Source:
    """The rows of the input, and the part of it that was read. ``files`` are the inputs of ``--each-file``."""

    def __init__(
        self,
        file: io.BufferedReader | None = None,
        reader: RowReader | None = None,
        files: Sequence[str] = (),
    ) -> None:
        self.files = tuple(files)
        self._file = file
        self._reader = reader
        self._taken = 0
        self._started = False

    @property
    def fraction(self) -> float | None:
        if self._reader is not None:
            return self._reader.fraction
        return self._taken / len(self.files) if self.files else None

    def __iter__(self) -> Iterator[Row]:
        self._started = True
        if self._reader is None or self._file is None:
            for row in file_rows(self.files):
                self._taken += 1
                yield row
            return
        with self._file:
            yield from self._reader

    def is_file(self, name: str) -> bool:
        """Whether the file ``name`` is an input."""
        try:
            found = os.stat(name)  # noqa: PTH116
            if self._file is not None:
                return os.path.samestat(found, os.fstat(self._file.fileno())) and stat.S_ISREG(found.st_mode)
            return any(os.path.samestat(found, os.stat(each)) for each in self.files)  # noqa: PTH116
        except (OSError, ValueError):
            return False

    def close(self) -> None:
        """Close the file, unless its rows were asked for: then a thread may still be reading it."""
        if self._file is not None and not self._started:
            self._file.close()


def make_plan(app: App, options: Options, stack: ExitStack) -> Plan:
    """Find the models and open the input, which ``stack`` closes.

    Raises ``click.UsageError`` and errors of the core.
    """
    _check(options)
    if options.template is None and len(options.models) < 2:
        from telex.chat.candidates import template_of_alias

        typed = options.models[0] if options.models else app.runtime.settings.model
        options.template = template_of_alias(app, typed) if typed else None
    template = _template(app, options) if options.template is not None else None
    found = [candidates(app, options, template, name) for name in options.models or (None,)]
    if options.max_cost is None:
        # An alias limits a chat; the limit of a batch is that of the cheapest one.
        own = [value for group in found for each in group if (value := each.options.values.get("max_cost"))]
        options.max_cost = min((Decimal(str(value)) for value in own), default=None)
    source, prompt = _input(app, options)
    stack.callback(source.close)
    schema = _schema(options, template)
    request = Request(model="", messages=(), max_characters=limits.ANSWER, schema=schema)
    models = tuple(tuple(model_of(each, request) for each in group) for group in found)
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
    layout = Layout(
        options.format or _format(options.output),
        columns=columns,
        schema=schema,
        safe=options.csv_safe,
        without_text=options.output_dir is not None,
        extract=extract,
    )
    text = (template.prompt, template.system) if template is not None else None
    made_with = {
        "the prompt": [prompt, text, system, values],
        "the model": sorted([each.name for each in group] for group in models),
        "the schema": schema,
        "the parameters": sorted({repr(_own_options(each)) for group in found for each in group}),
        "the format": [layout.format, columns, options.csv_safe, options.id_column, extract],
    }  # fmt: skip
    return Plan(source=source, planner=made, models=models, layout=layout, made_with=made_with)


def candidates(
    app: App, options: Options, template: Template | None, name: str | None
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


def model_of(found: Candidate, request: Request) -> Fallback:
    """A model with its options; ``request`` has what is the same for all models."""
    return Fallback(
        name=str(found.target or found.name),
        target=found.target,
        request=replace(request, **_own_options(found)),
        error=found.error,
    )


def _own_options(found: Candidate) -> dict[str, Any]:
    """The fields of ``Request`` that the options of a model set."""
    return {name: found.options.values[name] for name in REQUEST_OPTIONS if name in found.options.values}


def _configured_system(found: Sequence[Candidate]) -> str | None:
    """The system message of the alias, the model or the settings, if the template has no say in it."""
    options = next(each.options for each in found if each.target is not None)
    if options.sources.get("system", "template").startswith("template"):
        return None
    return str(options.values["system"]).replace("{{", r"\{{") or None


def _check(options: Options) -> None:
    """Raise ``click.UsageError`` for options that contradict each other or lack another one."""
    saved = options.output is not None or options.output_dir is not None
    by_provider = options.via == "provider"
    for name, given, needs, there in (
        (
            "--var",
            options.variables,
            "--template or a prompt",
            options.template or options.words or options.system,
        ),
        ("--output-dir", options.output_dir is not None, "--each-file", options.each_file),
        ("--retry-failed", options.retry_failed, "--output or --output-dir", saved),
        ("--via dask", options.via == "dask", "--scheduler", options.scheduler is not None),
        ("--scheduler", options.scheduler is not None, "--via dask", options.via == "dask"),
        ("--via provider", by_provider, "--output or --output-dir", saved and options.output != "-"),
        ("--fresh", options.fresh, "--output or --output-dir", saved),
        (
            "--csv-safe",
            options.csv_safe,
            "--format csv or tsv",
            (options.format or _format(options.output)) != "jsonl",
        ),
    ):
        if given and not there:
            raise click.UsageError(f"{name} requires {needs}")
    for one, other, both in (
        ("--fresh", "--retry-failed", options.fresh and options.retry_failed),
        ("--input-format", "--each-file", options.input_format is not None and options.each_file),
        ("--via provider", "several models", by_provider and len(options.models) > 1),
        ("--via provider", "--jobs", by_provider and options.jobs is not None),
        (f"--via {options.via}", "--rpm", options.via is not None and options.rpm is not None),
        (f"--via {options.via}", "--tpm", options.via is not None and options.tpm is not None),
        ("--limit", "--sample", options.limit is not None and options.sample is not None),
    ):
        if both:
            raise click.UsageError(f"{one} and {other} cannot be used together")
    for name, _ in options.params:
        if name in ("messages", "model", "stream"):
            raise click.UsageError(f"-p {name}: telex sets this field")


def _template(app: App, options: Options) -> Template:
    """The template; its model is the one to use if none was given."""
    template = templates.load(app.runtime.paths.templates, options.template or "")
    if template.model and not options.models:
        options.models = (template.model,)
    return template


def _schema(options: Options, template: Template | None) -> Mapping[str, Json] | None:
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


def _input(app: App, options: Options) -> tuple[Source, str]:
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
    if name in (None, "-"):
        if name is None and app.console.stdin_is_terminal():
            raise click.UsageError("no input\nName a file, or pipe rows in.")
        file = _stdin()
        return Source(file, RowReader(file, options.input_format, id_column=options.id_column)), prompt
    assert name is not None  # noqa: S101 - for the type checker
    try:
        file = Path(name).open("rb")  # noqa: SIM115 - it is read until the end of the command
    except OSError as error:
        if len(options.words) == 2 and _is_file(options.words[1]):
            raise click.UsageError(
                f"{name} cannot be read: {error.strerror}\nThe input comes before the prompt."
            ) from None
        hint = (
            f"\nIf it is the prompt, name the input first: telex batch - {name!r}"
            if len(options.words) == 1
            else ""
        )
        raise click.UsageError(f"{name} cannot be read: {error.strerror}{hint}") from None
    format_ = options.input_format or suffix_format(name)
    return Source(file, RowReader(file, format_, name=name, id_column=options.id_column)), prompt


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
        # A copy: at exit, Python waits for the lock of its own stdin, which a thread may hold that reads.
        return os.fdopen(os.dup(descriptor), "rb")
    except OSError as error:
        raise click.UsageError(f"stdin cannot be read: {error.strerror}") from None


def _files(app: App, words: list[str]) -> tuple[Source, str]:
    """Input files by name: words that are files, else the lines of stdin. The last word is the prompt if it is none."""
    prompt = ""
    if words and not _is_file(words[-1]):
        prompt = words.pop()
    for word in words:
        if not _is_file(word):
            reason = "it is a folder" if os.path.isdir(word) else "no such file"  # noqa: PTH112
            raise click.UsageError(
                f"{word} cannot be read: {reason}\nPut the prompt in quotes, after the files."
            )
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
    twice = next((name for name in words if words.count(name) > 1), None) if len(words) < 1000 else None
    if twice is not None or len(set(words)) < len(words):
        raise click.UsageError(f"the file {twice or ''} is named twice")
    return Source(files=words), prompt
