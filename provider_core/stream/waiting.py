"""How long a server asks its client to wait, wherever it says so; whether to wait is not decided here."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provider_core.types import Json

__all__ = ["retry_after"]

_PROSE = re.compile(r"\b(?:try|retry)(?: again)? (?:in|after) (?:about )?(\d[^\n,;)]{0,40})", re.IGNORECASE)
_SPAN = re.compile(
    r"(\d+(?:\.\d+)?) ?(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hours?|days?)(?![a-z])",
    re.IGNORECASE,
)
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DEPTH = 6


def retry_after(headers: Mapping[str, str], words: str = "", value: Json = None) -> float | None:
    """Return the seconds to wait before another attempt, or None where the server names none.

    Read in this order: ``retry-after-ms``, ``retry-after`` (seconds or an HTTP date), the JSON ``value`` of the
    body (Google's ``RetryInfo.retryDelay`` and fields called ``retry_after``), the prose of ``words``.
    Header names are lower-case. The result is never negative; capping it is the caller's business.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    header = headers.get("retry-after", "").strip()
    seconds = _number(header)
    if seconds is None and header:
        seconds = _until(header, headers.get("date", ""))
    if seconds is None:
        seconds = _in_value(value, _DEPTH)
    if seconds is None and (hit := _PROSE.search(words)):
        seconds = _span(hit[1])
    return seconds


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _until(date: str, now: str) -> float | None:
    """Return the seconds to an HTTP date; the server's own clock is believed where it shows it."""
    try:
        then = parsedate_to_datetime(date)
    except (TypeError, ValueError, OverflowError):
        return None
    try:
        start = parsedate_to_datetime(now)
    except (TypeError, ValueError, OverflowError):
        start = datetime.now(UTC)
    then, start = (moment if moment.tzinfo else moment.replace(tzinfo=UTC) for moment in (then, start))
    return max(0.0, (then - start).total_seconds())


def _in_value(value: Json, depth: int) -> float | None:
    if depth == 0:
        return None
    if isinstance(value, list):
        found = (_in_value(item, depth - 1) for item in value[:32])
        return next((seconds for seconds in found if seconds is not None), None)
    if not isinstance(value, dict):
        return None
    for key, item in value.items():
        match key.lower().replace("-", "_"):
            case "retrydelay" | "retry_after" | "retryafter" | "retry_after_seconds":
                seconds = _duration(item)
            case "retry_after_ms":
                seconds = _duration(item)
                seconds = None if seconds is None else seconds / 1000
            case "error" | "details" | "metadata" | "headers":
                seconds = _in_value(item, depth - 1)
            case _:
                continue
        if seconds is not None:
            return seconds
    return None


def _duration(value: Json) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _number(str(value)) if abs(value) < 1e9 else None
    return (
        (_number(value) if _number(value) is not None else _span(value)) if isinstance(value, str) else None
    )


def _span(text: str) -> float | None:
    """Read "17s", "6m0s", "2m59.56s", "230ms", "20 seconds"; the parts must touch, or blanks stand between."""
    total: float | None = None
    end = 0
    for hit in _SPAN.finditer(text):
        if text[end : hit.start()].strip():
            break
        unit = hit[2].lower()
        factor = 0.001 if unit.startswith(("ms", "mil")) else _UNITS[unit[0]]
        total = (total or 0.0) + float(hit[1]) * factor
        end = hit.end()
    return total
