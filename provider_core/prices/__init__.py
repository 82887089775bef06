"""What answers cost, in US dollars: as the server reports it, or by a price list.

Amounts are ``Decimal``: no digit of a price is lost, and sums are exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from provider_core.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from decimal import Decimal

    from provider_core.types import Target, Usage

__all__ = ["Cost", "CostSource", "Prices", "Pricing", "add_costs", "reported_cost"]

CostSource: TypeAlias = Literal["server", "settings", "list", "genai-prices", "preset", "mixed"]
"""Where a cost is from: the server's own figure for the answer; or its tokens, and the model's price in the settings,
in the server's list of models, in the library ``genai-prices``, or in telex's own table. "mixed" is a sum of several.
"""


class Cost(Struct):
    """What an answer, or several together, cost in US dollars. A cost that is unknown is None, never 0."""

    amount: Decimal
    source: CostSource
    estimate: bool = False
    """Whether the tokens were estimated, because there is no answer yet."""
    partial: bool = False
    """Whether this is less than the whole cost, because the cost of some requests is unknown."""


Pricing: TypeAlias = "Callable[[Target, Usage], Cost | None]"
"""Returns what an answer of the target with this usage cost; None if unknown."""


def add_costs(costs: Iterable[Cost | None]) -> Cost | None:
    """The sum of the costs: None if none of them is known, and partial if only some of them are."""
    found = tuple(costs)
    known = [cost for cost in found if cost is not None]
    if not known:
        return None
    sources = {cost.source for cost in known}
    return Cost(
        amount=sum((cost.amount for cost in known[1:]), known[0].amount),
        source=known[0].source if len(sources) == 1 else "mixed",
        estimate=any(cost.estimate for cost in known),
        partial=len(known) < len(found) or any(cost.partial for cost in known),
    )


def reported_cost(_: Target, usage: Usage) -> Cost | None:
    """The cost that the server reported with the answer, if it did."""
    return None if usage.cost is None else Cost(amount=usage.cost, source="server")


class Prices:
    """Finds what answers cost. A call returns the cost of one answer, or None if it is unknown."""

    def __call__(self, target: Target, usage: Usage) -> Cost | None:
        """What an answer of ``target`` with this usage cost: the server's own figure, if it reported one."""
        return reported_cost(target, usage)
