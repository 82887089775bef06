"""Splits the bytes of a body, in pieces of any size, into frames: of event streams, JSON lines and JSON documents.

Also reads JSON leniently: strings with control characters, numbers of any length, values of unexpected types.

A frame is ``(event, data)``: the event's name ("" without one) and its data lines, joined by LF. Each byte is read
once, however the pieces are cut; only an unfinished line is held.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, TypeAlias

from provider_core.limits import FRAME

if TYPE_CHECKING:
    from collections.abc import Callable

    from provider_core.types import Json

Frame: TypeAlias = tuple[str, str]

_BOM = b"\xef\xbb\xbf"
_LINE = 64
"""Bytes of memory that a line takes besides its characters."""
_PAGE = 1 << 16
"""Bytes of a web page that are held: enough for its title."""


def _integer(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:  # more digits than the interpreter accepts
        return float(digits)


decode_json: Final[Callable[..., tuple[Json, int]]] = json.JSONDecoder(
    strict=False, parse_int=_integer
).raw_decode
"""Return the JSON value at a position of a text, and where it ends; raises ValueError and RecursionError."""


def dict_in(value: Json, key: str) -> dict[str, Json]:
    """Return the object under ``key`` of an object, {} if there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def list_in(value: Json, key: str) -> list[Json]:
    """Return the list under ``key`` of an object, [] if there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def str_in(value: Json, key: str) -> str:
    """Return the string under ``key`` of an object, "" if there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""


class TooLongError(ValueError):
    """A line, an event or a document exceeds the limit."""


