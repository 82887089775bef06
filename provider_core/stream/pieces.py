"""Joins what arrives in pieces: the text and the reasoning of an answer, and its tool calls.

An opening tag of reasoning counts only at the beginning of an answer: later, the answer may be about tags. Nothing is
held back but blanks at the beginning and what may become a tag.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING, Final

from provider_core.stream.extras import PIECE, decode_json
from provider_core.structs import pattern
from provider_core.types import Reasoning, Text, ToolCall, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from provider_core.types import AnswerEvent, Json

# --- text and reasoning ----------------------------------------------------------------------------------------

_BLANKS: Final = (
    "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180e"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b\u200c\u200d\u200e\u200f"
    "\u2028\u2029\u202f\u205f\u2060\u2061\u2062\u2063\u2064\u2800\u3000\u3164\ufeff\uffa0"
)
"""White space, and other characters without width or ink."""

_PAIRS: Final = {
    "<think>": "</think>", "<thinking>": "</thinking>", "<thought>": "</thought>", "<reasoning>": "</reasoning>",
    "[THINK]": "[/THINK]", "<seed:think>": "</seed:think>", "◁think▷": "◁/think▷", "###Thinking": "###Response",
    "<|begin_of_thought|>": "<|end_of_thought|>", "<|channel>thought": "<channel|>",
}  # fmt: skip
_HARMONY: Final = ("<|channel|>", "<|start|>assistant")
_LONE: Final = ("</think>", "[/THINK]", "</seed:think>", "◁/think▷")
"""Closing tags that come without an opening one if the chat template put that into the prompt."""
_STARTS: Final = (*_PAIRS, *_HARMONY, *_LONE)
_LONE_TAG = pattern("|".join(map(re.escape, _LONE)))
_TAGS: Final = (*(opener for opener, closer in _PAIRS.items() if closer in _LONE), *_LONE)
_TAG = pattern("|".join(map(re.escape, _TAGS)))
_LINE_END = pattern(r"[ \t\r]{0,64}(\n|\Z)?")
_RECIPIENT = pattern(r"\bto=\S+")
_HARMONY_TOKEN = pattern(r"<\|(start|channel|message|end|return|call|constrain)\|>")


class TextBuffer:
    """The text and the reasoning of one answer. ``take`` returns the events since the last call."""

    def __init__(self) -> None:
        self.received: bool = False
        """Whether any event was returned."""
        self.has_text: bool = False
        """Whether text other than blanks came, refusals aside."""
        self.has_reasoning: bool = False
        self.blanks: int = 0
        """Blank characters at the end so far: some models never stop sending them."""
        self._tags = _ReasoningTags(self._put)
        self._raw: list[str] = []  # pieces of one kind that were not searched for tags yet
        self._raw_is_reasoning = False
        self._events: list[AnswerEvent] = []
        self._run: list[str] = []  # the text of the next event
        self._run_is_reasoning: bool | None = None
        self._held_blanks: list[str] = []
        self._half = ""

    def add(self, text: str, *, is_reasoning: bool) -> None:
        """Add text of the answer, in which reasoning may stand between tags, or reasoning of a field of its own."""
        if self._raw_is_reasoning is not is_reasoning:
            self._search()
            self._raw_is_reasoning = is_reasoning
        self._raw.append(text)

    def add_complete(self, text: str) -> None:
        """Add the text of a reply that came in one piece."""
        self._search()
        self._tags.feed(text, complete=True)

    def add_refusal(self, text: str) -> None:
        """Add text that is not an answer."""
        self._search()
        self._tags.close(cut=True)
        had_text = self.has_text
        self._put(False, text)
        self.has_text = had_text

    def take(self) -> list[AnswerEvent]:
        """Return the events made of everything that was added."""
        self._search()
        self._end_run(last=False)
        events, self._events = self._events, []
        return events

    def close(self, *, cut: bool) -> list[AnswerEvent]:
        """Return the last events. After the last character of a ``cut`` answer, more may have been on its way."""
        self._search()
        self._tags.close(cut=cut)
        self._end_run(last=True)
        return self._events

    def _search(self) -> None:
        if not self._raw:
            return
        text = self._raw[0] if len(self._raw) == 1 else "".join(self._raw)
        self._raw.clear()
        self.blanks = 0 if text.strip(_BLANKS) else self.blanks + len(text)
        if self._raw_is_reasoning:
            self._put(True, text)
        else:
            self._tags.feed(text)

    def _put(self, is_reasoning: bool, text: str) -> None:
        if is_reasoning:
            if self._run_is_reasoning is not True and text.isspace():
                self._held_blanks.append(text)  # noise, unless reasoning follows
                return
            self.has_reasoning = self._tags.reasoned = True
            text = "".join((*self._held_blanks, text))
        elif not self.has_text and not text.isspace():
            self.has_text = True
        self._held_blanks.clear()
        if is_reasoning is not self._run_is_reasoning:
            self._end_run(last=True)
            self._run_is_reasoning = is_reasoning
        self._run.append(text)

    def _end_run(self, *, last: bool) -> None:
        """Make the event of a run. Unless it is the ``last`` of its kind, half a surrogate pair waits for the rest."""
        if not self._run and not (self._half and last):
            return
        text = self._half + "".join(self._run)
        self._run.clear()
        self._half = ""
        if not text.isascii():
            if not last and "\ud800" <= text[-1] <= "\udbff":
                text, self._half = text[:-1], text[-1]
            text = _join_surrogates(text)
        if text:
            self.received = True
            self._events.append(Reasoning(text=text) if self._run_is_reasoning else Text(text=text))


def _join_surrogates(text: str) -> str:
    """Join surrogate pairs that came in two escapes; a half without its other half becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


