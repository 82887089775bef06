"""A call's arguments: read from what the model wrote, and held against the tool's own schema; nothing is mended."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from provider_core.errors import ToolArgumentsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from provider_core.types import Json

__all__ = ["mismatch", "read"]

_MOST_COMPLAINTS: Final = 5
_LONGEST: Final = 300


def read(text: str, schema: Mapping[str, Json], *, server: str = "", tool: str = "") -> dict[str, Json]:
    """The arguments in ``text``; raises ``ToolArgumentsError``, whose sentence a model can act on."""
    who = "/".join(filter(None, (server, tool)))
    try:
        arguments = json.loads(text, strict=False, parse_constant=_no_number)
    except RecursionError:
        arguments, why = None, "they are nested too deep"
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

    A schema that is none, or that needs something from elsewhere, is no judge: the tool itself is.
    """
    if not schema:
        return ""
    from jsonschema import Draft202012Validator, SchemaError
    from jsonschema.validators import validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        kind = validator_for(schema, default=Draft202012Validator)
        kind.check_schema(schema)
        # A registry of its own: without one, a reference to an address is fetched.
        found = kind(schema, registry=Registry()).iter_errors(dict(arguments))
        return "; ".join(_places(found))
    except (SchemaError, Unresolvable, RecursionError, re.error):
        return ""


def _places(errors: Iterator[Json]) -> Iterator[str]:
    for number, error in enumerate(errors):
        if number == _MOST_COMPLAINTS:
            yield "and more"
            return
        words = error.message if len(error.message) <= _LONGEST else f"{error.message[:_LONGEST]}…"
        place = error.json_path.removeprefix("$").removeprefix(".")
        yield f"{place}: {words}" if place else words


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
