"""From the bytes of an answer to events and a verdict; without I/O."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from provider_core import errors, limits
from provider_core.redaction import clean, one_line
from provider_core.stream.chunks import AnswerState
from provider_core.stream.extras import decode_json, with_cost
from provider_core.stream.verdict import StreamEnd, classify, standard_reason
from provider_core.structs import pattern
from provider_core.types import Finished, Reasoning, Sources, Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from provider_core.stream.failures import ErrorReader
    from provider_core.types import AnswerEvent, Json

__all__ = ["Decoder", "standard_reason"]

_CHECK_EVERY = 1 << 16
"""Bytes between two checks of the limits."""
_ERROR_STARTS = ('{"error"', '{"detail"', '{"object":"error"', '{"object": "error"')
_KEEPALIVES = ("ping", "pong", "heartbeat", "keepalive", "keep-alive", "keep_alive")
"""Names of events whose data is ignored."""
_BROKEN_ERROR = pattern(r'^\{"(?:error|detail)": ?"|"?\}\s*$')
"""The text around the words of an error that was quoted without escaping its own quotes."""
_BEFORE_VALUE = pattern(r"\s*(?:data:\s*)?")
"""Blanks, and the field's name once more if a proxy framed a frame."""

Frame: TypeAlias = tuple[str, str]
"""An event's name, "" without one, and its data lines, joined by LF."""


