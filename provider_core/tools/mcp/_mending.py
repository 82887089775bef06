"""What a server sends brought to what the protocol's SDK takes: it refuses a whole list for one tool, and a whole
result for one block.

Before the SDK has seen them, since it judges an answer as a whole and by the letter of each revision.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import anyio

from provider_core.tools.mcp._sdk import SessionMessage, mcp_types

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from mcp.client._transport import ReadStream

    from provider_core.types import Json

__all__ = ["AS_SENT", "Mended", "parsed"]

AS_SENT = "telex/as-sent"
"""Where the SDK hands on the result of a call as the server sent it: among what it does not look at."""

_LARGEST = 1 << 1000
_DEEPEST = 100
_OTHERS = frozenset(("tools", "protocolVersion", "supportedVersions"))
"""What tells the other results that a session asks for: lists, and the two handshakes."""

_HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")


def parsed(data: bytes) -> mcp_types.JSONRPCMessage:
    """The message in ``data``; raises ``ValueError``.

    Half a character in one description, or one schema that is nested too deeply, must not cost the whole list.
    """
    try:
        return mcp_types.jsonrpc_message_adapter.validate_json(data, by_name=False)
    except ValueError:
        try:
            fit = _fit(json.loads(data), _DEEPEST)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        return mcp_types.jsonrpc_message_adapter.validate_python(fit, by_name=False)


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


class Mended:
    """A session's incoming stream, with lists of tools mended, and results of calls wrapped for ``_results``."""

    def __init__(self, incoming: ReadStream[SessionMessage | Exception]) -> None:
        self._incoming = incoming

    async def receive(self) -> SessionMessage | Exception:
        item = await self._incoming.receive()
        if isinstance(item, SessionMessage) and isinstance(item.message, mcp_types.JSONRPCResponse):
            result = item.message.result
            if isinstance(result.get("tools"), list):
                item.message.result = {**result, "tools": _tools(result["tools"])}
            elif result.get("resultType", "complete") == "complete" and not _OTHERS & result.keys():
                kind = {"resultType": "complete"} if "resultType" in result else {}
                item.message.result = {"content": [], "_meta": {AS_SENT: result}, **kind}
        if isinstance(item, SessionMessage) and isinstance(item.message, mcp_types.JSONRPCNotification):
            # The SDK makes floats of them, and a whole number that is too large for one would end the session.
            for key, value in (item.message.params or {}).items():
                if isinstance(value, int) and abs(value) > _LARGEST:
                    item.message.params = {**(item.message.params or {}), key: 0}
        return item

    async def aclose(self) -> None:
        await self._incoming.aclose()

    def __getattr__(self, name: str) -> Json:
        return getattr(self._incoming, name)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _tools(tools: list[Json]) -> list[Json]:
    """Those that can be called: by a name. What the loop has no use for is left out.

    So is the schema of results: a stranger's schema may take for ever, in a thread that nothing stops.
    """
    return [
        {
            "name": tool["name"],
            "inputSchema": _schema(tool.get("inputSchema")),
            **{key: tool[key] for key in ("title", "description") if isinstance(tool.get(key), str)},
            **(
                {"annotations": _annotations(tool["annotations"])}
                if isinstance(tool.get("annotations"), dict)
                else {}
            ),
        }
        for tool in tools
        if isinstance(tool, dict) and isinstance(tool.get("name"), str)
    ]


def _schema(schema: Json) -> Json:
    made: dict[str, Json] = {**(schema if isinstance(schema, dict) else {}), "type": "object"}
    for key, kind in (("properties", dict), ("required", list)):
        if key in made and not isinstance(made[key], kind):
            del made[key]
    if "properties" in made:
        made["properties"] = {name: _property(inner) for name, inner in made["properties"].items()}
    if "required" in made:
        made["required"] = [name for name in made["required"] if isinstance(name, str)]
    if not isinstance(made.get("$schema", ""), str):
        del made["$schema"]
    return made


def _property(inner: Json) -> Json:
    if isinstance(inner, dict):
        return inner
    return {"not": {}} if inner is False else {}


def _annotations(notes: dict[str, Json]) -> dict[str, Json]:
    made = {key: notes[key] for key in _HINTS if isinstance(notes.get(key), bool)}
    return made | ({"title": notes["title"]} if isinstance(notes.get("title"), str) else {})
