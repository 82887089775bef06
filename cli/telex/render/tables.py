"""Tables, aligned lines, long text, and progress on a terminal."""

from __future__ import annotations

import contextlib
from io import StringIO
from typing import TYPE_CHECKING, Any

from telex.console import visible
from telex.humanize import elapsed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from rich.console import Console as RichConsole
    from rich.console import RenderableType
    from rich.progress import TaskID
    from rich.text import Text

    from provider_core.local import Progress
    from telex.console import Console

_PHASES = {
    "wait": "Waiting for another telex",
    "fetch": "Fetching the model",
}


# --- tables --------------------------------------------------------------------------------------------------


def render(console: Console, *things: RenderableType) -> str:
    """The things as text that Rich has rendered for stdout."""
    colour = console.out_has_colour
    screen = _rich(
        console, colour, file=StringIO(), width=console.width(), force_terminal=colour, no_color=not colour
    )
    with screen.capture() as capture:
        for thing in things:
            screen.print(thing)
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def _rich(console: Console, has_colour: bool, **options: Any) -> RichConsole:
    """A Rich console that knows our colours and changes no text."""
    from rich.console import Console as RichConsole
    from rich.theme import Theme

    names = {"dim": "grey", "red": "red", "green": "green", "yellow": "yellow"}
    styles = {
        style: f"color({colour.rpartition(';')[2]})" if (colour := console.colour(name)) else "none"
        for style, name in names.items()
    }
    theme = Theme({**styles, "bold red": f"bold {styles['red']}".removesuffix(" none")})
    # Rich does not know all terminals with 256 colours, and would replace ours with others.
    system: Any = ("256" if console.colour("grey") else "standard") if has_colour else None
    return RichConsole(
        theme=theme, highlight=False, markup=False, emoji=False, color_system=system, **options
    )


def cell(text: str, style: str = "") -> Text:
    """Untrusted text: it is never markup, and commands no terminal."""
    from rich.text import Text

    return Text(visible(text).replace("\n", " "), style=style)


def time_cell(seconds: float | None, absent: str) -> Text:
    """How long a step took, or the sign of one that has no time."""
    if seconds is None:
        return cell(absent, "red" if absent == "✗" else "dim")
    return cell(f"✓ {elapsed(seconds)}", "green")


def table(
    headers: Sequence[str], lines: Iterable[Sequence[str | Text]], columns: Sequence[Mapping[str, Any]] = ()
) -> RenderableType:
    """A table without borders. ``columns`` are Rich's options for each column, such as ``width`` and ``justify``."""
    from rich.table import Table

    found = Table(
        box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=any(headers)
    )
    for at, header in enumerate(headers):
        found.add_column(header, **{"overflow": "fold", **(columns[at] if at < len(columns) else {})})
    for line in lines:
        found.add_row(*(cell(item) if isinstance(item, str) else item for item in line))
    return found


def rows(console: Console, headers: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print a table on a terminal; elsewhere a line for each row, separated by tabs, without headers."""
    if console.out_is_terminal and lines:
        console.raw_out(render(console, table(headers, lines)))
    elif lines:
        console.out("".join("\t".join(map(_flat, line)) + "\n" for line in lines))


def pairs(console: Console, fields: Iterable[tuple[str, str]]) -> None:
    """Print the names and values that are not empty, aligned on a terminal, else separated by tabs."""
    known = [(name, value) for name, value in fields if value]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        gap = " " * (width - len(name) + 2) if console.out_is_terminal else "\t"
        console.out(f"{name}{gap}{_flat(value)}\n")


def _flat(text: str) -> str:
    return " ".join(text.split()) if "\n" in text or "\t" in text else text


def paged(console: Console, pieces: Iterable[str], *, long: bool) -> None:
    """Write text to a terminal; if it is ``long``, through ``$PAGER``, or else less."""
    usable = console.stdin_is_terminal() and console.environ.get("TERM") not in (None, "", "dumb")
    if not long or not usable or console.environ.get("PAGER") == "":
        console.raw_out("".join(pieces))
        return
    import click

    console.flush()
    click.echo_via_pager(pieces)


# --- progress on stderr --------------------------------------------------------------------------------------


@contextlib.contextmanager
def live(console: Console, make: Callable[[], RenderableType]) -> Iterator[None]:
    """Show what ``make`` returns while the block runs, and erase it at the end; only on a terminal."""
    if not console.err_can_move:
        yield
        return
    from rich.live import Live

    screen = _rich(console, console.err_has_colour, stderr=True)
    with Live(get_renderable=make, console=screen, transient=True, refresh_per_second=8):
        yield


@contextlib.contextmanager
def live_steps(
    console: Console, header: str, steps: Sequence[str], names: Sequence[str], mark: Callable[[Any], Text]
) -> Iterator[Callable[[str, str, object], None]]:
    """Yield a callback that sets the value of a step of a name, for any thread; ``live`` shows a row for each name.

    ``mark`` draws a value, or None before it is set. A value of the step "" is shown after the others.
    """
    known: dict[str, dict[str, object]] = {name: {} for name in names}

    def report(name: str, step: str, value: object) -> None:
        known[name] = {**known[name], step: value}  # a new value: the thread that paints reads at any moment

    def make() -> RenderableType:
        lines = [
            [name, *(mark(values.get(step)) for step in steps), mark(values[""]) if "" in values else ""]
            for name, values in known.items()
        ]
        return table((header, *map(str.upper, steps), ""), lines)

    with live(console, make):
        yield report


@contextlib.contextmanager
def fetch_progress(console: Console) -> Iterator[Callable[[Progress], None]]:
    """Yield a callback that draws a bar on a terminal, and elsewhere prints a line for each phase of a download.

    Rich is imported at the first call.
    """
    stack = contextlib.ExitStack()
    reported: set[str] = set()
    update: Callable[[Progress], None] | None = None

    def report(progress: Progress) -> None:
        nonlocal update
        if console.err_is_terminal:
            update = update or stack.enter_context(_bar())
            update(progress)
        elif progress.phase not in reported:
            reported.add(progress.phase)
            size = f" ({progress.total / 1e6:.0f} MB)" if progress.phase == "fetch" else ""
            console.note(f"{_PHASES[progress.phase]}{size} …")

    with stack:
        yield report


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(compact=True),
    )
    with RichProgress(*columns, console=RichConsole(stderr=True), transient=True) as bar:
        task: TaskID = bar.add_task("", total=None)
        yield lambda now: bar.update(
            task, description=_PHASES[now.phase], completed=now.done, total=now.total or None
        )
