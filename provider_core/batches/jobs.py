"""Jobs of a provider's Batch API: OpenAI's Files and Batches API, the lines of its files, and the file of jobs.

The API is https://developers.openai.com/api/reference/resources/batches. A job is known by the id of its batch. It has
a token of telex, too, which is saved before anything is sent and becomes part of the batch's metadata: if the id is
lost, because the program was killed or the answer did not arrive, the batch is found in the provider's list.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import secrets
import sqlite3
from typing import TYPE_CHECKING, Any, BinaryIO, Final
from urllib.parse import quote

from provider_core import files, presets
from provider_core.errors import FileError, InvalidInputError, NotFoundError, ProtocolError
from provider_core.presets import BatchApi
from provider_core.structs import Struct, checked, replace
from provider_core.testing import FakeTransport, Scripted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from provider_core.batches.rows import Row
    from provider_core.chat import ChatPlan
    from provider_core.client import OpenProvider
    from provider_core.types import Json, Provider, Target

_PIECE: Final = 1 << 18
_ANSWER: Final = 10_000_000
"""Bytes of an answer of the API, except for files."""
_PAGE: Final = 100
_PAGES: Final = 50
"""How far back a batch is looked for in the provider's list."""
ENDED: Final = frozenset({"completed", "failed", "expired", "cancelled"})
"""The states that no other follows. All others, also those that only one provider has, mean that the job goes on."""


class Job(Struct):
    """One file of requests, and what is known of its batch."""

    token: str
    provider: str
    base_url: str
    model: str
    rows: int = 0
    file: str = ""
    """The id of the uploaded file; "" until it is uploaded."""
    id: str = ""
    """The id of the batch; "" until one is known to be created."""
    status: str = ""
    """As the provider reports it, in lower case: "validating", "in_progress" and so on."""
    completed: int = 0
    failed: int = 0
    output: str = ""
    """The id of the file with the answers."""
    errors: str = ""
    """The id of the file with the requests that failed."""
    problem: str = ""
    """Why the batch failed, in the provider's words."""
    problem_code: str = ""

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED


