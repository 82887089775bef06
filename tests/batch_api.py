"""OpenAI's Files and Batches API with its documented states, as the script of a ``Scripted`` server.

Each question about a batch brings it one state further: validating, in_progress, finalizing, completed. Tests decide
what becomes of each row, where a batch ends, and which requests fail on their way.
https://developers.openai.com/api/reference/resources/batches
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from scripted import Answer, Asked

if TYPE_CHECKING:
    from collections.abc import Callable

JSON = {"content-type": "application/json"}
STATES = ("validating", "in_progress", "finalizing", "completed")


def reply(found: Any, status: int = 200, **headers: str) -> Answer:
    return Answer([json.dumps(found).encode()], status, {**JSON, **headers})


def refused(status: int, message: str, code: str | None = None, **headers: str) -> Answer:
    error = {"message": message, "type": "invalid_request_error", "code": code}
    return reply({"error": error}, status, **headers)


def completion(text: str, finish: str = "stop") -> dict[str, Any]:
    """The body of an answer that is not streamed."""
    message = {"role": "assistant", "content": text}
    return {
        "id": "c", "object": "chat.completion", "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    }  # fmt: skip


def echo(body: dict[str, Any]) -> dict[str, Any]:
    """The answer repeats the prompt."""
    return completion(body["messages"][-1]["content"])


class BatchApi:
    """The state of the provider. ``faults`` are answers that requests get instead, by method and path, each once.

    ``run`` returns the body of a row's answer; with "status_code", an error; None if the row is not run in time.
    ``ends`` is the last state of each batch that is created from now on.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.faults: list[tuple[str, Answer | Callable[[Asked], Answer]]] = []
        self.run: Callable[[dict[str, Any]], dict[str, Any] | None] = echo
        self.ends = "completed"
        self.errors: list[dict[str, Any]] = []
        self.stays = ""
        """A state that batches do not leave."""
        self.has_list = True
        self.requests: list[str] = []
        self.rows: list[dict[str, Any]] = []
        """The requests of all batches that were created."""

    def __call__(self, asked: Asked) -> Answer:
        path = asked.path.partition("/v1")[2]
        self.requests.append(f"{asked.method} {path}")
        for number, (pattern, answer) in enumerate(self.faults):
            if re.fullmatch(pattern, self.requests[-1]):
                del self.faults[number]
                return answer(asked) if callable(answer) else answer
        return self.handle(asked, path)

    def handle(self, asked: Asked, path: str) -> Answer:
        match (asked.method, *path.partition("?")[0].strip("/").split("/")):
            case "POST", "files":
                return self._upload(asked)
            case "GET", "files", id_, "content":
                return Answer([self.files[id_]]) if id_ in self.files else refused(404, "No such file")
            case "POST", "batches":
                return self._create(asked.body)
            case "GET", "batches" if self.has_list:
                newest = [*reversed(self.batches.values())]
                after = re.search(r"after=(\w+)", path)
                ids = [each["id"] for each in newest]
                start = ids.index(after[1]) + 1 if after else 0
                page = newest[start : start + 2]
                return reply({"object": "list", "data": page, "has_more": len(newest) > start + 2})
            case "GET", "batches", id_ if id_ in self.batches:
                return reply(self._advance(self.batches[id_]))
            case "POST", "batches", id_, "cancel" if id_ in self.batches:
                self.batches[id_] |= {"status": "cancelling", "ends": "cancelled"}
                return reply(self.batches[id_])
        return refused(404, f"Invalid URL ({asked.method} {path})")

    def _upload(self, asked: Asked) -> Answer:
        boundary = asked.headers["content-type"].partition("boundary=")[2].encode()
        parts = asked.raw.split(b"--" + boundary)
        purpose, content = (part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in parts[1:3])
        assert (parts[0], parts[3], purpose) == (b"", b"--\r\n", b"batch")
        id_ = f"file{len(self.files)}"
        self.files[id_] = content
        name = asked.raw.partition(b'filename="')[2].partition(b'"')[0].decode()
        return reply(
            {"id": id_, "object": "file", "bytes": len(content), "created_at": 1, "filename": name, "purpose": "batch",
             "status": "processed"}
        )  # fmt: skip

    def _create(self, body: dict[str, Any]) -> Answer:
        assert body["completion_window"] == "24h"
        rows = [json.loads(line) for line in self.files[body["input_file_id"]].splitlines()]
        assert all((row["method"], row["url"]) == ("POST", body["endpoint"]) for row in rows)
        assert len({row["custom_id"] for row in rows}) == len(rows)
        self.rows += rows
        id_ = f"batch{len(self.batches)}"
        self.batches[id_] = {
            "id": id_, "object": "batch", "endpoint": body["endpoint"], "completion_window": "24h", "created_at": 1,
            "status": "validating", "input_file_id": body["input_file_id"],
            "metadata": body.get("metadata"), "output_file_id": None, "error_file_id": None, "errors": None,
            "request_counts": {"total": len(rows), "completed": 0, "failed": 0},
            "ends": self.ends, "failures": self.errors,
        }  # fmt: skip
        return reply(self.batches[id_])

    def _advance(self, batch: dict[str, Any]) -> dict[str, Any]:
        ends, status = batch["ends"], batch["status"]
        if status in (self.stays, ends):
            return batch
        if ends == "failed":
            batch |= {"status": "failed", "errors": {"object": "list", "data": batch["failures"]}}
            return batch
        if status == "cancelling" or (ends == "expired" and status == "in_progress"):
            status = ends
        elif status in STATES:
            status = STATES[STATES.index(status) + 1]
        batch["status"] = status
        if status == ends:
            self._finish(batch)
        return batch

    def _finish(self, batch: dict[str, Any]) -> None:
        output, errors = [], []
        for line in reversed(self.files[batch["input_file_id"]].splitlines()):  # in any order
            row = json.loads(line)
            body = self.run(row["body"])
            found = {"id": "r", "custom_id": row["custom_id"], "response": None, "error": None}
            if body is None:
                if batch["ends"] == "expired":
                    errors.append({**found, "error": {"code": "batch_expired", "message": "It expired."}})
                continue
            status = body.pop("status_code", 200)
            found["response"] = {"status_code": status, "request_id": "q", "body": body}
            (output if status == 200 else errors).append(found)
        batch["request_counts"] |= {"completed": len(output), "failed": len(errors)}
        for name, lines in (("output_file_id", output), ("error_file_id", errors)):
            if lines:
                batch[name] = f"{batch['id']}-{name}"
                self.files[batch[name]] = b"".join(json.dumps(each).encode() + b"\n" for each in lines)
