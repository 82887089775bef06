"""The limits on what requests may cost: ``--max-cost``, and the budget of the settings."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from provider_core.errors import HistoryError
from provider_core.types import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from decimal import Decimal

    from provider_core.types import Target
    from telex.app import App


def limiting_options(app: App) -> dict[str, Any]:
    """The options of ``ChatRun`` that enforce the limits."""
    budget = app.runtime.budget
    return {"check_budget": budget.check if budget is not None else None}


def report_limits(
    app: App, targets: Iterable[Target], max_cost: Decimal | None, report: Callable[[str], None]
) -> None:
    """Report what is to be known before the first request: see ``report_budget``; and prices that are unknown."""
    report_budget(app, report)
    named = {str(target): target for target in targets} if max_cost is not None else {}
    for name, target in named.items():
        if name not in app.unpriced and app.runtime.prices(target, Usage(input=1, output=1)) is None:
            app.unpriced.add(name)  # a conversation reports it once
            report(f"The price of {target} is unknown: --max-cost counts only what the server reports.")


def report_budget(app: App, report: Callable[[str], None]) -> None:
    """Report, once, that a budget is nearly spent, and that it does not include unknown costs."""
    budget = app.runtime.budget
    if budget is not None:
        with contextlib.suppress(HistoryError):  # the check before the request raises it again
            for sentence in budget.warnings():
                report(sentence)