class Decoder:
    """Reads one answer, streamed or not; the content type is ignored.

    Feed the body as it arrives, then close once. Each call returns adjacent text in one event; once those of all calls
    are joined, too, the events are the same however the bytes were cut. ``secrets`` are redacted in everything that the
    server says about a failure. ``own_limit`` tells whether the caller set a token limit, ``streamed`` whether it asked
    for a stream. An answer with more than ``max_characters`` of text is broken off. ``cost`` is what the head of the
    response says that the request costs, in US dollars; a cost in the body takes precedence.

    What follows a complete JSON reply is ignored. A frame that begins as JSON and is not valid is skipped, and the
    answer, which may lack some of it, is PARTIAL. An object that has only words is a failure unless text or a finish
    reason follows; plain words are one unless a finish reason does. A refusal is text; the verdict is FILTERED without
    other text, or if the finish reason says so.
    """

    def __init__(
        self,
        *,
        status: int = 200,
        content_type: str = "",
        provider: str | None = None,
        secrets: tuple[str, ...] = (),
        own_limit: bool = True,
        streamed: bool = False,
        max_characters: int | None = None,
        cost: str = "",
    ) -> None:
        self.done: bool = False
        """Whether nothing of interest can follow: after ``[DONE]``, an error, or a complete reply."""
        self._status, self._content_type = status, content_type
        self._provider, self._secrets = provider, secrets
        self._own_limit, self._streamed, self._cost = own_limit, streamed, cost
        self._limits = {Text: max_characters, Reasoning: limits.WHOLE_ANSWER}
        self._lengths = {Text: 0, Reasoning: 0}
        self._fruitless = self._check_at = 0
        self._framer = Framer()
        self._answer = AnswerState()
        self._template = ChunkTemplate()
        self._received = 0
        self._closed = False
        self._end_mark = False
        self._skipped = ""  # the beginning of the first frame that could not be read
        self._stopped: errors.ProtocolError | None = None  # why it was broken off here

    @property
    def received_text(self) -> bool:
        """Whether any text or reasoning was returned: a retry would repeat it."""
        return self._answer.text.received

    @property
    def settled(self) -> bool:
        """Whether a finish reason has come in a chunk of its own: only usage and the end mark may follow."""
        return self._answer.settled

    @property
    def finished(self) -> bool:
        """Whether a finish reason has come."""
        return self._answer.finish is not None

    def feed(self, data: bytes) -> list[AnswerEvent]:
        """Return the events that ``data`` completes; none once ``done``."""
        if self.done or self._closed:
            return []
        self._received += len(data)
        self._read(self._framer.feed, data)
        events = self._within_limits(self._answer.text.take())
        self._fruitless = 0 if events or self._answer.grown else self._fruitless + len(data)
        self._answer.grown = False
        if self._answer.text.blanks > limits.BLANKS or self._received >= self._check_at:
            self._check()
        return events

    def close(self, error: errors.CoreError | None = None) -> list[AnswerEvent]:
        """Return the last events, ``Finished`` at their end; ``error`` is why the transport broke off, if it did."""
        if self._closed:
            return []
        self._closed = True
        answer = self._answer
        broken = None if self.done else error
        if not self.done:
            self._read(self._framer.close)
        answer.finish_choosing()
        if self._stopped is None and (unexplained := answer.suspect or answer.words):
            answer.fail(unexplained)
        failure = self._failure(broken)
        done = self._end_mark or (self._framer.began_as_json and (answer.whole or not answer.in_pieces))
        finish = self._clean(answer.finish) if answer.finish is not None else None
        cut = failure is not None or broken is not None or not (done or finish is not None)
        events = self._within_limits(answer.text.close(cut=cut))
        end = StreamEnd(
            provider=self._provider,
            failure=failure or self._stopped,
            broken=broken,
            finish=finish,
            done=done,
            last_call=one_line(self._clean(answer.calls.last_name())),
            own_limit=self._own_limit,
            text=answer.text.has_text,
            image=any(not image.broken for image in answer.extras.images),
            reasoning=answer.text.has_reasoning,
            refusal=answer.refusal,
            skipped=one_line(self._clean(self._skipped, 100)),
            received=self._received,
        )
        verdict, reason, why = classify(end)
        events += answer.calls.finish(verdict)
        if sources := answer.extras.sources():
            events.append(Sources(sources=sources))
        events += answer.extras.images
        if (usage := with_cost(answer.usage, self._cost)) is not None:
            events.append(usage)
        finished = Finished(
            verdict=verdict,
            reason=reason,
            raw_reason=finish,
            error=why,
            model=self._clean(answer.model),
            reasoning_details=answer.passthrough.details(),
            extra=answer.passthrough.extra(),
            choices=tuple(answer.choices()),
            logprobs=answer.extras.logprobs or None,
        )
        return [*events, finished]

    def _clean(self, words: str, limit: int = 200) -> str:
        return clean(words, self._secrets, limit)

    def _within_limits(self, events: list[AnswerEvent]) -> list[AnswerEvent]:
        """Return the events up to the limits of text and reasoning; break off the answer beyond them."""
        for position, event in enumerate(events):
            if not isinstance(event, Text | Reasoning):
                continue
            kind = type(event)
            self._lengths[kind] += len(event.text)
            limit = self._limits[kind]
            if limit is not None and self._lengths[kind] > limit:
                what = "text" if kind is Text else "reasoning"
                self._stop(f"sent more than {limit:,} characters of {what}", code=f"too_much_{what}")
                fitting = event.text[: limit - self._lengths[kind]]
                return [*events[:position], *([kind(text=fitting)] if fitting else [])]
        return events

    def _check(self) -> None:
        """Break off an answer that does not end, or that exceeds what a useful one holds."""
        answer = self._answer
        self._check_at = self._received + _CHECK_EVERY
        if max(answer.text.blanks, answer.calls.blanks) > limits.BLANKS:
            self._stop(f"sent more than {limits.BLANKS:,} blank characters in a row")
        elif len(answer.calls) > limits.CALLS:
            self._stop(f"sent more than {limits.CALLS:,} tool calls in one answer")
        elif answer.size_besides_text > limits.BESIDES_TEXT:
            size = limits.BESIDES_TEXT >> 20
            self._stop(f"sent more than {size} MiB of tool calls and other data besides the text")
        elif self._fruitless - self._framer.held > limits.KEEPALIVES:
            self._stop(f"sent {limits.KEEPALIVES >> 20} MiB that contain nothing of an answer")

    def _read(self, frame: Callable[..., list[Frame]], *data: bytes) -> None:
        answer, template = self._answer, self._template
        try:
            frames = frame(*data)
        except TooLongError:
            self._stop(f"sent a line of more than {limits.FRAME >> 20} MiB, which is refused")
            return
        for event, payload in frames:
            text = template.text_of(payload)
            if not text or event == "error":
                self._frame(event, payload)
                if self.done:
                    return
                continue
            answer.growing, answer.suspect = True, None
            answer.text.add(text, is_reasoning=template.is_reasoning)

    def _frame(self, event: str, data: str) -> None:
        """Read a frame of one JSON value, or of several without a separator."""
        answer, at = self._answer, 0
        if not data.startswith("{"):
            at = _next_value(data, 0)
            if event == "error" and at == len(data):
                answer.fail("")
        while at < len(data) and not self.done:
            try:
                value, end = decode_json(data, at)
            except (ValueError, RecursionError):
                self._not_json(event, data[at:])
                break
            if answer.whole and self._framer.began_as_json and _is_chunk(value):
                self.done = True
                return
            if end < len(data) or event == "error" or (plain := answer.add_plain(value)) is None:
                with suppress(RecursionError):  # nested too deeply to be a chunk
                    answer.add(value, event)
                at = _next_value(data, end)
            else:
                self._template.learn(data, plain[1], is_reasoning=plain[0])
                at = end
            self.done = answer.replied and self._framer.began_as_json
            if answer.failures:
                break
        self.done = self.done or bool(answer.failures)

    def _not_json(self, event: str, data: str) -> None:
        """Take the end mark, an error with broken quotes, or plain words; skip anything else."""
        if data.startswith("[DONE]"):
            self.done = self._end_mark = True
        elif event == "error" or data.startswith(_ERROR_STARTS):
            self._answer.fail(_BROKEN_ERROR.sub("", data))
        elif not data.startswith("{"):
            if event.lower() not in _KEEPALIVES:
                self._answer.add_words(data)
        elif not self._skipped and self._answer.finish is None:  # after a finish reason, no text can be lost
            self._skipped = data[:400]

    def _stop(self, what: str, *, code: str = "too_much") -> None:
        if self._stopped is None:
            server = self._provider or "the server"
            self._stopped = errors.ProtocolError(f"{server} {what}", provider=self._provider, code=code)
        self.done = True

    def _failure(self, broken: errors.CoreError | None) -> errors.CoreError | None:
        """Return the reported failure, or why the body is not an answer at all."""
        answer = self._answer
        if answer.failures:
            return self._reader().from_json(None, answer.failures[0])
        if self._stopped is not None or answer.chunks or broken is not None:
            return self._stopped
        if answer.unknown:
            return self._reader().from_json(None, answer.unknown)
        head = bytes(self._framer.head)
        return self._reader().no_completion(self._status, self._content_type, head, streamed=self._streamed)

    def _reader(self) -> ErrorReader:
        from provider_core.stream.failures import ErrorReader

        return ErrorReader(self._provider, self._secrets)


