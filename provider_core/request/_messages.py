"""The messages of a conversation as the provider accepts them: which ones there are, and the fields of each."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from provider_core.structs import replace
from provider_core.types import AudioPart, FilePart, ImagePart, Message, TextPart

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from provider_core.types import Json, Part, Provider, Quirks, ToolCall

_NO_RESULT = "There is no result: the call was not run, or not to its end."
_NO_ANSWER = "(No answer: it was broken off.)"
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def wire_messages(
    provider: Provider, turns: Sequence[Message], *, tools: bool, images: bool, model: str
) -> list[dict[str, Json]]:
    """The ``messages`` of a body that offers ``tools``, for a model that reads ``images``.

    There is one system message, and it comes first; no assistant message is empty; each tool call has a result, and
    each result its call; an answer separates a result from the next user message; and reasoning and extra fields come
    only from turns that this provider wrote.
    """
    quirks = provider.quirks
    rest = [_without_cut_calls(turn) for turn in turns if turn.role != "system"]
    rest = [turn for turn in rest if not _is_empty(turn)]
    rest = [_own(provider, turn) for turn in _with_answers(_with_results(rest), _NO_ANSWER)]
    as_text = not tools and quirks.earlier_calls == "text"
    if not images:
        rest = list(map(_result_without_images, rest))
    elif as_text or quirks.tool_images == "user":
        rest = list(_images_after_results(rest))
        # By their names: these models run on servers of every provider.
        if any(part in model.lower() for part in ("stral", "mixtral")):
            rest = list(_with_answers(rest, "I will look at the images."))
    else:
        rest = list(map(_result_with_text, rest))
    if as_text:
        rest = list(_calls_as_text(rest))
    system = "\n\n".join(filter(None, (_text(turn.content) for turn in turns if turn.role == "system")))
    if system and quirks.system_role == "user":
        rest = _before_first_user(system, rest)
    elif system:
        rest.insert(0, Message(role="system", content=system))
    if quirks.alternate_roles:
        rest = _merge_neighbours(rest)
    reasoning = quirks.reasoning_send_back == "reasoning_content" and (
        tools or any(turn.tool_calls for turn in rest)
    )
    return [_message(quirks, turn, reasoning=reasoning) for turn in rest]


# --- which messages ----------------------------------------------------------------------------------------


def _without_cut_calls(turn: Message) -> Message:
    if not any(call.cut for call in turn.tool_calls):
        return turn
    return replace(turn, tool_calls=tuple(call for call in turn.tool_calls if not call.cut))


def _is_empty(turn: Message) -> bool:
    """Whether this is what a failed or empty answer leaves: several servers refuse it, and blanks too."""
    if turn.role != "assistant" or turn.tool_calls:
        return False
    return not (turn.content.strip() if isinstance(turn.content, str) else turn.content)


def _with_results(turns: Iterable[Message]) -> Iterator[Message]:
    """Pair calls with results: OpenAI and others refuse one without the other."""
    waiting: list[str] = []

    def missing() -> Iterator[Message]:
        for id_ in waiting:
            yield Message(role="tool", tool_call_id=id_, content=_NO_RESULT)
        waiting.clear()

    for turn in turns:
        if turn.role == "tool":
            if turn.tool_call_id in waiting:
                waiting.remove(turn.tool_call_id)
                yield turn
            continue
        if not turn.tool_calls:
            yield from missing()
        waiting += (call.id for call in turn.tool_calls)
        yield turn
    yield from missing()


def _with_answers(turns: Iterable[Message], answer: str) -> Iterator[Message]:
    """Put an answer between a result and a user message, as after an interrupt.

    Mistral's models refuse one right after the other: https://github.com/yetone/avante.nvim/issues/2562,
    https://github.com/LibreChat-AI/agents/issues/344
    """
    last = ""
    for turn in turns:
        if (last, turn.role) == ("tool", "user"):
            yield Message(role="assistant", content=answer)
        yield turn
        last = turn.role


def _images_after_results(turns: Iterable[Message]) -> Iterator[Message]:
    """Move the images of results into a user message after all results of a turn."""
    calls: dict[str, str] = {}
    images: list[Part] = []

    def moved() -> Iterator[Message]:
        if images:
            yield Message(role="user", content=tuple(images))
            images.clear()

    for turn in turns:
        if turn.role != "tool":
            yield from moved()
            calls |= {call.id: call.name for call in turn.tool_calls}
            yield turn
        elif found := _images(turn):
            what = "The image" if len(found) == 1 else f"The {len(found)} images"
            name = calls.get(turn.tool_call_id, "the tool")
            images += [TextPart(text=f"{what} in the result of {name}:"), *found]
            note = f"[The result has {_counted(found)}, in the message after the results.]"
            yield _with_note(turn, note)
        else:
            yield turn
    yield from moved()


def _result_with_text(turn: Message) -> Message:
    """Put a text before images alone: a server that reads only text would find an empty result."""
    if turn.role != "tool" or not (found := _images(turn)) or _text(turn.content):
        return turn
    return replace(turn, content=(TextPart(text=f"[The result is {_counted(found)}.]"), *found))


def _result_without_images(turn: Message) -> Message:
    if turn.role != "tool" or not (found := _images(turn)):
        return turn
    return _with_note(turn, f"[The result has {_counted(found)} as well, which cannot be shown to you.]")


def _images(turn: Message) -> list[ImagePart]:
    return [part for part in turn.content if isinstance(part, ImagePart)]


def _counted(images: list[ImagePart]) -> str:
    return "1 image" if len(images) == 1 else f"{len(images)} images"


def _with_note(turn: Message, note: str) -> Message:
    return replace(turn, content=f"{_text(turn.content)}\n{note}".lstrip("\n"))


def _calls_as_text(turns: Iterable[Message]) -> Iterator[Message]:
    """Calls and results as the user's text: if the assistant had written it, a model would start to imitate it."""
    calls: dict[str, ToolCall] = {}
    for turn in turns:
        if turn.role == "tool" and turn.tool_call_id in calls:
            call = calls[turn.tool_call_id]
            words = f"[The tool {call.name} was called with {call.arguments} and brought:]"
            yield Message(role="user", content=f"{words}\n{_text(turn.content)}")
            continue
        calls |= {call.id: call for call in turn.tool_calls}
        if turn.content or not turn.tool_calls:
            yield replace(turn, tool_calls=(), reasoning="", reasoning_details=(), extra={})


