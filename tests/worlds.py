"""A transport and the server behind it, as a fake and for real: what holds of the one has to hold of the other.

Both are told what to do in the words of ``scripted`` or of ``provider_core.testing``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from scripted import Answer, Asked, Cut, Pause, Scripted

from provider_core import testing
from provider_core.errors import CoreError
from provider_core.types import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from provider_core.http.transport import HttpTransport
    from provider_core.types import Transport


@dataclass(frozen=True)
class Seen:
    """What a request was, whatever carried it."""

    method: str
    url: str
    body: bytes


class World(Protocol):
    transport: Transport
    url: str

    def will(self, *steps: Any) -> None: ...

    @property
    def seen(self) -> list[Seen]: ...

    @property
    def requests(self) -> int: ...


class FakeWorld:
    url = "http://p.test/v1"

    def __init__(self) -> None:
        self.fake = testing.FakeTransport()
        self.transport: Transport = self.fake

    def will(self, *steps: Any) -> None:
        self.fake.will(*map(_script, steps))

    @property
    def seen(self) -> list[Seen]:
        return [Seen(call.method, call.url, call.body) for call in self.fake.calls]

    @property
    def requests(self) -> int:
        return len(self.fake.calls)


class RealWorld:
    def __init__(self, server: Scripted, transport: HttpTransport) -> None:
        self.server = server
        self.transport: Transport = transport
        self.url = server.url

    def will(self, *steps: Any) -> None:
        self.server.will(*map(_answer, steps))

    @property
    def seen(self) -> list[Seen]:
        origin = self.url.removesuffix("/v1")
        return [Seen(asked.method, f"{origin}{asked.path}", asked.raw) for asked in self.server.asked]

    @property
    def requests(self) -> int:
        return len(self.server.asked)


@dataclass(frozen=True)
class _Each:
    """``map`` that may be gone through again, because an answer may be given again."""

    change: Callable[[Any], Any]
    pieces: Iterable[Any]

    def __iter__(self) -> Iterator[Any]:
        return map(self.change, self.pieces)


def _script(step: Any) -> Any:
    match step:
        case list():
            return testing.Scripted(body=step)
        case Answer():
            return testing.Scripted(body=_Each(_faked, step.body), status=step.status, headers=step.headers)
        case _:
            return step


def _faked(piece: Any) -> Any:
    match piece:
        case Cut():
            return testing.cut
        case Pause(until=float() | int() as seconds):
            return testing.Silence(seconds)
        case _:
            return piece


def _answer(step: Any) -> Any:
    match step:
        case str():
            return _answer(testing.says(step))
        case CoreError():
            raise TypeError("a real server cannot be told to be an error of the core")
        case testing.Scripted():
            return Answer(_Each(_real, step.body), status=step.status, headers=dict(step.headers))
        case Answer() | list():
            return step
        case _:
            return lambda asked: _answer(step(_call(asked)))


def _real(piece: Any) -> Any:
    match piece:
        case testing.Silence(seconds=seconds):
            return Pause(seconds)
        case bytes():
            return piece
        case _:
            return Cut()


def _call(asked: Asked) -> Call:
    return Call(method="POST", url=asked.path, headers=asked.headers, body=asked.raw)
