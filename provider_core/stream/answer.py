"""Gathers one answer out of JSON values, each thing once and in order; bytes and the verdict are not its matter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_core.stream import carriers, usage
from provider_core.stream.extras import KEYS, Extras
from provider_core.stream.failures import from_value
from provider_core.stream.kept import Kept
from provider_core.stream.natives import translate
from provider_core.stream.speech import Speech
from provider_core.stream.toolcalls import ToolCalls
from provider_core.stream.verdict import meaning, raw_reason
from provider_core.stream.words import (
    announces_failure,
    complaint,
    is_failure,
    is_sign_of_life,
    may_complain,
)
from provider_core.types import Choice, Reasoning, Text, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provider_core.errors import CoreError
    from provider_core.types import Json, Usage

__all__ = ["Answer"]

_PATIENCE = 16
"""Chunks of another choice that are kept back while choice 0 may still come."""

_CHOICES = 128
"""Other choices that are read."""

# Keys that make more of a chunk, a choice or a delta than a piece of text.
_MORE_IN_CHUNK = frozenset(
    ("error", "base_resp", "x_groq", "type", "usageMetadata", "eval_count", "prompt_eval_count", *KEYS)
)
_MORE_IN_CHOICE = frozenset(("message", "text", "error", "usage", *KEYS))
_SPEAKING = ("content", "reasoning_content", "reasoning", "reasoning_details", "tool_calls", "refusal")
_PLAIN_DELTA = frozenset(("role", "content", "reasoning_content", "reasoning"))


class Answer:
    """The state of one answer; values go in by ``value``, text comes out of ``speech``."""

    def __init__(self, *, provider: str | None, secrets: tuple[str, ...]) -> None:
        self.speech: Speech = Speech()
        self.calls: ToolCalls = ToolCalls()
        self.kept: Kept = Kept()
        self.extras: Extras = Extras()
        self.others: dict[int, Answer] = {}
        """The other choices, by index."""
        self.usage: Usage | None = None
        self.finish: str | None = None
        self.failure: CoreError | None = None
        self.model: str = ""
        self.chunks: int = 0
        """Values that had the shape of an answer."""
        self.stray: Json = None
        """The first value with words in it that had no known shape."""
        self.complaint: Json = None
        """A value with nothing but words that came after text, and which no text has followed."""
        self.words: str = ""
        """A frame of plain words, which no finish reason has followed."""
        self.grown: int = 0
        """Chunks that brought text, reasoning or a call, without those that ``plain`` or the decoder took."""
        self.fresh: bool = False
        """Whether the last chunk brought text, reasoning or a call."""
        self.whole: bool = False
        """A message came in one piece."""
        self.replied: bool = False
        """A message came that says of itself that it is all."""
        self.piecemeal: bool = False
        """Something came that is a part of an answer by its shape."""
        self.refusal: bool = False
        self._provider, self._secrets = provider, secrets
        self._chosen: int | None = None
        self._others_size = 0
        self._waiting: list[tuple[int, dict[str, Json], bool]] = []
        self._said = self._thought = False  # by deltas or a message: what a later message repeats is skipped
        self._snapshot = ("", "")  # the thoughts and the text of the last message
        self._details: str | None = ""  # None once they proved to be no snapshots
        self._grew = False
        self._begun = False

    def value(self, value: Json, event: str = "") -> None:
        """Take one JSON value: a chunk, a reply, an error, or something else, which is skipped."""
        if isinstance(value, list):
            for item in value:
                if isinstance(item, dict):
                    self.value(item, event)
            return
        if not isinstance(value, dict):
            if event == "error":
                self.fail(value)
            self._note(value)
            return
        value = translate(value)
        if event == "error" or announces_failure(value):
            self.fail(value)
        choices = value.get("choices")
        if isinstance(choices, list):
            self.chunks += 1
            self._chunk(value, choices)
        elif isinstance(value.get("usage"), dict):
            self._chunk(value, [])
        else:
            self._note(value)

    def _note(self, stray: Json) -> None:
        """Keep a value of no known shape that has words, in case it turns out to be all there is."""
        if isinstance(stray, str):
            self.note_words(stray)
        elif self.chunks == 0 and not self.stray:
            self.stray = stray if complaint(stray).words else None
        elif self.chunks and self.finish is None and not self.complaint and may_complain(stray):
            self.complaint = stray

    def note_words(self, words: str) -> None:
        """Keep words that came in a chunk's place: they are a failure unless a finish reason follows."""
        if self.words.startswith("<"):
            self.words = f"{self.words}\n{words}"[:2000]  # the rest of a web page
        elif not self.settled and not self.words and not is_sign_of_life(words):
            self.words = words[:2000]

    @property
    def settled(self) -> bool:
        """Whether the answer is over: its finish reason has come, and the last chunk brought nothing else."""
        return self.finish is not None and self._begun and not self.fresh

    def grow(self) -> None:
        """Note that text, reasoning or a call came."""
        self.fresh = self._begun = True
        self.grown += 1
        self.complaint = None

    @property
    def beside(self) -> int:
        """About how many bytes are held of everything but the text and the reasoning of this choice."""
        return self.calls.size + self.kept.size + self.extras.size + self._others_size

    def plain(self, value: Json) -> tuple[bool, str] | None:
        """Take a chunk that goes on with text or thoughts and holds nothing else, the common case, in short.

        Return whether it was a thought, and the text; None, and nothing done, for any other value.
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
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if type(text) is str and text and not thought and self._said:
            self.speech.say(text)
            self.grow()
            return False, text
        if type(thought) is str and text in ("", None) and self._thought:
            self.speech.think(thought)
            self.grow()
            return True, thought
        return None

    def fail(self, value: Json) -> None:
        """Note that the server announced a failure; the first one counts."""
        if self.failure is None:
            self.failure = from_value(None, value, provider=self._provider, secrets=self._secrets)

    def settle(self) -> None:
        """Read the choice that came first, now that choice 0 will not come."""
        if self._chosen is None and self._waiting:
            self._chosen = self._waiting[0][0]
            for index, choice, complete in self._waiting:
                self._sort(index, choice, complete)
        self._waiting.clear()

    def _sort(self, index: int, choice: dict[str, Json], complete: bool) -> None:
        """Read a choice, or let another answer read it."""
        if index == self._chosen:
            self._choice(choice, complete)
        elif index in self.others or len(self.others) < _CHOICES:
            other = self.others.get(index)
            if other is None:
                other = self.others[index] = Answer(provider=self._provider, secrets=self._secrets)
            other._choice(choice, complete)
            self._others_size += len(repr(choice))

    def _chunk(self, chunk: dict[str, Json], choices: list[Json]) -> None:
        self.fresh = False
        self.extras.take(chunk)
        model = chunk.get("model")
        if isinstance(model, str) and model:
            self.model = model
        found = usage.read(chunk, choices[0] if choices else None)
        if found is not None:
            self.usage = usage.merge(self.usage, found)
        groq = chunk.get("x_groq")
        if isinstance(groq, dict) and is_failure(groq.get("error")):
            self.fail(groq)
        complete = chunk.get("object") == "chat.completion"
        self.piecemeal = self.piecemeal or chunk.get("object") == "chat.completion.chunk"
        self.whole = self.whole or (complete and not choices)
        for position, choice in enumerate(choices):
            if isinstance(choice, dict):
                self._choose(choice, position, complete)

    def _choose(self, choice: dict[str, Json], position: int, complete: bool) -> None:
        """Read choice 0; another one only if 0 never comes."""
        index = choice.get("index")
        index = index if isinstance(index, int) and not isinstance(index, bool) else position
        if index == 0 and self._chosen is None:
            self._chosen = 0
            for waiting in self._waiting:
                self._sort(*waiting)
            self._waiting.clear()
        if self._chosen is None:
            self._waiting.append((index, choice, complete))
            if len(self._waiting) >= _PATIENCE:
                self.settle()
        else:
            self._sort(index, choice, complete)

    def _choice(self, choice: dict[str, Json], complete: bool) -> None:
        if is_failure(choice.get("error")):
            self.fail(choice)
        reason = _reason(choice)
        if reason is not None:
            self.words = ""
            if self.finish is None or meaning(self.finish) in (None, "stop"):
                self.finish = reason
        self.extras.take(choice)
        self.extras.take_logprobs(choice.get("logprobs"))
        delta, message, text = choice.get("delta"), choice.get("message"), choice.get("text")
        if isinstance(delta, str | list):
            delta = {"content": delta}
        if isinstance(message, str | list):
            message = {"content": message}
        if isinstance(delta, dict):
            self.piecemeal = True
            self._delta(delta)
        if isinstance(message, dict):
            alone = not (isinstance(delta, dict) and any(delta.get(key) for key in _SPEAKING))
            replied = alone and (complete or reason is not None)
            self._message(message, complete=replied)
            self.replied = self.replied or replied
            self.whole = self.whole or alone
        elif isinstance(text, str) and text and not self._said:
            self.piecemeal = True
            self.grow()
            self.speech.say(text)

    def _delta(self, delta: dict[str, Json]) -> None:
        pieces = carriers.contents(delta)
        thought = carriers.reasoning(delta) or self._fresh(carriers.details(delta))
        if (
            self._take_extras(delta)
            or thought
            or pieces
            or delta.get("tool_calls")
            or delta.get("function_call")
        ):
            self.grow()
        if thought:
            self._thought = True
            self.speech.think(thought)
        for is_thought, text in pieces:
            if not is_thought:
                self._said = True
                self.speech.say(text)
            elif not thought:
                self._thought = True
                self.speech.think(text)
        self._refuse(delta.get("refusal"))
        self.kept.delta(delta)
        self.calls.feed(delta.get("tool_calls"))
        self.calls.feed_legacy(delta.get("function_call"))

    def _message(self, message: dict[str, Json], *, complete: bool) -> None:
        """Read a message that stands in a delta's place, or beside or behind deltas, whose words it repeats."""
        pieces = carriers.contents(message)
        thought = carriers.reasoning(message) or carriers.details(message)
        thought = thought or "".join(text for is_thought, text in pieces if is_thought)
        text = "".join(text for is_thought, text in pieces if not is_thought)
        earlier_thought, earlier_text = self._snapshot
        fresh_text, fresh_thought = text and not self._said, thought and not self._thought
        if (
            self._take_extras(message)
            or fresh_text
            or fresh_thought
            or (message.get("tool_calls") and not self.calls)
        ):
            self.grow()
        if fresh_thought:
            self.speech.think(thought.removeprefix(earlier_thought))
        if fresh_text:
            if complete and not earlier_text:
                self.speech.say_whole(text)
            else:
                self.speech.say(text.removeprefix(earlier_text))
        self._snapshot = (thought or earlier_thought, text or earlier_text)
        if not self._said:
            self._refuse(message.get("refusal"))
        self.kept.message(message)
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

    def choices(self) -> Iterator[Choice]:
        """Yield the other choices, now that nothing follows."""
        for index, other in sorted(self.others.items()):
            said = other.speech.close(cut=False)
            calls = tuple(other.calls.finish(Verdict.COMPLETE))
            reason = meaning(other.finish) or "stop" if other.finish is not None else None
            yield Choice(
                index=index,
                text="".join(event.text for event in said if isinstance(event, Text)),
                reasoning="".join(event.text for event in said if isinstance(event, Reasoning)),
                tool_calls=calls,
                finish="tool_calls" if calls and reason in (None, "stop") else reason,
                logprobs=other.extras.logprobs or None,
            )

    def _fresh(self, text: str) -> str:
        """Return what ``reasoning_details`` add: MiniMax repeats all earlier thoughts in each of them."""
        earlier = self._details
        if not text or earlier is None:
            return text
        if text.startswith(earlier) and (self._grew or len(text) > len(earlier)):
            self._details = text
            self._grew = self._grew or bool(earlier.strip())
            return text[len(earlier) :] if earlier.strip() else text
        self._details = text if self._grew else None
        return text

    def _refuse(self, refusal: Json) -> None:
        if isinstance(refusal, str) and refusal:
            self.refusal = True
            self.grow()
            self.speech.say_plainly(refusal)


def _reason(choice: dict[str, Json]) -> str | None:
    """Return the finish reason; OpenRouter's ``native_finish_reason`` where that says more than a stop."""
    reason, native = raw_reason(choice.get("finish_reason")), raw_reason(choice.get("native_finish_reason"))
    if native is not None and (reason is None or meaning(reason) in (None, "stop")):
        return native if meaning(native) not in (None, "stop", "tool_calls") or reason is None else reason
    return reason
