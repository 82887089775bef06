"""A moment of fuzzing for each target; ``python -m tests.fuzz`` takes longer. Inputs that once failed are rows."""

from __future__ import annotations

from random import Random

import pytest
from fuzz.targets import TARGETS, mutated
from hypothesis import given, settings
from hypothesis import strategies as st

FOUND = [("markdown", b"a[2J\n" * 700), ("markdown", b"]" * 1900 + b"[" * 1900)]


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_is_an_internal_error(name: str) -> None:
    target = TARGETS[name]
    for seed in target.seeds:
        target.run(seed)

    @settings(max_examples=20 if target.slow else 100)
    @given(st.randoms(use_true_random=False))
    def fuzz(random: Random) -> None:
        target.run(mutated(random, target))

    fuzz()


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_inputs_that_once_failed_stay_fixed(name: str, data: bytes) -> None:
    TARGETS[name].run(data)
