"""Finds text and thoughts in a delta or a message, in every field servers use; order and state are kept elsewhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from provider_core.types import Json

__all__ = ["contents", "details", "reasoning"]

Piece: TypeAlias = tuple[bool, str]

_FIELDS = ("reasoning_content", "reasoning", "thinking", "thought", "reasoning_text", "thoughts")
_THOUGHT_BLOCKS = ("thinking", "reasoning", "thought", "summary", "reasoning_text", "summary_text")
_DEPTH = 5


def reasoning(body: dict[str, Json]) -> str:
    """Return the thoughts of one delta or message from the first field that holds any: several repeat the same."""
    for key in _FIELDS:
        value = body.get(key)
        if value and not isinstance(value, bool) and (text := _dig(value, _DEPTH)):
            return text
    blocks = body.get("thinking_blocks")
    return _dig(blocks, _DEPTH) if isinstance(blocks, list) else ""


def details(body: dict[str, Json]) -> str:
    """Return the thoughts in ``reasoning_details``: texts and summaries, never what is encrypted or signed."""
    value = body.get("reasoning_details")
    return _dig(value, _DEPTH) if isinstance(value, list | dict) else ""


def contents(body: dict[str, Json]) -> list[Piece]:
    """Return the pieces of a ``content`` of any type, each with whether it is a thought."""
    pieces = _contents(body.get("content"))
    if body.get("thought") is True:  # Gemini's own flag, as some gateways pass it on
        return [(True, text) for _, text in pieces]
    audio = body.get("audio")
    if not pieces and isinstance(audio, dict) and isinstance(audio.get("transcript"), str):
        return _contents(audio["transcript"])  # the words of a spoken answer
    return pieces


def _contents(value: Json) -> list[Piece]:
    match value:
        case str():
            return [(False, value)] if value else []
        case list():
            return [piece for item in value for piece in _block(item)]
        case dict():
            return _block(value)
        case bool() | None:
            return []
        case _:
            return [(False, json.dumps(value))]


def _block(block: Json) -> list[Piece]:
    if isinstance(block, str):
        return [(False, block)] if block else []
    if not isinstance(block, dict):
        return []
    kind = block.get("type")
    if kind in _THOUGHT_BLOCKS or block.get("thought") is True:
        thought = _dig(block, _DEPTH)
        return [(True, thought)] if thought else []
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


def _dig(value: Json, depth: int) -> str:
    """Return the text inside a thought of any type, leaving out ``data`` and ``signature``."""
    if isinstance(value, str):
        return value
    if depth == 0:
        return ""
    if isinstance(value, list):
        return "".join(_dig(item, depth - 1) for item in value)
    if isinstance(value, dict):
        for key in ("text", "thinking", "content", "summary", "reasoning", "reasoning_content"):
            if value.get(key) and (text := _dig(value[key], depth - 1)):
                return text
    return ""
