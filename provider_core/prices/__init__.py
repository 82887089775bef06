"""What answers cost, in US dollars: as the server reports it, or by a price list.

Amounts are ``Decimal``: no digit of a price is lost, and sums are exact.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal, TypeAlias

from provider_core import presets
from provider_core.prices._library import Library
from provider_core.prices._price import FREE, MOST, Price, amount
from provider_core.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from decimal import Decimal
    from pathlib import Path

    from provider_core.types import Json, Provider, Target, Usage

__all__ = [
    "MOST",
    "Cost",
    "CostSource",
    "ModelPrice",
    "Price",
    "Prices",
    "Pricing",
    "add_costs",
    "amount",
    "reported_cost",
]

CostSource: TypeAlias = Literal["server", "settings", "list", "genai-prices", "preset", "local", "mixed"]
"""Where a cost is from: the server's own figure for the answer; or its tokens, and the model's price in the settings,
in the server's list of models, in the library ``genai-prices``, or in telex's own table. "local" is the embedded model,
which is free; "mixed" is a sum of several."""


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


_IN_YUAN = ("kimi-cn", "minimax-cn")
"""Presets for which ``genai-prices`` has the prices in US dollars that are charged outside of China."""


class ModelPrice(Struct):
    """What a model charges, and where that is known from."""

    price: Price
    source: CostSource


class Prices:
    """Finds what models charge and what answers cost; several threads may use it.

    ``listed`` returns the ``Model.price`` that settings and the server's list have for a model of a provider, or None.
    ``saved`` is the file of the prices that the library ``genai-prices`` was asked for today.

    The price of a model is from the settings, else from its server's list of models, else from ``genai-prices`` if that
    is installed, else from telex's own table. The settings may set some of the amounts, and the next source the others.
    """

    def __init__(
        self, listed: Callable[[Provider, str], Mapping[str, Json] | None], *, saved: Path | None = None
    ) -> None:
        self._listed = listed
        self._library = Library(saved)
        self._owned: dict[tuple[str, str], ModelPrice | None] = {}

    def __call__(self, target: Target, usage: Usage) -> Cost | None:
        """What an answer cost that has just ended: as the server reported it, or by the model's price."""
        return reported_cost(target, usage) or self.cost(target, usage)

    def prepare(self, target: Target) -> None:
        """Import in a thread what a call will need; to be called while the server works on the answer."""
        own = self._own(target)
        if self._may_use_library(target) and (own is None or not own.price.is_complete):
            self._library.prepare(_address(target.provider), target.model)

    def cost(
        self,
        target: Target,
        usage: Usage,
        *,
        at: float | None = None,
        batch: bool = False,
        estimate: bool = False,
    ) -> Cost | None:
        """What tokens of a model cost by its price, or None if that is unknown.

        ``at`` is when they were used, in seconds since 1970: ``genai-prices`` knows former prices, other sources only
        those of today. With ``batch``, the request is sent through the provider's Batch API. ``estimate`` marks a cost
        whose ``usage`` is estimated.
        """
        found = self.price(target, at=at)
        amount = None if found is None else found.price.cost(usage, batch=batch)
        if found is None or amount is None:
            return None
        return Cost(amount=amount, source=found.source, estimate=estimate)

    def price(self, target: Target, *, at: float | None = None) -> ModelPrice | None:
        """What a model charges, now or at a time in seconds since 1970."""
        if target.provider.embedded:
            return ModelPrice(price=FREE, source="local")
        own = self._own(target)
        if own is not None and own.price.is_complete:
            return own
        other = self._known(target, at)
        if own is None or other is None:
            return own or other
        return ModelPrice(price=other.price.filled(own.price), source=own.source)

    def close(self) -> None:
        """Save the prices of ``genai-prices`` that were found."""
        self._library.close()

    @property
    def lacks_library(self) -> bool:
        """Whether ``genai-prices`` is not installed, so that the prices of many providers are unknown."""
        return not self._library.is_installed

    def _own(self, target: Target) -> ModelPrice | None:
        key = target.provider.name, target.model
        if key not in self._owned:
            plain = self._listed(target.provider, target.model)
            price = Price.read(plain)
            set_by_user = isinstance(plain, dict) and plain.get("source") == "settings"
            source: CostSource = "settings" if set_by_user else "list"
            self._owned[key] = None if price.is_empty else ModelPrice(price=price, source=source)
        return self._owned[key]

    @staticmethod
    def _may_use_library(target: Target) -> bool:
        # It knows public servers, all of them by https: a server on this machine is not worth the import.
        return _address(target.provider).startswith("https:") and target.provider.preset not in _IN_YUAN

    def _known(self, target: Target, at: float | None) -> ModelPrice | None:
        provider = target.provider
        if self._may_use_library(target):
            found = self._library.find(_address(provider), target.model, at)
            if found is not None:
                return ModelPrice(price=found, source="genai-prices")
        row = _preset_rows().get(provider.preset or "", {}).get(target.model.casefold())
        return None if row is None else ModelPrice(price=Price.read(row), source="preset")


def _address(provider: Provider) -> str:
    """The address by which ``genai-prices`` knows a provider: its preset's, if requests go through a proxy."""
    preset = presets.of(provider)
    url = provider.base_url if preset is None or preset.serves(provider.base_url) else preset.base_url
    return url.partition("?")[0]


@cache
def _preset_rows() -> dict[str, dict[str, dict[str, Json]]]:
    """Telex's own table: prices by preset and model, for presets whose prices ``genai-prices`` does not have."""
    import json
    from importlib.resources import files

    content = json.loads(files("provider_core.prices").joinpath("presets.json").read_bytes())
    return {
        preset: {model.casefold(): row for model, row in rows.items()}
        for preset, rows in content["prices"].items()
    }
