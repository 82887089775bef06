"""How conversations are called: ids that can be typed, titles taken from what was asked, and who is meant."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from provider_core.errors import UnknownConversationError
from provider_core.types import TextPart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from provider_core.history._records import SavedConversation
    from provider_core.types import Message

__all__ = ["chosen", "first_line", "new_id", "one_line", "title_of"]

_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: no letter that is taken for a digit."""
_SHORTEST_PREFIX = 4
_LENGTH = 8
_TITLE = 60


def new_id() -> str:
    """Eight letters at random. With the time in front, all ids of a day would begin alike, and prefixes be long."""
    number = int.from_bytes(os.urandom(5), "big")
    return "".join(_LETTERS[number >> 5 * place & 31] for place in range(_LENGTH))


def title_of(messages: Iterable[Message]) -> str:
    """The first line that the user wrote, as ``first_line`` has it; "(no text)" where there is none."""
    for message in messages:
        if message.role == "user":
            content = message.content
            texts = (
                (content,)
                if isinstance(content, str)
                else (part.text for part in content if isinstance(part, TextPart))
            )
            found = first_line("\n".join(texts))
            if found:
                return found
    return "(no text)"


def first_line(text: str) -> str:
    """The first line of ``text`` with a word in it, in at most 60 characters; "" where there is none."""
    for line in text.splitlines():
        if words := one_line(line[:1000]):
            return _shortened(words)
    return ""


def one_line(text: str) -> str:
    """``text`` with single blanks between its words, and nothing in it that would command a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def chosen(name: str, every: Sequence[SavedConversation]) -> SavedConversation:
    """The one that ``name`` means; see ``History.find``."""
    from provider_core.redaction import close_matches

    wanted = name.strip()
    folded = wanted.casefold()
    ways: tuple[Callable[[SavedConversation], bool], ...] = (
        lambda each: each.id == folded,
        lambda each: each.title == wanted,
        lambda each: len(folded) >= _SHORTEST_PREFIX and each.id.startswith(folded),
        lambda each: each.title.casefold() == folded,
        lambda each: folded in each.title.casefold(),
    )
    for way in ways if wanted else ():
        found = [each for each in every if way(each)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UnknownConversationError(
                f"{wanted!r} could be any of {len(found)} conversations",
                name=wanted,
                candidates=tuple((each.id, each.title) for each in found),
                code="ambiguous",
            )
    names = {each.id: each for each in every} | {each.title: each for each in every}
    raise UnknownConversationError(
        f"there is no conversation {wanted!r}",
        name=wanted,
        candidates=tuple((names[found].id, names[found].title) for found in close_matches(wanted, names)),
    )


def _shortened(line: str) -> str:
    if len(line) <= _TITLE:
        return line
    cut = line[:_TITLE]
    if line[_TITLE - 1] != " ":
        whole, _, _ = cut.rpartition(" ")
        # Where a word is very long, or words have no blanks between them, it is cut in the middle.
        cut = whole if len(whole) > _TITLE // 2 else cut[:-1]
    return f"{cut.rstrip()}…"
