"""Tables and aligned lines as text for a terminal's width; what stands in them is decided elsewhere."""

from __future__ import annotations

import contextlib
from io import StringIO
from typing import TYPE_CHECKING, Any

from telex.console import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import RenderableType
    from rich.text import Text
    from rich.theme import Theme

    from telex.console import Console

__all__ = ["cell", "drawn", "paged", "pairs", "rows", "table", "theme"]


def drawn(console: Console, *things: RenderableType) -> str:
    """What Rich makes of the things, for stdout as it is."""
    from rich.console import Console as RichConsole

    screen = RichConsole(
        theme=theme(console),
        file=StringIO(),
        width=console.width(),
        force_terminal=console.out_has_colour,
        no_color=not console.out_has_colour,
        highlight=False,
        markup=False,
        emoji=False,
    )
    with screen.capture() as capture:
        for thing in things:
            screen.print(thing)
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def theme(console: Console) -> Theme:
    """What the names of styles that tables use look like on this terminal."""
    from rich.theme import Theme

    names = {"dim": "grey", "red": "red", "green": "green", "yellow": "yellow"}
    styles = {
        style: f"color({colour.rpartition(';')[2]})" if (colour := console.colour(name)) else "none"
        for style, name in names.items()
    }
    return Theme({**styles, "bold red": f"bold {styles['red']}".removesuffix(" none")})


def cell(text: str, style: str = "") -> Text:
    """Text of a server's or a file's, which is never markup and commands no terminal."""
    from rich.text import Text

    return Text(visible(text).replace("\n", " "), style=style)


def table(
    headers: Sequence[str],
    lines: Iterable[Sequence[str | Text]],
    columns: Sequence[Mapping[str, Any]] = (),
) -> RenderableType:
    """A table without walls. ``columns`` are Rich's options for each column, such as ``width`` and ``justify``."""
    from rich.table import Table

    sheet = Table(
        box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=any(headers)
    )
    for at, header in enumerate(headers):
        options = columns[at] if at < len(columns) else {}
        sheet.add_column(header, **{"overflow": "fold", **options})
    for line in lines:
        sheet.add_row(*(cell(item) if isinstance(item, str) else item for item in line))
    return sheet


def rows(console: Console, headers: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """A table on a terminal; elsewhere a line for each, with tabs between, and no headers."""
    if not lines:
        return
    if console.out_is_terminal:
        console.raw_out(drawn(console, table(headers, lines)))
        return
    console.out("".join("\t".join(_flat(item) for item in line) + "\n" for line in lines))


def paged(console: Console, pieces: Iterable[str], *, long: bool) -> None:
    """Write text to a terminal, through ``$PAGER`` (less, else more) where it is ``long``.

    As with git, the shell runs the pager; less shows colours whatever options the user has for it.
    """
    import shutil
    import subprocess

    command = console.environ.get("PAGER", "less" if shutil.which("less") else "more")
    usable = console.stdin_is_terminal() and console.environ.get("TERM") not in (None, "", "dumb")
    if not long or not usable or command.strip() in ("", "cat"):
        console.raw_out("".join(pieces))
        return
    options = console.environ.get("LESS", "")
    environ = {**console.environ, "LESS": f"-R {options}" if options else "FRX"}
    environ.setdefault("LV", "-c")
    console.flush()
    pager = subprocess.Popen(  # noqa: S602 - the user's own command, as git runs it
        command,
        shell=True,
        stdin=subprocess.PIPE,
        env=environ,
        encoding="utf-8",
    )
    text = "".join(pieces)
    with contextlib.suppress(BrokenPipeError), pager.stdin or contextlib.nullcontext() as stream:
        if stream is not None:
            stream.write(text)
    while True:
        with contextlib.suppress(KeyboardInterrupt):  # meant for the pager, which the terminal tells, too
            if pager.wait() in (126, 127):  # there is no such program
                console.raw_out(text)
            return


def pairs(console: Console, fields: Iterable[tuple[str, str]]) -> None:
    """A name and a value on each line; elsewhere than on a terminal with a tab between."""
    known = [(name, value) for name, value in fields if value]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        gap = " " * (width - len(name) + 2) if console.out_is_terminal else "\t"
        console.out(f"{name}{gap}{_flat(value)}\n")


def _flat(text: str) -> str:
    return " ".join(text.split()) if "\n" in text or "\t" in text else text
