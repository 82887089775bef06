"""``telex usage``: what requests have cost, from the ledger.

On a terminal, that is a table with bars and a chart; for programs, it is tabs, CSV or JSON.
"""

from __future__ import annotations

import contextlib
import io
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import click

from provider_core.errors import HistoryError, SettingsError
from provider_core.structs import replace
from telex.app import pass_app
from telex.exit_codes import ExitCode
from telex.humanize import dollars, plural, short_number
from telex.main import Command
from telex.options import Name, age_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provider_core.history import Grouping, UsageTotal
    from telex.app import App
    from telex.console import Console

COLUMNS: Final = (
    "requests", "input", "cached", "cache_write", "output", "reasoning", "cost", "unpriced",
)  # fmt: skip
"""The columns after the name, in a pipe and as CSV."""
_RECENT = 62 * 86_400
_SHOWN = 20
"""Rows of the table on a terminal; the others are added up."""
_NO_NAME = {"template": "(no template)"}
_HEIGHT = 7
"""Rows of the chart."""
_FROM = {"CACHED": 90, "REQUESTS": 70, "INPUT": 70, "OUTPUT": 70}
"""The width of the terminal from which on a column is shown."""


class Since(click.ParamType[float]):
    """The beginning of a period: an age such as ``30d``, a date, "today" or "all", as seconds since 1970."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        text = str(value).strip().lower()
        if text == "all":
            return 0.0
        if text == "today":
            from provider_core.budget import beginning

            return beginning("day", time.time())
        if (seconds := age_seconds(text)) is not None:
            return max(0.0, time.time() - seconds)
        try:
            return time.mktime(time.strptime(text, "%Y-%m-%d"))
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is not a valid time. Use an age such as 12h, 30d, 8w or 1y, a date such as 2026-05-31, "
                "today, or all.",
                param,
                ctx,
            )


@click.command(
    cls=Command,
    name="usage",
    examples=(
        "telex usage",
        "telex usage --since 7d --by day",
        "telex usage --since all --by model | sort -t '\t' -k 8 -n -r | head -n 5",
        "telex usage --json | jq .total.cost",
    ),
    exits=(ExitCode.OTHER,),
)
@click.option("--since", type=Since(), default="30d", show_default=True, metavar="TIME",
              help="Count requests since an age (12h, 30d, 8w, 1y) or a date (2026-05-31), today only,"
                   " or all.")  # fmt: skip
@click.option(
    "--by",
    type=click.Choice(["model", "provider", "day", "template", "command"]),
    default="model",
    show_default=True,
    help="What each row is for.",
)
@click.option("--model", type=Name("model"), metavar="ID", help="Count only the requests to this model.")
@click.option(
    "--provider", type=Name("provider"), metavar="NAME", help="Count only the requests to this provider."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV with a header.")
@pass_app
def command(
    app: App,
    *,
    since: float,
    by: Grouping,
    model: str | None,
    provider: str | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Show how many tokens requests have used, and what they cost in US dollars.

    telex stores the time, model, tokens and cost of every request, but no text, in a ledger on this machine (the short
    requests of telex providers test aside). A cost is what the server reported, or else follows from the model's price
    at that time. If a price is unknown, the cost is unknown, and not 0. Days begin at midnight, local time.

    In a pipe, each line has the name, REQUESTS, INPUT, CACHED, CACHE_WRITE, OUTPUT, REASONING, COST and UNPRICED,
    separated by tabs. INPUT includes CACHED and CACHE_WRITE, and OUTPUT includes REASONING. COST is empty if it is
    unknown; UNPRICED is the number of requests that it does not include. telex history prune --with-usage removes old
    requests from the ledger.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv cannot be used together")
    console, ledger = app.console, app.runtime.history.ledger
    with contextlib.suppress(HistoryError, SettingsError):  # what is known can be shown
        app.runtime.fill_in_costs(since=since)
    filters: Any = {"since": since, "provider": provider, "model": model}
    totals = ledger.totals(by, **filters)
    whole = _add_up("total", totals)
    if as_json:
        from telex.render.history import utc

        rows = [{by: each.key or None, **_object(each)} for each in totals]
        console.json(
            {"since": utc(since) if since else None, "by": by, "total": _object(whole), "rows": rows}
        )
    elif as_csv:
        import csv

        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow((by, *COLUMNS))
        writer.writerows(map(_values, totals))
        console.out(out.getvalue())
    elif not console.out_is_terminal:
        from telex.render import tables

        tables.rows(console, (by, *COLUMNS), [_values(each) for each in totals])
    elif totals:
        days = totals if by == "day" else ledger.totals("day", **filters)
        # A chart of a long time begins with the first request, not with empty months.
        recent = time.time() - since < _RECENT
        first = time.strftime("%Y-%m-%d", time.localtime(since)) if recent else days[0].key
        _print_table(console, by, totals, whole)
        _print_chart(console, days, first, whole)
        with contextlib.suppress(SettingsError):
            periods = {"day": "today", "month": "this month"}
            spending = app.runtime.budget.spending() if app.runtime.budget is not None else ()
            parts = [
                f"{dollars(each.spent)} of {dollars(each.limit)} {periods[each.period]}" for each in spending
            ]
            if parts:
                console.out(f"\nBudget: {', '.join(parts)}\n")
    if not totals:
        matching = "matching " if model or provider else ""
        console.note(f"The ledger has no {matching}requests in this period.")
    elif whole.unpriced:
        console.note(f"The cost of {plural(whole.unpriced, 'request')} is unknown and not included.")


def _add_up(key: str, totals: Sequence[UsageTotal]) -> UsageTotal:
    """All totals as one."""
    from provider_core.history import UsageTotal

    sums: dict[str, Any] = {name: sum(getattr(each, name) for each in totals) for name in COLUMNS}
    return UsageTotal(key=key, **sums | {"cost": sum((each.cost for each in totals), Decimal(0))})


def _is_unknown(total: UsageTotal) -> bool:
    """Whether nothing is known to have cost anything, which is not the same as $0: failed requests cost nothing."""
    return total.unpriced > 0 and not total.cost


def _values(total: UsageTotal) -> list[str]:
    """The row for tabs and CSV. The cost has all digits, but no zeros at the end; it is empty if no cost is known."""
    found = {name: str(getattr(total, name)) for name in COLUMNS}
    cost = total.cost
    plain = cost.quantize(Decimal(1)) if cost == cost.to_integral_value() else cost.normalize()
    found["cost"] = "" if _is_unknown(total) else f"{plain:f}"
    return [total.key, *found.values()]


def _object(total: UsageTotal) -> dict[str, Any]:
    """A total as JSON; ``cost`` is null if no cost is known."""
    found = {name: getattr(total, name) for name in COLUMNS}
    return found | {"cost": None if _is_unknown(total) else float(total.cost)}


# --- on a terminal -------------------------------------------------------------------------------------------


def _measure(whole: UsageTotal) -> Callable[[UsageTotal], Decimal]:
    """The size of the bars: the cost, or the tokens if nothing is known to have cost anything."""
    return lambda total: total.cost if whole.cost else Decimal(total.input + total.output)


def _cost(total: UsageTotal) -> str:
    """The cost, with a plus if some costs are unknown."""
    return "unknown" if _is_unknown(total) else f"{dollars(total.cost)}{'+' if total.unpriced else ''}"


def _print_table(console: Console, by: str, totals: Sequence[UsageTotal], whole: UsageTotal) -> None:
    """Print a row for each total, with a bar for its part of the whole."""
    from rich.bar import Bar

    from telex.render import tables

    most_rows = len(totals) if by == "day" else _SHOWN
    shown = [replace(each, key=each.key or _NO_NAME.get(by, "(none)")) for each in totals[:most_rows]]
    if others := totals[most_rows:]:
        shown.append(_add_up(f"({len(others)} others)", others))
    measure, width = _measure(whole), console.width()
    most = float(max(map(measure, shown)))
    colour = f"color({code})" if (code := console.colour("cyan").rpartition(";")[2]) else "default"
    lines: list[list[Any]] = []
    for each in (*shown, *([whole] if len(shown) > 1 else [])):
        cells = {
            by.upper(): each.key,
            "REQUESTS": f"{each.requests:,}",
            "INPUT": short_number(each.input),
            "CACHED": short_number(each.cached) if each.cached else "",
            "OUTPUT": short_number(each.output),
            "COST": _cost(each),
        }
        names = [name for name in cells if width >= _FROM.get(name, 0)]
        style = "bold" if each is whole else ""
        bar = Bar(most or 1.0, 0.0, float(measure(each)), color=colour) if each is not whole else ""
        lines.append([*(tables.cell(cells[name], style) for name in names), bar])
    columns: list[dict[str, Any]] = [{"no_wrap": True, "justify": "right"} for _ in names]
    columns[0] = {"no_wrap": True, "overflow": "ellipsis", "max_width": max(8, width * 2 // 5)}
    table = tables.table((*names, ""), lines, (*columns, {"max_width": 30}))
    console.raw_out(tables.render(console, table))


def _print_chart(console: Console, days: Sequence[UsageTotal], first: str, whole: UsageTotal) -> None:
    """Print a bar for each day from ``first`` (such as "2026-05-31") to today; for each week or month if too many.

    A question mark instead of a bar means that no cost of this time is known.
    """
    from datetime import date, timedelta

    measure, room = _measure(whole), console.width() - 10
    amounts = {date.fromisoformat(each.key): measure(each) for each in days}
    unknown = {date.fromisoformat(each.key) for each in days if _is_unknown(each)}
    begin, today = date.fromisoformat(first), date.fromtimestamp(time.time())
    every = [begin + timedelta(days=at) for at in range((today - begin).days + 1)] or [today]
    size = next((size for size in (1, 7) if len(every) <= room * size), 28)
    slots = [every[at : at + size] for at in range(0, len(every), size)][-room:]
    heights = [sum((amounts.get(day, Decimal(0)) for day in slot), Decimal(0)) for slot in slots]
    most = max(heights)
    step = max(1, min(3, room // len(slots)))
    each = {1: "day", 7: "week", 28: "four weeks"}[size]
    console.out(f"\n{'Cost' if whole.cost else 'Tokens'} for each {each}\n")
    for row in reversed(range(_HEIGHT)):
        line = ""
        for slot, height in zip(slots, heights, strict=True):
            eighths = max(1, round(height * _HEIGHT * 8 / most)) if height else 0
            block = " ▁▂▃▄▅▆▇█"[max(0, min(8, eighths - 8 * row))]
            if not row and not height and unknown.intersection(slot):
                block = "?"
            line += (block * max(1, step - 1)).ljust(step)
        mark = dollars(most) if whole.cost else short_number(int(most))
        bar = console.painted(line.rstrip(), "cyan") if console.out_has_colour else line.rstrip()
        console.raw_out(f"{mark if row == _HEIGHT - 1 else '':>8} {bar}\n")
    axis = f"{slots[0][0]:%b %d}"
    if len(slots) * step >= 2 * len(axis) + 2:
        axis += f"{slots[-1][0]:%b %d}".rjust(len(slots) * step - len(axis))
    console.out(f"{'':9}{axis}\n")
