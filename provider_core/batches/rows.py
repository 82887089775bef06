"""The rows of a batch: read one by one from JSONL, CSV, TSV, lines or files, so that no input has to fit into memory.

A row that cannot be read is a ``Row`` with an ``error``, and does not end the input.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from provider_core import limits
from provider_core.errors import FileError, InvalidInputError
from provider_core.redaction import printable
from provider_core.structs import Struct, field

if TYPE_CHECKING:
    import io
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from provider_core.errors import CoreError
    from provider_core.types import Json

InputFormat: TypeAlias = Literal["jsonl", "csv", "tsv", "lines"]

FORMATS: Final[tuple[InputFormat, ...]] = get_args(InputFormat)

_SUFFIXES: Final[Mapping[str, InputFormat]] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".txt": "lines",
}
_BOM: Final = b"\xef\xbb\xbf"
_CSV_ERRORS: Final = {
    "new-line character": "it has a carriage return without a line feed. To convert: tr '\\r' '\\n'",
    "unexpected end of data": "a cell begins with a quotation mark that is not closed",
    "field larger": f"a cell is longer than {limits.BATCH_ROW // 1_000_000} MB",
}
"""Plain words for messages of Python's ``csv``, by the beginning of the message."""
_DEEPEST: Final = 200
"""Levels of a value. Python writes about 900, and fewer where functions have called each other."""


class Row(Struct):
    """One row of the input."""

    number: int
    """Its position among the rows, from 1."""
    id: Json
    """The value of its ``id`` column; without one, its number and a hash of its content."""
    columns: Mapping[str, Json] = field(default_factory=dict)
    text: str | None = None
    """The whole row, if it is a text and not an object: a line, a JSON string, the content of a file."""
    line: int = 0
    """The line of the input on which it ends; 0 for a file."""
    error: CoreError | None = None
    """Why it cannot be used."""

    @property
    def key(self) -> str:
        """The id as text: rows are the same if these are."""
        return self.id if isinstance(self.id, str) else json.dumps(self.id)


def suffix_format(name: str) -> InputFormat | None:
    """The format that the name of a file suggests."""
    return _SUFFIXES.get(os.path.splitext(name)[1].lower())  # noqa: PTH122


