"""Bytes in any pieces to frames: event streams, bare JSON lines, JSON documents; what a frame means is not read here.

A frame is ``(event, data)``: the event's name ("" without one) and its data, lines joined by LF. Each byte is looked
at once, however the pieces fall; only an unfinished line is kept.
"""

from __future__ import annotations

from typing import TypeAlias

from provider_core.limits import FRAME
from provider_core.stream.lenient import scan

__all__ = ["Frame", "Framer", "TooLongError"]

Frame: TypeAlias = tuple[str, str]
_BOM = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n"
_LINE = 64
"""Bytes of memory that a line takes beside its characters."""
_PAGE = 1 << 16
"""Bytes of a web page that are kept: its title stands at its head."""


class TooLongError(ValueError):
    """A line, an event or a document went over the limit."""


class Framer:
    """Cuts a body into frames. What kind of body it is shows in its first byte that is no blank.

    Content types are not believed: servers send streams as JSON and JSON as streams.
    """

    def __init__(self, limit: int = FRAME) -> None:
        self.kind: str = ""
        """"lines", "json" (a first line that may be all), "document" or "page"; "" until it shows."""
        self.head: bytearray = bytearray()
        """The first bytes of the body, for error sentences."""
        self.began_as_json: bool = False
        self._wanted = 512
        self._in_lines = False  # nothing is left to do but reading lines
        self._limit = limit
        self._tail: list[bytes] = []  # an unfinished line, or a document so far
        self._size = 0
        self._started = False  # past the place of a byte-order mark
        self._after_cr = False
        self._event = ""
        self._data: list[str] = []
        self._data_size = 0

    @property
    def held(self) -> int:
        """Bytes of a line, an event or a document that is not at its end."""
        return self._size + self._data_size

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that ``data`` completes; raise TooLongError beyond the limit."""
        if self._in_lines:
            return self._feed_lines(data)
        if not self.kind:
            data = self._sniff(data)
        if len(self.head) < self._wanted:
            self.head += data[: self._wanted - len(self.head)]
        match self.kind:
            case "lines":
                self._in_lines = len(self.head) == self._wanted
                return self._feed_lines(data)
            case "json":
                return self._feed_json(data)
            case "document":
                self._keep(data)
            case _:
                pass  # of a web page the head is enough
        return []

    def close(self) -> list[Frame]:
        """Return the frames that the end of the body completes."""
        rest = b"".join(self._tail)
        self._tail, self._size = [], 0
        text = rest.decode("utf-8", "replace")
        if self.kind in ("json", "document"):
            return self._document(text)
        frames = self._lines(_plain_ends(text)) if text else []
        self._dispatch(frames)
        return frames

    def _sniff(self, data: bytes) -> bytes:
        """Return ``data`` without a mark and blanks at the body's start, and settle the kind once it shows."""
        if not self._started:
            data = b"".join((*self._tail, data))
            self._tail.clear()
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._tail.append(data)
                return b""
            data = data.removeprefix(_BOM)
            self._started = True
        data = data.lstrip(_BLANKS)
        if not data:
            return b""
        match data[:1]:
            case b"{" | b"[" | b'"':
                self.kind = "json"
                self.began_as_json = True
            case b"<":
                self.kind, self._wanted = "page", _PAGE
            case _:
                self.kind = "lines"
        return data

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit:
            raise TooLongError
        self._tail.append(data)

    def _feed_json(self, data: bytes) -> list[Frame]:
        """Read the first line: whole JSON of itself makes the rest lines, too; else all is one document."""
        cut = data.find(b"\n") + 1
        if not cut:
            self._keep(data)
            return []
        line = b"".join((*self._tail, data[:cut])).decode("utf-8", "replace").strip()
        if _is_json(line) or line == "[DONE]":
            self.kind = "lines"
            self._tail, self._size = [], 0
            return [("", line), *self._feed_lines(data[cut:])]
        self.kind = "document"
        self._keep(data)
        return []

    def _document(self, text: str) -> list[Frame]:
        """Cut a body that began with JSON: one value, perhaps followed by more of them or by an event stream."""
        text = text.strip()
        if not text:
            return []
        try:
            end = scan(text)[1]
        except (ValueError, RecursionError):
            end = 0
        rest = text[end:].strip()
        if not rest or not (end or "\n" in rest):
            return [("", text)]
        frames: list[Frame] = [("", text[:end])] if end else []
        frames += self._lines(_plain_ends(rest))
        self._dispatch(frames)
        return frames

    def _feed_lines(self, data: bytes) -> list[Frame]:
        if self._after_cr and data:
            self._after_cr = False
            if data[:1] == b"\n":
                data = data[1:]
        cut = data.rfind(b"\n") + 1
        if has_cr := b"\r" in data:
            cut = max(cut, data.rfind(b"\r") + 1)
            self._after_cr = data.endswith(b"\r")
        if not cut:
            if data:
                self._keep(data)
            return []
        if self._tail:
            whole = b"".join((*self._tail, data[:cut]))
            self._tail, self._size = [], 0
        else:
            whole = data[:cut]
        if cut < len(data):
            self._keep(data[cut:])
        # UTF-8 never hides a line end in a character: whole lines decode together as they would one by one.
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

    def _lines(self, text: str) -> list[Frame]:
        frames: list[Frame] = []
        data = self._data
        lines = text.split("\n")
        if len(text) > self._limit and any(len(line) > self._limit for line in lines):
            raise TooLongError
        if not lines[-1]:
            del lines[-1]
        for line in lines:
            if not line:
                if data:
                    frames.append((self._event, data[0] if len(data) == 1 else "\n".join(data)))
                    data.clear()
                    self._data_size = 0
                    self._event = ""
                elif self._event:
                    self._dispatch(frames)
            else:
                self._field(line, frames)
        return frames

    def _dispatch(self, frames: list[Frame]) -> None:
        if self._data:
            frames.append((self._event, "\n".join(self._data)))
        elif self._event == "error":
            frames.append((self._event, ""))
        self._data.clear()
        self._data_size = 0
        self._event = ""

    def _field(self, line: str, frames: list[Frame]) -> None:
        """Read one line of an event stream that is not the common ``data: {...}``."""
        line = line.lstrip(" \t")  # a proxy was recorded that indents
        name, colon, value = line.partition(":")
        if not name:
            return  # a comment, mostly a sign of life
        if line[0] in "{[":
            self._dispatch(frames)
            frames.append(("", line))
        elif name == "data" and colon:
            self._hold(value.removeprefix(" "), frames)
        elif name == "event":
            self._event = value.strip()
        elif name == "error" and value:  # the llama.cpp server once named the field so
            self._dispatch(frames)
            frames.append(("error", value.strip()))
        elif " " in name or name[0] == "<":  # not a field: a proxy's own words, or its page
            self._dispatch(frames)
            frames.append(("", line))

    def _hold(self, value: str, frames: list[Frame]) -> None:
        held = self._data
        if held and held[-1].rstrip().endswith("}") and value.lstrip().startswith(("{", "[DONE]")):
            # One JSON value never goes on so: the server leaves out the blank lines between its events.
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
        return scan(line)[1] == len(line)
    except (ValueError, RecursionError):
        return False