class Framer:
    """Splits a body into frames. Its first character that is not a blank decides what kind of body it is.

    The content type is ignored: servers send streams as JSON and JSON as streams.
    """

    def __init__(self, limit: int = FRAME) -> None:
        self.kind: str = ""
        """"lines", "json" (until the end of the first line), "document" or "page"; "" until it is known."""
        self.head: bytearray = bytearray()
        """The first bytes of the body, for error messages."""
        self.began_as_json: bool = False
        self._head_size = 512
        self._limit = limit
        self._tail: list[bytes] = []  # an unfinished line, or a document so far
        self._size = 0
        self._started = False  # past a byte order mark
        self._after_cr = False
        self._event = ""
        self._data: list[str] = []
        self._data_size = 0

    @property
    def held(self) -> int:
        """Bytes of an unfinished line, event or document."""
        return self._size + self._data_size

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that ``data`` completes; raise TooLongError beyond the limit."""
        if len(self.head) < self._head_size:
            if not self.kind:
                data = self._detect_kind(data)
            self.head += data[: self._head_size - len(self.head)]
        if self.kind == "lines":
            return self._feed_lines(data)
        match self.kind:
            case "json":
                return self._feed_json(data)
            case "document":
                self._hold(data)
        return []

    def close(self) -> list[Frame]:
        """Return the frames that the end of the body completes."""
        text = self._take_held().decode("utf-8", "replace")
        if self.kind not in ("json", "document"):
            return self._last_lines(text)
        # A JSON value, perhaps followed by more of them or by an event stream.
        text = text.strip()
        try:
            end = decode_json(text)[1]
        except (ValueError, RecursionError):
            end = 0
        rest = text[end:].strip()
        if not rest or not (end or "\n" in rest):
            return [("", text)] if text else []
        return [*([("", text[:end])] if end else []), *self._last_lines(rest)]

    def _detect_kind(self, data: bytes) -> bytes:
        """Set the kind as soon as it is known; return ``data`` without a byte order mark and leading blanks."""
        if not self._started:
            data = b"".join((*self._tail, data))
            self._tail.clear()
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._tail.append(data)
                return b""
            data = data.removeprefix(_BOM)
            self._started = True
        data = data.lstrip(b" \t\r\n")
        if data.startswith((b"{", b"[", b'"')):
            self.kind, self.began_as_json = "json", True
        elif data.startswith(b"<"):
            self.kind, self._head_size = "page", _PAGE
        elif data:
            self.kind = "lines"
        return data

    def _hold(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit:
            raise TooLongError
        self._tail.append(data)

    def _take_held(self) -> bytes:
        held = b"".join(self._tail)
        self._tail, self._size = [], 0
        return held

    def _feed_json(self, data: bytes) -> list[Frame]:
        """Read the first line: if it is complete JSON, the body consists of lines, else it is one document."""
        cut = data.find(b"\n") + 1
        if cut:
            line = b"".join((*self._tail, data[:cut])).decode("utf-8", "replace").strip()
            if line == "[DONE]" or _is_json(line):
                self.kind = "lines"
                self._take_held()
                return [("", line), *self._feed_lines(data[cut:])]
            self.kind = "document"
        self._hold(data)
        return []

    def _feed_lines(self, data: bytes) -> list[Frame]:
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        cut = data.rfind(b"\n") + 1
        if has_cr := b"\r" in data:
            cut = max(cut, data.rfind(b"\r") + 1)
            self._after_cr = data.endswith(b"\r")
        if not cut:
            if data:
                self._hold(data)
            return []
        whole = data[:cut]
        if self._tail:
            whole = self._take_held() + whole
        if cut < len(data):
            self._hold(data[cut:])
        # In UTF-8, no character contains the byte of a line end: lines can be decoded together.
        text = whole.decode("utf-8", "replace")
        if has_cr:
            text = _plain_ends(text)
        frames: list[Frame] = []
        events = text.split("\n\n")
        rest = events.pop()
        idle = not self._data and not self._event
        for event in events:
            if idle and event.startswith("data: {") and "\n" not in event:
                frames.append(("", event[6:]))
            else:
                frames += self._lines(f"{event}\n\n")
                idle = not self._data and not self._event
        return frames + self._lines(rest) if rest else frames

    def _last_lines(self, text: str) -> list[Frame]:
        frames = self._lines(_plain_ends(text))
        self._dispatch(frames)
        return frames

    def _lines(self, text: str) -> list[Frame]:
        frames: list[Frame] = []
        lines = text.split("\n")
        if len(text) > self._limit and any(len(line) > self._limit for line in lines):
            raise TooLongError
        if not lines[-1]:
            del lines[-1]
        for line in lines:
            if line:
                self._field(line, frames)
            else:
                self._dispatch(frames)
        return frames

    def _dispatch(self, frames: list[Frame]) -> None:
        """Add the event that ends here, if there is one."""
        if self._data:
            frames.append((self._event, "\n".join(self._data)))
            self._data.clear()
        elif self._event == "error":
            frames.append((self._event, ""))
        self._data_size = 0
        self._event = ""

    def _field(self, line: str, frames: list[Frame]) -> None:
        """Read one line of an event stream."""
        line = line.lstrip(" \t")  # some proxies indent
        name, colon, value = line.partition(":")
        if not name:
            return  # a comment, mostly to keep the connection open
        if line[0] in "{[":
            self._dispatch(frames)
            frames.append(("", line))
        elif name == "data" and colon:
            self._add_data(value.removeprefix(" "), frames)
        elif name == "event":
            self._event = value.strip()
        elif name == "error" and value:  # old releases of llama.cpp's server
            self._dispatch(frames)
            frames.append(("error", value.strip()))
        elif " " in name or name[0] == "<":  # not a field: a proxy's own words, or its page
            self._dispatch(frames)
            frames.append(("", line))

    def _add_data(self, value: str, frames: list[Frame]) -> None:
        held = self._data
        if held and held[-1].rstrip().endswith("}") and value.lstrip().startswith(("{", "[DONE]")):
            # No JSON value continues so: the server leaves out the blank lines between its events.
            event = self._event
            self._dispatch(frames)
            self._event = event if event != "error" else ""
        if not value.strip() and not held:
            return
        self._data_size += len(value) + _LINE
        if self._data_size > self._limit:
            raise TooLongError
        held.append(value)


def _plain_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _is_json(line: str) -> bool:
    try:
        return decode_json(line)[1] == len(line)
    except (ValueError, RecursionError):
        return False
