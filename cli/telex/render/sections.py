"""The answers of several models below each other, each under a heading; while one is shown, the others arrive."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from provider_core.events import ChatEnded, Connecting, FellBack
from provider_core.types import Text
from telex.render import ChatFailed, MultiRenderer
from telex.render.text import TextRenderer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provider_core.events import Event
    from provider_core.types import Target
    from telex.console import Console
    from telex.render import CommandEvent, Explain, RenderOptions


def multi_renderer_for(
    console: Console,
    options: RenderOptions,
    targets: Sequence[Target | str],
    *,
    explain: Explain = lambda _: None,
) -> MultiRenderer:
    """The renderer for the turns of several models. A name in ``targets`` is one that could not be resolved."""
    if options.format == "json" or options.format == "jsonl":
        from telex.render.json import MultiJsonLinesRenderer, MultiJsonRenderer

        kind = MultiJsonRenderer if options.format == "json" else MultiJsonLinesRenderer
        return kind(console, targets, explain)
    if console.out_is_terminal:
        from telex.render.columns import ColumnsRenderer, fits
        from telex.render.styles import look_for

        if fits(len(targets), console.width()) and (look := look_for(console, options.code_theme)):
            return ColumnsRenderer(console, options, targets, look)
    return SectionsRenderer(console, options, targets)


class SectionsRenderer(MultiRenderer):
    """In a pipe the output is Markdown: headings and answers, with blank lines between them."""

    def __init__(self, console: Console, options: RenderOptions, targets: Sequence[Target | str]) -> None:
        self._console = console
        self._options = options
        self._targets = targets
        self._waiting: list[list[tuple[float, Event | CommandEvent]]] = [[] for _ in targets]
        """The events of sections that are not shown yet, and when they came."""
        self._shown = -1
        self._renderer = TextRenderer(console, options)
        self._has_text = False
        self._title = ""
        """The last heading."""
        self._now: float | None = None
        """When the event came that is being shown late."""

    def handle(self, index: int, event: Event | CommandEvent) -> None:
        if self._shown < 0:
            self._next()
        if index != self._shown:
            self._waiting[index].append((time.monotonic(), event))
        else:
            self._show(event)

    def _next(self) -> None:
        """Begin the next section, and show what has come of it."""
        self._shown += 1
        if self._shown == len(self._targets):
            return
        target = self._targets[self._shown]
        self._has_text = False
        self._heading(str(target))
        self._renderer = TextRenderer(
            self._console, self._options, title=str(target), clock=lambda: self._now or time.monotonic()
        )
        if not isinstance(target, str):
            self._renderer.handle(Connecting(target=target))
        waiting, self._waiting[self._shown] = self._waiting[self._shown], []
        try:
            for self._now, event in waiting:
                self._show(event)
        finally:
            self._now = None

    def _show(self, event: Event | CommandEvent) -> None:
        if isinstance(event, Text) and not self._has_text:
            self._has_text = True
            if not self._console.out_is_terminal:
                self._console.out("\n")
        self._renderer.handle(event)
        if isinstance(event, FellBack) and str(event.target) != self._title:
            self._heading(str(event.target))
        if isinstance(event, ChatEnded | ChatFailed):
            self._next()

    def _heading(self, title: str) -> None:
        console = self._console
        before = "\n" if self._title else ""
        self._title = title
        if console.out_is_terminal:
            bold, off = ("\x1b[1m", "\x1b[m") if console.out_has_colour else ("", "")
            console.raw_out(f"{before}{bold}")
            console.out(title)
            console.raw_out(f"{off}\n\n")
        else:
            console.out(f"{before}## {title}\n")
            if self._options.reasoning == "show" and console.err_is_terminal:
                console.note(f"{title}:")
