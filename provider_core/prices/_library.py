"""The prices in the library ``genai-prices``, if it is installed.

https://github.com/pydantic/genai-prices. Importing it takes 0.2 s and more, so it is done in a thread while the server
works on its answer, and the prices that were found are saved for the rest of the day. The library's own update, which
downloads prices, is never started: a newer release of the library has newer prices.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from provider_core import files
from provider_core.errors import FileError
from provider_core.prices._price import FREE, Price
from provider_core.structs import replace

if TYPE_CHECKING:
    from decimal import Decimal
    from pathlib import Path

    from provider_core.types import Json

_FIELDS = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cached": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "reasoning": "output_reasoning_mtok",
    "request": "requests_kcount",
}
_BATCH = {"processing": "batch"}
_MOST_ROWS = 1000
_QUARTER = 900
"""Seconds for which a price holds at least: where it depends on the time of the day, it changes at such times."""


class Library:
    """The library's prices. ``saved`` is the file of those that were found today. Threads may share it."""

    def __init__(self, saved: Path | None) -> None:
        self._saved = saved
        self._rows: dict[str, Json] | None = None
        self._snapshot: Any = None
        self._lock = threading.Lock()
        self._mark: list[Json] | None = None
        self._changed = False
        self._found: dict[tuple[str, float | None], Price | None] = {}
        """Prices by model and quarter of an hour, the latter None if they do not depend on the time."""

    @property
    def is_installed(self) -> bool:
        """Whether the library can be imported."""
        return self._installation() is not None

    def prepare(self, base_url: str, model: str) -> None:
        """Import the library in a thread, unless it is imported or the model's price is saved."""
        if self._snapshot is None and self.is_installed and self._key(base_url, model) not in self._read():
            threading.Thread(target=self._load, name="prices", daemon=True).start()

    def find(self, base_url: str, model: str, at: float | None = None) -> Price | None:
        """The price of a model of the server at ``base_url``, now or at a time in seconds since 1970."""
        if not base_url or not self.is_installed:
            return None
        key, rows = self._key(base_url, model), self._read()
        moment = at and at // _QUARTER
        for known in ((key, None), (key, moment)):
            if known in self._found:
                return self._found[known]
        if at is None and key in rows:
            saved = Price.read(rows[key])
            if rows[key] is None or not saved.is_empty:
                return None if rows[key] is None else saved
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
                batch = _converted(info.get_prices(date, _BATCH))
                price = replace(price, batch=batch) if batch != price else price
            if price.is_empty:  # OpenRouter's free models have no amounts, and other models of unknown price
                price = FREE if model.endswith(":free") else None
        if not any(conditions):
            self._found[key, None] = price
        elif moment is not None:
            self._found[key, moment] = price
        if at is None and not any(hasattr(each, "start_time") for each in conditions):  # the same all day
            self._remember(key, price)
        return price

    def _load(self) -> Any:
        """The library's data, once it is imported; None if that fails."""
        with self._lock:
            if self._snapshot is None:
                try:
                    from genai_prices.data_snapshot import get_snapshot

                    self._snapshot = get_snapshot()
                except Exception:  # noqa: BLE001 - a broken installation must not spoil an answer
                    self._mark = []
            return self._snapshot

    def _installation(self) -> list[Json] | None:
        """What changes when the library is replaced by another release; None if it is not installed."""
        if self._mark is None:
            try:
                spec = importlib.util.find_spec("genai_prices")
                origin = None if spec is None else spec.origin
                self._mark = [] if origin is None else [origin, os.stat(origin).st_mtime_ns]  # noqa: PTH116 - faster
            except (ImportError, ValueError, OSError):
                self._mark = []
        return self._mark or None

    # --- the prices that were found today ------------------------------------------------------------------

    @staticmethod
    def _key(base_url: str, model: str) -> str:
        return f"{base_url} {model}"

    def _head(self) -> list[Json]:
        return [*(self._installation() or ()), int(time.time() // 86_400)]

    def _read(self) -> dict[str, Json]:
        if self._rows is None:
            self._rows = {}
            if self._saved is not None:
                try:
                    content = json.loads(files.read_bytes(self._saved))
                    if content["from"] == self._head() and isinstance(content["prices"], dict):
                        self._rows = content["prices"]
                except (OSError, ValueError, LookupError, TypeError, RecursionError, FileError):
                    pass
        return self._rows

    def _remember(self, key: str, price: Price | None) -> None:
        rows = self._read()
        if self._saved is not None and len(rows) < _MOST_ROWS:
            rows[key] = None if price is None else price.plain()
            self._changed = True

    def close(self) -> None:
        """Save the prices that were found."""
        if self._changed and self._saved is not None:
            self._changed = False
            content = json.dumps({"from": self._head(), "prices": self._read()}, separators=(",", ":"))
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
