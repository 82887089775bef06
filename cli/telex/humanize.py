"""Numbers, sizes, times and values as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from decimal import Decimal

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


def plural(count: int, noun: str, nouns: str = "") -> str:
    """A count and a noun, as "3 models"; ``nouns`` is the plural where it is not ``noun`` with an "s"."""
    return f"{count:,} {noun if count == 1 else nouns or f'{noun}s'}"


def number(value: int | None) -> str:
    """A number with commas between its thousands; "?" if it is unknown."""
    return "?" if value is None else f"{value:,}"


def short_number(value: int) -> str:
    """Three digits and a power of 1000, never of 1024: 131072 is "131k", 1048576 is "1.05M"."""
    for unit, name in ((1_000_000, "M"), (1_000, "k")):
        if value >= unit * 0.9995:
            scaled = value / unit
            digits = 0 if scaled >= 99.95 else 1 if scaled >= 9.995 else 2
            return f"{scaled:.{digits}f}".rstrip("0").rstrip(".") + name if digits else f"{scaled:.0f}{name}"
    return str(value)


def size(count: int) -> str:
    """A number of bytes: "1 byte", "1.5 kB", "2.0 MB"."""
    if count < 1000:
        return plural(count, "byte")
    return f"{count / 1e3:.1f} kB" if count < 1e6 else f"{count / 1e6:,.1f} MB"


def dollars(value: Decimal) -> str:
    """An amount: cents from a dollar on, below that four decimals, and below a cent two significant digits."""
    if value >= 1:
        return f"${value:,.2f}"
    digits = 4 if value >= 0.01 or not value else 1 - value.adjusted()
    text = f"{value:.{digits}f}"
    return f"${text.rstrip('0').rstrip('.') if '.' in text else text}"


def elapsed(seconds: float) -> str:
    """A short time: "120 ms", "1.5 s"."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def age(seconds: float) -> str:
    """How long ago something was, in its largest whole unit: "3 days"; "a moment" below a minute."""
    for length, name in _UNITS:
        if seconds >= length:
            return plural(int(seconds // length), name)
    return "a moment"


def duration(seconds: float) -> str:
    """How long to wait, rounded to a unit in which it has two digits or so: "45 s", "3 minutes"."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 1 else "a second"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.0f} hours" if seconds < 172_800 else f"{min(seconds / 86400, 9999):.0f} days"


def shown(value: Any) -> str:
    """A setting's value on one line: a string without quotes, a list with commas, anything else as JSON."""
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value))
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, float):
        return f"{value:g}"
    import json

    return json.dumps(value, ensure_ascii=False)
