"""JSON schemas of arguments as strict providers take them; arguments are judged by the tool's own, and not here.

One schema that is refused costs the whole request, so that every one is brought to what all take. It allows what
the tool's own does and more, but for a property that only some of the alternatives at the top describe: that is
described for all. Each rule names who refuses the request without it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider_core.types import Json

_INNER: Final = frozenset(
    ("items", "additionalItems", "additionalProperties", "contains", "not", "if", "then", "else",
     "propertyNames", "unevaluatedItems", "unevaluatedProperties")
)  # fmt: skip
_LISTS: Final = frozenset(("anyOf", "oneOf", "allOf", "prefixItems", "items"))
_MAPS: Final = frozenset(("properties", "patternProperties", "dependentSchemas"))

# $schema and $id: Mistral, BerriAI/litellm PR 13389. The definitions move, and the others belong to them.
_DROPPED: Final = frozenset(
    ("$schema", "$id", "id", "$comment", "$anchor", "$vocabulary", "$dynamicAnchor", "$dynamicRef", "$defs",
     "definitions")
)  # fmt: skip
_CHOICES: Final = frozenset(("anyOf", "oneOf", "allOf", "not", "enum", "const", "if", "then", "else"))
_TYPES: Final = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    dict: "object",
    list: "array",
}

_INDEX: Final = re.compile(r"[0-9]{1,9}")

_MOST_NODES = 5_000
"""What inlining may come to; beyond it definitions are referred to, since a few lines can unfold to millions."""
_DEEPEST = 60


def clean_schema(schema: Mapping[str, Json]) -> dict[str, Json]:
    """The schema of an object, with properties, that providers take in a tool."""
    cleaning = _Cleaning(schema)
    try:
        top = _one_object(cleaning.node(dict(schema), ()))
    except RecursionError:
        return {"type": "object", "properties": {}}
    return {**top, "$defs": cleaning.definitions} if cleaning.definitions else top


class _Cleaning:
    def __init__(self, root: Mapping[str, Json]) -> None:
        self.definitions: dict[str, Json] = {}
        self._root = root
        self._names: dict[str, str] = {}
        self._nodes = 0

    def node(self, node: Json, inside: tuple[str, ...]) -> Json:
        """A schema without what is refused; ``inside`` are the references that are being followed."""
        if not isinstance(node, dict):
            return node
        self._nodes += 1
        if len(inside) > _DEEPEST:
            raise RecursionError
        reference = node.get("$ref")
        if isinstance(reference, str):
            return self._referred(reference, node, inside)
        made: dict[str, Json] = {}
        for key, value in node.items():
            if key in _DROPPED and (key != "id" or isinstance(value, str)):
                continue
            if key in _MAPS and isinstance(value, dict):
                made[key] = {name: self.node(inner, inside) for name, inner in value.items()}
            elif key in _LISTS and isinstance(value, list):
                made[key] = [self.node(inner, inside) for inner in value]
            elif key in _INNER:
                made[key] = self.node(value, inside)
            else:
                made[key] = value
        return _repaired(made)

    def _referred(self, reference: str, node: dict[str, Json], inside: tuple[str, ...]) -> Json:
        """What a reference means, in its place: Gemini and Moonshot take few forms of it.

        googleapis/python-genai issue 1122, CommandCodeAI/command-code issues 566 and 594.
        """
        target = _resolved(self._root, reference)
        beside = {key: value for key, value in node.items() if key != "$ref"}
        if target is None:  # another document's: anything goes
            return self.node(beside, inside)
        if reference in inside or self._nodes > _MOST_NODES:
            return {"$ref": f"#/$defs/{self._defined(reference, target)}"}
        followed = (*inside, reference)
        found = self.node(target, followed)
        if not beside:
            return found
        return {**found, **self.node(beside, followed)} if isinstance(found, dict) else found

    def _defined(self, reference: str, target: Json) -> str:
        name = self._names.get(reference)
        if name is None:
            name = (
                "".join(c if c.isascii() and c.isalnum() else "_" for c in reference.rpartition("/")[2])
                or "_"
            )
            while name in self._names.values():
                name += "_"
            self._names[reference] = name
            made = self.node(target, (reference,))
            self.definitions[name] = (
                {} if made == {"$ref": f"#/$defs/{name}"} else made
            )  # it means itself alone
        return name


def _resolved(root: Mapping[str, Json], reference: str) -> Json:
    if reference != "#" and not reference.startswith("#/"):
        return None
    found: Json = dict(root)
    for part in reference[1:].split("/")[1:]:
        key = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found.get(key)
        elif isinstance(found, list) and _INDEX.fullmatch(key) and int(key) < len(found):
            found = found[int(key)]
        else:
            return None
    return found if isinstance(found, dict | bool) else None


def _repaired(schema: dict[str, Json]) -> dict[str, Json]:
    # Draft 4 has a boolean beside the number: Mistral, SylphxAI/pdf-reader-mcp issue 63.
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(schema.get(exclusive), bool) and schema.pop(exclusive) and bound in schema:
            schema[exclusive] = schema.pop(bound)
    # A choice among nothing: llama.cpp.
    for key in ("enum", "anyOf", "oneOf", "allOf"):
        if schema.get(key) == []:
            del schema[key]
    # Only patterns of one form become grammars at llama.cpp, and until late in 2026 any other was a 400 there; the
    # model reads them as well in the description. containers/kubernetes-mcp-server issue 758.
    if isinstance(schema.get("pattern"), str):
        words = f"matches the regular expression {schema.pop('pattern')}"
        schema["description"] = f"{schema['description']} ({words})" if schema.get("description") else words
    # Moonshot wants a type with an enum, and none beside anyOf but in each of its branches:
    # HaseebKhalid1507/SynapsCLI PR 66, MoonshotAI/kimi-code issue 2661.
    if isinstance(schema.get("enum"), list) and "type" not in schema:
        kinds = list(dict.fromkeys(_TYPES.get(type(value), "null") for value in schema["enum"]))
        if kinds:
            schema["type"] = kinds[0] if len(kinds) == 1 else kinds
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), list) and "type" in schema and _all_typable(schema[key]):
            kind = schema.pop("type")
            schema[key] = [branch if "$ref" in branch else {"type": kind, **branch} for branch in schema[key]]
    # OpenAI and Gemini: an array says of what. cline/cline issue 7339.
    if schema.get("type") == "array" and "items" not in schema and "prefixItems" not in schema:
        schema["items"] = {}
    # Gemini: what is required has to be there. anomalyco/opencode issue 3140.
    if isinstance(schema.get("required"), list) and isinstance(schema.get("properties"), dict):
        schema["required"] = [name for name in _required(schema) if name in schema["properties"]]
    return schema


def _all_typable(branches: list[Json]) -> bool:
    return all(isinstance(branch, dict) for branch in branches)


def _one_object(schema: dict[str, Json]) -> dict[str, Json]:
    """The top of a schema as one object: OpenAI and Anthropic refuse choices and the like there.

    langchain-ai/langchainjs issue 9804, anthropics/claude-code issue 5319. Of alternatives it has all properties
    and requires what all of them do.
    """
    alternatives = [b for key in ("anyOf", "oneOf") for b in _branches(schema, key)]
    together = _branches(schema, "allOf")
    properties: dict[str, Json] = {}
    for part in (schema, *together, *alternatives):
        own = part.get("properties")
        for name, value in own.items() if isinstance(own, dict) else ():
            properties[name] = _either(properties[name], value) if name in properties else value
    required = [name for part in (schema, *together) for name in _required(part)]
    if alternatives:
        sets = [set(_required(part)) for part in alternatives]
        required += [name for name in _required(alternatives[0]) if all(name in each for each in sets)]
    left_out = {"type", "properties", "required", "$ref", *_CHOICES}
    rest = {key: value for key, value in schema.items() if key not in left_out}
    if alternatives or together:
        rest.pop("additionalProperties", None)
        rest.pop("unevaluatedProperties", None)
    made = {"type": "object", "properties": properties, **rest}
    if required := [name for name in dict.fromkeys(required) if name in properties]:
        made["required"] = required
    return made


def _branches(schema: dict[str, Json], key: str) -> list[dict[str, Json]]:
    branches = schema.get(key)
    return [b for b in branches if isinstance(b, dict)] if isinstance(branches, list) else []


def _required(schema: dict[str, Json]) -> list[str]:
    names = schema.get("required")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _either(one: Json, other: Json) -> Json:
    """What may be one or the other; a branch that says nothing of a property adds nothing."""
    if one == other or other in ({}, True):
        return one
    if one in ({}, True):
        return other
    known = one["anyOf"] if isinstance(one, dict) and one.keys() == {"anyOf"} else [one]
    return {"anyOf": known if other in known else [*known, other]}
