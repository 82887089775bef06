"""The short form of a schema, ``name, age int, tags list``: to JSON schema, or an error that names the field.

Field by field it means what the same text means to ``llm``: fields between commas, or one a line; a type behind
the name, text where there is none; a description behind a colon; all of them required. Lists, choices, "?" and
the brackets around the whole are additions: https://llm.datasette.io/en/stable/schemas.html has none of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from provider_core.errors import SchemaError

if TYPE_CHECKING:
    from provider_core.types import Json

__all__ = ["short_form"]

_TYPES: Final = {
    "str": "string", "string": "string", "int": "integer", "integer": "integer", "float": "number",
    "number": "number", "bool": "boolean", "boolean": "boolean",
}  # fmt: skip
_LIST: Final = re.compile(r"list(?:\[(.*)\])?", re.DOTALL)
_NO_NAME: Final = re.compile(r"[][{}()?|\"]")
"""What is no part of a name but of a type, or of JSON, that was mistyped."""
_KNOWN: Final = (
    "str, int, float, bool, list, list[int] and so on, a choice such as low|high; with ? behind, or null"
)


def short_form(text: str) -> dict[str, Json]:
    """The schema of an object with these fields; in brackets, of ``{"items": [such objects]}``.

    The outermost value is an object either way, since servers take no other. Raises ``SchemaError``.
    """
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        items = {"type": "array", "items": short_form(text[1:-1])}
        return {"type": "object", "properties": {"items": items}, "required": ["items"]}
    properties: dict[str, Json] = {}
    for part in text.split("\n" if "\n" in text else ","):
        field = part.strip()
        if not field:
            continue
        name, schema = _field(field)
        if name in properties:
            raise SchemaError(f"the schema has two fields called {name}", place=f"$.properties.{name}")
        properties[name] = schema
    if not properties:
        raise SchemaError("the schema has no field")
    return {"type": "object", "properties": properties, "required": list(properties)}


def _field(text: str) -> tuple[str, Json]:
    words, _, description = text.partition(":")
    name, *kinds = words.split()[:3] or [""]
    if not name:
        raise SchemaError(f"the schema has a field without a name: {_short(text)!r}")
    if wrong := _NO_NAME.search(name):
        raise SchemaError(
            f"the schema's field {_short(name)} has {wrong[0]!r} in its name. Separate a type with a space, as in "
            "age int?, and many objects are asked for by brackets around the whole"
        )
    if len(kinds) > 1:
        raise SchemaError(
            f"the schema's field {name} has more than a name and a type: {_short(words.strip())!r}. "
            "Write a description after a colon"
        )
    schema = _type(kinds[0] if kinds else "str", name)
    if description.strip():
        schema["description"] = description.strip()
    return name, schema


def _type(word: str, name: str) -> dict[str, Json]:
    if word.endswith("?"):
        schema = _type(word[:-1], name)
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
        return schema
    if word in _TYPES:
        return {"type": _TYPES[word]}
    if found := _LIST.fullmatch(word):
        return {"type": "array", "items": _type(found[1] or "str", name)}
    choices = word.split("|")
    if len(choices) > 1 and all(choices):
        return {"type": "string", "enum": list(dict.fromkeys(choices))}
    raise SchemaError(
        f"the schema's field {name} has the type {_short(word)!r}, which is none of {_KNOWN}",
        place=f"$.properties.{name}",
    )


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"
