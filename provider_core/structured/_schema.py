"""A schema from what was typed: a file, JSON or the short form; a schema that cannot be used is refused here."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from provider_core import files, limits
from provider_core.errors import SchemaError
from provider_core.redaction import printable
from provider_core.structured._short import short_form

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from provider_core.types import Json

__all__ = ["schema_from", "validator"]

_KEYWORDS: Final = frozenset(
    ("type", "properties", "required", "additionalProperties", "patternProperties", "items", "prefixItems", "enum",
     "const", "anyOf", "oneOf", "allOf", "not", "if", "$ref", "$dynamicRef", "minimum", "maximum", "pattern", "format",
     "minLength", "maxLength", "minItems", "maxItems", "contains", "minProperties", "maxProperties", "propertyNames",
     "dependentRequired", "dependentSchemas", "unevaluatedProperties", "unevaluatedItems", "multipleOf",
     "exclusiveMinimum", "exclusiveMaximum", "uniqueItems")
)  # fmt: skip
"""A schema with none of them takes whatever comes: it was meant to be something else."""


def schema_from(text: str | Mapping[str, Json], *, folder: Path | None = None) -> dict[str, Json]:
    """The schema that ``text`` is or names: JSON if it begins with a brace, a file if there is one, or the short form.

    A relative path starts from ``folder``, else from the working folder. A table is the schema itself. What
    OpenAI's ``response_format`` wraps around a schema is taken off. Raises ``SchemaError``, which names the
    place, and file and line where it is not valid JSON.
    """
    if not isinstance(text, str):
        return _checked(dict(text), "the schema")
    if text.lstrip().startswith("{"):
        return _checked(_parsed(text, "the schema"), "the schema")
    bare = text.strip()
    path = (folder or Path()) / files.expand_user(bare) if "\0" not in bare else Path()
    # A pipe is as good as a file: <(command). Path raises for a name that is too long.
    if os.path.exists(path) and not os.path.isdir(path):  # noqa: PTH110, PTH112
        return _checked(_parsed(_read(path), str(path)), str(path))
    if re.fullmatch(r"[^\s,:]+\.json|[^\s,:]*/[^\s,:]*|\w+://\S*", bare):
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            raise SchemaError(f"there is no schema file {bare}") from None
        except OSError as error:
            raise SchemaError(f"the schema file {bare} cannot be read: {error.strerror}") from None
        raise SchemaError(f"{bare} is a folder, and not a schema file")
    return _checked(short_form(text), "the schema")


def validator(schema: Mapping[str, Json]) -> Any:
    """A validator of the draft that the schema names, else 2020-12. No reference leaves the schema."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for
    from referencing.jsonschema import EMPTY_REGISTRY

    kind: Any = validator_for(schema, default=Draft202012Validator)
    return kind(schema, registry=EMPTY_REGISTRY)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(limits.TEMPLATE + 1)
    except OSError as error:
        raise SchemaError(f"the schema {path} cannot be read: {error.strerror}") from None
    if len(raw) > limits.TEMPLATE:
        raise SchemaError(f"the schema {path} is larger than 1 MB")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SchemaError(f"the schema {path} is not UTF-8 (byte {error.start + 1})") from None


def _parsed(text: str, name: str) -> dict[str, Json]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise SchemaError(f"{name} is not valid JSON ({where}: {error.msg})") from None
    except (ValueError, RecursionError):
        raise SchemaError(f"{name} is not valid JSON") from None
    if not isinstance(found, dict):
        raise SchemaError(f"{name} is not a JSON object, as a schema has to be")
    return found


def _checked(schema: dict[str, Json], name: str) -> dict[str, Json]:
    schema = _unwrapped(schema)
    if _KEYWORDS.isdisjoint(schema):
        raise SchemaError(f"{name} asks for nothing: it has neither type nor properties")
    from jsonschema.exceptions import SchemaError as Refused

    try:
        checker = validator(schema)
        checker.check_schema(schema)
        _check_references(schema, name)
        for _ in checker.iter_errors(None):  # a schema that is nothing but a way to itself has no end
            pass
    except Refused as error:
        words = printable(error.message, 200)
        raise SchemaError(
            f"{name} is not a valid JSON schema, at {error.json_path}: {words}", place=error.json_path
        ) from None
    except RecursionError:
        raise SchemaError(f"{name} is nested too deeply, or leads to itself without end") from None
    except SchemaError:
        raise
    except Exception as error:  # noqa: BLE001 - the library trips over references and ids of other types, in many ways
        raise SchemaError(f"{name} is not a valid JSON schema: {printable(str(error), 200)}") from None
    return schema


def _unwrapped(schema: dict[str, Json]) -> dict[str, Json]:
    inner = schema.get("json_schema")
    if schema.get("type") == "json_schema" and isinstance(inner, dict):
        schema = inner
    inner = schema.get("schema")
    if isinstance(inner, dict) and schema.keys() <= {"name", "description", "strict", "schema"}:
        return inner
    return schema


def _check_references(schema: dict[str, Json], name: str) -> None:
    """A reference that leads nowhere would show when the answer has been paid for."""
    from referencing import Registry, Resource
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    root: Resource[Any] = Resource.from_contents(schema, default_specification=DRAFT202012)
    registry: Registry[Any] = Registry()
    resolver = registry.resolver_with_root(root)
    for place, target in _references(schema, "$"):
        try:
            resolver.lookup(target)
        except (Unresolvable, ValueError):
            where = printable(target, 100)
            reason = "leads nowhere" if target.startswith("#") else "leads out of the schema"
            raise SchemaError(f"{name}: the reference {where} at {place} {reason}", place=place) from None


def _references(node: Json, place: str) -> Iterator[tuple[str, str]]:
    """Each ``$ref`` with its place; a part with an id of its own is left out, since its references start there."""
    if isinstance(node, dict):
        if place != "$" and "$id" in node:
            return
        if isinstance(node.get("$ref"), str):
            yield place, node["$ref"]
        for key, child in node.items():
            if key not in ("enum", "const", "default", "examples"):
                yield from _references(child, f"{place}.{key}")
    elif isinstance(node, list):
        for number, child in enumerate(node):
            yield from _references(child, f"{place}[{number}]")
