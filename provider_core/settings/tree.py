"""What a dotted name such as ``providers.lab.base_url`` means: its keys in the file, and the type of its value.

The models of ``schema`` are read for that, so a setting that is added there has a name at once, in ``telex config``
and in nested variables.
"""

from __future__ import annotations

import re
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel

from provider_core.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Kind: TypeAlias = Literal["text", "number", "switch", "list", "table", "json"]
"""The type of a value; "json" is any."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_PART = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^.]*?))\s*(?:\.|$)""")


class Place(Struct):
    """A setting, or a table of settings."""

    keys: tuple[str, ...]
    kinds: tuple[Kind, ...]
    """The types that its value may have."""
    choices: tuple[str, ...] = ()
    """All values, if they are a few words."""

    def __str__(self) -> str:
        return dotted(self.keys)


class UnknownKeyError(LookupError):
    """There is no such setting; ``known`` are the names that its table has."""

    keys: list[str]
    known: list[str]

    def __init__(self, keys: Sequence[str], known: Sequence[str]) -> None:
        super().__init__(".".join(keys))
        self.keys = list(keys)
        self.known = list(known)


def dotted(keys: Sequence[str]) -> str:
    """The keys as one name, which ``split`` takes apart again; a key that is not a bare one in TOML is quoted."""
    return ".".join(key if _BARE.fullmatch(key) else f"'{key}'" if '"' in key else f'"{key}"' for key in keys)


def split(name: str) -> list[str]:
    """The parts of a dotted name; a part in quotes may contain dots, as in TOML."""
    parts, at = [], 0
    while (found := _PART.match(name, at)) is not None:
        parts.append(next((part for part in found.groups() if part is not None), ""))
        at = found.end()
        if at == len(name) and not found[0].endswith("."):
            return parts
    return name.split(".")


def locate(model: type[BaseModel], parts: Sequence[str], *, joint: str = ".") -> Place:
    """The setting that the parts of a name lead to from ``model``; raises ``UnknownKeyError``.

    Names of aliases, headers and the like may contain dots: all parts up to the next field are one name, joined by
    ``joint``.
    """
    keys: list[str] = []
    branches: tuple[Any, ...] = (model,)
    rest = list(parts)
    while rest:
        table = _table(branches)
        named = next((each for each in branches if get_origin(each) is dict), None)
        if table is not None and rest[0] in table.model_fields:
            keys.append(rest.pop(0))
            branches = _branches(table.model_fields[keys[-1]].annotation)
        elif named is not None and all(rest):
            branches = _branches(get_args(named)[1])
            length, inner = len(rest), _table(branches)
            if inner is not None:  # only names of aliases contain dots
                fields = (at for at in range(1, len(rest)) if rest[at] in inner.model_fields)
                length = next(fields, length) if keys == ["aliases"] else 1
            keys.append(joint.join(rest[:length]))
            del rest[:length]
        else:
            known = table.model_fields if table is not None else ()
            raise UnknownKeyError([*keys, *rest], list(known))
    kinds = tuple(dict.fromkeys(_kind(each) for each in branches))
    choices = [choice for each in branches if get_origin(each) is Literal for choice in get_args(each)]
    if kinds == ("switch",):
        choices = ["true", "false"]
    return Place(keys=tuple(keys), kinds=kinds, choices=tuple(choices))


def names(model: type[BaseModel], below: tuple[str, ...] = ()) -> Iterator[Place]:
    """All settings of ``model`` that have fixed names, as places below the keys ``below``."""
    for name, field in model.model_fields.items():
        branches = _branches(field.annotation)
        if (table := _table(branches)) is not None:
            yield from names(table, (*below, name))
        elif get_origin(branches[0]) is not dict:
            place = locate(model, [name])
            yield Place(keys=(*below, name), kinds=place.kinds, choices=place.choices)


def _table(branches: tuple[Any, ...]) -> type[BaseModel] | None:
    return next((each for each in branches if isinstance(each, type) and issubclass(each, BaseModel)), None)


def _branches(hint: Any) -> tuple[Any, ...]:
    """The types of a union, without None and without what ``Annotated`` adds."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _branches(get_args(hint)[0])
    if origin in (Union, UnionType):
        return tuple(each for part in get_args(hint) for each in _branches(part))
    return () if hint is NoneType else (hint,)


def _kind(branch: Any) -> Kind:
    origin = get_origin(branch) or branch
    if origin is Literal:
        return "text"
    if origin is list:
        return "list"
    if origin is bool:
        return "switch"
    if origin in (int, float):
        return "number"
    if origin is dict or _table((branch,)) is not None:
        return "table"
    return "json" if branch is Any else "text"
