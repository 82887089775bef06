"""Highlight code line by line, carrying the lexer's state over, so that no line is read twice.

A few lines are read together, because some lexers look ahead; which lines depends on the text alone. Lexers get a
limited amount of CPU time: many need the square or the cube of a line's length, and some never end.
"""

from __future__ import annotations

import contextlib
import copy
import re
import signal
import sys
import threading
import time
from functools import lru_cache
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from telex.render.styles import Colour

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from telex.render.styles import Look
    from telex.wrapping import Piece

GROUP = 12
"""At most so many lines are read together. They are live until then, and have to fit a small terminal."""

LONGEST = 500
"""Longer lines are data, and not highlighted."""

_RESERVE = 0.1
"""CPU seconds that lexers may take beyond what the length of the code grants them."""

_PER_BLOCK, _PER_CHARACTER = 0.005, 2.5e-6
"""CPU seconds that each block and each character of code add to what is left; common lexers take a third of it."""

_HERE_DOCUMENT = re.compile(r"<<-?\s*['\"]?([A-Za-z_]\w*)['\"]?(?=\n)")
_COMMENTS = ((re.compile(r"/\*\*?(?!/)"), "*/"), (re.compile("<!--"), "-->"))
_LANGUAGE = re.compile(r"[\w+#.-]+")


def prepare(look: Look) -> None:
    """Import what highlighting needs, which takes 50 ms: call it while waiting for something else."""
    if look.colour is not Colour.NONE:
        from pygments.token import Token

        _lexer("python")
        _painter(look)(Token)


class _TooSlow(BaseException):
    """The lexer has used up its time. Not an Exception: lexers catch those."""


class _Allowance:
    """The CPU time that all lexers of this process may still take."""

    def __init__(self) -> None:
        self.left = _RESERVE

    def add(self, seconds: float) -> None:
        self.left = min(self.left + seconds, _RESERVE)

    @contextlib.contextmanager
    def limit(self, characters: int) -> Iterator[None]:
        """Raise ``_TooSlow`` in the block when its time is over, even inside a regular expression.

        Only the main thread can be interrupted so; the caller makes sure that it is the one.
        """
        seconds = self.left + characters * _PER_CHARACTER
        begun = time.thread_time()
        before = None
        armed = True

        def stop(*_: object) -> None:
            if armed:
                raise _TooSlow

        try:
            try:
                if sys.platform != "win32":
                    before = signal.signal(signal.SIGVTALRM, stop)
                    # Repeatedly: an exception that is raised in a destructor is lost.
                    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, 0.01)
                yield
            finally:
                armed = False
                if before is not None:
                    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
                    signal.signal(signal.SIGVTALRM, before)
                self.left = min(max(seconds - (time.thread_time() - begun), 0), _RESERVE)
        except _TooSlow:
            self.left = 0
            raise


_allowance = _Allowance()


