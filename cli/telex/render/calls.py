"""How a tool's call looks on stderr: before it runs, to whoever has to approve of it, and in one line afterwards.

Names, titles and arguments are a stranger's: nothing of them commands a terminal, begins a line, or hides.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from provider_core.errors import ToolRefusedError, UnknownToolError
from telex.humanize import plural, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from provider_core.events import PlannedCall, ToolAnnotations, ToolEnded, ToolProgress
    from provider_core.types import Json

__all__ = [
    "changed",
    "ended",
    "named",
    "planned",
    "progress",
    "running",
    "spelled",
    "without_proxies",
]

_FIRST, _LAST = 8, 3
"""Rows of one argument that are shown, and of its end, before it is asked for whole."""

_ARGUMENTS = 12
_LONGEST_NAME = 100
_LONGEST_ERROR = 300
_NARROWEST = 20
"""Columns below which rows are left to the terminal."""

_GUTTER: Final = "  │ "

_UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0e\uffa0\U000e0100-\U000e01ef]"
)
"""Letters and marks that Python calls printable and that show nothing: whole sentences have been hidden in them.

Unicode's Default_Ignorable_Code_Point, but for the last selector of variants, which is part of many emoji.
"""


def planned(call: PlannedCall, *, width: int, whole: bool = False) -> str:
    """The call with its arguments, each row's end included; with ``whole`` nothing is left out.

    No row is wider than ``width`` cells, and none but the first begins in the first column: what a model or a
    server writes cannot pass for a line of telex's own.
    """
    tool = call.spec
    rows = _chopped(f"The model wants to run {_line(call.name)}", width, rest="  ")
    said = _said(tool.title if tool.title != tool.tool.name else "", tool.annotations)
    if said:
        rows += _chopped(f"The server claims (not verified): {said}", width, first="  ", rest="  ")
    named = list(call.arguments.items())
    shown = named if whole else named[:_ARGUMENTS]
    for name, value in shown:
        rows += _argument(_line(name), value, width=width, whole=whole)
    if len(named) > len(shown):
        rows.append(f"  … and {len(named) - len(shown)} more arguments")
    if not named:
        rows.append("  (no arguments)")
    return "".join(f"{row}\n" for row in rows)


def running(names: Iterable[str]) -> str:
    """What is being done, for a spinner."""
    counts: dict[str, int] = {}
    for name in names:
        counts[_line(name)] = counts.get(_line(name), 0) + 1
    words = (f"{name} ({count} times)" if count > 1 else name for name, count in counts.items())
    return f"running {', '.join(words)}"


def progress(event: ToolProgress) -> str:
    """How far a call is, for a spinner: "step 3 (3/8)"."""
    number = f"{event.progress:g}/{event.total:g}" if event.total else f"{event.progress:g}"
    message = _line(event.message)
    return f"{message} ({number})" if message else number


def ended(event: ToolEnded) -> str:
    """One line: what became of the call."""
    planned, error, text = event.planned, event.error, event.result.text
    if planned is not None:
        name = planned.name
    else:
        name = "/".join(filter(None, (error.server, error.tool))) if error is not None else ""
    who = named(name or event.call.name) or "a call without a name"
    brief = _brief(planned.arguments) if planned is not None else ""
    if brief:
        who += f" {brief}"
    if isinstance(error, ToolRefusedError):
        return f"{who}: refused"
    if isinstance(error, UnknownToolError):
        return f"{who}: there is no such tool"
    if error is not None:
        return f"{who}: {_line(error.message.removeprefix(f'{name} '), _LONGEST_ERROR)}"
    if event.result.is_error:
        why = _line(text.removeprefix("Error: "), _LONGEST_NAME)
        return f"{who}: failed in {event.seconds:.1f} s: {why}"
    there = len(text.encode("utf-8", "replace"))
    cut = "cut to " if planned is not None and there > planned.toolbox.limits.size else ""
    count = len(event.result.images)
    images = plural(count, "image") if count else ""
    found = " and ".join(filter(None, (f"{cut}{size(there)}" if text or not images else "", images)))
    return f"{who}: {found} in {event.seconds:.1f} s"


def without_proxies(server: str, variables: Sequence[str]) -> str:
    """That a server is not told of proxies, and how to change that."""
    options = " ".join(f"--env {name}=env:{name}" for name in variables)
    return (
        f"{', '.join(variables)}: not passed to the MCP server {server}, because the address holds a password.\n"
        f"  To pass it on, add the server with {options}"
    )


def changed(call: PlannedCall) -> str:
    """That a tool is no longer what was approved of."""
    return f"{_line(call.name)} has changed since you chose to always allow it.\n"


def spelled(text: str) -> str:
    """``text`` with an escape, as Python writes it, for what has no shape of its own: controls, bidi, zero widths."""
    if text.isprintable() and not _UNSEEN.search(text):
        return text
    return "".join(
        letter
        if letter.isprintable() and not _UNSEEN.match(letter)
        else letter.encode("unicode_escape").decode()
        for letter in text
    )


# --- arguments ---------------------------------------------------------------------------------------------


def _argument(name: str, value: Json, *, width: int, whole: bool) -> list[str]:
    """One row where it fits, else its name and the value below it, set off."""
    # Lines are easier to read as lines; all else is exact.
    lines = isinstance(value, str) and "\n" in value
    text = str(value) if lines else json.dumps(value, ensure_ascii=False)
    if not lines and len(text) <= width:
        row = _chopped(f"{name}: {spelled(text)}", width, first="  ", rest=_GUTTER)
        if len(row) == 1:
            return row
    if isinstance(value, dict | list):
        text = json.dumps(value, ensure_ascii=False, indent=2)
    return [
        *_chopped(f"{name}:", width, first="  ", rest=_GUTTER),
        *_below(text, width=width, whole=whole),
    ]


def _below(text: str, *, width: int, whole: bool) -> list[str]:
    """The rows of a value: all, or the first ones, how much there is, and the last."""
    most = _FIRST + _LAST + 1
    # What is far beyond what will be shown need not be measured.
    room = most * max(width, _NARROWEST)
    long = not whole and len(text) > 2 * room
    head = _rows((text[:room] if long else text).split("\n"), width)
    if whole or (not long and len(head) <= most):
        return head
    tail = _rows(text[-room:].split("\n"), width) if long else head
    there = f"{size(len(text.encode('utf-8', 'replace')))} in all"
    lines = text.count("\n") + 1
    left_out = f"  … {there}{f', {lines} lines' if lines > 1 else ''}; v shows it whole …"
    return [*head[:_FIRST], *_chopped(left_out, width, rest="  "), *tail[-_LAST:]]


def _rows(lines: Sequence[str], width: int) -> list[str]:
    return [
        row
        for line in lines
        for row in _chopped(spelled(line.expandtabs(4)), width, first=_GUTTER, rest=_GUTTER)
    ]


def _chopped(text: str, width: int, *, first: str = "", rest: str) -> list[str]:
    """``text`` in rows of at most ``width`` cells, the terminal's last column left free."""
    from telex.render.wrapping import chop

    room = max(width, _NARROWEST) - 1
    head, *more = chop(text, room - len(first))
    # What follows has a room of its own.
    return [
        f"{first}{head}",
        *(f"{rest}{row}" for row in (chop("".join(more), room - len(rest)) if more else ())),
    ]


# --- in few words ------------------------------------------------------------------------------------------


def named(name: str) -> str:
    """A tool's name within a sentence."""
    return _line(name, _LONGEST_NAME // 2)


def _line(text: str, longest: int = _LONGEST_NAME) -> str:
    """``text`` as one line of bounded length; of a longer one, how long it is."""
    shown = spelled(" ".join(text[: 4 * longest].split()))
    if len(shown) <= longest and len(text) <= 4 * longest:
        return shown
    return f"{shown[:longest]}… [{len(text):,} characters]"


def _brief(arguments: Mapping[str, Json]) -> str:
    """The first arguments in a few words, for a line that has others to say too."""
    words = (str(value)[:200] for value in arguments.values() if isinstance(value, str | int | float))
    text = spelled(" ".join(", ".join(words).split()))
    return f"({text if len(text) <= 40 else text[:39] + '…'})" if text else ""


def _said(title: str, hints: ToolAnnotations) -> str:
    said = {
        "reads only": hints.read_only is True,
        "destructive": hints.destructive is True,
        "reaches the outside": hints.open_world is True,
    }
    words = [words for words, true in said.items() if true]
    return "; ".join(filter(None, (_line(title), ", ".join(words))))
