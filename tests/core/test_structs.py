"""Frozen value classes: fields, defaults, equality, repr, what ``dataclasses`` makes of them; and patterns."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import re

import pytest

from provider_core.structs import Struct, field, pattern, replace


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
