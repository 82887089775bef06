"""Reads chunks and replies, in OpenAI's shape and in other dialects, into the state of one answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeAlias

from provider_core.stream.extras import (
    KEYS,
    SENT_BACK,
    Extras,
    PassthroughFields,
    dict_in,
    list_in,
    merge_usage,
    nested_text,
    read_usage,
    str_in,
)
from provider_core.stream.pieces import TextBuffer, ToolCallBuilder
from provider_core.stream.verdict import finish_reason, standard_reason
from provider_core.types import Choice, Reasoning, Text, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

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
_SHAPE = frozenset(
    ("id", "object", "created", "model", "choices", "usage", "system_fingerprint", "provider", "service_tier",
     "obfuscation", "prompt_filter_results", "timings", "x_groq", *KEYS)
)  # fmt: skip
"""Keys of a chunk that never report a failure: most chunks have no others, and need no reader of errors."""


class AnswerState:
    """The state of one answer. Feed JSON values to ``add``; the text is in ``text``."""

    def __init__(self) -> None:
        self.text: TextBuffer = TextBuffer()
        self.calls: ToolCallBuilder = ToolCallBuilder()
        self.passthrough: PassthroughFields = PassthroughFields()
        self.extras: Extras = Extras()
        self.usage: Usage | None = None
        self.finish: str | None = None
        self.failures: list[Json] = []
        """The first failure that the server reported."""
        self.model: str = ""
        self.chunks: int = 0
        """Values in the shape of an answer."""
        self.unknown: Json = None
        """The first value with words in it that had no known shape."""
        self.suspect: Json = None
        """A value with nothing but words that came after text, and which no text has followed."""
        self.words: str = ""
        """A frame of plain words, which no finish reason has followed."""
        self.grown: bool = False
        """Whether text, reasoning or a call came since the owner reset this."""
        self.growing: bool = False
        """Whether the last chunk had text, reasoning or a call."""
        self.whole: bool = False
        """Whether a message came in one piece."""
        self.replied: bool = False
        """Whether a message came that is complete by its own account."""
        self.in_pieces: bool = False
        """Whether something came that is a part of an answer by its shape."""
        self.refusal: bool = False
        self._others: dict[int, AnswerState] = {}
        self._others_size = 0
        self._chosen: int | None = None
        self._waiting: list[tuple[int, dict[str, Json], bool]] = []
        # Whether text and reasoning came; what a later message repeats is skipped.
        self._has_text = self._has_reasoning = False
        self._last_message = ("", "")  # its reasoning and its text
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
        value = to_openai(value)
        if event == "error" or self._reports_failure(value):
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
            self.text.add(text, is_reasoning=False)
            return False, text
        if type(reasoning) is str and text in ("", None) and self._has_reasoning:
            self._grow()
            self.text.add(reasoning, is_reasoning=True)
            return True, reasoning
        return None

    def add_words(self, words: str) -> None:
        """Take words that came in place of a chunk: they are a failure unless a finish reason follows."""
        if self.words.startswith("<"):
            self.words = f"{self.words}\n{words}"[:2000]  # the rest of a web page
        elif not self.settled and not self.words:
            from provider_core.stream.error_body import is_keepalive

            self.words = "" if is_keepalive(words) else words[:2000]

    def fail(self, value: Json) -> None:
        """Note that the server reported a failure; the first one is reported."""
        if not self.failures:
            self.failures.append(value)

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
        from provider_core.stream.error_body import ErrorPayload, may_be_error

        if isinstance(value, str):
            self.add_words(value)
        elif self.chunks == 0 and not self.unknown:
            self.unknown = value if ErrorPayload(value).words else None
        elif self.chunks and self.finish is None and not self.suspect and may_be_error(value):
            self.suspect = value

    def _reports_failure(self, value: dict[str, Json]) -> bool:
        if value.keys() <= _SHAPE and value.get("object") != "error":
            return False
        from provider_core.stream.error_body import is_error_event

        return is_error_event(value)

    def _grow(self) -> None:
        self.growing = self.grown = self._begun = True
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
        self._fail_if_error(dict_in(chunk, "x_groq"))
        complete = chunk.get("object") == "chat.completion"
        self.in_pieces = self.in_pieces or chunk.get("object") == "chat.completion.chunk"
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
                other = self._others[index] = AnswerState()
            other._choice(choice, complete)
            self._others_size += len(repr(choice))
            self.grown = True

    def _fail_if_error(self, value: dict[str, Json]) -> None:
        """Note a failure if the object has an ``error``, as a choice and Groq's extras may have."""
        if value.get("error"):
            from provider_core.stream.error_body import is_error

            if is_error(value["error"]):
                self.fail(value)

    def _choice(self, choice: dict[str, Json], complete: bool) -> None:
        self._fail_if_error(choice)
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
            self.text.add(text, is_reasoning=False)

    def _delta(self, delta: dict[str, Json]) -> None:
        pieces, new_details = _content(delta), self.passthrough.add_delta(delta)
        reasoning = _reasoning(delta) or new_details
        calls, legacy_call = delta.get("tool_calls"), delta.get("function_call")
        if self._take_extras(delta) or reasoning or pieces or calls or legacy_call:
            self._grow()
        self.grown = self.grown or not SENT_BACK.isdisjoint(delta)
        if reasoning:
            self._has_reasoning = True
            self.text.add(reasoning, is_reasoning=True)
        for is_reasoning, text in pieces:
            if not is_reasoning:
                self._has_text = True
                self.text.add(text, is_reasoning=False)
            elif not reasoning:
                self._has_reasoning = True
                self.text.add(text, is_reasoning=True)
        self._refuse(delta.get("refusal"))
        self.calls.feed(calls)
        self.calls.feed_legacy(legacy_call)

    def _message(self, message: dict[str, Json], *, complete: bool) -> None:
        """Read a message in place of a delta, or together with or after deltas, whose words it repeats."""
        pieces = _content(message)
        reasoning = _reasoning(message) or nested_text(message.get("reasoning_details"))
        reasoning = reasoning or "".join(text for is_reasoning, text in pieces if is_reasoning)
        text = "".join(text for is_reasoning, text in pieces if not is_reasoning)
        earlier_reasoning, earlier_text = self._last_message
        new_text, new_reasoning = text and not self._has_text, reasoning and not self._has_reasoning
        new_calls = message.get("tool_calls") and not self.calls
        if self._take_extras(message) or new_text or new_reasoning or new_calls:
            self._grow()
        if new_reasoning:
            self.text.add(reasoning.removeprefix(earlier_reasoning), is_reasoning=True)
        if new_text:
            if complete and not earlier_text:
                self.text.add_complete(text)
            else:
                self.text.add(text.removeprefix(earlier_text), is_reasoning=False)
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

    def _refuse(self, refusal: Json) -> None:
        if isinstance(refusal, str) and refusal:
            self.refusal = True
            self._grow()
            self.text.add_refusal(refusal)