class JobFile:
    """The jobs of one batch, in a file that only its owner can read. It holds no key, no prompt and no answer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.jobs: dict[str, Job] = {}
        """By token, the oldest first."""
        try:
            content = files.read_bytes(path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise FileError(f"{path} cannot be read", path=path, reason=error.strerror or "") from None
        try:
            jobs = [checked(Job(**each)) for each in json.loads(content)["telex_jobs"]]
        except (ValueError, TypeError, LookupError, RecursionError):
            raise FileError(f"{path} is damaged", path=path, reason="damaged") from None
        self.jobs = {job.token: job for job in jobs}

    def save(self, *jobs: Job) -> None:
        """Add or replace jobs, and write the file durably. Raises ``FileError``."""
        self.jobs |= {job.token: job for job in jobs}
        plain = [{name: getattr(job, name) for name in Job.__annotations__} for job in self.jobs.values()]
        files.replace(self.path, json.dumps({"telex_jobs": plain}, indent=1).encode())

    def remove(self, *jobs: Job) -> None:
        """Forget jobs; without any left, the file is removed."""
        for job in jobs:
            self.jobs.pop(job.token, None)
        if self.jobs:
            self.save()
        else:
            self.path.unlink(missing_ok=True)

    @property
    def running(self) -> list[Job]:
        """The jobs whose batch has not ended, by its last known state."""
        return [job for job in self.jobs.values() if job.id and not job.has_ended]

    @property
    def remaining(self) -> list[Job]:
        """The jobs with results that were not all taken yet."""
        return [job for job in self.jobs.values() if job.id]


def batch_api(provider: Provider) -> BatchApi:
    """The Batch API of a provider. Raises ``InvalidInputError`` if telex knows that it has none in OpenAI's form.

    A server that is not from a preset may have one, as a proxy: it is asked with OpenAI's limits.
    """
    preset = presets.of(provider)
    if provider.embedded or (preset is not None and preset.batch_api is None and provider.presets is None):
        name = "the embedded model" if provider.embedded or preset is None else preset.name
        raise InvalidInputError(
            f"{name} has no Batch API that telex can use", provider=provider.name, code="no_batch_api"
        )
    return (preset.batch_api if preset is not None else None) or BatchApi(source="")


class JobApi:
    """The Files and Batches API of one provider. Methods raise ``ProviderError`` and ``NetworkError``."""

    def __init__(self, opened: OpenProvider) -> None:
        self.provider: Provider = opened.provider
        self.api: BatchApi = batch_api(opened.provider)
        self._opened = opened

    def upload(self, path: Path, name: str) -> str:
        """Upload a file of requests, which is read while it is sent; return its id."""
        form = _Form(path, name)
        headers = {"content-type": f"multipart/form-data; boundary={form.boundary}"}
        try:
            found = self._send("POST", "/files", headers=headers, upload=form)
        except NotFoundError as error:
            error.explain(f"{self.provider.name} seems to have no Batch API in OpenAI's form")
            raise
        if id_ := _text(found, "id"):
            return id_
        name = self.provider.name
        raise ProtocolError(f"{name} returned no id for the uploaded file", provider=name)

    def create(self, job: Job) -> Job:
        """Create the batch of an uploaded file."""
        body = {
            "input_file_id": job.file,
            "endpoint": self.api.endpoint,
            "completion_window": "24h",
            "metadata": {"telex": job.token},
        }
        headers = {"content-type": "application/json", "idempotency-key": job.token}
        return _read(job, self._send("POST", "/batches", headers=headers, body=json.dumps(body).encode()))

    def find(self, job: Job) -> Job | None:
        """The job with its batch, if the provider's list has one; those that failed do not count."""
        after = ""
        for _ in range(_PAGES):
            page = self._send("GET", f"/batches?limit={_PAGE}{after}")
            rows = page.get("data")
            rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
            for row in rows:
                metadata = row.get("metadata")
                token = metadata.get("telex") if isinstance(metadata, dict) else None
                if token == job.token or (job.file and row.get("input_file_id") == job.file):
                    found = _read(job, row)
                    if found.status != "failed":
                        return found
            last = _text(rows[-1], "id") if rows else ""
            if not page.get("has_more") or not last:
                return None
            after = f"&after={quote(last, safe='')}"
        return None

    def retrieve(self, job: Job) -> Job:
        """The job as it is now."""
        try:
            return _read(job, self._send("GET", f"/batches/{quote(job.id, safe='')}"))
        except NotFoundError as error:
            error.explain(f"{self.provider.name} seems to have no batch {job.id}")
            raise

    def cancel(self, job: Job) -> Job:
        """Ask the provider to end the job; requests that are done are paid for, and can be fetched."""
        return _read(job, self._send("POST", f"/batches/{quote(job.id, safe='')}/cancel"))

    def download(self, file: str, path: Path) -> None:
        """Write the content of a file to ``path``."""
        opened = self._opened
        with (
            opened.client.send(
                self.provider, "GET", f"/files/{quote(file, safe='')}/content", key=opened.key
            ) as reply,
            path.open("wb") as target,
        ):
            for chunk in reply.chunks():
                target.write(chunk)

    def _send(self, method: Any, path: str, **how: Any) -> dict[str, Json]:
        opened = self._opened
        with opened.client.send(self.provider, method, path, key=opened.key, **how) as reply:
            content = b""
            for chunk in reply.chunks():
                content += chunk
                if len(content) > _ANSWER:
                    break
        try:
            found = json.loads(content)
            if isinstance(found, dict):
                return found
        except (ValueError, RecursionError):
            pass
        raise ProtocolError(
            f"{self.provider.name} did not answer {path.partition('?')[0]} with a JSON object",
            provider=self.provider.name,
        )


class _Form:
    """The multipart form of an upload: the file is read piece by piece while it is sent."""

    def __init__(self, path: Path, name: str) -> None:
        self.boundary: str = f"telex-{secrets.token_hex(12)}"
        self._path = path
        mark = f"--{self.boundary}\r\n"
        self._before = (
            f'{mark}Content-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            f'{mark}Content-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: application/jsonl\r\n\r\n"
        ).encode()
        self._after = f"\r\n--{self.boundary}--\r\n".encode()

    def __len__(self) -> int:
        return len(self._before) + os.path.getsize(self._path) + len(self._after)  # noqa: PTH202

    def __iter__(self) -> Iterator[bytes]:
        yield self._before
        with self._path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece
        yield self._after


