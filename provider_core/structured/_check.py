"""Whether an answer fits its schema: finds the JSON in it, validates, and says where it fails."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from provider_core.errors import SchemaError, SchemaMismatchError
from provider_core.redaction import printable
from provider_core.structs import Struct
from provider_core.structured._schema import validator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from provider_core.types import Json

__all__ = ["Checked", "check", "retry_message"]

_SHOWN: Final = 5
"""Failures that are worded; the others are counted."""

_TRIES: Final = 1000
"""Brackets that turn out not to begin JSON before the rest of an answer is left alone."""

_FENCED: Final = re.compile(
    r"^ {0,3}(`{3,}|~{3,})[^`\n]*\n(.*?)^ {0,3}\1[`~]*[ \t]*$", re.DOTALL | re.MULTILINE
)


_OPENING: Final = re.compile(r"[{\[]")
_LIKE_JSON: Final = re.compile(r"\{\s*\"|\[\s*[\[{\"]")
"""What words in brackets do not begin like."""


class Checked(Struct):
    """An answer that fits. ``text`` is its JSON as the model wrote it, without blanks around.

    ``surrounded`` tells that a fence or words stood around it, and have been left out.
    """

    value: Json
    text: str
    surrounded: bool = False


def check(answer: str, schema: Mapping[str, Json]) -> Checked:
    """The one JSON value in the answer, if it fits the schema.

    It is the whole answer, else the only fenced block that is JSON, else the only object or list (as the schema
    asks for) among words. Raises ``SchemaMismatchError``; ``SchemaError`` where the schema leads nowhere or to itself.
    """
    from referencing.exceptions import Unresolvable

    found = _found(answer, schema)
    try:
        errors = sorted(
            validator(schema).iter_errors(found.value), key=lambda error: list(map(str, error.absolute_path))
        )
    except Unresolvable as error:
        raise SchemaError(
            f"the schema leads nowhere, or out of itself: {printable(str(error), 200)}"
        ) from None
    except RecursionError:
        raise SchemaError(
            "the schema refers to itself without end, or the answer is nested too deeply"
        ) from None
    except Exception as error:  # noqa: BLE001 - references to what is not a schema, in parts that only an answer reaches
        raise SchemaError(f"the schema is not valid: {printable(str(error), 200)}") from None
    if not errors:
        return found
    from jsonschema.exceptions import best_match

    best: Any = best_match(errors)
    details = tuple(f"{error.json_path}: {_words(error)}" for error in errors[:_SHOWN])
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    raise SchemaMismatchError(
        f"the answer does not fit the schema: {best.json_path}: {_words(best)}{more}",
        place=best.json_path,
        details=details,
    )


def retry_message(error: SchemaMismatchError, schema: Mapping[str, Json]) -> str:
    """What to say to the model after an answer that did not fit: what is wrong with it, and the schema once more."""
    wrong = "\n".join(f"- {detail}" for detail in error.details) or f"- {error.message}"
    return (
        f"That answer cannot be used:\n{wrong}\n\n"
        "Answer again, with the corrected JSON alone: no words around it, no code fence. It has to fit this JSON "
        f"schema:\n\n{json.dumps(schema, ensure_ascii=False)}"
    )


def _words(error: Any) -> str:
    return printable(" ".join(str(error.message).split()), 200)


def _found(answer: str, schema: Mapping[str, Json]) -> Checked:
    text = answer.strip().removeprefix("\ufeff").strip()
    if not text:
        raise SchemaMismatchError("the answer is not valid JSON: it is empty")
    try:
        return Checked(value=_loads(text), text=text)
    except json.JSONDecodeError as error:
        reason = f"line {error.lineno}, column {error.colno}: {error.msg}"
    except (ValueError, RecursionError):
        raise SchemaMismatchError("the answer is not valid JSON") from None
    for found in (_blocks(text), _values(text, _wanted(schema))):
        if len(found) == 1:
            return found[0]
        if found:
            raise SchemaMismatchError(f"the answer holds {len(found)} JSON values, and one was asked for")
    raise SchemaMismatchError(f"the answer is not valid JSON ({reason})")


def _blocks(text: str) -> list[Checked]:
    """The fenced blocks that are JSON."""
    return [
        Checked(value=value, text=inner, surrounded=True)
        for block in _FENCED.finditer(text)
        for inner in (block[2].strip(),)
        for value in _if_json(inner)
    ]


def _values(text: str, kinds: tuple[type, ...]) -> list[Checked]:
    """The outermost values of these kinds among words; none where JSON begins that is broken.

    What stands inside of that is a part of the answer and not the answer. The number of tries has a limit: the
    search must not become quadratic.
    """
    decoder = json.JSONDecoder(parse_constant=_no_constant)
    found: list[Checked] = []
    at = failed = 0
    while failed < _TRIES and (start := _OPENING.search(text, at)) is not None:
        try:
            value, at = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            if _LIKE_JSON.match(text, start.start()):
                return []
            at, failed = start.end(), failed + 1
            continue
        if isinstance(value, kinds):
            found.append(Checked(value=value, text=text[start.start() : at], surrounded=True))
    return found


def _wanted(schema: Mapping[str, Json]) -> tuple[type, ...]:
    kind = schema.get("type")
    kinds = set(kind if isinstance(kind, list) else [kind])
    if "object" in kinds or "properties" in schema:
        return (dict, list) if "array" in kinds else (dict,)
    return (list,) if "array" in kinds else (dict, list)


def _if_json(text: str) -> Iterator[Json]:
    try:
        yield _loads(text)
    except (ValueError, RecursionError):
        return


def _loads(text: str) -> Json:
    return json.loads(text, parse_constant=_no_constant)


def _no_constant(word: str) -> Json:
    raise json.JSONDecodeError(f"{word} is not valid JSON", word, 0)