class Highlighter:
    """Highlights the lines of one block; unknown and slow languages stay plain."""

    def __init__(self, info: str | None, look: Look) -> None:
        self.look = look
        self._lexer = _lexer(info or "") if look.colour is not Colour.NONE else None
        self._colour = _painter(look) if self._lexer else None
        self._pending: list[str] = []
        self._shown: list[tuple[str, list[Piece]]] = []
        """The pending lines as they were highlighted last; shared with clones."""
        self._failed = threading.Event()
        """Set when the lexer has failed on this block; shared with clones."""
        self._state: Any = None
        _allowance.add(_PER_BLOCK)
        self._open: tuple[str, str] | None = (
            None  # a comment or here-document that continues in the next lines
        )

    @property
    def colours(self) -> bool:
        """Whether colours set the code apart from prose."""
        look = self.look
        if look.code_theme:
            coloured = look.colour not in (Colour.NONE, Colour.MONO) and look.code_theme != "none"
        else:
            coloured = bool(look.named("grey"))
        return coloured and self._lexer is not None and "text" not in self._lexer.aliases

    def restarted(self) -> Highlighter:
        """A copy with the pending lines, but without the lexer's state."""
        other = copy.copy(self)
        other._pending = self._pending.copy()
        other._state = other._open = None
        return other

    def clone(self) -> Highlighter:
        """A copy, to try out lines with."""
        other = copy.copy(self)
        other._pending = self._pending.copy()
        other._state = copy.deepcopy(self._state)
        return other

    def add(self, line: str) -> list[list[Piece]]:
        """Take a line; return the lines that became final, each in pieces."""
        if self._lexer is None or (self._failed.is_set() and not self._pending):
            return [[(line, "")]]
        self._pending.append(line)
        # Between paragraphs of code, few lexers look ahead.
        if len(self._pending) >= GROUP or (len(self._pending) > GROUP // 2 and not line.strip()):
            return self.end()
        return []

    def end(self) -> list[list[Piece]]:
        """The lines that are still waiting."""
        pending, self._pending = self._pending, []
        plain = [[(line, "")] for line in pending]
        if not pending or self._failed.is_set() or max(map(len, pending)) > LONGEST:
            return plain
        if threading.current_thread() is not threading.main_thread():
            # Lexers can only be stopped in the main thread: new lines get their colours when it paints next.
            same = takewhile(lambda pair: pair[0][0] == pair[1], zip(self._shown, pending, strict=False))
            known = [pieces for (_, pieces), _ in same]
            return [*known, *plain[len(known) :]]
        text = "\n".join(pending) + "\n"
        opener = f"{self._open[0]}\n" if self._open else ""
        try:
            with _allowance.limit(len(text)):
                tokens = self._tokens(opener + text)
        except (Exception, _TooSlow):  # noqa: BLE001 - a failing lexer must not end the answer
            self._failed.set()
            return plain
        if not "".join(value for _, value in tokens).startswith(opener + text):
            return plain  # the lexer changed the text
        lines: list[list[Piece]] = [[]]
        for token, value in tokens:
            sgr = self._colour(token) if self._colour else ""
            first, *others = value.split("\n")
            _append(lines[-1], first, sgr)
            for other in others:
                lines.append([])
                _append(lines[-1], other, sgr)
        skipped = 1 if opener else 0
        found = lines[skipped : len(pending) + skipped]
        self._shown[:] = zip(pending, found, strict=True)
        return found

    def _tokens(self, text: str) -> list[tuple[Any, str]]:
        """The tokens of whole lines. Open comments are closed for the lexer, and opened again the next time.

        Comments and here-documents are one match of a regular expression for most lexers: all or nothing.
        """
        for opener, closer in _unclosed(text):
            before = copy.deepcopy(self._state)
            tokens = self._read(f"{text}{closer}\n")
            whole = next((token for token, value in reversed(tokens) if value.strip()), None)
            if (
                tokens
                and whole is not None
                and str(whole).startswith(("Token.Comment", "Token.Literal.String"))
            ):
                self._open = (opener, closer)
                return tokens
            self._state = before
        self._open = None
        return self._read(text)

    def _read(self, text: str) -> list[tuple[Any, str]]:
        from pygments.lexer import ExtendedRegexLexer, RegexLexer

        lexer: Any = self._lexer
        if isinstance(lexer, ExtendedRegexLexer):
            context = self._state = self._state or _context(lexer)
            context.text, context.pos, context.end = text, 0, len(text)
            return [(token, value) for _, token, value in lexer.get_tokens_unprocessed(context=context)]
        if isinstance(lexer, RegexLexer):
            if self._state is None:
                # Answers rarely begin PHP with its tag.
                inline = "php" in lexer.aliases and not text.lstrip().startswith("<")
                self._state = ["root", "php"] if inline else ["root"]
            return list(_run(lexer, text, self._state))
        return [(token, value) for _, token, value in lexer.get_tokens_unprocessed(text)]


def _unclosed(text: str) -> list[tuple[str, str]]:
    """Find comments and here-documents that are open at the end of ``text``: their openers and closers."""
    found = []
    for begins, closer in _COMMENTS:
        begun = list(begins.finditer(text))
        if begun and text.find(closer, begun[-1].end()) < 0:
            found.append((begun[-1][0], closer))
    found += [
        (here[0], here[1])
        for here in _HERE_DOCUMENT.finditer(text)
        if not re.search(rf"^\s*{here[1]}$", text[here.end() :], re.MULTILINE)
    ]
    return found


def _run(lexer: Any, text: str, stack: list[str]) -> Iterator[tuple[Any, str]]:
    """Read ``text`` by the lexer's table, from the state that ``stack`` holds to the one it leaves there.

    ``RegexLexer`` itself takes a state to begin with but does not tell the one it ends in.
    """
    from pygments.token import Error, Whitespace, _TokenType

    table, position = lexer._tokens, 0
    while position < len(text):
        for matches, action, target in table[stack[-1]]:
            match = matches(text, position)
            if match is None:
                continue
            if isinstance(action, _TokenType):
                yield action, match.group()
            elif action is not None:
                yield from ((token, value) for _, token, value in action(lexer, match))
            position = match.end()
            if target is not None:
                _move(stack, target)
            break
        else:
            if text[position] == "\n":
                stack[:] = ["root"]
                yield Whitespace, "\n"
            else:
                yield Error, text[position]
            position += 1


def _move(stack: list[str], target: Any) -> None:
    for step in target if isinstance(target, tuple) else (target,):
        if isinstance(step, int):
            del stack[max(len(stack) + step, 1) :]
        elif step == "#pop":
            del stack[max(len(stack) - 1, 1) :]
        elif step == "#push":
            stack.append(stack[-1])
        else:
            stack.append(step)


def _context(lexer: object) -> Any:
    from pygments.lexer import LexerContext
    from pygments.lexers.data import YamlLexer, YamlLexerContext

    return (YamlLexerContext if isinstance(lexer, YamlLexer) else LexerContext)("", 0)


def _append(line: list[Piece], text: str, sgr: str) -> None:
    if not text:
        return
    if line and (line[-1][1] == sgr or text.isspace()):
        line[-1] = (line[-1][0] + text, line[-1][1])
    else:
        line.append((text, "" if text.isspace() else sgr))


@lru_cache(32)
def _lexer(info: str) -> Any:
    name = _LANGUAGE.search(info)
    if name is None:
        return None
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        return get_lexer_by_name(name[0].split(":")[0].strip(".").lower())
    except ClassNotFound:
        return None


_ROLES = {
    "Comment": ("grey", "3"),
    "Keyword": ("blue", ""),
    "Keyword.Constant": ("magenta", ""),
    "Operator.Word": ("blue", ""),
    "Name.Builtin": ("cyan", ""),
    "Name.Function": ("yellow", ""),
    "Name.Class": ("yellow", ""),
    "Name.Exception": ("cyan", ""),
    "Name.Decorator": ("magenta", ""),
    "Name.Attribute": ("cyan", ""),
    "Name.Tag": ("blue", ""),
    "Name.Variable": ("cyan", ""),
    "Name.Constant": ("magenta", ""),
    "Literal.String": ("green", ""),
    "Literal.Number": ("magenta", ""),
    "Generic.Heading": ("", "1"),
    "Generic.Subheading": ("", "1"),
    "Generic.Deleted": ("red", ""),
    "Generic.Inserted": ("green", ""),
    "Generic.Prompt": ("grey", ""),
    "Generic.Output": ("grey", ""),
    "Generic.Emph": ("", "3"),
    "Generic.Strong": ("", "1"),
}
"""The default theme: a colour of the palette and an attribute for each kind of token, and for the kinds below it."""


@lru_cache(8)
def _painter(look: Look) -> Callable[[Any], str]:
    """A function from a token to the parameters of its escape sequence."""
    theme, colour = look.code_theme, look.colour
    if not theme:

        @lru_cache(None)
        def paint_by_role(token: Any) -> str:
            names = str(token).split(".")[1:]
            kinds = (".".join(names[:length]) for length in range(len(names), 0, -1))
            name, attribute = next((_ROLES[kind] for kind in kinds if kind in _ROLES), ("", ""))
            return ";".join(filter(None, (attribute, look.named(name) if name else "")))

        return paint_by_role
    if theme == "none":
        return lambda _token: ""
    from rich.color import ColorSystem
    from rich.style import Style
    from rich.syntax import Syntax

    styles = Syntax.get_theme(theme)
    systems = {
        Colour.BASIC: ColorSystem.STANDARD,
        Colour.MANY: ColorSystem.EIGHT_BIT,
        Colour.TRUE: ColorSystem.TRUECOLOR,
    }
    system = systems.get(colour)

    @lru_cache(None)
    def paint(token: Any) -> str:
        style = styles.get_style_for_token(token)
        # A background would end with the text of each line.
        bare = Style(
            color=style.color if system else None,
            bold=style.bold,
            dim=style.dim,
            italic=style.italic,
            underline=style.underline,
        )
        opening = bare.render("|", color_system=system or ColorSystem.STANDARD).partition("|")[0]
        return opening.removeprefix("\x1b[").removesuffix("m")

    return paint
