"""Reads chunks, replies and error frames, in OpenAI's shape and in other dialects, into the state of one answer."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, TypeAlias

from provider_core.stream import fields
from provider_core.stream.extras import KEYS, Extras, PassthroughFields, merge_usage, read_usage
from provider_core.stream.failures import ErrorPayload, is_error, is_error_event, is_keepalive, may_be_error
from provider_core.stream.text import TextBuffer
from provider_core.stream.verdict import finish_reason, standard_reason
from provider_core.types import Choice, Reasoning, Text, ToolCall, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provider_core.errors import CoreError
    from provider_core.stream.failures import ErrorReader
    from provider_core.types import Json, Usage

_WAITING = 16
"""Chunks of another choice that are held while choice 0 may still come."""
_CHOICES = 128
"""Other choices that are read."""

# Keys that make a chunk, a choice or a delta more than a piece of text.
_MORE_IN_CHUNK = frozenset(
    ("error", "base_resp", "x_groq", "type", "usageMetadata", "eval_count", "prompt_eval_count", *KEYS)
)
_MORE_IN_CHOICE = frozenset(("message", "text", "error", "usage", *KEYS))
_PLAIN_DELTA = frozenset(("role", "content", "reasoning_content", "reasoning"))

_CONTENT = ("content", "reasoning_content", "reasoning", "reasoning_details", "tool_calls", "refusal")


class AnswerState:
    """The state of one answer. Feed JSON values to ``add``; the text is in ``text``."""

    def __init__(self, errors: ErrorReader) -> None:
        self.text: TextBuffer = TextBuffer()
        self.calls: ToolCallBuilder = ToolCallBuilder()
        self.passthrough: PassthroughFields = PassthroughFields()
        self.extras: Extras = Extras()
        self.usage: Usage | None = None
        self.finish: str | None = None
        self.failure: CoreError | None = None
        self.model: str = ""
        self.chunks: int = 0
        """Values in the shape of an answer."""
        self.unknown: Json = None
        """The first value with words in it that had no known shape."""
        self.suspect: Json = None
        """A value with nothing but words that came after text, and which no text has followed."""
        self.words: str = ""
        """A frame of plain words, which no finish reason has followed."""
        self.grown: int = 0
        """Chunks with text, reasoning or a call, except those that ``add_plain`` or the decoder read."""
        self.growing: bool = False
        """Whether the last chunk had text, reasoning or a call."""
        self.whole: bool = False
        """Whether a message came in one piece."""
        self.replied: bool = False
        """Whether a message came that is complete by its own account."""
        self.in_pieces: bool = False
        """Whether something came that is a part of an answer by its shape."""
        self.refusal: bool = False
        self._errors = errors
        self._others: dict[int, AnswerState] = {}
        self._others_size = 0
        self._chosen: int | None = None
        self._waiting: list[tuple[int, dict[str, Json], bool]] = []
        # Whether text and reasoning came; what a later message repeats is skipped.
        self._has_text = self._has_reasoning = False
        self._last_message = ("", "")  # its reasoning and its text
        # The last reasoning_details, which may repeat the earlier ones; None once they proved not to.
        self._details: str | None = ""
        self._details_repeat = False
        self._begun = False

    @property
    def settled(self) -> bool:
        """Whether the answer is over: its finish reason has come, and the last chunk had nothing else."""
        return self.finish is not None and self._begun and not self.growing

    @property
    def size_besides_text(self) -> int:
        """About how many bytes are held, without the text and the reasoning of this choice."""
        return self.calls.size + self.passthrough.size + self.extras.size + self._others_size

    def add(self, value: Json, event: str = "") -> None:
        """Read a JSON value: a chunk, a reply, an error, or something else, which is ignored."""
        if isinstance(value, list):
            for item in value:
                if isinstance(item, dict):
                    self.add(item, event)
            return
        if not isinstance(value, dict):
            if event == "error":
                self.fail(value)
            self._note(value)
            return
        value = fields.to_openai(value)
        if event == "error" or is_error_event(value):
            self.fail(value)
        choices = value.get("choices")
        if isinstance(choices, list):
            self.chunks += 1
            self._chunk(value, choices)
        elif isinstance(value.get("usage"), dict):
            self._chunk(value, [])
        else:
            self._note(value)

    def add_plain(self, value: Json) -> tuple[bool, str] | None:
        """Read a chunk that continues text or reasoning and holds nothing else, the common case, quickly.

        Return whether it was reasoning, and the text; for any other value None, without reading it.
        """
        if type(value) is not dict or not _MORE_IN_CHUNK.isdisjoint(value) or value.get("usage") is not None:
            return None
        choices = value.get("choices")
        if type(choices) is not list or len(choices) != 1 or value.get("model") != self.model:
            return None
        choice = choices[0]
        if (
            type(choice) is not dict
            or not _MORE_IN_CHOICE.isdisjoint(choice)
            or choice.get("index") != self._chosen
        ):
            return None
        delta = choice.get("delta")
        if type(delta) is not dict or choice.get("finish_reason") is not None or choice.get("logprobs"):
            return None
        if len(delta) > 1 and not delta.keys() <= _PLAIN_DELTA:
            return None
        text = delta.get("content")
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if type(text) is str and text and not reasoning and self._has_text:
            self._grow()
            self.text.add_text(text)
            return False, text
        if type(reasoning) is str and text in ("", None) and self._has_reasoning:
            self._grow()
            self.text.add_reasoning(reasoning)
            return True, reasoning
        return None

    def add_words(self, words: str) -> None:
        """Take words that came in place of a chunk: they are a failure unless a finish reason follows."""
        if self.words.startswith("<"):
            self.words = f"{self.words}\n{words}"[:2000]  # the rest of a web page
        elif not self.settled and not self.words and not is_keepalive(words):
            self.words = words[:2000]

    def fail(self, value: Json) -> None:
        """Note that the server reported a failure; the first one is reported."""
        if self.failure is None:
            self.failure = self._errors.from_json(None, value)

    def finish_choosing(self) -> None:
        """Read the choice that came first, as choice 0 will not come."""
        if self._chosen is None and self._waiting:
            self._chosen = self._waiting[0][0]
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            self._dispatch(*each)

    def choices(self) -> Iterator[Choice]:
        """Yield the other choices, at the end of the answer."""
        for index, other in sorted(self._others.items()):
            events = other.text.close(cut=False)
            calls = tuple(other.calls.finish(Verdict.COMPLETE))
            reason = standard_reason(other.finish) or "stop" if other.finish is not None else None
            yield Choice(
                index=index,
                text="".join(event.text for event in events if isinstance(event, Text)),
                reasoning="".join(event.text for event in events if isinstance(event, Reasoning)),
                tool_calls=calls,
                finish="tool_calls" if calls and reason in (None, "stop") else reason,
                logprobs=other.extras.logprobs or None,
            )

    def _note(self, value: Json) -> None:
        """Note a value of no known shape that has words, in case nothing else comes."""
        if isinstance(value, str):
            self.add_words(value)
        elif self.chunks == 0 and not self.unknown:
            self.unknown = value if ErrorPayload(value).words else None
        elif self.chunks and self.finish is None and not self.suspect and may_be_error(value):
            self.suspect = value

    def _grow(self) -> None:
        self.growing = self._begun = True
        self.grown += 1
        self.suspect = None

    def _chunk(self, chunk: dict[str, Json], choices: list[Json]) -> None:
        self.growing = False
        self.extras.take(chunk)
        model = chunk.get("model")
        if isinstance(model, str) and model:
            self.model = model
        found = read_usage(chunk, choices[0] if choices else None)
        if found is not None:
            self.usage = merge_usage(self.usage, found)
        groq = chunk.get("x_groq")
        if isinstance(groq, dict) and is_error(groq.get("error")):
            self.fail(groq)
        complete = chunk.get("object") == "chat.completion"
        self.in_pieces = self.in_pieces or chunk.get("object") == "chat.completion.chunk"
        self.whole = self.whole or (complete and not choices)
        for position, choice in enumerate(choices):
            if not isinstance(choice, dict):
                continue
            index = choice.get("index")
            index = index if isinstance(index, int) and not isinstance(index, bool) else position
            if self._chosen is None:
                if index == 0:
                    self._chosen = 0
                    self.finish_choosing()
                else:
                    self._waiting.append((index, choice, complete))
                    if len(self._waiting) >= _WAITING:
                        self.finish_choosing()
                    continue
            self._dispatch(index, choice, complete)

    def _dispatch(self, index: int, choice: dict[str, Json], complete: bool) -> None:
        """Read a choice, or let another answer read it."""
        if index == self._chosen:
            self._choice(choice, complete)
        elif index in self._others or len(self._others) < _CHOICES:
            other = self._others.get(index)
            if other is None:
                other = self._others[index] = AnswerState(self._errors)
            other._choice(choice, complete)
            self._others_size += len(repr(choice))

    def _choice(self, choice: dict[str, Json], complete: bool) -> None:
        if is_error(choice.get("error")):
            self.fail(choice)
        reason = finish_reason(choice)
        if reason is not None:
            self.words = ""
            if self.finish is None or standard_reason(self.finish) in (None, "stop"):
                self.finish = reason
        self.extras.take(choice)
        self.extras.take_logprobs(choice.get("logprobs"))
        delta, message, text = choice.get("delta"), choice.get("message"), choice.get("text")
        if isinstance(delta, str | list):
            delta = {"content": delta}
        if isinstance(message, str | list):
            message = {"content": message}
        if isinstance(delta, dict):
            self.in_pieces = True
            self._delta(delta)
        if isinstance(message, dict):
            alone = not (isinstance(delta, dict) and any(delta.get(key) for key in _CONTENT))
            replied = alone and (complete or reason is not None)
            self._message(message, complete=replied)
            self.replied = self.replied or replied
            self.whole = self.whole or alone
        elif isinstance(text, str) and text and not self._has_text:
            self.in_pieces = True
            self._grow()
            self.text.add_text(text)

    def _delta(self, delta: dict[str, Json]) -> None:
        pieces = fields.content(delta)
        reasoning = fields.reasoning(delta) or self._new_details(fields.reasoning_details(delta))
        calls, legacy_call = delta.get("tool_calls"), delta.get("function_call")
        if self._take_extras(delta) or reasoning or pieces or calls or legacy_call:
            self._grow()
        if reasoning:
            self._has_reasoning = True
            self.text.add_reasoning(reasoning)
        for is_reasoning, text in pieces:
            if not is_reasoning:
                self._has_text = True
                self.text.add_text(text)
            elif not reasoning:
                self._has_reasoning = True
                self.text.add_reasoning(text)
        self._refuse(delta.get("refusal"))
        self.passthrough.add_delta(delta)
        self.calls.feed(calls)
        self.calls.feed_legacy(legacy_call)

    def _message(self, message: dict[str, Json], *, complete: bool) -> None:
        """Read a message in place of a delta, or together with or after deltas, whose words it repeats."""
        pieces = fields.content(message)
        reasoning = fields.reasoning(message) or fields.reasoning_details(message)
        reasoning = reasoning or "".join(text for is_reasoning, text in pieces if is_reasoning)
        text = "".join(text for is_reasoning, text in pieces if not is_reasoning)
        earlier_reasoning, earlier_text = self._last_message
        new_text, new_reasoning = text and not self._has_text, reasoning and not self._has_reasoning
        new_calls = message.get("tool_calls") and not self.calls
        if self._take_extras(message) or new_text or new_reasoning or new_calls:
            self._grow()
        if new_reasoning:
            self.text.add_reasoning(reasoning.removeprefix(earlier_reasoning))
        if new_text:
            if complete and not earlier_text:
                self.text.add_complete(text)
            else:
                self.text.add_text(text.removeprefix(earlier_text))
        self._last_message = (reasoning or earlier_reasoning, text or earlier_text)
        if not self._has_text:
            self._refuse(message.get("refusal"))
        self.passthrough.add_message(message)
        if not self.calls:
            self.calls.feed(message.get("tool_calls"), complete=True)
            self.calls.feed_legacy(message.get("function_call"))

    def _take_extras(self, body: dict[str, Json]) -> bool:
        """Take sources and images; return whether an image came."""
        before = len(self.extras.images)
        self.extras.take(body)
        if isinstance(content := body.get("content"), list | dict):
            self.extras.take_content(content if isinstance(content, list) else [content])
        return len(self.extras.images) > before

    def _new_details(self, text: str) -> str:
        """Return what ``reasoning_details`` add: those of MiniMax repeat all earlier reasoning."""
        earlier = self._details
        if not text or earlier is None:
            return text
        if text.startswith(earlier) and (self._details_repeat or len(text) > len(earlier)):
            self._details = text
            self._details_repeat = self._details_repeat or bool(earlier.strip())
            return text[len(earlier) :] if earlier.strip() else text
        self._details = text if self._details_repeat else None
        return text

    def _refuse(self, refusal: Json) -> None:
        if isinstance(refusal, str) and refusal:
            self.refusal = True
            self._grow()
            self.text.add_refusal(refusal)


# --- tool calls ----------------------------------------------------------------------------------------------

_PART = 64
"""Bytes of memory that a part takes besides its characters."""
_CANDIDATES = 64
"""How many calls are compared with one part: otherwise, a hostile stream would cost their square."""
_OWN = frozenset(("index", "id", "type", "function", "name", "arguments"))


class _OpenCall:
    def __init__(self, index: int | None) -> None:
        self.id: str = ""
        self.name: str = ""
        self.index: int | None = index
        self.arguments: list[str] = []
        self.extra: dict[str, Json] = {}

    def text(self) -> str:
        return _arguments("".join(self.arguments))

    def is_complete(self) -> bool:
        """Tell whether the arguments end with the last brace of a JSON object."""
        last = next((part for part in reversed(self.arguments) if not part.isspace()), "")
        return bool(self.name) and last.rstrip().endswith("}") and isinstance(_parsed(self.text()), dict)


_OpenCalls: TypeAlias = "dict[_OpenCall, None]"
"""Calls, the one with the latest part last."""


class ToolCallBuilder:
    """The tool calls of one answer.

    A part continues the call that has the same id, index and name, if both have them; without id and index,
    its place in the list or the order of the parts decides. A different name always begins another call.
    """

    def __init__(self) -> None:
        self.size: int = 0
        """About how many bytes they take."""
        self.blanks: int = 0
        """Blank characters at the end of the arguments that came last."""
        self._calls: list[_OpenCall] = []
        self._recent: _OpenCalls = {}
        self._by_id: dict[str, _OpenCalls] = {}
        self._by_index: dict[int, _OpenCalls] = {}

    def __bool__(self) -> bool:
        return any(call.name for call in self._calls)

    def __len__(self) -> int:
        return len(self._calls)

    def last_name(self) -> str:
        """Return the name of the last call, "" if there is none."""
        return next((call.name for call in reversed(self._calls) if call.name), "")

    def feed(self, parts: Json, *, complete: bool = False) -> None:
        """Take the ``tool_calls`` of a delta, or of a ``complete`` message, in which each entry is a call."""
        if isinstance(parts, dict):
            parts = [parts]
        if not isinstance(parts, list):
            return
        before = len(self._calls)
        for position, part in enumerate(parts):
            if isinstance(part, dict):
                place = before - len(parts) + position if len(parts) > 1 else None
                self._add(part, place, complete)

    def feed_legacy(self, call: Json) -> None:
        """Take a ``function_call``, of which an answer has at most one."""
        if isinstance(call, dict) and (call.get("name") or call.get("arguments")):
            self._add({"index": -1, "function": call}, None, complete=False)

    def finish(self, verdict: Verdict) -> list[ToolCall]:
        """Return the calls in the order they began. In an incomplete answer, those with cut arguments are marked."""
        whole = verdict is Verdict.COMPLETE
        return [
            ToolCall(
                id=call.id,
                name=call.name,
                arguments=call.text(),
                extra=call.extra,
                cut=not whole and not call.is_complete(),
            )
            for call in self._calls
            if call.name
        ]

    def _add(self, part: dict[str, Json], place: int | None, complete: bool) -> None:
        """Take one part; ``place`` is the number of its call if nothing but its place in a list tells."""
        function = part.get("function")
        if not isinstance(function, dict):
            function = part
        id_, name, index = _word(part.get("id")), _word(function.get("name")), _index(part.get("index"))
        arguments = function.get("arguments")
        if arguments is None:
            arguments = function.get("parameters", "")
        call = None if complete else self._find(index, id_, name, arguments, place)
        if call is None:
            call = _OpenCall(index)
            self._calls.append(call)
        call.id = call.id or id_
        call.name = call.name or name
        _move_to_end(self._recent, call)
        if index is not None:
            _move_to_end(self._by_index.setdefault(index, {}), call)
        if id_:
            _move_to_end(self._by_id.setdefault(id_, {}), call)
        if isinstance(arguments, str):
            blank = not arguments.strip()
            self.blanks = self.blanks + len(arguments) if blank else 0
            if arguments and (call.arguments or not blank):
                call.arguments.append(arguments)
        elif arguments is not None:
            arguments = _dumped(arguments)
            call.arguments[:] = [arguments]
        self.size += len(arguments or "") + len(id_) + len(name) + _PART
        more = {key: value for key, value in part.items() if key not in _OWN and value is not None}
        call.extra.update(more)

    def _find(
        self, index: int | None, id_: str, name: str, arguments: Json, place: int | None
    ) -> _OpenCall | None:
        """Return the call that a part continues, or None if it begins one."""
        has_arguments = arguments not in ("", None)
        known = id_ in self._by_id
        if known:
            candidates = self._with_id(id_, index, name, place)
        elif index is not None:
            candidates = _latest(self._by_index.get(index, {}))
        elif id_ and not has_arguments:
            return None
        elif place is not None:
            candidates = self._calls[place : place + 1] if place >= 0 else []
        else:
            candidates = _latest(self._recent)
        found = next((each for each in candidates if not (name and each.name) or name == each.name), None)
        if found is None:
            return None
        named_again = bool(name and found.name)
        if known:  # some servers repeat id and name in every part
            return None if named_again and _has_other_arguments(found, arguments) else found
        if id_ and found.id:  # some servers make a new id for every part
            return None if name or not has_arguments else found
        return None if named_again and (index is None or has_arguments) and found.is_complete() else found

    def _with_id(self, id_: str, index: int | None, name: str, place: int | None) -> list[_OpenCall]:
        """The calls with this id. Some servers give all calls the same one: then index or place tells them apart."""
        calls = _latest(self._by_id[id_])
        if index is not None:
            here = [each for each in calls if each in self._by_index.get(index, {})]
            return here or [each for each in calls if not name or each.index is None]
        if place is not None and len(calls) > 1:
            return self._calls[place : place + 1] if place >= 0 else []
        return calls


def _latest(calls: _OpenCalls) -> list[_OpenCall]:
    return list(itertools.islice(reversed(calls), _CANDIDATES))


def _move_to_end(calls: _OpenCalls, call: _OpenCall) -> None:
    calls.pop(call, None)
    calls[call] = None


def _has_other_arguments(call: _OpenCall, arguments: Json) -> bool:
    """Tell whether a part with the name of a complete call has other complete arguments; "{}" may be a placeholder."""
    if not call.is_complete():
        return False
    new = _parsed(arguments) if isinstance(arguments, str) else arguments
    return bool(new) and isinstance(new, dict) and _parsed(call.text()) not in ({}, new)


def _word(value: Json) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ""


def _index(value: Json) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _dumped(value: Json) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return "{}"


def _parsed(text: str) -> Json:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _arguments(text: str) -> str:
    """Return the arguments as JSON text: "{}" for none, and without a leading placeholder or repetition."""
    text = text.strip()
    if not text or text == "null":
        return "{}"
    if _parsed(text) is not None or text[0] != "{":
        return text
    try:
        first, end = fields.decode_json(text)
    except (ValueError, RecursionError):
        return text
    rest = text[end:].strip()
    if first == {}:
        return rest
    return text[:end] if _parsed(rest) == first else text
