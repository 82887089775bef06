"""Schemas of arguments as strict providers accept them, each rule with a schema that somebody refuses; and checks."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from scripted import answer
from toolboxes import Box, call, calling, looped, say

from provider_core.errors import SchemaError, SchemaMismatchError
from provider_core.structured import matching_json, schema_from
from provider_core.tools.schemas import clean_schema, mismatch

if TYPE_CHECKING:
    from scripted import Scripted

# --- properties --------------------------------------------------------------------------------------------

CITY = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
DATA = {"$ref": "#/x", "pattern": "y", "$id": "z"}
KEYWORDS = (
    "$id", "id", "$schema", "pattern", "required", "properties", "$ref", "type", "definitions", "enum",
)  # fmt: skip


TEXT = {"type": "string"}
UNCHANGED: dict[str, Any] = {
    "text": {**TEXT, "description": "Its name", "minLength": 1, "examples": ["Oslo"]},
    "number": {"type": "integer", "minimum": 1, "default": 2},
    "list": {"type": "array", "items": {**TEXT, "enum": ["rain", "wind"]}},
    "branches": {"anyOf": [{**TEXT, "format": "date"}, {"type": "null"}]},
    "map": {"type": "object", "additionalProperties": {"type": "number"}},
    "named like keywords": {"type": "object", "properties": dict.fromkeys(KEYWORDS, TEXT)},
    "data is not a schema": {"type": "object", "default": DATA, "examples": [DATA], "const": DATA},
    "tuple": {"type": "array", "prefixItems": [TEXT]},
}
CLEANED: dict[str, tuple[Any, Any]] = {
    **{name: (schema, schema) for name, schema in UNCHANGED.items()},
    **{f"{key}: Mistral": ({**TEXT, key: "https://x.test"}, TEXT)
       for key in ("$schema", "$id", "$comment", "$anchor", "id")},
    "draft 4 minimum: Mistral": ({"exclusiveMinimum": True, "minimum": 0}, {"exclusiveMinimum": 0}),
    "draft 4 maximum: Mistral": ({"exclusiveMaximum": False, "maximum": 9}, {"maximum": 9}),
    "draft 4 without a bound": ({"exclusiveMinimum": True}, {}),
    "pattern: llama.cpp": ({"pattern": r"\d+"}, {"description": r"matches the regular expression \d+"}),
    "pattern and description: llama.cpp": (
        {"pattern": "x", "description": "An x"}, {"description": "An x (matches the regular expression x)"}),
    **{f"enum of {type_}: Moonshot": ({"enum": values}, {"enum": values, "type": type_})
       for values, type_ in ((["a", "b"], "string"), ([1, 2], "integer"), ([True], "boolean"))},
    "enum of two types: Moonshot": ({"enum": ["a", None]}, {"enum": ["a", None], "type": ["string", "null"]}),
    **{f"type beside {key}: Moonshot": (
        {"type": "object", "description": "d", key: [{"required": ["a"]}, {"type": "array"}]},
        {"description": "d", key: [{"type": "object", "required": ["a"]}, {"type": "array", "items": {}}]})
       for key in ("anyOf", "oneOf")},
    "empty enum: llama.cpp": ({**TEXT, "enum": []}, TEXT),
    "empty anyOf: llama.cpp": ({"description": "d", "anyOf": []}, {"description": "d"}),
    "array: OpenAI, Gemini": ({"type": "array"}, {"type": "array", "items": {}}),
    "required: Gemini": (
        {"properties": {"a": {}}, "required": ["a", "b"]}, {"properties": {"a": {}}, "required": ["a"]}),
    **{f"reference to {reference}": ({"$ref": reference, "description": "d"}, {"description": "d"})
       for reference in ("#/$defs/gone", "https://example.test/schema.json", "other.json#/x", "#name")},
}  # fmt: skip


@pytest.mark.parametrize(("given", "cleaned"), CLEANED.values(), ids=CLEANED)
def test_a_property_is_cleaned(given: dict[str, Any], cleaned: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": {"a": given}, "additionalProperties": False}
    before = json.dumps(schema)
    assert clean_schema(schema) == {**schema, "properties": {"a": cleaned}}
    assert json.dumps(schema) == before, "the tool's own schema is not changed"


# --- the top -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "schema",
    [{}, {"type": "object"}, {"type": ["object", "null"]}, {"type": "string"}, {"required": ["nothing"]}],
)
def test_the_top_is_an_object_with_properties(schema: dict[str, Any]) -> None:
    assert clean_schema(schema) == {"type": "object", "properties": {}}


@pytest.mark.parametrize("key", ["anyOf", "oneOf"])
def test_alternatives_at_the_top_become_one_object(key: str) -> None:  # OpenAI, Anthropic
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
        "additionalProperties": False,
        key: [
            {"properties": {"url": TEXT, "n": {"type": "integer"}, "to": TEXT}, "required": ["url", "n"]},
            {"properties": {"file": TEXT, "n": {"type": "string"}, "to": TEXT}, "required": ["n", "file"]},
        ],
    }
    assert clean_schema(schema) == {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "url": {"type": "string"},
            "n": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
            "to": TEXT,
            "file": {"type": "string"},
        },
        "required": ["name", "n"],
    }


def test_all_of_at_the_top_is_merged() -> None:
    parts = [{"properties": {"a": {"type": "string"}}, "required": ["a"]}, {"$ref": "#/$defs/B"}]
    definitions = {"B": {"properties": {"b": {"type": "integer"}}, "required": ["b"]}}
    assert clean_schema({"allOf": parts, "$defs": definitions}) == {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    }


def test_conditions_at_the_top_are_removed() -> None:
    schema = {
        "properties": {"a": {"type": "string"}},
        "not": {"required": ["a"]},
        "if": {}, "then": {"required": ["a"]}, "else": {},
        "enum": [{}],
    }  # fmt: skip
    assert clean_schema(schema) == {"type": "object", "properties": {"a": {"type": "string"}}}


# --- references --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "where"),
    [
        ("#/$defs/City", {"$defs": {"City": CITY}}),
        ("#/definitions/City", {"definitions": {"City": CITY}}),
        ("#/$defs/a~1b", {"$defs": {"a/b": CITY}}),
        ("#/$defs/a%20b", {"$defs": {"a b": CITY}}),
        ("#/properties/home", {}),
    ],
)
def test_a_reference_is_inlined(reference: str, where: dict[str, Any]) -> None:  # Gemini, Moonshot
    properties = {"home": CITY, "work": {"$ref": reference, "description": "Where one works"}}
    made = clean_schema({"type": "object", "properties": properties, **where})
    assert made["properties"]["work"] == {**CITY, "description": "Where one works"}
    assert "$ref" not in json.dumps(made)
    assert made.keys() == {"type", "properties"}


def test_the_top_itself_may_be_a_reference() -> None:
    assert clean_schema({"$ref": "#/$defs/City", "$defs": {"City": CITY}}) == CITY


def test_a_schema_that_refers_to_itself_is_kept_in_defs() -> None:  # Moonshot requires #/$defs/
    node = {"type": "object", "properties": {"next": {"$ref": "#/definitions/Node"}}}
    top = {"type": "object", "properties": {"list": {"$ref": "#/definitions/Node"}}}
    made = clean_schema({**top, "definitions": {"Node": node}})
    inner = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    assert (made["properties"]["list"], made["$defs"]) == (inner, {"Node": inner})
    Draft202012Validator.check_schema(made)
    assert not mismatch({"list": {"next": {"next": {}}}}, made)
    assert mismatch({"list": {"next": {"next": 7}}}, made)


def test_a_schema_may_refer_to_its_own_top() -> None:
    made = clean_schema(
        {"type": "object", "properties": {"child": {"$ref": "#"}, "name": {"type": "string"}}}
    )
    references = {line.strip() for line in json.dumps(made, indent=0).splitlines() if "$ref" in line}
    assert references
    assert all('"#/$defs/' in reference for reference in references)
    assert mismatch({"child": {"child": {"child": {"name": 7}}}}, made)


def test_references_that_unfold_to_millions_stay_small() -> None:
    definitions: dict[str, Any] = {
        f"L{n}": {"type": "object", "properties": {key: {"$ref": f"#/$defs/L{n + 1}"} for key in "ab"}}
        for n in range(40)
    }
    definitions["L40"] = TEXT
    made = clean_schema({"type": "object", "properties": {"x": {"$ref": "#/$defs/L0"}}, "$defs": definitions})
    assert len(json.dumps(made)) < 2_000_000
    Draft202012Validator.check_schema(made)


def test_a_schema_that_is_nested_too_deeply_allows_anything() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(5_000):
        deep = {"type": "array", "items": deep}
    assert clean_schema({"properties": {"a": deep}}) == {"type": "object", "properties": {}}


# --- together ----------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=4,
)
LEAVES = st.one_of(
    st.builds(
        lambda kind: {"type": kind},
        st.sampled_from(["string", "integer", "boolean", "array", "object", "null"]),
    ),
    st.builds(lambda values: {"enum": values}, st.lists(VALUES, min_size=1, max_size=3)),
    st.builds(lambda name: {"$ref": f"#/$defs/{name}"}, st.sampled_from("PQ")),
    st.just({"type": "string", "pattern": "a"}),
    st.just({"type": "integer", "minimum": 0, "exclusiveMinimum": True}),
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(
            lambda properties, required: {"type": "object", "properties": properties, "required": required},
            st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            st.lists(st.sampled_from("abc"), max_size=2, unique=True),
        ),
        st.builds(lambda items: {"type": "array", "items": items}, inner),
        st.builds(lambda key, branches: {key: branches}, st.sampled_from(["anyOf", "oneOf", "allOf"]),
                  st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda branches: {"type": "object", "anyOf": branches}, st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=200)
@given(SCHEMAS, SCHEMAS, SCHEMAS, st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3))
def test_a_cleaned_schema_accepts_what_the_original_accepts(
    top: dict[str, Any], p: dict[str, Any], q: dict[str, Any], arguments: dict[str, Any]
) -> None:
    schema = {**top, "$defs": {"P": p, "Q": q}}
    made = clean_schema(schema)
    Draft202012Validator.check_schema(made)
    assert made["type"] == "object"
    assert {"anyOf", "oneOf", "allOf", "not", "enum", "if", "$ref"}.isdisjoint(made)
    try:
        fits = not list(Draft202012Validator(schema).iter_errors(arguments))
        wrong = list(Draft202012Validator(made).iter_errors(arguments))
    except (RecursionError, TypeError):  # it refers to nothing but itself, or has a bound that is no number
        return
    if fits:
        if top.keys().isdisjoint(("anyOf", "oneOf", "allOf", "$ref")):
            assert wrong == []
        assert [error for error in wrong if not error.path] == []


def test_arguments_are_checked_against_the_tools_own_schema() -> None:
    either = {
        "anyOf": [{"required": ["url"]}, {"required": ["file"]}],
        "properties": {"url": {}, "file": {"minLength": 2, "pattern": "^/"}},
    }
    first = calling(call("box__get", "{}", id="a"), call("box__get", {"file": "x"}, id="b", index=1))
    box = Box(get=say("got"), schemas={"get": either})
    loop = looped([first, calling(call("box__get", {"file": "/x"})), answer("Done.")], box)
    neither, short = loop.results(1)
    assert "not valid under any of the given schemas" in neither
    assert "file: 'x' is too short" in short
    assert box.ran == [("get", {"file": "/x"})]
    assert loop.bodies[0]["tools"][0]["function"]["parameters"] == {
        "type": "object",
        "properties": {
            "url": {},
            "file": {"minLength": 2, "description": "matches the regular expression ^/"},
        },
    }


# --- checking -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ("x", {}),
        ("x", {"type": 7}),
        ("x", {"properties": {"a": {"$ref": "#/nowhere"}}}),
        ("x", {"properties": {"a": {"$ref": "#"}}, "$ref": "#"}),
        ("x", {"properties": {"a": {"type": "integer", "minimum": 0, "exclusiveMinimum": True}}}),
        (
            "x",
            {"properties": {"a": {"required": [["b"], {"c": 1}, "a"], "properties": {}}}, "required": [[]]},
        ),
        ("x", {"properties": {"a": {"$ref": "#/anyOf/²"}}, "anyOf": [{}]}),
        ("x", {"properties": {"a": {"$ref": f"#/anyOf/{'9' * 5000}"}}, "anyOf": [{}]}),
        ("x", {"properties": {"a": {"$ref": "#/x"}}, "x": ["a"]}),
        ("x", {"properties": {"a": {"$ref": "#/x"}}, "x": 7}),
        (1, {"$schema": ["x"], "properties": {"a": {"type": "string"}}}),
        (10**4000, {"properties": {"a": {"multipleOf": 0.01}}}),
        (float("inf"), {"properties": {"a": {"multipleOf": 0.01}}}),
        ("nonsense", {"properties": {"a": {"type": "string", "format": "date"}}}),
    ],
)
def test_what_cannot_be_checked_is_accepted(value: Any, schema: dict[str, Any]) -> None:
    json.dumps(clean_schema(schema))
    assert mismatch({"a": value}, schema) == ""


def test_references_that_unfold_without_end_accept_everything() -> None:
    steps = {f"s{n}": {"allOf": [{"$ref": f"#/$defs/s{n + 1}"}] * 2} for n in range(60)}
    schema = {"$ref": "#/$defs/s0", "$defs": {**steps, "s60": {"type": "object"}}}
    began = time.monotonic()
    assert mismatch({}, schema) == ""
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "inner",
    [
        {"pattern": "^(a+)+$"},
        {"propertyNames": {"pattern": "^(a+)+$"}},
        {"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False},
        {"patternProperties": {"^(a+)+$": {}}, "unevaluatedProperties": False},
    ],
)
def test_a_pattern_that_takes_forever_is_ignored(inner: dict[str, Any]) -> None:
    wild = f"{'a' * 60}b"
    assert mismatch({"a": wild, "b": {wild: 1}}, {"properties": {"a": inner, "b": inner}}) == ""


_KEYWORDS = (
    "type", "properties", "required", "items", "prefixItems", "enum", "const", "anyOf", "allOf", "not", "if",
    "$ref", "$dynamicRef", "$recursiveRef", "$id", "id", "$schema", "$anchor", "$defs", "definitions",
    "pattern", "patternProperties", "dependencies", "dependentSchemas", "unevaluatedProperties", "minimum",
    "multipleOf", "additionalProperties", "exclusiveMinimum", "uniqueItems", "format", "extends", "x", "a",
)  # fmt: skip
_WORDS = ("#", "#/x", "#/x/0", "#/properties/a", "#a", "//[", "(?<x", "object", "string", "http://127.0.0.1:9/x",
          "https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/draft-03/schema#")  # fmt: skip
_NONSENSE = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.just(10**400) | st.sampled_from(_WORDS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYWORDS), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(st.sampled_from(_KEYWORDS), _NONSENSE, max_size=4),
    st.dictionaries(st.sampled_from(["a", "x"]), _NONSENSE, max_size=2),
    _NONSENSE,
)
def test_no_schema_raises_anything_else(more: Any, properties: Any, value: Any) -> None:
    schema = {"type": "object", "properties": properties, **more}
    json.dumps(clean_schema(schema))
    mismatch({"a": value, "x": [value]}, schema)
    with contextlib.suppress(SchemaError, SchemaMismatchError):
        matching_json(json.dumps({"a": value}), schema_from(schema))


def test_a_reference_to_an_address_is_not_followed(server: Scripted) -> None:
    server.will(answer("{}"))
    schema = {"properties": {"a": {"$ref": f"{server.url}/schema.json"}}}
    assert mismatch({"a": 1}, schema) == ""
    assert server.asked == []


def test_many_and_long_mismatches_are_cut() -> None:
    schema = {"properties": {f"p{n}": {"type": "string"} for n in range(9)}}
    words = mismatch({f"p{n}": [0] * 1000 for n in range(9)}, schema)
    assert words.endswith("; and more")
    assert len(words) < 2_000
