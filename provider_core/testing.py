"""A scripted network and a keyring in memory, for tests of programs that use the library.

The library's own tests hold them to the same promises as the real ones::

    from provider_core import Runtime, connect, provider
    from provider_core.testing import FakeKeyStore, FakeTransport, cut, refuses, says

    network = FakeTransport(refuses(503, "busy", retry_after=0), says("Hel", "lo"), says("Hel", cut))
    here = Runtime(environ={}, transport=network, key_store=FakeKeyStore())
    with connect(provider("groq"), "gpt-oss-120b", key="a key", runtime=here) as model:
        assert model.ask("Hello?").text == "Hello"
        assert [body["model"] for body in network.bodies] == ["gpt-oss-120b", "gpt-oss-120b"]
"""

from __future__ import annotations

import contextlib
import json
import threading
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit

from provider_core.errors import ConnectionLostError, CoreError, DeadlineError, KeyStoreError
from provider_core.keys import MemoryStore
from provider_core.structs import Struct, field, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from provider_core.types import Call, Json

__all__ = ["FakeKeyStore", "FakeTransport", "Scripted", "Silence", "cut", "lists", "refuses", "says"]


class _Cut:
    def __repr__(self) -> str:
        return "cut"


cut: Final = _Cut()
"""The connection breaks here."""


class Silence:
    """Nothing arrives for ``seconds``. They are not waited for, but the call's deadlines apply to them."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


Piece: TypeAlias = bytes | _Cut | Silence


class Scripted(Struct):
    """A response: its ``body`` arrives piece by piece. The names of ``headers`` are in lower case."""

    body: Iterable[Piece] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "text/event-stream"})


Step: TypeAlias = "Scripted | CoreError | str | Callable[[Call], Scripted]"
"""The outcome of one call: a response, an error instead of one, or a function that returns the response.

