"""Results as lines of JSONL, CSV and TSV, and how such lines are read again.

A line has the whole result of one row, or is not there: see ``journal``.
"""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import click

from provider_core.structs import Struct
from telex.console import as_json
from telex.error_hints import answer_code
from telex.render.json import error_object, timing_object, usage_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from decimal import Decimal

    from provider_core.batches import Result, Row
    from provider_core.types import Json

OutputFormat: TypeAlias = Literal["jsonl", "csv", "tsv"]

_FIRST: Final = ("id", "row")
_LAST: Final = (
    "verdict", "finish", "model", "usage", "cost", "timing", "attempts", "row_hash", "error",
)  # fmt: skip
_CELLS: Final = (
    "verdict", "finish", "model", "input_tokens", "output_tokens", "cost", "seconds", "attempts", "row_hash",
    "error",
)  # fmt: skip
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How a cell begins that a spreadsheet may run: https://owasp.org/www-community/attacks/CSV_Injection"""


class Entry(Struct):
    """A line of an output file: whose result it is, and where it is."""

    key: str
    row_hash: str
    number: int
    ok: bool
    offset: int
    length: int


class ResultLayout:
    """The lines of one output file: its format and its columns.

    ``row_hash`` returns what changes if a row is edited. ``columns`` are those of the input that are copied; ``schema``
    is the answers' (None: they are text). ``safe`` puts an apostrophe before cells that a spreadsheet would run as a
    formula; ``formulas`` counts them. ``without_text`` omits the answers, because they are in files of their own;
    ``extract`` takes the first code block of each.
    """

    def __init__(
        self,
        format_: OutputFormat,
        row_hash: Callable[[Row], str],
        *,
        columns: Sequence[str] = (),
        schema: Mapping[str, Json] | None = None,
        safe: bool = False,
        without_text: bool = False,
        extract: bool = False,
    ) -> None:
        self.format = format_
        self.row_hash = row_hash
        self._columns = tuple(columns)
        self._schema = schema is not None
        self._safe = safe
        self._without_text = without_text
        self._extract = extract
        properties = (schema or {}).get("properties")
        self._fields = list(properties) if isinstance(properties, dict) else []
        self.formulas = sum(name.startswith(_FORMULA) for name in (*self._columns, *self._fields))
        own = (*_FIRST, *(_LAST if format_ == "jsonl" else _CELLS), "text", "json")
        for name in self._columns:
            if name in own:
                raise click.UsageError(f"--columns {name}: the output has a field of this name")

    @property
    def header(self) -> bytes:
        """The line before the first row, if the format has one."""
        if self.format == "jsonl":
            return b""
        names = (*_FIRST, *self._columns, *self._answer_names(), *_CELLS)
        return self._cells(
            [f"'{name}" if self._safe and name.startswith(_FORMULA) else name for name in names]
        )

    def text(self, result: Result) -> str:
        """The text of the answer, or its first code block."""
        text = "" if result.answer is None else result.answer.text
        if not (self._extract and result.ok):
            return text
        from telex.render.extract import first_block

        found = first_block(text)
        return text if found is None else found

    def line(self, result: Result) -> bytes:
        """The line of a result."""
        if self.format == "jsonl":
            return as_json(self._object(result)).encode("utf-8", "replace")
        return self._row(result)

    def entries(self, file: io.BufferedReader) -> Iterator[Entry]:
        """The rows of a file that was written with this layout, whole lines only; ends at the first that is not.

        Raises ``ValueError``, with the number of the line, for a line that telex did not write.
        """
        return self._json_entries(file) if self.format == "jsonl" else self._cell_entries(file)

    def _entry(self, found: Mapping[str, Json], offset: int, length: int) -> Entry:
        key, number = found["id"], int(found["row"])
        if not isinstance(key, str):
            key = json.dumps(key)
        elif self._safe and key.startswith("'") and key[1:].startswith(_FORMULA):
            key = key[1:]
        if number.bit_length() > 63:
            raise ValueError("not the number of a row")
        ok = not found["error"] and found["verdict"] in ("complete", "length")
        row_hash = str(found["row_hash"])
        return Entry(key=key, row_hash=row_hash, number=number, ok=ok, offset=offset, length=length)

    # --- JSONL ---------------------------------------------------------------------------------------------

    def _object(self, result: Result) -> dict[str, Any]:
        row, answer = result.row, result.answer
        found: dict[str, Any] = {"id": row.id, "row": row.number}
        found |= {name: row.columns.get(name) for name in self._columns}
        if not self._without_text:
            text = self.text(result)
            if not self._schema:
                found["text"] = text
            elif result.ok:
                found["json"] = json.loads(text)
            else:
                found |= {"text": text, "json": None}
        error = None
        if result.error is not None:
            code = answer_code(answer) if answer is not None else None
            error = error_object(result.error, exit_code=code or None)
            del error["hint"]
        cost = _cost(result)
        return found | {
            "verdict": result.verdict.value,
            "finish": None if answer is None else answer.finish,
            "model": None if answer is None else str(answer.target),
            "usage": None if answer is None else usage_object(answer.usage, answer.cost),
            "cost": None if cost is None else float(cost),
            "timing": None if answer is None else timing_object(answer.timing),
            "attempts": result.attempts,
            "row_hash": self.row_hash(row),
            "error": error,
        }

    def _json_entries(self, file: io.BufferedReader) -> Iterator[Entry]:
        offset = 0
        for number, raw in enumerate(file, start=1):
            if not raw.endswith(b"\n"):
                return
            try:
                yield self._entry(json.loads(raw), offset, len(raw))
            except (ValueError, TypeError, LookupError, RecursionError, OverflowError):
                raise ValueError(f"line {number}") from None
            offset += len(raw)

    # --- CSV and TSV ---------------------------------------------------------------------------------------

    def _answer_names(self) -> list[str]:
        if self._without_text:
            return []
        if not self._schema or not self._fields:
            return ["json" if self._schema else "text"]
        taken = {*_FIRST, *self._columns, *_CELLS}
        return [f"json.{name}" if name in taken else name for name in self._fields]

    def _row(self, result: Result) -> bytes:
        found = self._object(result)
        usage = found["usage"] or {}
        cost = _cost(result)
        cells = [found[name] for name in _FIRST] + [result.row.columns.get(name) for name in self._columns]
        if not self._schema and not self._without_text:
            cells.append(found["text"])
        elif not self._without_text and not self._fields:
            cells.append(self.text(result) if result.ok else None)
        elif not self._without_text:
            value = found["json"] if isinstance(found["json"], dict) else {}
            cells += [value.get(name) for name in self._fields]
        cells += [found[name] for name in ("verdict", "finish", "model")]
        cells += [usage.get("input"), usage.get("output"), None if cost is None else f"{cost:f}"]
        message = None if result.error is None else result.error.message
        cells += [f"{result.seconds:.3f}", result.attempts, found["row_hash"], message]
        return self._cells([self._checked(cell) for cell in cells])

    def _checked(self, value: Json) -> Json:
        """A cell. A text that begins like a formula is counted, and made safe if the user wants that."""
        match value:
            case None:
                return ""
            case str():
                if not value.startswith(_FORMULA):
                    return value
                self.formulas += 1
                return f"'{value}" if self._safe else value
            case bool() | dict() | list():
                return json.dumps(value, ensure_ascii=False)
            case _:
                return value

    def _cells(self, cells: Sequence[Json]) -> bytes:
        line = io.StringIO()
        delimiter = "," if self.format == "csv" else "\t"
        # Python before 3.13 does not quote a carriage return unless it ends lines.
        csv.writer(line, delimiter=delimiter, lineterminator="\r\n").writerow(cells)
        return f"{line.getvalue()[:-2]}\n".encode("utf-8", "replace")

    def _cell_entries(self, file: io.BufferedReader) -> Iterator[Entry]:
        start = end = 0
        is_whole = True

        def lines() -> Iterator[str]:
            nonlocal end, is_whole
            for raw in file:
                end += len(raw)
                is_whole = raw.endswith(b"\n")
                yield raw.decode("utf-8", "replace")

        csv.field_size_limit(1 << 30)
        reader = csv.reader(lines(), delimiter="," if self.format == "csv" else "\t", strict=True)
        header: Sequence[str] = ()
        try:
            for cells in reader:
                if not is_whole:
                    return
                if not header:
                    header = cells
                else:
                    yield self._entry(dict(zip(header, cells, strict=True)), start, end - start)
                start = end
        except (csv.Error, ValueError, LookupError) as error:
            # The end of a torn line may be in a quoted cell.
            if not isinstance(error, csv.Error) or (is_whole and file.read(1)):
                raise ValueError(f"line {reader.line_num}") from None


def _cost(result: Result) -> Decimal | None:
    """The sum of the known costs of the requests for a row; None if no cost is known."""
    known = [cost.amount for request in result.requests if (cost := request.answer.cost) is not None]
    return sum(known[1:], known[0]) if known else None
