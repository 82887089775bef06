"""What can be the id of a model, wherever it comes from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provider_core.types import Json

__all__ = ["are_ids", "is_id"]

LONGEST = 512
_NOT_IN_ONE_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def is_id(text: Json) -> bool:
    """Whether ``text`` is one line that a settings file, a request and a terminal can hold."""
    return (
        isinstance(text, str)
        and 0 < len(text) <= LONGEST
        and text.strip() == text
        and not _NOT_IN_ONE_LINE.search(text)
    )


def are_ids(texts: Sequence[str]) -> bool:
    """Whether each of these strings is an id; the same as ``is_id`` for each, in a few steps for all."""
    return (
        all(texts)
        and max(map(len, texts), default=0) <= LONGEST
        and [text.strip() for text in texts] == list(texts)
        and not _NOT_IN_ONE_LINE.search("".join(texts))
    )
