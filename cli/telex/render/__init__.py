"""What telex prints: answers, lists and reports. ``renderer_for`` chooses the renderer of a chat turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from telex.render.renderer import ChatFailed, RenderOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provider_core.types import Target
    from telex.console import Console
    from telex.render.renderer import Explain, Format, MultiRenderer, Renderer


def renderer_for(console: Console, options: RenderOptions, *, explain: Explain = lambda _: None) -> Renderer:
    """The renderer for ``options``. ``explain`` gives the hints that JSON contains."""
    if options.format == "json" or options.format == "jsonl":
        from telex.render.json import JsonLinesRenderer, JsonRenderer

        return (JsonRenderer if options.format == "json" else JsonLinesRenderer)(console, explain)
    from telex.render.text import TextRenderer

    return TextRenderer(console, options)


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
    from telex.render.sections import SectionsRenderer

    return SectionsRenderer(console, options, targets)


def render_failure(
    console: Console,
    output_format: Format,
    error: BaseException,
    *,
    hint: str | None = None,
    models: Sequence[str] = (),
) -> None:
    """Print an error that precedes all requests in the output of ``--json`` and ``--jsonl``.

    ``models`` are the names of the models if there are several. In other formats the error is only on stderr,
    where the command prints it.
    """
    options = RenderOptions(format=output_format)
    if output_format not in ("json", "jsonl"):
        return
    if isinstance(error, click.ClickException):
        message, _, advice = error.format_message().partition("\n")
        error, hint = type(error)(message), hint or advice or None

    if len(models) < 2:
        renderer_for(console, options, explain=lambda _: hint).handle(ChatFailed(error=error))
        return
    renderer = multi_renderer_for(console, options, models, explain=lambda _: hint)
    for index in range(len(models)):
        renderer.handle(index, ChatFailed(error=error))
