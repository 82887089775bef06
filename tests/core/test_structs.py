"""Frozen value classes: fields, defaults, equality, repr, what ``dataclasses`` makes of them; and patterns."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from provider_core.structs import Struct, checked, field, pattern, replace
from provider_core.types import Json


class Point(Struct):
    x: int
    y: int = 0
    tags: dict[str, int] = field(default_factory=dict)
    secret: str = field(default="", repr=False, compare=False)


class Nothing(Struct):
    pass


def test_a_field_is_given_by_keyword_or_has_its_default() -> None:
    point = Point(x=1, secret="s")
    assert (point.x, point.y, point.tags, point.secret) == (1, 0, {}, "s")
    assert point.tags is not Point(x=1).tags


@pytest.mark.parametrize("values", [{}, {"x": 1, "z": 2}], ids=["missing", "unknown"])
def test_a_missing_or_unknown_field_is_an_error(values: dict[str, int]) -> None:
    with pytest.raises(TypeError, match="field"):
        Point(**values)


def test_a_struct_cannot_be_changed() -> None:
    point = Point(x=1)
    with pytest.raises(AttributeError):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del point.x
    with pytest.raises(AttributeError):
        point.z = 2  # type: ignore[attr-defined]


def test_structs_are_compared_and_hashed_by_value() -> None:
    assert Point(x=1, secret="a") == Point(x=1, secret="b") != Point(x=2)
    assert len({Nothing(), Nothing()}) == 1
    assert Nothing() != Point(x=1)


def test_the_repr_leaves_out_secrets() -> None:
    assert repr(Point(x=1, secret="s")) == "Point(x=1, y=0, tags={})"


def test_replace_copies_a_struct_with_changes() -> None:
    point = Point(x=1, y=2, tags={"a": 1}, secret="s")
    changed = replace(point, x=3)
    assert (changed, changed.secret, point.x) == (Point(x=3, y=2, tags={"a": 1}), "s", 1)
    with pytest.raises(TypeError, match="field"):
        replace(point, z=1)


def test_dataclasses_and_match_work_with_a_struct() -> None:
    assert dataclasses.replace(Point(x=1, y=2), x=3) == Point(x=3, y=2)
    assert dataclasses.asdict(Point(x=1)) == {"x": 1, "y": 0, "tags": {}, "secret": ""}
    match Point(x=1, y=2):
        case Point(x=1, y=y):
            assert y == 2
        case _:
            pytest.fail("not matched")


def test_a_struct_can_be_copied_and_pickled() -> None:
    point = Point(x=1, tags={"a": 1}, secret="s")
    for other in (copy.copy(point), copy.deepcopy(point), pickle.loads(pickle.dumps(point))):
        assert (other, other.secret) == (point, "s")


def test_a_pattern_is_compiled_when_it_is_used() -> None:
    invalid = pattern("(")
    with pytest.raises(re.error):
        invalid.search("(")
    words = pattern(r"\w+", re.ASCII)
    assert words.findall("für die Katz") == ["f", "r", "die", "Katz"]
    assert (words.sub("x", "a b"), words.pattern) == ("x x", r"\w+")


class Stored(Struct):
    name: str = ""
    count: int | None = None
    at: float = 0.0
    cost: Decimal | None = None
    on: bool = False
    more: Mapping[str, Json] = field(default_factory=dict)
    others: tuple[object, ...] = ()


@pytest.mark.parametrize(
    "values",
    [
        {}, {"count": -(2**63)}, {"count": 2**63 - 1}, {"at": 5}, {"at": 253_402_300_799}, {"cost": Decimal(0)},
        {"cost": Decimal("1E+30")}, {"cost": Decimal("1E-99")}, {"more": {"a": 1}}, {"others": 5},
    ],
)  # fmt: skip
def test_values_from_a_file_that_fit_are_returned(values: dict[str, Any]) -> None:
    stored = Stored(**values)
    assert checked(stored) is stored


@pytest.mark.parametrize(
    "values",
    [
        {"name": None}, {"name": b"x"}, {"count": 1.0}, {"count": 2**63}, {"count": -(2**63) - 1}, {"at": None},
        {"at": -0.5}, {"at": 253_402_300_800}, {"at": math.nan}, {"cost": Decimal("NaN")}, {"cost": Decimal(-1)},
        {"cost": Decimal("1.1E+30")}, {"cost": Decimal("1E-100")}, {"on": 1}, {"more": []},
    ],
)  # fmt: skip
def test_values_from_a_file_that_do_not_fit_are_an_error(values: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError, ArithmeticError)):
        checked(Stored(**values))
