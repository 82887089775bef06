"""The lines of a Batch API's files, and what a run has on disk meanwhile: such files, their rows, and early answers."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from provider_core.batches.jobs import new_job
from provider_core.batches.rows import Row
from provider_core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from provider_core.batches.jobs import Job
    from provider_core.batches.pace import Lane
    from provider_core.chat import ChatPlan
    from provider_core.presets import BatchApi
    from provider_core.types import Call, Json, Reply, Target


def row_id(row: Row) -> str:
    """What a row is called in a job: the same for the same row, and another if its content changes."""
    content = json.dumps([row.key, row.text, row.columns], sort_keys=True, default=str)
    return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def request_line(id_: str, plan: ChatPlan, lane: Lane, endpoint: str) -> bytes:
    """The request of a row, as a line of the file."""
    body: dict[str, Json] = lane.opened.client.body(lane.opened.provider, plan.request)
    for name in ("stream", "stream_options"):
        body.pop(name, None)
    line = {"custom_id": id_, "method": "POST", "url": endpoint, "body": body}
    try:
        return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    except UnicodeEncodeError:
        raise InvalidInputError("the request contains text that is not valid Unicode") from None


class Recorded:
    """A transport whose server is one line of an answer: its status and its body."""

    def __init__(self, line: Mapping[str, Json]) -> None:
        response = line.get("response")
        found: Json = response.get("body") if isinstance(response, dict) else None
        status = response.get("status_code") if isinstance(response, dict) else None
        if found is None:
            error = line.get("error")
            found = {"error": error or "the provider returned no answer for the row"}
            status = status if isinstance(status, int) and status >= 400 else 500
        self.status: int = status if isinstance(status, int) else 200
        self.headers: Mapping[str, str] = {"content-type": "application/json"}
        self._body = found if isinstance(found, str) else json.dumps(found)

    @contextmanager
    def send(self, call: Call) -> Iterator[Reply]:
        yield self

    def chunks(self) -> Iterator[bytes]:
        yield self._body.encode("utf-8", "replace")

    def limit_idle(self, seconds: float | None) -> None:
        """All of it is here."""

    def close(self) -> None:
        """There is no connection."""


class Part:
    """A file of requests to one model that is being written, and its job."""

    def __init__(self, path: Path, target: Target, api: BatchApi) -> None:
        self.path: Path = path
        self.file: BinaryIO = path.open("wb")
        self.job: Job = new_job(target.provider, target.model)
        self.rows: int = 0
        self._api = api
        self._size = 0

    def has_room(self, line: bytes) -> bool:
        """Whether the limits of the API allow one more request."""
        return self.rows < self._api.requests and self._size + len(line) <= self._api.megabytes * 1_000_000

    def add(self, line: bytes) -> None:
        self.file.write(line)
        self.rows += 1
        self._size += len(line)


def was_left(line: dict[str, Json]) -> bool:
    """Whether a line of an error file says that the job ended before the row was run."""
    error = line.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return line.get("response") is None and code in ("batch_expired", "batch_cancelled")


class Spool:
    """Rows that were sent, and answers that came before their rows were read: in a file that SQLite removes."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute("CREATE TABLE rows (id TEXT PRIMARY KEY, job TEXT, row TEXT)")
        self._file.execute("CREATE INDEX jobs ON rows (job)")
        self._file.execute("CREATE TABLE answers (id TEXT PRIMARY KEY, line TEXT)")
        self._file.execute("BEGIN")

    @property
    def answers(self) -> int:
        """The number of answers that no row has taken."""
        found: int = self._file.execute("SELECT count(*) FROM answers").fetchone()[0]
        return found

    def keep_answer(self, id_: str, line: dict[str, Json]) -> None:
        """Store the line of an answer, unless it says that the row was not run."""
        if not was_left(line):
            self._file.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (id_, json.dumps(line)))

    def answer(self, id_: str) -> dict[str, Json] | None:
        """The answer to a row, which is removed."""
        found = self._file.execute("SELECT line FROM answers WHERE id = ?", (id_,)).fetchone()
        if found is None:
            return None
        self._file.execute("DELETE FROM answers WHERE id = ?", (id_,))
        line: dict[str, Json] = json.loads(found[0])
        return line

    def keep_row(self, id_: str, job: str, row: Row) -> None:
        """Store a row that is sent with a job."""
        fields = [row.number, row.id, row.columns, row.text, row.line, row.has_own_id]
        self._file.execute("INSERT OR REPLACE INTO rows VALUES (?, ?, ?)", (id_, job, json.dumps(fields)))

    def take_row(self, id_: str, job: str) -> Row | None:
        """A row of a job, which is removed."""
        where = "FROM rows WHERE id = ? AND job = ?"
        found = self._file.execute(f"SELECT row {where}", (id_, job)).fetchone()
        if found is None:
            return None
        self._file.execute(f"DELETE {where}", (id_, job))
        return _row(found[0])

    def rows_of(self, job: str) -> Iterator[Row]:
        """The rows of a job that were not taken."""
        for (text,) in self._file.execute("SELECT row FROM rows WHERE job = ?", (job,)):
            yield _row(text)

    def close(self) -> None:
        self._file.close()


def _row(text: str) -> Row:
    names = ("number", "id", "columns", "text", "line", "has_own_id")
    return Row(**dict(zip(names, json.loads(text), strict=True)))
