"""The limits on what a chat may cost: ``--max-cost``, and the budget of the settings."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from provider_core.errors import HistoryError
from provider_core.types import Usage
from telex.humanize import dollars, plural

if TYPE_CHECKING:
    from collections.abc import Callable

    from provider_core.budget import Spending
    from provider_core.chat.runner import ChatPlan
    from provider_core.types import Target
    from telex.app import App

_PERIODS = {"day": "today", "month": "this month"}


def limiting_options(app: App) -> dict[str, Any]:
    """The options of ``ChatRun`` that enforce the limits."""
    budget = app.runtime.budget
    return {"check_budget": budget.check if budget is not None else None}


def report_limits(app: App, chat: ChatPlan, report: Callable[[str], None]) -> None:
    """Report a budget that is nearly spent, and costs that no limit can include because they are unknown."""
    budget = app.runtime.budget
    spending: tuple[Spending, ...] = ()
    with contextlib.suppress(HistoryError):  # the check before the request raises it again
        spending = budget.spending() if budget is not None else ()
    for each in spending:
        if each.is_near and not each.is_exhausted:
            part = int(100 * each.spent / each.limit)
            report(
                f"{dollars(each.spent)} of the budget of {dollars(each.limit)} for {_PERIODS[each.period]} is spent "
                f"({part} %)."
            )
        if each.unpriced:
            report(f"The budget for {_PERIODS[each.period]} does not include {_unknown(each)}.")
    if chat.max_cost is not None and _price_is_unknown(app, chat.target):
        report(f"The price of {chat.target} is unknown: --max-cost counts only what the server reports.")


def _unknown(spending: Spending) -> str:
    return plural(spending.unpriced, "request whose cost is unknown", "requests whose cost is unknown")


def _price_is_unknown(app: App, target: Target) -> bool:
    return app.runtime.prices(target, Usage(input=1, output=1)) is None
