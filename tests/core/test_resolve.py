"""What a typed name means: a table of cases over a small set of providers."""

from __future__ import annotations

import pytest

from provider_core.errors import (
    AmbiguousModelError,
    ModelError,
    NoModelError,
    NoProviderError,
    UnknownModelError,
    UnknownProviderError,
)
from provider_core.resolve import resolve
from provider_core.types import Model, Provider


def provider(name: str, *models: str, **fields: object) -> Provider:
    return Provider(
        name=name, base_url="http://127.0.0.1:1", models=tuple(Model(id=m) for m in models), **fields
    )  # type: ignore[arg-type]


HERE = {
    p.name: p
    for p in (
        provider("lab", "tiny", "shared", default_model="tiny"),
        provider("work", "big", "shared", "org/model:free"),
        provider("bare"),
        provider("off", "hidden", enabled=False),
    )
}


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("lab/tiny", "lab/tiny"),
        ("lab/never-heard-of", "lab/never-heard-of"),
        ("lab", "lab/tiny"),
        ("work", "work/big"),
        ("work/org/model:free", "work/org/model:free"),
        ("org/model:free", "work/org/model:free"),
        ("tiny", "lab/tiny"),
        ("big", "work/big"),
        ("bare/anything/at:all", "bare/anything/at:all"),
        ("work/lab/tiny", "work/lab/tiny"),
    ],
)
def test_a_name_leads_to_its_provider_and_model(typed: str, expected: str) -> None:
    assert str(resolve(typed, HERE)) == expected


@pytest.mark.parametrize(
    ("typed", "error", "words"),
    [
        ("shared", AmbiguousModelError, "2 providers"),
        ("nothing-like-it", UnknownModelError, "nothing-like-it"),
        ("groq/llama", UnknownProviderError, "groq is not set up"),
        ("groq", UnknownProviderError, "groq is not set up"),
        ("off/hidden", ModelError, "disabled"),
        ("off", ModelError, "disabled"),
        ("hidden", UnknownModelError, "hidden"),
        ("bare", NoModelError, "no default model"),
        ("bare/", NoModelError, "no default model"),
        (None, NoModelError, "no model was named"),
    ],
)
def test_a_name_that_leads_nowhere_says_why(typed: str | None, error: type[ModelError], words: str) -> None:
    with pytest.raises(error, match=words):
        resolve(typed, HERE)


def test_an_ambiguous_name_lists_the_full_ids() -> None:
    with pytest.raises(AmbiguousModelError) as caught:
        resolve("shared", HERE)
    assert caught.value.candidates == ("lab/shared", "work/shared")


def test_a_mistyped_name_is_answered_with_near_ones() -> None:
    with pytest.raises(UnknownModelError) as caught:
        resolve("tinny", HERE)
    assert caught.value.candidates == ("lab/tiny",)


def test_near_names_never_come_from_a_disabled_provider() -> None:
    with pytest.raises(UnknownModelError) as caught:
        resolve("hiden", HERE)
    assert caught.value.candidates == ()


def test_the_only_provider_needs_no_name() -> None:
    assert str(resolve(None, {"lab": HERE["lab"], "off": HERE["off"]})) == "lab/tiny"


def test_nothing_set_up_is_an_error_of_its_own() -> None:
    with pytest.raises(NoProviderError):
        resolve("lab/tiny", {})
