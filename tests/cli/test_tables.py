"""Lists on a terminal: what of them fits its width."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest
from rich.cells import cell_len
from terminal import TerminalStream

from provider_core.history import SavedConversation
from provider_core.types import Verdict
from telex import humanize
from telex.console import Console
from telex.render.history import listing
from telex.render.tables import cell, render


@pytest.mark.parametrize(
    ("columns", "heads"),
    [
        (100, ["ID", "UPDATED", "TURNS", "MODEL", "STATUS", "TITLE"]),
        (60, ["ID", "UPDATED", "TURNS", "MODEL", "STATUS", "TITLE"]),
        (40, ["ID", "UPDATED", "TITLE"]),
        (28, ["ID", "TITLE"]),
    ],
)
def test_conversations_have_a_line_each_at_any_width(
    columns: int, heads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stdout", screen := TerminalStream())
    model, title, now = "lab/" + "m" * 40, "空は青い " * 20, time.time()
    conversations = [
        SavedConversation(
            id=f"k3x{turns}", title=title, begun=now, updated=now, turns=turns, model=model, verdict=verdict
        )
        for turns, verdict in enumerate([Verdict.COMPLETE, None, Verdict.INTERRUPTED])
    ]
    listing(Console(environ={"TERM": "xterm", "NO_COLOR": "1"}), conversations)
    head, *lines = screen.getvalue().splitlines()
    assert head.split() == heads
    assert [line.split()[0] for line in lines] == ["k3x0", "k3x1", "k3x2"]
    assert all("空は" in line and line.endswith("…") and cell_len(line) <= columns for line in lines)
    assert ("unanswered" in lines[1] and "interrupted" in lines[2]) == ("STATUS" in heads)


@pytest.mark.parametrize(
    ("term", "colours"), [("alacritty", True), ("xterm-256color", True), ("xterm", False)]
)
def test_colours_are_those_that_the_terminal_has(
    term: str, colours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", TerminalStream())
    shown = render(Console(environ={"TERM": term}), cell("failed", "red"))
    assert ("\x1b[38;5;167mfailed" in shown) is colours
    assert colours or shown == "failed\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (humanize.plural(1, "model"), "1 model"),
        (humanize.plural(1000, "entry", "entries"), "1,000 entries"),
        (humanize.number(None), "?"),
        (humanize.number(12345), "12,345"),
        ([humanize.short_number(n) for n in (999, 1000, 8192, 131_072, 999_600)], ["999", "1k", "8.19k", "131k", "1M"]),
        ([humanize.size(n) for n in (1, 999, 1000, 2_000_000)], ["1 byte", "999 bytes", "1.0 kB", "2.0 MB"]),
        ([humanize.dollars(Decimal(n)) for n in ("1234.5", "1", "0.5", "0.0123", "0.00123", "0")],
         ["$1,234.50", "$1.00", "$0.5", "$0.0123", "$0.0012", "$0"]),
        ([humanize.elapsed(n) for n in (0.12, 1.0)], ["120 ms", "1.0 s"]),
        ([humanize.age(n) for n in (59, 60, 3600, 172_800)], ["a moment", "1 minute", "1 hour", "2 days"]),
        ([humanize.duration(n) for n in (0.5, 1, 89, 90, 5400, 172_800, 1e12)],
         ["a second", "1 s", "89 s", "2 minutes", "2 hours", "2 days", "9999 days"]),
        ([humanize.shown(each) for each in (["a", 1], "a\n b", 0.5, True, {"a": "ü"})],
         ["a, 1", "a b", "0.5", "true", '{"a": "ü"}']),
    ],
)  # fmt: skip
def test_numbers_sizes_and_times_are_written_for_people(text: object, expected: object) -> None:
    assert text == expected
