"""The costs of answers, in US dollars: as the server reports them, or by a price list.

Amounts are ``Decimal``: no digit of a price is lost, and sums are exact.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import threading
import time
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cache, cached_property
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from provider_core import files, presets
from provider_core.errors import FileError
from provider_core.structs import Struct, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from provider_core.types import Json, Provider, Target, Usage

_AMOUNTS = ("input", "output", "cached", "cache_write", "reasoning", "request")
_LONGEST = 40
"""Digits of an amount: more are a mistake or an attack, as a small exponent is written out with all its zeros."""
MOST = Decimal(1_000_000)
"""Dollars per million tokens: a higher price is a mistake."""


class Price(Struct):
    """The prices of a model, in US dollars per million tokens; ``request`` is in US dollars for each request.

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
        """The cost of a request with this usage, in US dollars; None if a count or a price that matters is unknown.

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
        cached = usage.cached or 0 if price.cached is not None else 0
        written = usage.cache_write or 0 if price.cache_write is not None else 0
        reasoning = usage.reasoning or 0 if price.reasoning is not None else 0
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
            if each is not None:
                total += (each * count).scaleb(-6)
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


CostSource: TypeAlias = Literal["server", "settings", "list", "genai-prices", "preset", "local", "mixed"]
"""Where a cost is from: the server's own figure for the answer; or its tokens, and the model's price in the settings,
in the server's list of models, in the library ``genai-prices``, or in telex's own table. "local" is the embedded model,
which is free; "mixed" is a sum of several."""


class Cost(Struct):
    """The cost of an answer, or of several together, in US dollars. A cost that is unknown is None, never 0."""

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
    """The prices of a model, and their source."""

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
        self._library = _Library(saved)
        self._owned: dict[tuple[str, str], ModelPrice | None] = {}

    def __call__(self, target: Target, usage: Usage) -> Cost | None:
        """The cost of an answer that has just ended: as the server reported it, or by the model's price."""
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
        """The cost of tokens by the price of the model; None if that is unknown.

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
        """The prices of a model, now or at a time in seconds since 1970."""
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
        return not self._library.installation

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
    content = json.loads(resources.files(__name__).joinpath("presets.json").read_bytes())
    return {
        preset: {model.casefold(): row for model, row in rows.items()}
        for preset, rows in content["prices"].items()
    }


# --- genai-prices ------------------------------------------------------------------------------------------

_FIELDS = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cached": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "reasoning": "output_reasoning_mtok",
    "request": "requests_kcount",
}
_MOST_ROWS = 1000
_QUARTER = 900
"""Seconds for which a price holds at least: where it depends on the time of the day, it changes at such times."""


class _Library:
    """The prices of ``genai-prices``, if it is installed. Threads may share it.

    https://github.com/pydantic/genai-prices. Importing it takes 0.2 s and more, so it is done in a thread while the
    server works on its answer, and the prices that were found are saved for the rest of the day, in the file ``saved``.
    The library's own update, which downloads prices, is never started: a newer release of it has newer prices.
    """

    def __init__(self, saved: Path | None) -> None:
        self._saved = saved
        self._changed = False
        self._snapshot: Any = None
        self._lock = threading.Lock()
        self._found: dict[tuple[str, float | None], Price | None] = {}
        """Prices by model and quarter of an hour, the latter None if they do not depend on the time."""

    @cached_property
    def installation(self) -> list[Json]:
        """A text that changes when another release of the library is installed; empty if it cannot be imported."""
        with contextlib.suppress(ImportError, ValueError, OSError):
            spec = importlib.util.find_spec("genai_prices")
            if spec is not None and spec.origin is not None:
                return [spec.origin, os.stat(spec.origin).st_mtime_ns]  # noqa: PTH116 - faster
        return []

    @cached_property
    def _rows(self) -> dict[str, Json]:
        """The prices that were found today: None for a model that the library does not know."""
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError, RecursionError, FileError):
            content = json.loads(files.read_bytes(self._saved)) if self._saved is not None else {}
            if content["from"] == self._head() and isinstance(content["prices"], dict):
                return content["prices"]
        return {}

    def _head(self) -> list[Json]:
        return [*self.installation, int(time.time() // 86_400)]

    def prepare(self, base_url: str, model: str) -> None:
        """Import the library in a thread, unless it is imported or the model's price is saved."""
        if self._snapshot is None and self.installation and f"{base_url} {model}" not in self._rows:
            threading.Thread(target=self._load, name="prices", daemon=True).start()

    def find(self, base_url: str, model: str, at: float | None = None) -> Price | None:
        """The price of a model of the server at ``base_url``, now or at a time in seconds since 1970."""
        if not base_url or not self.installation:
            return None
        key, moment = f"{base_url} {model}", at and at // _QUARTER
        for known in ((key, None), (key, moment)):
            if known in self._found:
                return self._found[known]
        if at is None and key in self._rows:
            row = self._rows[key]
            if row is None or not Price.read(row).is_empty:
                return None if row is None else Price.read(row)
        found = self._load()
        if found is None:
            return None
        price, conditions = None, []
        with contextlib.suppress(LookupError):
            provider, info = found.find_provider_model(model, None, None, base_url)
            date = datetime.now(UTC) if at is None else datetime.fromtimestamp(at, UTC)
            conditions = [each.constraint for each in info.prices] if isinstance(info.prices, list) else []
            price = _converted(info.get_prices(date))
            if any(info is each for each in provider.models):
                batch = _converted(info.get_prices(date, {"processing": "batch"}))
                price = replace(price, batch=batch) if batch != price else price
            if price.is_empty:  # OpenRouter's free models have no amounts, and other models of unknown price
                price = FREE if model.endswith(":free") else None
        if not any(conditions):
            self._found[key, None] = price
        elif moment is not None:
            self._found[key, moment] = price
        is_same_all_day = not any(hasattr(each, "start_time") for each in conditions)
        if at is None and is_same_all_day and self._saved is not None and len(self._rows) < _MOST_ROWS:
            self._rows[key] = None if price is None else price.plain()
            self._changed = True
        return price

    def _load(self) -> Any:
        """The library's data, once it is imported; None if that fails."""
        with self._lock:
            if self._snapshot is None:
                try:
                    from genai_prices.data_snapshot import get_snapshot

                    self._snapshot = get_snapshot()
                except Exception:  # noqa: BLE001 - a broken installation must not spoil an answer
                    self.installation = []
            return self._snapshot

    def close(self) -> None:
        """Save the prices that were found."""
        if self._changed and self._saved is not None:
            self._changed = False
            content = json.dumps({"from": self._head(), "prices": self._rows}, separators=(",", ":"))
            with contextlib.suppress(FileError):
                files.private_folder(self._saved.parent)
                files.replace(self._saved, content.encode())


def _converted(found: Any) -> Price:
    """A price of the library. Its prices of searches, audio and images are not read: no answer reports their number."""
    values = {name: getattr(found, field) for name, field in _FIELDS.items()}
    tiers = [tier for value in values.values() for tier in getattr(value, "tiers", ())]
    base: dict[str, Any] = {name: getattr(value, "base", value) for name, value in values.items()}
    if base["request"] is not None:
        base["request"] /= 1000
    above: list[tuple[int, Price]] = []
    for start in sorted({tier.start for tier in tiers}):
        amounts: dict[str, Any] = {name: _above(value, start) for name, value in values.items()}
        above.append((start, Price(**amounts)))
    return Price(**base, above=tuple(above))


def _above(value: Any, start: int) -> Decimal | None:
    """An amount for requests with more than ``start`` tokens; None if it does not depend on them."""
    found = [tier.price for tier in getattr(value, "tiers", ()) if tier.start <= start]
    return found[-1] if found else None
