"""Stand-ins for the network and the keyring, for tests of programs that use the library; nothing is patched.

They keep what the real ones promise, which the library's own tests hold both to::

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
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit

from provider_core.errors import ConnectionLostError, CoreError, DeadlineError, KeyStoreError
from provider_core.keys import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from provider_core.types import Call, Json

__all__ = ["FakeKeyStore", "FakeTransport", "Scripted", "Silence", "cut", "lists", "refuses", "says"]


class _Cut:
    def __repr__(self) -> str:
        return "cut"


cut: Final = _Cut()
"""Here the connection breaks."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing comes for so many seconds, which are not waited for: only the call's deadlines see them."""

    seconds: float


Piece: TypeAlias = bytes | _Cut | Silence


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripted:
    """An answer byte for byte: ``body`` arrives piece by piece; the names of ``headers`` are in lower case."""

    body: Iterable[Piece] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "text/event-stream"})


Step: TypeAlias = "Scripted | CoreError | str | Callable[[Call], Scripted]"
"""What one call brings: an answer, an error before there is one, or what a function makes of the call.

A text is short for ``says(text)``.
"""


def says(
    *texts: str | _Cut | Silence,
    reasoning: str = "",
    calls: Iterable[tuple[str, Mapping[str, Json]]] = (),
    finish: str | None = None,
    usage: Mapping[str, Json] | None = None,
) -> Callable[[Call], Scripted]:
    """A good answer, as a stream or whole, whichever the request asks for.

    ``texts`` arrive one by one. ``calls`` are the tools that the model calls, each with its arguments;
    ``finish`` is "tool_calls" where there are some, else "stop".
    """
    called = [
        {
            "index": number,
            "id": f"call_{number + 1}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for number, (name, arguments) in enumerate(calls)
    ]
    ended = finish or ("tool_calls" if called else "stop")

    def answer(call: Call) -> Scripted:
        asked = json.loads(call.body)
        about = {"id": "fake", "created": 0, "model": asked.get("model", "")}
        if not asked.get("stream"):
            message: dict[str, Any] = {
                "role": "assistant",
                "content": "".join(text for text in texts if isinstance(text, str)) or None,
            }
            message |= {"reasoning_content": reasoning} if reasoning else {}
            message |= {"tool_calls": called} if called else {}
            choice = {"index": 0, "message": message, "finish_reason": ended}
            whole = {**about, "object": "chat.completion", "choices": [choice], "usage": usage}
            return _json(whole, before=tuple(piece for piece in texts if not isinstance(piece, str)))

        def event(delta: Mapping[str, Json], finish: str | None = None, **more: Json) -> bytes:
            choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
            chunk = {**about, "object": "chat.completion.chunk", "choices": choices, **more}
            return b"data: " + json.dumps(chunk).encode() + b"\n\n"

        body: list[Piece] = [event({"role": "assistant", "content": ""})]
        body += [event({"reasoning_content": reasoning})] if reasoning else []
        body += [event({"content": text}) if isinstance(text, str) else text for text in texts]
        body += [event({"tool_calls": [each]}) for each in called]
        body += [event({}, ended), *([event({}, choices=[], usage=usage)] if usage else [])]
        return Scripted(body=(*body, b"data: [DONE]\n\n"))

    return answer


def refuses(status: int, message: str, *, retry_after: float | None = None, **error: Json) -> Scripted:
    """An error as servers send it; further fields, such as ``code`` and ``param``, stand beside the message."""
    refusal = _json({"error": {"message": message, "type": None, "code": None, **error}})
    more = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
    return replace(refusal, status=status, headers={**refusal.headers, **more})


def lists(*models: str) -> Scripted:
    """A list of models, by their ids."""
    return _json({"object": "list", "data": [{"id": model, "object": "model"} for model in models]})


def _json(value: Json, *, before: tuple[Piece, ...] = ()) -> Scripted:
    return Scripted(body=(*before, json.dumps(value).encode()), headers={"content-type": "application/json"})


class FakeTransport:
    """A network of one's own. It does what ``will`` says, step by step; the last step is for all calls that follow.

    ``calls`` are all that were sent, ``open`` counts the replies that are being read, and ``closed`` tells
    whether ``close`` was called last. Several threads may use one.
    """

    def __init__(self, *steps: Step) -> None:
        self.calls: list[Call] = []
        self.open: int = 0
        self.closed: bool = False
        self._lock = threading.Lock()
        self._steps: list[Step] = list(steps)

    def will(self, *steps: Step) -> None:
        """What to do from the next call on."""
        with self._lock:
            self._steps = list(steps)

    @property
    def bodies(self) -> list[Json]:
        """The bodies of the POSTs, read."""
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
        answer = step(call) if callable(step) else step
        if call.trace is not None:
            call.trace("http11.send_request_body.complete")
        with self._lock:
            self.open += 1
        try:
            yield FakeReply(answer, call)
        finally:
            with self._lock:
                self.open -= 1

    def close(self) -> None:
        self.closed = True


class FakeReply:
    """What ``FakeTransport.send`` gives: see ``provider_core.types.Reply``."""

    def __init__(self, answer: Scripted, call: Call) -> None:
        self.status: int = answer.status
        self.headers: Mapping[str, str] = answer.headers
        self._call = call
        self._rest = iter(answer.body)
        self._received = 0
        self._pause: float | None = None

    def limit_idle(self, seconds: float | None) -> None:
        self._pause = seconds

    def chunks(self) -> Iterator[bytes]:
        """The body; goes on where an earlier reading was left."""
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
                    text = f"{self._who} closed the connection in the middle of its answer"
                    raise ConnectionLostError(
                        text, provider=self._call.provider, url=self._where, received=self._received
                    )

    def _wait(self, seconds: float) -> None:
        network = self._call.network
        phase, limit = (
            ("idle", network.idle_timeout) if self._received else ("first byte", network.first_byte_timeout)
        )
        if seconds <= limit:
            return
        self._rest = iter(())
        text = f"{self._who} sent nothing for {limit:g} s"
        raise DeadlineError(text, provider=self._call.provider, url=self._where, phase=phase, seconds=limit)

    @property
    def _who(self) -> str:
        return self._call.provider or urlsplit(self._call.url).netloc

    @property
    def _where(self) -> str:
        parts = urlsplit(self._call.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


class FakeKeyStore(MemoryStore):
    """A keyring in memory. While ``broken`` is a sentence, every call raises ``KeyStoreError`` with it.

    ``asked`` are the calls so far: ``("get", "lab")``.
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
