"""The cost of past requests: a table with bars and a chart on a terminal; tabs, CSV and JSON for programs."""

from __future__ import annotations

import io
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from provider_core.structs import replace
from telex.console import visible
from telex.humanize import dollars, short_number
from telex.render import tables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provider_core.budget import Spending
    from provider_core.history import UsageTotal
    from telex.console import Console

COLUMNS: Final = (
    "requests", "input", "cached", "cache_write", "output", "reasoning", "cost", "unpriced",
)  # fmt: skip
"""The columns after the name, in a pipe and as CSV."""
_SHOWN = 20
"""Rows of the table on a terminal; the others are added up."""
_NO_NAME = {"template": "(no template)"}
_BLOCKS = " ▁▂▃▄▅▆▇█"
_PARTS = " ▏▎▍▌▋▊▉█"
"""A cell filled from below, and from the left, in eighths."""
_HEIGHT = 7
"""Rows of the chart."""
_FROM = {"CACHED": 90, "REQUESTS": 50, "INPUT": 50, "OUTPUT": 50}
"""The width of the terminal from which on a column is shown."""


# --- for programs --------------------------------------------------------------------------------------------


def values(total: UsageTotal) -> list[str]:
    """The row for tabs and CSV. The cost has all digits; it is empty if no cost is known."""
    return [total.key, *(_value(total, name) for name in COLUMNS)]


def _value(total: UsageTotal, name: str) -> str:
    if name != "cost":
        return str(getattr(total, name))
    return "" if _is_unknown(total) else f"{_plain(total.cost):f}"


def csv_text(by: str, totals: Sequence[UsageTotal]) -> str:
    """The rows as CSV with a header."""
    import csv

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((by, *COLUMNS))
    writer.writerows(map(values, totals))
    return out.getvalue()


def total_object(total: UsageTotal, by: str | None = None) -> dict[str, Any]:
    """A total as JSON; ``cost`` is null if no cost is known."""
    found: dict[str, Any] = {by: total.key or None} if by is not None else {}
    found |= {name: getattr(total, name) for name in COLUMNS}
    found["cost"] = None if _is_unknown(total) else float(total.cost)
    return found


def _is_unknown(total: UsageTotal) -> bool:
    """Whether nothing is known to have cost anything, which is not the same as $0: failed requests cost nothing."""
    return total.unpriced > 0 and not total.cost


def _plain(amount: Decimal) -> Decimal:
    """Without zeros at the end, and without an exponent."""
    return amount.quantize(Decimal(1)) if amount == amount.to_integral_value() else amount.normalize()


def add_up(key: str, totals: Sequence[UsageTotal]) -> UsageTotal:
    """All totals as one."""
    from provider_core.history import UsageTotal

    sums: dict[str, Any] = {name: sum(getattr(each, name) for each in totals) for name in COLUMNS}
    return UsageTotal(key=key, **sums | {"cost": sum((each.cost for each in totals), Decimal(0))})


# --- on a terminal -------------------------------------------------------------------------------------------


def table(console: Console, by: str, totals: Sequence[UsageTotal], whole: UsageTotal) -> None:
    """Print a row for each total, with a bar for its part of the whole."""
    from rich.cells import cell_len

    most_rows = len(totals) if by == "day" else _SHOWN
    shown = [replace(each, key=each.key or _NO_NAME.get(by, "(none)")) for each in totals[:most_rows]]
    if others := totals[most_rows:]:
        shown.append(add_up(f"({len(others)} others)", others))
    measure = _measure(whole)
    rows = [*shown, *([replace(whole, key="total")] if len(shown) > 1 else [])]
    width = console.width()
    cells: dict[str, list[str]] = {
        by.upper(): [visible(each.key) for each in rows],
        "REQUESTS": [f"{each.requests:,}" for each in rows],
        "INPUT": [short_number(each.input) for each in rows],
        "CACHED": [short_number(each.cached) if each.cached else "" for each in rows],
        "OUTPUT": [short_number(each.output) for each in rows],
        "COST": [_cost(each) for each in rows],
    }
    names = [name for name in cells if width >= _FROM.get(name, 0)]
    widths = {name: max(map(cell_len, (name, *cells[name]))) for name in names}
    others_take = sum(taken + 2 for name, taken in widths.items() if name != by.upper())
    widths[by.upper()] = max(8, min(widths[by.upper()], width - others_take - 10))
    bar = min(30, width - others_take - widths[by.upper()] - 3)
    most = max((measure(each) for each in shown), default=Decimal(0))
    colour = f"color({code})" if (code := console.colour("cyan").rpartition(";")[2]) else ""
    bars = [tables.cell(_bar(measure(each), most, bar), colour) for each in shown] if bar >= 4 else []
    options: list[dict[str, Any]] = [
        {
            "no_wrap": True,
            "overflow": "ellipsis",
            "width": widths[name],
            "justify": "left" if name == by.upper() else "right",
        }
        for name in names
    ]
    lines: list[list[Any]] = [[cells[name][at] for name in names] for at in range(len(rows))]
    for at, line in enumerate(lines):
        line.append(bars[at] if at < len(bars) else "")
    if len(shown) > 1:
        lines[-1] = [tables.cell(str(text), "bold") for text in lines[-1]]
    console.raw_out(tables.render(console, tables.table((*names, ""), lines, (*options, {"no_wrap": True}))))


