"""A call's arguments: read from what the model wrote, and held against the tool's own schema; nothing is mended."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Final

from provider_core.errors import ToolArgumentsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from jsonschema.protocols import Validator

    from provider_core.types import Json

_MOST_COMPLAINTS: Final = 5
_LONGEST: Final = 300
_MOST_FOLLOWED: Final = 20_000
"""References followed in judging one call."""

_REFERENCES: Final = frozenset(("$ref", "$dynamicRef", "$recursiveRef"))
# The unevaluated ones look for patterns, and follow references, on their own.
_NOT_JUDGED: Final = ("patternProperties", "unevaluatedItems", "unevaluatedProperties")

_WILD: Final = re.compile(r"\)[*+?{]|\\[1-9]|\(\?P=|(?:[*+{].*){3}", re.DOTALL)
"""What may make a regular expression slow: a repeated group, what is repeated thrice, a reference back."""
_LONGEST_MATCHED: Final = 500
"""Characters of a text that is held against a pattern: two repetitions take its third power."""


def read_arguments(
    text: str, schema: Mapping[str, Json], *, server: str = "", tool: str = ""
) -> dict[str, Json]:
    """The arguments in ``text``; raises ``ToolArgumentsError``, whose sentence a model can act on."""
    who = "/".join(filter(None, (server, tool)))
    try:
        arguments = json.loads(text, strict=False, parse_constant=_no_number, parse_float=_number)
        json.dumps(arguments, ensure_ascii=False).encode()
    except RecursionError:
        arguments, why = None, "they are nested too deep"
    except UnicodeEncodeError:
        arguments, why = None, "they contain half of a surrogate pair"
    except ValueError as error:
        arguments, why = None, f"they are not valid JSON: {error}"
    else:
        why = (
            "they have to be a JSON object"
            if not isinstance(arguments, dict)
            else mismatch(arguments, schema)
        )
    if why or not isinstance(arguments, dict):
        message = f"the arguments for {who} cannot be used, and it did not run: {why}"
        raise ToolArgumentsError(message, server=server, tool=tool)
    return arguments


def mismatch(arguments: Mapping[str, Json], schema: Mapping[str, Json]) -> str:
    """Where arguments do not fit a tool's schema, a few places at most; "" where they do.

    A schema that is none, that needs something from elsewhere, or that never comes to an end is no judge: the tool
    itself is. So it is where a regular expression could take for ever.
    """
    if not schema:
        return ""
    from jsonschema import SchemaError
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        kind = _judge(schema)
        kind.check_schema(schema)
        # A registry of its own: without one, a reference to an address is fetched.
        found = kind(schema, registry=Registry()).iter_errors(dict(arguments))
        return "; ".join(_places(found))
    # The last three are the library's own mistakes, at numbers and patterns that nobody should write.
    except (
        SchemaError,
        Unresolvable,
        RecursionError,
        re.error,
        _Endless,
        ValueError,
        ArithmeticError,
        TypeError,
    ):
        return ""
    except Exception:  # noqa: BLE001 - it trips over references to what is not a schema, in many ways
        return "they cannot be checked, because the tool's own schema is not valid"


class _Endless(Exception):  # noqa: N818 - no error: a schema that is no judge
    pass


def _judge(schema: Mapping[str, Json]) -> type[Validator]:
    """The validator of the schema's own draft, which stops at what takes for ever.

    Thirty lines of references can unfold to billions, and Python's regular expressions neither end nor let go.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend, validator_for

    named = schema.get("$schema")
    kind = (
        validator_for({"$schema": named}, default=Draft202012Validator)
        if isinstance(named, str)
        else Draft202012Validator
    )
    followed = 0

    def counted(rule: Callable[..., Iterator[Json]]) -> Callable[..., Iterator[Json]]:
        def follow(*given: Json) -> Iterator[Json]:
            nonlocal followed
            followed += 1
            if followed > _MOST_FOLLOWED:
                raise _Endless
            yield from rule(*given)

        return follow

    def only_without_patterns(rule: Callable[..., Iterator[Json]]) -> Callable[..., Iterator[Json]]:
        def judge(validator: Json, value: Json, instance: Json, inside: Json) -> Iterator[Json]:
            if not inside.get("patternProperties"):
                yield from rule(validator, value, instance, inside)

        return judge

    def tame(rule: Callable[..., Iterator[Json]]) -> Callable[..., Iterator[Json]]:
        def judge(validator: Json, value: Json, instance: Json, inside: Json) -> Iterator[Json]:
            short = isinstance(instance, str) and len(instance) <= _LONGEST_MATCHED
            if short and isinstance(value, str) and not _WILD.search(value):
                yield from rule(validator, value, instance, inside)

        return judge

    rules = {name: counted(rule) for name, rule in kind.VALIDATORS.items() if name in _REFERENCES}
    if "additionalProperties" in kind.VALIDATORS:
        rules["additionalProperties"] = only_without_patterns(kind.VALIDATORS["additionalProperties"])
    if "pattern" in kind.VALIDATORS:
        rules["pattern"] = tame(kind.VALIDATORS["pattern"])
    judge: type[Validator] = extend(kind, {**dict.fromkeys(_NOT_JUDGED, _anything), **rules})
    return judge


def _anything(*_: Json) -> Iterator[Json]:
    return iter(())


def _places(errors: Iterator[Json]) -> Iterator[str]:
    for number, error in enumerate(errors):
        if number == _MOST_COMPLAINTS:
            yield "and more"
            return
        words = error.message if len(error.message) <= _LONGEST else f"{error.message[:_LONGEST]}…"
        place = error.json_path.removeprefix("$").removeprefix(".")
        yield f"{place}: {words}" if place else words


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:20]} is beyond all numbers")
    return number


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not valid JSON")
