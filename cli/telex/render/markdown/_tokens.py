"""What the text of one block is made of once it has been read; reading it is not done here."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from telex.render.markdown._emphasis import Run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from telex.render.markdown._links import Target

__all__ = ["Inline", "Kind", "Token", "flat", "joined"]


class Kind(Enum):
    """What a token is."""

    TEXT = auto()
    CODE = auto()
    HTML = auto()
    HARD = auto()  # a line break that was asked for
    SOFT = auto()  # the end of a source line
    OPEN = auto()  # text is "em", "strong", "s" or "a"
    CLOSE = auto()
    IMAGE = auto()  # text is the alternative text


class Token(NamedTuple):
    """A piece of a block's text; ``target`` where it leads."""

    kind: Kind
    text: str
    target: Target | None = None


class Inline(NamedTuple):
    """The tokens; ``settled`` when no text to come after a space could change how they were read."""

    tokens: tuple[Token, ...]
    settled: bool


def flat(nodes: Sequence[Token | Run]) -> Iterator[Token]:
    """The tokens, with those that runs of emphasis have become."""
    for node in nodes:
        if isinstance(node, Run):
            yield from (Token(Kind.CLOSE, tag) for tag in node.closed)
            if node.left:
                yield Token(Kind.TEXT, node.char * node.left)
            yield from (Token(Kind.OPEN, tag) for tag in reversed(node.opened))
        else:
            yield node


def joined(nodes: Sequence[Token | Run]) -> list[Token]:
    """As ``flat``, with pieces of text that stand side by side made one."""
    found: list[Token] = []
    for token in flat(nodes):
        if token.kind is Kind.TEXT and found and found[-1].kind is Kind.TEXT:
            found[-1] = Token(Kind.TEXT, found[-1].text + token.text)
        else:
            found.append(token)
    return found