# --- other dialects ------------------------------------------------------------------------------------------


def to_openai(value: dict[str, Json]) -> dict[str, Json]:
    """Return a chunk of Ollama, Gemini, Cloudflare or DashScope as a chat completion; anything else unchanged."""
    if (blocked := _blocked(value)) is not None:
        return {**value, "choices": [{"delta": {}, "finish_reason": blocked}]}
    if "choices" in value and value["choices"] is not None:
        return value
    for key in ("data", "result", "response"):  # gateways that wrap a reply once more
        inner = value.get(key)
        if isinstance(inner, dict) and ("choices" in inner or "response" in inner):
            return to_openai({**inner, "wrapped": True}) if "choices" not in inner else inner
    if isinstance(value.get("candidates"), list):
        choices = [_gemini(each) for each in value["candidates"] if isinstance(each, dict)]
        return {**value, "model": value.get("modelVersion"), "choices": choices}
    output = value.get("output")
    if isinstance(output, dict) and isinstance(output.get("choices"), list):
        return {**value, "search_info": output.get("search_info"), "choices": output["choices"]}
    if isinstance(output, dict) and isinstance(output.get("text"), str):
        choice = {"message": {"content": output["text"]}, "finish_reason": output.get("finish_reason")}
        return {**value, "choices": [choice]}
    if isinstance(value.get("message"), dict) and "done" in value:
        return {**value, "choices": [_ollama(value, value["message"])]}
    if isinstance(value.get("response"), str):
        more = {key: value.get(key) for key in ("thinking", "tool_calls")}
        return {**value, "choices": [_ollama(value, {"content": value["response"], **more})]}
    return value


