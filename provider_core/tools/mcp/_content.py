"""The protocol's SDK, and a server's messages: made acceptable to it, and turned into tools and results of tools.

The SDK rejects a whole list for one tool, and a whole result for one block; so messages are changed before.
"""

from __future__ import annotations

import json
import logging
import sys
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from provider_core import limits
from provider_core.attachments import image
from provider_core.errors import AttachmentError
from provider_core.events import ToolAnnotations, ToolResult, ToolSpec
from provider_core.redaction import printable
from provider_core.types import ImagePart, Tool

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from provider_core.types import Json

__all__ = ["ClientSession", "MCPError", "SessionMessage", "mcp_types"]

# --- the SDK -------------------------------------------------------------------------------------------------


class _LazyPackage(ModuleType):
    """A package whose ``__init__`` runs only when a name is used that is not one of its modules."""

    def __getattr__(self, name: str) -> Any:
        spec = self.__spec__
        if (name.startswith("__") and name != "__all__") or spec is None or spec.loader is None:
            raise AttributeError(name)
        self.__class__ = ModuleType  # type: ignore[assignment]
        spec.loader.exec_module(self)
        return getattr(self, name)


# These import everything in the SDK: a quarter of half a second is a framework for servers.
for _name in ("mcp", "mcp.client"):
    _spec = find_spec(_name) if _name not in sys.modules else None
    if _spec is not None:
        _package = sys.modules[_name] = module_from_spec(_spec)
        _package.__class__ = _LazyPackage
        _parent, _, _own = _name.rpartition(".")
        if _parent:
            setattr(sys.modules[_parent], _own, _package)

import mcp_types  # noqa: E402
from mcp.client.session import ClientSession  # noqa: E402
from mcp.shared.exceptions import MCPError  # noqa: E402
from mcp.shared.message import SessionMessage  # noqa: E402

# The SDK logs problems that it survives, and Python writes warnings without a handler to stderr.
for _name in ("mcp", "client", "httpx2"):
    logging.getLogger(_name).addHandler(logging.NullHandler())

# --- before the SDK ----------------------------------------------------------------------------------------

_RAW_RESULT = "telex/raw-result"
"""The key in ``_meta``, which the SDK does not validate, with tools or a call's result as the server sent them."""

_OTHER_RESULTS = frozenset(("tools", "protocolVersion", "supportedVersions"))
"""Keys of the results that are not of calls: of lists, and of the two handshakes."""

_MAX_DEPTH = 100


def parse_message(data: bytes) -> mcp_types.JSONRPCMessage:
    """The message in ``data``, with the parts that the SDK would reject changed or removed; raises ``ValueError``."""
    try:
        message = mcp_types.jsonrpc_message_adapter.validate_json(data, by_name=False)
    except ValueError:
        # Half a character in one description, or one schema that is nested too deeply, must not cost the whole list.
        try:
            fit = _fit(json.loads(data), _MAX_DEPTH)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        message = mcp_types.jsonrpc_message_adapter.validate_python(fit, by_name=False)
    if isinstance(message, mcp_types.JSONRPCResponse):
        result = message.result
        if isinstance(result.get("tools"), list):
            named = [each for each in result["tools"] if isinstance(each, dict) and _string(each, "name")]
            # Without the schema of results: the SDK would validate with it, and a pattern in it may take for ever.
            tools = [{"name": each["name"], "inputSchema": {"type": "object"}} for each in named]
            message.result = {**result, "tools": tools, "_meta": {_RAW_RESULT: named}}
        elif result.get("resultType", "complete") == "complete" and not _OTHER_RESULTS & result.keys():
            kind = {"resultType": "complete"} if "resultType" in result else {}
            message.result = {"content": [], "_meta": {_RAW_RESULT: result}, **kind}
    return message


def dump_message(message: mcp_types.JSONRPCMessage) -> bytes:
    return message.model_dump_json(by_alias=True, exclude_unset=True).encode()


def _fit(value: Json, depth: int) -> Json:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if not isinstance(value, dict | list):
        return value
    if depth == 0:
        return type(value)()
    if isinstance(value, list):
        return [_fit(each, depth - 1) for each in value]
    return {_fit(key, depth): _fit(each, depth - 1) for key, each in value.items()}


def _sanitized_schema(schema: Json) -> Json:
    made: dict[str, Json] = {**(schema if isinstance(schema, dict) else {}), "type": "object"}
    for key, kind in (("properties", dict), ("required", list), ("$schema", str)):
        if key in made and not isinstance(made[key], kind):
            del made[key]
    if "properties" in made:
        made["properties"] = {
            name: inner if isinstance(inner, dict) else {"not": {}} if inner is False else {}
            for name, inner in made["properties"].items()
        }
    if "required" in made:
        made["required"] = [name for name in made["required"] if isinstance(name, str)]
    return made


# --- after the SDK -----------------------------------------------------------------------------------------

_MASK = "[redacted]"
_MIN_SECRET = 8
"""Characters below which a secret may be any word."""

_KINDS = ("text", "image", "audio", "resource_link", "resource")
_MAX_KIND = 60
_NOT_JSON = object()


