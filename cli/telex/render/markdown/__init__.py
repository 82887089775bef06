"""Markdown for terminals, one room in small parts: the stream feeds a layout, and a screen shows its rows.

In ``_layout`` the ``_reader`` (with ``_html``, ``_links``, ``_rows``) turns lines into the blocks of ``_events``, and
the ``_printer`` (with ``_inline``, ``_spans``, ``_table``) turns blocks into rows. Importing
it costs time: commands do so while the first byte is awaited, and only for a terminal.
"""

from __future__ import annotations

from telex.render.highlighting import prepare
from telex.render.markdown._layout import Layout
from telex.render.markdown._screen import Screen
from telex.render.markdown._stream import MarkdownStream, render
from telex.render.styles import Colour, Look, surface
from telex.render.wrapping import Row, cells, chop, wrap

__all__ = [
    "Colour",
    "Layout",
    "Look",
    "MarkdownStream",
    "Row",
    "Screen",
    "cells",
    "chop",
    "prepare",
    "render",
    "surface",
    "wrap",
]
