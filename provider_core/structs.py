"""Frozen value classes, and regular expressions, that are cheap to define.

``dataclasses`` compiles five functions for every class, which took 15 ms of each start. Here, all classes share theirs.
A pattern is compiled when it is first used, and most commands use few.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import Field
    from typing import ClassVar


_REQUIRED: Any = object()


class _FieldOptions:
    def __init__(
        self,
        *,
        default: Any = _REQUIRED,
        default_factory: Callable[[], Any] | None = None,
        repr: bool = True,  # noqa: A002 - as in dataclasses
        compare: bool = True,
    ) -> None:
        self.default = default
        self.factory = default_factory
        self.repr = repr
        self.compare = compare


field: Any = _FieldOptions
"""Describes a field, as ``dataclasses.field`` does."""


class _DataclassFields:
    """Makes ``__dataclass_fields__`` when ``dataclasses.fields``, ``asdict`` or ``replace`` first look at it."""

    def __get__(self, instance: object, cls: type[Struct]) -> dict[str, Field[Any]]:
        import dataclasses

        made = dataclasses.make_dataclass(
            cls.__name__, [(name, Any, dataclasses.field(default=None)) for name in cls._fields]
        )
        cls.__dataclass_fields__ = made.__dataclass_fields__  # type: ignore[attr-defined]
        return cls.__dataclass_fields__


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
class _StructType(type):
    """Turns the annotations of a class body into slots."""

    _fields: tuple[str, ...]

    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> Any:
        own = tuple(body.get("__annotations__", ()))
        options = {name: body.pop(name, _REQUIRED) for name in own}  # a default, or what field() returned
        cls: Any = super().__new__(mcs, name, bases, {**body, "__slots__": own})
        cls._options = {**getattr(cls, "_options", {}), **options}
        cls._fields = tuple(cls._options)
        special = {each: option for each, option in cls._options.items() if type(option) is _FieldOptions}
        cls._shown = tuple(each for each in cls._fields if each not in special or special[each].repr)
        compared = [each for each in cls._fields if each not in special or special[each].compare]
        cls._key = attrgetter(*compared) if compared else type
        cls._setters = {each: getattr(cls, each).__set__ for each in cls._fields}
        return cls


class Struct(metaclass=_StructType):
    """A frozen object whose annotations are its fields: keyword-only, compared and hashed by value.

    ``dataclasses.fields``, ``asdict`` and ``replace`` work with it.
    """

    if TYPE_CHECKING:
        _options: ClassVar[dict[str, Any]]
        _shown: ClassVar[tuple[str, ...]]
        _key: ClassVar[Callable[[Any], Any]]
        _setters: ClassVar[dict[str, Callable[[Any, Any], None]]]
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    else:
        __dataclass_fields__ = _DataclassFields()

        def __init__(self, **values):
            setters = self._setters
            try:
                for name, value in values.items():
                    setters[name](self, value)
            except KeyError:
                raise TypeError(f"{type(self).__name__} has no field {name}") from None
            if len(values) < len(setters):
                for name, value in self._options.items():
                    if name not in values:
                        if type(value) is _FieldOptions:
                            value = value.factory() if value.factory else value.default  # noqa: PLW2901
                        if value is _REQUIRED:
                            raise TypeError(f"{type(self).__name__} needs the field {name}")
                        setters[name](self, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        key = type(self)._key
        return bool(key(self) == key(other))

    def __hash__(self) -> int:
        return hash(type(self)._key(self))

    def __reduce__(self) -> tuple[Any, ...]:
        """Make ``copy`` and ``pickle`` work, which would assign to the fields."""
        return partial(type(self), **{name: getattr(self, name) for name in type(self)._fields}), ()

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._shown)
        return f"{type(self).__qualname__}({fields})"


_S = TypeVar("_S", bound=Struct)


def replace(value: _S, /, **changes: Any) -> _S:
    """A copy with other values of some fields, as ``dataclasses.replace`` makes it, without importing that module."""
    return type(value)(**{name: getattr(value, name) for name in type(value)._fields} | changes)


_KINDS: Mapping[str, Any] = {
    "str": str, "Role": str, "CostSource": str, "str | tuple[Part, ...]": (str, tuple), "Mapping[str, Json]": Mapping,
    "int": int, "float": (int, float), "Decimal": object, "bool": bool,
}  # fmt: skip
"""The types of annotations; others are not checked."""
_LIMITS: Mapping[str, tuple[float, float]] = {
    "int": (-(2**63), 2**63 - 1),  # the integers of SQLite
    "float": (0, 253_402_300_799),  # until the year 10000
    "Decimal": (0, 10**30),
}


def checked(value: _S) -> _S:
    """``value``, which was made from a file that may contain anything.

    Raises TypeError if a field has another type than its annotation, and ValueError if a number is absurd. For a
    ``Decimal`` that is not a number, it raises ArithmeticError.
    """
    for name, annotation in type(value).__annotations__.items():
        found, kind = getattr(value, name), annotation.removesuffix(" | None")
        if kind not in _KINDS or (found is None and kind != annotation):
            continue
        if not isinstance(found, _KINDS[kind]):
            raise TypeError(name)
        if kind in _LIMITS and not _LIMITS[kind][0] <= found <= _LIMITS[kind][1]:
            raise ValueError(name)
        if kind == "Decimal" and found.adjusted() < -99:  # it would be printed with that many zeros
            raise ValueError(name)
    return value


class _Pattern:
    def __init__(self, text: str, flags: int) -> None:
        self._text, self._flags = text, flags

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(self._text, self._flags), name)
        self.__dict__[name] = found
        return found


def pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    """As ``re.compile``, but what is invalid raises at the first use."""
    lazy: Any = _Pattern(text, flags)
    return lazy  # type: ignore[no-any-return]
