"""The rows that a run of the batch asks about, and those that it leaves out."""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

import click

from provider_core.batches import bad_row
from provider_core.batches.planner import as_variable
from provider_core.errors import InvalidInputError
from telex.batch.plan import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from provider_core.batches import Row
    from telex.batch.journal import KnownRows
    from telex.batch.plan import Options, Plan

_CONVERT = (
    "jq -c '{id: .custom_id, messages: .body.messages, params: (.body | del(.model, .messages, .stream))}'"
)


class Pending:
    """The rows that are to be run: not those that are complete, nor more than was asked for.

    ``known`` are the rows of the output file, and ``has_file`` whether the answer of one that is complete is still
    there. A row whose id another row had before becomes one with an error.
    """

    def __init__(
        self, plan: Plan, options: Options, known: KnownRows, *, has_file: Callable[[Row], bool]
    ) -> None:
        self._plan = plan
        self._options = options
        self._known = known
        self._has_file = has_file
        self.done = 0
        """Rows that were complete before."""
        self.left_out = 0
        """Rows that this run leaves out, by ``--limit``, ``--sample`` or ``--retry-failed``."""
        self.is_whole = False
        """Whether the input was read to its end, and each of its rows was looked for in the output."""

    def __iter__(self) -> Iterator[Row]:
        rows = self._unique()
        options = self._options
        if options.sample is not None:
            rows = iter(self._sampled(rows, options.sample))
        rows = self._new(rows)
        if options.limit is not None:
            rows = self._limited(rows, options.limit)
        return self._checked(rows)

    def replaces(self, row: Row) -> bool:
        """Whether the output file has a line of the row already: it failed before."""
        known = self._known
        return bool(known.ok or known.failed) and known.state(row.key) is not None

    def _unique(self) -> Iterator[Row]:
        """All rows of the input; those whose id an earlier one had have an error."""
        for row in self._plan.source:
            if row.has_own_id and not self._known.is_new(row.key):
                raw = f"{row.number}\0{row.key}".encode("utf-8", "surrogatepass")
                message = f"{_place(row)} has the id {row.key[:60]!r} of an earlier row"
                row = bad_row(row.number, raw, message, line=row.line)  # noqa: PLW2901
            yield row

    def _new(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows that are missing, failed or incomplete."""
        known, retry = self._known, self._options.retry_failed
        for row in rows:
            state = known.state(row.key) if known.ok or known.failed else None
            if state is not None:
                known.note(row.key)
            if state and self._has_file(row):
                self.done += 1
            elif retry and state is None:
                self.left_out += 1
            else:
                yield row
        self.is_whole = self._options.sample is None

    def _sampled(self, rows: Iterable[Row], count: int) -> list[Row]:
        """``count`` rows, the same ones for the same input, in its order."""
        import hashlib

        def rank(row: Row) -> bytes:
            return hashlib.blake2b(row.key.encode("utf-8", "surrogatepass"), digest_size=16).digest()

        total = itertools.count()
        chosen = heapq.nsmallest(count, ((rank(row), next(total), row) for row in rows))
        self.left_out += next(total) - len(chosen)
        return sorted((row for _, _, row in chosen), key=lambda row: row.number)

    def _limited(self, rows: Iterator[Row], count: int) -> Iterator[Row]:
        for taken, row in enumerate(rows):
            if taken == count:
                self.left_out += 1  # and more, which are not counted
                return
            yield row

    def _checked(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Plan the first usable row before anything is sent: what it lacks, all others are likely to lack."""
        skipped = []
        first = None
        for row in rows:
            if row.error is None:
                first = row
                break
            skipped.append(row)
        if first is not None:
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
            if first is not None and name not in first.columns:
                columns = ", ".join(first.columns) or "none: each row is a text"
                raise click.UsageError(
                    f"{option} {name}: the input has no such column\nIts columns: {columns}"
                )
        head = [*skipped, *([first] if first is not None else [])]
        return itertools.chain(head, rows)


def _place(row: Row) -> str:
    return f"line {row.line}" if row.line else f"row {row.number}"


def _hint(row: Row) -> str:
    """What the row has, if the prompt uses none of it."""
    if not row.columns:
        return "\nIt has no columns, because each row is a text. For CSV, add --input-format csv."
    if {"custom_id", "body"} <= row.columns.keys():  # https://developers.openai.com/api/docs/guides/batch
        return f"\nTo convert requests of OpenAI's Batch API: {_CONVERT}"
    odd = next((name for name in row.columns if as_variable(name) != name), None)
    how = "" if odd is None else f"\nIn the prompt, {{{{ {as_variable(odd)} }}}} is the column {odd}."
    return f"\nIts columns: {', '.join(row.columns)}{how}"
