"""``--extract``: the first fenced code block of an answer, unchanged but for carriage returns."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from markdown_it import MarkdownIt
from markdown_it.rules_block import fence

if TYPE_CHECKING:
    from markdown_it.rules_block import StateBlock
    from markdown_it.token import Token

    from telex.console import Console

_MARKS: Final = ("```", "~~~")

_FENCE: Final = re.compile(r"(`{3,}|~{3,})(.*)")


class FirstBlock:
    """Prints the block when the answer has ended; an answer without one is printed whole, after a note.

    If the model called tools, the text after the last calls comes first.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._texts: list[list[str]] = [[]]
        """The pieces of the text before, between and after tool calls."""

    def write(self, text: str) -> None:
        self._texts[-1].append(text)

    def make_room(self) -> None:
        pass

    def pause(self) -> bool:
        if self._texts[-1]:
            self._texts.append([])
        return False

    def close(self) -> None:
        texts = ["".join(pieces) for pieces in self._texts if pieces]
        self._texts = [[]]
        if not texts:
            return
        found = (first_block(text) for text in reversed(texts))
        block = next((block for block in found if block is not None), None)
        if block is None:
            self._console.note("No code block found; printing the whole answer.")
            block = "\n".join(texts)
        self._console.out(block if block.endswith("\n") else f"{block}\n")


def first_block(text: str) -> str | None:
    """The content of the first fenced block; None where there is no block.

    Fences are of backticks or tildes, and as long as they like; what they are indented by, alone or inside a list or a
    quote, is removed, and tabs stay tabs. Inside of a block, a fence with an info string opens an inner block, as in a
    README with examples. A block that is never closed ends with the text.
    """
    if not any(mark in text for mark in _MARKS):
        return None
    text = text.replace("\r\n", "\n")
    block = _first(text, nested=True)
    if block is None:
        return None
    if not block.meta["closed"]:
        # If only CommonMark's reading finds an end, the inner fences are not pairs.
        plain = _first(text, nested=False)
        block = plain if plain is not None and plain.meta["closed"] else block
    return block.content


def _first(text: str, *, nested: bool) -> Token | None:
    parser = MarkdownIt("commonmark", {"maxNesting": 100})
    if nested:
        parser.block.ruler.at(
            "fence", _nested_fence, {"alt": ["paragraph", "reference", "blockquote", "list"]}
        )
    tokens: list[Token] = []
    # markdown-it needs the newline after the last line to remove the indent of a fence in a quote.
    parser.block.parse(text if text.endswith("\n") else f"{text}\n", parser, {}, tokens)
    found = next((token for token in tokens if token.type == "fence"), None)
    if found is not None and not nested:
        start, end = found.map or (0, 0)
        found.meta["closed"] = end - start > found.content.count("\n") + 1
    return found


def _nested_fence(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """markdown-it's rule, except that a fence with an info string opens an inner block, unlike in CommonMark."""
    found = fence(state, start, end, silent)
    if silent or not found:
        return found
    token = state.tokens[-1]
    open_fences = [token.markup]
    line = start + 1
    while line < end and open_fences:
        text = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]
        if text and state.sCount[line] < state.blkIndent:
            break  # the list or quote around the block has ended
        mark = _FENCE.match(text) if state.sCount[line] - state.blkIndent < 4 else None
        if mark is not None and mark[1].startswith(token.markup):
            if mark[2].strip():
                open_fences.append(mark[1])
            elif mark[1].startswith(open_fences[-1]):
                open_fences.pop()
        line += 1
    token.meta["closed"] = not open_fences
    token.content = state.getLines(start + 1, line - (not open_fences), state.sCount[start], True)
    token.map = [start, line]
    state.line = line
    return True
