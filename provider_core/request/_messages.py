"""A conversation as one provider takes it: which messages there are, and what each holds on the wire."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from provider_core.types import ImagePart, Message, TextPart

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from provider_core.types import Json, Part, Provider, Quirks, ToolCall

__all__ = ["messages"]

_NO_RESULT = "There is no result: the call was not run, or not to its end."
_NO_ANSWER = "(No answer: it was broken off.)"
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def messages(
    provider: Provider,
    turns: Sequence[Message],
    *,
    tools: bool = True,
    images: bool = False,
    model: str = "",
) -> list[dict[str, Json]]:
    """The ``messages`` of a body; ``tools`` says whether it offers any, ``images`` whether the model reads them.

    One system message, first; no assistant's message without content; a result for each tool call, and none
    without its call; an answer between a result and what the user says next; thoughts and extras only of turns
    that this provider wrote.
    """
    quirks = provider.quirks
    rest = [_without_cut_calls(turn) for turn in turns if turn.role != "system"]
    rest = [turn for turn in rest if not _says_nothing(turn)]
    rest = [_own(provider, turn) for turn in _answered(_paired(rest))]
    as_text = not tools and quirks.earlier_calls == "text"
    if not images:
        rest = list(map(_result_without_images, rest))
    elif as_text or quirks.tool_images == "user":
        # By their names, as they may be served anywhere.
        mistral = any(part in model.lower() for part in ("stral", "mixtral"))
        rest = list(_images_after_results(rest, bridge=mistral))
    else:
        rest = list(map(_result_with_text, rest))
    if as_text:
        rest = list(_told(rest))
    system = "\n\n".join(filter(None, (_text(turn.content) for turn in turns if turn.role == "system")))
    if system and quirks.system_role == "user":
        rest = _before_the_first_user(system, rest)
    elif system:
        rest.insert(0, Message(role="system", content=system))
    if quirks.alternate_roles:
        rest = _merged(rest)
    back = quirks.reasoning_send_back == "reasoning_content" and (
        tools or any(turn.tool_calls for turn in rest)
    )
    return [_message(quirks, turn, reasoning=back) for turn in rest]


# --- which messages ----------------------------------------------------------------------------------------


def _without_cut_calls(turn: Message) -> Message:
    if not any(call.cut for call in turn.tool_calls):
        return turn
    return replace(turn, tool_calls=tuple(call for call in turn.tool_calls if not call.cut))


def _says_nothing(turn: Message) -> bool:
    # What an answer that failed or was empty leaves behind; several servers refuse it, blanks too.
    if turn.role != "assistant" or turn.tool_calls:
        return False
    return not (turn.content.strip() if isinstance(turn.content, str) else turn.content)


def _paired(turns: Iterable[Message]) -> Iterator[Message]:
    """Calls with their results: what broke off in between, or lost its beginning, is a 400 at OpenAI and others."""
    waiting: list[str] = []
    for turn in turns:
        if turn.role == "tool":
            if turn.tool_call_id in waiting:
                waiting.remove(turn.tool_call_id)
                yield turn
            continue
        if not turn.tool_calls:
            yield from _unanswered(waiting)
            waiting.clear()
        waiting += (call.id for call in turn.tool_calls)
        yield turn
    yield from _unanswered(waiting)


def _unanswered(ids: Iterable[str]) -> Iterator[Message]:
    return (Message(role="tool", tool_call_id=id_, content=_NO_RESULT) for id_ in ids)


def _answered(turns: Iterable[Message]) -> Iterator[Message]:
    """Mistral's models refuse a user who speaks right after a tool, as after an interrupt: avante.nvim issue 2562."""
    last = ""
    for turn in turns:
        if (last, turn.role) == ("tool", "user"):
            yield Message(role="assistant", content=_NO_ANSWER)
        yield turn
        last = turn.role


def _images_after_results(turns: Iterable[Message], *, bridge: bool) -> Iterator[Message]:
    """Move the images of results into a user message after all results of a turn.

    Mistral's models refuse a user message right after a result, LibreChat-AI/agents issue 344: for them ``bridge``
    puts an answer in between.
    """
    calls: dict[str, str] = {}
    images: list[Part] = []

    def shown() -> Iterator[Message]:
        if images:
            if bridge:
                yield Message(role="assistant", content="I will look at the images.")
            yield Message(role="user", content=tuple(images))
            images.clear()

    for turn in turns:
        if turn.role != "tool":
            yield from shown()
            calls |= {call.id: call.name for call in turn.tool_calls}
            yield turn
            continue
        found, note = _images(turn), ""
        if found:
            what = "The image" if len(found) == 1 else f"The {len(found)} images"
            name = calls.get(turn.tool_call_id, "the tool")
            images += [TextPart(text=f"{what} in the result of {name}:"), *found]
            note = f"[The result has {_counted(found)}, in the message after the results.]"
        yield replace(turn, content=_noted(turn, note)) if found else turn
    yield from shown()


def _result_with_text(turn: Message) -> Message:
    """Put a text before images that are alone: a server that reads only text would find an empty result."""
    if turn.role != "tool" or not (found := _images(turn)) or _text(turn.content):
        return turn
    return replace(turn, content=(TextPart(text=f"[The result is {_counted(found)}.]"), *found))


