"""Responses of a server to /models, for the scripted server or in memory."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scripted import Answer

from provider_core.settings import Paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from scripted import Asked

    from provider_core.types import Call


def as_json(value: Any, status: int = 200) -> Answer:
    return Answer([json.dumps(value).encode()], status=status, headers={"content-type": "application/json"})


def as_html(text: str, status: int = 200) -> Answer:
    return Answer([text.encode()], status=status, headers={"content-type": "text/html"})


def listing(*ids: str, **more: Any) -> Answer:
    """OpenAI's shape."""
    return as_json({"object": "list", "data": [{"id": id_, "object": "model"} for id_ in ids], **more})


def by_path(**answers: Answer) -> Callable[[Asked], Answer]:
    """Answers by the last part of the path; 404 for other paths."""

    def serve(asked: Asked) -> Answer:
        last = asked.path.partition("?")[0].rpartition("/")[2]
        return answers.get(last, as_json({"error": {"message": "no such path"}}, 404))

    return serve


@dataclass
class InMemory:
    """A transport whose server always sends the same response; it records the calls."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    calls: list[Call] = field(default_factory=list)
    closed: bool = False

    @contextlib.contextmanager
    def send(self, call: Call) -> Iterator[InMemory]:
        self.calls.append(call)
        yield self

    def chunks(self) -> Iterator[bytes]:
        for at in range(0, len(self.body), 1000):
            yield self.body[at : at + 1000]

    def limit_idle(self, seconds: float | None) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def paths(root: Path) -> Paths:
    return Paths.find({"TELEX_HOME": str(root)})