def chart(console: Console, days: Sequence[UsageTotal], first: str, whole: UsageTotal) -> None:
    """Print a bar for each day from ``first`` (such as "2026-05-31") to today; for each week or month if too many."""
    measure = _measure(whole)
    amounts = {each.key: measure(each) for each in days}
    unknown = {each.key for each in days if _is_unknown(each)}
    is_cost = measure is _by_cost
    scale = dollars if is_cost else _short_tokens
    room = console.width() - 10
    names, size = _dates(first), 1
    for size in (1, 7, 28):
        if len(range(0, len(names), size)) <= room:
            break
    slots = [names[at : at + size] for at in range(0, len(names), size)][-room:]
    heights = [sum((amounts.get(day, Decimal(0)) for day in slot), Decimal(0)) for slot in slots]
    most = max(heights)
    step = max(1, min(3, room // len(slots)))
    each = {1: "day", 7: "week", 28: "four weeks"}[size]
    console.out(f"\n{'Cost' if is_cost else 'Tokens'} for each {each}\n")
    marks = {_HEIGHT - 1: scale(most), 0: ""}
    for row in reversed(range(_HEIGHT)):
        line = ""
        for slot, height in zip(slots, heights, strict=True):
            filled = _eighths(height, most, _HEIGHT) - 8 * row
            block = _BLOCKS[max(0, min(8, filled))]
            if not row and not height and unknown.intersection(slot):
                block = "?"
            line += (block * max(1, step - 1)).ljust(step)
        label = f"{marks.get(row, ''):>8} "
        console.raw_out(
            f"{label}{console.painted(line.rstrip(), 'cyan') if console.out_has_colour else line.rstrip()}\n"
        )
    console.out(f"{'':9}{_axis([slot[0] for slot in slots], step)}\n")


def budgets(console: Console, spending: Sequence[Spending]) -> None:
    """Print what of the budget is spent."""
    periods = {"day": "today", "month": "this month"}
    parts = [f"{dollars(each.spent)} of {dollars(each.limit)} {periods[each.period]}" for each in spending]
    if parts:
        console.out(f"\nBudget: {', '.join(parts)}\n")


def _measure(whole: UsageTotal) -> Callable[[UsageTotal], Decimal]:
    """The size of the bars: the cost, or the tokens if nothing is known to have cost anything."""
    return _by_cost if whole.cost else _by_tokens


def _by_cost(total: UsageTotal) -> Decimal:
    return total.cost


def _by_tokens(total: UsageTotal) -> Decimal:
    return Decimal(total.input + total.output)


def _short_tokens(amount: Decimal) -> str:
    return short_number(int(amount))


def _cost(total: UsageTotal) -> str:
    """The cost, with a plus if some costs are unknown."""
    if _is_unknown(total):
        return "unknown"
    return f"{dollars(total.cost)}{'+' if total.unpriced else ''}"


def _eighths(amount: Decimal, most: Decimal, cells: int) -> int:
    """The length of a bar in eighths of a cell; at least one if there is any amount."""
    if not amount or not most:
        return 0
    return max(1, round(amount * cells * 8 / most))


def _bar(amount: Decimal, most: Decimal, cells: int) -> str:
    whole, part = divmod(_eighths(amount, most, cells), 8)
    return "█" * whole + _PARTS[part].strip()


def _dates(first: str) -> list[str]:
    """Every day from ``first`` to today."""
    from datetime import date, timedelta

    begin, today = date.fromisoformat(first), date.fromtimestamp(time.time())
    return [(begin + timedelta(days=at)).isoformat() for at in range(max(0, (today - begin).days) + 1)]


def _axis(days: Sequence[str], step: int) -> str:
    """Dates below the bars, as many as fit."""
    line = ""
    for at, day in enumerate(days):
        label = time.strftime("%b %d", time.strptime(day, "%Y-%m-%d"))
        if at * step >= len(line) + 2 or not line:
            line = line.ljust(at * step) + label
    return line
