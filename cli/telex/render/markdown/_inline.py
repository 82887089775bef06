r"""Reads the text of one block: emphasis, code, links and what else stands within a line.

CommonMark with GitHub's strikethrough. Formulas between ``\(`` and ``\)``, ``\[`` and ``\]``, ``$$`` or ``$``,
addresses, Windows paths and other words whose backslashes cannot be Markdown's are left as they are written. HTML
is recognised so that nothing inside a tag is read, and kept; ``<br>`` is a line break.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from telex.render.markdown._emphasis import Run, pair
from telex.render.markdown._links import ENTITY, LABEL, Target, fold, inline_target, literal
from telex.render.markdown._tokens import Inline, Kind, Token, flat, joined

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TAG", "parse"]

TAG = (
    r"<[A-Za-z][A-Za-z0-9-]*"
    r"""(?:\s+[A-Za-z_:][A-Za-z0-9_.:-]*(?:\s*=\s*(?:[^\s"'=<>`]+|'[^']*'|"[^"]*"))?)*"""
    r"\s*/?>|</[A-Za-z][A-Za-z0-9-]*\s*>"
)
_PLAIN = re.compile(r"[^\\`*_~\[\]!<&$\n]+")
_HTML = re.compile(
    TAG + r"|<!---->|<!-->|<!--->|<!--(?:.*?)-->|<\?.*?\?>|<![A-Za-z][^>]*>|<!\[CDATA\[.*?\]\]>", re.DOTALL
)
_AUTOLINK = re.compile(
    r"<([A-Za-z][A-Za-z0-9+.-]{1,31}:[^\s<>\x00-\x1f]*)>"
    r"|<([A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*)>"
)
# Pandoc's rule: no space inside of the dollars, and no digit after them. So prices are no formulas.
_DOLLARS = re.compile(r"\$(?![\s$])((?:[^$\\`]|\\.){0,999}?)(?<![\s\\])\$(?![\d$])", re.DOTALL)
_LINE_BREAK = re.compile(r"</?br\b[^>]*>\s*", re.IGNORECASE)
_URL = re.compile(r"https?://[^\s<>\"'`\[\]]*[^\s<>\"'`\[\].,;:!?)}*_~]")
_WORD = re.compile(r"\S+")
_NO_ESCAPE = re.compile(r"\\[^\W_]")
_PATH = re.compile(
    r"""(?<![^\s("'*_\[])(?:[A-Za-z]:|\.{1,2}|~|%\w+%)\\"""
    r"""(?:[^\s`|<>"]| (?=(?:[\w.()&-]{1,40} ){0,2}[\w.()&-]{1,40}\\))*"""
)
_FORMULAS = {"\\(": "\\)", "\\[": "\\]", "$$": "$$"}
_TICKS = re.compile(r"`+")
_OPEN_LINK = re.compile(r"\]\([^()\s<>]*$")
_BREAK = re.compile(r"( *)\n *")
_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


class _Bracket:
    __slots__ = ("active", "image", "node", "runs", "start")

    def __init__(self, *, node: int, runs: int, start: int, image: bool) -> None:
        self.node, self.runs, self.start, self.image = node, runs, start, image
        self.active = True


def parse(text: str, references: Mapping[str, Target], *, draft: bool = False) -> Inline:
    """Read ``text``. A ``draft`` is read as if whatever is open at its end were closed there."""
    if draft:
        text = text.rstrip("*_~")  # half of what will close here, or open the next words
        if _OPEN_LINK.match(text, text.rfind("](")):
            text += ")"
    if _PLAIN.fullmatch(text):
        return Inline((Token(Kind.TEXT, text),), settled=True)
    reader = _Reader(text, references)
    reader.read(draft=draft)
    return Inline(tuple(reader.tokens(draft=draft)), reader.settled)


class _Reader:
    def __init__(self, text: str, references: Mapping[str, Target]) -> None:
        self._text = text
        self._references = references
        self._nodes: list[Token | Run] = []
        self._runs: list[Run] = []
        self._brackets: list[_Bracket] = []
        self._at = 0
        self._literal = _literal(text)
        self.settled = True

    def read(self, *, draft: bool) -> None:
        text, nodes = self._text, self._nodes
        while self._at < len(text):
            if plain := _PLAIN.match(text, self._at):
                nodes.append(Token(Kind.TEXT, plain[0]))
                self._at = plain.end()
                continue
            match text[self._at]:
                case "\n":
                    self._line_end()
                case "\\":
                    self._backslash()
                case "`":
                    self._code(draft=draft)
                case "*" | "_" | "~" if self._at in self._literal:
                    self._add(Kind.TEXT, text[self._at], self._at + 1)
                case "*" | "_" | "~":
                    self._run()
                case "[":
                    self._bracket(image=False)
                case "!" if text.startswith("![", self._at):
                    self._bracket(image=True)
                case "]":
                    self._close_bracket()
                case "<":
                    self._angle()
                case "&" if entity := ENTITY.match(text, self._at):
                    self._add(Kind.TEXT, literal(entity[0]), entity.end())
                case "$":
                    self._formula()
                case char:
                    self._add(Kind.TEXT, char, self._at + 1)
        pair(self._runs, 0)
        if any(run.opens for run in self._runs) or any(bracket.active for bracket in self._brackets):
            self.settled = False

    def tokens(self, *, draft: bool) -> list[Token]:
        """All that was read, flat, with equal neighbours joined."""
        if draft:
            self._close_all()
        return joined(self._nodes)

    def _add(self, kind: Kind, text: str, end: int, target: Target | None = None) -> None:
        self._nodes.append(Token(kind, text, target))
        self._at = end

    def _line_end(self) -> None:
        nodes = self._nodes
        hard = False
        if nodes and isinstance(last := nodes[-1], Token) and last.kind is Kind.TEXT:
            bare = last.text.rstrip(" ")
            hard = len(last.text) - len(bare) >= 2
            nodes[-1] = last._replace(text=bare)
        end = _BREAK.match(self._text, self._at)
        self._add(Kind.HARD if hard else Kind.SOFT, "\n", end.end() if end else self._at + 1)

    def _backslash(self) -> None:
        following = self._text[self._at + 1 : self._at + 2]
        if self._at in self._literal and following in _PUNCTUATION:
            self._add(Kind.TEXT, f"\\{following}", self._at + 2)
            return
        if following and following in "([" and self._formula():
            return
        if following == "\n":
            self._add(Kind.HARD, "\n", self._at + 2)
            while self._text.startswith(" ", self._at):
                self._at += 1
        elif following in _PUNCTUATION:
            self._add(Kind.TEXT, following, self._at + 2)
        else:
            self._add(Kind.TEXT, "\\", self._at + 1)

    def _formula(self) -> bool:
        """Take a formula if one begins here; otherwise, at a dollar sign, only that."""
        text, at = self._text, self._at
        opening = text[at : at + 2]
        if closing := _FORMULAS.get(opening):
            end = text.find(closing, at + 2)
            # "\\[\\]" is two escaped brackets: a formula has a letter or a digit.
            if end > at + 2 and any(map(str.isalnum, text[at + 2 : end])):
                self._formula_text(text[at : end + 2], end + 2)
                return True
            self.settled = False
        elif text[at] == "$" and not text[at + 1 : at + 2].isspace():
            if formula := _DOLLARS.match(text, at):
                self._formula_text(formula[0], formula.end())
                return True
            self.settled = self.settled and "\n" in text[at:]
        if text[at] == "$":
            width = 2 if closing else 1
            self._add(Kind.TEXT, text[at : at + width], at + width)
        return False

    def _formula_text(self, formula: str, end: int) -> None:
        for number, line in enumerate(formula.split("\n")):
            if number:
                self._nodes.append(Token(Kind.SOFT, "\n"))
            self._nodes.append(Token(Kind.TEXT, line.strip(" ")))
        self._at = end

    def _code(self, *, draft: bool) -> None:
        text = self._text
        ticks = _TICKS.match(text, self._at)
        if ticks is None:
            return
        for closing in _TICKS.finditer(text, ticks.end()):
            if len(closing[0]) == len(ticks[0]):
                inner, end = text[ticks.end() : closing.start()], closing.end()
                break
        else:
            self.settled = False
            if not draft or not text[ticks.end() :].strip("` "):
                self._add(Kind.TEXT, ticks[0], ticks.end())
                return
            inner, end = text[ticks.end() :].rstrip("`"), len(text)
        inner = inner.replace("\n", " ")
        if inner.startswith(" ") and inner.endswith(" ") and inner.strip(" "):
            inner = inner[1:-1]
        self._add(Kind.CODE, inner, end)

    def _run(self) -> None:
        text, start = self._text, self._at
        end = start + 1
        while end < len(text) and text[end] == text[start]:
            end += 1
        run = Run.between(text[start - 1 : start], text[start:end], text[end : end + 1])
        self._nodes.append(run)
        if run.opens or run.closes:
            self._runs.append(run)
        self._at = end

    def _bracket(self, *, image: bool) -> None:
        end = self._at + (2 if image else 1)
        self._brackets.append(
            _Bracket(node=len(self._nodes), runs=len(self._runs), start=end, image=image),
        )
        self._add(Kind.TEXT, self._text[self._at : end], end)

    def _close_bracket(self) -> None:
        at = self._at
        if not self._brackets:
            self._add(Kind.TEXT, "]", at + 1)
            return
        bracket = self._brackets.pop()
        found = self._target(bracket, at) if bracket.active else None
        if found is None:
            self._add(Kind.TEXT, "]", at + 1)
            return
        target, self._at = found
        pair(self._runs, bracket.runs)
        del self._runs[bracket.runs :]
        if bracket.image:
            inner = flat(self._nodes[bracket.node + 1 :])
            del self._nodes[bracket.node :]
            alternative = "".join(token.text for token in inner if token.kind not in {Kind.OPEN, Kind.CLOSE})
            self._nodes.append(Token(Kind.IMAGE, alternative.replace("\n", " "), target))
            return
        self._nodes[bracket.node] = Token(Kind.OPEN, "a", target)
        self._nodes.append(Token(Kind.CLOSE, "a", target))
        for outer in self._brackets:
            if not outer.image:
                outer.active = False

    def _target(self, bracket: _Bracket, at: int) -> tuple[Target, int] | None:
        """Where the bracket that closes at ``at`` leads, and the index behind all that says so."""
        text = self._text
        if text.startswith("(", at + 1):
            if inline := inline_target(text, at + 1):
                return inline.target, inline.end
            self.settled = False  # the rest of the target may still come
        if (full := LABEL.match(text, at + 1)) and full[1].strip():
            label, end = full[1], full.end()
        else:
            label, end = text[bracket.start : at], at + 1
            if _has_bracket(label):
                return None
            if text.startswith("[]", at + 1):
                end = at + 3
            elif text.startswith("[", at + 1):
                self.settled = False
        if len(label) > 999 or label.startswith("^"):
            return None
        target = self._references.get(fold(label))
        return None if target is None else (target, end)

    def _angle(self) -> None:
        text, at = self._text, self._at
        if autolink := _AUTOLINK.match(text, at):
            address = autolink[1] or autolink[2]
            self._nodes.append(Token(Kind.OPEN, "a", _target_of(autolink)))
            self._nodes.append(Token(Kind.TEXT, address))
            self._add(Kind.CLOSE, "a", autolink.end(), _target_of(autolink))
        elif line_break := _LINE_BREAK.match(text, at):
            self._add(Kind.HARD, "\n", line_break.end())
        elif tag := _HTML.match(text, at):
            self._add(Kind.HTML, tag[0], tag.end())
        else:
            if re.match(r"<[A-Za-z/!?]", text[at : at + 2]):
                self.settled = False
            self._add(Kind.TEXT, "<", at + 1)

    def _close_all(self) -> None:
        """End what is open at the end of a draft there, so that its marks are not seen coming and going."""
        closing = Run("*", 0, opens=False, closes=True)
        for run in reversed(self._runs):
            while run.opens and run.left:
                both = min(run.left, 2)
                tag = "s" if run.char == "~" else ("", "em", "strong")[both]
                run.left -= both
                run.opened.append(tag)
                closing.closed.append(tag)
        self._nodes.append(closing)


def _literal(text: str) -> frozenset[int]:
    """Where in ``text`` marks and backslashes stand for themselves: in addresses, paths and regular expressions.

    A backslash before a letter or digit escapes nothing in Markdown, so neither do the others of that word.
    """
    found = [url.span() for url in _URL.finditer(text)] if "://" in text else []
    if "\\" not in text:
        return frozenset(at for start, end in found for at in range(start, end))
    words = [word.span() for word in _WORD.finditer(text) if _NO_ESCAPE.search(word[0])]
    words += [path.span() for path in _PATH.finditer(text)]
    backslashes = [at for start, end in words for at in range(start, end) if text[at] == "\\"]
    return frozenset([*backslashes, *(at for start, end in found for at in range(start, end))])


def _has_bracket(label: str) -> bool:
    return re.search(r"(?<!\\)(?:\\\\)*\[", label) is not None


def _target_of(autolink: re.Match[str]) -> Target:
    return Target(autolink[1] or f"mailto:{autolink[2]}", "")