class _ReasoningTags:
    """Separates the reasoning between tags from the text of one answer, and passes both to ``put``.

    A closing tag without an opening one means that everything before it was reasoning, provided that it begins or
    ends a line: within a line, an answer is about the tag. The first tag outside of code decides. Text that was shown
    already stays text, and only the tag is dropped; a reply that comes in one piece is separated correctly.
    """

    def __init__(self, put: Callable[[bool, str], None]) -> None:
        self._put = put  # takes whether it is reasoning, and the text
        self.reasoned: bool = False
        """Whether there was reasoning; also set by the owner if it came in a field of its own."""
        self._read: Callable[[], bool] = self._in_start  # by state; returns whether there may be more to read
        self._complete = False
        self._closer = ""
        self._held = ""
        self._blanks: list[str] = []
        self._has_text = False
        self._last = "\n"  # the last character of the text so far
        self._lone_possible = True  # a closing tag without an opening one may still come
        self._fresh = False  # this reasoning contains nothing but blanks so far
        self._ticks = 0  # backticks so far: an odd number means inside of code
        self._header: str | None = None  # of harmony's current message, while it is read
        self._channel = ""

    def feed(self, text: str, *, complete: bool = False) -> None:
        """Pass on what is certain by now; ``complete`` if the text is a complete answer."""
        if self._read == self._in_text and not self._held:
            no_tag = "<" not in text and "[" not in text and "◁" not in text
            if self.reasoned or not self._lone_possible or no_tag:
                self._ticks += text.count("`")
                self._last = text[-1:] or self._last
                self._put(False, text)
                return
        if text.isspace() and (self._read == self._in_start or self._fresh) and not self._held:
            self._blanks.append(text)
            return
        self._held = "".join((*self._blanks, self._held, text))
        self._blanks.clear()
        self._complete = complete
        while self._held and self._read():
            pass

    def close(self, *, cut: bool) -> None:
        """Pass on what is held because it might have become a tag.

        At the end of an answer that was not ``cut``, a closing tag without an opening one ends a line.
        """
        ends_line = self._read == self._in_text and not cut and self._lone_possible
        if not self._held.strip() or (ends_line and _LONE_TAG.match(self._held)):
            return
        if self._read == self._in_start:
            self._trim()
            self._read = self._in_text
        in_analysis = self._read == self._in_harmony and self._channel == "analysis"
        self._put(self._read == self._in_reasoning or in_analysis, self._held)
        self._held = ""

    def _in_start(self) -> bool:
        text = self._held.lstrip()
        if not text:
            self._blanks.append(self._held)
            self._held = ""
            return False
        opener = next((each for each in _STARTS if text.startswith(each)), None)
        if opener is None:
            if not self._complete and any(each.startswith(text) for each in _STARTS):
                return False
            self._trim()
            self._read = self._in_text
        elif opener in _HARMONY:
            self._read, self._held = self._in_harmony, text
        else:
            self._held = text[len(opener) :]
            if opener in _LONE:
                self.reasoned = True
            else:
                self._read, self._closer, self._fresh = self._in_reasoning, _PAIRS[opener], True
        return True

    def _in_reasoning(self) -> bool:
        at = self._held.find(self._closer)
        end = len(self._held) - _begun_tag(self._held, (self._closer,)) if at < 0 else at
        self._reason(self._held[:end])
        if at < 0:
            self._held = self._held[end:]
            return False
        self._held = self._held[at + len(self._closer) :]
        self._blanks.clear()
        self._read, self._fresh, self.reasoned = self._in_start, False, True
        return True

    def _in_text(self) -> bool:
        text = self._held
        if self._lone_possible and not self.reasoned:
            # The first tag outside of code decides: an opening one within the text is part of it, and so is its end.
            tags = _TAG.finditer(text)
            hit = next((hit for hit in tags if not (self._ticks + text.count("`", 0, hit.start())) % 2), None)
            if hit is None:
                text = text[: len(text) - (0 if self._complete else _begun_tag(text, _TAGS))]
            elif (alone := hit[0] in _LONE and self._is_alone(text, hit)) is None:
                text = text[: hit.start()]
            elif alone:
                before, self._held, self.reasoned = text[: hit.start()], text[hit.end() :], True
                if self._complete and not self._has_text:
                    self._put(True, before.lstrip("\r\n"))
                    self._read = self._in_start
                else:
                    self._say(before)
                return True
            else:
                self._lone_possible = False
        self._say(text)
        self._held = self._held[len(text) :]
        return False

    def _is_alone(self, text: str, hit: re.Match[str]) -> bool | None:
        """Tell whether the tag begins or ends a line; None if its line may go on."""
        if (text[hit.start() - 1] if hit.start() else self._last) == "\n":
            return True
        after = _LINE_END.match(text, hit.end())
        if after is None or after[1] is None:
            return False
        return True if after[1] == "\n" or self._complete else None

    def _in_harmony(self) -> bool:
        """Read the tokens of OpenAI's harmony format, which some servers leave in the text."""
        hit = _HARMONY_TOKEN.search(self._held)
        if hit is None:
            end = len(self._held) - (0 if self._complete else _begun_token(self._held))
            self._in_channel(self._held[:end])
            self._held = self._held[end:]
            return False
        self._in_channel(self._held[: hit.start()])
        self._held = self._held[hit.end() :]
        self._blanks.clear()
        self._fresh = False
        match hit[1]:
            case "start" | "channel":
                self._header = ""
            case "message":
                header, self._header = self._header or "", None
                self._channel = header.split(" ", 1)[0].strip()
                self._fresh = self._channel == "analysis"
                if not self._fresh and (recipient := _RECIPIENT.search(header)):
                    # A tool call that the server did not recognise: show which tool.
                    self._say(f"{recipient[0]} ")
            case "end" | "return" | "call":
                self._channel, self._header = "", None
        return True

    def _in_channel(self, text: str) -> None:
        if self._header is not None:
            self._header = (self._header + text)[:200]
        elif self._channel == "analysis":
            self._reason(text)
        else:
            self._say(text if self._has_text else text.lstrip("\r\n"))

    def _trim(self) -> None:
        """Drop the empty lines between reasoning and the answer; an indentation stays."""
        if self.reasoned and not self._has_text:
            blanks = self._held[: len(self._held) - len(self._held.lstrip())]
            self._held = self._held[blanks.rfind("\n") + 1 :]

    def _reason(self, text: str) -> None:
        if self._fresh:
            if not text.strip():
                self._blanks.append(text)
                return
            text = text.lstrip("\r\n")
            self._fresh = False
        if text:
            self.reasoned = True
            self._put(True, text)

    def _say(self, text: str) -> None:
        if text:
            self._ticks += text.count("`")
            self._last = text[-1]
            self._has_text = True
            self._put(False, text)


