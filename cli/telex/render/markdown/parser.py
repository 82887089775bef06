"""Markdown as models write it: CommonMark and GitHub's tables by markdown-it, with the changes that answers need.

Formulas and Windows paths stay as they are written, reference definitions are shown, addresses are not rewritten,
emphasis may touch Chinese and Japanese letters, and a paragraph has the line breaks of its source.
"""

from __future__ import annotations

import re
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from markdown_it import MarkdownIt
from markdown_it.common.utils import isMdAsciiPunct
from markdown_it.rules_block.table import escapedSplit
from markdown_it.rules_inline import emphasis
from markdown_it.token import Token

from provider_core.structs import pattern
from telex.console import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline

_FORMULA = pattern(
    # "\\[\\]" is two escaped brackets: a formula has a letter or a digit.
    r"\\\((?=.*?\w).+?\\\)|\\\[(?=.*?\w).+?\\\]|\$\$(?=.*?\w).+?\$\$"
    # Pandoc's rule: no space inside of the dollars, and no digit after them. So prices are not formulas.
    r"|\$(?![\s$])(?:[^$\\`]|\\.){0,999}?(?<![\s\\])\$(?![\d$])",
    re.DOTALL,
)
_FORMULA_ENDS = {"$$": "$$", "\\[": "\\]"}
_URL = pattern(r"https?://[^\s<>\"'`\[\]]*[^\s<>\"'`\[\].,;:!?)}*_~]")
_NAME = pattern(
    r"(?<!\w)__[a-z][a-z0-9_]*__(?!\w)"  # Python's
    r"|(?<=/)(?:\*(?=\.\w|/)|\*\*(?=/))|(?<!\S)\*\*(?=/\*)"  # the stars of src/**/*.ts, but not of **src/**
)
_WORD = pattern(r"\S+")
_NO_ESCAPE = pattern(r"\\[^\W_]")
_WIDE = pattern(
    r"[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\uff01-\uff60\uffe0-\uffe6\u201c\u201d\u2018\u2019]"
)
_FACTORS = pattern(r"[0-9A-Za-z\u0370-\u03ff)\]][0-9A-Za-z\u0370-\u03ff(]")
"""The characters before and after a sign for multiplication or a power."""
_BREAK = pattern(r"</?br\b[^>]*>", re.IGNORECASE)
_BRACKET = pattern(r"[\[\]]")
_MANY_UNCLOSED = 16
_level = attrgetter("level")
_LINE_SPACE = pattern(r" *\n *")

_DEEPEST = 100
"""Levels of nested blocks, two for each list. markdown-it drops deeper ones, and Python's stack is limited."""