def _own(provider: Provider, turn: Message) -> Message:
    """Remove reasoning and extra fields of another provider: only that one accepts its signatures."""
    if turn.role != "assistant" or turn.provider in ("", provider.name):
        return turn
    calls = tuple(replace(call, extra={}) for call in turn.tool_calls)
    return replace(turn, reasoning="", reasoning_details=(), extra={}, tool_calls=calls)


def _before_first_user(text: str, turns: list[Message]) -> list[Message]:
    for at, turn in enumerate(turns):
        if turn.role == "user":
            merged = replace(turn, content=_joined(text, turn.content))
            return [*turns[:at], merged, *turns[at + 1 :]]
    return [Message(role="user", content=text), *turns]


def _merge_neighbours(turns: Iterable[Message]) -> list[Message]:
    merged: list[Message] = []
    for turn in turns:
        last = merged[-1] if merged else None
        if last and last.role == turn.role != "tool" and not last.tool_calls:
            merged[-1] = replace(turn, content=_joined(last.content, turn.content))
        else:
            merged.append(turn)
    return merged


def _joined(first: str | tuple[Part, ...], second: str | tuple[Part, ...]) -> str | tuple[Part, ...]:
    if not first or not second:
        return first or second
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n\n{second}"
    return (*_parts(first), *_parts(second))


def _parts(content: str | tuple[Part, ...]) -> tuple[Part, ...]:
    return (TextPart(text=content),) if isinstance(content, str) else content


# --- the fields of a message -------------------------------------------------------------------------------