def _is_chunk(value: Json) -> bool:
    choices = value.get("choices") if isinstance(value, dict) else None
    return isinstance(choices, list) and any(isinstance(each, dict) and "delta" in each for each in choices)


def _next_value(data: str, at: int) -> int:
    hit = _BEFORE_VALUE.match(data, at)
    return hit.end() if hit else at


# --- frames --------------------------------------------------------------------------------------------------

_BOM = b"\xef\xbb\xbf"
_LINE = 64
"""Bytes of memory that a line takes besides its characters."""
_PAGE = 1 << 16
"""Bytes of a web page that are held: enough for its title."""


class TooLongError(ValueError):
    """A line, an event or a document exceeds the limit."""


class Framer:
    """Splits a body into frames. Its first character that is not a blank decides what kind of body it is.

    The kinds are event streams, JSON lines and JSON documents. The content type is ignored: servers send streams as
    JSON and JSON as streams. Each byte is read once, however the pieces are cut; only an unfinished line is held.
    """

    def __init__(self, limit: int = limits.FRAME) -> None:
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


class ChunkTemplate:
    """Recognises chunks that differ from an earlier one only in their text, so that they need not be parsed.

    Nearly all chunks of a stream are equal but for one string. Once one was parsed, a frame with the same characters
    before and after that string is the same chunk with another text, provided that the string has no escapes. OpenAI
    adds a second string that differs, "obfuscation", which is noise. Measured with tests/bench/decode.py: 0.55 of the
    time that ``json.loads`` alone takes, and 1.25 without.
    """

    _KEYS = ('"content"', '"reasoning_content"', '"reasoning"')
    _NOISE = '"obfuscation":"'

    def __init__(self) -> None:
        self._head, self._tail, self._noisy, self._end = "\0", "", False, ""  # matches nothing
        self._tries = 32  # if every chunk differs elsewhere, too, learning is a waste
        self.is_reasoning: bool = False
        """Whether the text is reasoning."""

    def text_of(self, data: str) -> str:
        """Return the text of a frame that matches, else ""."""
        if not data.startswith(self._head):
            return ""
        start = len(self._head)
        quote = data.find('"', start)
        if not data.startswith(self._tail, quote) or "\\" in (text := data[start:quote]):
            return ""
        noise = data[quote + len(self._tail) :]
        if self._noisy:
            matches = noise.endswith(self._end) and noise.find('"') == len(noise) - len(self._end)
            return text if matches else ""
        return "" if noise else text

    def learn(self, data: str, text: str, *, is_reasoning: bool) -> None:
        """Remember the frame ``data``, whose parsed value contains ``text`` and nothing else."""
        if not self._tries:
            return
        for key in self._KEYS:
            at = data.find(key) + len(key)
            if at < len(key) or data.find(key, at) >= 0:
                continue
            start = data.find('"', at) + 1
            if data[at:start].replace(" ", "") != ':"':
                continue
            value, end = decode_json(data, start - 1)
            if value == text:
                self._tries -= data[:start] != self._head
                self._head, self.is_reasoning = data[:start], is_reasoning
                self._tail, found, noise = data[end - 1 :].partition(self._NOISE)
                self._tail += found
                self._noisy, self._end = bool(found), noise[noise.find('"') :]
                return