A text is short for ``says(text)``.
"""


def says(
    *texts: str | _Cut | Silence,
    reasoning: str = "",
    calls: Iterable[tuple[str, Mapping[str, Json]]] = (),
    finish: str | None = None,
    usage: Mapping[str, Json] | None = None,
) -> Callable[[Call], Scripted]:
    """A good answer, streamed if the request asks for that.

    ``texts`` arrive one by one. ``calls`` are tool calls: names with arguments. ``finish`` is the finish reason, by
    default "tool_calls" if there are calls, else "stop".
    """
    tool_calls = [
        {
            "index": number,
            "id": f"call_{number + 1}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for number, (name, arguments) in enumerate(calls)
    ]
    reason = finish or ("tool_calls" if tool_calls else "stop")

    def answer(call: Call) -> Scripted:
        request = json.loads(call.body)
        common = {"id": "fake", "created": 0, "model": request.get("model", "")}
        if not request.get("stream"):
            message: dict[str, Any] = {
                "role": "assistant",
                "content": "".join(text for text in texts if isinstance(text, str)) or None,
            }
            message |= {"reasoning_content": reasoning} if reasoning else {}
            message |= {"tool_calls": tool_calls} if tool_calls else {}
            choice = {"index": 0, "message": message, "finish_reason": reason}
            whole = {**common, "object": "chat.completion", "choices": [choice], "usage": usage}
            return _json(whole, before=tuple(piece for piece in texts if not isinstance(piece, str)))

        def chunk(delta: Mapping[str, Json], finish: str | None = None, **more: Json) -> bytes:
            choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
            value = {**common, "object": "chat.completion.chunk", "choices": choices, **more}
            return b"data: " + json.dumps(value).encode() + b"\n\n"

        body: list[Piece] = [chunk({"role": "assistant", "content": ""})]
        body += [chunk({"reasoning_content": reasoning})] if reasoning else []
        body += [chunk({"content": text}) if isinstance(text, str) else text for text in texts]
        body += [chunk({"tool_calls": [each]}) for each in tool_calls]
        body += [chunk({}, reason), *([chunk({}, choices=[], usage=usage)] if usage else [])]
        return Scripted(body=(*body, b"data: [DONE]\n\n"))

    return answer


def refuses(status: int, message: str, *, retry_after: float | None = None, **error: Json) -> Scripted:
    """An error as servers send it; further fields of it, such as ``code`` and ``param``, are keywords."""
    refusal = _json({"error": {"message": message, "type": None, "code": None, **error}})
    more = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
    return replace(refusal, status=status, headers={**refusal.headers, **more})


def lists(*models: str) -> Scripted:
    """A list of models with these ids."""
    return _json({"object": "list", "data": [{"id": model, "object": "model"} for model in models]})


def _json(value: Json, *, before: tuple[Piece, ...] = ()) -> Scripted:
    return Scripted(body=(*before, json.dumps(value).encode()), headers={"content-type": "application/json"})


class FakeTransport:
    """A scripted network. Each call takes the next of the ``steps``; the last step is repeated.

    ``calls`` are the calls so far, ``open`` is the number of responses that are being read, and ``closed`` is whether
    ``close`` was called after the last call. Several threads may use it.
    """

    def __init__(self, *steps: Step) -> None:
        self.calls: list[Call] = []
        self.open: int = 0
        self.closed: bool = False
        self._lock = threading.Lock()
        self._steps: list[Step] = list(steps)

    def will(self, *steps: Step) -> None:
        """Replace the steps that are left."""
        with self._lock:
            self._steps = list(steps)

    @property
    def bodies(self) -> list[Json]:
        """The parsed bodies of the POSTs."""
        return [json.loads(call.body) for call in self.calls if call.method == "POST"]

    @contextlib.contextmanager
    def send(self, call: Call) -> Iterator[FakeReply]:
        with self._lock:
            if not self._steps:
                raise AssertionError(f"nothing is scripted for {call.method} {call.url}")
            self.calls.append(call)
            self.closed = False
            step = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
        if isinstance(step, CoreError):
            raise step
        step = says(step) if isinstance(step, str) else step
        response = step(call) if callable(step) else step
        if call.trace is not None:
            call.trace("http11.send_request_body.complete")
        with self._lock:
            self.open += 1
        try:
            yield FakeReply(response, call)
        finally:
            with self._lock:
                self.open -= 1

    def close(self) -> None:
        self.closed = True


class FakeReply:
    """The response to a call of ``FakeTransport``; see ``provider_core.types.Reply``."""

    def __init__(self, response: Scripted, call: Call) -> None:
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers
        self._call = call
        self._rest = iter(response.body)
        self._received = 0
        self._pause: float | None = None

    def limit_idle(self, seconds: float | None) -> None:
        self._pause = seconds

    def chunks(self) -> Iterator[bytes]:
        """The body; continues where an earlier iteration stopped."""
        for piece in self._rest:
            match piece:
                case bytes():
                    self._received += len(piece)
                    yield piece
                case Silence(seconds=seconds):
                    if self._pause is not None and seconds > self._pause:
                        self._rest = iter(())
                        return
                    self._wait(seconds)
                case _:
                    self._rest = iter(())
                    raise ConnectionLostError(
                        f"{self._server} closed the connection in the middle of its answer",
                        provider=self._call.provider,
                        url=self._origin,
                        received=self._received,
                    )

    def _wait(self, seconds: float) -> None:
        network = self._call.network
        phase, limit = (
            ("idle", network.idle_timeout) if self._received else ("first byte", network.first_byte_timeout)
        )
        if seconds <= limit:
            return
        self._rest = iter(())
        text = f"{self._server} sent nothing for {limit:g} s"
        raise DeadlineError(text, provider=self._call.provider, url=self._origin, phase=phase, seconds=limit)

    @property
    def _server(self) -> str:
        return self._call.provider or urlsplit(self._call.url).netloc

    @property
    def _origin(self) -> str:
        parts = urlsplit(self._call.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


class FakeKeyStore(MemoryStore):
    """A keyring in memory. If ``broken`` is a message, every call raises ``KeyStoreError`` with it.

    ``asked`` are the calls so far, such as ``("get", "lab")``.
    """

    def __init__(self, *, broken: str = "", **known: str) -> None:
        super().__init__(**known)
        self.broken = broken
        self.asked: list[tuple[str, str]] = []

    def get(self, name: str) -> str | None:
        self._ask("get", name)
        return super().get(name)

    def set(self, name: str, key: str) -> None:
        self._ask("set", name)
        super().set(name, key)

    def delete(self, name: str) -> None:
        self._ask("delete", name)
        super().delete(name)

    def _ask(self, verb: str, name: str) -> None:
        self.asked.append((verb, name))
        if self.broken:
            raise KeyStoreError(self.broken)
