"""JSON as servers write it, one value at a time, numbers of any length included; what it means is not read here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from provider_core.types import Json

__all__ = ["scan"]


def _number(digits: str) -> int | float:
    """A whole number; one beyond the interpreter's limit of digits is as good as its size."""
    try:
        return int(digits)
    except ValueError:
        return float(digits)


scan: Final[Callable[..., tuple[Json, int]]] = json.JSONDecoder(strict=False, parse_int=_number).raw_decode
"""The value at a place of a text, and where it ends; raises ValueError and RecursionError."""