def _ollama(value: dict[str, Json], body: dict[str, Json]) -> dict[str, Json]:
    """Read ``message`` and ``done`` of Ollama; Cloudflare's ``response`` has neither an end nor a reason."""
    done = bool(value.get("done"))
    key = "message" if done or value.get("wrapped") else "delta"
    return {key: body, "finish_reason": (value.get("done_reason") or "stop") if done else None}


def _blocked(value: dict[str, Json]) -> str | None:
    """Return why Gemini refused the prompt, in which case there are no candidates."""
    feedback = dict_in(value, "promptFeedback") or dict_in(value, "prompt_feedback")
    reason = str_in(feedback, "blockReason") or str_in(feedback, "block_reason")
    if not reason or value.get("choices") or value.get("candidates"):
        return None
    return f"BLOCK_REASON_{reason}" if reason.upper() == "OTHER" else reason


def _gemini(candidate: dict[str, Json]) -> dict[str, Json]:
    parts = [part for part in list_in(candidate.get("content"), "parts") if isinstance(part, dict)]
    calls = [part["functionCall"] for part in parts if isinstance(part.get("functionCall"), dict)]
    return {
        "index": candidate.get("index"),
        "delta": {
            "content": parts,
            "tool_calls": [
                {"id": call.get("id"), "function": {**call, "arguments": call.get("args")}} for call in calls
            ],
        },
        "finish_reason": candidate.get("finishReason"),
        **{key: candidate[key] for key in ("groundingMetadata", "citationMetadata") if key in candidate},
    }


# --- text and reasoning in a delta or a message --------------------------------------------------------------

_REASONING = ("reasoning_content", "reasoning", "thinking", "thought", "reasoning_text", "thoughts")
_REASONING_BLOCKS = ("thinking", "reasoning", "thought", "summary", "reasoning_text", "summary_text")

_TextPiece: TypeAlias = tuple[bool, str]
"""Whether it is reasoning, and its text."""


def _reasoning(body: dict[str, Json]) -> str:
    """Return the reasoning from the first field that has any: several fields repeat it."""
    for key in _REASONING:
        value = body.get(key)
        if value and not isinstance(value, bool) and (text := nested_text(value)):
            return text
    return nested_text(list_in(body, "thinking_blocks"))


def _content(body: dict[str, Json]) -> list[_TextPiece]:
    """Return the pieces of a ``content`` of any type."""
    pieces = _blocks(body.get("content"))
    if body.get("thought") is True:  # Gemini's own flag, as some gateways pass it on
        return [(True, text) for _, text in pieces]
    return pieces or _blocks(str_in(body.get("audio"), "transcript"))


def _blocks(value: Json) -> list[_TextPiece]:
    match value:
        case str():
            return [(False, value)] if value else []
        case list():
            return [piece for item in value if isinstance(item, str | dict) for piece in _blocks(item)]
        case dict():
            return _block(value)
        case bool() | None:
            return []
        case _:
            return [(False, json.dumps(value))]


def _block(block: dict[str, Json]) -> list[_TextPiece]:
    kind = block.get("type")
    if kind in _REASONING_BLOCKS or block.get("thought") is True:
        reasoning = nested_text(block)
        return [(True, reasoning)] if reasoning else []
    if kind == "reference" and isinstance(
        block.get("reference_ids"), list
    ):  # Mistral: the caller's documents
        return [(False, f"[{each}]") for each in block["reference_ids"] if isinstance(each, int | str)]
    if kind in (None, "", "text", "output_text", "text_delta", "refusal"):
        text = block.get("text") or block.get("refusal")
        if isinstance(text, dict):
            text = text.get("value")
        if isinstance(text, str) and text:
            return [(False, text)]
    return []
