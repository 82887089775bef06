"""Limits on costs, in US dollars: of a day and a month, by the ledger; and of one chat, by its answers.

A cost that is unknown cannot be limited. It counts as nothing, and is reported.
"""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING

from provider_core.errors import BudgetError
from provider_core.structs import Struct
from provider_core.types import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from provider_core.events import Answer
    from provider_core.history import Ledger
    from provider_core.prices import Pricing
    from provider_core.types import Request, Target

_WARN_AT = Decimal("0.8")
"""The part of a budget from which on a warning is reported."""
_PERIODS = {"day": "today", "month": "this month"}
_BYTES = 4
"""Bytes of a tool's description and schema for a token, as ``attachments.estimate_tokens`` counts text."""


class Spending(Struct):
    """The cost of all requests since the beginning of a period, in US dollars."""

    period: str
    """"day" or "month"."""
    limit: Decimal
    spent: Decimal
    unpriced: int
    """How many requests have an unknown cost, which ``spent`` does not include."""

    @property
    def is_exhausted(self) -> bool:
        return self.spent >= self.limit

    @property
    def is_near(self) -> bool:
        """Whether 80 % or more of the limit is spent."""
        return self.spent >= self.limit * _WARN_AT


class Budget:
    """The limits of the settings' ``[budget]``, for each "day" and "month" of the local calendar.

    The ledger has the requests of all processes. It is read at most every ``interval`` seconds: 0 for always. If
    requests have an unknown cost, ``fill_in_costs(since=...)`` is called once, as ``Runtime.fill_in_costs``.
    """

    def __init__(
        self,
        limits: Mapping[str, float],
        ledger: Callable[[], Ledger],
        *,
        fill_in_costs: Callable[..., int] = lambda **_: 0,
        interval: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.interval = interval
        self._limits = limits
        self._ledger = ledger
        self._fill_in_costs = fill_in_costs
        self._filled_in = False
        self._warned: set[str] = set()
        self._clock = clock
        self._read: tuple[float, tuple[Spending, ...]] | None = None

    def spending(self) -> tuple[Spending, ...]:
        """The amount spent of each limit. May raise ``HistoryError``."""
        now = self._clock()
        if self._read is None or not self._read[0] <= now < self._read[0] + self.interval:
            ledger = self._ledger()
            found = []
            for period, limit in self._limits.items():
                since = beginning(period, now)
                total = ledger.total(since=since)
                if total.unpriced and not self._filled_in:
                    self._filled_in = True
                    if self._fill_in_costs(since=beginning("month", now)):
                        total = ledger.total(since=since)
                amount = Decimal(str(limit))
                found.append(Spending(period=period, limit=amount, spent=total.cost, unpriced=total.unpriced))
            self._read = now, tuple(found)
        return self._read[1]

    def warnings(self) -> list[str]:
        """Sentences about limits that are nearly reached, and about unknown costs; each is returned once."""
        found = []
        for each in self.spending():
            words, spent, limit = _PERIODS[each.period], dollars(each.spent), dollars(each.limit)
            if each.is_near and not each.is_exhausted:
                part = int(100 * each.spent / each.limit)
                found.append(
                    (each.period, f"{spent} of the budget of {limit} for {words} is spent ({part} %).")
                )
            if each.unpriced:
                count = f"{each.unpriced:,} request" + ("s" if each.unpriced > 1 else "")
                sentence = f"The budget for {words} does not include {count} whose cost is unknown."
                found.append((f"{each.period} unknown", sentence))
        new = [sentence for key, sentence in found if key not in self._warned]
        self._warned.update(key for key, _ in found)
        return new

    def check(self) -> None:
        """Raise ``BudgetError`` if a limit is reached."""
        for each in self.spending():
            if each.is_exhausted:
                spent, limit = dollars(each.spent), dollars(each.limit)
                raise BudgetError(
                    f"the budget for {_PERIODS[each.period]} is spent: {spent} of {limit}",
                    code=each.period,
                    limit=each.limit,
                    spent=each.spent,
                )


def beginning(period: str, now: float) -> float:
    """When the local "day" or "month" of ``now`` began."""
    year, month, day, *_ = time.localtime(now)
    return time.mktime((year, month, day if period == "day" else 1, 0, 0, 0, 0, 0, -1))


def check_max_cost(
    limit: Decimal,
    target: Target,
    request: Request | None,
    answers: Iterable[Answer],
    *,
    spent: Decimal | None = None,
    price: Pricing | None = None,
) -> None:
    """Raise ``BudgetError`` if ``spent`` and the costs of the answers reach the limit, or would with the next request.

    ``price`` is asked for the cost of that request's input, whose tokens are estimated. Without a ``request``, only the
    costs so far count.
    """
    spent = sum((answer.cost.amount for answer in answers if answer.cost is not None), spent or Decimal(0))
    words = f"the cost limit of {dollars(limit)} is reached: {dollars(spent)} spent"
    if spent < limit:
        next_cost = None
        if price is not None and request is not None:
            next_cost = price(target, Usage(input=input_tokens(request), output=0))
        if next_cost is None or spent + next_cost.amount <= limit:
            return
        about = dollars(next_cost.amount, digits=2)
        after = f"after {dollars(spent)} spent, " if spent else ""
        words = f"{after}the input of the request alone would cost about {about}, and the limit is {dollars(limit)}"
    raise BudgetError(words, provider=target.provider.name, code="max_cost", limit=limit, spent=spent)


def input_tokens(request: Request) -> int:
    """The approximate number of tokens of the messages and the descriptions of tools."""
    from provider_core.attachments import estimate_tokens

    tools = sum(len(f"{tool.name}{tool.description}{tool.schema}") for tool in request.tools)
    return estimate_tokens(request.messages) + tools // _BYTES


def dollars(amount: Decimal, *, digits: int = 6) -> str:
    """The amount with ``digits`` significant digits, and with cents from a dollar on: "$0.0021", "$0.5", "$12.50"."""
    whole, _, decimals = f"{Decimal(f'{amount:.{digits}g}'):f}".partition(".")
    decimals = decimals.rstrip("0").ljust(2 if amount >= 1 else 0, "0")
    return f"${whole}{decimals and '.'}{decimals}"