def _begun_tag(text: str, tags: tuple[str, ...]) -> int:
    """Return how many characters at the end of ``text`` may be the beginning of one of ``tags``."""
    sizes = range(min(max(map(len, tags)) - 1, len(text)), 0, -1)
    return next((size for size in sizes if any(tag.startswith(text[-size:]) for tag in tags)), 0)


def _begun_token(text: str) -> int:
    at = text.rfind("<")
    end = text[at:]
    return len(end) if at >= 0 and len(end) < 13 and "<|".startswith(end[:2]) and "|>" not in end else 0


# --- tool calls ----------------------------------------------------------------------------------------------

_CANDIDATES = 64
"""How many calls are compared with one part: otherwise, a hostile stream would cost their square."""
_OWN = frozenset(("index", "id", "type", "function", "name", "arguments"))


class _OpenCall:
    def __init__(self, index: int | None) -> None:
        self.id: str = ""
        self.name: str = ""
        self.index: int | None = index
        self.ids: set[str] = set()
        self.indexes: set[int | None] = {index}
        self.arguments: list[str] = []
        self.extra: dict[str, Json] = {}

    def text(self) -> str:
        return _arguments("".join(self.arguments))

    def is_complete(self) -> bool:
        """Tell whether the arguments end with the last brace of a JSON object."""
        last = next((part for part in reversed(self.arguments) if not part.isspace()), "")
        return bool(self.name) and last.rstrip().endswith("}") and isinstance(_parsed(self.text()), dict)


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
        self._recent: dict[_OpenCall, None] = {}  # the one with the latest part last
        self._latest: dict[str | int | None, _OpenCall] = {}  # by id, and by index

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
        call.ids.add(id_)
        call.indexes.add(index)
        self._latest |= {key: call for key in (id_, index) if key not in ("", None)}
        self._recent.pop(call, None)
        self._recent[call] = None
        if isinstance(arguments, str):
            blank = not arguments.strip()
            self.blanks = self.blanks + len(arguments) if blank else 0
            if arguments and (call.arguments or not blank):
                call.arguments.append(arguments)
        elif arguments is not None:
            arguments = _dumped(arguments)
            call.arguments[:] = [arguments]
        self.size += len(arguments or "") + len(id_) + len(name) + PIECE
        more = {key: value for key, value in part.items() if key not in _OWN and value is not None}
        call.extra.update(more)

    def _find(
        self, index: int | None, id_: str, name: str, arguments: Json, place: int | None
    ) -> _OpenCall | None:
        """Return the call that a part continues, or None if it begins one."""
        has_arguments = arguments not in ("", None)
        latest = itertools.islice(reversed(self._recent), _CANDIDATES)
        same = [self._latest[key] for key in (id_, index) if key in self._latest]
        recent = list(dict.fromkeys((*latest, *same)))
        at_place = self._calls[place : place + 1] if place is not None and place >= 0 else []
        known = [each for each in recent if id_ and id_ in each.ids]
        if known:
            # Some servers give all calls the same id: then index or place tells them apart.
            here = [each for each in known if index in each.indexes]
            candidates = at_place if place is not None and len(known) > 1 else known
            if index is not None:
                candidates = here or [each for each in known if not name or each.index is None]
        elif index is not None:
            candidates = [each for each in recent if index in each.indexes]
        elif id_ and not has_arguments:
            return None
        else:
            candidates = recent if place is None else at_place
        found = next((each for each in candidates if not (name and each.name) or name == each.name), None)
        if found is None:
            return None
        named_again = bool(name and found.name)
        if known:  # some servers repeat id and name in every part
            return None if named_again and _has_other_arguments(found, arguments) else found
        if id_ and found.id:  # some servers make a new id for every part
            return None if name or not has_arguments else found
        return None if named_again and (index is None or has_arguments) and found.is_complete() else found


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
        first, end = decode_json(text)
    except (ValueError, RecursionError):
        return text
    rest = text[end:].strip()
    if first == {}:
        return rest
    return text[:end] if _parsed(rest) == first else text
