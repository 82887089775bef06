"""What a server sends, as the tool loop has it: tools, and results with all kinds of content; nothing is asked here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from provider_core.tools import Hints, Offered, ToolResult
from provider_core.tools.mcp._sdk import mcp_types
from provider_core.types import ImagePart, Tool

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from provider_core.types import Json

__all__ = ["offered", "result"]


_MASK = "[redacted]"
_SHORTEST = 8
"""Characters below which a secret may be any word."""


def offered(tools: Iterable[mcp_types.Tool], secrets: Collection[str] = ()) -> tuple[Offered, ...]:
    """The tools, each name once, and the ``secrets`` nowhere in what is said of them."""
    found: dict[str, Offered] = {}
    for tool in tools:
        notes = tool.annotations or mcp_types.ToolAnnotations()
        found.setdefault(
            tool.name,
            Offered(
                tool=Tool(
                    name=tool.name,
                    description=_masked(tool.description or "", secrets),
                    schema=_masked_json(tool.input_schema, secrets),
                ),
                title=_masked(tool.title or notes.title or "", secrets),
                hints=Hints(
                    read_only=notes.read_only_hint,
                    destructive=notes.destructive_hint,
                    idempotent=notes.idempotent_hint,
                    open_world=notes.open_world_hint,
                ),
            ),
        )
    return tuple(found.values())


def result(sent: mcp_types.CallToolResult, secrets: Collection[str] = ()) -> ToolResult:
    """Text as it is; images apart; of what else there is, a line each that names it.

    A server that repeats the ``secrets`` it was given repeats them to itself: a model is no place for them.
    """
    texts: list[str] = []
    images: list[ImagePart] = []
    for block in sent.content:
        match block:
            case mcp_types.TextContent(text=text):
                texts.append(text)
            case mcp_types.ImageContent(data=data, mime_type=kind):
                images.append(ImagePart(url=f"data:{kind};base64,{data}"))
            case mcp_types.AudioContent(data=data, mime_type=kind):
                texts.append(f"[audio, {kind}, {_size(data)}: left out]")
            case mcp_types.ResourceLink():
                texts.append(_link(block))
            case mcp_types.EmbeddedResource(resource=resource):
                texts.append(_embedded(resource))
    structured = sent.structured_content
    if structured is not None and not texts and not images:
        texts.append(json.dumps(structured, ensure_ascii=False))
    return ToolResult(
        text=_masked("\n".join(texts), secrets),
        is_error=sent.is_error,
        structured=_masked_json(structured, secrets),
        images=tuple(images),
    )


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


def _link(link: mcp_types.ResourceLink) -> str:
    words = ", ".join(filter(None, (link.mime_type, link.description)))
    return f"[resource {link.title or link.name}: {link.uri}{f' ({words})' if words else ''}]"


def _embedded(resource: mcp_types.TextResourceContents | mcp_types.BlobResourceContents) -> str:
    if isinstance(resource, mcp_types.TextResourceContents):
        return f"[resource {resource.uri}]\n{resource.text}"
    kind = resource.mime_type or "binary"
    return f"[resource {resource.uri}, {kind}, {_size(resource.blob)}: left out]"


def _size(base64: str) -> str:
    size = len(base64.rstrip("=")) * 3 // 4
    return f"{size} bytes" if size < 1000 else f"{size / 1000:.0f} kB"
