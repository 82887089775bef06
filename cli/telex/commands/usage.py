"""``telex usage``: what requests have cost, from the ledger."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import click

from provider_core.errors import HistoryError, SettingsError
from telex.app import pass_app
from telex.exit_codes import ExitCode
from telex.humanize import plural
from telex.main import Command
from telex.options import Name, age_seconds

if TYPE_CHECKING:
    from provider_core.history import Grouping
    from telex.app import App

_RECENT = 62 * 86_400
_TODAY, _ALL = "today", "all"


class Since(click.ParamType[float]):
    """The beginning of a period: an age such as ``30d``, a date, "today" or "all", as seconds since 1970."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        text = str(value).strip().lower()
        if text == _ALL:
            return 0.0
        if text == _TODAY:
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
@click.option(
    "--since",
    type=Since(),
    default="30d",
    show_default=True,
    metavar="TIME",
    help="Count requests since an age (12h, 30d, 8w, 1y) or a date (2026-05-31), today only, or all.",
)
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
    from telex.render import usage as render

    if as_json and as_csv:
        raise click.UsageError("--json and --csv cannot be used together")
    console, ledger = app.console, app.runtime.history.ledger
    with contextlib.suppress(HistoryError, SettingsError):  # what is known can be shown
        app.runtime.fill_in_costs(since=since)
    filters: Any = {"since": since, "provider": provider, "model": model}
    totals = ledger.totals(by, **filters)
    whole = render.add_up("", totals)
    if as_json:
        from telex.render.history import utc

        rows = [render.total_object(each, by) for each in totals]
        start = utc(since) if since else None
        console.json({"since": start, "by": by, "total": render.total_object(whole), "rows": rows})
    elif as_csv:
        console.out(render.csv_text(by, totals))
    elif not console.out_is_terminal:
        console.out("".join("\t".join(render.values(each)) + "\n" for each in totals))
    elif totals:
        days = totals if by == "day" else ledger.totals("day", **filters)
        # A chart of a long time begins with the first request, not with empty months.
        recent = time.time() - since < _RECENT
        first = time.strftime("%Y-%m-%d", time.localtime(since)) if recent else days[0].key
        render.table(console, by, totals, whole)
        render.chart(console, days, first, whole)
        with contextlib.suppress(SettingsError):
            if app.runtime.budget is not None:
                render.budgets(console, app.runtime.budget.spending())
    if not totals:
        console.note("The ledger has no requests of this period.")
    elif whole.unpriced:
        console.note(f"The cost of {plural(whole.unpriced, 'request')} is unknown and not included.")
