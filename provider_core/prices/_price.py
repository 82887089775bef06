"""The prices of a model's tokens, and what a usage costs at these prices."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from provider_core.structs import Struct, replace

if TYPE_CHECKING:
    from provider_core.types import Json, Usage

_MILLION = 6
_AMOUNTS = ("input", "output", "cached", "cache_write", "reasoning", "request")
_LONGEST = 40
"""Digits of an amount: more are a mistake or an attack, as a small exponent is written out with all its zeros."""
MOST = Decimal(1_000_000)
"""Dollars per million tokens: a higher price is a mistake."""


class Price(Struct):
    """What a model charges, in US dollars per million tokens; ``request`` is in US dollars for each request.

    Cached and written input without a price of its own costs as much as other input, and reasoning as other output.
    """

    input: Decimal | None = None
    output: Decimal | None = None
    cached: Decimal | None = None
    cache_write: Decimal | None = None
    reasoning: Decimal | None = None
    request: Decimal | None = None
    above: tuple[tuple[int, Price], ...] = ()
    """The prices of requests with more input tokens than a number, by ascending number. They are for all tokens of the
    request, not only for those above the number: all vendors charge like that."""
    batch: Price | None = None
    """The prices of requests that are sent through the provider's Batch API."""

    @classmethod
    def read(cls, plain: Json) -> Price:
        """The prices in ``Model.price``, or in a file that may be damaged: invalid amounts are unknown."""
        if not isinstance(plain, dict):
            return cls()
        tiers = plain.get("above")
        above = [
            (tier["tokens"], cls.read({**tier, "above": None}))
            for tier in (tiers if isinstance(tiers, list) else ())
            if isinstance(tier, dict) and type(tier.get("tokens")) is int
        ]
        batch = {name.removeprefix("batch_"): plain[name] for name in plain if name.startswith("batch_")}
        return cls(
            **{name: amount(plain.get(name)) for name in _AMOUNTS},
            above=tuple(sorted(above, key=lambda tier: tier[0])),
            batch=cls.read(batch) if batch else None,
        )

    def plain(self) -> dict[str, Json]:
        """The form of ``Model.price``, with amounts as text."""
        found: dict[str, Json] = {
            name: f"{value:f}" for name, value in self.amounts.items() if value is not None
        }
        if self.above:
            found["above"] = [{"tokens": tokens, **price.plain()} for tokens, price in self.above]
        if self.batch is not None:
            found |= {f"batch_{name}": value for name, value in self.batch.plain().items()}
        return found

    @property
    def is_empty(self) -> bool:
        """Whether no amount is known."""
        return all(value is None for value in self.amounts.values())

    @property
    def amounts(self) -> dict[str, Decimal | None]:
        """The amounts by their names."""
        return {name: getattr(self, name) for name in _AMOUNTS}

    @property
    def is_complete(self) -> bool:
        """Whether the prices of input and output are known."""
        return self.input is not None and self.output is not None

    def cost(self, usage: Usage, *, batch: bool = False) -> Decimal | None:
        """What a request with this usage costs, in US dollars; None if a count or a price is unknown that matters.

        With ``batch``, it was sent through the provider's Batch API.
        """
        input_, output = usage.input, usage.output
        price = self.batch if batch else self
        if price is None or input_ is None or output is None:
            return None
        if batch and not price.above and any(input_ > tokens for tokens, _ in self.above):
            return None
        for tokens, tier in price.above:
            if input_ > tokens:
                price = price.filled(tier)
        cached, written, reasoning = usage.cached or 0, usage.cache_write or 0, usage.reasoning or 0
        if price.cached is None:
            cached = 0
        if price.cache_write is None:
            written = 0
        if price.reasoning is None:
            reasoning = 0
        total = price.request or Decimal(0)
        for count, each in (
            (input_ - cached - written, price.input),
            (cached, price.cached),
            (written, price.cache_write),
            (output - reasoning, price.output),
            (reasoning, price.reasoning),
        ):
            if count and each is None:
                return None
            if count and each is not None:
                total += (each * count).scaleb(-_MILLION)
        return total

    def filled(self, other: Price) -> Price:
        """``other`` with the amounts of this price where it has none; of the rest, only if it sets no main price."""
        given: dict[str, Any] = {name: value for name, value in other.amounts.items() if value is not None}
        if "input" in given or "output" in given:
            given |= {"above": other.above, "batch": other.batch}
        return replace(self, **given)


def amount(value: Json) -> Decimal | None:
    """A price or a cost as a number; None if it is not valid: not a number, negative, or absurdly high."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    text = str(value).strip().removeprefix("$")
    try:
        found = Decimal(text if len(text) <= _LONGEST else "")
    except InvalidOperation:
        return None
    if not found.is_finite() or not 0 <= found <= MOST or found.adjusted() < -_LONGEST:
        return None
    return found


FREE = Price(input=Decimal(0), output=Decimal(0))