def _read(job: Job, found: dict[str, Json]) -> Job:
    """The job with what an answer of the API says about its batch."""
    counts = found.get("request_counts")
    counts = counts if isinstance(counts, dict) else {}
    problems = found.get("errors")
    problems = problems.get("data") if isinstance(problems, dict) else problems
    first = problems[0] if isinstance(problems, list) and problems else None
    first = first if isinstance(first, dict) else {}
    line = f" (line {first['line']} of the file)" if isinstance(first.get("line"), int) else ""
    return replace(
        job,
        id=_text(found, "id") or job.id,
        status=_text(found, "status").lower() or job.status or "validating",
        completed=_count(counts, "completed"),
        failed=_count(counts, "failed"),
        output=_text(found, "output_file_id"),
        errors=_text(found, "error_file_id"),
        problem=f"{_text(first, 'message')}{line}",
        problem_code=_text(first, "code"),
    )


def _text(found: dict[str, Json], name: str) -> str:
    """A text; half a surrogate pair, which cannot be sent back, becomes a question mark."""
    value = found.get(name)
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _count(found: dict[str, Json], name: str) -> int:
    value = found.get(name)
    return value if isinstance(value, int) else 0


# --- what a run has on the disk meanwhile --------------------------------------------------------------------


def row_id(row: Row) -> str:
    """The id of a row in a job: the same for the same row, and another if its content changes."""
    content = json.dumps([row.key, row.text, row.columns], sort_keys=True, default=str)
    return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def request_line(id_: str, plan: ChatPlan, opened: OpenProvider, endpoint: str) -> bytes:
    """The request of a row, as a line of the file."""
    body: dict[str, Json] = opened.client.body(opened.provider, plan.request)
    for name in ("stream", "stream_options"):
        body.pop(name, None)
    line = {"custom_id": id_, "method": "POST", "url": endpoint, "body": body}
    try:
        return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    except UnicodeEncodeError:
        raise InvalidInputError("the request contains text that is not valid Unicode") from None


def replayed(line: Mapping[str, Json]) -> FakeTransport:
    """A network whose server is one line of an answer: its status and its body."""
    response = line.get("response")
    found: Json = response.get("body") if isinstance(response, dict) else None
    status = response.get("status_code") if isinstance(response, dict) else None
    if found is None:
        found = {"error": line.get("error") or "the provider returned no answer for the row"}
        status = status if isinstance(status, int) and status >= 400 else 500
    body = found if isinstance(found, str) else json.dumps(found)
    return FakeTransport(
        Scripted(
            body=[body.encode("utf-8", "replace")],
            status=status if isinstance(status, int) else 200,
            headers={"content-type": "application/json"},
        )
    )


def was_left(line: dict[str, Json]) -> bool:
    """Whether a line of an error file says that the job ended before the row was run."""
    error = line.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return line.get("response") is None and code in ("batch_expired", "batch_cancelled")


class Part:
    """A file of requests to one model that is being written, and its job."""

    def __init__(self, path: Path, target: Target, api: BatchApi) -> None:
        self.path: Path = path
        self.file: BinaryIO = path.open("wb")
        provider = target.provider
        self.job: Job = Job(
            token=secrets.token_hex(12),
            provider=provider.name,
            base_url=provider.base_url,
            model=target.model,
        )
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


class Spool:
    """Values by job and id, in a file that SQLite removes: rows of jobs, and answers whose rows are to come."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute("CREATE TABLE spool (job, id, value, PRIMARY KEY (job, id)) WITHOUT ROWID")
        self._file.execute("BEGIN")

    def put(self, job: str, id_: str, value: object) -> None:
        self._file.execute("INSERT OR REPLACE INTO spool VALUES (?, ?, ?)", (job, id_, pickle.dumps(value)))

    def take(self, job: str, id_: str) -> Any:
        """The value, which is removed; None if there is none."""
        where = "FROM spool WHERE job = ? AND id = ?"
        found = self._file.execute(f"SELECT value {where}", (job, id_)).fetchone()
        if found is None:
            return None
        self._file.execute(f"DELETE {where}", (job, id_))
        return pickle.loads(found[0])  # noqa: S301 - from this process

    def left(self, job: str) -> Iterator[Any]:
        """The values of a job that were not taken."""
        for (value,) in self._file.execute("SELECT value FROM spool WHERE job = ?", (job,)):
            yield pickle.loads(value)  # noqa: S301 - from this process

    def close(self) -> None:
        self._file.close()