class RowReader:
    """The rows of one input. Iterate once.

    Without a ``format``, the first byte decides: a brace or a quotation mark begins JSONL, anything else lines.
    ``id_column`` names the column with the ids. Raises ``InvalidInputError`` for a header that cannot be used.
    """

    def __init__(
        self,
        file: io.BufferedReader,
        format_: InputFormat | None = None,
        *,
        name: str = "stdin",
        id_column: str = "id",
    ) -> None:
        self.file: io.BufferedReader = file
        self._name = name
        self._id_column = id_column
        self._format = format_
        self._size = 0
        with suppress(OSError, ValueError):
            self._size = os.fstat(file.fileno()).st_size

    @property
    def fraction(self) -> float | None:
        """The part of the input that was read, from 0 to 1; None if its size is unknown."""
        with suppress(OSError, ValueError):
            return min(1.0, self.file.tell() / self._size) if self._size else None
        return None

    def __iter__(self) -> Iterator[Row]:
        format_ = self._format
        head = self.file.peek(4)[:4]
        if head.startswith(b"\x1f\x8b"):
            raise InvalidInputError(f"{self._name} is compressed. Pipe it through gunzip -c")
        if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head[:2]:
            wide = "utf-32" if b"\0\0" in head else "utf-16"
            raise InvalidInputError(
                f"{self._name} is {wide.upper()}. Pipe it through iconv -f {wide} -t utf-8"
            )
        if format_ is None:
            first = self.file.peek(1 << 12).removeprefix(_BOM).lstrip()[:1]
            format_ = "jsonl" if first in (b"{", b'"', b"[") else "lines"
        if format_ in ("csv", "tsv"):
            csv.field_size_limit(limits.BATCH_ROW)
            lines = map(_text_of_line, _bounded_lines(self.file))
            delimiter = "," if format_ == "csv" else "\t"
            yield from self._records(csv.reader(lines, delimiter=delimiter, strict=True))
            return
        number = 0
        read = self._json_row if format_ == "jsonl" else self._line_row
        for line, whole in enumerate(_bounded_lines(self.file), start=1):
            raw = None if whole is None else whole.strip(b" \t\r\n")
            if raw == b"":
                continue
            number += 1
            if raw is None:
                limit = f"it is longer than {limits.BATCH_ROW // 1_000_000} MB"
                yield self._bad(number, line, str(line).encode(), limit)
            else:
                yield read(number, line, raw)

    def _json_row(self, number: int, line: int, raw: bytes) -> Row:
        hint = "; to convert an array: jq -c '.[]'" if number == 1 and raw.startswith(b"[") else ""
        try:
            # NaN, which Python writes for a missing number, is not JSON: it is read as null.
            found = json.loads(raw, parse_constant=lambda _: None)
            if b"\\ud" in raw.lower():  # half a surrogate pair cannot be sent, nor read by others
                json.dumps(found, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return self._bad(number, line, raw, "it is not valid Unicode")
        except UnicodeDecodeError:
            return self._bad(number, line, raw, "it is not UTF-8")
        except (ValueError, RecursionError) as error:
            reason = f": {error.msg}" if isinstance(error, json.JSONDecodeError) else ""
            return self._bad(number, line, raw, f"it is not valid JSON{reason}{hint}")
        if isinstance(found, str):
            return Row(number=number, id=_own_id(number, raw), text=found, line=line)
        if not isinstance(found, dict):
            return self._bad(number, line, raw, f"it is neither a JSON object nor a string{hint}")
        if raw.count(b"[") + raw.count(b"{") > _DEEPEST and _is_deep(found):
            return self._bad(number, line, raw, "it is nested too deeply")
        return _row(number, found, raw, self._id_column, line)

    def _line_row(self, number: int, line: int, raw: bytes) -> Row:
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            return self._bad(number, line, raw, "it is not UTF-8")
        return Row(number=number, id=_own_id(number, raw), text=text, line=line)

    def _records(self, reader: csv.Reader) -> Iterator[Row]:  # type: ignore[name-defined]
        number = 0
        header: Sequence[str] | None = None
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                reason = str(error)
                for start, words in _CSV_ERRORS.items():
                    reason = words if reason.startswith(start) else reason
                if header is None:
                    raise InvalidInputError(f"the header of {self._name} cannot be read: {reason}") from None
                number += 1
                raw = str(reader.line_num).encode()
                yield self._bad(number, reader.line_num, raw, f"its cells cannot be read: {reason}")
                continue
            if not cells:
                continue
            if header is None:
                header = self._header(cells)
                continue
            number += 1
            raw = "\x1f".join(cells).encode("utf-8", "surrogateescape")
            line = reader.line_num
            if len(cells) != len(header):
                counts = f"it has {len(cells)} cells, and the header has {len(header)}"
                yield self._bad(number, line, raw, counts)
            elif not raw.isascii() and _has_surrogates(cells):
                yield self._bad(number, line, raw, "it is not UTF-8")
            else:
                columns = dict(zip(header, cells, strict=True))
                columns.pop("", None)  # such as the index that pandas writes
                yield _row(number, columns, raw, self._id_column, line)

    def _header(self, cells: Sequence[str]) -> Sequence[str]:
        header = [cell.strip() for cell in cells]
        header[0] = header[0].removeprefix("\ufeff")
        what = f"the header of {self._name}"
        if _has_surrogates(header):
            raise InvalidInputError(f"{what} is not UTF-8. Convert the file first, for example with iconv")
        named = [name for name in header if name]
        if len(set(named)) < len(named):
            twice = next(name for name in named if named.count(name) > 1)
            raise InvalidInputError(f"{what} has two columns called {printable(twice, 60)}")
        return header

    def _bad(self, number: int, line: int, raw: bytes, why: str) -> Row:
        return bad_row(number, raw, f"line {line} of {self._name} cannot be used: {why}", line=line)


def bad_row(number: int, raw: bytes, message: str, *, line: int = 0) -> Row:
    """A row that cannot be used, for the reason in ``message``."""
    error = InvalidInputError(message, code="bad_row")
    return Row(number=number, id=_own_id(number, raw), line=line, error=error)


def file_rows(names: Iterable[str]) -> Iterator[Row]:
    """A row for each file, with its name as the id. It is read when it is its turn.

    The columns are ``file``, the name, and ``text``, the content.
    """
    from provider_core.attachments import text_file

    for number, name in enumerate(names, start=1):
        columns: dict[str, Json] = {"file": name}
        try:
            text = text_file(name).text
        except (FileError, InvalidInputError) as error:
            yield Row(number=number, id=name, columns=columns, error=error)
        else:
            columns["text"] = text
            yield Row(number=number, id=name, columns=columns, text=text)


def rows_of(values: Iterable[Json | Row]) -> Iterator[Row]:
    """A row for each value of a program: a text, a mapping of columns, or a ``Row``."""
    for number, value in enumerate(values, start=1):
        if isinstance(value, Row):
            yield value
            continue
        raw = json.dumps(value, sort_keys=True, default=str).encode()
        if isinstance(value, str):
            yield Row(number=number, id=_own_id(number, raw), text=value)
        elif isinstance(value, dict):
            yield _row(number, value, raw, "id")
        else:
            raise TypeError(f"a row is a text or a mapping, not {type(value).__name__}")


def _row(number: int, columns: Mapping[str, Json], raw: bytes, id_column: str, line: int = 0) -> Row:
    """A row of columns. A text or a number can be its id: they look the same in each format of the results."""
    own = columns.get(id_column)
    is_id = own != "" and (isinstance(own, str | int) or (isinstance(own, float) and math.isfinite(own)))
    if not is_id or isinstance(own, bool):
        own = _own_id(number, raw)
    return Row(number=number, id=own, columns=columns, line=line)


def _is_deep(value: Json) -> bool:
    level: list[Json] = [value]
    for _ in range(_DEEPEST):
        level = [each for one in level if isinstance(one, dict) for each in one.values()] + [
            each for one in level if isinstance(one, list) for each in one
        ]
    return bool(level)


def _own_id(number: int, raw: bytes) -> str:
    return f"{number}-{hashlib.blake2b(raw, digest_size=4).hexdigest()}"


def _has_surrogates(cells: Iterable[str]) -> bool:
    return any("\udc80" <= character <= "\udcff" for cell in cells for character in cell)


def _bounded_lines(file: io.BufferedReader) -> Iterator[bytes | None]:
    """The lines of a file without a byte order mark; None for each that is longer than ``limits.BATCH_ROW``."""
    first = True
    while raw := file.readline(limits.BATCH_ROW + 2):
        if first:
            raw, first = raw.removeprefix(_BOM), False
            if not raw:
                continue
        if len(raw) <= limits.BATCH_ROW or raw.endswith(b"\n"):
            yield raw
            continue
        while (rest := file.readline(1 << 20)) and not rest.endswith(b"\n"):
            pass
        yield None


def _text_of_line(raw: bytes | None) -> str:
    """A line of CSV. Bytes that are not UTF-8 become lone surrogates, so that they spoil one row and not the rest."""
    if raw is None:
        return "x" * (limits.BATCH_ROW + 1)  # too long for a cell, too
    return raw.decode("utf-8", "surrogateescape")