def _message(quirks: Quirks, turn: Message, *, reasoning: bool) -> dict[str, Json]:
    fields: dict[str, Json] = {"role": turn.role, "content": _content(turn.content)}
    if turn.role == "system" and quirks.system_role == "developer":
        fields["role"] = "developer"
    elif turn.role == "tool":
        fields["tool_call_id"] = _call_id(quirks, turn.tool_call_id)
    elif turn.role == "assistant" and (reasoning or turn.tool_calls):
        fields |= _reasoning(quirks, turn)
        if turn.tool_calls:
            # Null if empty: Bedrock, and gateways to it, refuse an empty text. https://github.com/vercel/ai/pull/14950
            fields["content"] = fields["content"] or None
            fields["tool_calls"] = [_call(quirks, call) for call in turn.tool_calls]
            fields = {**turn.extra, **fields}
    return fields


def _content(content: str | tuple[Part, ...]) -> Json:
    """A plain text if there is nothing else: old and small servers accept no other form."""
    if isinstance(content, str) or all(isinstance(part, TextPart) for part in content):
        return _text(content)
    return [wire_part(part) for part in content]


def wire_part(part: Part) -> dict[str, Json]:
    """A part of a message in the form of OpenAI's API."""
    match part:
        case TextPart(text=text):
            return {"type": "text", "text": text}
        case ImagePart(url=url):
            return {"type": "image_url", "image_url": {"url": url}}
        case FilePart(name=name, url=url):
            return {"type": "file", "file": {"filename": name, "file_data": url}}
        case AudioPart(data=data, format=format_):
            return {"type": "input_audio", "input_audio": {"data": data, "format": format_}}


def _text(content: str | tuple[Part, ...]) -> str:
    if isinstance(content, str):
        return content
    return "\n\n".join(part.text for part in content if isinstance(part, TextPart))


def _reasoning(quirks: Quirks, turn: Message) -> dict[str, Json]:
    match quirks.reasoning_send_back:
        case "reasoning_content":
            # Even if it is empty, and for answers without calls: DeepSeek and Kimi refuse a conversation with tools if
            # one assistant message lacks the field. https://github.com/MoonshotAI/kimi-cli/issues/2141
            return {"reasoning_content": turn.reasoning}
        case "reasoning_details" if turn.reasoning_details:
            return {"reasoning_details": list(turn.reasoning_details)}
        case "reasoning" | "reasoning_details" if turn.reasoning:
            # Reasoning that arrived as text goes back as text: openrouter.ai "Reasoning Tokens".
            return {"reasoning": turn.reasoning}
        case "think_tags" if turn.reasoning:
            return {"content": _content(_joined(f"<think>\n{turn.reasoning}\n</think>", turn.content))}
        case _:
            return {}


def _call(quirks: Quirks, call: ToolCall) -> dict[str, Json]:
    # A model may have made the name up; OpenAI restricts its characters.
    name = re.sub(r"[^a-zA-Z0-9_-]", "_", call.name)[:64]
    return {
        **call.extra,
        "id": _call_id(quirks, call.id),
        "type": "function",
        "function": {"name": name, "arguments": _arguments(call.arguments)},
    }


def _arguments(text: str) -> str:
    """The arguments, or an empty object for a model's invalid JSON, which servers refuse when it comes back.

    Ollama does (openai/openai.go), and the templates of vLLM and llama.cpp parse it too.
    """
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return "{}"
    if not isinstance(value, dict):
        return "{}"
    # Most parsers refuse an unescaped line end within a string.
    return text if text.isprintable() else json.dumps(value)


def _call_id(quirks: Quirks, id_: str) -> str:
    """The id as the provider accepts it; the same one in the call and in its result."""
    if quirks.tool_call_ids == "any" or (len(id_) == 9 and id_.isascii() and id_.isalnum()):
        return id_
    from hashlib import sha256

    number = int.from_bytes(sha256(id_.encode("utf-8", "replace")).digest()[:8])
    return "".join(_DIGITS[number // 62**place % 62] for place in range(9))
