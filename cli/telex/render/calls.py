"""How a tool's call looks on stderr: before it runs, for whoever has to approve it, and in one line afterwards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from provider_core.errors import ToolRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider_core.tools import Hints, PlannedCall, ToolEnded
    from provider_core.types import Json

__all__ = ["ended", "planned", "size", "started"]

_LONGEST = 300
"""Characters of one argument that are shown before it is asked for whole."""

_LINES = 12


def started(call: PlannedCall) -> str:
    """What is being done, for a spinner."""
    return f"running {call.name}"


def planned(call: PlannedCall, *, whole: bool = False) -> str:
    """The call with its arguments, a line or more for each; the console makes control characters visible."""
    title = f" ({call.offered.title})" if call.offered.title else ""
    lines = [f"{call.name}{title}"]
    hints = _hints(call.offered.hints)
    if hints:
        lines[0] += f"; it says of itself: {hints}"
    lines += [f"  {name}: {_value(value, whole=whole)}" for name, value in call.arguments.items()]
    return "\n".join(lines)


def ended(event: ToolEnded) -> str:
    """One line: what became of the call."""
    name = event.planned.name if event.planned is not None else event.call.name or "a call without a name"
    if event.planned is not None and _brief(event.planned.arguments):
        name += f" {_brief(event.planned.arguments)}"
    if isinstance(event.error, ToolRefusedError):
        return f"{name}: refused"
    if event.error is not None:
        return f"{name}: {event.error.message}"
    outcome = "failed, " if event.result.is_error else ""
    return (
        f"{name}: {outcome}{size(len(event.result.text.encode('utf-8', 'replace')))} in {event.seconds:.1f} s"
    )


def size(count: int) -> str:
    """A number of bytes for a person."""
    if count < 1000:
        return f"{count} bytes"
    return f"{count / 1e3:.1f} kB" if count < 1e6 else f"{count / 1e6:.1f} MB"


def _brief(arguments: Mapping[str, Json]) -> str:
    """The first arguments in a few words, for a line that has others to say too."""
    text = ", ".join(str(value) for value in arguments.values() if isinstance(value, str | int | float))
    text = " ".join(text.split())
    return f"({text if len(text) <= 40 else text[:39] + '…'})" if text else ""


def _value(value: Json, *, whole: bool) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
    lines = text.split("\n")
    shown = "\n    ".join(lines if whole else lines[:_LINES])
    if whole or (len(lines) <= _LINES and len(shown) <= _LONGEST):
        return shown if len(lines) == 1 else f"\n    {shown}"
    cut = shown[:_LONGEST]
    return f"{'' if len(lines) == 1 else chr(10) + '    '}{cut} … [{size(len(text.encode('utf-8', 'replace')))} in all]"


def _hints(hints: Hints) -> str:
    said = {
        "reads only": hints.read_only is True,
        "destructive": hints.destructive is True,
        "reaches the outside": hints.open_world is True,
    }
    return ", ".join(words for words, true in said.items() if true)