def tool_specs(page: mcp_types.ListToolsResult, secrets: Collection[str] = ()) -> Iterator[ToolSpec]:
    """The tools of a page, with ``secrets`` redacted."""
    for sent in (page.meta or {}).get(_RAW_RESULT, ()):
        tool: dict[str, Json] = sent
        notes = found if isinstance(found := tool.get("annotations"), dict) else {}
        hints = {key: value for key, value in notes.items() if isinstance(value, bool)}
        yield ToolSpec(
            tool=Tool(
                name=tool["name"],
                description=_masked(_string(tool, "description"), secrets),
                schema=_masked_json(_sanitized_schema(tool.get("inputSchema")), secrets),
            ),
            title=_masked(_string(tool, "title") or _string(notes, "title"), secrets),
            annotations=ToolAnnotations(
                read_only=hints.get("readOnlyHint"),
                destructive=hints.get("destructiveHint"),
                idempotent=hints.get("idempotentHint"),
                open_world=hints.get("openWorldHint"),
            ),
        )


def tool_result(received: mcp_types.CallToolResult, secrets: Collection[str] = ()) -> ToolResult:
    """The result of a call: text, images, and a line for everything that is omitted.

    Structured content follows the text, unless the text is that JSON. ``secrets`` are redacted: if a server repeats
    what it was given, the model must not receive it.
    """
    sent = (received.meta or {}).get(_RAW_RESULT)
    if not isinstance(sent, dict):
        sent = received.model_dump(by_alias=True, exclude_unset=True, mode="json")
    texts: list[str] = []
    images: list[ImagePart] = []
    content = sent.get("content", sent.get("toolResult"))  # the second is that of the first drafts
    for block in content if isinstance(content, list) else [] if content is None else [content]:
        found = _block(block)
        if isinstance(found, ImagePart):
            images.append(found)
        else:
            texts.append(found)
    if (more := len(images) - limits.TOOL_IMAGES) > 0:
        texts.append(f"[{more} more images: left out, {limits.TOOL_IMAGES} is the most]")
    structured = sent.get("structuredContent")
    if structured is not None and not _contains(texts, structured):
        written = json.dumps(structured, ensure_ascii=False)
        texts.append(f"[structured content]\n{written}" if texts else written)
    return ToolResult(
        text=_masked("\n".join(texts), secrets),
        is_error=sent.get("isError") in (True, "true"),
        structured=_masked_json(structured, secrets),
        images=tuple(images[: limits.TOOL_IMAGES]),
    )


def _block(block: Json) -> str | ImagePart:
    """An image that models accept, or the text that the model reads in place of a block."""
    if isinstance(block, str):
        return block
    kind = block.get("type") if isinstance(block, dict) else None
    match block:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "image" | "audio", "data": str(data)}:
            return _binary(data, block.get("mimeType"), kind)
        case {"type": "resource_link", "uri": str(uri)}:
            about = ", ".join(filter(None, (_string(block, "mimeType"), _string(block, "description"))))
            name = _string(block, "title") or _string(block, "name") or "link"
            return f"[resource {name}: {uri}{f' ({about})' if about else ''}]"
        case {"type": "resource", "resource": {"text": str(text)} as resource}:
            return f"[resource {_string(resource, 'uri')}]\n{text}"
        case {"type": "resource", "resource": {"blob": str(blob)} as resource}:
            media = resource.get("mimeType")
            return _binary(blob, media or "binary", f"resource {_string(resource, 'uri')}")
    if kind in _KINDS:
        return f"[{kind}: left out, it is incomplete]"
    shown = printable(kind, _MAX_KIND) if isinstance(kind, str) else "without a name"
    return f"[content of an unknown kind, {shown}: left out]"


def _binary(data: str, media: Json, what: str | None) -> str | ImagePart:
    media = printable(media, _MAX_KIND).lower() if isinstance(media, str) and media else "unknown type"
    why = "left out"
    data = data.partition(",")[2] if data.startswith("data:") else data
    if media.startswith("image/") or what == "image":
        try:
            missing = "=" * (-len("".join(data.split())) % 4)
            return image(f"data:;base64,{data}{missing}")
        except AttachmentError:
            why = "left out, models do not read this format"
    size = len(data.rstrip("=")) * 3 // 4
    return f"[{what}, {media}, {f'{size} bytes' if size < 1000 else f'{size / 1000:.0f} kB'}: {why}]"


def _string(block: Mapping[str, Json], key: str) -> str:
    return value if isinstance(value := block.get(key), str) else ""


def _contains(texts: Sequence[str], structured: Json) -> bool:
    """Whether the text is this JSON, or the only value in it: many servers send {"result": value} and the value."""
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
        if len(secret) >= _MIN_SECRET:
            text = text.replace(secret, _MASK)
    return text


def _masked_json(value: Json, secrets: Collection[str]) -> Json:
    if not secrets:
        return value
    written = json.dumps(value, ensure_ascii=False)
    masked = _masked(written, secrets)
    return value if masked == written else json.loads(masked)
