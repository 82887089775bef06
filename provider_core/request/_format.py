"""An answer that has to fit a JSON schema, as the row lets it be asked for: a field of the body, or the prompt.

Whether the answer fits in the end is not looked at here.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from provider_core.types import Message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider_core.types import Json, Quirks

__all__ = ["fields", "instructions", "strict_form"]

_ABOUT: Final = frozenset({"$schema", "$comment"})
"""Keys that say nothing of the value; Gemini refuses a request that holds the first."""

_NOT_STRICT: Final = frozenset(
    ("allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies",
     "patternProperties", "propertyNames", "unevaluatedProperties", "unevaluatedItems", "contains", "minContains",
     "maxContains", "minProperties", "maxProperties", "uniqueItems", "prefixItems", "additionalItems")
)  # fmt: skip
"""Keywords that OpenAI refuses beside ``strict``: platform.openai.com "Structured model outputs"."""

_TYPED: Final = ("type", "$ref", "anyOf", "enum", "const")


def fields(quirks: Quirks, schema: Mapping[str, Json]) -> dict[str, Json]:
    """``response_format`` as the row has it; nothing where it has none.

    Strict wherever that asks for no more than the schema does: see ``strict_form``.
    """
    match quirks.json_schema:
        case "json_schema" | "loose_schema" as word:
            strict = strict_form(schema) if word == "json_schema" else None
            sent = strict if strict is not None else _without(schema, _ABOUT)
            format_ = {"name": _name(schema), "strict": strict is not None, "schema": sent}
            if word == "loose_schema":
                del format_["strict"]
            return {"response_format": {"type": "json_schema", "json_schema": format_}}
        case "json_object":
            return {"response_format": {"type": "json_object"}}
        case "none":
            return {}


def instructions(quirks: Quirks, schema: Mapping[str, Json]) -> tuple[Message, ...]:
    """The schema as a system message, where ``response_format`` does not carry it.

    It holds the word "json", without which DeepSeek and OpenAI refuse a JSON object.
    """
    if quirks.json_schema in ("json_schema", "loose_schema"):
        return ()
    text = (
        "Answer with JSON (application/json) and nothing else: no words around it, no code fence. "
        "It has to fit this JSON schema:\n\n"
    )
    sent = json.dumps(_without(schema, _ABOUT), ensure_ascii=False)
    return (Message(role="system", content=text + sent),)


def strict_form(schema: Mapping[str, Json]) -> dict[str, Json] | None:
    """A copy that OpenAI's strict mode takes: objects are closed, and say so. None where there is no such copy.

    There is one where every property is required already and nothing is said of further ones; to require an
    optional one would make the model invent it. What fits the copy fits ``schema``.
    """
    if schema.get("type") != "object":
        return None
    try:
        found = _strict(_without(schema, _ABOUT))
    except _LooseError:
        return None
    return found if isinstance(found, dict) else None


class _LooseError(Exception):
    """A part of the schema is not for strict mode."""


def _strict(node: Json) -> Json:
    if not isinstance(node, dict) or not _NOT_STRICT.isdisjoint(node) or not any(k in node for k in _TYPED):
        raise _LooseError
    copy = dict(node)
    kinds = node["type"] if isinstance(node.get("type"), list) else [node.get("type")]
    if "object" in kinds or "properties" in node:
        properties = node.get("properties")
        if not isinstance(properties, dict) or node.get("additionalProperties", False) is not False:
            raise _LooseError
        if set(node.get("required", ())) != set(properties):
            raise _LooseError
        copy["additionalProperties"] = False
    for key in ("properties", "$defs", "definitions"):
        if isinstance(node.get(key), dict):
            copy[key] = {name: _strict(child) for name, child in node[key].items()}
    if "items" in node:
        copy["items"] = _strict(node["items"])
    if isinstance(node.get("anyOf"), list):
        copy["anyOf"] = [_strict(child) for child in node["anyOf"]]
    return copy


def _without(schema: Mapping[str, Json], keys: frozenset[str]) -> dict[str, Json]:
    return {key: value for key, value in schema.items() if key not in keys}


def _name(schema: Mapping[str, Json]) -> str:
    """A name such as servers take: letters, digits, "_" and "-", at most 64."""
    title = schema.get("title")
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", title)[:64].strip("_") if isinstance(title, str) else ""
    return name or "answer"
