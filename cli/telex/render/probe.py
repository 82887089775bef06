"""Reports of probes: a table that fills itself on stderr, then one on stdout, lines or JSON; nothing is asked here."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from provider_core.probe import STEPS
from telex.humanize import elapsed
from telex.render import sheet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rich.console import RenderableType
    from rich.text import Text

    from provider_core.probe import CapabilityCard, CheckReport, CheckStep, StepName, Trait
    from telex.console import Console

__all__ = ["as_json", "card_as_json", "cards", "live", "report"]

_SIGNS = {"ok": "✓", "absent": "-", "skipped": "·", "failed": "✗"}
_COLOURS = {"ok": "green", "absent": "yellow", "skipped": "dim", "failed": "red"}
_BAR = 24
"""Columns of the longest bar."""

_PARTS: tuple[tuple[StepName, str], ...] = (
    ("reach", "cyan"),
    ("models", "blue"),
    ("auth", "magenta"),
    ("stream", "green"),
)


@contextlib.contextmanager
def live(console: Console, names: Sequence[str]) -> Iterator[Callable[[str, CheckStep | Trait], None]]:
    """A callback that is told of each step; on a terminal a table on stderr shows them as they come.

    The table is gone at the end: the report takes its place. The callback may be called by any thread.
    """
    if not console.err_can_move:
        yield lambda _name, _step: None
        return
    from rich.console import Console as RichConsole
    from rich.live import Live

    from provider_core.probe import CheckStep

    steps: dict[str, dict[str, CheckStep]] = {name: {} for name in names}
    traits: dict[str, str] = {}
    screen = RichConsole(stderr=True, theme=sheet.theme(console), highlight=False, markup=False, emoji=False)

    def told(name: str, step: CheckStep | Trait) -> None:
        # New values each time, and none changed: the painter reads them at any moment.
        if isinstance(step, CheckStep):
            steps[name] = {**steps[name], step.name: step}
        else:
            traits[name] = f"{step.name} …"

    with Live(
        get_renderable=lambda: _progress(steps, traits), console=screen, transient=True, refresh_per_second=8
    ):
        yield told


def _progress(known: Mapping[str, Mapping[str, CheckStep]], traits: Mapping[str, str]) -> RenderableType:
    lines: list[list[str | Text]] = [
        [name, *(_mark(steps.get(step)) for step in STEPS), traits.get(name, "")]
        for name, steps in known.items()
    ]
    return sheet.table(("PROVIDER", *(step.upper() for step in STEPS), ""), lines)


def _mark(step: CheckStep | None) -> Text:
    if step is None:
        return sheet.cell("…", "dim")
    time = "" if step.seconds is None else f" {elapsed(step.seconds)}"
    return sheet.cell(f"{_SIGNS[step.status]}{time}", _COLOURS[step.status])


def report(console: Console, reports: Sequence[CheckReport]) -> None:
    """The table on a terminal; elsewhere a line for each report, as ``telex providers test --help`` tells."""
    if not console.out_is_terminal:
        console.out("".join("\t".join(_line(each)) + "\n" for each in reports))
        return
    slowest = max((_total(each) for each in reports), default=0) or 1
    lines = [
        [sheet.cell(each.provider, "bold"), *(_mark(each[name]) for name in STEPS), _bar(each, slowest)]
        for each in reports
    ]
    headers = ("PROVIDER", *(name.upper() for name in STEPS), "TIME")
    console.raw_out(sheet.drawn(console, sheet.table(headers, lines)))


def _line(each: CheckReport) -> list[str]:
    cells = [each.provider, "passed" if each.passed else "failed"]
    for name in STEPS:
        step = each[name]
        cells.append(
            f"{step.status} {step.seconds * 1000:.0f} ms" if step.seconds is not None else step.status
        )
    return [*cells, each.model or ""]


def _bar(each: CheckReport, slowest: float) -> Text:
    """The times of the steps on one line, as long as the slowest provider's is the longest bar."""
    from rich.text import Text

    bar = Text()
    for name, colour in _PARTS:
        bar.append("█" * round((each[name].seconds or 0) / slowest * _BAR), style=colour)
    if not bar:
        bar.append("▏")
    bar.append(f" {elapsed(_total(each))}")
    return bar


def _total(each: CheckReport) -> float:
    return sum(each[name].seconds or 0 for name, _ in _PARTS)


def as_json(each: CheckReport) -> dict[str, Any]:
    """The object of one report. Times are seconds."""
    return {
        "provider": each.provider,
        "passed": each.passed,
        "model": each.model,
        "models": len(each.models),
        "steps": {
            step.name: {
                "status": step.status,
                "seconds": None if step.seconds is None else round(step.seconds, 4),
                "detail": step.detail or None,
                "error": type(step.error).__name__ if step.error else None,
            }
            for step in each.steps
        },
    }


def cards(console: Console, found: Sequence[CapabilityCard]) -> None:
    """Each model's traits: on a terminal a card, elsewhere a line for each with tabs between."""
    for card in found:
        title = f"{card.provider}/{card.model}"
        if not console.out_is_terminal:
            console.out(
                "".join(
                    "\t".join((title, trait.name, trait.answer, trait.detail)) + "\n" for trait in card.traits
                )
            )
            continue
        from rich.panel import Panel

        lines: list[list[str | Text]] = [
            [_answer(trait), trait.name, sheet.cell(trait.detail, "dim")]
            for group in ("answers", "fields")
            for trait in card.traits
            if trait.group == group
        ]
        panel = Panel(
            sheet.table(("", "", ""), lines),
            title=sheet.cell(title, "bold"),
            title_align="left",
            expand=False,
        )
        console.raw_out(sheet.drawn(console, panel))


def _answer(trait: Trait) -> Text:
    sign, style = {
        "yes": ("✓", "green"),
        "accepted": ("~", "green"),
        "no": ("✗", "red"),
        "unknown": ("?", "yellow"),
    }[trait.answer]
    return sheet.cell(sign, style)


def card_as_json(card: CapabilityCard) -> dict[str, Any]:
    """The object of one model's card."""
    return {
        "provider": card.provider,
        "model": card.model,
        "traits": {
            trait.name: {"group": trait.group, "answer": trait.answer, "detail": trait.detail or None}
            for trait in card.traits
        },
    }
