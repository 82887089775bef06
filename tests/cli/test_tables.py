"""Lists on a terminal: what of them fits its width."""

from __future__ import annotations

import time

import pytest
from rich.cells import cell_len
from terminal import TerminalStream

from provider_core.history import SavedConversation
from provider_core.types import Verdict
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