def _result_without_images(turn: Message) -> Message:
    if turn.role != "tool" or not (found := _images(turn)):
        return turn
    note = f"[The result has {_counted(found)} as well, which cannot be shown to you.]"
    return replace(turn, content=_noted(turn, note))


def _images(turn: Message) -> list[ImagePart]:
    return [part for part in turn.content if isinstance(part, ImagePart)]


def _counted(images: list[ImagePart]) -> str:
    return "1 image" if len(images) == 1 else f"{len(images)} images"


def _noted(turn: Message, note: str) -> str:
    return f"{_text(turn.content)}\n{note}".lstrip("\n")


def _told(turns: Iterable[Message]) -> Iterator[Message]:
    """The calls and their results as the user's words: in the assistant's, a model would take to writing such text."""
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
    """A turn of another provider's without what only that one can read; its signatures are refused elsewhere."""
    if turn.role != "assistant" or turn.provider in ("", provider.name):
        return turn
    calls = tuple(replace(call, extra={}) for call in turn.tool_calls)
    return replace(turn, reasoning="", reasoning_details=(), extra={}, tool_calls=calls)


def _before_the_first_user(text: str, turns: Iterable[Message]) -> list[Message]:
    found = list(turns)
    for at, turn in enumerate(found):
        if turn.role == "user":
            found[at] = replace(turn, content=_joined(text, turn.content))
            return found
    return [Message(role="user", content=text), *found]


def _merged(turns: Iterable[Message]) -> list[Message]:
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


# --- what one holds ----------------------------------------------------------------------------------------


def _message(quirks: Quirks, turn: Message, *, reasoning: bool) -> dict[str, Json]:
    fields: dict[str, Json] = {"role": turn.role, "content": _content(turn.content)}
    match turn.role:
        case "system" if quirks.system_role == "developer":
            fields["role"] = "developer"
        case "assistant" if not turn.tool_calls and reasoning:
            fields |= _thoughts(quirks, turn)
        case "assistant" if turn.tool_calls:
            fields |= _thoughts(quirks, turn)
            # Null where there is none: OpenAI's schema has it so, and an empty text is refused by Bedrock and
            # what stands on it. vercel/ai PR 14950.
            fields["content"] = fields["content"] or None
            fields["tool_calls"] = [_call(quirks, call) for call in turn.tool_calls]
            fields = {**turn.extra, **fields}
        case "tool":
            fields["tool_call_id"] = _call_id(quirks, turn.tool_call_id)
        case _:
            pass
    return fields


def _content(content: str | tuple[Part, ...]) -> Json:
    """Plain text where there is nothing else: old and small servers know no other form."""
    if isinstance(content, str) or all(isinstance(part, TextPart) for part in content):
        return _text(content)
    return [
        {"type": "text", "text": part.text}
        if isinstance(part, TextPart)
        else {"type": "image_url", "image_url": {"url": part.url}}
        for part in content
    ]


def _text(content: str | tuple[Part, ...]) -> str:
    if isinstance(content, str):
        return content
    return "\n\n".join(part.text for part in content if isinstance(part, TextPart))


def _thoughts(quirks: Quirks, turn: Message) -> dict[str, Json]:
    """The reasoning of a message, in the field that its row names."""
    match quirks.reasoning_send_back:
        case "reasoning_content":
            # Empty too, and of answers without calls too: while they think, DeepSeek and Kimi refuse a
            # conversation with tools in which one assistant message lacks the field. MoonshotAI/kimi-cli 2141.
            return {"reasoning_content": turn.reasoning}
        case "reasoning_details" if turn.reasoning_details:
            return {"reasoning_details": list(turn.reasoning_details)}
        case "reasoning" | "reasoning_details" if turn.reasoning:
            # Thoughts that were never more than text go back as such: openrouter.ai "Reasoning Tokens".
            return {"reasoning": turn.reasoning}
        case "think_tags" if turn.reasoning:
            return {"content": _content(_joined(f"<think>\n{turn.reasoning}\n</think>", turn.content))}
        case _:
            return {}


def _call(quirks: Quirks, call: ToolCall) -> dict[str, Json]:
    return {
        **call.extra,
        "id": _call_id(quirks, call.id),
        "type": "function",
        "function": {"name": _name(call.name), "arguments": _arguments(call.arguments)},
    }


def _name(name: str) -> str:
    """The name of a call as OpenAI takes it: a model may have made it up, and what it was told of that stays."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:64]


def _arguments(text: str) -> str:
    """The arguments, or an empty object where they are none: a model's broken JSON is a 400 when it comes back.

    ollama/ollama, openai/openai.go; vLLM's and llama.cpp's templates read them as JSON too.
    """
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return "{}"
    if not isinstance(value, dict):
        return "{}"
    return (
        text if text.isprintable() else json.dumps(value)
    )  # a bare line end within a string is not valid JSON to most


def _call_id(quirks: Quirks, given: str) -> str:
    """The id as the provider takes it; one id always becomes the same one, in the call and in its result."""
    if quirks.tool_call_ids == "any" or (len(given) == 9 and given.isascii() and given.isalnum()):
        return given
    from hashlib import sha256

    number = int.from_bytes(sha256(given.encode("utf-8", "replace")).digest()[:8])
    return "".join(_DIGITS[number // 62**place % 62] for place in range(9))
