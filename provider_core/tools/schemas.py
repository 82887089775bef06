"""JSON schemas of arguments: in the form that all providers accept; and the check of a call against the tool's own.

One schema that a provider refuses fails the whole request. A cleaned schema allows what the original does, and more;
only a property that some of the alternatives at the top describe is described for all. Each rule names a provider that
refuses the request without it.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from provider_core.errors import ToolArgumentsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from provider_core.types import Json

# Keywords whose values are a schema, a list of schemas, and a mapping of schemas.
_SCHEMA: Final = frozenset(
    ("items", "additionalItems", "additionalProperties", "contains", "not", "if", "then", "else",
     "propertyNames", "unevaluatedItems", "unevaluatedProperties")
)  # fmt: skip
_SCHEMAS: Final = frozenset(("anyOf", "oneOf", "allOf", "prefixItems", "items"))
_SCHEMA_MAPS: Final = frozenset(("properties", "patternProperties", "dependentSchemas"))

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

_MAX_NODES = 5_000
"""The size up to which definitions are inlined: a few lines of references can unfold to millions."""
_MAX_DEPTH = 60


def clean_schema(schema: Mapping[str, Json]) -> dict[str, Json]:
    """The schema as an object with properties that all providers accept."""
    cleaner = _Cleaner(schema)
    try:
        top = _as_object(cleaner.clean(dict(schema), ()))
    except RecursionError:
        return {"type": "object", "properties": {}}
    return {**top, "$defs": cleaner.definitions} if cleaner.definitions else top


class _Cleaner:
    def __init__(self, root: Mapping[str, Json]) -> None:
        self.definitions: dict[str, Json] = {}
        self._root = root
        self._names: dict[str, str] = {}
        self._nodes = 0

    def clean(self, node: Json, followed: tuple[str, ...]) -> Json:
        """The schema ``node`` in clean form. ``followed`` are the references that led to it."""
        if not isinstance(node, dict):
            return node
        self._nodes += 1
        if len(followed) > _MAX_DEPTH:
            raise RecursionError
        if isinstance(node.get("$ref"), str):
            return self._inlined(node["$ref"], node, followed)
        cleaned: dict[str, Json] = {}
        for key, value in node.items():
            if key in _DROPPED and (key != "id" or isinstance(value, str)):
                continue
            if key in _SCHEMA_MAPS and isinstance(value, dict):
                cleaned[key] = {name: self.clean(inner, followed) for name, inner in value.items()}
            elif key in _SCHEMAS and isinstance(value, list):
                cleaned[key] = [self.clean(inner, followed) for inner in value]
            elif key in _SCHEMA:
                cleaned[key] = self.clean(value, followed)
            else:
                cleaned[key] = value
        return _repaired(cleaned)

    def _inlined(self, reference: str, node: dict[str, Json], followed: tuple[str, ...]) -> Json:
        """The schema that a reference stands for: Gemini and Moonshot accept few forms of references.

        googleapis/python-genai issue 1122, CommandCodeAI/command-code issues 566 and 594.
        """
        target = _resolved(self._root, reference)
        others = {key: value for key, value in node.items() if key != "$ref"}
        if target is None:  # in another document: anything is allowed
            return self.clean(others, followed)
        if reference in followed or self._nodes > _MAX_NODES:
            return {"$ref": f"#/$defs/{self._definition(reference, target)}"}
        followed = (*followed, reference)
        found = self.clean(target, followed)
        return {**found, **self.clean(others, followed)} if others and isinstance(found, dict) else found

    def _definition(self, reference: str, target: Json) -> str:
        """The name of the definition that a reference leads to."""
        name = self._names.get(reference)
        if name is None:
            name = re.sub(r"[^a-zA-Z0-9]", "_", reference.rpartition("/")[2]) or "_"
            while name in self._names.values():
                name += "_"
            self._names[reference] = name
            cleaned = self.clean(target, (reference,))
            refers_to_itself = cleaned == {"$ref": f"#/$defs/{name}"}
            self.definitions[name] = {} if refers_to_itself else cleaned
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
    # Draft 4 has a boolean in addition to the number: Mistral, SylphxAI/pdf-reader-mcp issue 63.
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(schema.get(exclusive), bool) and schema.pop(exclusive) and bound in schema:
            schema[exclusive] = schema.pop(bound)
    # Empty alternatives: llama.cpp.
    for key in ("enum", "anyOf", "oneOf", "allOf"):
        if schema.get(key) == []:
            del schema[key]
    # llama.cpp makes grammars of patterns of one form only; until late in 2026 it refused all others. The model can
    # read a pattern in the description as well. containers/kubernetes-mcp-server issue 758.
    if isinstance(schema.get("pattern"), str):
        words = f"matches the regular expression {schema.pop('pattern')}"
        schema["description"] = f"{schema['description']} ({words})" if schema.get("description") else words
    # Moonshot requires a type next to an enum, and with anyOf a type in each branch instead:
    # HaseebKhalid1507/SynapsCLI PR 66, MoonshotAI/kimi-code issue 2661.
    if isinstance(schema.get("enum"), list) and "type" not in schema:
        types = list(dict.fromkeys(_TYPES.get(type(value), "null") for value in schema["enum"]))
        if types:
            schema["type"] = types[0] if len(types) == 1 else types
    for key in ("anyOf", "oneOf"):
        branches = schema.get(key)
        if "type" in schema and isinstance(branches, list) and all(isinstance(b, dict) for b in branches):
            type_ = schema.pop("type")
            schema[key] = [branch if "$ref" in branch else {"type": type_, **branch} for branch in branches]
    # OpenAI and Gemini require the items of an array. cline/cline issue 7339.
    if schema.get("type") == "array" and "items" not in schema and "prefixItems" not in schema:
        schema["items"] = {}
    # Gemini: required properties have to exist. anomalyco/opencode issue 3140.
    if isinstance(schema.get("required"), list) and isinstance(schema.get("properties"), dict):
        schema["required"] = [name for name in _required(schema) if name in schema["properties"]]
    return schema


def _as_object(schema: dict[str, Json]) -> dict[str, Json]:
    """The schema without alternatives at the top, which OpenAI and Anthropic refuse.

    langchain-ai/langchainjs issue 9804, anthropics/claude-code issue 5319. It has the properties of all alternatives,
    and requires those that all of them require.
    """
    alternatives = [*_branches(schema, "anyOf"), *_branches(schema, "oneOf")]
    parts = [schema, *_branches(schema, "allOf")]
    properties: dict[str, Json] = {}
    for part in (*parts, *alternatives):
        own = part.get("properties")
        for name, value in own.items() if isinstance(own, dict) else ():
            properties[name] = _either(properties[name], value) if name in properties else value
    required = [name for part in parts for name in _required(part)]
    if alternatives:
        required += [
            name
            for name in _required(alternatives[0])
            if all(name in _required(other) for other in alternatives)
        ]
    left_out = {"type", "properties", "required", "$ref", *_CHOICES}
    if alternatives or len(parts) > 1:
        left_out |= {"additionalProperties", "unevaluatedProperties"}
    rest = {key: value for key, value in schema.items() if key not in left_out}
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
    """A schema that allows both. An empty one says nothing about a property, so that it adds nothing."""
    if one == other or other in ({}, True):
        return one
    if one in ({}, True):
        return other
    known = one["anyOf"] if isinstance(one, dict) and one.keys() == {"anyOf"} else [one]
    return {"anyOf": known if other in known else [*known, other]}


# --- checking calls ----------------------------------------------------------------------------------------

_MAX_MISMATCHES: Final = 5
_MAX_LENGTH: Final = 300
_MAX_REFERENCES: Final = 20_000
"""References that are followed to check one call: thirty lines of them can unfold to billions."""


def read_arguments(
    text: str, schema: Mapping[str, Json], *, server: str = "", tool: str = ""
) -> dict[str, Json]:
    """The arguments in ``text``. Raises ``ToolArgumentsError``, with a message for the model."""
    try:
        arguments = json.loads(text, strict=False, parse_constant=_refuse_constant, parse_float=_finite)
        json.dumps(arguments, ensure_ascii=False).encode()
    except RecursionError:
        why = "they are nested too deeply"
    except UnicodeEncodeError:
        why = "they contain text that is not valid Unicode"
    except ValueError as error:
        why = f"they are not valid JSON: {error}"
    else:
        if not isinstance(arguments, dict):
            why = "they have to be a JSON object"
        elif not (why := mismatch(arguments, schema)):
            return arguments
    name = "/".join(filter(None, (server, tool)))
    message = f"the arguments for {name} cannot be used, and it did not run: {why}"
    raise ToolArgumentsError(message, server=server, tool=tool)


def mismatch(arguments: Mapping[str, Json], schema: Mapping[str, Json]) -> str:
    """How arguments do not match a tool's schema, in a few places at most; "" if they match.

    Patterns are not checked, since they may take for ever. A schema that is not valid, that refers to other documents,
    or that takes too long to check accepts everything: the tool itself checks its arguments.
    """
    if not schema:
        return ""
    from referencing import Registry

    try:
        validator = _validator_class(schema)
        validator.check_schema(schema)
        # Without a registry, references to addresses would be fetched.
        return "; ".join(_mismatches(validator(schema, registry=Registry()).iter_errors(dict(arguments))))
    except Exception:  # noqa: BLE001 - jsonschema fails in many ways at odd numbers and references
        return ""


def _validator_class(schema: Mapping[str, Json]) -> Any:
    """The validator of the schema's draft, without what can take for ever."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend, validator_for

    named = schema.get("$schema")
    known = {"$schema": named} if isinstance(named, str) else {}
    draft = validator_for(known, default=Draft202012Validator)
    followed = 0

    def counted(rule: Callable[..., Iterator[Json]]) -> Callable[..., Iterator[Json]]:
        def follow(*arguments: Json) -> Iterator[Json]:
            nonlocal followed
            followed += 1
            if followed > _MAX_REFERENCES:
                raise RecursionError
            yield from rule(*arguments)

        return follow

    def additional_properties(validator: Json, value: Json, instance: Json, inside: Json) -> Iterator[Json]:
        if not inside.get("patternProperties"):
            yield from draft.VALIDATORS["additionalProperties"](validator, value, instance, inside)

    def ignored(*_: Json) -> Iterator[Json]:
        return iter(())

    rules: dict[str, Any] = {"additionalProperties": additional_properties}
    # The last two match patterns and follow references by themselves.
    unchecked = ("pattern", "patternProperties", "unevaluatedItems", "unevaluatedProperties")
    rules |= dict.fromkeys(unchecked, ignored)
    for name in ("$ref", "$dynamicRef", "$recursiveRef"):
        if name in draft.VALIDATORS:
            rules[name] = counted(draft.VALIDATORS[name])
    return extend(draft, rules)


def _mismatches(errors: Iterator[Json]) -> Iterator[str]:
    for number, error in enumerate(errors):
        if number == _MAX_MISMATCHES:
            yield "and more"
            return
        words = error.message if len(error.message) <= _MAX_LENGTH else f"{error.message[:_MAX_LENGTH]}…"
        place = error.json_path.removeprefix("$").removeprefix(".")
        yield f"{place}: {words}" if place else words


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:20]} is too large for a number")
    return number


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not valid JSON")
