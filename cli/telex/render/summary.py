"""The line after an answer: who answered, how many tokens, how fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telex.humanize import dollars, number

if TYPE_CHECKING:
    from provider_core.types import Target, Timing, Usage

__all__ = ["full", "short"]


def short(target: Target, usage: Usage | None, timing: Timing) -> str:
    """``provider/model``, what came out and how long it took."""
    parts = [str(target)]
    if usage is not None and usage.output is not None:
        parts.append(f"{number(usage.output)} out")
    if timing.total is not None:
        parts.append(f"{timing.total:.1f} s")
    return " · ".join(parts)


def full(target: Target, usage: Usage | None, timing: Timing) -> str:
    """Everything that is known of the answer, in one line; what the server did not say is called unknown."""
    parts = [str(target)]
    if usage is None or (usage.input is None and usage.output is None):
        parts.append("tokens unknown")
    else:
        parts.append(f"{number(usage.input)} in{_aside(usage.cached, 'cached')}")
        parts.append(f"{number(usage.output)} out{_aside(usage.reasoning, 'thinking')}")
    if usage is not None and usage.cost is not None:
        parts.append(dollars(usage.cost))
    if timing.first_text is not None:
        parts.append(f"first {timing.first_text:.2f} s")
    rate = _rate(usage, timing)
    if rate is not None:
        parts.append(f"{rate:.0f} tok/s")
    if rate is None and timing.total is not None:
        parts.append(f"{timing.total:.1f} s")
    return " · ".join(parts)


def _rate(usage: Usage | None, timing: Timing) -> float | None:
    if usage is None or not usage.output or timing.first_text is None or timing.total is None:
        return None
    seconds = timing.total - timing.first_text
    # An answer in one piece has no speed that could be seen.
    return usage.output / seconds if seconds > 0.05 else None


def _aside(value: int | None, word: str) -> str:
    return f" ({number(value)} {word})" if value else ""
