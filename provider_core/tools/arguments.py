"""The arguments of a tool call: read from the model's text, and checked against the tool's schema."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, Final

from provider_core.errors import ToolArgumentsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from provider_core.types import Json

_MAX_MISMATCHES: Final = 5
_MAX_LENGTH: Final = 300
_MAX_REFERENCES: Final = 20_000
"""References that are followed to check one call: thirty lines of them can unfold to billions."""

_SLOW_PATTERN: Final = re.compile(r"\)[*+?{]|\\[1-9]|\(\?P=|(?:[*+{].*){3}", re.DOTALL)
"""What may make a regular expression slow: a repeated group, three repetitions, a reference to a group."""

_MAX_MATCHED: Final = 500
"""Characters of a text that is matched against a pattern: two repetitions take its third power."""


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
        why = "they contain half of a surrogate pair"
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

    A schema that is not valid, that refers to other documents, or that takes too long to check accepts everything: the
    tool itself checks its arguments.
    """
    if not schema:
        return ""
    from jsonschema import SchemaError
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        validator = _validator_class(schema)
        validator.check_schema(schema)
        # Without a registry, references to addresses would be fetched.
        return "; ".join(_mismatches(validator(schema, registry=Registry()).iter_errors(dict(arguments))))
    except (SchemaError, Unresolvable, RecursionError, _TooManyReferencesError):
        return ""
    except (
        re.error,
        ValueError,
        ArithmeticError,
        TypeError,
    ):  # from numbers and patterns that nobody should write
        return ""
    except Exception:  # noqa: BLE001 - jsonschema fails in many ways at references to what is not a schema
        return "they cannot be checked, because the tool's own schema is not valid"


class _TooManyReferencesError(Exception):
    pass


def _validator_class(schema: Mapping[str, Json]) -> Any:
    """The validator of the schema's draft, limited to what cannot take forever."""
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
                raise _TooManyReferencesError
            yield from rule(*arguments)

        return follow

    def additional_properties(validator: Json, value: Json, instance: Json, inside: Json) -> Iterator[Json]:
        if not inside.get("patternProperties"):
            yield from draft.VALIDATORS["additionalProperties"](validator, value, instance, inside)

    def pattern(validator: Json, value: Json, instance: Json, inside: Json) -> Iterator[Json]:
        short = isinstance(instance, str) and len(instance) <= _MAX_MATCHED
        if short and isinstance(value, str) and not _SLOW_PATTERN.search(value):
            yield from draft.VALIDATORS["pattern"](validator, value, instance, inside)

    def ignored(*_: Json) -> Iterator[Json]:
        return iter(())

    rules: dict[str, Any] = {"additionalProperties": additional_properties, "pattern": pattern}
    # These match patterns and follow references by themselves.
    rules |= dict.fromkeys(("patternProperties", "unevaluatedItems", "unevaluatedProperties"), ignored)
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