@lru_cache(1)
def markdown_it() -> MarkdownIt:
    """The parser."""
    parser = MarkdownIt("commonmark", {"inline_definitions": True, "maxNesting": _DEEPEST}).enable(
        ["strikethrough", "table"]
    )
    parser.inline.ruler.before("escape", "literal", _literal_mark)
    parser.inline.ruler.at("emphasis", _emphasis)
    parser.inline.ruler2.before("emphasis", "arithmetic", _arithmetic)
    parser.block.ruler.before(
        "fence", "formula", _formula_block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    parser.normalizeLink = parser.normalizeLinkText = str  # type: ignore[method-assign,assignment]
    parser.validateLink = bool  # type: ignore[method-assign,assignment]
    return parser


class Reference(TypedDict):
    """The destination of a reference, and the lines that define it."""

    href: str
    title: str
    map: tuple[int, int]


References: TypeAlias = "dict[str, Reference]"


def blocks(text: str, known: References) -> tuple[list[Token], References]:
    """The block tokens of ``text``, and the references known after it; inline text is not parsed yet."""
    env: dict[str, Any] = {"references": dict(known)}
    tokens: list[Token] = []
    markdown_it().block.parse(text, markdown_it(), env, tokens)
    if max(map(_level, tokens), default=0) >= _DEEPEST - 1:
        tokens = [Token("html_block", "", 0, content=text, map=[0, text.count("\n") + 1], block=True)]
    if "|" in text:
        _keep_cells(tokens, text)
    for label in [*env["references"]]:
        if label.startswith("^"):
            del env["references"][label]
    return tokens, env["references"]


def _keep_cells(tokens: list[Token], text: str) -> None:
    """Put cells beyond the last column of a table into that one: markdown-it drops them."""
    lines: list[str] = []
    last, columns = 0, 0
    for at, token in enumerate(tokens):
        match token.type:
            case "thead_open":
                columns = 0
            case "th_open":
                columns += 1
            case "tr_open":
                row = token.map
            case "inline" if tokens[at - 1].type == "td_open":
                last = at
            case "tr_close" if last and row:
                lines = lines or text.split("\n")
                cells = escapedSplit(lines[row[0]].strip().removeprefix("|").removesuffix("|"))
                if len(cells) > columns:
                    tokens[last].content = " | ".join(cell.strip() for cell in cells[columns - 1 :])
                last = 0


def parse_inline(token: Token, references: References) -> None:
    """Give an inline ``token`` its children: text, breaks and styled spans that Rich's Markdown knows.

    A reference is valid from its definition on: rows above that have been printed already.
    """
    children: list[Token] = []
    at = token.map[0] if token.map else 0
    known = references and {label: target for label, target in references.items() if target["map"][1] <= at}
    markdown_it().inline.parse(token.content, markdown_it(), {"references": known}, children)
    token.children = _plain(children)
    while token.children and token.children[-1].type == "hardbreak":
        token.children.pop()


def closed(text: str) -> str:
    """The text of an unfinished paragraph with open marks closed, so that they do not flicker."""
    text = text.rstrip("*_~")
    ticks = re.search(r"(?<!`)(`+)(?!`)(?:(?!\1(?!`)).)*$", text, re.DOTALL)
    if len(re.findall(r"(?<!`)`(?!`)", text)) % 2 and ticks:
        inner = text[ticks.start() :].strip("` ")
        return text.rstrip("` ") + "`" if inner else text[: ticks.start()]
    if re.search(r"\]\([^()\s<>]*$", text):
        text += ")"
    outside = re.sub(r"`+[^`]*`+", "", text)
    for mark in ("**", "__", "~~"):
        if outside.count(mark) % 2 and _opens(text, mark):
            text = text.rstrip() + mark
    bare = outside.replace("**", "")
    if bare.count("*") % 2 and _opens(bare, "*"):
        text = text.rstrip() + "*"
    return text


def _opens(text: str, mark: str) -> bool:
    """Whether the last ``mark`` opens emphasis; between letters and digits it may be a multiplication sign."""
    before, _, after = text.rpartition(mark)
    return bool(after) and not after[0].isspace() and not _FACTORS.fullmatch(before[-1:] + after[0])


def _plain(tokens: Iterable[Token]) -> list[Token]:
    """Rewrite tokens that Rich would drop or draw differently: HTML, images, links, soft breaks."""
    plain: list[Token] = []
    href, broken = "", False
    for token in tokens:
        after_break, broken = broken, False
        match token.type:
            case "softbreak" if after_break:
                pass
            case "softbreak":
                plain.append(Token("hardbreak", "br", 0))
            case "text" if after_break:
                plain.append(_text(token.content.lstrip()))
            case "text" | "text_special":
                token.type = "text"
                if not (token.content.isascii() and token.content.isprintable()):
                    token.content = _shown(token.content)
                plain.append(token)
            case "code_inline":
                token.content = _shown(token.content)
                plain.append(token)
            case "html_inline" if _BREAK.fullmatch(token.content):
                broken = True
                plain.append(Token("hardbreak", "br", 0))
            case "html_inline":
                plain.append(_text(token.content))
            case "image":
                title = f' "{token.attrs["title"]}"' if token.attrs.get("title") else ""
                plain.append(_text(f"[{token.content}] ({token.attrs.get('src', '')}{title})"))
            case "link_open":
                title = f' "{token.attrs["title"]}"' if token.attrs.get("title") else ""
                href = "" if token.info == "auto" else f" ({token.attrs.get('href', '')}{title})"
                plain.append(Token("a_open", "a", 1))
            case "link_close":
                plain.append(Token("a_close", "a", -1))
                if href:
                    plain.append(_text(href))
            case _:
                plain.append(token)
    return plain


def _text(content: str) -> Token:
    return Token("text", "", 0, content=_shown(content))


def _shown(content: str) -> str:
    return visible(content).replace("\t", " ")


def _literal_mark(state: StateInline, silent: bool) -> bool:
    """Formulas, and literal backslashes, brackets and tildes."""
    source, at = state.src, state.pos
    literal = ""
    match mark := source[at]:
        case "\\" | "$" if _formula(state, silent):
            return True
        case "\\" if isMdAsciiPunct(ord(source[at + 1 : at + 2] or "a")) and at in _literal(source):
            literal = source[at : at + 2]
        case "[" | "!":
            bracket = at + (mark == "!")
            literal = (
                source[at : bracket + 1] if bracket in _unclosed(source) and bracket < state.posMax else ""
            )
        case "~" if at in _literal(source):
            literal = mark
    if not silent:
        state.pending += literal
    state.pos += len(literal)
    return bool(literal)


def _formula(state: StateInline, silent: bool) -> bool:
    found = _FORMULA.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        for number, line in enumerate(_LINE_SPACE.split(found[0])):
            if number:
                state.push("hardbreak", "br", 0)
            state.push("text", "", 0).content = line
    state.pos = found.end()
    return True


def _formula_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A formula of several lines, which may look like a list or a heading."""
    line = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]]
    closing = _FORMULA_ENDS.get(line[:2])
    if (
        closing is None
        or state.is_code_block(start)
        or closing in line[2:]
        or (line[0] == "\\" and "]" in line)
    ):
        return False
    if line[2:].strip() and not re.search(r"[\\^_={}]", line[2:]):
        return False
    if silent:
        return True
    last = start + 1
    while last < end and not state.isEmpty(last) and state.sCount[last] >= state.blkIndent:
        last += 1
        if closing in state.src[state.bMarks[last - 1] : state.eMarks[last - 1]]:
            break
    token = state.push("html_block", "", 0)
    token.map = [start, last]
    token.content = state.getLines(start, last, state.blkIndent, True)
    state.line = last
    return True


@lru_cache(1)
def _literal(text: str) -> frozenset[int]:
    """The positions of literal marks and backslashes: in addresses, names, paths and patterns.

    A backslash before a letter or digit escapes nothing in Markdown, so neither do the others of that word.
    """
    found: set[int] = set()
    for match in (*_NAME.finditer(text), *(_URL.finditer(text) if "://" in text else ())):
        found.update(range(*match.span()))
    if "\\" in text:
        words = [word for word in _WORD.finditer(text) if _NO_ESCAPE.search(word[0])]
        for match in words:
            found.update(at for at in range(*match.span()) if text[at] == "\\")
    return frozenset(found)


@lru_cache(1)
def _unclosed(text: str) -> frozenset[int]:
    """The positions of unclosed brackets, if there are many: markdown-it searches from each to the end."""
    found: list[int] = []
    for bracket in _BRACKET.finditer(text):
        if bracket[0] == "[":
            found.append(bracket.start())
        elif found:
            found.pop()
    return frozenset(found if len(found) > _MANY_UNCLOSED else ())


def _emphasis(state: StateInline, silent: bool) -> bool:
    """markdown-it's rule, with Chinese and Japanese writing, which has no spaces.

    There a run of marks next to a full stop or a bracket may open or close, as next to a letter.
    """
    start, first = state.pos, len(state.delimiters)
    marker = state.src[start]
    if not silent and marker in "_*" and start in _literal(state.src):
        state.pending += marker
        state.pos += 1
        return True
    if not emphasis.tokenize(state, silent):
        return False
    before, after = state.src[start - 1 : start], state.src[state.pos : state.pos + 1]
    if marker == "*" and (_WIDE.match(before) or _WIDE.match(after)):
        for delimiter in state.delimiters[first:]:
            delimiter.open = delimiter.open or bool(after.strip())
            delimiter.close = delimiter.close or bool(before.strip())
    elif marker == "*" and _FACTORS.fullmatch(before + after):
        state.env.setdefault("factors", set()).update(each.token for each in state.delimiters[first:])
    return True


def _arithmetic(state: StateInline) -> None:
    """Leave the stars of ``2*3*4``, ``a*b + c*d`` and ``x**2 + y**2`` as they are.

    No emphasis is inside of words at both of its ends.
    """
    factors = state.env.get("factors", ())
    for opening in state.delimiters:
        if opening.token in factors and state.delimiters[opening.end].token in factors:
            opening.end = -1
