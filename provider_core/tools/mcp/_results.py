"""What a server sends, as the tool loop has it: tools, and results with all kinds of content; nothing is asked here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from provider_core import limits
from provider_core.attachments import image
from provider_core.errors import AttachmentError
from provider_core.events import ToolAnnotations, ToolResult, ToolSpec
from provider_core.redaction import printable
from provider_core.tools.mcp._sdk import mcp_types
from provider_core.types import ImagePart, Tool

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from provider_core.types import Json

__all__ = ["offered", "result"]


_MASK = "[redacted]"
_SHORTEST = 8
"""Characters below which a secret may be any word."""

_KINDS = ("text", "image", "audio", "resource_link", "resource")
_LONGEST_KIND = 60
_NOT_JSON = object()


def offered(tools: Iterable[mcp_types.Tool], secrets: Collection[str] = ()) -> tuple[ToolSpec, ...]:
    """The tools, each name once, and the ``secrets`` nowhere in what is said of them."""
    found: dict[str, ToolSpec] = {}
    for tool in tools:
        notes = tool.annotations or mcp_types.ToolAnnotations()
        found.setdefault(
            tool.name,
            ToolSpec(
                tool=Tool(
                    name=tool.name,
                    description=_masked(tool.description or "", secrets),
                    schema=_masked_json(tool.input_schema, secrets),
                ),
                title=_masked(tool.title or notes.title or "", secrets),
                annotations=ToolAnnotations(
                    read_only=notes.read_only_hint,
                    destructive=notes.destructive_hint,
                    idempotent=notes.idempotent_hint,
                    open_world=notes.open_world_hint,
                ),
            ),
        )
    return tuple(found.values())


def result(sent: Mapping[str, Json], secrets: Collection[str] = ()) -> ToolResult:
    """The result of a call as the server sent it, of any revision: text, images, and a line for all that is left out.

    Structured content follows the text, unless the text is that JSON. A server that repeats the ``secrets`` it was
    given repeats them to itself: a model is no place for them.
    """
    texts: list[str] = []
    images: list[ImagePart] = []
    content = sent.get("content", sent.get("toolResult"))  # the second is that of the first drafts
    for block in content if isinstance(content, list) else [] if content is None else [content]:
        found = _block(block)
        if isinstance(found, ImagePart):
            images.append(found)
        else:
            texts.append(found)
    if len(images) > limits.TOOL_IMAGES:
        texts.append(
            f"[{len(images) - limits.TOOL_IMAGES} more images: left out, {limits.TOOL_IMAGES} is the most]"
        )
    structured = sent.get("structuredContent")
    if structured is not None and not _says(texts, structured):
        written = json.dumps(structured, ensure_ascii=False)
        texts.append(f"[structured content]\n{written}" if texts else written)
    return ToolResult(
        text=_masked("\n".join(texts), secrets),
        is_error=sent.get("isError") in (True, "true"),
        structured=_masked_json(structured, secrets),
        images=tuple(images[: limits.TOOL_IMAGES]),
    )


def _block(block: Json) -> str | ImagePart:
    """An image that models take, or what the model reads in the place of a block."""
    if isinstance(block, str):
        return block
    kind = block.get("type") if isinstance(block, dict) else None
    match block:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "image" | "audio", "data": str(data)}:
            return _binary(data, block.get("mimeType"), kind)
        case {"type": "resource_link", "uri": str(uri)}:
            about = ", ".join(filter(None, (_word(block, "mimeType"), _word(block, "description"))))
            name = _word(block, "title") or _word(block, "name") or "link"
            return f"[resource {name}: {uri}{f' ({about})' if about else ''}]"
        case {"type": "resource", "resource": {"text": str(text)} as resource}:
            return f"[resource {_word(resource, 'uri')}]\n{text}"
        case {"type": "resource", "resource": {"blob": str(blob)} as resource}:
            media = resource.get("mimeType")
            return _binary(blob, media or "binary", f"resource {_word(resource, 'uri')}")
    if kind in _KINDS:
        return f"[{kind}: left out, it is incomplete]"
    shown = printable(kind, _LONGEST_KIND) if isinstance(kind, str) else "without a name"
    return f"[content of an unknown kind, {shown}: left out]"


def _binary(data: str, media: Json, what: str | None) -> str | ImagePart:
    media = printable(media, _LONGEST_KIND).lower() if isinstance(media, str) and media else "unknown type"
    why = "left out"
    data = data.partition(",")[2] if data.startswith("data:") else data
    if media.startswith("image/") or what == "image":
        try:
            missing = "=" * (-len("".join(data.split())) % 4)
            return image(f"data:;base64,{data}{missing}")
        except AttachmentError:
            why = "left out, models do not read this format"
    return f"[{what}, {media}, {_size(data)}: {why}]"


def _word(block: Mapping[str, Json], key: str) -> str:
    return value if isinstance(value := block.get(key), str) else ""


def _says(texts: Sequence[str], structured: Json) -> bool:
    """Whether the text is this JSON, or the only value in it: many servers send {"result": value} beside the value."""
    text, read = "\n".join(texts), [_json(each) for each in texts]
    values = [structured]
    if isinstance(structured, dict) and len(structured) == 1:
        ((key, only),) = structured.items()
        if only == text:
            return True
        values += [only] if key == "result" else []
    return any(value in (read, list(texts)) or value in read for value in values)


def _json(text: str) -> Json:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NOT_JSON


def _masked(text: str, secrets: Collection[str]) -> str:
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, _MASK)
    return text


def _masked_json(value: Json, secrets: Collection[str]) -> Json:
    if not secrets:
        return value
    written = json.dumps(value, ensure_ascii=False)
    masked = _masked(written, secrets)
    return value if masked == written else json.loads(masked)


def _size(base64: str) -> str:
    size = len(base64.rstrip("=")) * 3 // 4
    return f"{size} bytes" if size < 1000 else f"{size / 1000:.0f} kB"
