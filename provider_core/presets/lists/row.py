"""The shape of a table of models: plain literals, so that reading one costs nothing."""

from __future__ import annotations

from typing import TypeAlias

__all__ = ["Row", "Table"]

Row: TypeAlias = tuple[str, int | None, int | None, bool | None, bool | None, str, tuple[str, ...]]
"""Id; context and largest answer in tokens; whether it reasons; whether it takes tools; a name, where it says
more than the id; the reasoning efforts that its source lists. None: the source does not say."""

Table: TypeAlias = dict[str, tuple[Row, ...]]
"""Rows by preset."""
