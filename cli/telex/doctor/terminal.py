"""What telex takes its three streams for, and what that means for colour, width and characters."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from telex.doctor.finding import note, ok, problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from telex.doctor.case import Case
    from telex.doctor.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    for name in ("stdin", "stdout", "stderr"):
        yield ok(name, _kind(getattr(sys, name)))
    console = case.console
    if console.out_is_terminal or console.err_is_terminal:
        yield ok("size", f"{console.width()} columns, {console.height()} rows")
    yield _colour(case)
    yield from _code_theme(case)
    yield _encoding()


def _kind(stream: TextIO | None) -> str:
    import os
    import stat

    if stream is None or stream.closed:
        return "closed"
    try:
        if stream.isatty():
            return "a terminal"
        found = os.fstat(stream.fileno())
        if os.path.samestat(found, Path(os.devnull).stat()):
            return os.devnull
    except (OSError, ValueError, AttributeError):
        return "in memory"
    if stat.S_ISFIFO(found.st_mode) or stat.S_ISSOCK(found.st_mode):
        return "a pipe"
    return "a file" if stat.S_ISREG(found.st_mode) else "a device"


def _colour(case: Case) -> Finding:
    from telex.render.styles import Colour, surface

    environ = case.environ
    names = ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "TERM")
    because = next((f"{name}={environ[name]}" for name in names if environ.get(name)), "TERM is not set")
    found = surface(environ, is_terminal=case.console.out_is_terminal)
    if found is None:
        why = because if case.console.out_is_terminal else "stdout is not a terminal"
        return ok("colour", f"none, and answers are not rendered ({why})")
    words = {
        Colour.TRUE: "all colours",
        Colour.MANY: "256 colours",
        Colour.BASIC: "16 colours",
        Colour.MONO: "bold and italic only",
        Colour.NONE: "none",
    }
    return ok("colour", f"{words[found]} ({because})")


def _code_theme(case: Case) -> Iterator[Finding]:
    if theme := case.setting("code_theme"):
        from telex.render.styles import is_theme

        if is_theme(theme):
            yield ok("code theme", theme)
        else:
            yield problem(
                "code theme",
                f"{theme!r} does not exist, so the default is used",
                "Set code_theme, or TELEX_CODE_THEME, to none, ansi_dark, ansi_light or the name of a Pygments style.",
            )


def _encoding() -> Finding:
    used = sys.getfilesystemencoding()
    if used.replace("-", "").lower() == "utf8":
        return ok("encoding", "UTF-8")
    return note("encoding", f"words are typed in {used}, and sent and shown in UTF-8", "export LANG=C.UTF-8")
